//! Backing up, verifying, restoring, checking.

use std::fs;

use crate::desk::{Desk, texts};

fn rows(desk: &Desk) {
    let line = |row: usize| {
        format!("{{\"id\": \"r{row}\", \"vector\": [{row}, 1, 0.5], \"row\": {row}}}\n")
    };
    desk.write("in.jsonl", (0..50).map(line).collect::<String>());
    desk.succeed("build in.jsonl --collection rows");
    desk.succeed("build in.jsonl --collection more --first-id 7");
}

#[test]
fn a_backup_is_verified_and_restored() {
    let desk = Desk::new();
    rows(&desk);
    let written = desk.json("backup b.tar --json");
    assert_eq!(written["contents"]["collections"][1]["points"], 50);
    assert_eq!(desk.json("verify b.tar --json"), written);
    let shown = desk.succeed("restore b.tar restored");
    assert!(shown.contains("rows") && shown.contains("more"), "{shown}");
    let inspect = |flags: &str| desk.json(&format!("inspect --json {flags}"))["collections"].take();
    let (before, after) = (inspect(""), inspect("--data restored"));
    assert_eq!(before[1]["segments"], after[1]["segments"]);
    assert!(desk.fail("backup b.tar", 1).contains("the file exists"));
    assert!(desk.fail("restore b.tar restored", 1).contains("not empty"));
    assert!(desk.fail("verify none.tar", 1).contains("no such file"));
    assert!(desk.fail("backup c.tar --collection none", 1).contains("\"none\""));
    desk.succeed("backup one.tar --collection rows");
    assert_eq!(desk.json("verify one.tar --json")["contents"]["collections"][0]["name"], "rows");
}

#[test]
fn a_damaged_archive_is_refused_by_name_and_leaves_no_folder() {
    let desk = Desk::new();
    rows(&desk);
    desk.succeed("backup b.tar");
    let mut bytes = fs::read(desk.path("b.tar")).unwrap();
    let end = bytes.len();
    desk.write("cut.tar", &bytes[..end - 2000]);
    bytes[end / 2] ^= 1;
    desk.write("flipped.tar", &bytes);
    for (name, expected) in
        [("cut.tar", "cut off"), ("flipped.tar", "damaged"), ("in.jsonl", "no archive")]
    {
        assert!(desk.fail(&format!("verify {name}"), 1).contains(expected), "{name}");
        assert!(desk.fail(&format!("restore {name} new"), 1).contains(expected), "{name}");
    }
    let names = fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_str().unwrap().starts_with("new")));
}

#[test]
fn a_check_shows_a_table_and_its_exit_code_says_whether_all_is_well() {
    let desk = Desk::new();
    rows(&desk);
    let shown = desk.succeed("check");
    assert!(shown.contains("rows") && !shown.contains("damaged"), "{shown}");
    let collection = fs::read_dir(desk.path("data/collections")).unwrap().next().unwrap().unwrap();
    let segment = fs::read_dir(collection.path()).unwrap().next().unwrap().unwrap().path();
    let dense = segment.join("dense.vector");
    let mut bytes = fs::read(&dense).unwrap();
    bytes[4100] ^= 1;
    fs::write(&dense, bytes).unwrap();
    let output = desk.run("check data");
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(out.contains("dense.vector: block at 4096 is damaged"), "{out}");
    assert!(err.ends_with("error: 1 problem in data\n"), "{err}");
    assert!(desk.fail("check none", 1).contains("no data folder none"));
}
