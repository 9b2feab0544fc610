//! What other programs ban, as they print it: fail2ban's bans and CrowdSec's decisions, as rows of our lists.
//!
//! Text in, rows out: who runs those programs, and where the rows go, it doesn't know.

pub mod crowdsec;
pub mod fail2ban;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ipnetwork::IpNetwork;
use jiff::Timestamp;

use crate::api::TEXT_MAX;
use crate::config::{Scope, unmapped};
use crate::message::clean;
use crate::sheet::Writer;
use crate::store::{List, ListEntry, Origin};

/// What is on the list of another program.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Found {
    entries: BTreeMap<IpNetwork, Entry>,
    /// Why something is not among them, and how often.
    left_out: BTreeMap<&'static str, u64>,
}

/// An address may be there for several reasons: it stays as long as the longest.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    reasons: BTreeSet<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

const CHARACTER_BYTES_MAX: usize = 4;
const OVER: &str = "is over already";
const NO_ADDRESS: &str = "is neither an address nor a network";

impl Found {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Such as "2 left out: is over already".
    pub fn left_out(&self) -> impl Iterator<Item = String> {
        self.left_out.iter().map(|(why, count)| format!("{count} left out: {why}"))
    }

    fn leave_out(&mut self, why: &'static str) {
        *self.left_out.entry(why).or_default() += 1;
    }

    fn add(&mut self, address: &str, reason: &str, since: Option<Timestamp>, end: End) {
        let Some(network) = network(address) else { return self.leave_out(NO_ADDRESS) };
        let until = match end {
            End::Never => None,
            End::At(at) => Some(at),
            End::Past => return self.leave_out(OVER),
        };
        let reasons = BTreeSet::from([reason.to_owned()]);
        let entry = Entry { reasons, since, until };
        let Some(known) = self.entries.get_mut(&network) else {
            self.entries.insert(network, entry);
            return;
        };
        known.reasons.extend(entry.reasons);
        known.since = known.since.into_iter().chain(since).min();
        known.until = known.until.zip(until).map(|(one, other)| one.max(other));
    }

    /// As a file that `import` reads. `by` is the program.
    pub fn sheet(&self, list: List, by: &str, now: Timestamp) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, true)?;
        for (network, entry) in &self.entries {
            let reasons: Vec<&str> = entry.reasons.iter().map(String::as_str).collect();
            let note = format!("{by}: {}", reasons.join(", "));
            writer.entry(&ListEntry {
                network: *network,
                list,
                endpoint: None,
                note: clean(note.as_bytes(), TEXT_MAX / CHARACTER_BYTES_MAX),
                added_at: entry.since.unwrap_or(now),
                added_by: by.to_owned(),
                expires_at: entry.until,
                scope: Scope::All,
                origin: Origin::Import,
            })?;
        }
        writer.finish()?;
        Ok(bytes)
    }
}

/// When an entry ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Never,
    At(Timestamp),
    Past,
}

impl End {
    fn at(at: Timestamp, now: Timestamp) -> Self {
        if at <= now { Self::Past } else { Self::At(at) }
    }
}

/// Without host bits: these programs take a network by any address of it.
fn network(text: &str) -> Option<IpNetwork> {
    let network = unmapped(text.trim().parse().ok()?);
    IpNetwork::new(network.network(), network.prefix()).ok()
}
