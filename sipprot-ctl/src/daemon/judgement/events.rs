//! An event on its way: to the rules, to the day's attacks, to who was dropped and why.

use std::net::IpAddr;

use sipprot_common::abi::{
    EVENT_DROP, EVENT_FLAG_OBSERVED, EVENT_FLAG_OUTBOUND, EVENT_FLAG_TRUSTED, EVENT_HOLD,
    EVENT_RENEWED,
};
use sipprot_common::reason::Reason;
use sipprot_common::source::{Address, SourceKey};
use tracing::debug;

use crate::api::LiveKind;
use crate::daemon::clock::timestamp;
use crate::daemon::core::Core;
use crate::datapath::{Batch, BlockTarget, Event, monotonic_precise_ns};
use crate::message::{Nonces, Packet, observations, signature};
use crate::rules::{EndpointId, KernelDrop, Observation, Proof, RuleId};
use crate::store::AttackRecord;

/// Forged sources of a wide peer network must not take all the room for trust.
const PEERS_SEEN_MAX: usize = 16_384;

impl Core {
    /// Judges one event and carries out what follows, before the next one is looked at.
    pub(in crate::daemon) fn event(&mut self, event: &Event<'_>) {
        let header = &event.header;
        let at = self.clock.to_time(header.at_ns);
        let packet = Packet { header, payload: event.payload, at };
        if header.flags & (EVENT_FLAG_TRUSTED | EVENT_FLAG_OUTBOUND) == 0 {
            self.trust_peer(packet.source().ip());
        }
        if header.flags & EVENT_FLAG_OUTBOUND == 0 {
            self.watch(packet.source().ip());
        }
        let told = observations(&mut self.reader, &mut self.connections, &packet);
        for (mut observation, nonces) in told {
            self.weigh_nonces(&mut observation, nonces);
            self.observe(&observation);
            if let Observation::KernelDrop(drop) = &observation {
                match header.kind {
                    EVENT_DROP | EVENT_HOLD => {
                        self.note_drop(drop, header.flags & EVENT_FLAG_OBSERVED != 0);
                    }
                    EVENT_RENEWED => self.note_renewal(drop),
                    _ => {}
                }
            }
        }
        self.lag_seconds = monotonic_precise_ns().saturating_sub(header.at_ns) as f64 / 1e9;
    }

    /// A nonce that left over TCP may have left in pieces, of which the kernel makes nothing. Whoever
    /// got it so must not prove with it in the name of another: events come in order, so that it is
    /// known here before anybody could use it.
    fn weigh_nonces(&mut self, observation: &mut Observation, nonces: Nonces) {
        match (observation, nonces) {
            (Observation::Response(response), Nonces { given: Some(nonce), .. }) => {
                let source = SourceKey::from(response.destination.ip());
                self.kernel.carry("noting a nonce", |datapath| datapath.note_nonce(nonce, source));
            }
            (Observation::Request(request), Nonces { proves: Some(nonce), .. }) => {
                let source = SourceKey::from(request.source.ip());
                let foreign = self
                    .kernel
                    .carry("asking for a nonce", |it| it.is_foreign_nonce(nonce, source));
                if foreign == Some(true) {
                    request.proof = Proof::None;
                }
            }
            _ => {}
        }
    }

    /// The kernel knows single sources only: one of a configured network is told to it when it is
    /// first seen.
    fn trust_peer(&mut self, address: IpAddr) {
        let source = SourceKey::from(address);
        if !self.engine.settings().is_peer(Address::from(address).to_ip())
            || self.peers_seen.len() >= PEERS_SEEN_MAX
            || !self.peers_seen.insert(source)
        {
            return;
        }
        debug!("{address} is a configured peer");
        let rate = self.kernel_rate(source);
        self.kernel.carry("trusting", |datapath| {
            datapath.clear_source(source)?;
            datapath.trust(source, rate)
        });
    }

    pub(in crate::daemon) fn observe(&mut self, observation: &Observation) {
        let mut decisions = std::mem::take(&mut self.decisions);
        self.engine.observe_into(observation, &mut decisions);
        for decision in decisions.drain(..) {
            self.carry_out(decision);
        }
        self.decisions = decisions;
    }

    pub(in crate::daemon) fn after_batch(&mut self, batch: Batch) {
        self.metrics.events.received.inc_by(batch.events as u64);
        self.metrics.events.malformed.inc_by(batch.malformed as u64);
        self.metrics.events.lag.set(self.lag_seconds);
    }

    /// What the kernel dropped by itself, or would have, had the protection not only observed.
    fn note_drop(&mut self, drop: &KernelDrop, observed: bool) {
        let source = SourceKey::from(drop.source.ip());
        let why = (drop.reason, observed);
        self.ledger.note_drop(source, why, drop.user_agent.as_deref(), drop.at);
        let count = u64::from(drop.count);
        let Some(method) = method(drop) else { return };
        let at = timestamp(drop.at);
        self.ledger.add_attack(AttackRecord {
            day: at.to_zoned(jiff::tz::TimeZone::UTC).date(),
            source: Self::network_of(source),
            method,
            victim: Some(drop.destination.ip()),
            endpoint: self.endpoint_name(drop.endpoint),
            country: self.country_code(drop.source.ip()),
            user_agent: drop.user_agent.as_deref().map(str::to_owned),
            drops: if observed { 0 } else { count },
            observed: if observed { count } else { 0 },
            first: at,
            last: at,
        });
    }

    /// The kernel gave a block its time again.
    fn note_renewal(&mut self, drop: &KernelDrop) {
        let source = SourceKey::from(drop.source.ip());
        debug!("the block of {} goes on", drop.source.ip());
        for policy in [0, u32::from(drop.endpoint.0)] {
            self.look_again(BlockTarget { source, policy });
        }
    }

    /// Takes over what the kernel made of a block.
    pub(in crate::daemon) fn look_again(&mut self, target: BlockTarget) {
        let held = self.kernel.carry("reading a block", |datapath| datapath.block(target));
        let Some(Some(block)) = held else { return };
        let key = self.block_key(target);
        let expires_at = self.clock.kernel_timestamp(block.expires_ns);
        let known = self.ledger.block(&key).map(|record| record.renewals);
        self.ledger.renew(&key, expires_at, block.renewals);
        if let Some(record) = self.ledger.block(&key)
            && known < Some(record.renewals)
        {
            self.tell_block(LiveKind::Renewed, record);
        }
    }

    /// `None` for the host's own.
    pub(in crate::daemon) fn endpoint_name(&self, endpoint: EndpointId) -> Option<String> {
        (endpoint.0 > 0).then(|| self.plan.name(u32::from(endpoint.0)).to_owned())
    }
}

/// METHOD of the report, for what the kernel dropped by itself. What follows from rules has theirs.
fn method(drop: &KernelDrop) -> Option<String> {
    match drop.reason {
        Reason::UserAgent => {
            let agent = drop.user_agent.as_deref().unwrap_or_default();
            Some(format!("SCANNER:{}", signature(agent)))
        }
        Reason::Held | Reason::TcpBudget | Reason::Contained => {
            Some(RuleId::KernelAttempts.signature().to_owned())
        }
        Reason::SourceCeiling => Some("FLOOD:source".to_owned()),
        // The kernel tells samples of these.
        Reason::SshCeiling => Some("FLOOD:ssh".to_owned()),
        Reason::HttpCeiling => Some("FLOOD:http".to_owned()),
        Reason::TftpCeiling => Some("FLOOD:tftp".to_owned()),
        Reason::DnsOversize => Some("EXPLOIT:dns".to_owned()),
        // Many senders share this ceiling: whoever it hit need not be one of the flooders.
        _ => None,
    }
}
