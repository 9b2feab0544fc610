//! The tests of the datapath and of interfaces, on another kernel, in a machine that is emulated.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use sipprot_tests::kernels::{inside, outside::Trial};

/// Runs test binaries under another kernel, and shows what they say
#[derive(Parser)]
struct Options {
    /// A kernel's package, unpacked
    #[arg(long)]
    kernel: PathBuf,
    /// The eBPF object
    #[arg(long)]
    object: PathBuf,
    /// The sipprot binary
    #[arg(long)]
    sipprot: PathBuf,
    /// Test binaries
    programs: Vec<PathBuf>,
}

fn main() -> ExitCode {
    if std::process::id() == 1 {
        inside::main();
    }
    let Options { kernel, object, sipprot, programs } = Options::parse();
    match (Trial { kernel, object, sipprot, programs }).run() {
        Ok((said, passed)) => {
            println!("{said}");
            if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("kernels: {error:#}");
            ExitCode::from(2)
        }
    }
}
