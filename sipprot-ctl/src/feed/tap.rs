//! One log's lines through its filters, and what is counted of them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::announced::Announced;
use super::filter::{Filter, Found, Line, Verdict};
use crate::message::clean;
use crate::rules::Told;

/// What is kept of a line, in characters.
const SHOWN_MAX: usize = 300;
const ACCOUNT_MAX: usize = 128;

/// Whose word a line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    Host,
    /// By the name of the endpoint.
    Endpoint(Arc<str>),
}

/// Something that a log told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    pub whose: Whose,
    /// It shall be told what would follow, and nothing more.
    pub watched: bool,
    pub told: Told,
    pub address: IpAddr,
    pub port: Option<u16>,
    pub account: Option<String>,
    pub method: Option<String>,
    pub status: Option<u16>,
    pub transport: Option<String>,
    pub times: u32,
    /// `name of the log: the line`, fit to be shown.
    pub line: String,
}

/// How a log fares.
#[derive(Debug, Default)]
pub struct Tally {
    pub lines: AtomicU64,
    pub matched: AtomicU64,
    /// Too long to be read, or cut off.
    pub left_out: AtomicU64,
    /// From nobody who may speak here.
    pub refused: AtomicU64,
    /// Found, and lost since too much was waiting.
    pub lost: AtomicU64,
    /// Unix seconds; 0 before the first.
    pub last_line: AtomicI64,
    error: Mutex<Option<String>>,
}

impl Tally {
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_error(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// A log's way to the daemon.
#[derive(Clone, Debug)]
pub struct Tap {
    pub name: Arc<str>,
    pub tally: Arc<Tally>,
    pub whose: Whose,
    watched: bool,
    filters: Arc<[Filter]>,
    announced: Arc<Mutex<Announced>>,
}

impl Tap {
    pub fn new(name: &str, filters: Vec<Filter>, whose: Whose, watched: bool) -> Self {
        Self {
            name: name.into(),
            tally: Arc::default(),
            whose,
            watched,
            filters: filters.into(),
            announced: Arc::default(),
        }
    }

    /// What one line tells, in the name of whoever the log belongs to.
    pub fn sift(&self, line: Line<'_>) -> Option<Heard> {
        self.sift_of(line, &self.whose)
    }

    /// The same in the name of who sent it.
    pub fn sift_of(&self, line: Line<'_>, whose: &Whose) -> Option<Heard> {
        let tally = &self.tally;
        tally.lines.fetch_add(1, Relaxed);
        let known = self.filters.iter().find_map(|filter| match filter.look(line) {
            Verdict::Unknown => None,
            Verdict::Ignored => Some(None),
            Verdict::Means(found) => Some(Some(found)),
        })?;
        tally.matched.fetch_add(1, Relaxed);
        let found = known.filter(|found| self.counts(found))?;
        let text = clean(line.text.as_bytes(), SHOWN_MAX);
        let short = |text: &str| clean(text.as_bytes(), ACCOUNT_MAX);
        Some(Heard {
            whose: whose.clone(),
            watched: self.watched,
            told: found.told,
            address: found.address,
            port: found.port,
            account: found.account.map(short),
            method: found.method.map(short),
            status: found.status,
            transport: found.transport.map(str::to_ascii_lowercase),
            times: found.times,
            line: format!("{}: {text}", self.name),
        })
    }

    fn counts(&self, found: &Found<'_>) -> bool {
        if !matches!(found.told, Told::SshFailed | Told::SipRejected) {
            return true;
        }
        let from = (found.address, found.port.unwrap_or_default());
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        announced.counts(from, found.announces, Instant::now())
    }

    /// Lines were read just now.
    pub fn seen(&self) {
        self.tally.last_line.store(jiff::Timestamp::now().as_second(), Relaxed);
    }
}
