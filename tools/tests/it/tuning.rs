//! `bigrain tune`: stored points and files of queries, the table, the advice, the picture.

use std::fs;

use crate::desk::{Desk, noise, npy};

const DIMS: usize = 16;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("base.npy", npy(&noise::<DIMS>(300, 3))).write("q.npy", npy(&noise::<DIMS>(12, 4)));
    desk.succeed("build base.npy --collection rows --metric l2");
    desk
}

#[test]
fn a_collection_is_tuned_with_its_own_points() {
    let desk = desk();
    let out = desk.succeed("tune --sample 40 --rounds 1 --plot tune.svg");
    for text in ["rows: 300 points of 16 dims; 40 queries from stored points", "recall@10"] {
        assert!(out.contains(text), "{text}: {out}");
    }
    for wanted in ["0.9", "0.95", "0.99"] {
        assert!(out.contains(&format!("for {wanted} of the neighbours: target ")), "{out}");
    }
    assert!(fs::read_to_string(desk.path("tune.svg")).unwrap().contains("recall@10"));
}

#[test]
fn queries_of_a_file_give_json() {
    let desk = desk();
    let line = "tune -c rows --queries q.npy --sweep target=0.9,1 --limit 5 --rounds 1 --json";
    let tuning = desk.json(line);
    assert_eq!((&tuning["query_count"], &tuning["limit"]), (&12.into(), &5.into()));
    let points = tuning["points"].as_array().unwrap();
    assert_eq!((points.len(), &points[1]["target_recall"]), (2, &1.0.into()));
    assert!(points[1]["recall"].as_f64().unwrap() > 0.9, "{tuning}");
    assert_eq!(tuning["advice"].as_array().unwrap().len(), 3);
    let probes = desk.json("tune --queries q.npy --sweep probes=1,300 --rounds 1 --json");
    assert_eq!(probes["points"][1]["value"], 300);
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let desk = desk();
    desk.write("narrow.npy", npy(&[[1.0, 2.0]])).write("one.npy", npy(&[[1.0, 2.0]]));
    let error = desk.fail("tune --queries narrow.npy", 2);
    assert!(error.contains("\"rows\" has 16, narrow.npy has 2"), "{error}");
    assert!(desk.fail("tune --queries none.npy", 1).contains("none.npy"));
    assert!(desk.fail("tune --limit 0", 2).contains("limit out of range"));
    assert!(desk.fail("tune -c none", 1).contains("none"));
    desk.succeed("build one.npy --collection one");
    assert!(desk.fail("tune -c one", 1).contains("holds 1 point:"));
    assert!(desk.fail("tune", 2).contains("--collection: one, rows"));
}
