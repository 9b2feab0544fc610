//! `cargo xtask test`: the unprivileged tests as plain `cargo test` runs them, then the build, then
//! the tests that need root: the datapath in the kernel and the lab.
//!
//! What the test runner prints is passed on as it comes; the table at the end is `summary`'s.

use std::{
    io::{self, BufRead, BufReader, PipeReader, Write},
    process::{Command, ExitStatus},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    build,
    prerequisites::Purpose,
    process::{Privilege, say},
    setup,
    summary::{Privileges, Summary},
    workspace,
};

#[derive(Args)]
pub struct Options {
    /// Tell the tests, by SIPPROT_TEST_FULL=1, to take their long forms too
    #[arg(long)]
    full: bool,
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
    let mut summary = Summary::default();
    let mut failures = Vec::new();

    let mut cargo = cargo_test(options);
    if !run_tests(&mut cargo, Privileges::Ordinary, &mut summary)?.success() {
        failures.push("the unprivileged tests");
    }

    let built = build::build(&build::Options::default())?;
    let mut cargo = cargo_test(options);
    cargo.args(["--package", "sipprot-tests", "--package", "sipprot-bench"]);
    cargo.args(root_runner()?);
    // The lab's tests share the machine's network namespaces, and the datapath's its CPU maps.
    cargo.env("RUST_TEST_THREADS", "1");
    cargo.env("SIPPROT_BIN", &built.sipprot).env(build::OBJECT_VARIABLE, &built.object);
    cargo.env("SIPPROT_SCHEMATHESIS", setup::schemathesis());
    if !run_tests(&mut cargo, Privileges::Root, &mut summary)?.success() {
        failures.push("the tests that need root");
    }

    println!("\n{summary}\nin {} s", started.elapsed().as_secs());
    if !failures.is_empty() {
        bail!("failed: {}", failures.join(" and "));
    }
    Ok(())
}

fn cargo_test(options: &Options) -> Command {
    let mut cargo = workspace::cargo("test");
    // The summary reads the runner's lines, which colours would break up.
    cargo.arg("--no-fail-fast").env("CARGO_TERM_COLOR", "never");
    if options.full {
        cargo.env("SIPPROT_TEST_FULL", "1");
    }
    cargo
}

/// Cargo's arguments for running the test binaries as root while it builds them as the user, who
/// must stay the owner of the target directory.
fn root_runner() -> Result<Vec<&'static str>> {
    match Privilege::of_this_process() {
        Privilege::Root => Ok(Vec::new()),
        Privilege::Sudo => {
            Ok(vec!["--config", "target.'cfg(all())'.runner = 'sudo --preserve-env --'"])
        }
        Privilege::None => bail!("the datapath's tests and the lab need root or sudo"),
    }
}

/// Runs one `cargo test`, its two streams as one: only their order tells which binary a result
/// belongs to.
fn run_tests(
    cargo: &mut Command,
    privileges: Privileges,
    summary: &mut Summary,
) -> Result<ExitStatus> {
    say(format_args!("testing: {privileges}"));
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let errors = writer.try_clone().context("cannot share a pipe")?;
    let mut child =
        cargo.stdout(writer).stderr(errors).spawn().context("cannot start `cargo test`")?;
    // The command holds the pipe's other end too; the end of the output would never come.
    cargo.stdout(io::stdout()).stderr(io::stderr());
    pass_on(reader, privileges, summary)?;
    child.wait().context("cannot wait for `cargo test`")
}

fn pass_on(reader: PipeReader, privileges: Privileges, summary: &mut Summary) -> Result<()> {
    let mut stdout = io::stdout().lock();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("cannot read what `cargo test` prints")?;
        let line = String::from_utf8_lossy(&line);
        writeln!(stdout, "{line}").context("cannot print what `cargo test` prints")?;
        summary.read_line(privileges, &line);
    }
    Ok(())
}
