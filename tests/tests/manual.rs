//! The manual's commands, run: every line behind a `#` or `$` in a block called `console`, in the order of the
//! chapters, on a protected host that has just been attacked.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the test says what
//! is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    process::write_program,
    topology::Family,
};

/// Who is attacked from in the manual: the first attacker of every lab.
const ATTACKER: &str = "198.51.100.10";
/// Of a host that the lab isn't: what doctor finds there is no fault of the manual's.
const MAY_FAIL: [&str; 1] = ["sipprot doctor"];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// File, line and command.
fn commands() -> Result<Vec<(String, usize, String)>> {
    let mut files: Vec<PathBuf> = fs::read_dir(docs())?.flatten().map(|it| it.path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "md"));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut inside = false;
        for (number, line) in (1..).zip(fs::read_to_string(&file)?.lines()) {
            match line {
                _ if line.starts_with("```") => inside = line == "```console",
                _ if inside => {
                    let command = line.strip_prefix("# ").or_else(|| line.strip_prefix("$ "));
                    found.extend(command.map(|it| (name.clone(), number, it.to_owned())));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// A `sipprot` that reaches the lab's daemon, as the first one in PATH.
fn path_with(lab: &Lab, daemon: &Daemon) -> Result<String> {
    let directory = lab.directory().join("bin");
    fs::create_dir(&directory)?;
    let binary = PathBuf::from(std::env::var_os("SIPPROT_BIN").context("SIPPROT_BIN")?);
    let script = format!(
        "#!/bin/sh\nexec {} --config {} \"$@\"\n",
        binary.canonicalize()?.display(),
        daemon.config_file().display()
    );
    let program = directory.join("sipprot");
    write_program(&program, script)?;
    Ok(format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default()))
}

#[test]
fn every_command_of_the_manual_works() -> Result<()> {
    let commands = commands()?;
    assert!(commands.len() > 60, "only {} commands were found", commands.len());
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let source = lab.newcomer().v4;
    assert_eq!(source.to_string(), ATTACKER);
    let plan = Plan { guesses: 50, ..Plan::new(source.into(), lab.pbxs[0].sip(Family::V4)) };
    cracker::attack_from(&lab.net.attackers, &plan)?;
    let path = path_with(&lab, &daemon)?;
    let mut failed = Vec::new();
    for (file, line, command) in &commands {
        let mut shell = lab.net.host.command("sh");
        shell.args(["-c", command]).env("PATH", &path).current_dir(lab.directory());
        let output = shell.output().context("start a shell")?;
        let may_fail = MAY_FAIL.contains(&command.as_str());
        if !output.status.success() && !may_fail {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            failed.push(format!("{file}:{line}: {command}: {}: {complaint}", output.status));
        }
    }
    println!("{} commands, {} failed", commands.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// What a page links to is there, and each alert has its runbook.
#[test]
fn links_lead_somewhere() -> Result<()> {
    const WRITTEN: [&str; 4] = ["settings", "commands", "metrics", "reasons"];
    let read = |name: &str| fs::read_to_string(docs().join(name)).with_context(|| name.to_owned());
    for file in fs::read_dir(docs())?.flatten().map(|it| it.path()) {
        if file.extension().is_none_or(|it| it != "md") {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (page, _) = link.split_once('#').unwrap_or((link, ""));
            let Some(page) = page.strip_suffix(".html") else { continue };
            let is_there = WRITTEN.contains(&page) || docs().join(format!("{page}.md")).is_file();
            assert!(is_there, "{}: {link}", file.display());
        }
    }
    let runbooks = read("runbooks.md")?;
    let alerts = read("../sipprot-ctl/pkg/alerts.yml")?;
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(runbooks.lines().any(|line| line == format!("## {alert}")), "no {alert}");
        let anchor = format!("/docs/runbooks.html#{}\"", alert.to_lowercase());
        assert!(alerts.contains(&anchor), "{alert} links elsewhere");
    }
    Ok(())
}
