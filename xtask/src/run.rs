//! `cargo xtask run --iface IFACE`: builds, then becomes the daemon on an interface of this machine.

use anyhow::Result;
use clap::Args;

use crate::{build, prerequisites::Purpose, process, setup};

#[derive(Args)]
pub struct Options {
    /// The interface to protect
    #[arg(long)]
    iface: String,
    /// Count and report what would be dropped, and drop nothing
    #[arg(long)]
    observe: bool,
    /// More arguments for `sipprot run`
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub fn run(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Pinning])?;
    let built = build::build(&build::Options::default(), build::Profile::Release)?;
    let mut command = process::as_root(built.sipprot)?;
    command.args(["run", "--iface", &options.iface]);
    if options.observe {
        command.arg("--observe");
    }
    command.args(&options.arguments);
    Err(process::become_command(command))
}
