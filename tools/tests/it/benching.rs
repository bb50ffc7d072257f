//! `bigrain bench`, on the CPU alone: a GPU is measured by `tools/src/scan_bench`'s tests, emulated.

use serde_json::Value;

use crate::desk::{Desk, texts};

const TINY: &str = "bench --device cpu --dims 100 --rows 3000 --queries 5 --lists 20 --repeat 3";

#[test]
fn the_cpu_alone_is_measured_at_each_level() {
    let desk = Desk::new();
    let shown = desk.succeed(&format!("{TINY} --levels 1,3 --seed 7 --json out.json"));
    for word in ["scan", "batch", "encode", "assign", "codes/s", "3,000 random codes", "3 passes"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let text = std::fs::read_to_string(desk.path("out.json")).unwrap();
    let bench: Value = serde_json::from_str(&text).unwrap();
    let workloads = bench["workloads"].as_array().unwrap();
    let names: Vec<(&str, Option<u64>)> = workloads
        .iter()
        .map(|one| (one["workload"].as_str().unwrap(), one["levels"].as_u64()))
        .collect();
    let at = |levels| [("scan", Some(levels)), ("batch", Some(levels)), ("encode", Some(levels))];
    assert_eq!(names, [&at(1)[..], &at(3), &[("assign", None)]].concat());
    for one in workloads {
        assert_eq!(one["cpu"]["per_second"].as_array().unwrap().len(), 3, "{one}");
        assert!(one["cpu"]["median"].as_f64().unwrap() > 0.0, "{one}");
        assert_eq!((&one["device"], &one["ratio"]), (&Value::Null, &Value::Null));
    }
    assert_eq!((&bench["random"], &bench["shape"]["seed"]), (&true.into(), &7.into()));
    assert_eq!(bench["shape"]["rows"], 3000);
}

#[test]
fn rows_fill_the_memory_that_is_stated_where_nothing_else_was_said() {
    let desk = Desk::new();
    let line = "bench --dims 64 --memory 1 --queries 1 --lists 2 --repeat 1 --levels 1 --json o";
    desk.succeed(line);
    let bench: Value =
        serde_json::from_str(&std::fs::read_to_string(desk.path("o")).unwrap()).unwrap();
    // A mebibyte of codes of 8 bytes and 8 of factors; a quarter of it of rows, and of these rotated.
    assert_eq!(bench["shape"]["rows"], 1 << 16);
    assert_eq!(bench["shape"]["dense_rows"], (1 << 18) / 512);
    assert_eq!(bench["machine"]["device"], Value::Null);
}

#[test]
fn a_gpu_that_is_missing_is_the_error_of_the_other_commands() {
    let desk = Desk::new();
    // Number 10,000 is missing on every machine.
    let error = desk.fail("bench --device cuda:10000", 1);
    assert!(error.starts_with("error: no GPU can be used: "), "{error}");
    let output = desk.run(&format!("{TINY} --json no/such/folder"));
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("write no/such/folder"));
}
