//! The hub's database: its book, row by row, and deltas that have not left yet.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::Path;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::api::{FleetDecision, FleetLog, FleetLogQuery};
use crate::fleet::curation::{Book, Done, Kept, Refused, Reporter, Shielded, Source};
use crate::fleet::refusal::Refusal;
use crate::store::{Shelf, ShelfBatch};

const META: &str = "meta";
const NOTED: &str = "noted";
const SOURCE: &str = "source/";
const HOST: &str = "host/";
const PROTECTED: &str = "protected/";
const OUTBOX: &str = "outbox/";
const LOG: &str = "log/";
/// Decisions that are kept.
const LOG_MAX: u64 = 10_000;
/// Of which so many are told at once.
const PAGE: u64 = 100;
const PAGE_MAX: u64 = 1000;

/// How far the list goes.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Meta {
    /// When the database was made: one that was lost is followed by a later one.
    generation: u64,
    revision: u64,
    recalled: u64,
}

/// Counts, which may lose their last seconds.
#[derive(Default, Serialize, Deserialize)]
struct Noted {
    strangers: BTreeMap<Refusal, u64>,
    refused: VecDeque<Refused>,
}

pub(super) struct Records {
    shelf: Shelf,
    meta: Meta,
    /// Revisions that arrived, to be removed with the next write.
    arrived: Vec<u64>,
    /// Decisions to be written with what they did.
    decided: Vec<FleetDecision>,
    /// Of the first decision that is kept, and of the next one.
    log: Range<u64>,
}

impl Records {
    pub fn open(directory: &Path) -> anyhow::Result<(Self, Book)> {
        let (shelf, aside) = Shelf::open(directory)?;
        if let Some(aside) = aside {
            warn!("the database could not be read: set aside as {}", aside.display());
        }
        let meta = shelf.get(META)?.unwrap_or_else(|| Meta {
            generation: u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default(),
            revision: 0,
            recalled: 0,
        });
        let noted: Noted = shelf.get(NOTED)?.unwrap_or_default();
        let mut book = Book::default();
        (book.recalled, book.strangers) = (meta.recalled, noted.strangers);
        book.refused = noted.refused;
        for row in shelf.all::<Source>(SOURCE) {
            let (key, source) = row?;
            if let Ok(network) = key.parse() {
                book.restore(network, source);
            }
        }
        for row in shelf.all::<Reporter>(HOST) {
            let (name, host) = row?;
            book.hosts.insert(name, host);
        }
        for row in shelf.all::<Shielded>(PROTECTED) {
            let (key, shielded) = row?;
            book.protected.extend(key.parse::<IpNetwork>().ok().map(|it| (it, shielded)));
        }
        let numbers = || shelf.all::<FleetDecision>(LOG).filter_map(Result::ok);
        let first = numbers().next().map_or(0, |(_, it)| it.number);
        let next = numbers().last().map_or(0, |(_, it)| it.number + 1);
        let (arrived, decided) = (Vec::new(), Vec::new());
        let records = Self { shelf, meta, arrived, decided, log: first..next };
        let mut batch = ShelfBatch::default();
        batch.put(META, &records.meta);
        records.shelf.apply(batch)?;
        Ok((records, book))
    }

    pub fn generation(&self) -> u64 {
        self.meta.generation
    }

    pub fn revision(&self) -> u64 {
        self.meta.revision
    }

    /// Those that were not acknowledged, in their order.
    pub fn outbox(&self) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
        let mut deltas = Vec::new();
        for row in self.shelf.all::<String>(OUTBOX) {
            let (key, text) = row?;
            let bytes = (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16))
                .collect::<Result<Vec<u8>, _>>()?;
            deltas.push((key.parse()?, bytes));
        }
        Ok(deltas)
    }

    /// It lies in the stream.
    pub fn published(&mut self, revision: u64) {
        self.arrived.push(revision);
    }

    /// Written with the next batch, which is what it did.
    pub fn decided(&mut self, decision: FleetDecision) {
        self.decided.push(decision);
    }

    pub fn log(&self, query: &FleetLogQuery) -> anyhow::Result<FleetLog> {
        let limit = query.limit.unwrap_or(PAGE).min(PAGE_MAX);
        let last = self.log.end.saturating_sub(query.offset.unwrap_or(0)).max(self.log.start);
        let first = last.saturating_sub(limit).max(self.log.start);
        let mut decisions = Vec::new();
        for number in (first..last).rev() {
            decisions.extend(self.shelf.get::<FleetDecision>(&logged(number))?);
        }
        Ok(FleetLog { decisions, total: self.log.end - self.log.start })
    }

    /// All that a message or a decision did, as a whole.
    pub fn keep(
        &mut self,
        book: &Book,
        done: &Done,
        deltas: Vec<(u64, Vec<u8>)>,
    ) -> anyhow::Result<()> {
        let mut batch = ShelfBatch::default();
        for kept in &done.kept {
            match kept {
                Kept::Source(network) => {
                    put(&mut batch, &format!("{SOURCE}{network}"), book.sources.get(network));
                }
                Kept::Host(name) => {
                    put(&mut batch, &format!("{HOST}{name}"), book.hosts.get(name));
                }
                Kept::Protected(network) => {
                    let key = format!("{PROTECTED}{network}");
                    put(&mut batch, &key, book.protected.get(network));
                }
            }
        }
        if let Some((last, _)) = deltas.last() {
            self.meta.revision = *last;
            self.meta.recalled = book.recalled;
            batch.put(META, &self.meta);
        }
        for (revision, delta) in deltas {
            let text: String = delta.iter().map(|byte| format!("{byte:02x}")).collect();
            batch.put(&outgoing(revision), &text);
        }
        for decision in std::mem::take(&mut self.decided) {
            let number = self.log.end;
            batch.put(&logged(number), &FleetDecision { number, ..decision });
            self.log.end += 1;
            if self.log.end - self.log.start > LOG_MAX {
                batch.remove(&logged(self.log.start));
                self.log.start += 1;
            }
        }
        if !batch.is_empty() || !self.arrived.is_empty() {
            for revision in std::mem::take(&mut self.arrived) {
                batch.remove(&outgoing(revision));
            }
        }
        Ok(self.shelf.apply(batch)?)
    }

    /// What is only counted.
    pub fn note(&mut self, book: &Book) -> anyhow::Result<()> {
        let mut batch = ShelfBatch::default();
        let (strangers, refused) = (book.strangers.clone(), book.refused.clone());
        batch.put(NOTED, &Noted { strangers, refused });
        for (name, host) in &book.hosts {
            batch.put(&format!("{HOST}{name}"), host);
        }
        Ok(self.shelf.apply(batch)?)
    }
}

fn put<T: Serialize>(batch: &mut ShelfBatch, key: &str, row: Option<&T>) {
    match row {
        Some(row) => batch.put(key, row),
        None => batch.remove(key),
    }
}

/// Sorts as it counts.
fn outgoing(revision: u64) -> String {
    format!("{OUTBOX}{revision:020}")
}

fn logged(number: u64) -> String {
    format!("{LOG}{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(by: &str) -> FleetDecision {
        FleetDecision {
            number: 0,
            at: 1,
            by: by.to_owned(),
            what: "approve".to_owned(),
            network: None,
            sources: Vec::new(),
            note: String::new(),
        }
    }

    #[test]
    fn decisions_are_kept_with_what_they_did_the_last_first() {
        let directory = tempfile::tempdir().unwrap();
        let (mut records, book) = Records::open(directory.path()).unwrap();
        for by in ["anna", "ben", "carl"] {
            records.decided(decision(by));
            records.keep(&book, &Done::default(), Vec::new()).unwrap();
        }
        drop((records, book));
        let (mut records, book) = Records::open(directory.path()).unwrap();
        let names = |records: &Records, query: FleetLogQuery| {
            let log = records.log(&query).unwrap();
            let names = log.decisions.into_iter().map(|it| (it.number, it.by));
            (names.collect::<Vec<_>>(), log.total)
        };
        let page = |offset, limit| FleetLogQuery { offset: Some(offset), limit: Some(limit) };
        let row = |number, by: &str| (number, by.to_owned());
        let all = vec![row(2, "carl"), row(1, "ben"), row(0, "anna")];
        assert_eq!(names(&records, FleetLogQuery::default()), (all, 3));
        assert_eq!(names(&records, page(1, 1)), (vec![row(1, "ben")], 3));
        assert_eq!(names(&records, page(9, 1)), (Vec::new(), 3));
        // The oldest go.
        records.log.end = LOG_MAX;
        records.decided(decision("dora"));
        records.keep(&book, &Done::default(), Vec::new()).unwrap();
        assert_eq!(records.log, 1..LOG_MAX + 1);
        assert_eq!(names(&records, page(LOG_MAX - 1, 1)), (vec![row(1, "ben")], LOG_MAX));
    }
}
