//! Coming up: what the store says was in force goes into the kernel and into the rules; what the
//! kernel went on with by itself goes into the store.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use sipprot_common::abi::{self, Contained, maps};
use sipprot_common::source::SourceKey;
use tracing::{info, warn};

use super::change::is_one_source;
use super::clock::{Clock, boot_id, time};
use super::core::{Core, Expiring};
use super::plan::{nanoseconds, policy_of};
use crate::config::Scope;
use crate::daemon::plan::scope::{kernel_scope, kernel_scopes, known_scope, rules_scope};
use crate::datapath::{BlockTarget, DatapathError, ListItem, Quarantined};
use crate::rules::{RuleId, Time};
use crate::store::{BlockKey, BlockKind, BlockRecord, Change, ClockBase, List, ListEntry};

impl Core {
    pub(super) fn restore(&mut self) -> anyhow::Result<()> {
        if let Some(store) = self.store.clone() {
            let rescued = self.honour_rescue();
            self.restore_pending(&store).context("taking back what nobody confirmed")?;
            let blocks = store.blocks().context("reading the blocks")?;
            let trust = store.trust().context("reading the trusted peers")?;
            let standings = store.standings().context("reading the standings")?;
            let state = self.persisted.load(trust, standings, &blocks, |it| self.plan.policy(it));
            self.engine.restore(state, self.clock.time_now());
            self.peers = store.peers().context("reading the peers")?;
            self.engine.apply(self.rule_settings());
            for (source, at) in rescued {
                self.engine.unblock(source, at);
                self.persisted.dirty = true;
            }
            self.restore_learning(&store).context("reading what is learned")?;
            self.restore_blocks(blocks);
            let booted = ClockBase { boot_id: boot_id(), booted_at: self.clock.zero() };
            self.journal.write(vec![Change::PutClockBase(booted)]);
            self.forget_trust();
        }
        self.restore_trust();
        self.open_blocklists();
        self.open_fleet();
        self.load_lists()?;
        self.adopt();
        Ok(())
    }

    /// What `sipprot rescue` undid while no daemon ran stays undone.
    fn honour_rescue(&mut self) -> Vec<(SourceKey, Time)> {
        let Some(store) = self.store.clone() else { return Vec::new() };
        let mut rescued = Vec::new();
        for rescue in crate::daemon::judgement::rescued::take(&self.config.daemon.state_dir) {
            let source = SourceKey::from(rescue.address);
            info!("{} was unblocked by 'sipprot rescue'", rescue.address);
            let mut changes = Vec::new();
            let lifted = crate::store::Lifted { at: rescue.at, by: "rescue".to_owned() };
            for block in store.blocks_of(Self::network_of(source)).unwrap_or_default() {
                changes.push(Change::LiftBlock { key: block.key(), lifted: lifted.clone() });
            }
            for network in rescue.denied {
                for entry in store.covering(List::Deny, rescue.address).unwrap_or_default() {
                    if entry.network == network {
                        changes.push(Change::RemoveList(entry.key()));
                    }
                }
            }
            // Directly: what follows reads it.
            if let Err(error) = store.apply(&changes) {
                warn!("store: {error}");
            }
            rescued.push((source, time(rescue.at)));
        }
        rescued
    }

    fn restore_blocks(&mut self, blocks: Vec<BlockRecord>) {
        let now = self.clock.timestamp_now();
        let (mut restored, mut ended) = (0, Vec::new());
        for record in blocks {
            let in_kernel = self.kernel_end(&record);
            let mut record = BlockRecord {
                expires_at: in_kernel.unwrap_or(record.expires_at).max(record.expires_at),
                ..record
            };
            if record.expires_at <= now {
                ended.push(Change::EndBlock(record.key()));
                continue;
            }
            restored += 1;
            if in_kernel.is_none_or(|end| end < record.expires_at) {
                self.put_back(record);
            } else {
                record.refused = false;
                self.ledger.put_block(record);
            }
        }
        if restored > 0 {
            info!("{restored} blocks in force");
        }
        self.journal.write(ended);
    }

    /// When the kernel ends a block that it still holds.
    pub(super) fn kernel_end(&self, record: &BlockRecord) -> Option<Timestamp> {
        let source = SourceKey::from(record.source.ip());
        let end_ns = self.kernel.with(|datapath| match record.kind {
            BlockKind::Dynamic => {
                let target = BlockTarget { source, policy: self.policy_of(&record.key())? };
                Ok(datapath.block(target)?.map(|block| block.expires_ns))
            }
            BlockKind::Containment => Ok(datapath.containment(source)?.map(|it| it.until_ns)),
            BlockKind::Quarantine => {
                let own = |it: &Quarantined| it.source == source && Some(it.port) == record.port;
                Ok(datapath.quarantined()?.into_iter().find(own).map(|it| it.expires_ns))
            }
        });
        end_ns.ok().flatten().map(|ns| self.clock.kernel_timestamp(ns))
    }

    fn policy_of(&self, key: &BlockKey) -> Result<u32, DatapathError> {
        let unknown = || DatapathError::Invalid(format!("there is no endpoint {:?}", key.endpoint));
        self.plan.policy(key.endpoint.as_deref()).ok_or_else(unknown)
    }

    /// Puts a block that the store knows into the kernel, and into the books how that went.
    pub(super) fn put_back(&mut self, record: BlockRecord) {
        let done = self.try_put_back(&record);
        if let Err(error) = &done {
            self.kernel.failed("restoring a block", error);
        }
        let refused = done.is_err();
        let news = refused != record.refused;
        let record = BlockRecord { refused, ..record };
        if news {
            self.journal.write(vec![Change::PutBlock(record.clone())]);
        }
        self.ledger.put_block(record);
    }

    pub(super) fn try_put_back(&self, record: &BlockRecord) -> Result<(), DatapathError> {
        let source = SourceKey::from(record.source.ip());
        let expires_ns = self.clock.to_kernel_from(record.expires_at);
        let duration_ns = nanoseconds(Duration::from_secs(record.duration_s));
        let policy = self.policy_of(&record.key());
        let block = abi::Block {
            // A start before the boot has no kernel time: the earliest there is stands for it.
            started_ns: self.clock.to_kernel_from(record.started_at),
            expires_ns,
            duration_ns,
            renewals: record.renewals,
            scope: kernel_scopes(record),
            ..abi::Block::default()
        };
        let map = match record.kind {
            BlockKind::Dynamic => maps::BLOCKS,
            BlockKind::Containment => maps::CONTAINED,
            BlockKind::Quarantine => maps::QUARANTINE,
        };
        self.kernel.put(map, |datapath| match record.kind {
            BlockKind::Dynamic => {
                datapath.put_block(BlockTarget { source, policy: policy? }, &block)
            }
            BlockKind::Containment => datapath.contain(
                source,
                &Contained { until_ns: expires_ns, duration_ns, ..Contained::default() },
            ),
            BlockKind::Quarantine => datapath.quarantine(Quarantined {
                source,
                port: record.port.unwrap_or_default(),
                expires_ns,
            }),
        })
    }

    /// The kernel trusts whom the rules trust, and nobody else.
    pub(super) fn forget_trust(&mut self) {
        let known = self.kernel.carry("reading trust", |datapath| datapath.trusted());
        for (source, _) in known.unwrap_or_default() {
            if !self.engine.is_trusted(source.network().0) {
                self.kernel.carry("taking trust away", |datapath| datapath.distrust(source));
            }
        }
    }

    pub(super) fn restore_trust(&mut self) {
        let learned = self.engine.state().trust.into_iter().map(|peer| peer.source);
        let all: Vec<SourceKey> = learned.chain(self.configured_peers()).collect();
        for source in all {
            let rate = self.kernel_rate(source);
            self.kernel.carry("trusting", |datapath| datapath.trust(source, rate));
        }
    }

    /// Configured peers, by file or at run time, that are single sources; wider networks are trusted
    /// by the rules alone.
    pub(super) fn configured_peers(&self) -> Vec<SourceKey> {
        let peers = self.engine.settings().peers.iter().filter(|network| is_one_source(**network));
        peers.map(|network| SourceKey::from(network.ip())).collect()
    }

    /// Both lists, from the store into the kernel, as a whole.
    pub(super) fn load_lists(&mut self) -> anyhow::Result<()> {
        let now = self.clock.timestamp_now();
        self.expiring.clear();
        self.list_counts = [0; 2];
        self.lists_version += 1;
        let mut items = self.extra_items();
        let mut ended = Vec::new();
        for list in [List::Allow, List::Deny] {
            self.list_counts[list as usize] = self.own_entries(list).count() as u64;
            let stored = self.store.clone();
            for entry in stored.iter().flat_map(|store| store.list(list)) {
                let entry = entry.context("reading a list")?;
                if entry.expires_at.is_some_and(|at| at <= now) {
                    ended.push(Change::RemoveList(entry.key()));
                    continue;
                }
                self.list_counts[list as usize] += 1;
                if let Some(at) = entry.expires_at {
                    self.expiring.insert(Expiring { at, key: entry.key() });
                }
                items[list as usize].extend(self.list_item(&entry));
            }
        }
        self.journal.write(ended);
        let [allow, deny] = &items;
        let filled = self.kernel.with(|datapath| datapath.replace_lists(allow, deny));
        match filled {
            Ok(()) => Ok(()),
            Err(error @ DatapathError::MapFull { .. }) => {
                self.kernel.failed("filling the lists", &error);
                self.complain("the lists don't fit into the kernel: the old ones hold".to_owned());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// `None` when its endpoint is configured no more.
    pub(super) fn list_item(&self, entry: &ListEntry) -> Option<ListItem> {
        item_of(entry, &self.plan.names, &self.clock)
    }

    /// What is in force beside the entries of the store, by list.
    pub(super) fn extra_items(&self) -> [Vec<ListItem>; 2] {
        let own = |list| self.own_entries(list).filter_map(|entry| self.list_item(&entry));
        [
            self.guard_items().into_iter().chain(own(List::Allow)).collect(),
            self.feed_items().chain(self.fleet_items()).chain(own(List::Deny)).collect(),
        ]
    }

    /// Blocks and containments that the kernel has and the store doesn't: written while nobody ran,
    /// or lost with the store.
    fn adopt(&mut self) {
        let now = self.clock.timestamp_now();
        let blocks = self.kernel.carry("reading the blocks", |datapath| datapath.blocks());
        for (target, block) in blocks.unwrap_or_default() {
            let policy = (target.policy > 0).then(|| self.plan.name(target.policy).to_owned());
            let ends = self.clock.kernel_timestamp(block.expires_ns);
            let scope = known_scope(block.scope);
            let lasts = Duration::from_nanos(block.duration_ns);
            self.adopt_one(target.source, BlockKind::Dynamic, (ends, lasts), (policy, scope), now);
        }
        let contained = self.kernel.carry("reading containments", |datapath| datapath.contained());
        for (source, contained) in contained.unwrap_or_default() {
            let ends = self.clock.kernel_timestamp(contained.until_ns);
            let lasts = Duration::from_nanos(contained.duration_ns);
            let place = (None, Scope::Sip);
            self.adopt_one(source, BlockKind::Containment, (ends, lasts), place, now);
        }
    }

    pub(super) fn adopt_one(
        &mut self,
        source: SourceKey,
        kind: BlockKind,
        (ends, lasts): (Timestamp, Duration),
        (endpoint, scope): (Option<String>, Scope),
        now: Timestamp,
    ) {
        let network = Self::network_of(source);
        if ends <= now || self.ledger.blocks_of(network).any(|known| known.kind == kind) {
            return;
        }
        let started_at = ends.checked_sub(lasts).unwrap_or(now).min(now);
        // The kernel contains by itself; a dynamic block it only has from a daemon.
        let (rule, reason) = match kind {
            BlockKind::Dynamic => {
                ("UNKNOWN:store", "in the kernel, but not in the store: why is not known")
            }
            _ => (RuleId::KernelAttempts.signature(), "by the kernel while no daemon ran"),
        };
        let record = BlockRecord {
            source: network,
            kind,
            port: None,
            endpoint_only: endpoint.is_some(),
            endpoint,
            victim: None,
            started_at,
            expires_at: ends,
            duration_s: lasts.as_secs(),
            scope,
            also: Vec::new(),
            rule: rule.to_owned(),
            reason: reason.to_owned(),
            user_agent: None,
            account: None,
            country: self.country_code(network.ip()),
            proven: false,
            evidence_first: started_at,
            evidence_last: started_at,
            evidence: None,
            renewals: 0,
            reaction_us: None,
            escalated: false,
            lifted: None,
            refused: false,
        };
        self.ledger.put_block(record.clone());
        self.journal.write(vec![Change::PutBlock(record)]);
    }

    /// The key in the store of a block in the kernel.
    pub(super) fn block_key(&self, target: BlockTarget) -> BlockKey {
        let endpoint = (target.policy > 0).then(|| self.plan.name(target.policy).to_owned());
        BlockKey { source: Self::network_of(target.source), port: None, endpoint }
    }
}

/// As the kernel has it; `None` when its endpoint is none of these.
pub(super) fn item_of(entry: &ListEntry, names: &[String], clock: &Clock) -> Option<ListItem> {
    let policy = policy_of(names, entry.endpoint.as_deref())?;
    let expires_ns = entry.expires_at.map_or(0, |at| clock.to_kernel_from(at));
    let scope = kernel_scope(rules_scope(entry.scope));
    Some(ListItem { network: entry.network, policy, expires_ns, scope })
}
