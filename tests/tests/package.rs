//! The Debian package: what is in it, whether its scripts and its unit are sound. With SIPPROT_TEST_FULL=1 it is
//! installed, upgraded, started by a reboot under attack, removed and purged in a machine of its own.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without dpkg's tools, the tests say so.

#[path = "package/machine.rs"]
mod machine;
#[path = "package/names.rs"]
mod names;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// The worst that `systemd-analyze security` may say of the unit.
const EXPOSURE_MAX: f64 = 3.2;

/// A trial package of the binary under test.
struct Trial {
    directory: tempfile::TempDir,
    package: PathBuf,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

impl Trial {
    fn make(revision: &str) -> Result<Option<Self>> {
        let Some(binary) = std::env::var_os("SIPPROT_BIN") else {
            println!("skipped: needs SIPPROT_BIN (the binary)");
            return Ok(None);
        };
        if !has("dpkg-deb") || !has("dpkg-shlibdeps") {
            println!("skipped: needs dpkg-deb and dpkg-shlibdeps");
            return Ok(None);
        }
        let directory = tempfile::tempdir().context("make a directory")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut xtask = Command::new(cargo);
        xtask.current_dir(root()).args(["run", "--quiet", "--package", "xtask", "--", "package"]);
        xtask.arg("--binary").arg(binary).args(["--revision", revision, "--out"]);
        printed(xtask.arg(directory.path()))?;
        let mut files = fs::read_dir(directory.path())?.flatten().map(|entry| entry.path());
        let package = files.find(|path| path.extension().is_some_and(|it| it == "deb"));
        let package = package.context("no package was made")?;
        Ok(Some(Self { directory, package }))
    }

    /// Unpacked, with its control files in `DEBIAN`.
    fn unpacked(&self) -> Result<PathBuf> {
        let into = self.directory.path().join("unpacked");
        if !into.exists() {
            printed(Command::new("dpkg-deb").arg("--raw-extract").arg(&self.package).arg(&into))?;
        }
        Ok(into)
    }
}

#[test]
fn what_is_in_it_is_sound() -> Result<()> {
    let Some(trial) = Trial::make("+1")? else { return Ok(()) };
    let control = printed(Command::new("dpkg-deb").arg("--info").arg(&trial.package))?;
    for line in
        ["Package: sipprot", "Version: 0.1.0+1", "Recommends: tor-geoipdb", "Depends: libc6"]
    {
        assert!(control.contains(line), "{line}: {control}");
    }
    let contents = printed(Command::new("dpkg-deb").arg("--contents").arg(&trial.package))?;
    for line in contents.lines() {
        let owned = line.split_whitespace().nth(1) == Some("root/root");
        let writable = line.as_bytes()[5] == b'w' || line.as_bytes()[8] == b'w';
        assert!(owned && !writable, "{line}");
    }
    for path in [
        "./usr/bin/sipprot",
        "./lib/systemd/system/sipprot.service",
        "./usr/lib/sysusers.d/sipprot.conf",
        "./usr/lib/tmpfiles.d/sipprot.conf",
        "./usr/share/sipprot/sipprot.toml",
        "./usr/share/sipprot/alerts.yml",
        "./usr/share/sipprot/grafana-sipprot.json",
        "./usr/share/man/man1/sipprot.1.gz",
        "./usr/share/man/man1/sipprot-why.1.gz",
        "./usr/share/bash-completion/completions/sipprot",
        "./usr/share/zsh/vendor-completions/_sipprot",
        "./usr/share/fish/vendor_completions.d/sipprot.fish",
        "./usr/share/doc/sipprot/copyright",
        "./usr/share/doc/sipprot/changelog.gz",
        "./usr/share/doc/sipprot/CHANGELOG.md.gz",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(path)), "no {path}: {contents}");
    }
    let tree = trial.unpacked()?;
    for script in ["postinst", "prerm", "postrm"] {
        let script = tree.join("DEBIAN").join(script);
        assert!(fs::read_to_string(&script)?.contains("set -e\n"), "{}", script.display());
        printed(Command::new("sh").arg("-n").arg(&script))?;
    }
    printed(
        Command::new("md5sum").args(["--check", "--quiet", "DEBIAN/md5sums"]).current_dir(tree),
    )?;
    let sums = ["--check", "--quiet", "SHA256SUMS"];
    printed(Command::new("sha256sum").args(sums).current_dir(&trial.directory))?;
    if has("lintian") {
        let mut lintian = Command::new("lintian");
        let said = printed(lintian.args(["--fail-on", "error,warning"]).arg(&trial.package))?;
        println!("lintian: {}", if said.is_empty() { "nothing found" } else { &said });
    }
    Ok(())
}

#[test]
fn the_first_configuration_only_looks_on() -> Result<()> {
    let Some(trial) = Trial::make("+1")? else { return Ok(()) };
    let tree = trial.unpacked()?;
    let file = tree.join("usr/share/sipprot/sipprot.toml");
    let said =
        printed(Command::new(tree.join("usr/bin/sipprot")).args(["config", "check"]).arg(&file))?;
    println!("{}", said.trim());
    let text = fs::read_to_string(&file)?;
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with(['#', '[']);
    assert_eq!(text.lines().filter(is_said).collect::<Vec<_>>(), ["mode = \"observe\""]);
    let explained = text.lines().filter(|line| line.starts_with("# ")).count();
    assert!(explained > 150, "every key is explained: {explained} lines");
    Ok(())
}

#[test]
fn the_unit_is_valid_and_confined() -> Result<()> {
    if !has("systemd-analyze") {
        println!("skipped: needs systemd-analyze");
        return Ok(());
    }
    let directory = tempfile::tempdir().context("make a directory")?;
    let text = fs::read_to_string(root().join("sipprot-ctl/pkg/sipprot.service"))?;
    let unit = directory.path().join("sipprot.service");
    // The binary isn't installed here.
    fs::write(&unit, text.replace("/usr/bin/sipprot", "/bin/true"))?;
    let mut verify = Command::new("systemd-analyze");
    let said = verify.args(["verify", "--man=no"]).arg(&unit).output().context("run it")?;
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("sipprot.service"), "{said}");

    let mut security = Command::new("systemd-analyze");
    let said = printed(security.args(["security", "--offline=true"]).arg(&unit))?;
    let level = said.lines().last().and_then(|line| line.split(": ").nth(1)).unwrap_or_default();
    println!("{}", said.lines().last().unwrap_or_default());
    let level: f64 = level.split_whitespace().next().unwrap_or_default().parse()?;
    assert!(level <= EXPOSURE_MAX, "{said}");
    Ok(())
}

#[test]
fn it_comes_goes_and_leaves_nothing() -> Result<()> {
    if std::env::var_os("SIPPROT_TEST_FULL").is_none() {
        println!("the short form only: SIPPROT_TEST_FULL=1 installs it in a machine of its own");
        return Ok(());
    }
    if let Some(missing) = machine::missing() {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let (Some(old), Some(new)) = (Trial::make("+1")?, Trial::make("+2")?) else { return Ok(()) };
    let report = machine::play(&old.package, &new.package)?;
    println!("{report}");
    assert!(!report.contains("FAILED"), "see above");
    assert!(report.contains("end of boot 2"), "it ended too early");
    Ok(())
}

#[test]
fn names_are_looked_up() -> Result<()> {
    if std::env::var_os("SIPPROT_BIN").is_none() {
        println!("skipped: needs SIPPROT_BIN (the binary)");
        return Ok(());
    }
    println!("{}", names::look_up()?);
    Ok(())
}
