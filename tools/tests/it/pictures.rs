//! Pictures: building, searching, evaluating, the demo.

use std::fs;
use std::path::{Path, PathBuf};

use crate::desk::Desk;

pub fn test_data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoders/tests/data").join(name)
}

/// A desk with nine pictures, of which two have captions, and a file that only says it is one.
pub fn desk_with_pictures() -> (Desk, String) {
    let desk = Desk::new();
    fs::create_dir(desk.path("in")).unwrap();
    for entry in fs::read_dir(test_data("preprocess-small")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "png") {
            fs::copy(&path, desk.path("in").join(path.file_name().unwrap())).unwrap();
        }
    }
    desk.write("in/0_97x64.txt", "a photo of a cat\nes=un gato");
    desk.write("in/3_98x65.txt", "two dogs playing");
    desk.write("in/broken.jpg", "no picture at all");
    desk.write("in/notes.md", "# notes");
    let model = test_data("align-tiny").display().to_string();
    (desk, model)
}

#[test]
fn a_folder_of_pictures_is_built_searched_and_shown() {
    let (desk, _) = desk_with_pictures();
    // Of the tiny models it is the one that tells the pictures apart.
    let model = test_data("clip-tiny").display().to_string();
    let built = desk.json(&format!("build --images in --image-model {model} --json"));
    let report = &built["report"];
    assert_eq!(
        (&report["encoded"], &report["skipped"], &report["others"]),
        (&9.into(), &1.into(), &3.into())
    );
    let skipped = report["skipped_files"][0].as_str().unwrap();
    assert!(skipped.contains("broken.jpg: not an image: expected PNG"), "{skipped}");

    let found = desk.json("search --image in/3_98x65.png -n 3 --json --html out.html");
    let first = &found["points"][0];
    assert_eq!(
        (&first["id"], &first["payload"]["text"]),
        (&"3_98x65.png".into(), &"two dogs playing".into())
    );
    assert!(first["score"].as_f64().unwrap() > 0.999);
    assert_eq!(first["payload"]["width"], 98);
    let html = fs::read_to_string(desk.path("out.html")).unwrap();
    assert_eq!(html.matches("<img ").count(), 4, "three results and the one asked with");

    // The text side of the same model answers a plain search, and a text moves a picture's results.
    for line in ["search", "search --text", "search --image in/3_98x65.png --compose -0.5 --text"] {
        let output = desk.command(line).args(["a photo of a cat", "--json"]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["points"].as_array().unwrap().len(), 9, "{line}");
    }
}

#[test]
fn a_model_with_tokens_shows_where_in_the_pictures_a_text_is() {
    let (desk, _) = desk_with_pictures();
    let model = test_data("clip-tiny").display().to_string();
    desk.succeed(&format!("build --images in --image-model {model}"));
    desk.succeed("search --text cat -n 4 --html out.html");
    let html = fs::read_to_string(desk.path("out.html")).unwrap();
    assert_eq!(html.matches("data:image/jpeg").count(), 4);
    assert_eq!(html.matches("data:image/png").count(), 4);
}

#[test]
fn building_pictures_again_encodes_what_changed_and_deletes_what_is_gone() {
    let (desk, model) = desk_with_pictures();
    let build = format!("build --images in --image-model {model} --json");
    desk.succeed(&build);
    let again = desk.json(&build);
    assert_eq!(
        (&again["report"]["encoded"], &again["report"]["unchanged"]),
        (&0.into(), &9.into())
    );
    desk.write("in/1_64x97.txt", "now with a caption");
    fs::remove_file(desk.path("in/0_97x64.png")).unwrap();
    desk.write("in/2_65x98.png", "overwritten with something else");
    let changed = desk.json(&build);
    let report = &changed["report"];
    assert_eq!((&report["encoded"], &report["deleted"]), (&1.into(), &2.into()));
    assert_eq!(report["skipped"], 2);
    let points = desk.json("inspect --json")["collections"][0]["footprint"]["points"].clone();
    assert_eq!(points, 7);
}

#[test]
fn captions_are_measured_and_a_model_of_texts_is_refused() {
    let (desk, model) = desk_with_pictures();
    let found = desk.json(&format!("eval --images in --image-model {model} --json"));
    assert_eq!(
        (&found["pictures"], &found["captions"], &found["left_out"]),
        (&2.into(), &2.into(), &8.into())
    );
    assert_eq!(found["text_to_image"][1], 1.0);
    assert_eq!(found["chance"][0], 0.5);
    let none = format!("eval --images in --leave-out x --image-model {model}");
    assert!(desk.fail(&none, 1).ends_with("no picture with a caption"));
    let texts = test_data("bert-tiny").display().to_string();
    let error = desk.fail(&format!("build --images in --image-model {texts}"), 1);
    assert!(error.contains("model_type \"bert\" is not supported"), "{error}");
    let error = desk.fail("build --images in", 1);
    assert!(error.contains("scripts/setup.sh images"), "{error}");
}

#[test]
fn the_demo_of_pictures_writes_a_page() {
    let (desk, _) = desk_with_pictures();
    let model = test_data("clip-tiny").display().to_string();
    let line = format!("demo --images in --image-model {model} --html page.html");
    let shown = desk.succeed(&line);
    assert!(shown.contains("9 encoded, 1 skipped") && shown.contains("broken.jpg"), "{shown}");
    let html = fs::read_to_string(desk.path("page.html")).unwrap();
    // Six questions of six results, and three pictures with six each.
    assert_eq!(html.matches("<h2>").count(), 9);
    assert!(html.matches("<img ").count() >= 6 * 6 + 2 * 7, "{}", html.matches("<img ").count());
    assert!(desk.succeed(&line).contains("9 unchanged"));
}
