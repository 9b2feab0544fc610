//! Who failed to log in has to wait, and twice as long each time.
//!
//! Counted by user name, known or not, and by source. Both tables are bounded: a full one gives up whoever
//! failed longest ago.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Failures that are forgiven.
const FREE: u32 = 3;
const FIRST: Duration = Duration::from_secs(1);
/// Whoever knows a name can make its owner wait: not for long.
const NAME_MAX: Duration = Duration::from_secs(60);
const SOURCE_MAX: Duration = Duration::from_secs(15 * 60);
const FORGOTTEN: Duration = Duration::from_secs(30 * 60);
const ENTRIES_MAX: usize = 4096;
/// Everybody together: each try costs an Argon2 hash.
const TRIES_BURST: u32 = 20;
const TRIES_EACH: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct Backoff {
    names: Table<String>,
    sources: Table<IpAddr>,
    all: Bucket,
}

impl Backoff {
    /// Takes a try; or says how long to wait.
    pub fn try_now(&mut self, name: &str, from: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let name = self.names.wait(&key_of(name), NAME_MAX, now);
        let wait = name.max(self.source_wait(from, now));
        if wait.is_zero() { self.all.take(now) } else { Err(wait) }
    }

    /// The same of what proves itself by no name: a source that sent wrong tokens.
    pub fn source_wait(&self, from: IpAddr, now: Timestamp) -> Duration {
        source_of(from).map_or(Duration::ZERO, |it| self.sources.wait(&it, SOURCE_MAX, now))
    }

    pub fn source_failed(&mut self, from: IpAddr, now: Timestamp) {
        if let Some(source) = source_of(from) {
            self.sources.failed(source, now);
        }
    }

    pub fn failed(&mut self, name: &str, from: IpAddr, now: Timestamp) {
        self.names.failed(key_of(name), now);
        self.source_failed(from, now);
    }

    /// Of the source's failures those for other names may remain: one right password excuses no guessing.
    pub fn succeeded(&mut self, name: &str) {
        self.names.0.remove(&key_of(name));
    }
}

/// No longer than a name may be.
fn key_of(name: &str) -> String {
    name.to_lowercase().chars().take(64).collect()
}

/// A /64 is one source. All who come through a proxy of this host look like it, so that loopback is none.
fn source_of(from: IpAddr) -> Option<IpAddr> {
    match from {
        IpAddr::V4(v4) => (!v4.is_loopback()).then_some(v4.into()),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => source_of(v4.into()),
            None if v6.is_loopback() => None,
            None => Some(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into()),
        },
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

#[derive(Debug)]
struct Table<K>(HashMap<K, Failures>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn wait(&self, key: &K, longest: Duration, now: Timestamp) -> Duration {
        let Some(Failures { count, last }) = self.0.get(key) else { return Duration::ZERO };
        let Some(doublings) = count.checked_sub(FREE) else { return Duration::ZERO };
        let whole = FIRST.saturating_mul(1 << doublings.min(20)).min(longest);
        whole.saturating_sub(since(*last, now))
    }

    fn failed(&mut self, key: K, now: Timestamp) {
        if self.0.len() >= ENTRIES_MAX && !self.0.contains_key(&key) {
            self.0.retain(|_, it| since(it.last, now) < FORGOTTEN);
            let oldest = self.0.iter().min_by_key(|(_, it)| it.last).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= ENTRIES_MAX) {
                self.0.remove(&oldest);
            }
        }
        let failures = self.0.entry(key).or_insert(Failures { count: 0, last: now });
        if since(failures.last, now) >= FORGOTTEN {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }
}

/// A clock that was put back makes nobody wait for longer than before.
fn since(last: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(last).try_into().unwrap_or(FORGOTTEN)
}

/// Fills by one each `TRIES_EACH`.
#[derive(Debug, Default)]
struct Bucket {
    /// When it will be full again.
    full_at: Option<Timestamp>,
}

impl Bucket {
    fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        let each = SignedDuration::try_from(TRIES_EACH).unwrap_or_default();
        let whole = each * i32::try_from(TRIES_BURST).unwrap_or_default();
        let full_at = self.full_at.unwrap_or(now).max(now);
        let after = full_at.saturating_add(each).unwrap_or(full_at);
        if after.duration_since(now) > whole {
            return Err(TRIES_EACH);
        }
        self.full_at = Some(after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The waits in seconds, as each failure is followed by a try at once.
    fn waits(
        failures: u32,
        name: impl Fn(u32) -> String,
        from: impl Fn(u32) -> IpAddr,
    ) -> Vec<u64> {
        let (mut backoff, mut now, mut waits) = (Backoff::default(), 0, Vec::new());
        for number in 0..failures {
            now += 1_000_000;
            let _ = backoff.try_now("other", address("192.0.2.200"), at(now));
            backoff.failed(&name(number), from(number), at(now));
            let tried = backoff.try_now(&name(number + 1), from(number + 1), at(now));
            waits.push(tried.err().map_or(0, |wait| wait.as_secs()));
        }
        waits
    }

    #[test]
    fn each_failure_doubles_the_wait() {
        let one = |_| address("192.0.2.1");
        let many = |number: u32| IpAddr::from([203, 0, 113, number as u8]);
        let names = |number: u32| format!("user{number}");
        let name = |_| "ann".to_owned();
        assert_eq!(waits(10, name, many), [0, 0, 1, 2, 4, 8, 16, 32, 60, 60], "one name");
        assert_eq!(waits(8, names, one), [0, 0, 1, 2, 4, 8, 16, 32], "one source");
        let network = |number: u32| address(&format!("2001:db8::{number:x}"));
        assert_eq!(waits(5, names, network), [0, 0, 1, 2, 4], "one /64");
        assert_eq!(waits(5, names, many), [0; 5], "nobody twice");
        let mut sender = Backoff::default();
        (0..4).for_each(|_| sender.source_failed(one(0), at(0)));
        assert_eq!(sender.source_wait(one(0), at(500)), Duration::from_millis(1500), "no name");
        let proxy = |_| address("127.0.0.1");
        assert_eq!(waits(5, names, proxy), [0; 5], "a proxy is not to blame");
        assert_eq!(waits(16, names, one)[15], 900, "no longer than a quarter of an hour");
    }

    #[test]
    fn a_wait_ends_and_success_forgives_the_name() {
        let (mut backoff, from) = (Backoff::default(), address("127.0.0.1"));
        (0..4).for_each(|_| backoff.failed("Ann", from, at(0)));
        assert_eq!(backoff.try_now("ann", from, at(500)), Err(Duration::from_millis(1500)));
        assert_eq!(backoff.try_now("ann", from, at(2000)), Ok(()));
        backoff.succeeded("ann");
        backoff.failed("ann", from, at(3000));
        assert_eq!(backoff.try_now("ann", from, at(3000)), Ok(()));
        (0..9).for_each(|_| backoff.failed("ann", from, at(4000)));
        backoff.failed("ann", from, at(4000 + 1_800_000));
        assert_eq!(backoff.try_now("ann", from, at(4000 + 1_800_000)), Ok(()), "long ago");
    }

    #[test]
    fn everybody_together_is_bounded() {
        let mut backoff = Backoff::default();
        let mut tries = |from: u32, now| {
            let tried = (from..from + 100).map(|number| {
                backoff.try_now(&format!("u{number}"), IpAddr::from([203, 0, 113, 1]), at(now))
            });
            tried.filter(Result::is_ok).count()
        };
        assert_eq!(tries(0, 0), TRIES_BURST as usize);
        assert_eq!(tries(100, 1000), 4);
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut backoff = Backoff::default();
        for number in 0..2 * ENTRIES_MAX as u32 {
            let from = IpAddr::from(u32::to_be_bytes(0xcb00_7100 + number));
            backoff.failed(&format!("u{number}"), from, at(i64::from(number)));
        }
        assert_eq!((backoff.names.0.len(), backoff.sources.0.len()), (ENTRIES_MAX, ENTRIES_MAX));
        assert!(backoff.names.0.contains_key(&format!("u{}", 2 * ENTRIES_MAX - 1)));
    }
}
