//! Lists in their table and tries, replaced as a whole.
//!
//! A new table is compiled and the tries get a new generation beside the one in force; putting the
//! table into its slot switches to both, and the old ones go afterwards. Single entries that come
//! later lie in the tries. Where the entries come from is not known here.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    CONFIG_HAS_ALLOW, CONFIG_HAS_DENY, Config, ListEntry, POLICIES_MAX, SCOPE_ALL, SCOPE_LATER,
    ScopedAddress,
};
use sipprot_common::source::Address;
use sipprot_common::table::{ASK, LISTED, ListTable, PlaceTable};

use super::error::{DatapathError, Result};
use super::keys::{self, LpmKey};
use super::map::{Insert, Map};
use super::maps::Maps;
use super::table::{Table, compile};
use super::{Datapath, guard, random};

pub type ListMap<V> = Map<LpmKey<ScopedAddress>, V>;

/// Which of the two lists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum List {
    Allow,
    Deny,
}

/// An entry of a list: of the host (policy 0) or of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListItem {
    pub network: IpNetwork,
    pub policy: u32,
    /// 0 = never.
    pub expires_ns: u64,
    /// `SCOPE_*`; for the allowlist, where all traffic is allowed, only `SCOPE_LATER` has a meaning.
    pub scope: u8,
}

impl ListItem {
    /// All traffic, without an end, of the host.
    pub fn host(network: IpNetwork) -> Self {
        Self { network, policy: 0, expires_ns: 0, scope: SCOPE_ALL }
    }

    /// Can it be in a table? Those say of a source that it is denied, and nothing else.
    pub(super) fn is_plain(&self) -> bool {
        let written = keys::literal(self.network);
        *self == Self::host(self.network) && keys::canonical(self.network) == written
    }

    pub(super) fn entry(&self, list: List) -> ListEntry {
        let is_whole = list == List::Allow && self.scope != SCOPE_LATER;
        let scope = if is_whole { SCOPE_ALL } else { self.scope };
        ListEntry { expires_ns: self.expires_ns, scope, ..ListEntry::default() }
    }
}

/// The tables in force, and what is known of the tries beside what is in them.
#[derive(Default)]
pub struct ListState {
    pub(super) lists: Option<Table<ListTable>>,
    pub(super) places: Option<Table<PlaceTable>>,
    /// Entries in force, once counted.
    counts: HashMap<&'static str, usize>,
    /// Tries in which nothing but the generation in force is left.
    swept: Vec<&'static str>,
}

impl ListState {
    /// With the tables that an earlier run put in force.
    pub fn read(maps: &Maps) -> Result<Self> {
        let (lists, places) = (Table::in_force(&maps.listed)?, Table::in_force(&maps.places)?);
        Ok(Self { lists, places, ..Self::default() })
    }
}

impl List {
    /// As the datapath looks for it.
    pub(super) fn network(self, item: &ListItem) -> compile::Network {
        match self {
            Self::Allow => keys::literal(item.network),
            Self::Deny => keys::canonical(item.network),
        }
    }

    const fn flag(self) -> u32 {
        match self {
            Self::Allow => CONFIG_HAS_ALLOW,
            Self::Deny => CONFIG_HAS_DENY,
        }
    }

    pub(super) fn key(self, generation: u32, item: &ListItem) -> LpmKey<ScopedAddress> {
        keys::scoped(generation, item.policy, self.network(item))
    }
}

pub(super) const fn after(generation: u32) -> u32 {
    (generation + 1) & 0xffff
}

fn check(items: &[ListItem]) -> Result<()> {
    match items.iter().find(|item| item.policy >= POLICIES_MAX) {
        Some(item) => Err(DatapathError::Invalid(format!("there is no policy {}", item.policy))),
        None => Ok(()),
    }
}

/// Removes every entry that is not of this generation.
fn sweep<V: aya::Pod>(map: &ListMap<V>, generation: u32) -> Result<()> {
    let mut stale = Vec::new();
    map.for_each(|key, _| {
        if keys::scope(key).0 != generation {
            stale.push(*key);
        }
    })?;
    map.remove_all(&stale)
}

/// Puts a new generation beside the one in force; takes it out again when there is no room.
/// Returns how many entries it has.
pub(super) fn fill<V: aya::Pod>(
    map: &ListMap<V>,
    state: &mut ListState,
    in_force: u32,
    mut entries: Vec<(LpmKey<ScopedAddress>, V)>,
) -> Result<usize> {
    if !state.swept.contains(&map.name()) {
        sweep(map, in_force)?;
    }
    // Of entries with the same key the last one stands; neighbours also fill faster.
    entries.reverse();
    entries.sort_by_key(|(key, _)| (key.data.scope, key.data.address.halves(), key.prefix_len));
    entries.dedup_by_key(|(key, _)| *key);
    state.swept.retain(|name| *name != map.name());
    if let Err(error) = map.insert_all(&entries) {
        sweep(map, in_force)?;
        return Err(error);
    }
    Ok(entries.len())
}

/// After the switch: forgets the old generation.
pub(super) fn settle<V: aya::Pod>(
    map: &ListMap<V>,
    state: &mut ListState,
    in_force: u32,
    count: usize,
) -> Result<()> {
    state.counts.insert(map.name(), count);
    sweep(map, in_force)?;
    state.swept.push(map.name());
    Ok(())
}

impl Datapath {
    pub(super) fn list(&self, list: List) -> &ListMap<ListEntry> {
        match list {
            List::Allow => &self.maps.allow,
            List::Deny => &self.maps.deny,
        }
    }

    /// Replaces both lists at one moment. On an error the old ones stay in force.
    pub fn replace_lists(&self, allow: &[ListItem], deny: &[ListItem]) -> Result<()> {
        check(allow)?;
        check(deny)?;
        let mut state = guard(&self.lists);
        let in_force = self.config()?.lists_generation;
        let next = after(in_force);
        let table = Table::<ListTable>::new(&self.maps.listed)?;
        let view = table.view()?;
        view.seed.set(random()?);
        view.generation.set(next.into());
        let in_tries = [allow.iter().collect(), compiled(view, deny)];
        let mut counts = [0; 2];
        for (index, (list, items)) in
            [List::Allow, List::Deny].into_iter().zip(&in_tries).enumerate()
        {
            items.iter().for_each(|item| compile::ask(view, list.network(item)));
            let entries =
                items.iter().map(|item| (list.key(next, item), item.entry(list))).collect();
            let filled = fill(self.list(list), &mut state, in_force, entries);
            counts[index] = filled.or_else(|error| {
                sweep(&self.maps.allow, in_force)?;
                Err(error)
            })?;
        }
        self.mark_geo(view, state.places.as_ref())?;
        let flag = |list: List| if counts[list as usize] > 0 { list.flag() } else { 0 };
        let flags = flag(List::Allow) | flag(List::Deny);
        self.change_config(|config| config.flags |= flags)?;
        table.put_in_force(&self.maps.listed)?;
        state.lists = Some(table);
        self.change_config(|config| {
            config.lists_generation = next;
            config.flags = config.flags & !(CONFIG_HAS_ALLOW | CONFIG_HAS_DENY) | flags;
        })?;
        settle(&self.maps.allow, &mut state, next, counts[0])?;
        settle(&self.maps.deny, &mut state, next, counts[1])
    }

    /// Adds or overwrites one entry; true when the tries did not have it.
    pub fn add_entry(&self, list: List, item: &ListItem) -> Result<bool> {
        check(std::slice::from_ref(item))?;
        let mut state = guard(&self.lists);
        let generation = self.config()?.lists_generation;
        let new = self.put_in_trie(&mut state, list, generation, item)?;
        self.change_config(|config| config.flags |= list.flag())?;
        if let Some(table) = &state.lists {
            compile::ask(table.view()?, list.network(item));
        }
        Ok(new)
    }

    fn put_in_trie(
        &self,
        state: &mut ListState,
        list: List,
        generation: u32,
        item: &ListItem,
    ) -> Result<bool> {
        let map = self.list(list);
        let key = list.key(generation, item);
        let new = map.insert(&key, &item.entry(list), Insert::New)?;
        if !new {
            map.insert(&key, &item.entry(list), Insert::Any)?;
        } else if let Some(count) = state.counts.get_mut(map.name()) {
            *count += 1;
        }
        Ok(new)
    }

    /// Takes an entry out, wherever it is. `others` are the entries of the same list that cover it or
    /// lie in it: they stay.
    pub fn remove_entry(
        &self,
        list: List,
        network: IpNetwork,
        policy: u32,
        others: &[ListItem],
    ) -> Result<()> {
        let mut state = guard(&self.lists);
        let generation = self.config()?.lists_generation;
        let item = ListItem { policy, ..ListItem::host(network) };
        if list == List::Deny && item.is_plain() && state.lists.is_some() {
            // What the table has of others may lie where this one goes: the trie has it from now on.
            for other in others {
                self.put_in_trie(&mut state, list, generation, other)?;
            }
            if !others.is_empty() {
                self.change_config(|config| config.flags |= list.flag())?;
            }
            if let Some(table) = &state.lists {
                let table = table.view()?;
                let network = list.network(&item);
                let within =
                    |other| std::cmp::max_by_key(network, list.network(other), |(_, len)| *len);
                others.iter().for_each(|other| compile::ask(table, within(other)));
                compile::unlist(table, network);
            }
        }
        self.remove_from_trie(&mut state, list, generation, &item)
    }

    /// Takes an entry out of its trie: one that has an end is nowhere else.
    pub fn remove_ended(&self, list: List, network: IpNetwork, policy: u32) -> Result<()> {
        let mut state = guard(&self.lists);
        let item = ListItem { policy, ..ListItem::host(network) };
        self.remove_from_trie(&mut state, list, self.config()?.lists_generation, &item)
    }

    fn remove_from_trie(
        &self,
        state: &mut ListState,
        list: List,
        generation: u32,
        item: &ListItem,
    ) -> Result<()> {
        let map = self.list(list);
        if map.remove(&list.key(generation, item))?
            && let Some(count) = state.counts.get_mut(map.name())
        {
            *count = count.saturating_sub(1);
        }
        Ok(())
    }

    /// Does the denylist of the host, as it is in the kernel, stop all traffic of an address?
    pub fn denies(&self, address: IpAddr) -> Result<bool> {
        let state = guard(&self.lists);
        let address = Address::from(address);
        let table = state.lists.as_ref().map(Table::view).transpose()?;
        let known = table.map(|table| table.look(&address));
        if known.is_some_and(|bits| bits & LISTED != 0) {
            return Ok(true);
        }
        let key = keys::scoped(self.config()?.lists_generation, 0, (address, 128));
        let entry = self.maps.deny.get(&key)?;
        let asked = known.is_none_or(|bits| bits & ASK != 0);
        Ok(asked && entry.is_some_and(|entry| entry.scope == SCOPE_ALL && entry.expires_ns == 0))
    }

    /// Does a list cover an address, as it is in the kernel, for whatever endpoint and traffic?
    pub fn covers(&self, list: List, address: IpAddr) -> Result<bool> {
        let in_trie = self.entries(list)?.iter().any(|item| item.network.contains(address));
        Ok(in_trie || (list == List::Deny && self.denies(address)?))
    }

    /// Gives back the memory in which tables were worked on, unless somebody is at it. True if there was
    /// some.
    pub fn rest_tables(&self) -> bool {
        let Ok(mut state) = self.lists.try_lock() else { return false };
        let lists = state.lists.as_mut().is_some_and(Table::rest);
        let places = state.places.as_mut().is_some_and(Table::rest);
        lists || places
    }

    /// The entries of a trie in force, as the datapath judges by them: a denied 6to4 network is the
    /// IPv4 one.
    pub fn entries(&self, list: List) -> Result<Vec<ListItem>> {
        let generation = self.config()?.lists_generation;
        let mut items = Vec::new();
        self.list(list).for_each(|key, entry| {
            let (entry_generation, policy) = keys::scope(key);
            let prefix_len = key.prefix_len.saturating_sub(ScopedAddress::SCOPE_BITS);
            let network = keys::network(key.data.address, prefix_len);
            if entry_generation == generation
                && let Some(network) = network
            {
                let ListEntry { expires_ns, scope, .. } = *entry;
                items.push(ListItem { network, policy, expires_ns, scope });
            }
        })?;
        Ok(items)
    }

    /// Entries in force of one of the tries; counted once, then kept.
    pub(super) fn count_entries<V: aya::Pod>(
        &self,
        map: &ListMap<V>,
        generation: impl Fn(&Config) -> u32,
    ) -> Result<usize> {
        let mut state = guard(&self.lists);
        if let Some(&count) = state.counts.get(map.name()) {
            return Ok(count);
        }
        let generation = generation(&self.config()?);
        let mut count = 0;
        map.for_each(|key, _| count += usize::from(keys::scope(key).0 == generation))?;
        state.counts.insert(map.name(), count);
        Ok(count)
    }
}

/// Puts what it can into a new table; the rest is for the trie.
fn compiled<'a>(table: &ListTable, items: &'a [ListItem]) -> Vec<&'a ListItem> {
    let (plain, mut rest): (Vec<&ListItem>, Vec<_>) =
        items.iter().partition(|item| item.is_plain());
    let networks: Vec<_> = plain.iter().map(|item| keys::canonical(item.network)).collect();
    rest.extend(compile::fill(table, &networks).into_iter().map(|index| plain[index]));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_wrap_within_their_half() {
        assert_eq!(after(0), 1);
        assert_eq!(after(0xffff), 0);
    }

    #[test]
    fn the_allowlist_takes_addresses_literally() {
        let item = ListItem::host("2002:c000:207::/48".parse().unwrap());
        assert!(!List::Allow.key(1, &item).data.address.is_v4());
        assert!(List::Deny.key(1, &item).data.address.is_v4());
        let sip = ListItem { scope: 1, ..item };
        assert_eq!((sip.entry(List::Allow).scope, sip.entry(List::Deny).scope), (SCOPE_ALL, 1));
    }
}
