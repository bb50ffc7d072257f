//! `bigrain eval --vectors`: every format, the sweep, the figures, the refusals.

use std::fs;

use serde_json::Value;

use crate::desk::{Desk, bvecs, fvecs, ivecs, noise, npy};

const DIMS: usize = 24;

/// A desk with 400 vectors and 20 queries in `base.*` and `q.*`.
fn desk() -> Desk {
    let desk = Desk::new();
    let (base, queries) = (noise::<DIMS>(400, 1), noise::<DIMS>(20, 2));
    desk.write("base.fvecs", fvecs(&base)).write("q.fvecs", fvecs(&queries));
    desk.write("base.npy", npy(&base)).write("q.npy", npy(&queries));
    desk
}

/// Tests run in the folder of their package; the program runs elsewhere.
fn data(name: &str) -> String {
    let path = std::path::absolute(format!("tests/data/{name}")).unwrap();
    path.display().to_string()
}

fn recalls(evaluation: &Value) -> Vec<f64> {
    let points = evaluation["points"].as_array().unwrap();
    points.iter().map(|point| point["recall"].as_f64().unwrap()).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_json_has_what_scripts_read() {
    let desk = desk();
    let line = "eval --vectors base.fvecs --queries q.npy --metric cosine --levels 1 --dense f32 \
                --lists 8 --limit 10 --sweep probes=1,8 --rounds 1 --collection c --json";
    let evaluation = desk.json(line);
    let build = &evaluation["build"];
    for key in [
        "import_seconds",
        "index_seconds",
        "rows",
        "dims",
        "segments",
        "resident_bytes_per_vector",
        "disk_bytes",
        "rss_bytes",
        "reused",
    ] {
        assert!(keys(build).contains(&key), "{key}: {build}");
    }
    assert_eq!([&build["rows"], &build["dims"], &build["segments"]], [400, DIMS as u64, 1]);
    assert!(build["import_seconds"].as_f64().unwrap() > 0.0);
    assert!(build["resident_bytes_per_vector"].as_f64().unwrap() >= 16.0);
    assert_eq!(build["reused"], false);
    let point = &evaluation["points"][1];
    assert_eq!((&point["knob"], &point["value"]), (&"probes".into(), &8.into()));
    assert!(point["target_recall"].is_null() && point["qps_all"].is_null());
    for key in ["qps_1", "p50_us", "p99_us", "codes", "rows_read", "bytes_read"] {
        assert!(point[key].as_f64().unwrap() > 0.0, "{key}: {point}");
    }
    assert!(point["lists"].is_number());
    assert!(point["recall_at_1"].as_f64().unwrap() <= 1.0);
    // All lists were probed, and bounds did the rest.
    assert!(point["recall_at_10"].as_f64().unwrap() >= 0.95, "{point}");
    assert!(point.get("recall_at_100").is_none());

    let again = desk.json(line);
    assert_eq!(again["build"]["reused"], true);
    assert!(again["build"]["import_seconds"].is_null());
    assert_eq!(recalls(&again), recalls(&evaluation));
}

#[test]
fn formats_agree() {
    let desk = desk();
    let flags = "--metric dot --limit 100 --sweep target=0.9,1 --rounds 1 --json";
    let vecs = desk.json(&format!("eval --vectors base.fvecs --queries q.fvecs {flags}"));
    let npy = desk.json(&format!("eval --vectors base.npy --queries q.npy {flags}"));
    assert_eq!(recalls(&vecs), recalls(&npy));
    assert!(vecs["points"][1]["recall_at_100"].as_f64().unwrap() > 0.9, "{vecs}");
}

#[test]
fn bytes_are_vectors_too() {
    let desk = Desk::new();
    let row = |row: u8| [row, 255 - row, row.wrapping_mul(37), 9];
    desk.write("base.bvecs", bvecs(&(0..200).map(row).collect::<Vec<_>>()));
    desk.write("q.bvecs", bvecs(&[row(3), row(77)]));
    desk.write("truth.ivecs", ivecs(&[[3], [77]]));
    let evaluation = desk.json(
        "eval --vectors base.bvecs --queries q.bvecs --truth truth.ivecs --metric l2 --limit 1 \
         --sweep target=1 --rounds 1 --json",
    );
    assert_eq!(evaluation["metric"], "l2");
    assert_eq!(evaluation["points"][0]["recall_at_1"], 1.0);
    assert!(evaluation["points"][0].get("recall_at_10").is_none());
}

#[test]
fn one_hdf5_file_is_a_whole_set() {
    let desk = Desk::new();
    for name in ["contiguous.hdf5", "chunked.hdf5", "latest.hdf5", "big_endian.hdf5"] {
        let line = format!("eval --vectors {} --sweep target=1 --rounds 1 --json", data(name));
        let evaluation = desk.json(&line);
        assert_eq!((&evaluation["metric"], &evaluation["query_count"]), (&"l2".into(), &5.into()));
        assert!(recalls(&evaluation)[0] >= 0.9, "{name}: {evaluation}");
    }
    desk.succeed(&format!("build {} --collection set --metric l2", data("chunked.hdf5")));
    assert!(desk.succeed("inspect").contains("6 dims, l2"));
}

#[test]
fn what_is_as_near_as_the_truth_is_right() {
    let desk = desk();
    // Row 0 is not the nearest to twenty queries: whatever is nearer than it counts as well.
    desk.write("truth.ivecs", ivecs(&[[0]; 20]));
    let line = "eval --vectors base.fvecs --queries q.fvecs --truth truth.ivecs --limit 1 \
                --sweep target=1 --rounds 1 --json";
    assert_eq!(recalls(&desk.json(line)), [1.0]);
    // Rows that look for themselves: only they are as near as they are.
    desk.write("q.fvecs", fvecs(&noise::<DIMS>(400, 1)[..20]));
    let own: Vec<[i32; 1]> = (0..20).map(|row| [row]).collect();
    desk.write("truth.ivecs", ivecs(&own));
    assert_eq!(recalls(&desk.json(line)), [1.0]);
}

#[test]
fn codes_alone_can_be_measured() {
    let desk = desk();
    let line = "eval --vectors base.fvecs --queries q.fvecs --levels 1 --codes-only --rounds 1 \
                --sweep target=1 --json";
    let evaluation = desk.json(line);
    assert_eq!((&evaluation["codes_only"], &evaluation["levels"]), (&true.into(), &1.into()));
    assert!((0.0..=1.0).contains(&recalls(&evaluation)[0]));
}

#[test]
fn a_table_and_a_picture_come_for_people() {
    let desk = desk();
    let out = desk.succeed(
        "eval --vectors base.npy --queries q.npy --sweep target=0.5,0.9 --rounds 2 --threads-all \
         --dense f16 --oversampling 3 --payload --plot curve.svg",
    );
    for text in ["400 of 24 dims, cosine", "recall@10", "queries/s", "2 rounds", "without mapped"] {
        assert!(out.contains(text), "{text}: {out}");
    }
    let svg = fs::read_to_string(desk.path("curve.svg")).unwrap();
    assert!(svg.contains("recall@10") && svg.matches("<circle").count() == 4, "{svg}");
}

#[test]
fn computed_truth_is_kept_beside_the_data() {
    let desk = desk();
    let line = "eval --vectors base.npy --queries q.npy --collection c --sweep target=1 --rounds 1";
    desk.succeed(line);
    let kept = || fs::read_dir(desk.path("data.truth")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(kept().count(), 1);
    let path = kept().next().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 20 * 4 * 101);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    desk.succeed(line);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    // A truth that was cut off is computed again.
    fs::write(&path, [1, 2]).unwrap();
    desk.succeed(line);
    assert_eq!(fs::metadata(&path).unwrap().len(), 20 * 4 * 101);
    desk.succeed(&format!("{line} --metric cosine"));
    assert_eq!(kept().count(), 1);
}

#[test]
fn a_collection_of_something_else_is_not_used() {
    let desk = desk();
    desk.write("other.npy", npy(&noise::<DIMS>(400, 9)));
    desk.write("fewer.npy", npy(&noise::<DIMS>(300, 1)));
    let line = "eval --queries q.npy --collection c --sweep target=1 --rounds 1";
    desk.succeed(&format!("{line} --vectors base.npy"));
    for (flags, code, expected) in [
        ("--vectors base.npy --levels 1", 2, "has levels 2, levels 1 was asked for"),
        ("--vectors base.npy --metric l2", 2, "has metric cosine, metric l2"),
        ("--vectors base.npy --dense i8", 2, "has dense f32, dense i8"),
        ("--vectors base.npy --lists 5", 2, "has lists default, lists 5"),
        ("--vectors fewer.npy", 1, "holds 400 points, the base has 300 rows"),
        ("--vectors other.npy", 1, "holds another vector than row 0 of other.npy"),
    ] {
        let error = desk.fail(&format!("{line} {flags}"), code);
        assert!(error.contains(expected), "{flags}: {error}");
    }
}

#[test]
fn refusals_name_the_file_and_what_is_wrong() {
    let desk = desk();
    desk.write("in.jsonl", "{}").write("empty.fvecs", "").write("cut.fvecs", [4, 0, 0]);
    desk.write("cut.npy", "\u{93}NUMPY").write("narrow.npy", npy(&[[1.0, 2.0]]));
    desk.write("zero.npy", npy(&[[0.0; DIMS]]));
    desk.write("few.ivecs", ivecs(&[[1; 10]; 3])).write("short.ivecs", ivecs(&[[1]; 20]));
    desk.write("far.ivecs", ivecs(&[[400; 10]; 20])).write("minus.ivecs", ivecs(&[[-1; 10]; 20]));
    desk.write("fake.hdf5", "not one");
    let queries = "--vectors base.npy --queries q.npy";
    for (flags, code, expected) in [
        ("--vectors none.npy --queries q.npy", 1, "none.npy: No such file"),
        ("--vectors in.jsonl --queries q.npy", 1, "in.jsonl: expected vectors: .fvecs"),
        ("--vectors notes.txt --queries q.npy", 1, "notes.txt: unknown format"),
        ("--vectors empty.fvecs --queries q.npy", 1, "empty.fvecs: holds no rows"),
        ("--vectors cut.fvecs --queries q.npy", 1, "cut.fvecs: file has 3 bytes"),
        ("--vectors cut.npy --queries q.npy", 1, "cut.npy: bad .npy header"),
        ("--vectors fake.hdf5", 1, "fake.hdf5: bad HDF5"),
        ("--vectors base.npy", 2, "pass --queries FILE"),
        ("--vectors base.npy --queries narrow.npy", 2, "the base has 24, narrow.npy has 2"),
        ("--vectors base.npy --queries zero.npy", 1, "query 0: "),
        ("--vectors zero.npy --queries q.npy", 1, "zero.npy row 0: zero vector under cosine"),
        (&format!("{queries} --truth few.ivecs"), 1, "the truth is of 3 queries, there are 20"),
        (
            &format!("{queries} --truth short.ivecs"),
            2,
            "has 1 neighbour for each query, the limit needs 10",
        ),
        (&format!("{queries} --truth far.ivecs"), 1, "names row 400, the base has 400 rows"),
        (&format!("{queries} --truth minus.ivecs"), 1, "-1 is no row number"),
        (&format!("{queries} --limit 0"), 2, "limit out of range"),
        (&format!("{queries} --sweep target=2"), 2, ""),
    ] {
        let error = desk.fail(&format!("eval {flags}"), code);
        assert!(error.contains(expected), "{flags}: {error}");
    }
    // What failed left no half of a collection behind.
    desk.fail("eval --vectors zero.npy --queries q.npy --collection c", 1);
    assert!(desk.succeed("inspect").contains("holds no collection"));
}

#[test]
fn filtered_searches_are_measured_beside_exact_ones() {
    let desk = desk();
    let line = "eval --vectors base.fvecs --queries q.npy --filters --rounds 1 --limit 5";
    let evaluation = desk.json(&format!("{line} --json"));
    let points = evaluation["points"].as_array().unwrap();
    let shares: Vec<f64> = points.iter().map(|point| point["share"].as_f64().unwrap()).collect();
    assert_eq!(shares, [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]);
    let matching: Vec<u64> =
        points.iter().map(|point| point["matching"].as_u64().unwrap()).collect();
    assert!((150..250).contains(&matching[0]) && matching.is_sorted_by(|a, b| a >= b));
    // So few rows are all scored.
    assert!(recalls(&evaluation).iter().all(|recall| *recall == 1.0), "{evaluation}");
    assert!(points[0]["plan"].as_str().unwrap().contains("scored exactly"), "{}", points[0]);
}

/// Rows 0 to 199 match; the truth of queries 4 and 9 is what `truth` names.
fn cases(desk: &Desk, matching: u64, truth: &[[i32; 2]]) {
    let numbers: Vec<[f32; 1]> = (0..400).map(|row| [row as f32]).collect();
    desk.write("numbers.npy", npy(&numbers)).write("half.ivecs", ivecs(truth));
    let case = serde_json::json!({
        "kind": "near", "share": 0.5, "matching": matching, "queries": [4, 9],
        "filter": {"field": "c", "lt": 200}, "truth": "half.ivecs",
    });
    let file = serde_json::json!({"numbers": "numbers.npy", "fields": ["c"], "cases": [case]});
    desk.write("cases.json", file.to_string());
}

#[test]
fn filter_cases_of_a_file_are_judged_by_its_truth() {
    let desk = desk();
    let line = "eval --vectors base.npy --queries q.npy --filters --filter-cases cases.json \
                --limit 2 --rounds 1 --sweep target=0.9,1 --json";
    let (base, queries) = (noise::<DIMS>(400, 1), noise::<DIMS>(20, 2));
    let nearest = |query: usize| -> [i32; 2] {
        let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
        let cosine = |row: usize| {
            let dot: f32 = base[row].iter().zip(&queries[query]).map(|(a, b)| a * b).sum();
            dot / length(&base[row])
        };
        let mut rows: Vec<usize> = (0..200).collect();
        rows.sort_by(|&a, &b| cosine(b).total_cmp(&cosine(a)));
        [rows[0] as i32, rows[1] as i32]
    };
    cases(&desk, 200, &[nearest(4), nearest(9)]);
    let evaluation = desk.json(line);
    assert_eq!(recalls(&evaluation), [1.0, 1.0], "{evaluation}");
    let point = &evaluation["points"][1];
    assert_eq!((&point["kind"], &point["matching"]), (&"near".into(), &200.into()));
    assert_eq!((&point["knob"], point["value"].as_f64()), (&"target".into(), Some(1.0)));
    assert!(evaluation["build"]["disk_bytes"].as_u64().unwrap() > 0);

    // Whatever the nearest rows are, rows that are nearer than the "truth" count too, and only they.
    cases(&desk, 200, &[nearest(9), nearest(9)]);
    assert!(recalls(&desk.json(line))[1] >= 0.5);
    cases(&desk, 201, &[nearest(4), nearest(9)]);
    let error = desk.fail(line, 1);
    assert!(error.contains("200 rows match") && error.contains("expected 201"), "{error}");
    cases(&desk, 200, &[nearest(4)]);
    let error = desk.fail(line, 1);
    assert!(error.contains("case near 0.5") && error.contains("truth is of 1 queries"), "{error}");
    desk.write("cases.json", "{}");
    assert!(desk.fail(line, 1).contains("missing field `numbers`"));
}

#[test]
fn a_server_is_measured_beside_the_library() {
    let desk = desk();
    let flags = "eval --vectors base.npy --queries q.npy --rounds 2 --over-service";
    let evaluation = desk.json(&format!("{flags} --json"));
    assert_eq!(keys(&evaluation["requests"]), keys(&evaluation["calls"]));
    let searches = |way: &str| evaluation[way]["searches"].as_u64().unwrap();
    assert!(searches("requests") > 0);
    assert_eq!(searches("requests"), searches("calls"));
    assert!(evaluation["requests"]["points_per_second"].as_f64().unwrap() > 0.0);
    let table = desk.succeed(flags);
    assert!(table.contains("requests over gRPC"), "{table}");
}
