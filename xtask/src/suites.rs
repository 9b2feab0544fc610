//! What cargo has built to be run as tests: each program, of which crate and kind.
//!
//! It starts none of them: cargo's messages come in, suites come out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One test program.
#[derive(Debug, PartialEq)]
pub struct Suite {
    /// The crate's directory, in which its tests run.
    pub directory: PathBuf,
    pub kind: Kind,
    /// As cargo names the target: `lab`, `sipprot_ctl`.
    pub name: String,
    /// Of the target, below the crate's directory: `tests/lab.rs`.
    pub source: PathBuf,
    pub program: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What stands within a library or a program.
    Unit,
    /// A file or a directory of `tests`.
    Integration,
}

impl Suite {
    /// The name of the crate's directory.
    pub fn room(&self) -> &str {
        self.directory.file_name().and_then(|it| it.to_str()).unwrap_or_default()
    }
}

/// From what `cargo test --no-run --message-format=json` prints.
pub fn built(messages: &str) -> Result<Vec<Suite>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("what cargo prints")?;
        // An integration test's crate is built with its plain programs beside it.
        if let Some(program) = message["executable"].as_str()
            && message["profile"]["test"] == true
        {
            found.push(suite(&message, program).context("a test program without its source")?);
        }
    }
    if found.is_empty() {
        bail!("no test was built");
    }
    Ok(found)
}

fn suite(message: &Value, program: &str) -> Option<Suite> {
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?;
    let target = &message["target"];
    let source = Path::new(target["src_path"].as_str()?);
    Some(Suite {
        kind: if target["kind"][0] == "test" { Kind::Integration } else { Kind::Unit },
        name: target["name"].as_str()?.to_owned(),
        source: source.strip_prefix(directory).unwrap_or(source).to_owned(),
        directory: directory.to_owned(),
        program: program.into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(kind: &str, name: &str, source: &str, is_test: bool) -> String {
        let target = json!({ "kind": [kind], "name": name, "src_path": source });
        json!({
            "manifest_path": "/c/tests/Cargo.toml", "target": target,
            "profile": { "test": is_test }, "executable": format!("/t/{name}-0a"),
        })
        .to_string()
    }

    #[test]
    fn tests_are_told_from_other_programs() {
        let messages = [
            message("bin", "cracker", "/c/tests/src/bin/cracker.rs", false),
            message("lib", "sipprot_tests", "/c/tests/src/lib.rs", true),
            message("test", "lab", "/c/tests/tests/lab.rs", true),
            json!({ "reason": "build-finished" }).to_string(),
        ];
        let suites = built(&messages.join("\n")).unwrap();
        let rows: Vec<_> = suites
            .iter()
            .map(|it| (it.room(), it.kind, it.name.as_str(), it.source.to_str().unwrap()))
            .collect();
        assert_eq!(
            rows,
            [
                ("tests", Kind::Unit, "sipprot_tests", "src/lib.rs"),
                ("tests", Kind::Integration, "lab", "tests/lab.rs"),
            ]
        );
        assert!(built("{}").is_err());
        assert!(built("no JSON").is_err());
    }
}
