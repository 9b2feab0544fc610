//! The rows, as a table for people and for the docs.

use std::{fmt, fs, time::Duration};

use anyhow::{Context, Result};

const PAGE: &str = "# Torture

What becomes of a host whose firewall is stopped, killed, upgraded, flooded, loses its disk or its clock: each fault brought about
many times on a real kernel, in namespaces of its own, and what was lost counted. `cargo xtask torture --markdown FILE` writes
this page. `--quick` brings each fault about a few times in some minutes; the whole starts the daemon thousands of times, which
takes hours.

*Lost* counts packets of a blocked source that passed, packets of the office that didn't, and acknowledged list entries, blocks,
settings and lines of the report that are gone or there twice. The *longest gap* is the longest silence in the office's packets,
4,000 a second, while 46,000 a second of blocked sources are dropped.

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

    /// A page of the manual.
    pub fn page(&self, took: Duration) -> Result<String> {
        let day = jiff::Zoned::now().date();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel")?;
        let kernel = kernel.split(['.', '-']).take(2).collect::<Vec<_>>().join(".");
        let cpus = std::thread::available_parallelism()?;
        let minutes = took.as_secs().div_ceil(60);
        let made = format!("Made on {day}, Linux {kernel}, {cpus} CPUs, in {minutes} minutes.");
        Ok(format!("{PAGE}{made}\n\n{}", self.markdown()))
    }

    fn markdown(&self) -> String {
        let mut text = "| fault | how often | lost | longest gap | what a user sees |\n".to_owned();
        text += "|---|---|---|---|---|\n";
        for row in &self.rows {
            text += &format!("| {} |\n", row.cells().join(" | "));
        }
        text
    }
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

    #[test]
    fn one_loss_is_a_loss_of_all() {
        let row = |lost| Row {
            fault: "restart".to_owned(),
            times: 3,
            lost,
            gap: Some(Duration::from_micros(1500)),
            seen: "nothing".to_owned(),
        };
        let mut table = Table::default();
        table.add(row(0));
        assert!(table.nothing_was_lost());
        assert!(table.markdown().ends_with("| restart | 3 | 0 | 1.5ms | nothing |\n"));
        table.add(row(1));
        assert!(!table.nothing_was_lost());
    }
}
