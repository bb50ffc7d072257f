//! Learning a binarizer from the command line, and building with it.

use std::fs;

use serde_json::Value;

use crate::desk::{Desk, noise, npy, texts};

const DIMS: usize = 64;
const ROWS: usize = 2000;

/// Documents, and queries that share the first half of the components with the document of their row: the
/// other half is loud and tells nothing.
fn desk() -> Desk {
    let desk = Desk::new();
    let (meaning, loud) = (noise::<DIMS>(ROWS, 1), noise::<DIMS>(2 * ROWS, 2));
    let row = |document: usize, loudness: usize| -> [f32; DIMS] {
        let (meaning, loud) = (&meaning[document], &loud[loudness]);
        std::array::from_fn(|dim| if dim < DIMS / 2 { meaning[dim] } else { 1.5 * loud[dim] })
    };
    let documents: Vec<_> = (0..ROWS).map(|at| row(at, at)).collect();
    let queries: Vec<_> = (0..ROWS).map(|at| row(at, ROWS + at)).collect();
    let pairs = (0..ROWS).map(|at| format!("{{\"query\": {at}, \"id\": {at}}}\n"));
    desk.write("documents.npy", npy(&documents)).write("queries.npy", npy(&queries));
    desk.write("pairs.jsonl", pairs.collect::<String>());
    desk
}

/// Returns the rows of a file.
fn rows_of(desk: &Desk, name: &str) -> Vec<[f32; DIMS]> {
    let (bytes, count) = (fs::read(desk.path(name)).unwrap(), 4 * DIMS * ROWS);
    let (floats, _) = bytes[bytes.len() - count..].as_chunks::<4>();
    let floats: Vec<f32> = floats.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    floats.as_chunks().0.to_vec()
}

/// Returns what another encoder makes of the rows of a file: the same meaning by other components, and more of them.
fn mixed(desk: &Desk, name: &str) -> Vec<[f32; DIMS + 16]> {
    let mixing = noise::<DIMS>(DIMS + 16, 77);
    let product = |row: &[f32; DIMS], with: &[f32; DIMS]| -> f32 {
        row.iter().zip(with).map(|(a, b)| a * b).sum()
    };
    let mix = |row: &[f32; DIMS]| std::array::from_fn(|at| product(row, &mixing[at]));
    rows_of(desk, name).iter().map(mix).collect()
}

const LEARN: &str = "train binarizer --queries queries.npy --pairs pairs.jsonl --steps 80 --batch 64 \
                     --rate 0.003 --mine-every 40";

#[test]
fn a_binarizer_that_beats_the_rotation_is_written_and_collections_are_built_with_it() {
    let desk = desk();
    let line = format!("{LEARN} --documents documents.npy --out a --plot loss.svg --json");
    let report = desk.json(&line);
    assert_eq!((&report["won"], &report["written"]), (&true.into(), &"a".into()), "{report}");
    let number = |report: &Value, name: &str| report[name].as_f64().unwrap();
    assert!(number(&report, "learned") > number(&report, "rotation") + 0.05, "{report}");
    assert!(fs::read_to_string(desk.path("loss.svg")).unwrap().starts_with("<svg"));

    desk.succeed("build documents.npy --collection points --binarizer a");
    let config = &desk.json("inspect --json")["collections"][0]["config"]["fields"][0];
    assert_eq!(config["binarizer"]["learned"], report["learned"], "{config}");
    assert!(desk.succeed("inspect").contains(", learned: recall@10 of "));
    let asked = noise::<DIMS>(1, 9);
    desk.write("asked.jsonl", format!("{{\"vector\": {:?}, \"limit\": 5}}", asked[0]));
    let found = desk.succeed("search --collection points --batch asked.jsonl --codes-only");
    assert!(found.contains("\"id\""), "{found}");

    // The same seed and the vectors that the collection stores give the same file.
    let again = desk.json(&format!("{LEARN} --collection points --out b --json"));
    assert_eq!(again["queries"], report["queries"]);
    let output = desk.run("build documents.npy --collection other --binarizer documents.npy");
    let error = texts(&output).1;
    assert!(error.contains("documents.npy: ") && error.contains("--binarizer"), "{error}");
}

#[test]
fn a_version_for_another_encoder_takes_a_collection_over_to_that() {
    let desk = desk();
    desk.succeed(&format!("{LEARN} --documents documents.npy --out old"));
    desk.succeed("build documents.npy --collection points --binarizer old");
    let (documents, queries) = (mixed(&desk, "documents.npy"), mixed(&desk, "queries.npy"));
    desk.write("later.npy", npy(&documents)).write("later-queries.npy", npy(&queries));
    desk.write("some.npy", npy(&documents[..500]));

    let learn = "train binarizer --documents later.npy --queries later-queries.npy --pairs pairs.jsonl --steps 80 \
                 --batch 64 --rate 0.003 --mine-every 40 --seed 2 --out new --parent old";
    let error = desk.fail(&format!("{learn} --former-documents some.npy"), 1);
    assert!(error.contains("of the former encoder"), "{error}");
    let report = desk.json(&format!(
        "{learn} --former-collection points --former-queries queries.npy --keep --json"
    ));
    let recall = |name: &str| report["parent"][name].as_f64().unwrap();
    assert!(recall("crossed") > 0.8 * recall("recall"), "{report}");

    let error = desk.fail("upgrade --source later.npy", 1);
    assert!(error.contains("only taken for another encoder"), "{error}");
    let begun = desk.json("upgrade --binarizer new --source some.npy --json");
    assert_eq!((&begun["vectors"], &begun["left"]), (&500.into(), &(ROWS - 500).into()), "{begun}");
    assert!(
        desk.succeed("inspect").contains("1,500 points have a vector of the former encoder, in")
    );
    // A query of the later encoder finds a document that has gone over, and one that has not.
    for at in [3, 700] {
        desk.write("asked.jsonl", format!("{{\"vector\": {:?}, \"limit\": 1}}", documents[at]));
        let found = desk.succeed("search --collection points --batch asked.jsonl");
        assert!(found.contains(&format!("\"id\":{at}")), "{found}");
    }
    let without = desk.json("upgrade --kept-texts --json");
    assert_eq!(
        (&without["vectors"], &without["passed_over"]),
        (&0.into(), &1500.into()),
        "{without}"
    );
    let upgraded = desk.json("upgrade --source later.npy --json");
    assert_eq!((&upgraded["vectors"], &upgraded["left"]), (&1500.into(), &0.into()), "{upgraded}");
    assert_eq!(upgraded["passed_over"], 500, "those that had gone over: {upgraded}");
    assert!(upgraded["recall"].as_f64().unwrap() > 0.3, "{upgraded}");
    let fields = &desk.json("inspect --json")["collections"][0]["config"]["fields"];
    assert_eq!((fields.as_array().unwrap().len(), &fields[0]["dims"]), (1, &80.into()), "{fields}");
    assert!(desk.fail("upgrade", 1).contains("no upgrade was begun"));
}

#[test]
fn a_collection_goes_over_to_an_encoder_that_nothing_was_learned_of() {
    let desk = desk();
    desk.succeed("build documents.npy --collection points --levels 1");
    let (former, later) = (rows_of(&desk, "documents.npy"), mixed(&desk, "documents.npy"));
    desk.write("later.npy", npy(&later)).write("some.npy", npy(&later[..500]));
    let error = desk.fail("upgrade --new-encoder", 1);
    assert!(error.contains("expected --model DIR, or --source"), "{error}");
    let begun = desk.json("upgrade --new-encoder --source some.npy --json");
    assert_eq!((&begun["vectors"], &begun["left"]), (&500.into(), &(ROWS - 500).into()), "{begun}");
    assert!(begun["recall"].is_null(), "stored vectors are of one encoder: {begun}");
    let config = &desk.json("inspect --json")["collections"][0]["config"]["fields"];
    assert_eq!((&config[0]["dims"], &config[0]["levels"]), (&80.into(), &1.into()), "{config}");
    // Points of either encoder are found by a vector of each, and not by that of one.
    let ask = |at: usize| {
        let both = format!("\"vector\": {:?}, \"former_vector\": {:?}", later[at], former[at]);
        format!("{{{both}, \"limit\": 3}}\n")
    };
    for at in [3, 700] {
        desk.write("asked.jsonl", ask(at));
        let found = desk.json("search --collection points --batch asked.jsonl");
        assert_eq!(found["points"][0]["id"], at, "{found}");
    }
    desk.write("asked.jsonl", format!("{{\"vector\": {:?}}}", later[3]));
    let error = texts(&desk.run("search --collection points --batch asked.jsonl")).0;
    assert!(error.contains("former_vector"), "{error}");
    // The same command goes on, and ends it.
    let upgraded = desk.json("upgrade --new-encoder --source later.npy --json");
    assert_eq!((&upgraded["vectors"], &upgraded["left"]), (&1500.into(), &0.into()), "{upgraded}");
    assert!(upgraded["recall"].as_f64().unwrap() > 0.3, "{upgraded}");
    let found = texts(&desk.run("search --collection points --batch asked.jsonl")).0;
    assert!(found.contains("\"id\":3"), "{found}");
}

#[test]
fn the_next_version_of_a_binarizer_upgrades_a_collection() {
    let desk = desk();
    let learn = format!("{LEARN} --documents documents.npy");
    desk.succeed(&format!("{learn} --out old"));
    desk.succeed("build documents.npy --collection points --binarizer old");
    let report = desk.json(&format!("{learn} --seed 2 --parent old --out new --json"));
    let recall = |name: &str| report["parent"][name].as_f64().unwrap();
    assert!(recall("crossed") >= recall("recall"), "{report}");

    let error = desk.fail("upgrade", 1);
    assert!(error.contains("no upgrade was begun"), "{error}");
    let paused = desk.json("upgrade --binarizer new --pause --json");
    assert_eq!((&paused["vectors"], &paused["left"]), (&0.into(), &ROWS.into()), "{paused}");
    assert!(desk.succeed("inspect").contains("2,000 of 2,000 vectors have codes of version"));
    let upgraded = desk.json("upgrade --json");
    assert_eq!((&upgraded["vectors"], &upgraded["left"]), (&ROWS.into(), &0.into()), "{upgraded}");
    let config = &desk.json("inspect --json")["collections"][0]["config"]["fields"][0];
    assert_eq!(config["binarizer"]["id"], upgraded["to"], "{config}");
    let error = desk.fail("upgrade --binarizer old", 1);
    assert!(error.contains("was trained to follow no version"), "{error}");
    assert!(
        desk.succeed("upgrade --binarizer new").contains("all codes are of the present version")
    );
}

#[test]
fn an_adapter_that_beats_floats_is_written_and_orders_what_a_search_finds() {
    let desk = desk();
    let adapt = "train adapt --queries queries.npy --pairs pairs.jsonl --adapter-steps 120 --adapter-batch 64 \
                 --adapter-rate 0.003 --near 20 --shortlist 200";
    let report =
        desk.json(&format!("{adapt} --documents documents.npy --out a --plot loss.svg --json"));
    assert_eq!((&report["won"], &report["written"]), (&true.into(), &"a".into()), "{report}");
    let number = |name: &str| report[name].as_f64().unwrap();
    assert!(number("adapted") > number("floats") + 0.05, "{report}");
    assert!(fs::read_to_string(desk.path("loss.svg")).unwrap().starts_with("<svg"));

    desk.succeed("build documents.npy --collection points");
    let asked = noise::<DIMS>(1, 9);
    desk.write("asked.jsonl", format!("{{\"vector\": {:?}, \"limit\": 5}}", asked[0]));
    let search = "search --collection points --batch asked.jsonl";
    let (plain, adapted) = (desk.succeed(search), desk.succeed(&format!("{search} --adapter a")));
    assert!(adapted.contains("\"id\"") && adapted != plain, "{adapted}");
    // The collection's own codes, which are the same.
    let again = desk.json(&format!("{adapt} --collection points --out b --json"));
    assert_eq!(again["queries"], report["queries"]);
    let error = desk.fail(&format!("{search} --adapter documents.npy"), 2);
    assert!(error.contains("not an adapter"), "{error}");
    let error = desk.fail(&format!("{search} --adapter a --exact"), 2);
    assert!(error.contains("--exact"), "{error}");
    let error = desk.fail("train adapt --documents documents.npy --out c", 1);
    assert!(error.contains("too few pairs"), "{error}");
}

/// Makes pseudo-queries of the pairs of a desk, which lie in other rows, and leaves some pairs to judge by.
fn with_pseudo_queries(desk: &Desk) {
    let line = |at| format!("{{\"pos\": [\"word\"], \"query\": {at}, \"doc_id\": {at}}}\n");
    desk.write("pseudo.jsonl", (0..ROWS).step_by(2).map(line).collect::<String>());
    let line = |at| format!("{{\"query\": {at}, \"id\": {at}}}\n");
    desk.write("real.jsonl", (1..ROWS).step_by(2).map(line).collect::<String>());
}

#[test]
fn pseudo_queries_are_learned_from_and_do_not_judge() {
    let desk = desk();
    with_pseudo_queries(&desk);
    let learn = "train binarizer --documents documents.npy --queries queries.npy --pairs pseudo.jsonl --steps 80 \
                 --batch 64 --rate 0.003 --mine-every 40 --out a";
    // Codes that leave out what is loud find fewer of the neighbours that floats have.
    let error = desk.fail(learn, 1);
    assert!(error.contains("the rotation was not beaten") && error.contains("--judge"), "{error}");
    assert!(!desk.path("a").is_file());
    let report = desk.json(&format!("{learn} --keep --json"));
    assert_eq!((&report["judged_by"], &report["won"]), (&"neighbours".into(), &false.into()));
    assert!(desk.succeed(&format!("{learn} --keep")).contains("of the neighbours of "));

    let report = desk.json(&format!("{learn} --judge real.jsonl --json"));
    assert_eq!((&report["judged_by"], &report["won"]), (&"queries".into(), &true.into()));
    assert_eq!(report["queries"], ROWS / 2, "all of them: {report}");
    let error = desk.fail(&format!("{learn} --judge pseudo.jsonl"), 1);
    assert!(error.contains("is a pseudo-query"), "{error}");
}

#[test]
fn an_adapter_of_pseudo_queries_takes_pairs_to_judge_it() {
    let desk = desk();
    with_pseudo_queries(&desk);
    let adapt = "train adapt --documents documents.npy --queries queries.npy --pairs pseudo.jsonl --adapter-steps 60 \
                 --adapter-batch 64 --adapter-rate 0.003 --near 20 --shortlist 200 --out a";
    let error = desk.fail(adapt, 1);
    assert!(error.contains("--judge") && !desk.path("a").is_file(), "{error}");
    desk.succeed(&format!("{adapt} --keep"));
    let report = desk.json(&format!("{adapt} --judge real.jsonl --json"));
    let judges = report["queries"].as_u64().unwrap();
    assert!(report["won"] == true && (500..750).contains(&judges), "five of eight: {report}");
}

#[test]
fn codes_are_compared_beside_each_other_and_drawn() {
    let desk = desk();
    let learn = format!("{LEARN} --documents documents.npy");
    desk.succeed(&format!("{learn} --out a"));
    desk.succeed(&format!("{learn} --out b --seed 2"));
    let line = "eval --compare rotation:2 floats learned=a,b --vectors documents.npy --queries queries.npy \
                --pairs pairs.jsonl --held-out";
    let found = desk.json(&format!("{line} --plot compared.svg --json"));
    let row = |at: usize| &found["rows"][at];
    assert_eq!((&row(2)["name"], &row(2)["seeds"]), (&"learned".into(), &2.into()), "{found}");
    assert_eq!((&row(0)["seeds"], &row(1)["bits"]), (&2.into(), &2048.into()), "{found}");
    assert!(row(0)["recall_over_first"].is_null() && found["head"] == 0, "{found}");
    assert!(row(2)["recall_over_first"]["low"].as_f64().unwrap() > 0.0, "{found}");
    assert_eq!(row(2)["tail"], row(2)["all"], "{found}");
    assert!(fs::read_to_string(desk.path("compared.svg")).unwrap().contains("learned"));
    assert!(desk.succeed(line).contains("R@10 over rotation:2"));
    let error =
        desk.fail("eval --compare floats none --vectors documents.npy --pairs pairs.jsonl", 2);
    assert!(error.contains("none"), "{error}");
}

#[test]
fn what_did_not_beat_the_rotation_is_not_written() {
    let desk = desk();
    // Nothing belongs together here: queries are of other documents.
    let pairs = (0..ROWS).map(|at| format!("{{\"query\": {}, \"id\": {at}}}\n", ROWS - 1 - at));
    desk.write("pairs.jsonl", pairs.collect::<String>());
    let line = format!("{LEARN} --documents documents.npy --out a");
    let error = desk.fail(&line, 1);
    assert!(error.contains("the rotation was not beaten"), "{error}");
    assert!(!desk.path("a").is_file());
    desk.succeed(&format!("{line} --keep"));
    assert!(desk.path("a").is_file());
}

#[test]
fn wrong_inputs_of_a_training_are_named() {
    let desk = desk();
    let error = desk.fail("train binarizer --out a", 2);
    assert!(!error.is_empty());
    let error = desk.fail(&format!("{LEARN} --documents documents.npy --out a --code-dims 100"), 1);
    assert!(error.contains("code_dims"), "{error}");
    let error = desk.fail(&format!("{LEARN} --documents none.npy --out a"), 1);
    assert!(error.contains("none.npy"), "{error}");
    desk.write("short.npy", npy(&noise::<32>(300, 3)));
    let error = desk.fail(&format!("{LEARN} --documents short.npy --out a"), 1);
    assert!(error.contains("no document 300"), "{error}");
    let line = "train binarizer --documents documents.npy --out a --steps 2 --batch 64 --keep";
    desk.succeed(line);
    let error = desk.fail("build short.npy --collection short --binarizer a", 1);
    assert!(error.contains("learned binarizer takes 64 dims, the field has 32"), "{error}");
    let error = desk.fail("build documents.npy --collection dot --metric dot --binarizer a", 1);
    assert!(error.contains("learned binarizer compares by cosine, the field by dot"), "{error}");
    desk.succeed("build documents.npy --collection plain");
    let error = desk.fail("build documents.npy --collection plain --binarizer a", 2);
    assert!(error.contains("has binarizer rotation, binarizer "), "{error}");
}
