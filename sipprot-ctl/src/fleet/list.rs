//! The blocklist as a host holds it: what a delta or a snapshot may change of it. Pure: bytes were
//! verified before, `now` is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::message::{Delta, ListChange, Listed, Manifest};
use super::refusal::Refusal;
use crate::blocklist::{self, Spared};

/// Nothing wider is taken in.
const WIDEST: (u8, u8) = (24, 48);
/// Nor what ends later than this.
pub const EXPIRY_MAX_S: i64 = 400 * 86_400;
/// Clocks may differ by this.
pub const SKEW_S: i64 = 300;
/// Lists with fewer entries may lose any of them.
const SHRINK_FLOOR: usize = 20;

/// The shortest prefix that the fleet's list may hold.
pub fn widest(network: IpNetwork) -> u8 {
    if network.is_ipv4() { WIDEST.0 } else { WIDEST.1 }
}

/// What is known of an entry beside its network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Unix seconds.
    pub since: u32,
    pub until: u32,
    pub rule: Arc<str>,
    pub hosts: u8,
}

/// The list, and how far it goes. A clone shares the entries until one of both changes.
#[derive(Clone, Default)]
pub struct Held {
    pub generation: u64,
    pub revision: u64,
    pub recalled: u64,
    /// Of the delta stream, the last that was seen.
    pub sequence: u64,
    entries: Arc<BTreeMap<IpNetwork, Known>>,
    rules: BTreeMap<String, Arc<str>>,
}

/// What became of a delta or snapshot.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Taken {
    pub changes: Vec<ListChange>,
    /// What of it was not taken.
    pub refused: Vec<Refusal>,
}

/// Why a delta was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    Refused(Refusal),
    /// Others came before it, which must be fetched.
    Gap,
}

impl Held {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = (&IpNetwork, &Known)> {
        self.entries.iter()
    }

    pub fn get(&self, network: IpNetwork) -> Option<&Known> {
        self.entries.get(&network)
    }

    /// Those that hold an address or network, or lie in it.
    pub fn overlapping(&self, wanted: IpNetwork) -> Vec<(IpNetwork, Known)> {
        let wider = (widest(wanted).min(wanted.prefix())..wanted.prefix())
            .filter_map(|prefix| plain(wanted, prefix))
            .filter_map(|network| self.entries.get_key_value(&network));
        let last = wanted.broadcast();
        let within = self.entries.range(wanted..).take_while(|(it, _)| it.network() <= last);
        let within = within.filter(|(it, _)| it.is_ipv4() == wanted.is_ipv4());
        wider.chain(within).map(|(network, known)| (*network, known.clone())).collect()
    }

    /// One step further.
    pub fn step(&mut self, delta: Delta, now: i64) -> Result<Taken, Unfit> {
        if delta.generation < self.generation {
            return Err(Unfit::Refused(Refusal::OtherGeneration));
        }
        if delta.generation > self.generation {
            return Err(Unfit::Gap);
        }
        if delta.revision <= self.revision {
            return Err(Unfit::Refused(Refusal::Replayed));
        }
        if delta.at > now + SKEW_S {
            return Err(Unfit::Refused(Refusal::Future));
        }
        if delta.revision != self.revision + 1 {
            return Err(Unfit::Gap);
        }
        self.revision = delta.revision;
        self.recalled = delta.recalled;
        let mut taken = Taken::default();
        for change in delta.changes {
            match &change {
                ListChange::Remove(network) => {
                    if Arc::make_mut(&mut self.entries).remove(network).is_some() {
                        taken.changes.push(change);
                    }
                }
                ListChange::Put(listed) => match fault(listed, now) {
                    Some(refusal) => taken.refused.push(refusal),
                    None => {
                        self.put(listed);
                        taken.changes.push(change);
                    }
                },
            }
        }
        Ok(taken)
    }

    /// The whole list anew. One that lost most of its entries without a recall loses none here: what
    /// is missing ends by itself.
    pub fn replace(
        &mut self,
        manifest: &Manifest,
        listed: Vec<Listed>,
        now: i64,
    ) -> Result<Taken, Refusal> {
        if manifest.generation < self.generation {
            return Err(Refusal::OtherGeneration);
        }
        if manifest.at > now + SKEW_S {
            return Err(Refusal::Future);
        }
        let is_same = manifest.generation == self.generation;
        if is_same && manifest.revision < self.revision {
            return Err(Refusal::Replayed);
        }
        let mut taken = Taken::default();
        let mut before = Arc::unwrap_or_clone(std::mem::take(&mut self.entries));
        for entry in listed {
            match fault(&entry, now) {
                Some(refusal) => taken.refused.push(refusal),
                None => {
                    let known = before.remove(&entry.network);
                    self.put(&entry);
                    if known.is_none_or(|known| known.until != entry.until) {
                        taken.changes.push(ListChange::Put(entry));
                    }
                }
            }
        }
        before.retain(|_, known| i64::from(known.until) > now);
        let all = self.entries.len() + before.len();
        let recalled = if is_same { manifest.recalled.saturating_sub(self.recalled) } else { 0 };
        let shrinks = all > SHRINK_FLOOR && before.len() * 2 > all;
        if shrinks && before.len() as u64 > recalled {
            taken.refused.push(Refusal::Shrinking);
            Arc::make_mut(&mut self.entries).append(&mut before);
        }
        taken.changes.extend(before.into_keys().map(ListChange::Remove));
        self.generation = manifest.generation;
        self.revision = manifest.revision;
        self.recalled = manifest.recalled;
        Ok(taken)
    }

    pub fn ended(&self, now: i64) -> Vec<IpNetwork> {
        let ended = self.entries.iter().filter(|(_, known)| i64::from(known.until) <= now);
        ended.map(|(network, _)| *network).collect()
    }

    pub fn forget(&mut self, ended: &[IpNetwork]) {
        if !ended.is_empty() {
            let entries = Arc::make_mut(&mut self.entries);
            ended.iter().for_each(|network| drop(entries.remove(network)));
        }
    }

    /// As it was kept on the disk.
    pub fn restore(&mut self, listed: impl IntoIterator<Item = Listed>, now: i64) {
        for entry in listed {
            if fault(&entry, now).is_none() {
                self.put(&entry);
            }
        }
    }

    fn put(&mut self, listed: &Listed) {
        let rule = match self.rules.get(&listed.rule) {
            Some(rule) => rule.clone(),
            None => {
                let rule: Arc<str> = listed.rule.as_str().into();
                self.rules.insert(listed.rule.clone(), rule.clone());
                rule
            }
        };
        let known = Known { since: listed.since, until: listed.until, rule, hosts: listed.hosts };
        Arc::make_mut(&mut self.entries).insert(listed.network, known);
    }
}

fn plain(network: IpNetwork, prefix: u8) -> Option<IpNetwork> {
    let network = IpNetwork::new(network.network(), prefix).ok()?;
    IpNetwork::new(network.network(), prefix).ok()
}

/// What is wrong with an entry, whoever signed it.
fn fault(listed: &Listed, now: i64) -> Option<Refusal> {
    let until = i64::from(listed.until);
    if listed.network.ip() != listed.network.network() {
        return Some(Refusal::Malformed);
    }
    if listed.network.prefix() < widest(listed.network) {
        return Some(Refusal::TooWide);
    }
    if until == 0 || until > now + EXPIRY_MAX_S {
        return Some(Refusal::NoExpiry);
    }
    if until <= now {
        return Some(Refusal::Old);
    }
    is_private(listed.network).then_some(Refusal::Private)
}

/// In no country: private, loopback, link-local, multicast.
pub fn is_private(network: IpNetwork) -> bool {
    static PRIVATE: std::sync::LazyLock<Spared> =
        std::sync::LazyLock::new(|| blocklist::Spared::new(std::iter::empty()));
    PRIVATE.overlaps(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const LATER: u32 = NOW as u32 + 86_400;

    fn entry(network: &str, until: u32) -> Listed {
        let network = network.parse().unwrap();
        Listed { network, since: 1, until, rule: "BRUTEFORCE:register".to_owned(), hosts: 2 }
    }

    fn delta(revision: u64, changes: Vec<ListChange>) -> Delta {
        Delta { generation: 5, revision, at: NOW, recalled: 0, changes }
    }

    fn held(networks: u8) -> Held {
        let mut held = Held { generation: 5, revision: 10, ..Held::default() };
        let all = (0..networks).map(|last| entry(&format!("203.0.113.{last}/32"), LATER));
        held.restore(all, NOW);
        held
    }

    #[test]
    fn entries_that_no_signature_makes_right() {
        let check = |network: &str, until: u32, refusal: Option<Refusal>| {
            let mut held = held(0);
            let put = ListChange::Put(entry(network, until));
            let taken = held.step(delta(11, vec![put]), NOW).unwrap();
            assert_eq!(taken.refused.first().copied(), refusal, "{network}");
            assert_eq!(held.len(), usize::from(refusal.is_none()), "{network}");
        };
        check("198.51.100.7/32", LATER, None);
        check("198.51.100.0/24", LATER, None);
        check("2001:db8:1::/48", LATER, None);
        check("0.0.0.0/0", LATER, Some(Refusal::TooWide));
        check("198.51.100.0/23", LATER, Some(Refusal::TooWide));
        check("2001:db8::/47", LATER, Some(Refusal::TooWide));
        check("10.0.0.1/32", LATER, Some(Refusal::Private));
        check("127.0.0.1/32", LATER, Some(Refusal::Private));
        check("fe80::1/128", LATER, Some(Refusal::Private));
        check("198.51.100.7/32", 0, Some(Refusal::NoExpiry));
        check("198.51.100.7/32", u32::MAX, Some(Refusal::NoExpiry));
        check("198.51.100.7/32", NOW as u32, Some(Refusal::Old));
        check("198.51.100.7/24", LATER, Some(Refusal::Malformed));
    }

    #[test]
    fn deltas_are_taken_in_their_order_alone() {
        let step = |change: fn(&mut Delta)| {
            let mut delta = delta(11, vec![ListChange::Put(entry("198.51.100.7/32", LATER))]);
            change(&mut delta);
            let mut held = held(3);
            let result = held.step(delta, NOW).map(|taken| taken.changes.len());
            assert_eq!(held.len(), 3 + result.unwrap_or(0));
            result
        };
        assert_eq!(step(|_| ()), Ok(1));
        let refused = |refusal| Err(Unfit::Refused(refusal));
        assert_eq!(step(|it| it.revision = 10), refused(Refusal::Replayed));
        assert_eq!(step(|it| it.revision = 1), refused(Refusal::Replayed));
        assert_eq!(step(|it| it.revision = 12), Err(Unfit::Gap));
        assert_eq!(step(|it| it.generation = 4), refused(Refusal::OtherGeneration));
        assert_eq!(step(|it| it.generation = 6), Err(Unfit::Gap));
        assert_eq!(step(|it| it.at = NOW + SKEW_S + 1), refused(Refusal::Future));
    }

    fn manifest(revision: u64, recalled: u64) -> Manifest {
        Manifest {
            generation: 5,
            revision,
            at: NOW,
            recalled,
            sequence: 1,
            set: 'a',
            entries: 0,
            poll_s: 2,
            chunks: Vec::new(),
        }
    }

    #[test]
    fn a_list_that_shrinks_to_nothing_takes_nothing_away() {
        let check = |manifest: Manifest, left: u8, expected: Result<usize, Refusal>| {
            let mut held = held(100);
            let listed = (0..left).map(|last| entry(&format!("203.0.113.{last}/32"), LATER));
            let taken = held.replace(&manifest, listed.collect(), NOW);
            assert_eq!(taken.map(|_| held.len()), expected, "{manifest:?} {left}");
        };
        check(manifest(12, 0), 0, Ok(100));
        check(manifest(12, 0), 10, Ok(100));
        check(manifest(12, 0), 60, Ok(60));
        // The webmaster recalled them.
        check(manifest(12, 95), 10, Ok(10));
        check(manifest(12, 100), 0, Ok(0));
        check(Manifest { generation: 9, ..manifest(1, 500) }, 1, Ok(100));
        check(manifest(9, 0), 100, Err(Refusal::Replayed));
        check(Manifest { generation: 4, ..manifest(99, 0) }, 1, Err(Refusal::OtherGeneration));
        check(Manifest { at: NOW + 900, ..manifest(12, 0) }, 1, Err(Refusal::Future));
    }

    #[test]
    fn a_snapshot_says_only_what_is_new() {
        let mut held = held(3);
        let listed = vec![
            entry("203.0.113.0/32", LATER),
            entry("203.0.113.1/32", LATER + 60),
            entry("198.51.100.7/32", LATER),
        ];
        let taken = held.replace(&manifest(12, 0), listed, NOW).unwrap();
        let network = |change: &ListChange| match change {
            ListChange::Put(listed) => (true, listed.network.to_string()),
            ListChange::Remove(network) => (false, network.to_string()),
        };
        let changes: Vec<_> = taken.changes.iter().map(network).collect();
        let expected =
            [(true, "203.0.113.1/32"), (true, "198.51.100.7/32"), (false, "203.0.113.2/32")];
        assert_eq!(changes, expected.map(|(put, network)| (put, network.to_owned())));
        assert_eq!((held.revision, held.len()), (12, 3));
    }

    #[test]
    fn what_ends_goes_and_what_overlaps_is_found() {
        let mut held = held(3);
        let nets = [("203.0.113.0/24", NOW as u32 + 5), ("2001:db8:1::/48", LATER)];
        held.restore(nets.map(|(network, until)| entry(network, until)), NOW);
        let found = |held: &Held, wanted: &str| held.overlapping(wanted.parse().unwrap()).len();
        assert_eq!(found(&held, "203.0.113.1/32"), 2);
        assert_eq!(found(&held, "203.0.113.77/32"), 1);
        assert_eq!(found(&held, "203.0.112.0/23"), 4);
        assert_eq!(found(&held, "2001:db8:1:2::/64"), 1);
        let ended = held.ended(NOW + 5);
        held.forget(&ended);
        assert_eq!(ended.len(), 1);
        assert_eq!(found(&held, "203.0.113.77/32"), 0);
    }
}
