//! `bigrain pictures`: a collection of pictures as a data set.

use std::fs;

use serde_json::Value;

use crate::desk::Desk;
use crate::pictures::{desk_with_pictures, test_data};

/// A desk with a collection of nine pictures and a copy of one of them.
fn desk_with_a_copy() -> Desk {
    let (desk, _) = desk_with_pictures();
    fs::remove_file(desk.path("in/broken.jpg")).unwrap();
    fs::copy(desk.path("in/0_97x64.png"), desk.path("in/copy.png")).unwrap();
    let model = test_data("clip-tiny").display().to_string();
    desk.succeed(&format!("build --images in --image-model {model}"));
    desk
}

fn ids(lines: &Value) -> Vec<&str> {
    lines.as_array().unwrap().iter().map(|line| line["id"].as_str().unwrap()).collect()
}

/// Runs a line of words and one argument that has spaces in it.
fn json_with(desk: &Desk, line: &str, argument: &str) -> Value {
    let output = desk.command(line).arg(argument).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_copy_is_found_and_shown_beside_its_original() {
    let desk = desk_with_a_copy();
    let line = "pictures duplicates --min-score 0.99999 --check 3 --out d.jsonl --html d.html";
    let found = desk.json(&format!("{line} --json"));
    let summary = &found["summary"];
    assert_eq!((&summary["groups"], &summary["surplus"]), (&1.into(), &1.into()), "{summary}");
    assert_eq!(ids(&found["found"]), ["0_97x64.png", "copy.png"]);
    assert_eq!(found["found"][0]["keep"], true);
    assert_eq!(found["found"][1]["keep"], false);
    assert_eq!(summary["check"]["copies"], 3);
    let lines = fs::read_to_string(desk.path("d.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::from(lines), found["found"]);
    let html = fs::read_to_string(desk.path("d.html")).unwrap();
    assert_eq!(html.matches("data:image/jpeg").count(), 2);

    // Everything is near enough to everything: one group, whose members no copy is astray from.
    let all = desk.json("pictures duplicates --min-score -1 --check 3 --json");
    assert_eq!((&all["summary"]["groups"], &all["summary"]["surplus"]), (&1.into(), &9.into()));
    let check = &all["summary"]["check"];
    assert_eq!((&check["found"], &check["astray"]), (&3.into(), &0.into()));
    let text = desk.succeed("pictures duplicates --min-score 0.99999 --check 0");
    assert!(text.contains("copy.png") && !text.contains("altered"), "{text}");
}

#[test]
fn a_subset_is_what_is_near_a_picture_or_a_text() {
    let desk = desk_with_a_copy();
    let found = desk.json("pictures subset --image in/3_98x65.png --top 2 --json");
    assert_eq!(ids(&found["found"])[0], "3_98x65.png");
    assert_eq!(found["summary"]["taken"], 2);
    let found = desk.json("pictures subset --image in/0_97x64.png --min-score 0.99999 --json");
    assert_eq!(ids(&found["found"]), ["0_97x64.png", "copy.png"]);
    let found = json_with(&desk, "pictures subset --top 3 --json", "a photo of a cat");
    assert_eq!(found["summary"]["taken"], 3);

    // All that is meant is taken, if everything is meant, and half of it was judged.
    let everything = r#"{"field": "width", "gte": 1}"#;
    let line = "pictures subset cat --json --relevant";
    let found = json_with(&desk, line, everything);
    let check = &found["summary"]["check"];
    assert_eq!((&check["judged"], &check["relevant"]), (&5.into(), &5.into()));
    assert_eq!(check["precision"], 1.0);
    let nothing = r#"{"field": "width", "gte": 100000}"#;
    let found = json_with(&desk, line, nothing);
    assert_eq!((&found["summary"]["taken"], &found["summary"]["check"]), (&0.into(), &Value::Null));
}

#[test]
fn pictures_whose_captions_fit_least_are_dropped() {
    let desk = desk_with_a_copy();
    let found = desk.json("pictures align --drop 0.2 --html a.html --json");
    let summary = &found["summary"];
    assert_eq!((&summary["kept"], &summary["dropped"]), (&8.into(), &2.into()), "{summary}");
    let kept: Vec<bool> = found["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["keep"].as_bool().unwrap())
        .collect();
    assert_eq!(kept, [vec![false; 2], vec![true; 8]].concat());
    assert_eq!(summary["check"]["judged"], 5);
    let html = fs::read_to_string(desk.path("a.html")).unwrap();
    assert_eq!(html.matches("data:image/jpeg").count(), 12, "ten best and two dropped");
    let none = desk.json("pictures align --min-score -1 --json");
    assert_eq!((&none["summary"]["dropped"], &none["summary"]["kept"]), (&0.into(), &10.into()));
    let check = &none["summary"]["check"];
    assert_eq!((&check["kept"], &check["strangers_kept"]), (&1.0.into(), &1.0.into()));
}

#[test]
fn pruning_keeps_the_share_that_is_asked_for() {
    let desk = desk_with_a_copy();
    let found = desk.json("pictures prune --keep 0.5 --prototypes 2 --json");
    let summary = &found["summary"];
    assert_eq!((&summary["kept"], &summary["dropped"]), (&5.into(), &5.into()));
    let lines = found["found"].as_array().unwrap();
    let distances: Vec<f64> = lines.iter().map(|line| line["distance"].as_f64().unwrap()).collect();
    assert!(distances.is_sorted());
    assert!(lines[..5].iter().all(|line| line["keep"] == false), "the near ones go");
    let check = &summary["check"];
    assert_eq!(check["held_out"], 2);
    assert!(check["kept"].as_f64().unwrap() <= check["all"].as_f64().unwrap());
    let far = desk.json("pictures prune --keep 0.5 --prototypes 2 --drop far --json");
    assert!(far["found"].as_array().unwrap()[5..].iter().all(|line| line["keep"] == false));
}

#[test]
fn a_picture_in_the_wrong_folder_is_suspect() {
    let (desk, _) = desk_with_pictures();
    fs::create_dir_all(desk.path("set/a")).unwrap();
    fs::create_dir_all(desk.path("set/b")).unwrap();
    for (picture, place) in [
        ("0_97x64", "a/1"),
        ("0_97x64", "a/2"),
        ("0_97x64", "a/3"),
        ("0_97x64", "b/odd"),
        ("3_98x65", "b/1"),
        ("3_98x65", "b/2"),
        ("3_98x65", "b/3"),
    ] {
        let (from, to) = (format!("in/{picture}.png"), format!("set/{place}.png"));
        fs::copy(desk.path(&from), desk.path(&to)).unwrap();
    }
    let model = test_data("clip-tiny").display().to_string();
    desk.succeed(&format!("build --images set --image-model {model}"));
    let found = desk.json("pictures audit --neighbours 3 --plant 0 --html u.html --json");
    assert_eq!(ids(&found["found"]), ["b/odd.png"]);
    let suspect = &found["found"][0];
    assert_eq!((&suspect["label"], &suspect["suggested"]), (&"b".into(), &"a".into()));
    assert_eq!(found["summary"]["check"], Value::Null);
    let planted = desk.json("pictures audit --neighbours 3 --plant 0.15 --json");
    assert_eq!(planted["summary"]["check"]["planted"], 1);
    let error = desk.fail("pictures audit --label nothing", 1);
    assert!(error.contains("0 labels in field \"nothing\""), "{error}");
}
