//! Reads what the test runners print, and counts the tests of each kind.
//!
//! It starts nothing: lines come in, a table comes out.

use std::fmt;

use crate::suites::{Kind, Suite};

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

/// What is known of one suite.
#[derive(Debug, PartialEq)]
struct Row {
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
    rows: Vec<Row>,
}

impl Summary {
    /// Takes what a suite's runner printed.
    pub fn add(&mut self, suite: &Suite, privileges: Privileges, lines: &[String]) {
        let kind = match suite.kind {
            Kind::Unit => "unit",
            Kind::Integration => "integration",
        };
        let name = format!("{} ({})", suite.name, suite.source.display());
        let counts = lines.iter().find_map(|line| result(line));
        self.rows.push(Row { privileges, kind, name, counts });
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
        for row in &self.rows {
            let kind = format!("{} {}", row.kind, row.privileges);
            match row.counts {
                None => writeln!(f, "{:44}  crashed", row.name)?,
                Some(counts) if counts.passed + counts.failed + counts.ignored == 0 => {}
                Some(counts) => {
                    write_row(f, &row.name, counts)?;
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

    fn suite(kind: Kind, name: &str, source: &str) -> Suite {
        Suite {
            directory: "/c".into(),
            kind,
            name: name.to_owned(),
            source: source.into(),
            program: "/t".into(),
        }
    }

    #[test]
    fn counts_are_read_from_the_output() {
        fn check(line: &str, expected: Option<(u64, u64, u64, u64)>) {
            let counts = result(line).map(|it| (it.passed, it.failed, it.ignored, it.millis));
            assert_eq!(counts, expected, "{line}");
        }
        check(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 1.25s",
            Some((3, 0, 1, 1250)),
        );
        check(
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; \
             finished in 61.00s",
            Some((2, 1, 0, 61000)),
        );
        check("test result: strange", None);
        check("test a::b ... ok", None);
    }

    #[test]
    fn the_table_has_a_row_for_each_suite_and_kind() {
        let result = "test result: ok. 3 passed; 0 failed; 0 ignored; finished in 1.25s";
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; finished in 0.00s";
        let mut summary = Summary::default();
        let mut add = |kind, name, source, lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|&it| it.to_owned()).collect();
            summary.add(&suite(kind, name, source), Privileges::Ordinary, &lines);
        };
        add(Kind::Unit, "common", "src/lib.rs", &["running 3 tests", result]);
        add(Kind::Unit, "empty", "src/main.rs", &[none]);
        add(Kind::Unit, "ctl", "src/lib.rs", &[result]);
        add(Kind::Integration, "lab", "tests/lab.rs", &["running 3 tests"]);
        let text = summary.to_string();
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
