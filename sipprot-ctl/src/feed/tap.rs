//! One log's lines through its filters, and what is counted of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sipprot_common::ceiling;

use super::announced::Announced;
use super::filter::{Filter, Found, Line, Verdict};
use super::place::Place;
use crate::message::clean;
use crate::rules::Told;

/// What is kept of a line, in bytes.
const SHOWN_MAX: usize = 300;
const ACCOUNT_MAX: usize = 128;
/// What one endpoint may tell a second, and at once: the rules' memory is everybody's.
const SHARE: (u32, u32) = (100, 1000);

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
    /// Of a file: what was told up to here.
    place: Mutex<Option<Place>>,
}

impl Tally {
    pub fn place(&self) -> Option<Place> {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_place(&self, place: Option<Place>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

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
    shares: Arc<Mutex<HashMap<Arc<str>, u64>>>,
    began: Instant,
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
            shares: Arc::default(),
            began: Instant::now(),
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
        if let Whose::Endpoint(name) = whose
            && !self.is_within_share(name)
        {
            tally.lost.fetch_add(1, Relaxed);
            return None;
        }
        let text = clean(line.text.as_bytes(), SHOWN_MAX);
        let text = &text[..text.floor_char_boundary(SHOWN_MAX)];
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

    fn is_within_share(&self, endpoint: &Arc<str>) -> bool {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let (interval_ns, burst_ns) = ceiling::times(SHARE.0, SHARE.1);
        let now_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let bucket = shares.entry(endpoint.clone()).or_default();
        let taken = ceiling::take(*bucket, now_ns, interval_ns, burst_ns);
        taken.inspect(|next| *bucket = *next).is_some()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::filters;

    #[test]
    fn a_tenant_has_a_share_and_the_host_none() {
        let line =
            "Nov 22 17:21:03 pbx sshd[9]: Failed password for x from 198.51.100.7 port 1 ssh2";
        let told = |whose| {
            let tap = Tap::new("auth", filters(&["sshd".to_owned()]).unwrap(), whose, false);
            let told = (0..3000).filter(|_| tap.sift(Line::plain(line)).is_some()).count();
            (told, tap.tally.lost.load(Relaxed) as usize)
        };
        assert_eq!(told(Whose::Host), (3000, 0));
        let (count, lost) = told(Whose::Endpoint("pbx1".into()));
        assert!((1000..3000).contains(&count) && count + lost == 3000, "{count} {lost}");
    }
}
