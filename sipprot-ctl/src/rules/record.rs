//! What was done about a source: its blocks and how they escalate, its containment, its quarantined
//! ports, its grace.

use std::time::Duration;

use sipprot_common::source::SourceKey;

use super::account::Account;
use super::decision::Scope;
use super::observation::EndpointId;
use super::settings::Settings;
use super::state::{BlockState, RecordState, SuspectState};
use super::table::Warmth;
use super::time::{DAY, HOUR, MINUTE, Time};

/// No new trust after a revocation or a possible break-in.
pub const DISTRUST: Duration = DAY;
const CONTAINMENT_SHORTEST: Duration = MINUTE;
const CONTAINMENT_LONGEST: Duration = Duration::from_secs(600);
/// A containment within this time after another lasts twice as long.
const CONTAINMENT_MEMORY: Duration = HOUR;
/// A containment is renewed before it ends, if the attack goes on.
const RENEWED_BEFORE: Duration = Duration::from_secs(5);
/// More dropped packets than this in the last minute are an attack that goes on.
const RENEWAL_PACKETS: u32 = 10;
/// Packets that prove nothing extend a block to at most this many times its length.
const UNPROVEN_LENGTHS_MAX: u32 = 4;
const QUARANTINES_MAX: usize = 64;
const COUNTS_MAX: usize = 20;
const SUSPECTS_MAX: usize = 16;
/// How long a login by ssh keeps rules off its address.
const LOGIN_MEMORY: Duration = Duration::from_secs(7 * 86_400);
/// Endpoints for which alone a source is blocked.
const ENDPOINT_BLOCKS_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Containment {
    until: Time,
    level: u32,
    minute: Time,
    dropped: u32,
}

#[derive(Default, Debug)]
pub struct Record {
    /// When blocks counted, the oldest first.
    pub blocks: Vec<Time>,
    pub block: Option<BlockState>,
    pub grace_until: Option<Time>,
    pub distrusted_until: Option<Time>,
    suspects: Vec<SuspectState>,
    /// When containments began that may escalate, one for each hour.
    pub containments: Vec<Time>,
    containment: Option<Containment>,
    quarantines: Vec<(u16, Time)>,
    /// The last login by ssh.
    pub login: Option<Time>,
    /// Blocks that hold at one endpoint alone: by its settings, or by the word of its own log.
    endpoint_blocks: Vec<(EndpointId, BlockState)>,
    /// The services that are cut off from a trusted source.
    cuts: Vec<(Scope, Time)>,
    last: Time,
}

impl Record {
    pub fn has_grace(&self, now: Time) -> bool {
        self.grace_until.is_some_and(|until| now < until)
    }

    pub fn is_distrusted(&self, now: Time) -> bool {
        self.distrusted_until.is_some_and(|until| now < until)
    }

    /// The host's.
    pub fn block_in_force(&self, now: Time) -> Option<&BlockState> {
        self.block.as_ref().filter(|block| block.is_in_force(now))
    }

    /// Blocks that stop the source at an endpoint: the host's first, then its own.
    pub fn blocks_at(&self, endpoint: EndpointId, now: Time) -> impl Iterator<Item = &BlockState> {
        let own = self.endpoint_blocks.iter().filter(move |(id, _)| *id == endpoint);
        let all = self.block.iter().chain(own.map(|(_, block)| block));
        all.filter(move |block| block.is_in_force(now))
    }

    pub fn log_in(&mut self, at: Time) {
        self.login = Some(at);
        self.last = at;
    }

    pub fn logged_in_lately(&self, now: Time) -> bool {
        self.login.is_some_and(|at| now.since(at) < LOGIN_MEMORY)
    }

    /// Endpoints at which alone it is blocked now.
    pub fn endpoints_blocking(&self, now: Time) -> impl Iterator<Item = EndpointId> {
        let in_force = self.endpoint_blocks.iter().filter(move |(_, block)| block.is_in_force(now));
        in_force.map(|(endpoint, _)| *endpoint)
    }

    /// Cuts off a service; false if it is already.
    pub fn cut(&mut self, service: Scope, at: Time, until: Time) -> bool {
        self.cuts.retain(|(_, end)| at < *end);
        if self.cuts.iter().any(|(known, _)| *known == service) {
            return false;
        }
        self.cuts.push((service, until));
        self.last = at;
        true
    }

    /// At one endpoint alone.
    pub fn block_at(&mut self, endpoint: EndpointId, block: BlockState) {
        let now = block.start;
        let covered = |id, other: &BlockState| id == endpoint && block.scope.covers(other.scope);
        self.endpoint_blocks.retain(|(id, it)| it.is_in_force(now) && !covered(*id, it));
        if self.endpoint_blocks.len() < ENDPOINT_BLOCKS_MAX {
            self.endpoint_blocks.push((endpoint, block));
        }
        self.last = now;
    }

    /// Blocks that still count.
    pub fn count(&self, now: Time, count_age: Duration) -> u32 {
        self.blocks.iter().filter(|at| now.since(**at) < count_age).count() as u32
    }

    fn count_block(&mut self, at: Time, count_age: Duration) -> u32 {
        self.blocks.retain(|before| at.since(*before) < count_age);
        if self.blocks.len() >= COUNTS_MAX {
            self.blocks.remove(0);
        }
        self.blocks.push(at);
        self.blocks.len() as u32
    }

    /// Begins a block, for the host or at one endpoint alone, and says which one it is of those that
    /// count.
    pub fn begin_block(
        &mut self,
        alone: Option<EndpointId>,
        block: BlockState,
        count_age: Duration,
    ) -> u32 {
        let at = block.start;
        self.last = at;
        self.containment = None;
        match alone {
            Some(endpoint) => self.block_at(endpoint, block),
            None => self.block = Some(block),
        }
        self.count_block(at, count_age)
    }

    /// An attack on an endpoint goes on during a block, which is extended. Says how many blocks there
    /// are if a whole block time of it has just been counted as one more.
    pub fn continue_attack(
        &mut self,
        endpoint: EndpointId,
        at: Time,
        proven: bool,
        count_age: Duration,
    ) -> Option<u32> {
        let own = self.endpoint_blocks.iter_mut().filter(|(id, _)| *id == endpoint);
        let all = self.block.iter_mut().chain(own.map(|(_, block)| block));
        let in_force = all.filter(|block| block.is_in_force(at));
        let block = in_force.max_by_key(|block| block.counted.is_some())?;
        self.last = at;
        let renewed = at.after(block.duration);
        if !proven {
            let latest = block.start.after(block.duration * UNPROVEN_LENGTHS_MAX);
            block.until = block.until.max(renewed.min(latest));
            return None;
        }
        block.until = block.until.max(renewed);
        if block.counted.is_none_or(|counted| at.since(counted) < block.duration) {
            return None;
        }
        block.counted = Some(at);
        Some(self.count_block(at, count_age))
    }

    pub fn contained_until(&self, now: Time) -> Option<Time> {
        self.containment.map(|containment| containment.until).filter(|until| now < *until)
    }

    /// Begins a containment: how long and at which level; none if one is in force.
    pub fn begin_containment(&mut self, at: Time) -> Option<(Duration, u32)> {
        if self.contained_until(at).is_some() {
            return None;
        }
        let remembered = |before: &Containment| at.since(before.until) < CONTAINMENT_MEMORY;
        let level =
            self.containment.filter(remembered).map_or(0, |before| before.level.saturating_add(1));
        Some(self.contain(at, level))
    }

    /// Packets were dropped by a containment in force. If that goes on to its end, it is renewed.
    pub fn renew_containment(&mut self, at: Time, count: u32) -> Option<(Duration, u32)> {
        let containment = self.containment.as_mut().filter(|containment| at < containment.until)?;
        if at.since(containment.minute) >= MINUTE {
            containment.minute = at;
            containment.dropped = 0;
        }
        containment.dropped = containment.dropped.saturating_add(count);
        let ends = at.after(RENEWED_BEFORE) >= containment.until;
        if !ends || containment.dropped <= RENEWAL_PACKETS {
            return None;
        }
        let level = containment.level.saturating_add(1);
        Some(self.contain(at, level))
    }

    fn contain(&mut self, at: Time, level: u32) -> (Duration, u32) {
        self.last = at;
        let longer = CONTAINMENT_SHORTEST.saturating_mul(2u32.saturating_pow(level));
        let duration = longer.min(CONTAINMENT_LONGEST);
        let until = at.after(duration);
        self.containment = Some(Containment { until, level, minute: at, dropped: 0 });
        (duration, level)
    }

    /// Counts the containment just begun, if none counted in this hour; says how many did.
    pub fn count_containment(&mut self, at: Time, count_age: Duration) -> u32 {
        let hour = |time: Time| time.as_secs() / 3600;
        self.containments.retain(|before| at.since(*before) < count_age);
        if self.containments.len() < COUNTS_MAX
            && self.containments.last().is_none_or(|before| hour(*before) != hour(at))
        {
            self.containments.push(at);
        }
        self.containments.len() as u32
    }

    /// The source proved itself: true if a containment ended by that.
    pub fn end_containment(&mut self, now: Time) -> bool {
        self.containment.take().is_some_and(|containment| now < containment.until)
    }

    /// Begins a quarantine; false if the port is in one already (it is never renewed).
    pub fn quarantine(&mut self, port: u16, at: Time, duration: Duration) -> bool {
        self.quarantines.retain(|(_, until)| at < *until);
        let known = self.quarantines.iter().any(|(other, _)| *other == port);
        if known || self.quarantines.len() >= QUARANTINES_MAX {
            return false;
        }
        self.last = at;
        self.quarantines.push((port, at.after(duration)));
        true
    }

    pub fn quarantined(&self, now: Time) -> Vec<(u16, Time)> {
        self.quarantines.iter().filter(|(_, until)| now < *until).copied().collect()
    }

    /// A manual unblock. Who had reached the threshold starts from nothing: the operator took it off
    /// the denylist, and the next block must not put it back at once.
    pub fn unblock(&mut self, now: Time, settings: &Settings) {
        self.last = now;
        self.block = None;
        self.containment = None;
        self.quarantines.clear();
        self.endpoint_blocks.clear();
        self.cuts.clear();
        self.grace_until = Some(now.after(settings.unblock_grace));
        if self.count(now, settings.count_age) >= settings.block_threshold {
            self.blocks.clear();
        }
        self.containments.clear();
    }

    /// Blocks and containments that began since then did not happen.
    pub fn forget_since(&mut self, then: Time) {
        self.blocks.retain(|at| *at < then);
        self.containments.retain(|at| *at < then);
        self.block = self.block.filter(|block| block.start < then);
        self.containment = None;
        self.quarantines.clear();
        self.endpoint_blocks.clear();
        self.cuts.clear();
    }

    pub fn distrust(&mut self, now: Time) {
        self.last = now;
        self.distrusted_until = Some(now.after(DISTRUST));
    }

    /// An account that may have been broken into from here. Of too many the oldest is forgotten.
    pub fn suspect(&mut self, account: &Account, until: Time, now: Time) {
        self.last = now;
        self.suspects.retain(|other| now < other.until && other.account != *account);
        if self.suspects.len() >= SUSPECTS_MAX {
            self.suspects.remove(0);
        }
        self.suspects.push(SuspectState { account: account.clone(), until });
    }

    pub fn state(&self, source: SourceKey, now: Time, count_age: Duration) -> RecordState {
        let counts = |at: &&Time| now.since(**at) < count_age;
        let own = self.endpoint_blocks.iter().filter(|(_, block)| block.is_in_force(now));
        RecordState {
            source,
            blocks: self.blocks.iter().filter(counts).copied().collect(),
            block: self.block_in_force(now).copied(),
            endpoint_blocks: own.copied().collect(),
            login: self.login.filter(|at| now.since(*at) < LOGIN_MEMORY),
            grace_until: self.grace_until.filter(|until| now < *until),
            distrusted_until: self.distrusted_until.filter(|until| now < *until),
            suspects: self.suspects.iter().filter(|it| now < it.until).cloned().collect(),
            containments: self.containments.iter().filter(counts).copied().collect(),
        }
    }

    pub fn restore(state: RecordState, now: Time) -> Self {
        Self {
            blocks: state.blocks,
            block: state.block,
            endpoint_blocks: state.endpoint_blocks,
            login: state.login,
            grace_until: state.grace_until,
            distrusted_until: state.distrusted_until,
            suspects: state.suspects,
            containments: state.containments,
            last: now,
            ..Self::default()
        }
    }
}

impl Warmth for Record {
    /// Counted blocks are promises of escalation; a containment is forgotten first.
    fn warmth(&self) -> (u8, Time) {
        let promised = !self.blocks.is_empty()
            || self.distrusted_until.is_some()
            || !self.suspects.is_empty()
            || self.login.is_some();
        (u8::from(promised), self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rule::RuleId;

    const HERE: EndpointId = EndpointId(1);

    fn block(seconds: u64) -> BlockState {
        BlockState {
            rule: RuleId::Register,
            scope: Scope::All,
            start: at(seconds),
            until: at(seconds).after(HOUR),
            duration: HOUR,
            counted: Some(at(seconds)),
        }
    }

    fn begin(record: &mut Record, seconds: u64) -> u32 {
        record.begin_block(None, block(seconds), Settings::default().count_age)
    }

    fn at(seconds: u64) -> Time {
        Time::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn containment_doubles_to_ten_minutes_while_remembered() {
        let mut record = Record::default();
        let mut now = 0;
        let mut lengths = vec![];
        for _ in 0..6 {
            let (duration, _) = record.begin_containment(at(now)).unwrap();
            assert_eq!(record.begin_containment(at(now + 1)), None, "one is in force");
            lengths.push(duration.as_secs());
            now += duration.as_secs() + 1;
        }
        assert_eq!(lengths, [60, 120, 240, 480, 600, 600]);
        assert_eq!(record.begin_containment(at(now + 3600)), Some((MINUTE, 0)));
    }

    #[test]
    fn containment_renews_itself_under_attack() {
        let mut record = Record::default();
        record.begin_containment(at(0));
        assert_eq!(record.renew_containment(at(30), 8), None, "not at its end");
        assert_eq!(record.renew_containment(at(56), 2), None, "too few");
        assert_eq!(record.renew_containment(at(57), 1), Some((2 * MINUTE, 1)));
        assert_eq!(record.contained_until(at(58)), Some(at(57 + 120)));
        assert!(record.end_containment(at(58)) && !record.end_containment(at(58)));
        assert_eq!(record.renew_containment(at(59), 99), None, "none in force");
    }

    #[test]
    fn a_whole_block_time_of_proven_attack_counts_as_one() {
        let settings = Settings::default();
        let age = settings.count_age;
        let mut record = Record::default();
        assert_eq!(begin(&mut record, 0), 1);
        assert_eq!(record.continue_attack(HERE, at(3000), true, age), None);
        assert_eq!(record.continue_attack(HERE, at(3600), true, age), Some(2));
        assert_eq!(record.continue_attack(HERE, at(7000), true, age), None);
        assert_eq!(record.continue_attack(HERE, at(7200), true, age), Some(3));
        assert_eq!(record.continue_attack(HERE, at(20_000), true, age), None, "it had ended");
    }

    #[test]
    fn unproven_packets_extend_a_block_to_four_lengths() {
        let settings = Settings::default();
        let mut record = Record::default();
        begin(&mut record, 0);
        for quarter in 1..100 {
            assert_eq!(
                record.continue_attack(HERE, at(quarter * 900), false, settings.count_age),
                None
            );
        }
        assert!(record.block_in_force(at(4 * 3600 - 1)).is_some());
        assert!(record.block_in_force(at(4 * 3600)).is_none());
    }

    #[test]
    fn counts_age_out_after_thirty_days() {
        let settings = Settings::default();
        let mut record = Record::default();
        begin(&mut record, 0);
        begin(&mut record, 86_400);
        assert_eq!(record.count(at(30 * 86_400 - 1), settings.count_age), 2);
        assert_eq!(record.count(at(30 * 86_400), settings.count_age), 1);
        assert_eq!(begin(&mut record, 40 * 86_400), 1);
    }

    #[test]
    fn containments_count_once_an_hour() {
        let settings = Settings::default();
        let mut record = Record::default();
        let counts =
            [0, 60, 3600, 3660, 7200].map(|s| record.count_containment(at(s), settings.count_age));
        assert_eq!(counts, [1, 1, 2, 2, 3]);
    }

    #[test]
    fn an_unblock_forgives_the_blocks_only_of_the_denied() {
        let settings = Settings::default();
        let mut record = Record::default();
        for block in 0..3 {
            begin(&mut record, block);
        }
        record.unblock(at(10), &settings);
        assert_eq!(
            (record.count(at(10), settings.count_age), record.has_grace(at(3609))),
            (3, true)
        );
        assert!(!record.has_grace(at(3610)) && record.block_in_force(at(10)).is_none());
        record.unblock(at(10), &Settings { block_threshold: 3, ..Settings::default() });
        assert_eq!(record.count(at(10), settings.count_age), 0);
    }
}
