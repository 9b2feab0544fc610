//! What an operator's shell makes of sipprot: completions, the manual, the questions of setup, exit codes.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    fs,
    net::IpAddr,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    screen::type_into,
};

fn protected() -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), &Settings::default())
}

/// `PATH` with a directory in which the program is called `sipprot`, as it is where it is installed.
fn path(lab: &Lab) -> Result<String> {
    let directory = lab.directory().join("bin");
    fs::create_dir_all(&directory).context("make a directory")?;
    let program = PathBuf::from(std::env::var_os("SIPPROT_BIN").context("no SIPPROT_BIN")?);
    let program = program.canonicalize().context("find sipprot")?;
    std::os::unix::fs::symlink(program, directory.join("sipprot")).context("link sipprot")?;
    Ok(format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default()))
}

fn output(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().with_context(|| format!("run {name}"))
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: needs {program}");
    }
    found
}

/// Types the beginning of an address, a tab and enter into a shell: what the tab made of it is done.
fn unblocks_by_tab(
    daemon: &Daemon,
    path: &str,
    shell: &str,
    begin: &str,
    typed: &str,
) -> Result<()> {
    let mut script = Command::new("script");
    script.env("PATH", path).env("HOME", "/nonexistent").env("TERM", "xterm");
    let config = daemon.config_file();
    let line = format!("sipprot --config {} unblock {typed}", config.display());
    let keys = [begin, &line, "\t", "\n", "exit\n"];
    let screen = type_into(script, shell, &keys)?;
    ensure!(screen.text.contains("is unblocked"), "{shell}: {}", screen.text);
    Ok(())
}

#[test]
fn a_tab_brings_what_is_on_lists() -> Result<()> {
    let Some((lab, mut daemon)) = protected()? else { return Ok(()) };
    let path = path(&lab)?;
    let (v4, v6): (IpAddr, IpAddr) = ("198.51.100.77".parse()?, "2001:db8:77::1".parse()?);
    let block = || -> Result<()> {
        for address in [v4, v6] {
            daemon.text(&["block", &address.to_string()])?;
        }
        Ok(())
    };
    block()?;
    let begin = "source <(sipprot completions bash)\n";
    for typed in ["198.51.100.7", "2001:db8:7"] {
        unblocks_by_tab(&daemon, &path, "bash --norc -i", begin, typed)?;
    }
    assert!(!daemon.check(v4)?.blocked && !daemon.check(v6)?.blocked);
    if is_there("zsh") {
        block()?;
        let begin = "autoload -Uz compinit; compinit -u -D; source <(sipprot completions zsh)\n";
        unblocks_by_tab(&daemon, &path, "zsh -f -i", begin, "198.51.100.7")?;
    }
    if is_there("fish") {
        block()?;
        let line = format!("sipprot --config {} unblock 198", daemon.config_file().display());
        let ask = format!("sipprot completions fish | source; complete --do-complete '{line}'");
        let offered = output(Command::new("fish").args(["-N", "-c", &ask]).env("PATH", &path))?;
        let offered = String::from_utf8_lossy(&offered.stdout).into_owned();
        assert!(offered.contains("198.51.100.77"), "{offered}");
    }
    // Verbs, countries, and nothing of a daemon that is away.
    let config = daemon.config_file();
    let offers = |line: &str| -> Result<Vec<String>> {
        let line = format!("sipprot --config {} {line}", config.display());
        let ask = "source <(sipprot completions bash); COMP_LINE=$0; COMP_POINT=${#0}; \
                   _sipprot; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let offered = output(Command::new("bash").args(["-c", ask, &line]).env("PATH", &path))?;
        ensure!(offered.stderr.is_empty(), "{}", String::from_utf8_lossy(&offered.stderr));
        Ok(String::from_utf8_lossy(&offered.stdout).lines().map(str::to_owned).collect())
    };
    assert!(offers("to")?.contains(&"top".to_owned()));
    assert!(offers("list deny --country F")?.contains(&"FR".to_owned()));
    assert_eq!(offers("events --endpoint pbx")?, ["pbx1", "pbx2"]);
    daemon.text(&["deny", "add", "203.0.113.0/24"])?;
    assert_eq!(offers("deny remove 203")?, ["203.0.113.0/24"]);
    assert_eq!(offers("allow remove 203")?.concat(), "");
    daemon.kill()?;
    assert_eq!(offers("deny remove 203")?.concat(), "", "nobody answers");
    Ok(())
}

#[test]
fn the_manual_can_be_read() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    let directory = lab.directory().join("man");
    daemon.text(&["man", &directory.display().to_string()])?;
    let mut pages: Vec<PathBuf> =
        fs::read_dir(&directory)?.flatten().map(|entry| entry.path()).collect();
    pages.sort();
    assert!(pages.len() > 50, "{pages:?}");
    if is_there("mandoc") {
        let lint = output(Command::new("mandoc").args(["-T", "lint", "-W", "error"]).args(&pages))?;
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
    }
    if is_there("man") {
        for (page, expected) in [("sipprot.1", "sipprot-top(1)"), ("sipprot-top.1", "--once")] {
            let shown = output(Command::new("man").arg("-l").arg(directory.join(page)))?;
            let text = String::from_utf8_lossy(&shown.stdout).into_owned();
            assert!(shown.status.success() && text.contains(expected), "{page}: {text}");
        }
    }
    drop(lab);
    Ok(())
}

#[test]
fn setup_asks_writes_and_has_nothing_to_do_the_second_time() -> Result<()> {
    let Some((lab, mut daemon)) = protected()? else { return Ok(()) };
    daemon.stop()?;
    let whole = fs::read_to_string(daemon.config_file())?;
    let lines = whole.lines().filter(|it| !it.starts_with("interfaces") && !it.starts_with("mode"));
    let before: String =
        std::iter::once("# ours").chain(lines).map(|it| format!("{it}\n")).collect();
    fs::write(daemon.config_file(), &before)?;
    let line = |arguments: &str| {
        let program = daemon.command().get_program().to_string_lossy().into_owned();
        format!("{program} --config {} setup {arguments}", daemon.config_file().display())
    };
    let terminal = || {
        let mut script = lab.net.host.command("script");
        script.env("SSH_CONNECTION", "203.0.113.9 50022 192.0.2.1 22");
        script
    };

    let refused = type_into(terminal(), &line(""), &["up0\n", "\n", "\n", "n\n"])?;
    assert!(refused.text.contains("nothing is written"), "{}", refused.text);
    assert_eq!(fs::read_to_string(daemon.config_file())?, before);

    let typed = ["down7\n", "up0\n", "maybe\n", "\n", "lern\n", "\n", "y\n"];
    let screen = type_into(terminal(), &line(""), &typed)?;
    assert!(screen.ended_well, "{}", screen.text);
    for refused in [
        "there is no interface down7; there are ",
        "\"maybe\" is neither yes nor no",
        "\"lern\" is none of them",
    ] {
        assert!(screen.text.contains(refused), "{refused}: {}", screen.text);
    }
    let after = fs::read_to_string(daemon.config_file())?;
    assert!(after.starts_with("# ours\n"), "{after}");
    assert!(
        after.contains("interfaces = [\"up0\"]") && after.contains("mode = \"observe\""),
        "{after}"
    );
    let directory = daemon.config_file().parent().context("no directory")?.to_owned();
    let copies = fs::read_dir(directory)?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains(".before-setup-"));
    let copies: Vec<PathBuf> = copies.map(|entry| entry.path()).collect();
    assert!(
        matches!(copies.as_slice(), [copy] if fs::read_to_string(copy)? == before),
        "{copies:?}"
    );

    // In the store, where the daemon finds it.
    daemon.start()?;
    assert!(daemon.check("203.0.113.9".parse()?)?.allowed);
    assert_eq!(daemon.json(&["status"])?["mode"], "learning");

    let again = daemon.text(&["setup", "--dry-run"])?;
    assert!(again.contains("stays as it is"), "{again}");
    let seed = daemon.text(&["setup"])?;
    assert!(seed.contains("there already") && seed.contains("nothing to do"), "{seed}");
    let wrong = daemon.cli(&["setup", "--mode", "enforce"])?;
    assert!(!wrong.status.success(), "without --yes nothing is written");
    assert_eq!(fs::read_to_string(daemon.config_file())?, after);
    daemon.text(&["setup", "--mode", "enforce", "--yes"])?;
    assert!(fs::read_to_string(daemon.config_file())?.contains("mode = \"enforce\""));

    let says = |arguments: &[&str], expected: &[&str]| -> Result<()> {
        let output = daemon.cli(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        for part in expected {
            assert!(said.contains(part), "{part}: {said}");
        }
        Ok(())
    };
    says(&["setup", "--iface", "down7", "--yes"], &["there is no interface down7; there are "])?;
    // Another PBX's address; the lines that the error counts are not in the file.
    let twice = ["setup", "--endpoint", "third=192.0.2.11", "--yes"];
    says(&twice, &["nothing is written", " as it would be:", "name = \"third\""])?;
    let fresh = lab.directory().join("fresh.toml");
    let mut first = lab.net.host.command(daemon.program());
    first.arg("--config").arg(&fresh).args(["setup", "--iface", "up0", "--dry-run"]);
    let proposed = first.output()?;
    let plan = String::from_utf8_lossy(&proposed.stdout);
    assert!(proposed.status.success() && plan.contains("+ interfaces = [\"up0\"]"), "{proposed:?}");
    Ok(())
}

#[test]
fn exit_codes_and_where_messages_go() -> Result<()> {
    let Some((lab, mut daemon)) = protected()? else { return Ok(()) };
    let check = |daemon: &Daemon, arguments: &[&str], code: i32| -> Result<()> {
        let output = daemon.cli(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(code), "{arguments:?}: {}: {said}", output.status);
        // Who fails says why, and not where data are expected.
        ensure!((code == 0) == output.stderr.is_empty(), "{arguments:?}: {said:?}");
        let no_data = output.stdout.is_empty() || arguments[0] == "doctor";
        ensure!(code == 0 || no_data, "{arguments:?}: {:?}", output.stdout);
        let coloured = output.stdout.contains(&0x1b);
        ensure!(!coloured, "{arguments:?}: colours where there is no terminal");
        Ok(())
    };
    for verb in ["status", "report", "version", "top", "events", "--version", "-v", "--help"] {
        check(&daemon, &[verb], 0)?;
    }
    check(&daemon, &["nonsense"], 2)?;
    check(&daemon, &["unblock", "192.0.2.300"], 2)?;
    check(&daemon, &["events", "--kind", "nonsense"], 2)?;
    check(&daemon, &["deny", "remove", "203.0.113.99"], 4)?;
    check(&daemon, &["trust", "revoke", "203.0.113.99"], 4)?;
    check(&daemon, &["block", "192.0.2.1"], 6)?;
    check(&daemon, &["block", "203.0.113.99", "--for", "9999d"], 1)?;
    let config = fs::read_to_string(daemon.config_file())?;
    fs::write(daemon.config_file(), format!("{config}\nnonsense = 1\n"))?;
    check(&daemon, &["reload"], 5)?;
    check(&daemon, &["config", "check"], 5)?;
    // The daemon runs on with what it has, and can be asked.
    check(&daemon, &["status"], 0)?;
    fs::write(daemon.config_file(), config)?;
    daemon.kill()?;
    for verb in ["status", "top", "events", "report"] {
        check(&daemon, &[verb], 3)?;
    }
    check(&daemon, &["events", "--follow"], 3)?;
    check(&daemon, &["doctor"], 1)?;
    drop(lab);
    Ok(())
}

#[test]
fn what_is_only_tried_changes_nothing() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    daemon.text(&["deny", "add", "203.0.113.0/24"])?;
    daemon.text(&["peer", "add", "198.51.100.50"])?;
    daemon.text(&["block", "198.51.100.60"])?;
    let state = || -> Result<Vec<serde_json::Value>> {
        let all =
            [&["list", "deny"][..], &["list", "allow"], &["peer", "list"], &["list", "dynamic"]];
        all.into_iter().map(|arguments| daemon.json(arguments)).collect()
    };
    let before = state()?;
    for (arguments, expected) in [
        (&["block", "198.51.100.70", "--for", "1h"][..], "198.51.100.70 would be blocked for 1h"),
        (
            &["unblock", "198.51.100.60"],
            "198.51.100.60 would be unblocked: blocks and containments 1",
        ),
        (&["unblock", "198.51.100.61"], "nothing stands against 198.51.100.61"),
        (&["deny", "add", "2001:db8:dead::/48"], "2001:db8:dead::/48 would be on the denylist"),
        (&["allow", "add", "198.51.100.70"], "198.51.100.70 would be on the allowlist"),
        (&["deny", "edit", "203.0.113.0/24", "--note", "x"], "203.0.113.0/24 would change"),
        (
            &["deny", "remove", "203.0.113.0/24"],
            "203.0.113.0/24 would no longer be on the denylist",
        ),
        (&["peer", "add", "198.51.100.80"], "198.51.100.80 would be a trusted peer"),
        (&["peer", "remove", "198.51.100.50"], "198.51.100.50 would be no peer any more"),
        (&["reload"], "nothing would change"),
    ] {
        let said = daemon.text(&[arguments, &["--dry-run"]].concat())?;
        assert!(said.starts_with(expected), "{arguments:?}: {said}");
    }
    assert_eq!(state()?, before);
    for (arguments, code) in [
        (&["block", "192.0.2.1"][..], 6),
        (&["deny", "add", "192.0.2.0/24"], 6),
        (&["deny", "remove", "203.0.113.99"], 4),
        (&["trust", "revoke", "203.0.113.99"], 4),
    ] {
        let output = daemon.cli(&[arguments, &["--dry-run"]].concat())?;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
    daemon.configure(&Settings { register_limit: 23, ..Settings::default() })?;
    let said = daemon.text(&["reload", "--dry-run"])?;
    assert!(said.contains("+ rules.register_limit = 23"), "{said}");
    let in_force = daemon.text(&["reload", "--dry-run"])?;
    assert_eq!(in_force, said, "the first one changed nothing");
    drop(lab);
    Ok(())
}
