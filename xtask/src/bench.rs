//! `cargo xtask bench`: builds, then becomes the bench, which measures the built object.

use anyhow::Result;
use clap::Args;

use crate::{build, prerequisites::Purpose, process, setup, workspace};

#[derive(Args)]
pub struct Options {
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// More arguments for the bench
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub fn bench(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Pinning])?;
    let built = build::build(&build::Options::default())?;
    let mut cargo = workspace::cargo("build");
    cargo.args(["--release", "--package", "sipprot-bench"]);
    process::run(cargo.env(build::OBJECT_VARIABLE, &built.object))?;
    let mut command = process::as_root(workspace::release_binary("sipprot-bench"))?;
    command.arg("--object").arg(built.object);
    command.args(options.json.then_some("--json")).args(&options.arguments);
    Err(process::become_command(command))
}
