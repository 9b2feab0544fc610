//! Everything about one address: what lists, kernel, rules and books say.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{MODE_ENFORCE, Source};
use sipprot_common::reason::Reason;
use sipprot_common::source::{Address, SourceKey, Wider};
use sipprot_common::{attempt, block, containment};

use super::{block_view, entry_view, seconds, store_fault};
use crate::api::{Check, Counts, Fault};
use crate::daemon::core::Core;
use crate::daemon::upkeep::kernel_list;
use crate::datapath::{BlockTarget, ListItem, monotonic_ns};
use crate::report;
use crate::store::{BlockKind, BlockRecord, List, ListEntry};

const ACCOUNTS_SHOWN: usize = 50;

/// What the kernel holds of a source.
#[derive(Default)]
struct Held {
    blocked: bool,
    contained: bool,
    held: bool,
    /// By which of its wider networks.
    wider: Option<SourceKey>,
    ports: Vec<u16>,
    counts: Counts,
    /// By the reason's label.
    drops: BTreeMap<&'static str, u64>,
}

impl Core {
    pub(in crate::daemon) fn check(&mut self, asked: IpAddr) -> Result<Check, Fault> {
        let address = Address::from(asked).to_ip();
        let source = SourceKey::from(asked);
        let network = Self::network_of(source);
        for policy in self.blocking_policies() {
            self.look_again(BlockTarget { source, policy });
        }
        let mut held = self.held(source)?;
        let (allowed, allow) = self.listed(List::Allow, asked)?;
        let (denied, deny) = self.listed(List::Deny, address)?;
        let standing = self.engine.explain(source, self.clock.time_now());
        let seen = self.ledger.seen(source).cloned().unwrap_or_default();
        for (reason, count) in seen.drops {
            let known = held.drops.entry(reason.label()).or_default();
            *known = (*known).max(count);
        }
        let dropped = held.drops.values().sum();
        held.counts.dropped = held.counts.dropped.max(dropped);
        let blocks = self.blocks_in_force(network);
        let in_books = |kind| {
            !self.kernel.is_there() && blocks.iter().any(|it| it.kind == kind && !it.refused)
        };
        let mut peers = self.peer_views();
        peers.retain(|peer| peer.network.contains(address));
        let current = blocks.first().map(|record| block_view(record));
        let country = self.geography.country(address);
        let user_agent = seen
            .user_agent
            .or_else(|| current.as_ref().and_then(|block| block.user_agent.clone()))
            .or_else(|| standing.evidence.as_ref().and_then(|it| it.user_agent.clone()));
        Ok(Check {
            address: asked,
            source: report::address(network),
            allowed,
            denied,
            blocked: held.blocked || in_books(BlockKind::Dynamic),
            contained: held.contained || in_books(BlockKind::Containment),
            held: held.held,
            wider: held.wider.map(|wider| report::address(Self::network_of(wider))),
            observed: self.is_observed(),
            watched_by: self.watching_lists(address),
            quarantined_ports: held.ports,
            trusted: standing.trust.is_some() || !peers.is_empty(),
            peer: !peers.is_empty(),
            peers,
            never_blocked: standing.never_blocked,
            counts: held.counts,
            drops: held
                .drops
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
            block: current,
            entries: allow
                .into_iter()
                .chain(deny)
                .map(|entry| entry_view(entry, &self.geography))
                .collect(),
            accounts: standing
                .accounts
                .iter()
                .take(ACCOUNTS_SHOWN)
                .map(|accepted| accepted.account.to_string())
                .collect(),
            user_agent,
            country: country.map(|country| country.code().to_owned()),
            country_name: country.map(|country| country.name().to_owned()),
            blocks_counted: u32::try_from(standing.blocks.len()).unwrap_or(u32::MAX),
            block_threshold: self.config.rules.block_threshold,
            grace_until: standing.grace_until.map(seconds),
        })
    }

    fn watching_lists(&self, address: IpAddr) -> Vec<String> {
        let fleet = self.fleet_watches(address.into()).then(|| "fleet".to_owned());
        self.watching_feeds(address).into_iter().chain(fleet).collect()
    }

    /// Blocks by hand and lists hold even so.
    pub(super) fn is_observed(&self) -> bool {
        let host = self.plan.policies.first();
        self.lessons.goes_on() || host.is_some_and(|host| host.mode != MODE_ENFORCE)
    }

    /// Of one source, the widest first.
    pub(in crate::daemon) fn blocks_in_force(&self, network: IpNetwork) -> Vec<&BlockRecord> {
        let now = self.clock.timestamp_now();
        let mut blocks: Vec<&BlockRecord> =
            self.ledger.blocks_of(network).filter(|record| now < record.expires_at).collect();
        blocks.sort_by_key(|record| match record.kind {
            BlockKind::Dynamic => 0,
            BlockKind::Containment => 1,
            BlockKind::Quarantine => 2,
        });
        blocks
    }

    /// Whether a list covers an address, and by which entries. A store that can't be read doesn't hide
    /// what is in force: the kernel is asked, which knows no notes.
    fn listed(&self, list: List, address: IpAddr) -> Result<(bool, Vec<ListEntry>), Fault> {
        let unread = match self.covering(list, address) {
            Ok(entries) => return Ok((!entries.is_empty(), entries)),
            Err(fault) => fault,
        };
        let known = self.kernel.with(|datapath| datapath.covers(kernel_list(list), address));
        known.map(|covers| (covers, Vec::new())).map_err(|_| unread)
    }

    /// Entries in force that cover an address.
    pub(in crate::daemon) fn covering(
        &self,
        list: List,
        address: IpAddr,
    ) -> Result<Vec<ListEntry>, Fault> {
        let now = self.clock.timestamp_now();
        let stored = self.store.as_ref().map(|store| store.covering(list, address)).transpose();
        let mut entries = stored.map_err(|error| store_fault(&error))?.unwrap_or_default();
        entries.extend(self.own_entries(list).filter(|it| it.network.contains(address)));
        let fresh = self.fresh_denials.iter().filter(|it| it.list == list);
        for entry in fresh.filter(|it| it.network.contains(address)) {
            if !entries.iter().any(|known| known.key() == entry.key()) {
                entries.push(entry.clone());
            }
        }
        if list == List::Deny {
            entries.extend(self.feed_entries(address.into()));
            entries.extend(self.fleet_entries(address.into()));
        }
        entries.retain(|entry| entry.expires_at.is_none_or(|at| now < at));
        Ok(entries)
    }

    /// What the kernel must keep when an entry goes: those that cover it or lie in it.
    pub(in crate::daemon) fn others(
        &self,
        list: List,
        network: IpNetwork,
    ) -> Result<Vec<ListItem>, Fault> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let mut entries = store.overlapping(list, network).map_err(|error| store_fault(&error))?;
        let fresh = self.fresh_denials.iter().filter(|it| it.list == list);
        entries.extend(fresh.cloned());
        // What goes together must not be kept for one another's sake.
        entries.retain(|entry| !self.leaving.contains_key(&entry.key()));
        let mut items: Vec<ListItem> =
            entries.iter().filter_map(|entry| self.list_item(entry)).collect();
        if list == List::Deny {
            items.extend(self.feed_entries(network).map(|entry| ListItem::host(entry.network)));
            let fleet = self.fleet_entries(network);
            items.extend(fleet.iter().filter_map(|entry| self.list_item(entry)));
        }
        items.retain(|item| item.network != network);
        Ok(items)
    }

    fn held(&mut self, source: SourceKey) -> Result<Held, Fault> {
        let policies = self.blocking_policies();
        let now_ns = monotonic_ns();
        let read = self.kernel.with(|datapath| {
            let mut held = Held::default();
            for policy in policies {
                let Some(block) = datapath.block(BlockTarget { source, policy })? else { continue };
                held.blocked |= block::in_force(block.expires_ns, now_ns);
                *held.drops.entry(Reason::Blocked.label()).or_default() += block.drops;
            }
            let contained = datapath.containment(source)?;
            if let Some(contained) = &contained {
                held.contained = containment::in_force(contained, now_ns);
                held.drops.insert(Reason::Contained.label(), contained.drops);
            }
            let is_held = |known: Source| attempt::held(&known.attempts, now_ns);
            held.held = datapath.source(source)?.is_some_and(is_held);
            // The kernel holds a /56 and contains a /48 by itself, and tells nobody of it.
            for key in wider_networks(source) {
                let here = datapath.containment(key)?;
                let contains =
                    held.contained && here.map(|it| it.until_ns) == contained.map(|it| it.until_ns);
                let with = !held.held && datapath.source(key)?.is_some_and(is_held);
                held.held |= with;
                held.wider = held.wider.or((contains || with).then_some(key));
            }
            if let Some(counts) = datapath.source_counts(source)? {
                held.counts = Counts {
                    sip: counts.sip,
                    register: counts.registers,
                    credentialed: counts.credentialed,
                    dropped: counts.dropped,
                };
            }
            let ports = datapath.quarantined()?;
            let own = ports.iter().filter(|it| it.source == source && now_ns < it.expires_ns);
            held.ports = own.map(|it| it.port).collect();
            Ok(held)
        });
        read.map_err(|error| {
            self.kernel.failed("reading what the kernel holds", &error);
            Fault::internal()
        })
    }
}

/// The kernel counts an IPv6 source in these, too.
pub(super) fn wider_networks(source: SourceKey) -> impl Iterator<Item = SourceKey> {
    let all = Wider::ALL.into_iter().filter(move |_| source.is_global_v6());
    all.map(move |wider| source.wider(wider))
}
