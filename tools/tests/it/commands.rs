//! Building, inspecting, searching, serving.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;

use crate::desk::{Desk, fvecs, model_folder, npy, texts};

fn vectors(rows: usize) -> String {
    let line = |row: usize| {
        let angle = row as f64 * 0.1;
        format!(
            "{{\"id\": \"r{row}\", \"vector\": [{}, {}, 0.5], \"row\": {row}}}\n",
            angle.sin(),
            angle.cos()
        )
    };
    (0..rows).map(line).collect()
}

fn points(desk: &Desk, collection: &str) -> u64 {
    let inspected = desk.json(&format!("inspect --json --collection {collection}"));
    inspected["collections"][0]["footprint"]["points"].as_u64().unwrap()
}

#[test]
fn vectors_from_json_lines_become_a_collection_that_inspect_shows() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(50));
    let built = desk.json("build in.jsonl --collection rows --levels 1 --json");
    assert_eq!(built["report"]["inserted"], 50);
    assert_eq!(built["footprint"]["raw_bytes"], 50 * 12);
    let shown = desk.succeed("inspect");
    assert!(shown.contains("3 dims, cosine, 1-bit codes"), "{shown}");
    assert_eq!(points(&desk, "rows"), 50);
}

#[test]
fn a_shape_that_is_asked_for_is_the_shape_that_is_made() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(9));
    desk.succeed("build in.jsonl --collection rows --dense f16 --lists 3");
    let config = &desk.json("inspect --json")["collections"][0]["config"]["fields"][0];
    assert_eq!((&config["dense"], &config["lists"]), (&"f16".into(), &3.into()));
    let shown = desk.succeed("inspect");
    assert!(shown.contains("f16"), "{shown}");
    let error = desk.fail("build in.jsonl --collection more --lists 0", 1);
    assert!(error.contains("lists out of range"), "{error}");
}

#[test]
fn a_quarantined_collection_is_shown_and_is_a_failure() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(9));
    desk.succeed("build in.jsonl --collection rows");
    let collections = desk.path("data/collections");
    let collection = fs::read_dir(collections).unwrap().next().unwrap().unwrap().path();
    let segment = fs::read_dir(collection).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(segment.join("ids")).unwrap();
    let error = desk.fail("inspect", 1);
    assert_eq!(error, "error: 1 collection is quarantined");
    let output = desk.run("inspect --json");
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).0.contains(r#""state":"quarantined""#));
}

#[test]
fn building_again_passes_over_what_is_stored() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(30));
    desk.succeed("build in.jsonl --collection rows");
    desk.write("in.jsonl", vectors(40).replace("\"row\": 7}", "\"row\": 700}"));
    let built = desk.json("build in.jsonl --collection rows --json");
    let report = &built["report"];
    let counts = [&report["inserted"], &report["updated"], &report["unchanged"]];
    assert_eq!(counts.map(|count| count.as_u64().unwrap()), [10, 1, 29]);
    let rewritten = desk.json("build in.jsonl --collection rows --rewrite --json");
    assert_eq!(rewritten["report"]["updated"], 40);
    assert_eq!(points(&desk, "rows"), 40);
}

#[test]
fn matrices_get_counted_ids() {
    let desk = Desk::new();
    desk.write("a.npy", npy(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]));
    desk.write("b.fvecs", fvecs(&[[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]));
    desk.succeed("build a.npy --collection rows --metric l2");
    let built = desk.json("build b.fvecs --collection rows --first-id 1 --json");
    assert_eq!((&built["report"]["inserted"], &built["report"]["updated"]), (&1.into(), &1.into()));
    assert_eq!(points(&desk, "rows"), 3);
}

#[test]
fn a_bad_line_stops_the_build_with_its_place_and_keeps_the_rows_before_it() {
    let desk = Desk::new();
    let text = vectors(20) + "{\"id\": 1, \"vector\": [1, 2]}\n" + &vectors(25);
    desk.write("in.jsonl", text);
    let error = desk.fail("build in.jsonl --collection rows", 1);
    assert!(error.contains("in.jsonl line 21: dimension mismatch"), "{error}");
    assert!(error.contains("20 rows of this run are stored;"), "{error}");
    assert_eq!(points(&desk, "rows"), 20);
    let output = desk.run("build in.jsonl --collection rows --skip-bad");
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{err}");
    assert!(out.contains("1 bad") && out.contains("skipped in.jsonl line 21"), "{out}");
    assert_eq!(points(&desk, "rows"), 25);
}

#[test]
fn refused_input_is_one_line_that_names_it() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(3)).write("empty.jsonl", "\n\n").write("notes.txt", "x");
    desk.write("short.npy", &npy(&[[1.0; 3]; 4])[..100]);
    desk.write("zero.jsonl", "{\"id\": 1, \"vector\": [0, 0, 0]}");
    desk.write("text.jsonl", "{\"id\": 1, \"text\": \"words\"}");
    for (line, code, expected) in [
        ("build none.jsonl -c rows", 1, "none.jsonl: No such file"),
        ("build empty.jsonl -c rows", 1, "empty.jsonl holds no rows"),
        ("build notes.txt -c rows", 1, "notes.txt: unknown format"),
        ("build notes.txt -c rows --format jsonl", 1, "notes.txt line 1: not a JSON object"),
        ("build short.npy -c rows", 1, "short.npy: file has 100 bytes"),
        ("build zero.jsonl -c zeros", 1, "zero.jsonl line 1: zero vector under cosine"),
        ("build text.jsonl -c rows", 1, "no model: pass --model DIR"),
        ("build in.jsonl -c .hidden", 1, ".hidden"),
        ("build in.jsonl", 2, ""),
    ] {
        let error = desk.fail(line, code);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn flags_must_fit_the_collection_that_is_there() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(3));
    desk.succeed("build in.jsonl --collection rows --metric dot");
    let error = desk.fail("build in.jsonl --collection rows --metric l2", 2);
    assert!(error.contains("has metric dot, metric l2 was asked for"), "{error}");
    let error = desk.fail("build in.jsonl --collection rows --levels 4", 2);
    assert!(error.contains("has levels 2"), "{error}");
    let error = desk.fail("build in.jsonl --collection rows --dense i8", 2);
    assert!(error.contains("has dense f32, dense i8 was asked for"), "{error}");
    let error = desk.fail("build in.jsonl --collection rows --lists 7", 2);
    assert!(error.contains("has lists default, lists 7 was asked for"), "{error}");
}

#[test]
fn lines_with_vectors_of_several_fields_make_a_collection_of_them() {
    let desk = Desk::new();
    let line = |id: u64| {
        let image = if id.is_multiple_of(2) { "null".to_owned() } else { format!("[{id}, 1]") };
        format!("{{\"id\": {id}, \"vectors\": {{\"text\": [1, {id}, 2], \"image\": {image}}}}}\n")
    };
    desk.write("in.jsonl", (1..9).map(line).collect::<String>());
    let build =
        "build in.jsonl -c rows --levels 1 --field text,metric=l2 --field sound,dims=4 --json";
    assert_eq!(desk.json(build)["report"]["inserted"], 8);
    let report = desk.json(build);
    assert_eq!((&report["report"]["unchanged"], &report["report"]["rows"]), (&8.into(), &8.into()));

    let shown = &desk.json("inspect --json")["collections"][0];
    let fields = shown["config"]["fields"].as_array().unwrap();
    let shape = |field: &serde_json::Value| {
        format!("{} {} {} {}", field["name"], field["dims"], field["metric"], field["levels"])
    };
    let shapes: Vec<String> = fields.iter().map(shape).collect();
    assert_eq!(
        shapes,
        ["\"text\" 3 \"l2\" 1", "\"sound\" 4 \"cosine\" 1", "\"image\" 2 \"cosine\" 1"]
    );
    let vectors = |at: usize| shown["fields"][at]["vectors"].as_u64().unwrap();
    assert_eq!([vectors(0), vectors(1), vectors(2)], [8, 0, 4]);
    let table = desk.succeed("inspect");
    assert!(table.contains("order.image") && table.contains("2 dims, cosine"), "{table}");

    let error = desk.fail("build in.jsonl -c rows --field image,dims=3", 2);
    assert!(error.contains("field \"image\" has dims 2, dims 3 was asked for"), "{error}");
    desk.write("more.jsonl", "{\"id\": 9, \"vectors\": {\"smell\": [1]}}");
    let error = desk.fail("build more.jsonl -c rows", 1);
    assert!(error.contains("line 1: no such field \"smell\""), "{error}");
    desk.succeed("build more.jsonl -c rows --field smell,metric=dot");
    assert_eq!(points(&desk, "rows"), 9);
    let error = desk.fail("search words --field taste --model none", 1);
    assert!(error.contains("no such field \"taste\""), "{error}");
}

#[test]
fn searches_and_inspections_of_nothing_say_so() {
    let desk = Desk::new();
    assert!(desk.fail("search words", 1).contains("no data folder"), "search");
    assert!(desk.fail("inspect", 1).contains("no data folder"), "inspect");
    assert!(!desk.path("data").try_exists().unwrap());
    desk.write("in.jsonl", vectors(3));
    desk.succeed("build in.jsonl --collection a");
    assert!(desk.fail("search words", 1).contains("collection \"a\" names no model"));
    desk.succeed("build in.jsonl --collection b");
    assert!(desk.fail("search words", 2).contains("--collection: a, b"));
    assert!(desk.fail("search words --limit 0", 2).contains("limit out of range"));
    assert!(desk.fail("search words --oversampling 0.5", 2).contains("oversampling out of range"));
    assert!(desk.fail("search words --recall 0", 2).contains("target recall out of range"));
    assert!(desk.fail("search words --probes 0", 2).contains("probes out of range"));
    assert!(desk.fail("search words -c none", 1).contains("none"));
    assert!(desk.fail("inspect -c none", 1).contains("unknown collection \"none\""));
}

#[test]
fn a_model_folder_that_is_none_is_named() {
    let desk = Desk::new();
    desk.write("text.jsonl", "{\"id\": 1, \"text\": \"words\"}");
    fs::create_dir(desk.path("model")).unwrap();
    for line in [
        "build text.jsonl -c rows --model model",
        "encode words --model model",
        "demo --sources . --model model",
    ] {
        let error = desk.fail(line, 1);
        assert!(error.contains("open model ") && error.contains("model"), "{line}: {error}");
    }
    let error = desk.fail("encode words --model none", 1);
    let expected = "open model none (expected a sentence-transformers folder): No such file";
    assert!(error.contains(expected), "{error}");
    assert!(desk.fail("encode", 2).contains("nothing to encode"));
    assert!(desk.fail("eval --corpus none", 1).contains("no qrels.tsv"));
}

#[test]
fn a_real_model_answers_from_the_index() {
    let Some(model) = model_folder() else { return };
    let desk = Desk::new();
    desk.write(
        "in.jsonl",
        concat!(
            "{\"id\": \"tea\", \"text\": \"Steep green tea at eighty degrees.\", \"page\": 1}\n",
            "{\"id\": \"bread\", \"title\": \"Bread\", \"text\": \"Knead the dough and let it rise.\"}\n",
            "{\"id\": \"bike\", \"text\": \"Oil the chain of a bicycle every month.\"}\n",
        ),
    );
    let model = model.display();
    desk.succeed(&format!("build in.jsonl --collection tips --model {model}"));
    let found = desk.json("search how-hot-should-water-for-tea-be --limit 2 --json --explain");
    assert_eq!(found["points"][0]["id"], "tea");
    assert_eq!(found["points"][0]["payload"]["page"], 1);
    assert_eq!(found["points"].as_array().unwrap().len(), 2);
    assert!(found["plan"].is_object() && found["stats"].is_object());
    let table = desk.succeed("search baking --limit 1 --exact");
    assert!(table.contains("bread") && table.contains("encode "), "{table}");
    for flags in ["--recall 1", "--probes 3", "--codes-only"] {
        let table = desk.succeed(&format!("search baking --limit 1 {flags}"));
        assert!(table.contains("bread") && table.contains(" codes scanned"), "{table}");
    }
    let again = desk.json(&format!("build in.jsonl --collection tips --model {model} --json"));
    assert_eq!(again["report"]["unchanged"], 3);
    let encoded = desk.json(&format!("encode words --model {model} --json"));
    assert_eq!(encoded["vector"].as_array().unwrap().len(), 384);
}

#[test]
fn a_server_listens_keeps_others_out_of_its_folder_and_stops_at_sigterm() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(3));
    desk.succeed("build in.jsonl --collection rows");
    let mut server = desk.command("serve --listen 127.0.0.1:0").spawn().unwrap();
    let mut first_line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut first_line).unwrap();
    assert!(first_line.starts_with("listening on 127.0.0.1:"), "{first_line}");
    let address = first_line.trim().rsplit_once(' ').unwrap().1;
    assert!(desk.succeed(&format!("health --listen {address}")).contains("is ready"));
    let error = desk.fail("inspect", 1);
    assert!(error.contains("in use by another process"), "{error}");
    let killed = Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
    let error = desk.fail(&format!("health --listen {address}"), 1);
    assert!(error.contains(address), "{error}");
    assert_eq!(points(&desk, "rows"), 3);
}

#[test]
fn a_server_is_not_opened_to_other_machines_by_accident() {
    let desk = Desk::new();
    let error = desk.fail("serve --listen 0.0.0.0:0", 2);
    assert!(error.contains("pass --allow-remote"), "{error}");
    desk.write("settings.toml", "allow_remote = false\nlisen = 1\n");
    let error = desk.fail("serve --config settings.toml", 1);
    assert!(error.contains("settings.toml line 2") && error.contains("lisen"), "{error}");
    let error = desk.fail("serve --set lisen=1", 1);
    assert!(error.contains("setting lisen: unknown field"), "{error}");
}

#[test]
fn points_are_paged_through_updated_and_deleted() {
    let desk = Desk::new();
    desk.write("in.jsonl", vectors(9));
    desk.succeed("build in.jsonl --collection rows");
    let page = desk.succeed("scroll --limit 4");
    let ids: Vec<serde_json::Value> =
        page.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!((&ids[1]["id"], &ids[1]["payload"]["row"]), (&"r1".into(), &1.into()));
    assert!(ids[1]["vectors"].is_null());
    let version = &ids[1]["version"];
    let updated = desk.succeed("update r1 r99 --merge {\"row\":7}");
    assert!(updated.starts_with("1 point updated, 1 missing"), "{updated}");
    let error = desk.fail(&format!("delete r1 --if-version {version}"), 1);
    assert!(error.contains("point r1: expected version"), "{error}");
    assert!(desk.succeed("scroll").contains("\"row\":7"));
    assert!(desk.succeed("delete r1 r2 r99").starts_with("2 points deleted"));
    assert_eq!(points(&desk, "rows"), 7);
    let compacted = desk.succeed("compact");
    assert!(compacted.contains("-> 1 segment, 0 rows deleted"), "{compacted}");
    assert_eq!(desk.succeed("scroll --vectors").lines().count(), 7);
}

#[test]
fn values_are_counted_points_ordered_and_recommended() {
    let desk = Desk::new();
    let line = |row: usize| {
        let (x, color) = (row as f64 / 10.0, ["red", "blue", "red"][row % 3]);
        let price = 10 * (row * 7 % 9);
        format!(
            "{{\"id\": {row}, \"vector\": [{x}, 1.0, 0.0], \"color\": \"{color}\", \"price\": {price}}}\n"
        )
    };
    desk.write("in.jsonl", (0..9).map(line).collect::<String>());
    desk.succeed("build in.jsonl --collection goods --metric l2");

    let facet = desk.json("facet color --json");
    assert_eq!(facet["values"][0], serde_json::json!({"value": "red", "count": 6}));
    assert_eq!((&facet["distinct"], &facet["points"]), (&2.into(), &9.into()));
    let shown = desk.succeed("facet color --filter {\"field\":\"price\",\"lt\":30}");
    assert!(shown.contains("in 3 points"), "{shown}");

    let ids = |shown: &str| -> Vec<u64> {
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        shown.lines().map(|text| line(text)["id"].as_u64().unwrap()).collect()
    };
    // Prices are 70 times the row, modulo 90.
    let shown = desk.succeed("scroll --order-by price --descending -n 4");
    assert_eq!(ids(&shown), [5, 1, 6, 2]);
    let red = "{\"field\":\"color\",\"eq\":\"red\"}";
    let shown = desk.succeed(&format!("scroll --order-by price --filter {red} -n 3"));
    assert_eq!(ids(&shown), [0, 8, 3]);
    assert_eq!(ids(&desk.succeed(&format!("scroll --filter {red} -n 3"))), [0, 2, 3]);

    let found = desk.json("recommend 4 --exact -n 2 --json");
    let points = found["points"].as_array().unwrap();
    let mut near: Vec<u64> = points.iter().map(|point| point["id"].as_u64().unwrap()).collect();
    near.sort_unstable();
    assert_eq!(near, [3, 5]);
    let found = desk.json("recommend 4 --unlike 5 --best-score -n 1 --json");
    assert_eq!(found["points"][0]["id"], 3);
    let found = desk.json("recommend 4 -n 2 --diversity 1 --json --explain");
    let far = &found["points"][1]["id"];
    assert!([0, 8].map(serde_json::Value::from).contains(far), "{found}");
    assert!(found["plan"]["method"].is_string(), "{found}");
    let none = desk.succeed("recommend 4 --filter {\"field\":\"price\",\"gt\":900} --explain");
    assert!(none.contains("no other point of \"goods\" matches"), "{none}");
    assert!(none.contains("0 match"), "{none}");
    let error = desk.fail("recommend 77", 1);
    assert!(error.contains("example 77 does not exist"), "{error}");
}

#[test]
fn multi_vectors_are_searched_by_files_lines_and_examples() {
    let desk = Desk::new();
    let line = |id: &str, tokens: &str| {
        format!("{{\"id\": \"{id}\", \"vectors\": {{\"tokens\": {tokens}}}}}\n")
    };
    let lines = [
        line("fox", "[[1, 0, 0], [0, 1, 0]]"),
        line("dog", "[[0, 0, 1], [0, 1, 0]]"),
        line("cat", "[[0, 0.1, 1], [0, 0.1, 1]]"),
    ];
    desk.write("in.jsonl", lines.concat());
    desk.succeed("build in.jsonl --collection animals");
    desk.write("query.json", "[[0, 0, 1], [0, 1, 0.1]]");
    desk.write("query.npy", npy(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]));
    let first = |found: &serde_json::Value| found["points"][0]["id"].clone();
    assert_eq!(first(&desk.json("search --multi query.json --json")), "dog");
    assert_eq!(first(&desk.json("search --multi query.npy --field tokens --json")), "fox");
    desk.write("lines.jsonl", "{\"multi\": [[0, 0, 1]], \"limit\": 1}\n");
    assert_eq!(first(&desk.json("search --batch lines.jsonl")), "dog");
    // Twins make room for another, and what is like one is its twin.
    let diverse = desk.json("search --multi query.json --diversity 0.9 --limit 2 --json");
    assert_eq!((first(&diverse), &diverse["points"][1]["id"]), ("dog".into(), &"fox".into()));
    assert_eq!(first(&desk.json("recommend cat --json")), "dog");
    let unlike = desk.json("recommend cat --unlike fox --best-score --json");
    assert_eq!(first(&unlike), "dog");

    let error = desk.fail("search words", 1);
    assert!(error.contains("names no model: pass --model DIR, or tokens with --multi"), "{error}");
    desk.write("flat.json", "[1, 2]");
    let error = desk.fail("search --multi flat.json", 1);
    assert!(error.contains("read the token matrix flat.json"), "{error}");
    desk.fail("search --multi query.json --hybrid rrf --text-weight 0.5", 2);
}

#[test]
fn texts_find_texts_token_by_token() {
    let Some(model) = model_folder() else { return };
    let (desk, model) = (Desk::new(), model.display());
    desk.write("texts.txt", "Steep green tea at eighty degrees.\nOil the chain of a bicycle.\n");
    let lines = desk.succeed(&format!("encode --file texts.txt --tokens --json --model {model}"));
    desk.write("in.jsonl", lines);
    desk.succeed("build in.jsonl --collection tips");
    let search = format!("search how-hot-is-water-for-tea --model {model} --json");
    let found = desk.json(&search);
    assert_eq!(found["points"][0]["payload"]["text"], "Steep green tea at eighty degrees.");
    assert_eq!(found["points"].as_array().unwrap().len(), 2);

    // Or at once, beside the vectors of whole texts; then the field knows its model.
    desk.write(
        "docs.jsonl",
        "{\"id\": \"tea\", \"text\": \"Steep green tea at eighty degrees.\"}\n",
    );
    let build =
        format!("build docs.jsonl --collection both --tokens tokens --model {model} --json");
    assert_eq!(desk.json(&build)["report"]["inserted"], 1);
    assert_eq!(desk.json(&build)["report"]["unchanged"], 1);
    let found = desk.json("search hot-tea --collection both --field tokens --json");
    assert_eq!(found["points"][0]["id"], "tea");
    assert_eq!(desk.json("search hot-tea --collection both --json")["points"][0]["id"], "tea");
}

#[test]
fn gpus_are_listed_or_what_is_missing_is_named() {
    let desk = Desk::new();
    let (text, report) = (desk.succeed("gpu info"), desk.json("gpu info --json"));
    let devices = report["devices"].as_array().unwrap();
    match report["missing"].as_str() {
        Some(missing) => assert!(devices.is_empty() && text.contains(missing), "{report}: {text}"),
        None => {
            assert!(!devices.is_empty(), "{report}");
            for device in devices {
                assert!(text.contains(device["device"].as_str().unwrap()), "{report}: {text}");
            }
        }
    }
}
