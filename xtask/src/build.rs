//! `cargo xtask build`: the eBPF object and the dashboard, then the controller with both in it.
//!
//! All are kept up to date, so that a second build is quick.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    docs,
    prerequisites::Purpose,
    process::{self, say},
    setup,
    toolchain::Toolchain,
    ui, workspace,
};

/// By this variable the controller's build script is told which object to embed.
pub const OBJECT_VARIABLE: &str = "SIPPROT_EBPF_OBJECT";

#[derive(Args, Default)]
pub struct Options {
    /// Compile the datapath's debug logging in (aya-log); without it there is none
    #[arg(long)]
    log: bool,
}

/// How a controller is compiled: cargo's profile of that name.
#[derive(Clone, Copy)]
pub enum Profile {
    /// What ships.
    Release,
    /// What the labs try: the tests have compiled most of it.
    Dev,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// Cargo's selection. For the labs with the whole workspace's features, as their tests are
    /// compiled: not one crate is compiled twice.
    const fn selected(self) -> &'static [&'static str] {
        match self {
            Self::Release => &["--package", "sipprot-ctl"],
            Self::Dev => &["--workspace", "--bin", "sipprot"],
        }
    }

    /// Where cargo leaves it.
    const fn directory(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// What a build leaves, as absolute paths.
pub struct Built {
    pub sipprot: PathBuf,
    pub object: PathBuf,
    /// With the same environment nothing is compiled again.
    pub environment: Vec<(OsString, OsString)>,
}

/// Builds everything that a release is made of, and installs what that needs first.
pub fn build(options: &Options, profile: Profile) -> Result<Built> {
    setup::ensure(&[Purpose::Build])?;
    let object = build_object(options)?;
    let mut cargo = workspace::cargo("build");
    embed(&mut cargo, &object)?;
    let set = |(name, value): (&OsStr, Option<&OsStr>)| Some((name.to_owned(), value?.to_owned()));
    let environment = cargo.get_envs().filter_map(set).collect();
    process::run(cargo.args(["--profile", profile.name()]).args(profile.selected()))?;
    let sipprot = workspace::binary(profile.directory(), "sipprot");
    say(format_args!("built {}", sipprot.display()));
    Ok(Built { sipprot, object, environment })
}

/// Tells a build of the controller what to embed.
pub fn embed(cargo: &mut Command, object: &Path) -> Result<()> {
    cargo.env(OBJECT_VARIABLE, object).env(docs::VARIABLE, docs::build()?);
    match ui::build()? {
        Some(dist) => cargo.env(ui::DIST_VARIABLE, dist),
        None => cargo.env_remove(ui::DIST_VARIABLE),
    };
    Ok(())
}

/// Builds a program of the lab or the bench, and is the command that runs it as root.
pub fn root_program(package: &str, program: &str, built: &Built) -> Result<Command> {
    let mut cargo = workspace::cargo("build");
    cargo.args(["--release", "--package", package, "--bin", program]);
    process::run(cargo.envs(built.environment.iter().cloned()))?;
    process::as_root(workspace::binary("release", program))
}

fn build_object(options: &Options) -> Result<PathBuf> {
    let manifest = workspace::ebpf_dir().join("Cargo.toml");
    if !manifest.is_file() {
        bail!("{} isn't there", manifest.display());
    }
    let toolchain = Toolchain::find()?;
    say(format_args!("eBPF object: {}", toolchain.description()));
    let features = if options.log { &["--features", "log"][..] } else { &[] };
    compile(&toolchain, features, "sipprot-ebpf")
}

/// The bench's own object beside the shipped one.
pub fn build_bench_object() -> Result<PathBuf> {
    let name = "sipprot-bench-ebpf";
    compile(&Toolchain::find()?, &["--features", "bench", "--bin", name], name)
}

fn compile(toolchain: &Toolchain, arguments: &[&str], name: &str) -> Result<PathBuf> {
    process::run(toolchain.cargo("build").args(arguments))?;
    let object = Toolchain::object(name);
    if !object.is_file() {
        bail!("the eBPF crate was built but left no object at {}", object.display());
    }
    Ok(object)
}
