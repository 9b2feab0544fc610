//! Carries out decisions: the kernel first, then the store.

use std::time::Duration;

use sipprot_common::abi::{self, Contained, maps};
use sipprot_common::source::SourceKey;
use tracing::{info, warn};

use super::notes;
use crate::api::LiveKind;
use crate::config::{Scope, format_duration};
use crate::daemon::clock::{after, timestamp};
use crate::daemon::core::{Core, Expiring};
use crate::daemon::plan::nanoseconds;
use crate::daemon::plan::scope::{kernel_scope, kernel_scopes, scope};
use crate::datapath::{
    BlockTarget, List as KernelList, ListItem, Quarantined, monotonic_ns, monotonic_precise_ns,
};
use crate::report::address;
use crate::rules::{
    Block, Case, Contain, Decision, Deny, Distrust, DistrustReason, Quarantine, Release, Time,
    Trust,
};
use crate::store::{BlockKey, BlockKind, BlockRecord, Change, List, ListEntry, Origin};

/// The author of what nobody added by hand.
pub const ITSELF: &str = "sipprot";

impl Core {
    pub(in crate::daemon) fn carry_out(&mut self, decision: Decision) {
        match decision {
            Decision::Block(block) => self.block(&block),
            Decision::Deny(deny) => self.deny(&deny),
            Decision::Contain(contain) => self.contain(&contain),
            Decision::Quarantine(quarantine) => self.quarantine(&quarantine),
            Decision::Trust(trust) => self.trust(&trust),
            Decision::Distrust(distrust) => self.distrust(&distrust),
            Decision::Release(release) => self.release(&release),
            Decision::Alert(alert) => self.alert(&alert),
            Decision::Remember(source) => {
                let standing = self.standing(source);
                self.journal.write(vec![Change::PutStanding(standing)]);
            }
        }
    }

    fn block(&mut self, block: &Block) {
        let case = &block.case;
        let policy = if block.host_wide { 0 } else { case.endpoint.0.into() };
        let target = BlockTarget { source: case.source, policy };
        let record = BlockRecord {
            scope: scope(block.scope),
            endpoint_only: policy != 0,
            ..self.record(case, BlockKind::Dynamic, block.duration)
        };
        let record = self.with_what_holds(record);
        let entry = self.kernel_entry(&record);
        let done = self.kernel.put(maps::BLOCKS, |datapath| datapath.put_block(target, &entry));
        if let Err(error) = done {
            return self.refused(case.source, record, &error);
        }
        let reaction_us = self.reaction(case.evidence_at);
        if block.scope.covers_sip() && self.blocks_wholly(policy) {
            // The block stands for the attempts: when it ends, they are not held against it again.
            self.kernel.carry("emptying a window", |it| it.clear_source(case.source));
        }
        let record = BlockRecord { reaction_us: Some(reaction_us), ..record };
        info!(
            source = %address(record.source),
            rule = record.rule,
            endpoint = record.endpoint,
            account = record.account,
            "blocked {} for {}{}: {} ({}), {} of {}, after {reaction_us} µs",
            address(record.source),
            format_duration(block.duration),
            match &record.endpoint {
                Some(endpoint) if record.endpoint_only => format!(" at {endpoint} alone"),
                _ => String::new(),
            },
            record.rule,
            record.reason,
            block.count,
            block.threshold
        );
        self.metrics.judgement.blocks.with_label_values(&["dynamic"]).inc();
        self.tell_block(LiveKind::Block, &record);
        self.ledger.put_block(record.clone());
        let standing = self.standing(case.source);
        self.journal.write(vec![Change::PutBlock(record), Change::PutStanding(standing)]);
    }

    /// The kernel holds one block of a source for each policy: a new one takes over what an earlier one
    /// stops beside it, so that a trusted source that loses ssh and then http gets neither back early.
    fn with_what_holds(&self, record: BlockRecord) -> BlockRecord {
        let (key, now) = (record.key(), self.clock.timestamp_now());
        let mut known = self.ledger.blocks_of(record.source);
        let known = known.find(|it| it.key() == key && it.kind == record.kind);
        let Some(known) = known.filter(|it| now < it.expires_at && !it.refused) else {
            return record;
        };
        let mut also: Vec<Scope> = known.also.iter().copied().chain([known.scope]).collect();
        also.retain(|scope| *scope != record.scope && record.scope != Scope::All);
        if also.is_empty() {
            return record;
        }
        BlockRecord { also, expires_at: record.expires_at.max(known.expires_at), ..record }
    }

    /// As the kernel has a block that begins now.
    fn kernel_entry(&self, record: &BlockRecord) -> abi::Block {
        let duration = Duration::from_secs(record.duration_s);
        abi::Block {
            expires_ns: self.clock.to_kernel_from(record.expires_at),
            ..kernel_block(duration, kernel_scopes(record))
        }
    }

    /// Whether a block of this policy stops the source at every endpoint, so that the kernel's own
    /// window isn't needed while it lasts.
    fn blocks_wholly(&self, policy: u32) -> bool {
        let only_observed = sipprot_common::policy::Protection::Block.bit();
        let enforced = |policy: &abi::Policy| {
            policy.mode == abi::MODE_ENFORCE && policy.observe & only_observed == 0
        };
        policy == 0 && self.plan.policies.iter().all(enforced)
    }

    /// The last of too many blocks: it counts as one, and ends as a denylist entry.
    fn deny(&mut self, deny: &Deny) {
        let case = &deny.case;
        let network = Self::network_of(case.source);
        let now = self.clock.timestamp_now();
        let expires_at = deny.expires_in.map(|span| after(now, span));
        let expires_ns = expires_at.map_or(0, |at| self.clock.to_kernel_from(at));
        let policy = if deny.host_wide { 0 } else { case.endpoint.0.into() };
        let item = ListItem { network, policy, expires_ns, scope: kernel_scope(deny.scope) };
        let done =
            self.kernel.carry("denying", |datapath| datapath.add_entry(KernelList::Deny, &item));
        if done.is_none() {
            return;
        }
        let reaction_us = self.reaction(case.evidence_at);
        let kind = if case.proven { BlockKind::Dynamic } else { BlockKind::Containment };
        let record = BlockRecord {
            reaction_us: Some(reaction_us),
            escalated: true,
            endpoint_only: policy != 0,
            ..self.record(case, kind, deny.expires_in.unwrap_or_default())
        };
        let entry = ListEntry {
            network,
            list: List::Deny,
            endpoint: record.endpoint.clone().filter(|_| record.endpoint_only),
            note: format!(
                "{} {} blocks, the last one by {}.",
                notes::of_block(&record, notes::BY_ITSELF),
                deny.count,
                record.rule
            ),
            // By it the row of the history is found again.
            added_at: record.started_at,
            added_by: ITSELF.to_owned(),
            expires_at,
            scope: scope(deny.scope),
            origin: Origin::Escalation,
        };
        warn!(
            source = %address(network),
            "denied {} for good: {}",
            address(network),
            entry.note
        );
        self.metrics.judgement.blocks.with_label_values(&["deny"]).inc();
        self.tell_block(LiveKind::Denied, &record);
        let standing = self.standing(case.source);
        let mut changes = vec![Change::PutBlock(record.clone()), Change::EndBlock(record.key())];
        changes.extend(self.end_blocks(case.source).into_iter().map(Change::EndBlock));
        self.lists_version += 1;
        self.count_entry(&entry);
        self.fresh_denials.push(entry.clone());
        changes.extend([Change::PutList(entry), Change::PutStanding(standing)]);
        self.journal.write(changes);
    }

    /// Takes a source's blocks and containments out of the kernel and the ledger.
    pub(in crate::daemon) fn end_blocks(&mut self, source: SourceKey) -> Vec<BlockKey> {
        let network = Self::network_of(source);
        let keys: Vec<BlockKey> = self.ledger.blocks_of(network).map(BlockRecord::key).collect();
        for key in &keys {
            self.ledger.remove_block(key);
        }
        for policy in self.blocking_policies() {
            let target = BlockTarget { source, policy };
            self.kernel.carry("lifting a block", |datapath| datapath.remove_block(target));
        }
        keys
    }

    /// The host's, and those that may have blocks of their own.
    pub(in crate::daemon) fn blocking_policies(&self) -> Vec<u32> {
        let own = (1..).zip(self.plan.keeps_blocks.iter().skip(1));
        std::iter::once(0).chain(own.filter(|(_, own)| **own).map(|(index, _)| index)).collect()
    }

    fn contain(&mut self, contain: &Contain) {
        let source = contain.case.source;
        let duration = self.containment(contain.level);
        let until_ns = monotonic_ns() + nanoseconds(duration);
        let done = self.kernel.carry("containing", |datapath| {
            let known = datapath.containment(source)?.unwrap_or_default();
            let duration_ns = nanoseconds(duration);
            datapath.contain(source, &Contained { until_ns, duration_ns, ..known })
        });
        if done.is_none() {
            return;
        }
        let reaction_us = self.reaction(contain.case.evidence_at);
        let record = BlockRecord {
            scope: Scope::Sip,
            reaction_us: Some(reaction_us),
            ..self.record(&contain.case, BlockKind::Containment, duration)
        };
        info!(
            source = %address(record.source),
            rule = record.rule,
            endpoint = record.endpoint,
            "contained {} for {}: {} ({})",
            address(record.source),
            format_duration(duration),
            record.rule,
            record.reason
        );
        self.metrics.judgement.blocks.with_label_values(&["containment"]).inc();
        self.tell_block(LiveKind::Contained, &record);
        self.persisted.dirty = true;
        self.ledger.put_block(record.clone());
        self.journal.write(vec![Change::PutBlock(record)]);
    }

    /// As configured, doubled for each level.
    fn containment(&self, level: u32) -> Duration {
        let limits = &self.config.rules;
        let doubled = limits.containment.saturating_mul(1 << level.min(16));
        doubled.min(limits.containment_max)
    }

    fn quarantine(&mut self, quarantine: &Quarantine) {
        let Quarantine { case, port, account, duration } = quarantine;
        let expires_ns = monotonic_ns() + nanoseconds(*duration);
        let entry = Quarantined { source: case.source, port: *port, expires_ns };
        let done = self.kernel.carry("quarantining", |datapath| datapath.quarantine(entry));
        if done.is_none() {
            return;
        }
        let record = BlockRecord {
            port: Some(*port),
            scope: Scope::Sip,
            account: Some(account.to_string()),
            reaction_us: Some(self.reaction(case.evidence_at)),
            ..self.record(case, BlockKind::Quarantine, *duration)
        };
        warn!(
            source = %address(record.source),
            rule = record.rule,
            endpoint = record.endpoint,
            account = %account,
            port,
            "quarantined port {port} of the trusted {} for {}: account {account} fails",
            address(record.source),
            format_duration(*duration)
        );
        self.metrics.judgement.blocks.with_label_values(&["quarantine"]).inc();
        self.tell_block(LiveKind::Quarantined, &record);
        self.ledger.put_block(record.clone());
        self.journal.write(vec![Change::PutBlock(record)]);
    }

    fn trust(&mut self, trust: &Trust) {
        let rate = self.kernel_rate(trust.source);
        let done = self.kernel.carry("trusting", |datapath| datapath.trust(trust.source, rate));
        if done.is_none() {
            return;
        }
        if !trust.renewed {
            let account = trust.account.as_ref().map(ToString::to_string).unwrap_or_default();
            info!("trusting {} {account}", trust.source_ip);
            let what = format!("{} is trusted {account}", trust.source_ip);
            self.tell_of(LiveKind::Trusted, Self::network_of(trust.source), what.trim_end());
        }
        let changes = self.persisted.trusted(trust, self.clock.time_now());
        self.journal.write(changes);
    }

    fn distrust(&mut self, distrust: &Distrust) {
        let source = distrust.source;
        self.kernel.carry("taking trust away", |datapath| datapath.distrust(source));
        info!("no longer trusting {}", address(Self::network_of(source)));
        let why = match distrust.reason {
            DistrustReason::Expired => "its trust has expired",
            DistrustReason::Revoked => "its trust was revoked",
        };
        let what = format!("{} is no longer trusted: {why}", address(Self::network_of(source)));
        self.tell_of(LiveKind::Distrusted, Self::network_of(source), what);
        let changes = self.persisted.distrusted(source);
        self.persisted.dirty = true;
        self.journal.write(changes);
    }

    /// It proved itself, or no rule may touch it: what the kernel did by itself ends.
    fn release(&mut self, release: &Release) {
        let source = release.source;
        self.kernel.carry("releasing", |datapath| {
            datapath.uncontain(source)?;
            datapath.clear_source(source)
        });
        let network = Self::network_of(source);
        let contained = |record: &&BlockRecord| record.kind == BlockKind::Containment;
        let ended: Vec<BlockRecord> =
            self.ledger.blocks_of(network).filter(contained).cloned().collect();
        let now = self.clock.timestamp_now();
        let mut changes = Vec::new();
        for record in ended {
            let key = record.key();
            self.ledger.remove_block(&key);
            // The history tells when it really ended.
            let expires_at = record.expires_at.min(now);
            let record = BlockRecord { expires_at, ..record };
            self.tell_block(LiveKind::Ended, &record);
            changes.push(Change::PutBlock(record));
            changes.push(Change::EndBlock(key));
        }
        self.journal.write(changes);
    }

    /// From the packet that broke the limit to now.
    fn reaction(&self, evidence_at: Time) -> u64 {
        let since_ns = monotonic_precise_ns().saturating_sub(self.clock.to_kernel(evidence_at));
        self.metrics.judgement.reaction.observe(since_ns as f64 / 1e9);
        since_ns / 1000
    }

    fn record(&self, case: &Case, kind: BlockKind, duration: Duration) -> BlockRecord {
        let now = self.clock.timestamp_now();
        let evidence = &case.evidence;
        BlockRecord {
            source: Self::network_of(case.source),
            kind,
            port: None,
            endpoint_only: false,
            endpoint: self.endpoint_name(case.endpoint),
            victim: Some(case.victim),
            started_at: now,
            expires_at: after(now, duration),
            duration_s: duration.as_secs(),
            scope: Scope::All,
            also: Vec::new(),
            rule: case.signature().to_owned(),
            reason: self.reason(case),
            user_agent: evidence.user_agent.clone(),
            account: evidence.accounts.first().map(ToString::to_string),
            country: self.country_code(case.source_ip),
            proven: case.proven,
            evidence_first: timestamp(evidence.first),
            evidence_last: timestamp(evidence.last),
            evidence: Some(self.evidence(case)),
            renewals: 0,
            reaction_us: None,
            escalated: false,
            lifted: None,
            refused: false,
        }
    }

    pub(in crate::daemon) fn country_code(&self, address: std::net::IpAddr) -> Option<String> {
        self.geography.country(address).map(|country| country.code().to_owned())
    }

    /// Follows a list entry that was put.
    pub(in crate::daemon) fn count_entry(&mut self, entry: &ListEntry) {
        let key = entry.key();
        let known = self.store.as_ref().and_then(|store| store.list_entry(&key).ok().flatten());
        match known {
            Some(known) => {
                if let Some(at) = known.expires_at {
                    self.expiring.remove(&Expiring { at, key: key.clone() });
                }
            }
            None => self.list_counts[entry.list as usize] += 1,
        }
        if let Some(at) = entry.expires_at {
            self.expiring.insert(Expiring { at, key });
        }
    }
}

/// `scope` in the kernel's bits.
pub fn kernel_block(duration: Duration, scope: u8) -> abi::Block {
    let started_ns = monotonic_ns();
    abi::Block {
        started_ns,
        expires_ns: started_ns + nanoseconds(duration),
        duration_ns: nanoseconds(duration),
        scope,
        ..abi::Block::default()
    }
}
