//! `cargo xtask test`: the unprivileged tests as plain `cargo test` runs them, then the build, then
//! the tests that need root, two suites at a time: the datapath in the kernel and the lab.
//!
//! What the test runner prints is passed on, of the suites that run side by side as each ends; the
//! table at the end is `summary`'s.

use std::{
    fmt, fs,
    io::{self, BufRead, BufReader},
    process::{Command, ExitStatus},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    build::{self, Profile},
    lanes,
    prerequisites::Purpose,
    process::{self, Privilege, say},
    setup,
    summary::{Privileges, Summary},
    workspace,
};

/// Suites at a time: most of what a lab does is to wait.
const LANES: usize = 2;

/// The suites that take more than half a minute, the longest first.
const LONGEST: [&str; 12] = [
    "offices",
    "torture",
    "datapath",
    "flood",
    "protected",
    "feed",
    "security",
    "lab",
    "interfaces",
    "tcp",
    "crackers",
    "access",
];

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

    let unprivileged = run(&mut cargo_test(options), |line| {
        println!("{line}");
        summary.read_line(Privileges::Ordinary, line);
    });
    if !unprivileged?.success() {
        failures.push("the unprivileged tests".to_owned());
    }

    let built = build::build(&build::Options::default(), Profile::Dev)?;
    let as_root = |cargo: &mut Command| -> Result<()> {
        cargo.args(root_runner()?);
        // A suite's tests share its namespaces, and the datapath's its CPU maps.
        cargo.env("RUST_TEST_THREADS", "1");
        cargo.envs(built.environment.iter().cloned()).env("SIPPROT_BIN", &built.sipprot);
        cargo.env("SIPPROT_SCHEMATHESIS", setup::schemathesis());
        Ok(())
    };
    let mut cargo = cargo_test(options);
    as_root(cargo.args(["--package", "sipprot-tests", "--package", "sipprot-bench", "--no-run"]))?;
    process::run(&mut cargo)?;
    let suite = |suite: &Suite| {
        let mut cargo = cargo_test(options);
        as_root(cargo.args(suite.selected()))?;
        let mut lines = Vec::new();
        let status = run(&mut cargo, |line| lines.push(line.to_owned()))?;
        anyhow::Ok((lines, status.success()))
    };
    lanes::run(
        LANES,
        suites()?,
        |it| (suite(&it), it),
        |(outcome, it)| match outcome {
            Ok((lines, success)) => {
                for line in lines {
                    println!("{line}");
                    summary.read_line(Privileges::Root, &line);
                }
                if !success {
                    failures.push(it.to_string());
                }
            }
            Err(error) => failures.push(format!("{it} ({error:#})")),
        },
    );

    println!("\n{summary}\nin {} s", started.elapsed().as_secs());
    if !failures.is_empty() {
        bail!("failed: {}", failures.join(", "));
    }
    Ok(())
}

/// One of the root's test binaries, or all that are within the crates.
enum Suite {
    Units,
    Integration(String),
}

impl Suite {
    /// Cargo's arguments for it.
    fn selected(&self) -> Vec<&str> {
        match self {
            Self::Units => {
                vec!["--package", "sipprot-tests", "--package", "sipprot-bench", "--lib", "--bins"]
            }
            Self::Integration(name) => vec!["--package", "sipprot-tests", "--test", name],
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units => f.write_str("the lab's own tests"),
            Self::Integration(name) => f.write_str(name),
        }
    }
}

/// All suites, those that take longest first: a long one at the end would leave a lane idle.
fn suites() -> Result<Vec<Suite>> {
    let dir = workspace::root().join("tests/tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").is_file() {
            names.extend(path.file_stem().and_then(|it| it.to_str()).map(str::to_owned));
        }
    }
    let place = |name: &String| LONGEST.iter().position(|it| it == name).unwrap_or(LONGEST.len());
    names.sort_by_cached_key(|name| (place(name), name.clone()));
    let integration = names.into_iter().map(Suite::Integration);
    Ok(integration.chain([Suite::Units]).collect())
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
fn run(cargo: &mut Command, mut line_read: impl FnMut(&str)) -> Result<ExitStatus> {
    say(format_args!("testing: {}", process::described(cargo)));
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let errors = writer.try_clone().context("cannot share a pipe")?;
    let mut child =
        cargo.stdout(writer).stderr(errors).spawn().context("cannot start `cargo test`")?;
    // The command holds the pipe's other end too; the end of the output would never come.
    cargo.stdout(io::stdout()).stderr(io::stderr());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("cannot read what `cargo test` prints")?;
        line_read(&String::from_utf8_lossy(&line));
    }
    child.wait().context("cannot wait for `cargo test`")
}
