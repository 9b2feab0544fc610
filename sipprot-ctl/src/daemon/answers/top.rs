//! What is going on right now: counts of the kernel, and who attacks.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sipprot_common::reason::{Class, Reason};
use sipprot_common::source::SourceKey;

use super::reports::host_name;
use crate::api::{LiveFilter, Top, TopAttacker, TopEndpoint, TopInterface, Traffic, WouldView};
use crate::daemon::core::Core;
use crate::daemon::judgement::ledger::Seen;
use crate::daemon::plan;
use crate::datapath::{monotonic_ns, probe};
use crate::report::address;
use crate::store::{BlockKind, BlockRecord};

/// Attackers in one answer: the kernel is asked for each.
pub const ATTACKERS_MAX: usize = 500;
/// Changes in one answer.
const LATEST: usize = 8;
/// Who was dropped within this time attacks now.
const NOW: Duration = Duration::from_secs(60);
/// Who isn't cut off because the host only observes, or learns.
const SPARED: &str = "spared";

impl Core {
    pub(in crate::daemon) fn top(&mut self, limit: usize) -> Top {
        let status = self.status();
        let endpoints = self.traffic();
        let mut traffic = Traffic::default();
        endpoints.iter().for_each(|it| traffic.add(&it.traffic));
        let received = probe::received();
        let interface = |it: crate::api::InterfaceView| TopInterface {
            received: received.iter().find(|(name, _)| *name == it.name).map_or(0, |it| it.1),
            name: it.name,
            xdp: it.xdp,
        };
        Top {
            at_ms: monotonic_ns() / 1_000_000,
            host: host_name(),
            version: status.version,
            protected: status.protected,
            mode: status.mode,
            problems: status.problems,
            interfaces: status.interfaces.into_iter().map(interface).collect(),
            traffic,
            lists: status.lists,
            events: status.events,
            endpoints,
            attackers: self.attackers(limit.min(ATTACKERS_MAX)),
            gateway: self.engine.gateway().map(|source| address(Self::network_of(source))),
            latest: self.live.last(LATEST, &LiveFilter::default()),
        }
    }

    fn traffic(&self) -> Vec<TopEndpoint> {
        let mut blocks: HashMap<&str, u64> = HashMap::new();
        let now = self.clock.timestamp_now();
        for record in self.ledger.blocks().filter(|it| now < it.expires_at && !it.refused) {
            *blocks.entry(record.endpoint.as_deref().unwrap_or(plan::HOST)).or_default() += 1;
        }
        let modes = self.config.endpoints.iter().map(|it| it.mode(&self.config).to_string());
        let modes = std::iter::once(self.config.mode.to_string()).chain(modes);
        let all = (0u32..).zip(&self.plan.names).zip(modes);
        let mut endpoints: Vec<TopEndpoint> = all
            .map(|((policy, name), mode)| TopEndpoint {
                name: name.clone(),
                mode: if self.lessons.goes_on() { "learning".to_owned() } else { mode },
                traffic: self.traffic_of(policy),
                blocks: blocks.get(name.as_str()).copied().unwrap_or_default(),
            })
            .collect();
        // People look for their PBXs first.
        endpoints.rotate_left(1);
        endpoints
    }

    pub(in crate::daemon) fn traffic_of(&self, policy: u32) -> Traffic {
        let mut traffic = Traffic::default();
        let Ok(Some(counters)) = self.kernel.with(|datapath| datapath.counters(policy).map(Some))
        else {
            return traffic;
        };
        for &reason in Reason::ALL {
            let packets = counters.packets[reason as usize];
            traffic.observed += counters.observed[reason as usize];
            match reason.class() {
                Class::Pass | Class::Fault => traffic.passed += packets,
                Class::Drop => {
                    traffic.dropped += packets;
                    if packets > 0 {
                        traffic.drops.insert(reason.label().to_owned(), packets);
                    }
                }
            }
            if matches!(reason, Reason::SipRequest | Reason::SipResponse) {
                traffic.sip += packets;
            }
        }
        traffic
    }

    /// Those who attack now first, the busiest before; then those who are cut off still, or would be if the
    /// host didn't learn.
    fn attackers(&self, limit: usize) -> Vec<TopAttacker> {
        let now = self.clock.timestamp_now();
        let busiest = self.ledger.busiest(limit, self.clock.time_now().before(NOW));
        let known: HashSet<SourceKey> = busiest.iter().map(|(source, _)| *source).collect();
        let mut held: HashMap<SourceKey, &BlockRecord> = HashMap::new();
        for record in self.ledger.blocks().filter(|it| now < it.expires_at && !it.refused) {
            let source = SourceKey::from(record.source.ip());
            let newest = held.entry(source).or_insert(record);
            if newest.started_at < record.started_at {
                *newest = record;
            }
        }
        let mut rest: Vec<(SourceKey, &BlockRecord)> = held
            .iter()
            .filter(|(source, _)| !known.contains(*source))
            .map(|(source, record)| (*source, *record))
            .collect();
        rest.sort_by_key(|(source, record)| (std::cmp::Reverse(record.started_at), source.0));
        let busy = busiest.into_iter().map(|(source, seen)| (source, Some(seen)));
        let rest = rest.into_iter().map(|(source, _)| (source, self.ledger.seen(source)));
        let spared =
            self.would_be_cut_off(|source| known.contains(source) || held.contains_key(source));
        busy.chain(rest)
            .map(|(source, seen)| self.attacker(source, held.get(&source).copied(), seen))
            .chain(spared)
            .take(limit)
            .collect()
    }

    /// Whom the rules would have cut off lately, the last one first, but for those that are told already.
    fn would_be_cut_off(
        &self,
        is_told: impl Fn(&SourceKey) -> bool,
    ) -> impl Iterator<Item = TopAttacker> {
        let since = self.clock.time_now().before(NOW);
        let mut spared: HashMap<SourceKey, WouldView> = HashMap::new();
        if let Some(learning) = self.engine.learning() {
            for would in learning.would().filter(|it| it.last >= since && !is_told(&it.source())) {
                let view = self.would_view(learning, would);
                match spared.entry(would.source()) {
                    Entry::Occupied(mut newest) if newest.get().last < view.last => {
                        newest.insert(view);
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(place) => {
                        place.insert(view);
                    }
                }
            }
        }
        let mut spared: Vec<(SourceKey, WouldView)> = spared.into_iter().collect();
        spared.sort_by_key(|(source, would)| (std::cmp::Reverse(would.last), source.0));
        spared.into_iter().map(|(source, would)| TopAttacker {
            source: would.source,
            country: self.country_code(Self::network_of(source).ip()),
            endpoint: would.endpoint,
            state: SPARED.to_owned(),
            reason: would.rule,
            user_agent: would.user_agent,
            dropped: 0,
            last: would.last,
            expires_at: None,
        })
    }

    fn attacker(
        &self,
        source: SourceKey,
        held: Option<&BlockRecord>,
        seen: Option<&Seen>,
    ) -> TopAttacker {
        let counts = self.kernel.with(|datapath| datapath.source_counts(source)).ok().flatten();
        let told = seen.map_or(0, Seen::total);
        let last = seen.map(|seen| i64::try_from(seen.last().as_secs()).unwrap_or(i64::MAX));
        let network = Self::network_of(source);
        TopAttacker {
            source: address(network),
            country: held
                .and_then(|record| record.country.clone())
                .or_else(|| self.country_code(network.ip())),
            endpoint: held.and_then(|record| record.endpoint.clone()),
            state: match held.map(|record| record.kind) {
                Some(BlockKind::Dynamic) => "blocked",
                Some(BlockKind::Containment) => "contained",
                Some(BlockKind::Quarantine) => "quarantined",
                None if told == 0 && seen.is_some() => SPARED,
                None => "dropped",
            }
            .to_owned(),
            reason: match (held, seen.and_then(Seen::most)) {
                (Some(record), _) => record.rule.clone(),
                (None, Some(reason)) => reason.label().to_owned(),
                (None, None) => String::new(),
            },
            user_agent: seen
                .and_then(|seen| seen.user_agent.clone())
                .or_else(|| held.and_then(|record| record.user_agent.clone())),
            dropped: counts.map_or(told, |counts| counts.dropped.max(told)),
            last: last.or(held.map(|it| it.started_at.as_second())).unwrap_or_default(),
            expires_at: held.map(|record| record.expires_at.as_second()),
        }
    }
}
