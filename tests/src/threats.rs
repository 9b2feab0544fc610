//! Every test that the threat model names is there.

use std::{fs, path::Path};

/// All of the tests' sources, one text.
fn sources(below: &Path, text: &mut String) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            *text += &fs::read_to_string(&path).unwrap();
        }
    }
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    for below in [
        "tests/tests",
        "tests/fuzz/src",
        "tests/fuzz/tests",
        "sipprot-ctl/src",
        "sipprot-common/src",
    ] {
        sources(&root.join(below), &mut text);
    }
    let document = fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let mut named = 0;
    for row in document.lines().filter(|it| it.starts_with("| ") && it.ends_with("` |")) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for test in tests.split(", ").map(|it| it.trim_matches('`')) {
            named += 1;
            let known = test == "cargo xtask torture" || text.contains(&format!("fn {test}("));
            assert!(known, "no test is called {test}");
        }
    }
    assert!(named > 30, "only {named} tests are named");
}
