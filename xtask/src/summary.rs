//! Reads what `cargo test` prints, and counts the tests of each kind.
//!
//! It starts nothing: lines come in, a table comes out.

use std::{fmt, path::Path};

/// As whom the tests of a run were started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileges {
    Ordinary,
    Root,
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ordinary => "unprivileged",
            Self::Root => "as root",
        })
    }
}

/// One test binary, or the documentation's examples of one crate.
#[derive(Debug, PartialEq)]
struct Suite {
    privileges: Privileges,
    kind: &'static str,
    name: String,
    /// None until its `test result:` line: a binary that crashed prints none.
    counts: Option<Counts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    millis: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            millis: self.millis + other.millis,
        }
    }
}

#[derive(Debug, Default, PartialEq)]
pub struct Summary {
    suites: Vec<Suite>,
}

impl Summary {
    /// Takes the next line of a `cargo test`. A suite is announced first; its results follow, more
    /// than one where documentation is compiled in two ways.
    pub fn read_line(&mut self, privileges: Privileges, line: &str) {
        if let Some((kind, name)) = announced(line) {
            self.suites.push(Suite { privileges, kind, name, counts: None });
        } else if let Some(counts) = result(line)
            && let Some(suite) = self.suites.last_mut()
        {
            suite.counts = Some(suite.counts.unwrap_or_default().plus(counts));
        }
    }
}

/// The kind and name of the suite that a line announces.
fn announced(line: &str) -> Option<(&'static str, String)> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(("doc", name.to_owned()));
    }
    let rest = line.strip_prefix("Running ")?;
    let (source, binary) = rest.strip_suffix(')')?.split_once(" (")?;
    let (name, _hash) = Path::new(binary).file_name()?.to_str()?.rsplit_once('-')?;
    match source.strip_prefix("unittests ") {
        Some(source) => Some(("unit", format!("{name} ({source})"))),
        None => Some(("integration", format!("{name} ({source})"))),
    }
}

/// The counts of a line like `test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered
/// out; finished in 1.25s`.
fn result(line: &str) -> Option<Counts> {
    let (_verdict, fields) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for field in fields.split("; ") {
        match field.split_once(' ')? {
            (number, "passed") => counts.passed = number.parse().ok()?,
            (number, "failed") => counts.failed = number.parse().ok()?,
            (number, "ignored") => counts.ignored = number.parse().ok()?,
            ("finished", duration) => counts.millis = millis(duration)?,
            _ => {}
        }
    }
    Some(counts)
}

/// The milliseconds of `in 1.25s`, as the test runner writes them: always two decimals.
fn millis(duration: &str) -> Option<u64> {
    let (seconds, hundredths) =
        duration.trim_end().strip_prefix("in ")?.strip_suffix('s')?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1000 + hundredths.parse::<u64>().ok()? * 10)
}

impl fmt::Display for Summary {
    /// A row for each suite that has tests or crashed, and a total for each kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["passed", "failed", "ignored", "seconds"];
        let [passed, failed, ignored, seconds] = header;
        writeln!(f, "{:44}{passed:>8}{failed:>8}{ignored:>9}{seconds:>10}", "tests")?;
        let mut totals: Vec<(String, Counts)> = Vec::new();
        for suite in &self.suites {
            let kind = format!("{} {}", suite.kind, suite.privileges);
            match suite.counts {
                None => writeln!(f, "{:44}  crashed", suite.name)?,
                Some(counts) if counts.passed + counts.failed + counts.ignored == 0 => {}
                Some(counts) => {
                    write_row(f, &suite.name, counts)?;
                    match totals.iter_mut().find(|(known, _)| *known == kind) {
                        Some((_, total)) => *total = total.plus(counts),
                        None => totals.push((kind, counts)),
                    }
                }
            }
        }
        for (kind, total) in &totals {
            write_row(f, &format!("all {kind}"), *total)?;
        }
        let all = totals.iter().fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts));
        write_row(f, "all", all)
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, name: &str, counts: Counts) -> fmt::Result {
    let Counts { passed, failed, ignored, millis } = counts;
    let (seconds, hundredths) = (millis / 1000, millis % 1000 / 10);
    writeln!(f, "{name:44}{passed:>8}{failed:>8}{ignored:>9}{seconds:>7}.{hundredths:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(lines: &[&str]) -> Summary {
        let mut summary = Summary::default();
        lines.iter().for_each(|line| summary.read_line(Privileges::Ordinary, line));
        summary
    }

    /// Asserts kind, name, passed, failed, ignored and milliseconds of each suite.
    #[test]
    fn suites_are_read_from_the_output() {
        type Row<'a> = (&'a str, &'a str, Option<(u64, u64, u64, u64)>);
        fn check(lines: &[&str], expected: &[Row<'_>]) {
            let suites = summary(lines).suites;
            let rows: Vec<Row<'_>> = suites
                .iter()
                .map(|suite| {
                    let counts = suite.counts.map(|c| (c.passed, c.failed, c.ignored, c.millis));
                    (suite.kind, suite.name.as_str(), counts)
                })
                .collect();
            assert_eq!(rows, expected);
        }
        let ok = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
                  finished in 1.25s";
        let failed = "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered \
                      out; finished in 61.00s";
        let unit = "     Running unittests src/lib.rs (target/debug/deps/sipprot_ctl-0a1b2c)";
        let lab = "     Running tests/lab.rs (/tmp/a (b)/debug/deps/lab-0a1b2c)";
        check(
            &[unit, "running 4 tests", ok],
            &[("unit", "sipprot_ctl (src/lib.rs)", Some((3, 0, 1, 1250)))],
        );
        check(
            &[lab, failed, unit],
            &[
                ("integration", "lab (tests/lab.rs)", Some((2, 1, 0, 61000))),
                ("unit", "sipprot_ctl (src/lib.rs)", None),
            ],
        );
        check(
            &["   Doc-tests sipprot_common", ok, ok],
            &[("doc", "sipprot_common", Some((6, 0, 2, 2500)))],
        );
        check(&[ok, "   Compiling sipprot-ctl v0.1.0", "test result: strange"], &[]);
    }

    #[test]
    fn the_table_has_a_row_for_each_suite_and_kind() {
        let result = "test result: ok. 3 passed; 0 failed; 0 ignored; finished in 1.25s";
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; finished in 0.00s";
        let text = summary(&[
            "Running unittests src/lib.rs (target/debug/deps/common-0a)",
            result,
            "Running unittests src/main.rs (target/debug/deps/empty-0a)",
            none,
            "Running unittests src/lib.rs (target/debug/deps/ctl-0a)",
            result,
            "Running tests/lab.rs (target/debug/deps/lab-0a)",
        ])
        .to_string();
        let rows: Vec<String> =
            text.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            rows,
            [
                "tests passed failed ignored seconds",
                "common (src/lib.rs) 3 0 0 1.25",
                "ctl (src/lib.rs) 3 0 0 1.25",
                "lab (tests/lab.rs) crashed",
                "all unit unprivileged 6 0 0 2.50",
                "all 6 0 0 2.50",
            ]
        );
    }
}
