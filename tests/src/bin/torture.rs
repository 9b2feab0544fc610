//! What a host loses while its firewall is stopped, killed, upgraded, or loses its disk: nothing.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use sipprot_tests::{
    lab::Lab,
    torture::{self, Length},
};

/// Brings faults about, many times each, and counts what was lost
#[derive(Parser)]
struct Options {
    /// The sipprot binary
    #[arg(long)]
    sipprot: PathBuf,
    /// A few times each, in less than ten minutes
    #[arg(long)]
    quick: bool,
    /// Only trials whose name contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Write the table into this file too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Options { sipprot, quick, only, markdown } = Options::parse();
    if let Some(missing) = Lab::missing() {
        eprintln!("torture: needs {missing}");
        return ExitCode::from(2);
    }
    let length = if quick { Length::Quick } else { Length::Full };
    match torture::run(&torture::Options { sipprot, length, only, markdown }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::from(2)
        }
    }
}
