//! Pictures that do not lie in a folder one by one: archives and tables.

use std::fs;

use serde_json::Value;

use crate::desk::Desk;
use crate::pictures::test_data;

fn png(name: &str) -> Vec<u8> {
    fs::read(test_data("preprocess-small").join(name)).unwrap()
}

fn build(desk: &Desk, input: &str) -> Value {
    let model = test_data("clip-tiny").display().to_string();
    desk.json(&format!("build --images {input} --image-model {model} --json"))["report"].clone()
}

/// The best result of a search by a picture that is like it, and the page it is shown on.
fn first_like(desk: &Desk, bytes: &[u8]) -> (Value, String) {
    desk.write("asked.png", bytes);
    let found = desk.json("search --image asked.png -n 1 --json --html found.html");
    (found["points"][0].clone(), fs::read_to_string(desk.path("found.html")).unwrap())
}

#[test]
fn archives_of_pictures_are_built_searched_and_shown() {
    let desk = Desk::new();
    let (cat, dogs) = (png("0_97x64.png"), png("3_98x65.png"));
    let mut shard = tar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("000.png", &cat[..]),
        ("000.txt", b"a cat"),
        ("000.json", br#"{"url": "http://a/cat", "status": "success"}"#),
        ("001.json", br#"{"status": "failed_to_download", "error_message": "gone"}"#),
        ("002.png", &dogs[..]),
        ("002.json", br#"{"caption": "two dogs"}"#),
        ("003.jpg", b"no picture"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        shard.append_data(&mut header, name, bytes).unwrap();
    }
    fs::create_dir(desk.path("shards")).unwrap();
    desk.write("shards/00000.tar", shard.into_inner().unwrap());
    desk.write("shards/00000_stats.json", "{}");
    let report = build(&desk, "shards");
    assert_eq!(
        (&report["encoded"], &report["skipped"], &report["others"]),
        (&2.into(), &2.into(), &1.into())
    );
    let skipped: Vec<&str> = report["skipped_files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file.as_str().unwrap())
        .collect();
    assert_eq!(skipped[0], "00000.tar: 001 has no picture (gone)");
    assert!(
        skipped[1].contains("00000.tar at ") && skipped[1].contains("not an image"),
        "{skipped:?}"
    );

    let (point, html) = first_like(&desk, &dogs);
    assert_eq!(
        (&point["id"], &point["payload"]["text"]),
        (&"00000.tar/002.png".into(), &"two dogs".into())
    );
    assert_eq!(
        html.matches("data:image/jpeg").count(),
        2,
        "the result is shown out of the archive"
    );
    assert_eq!(build(&desk, "shards")["unchanged"], 2);
}

#[test]
fn a_table_of_wit_names_pictures_or_holds_them() {
    let desk = Desk::new();
    let (cat, dogs) = (png("0_97x64.png"), png("3_98x65.png"));
    fs::create_dir(desk.path("wit")).unwrap();
    desk.write("wit/cat.png", &cat);
    let lines = "language\timage_url\tcaption_reference_description\n\
                 en\thttp://a/cat.png\tA cat\nen\thttp://a/gone.png\tGone\n";
    desk.write("wit/wit.tsv", lines);
    let report = build(&desk, "wit/wit.tsv");
    assert_eq!((&report["encoded"], &report["skipped"]), (&1.into(), &1.into()));
    assert_eq!(report["skipped_files"][0], "line 3: gone.png is not in its folder");
    assert_eq!(first_like(&desk, &cat).0["payload"]["text"], "A cat");

    let desk = Desk::new();
    let bytes = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &dogs);
    desk.write("pixels.tsv", format!("image_url\tb64_bytes\nhttp://a/two_dogs.png\t{bytes}\n"));
    assert_eq!(build(&desk, "pixels.tsv")["encoded"], 1);
    let (point, html) = first_like(&desk, &dogs);
    assert_eq!(
        (&point["id"], &point["payload"]["text"]),
        (&"two_dogs.png".into(), &"two dogs".into())
    );
    assert_eq!(html.matches("data:image/jpeg").count(), 2);
}

#[test]
fn pictures_are_tagged_and_the_tags_are_facets() {
    let desk = Desk::new();
    fs::create_dir(desk.path("in")).unwrap();
    desk.write("in/a.png", png("0_97x64.png")).write("in/b.png", png("3_98x65.png"));
    desk.write(
        "labels.jsonl",
        "\"cat\"\n{\"name\": \"dog\", \"descriptions\": [\"a dog\", \"a puppy\"]}\n",
    );
    let tagged = |flags: &str| build(&desk, &format!("in {flags}"))["encoded"].clone();
    assert_eq!(tagged("--tags labels.jsonl --tag-min-score -1"), 2);
    let facet = desk.json("facet tags --json");
    let values = facet["values"].as_array().unwrap();
    let counts: Vec<(&str, u64)> = values
        .iter()
        .map(|value| (value["value"].as_str().unwrap(), value["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("cat", 2), ("dog", 2)]);
    // Other tags are another version of the same pictures; the same ones are not.
    assert_eq!(tagged("--tags labels.jsonl --tag-min-score -1"), 0);
    assert_eq!(tagged("--tags labels.jsonl --tag-min-score -1 --tag-limit 1"), 2);
    assert_eq!(tagged("--tags labels.jsonl --tag-min-score 1"), 2);
    assert!(desk.json("facet tags --json")["values"].as_array().unwrap().is_empty());
    desk.write("labels.jsonl", "7\n");
    let model = test_data("clip-tiny").display().to_string();
    let error =
        desk.fail(&format!("build --images in --image-model {model} --tags labels.jsonl"), 1);
    assert!(error.contains("labels.jsonl:1: expected a name"), "{error}");
}

#[test]
fn a_model_of_images_is_quantised_on_pictures() {
    let desk = Desk::new();
    fs::create_dir(desk.path("in")).unwrap();
    for name in ["0_97x64.png", "3_98x65.png", "6_64x64.png"] {
        desk.write(&format!("in/{name}"), png(name));
    }
    // What another program computed is not part of a model.
    fs::create_dir(desk.path("model")).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(test_data("clip-tiny").join(name), desk.path("model").join(name)).unwrap();
    }
    let error = desk.fail("quantize model --out int8", 2);
    assert!(error.ends_with("model is a model for images: name some with --images"), "{error}");
    let report = desk.json("quantize model --out int8 --images in --json");
    assert!(report["images"]["min_cosine"].as_f64().unwrap() > 0.99, "{report}");
    assert_ne!(report["space_before"], report["space_after"]);
    let built = desk.json("build --images in --image-model int8 --json");
    assert_eq!(built["report"]["encoded"], 3);
}

#[test]
fn a_heat_map_is_a_picture_of_the_size_that_the_model_reads() {
    let desk = Desk::new();
    desk.write("cat.png", png("0_97x64.png"));
    let model = test_data("clip-tiny").display().to_string();
    desk.succeed(&format!("pictures heat cat.png cat --out map.png --model {model}"));
    let map = fs::read(desk.path("map.png")).unwrap();
    // A PNG says its width and height at its start.
    assert_eq!(&map[16..24], [0, 0, 0, 64, 0, 0, 0, 64]);
    let align = test_data("align-tiny").display().to_string();
    let error = desk.fail(&format!("pictures heat cat.png cat --out map.png --model {align}"), 1);
    assert!(error.ends_with("says nothing of places"), "{error}");
}
