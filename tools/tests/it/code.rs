//! Code: built from a folder, searched, measured.

use std::fs;

use crate::desk::{Desk, model_folder};
use crate::models::model;

/// A function whose end does something else than its beginning.
fn long_function() -> String {
    let body: String =
        (0..40).map(|i| format!("    total_{i} = price_{i} * amount_{i} + tax_{i}\n")).collect();
    format!(
        "import smtplib\n\n\ndef close_month(orders):\n    \"\"\"Adds up all orders.\"\"\"\n{body}\
         \x20   with smtplib.SMTP('localhost') as server:\n        message = 'please pay the invoice'\n        \
         server.sendmail('shop', 'customer@example.com', message)\n    return total_1\n"
    )
}

fn write_code(desk: &Desk) {
    fs::create_dir_all(desk.path("code/src")).unwrap();
    desk.write("code/.gitignore", "ignored.py\n").write("code/ignored.py", "def secret(): pass\n");
    desk.write("code/src/shop.py", long_function());
    desk.write(
        "code/src/pool.rs",
        "/// Takes an idle connection.\npub fn take() -> Connection { open() }\n",
    );
    desk.write("code/src/blob.c", b"int x;\0");
}

#[test]
fn a_folder_without_a_model_is_refused_before_anything_is_made() {
    let desk = Desk::new();
    write_code(&desk);
    let error = desk.fail("build --code code", 1);
    assert!(error.contains("no model"), "{error}");
    let error = desk.fail("build --code nowhere", 1);
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn a_question_about_the_end_of_a_function_finds_its_lines() {
    let Some(model) = model_folder() else { return };
    let desk = Desk::new();
    write_code(&desk);
    let build = format!("build --code code --model {}", model.display());
    let built = desk.json(&format!("{build} --json"));
    let report = &built["report"];
    assert_eq!((&report["encoded"], &report["others"]), (&2.into(), &0.into()));
    assert_eq!(report["skipped_files"][0], "src/blob.c: a binary file");

    let shown = desk.succeed("search --code --limit 1 mail+the+customer");
    assert!(shown.contains("src/shop.py:") && shown.contains("function close_month"), "{shown}");
    let found = desk.json("search --code --json --limit 2 send+a+mail+to+the+customer");
    let snippet = &found["snippets"][0];
    assert_eq!(snippet["snippet"], "src/shop.py:4");
    let best = &snippet["blocks"][0]["payload"];
    assert!(
        best["end_line"].as_u64().unwrap() >= 47 && best["line"].as_u64().unwrap() > 30,
        "{best}"
    );
    assert!(best["text"].as_str().unwrap().contains("sendmail"), "{best}");
    let rust =
        desk.json(r#"search --code --json --filter {"field":"language","eq":"rust"} connection"#);
    assert_eq!(rust["snippets"].as_array().unwrap().len(), 1);

    // A test that says the same is found beside the code, and left out when asked.
    let test = "#[test]\nfn takes() { assert!(take().is_idle_connection()) }\n";
    let code = fs::read_to_string(desk.path("code/src/pool.rs")).unwrap();
    desk.write("code/src/pool.rs", format!("{code}{test}"));
    desk.succeed(&build);
    let search = r#"search --code --filter {"field":"language","eq":"rust"} idle+connection"#;
    let shown = desk.succeed(search);
    assert!(shown.contains("function take\n") && shown.contains("test: function takes"), "{shown}");
    let shown = desk.succeed(&format!("{search} --no-tests"));
    assert!(shown.contains("function take\n") && !shown.contains("takes"), "{shown}");

    fs::remove_file(desk.path("code/src/pool.rs")).unwrap();
    let again = desk.json(&format!("{build} --json"));
    let report = &again["report"];
    assert_eq!(
        (&report["encoded"], &report["unchanged"], &report["gone"]),
        (&0.into(), &1.into(), &1.into())
    );
}

#[test]
fn comments_measure_how_well_code_is_found() {
    let Some(model) = model_folder() else { return };
    let desk = Desk::new();
    fs::create_dir(desk.path("code")).unwrap();
    let mail = long_function().replace(
        "    with smtplib",
        "    # Tell the customer by mail what is to pay.\n    with smtplib",
    );
    let draw = mail
        .replace("close_month", "draw")
        .replace(
            "Tell the customer by mail what is to pay",
            "Paint the border of the window in red",
        )
        .replace("server", "canvas")
        .replace("'please pay the invoice'", "Rectangle(window.border, color='red')");
    desk.write("code/a.py", mail).write("code/b.py", draw);
    let line = format!("eval --code code --json --model {}", model.display());
    let evaluation = desk.json(&line);
    assert_eq!((&evaluation["functions"], &evaluation["queries"][0]), (&2.into(), &2.into()));
    let row = |method: &str| {
        let rows = evaluation["rows"].as_array().unwrap();
        rows.iter().find(|row| row["method"] == method).unwrap()["deep"]["mrr"].as_f64().unwrap()
    };
    assert!((row("best block") - 1.0).abs() < 1e-9, "{evaluation}");
    let error = desk.fail(&format!("{line} --step 33"), 2);
    assert!(error.contains("step out of range: expected 1 to 32, got 33"), "{error}");
}

#[test]
fn an_aggregator_is_trained_on_docstrings_and_scores_functions_by_one_vector() {
    let desk = Desk::new();
    model(&desk, "bert-tiny");
    fs::create_dir(desk.path("code")).unwrap();
    let letters = |at: usize| -> String {
        let letter = |place: u32| char::from(b'a' + (at / 5_usize.pow(place) % 5) as u8);
        (0..3).map(letter).collect()
    };
    for at in 0..60 {
        let word = letters(at);
        let noise = |line: usize| format!("    {} = {}\n", letters(at + line), letters(9 * line));
        let body: String = (0..at % 6 * 5).map(noise).collect();
        let code = format!(
            "def {word}(x):\n    \"\"\"{word} x {word} z.\"\"\"\n    y = {word} + {word}\n{body}    return y\n"
        );
        desk.write(&format!("code/f{at:02}.py"), code);
    }
    let line = "train aggregator --code code --model bert-tiny --min-bytes 20 --block-tokens 24 --steps 120 \
                --batch 16 --blocks blocks --plot loss.svg --keep --json";
    let report = desk.json(&format!("{line} --out a"));
    assert_eq!((&report["written"], &report["steps"]), (&"a".into(), &120.into()), "{report}");
    let scores = &report["scores"];
    assert_eq!(scores["functions"], 60, "{report}");
    assert!(scores["blocks"].as_u64() > Some(100), "{report}");
    let rows = scores["all"]["rows"].as_array().unwrap();
    let mrr = |at: usize| rows[at]["figures"][0].as_f64().unwrap();
    assert!((mrr(0) - report["mean"].as_f64().unwrap()).abs() < 1e-9, "{report}");
    assert!((mrr(2) - report["learned"].as_f64().unwrap()).abs() < 1e-9, "{report}");
    assert!(fs::read_to_string(desk.path("loss.svg")).unwrap().starts_with("<svg"));
    // Blocks that are kept, and a training that goes on, give the same file.
    let again = desk.json(&format!("{line} --out b --checkpoint state"));
    assert_eq!(again["learned"], report["learned"]);
    assert_eq!(fs::read(desk.path("a")).unwrap(), fs::read(desk.path("b")).unwrap());
    assert!(!desk.path("state").try_exists().unwrap());
    let two = desk.json(&format!("{line} --out c --seeds 2 --hidden 4 --with-mean --validation"));
    assert_eq!(two["scores"]["seeds"], 2, "{two}");

    desk.write(
        "code/long.py",
        long_function().replace(
            "    with smtplib",
            "    # Tell the customer by mail what is to pay.\n    with smtplib",
        ),
    );
    let eval = "eval --code code --json --model bert-tiny --deep-tokens 100 --aggregator";
    let rows = &desk.json(&format!("{eval} a"))["rows"];
    let methods = rows.as_array().unwrap().iter().map(|row| row["method"].as_str().unwrap());
    assert_eq!(rows[4]["over_mean"]["deep"].as_array().unwrap().len(), 3, "{rows}");
    assert!(methods.eq(["beginning", "mean", "max", "max + mean", "attention", "best block"]));
    let error = desk.fail(&format!("{eval} loss.svg"), 1);
    assert!(error.contains("loss.svg: --aggregator"), "{error}");
    let error =
        desk.fail("train aggregator --code code --model bert-tiny --min-bytes 99999 --out d", 1);
    assert!(error.contains("too few documented functions: 0 were found"), "{error}");
    let error = desk.fail(&format!("{} --out e", line.replace("--steps 120", "--steps 0")), 1);
    assert!(error.contains("steps out of range: expected 1 or more, got 0"), "{error}");
}
