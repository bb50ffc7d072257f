//! Words, and words with vectors, from the command line.

use serde_json::Value;

use crate::desk::{Desk, model_folder};

const ROWS: &str = r#"{"id": "a", "title": "Wings", "body": {"text": "flow over a wing"}, "n": 1, "vector": [1, 0]}
{"id": "b", "title": "Heat", "body": {"text": "heat in slabs"}, "n": 2, "vector": [0, 1]}
{"id": "c", "title": "Shocks", "body": {"text": "a shock in front of wings"}, "n": 3, "vector": [1, 1]}
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("rows.jsonl", ROWS);
    desk
}

fn ids(found: &Value) -> Vec<&str> {
    found["points"].as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap()).collect()
}

#[test]
fn words_are_searched_without_a_model() {
    let desk = desk();
    desk.succeed("build rows.jsonl -c rows --bm25 title+body.text:en");
    let found = desk.json("search winged --words-only --json");
    assert_eq!(ids(&found), ["a", "c"]);
    let found = desk.json(r#"search wing --words-only --filter {"field":"n","gt":1} --json"#);
    assert_eq!(ids(&found), ["c"]);
    let out = desk.succeed("search wing --words-only --explain --bm25 title+body.text");
    assert!(out.contains("bm25 of 3 rows (wing in 2)"), "{out}");
    assert!(desk.succeed("search zebra --words-only").contains("no point of \"rows\" matches"));
    assert!(desk.succeed("inspect").contains("title+body.text:en"));
    assert!(desk.fail("search a --words-only --bm25 title", 1).contains("title+body.text"));
}

#[test]
fn a_text_field_that_is_added_finds_what_was_there_before() {
    let desk = desk();
    desk.succeed("build rows.jsonl -c rows");
    assert!(desk.fail("search wing --words-only", 1).contains("no text fields"));
    desk.succeed("build rows.jsonl -c rows --bm25 title+body.text:en");
    assert_eq!(ids(&desk.json("search wing --words-only --json")), ["a", "c"]);
    let error = desk.fail("build rows.jsonl -c rows --bm25 title+body.text:de", 2);
    assert!(error.contains("has text field title+body.text:en"), "{error}");
}

#[test]
fn weights_are_never_guessed() {
    let desk = desk();
    desk.succeed("build rows.jsonl -c rows --bm25 title:en");
    for (line, expected) in [
        ("search a --hybrid rrf", "--text-weight W is missing"),
        ("search a --hybrid rrf --text-weight 2", "expected 0 to 1, got 2"),
        ("search a --hybrid fitted --text-weight 0.5", "fitted or stated"),
        ("search a --bm25 title", "--words-only or --hybrid"),
        ("tune --hybrid", "--judged DIR or --pseudo KIND"),
    ] {
        let error = desk.fail(line, 2);
        assert!(error.contains(expected), "{line}: {error}");
    }
    assert_eq!(desk.run("search a --hybrid sum --text-weight 1").status.code(), Some(2));
    desk.succeed("build rows.jsonl -c plain");
    let error = desk.fail("tune -c plain --hybrid --pseudo sentence", 2);
    assert!(error.contains("build --bm25"), "{error}");
}

#[test]
fn a_real_model_and_words_are_fused_by_what_was_fitted() {
    let Some(model) = model_folder() else { return };
    let desk = Desk::new();
    let texts = [
        "how heat flows through a slab of metal",
        "flow of air over a wing at low speed",
        "a shock wave in front of a blunt body",
        "cooking rice with vegetables",
        "sorting numbers in linear time",
        "parsing text with a grammar",
        "the error code XK-4711 of the pump",
        "bread needs flour, water and salt",
    ];
    let line =
        |(id, text): (usize, &&str)| format!("{{\"_id\": \"{id}\", \"text\": \"{text}\"}}\n");
    let corpus: String = texts.iter().enumerate().map(line).collect();
    let queries = [
        (0, "warmth moving in metal"),
        (1, "aerodynamics of slow aircraft"),
        (2, "bow shock"),
        (3, "recipe for dinner"),
        (4, "radix sort"),
        (5, "compilers"),
        (6, "XK-4711"),
        (7, "baking"),
    ];
    let line =
        |(id, text): &(usize, &str)| format!("{{\"_id\": \"q{id}\", \"text\": \"{text}\"}}\n");
    std::fs::create_dir(desk.path("set")).unwrap();
    desk.write("set/corpus.jsonl", &corpus);
    desk.write("set/queries.jsonl", queries.iter().map(line).collect::<String>());
    let judged = |(id, _): &(usize, &str)| format!("q{id}\t{id}\t1\n");
    desk.write("set/qrels.tsv", queries.iter().map(judged).collect::<String>());
    let model = model.display();
    desk.succeed(&format!("build set/corpus.jsonl -c set --bm25 text:en --model {model}"));

    let refused = desk.fail("search sorting --hybrid fitted", 1);
    assert!(refused.contains("no fusion was fitted"), "{refused}");
    let dry = desk.succeed("tune --hybrid --judged set --folds 4 --dry-run");
    assert!(dry.contains("8 queries of set, 4 folds") && dry.contains("not kept"), "{dry}");
    assert!(desk.fail("search sorting --hybrid fitted", 1).contains("no fusion was fitted"));
    let tuned = desk.json("tune --hybrid --judged set --folds 4 --json");
    let fit = &tuned["fit"];
    let weight = fit["text"]["weight"].as_f64().unwrap();
    assert!((fit["vector"]["weight"].as_f64().unwrap() + weight - 1.0).abs() < 1e-6, "{tuned}");
    assert_eq!(tuned["fitting"]["vector"]["ndcg_10"], fit["evidence"]["vector"]);
    let fitted = desk.json("search XK-4711 --hybrid fitted --json");
    assert_eq!(ids(&fitted)[0], "6");
    let fusion = fit["fusion"].as_str().unwrap();
    let stated =
        desk.json(&format!("search XK-4711 --hybrid {fusion} --text-weight {weight} --json"));
    assert_eq!(fitted["points"], stated["points"]);
    assert!(desk.succeed("inspect").contains(fusion));
    // Another fit under a name goes along with an export, as the one without does.
    let out = desk.succeed("tune --hybrid --judged set --folds 4 --name tickets");
    assert!(out.contains("--hybrid 'fitted(tickets)'"), "{out}");
    for file in ["out.jsonl", "out.parquet"] {
        let name = file.replace('.', "-");
        desk.succeed(&format!("export set --to {file}"));
        desk.succeed(&format!("import {file} -c {name}"));
        let shown = desk.json(&format!("inspect -c {name} --json"));
        let shown = &shown["collections"][0];
        assert_eq!(shown["hybrid_fit"], *fit, "{file}");
        assert_eq!(shown["named_hybrid_fits"]["tickets"]["text"]["field"], "text", "{file}");
        let found = desk.json(&format!("search XK-4711 -c {name} --hybrid fitted(tickets) --json"));
        assert_eq!(ids(&found)[0], "6", "{file}");
    }
    desk.fail("search XK-4711 -c set --hybrid fitted(other)", 1);
    desk.succeed("tune -c set --hybrid --pseudo sentence --folds 2");

    let table = desk
        .succeed(&format!("eval --corpus set --hybrid --bm25 text:en --folds 4 --model {model}"));
    for row in
        ["vectors alone", "words alone", "fused, by queries not fitted on", "fitted on sentences"]
    {
        assert!(table.contains(row), "{row}: {table}");
    }
}
