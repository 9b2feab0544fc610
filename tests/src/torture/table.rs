//! The rows, as a table for people and for the docs.

use std::{
    fmt,
    fs::{self, read_to_string},
    io::ErrorKind,
    path::Path,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::{Context, Result};

const PAGE: &str = "# Torture

What becomes of a host whose firewall is stopped, killed, upgraded, flooded, loses its disk or its clock: each fault brought about
many times on a real kernel, in namespaces of its own, and what was lost counted. `cargo xtask torture --markdown FILE` writes
this table; what a run did not try keeps its rows. `--quick` brings each fault about a few times in some minutes; the whole starts
the daemon thousands of times, which takes hours.

*Lost* counts packets of a blocked source that passed, packets of the office that didn't, and acknowledged list entries, blocks,
settings and lines of the report that are gone or there twice. The *longest gap* is the longest silence in the office's packets,
4,000 a second, while 46,000 a second of blocked sources are dropped.

| fault | how often | lost | longest gap | what a user sees | made |
|---|---|---|---|---|---|
";

/// What came of one fault.
#[derive(Clone, Debug)]
pub struct Row {
    pub fault: String,
    /// How often it was brought about.
    pub times: u32,
    /// Packets, entries or settings that were lost, or were twice.
    pub lost: u64,
    /// The longest time for which the filter wasn't there, or a packet of the office didn't come.
    pub gap: Option<Duration>,
    /// What a user sees of it, measured where it can be.
    pub seen: String,
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let gap = self.gap.map_or_else(|| "-".to_owned(), |gap| format!("{gap:.1?}"));
        [self.fault.clone(), self.times.to_string(), self.lost.to_string(), gap, self.seen.clone()]
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fault, times, lost, gap, seen] = self.cells();
        write!(f, "{fault:52} {times:>6} {lost:>6} {gap:>9}  {seen}")
    }
}

#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub fn nothing_was_lost(&self) -> bool {
        self.rows.iter().all(|row| row.lost == 0)
    }

    /// Into a page of the manual, which is made if there is none.
    pub fn write(&self, page: &Path) -> Result<()> {
        let name = || page.display().to_string();
        let text = match read_to_string(page) {
            Err(error) if error.kind() == ErrorKind::NotFound => PAGE.to_owned(),
            read => read.with_context(name)?,
        };
        fs::write(page, self.merged(&text, &made()?)).with_context(name)
    }

    /// A row takes the place of the one of the same fault; whatever else is on the page stays.
    fn merged(&self, page: &str, made: &str) -> String {
        let fault = |line: &str| line.split('|').nth(1).map(|cell| cell.trim().to_owned());
        let is_row = |line: &&str| line.starts_with('|');
        let begins = page.lines().take_while(|line| !is_row(line)).count();
        let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
        let mut ends = begins + page.lines().skip(begins).take_while(is_row).count();
        for row in &self.rows {
            let text = format!("| {} | {made} |", row.cells().join(" | "));
            let (rows, found) = (&mut lines[begins..ends], fault(&text));
            if let Some(old) = rows.iter_mut().find(|old| fault(old) == found) {
                *old = text;
            } else {
                lines.insert(ends, text);
                ends += 1;
            }
        }
        lines.join("\n") + "\n"
    }
}

/// The day and the machine.
fn made() -> Result<String> {
    let day = jiff::Zoned::now().date();
    let kernel = read_to_string("/proc/sys/kernel/osrelease").context("the kernel")?;
    let kernel = kernel.split(['.', '-']).take(2).collect::<Vec<_>>().join(".");
    Ok(format!("{day}, Linux {kernel}, {} CPUs", available_parallelism()?))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:52} {:>6} {:>6} {:>9}  SEEN", "FAULT", "TIMES", "LOST", "GAP")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fault: &str, lost: u64) -> Row {
        Row {
            fault: fault.to_owned(),
            times: 3,
            lost,
            gap: Some(Duration::from_micros(1500)),
            seen: "nothing".to_owned(),
        }
    }

    #[test]
    fn one_loss_is_a_loss_of_all() {
        let mut table = Table::default();
        table.add(row("restart", 0));
        assert!(table.nothing_was_lost());
        table.add(row("restart", 1));
        assert!(!table.nothing_was_lost());
    }

    #[test]
    fn rows_of_other_trials_and_words_beside_the_table_stay() {
        let table = |faults: &[&str]| {
            let mut table = Table::default();
            faults.iter().for_each(|fault| table.add(row(fault, 0)));
            table
        };
        let first = table(&["restart", "reload"]).merged(PAGE, "Monday") + "\nSome words.\n";
        assert!(first.starts_with(PAGE));
        let second = table(&["reload", "flood"]).merged(&first, "Tuesday");
        let rows = "| restart | 3 | 0 | 1.5ms | nothing | Monday |\n\
                    | reload | 3 | 0 | 1.5ms | nothing | Tuesday |\n\
                    | flood | 3 | 0 | 1.5ms | nothing | Tuesday |\n";
        assert_eq!(second, format!("{PAGE}{rows}\nSome words.\n"));
    }
}
