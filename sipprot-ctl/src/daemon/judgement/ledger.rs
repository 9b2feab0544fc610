//! What the daemon remembers between packets and the store: blocks in force, what was dropped of
//! whom, and the attacks of the day that are not yet written. All of it is bounded.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use sipprot_common::reason::Reason;
use sipprot_common::source::SourceKey;

use crate::daemon::clock::{moved, signed_nanoseconds};
use crate::rules::Time;
use crate::store::{AttackRecord, BlockKey, BlockKind, BlockRecord};

/// Sources whose drops are remembered.
const SEEN_MAX: usize = 16_384;
/// Attack rows that wait for the next write.
const ATTACKS_MAX: usize = 8_192;

#[derive(Default)]
pub struct Ledger {
    blocks: HashMap<BlockKey, Held>,
    /// Those of them that the kernel did not take.
    refused: HashSet<BlockKey>,
    seen: HashMap<SourceKey, Seen>,
    attacks: HashMap<AttackKey, AttackRecord>,
    /// Rows that found no room.
    pub attacks_left_out: u64,
}

struct Held {
    record: BlockRecord,
    /// Renewed since it was written.
    dirty: bool,
}

/// What was dropped of a source, as far as events told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub drops: Vec<(Reason, u64)>,
    /// What would have been dropped, had its protection not only observed.
    pub spared: Vec<(Reason, u64)>,
    pub user_agent: Option<String>,
    last: Time,
}

impl Seen {
    pub fn last(&self) -> Time {
        self.last
    }

    /// Drops that events told of.
    pub fn total(&self) -> u64 {
        self.drops.iter().map(|(_, count)| count).sum()
    }

    /// Why most of them, or why most would have been.
    pub fn most(&self) -> Option<Reason> {
        let all = if self.drops.is_empty() { &self.spared } else { &self.drops };
        all.iter().max_by_key(|(_, count)| *count).map(|(reason, _)| *reason)
    }
}

#[derive(PartialEq, Eq, Hash)]
struct AttackKey {
    day: Date,
    source: IpNetwork,
    victim: Option<IpAddr>,
    endpoint: Option<String>,
    method: String,
}

impl Ledger {
    pub fn put_block(&mut self, record: BlockRecord) {
        let key = record.key();
        if record.refused {
            self.refused.insert(key.clone());
        } else {
            self.refused.remove(&key);
        }
        self.blocks.insert(key, Held { record, dirty: false });
    }

    pub fn remove_block(&mut self, key: &BlockKey) -> Option<BlockRecord> {
        self.refused.remove(key);
        self.blocks.remove(key).map(|held| held.record)
    }

    pub fn refused_len(&self) -> usize {
        self.refused.len()
    }

    /// Blocks that are not in force, because the kernel did not take them.
    pub fn refused(&self) -> impl Iterator<Item = &BlockRecord> {
        self.refused.iter().filter_map(|key| self.blocks.get(key)).map(|held| &held.record)
    }

    pub fn blocks(&self) -> impl Iterator<Item = &BlockRecord> {
        self.blocks.values().map(|held| &held.record)
    }

    pub fn block(&self, key: &BlockKey) -> Option<&BlockRecord> {
        self.blocks.get(key).map(|held| &held.record)
    }

    pub fn blocks_of(&self, source: IpNetwork) -> impl Iterator<Item = &BlockRecord> {
        self.blocks().filter(move |record| record.source == source)
    }

    pub fn in_force(&self, kind: BlockKind, now: Timestamp) -> u64 {
        let holds = |record: &&BlockRecord| {
            record.kind == kind && now < record.expires_at && !record.refused
        };
        self.blocks().filter(holds).count() as u64
    }

    /// A block's end moved; true when that is news.
    pub fn renew(&mut self, key: &BlockKey, expires_at: Timestamp, renewals: u32) -> bool {
        let Some(held) = self.blocks.get_mut(key) else { return false };
        let record = &mut held.record;
        // The clocks' distance wavers by less than this.
        let moved = expires_at.as_millisecond().abs_diff(record.expires_at.as_millisecond()) > 500;
        if !moved && renewals == record.renewals {
            return false;
        }
        record.expires_at = expires_at;
        record.renewals = renewals;
        held.dirty = true;
        true
    }

    /// Blocks last as long as they would have.
    pub fn clock_was_set(&mut self, by: SignedDuration) {
        for held in self.blocks.values_mut() {
            held.record.expires_at = moved(held.record.expires_at, by);
            held.dirty = true;
        }
        let by_ns = signed_nanoseconds(by);
        self.seen.values_mut().for_each(|seen| seen.last = seen.last.moved(by_ns));
    }

    /// Renewed blocks, to be written.
    pub fn take_renewed(&mut self) -> Vec<BlockRecord> {
        let dirty = self.blocks.values_mut().filter(|held| held.dirty);
        dirty
            .map(|held| {
                held.dirty = false;
                held.record.clone()
            })
            .collect()
    }

    /// Those whose time is up.
    pub fn due(&self, now: Timestamp) -> Vec<BlockRecord> {
        self.blocks().filter(|record| record.expires_at <= now).cloned().collect()
    }

    pub fn note_drop(
        &mut self,
        source: SourceKey,
        (reason, observed): (Reason, bool),
        agent: Option<&str>,
        at: Time,
    ) {
        if self.seen.len() >= SEEN_MAX && !self.seen.contains_key(&source) {
            self.forget_oldest();
        }
        let seen = self.seen.entry(source).or_default();
        seen.last = at;
        let counts = if observed { &mut seen.spared } else { &mut seen.drops };
        match counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => counts.push((reason, 1)),
        }
        if let Some(agent) = agent {
            seen.user_agent = Some(agent.to_owned());
        }
    }

    /// The older half: once per as many newcomers, so that a flood of them costs little each.
    fn forget_oldest(&mut self) {
        let mut times: Vec<Time> = self.seen.values().map(|seen| seen.last).collect();
        let middle = times.len() / 2;
        let (_, limit, _) = times.select_nth_unstable(middle);
        let limit = *limit;
        self.seen.retain(|_, seen| seen.last > limit);
    }

    pub fn seen(&self, source: SourceKey) -> Option<&Seen> {
        self.seen.get(&source)
    }

    /// Of whom packets were dropped since then, or would have been, those with most first.
    pub fn busiest(&self, at_most: usize, since: Time) -> Vec<(SourceKey, &Seen)> {
        let lately = self.seen.iter().filter(|(_, seen)| seen.last >= since);
        let mut all: Vec<(SourceKey, &Seen)> =
            lately.map(|(source, seen)| (*source, seen)).collect();
        let rank =
            |(source, seen): &(SourceKey, &Seen)| (std::cmp::Reverse(seen.total()), source.0);
        if at_most < all.len() {
            all.select_nth_unstable_by_key(at_most, rank);
            all.truncate(at_most);
        }
        all.sort_by_key(rank);
        all
    }

    /// Adds to the row of its day, source, victim, endpoint and method.
    pub fn add_attack(&mut self, attack: AttackRecord) {
        let key = AttackKey {
            day: attack.day,
            source: attack.source,
            victim: attack.victim,
            endpoint: attack.endpoint.clone(),
            method: attack.method.clone(),
        };
        if let Some(row) = self.attacks.get_mut(&key) {
            row.drops += attack.drops;
            row.observed += attack.observed;
            row.last = row.last.max(attack.last);
            row.user_agent = attack.user_agent.or(row.user_agent.take());
        } else if self.attacks.len() < ATTACKS_MAX {
            self.attacks.insert(key, attack);
        } else {
            self.attacks_left_out += attack.drops + attack.observed;
        }
    }

    pub fn take_attacks(&mut self) -> Vec<AttackRecord> {
        self.attacks.drain().map(|(_, attack)| attack).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_bounded_and_the_newest_stay() {
        let mut ledger = Ledger::default();
        for number in 0..3 * SEEN_MAX as u64 {
            ledger.note_drop(SourceKey(number), (Reason::UserAgent, false), None, Time(number));
        }
        assert!(ledger.seen.len() <= SEEN_MAX);
        let newest = SourceKey(3 * SEEN_MAX as u64 - 1);
        assert_eq!(ledger.seen(newest).unwrap().drops, [(Reason::UserAgent, 1)]);
        ledger.note_drop(newest, (Reason::UserAgent, false), Some("sipcli"), Time(0));
        let seen = ledger.seen(newest).unwrap();
        assert_eq!((seen.drops[0].1, seen.user_agent.as_deref()), (2, Some("sipcli")));
    }

    fn attack(method: &str, second: i64) -> AttackRecord {
        let at = Timestamp::from_second(second).unwrap();
        AttackRecord {
            day: at.to_zoned(jiff::tz::TimeZone::UTC).date(),
            source: "192.0.2.1".parse().unwrap(),
            method: method.to_owned(),
            victim: None,
            endpoint: None,
            country: None,
            user_agent: Some("a".to_owned()),
            drops: 1,
            observed: 0,
            first: at,
            last: at,
        }
    }

    #[test]
    fn what_was_only_observed_is_no_drop() {
        let (mut ledger, source) = (Ledger::default(), SourceKey(1));
        ledger.note_drop(source, (Reason::UserAgent, true), None, Time(1));
        let seen = ledger.seen(source).unwrap();
        assert_eq!((seen.total(), seen.most()), (0, Some(Reason::UserAgent)));
        for _ in 0..2 {
            ledger.note_drop(source, (Reason::Held, false), None, Time(2));
        }
        let seen = ledger.seen(source).unwrap();
        assert_eq!((seen.total(), seen.most()), (2, Some(Reason::Held)));
        assert_eq!(ledger.busiest(9, Time(2)).len(), 1);
    }

    #[test]
    fn attacks_of_a_day_are_one_row() {
        let mut ledger = Ledger::default();
        for (method, second) in [("SCANNER:1", 1), ("SCANNER:1", 9), ("SCANNER:2", 5)] {
            ledger.add_attack(attack(method, second));
        }
        ledger.add_attack(attack("SCANNER:1", 86_400));
        let mut rows: Vec<_> = ledger
            .take_attacks()
            .into_iter()
            .map(|row| (row.method, row.drops, row.last.as_second()))
            .collect();
        rows.sort();
        let expected = [("SCANNER:1", 1, 86_400), ("SCANNER:1", 2, 9), ("SCANNER:2", 1, 5)];
        assert_eq!(rows, expected.map(|(method, drops, last)| (method.to_owned(), drops, last)));
        assert!(ledger.take_attacks().is_empty());
    }
}
