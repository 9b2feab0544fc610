//! A real PBX, defended from real attackers, on this machine and without touching its network.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use sipprot_tests::{demo, lab::Lab};

/// Shows a real PBX defended from real attackers, in network namespaces of its own
#[derive(Parser)]
struct Options {
    /// The sipprot binary
    #[arg(long, required_unless_present = "unprotected")]
    sipprot: Option<PathBuf>,
    /// Play it without sipprot, to see what there is to lose
    #[arg(long, conflicts_with = "sipprot")]
    unprotected: bool,
    /// Failed registrations a minute that are still no attack
    #[arg(long, default_value_t = 10)]
    limit: u32,
    /// Print one JSON object on standard output, and the story on standard error
    #[arg(long)]
    json: bool,
    /// Keep the lab up afterwards, to look around
    #[arg(long)]
    hold: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(missing) = Lab::missing() {
        eprintln!("demo: needs {missing}");
        return ExitCode::from(2);
    }
    let options = demo::Options {
        sipprot: options.sipprot,
        register_limit: options.limit,
        json: options.json,
        hold: options.hold,
    };
    match demo::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::from(2)
        }
    }
}
