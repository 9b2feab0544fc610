//! What the datapath costs: nanoseconds per packet of each case, by BPF_PROG_TEST_RUN.
//!
//! The kernel repeats one frame in a loop, so caches are warm and every run takes the same way:
//! compare cases within one run, as ratios, not with other machines. The object holds no empty
//! program, so what the call itself costs is in every figure.

mod cases;
mod report;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use sipprot_tests::datapath::{Kernel, World};

use crate::cases::Case;
use crate::report::{Figure, Report};

/// Measures what the eBPF programs cost per packet
#[derive(Parser)]
struct Options {
    /// The eBPF object
    #[arg(long)]
    object: PathBuf,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Runs of each case; the fastest counts
    #[arg(long, default_value_t = 15)]
    runs: u32,
    /// Packets in a run
    #[arg(long, default_value_t = 50_000)]
    repeat: u32,
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sipprot-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    ensure!(options.runs > 0 && options.repeat > 0, "--runs and --repeat are at least 1");
    let path = &options.object;
    let object = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut kernel = Kernel::load_object(&object, &World::new())?;
    let mut figures = Vec::new();
    for case in cases::all() {
        figures.push(measure(&mut kernel, &case, options).with_context(|| case.name.to_owned())?);
    }
    let report = Report::new(figures, kernel.verified()?, options.runs, options.repeat);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// The fastest run: what disturbs a run only ever makes it slower.
fn measure(kernel: &mut Kernel, case: &Case, options: &Options) -> Result<Figure> {
    kernel.reset(&case.world)?;
    let frame = case.frame.bytes();
    let mut best_ns = u128::MAX;
    for _ in 0..options.runs {
        best_ns = best_ns.min(kernel.run_ingress(&frame, options.repeat)?.duration.as_nanos());
    }
    // What was measured must be what the case is about.
    let packets = kernel.tally_of(0..1)?;
    let reason = packets.most();
    ensure!(reason == Some(case.reason), "left for {reason:?}, not {:?}: {packets:?}", case.reason);
    Ok(Figure {
        name: case.name,
        reason: case.reason.label(),
        nanoseconds: best_ns as u64,
        ratio: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use std::env;

    use sipprot_tests::datapath::kernel::{self, OBJECT_VARIABLE};

    use super::*;

    /// Measuring checks for which reason the packets left.
    #[test]
    fn every_case_is_about_what_it_says() {
        if let Some(missing) = kernel::missing() {
            println!("skipped: the bench needs {missing}");
            return;
        }
        let object = env::var_os(OBJECT_VARIABLE).unwrap().into();
        bench(&Options { object, json: true, runs: 1, repeat: 100 }).unwrap();
    }
}
