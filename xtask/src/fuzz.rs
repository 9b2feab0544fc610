//! `cargo xtask fuzz [TARGET]`: builds the fuzz targets with coverage counters and AddressSanitizer,
//! and runs one of them, or each in turn, under libFuzzer.
//!
//! No nightly: coverage is a pass of LLVM's that any rustc runs, and AddressSanitizer comes with
//! rustup's stable toolchain, which RUSTC_BOOTSTRAP lets ask for it. What a run learnt is kept in
//! target/fuzz, and the next one begins with it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    prerequisites::Purpose,
    process::{self, say},
    setup, workspace,
};

const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
];

const TARGET_VARIABLE: &str = "SIPPROT_FUZZ_TARGET";
const SEEDS_VARIABLE: &str = "SIPPROT_FUZZ_SEEDS";

/// Two windows' worth: longer payloads are only cut.
const INPUT_LEN_MAX: usize = 4096;
/// Whoever takes longer for one input hangs.
const INPUT_SECONDS_MAX: u32 = 20;

#[derive(Args)]
pub struct Options {
    /// The target; without it each has its turn
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub fn fuzz(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Fuzz])?;
    process::run(&mut fuzzer("build"))?;
    let listed = process::printed(fuzzer("run").env_remove(TARGET_VARIABLE))?;
    let names: Vec<_> = match &options.target {
        Some(name) => vec![name.as_str()],
        None => listed.lines().collect(),
    };
    let mut failed = Vec::new();
    for name in names {
        if !listed.lines().any(|known| known == name) {
            bail!("there is no target {name}; there are: {}", listed.trim().replace('\n', ", "));
        }
        if !run(name, options.seconds)? {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("found something: {}; the inputs are above", failed.join(", "));
    }
    Ok(())
}

fn directory() -> PathBuf {
    workspace::target_dir().join("fuzz")
}

/// Cargo on the fuzzer. Naming the host as the target keeps the flags from build scripts.
fn fuzzer(verb: &str) -> Command {
    let mut cargo = workspace::cargo(verb);
    cargo.args(["--quiet", "--profile", "fuzz", "--target", "host-tuple"]);
    cargo.args(["--package", "sipprot-fuzz", "--features", "libfuzzer"]);
    cargo.env("CARGO_TARGET_DIR", directory());
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS.join(" "));
    cargo
}

/// False when it found something.
fn run(name: &str, seconds: u64) -> Result<bool> {
    let place = |kind: &str| {
        let place = directory().join(kind).join(name);
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        Ok::<_, anyhow::Error>(place)
    };
    let (corpus, seeds, findings) = (place("corpus")?, place("seeds")?, place("findings")?);
    say(format_args!("fuzzing {name} for {seconds} s"));
    let mut cargo = fuzzer("run");
    cargo.env(TARGET_VARIABLE, name).env(SEEDS_VARIABLE, &seeds);
    cargo.arg("--").arg(format!("-max_total_time={seconds}"));
    cargo.arg(format!("-max_len={INPUT_LEN_MAX}")).arg("-print_final_stats=1");
    cargo.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    cargo.arg(format!("-artifact_prefix={}/", findings.display())).arg(corpus).arg(seeds);
    let mut child = cargo.stderr(Stdio::piped()).spawn().context("cannot start the fuzzer")?;
    let mut figures = Figures::default();
    for line in BufReader::new(child.stderr.take().context("no pipe")?).split(b'\n') {
        let line = line.context("cannot read what the fuzzer prints")?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        figures.read_line(&line);
    }
    let passed = child.wait().context("cannot wait for the fuzzer")?.success();
    let outcome = if passed { "nothing found" } else { "FOUND something" };
    let Figures { executions, edges } = figures;
    println!("{name}: {executions} executions in {seconds} s, {edges} edges, {outcome}");
    Ok(passed)
}

/// What libFuzzer prints of a run.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    executions: u64,
    edges: u64,
}

impl Figures {
    fn read_line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let figure = |words: &mut std::str::SplitWhitespace| words.next()?.parse().ok();
        while let Some(word) = words.next() {
            let place = match word {
                "stat::number_of_executed_units:" => &mut self.executions,
                "cov:" => &mut self.edges,
                _ => continue,
            };
            *place = figure(&mut words).unwrap_or(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_run() {
        let mut figures = Figures::default();
        for line in [
            "#2      INITED cov: 1200 ft: 3400 corp: 69/51Kb exec/s: 0 rss: 80Mb",
            "#4096   pulse  cov: 1260 ft: 3500 corp: 80/60Kb lim: 4096 exec/s: 2048 rss: 90Mb",
            "Done 9001 runs in 4 second(s)",
            "stat::number_of_executed_units: 9001",
        ] {
            figures.read_line(line);
        }
        assert_eq!(figures, Figures { executions: 9001, edges: 1260 });
    }
}
