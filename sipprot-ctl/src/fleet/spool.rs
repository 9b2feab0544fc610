//! Reports that the hub doesn't have yet, on the disk: each batch a line with its number, so that what
//! is sent again after a crash is known for the same.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::message::{REPORTS_MAX, Report, Reports};

/// Reports that wait at most; past that the newest are lost, and counted.
const WAITING_MAX: usize = 100_000;

#[derive(Serialize, Deserialize)]
enum Line {
    Batch(Reports),
    /// The hub's stream has it.
    Sent(u64),
}

pub struct Spool {
    path: PathBuf,
    file: File,
    host: String,
    sequence: u64,
    batches: VecDeque<Reports>,
    /// Reports in these.
    waiting: usize,
    pub lost: u64,
}

impl Spool {
    pub fn open(path: &Path, host: &str) -> anyhow::Result<Self> {
        let mut batches: VecDeque<Reports> = VecDeque::new();
        let mut sequence = 0;
        if let Ok(file) = File::open(path) {
            for line in BufReader::new(file).lines() {
                // The last one may be cut.
                match serde_json::from_str(&line.context("reading reports that wait")?) {
                    Ok(Line::Batch(batch)) => {
                        sequence = sequence.max(batch.sequence);
                        batches.push_back(batch);
                    }
                    Ok(Line::Sent(number)) => {
                        sequence = sequence.max(number);
                        batches.retain(|batch| batch.sequence != number);
                    }
                    Err(_) => {}
                }
            }
        }
        // Of another name: the fleet was left and joined again.
        batches.retain(|batch| batch.host == host);
        let waiting = batches.iter().map(|batch| batch.reports.len()).sum();
        let file = append(path)?;
        let host = host.to_owned();
        let mut spool =
            Self { path: path.to_owned(), file, host, sequence, batches, waiting, lost: 0 };
        spool.rewrite()?;
        Ok(spool)
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The oldest batch that waits.
    pub fn first(&self) -> Option<&Reports> {
        self.batches.front()
    }

    /// Keeps them; `now_us` makes numbers that grow even where the file was lost.
    pub fn push(&mut self, mut reports: Vec<Report>, now_us: u64) -> anyhow::Result<()> {
        let room = WAITING_MAX.saturating_sub(self.waiting);
        self.lost += reports.len().saturating_sub(room) as u64;
        reports.truncate(room);
        for part in reports.chunks(REPORTS_MAX) {
            self.sequence = now_us.max(self.sequence + 1);
            let batch = Reports {
                host: self.host.clone(),
                sequence: self.sequence,
                sent_at: i64::try_from(now_us / 1_000_000).unwrap_or(i64::MAX),
                reports: part.to_vec(),
            };
            self.waiting += part.len();
            self.batches.push_back(batch.clone());
            self.write(&Line::Batch(batch))?;
        }
        self.file.sync_data().context("keeping reports")
    }

    /// The first one came where it should.
    pub fn sent(&mut self, sequence: u64) -> anyhow::Result<()> {
        if self.batches.front().is_none_or(|batch| batch.sequence != sequence) {
            return Ok(());
        }
        let sent = self.batches.pop_front();
        self.waiting -= sent.map_or(0, |batch| batch.reports.len());
        // Whether this line lasts matters little: what is sent twice is taken once.
        self.write(&Line::Sent(sequence))?;
        if self.batches.is_empty() {
            self.rewrite()?;
        }
        Ok(())
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text).context("keeping reports")
    }

    /// Only what still waits, and how far the numbers went.
    fn rewrite(&mut self) -> anyhow::Result<()> {
        let new = self.path.with_extension("new");
        let _ = std::fs::remove_file(&new);
        self.file = append(&new)?;
        self.write(&Line::Sent(self.sequence))?;
        for batch in self.batches.clone() {
            self.write(&Line::Batch(batch))?;
        }
        self.file.sync_all()?;
        std::fs::rename(&new, &self.path).context("keeping reports")
    }
}

fn append(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path);
    file.with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::message::Grade;

    fn report(last: u8) -> Report {
        Report {
            source: format!("198.51.100.{last}/32").parse().unwrap(),
            grade: Grade::Proven,
            rule: "BRUTEFORCE:register".to_owned(),
            count: 1,
            first: 1,
            last: 1,
            user_agent: None,
            country: None,
            endpoint: None,
            account: None,
        }
    }

    #[test]
    fn what_waits_outlasts_a_crash_and_keeps_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reports");
        let mut spool = Spool::open(&path, "a").unwrap();
        spool.push(vec![report(1)], 1000).unwrap();
        spool.push(vec![report(2)], 1000).unwrap();
        spool.push((0..=255).map(report).chain([report(9)]).collect(), 5000).unwrap();
        let numbers =
            |spool: &Spool| spool.batches.iter().map(|it| it.sequence).collect::<Vec<_>>();
        assert_eq!((numbers(&spool), spool.waiting()), (vec![1000, 1001, 5000, 5001], 259));
        spool.sent(1000).unwrap();
        // The end of the file was cut by the crash.
        spool.file.write_all(b"{\"Batch\":{\"ho").unwrap();
        drop(spool);
        let mut spool = Spool::open(&path, "a").unwrap();
        assert_eq!((numbers(&spool), spool.waiting()), (vec![1001, 5000, 5001], 258));
        for number in [1001, 5000, 5001] {
            spool.sent(number).unwrap();
        }
        drop(spool);
        // The clock may go back.
        let mut spool = Spool::open(&path, "a").unwrap();
        spool.push(vec![report(3)], 7).unwrap();
        assert_eq!(numbers(&spool), [5002]);
        drop(spool);
        assert_eq!(Spool::open(&path, "b").unwrap().waiting(), 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&directory.path().join("reports"), "a").unwrap();
        spool.waiting = WAITING_MAX - 1;
        spool.push(vec![report(1), report(2), report(3)], 1).unwrap();
        assert_eq!((spool.batches.len(), spool.lost), (1, 2));
    }
}
