//! `cargo xtask bench`: builds, then becomes the bench, which measures the built object.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{build, prerequisites::Purpose, process, setup};

#[derive(Args)]
pub struct Options {
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// At most two minutes, for a first impression
    #[arg(long)]
    quick: bool,
    /// Write charts (SVG) into this directory
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
    /// More arguments for the bench
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub fn bench(options: &Options) -> Result<()> {
    use Purpose::{Bench, Build, Geo, Lab, Pinning};
    setup::ensure(&[Build, Pinning, Lab, Geo, Bench])?;
    let built = build::build(&build::Options::default(), build::Profile::Release)?;
    let own_object = build::build_bench_object()?;
    let mut command = build::root_program("sipprot-bench", "sipprot-bench", &built)?;
    command.arg("--object").arg(built.object).arg("--own-object").arg(own_object);
    command.arg("--sipprot").arg(built.sipprot);
    command.args(options.json.then_some("--json")).args(options.quick.then_some("--quick"));
    if let Some(directory) = &options.charts {
        command.arg("--charts").arg(directory);
    }
    command.args(&options.arguments);
    Err(process::become_command(command))
}
