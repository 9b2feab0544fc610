//! `cargo xtask lint`: formatting, clippy for every crate with warnings as errors, `tidy`, and what may be
//! linked.
//!
//! Every check runs, whatever the others found, so that one run shows all there is to mend.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    dependencies,
    prerequisites::Purpose,
    process::{self, say},
    setup, tidy,
    toolchain::{self, Toolchain},
    ui, workspace,
};

type Check = fn() -> Result<()>;

const ARM: &str = "aarch64-unknown-linux-gnu";

#[derive(Args)]
pub struct Options {
    /// Whether it compiles for aarch64 too, with its standard library; takes minutes
    #[arg(long)]
    aarch64: bool,
}

pub fn lint(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Build])?;
    let mut checks: Vec<(&str, Check)> = vec![
        ("tidy", tidy_sources),
        ("licenses, bans and sources of dependencies", dependencies::check),
        ("fmt", || process::run(workspace::cargo("fmt").args(["--all", "--check"]))),
        ("fmt of the eBPF crate", || process::run(&mut format_ebpf())),
        ("clippy", || process::run(&mut clippy_host())),
        ("clippy of the eBPF crate", || process::run(&mut clippy_ebpf(&[])?)),
        ("clippy of the eBPF crate with logging", || {
            process::run(&mut clippy_ebpf(&["--features", "log"])?)
        }),
        ("clippy of the bench's eBPF object", || {
            process::run(&mut clippy_ebpf(&["--features", "bench"])?)
        }),
        ("the dashboard", ui::check),
    ];
    if options.aarch64 {
        setup::ensure(&[Purpose::Arm])?;
        checks.push(("compiling for aarch64", || process::run(&mut check_arm()?)));
    }
    let mut failed = Vec::new();
    for (name, check) in checks {
        say(format_args!("lint: {name}"));
        if let Err(error) = check() {
            say(format_args!("{error:#}"));
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("lint failed: {}", failed.join(", "));
    }
    say("lint: nothing found");
    Ok(())
}

fn tidy_sources() -> Result<()> {
    let violations = tidy::check(&workspace::root())?;
    for violation in &violations {
        say(violation);
    }
    match violations.len() {
        0 => Ok(()),
        count => bail!("{count} of our own rules broken"),
    }
}

/// The host's rustfmt formats the eBPF crate too: formatting needs no BPF toolchain.
fn format_ebpf() -> Command {
    let mut cargo = workspace::cargo("fmt");
    cargo.arg("--check").arg("--manifest-path").arg(workspace::ebpf_dir().join("Cargo.toml"));
    cargo
}

fn clippy_host() -> Command {
    let mut cargo = workspace::cargo("clippy");
    cargo.args(["--workspace", "--all-targets", "--", "-Dwarnings"]);
    cargo
}

/// What ships; the labs are of this machine.
fn check_arm() -> Result<Command> {
    let mut cargo = toolchain::cargo_with_std("check", ARM)?;
    cargo.args(["--package", "sipprot-common", "--package", "sipprot-ctl"]);
    Ok(cargo)
}

fn clippy_ebpf(features: &[&str]) -> Result<Command> {
    let mut cargo = Toolchain::find()?.cargo("clippy");
    cargo.args(features).args(["--", "-Dwarnings"]);
    Ok(cargo)
}
