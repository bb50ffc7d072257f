//! Many points or many queries in one command: `delete`, `update`, `search --batch`, groups.

use serde_json::Value;

use crate::desk::{Desk, texts};

/// Forty points: row, color, vector, and a text with a word of each.
fn desk() -> Desk {
    let desk = Desk::new();
    let colors = ["red", "green", "blue", "grey"];
    let line = |row: usize| {
        let (angle, color) = (row as f64 * 0.1, colors[row % 4]);
        format!(
            "{{\"id\": {row}, \"vector\": [{}, {}], \"row\": {row}, \"color\": \"{color}\", \
             \"words\": \"word{row} {color} things\"}}\n",
            angle.cos(),
            angle.sin()
        )
    };
    desk.write("rows.jsonl", (0..40).map(line).collect::<String>());
    desk.succeed("build rows.jsonl -c rows --bm25 words:en");
    desk
}

fn answers(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(found: &Value) -> Vec<u64> {
    let points = found["points"].as_array().unwrap();
    points.iter().map(|point| point["id"].as_u64().unwrap()).collect()
}

#[test]
fn points_that_match_a_filter_are_counted_and_then_deleted() {
    let desk = desk();
    let red = r#"delete --filter {"field":"color","eq":"red"}"#;
    let out = desk.succeed(&format!("{red} --dry-run"));
    assert_eq!(out.trim(), "10 points of 40 would be deleted; nothing was changed");
    assert_eq!(desk.succeed(red).trim(), "10 points deleted, 30 left");
    assert_eq!(desk.succeed(red).trim(), "0 points deleted, 30 left");
    desk.fail("delete --filter {\"field\":5}", 2);
    let (_, error) = texts(&desk.run("delete"));
    assert!(error.contains("--ids <FILE>") && error.contains("--filter <JSON>"), "{error}");
}

#[test]
fn ids_of_a_file_are_deleted_and_those_that_are_gone_are_told() {
    let desk = desk();
    desk.write("ids.txt", "1\n2\n\n 77\n2\n");
    let out = desk.succeed("delete 3 --ids ids.txt --dry-run");
    assert_eq!(out.trim(), "3 points of 40 would be deleted; nothing was changed");
    assert_eq!(
        desk.succeed("delete 3 --ids ids.txt").trim(),
        "3 points deleted, 1 missing, 37 left"
    );
    assert!(desk.fail("delete --ids none.txt", 1).contains("read ids of none.txt"));
    desk.write("ids.txt", format!("4\n{}\n", "x".repeat(600)));
    let error = desk.fail("delete --ids ids.txt", 1);
    assert!(error.contains("ids.txt: line 2: point id has 600 bytes"), "{error}");
}

#[test]
fn payloads_of_what_matches_are_set_from_a_file() {
    let desk = desk();
    desk.write("payload.json", r#"{"color": "black", "checked": true}"#);
    let line = r#"update --filter {"field":"row","lt":5} --set payload.json"#;
    let out = desk.succeed(&format!("{line} --dry-run"));
    assert_eq!(out.trim(), "5 points of 40 would be updated; nothing was changed");
    assert!(desk.succeed("facet color").contains("red"));
    assert!(desk.succeed(line).starts_with("5 points updated, 0 missing"));
    let out = desk.json(r#"facet color --filter {"field":"checked","eq":true} --json"#);
    assert_eq!(out["values"][0]["value"], "black");
    assert_eq!(out["values"][0]["count"], 5);
    desk.write("ids.txt", "5\n99\n");
    let out = desk.succeed("update --ids ids.txt --remove color");
    assert!(out.starts_with("1 point updated, 1 missing"), "{out}");
    desk.write("payload.json", "[1]");
    assert!(desk.fail(line, 1).contains("read payload payload.json"));
}

#[test]
fn every_line_of_a_batch_is_answered_in_its_turn() {
    let desk = desk();
    desk.write(
        "queries.jsonl",
        r#"{"id": "a", "vector": [1, 0], "limit": 2}
{"_id": 7, "vector": [1, 0], "filter": {"field": "color", "eq": "blue"}, "metadata": {}}

{"vector": [1, 0, 0]}
{"vector": [1, 0], "limit": 0}
{"vector": [1, 0], "fliter": {}}
{"id": "none"}
"#,
    );
    let output = desk.run(r#"search --batch queries.jsonl -n 3 --filter {"field":"row","lt":20}"#);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("4 of 6 queries failed"), "{err}");
    let answers = answers(&out);
    let lines: Vec<u64> = answers.iter().map(|one| one["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 2, 4, 5, 6, 7]);
    assert_eq!((&answers[0]["id"], ids(&answers[0])), (&"a".into(), vec![0, 1]));
    assert_eq!((&answers[1]["id"], ids(&answers[1])), (&7.into(), vec![2, 6, 10]));
    assert!(answers[1]["stats"]["rows_read"].as_u64().unwrap() > 0);
    for (at, expected) in [
        (2, "dimension mismatch"),
        (3, "limit out of range"),
        (4, "unknown field `fliter`"),
        (5, "no text and no vector"),
    ] {
        let error = answers[at]["error"].as_str().unwrap();
        assert!(error.contains(expected), "{error}");
        assert!(answers[at].get("points").is_none());
    }
}

#[test]
fn a_batch_by_words_is_what_single_searches_are() {
    let desk = desk();
    desk.write("queries.jsonl", "{\"query\": \"blue things\"}\n{\"text\": \"word7\"}\n");
    let out = desk.succeed("search --batch queries.jsonl --words-only -n 4");
    for (answer, text) in answers(&out).iter().zip(["blue", "word7"]) {
        let alone = desk.json(&format!("search {text} --words-only -n 4 --json"));
        assert_eq!(ids(answer)[0], ids(&alone)[0], "{text}");
    }
    // A batch of vectors is fused with nothing it does not have.
    desk.write("queries.jsonl", "{\"vector\": [1, 0]}\n");
    let output = desk.run("search --batch queries.jsonl --hybrid rrf --text-weight 0.5");
    assert!(texts(&output).0.contains("a part of the fusion has no text"), "{output:?}");
    assert!(desk.fail("search --batch none.jsonl", 1).contains("open none.jsonl"));
}

#[test]
fn words_are_grouped_alone_and_in_a_batch() {
    let desk = desk();
    let flags = "--words-only --group-by color --per-group 2 -n 2";
    let found = desk.json(&format!("search word8 {flags} --json"));
    assert_eq!(found["groups"][0]["value"], "red");
    assert_eq!(found["groups"][0]["points"][0]["id"], 8);
    let found = desk.json(&format!("search things {flags} --json"));
    let sizes: Vec<usize> = found["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["points"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [2, 2]);
    desk.write("queries.jsonl", "{\"text\": \"word8\"}\n");
    let out = desk.succeed(&format!("search --batch queries.jsonl {flags}"));
    assert_eq!(answers(&out)[0]["groups"][0]["value"], "red");
}

#[test]
fn a_plan_names_where_vectors_were_read_from() {
    let desk = desk();
    desk.write("queries.jsonl", "{\"vector\": [1, 0]}\n");
    for (how, expected) in [("map", "map"), ("pread", "pool of threads")] {
        let line = format!("search --batch queries.jsonl --explain --verify-io {how}");
        let answers = answers(&desk.succeed(&line));
        assert_eq!(answers[0]["plan"]["sources"][0]["reads"], expected, "{how}");
    }
    desk.fail("search --batch queries.jsonl --verify-io mmap", 2);
}
