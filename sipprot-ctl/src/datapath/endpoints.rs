//! Whose address is whose: endpoints and their policies, and name servers; changed by difference.

use std::collections::HashMap;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    CONFIG_HAS_ENDPOINTS, ENDPOINT_SHARED, ENDPOINTS_MAX, POLICIES_MAX, PORT_KEYS, RESOLVERS_MAX,
    maps, port_key,
};
use sipprot_common::source::Address;

use super::error::{DatapathError, Result};
use super::keys::LpmKey;
use super::map::{Insert, Map};
use super::{Datapath, keys};

/// A port by which an endpoint is told from the first one that has the same address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SharedPort {
    pub network: IpNetwork,
    pub port: u16,
    pub policy: u32,
}

impl Datapath {
    /// Which policy each endpoint's addresses have, and which ports of theirs are another's. On an error
    /// some of the changes are made.
    pub fn set_endpoints(
        &self,
        endpoints: &[(IpNetwork, u32)],
        shared: &[SharedPort],
    ) -> Result<()> {
        if endpoints.len() + shared.len() > ENDPOINTS_MAX as usize {
            return Err(DatapathError::MapFull { map: maps::ENDPOINTS });
        }
        if let Some((network, policy)) =
            endpoints.iter().find(|(_, policy)| *policy >= POLICIES_MAX)
        {
            let message = format!("there is no policy {policy} for the endpoint {network}");
            return Err(DatapathError::Invalid(message));
        }
        let done = self.change_endpoints(endpoints, shared);
        self.change_config(|config| {
            config.endpoints_generation = config.endpoints_generation.wrapping_add(1);
        })?;
        done
    }

    fn change_endpoints(
        &self,
        endpoints: &[(IpNetwork, u32)],
        shared: &[SharedPort],
    ) -> Result<()> {
        let mut wanted: HashMap<_, u32> =
            endpoints.iter().map(|(network, policy)| (key(*network), *policy)).collect();
        for SharedPort { network, port, policy } in shared {
            let Some(first) = wanted.get_mut(&key(*network)) else { continue };
            let data = port_key(*first & !ENDPOINT_SHARED, u32::from(*port));
            *first |= ENDPOINT_SHARED;
            wanted.insert(LpmKey { prefix_len: 128, data }, *policy);
        }
        if !wanted.is_empty() {
            self.change_config(|config| config.flags |= CONFIG_HAS_ENDPOINTS)?;
        }
        replace(&self.maps.endpoints, &wanted)?;
        if wanted.is_empty() {
            self.change_config(|config| config.flags &= !CONFIG_HAS_ENDPOINTS)?;
        }
        Ok(())
    }

    /// Name servers that may answer at any length.
    pub fn set_resolvers(&self, resolvers: &[IpNetwork]) -> Result<()> {
        if resolvers.len() > RESOLVERS_MAX as usize {
            return Err(DatapathError::MapFull { map: maps::RESOLVERS });
        }
        let wanted = resolvers.iter().map(|network| (key(*network), 1)).collect();
        replace(&self.maps.resolvers, &wanted)
    }

    /// By address; of those that several have the first.
    pub fn endpoints(&self) -> Result<Vec<(IpNetwork, u32)>> {
        let entries = self.maps.endpoints.entries()?;
        let addresses = entries.into_iter().filter(|(key, _)| key.data.halves().0 != PORT_KEYS);
        let named = addresses.filter_map(|(key, policy)| {
            Some((keys::network(key.data, key.prefix_len)?, policy & !ENDPOINT_SHARED))
        });
        Ok(named.collect())
    }

    /// The policy of a port of an address whose first policy is this one.
    pub(super) fn policy_of_port(&self, first: u32, port: u16) -> Result<Option<u32>> {
        let data = port_key(first, u32::from(port));
        self.maps.endpoints.get(&LpmKey { prefix_len: 128, data })
    }
}

fn key(network: IpNetwork) -> LpmKey<Address> {
    let (data, prefix_len) = keys::literal(network);
    LpmKey { prefix_len, data }
}

/// Makes a map hold this and nothing else; what stays is not touched.
fn replace(map: &Map<LpmKey<Address>, u32>, wanted: &HashMap<LpmKey<Address>, u32>) -> Result<()> {
    let present: HashMap<_, u32> = map.entries()?.into_iter().collect();
    let gone: Vec<_> = present.keys().filter(|key| !wanted.contains_key(*key)).copied().collect();
    map.remove_all(&gone)?;
    for (key, value) in wanted {
        if present.get(key) != Some(value) {
            map.insert(key, value, Insert::Any)?;
        }
    }
    Ok(())
}
