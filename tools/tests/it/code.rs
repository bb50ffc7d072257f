//! Code: built from a folder, searched, measured.

use std::fs;

use crate::desk::{Desk, model_folder};

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
