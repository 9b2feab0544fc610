//! Lists and geo in the tries, replaced as a whole by generations; endpoints by difference.
//!
//! A new list is filled beside the one in force and then switched to by one write of `CONFIG`; the
//! old one is removed afterwards. Where the entries come from is not known here.

use std::collections::HashMap;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    CONFIG_HAS_ALLOW, CONFIG_HAS_DENY, CONFIG_HAS_ENDPOINTS, Config, ENDPOINTS_MAX, ListEntry,
    POLICIES_MAX, SCOPE_ALL, ScopedAddress, maps,
};

use super::error::{DatapathError, Result};
use super::keys::{self, LpmKey};
use super::map::{Insert, Map};
use super::{Datapath, guard};

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
    /// `SCOPE_*`; of no meaning for the allowlist, where all traffic is allowed.
    pub scope: u8,
}

impl ListItem {
    /// All traffic, without an end, of the host.
    pub fn host(network: IpNetwork) -> Self {
        Self { network, policy: 0, expires_ns: 0, scope: SCOPE_ALL }
    }

    fn entry(&self, list: List) -> ListEntry {
        let scope = if list == List::Allow { SCOPE_ALL } else { self.scope };
        ListEntry { expires_ns: self.expires_ns, scope, ..ListEntry::default() }
    }
}

/// What is known of the tries beside what is in them.
#[derive(Default)]
pub struct ListState {
    /// Entries in force, once counted.
    counts: HashMap<&'static str, usize>,
    /// Tries in which nothing but the generation in force is left.
    swept: Vec<&'static str>,
}

impl List {
    const fn flag(self) -> u32 {
        match self {
            Self::Allow => CONFIG_HAS_ALLOW,
            Self::Deny => CONFIG_HAS_DENY,
        }
    }

    fn key(self, generation: u32, item: &ListItem) -> LpmKey<ScopedAddress> {
        let address = match self {
            Self::Allow => keys::literal(item.network),
            Self::Deny => keys::canonical(item.network),
        };
        keys::scoped(generation, item.policy, address)
    }
}

const fn after(generation: u32) -> u32 {
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
fn fill<V: aya::Pod>(
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
fn settle<V: aya::Pod>(
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
    fn list(&self, list: List) -> &ListMap<ListEntry> {
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
        let mut counts = [0; 2];
        for (index, (list, items)) in
            [(List::Allow, allow), (List::Deny, deny)].into_iter().enumerate()
        {
            let entries =
                items.iter().map(|item| (list.key(next, item), item.entry(list))).collect();
            let filled = fill(self.list(list), &mut state, in_force, entries);
            counts[index] = filled.or_else(|error| {
                sweep(&self.maps.allow, in_force)?;
                Err(error)
            })?;
        }
        self.change_config(|config| {
            config.lists_generation = next;
            config.flags &= !(CONFIG_HAS_ALLOW | CONFIG_HAS_DENY);
            config.flags |= if counts[0] > 0 { CONFIG_HAS_ALLOW } else { 0 };
            config.flags |= if counts[1] > 0 { CONFIG_HAS_DENY } else { 0 };
        })?;
        settle(&self.maps.allow, &mut state, next, counts[0])?;
        settle(&self.maps.deny, &mut state, next, counts[1])
    }

    /// Adds or overwrites one entry; true when it is new.
    pub fn add_entry(&self, list: List, item: &ListItem) -> Result<bool> {
        check(std::slice::from_ref(item))?;
        let mut state = guard(&self.lists);
        let (map, config) = (self.list(list), self.config()?);
        let key = list.key(config.lists_generation, item);
        let new = map.insert(&key, &item.entry(list), Insert::New)?;
        if !new {
            map.insert(&key, &item.entry(list), Insert::Any)?;
        } else if let Some(count) = state.counts.get_mut(map.name()) {
            *count += 1;
        }
        if config.flags & list.flag() == 0 {
            self.change_config(|config| config.flags |= list.flag())?;
        }
        Ok(new)
    }

    /// False when there was no such entry.
    pub fn remove_entry(&self, list: List, network: IpNetwork, policy: u32) -> Result<bool> {
        let mut state = guard(&self.lists);
        let (map, config) = (self.list(list), self.config()?);
        let item = ListItem { policy, ..ListItem::host(network) };
        let removed = map.remove(&list.key(config.lists_generation, &item))?;
        if removed && let Some(count) = state.counts.get_mut(map.name()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.change_config(|config| config.flags &= !list.flag())?;
            }
        }
        Ok(removed)
    }

    /// The entries in force, as the datapath judges by them: a denied 6to4 network is the IPv4 one.
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

    /// Replaces the geo database: networks and the index of their country.
    pub fn replace_geo(&self, networks: impl IntoIterator<Item = (IpNetwork, u32)>) -> Result<()> {
        let mut state = guard(&self.lists);
        let in_force = self.config()?.geo_generation;
        let next = after(in_force);
        let entries = networks
            .into_iter()
            .map(|(network, country)| (keys::scoped(next, 0, keys::canonical(network)), country))
            .collect();
        let count = fill(&self.maps.geo, &mut state, in_force, entries)?;
        self.change_config(|config| config.geo_generation = next)?;
        settle(&self.maps.geo, &mut state, next, count)
    }

    /// Which policy each endpoint's addresses have. On an error some of the changes are made.
    pub fn set_endpoints(&self, endpoints: &[(IpNetwork, u32)]) -> Result<()> {
        if endpoints.len() > ENDPOINTS_MAX as usize {
            return Err(DatapathError::MapFull { map: maps::ENDPOINTS });
        }
        if let Some((network, policy)) =
            endpoints.iter().find(|(_, policy)| *policy >= POLICIES_MAX)
        {
            let message = format!("there is no policy {policy} for the endpoint {network}");
            return Err(DatapathError::Invalid(message));
        }
        let wanted: HashMap<_, u32> = endpoints
            .iter()
            .map(|(network, policy)| {
                let (data, prefix_len) = keys::literal(*network);
                (LpmKey { prefix_len, data }, *policy)
            })
            .collect();
        let present: HashMap<_, u32> = self.maps.endpoints.entries()?.into_iter().collect();
        if !wanted.is_empty() {
            self.change_config(|config| config.flags |= CONFIG_HAS_ENDPOINTS)?;
        }
        let gone: Vec<_> =
            present.keys().filter(|key| !wanted.contains_key(*key)).copied().collect();
        self.maps.endpoints.remove_all(&gone)?;
        for (key, policy) in &wanted {
            if present.get(key) != Some(policy) {
                self.maps.endpoints.insert(key, policy, Insert::Any)?;
            }
        }
        if wanted.is_empty() {
            self.change_config(|config| config.flags &= !CONFIG_HAS_ENDPOINTS)?;
        }
        Ok(())
    }

    pub fn endpoints(&self) -> Result<Vec<(IpNetwork, u32)>> {
        let entries = self.maps.endpoints.entries()?;
        let named = entries
            .into_iter()
            .filter_map(|(key, policy)| Some((keys::network(key.data, key.prefix_len)?, policy)));
        Ok(named.collect())
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
