//! The project's verbs, run as `cargo xtask VERB`.
//!
//! One file per verb; each does by itself what it needs of `setup` and `build`, so that a fresh
//! machine needs no other command first. What several verbs share: `process` starts programs,
//! `workspace` knows the paths, `toolchain` finds what compiles the eBPF crate, `prerequisites` is
//! the table of what a machine must have, `tidy` holds our own source rules, `dependencies` what may
//! be linked, `suites` knows what cargo has built to be tested, `lanes` runs such side by side, `summary`
//! reads what they print, `ui` is npm's side of the build.
//!
//! xtask links none of the project's crates: it must build, and be able to say what is missing, on
//! a machine where they don't.

mod bench;
mod build;
mod demo;
mod dependencies;
mod docs;
mod fuzz;
mod kernels;
mod lanes;
mod lint;
mod package;
mod prerequisites;
mod process;
mod run;
mod screenshots;
mod setup;
mod suites;
mod summary;
mod test;
mod tidy;
mod toolchain;
mod torture;
mod ui;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set up, build, try, test and measure SIPprot")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say what this machine lacks, and install it
    Setup(setup::Options),
    /// Build target/release/sipprot with the eBPF object in it
    Build(build::Options),
    /// Build, then protect an interface of this machine
    Run(run::Options),
    /// Show a real PBX defended from real attackers, in network namespaces
    Demo(demo::Options),
    /// Run every test, first those without privileges, then those that need root
    Test(test::Options),
    /// Measure what the datapath costs
    Bench(bench::Options),
    /// Stop, kill and upgrade it under traffic, spoil its disk, and count what was lost
    Torture(torture::Options),
    /// Feed what reads strangers' bytes with bytes that no sender would think of
    Fuzz(fuzz::Options),
    /// Try the datapath on Debian's stock kernel, in an emulated machine
    Kernels(kernels::Options),
    /// Make the pages of the manual
    Docs,
    /// Make the Debian package and the static binary
    Package(package::Options),
    /// Take pictures of the dashboard's pages for the manual, in the lab
    Screenshots,
    /// Check formatting, clippy for every crate, and the source rules of the project
    Lint(lint::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Setup(options) => setup::setup(&options),
        Verb::Build(options) => build::build(&options, build::Profile::Release).map(drop),
        Verb::Run(options) => run::run(&options),
        Verb::Demo(options) => demo::demo(&options),
        Verb::Test(options) => test::test(&options),
        Verb::Bench(options) => bench::bench(&options),
        Verb::Torture(options) => torture::torture(&options),
        Verb::Fuzz(options) => fuzz::fuzz(&options),
        Verb::Kernels(options) => kernels::kernels(&options),
        Verb::Docs => docs::docs(),
        Verb::Package(options) => package::package(&options),
        Verb::Screenshots => screenshots::screenshots(),
        Verb::Lint(options) => lint::lint(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
