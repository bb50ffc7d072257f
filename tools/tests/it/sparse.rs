//! Sparse vectors, from the command line.

use serde_json::Value;

use crate::desk::Desk;

const ROWS: &str = r#"{"id": "a", "text": "wings", "n": 1, "vectors": {"splade": {"indices": [7, 1996], "values": [0.5, 2]}}}
{"id": "b", "text": "heat in slabs", "n": 2, "vectors": {"splade": {"indices": [1996], "values": [1.5]}}}
{"id": "c", "text": "nothing", "n": 3, "vectors": {"splade": {"indices": [], "values": []}}}
{"id": "d", "text": "cold", "n": 4, "vectors": {"splade": {"indices": [40], "values": [-1]}}}
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("rows.jsonl", ROWS);
    desk
}

fn scored(found: &Value) -> Vec<(&str, f64)> {
    let points = found["points"].as_array().unwrap();
    let scored = |point: &'_ Value| point["score"].as_f64().unwrap();
    points.iter().map(|point| (point["id"].as_str().unwrap(), scored(point))).collect()
}

#[test]
fn sparse_vectors_are_built_searched_and_inspected_without_a_model() {
    let desk = desk();
    desk.succeed("build rows.jsonl -c rows --bm25 text:en");
    let query = r#"{"indices":[1996,7],"values":[1,1]}"#;
    let found = desk.json(&format!("search --sparse {query} --json"));
    assert_eq!(scored(&found), [("a", 2.5), ("b", 1.5)]);
    let filter = r#"{"field":"n","gt":1}"#;
    let line = format!("search --sparse {query} --sparse-field splade --filter {filter} --json");
    assert_eq!(scored(&desk.json(&line)), [("b", 1.5)]);
    let out = desk.succeed(&format!("search --sparse {query} --explain"));
    assert!(out.contains("exact dot products of 2 dimensions in splade"), "{out}");
    assert!(out.contains("3 components added up"), "{out}");
    let none = desk.succeed(r#"search --sparse {"indices":[3],"values":[1]}"#);
    assert!(none.contains("no point of \"rows\" matches"), "{none}");

    let line = format!("search heat --sparse {query} --hybrid rrf --sparse-weight 0.5");
    let found = desk.json(&format!("{line} --text-weight 0.5 --json"));
    assert_eq!(scored(&found)[0].0, "b");

    let out = desk.succeed("inspect");
    for expected in ["sparse vectors", "sparse field", "splade", "sparse.splade"] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let inspected = desk.json("inspect --json");
    let sparse = &inspected["collections"][0]["sparse"][0];
    assert_eq!((&sparse["vectors"], &sparse["components"]), (&3.into(), &4.into()));

    let again = desk.json("build rows.jsonl -c rows --json");
    assert_eq!(again["report"]["unchanged"], 4);
    desk.succeed("build rows.jsonl -c rows --sparse other:idf");
    assert!(desk.succeed("inspect").contains("splade, other:idf"));
    let error = desk.fail("build rows.jsonl -c rows --sparse splade:idf", 2);
    assert!(error.contains("\"splade\" has modifier none, idf was asked for"), "{error}");
}

#[test]
fn a_rare_dimension_counts_more_where_the_field_says_so() {
    let desk = desk();
    desk.succeed("build rows.jsonl -c rows --sparse splade:idf");
    let query = r#"{"indices":[1996,40],"values":[1,-1]}"#;
    let found = desk.json(&format!("search --sparse {query} --json --explain"));
    let idf = |with: f64| (1.0 + (3.0 - with + 0.5) / (with + 0.5)).ln();
    let expected = [("d", idf(1.0)), ("a", 2.0 * idf(2.0)), ("b", 1.5 * idf(2.0))];
    for ((id, score), (expected_id, expected)) in scored(&found).into_iter().zip(expected) {
        assert!(id == expected_id && (score - expected).abs() < 1e-6, "{found}");
    }
    assert!(found["plan"]["method"].as_str().unwrap().contains("weighed by idf"), "{found}");
}

#[test]
fn what_an_export_of_sparse_vectors_says_comes_back() {
    let desk = desk();
    desk.succeed("build rows.jsonl -c rows");
    for name in ["points.jsonl", "points.parquet"] {
        desk.succeed(&format!("export rows --to {name}"));
        let collection = name.replace('.', "-");
        let report = desk.json(&format!("import {name} --collection {collection} --json"));
        assert_eq!(report["points"], 4);
        let out = desk.succeed(&format!("export {collection} --to {collection}.jsonl"));
        assert!(out.contains('4'), "{out}");
    }
    let text = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(text("points.jsonl"), text("points-jsonl.jsonl"));
    assert_eq!(text("points.jsonl"), text("points-parquet.jsonl"));
    let first = r#"{"id":"a","vectors":{"splade":{"indices":[7,1996],"values":[0.5,2.0]}},"payload":{"n":1,"text":"wings"}}"#;
    assert_eq!(text("points.jsonl").lines().next().unwrap(), first);
}

#[test]
fn what_is_no_sparse_query_or_row_is_refused() {
    let desk = desk();
    desk.succeed("build rows.jsonl -c rows --bm25 text:en");
    for (line, expected) in [
        (r#"search --sparse {"indices":[1,1],"values":[1,2]}"#, "dimension 1 twice"),
        (r#"search --sparse {"indices":[1]}"#, "missing field"),
        (r#"search a --sparse {"indices":[1],"values":[1]} --words-only"#, "cannot be used"),
        (r#"search --sparse {"indices":[1],"values":[1]} --hybrid rrf"#, "--sparse-weight W"),
        (
            r#"search --sparse {"indices":[1],"values":[1]} --hybrid rrf --sparse-weight 0.7 --text-weight 0.4"#,
            "add up to 1.1",
        ),
        ("search", "required"),
        ("build rows.jsonl --sparse more:tf", "unknown modifier \"tf\": expected idf"),
    ] {
        let output = desk.run(line);
        let (_, error) = crate::desk::texts(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {error}");
        assert!(error.contains(expected), "{line}: {error}");
    }
    let bad = r#"{"id": "e", "vectors": {"splade": {"indices": [1], "values": [1, 2]}}}"#;
    desk.write("bad.jsonl", bad);
    let error = desk.fail("build bad.jsonl -c rows", 1);
    assert!(error.contains("bad.jsonl line 1: field \"vectors.splade\""), "{error}");
    desk.write("bad.jsonl", r#"{"id": "e", "vector": [1, 2]}"#);
    let error = desk.fail("build bad.jsonl -c rows", 1);
    assert!(error.contains("no dense fields"), "{error}");
    let error = desk.fail("tune -c rows", 1);
    assert!(error.contains("no dense fields"), "{error}");
}

/// Twelve points and as many judged queries. Words tell the first half of the points apart, the sparse field
/// the second half.
fn judged_desk() -> Desk {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("judged")).unwrap();
    let (mut rows, mut queries, mut qrels) = (String::new(), String::new(), String::new());
    for n in 0..12 {
        let (word, dimension) = if n < 6 { (format!("w{n}"), 1) } else { ("same".into(), n) };
        let vector = format!(r#"{{"indices": [{dimension}, 99], "values": [2, 1]}}"#);
        rows +=
            &format!(r#"{{"id": "d{n}", "text": "{word}", "vectors": {{"splade": {vector}}}}}"#);
        queries += &format!(r#"{{"_id": "q{n}", "text": "{word}", "sparse": {vector}}}"#);
        qrels += &format!("q{n}\td{n}\t1");
        for text in [&mut rows, &mut queries, &mut qrels] {
            text.push('\n');
        }
    }
    desk.write("rows.jsonl", rows).write("judged/queries.jsonl", queries);
    desk.write("judged/qrels.tsv", qrels);
    desk.succeed("build rows.jsonl -c rows --bm25 text:en");
    desk
}

#[test]
fn words_and_a_sparse_field_are_fused_by_what_was_fitted() {
    let desk = judged_desk();
    let search = r#"search w3 --sparse {"indices":[1,99],"values":[2,1]} --json"#;
    let refused = desk.fail(&format!("{search} --hybrid fitted"), 1);
    assert!(refused.contains("no fusion was fitted"), "{refused}");
    let tuned = desk.json("tune --hybrid --judged judged --folds 3 --json");
    let (fit, fitting) = (&tuned["fit"], &tuned["fitting"]);
    assert_eq!(fit["vector"]["field"], "splade");
    let figure = |row: &str| fitting[row]["ndcg_10"].as_f64().unwrap();
    assert!(figure("fused") > figure("vector").max(figure("text")) + 0.1, "{fitting}");
    let weight = |part: &str| fit[part]["weight"].as_f64().unwrap();
    assert!(weight("vector") > 0.0 && weight("text") > 0.0, "{fit}");
    let fitted = desk.json(&format!("{search} --hybrid fitted"));
    assert_eq!(scored(&fitted)[0].0, "d3");
    let fusion = fit["fusion"].as_str().unwrap();
    let (vector, text) = (weight("vector"), weight("text"));
    let stated = format!("--hybrid {fusion} --sparse-weight {vector} --text-weight {text}");
    assert_eq!(fitted["points"], desk.json(&format!("{search} {stated}"))["points"]);
    let out = desk.succeed("tune --hybrid --judged judged --field splade --folds 3 --name two");
    assert!(out.contains("12 queries of judged, 3 folds"), "{out}");
    assert_eq!(desk.json(&format!("{search} --hybrid fitted(two)"))["points"], fitted["points"]);
}

#[test]
fn a_fit_of_a_sparse_field_needs_queries_with_vectors() {
    let desk = judged_desk();
    let error = desk.fail("tune --hybrid --pseudo sentence", 2);
    assert!(error.contains("\"splade\" is sparse") && error.contains("--judged DIR"), "{error}");
    let error = desk.fail("tune --hybrid --judged judged --model none", 2);
    assert!(error.contains("without --model"), "{error}");
    let error = desk.fail("tune --hybrid --judged judged --field other", 1);
    assert!(error.contains("other"), "{error}");
    let bare: String =
        (0..12).map(|n| format!("{{\"_id\": \"q{n}\", \"text\": \"a\"}}\n")).collect();
    desk.write("judged/queries.jsonl", bare);
    let error = desk.fail("tune --hybrid --judged judged", 1);
    assert!(error.contains("query \"a\" has no vector for sparse field \"splade\""), "{error}");
}
