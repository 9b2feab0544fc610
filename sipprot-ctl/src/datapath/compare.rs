//! Holds the lists in the kernel, table and tries, against those that are promised.
//!
//! Reads only, and takes no lock: it may run on any thread while entries come and go. What changes
//! meanwhile may be found to differ; the caller knows, and asks again.

use ipnetwork::IpNetwork;
use sipprot_common::abi::{ListEntry, SCOPE_LATER, ScopedAddress};
use sipprot_common::source::Address;
use sipprot_common::table::{ASK, LISTED, ListTable};

use super::Datapath;
use super::clock::monotonic_ns;
use super::error::Result;
use super::keys::{self, LpmKey};
use super::lists::{List, ListItem};
use super::table::Table;
use super::table::compile::{self, Compiled, Network, compiled};

/// Entries that end this soon, or ended this lately, are nobody's difference.
const EXPIRY_SLACK_NS: u64 = 5_000_000_000;
/// Wall clock and kernel clock may waver by less than this.
const CLOCK_SLACK_NS: u64 = 2_000_000_000;
const V4_NETWORKS: usize = 1 << 24;

/// What differs of one list.
#[derive(Clone, Debug, Default)]
pub struct ListDifferences {
    /// In the kernel: table and trie; a network of several parts of the table counts as these.
    pub found: u64,
    pub missing: u64,
    pub unexpected: u64,
    pub different: u64,
    /// The first of all.
    pub first: Vec<Differs>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Differs {
    /// Promised, and not there.
    Missing(ListItem),
    /// There, and promised by nobody; `None` for what a table can't name.
    Unexpected(Option<ListItem>),
    /// Of the same network, promised and found.
    Other(ListItem, ListItem),
}

impl ListDifferences {
    const FIRST_MAX: usize = 100;

    fn note(&mut self, differs: Differs) {
        match &differs {
            Differs::Missing(_) => self.missing += 1,
            Differs::Unexpected(_) => self.unexpected += 1,
            Differs::Other(..) => self.different += 1,
        }
        if self.first.len() < Self::FIRST_MAX {
            self.first.push(differs);
        }
    }

    pub fn agrees(&self) -> bool {
        self.missing + self.unexpected + self.different == 0
    }
}

/// The entries of a trie in force, in the order of their keys.
struct Trie {
    entries: Vec<(LpmKey<ScopedAddress>, ListEntry)>,
}

fn order(key: &LpmKey<ScopedAddress>) -> ([u8; 4], (u64, u64), u32) {
    (key.data.scope, key.data.address.halves(), key.prefix_len)
}

impl Trie {
    fn read(datapath: &Datapath, list: List, generation: u32) -> Result<Self> {
        let mut entries = Vec::new();
        datapath.list(list).for_each(|key, entry| {
            if keys::scope(key).0 == generation {
                entries.push((*key, *entry));
            }
        })?;
        entries.sort_unstable_by_key(|(key, _)| order(key));
        Ok(Self { entries })
    }

    fn get(&self, key: &LpmKey<ScopedAddress>) -> Option<&ListEntry> {
        let place = self.entries.binary_search_by_key(&order(key), |(key, _)| order(key));
        place.ok().map(|place| &self.entries[place].1)
    }
}

/// What the promised entries allow a table to have.
struct Allowed {
    /// A bit for each /24.
    networks: Vec<u64>,
    hosts: Vec<(u32, u32)>,
    prefixes: Vec<u64>,
}

impl Allowed {
    fn of(items: &[ListItem], seed: u64) -> Self {
        let mut allowed =
            Self { networks: vec![0; V4_NETWORKS / 64], hosts: Vec::new(), prefixes: Vec::new() };
        for item in items.iter().filter(|item| item.is_plain()) {
            match compiled(List::Deny.network(item), seed) {
                Compiled::Networks(first, last) => {
                    for network in first >> 8..=last >> 8 {
                        allowed.networks[network as usize / 64] |= 1 << (network % 64);
                    }
                }
                Compiled::Hosts(first, last) => allowed.hosts.push((first, last)),
                Compiled::Prefixes(parts) => allowed.prefixes.extend(parts),
                Compiled::Never => {}
            }
        }
        allowed.hosts.sort_unstable();
        allowed.hosts.dedup();
        allowed.prefixes.sort_unstable();
        allowed
    }

    fn has_network(&self, first: u32) -> bool {
        let network = first >> 8;
        self.networks[network as usize / 64] >> (network % 64) & 1 != 0
    }

    fn has_host(&self, host: u32) -> bool {
        // Ranges of hosts lie within a /24, and are few: the ones that begin at or before the host.
        let after = self.hosts.partition_point(|(first, _)| *first <= host);
        let near = self.hosts[..after].iter().rev();
        near.take_while(|(first, _)| host - first < 256).any(|(_, last)| host <= *last)
    }
}

impl Datapath {
    /// Compares one list with the entries that it shall have. Of several for one key any may be there.
    pub fn compare_list(&self, list: List, promised: &[ListItem]) -> Result<ListDifferences> {
        // A view of its own: the daemon's table may rest.
        let table = Table::<ListTable>::in_force(&self.maps.listed)?;
        let table = table.map(Table::into_view).transpose()?;
        let config = self.config()?;
        let generation =
            table.as_ref().map_or(config.lists_generation, |it| it.generation.get() as u32);
        let trie = Trie::read(self, list, generation)?;
        let (now_ns, mut found) = (monotonic_ns(), ListDifferences::default());
        let table = table.as_deref();
        for item in promised.iter().filter(|item| !is_over(item.expires_ns, item.scope, now_ns)) {
            found.promised(list, item, table, &trie, generation);
        }
        let mut keys: Vec<_> = promised.iter().map(|it| order(&list.key(generation, it))).collect();
        keys.sort_unstable();
        for (key, entry) in &trie.entries {
            let is_promised = keys.binary_search(&order(key)).is_ok();
            if !is_promised && !is_over(entry.expires_ns, entry.scope, now_ns) {
                found.note(Differs::Unexpected(item_of(key, entry)));
            }
        }
        found.found = trie.entries.len() as u64;
        if let Some(table) = table.filter(|_| list == List::Deny) {
            found.unexpected_in(table, &Allowed::of(promised, table.seed.get()));
        }
        Ok(found)
    }
}

impl ListDifferences {
    fn promised(
        &mut self,
        list: List,
        item: &ListItem,
        table: Option<&ListTable>,
        trie: &Trie,
        generation: u32,
    ) {
        let network = list.network(item);
        let in_table = list == List::Deny
            && item.is_plain()
            && table.is_some_and(|table| is_compiled(table, network));
        if in_table {
            return;
        }
        let wanted = item.entry(list);
        match trie.get(&list.key(generation, item)) {
            None => self.note(Differs::Missing(*item)),
            // An entry that no packet is led to is as good as none.
            Some(_) if !table.is_none_or(|table| is_asked(table, network)) => {
                self.note(Differs::Missing(*item));
            }
            Some(entry) if !is_same(entry, &wanted) => {
                let ListEntry { expires_ns, scope, .. } = *entry;
                self.note(Differs::Other(*item, ListItem { expires_ns, scope, ..*item }));
            }
            Some(_) => {}
        }
    }

    fn unexpected_in(&mut self, table: &ListTable, allowed: &Allowed) {
        let mut extra = Vec::new();
        table.networks.each(LISTED, |first| {
            self.found += 1;
            if !allowed.has_network(first) {
                extra.push((Address::from_v4(first), 96 + 24));
            }
        });
        table.hosts.each(|host| {
            self.found += 1;
            if !allowed.has_host(host) {
                extra.push((Address::from_v4(host), 128));
            }
        });
        let mut unnamed = 0;
        table.prefixes.each(|spelling| {
            self.found += 1;
            unnamed += u64::from(allowed.prefixes.binary_search(&spelling).is_err());
        });
        for (address, length) in extra {
            let item = keys::network(address, length).map(ListItem::host);
            self.note(Differs::Unexpected(item));
        }
        (0..unnamed).for_each(|_| self.note(Differs::Unexpected(None)));
    }
}

fn is_compiled(table: &ListTable, network: Network) -> bool {
    let seed = table.seed.get();
    match compiled(network, seed) {
        Compiled::Networks(first, last) => {
            (first >> 8..=last >> 8).all(|network| table.networks.get(network << 8) & LISTED != 0)
        }
        Compiled::Hosts(first, last) => (first..=last).all(|host| {
            table.look(&Address::from_v4(host)) & LISTED != 0 && table.hosts.has(host, seed)
        }),
        Compiled::Prefixes(_) => parts_are_there(table, network),
        Compiled::Never => false,
    }
}

/// As the datapath would find them: marks and places.
fn parts_are_there(table: &ListTable, network: Network) -> bool {
    compile::parts(network).all(|address| table.look(&address) & LISTED != 0)
}

/// Do packets from a network ask the tries?
fn is_asked(table: &ListTable, (address, prefix_len): Network) -> bool {
    let (high, low) = address.halves();
    let bits = (u128::from(high) << 64) | u128::from(low);
    let rest = u128::MAX.checked_shr(prefix_len).unwrap_or(0);
    let last = bits | rest;
    let last = Address::from_halves((last >> 64) as u64, last as u64);
    [address, last].iter().all(|address| table.look(address) & ASK != 0)
}

fn is_same(found: &ListEntry, wanted: &ListEntry) -> bool {
    let ends = |entry: &ListEntry| entry.expires_ns != 0;
    found.scope == wanted.scope
        && ends(found) == ends(wanted)
        && found.expires_ns.abs_diff(wanted.expires_ns) <= CLOCK_SLACK_NS
}

/// Has it ended, or is it about to?
fn is_over(expires_ns: u64, scope: u8, now_ns: u64) -> bool {
    scope != SCOPE_LATER && expires_ns != 0 && expires_ns < now_ns + EXPIRY_SLACK_NS
}

fn item_of(key: &LpmKey<ScopedAddress>, entry: &ListEntry) -> Option<ListItem> {
    let prefix_len = key.prefix_len.saturating_sub(ScopedAddress::SCOPE_BITS);
    let network: IpNetwork = keys::network(key.data.address, prefix_len)?;
    let ListEntry { expires_ns, scope, .. } = *entry;
    Some(ListItem { network, policy: keys::scope(key).1, expires_ns, scope })
}
