//! Gathers what is known of one address; `crate::why` makes the answer of it.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{COUNTRY_UNKNOWN, MODE_ENFORCE, MODE_OFF};
use sipprot_common::policy::geo_drops;
use sipprot_common::source::{Address, SourceKey};

use super::check::wider_networks;
use super::{Reply, block_view, seconds, store_fault};
use crate::api::{
    Answer, BlockView, EvidenceView, Fault, PacketView, TrustView, WindowView, WouldView,
};
use crate::daemon::core::Core;
use crate::daemon::judgement::alerts::alert_view;
use crate::daemon::judgement::evidence::packet;
use crate::geo;
use crate::report;
use crate::rules::{Account, Evidence, Standing, TrustKind, WindowStanding};
use crate::store::{EvidenceRecord, PacketRecord, Store, StoreError};
use crate::why::{Facts, PAST_MAX, tell};

impl Core {
    pub(in crate::daemon) fn why(&mut self, asked: IpAddr, reply: Reply) {
        let source = Self::network_of(SourceKey::from(asked));
        let facts = self.facts(asked);
        self.write_renewals();
        let store = self.store.clone();
        let look = facts.map(|facts| {
            move || {
                let facts = with_past(facts, store.as_deref(), source);
                Ok(Answer::Why(Box::new(tell(facts.map_err(|error| store_fault(&error))?))))
            }
        });
        self.answer_after_writes(look, reply);
    }

    fn facts(&mut self, asked: IpAddr) -> Result<Facts, Fault> {
        let check = self.check(asked)?;
        let source = SourceKey::from(asked);
        let standing = self.engine.explain(source, self.clock.time_now());
        let blocks = self.blocks_in_force(Self::network_of(source));
        let blocks: Vec<BlockView> = blocks.into_iter().map(block_view).collect();
        let hold_ns = std::iter::once(source)
            .chain(wider_networks(source))
            .filter_map(|key| self.kernel.with(|datapath| datapath.source(key)).ok().flatten())
            .map(|known| known.attempts.hold_until_ns)
            .max();
        let host = self.plan.policies.first();
        Ok(Facts {
            now: self.clock.timestamp_now().as_second(),
            hold_until: hold_ns
                .filter(|_| check.held)
                .map(|ns| self.clock.kernel_timestamp(ns).as_second()),
            trust: self.trust_of(source, &standing),
            windows: standing.windows.iter().map(window_view).collect(),
            failures: standing.evidence.as_ref().map(failures),
            shut_out_at: self.shut_out_at(asked),
            observed: host.is_some_and(|host| host.mode != MODE_ENFORCE),
            learning: self.lessons.goes_on(),
            would: self.would_of(source),
            alerts: Vec::new(),
            past: Vec::new(),
            blocks,
            check,
        })
    }

    fn would_of(&self, source: SourceKey) -> Vec<WouldView> {
        let Some(learning) = self.learning() else { return Vec::new() };
        learning.would_of(source).map(|would| self.would_view(learning, would)).collect()
    }

    fn trust_of(&self, source: SourceKey, standing: &Standing) -> Option<TrustView> {
        let trust = standing.trust?;
        let last = trust.until.before(self.engine.settings().trust_time);
        Some(TrustView {
            source: report::address(Self::network_of(source)),
            kind: trust_kind(trust.kind).to_owned(),
            accounts: standing.accounts.iter().map(|it| it.account.to_string()).collect(),
            since: seconds(trust.since),
            last_seen: seconds(last),
            peak: trust.peak,
            ceiling: standing.ceiling,
            country: self.country_code(source.network().0),
            endpoints: self.names_of(self.engine.endpoints_of(source)),
        })
    }

    /// The endpoints, or the host, at which its country is not let in.
    fn shut_out_at(&self, asked: IpAddr) -> Vec<String> {
        let address = Address::from(asked).to_ip();
        if geo::is_exempt(address) {
            return Vec::new();
        }
        let country = self.geography.country(address);
        let index = country.map_or(COUNTRY_UNKNOWN, |country| u32::from(country.index()));
        let policies = self.plan.policies.iter().zip(&self.plan.names);
        policies
            .filter(|(policy, _)| policy.mode != MODE_OFF && geo_drops(policy, index))
            .map(|(_, name)| name.clone())
            .collect()
    }
}

fn with_past(facts: Facts, store: Option<&Store>, source: IpNetwork) -> Result<Facts, StoreError> {
    let Some(store) = store else { return Ok(facts) };
    let past = store.history_of(source, PAST_MAX + 1)?.iter().map(block_view).collect();
    let alerts = store.alerts_of(source, PAST_MAX)?.iter().map(alert_view).collect();
    Ok(Facts { past, alerts, ..facts })
}

pub const fn trust_kind(kind: TrustKind) -> &'static str {
    match kind {
        TrustKind::Registered => "registered",
        TrustKind::Trunk => "trunk",
    }
}

pub fn evidence_view(record: &EvidenceRecord) -> EvidenceView {
    EvidenceView {
        count: record.count,
        limit: record.limit,
        window_s: record.window_s,
        first: packet_view(&record.first),
        last: packet_view(&record.last),
        accounts: record.accounts.clone(),
    }
}

pub(in crate::daemon) fn failures(evidence: &Evidence) -> EvidenceView {
    EvidenceView {
        count: evidence.count,
        limit: None,
        window_s: None,
        first: packet_view(&packet(&evidence.opening)),
        last: packet_view(&packet(&evidence.closing)),
        accounts: evidence.accounts.iter().map(Account::to_string).collect(),
    }
}

fn packet_view(record: &PacketRecord) -> PacketView {
    PacketView {
        at_ms: record.at.as_millisecond(),
        port: record.port,
        method: record.method,
        status: record.status,
        account: record.account.clone(),
        user_agent: record.user_agent.clone(),
        proof: record.proof,
        proven_by: record.proof.by().to_owned(),
        line: record.line.clone(),
    }
}

fn window_view(standing: &WindowStanding) -> WindowView {
    WindowView {
        rule: standing.rule.signature().to_owned(),
        counts: standing.rule.help().to_owned(),
        count: standing.count,
        proven: standing.proven,
        limit: standing.limit,
        window_s: standing.window.as_secs(),
    }
}
