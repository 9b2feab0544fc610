//! The thread's part: promises against the kernel, without a look at the daemon.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use sipprot_common::source::SourceKey;
use sipprot_common::{block, containment};

use super::super::clock::Clock;
use super::super::geography::Geography;
use super::super::restore::item_of;
use super::countries::Countries;
use super::small::Told;
use crate::api::KindView;
use crate::datapath::{
    BlockTarget, Datapath, DatapathError, List as KernelList, ListDifferences, ListItem,
    monotonic_ns,
};
use crate::store::{BlockKey, BlockKind, List, ListEntry, ListKey, Store, StoreError};

const EARLIER_NS: u64 = 2_000_000_000;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Kernel(#[from] DatapathError),
}

/// A block as the books have it.
pub struct Promise {
    pub source: SourceKey,
    pub kind: BlockKind,
    /// `None` when its endpoint is configured no more.
    pub policy: Option<u32>,
    pub expires_ns: u64,
    pub key: BlockKey,
}

/// What the thread is told of the daemon.
pub struct Look {
    pub datapath: Arc<Datapath>,
    pub store: Arc<Store>,
    pub version: u64,
    pub now: Timestamp,
    pub clock: Clock,
    /// In force beside what the store has, by list.
    pub extra: [Vec<ListItem>; 2],
    /// Denials, and changed entries, that may not be in the store yet.
    pub fresh: Vec<ListEntry>,
    pub edits: Vec<ListEntry>,
    pub blocks: Vec<Promise>,
    /// With the ceiling that the kernel is told.
    pub trusted: Vec<(SourceKey, u32)>,
    pub interfaces: Vec<String>,
    pub plan: Told,
    pub countries: Countries,
}

/// How many entries are promised, and what differs.
pub type ListFindings = (u64, ListDifferences);

/// What may differ, for a second look.
#[derive(Default)]
pub struct Findings {
    pub version: u64,
    /// The promised lists.
    pub items: [Vec<ListItem>; 2],
    pub lists: [ListFindings; 2],
    promised: HashMap<BlockKind, u64>,
    pub doubtful: Vec<BlockKey>,
    pub found_blocks: u64,
    pub unknown_blocks: Vec<BlockTarget>,
    pub found_contained: u64,
    pub found_ports: u64,
    pub unknown_ports: Vec<(SourceKey, u16)>,
    pub promised_trust: u64,
    pub found_trust: u64,
    pub doubtful_trust: Vec<SourceKey>,
    /// Policies and all else that comes of the configuration.
    pub small: Vec<KindView>,
    pub countries: KindView,
    /// From which these are.
    pub geography: Option<Arc<Geography>>,
}

impl Findings {
    pub fn promised(&self, kind: BlockKind) -> u64 {
        self.promised.get(&kind).copied().unwrap_or_default()
    }
}

impl Look {
    pub fn compare(mut self) -> Result<Findings, Failure> {
        let items = self.promised_lists()?;
        let compare = |list, items: &Vec<ListItem>| {
            let differ = self.datapath.compare_list(list, items)?;
            Ok::<_, Failure>((items.len() as u64, differ))
        };
        let lists = [compare(KernelList::Allow, &items[0])?, compare(KernelList::Deny, &items[1])?];
        let mut findings = Findings { version: self.version, lists, ..Findings::default() };
        // What agrees needs no repair.
        if !findings.lists.iter().all(|(_, differ)| differ.agrees()) {
            findings.items = items;
        }
        self.compare_blocks(&mut findings)?;
        self.compare_trust(&mut findings)?;
        findings.small = self.plan.compare(&self.datapath, &self.interfaces)?;
        findings.countries = self.countries.compare(&self.datapath)?;
        findings.geography = Some(self.countries.geography);
        Ok(findings)
    }

    fn promised_lists(&mut self) -> Result<[Vec<ListItem>; 2], StoreError> {
        let mut items = std::mem::take(&mut self.extra);
        let edited: HashSet<ListKey> = self.edits.iter().map(ListEntry::key).collect();
        for list in [List::Allow, List::Deny] {
            for entry in self.store.list(list) {
                let entry = entry?;
                let lasts = entry.expires_at.is_none_or(|at| at > self.now);
                if lasts && (edited.is_empty() || !edited.contains(&entry.key())) {
                    items[list as usize].extend(item_of(&entry, &self.plan.names, &self.clock));
                }
            }
        }
        for entry in self.fresh.iter().chain(&self.edits) {
            items[entry.list as usize].extend(item_of(entry, &self.plan.names, &self.clock));
        }
        Ok(items)
    }

    fn compare_blocks(&self, findings: &mut Findings) -> Result<(), DatapathError> {
        let now_ns = monotonic_ns();
        let blocks: HashMap<BlockTarget, u64> = self
            .datapath
            .blocks()?
            .into_iter()
            .filter(|(_, it)| block::in_force(it.expires_ns, now_ns))
            .map(|(target, it)| (target, it.expires_ns))
            .collect();
        let contained: HashMap<SourceKey, u64> = self
            .datapath
            .contained()?
            .into_iter()
            .filter(|(_, it)| containment::in_force(it, now_ns))
            .map(|(source, it)| (source, it.until_ns))
            .collect();
        let ports: HashMap<(SourceKey, u16), u64> = self
            .datapath
            .quarantined()?
            .into_iter()
            .filter(|it| it.expires_ns > now_ns)
            .map(|it| ((it.source, it.port), it.expires_ns))
            .collect();
        let (mut known, mut known_ports) = (HashSet::new(), HashSet::new());
        for promise in &self.blocks {
            *findings.promised.entry(promise.kind).or_default() += 1;
            let source = promise.source;
            let found = match promise.kind {
                BlockKind::Dynamic => promise.policy.and_then(|policy| {
                    let target = BlockTarget { source, policy };
                    known.insert(target);
                    blocks.get(&target)
                }),
                BlockKind::Containment => contained.get(&source),
                BlockKind::Quarantine => {
                    let place = (source, promise.key.port.unwrap_or_default());
                    known_ports.insert(place);
                    ports.get(&place)
                }
            };
            // Whom the datapath takes for a stranger, no block stops.
            let is_looked_for =
                promise.kind != BlockKind::Dynamic || !self.datapath.is_stranger(source);
            let found = found.filter(|_| is_looked_for);
            if found.is_none_or(|end| end.saturating_add(EARLIER_NS) < promise.expires_ns) {
                findings.doubtful.push(promise.key.clone());
            }
        }
        findings.found_blocks = blocks.len() as u64;
        findings.found_contained = contained.len() as u64;
        findings.found_ports = ports.len() as u64;
        findings.unknown_blocks = blocks.into_keys().filter(|it| !known.contains(it)).collect();
        findings.unknown_ports = ports.into_keys().filter(|it| !known_ports.contains(it)).collect();
        Ok(())
    }

    fn compare_trust(&self, findings: &mut Findings) -> Result<(), DatapathError> {
        let found: HashMap<SourceKey, u32> =
            self.datapath.trusted()?.into_iter().map(|(source, it)| (source, it.rate)).collect();
        let promised: HashMap<SourceKey, u32> = self.trusted.iter().copied().collect();
        findings.promised_trust = promised.len() as u64;
        findings.found_trust = found.len() as u64;
        let differs = promised.iter().filter(|(source, rate)| {
            found.get(*source) != Some(*rate) || self.datapath.is_stranger(**source)
        });
        let unknown = found.keys().filter(|source| !promised.contains_key(*source));
        findings.doubtful_trust =
            differs.map(|(source, _)| source).chain(unknown).copied().collect();
        Ok(())
    }
}
