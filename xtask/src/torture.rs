//! `cargo xtask torture`: builds, then becomes the lab's torture, which brings faults about and counts
//! what was lost.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{build, prerequisites::Purpose, process, setup};

#[derive(Args)]
pub struct Options {
    /// A few times each, in less than ten minutes
    #[arg(long)]
    quick: bool,
    /// The shortest trials once, in a minute
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,
    /// Soak for so many minutes too
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
    /// Where the soak's samples go, with a picture beside them
    #[arg(long, value_name = "FILE", default_value = "soak.csv")]
    samples: PathBuf,
    /// Only trials whose name contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Put the rows into the table of this page too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub fn torture(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Lab, Purpose::Geo])?;
    let built = build::build(&build::Options::default(), build::Profile::Release)?;
    let mut command = build::root_program("sipprot-tests", "torture", &built)?;
    command.arg("--sipprot").arg(&built.sipprot);
    command.args(options.quick.then_some("--quick"));
    command.args(options.smoke.then_some("--smoke"));
    if let Some(minutes) = options.soak {
        command.arg("--soak").arg(minutes.to_string()).arg("--samples").arg(&options.samples);
    }
    if let Some(only) = &options.only {
        command.arg("--only").arg(only);
    }
    if let Some(path) = &options.markdown {
        command.arg("--markdown").arg(path);
    }
    Err(process::become_command(command))
}
