//! `cargo xtask test`: builds the controller and all suites, and runs these two at a time: what stands
//! within the crates, unprivileged, as plain `cargo test` runs it, and what needs root: the datapath in
//! the kernel and the lab.
//!
//! What a suite prints is passed on when it ends; the table at the end is `summary`'s.

use std::{
    io::{self, BufReader, Read},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    build::{self, Built, Profile},
    lanes,
    prerequisites::Purpose,
    process::{self, say},
    setup,
    suites::{self, Suite},
    summary::{Privileges, Summary},
    workspace,
};

/// Suites at a time: most of what a lab does is to wait.
const LANES: usize = 2;

/// The suites that take more than half a minute, the longest first.
const LONGEST: [&str; 16] = [
    "offices",
    "datapath",
    "ui",
    "flood",
    "protected",
    "feed",
    "sipprot_ctl",
    "geo",
    "lists",
    "access",
    "fleet",
    "lab",
    "tcp",
    "crackers",
    "notices",
    "security",
];

#[derive(Args)]
pub struct Options {
    /// Tell the tests, by SIPPROT_TEST_FULL=1, to take their long forms too
    #[arg(long)]
    full: bool,
    /// Only the suites whose name contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

pub fn test(options: &Options) -> Result<()> {
    let started = Instant::now();
    setup::ensure(&[
        Purpose::Build,
        Purpose::Pinning,
        Purpose::Lab,
        Purpose::Geo,
        Purpose::Metrics,
        Purpose::Api,
        Purpose::Ui,
        Purpose::Package,
    ])?;
    let built = build::build(&build::Options::default(), Profile::Dev)?;
    let mut summary = Summary::default();
    let mut failures = Vec::new();
    lanes::run(
        LANES,
        suites(&built, options.only.as_deref().unwrap_or_default())?,
        |suite| (run(&suite, &built, options), suite),
        |(outcome, suite)| match outcome {
            Ok((lines, success)) => {
                println!("\n{} ({})", suite.name, suite.source.display());
                lines.iter().for_each(|line| println!("{line}"));
                summary.add(&suite, privileges(&suite), &lines);
                if !success {
                    failures.push(suite.name);
                }
            }
            Err(error) => failures.push(format!("{} ({error:#})", suite.name)),
        },
    );

    println!("\n{summary}\nin {} s", started.elapsed().as_secs());
    if !failures.is_empty() {
        bail!("failed: {}", failures.join(", "));
    }
    Ok(())
}

/// Compiles all suites, and puts those that take longest first: a long one at the end would leave a lane
/// idle.
fn suites(built: &Built, only: &str) -> Result<Vec<Suite>> {
    let mut cargo = workspace::cargo("test");
    // As the controller was built, so that their crates are the same.
    cargo.args(["--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    cargo.envs(built.environment.iter().cloned());
    let mut suites = suites::built(&process::printed_aloud(&mut cargo)?)?;
    suites.retain(|it| it.name.contains(only));
    if suites.is_empty() {
        bail!("no suite's name contains {only:?}");
    }
    let place = |it: &Suite| LONGEST.iter().position(|name| *name == it.name);
    suites.sort_by_cached_key(|it| (place(it).unwrap_or(LONGEST.len()), it.name.clone()));
    Ok(suites)
}

/// The lab and the bench make namespaces and load programs into the kernel.
fn privileges(suite: &Suite) -> Privileges {
    match suite.room() {
        "tests" | "bench" => Privileges::Root,
        _ => Privileges::Ordinary,
    }
}

/// Runs one suite to its end: what it printed, its two streams as one, and whether all is well.
fn run(suite: &Suite, built: &Built, options: &Options) -> Result<(Vec<String>, bool)> {
    let mut command = match privileges(suite) {
        Privileges::Ordinary => Command::new(&suite.program),
        Privileges::Root => {
            let mut command = process::as_root(&suite.program)?;
            // A suite's tests share its namespaces, and the datapath's its CPU maps.
            command.env("RUST_TEST_THREADS", "1");
            command.env("SIPPROT_BIN", &built.sipprot);
            command.env("SIPPROT_SCHEMATHESIS", setup::schemathesis());
            command
        }
    };
    command.envs(built.environment.iter().cloned());
    command.current_dir(&suite.directory).env("CARGO_MANIFEST_DIR", &suite.directory);
    if options.full {
        command.env("SIPPROT_TEST_FULL", "1");
    }
    say(format_args!("testing: {}", suite.name));
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let errors = writer.try_clone().context("cannot share a pipe")?;
    let described = process::described(&command);
    let mut child = command
        .stdout(writer)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot start {described}"))?;
    // The command holds the pipe's other end too; the end of the output would never come.
    drop(command);
    let mut output = Vec::new();
    BufReader::new(reader).read_to_end(&mut output).context("cannot read what it prints")?;
    let lines = String::from_utf8_lossy(&output).lines().map(str::to_owned).collect();
    let status = child.wait().with_context(|| format!("cannot wait for {described}"))?;
    Ok((lines, status.success()))
}
