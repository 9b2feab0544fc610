//! `cargo xtask package`: the Debian package, the static binary, and their checksums, in `target/package`.
//!
//! What is in the package lies in `sipprot-ctl/pkg`; what can be made is made by the binary itself (default
//! configuration, pages of the manual, completions), so that it can't say anything else than the binary does.
//! dpkg-deb builds it from a tree: no other tool is needed for it, and a trial package takes a second.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{
    build,
    prerequisites::Purpose,
    process::{self, say},
    setup, workspace,
};

#[derive(Args)]
pub struct Options {
    /// Package this binary, and build nothing: for a trial. The static binary is left out
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Appended to the version, such as +1
    #[arg(long, default_value = "")]
    revision: String,
    /// Where the results go; target/package otherwise
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const PROGRAM: u32 = 0o755;
const DATA: u32 = 0o644;
/// The line of the default configuration that a package has otherwise: it starts by looking on.
const MODE: (&str, &str) = ("#mode = \"enforce\"\n", "mode = \"observe\"\n");
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// From `sipprot-ctl/pkg` to their places.
const FILES: [(&str, &str); 5] = [
    ("sipprot.service", "lib/systemd/system/sipprot.service"),
    ("sipprot.sysusers", "usr/lib/sysusers.d/sipprot.conf"),
    ("sipprot.tmpfiles", "usr/lib/tmpfiles.d/sipprot.conf"),
    ("alerts.yml", "usr/share/sipprot/alerts.yml"),
    ("grafana-sipprot.json", "usr/share/sipprot/grafana-sipprot.json"),
];

const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/sipprot"),
    ("zsh", "usr/share/zsh/vendor-completions/_sipprot"),
    ("fish", "usr/share/fish/vendor_completions.d/sipprot.fish"),
];

pub fn package(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Package])?;
    let out = options.out.clone().unwrap_or_else(|| workspace::target_dir().join("package"));
    let out = std::path::absolute(out).context("cannot find the current directory")?;
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let version = version()?;
    let mut made = Vec::new();
    let binary = match &options.binary {
        Some(binary) => {
            binary.canonicalize().with_context(|| format!("no {}", binary.display()))?
        }
        None => {
            let built = build::build(&build::Options::default(), build::Profile::Release)?;
            made.push(static_binary(&built.object, &out, &version)?);
            built.sipprot
        }
    };
    let version = version + &options.revision;
    made.push(debian(&binary, &out, &version, options.binary.is_some())?);
    checksums(&out, &made)?;
    for name in made {
        say(format_args!("made {}", out.join(name).display()));
    }
    Ok(())
}

/// Of the workspace; all its crates have it.
fn version() -> Result<String> {
    let manifest = workspace::root().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).context("cannot read the workspace's manifest")?;
    let line = text.lines().find_map(|line| line.strip_prefix("version = \""));
    Ok(line.and_then(|rest| rest.strip_suffix('"')).context("no version")?.to_owned())
}

/// For hosts of any distribution. glibc's own resolver is in it: /etc/hosts and DNS.
fn static_binary(object: &Path, out: &Path, version: &str) -> Result<String> {
    let machine = printed(Command::new("uname").arg("-m"))?;
    let target = format!("{machine}-unknown-linux-gnu");
    let mut cargo = workspace::cargo("build");
    build::embed(&mut cargo, object)?;
    // A target of its own: build scripts and macros are not static.
    cargo.args(["--release", "--package", "sipprot-ctl", "--target", &target]);
    cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::run(&mut cargo)?;
    let built = workspace::target_dir().join(&target).join("release/sipprot");
    let name = format!("sipprot-{version}-{machine}-linux-static");
    put_binary(&built, &out.join(&name))?;
    Ok(name)
}

fn debian(binary: &Path, out: &Path, version: &str, is_trial: bool) -> Result<String> {
    let architecture = printed(Command::new("dpkg").arg("--print-architecture"))?;
    let tree = out.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).context("cannot remove the last tree")?;
    }
    let program = tree.join("usr/bin/sipprot");
    put_binary(binary, &program)?;
    fill(&tree, &program, version)?;
    let control = tree.join("DEBIAN");
    let depends = dependencies(&program, out)?;
    let template = fs::read_to_string(pkg("debian/control")).context("no control file")?;
    let text = template
        .replace("{version}", version)
        .replace("{architecture}", &architecture)
        .replace("{kilobytes}", &kilobytes(&tree)?)
        .replace("{depends}", &depends);
    ensure!(!text.contains('{'), "the control file has more to fill in");
    put(&control.join("control"), &text, DATA)?;
    for name in SCRIPTS {
        let text = fs::read_to_string(pkg("debian").join(name)).context("no maintainer script")?;
        put(&control.join(name), &text, PROGRAM)?;
    }
    put(&control.join("md5sums"), &sums(&tree)?, DATA)?;
    let name = format!("sipprot_{version}_{architecture}.deb");
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.env("SOURCE_DATE_EPOCH", committed_at()?);
    if is_trial {
        dpkg.args(["-Zgzip", "-z1"]);
    }
    process::run(dpkg.args(["--root-owner-group", "--build"]).arg(&tree).arg(out.join(&name)))?;
    Ok(name)
}

/// Everything but the binary.
fn fill(tree: &Path, program: &Path, version: &str) -> Result<()> {
    for (from, to) in FILES {
        let text = fs::read_to_string(pkg(from)).with_context(|| format!("no {from}"))?;
        put(&tree.join(to), &text, DATA)?;
    }
    let config = printed_whole(Command::new(program).args(["config", "default"]))?;
    // The host's comes before that of any section.
    let config = config.replacen(MODE.0, MODE.1, 1);
    let (host, _) = config.split_once("\n[").context("a configuration without sections")?;
    ensure!(host.contains(MODE.1), "the default configuration names no mode of the host");
    put(&tree.join("usr/share/sipprot/sipprot.toml"), &config, DATA)?;
    for (shell, place) in COMPLETIONS {
        let script = printed_whole(Command::new(program).args(["completions", shell]))?;
        put(&tree.join(place), &script, DATA)?;
    }
    let pages = tree.join("usr/share/man/man1");
    let mut man = Command::new(program);
    process::run(man.arg("man").arg(&pages).env("SOURCE_DATE_EPOCH", committed_at()?))?;
    let documents = tree.join("usr/share/doc/sipprot");
    put(&documents.join("copyright"), &text_of(&pkg("debian/copyright"))?, DATA)?;
    let changes = text_of(&workspace::root().join("CHANGELOG.md"))?;
    put(&documents.join("CHANGELOG.md"), &changes, DATA)?;
    put(&documents.join("changelog"), &changelog(version)?, DATA)?;
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "--no-name", "--recursive"]).arg(&pages);
    gzip.args(["CHANGELOG.md", "changelog"].map(|name| documents.join(name)));
    process::run(&mut gzip)?;
    for page in fs::read_dir(&pages).context("no pages")?.flatten() {
        fs::set_permissions(page.path(), fs::Permissions::from_mode(DATA))?;
    }
    Ok(())
}

/// As Debian's tools read it; what has changed is in CHANGELOG.md beside it.
fn changelog(version: &str) -> Result<String> {
    let control = text_of(&pkg("debian/control"))?;
    let maintainer = control.lines().find_map(|line| line.strip_prefix("Maintainer: "));
    let maintainer = maintainer.context("no maintainer")?;
    let at = format!("@{}", committed_at()?);
    let date = printed(Command::new("date").args(["--utc", "--rfc-email", "--date", &at]))?;
    Ok(format!(
        "sipprot ({version}) bookworm; urgency=medium\n\n  * What has changed is in CHANGELOG.md.gz.\n\n \
         -- {maintainer}  {date}\n"
    ))
}

fn pkg(name: &str) -> PathBuf {
    workspace::root().join("sipprot-ctl/pkg").join(name)
}

fn text_of(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn put(path: &Path, text: &str, mode: u32) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    make_parent(path)?;
    fs::write(path, text).with_context(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(failed)
}

fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { bail!("{} has no directory", path.display()) };
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
}

/// Without the symbols that only a debugger reads.
fn put_binary(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    process::run(Command::new("strip").arg("--strip-unneeded").arg("-o").arg(to).arg(from))?;
    fs::set_permissions(to, fs::Permissions::from_mode(PROGRAM)).context("cannot set its mode")
}

/// What dpkg-shlibdeps finds; it wants a source package around it.
fn dependencies(program: &Path, out: &Path) -> Result<String> {
    let source = out.join("source");
    put(
        &source.join("debian/control"),
        "Source: sipprot\n\nPackage: sipprot\nArchitecture: any\n",
        DATA,
    )?;
    let mut shlibdeps = Command::new("dpkg-shlibdeps");
    shlibdeps.arg("-O").arg(program).current_dir(&source);
    let found = printed(&mut shlibdeps)?;
    fs::remove_dir_all(&source).context("cannot remove what dpkg-shlibdeps wanted")?;
    let found = found.strip_prefix("shlibs:Depends=").context("dpkg-shlibdeps found nothing")?;
    Ok(found.to_owned())
}

fn kilobytes(tree: &Path) -> Result<String> {
    let said = printed(Command::new("du").args(["--apparent-size", "-sk"]).arg(tree))?;
    Ok(said.split_whitespace().next().context("du said nothing")?.to_owned())
}

fn sums(tree: &Path) -> Result<String> {
    let mut script = Command::new("sh");
    let all = "find . -type f ! -path './DEBIAN/*' -printf '%P\\0' | sort -z | xargs -0 md5sum";
    printed_whole(script.args(["-c", all]).current_dir(tree))
}

fn checksums(out: &Path, names: &[String]) -> Result<()> {
    let text = printed_whole(Command::new("sha256sum").args(names).current_dir(out))?;
    put(&out.join("SHA256SUMS"), &text, DATA)
}

/// The time that goes into the archive: that of the last commit, so that the same sources give the same package.
fn committed_at() -> Result<String> {
    printed(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace::root()))
}

fn printed(command: &mut Command) -> Result<String> {
    Ok(printed_whole(command)?.trim_end().to_owned())
}

/// What a command says, if it ends well.
fn printed_whole(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    String::from_utf8(output.stdout).context("not UTF-8")
}
