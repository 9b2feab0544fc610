//! What a host loses while its firewall is stopped, killed, upgraded, or loses its disk: nothing.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use sipprot_tests::{
    lab::Lab,
    torture::{self, Length, Soak},
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
    /// Once or twice each, in a minute
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

fn main() -> ExitCode {
    let Options { sipprot, quick, smoke, soak, samples, only, markdown } = Options::parse();
    if let Some(missing) = Lab::missing() {
        eprintln!("torture: needs {missing}");
        return ExitCode::from(2);
    }
    let length = match (smoke, quick) {
        (true, _) => Length::Smoke,
        (_, true) => Length::Quick,
        _ => Length::Full,
    };
    let soak = soak.map(|minutes| Soak { lasts: Duration::from_mins(minutes), csv: samples });
    match torture::run(&torture::Options { sipprot, length, only, soak, markdown }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::from(2)
        }
    }
}
