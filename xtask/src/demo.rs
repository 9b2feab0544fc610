//! `cargo xtask demo`: builds, then becomes the lab's demo, which tells its own story.
//!
//! With `--json` standard output is the demo's alone; what xtask says goes to standard error.

use anyhow::Result;
use clap::Args;

use crate::{build, prerequisites::Purpose, process, setup};

#[derive(Args)]
pub struct Options {
    /// Print the outcome as one JSON object, on the last line
    #[arg(long)]
    json: bool,
    /// Keep the lab up afterwards, to look around
    #[arg(long)]
    hold: bool,
}

pub fn demo(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Pinning, Purpose::Lab, Purpose::Geo])?;
    let built = build::build(&build::Options::default(), build::Profile::Release)?;
    let mut command = build::root_program("sipprot-tests", "demo", &built)?;
    command.arg("--sipprot").arg(built.sipprot);
    command.args(options.json.then_some("--json"));
    command.args(options.hold.then_some("--hold"));
    Err(process::become_command(command))
}
