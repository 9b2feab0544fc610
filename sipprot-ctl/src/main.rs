//! The binary `sipprot`: daemon and CLI.

use std::process::ExitCode;

fn main() -> ExitCode {
    sipprot_ctl::cli::main(std::env::args_os())
}
