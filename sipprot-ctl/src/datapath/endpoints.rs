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
        let wanted = wanted(endpoints, shared);
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

    pub fn resolvers(&self) -> Result<Vec<IpNetwork>> {
        let entries = self.maps.resolvers.entries()?.into_iter();
        Ok(entries.filter_map(|(key, _)| keys::network(key.data, key.prefix_len)).collect())
    }

    /// The policy of a port of an address whose first policy is this one.
    pub(super) fn policy_of_port(&self, first: u32, port: u16) -> Result<Option<u32>> {
        let data = port_key(first, u32::from(port));
        self.maps.endpoints.get(&LpmKey { prefix_len: 128, data })
    }
}

/// A network as the kernel has it.
pub fn kept(network: IpNetwork) -> Option<IpNetwork> {
    let LpmKey { prefix_len, data } = key(network);
    keys::network(data, prefix_len)
}

/// An address, or a port of one that several have, with the policy that is promised and the one found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointDiffers {
    pub what: String,
    pub promised: Option<u32>,
    pub found: Option<u32>,
}

impl Datapath {
    /// How many entries there shall be and are, and which differ.
    pub fn compare_endpoints(
        &self,
        endpoints: &[(IpNetwork, u32)],
        shared: &[SharedPort],
    ) -> Result<(usize, usize, Vec<EndpointDiffers>)> {
        let wanted = wanted(endpoints, shared);
        let found: HashMap<_, u32> = self.maps.endpoints.entries()?.into_iter().collect();
        let extra = found.keys().filter(|key| !wanted.contains_key(*key));
        let mut differing: Vec<EndpointDiffers> = wanted
            .keys()
            .chain(extra)
            .filter(|key| wanted.get(*key) != found.get(*key))
            .map(|key| EndpointDiffers {
                what: name_of(key),
                promised: wanted.get(key).map(|policy| policy & !ENDPOINT_SHARED),
                found: found.get(key).map(|policy| policy & !ENDPOINT_SHARED),
            })
            .collect();
        differing.sort_by(|a, b| a.what.cmp(&b.what));
        Ok((wanted.len(), found.len(), differing))
    }
}

fn name_of(key: &LpmKey<Address>) -> String {
    let (high, low) = key.data.halves();
    if high == PORT_KEYS {
        return format!("port {} of a shared address", low as u32);
    }
    keys::network(key.data, key.prefix_len).map(|network| network.to_string()).unwrap_or_default()
}

fn wanted(endpoints: &[(IpNetwork, u32)], shared: &[SharedPort]) -> HashMap<LpmKey<Address>, u32> {
    let mut wanted: HashMap<_, u32> =
        endpoints.iter().map(|(network, policy)| (key(*network), *policy)).collect();
    for SharedPort { network, port, policy } in shared {
        let Some(first) = wanted.get_mut(&key(*network)) else { continue };
        let data = port_key(*first & !ENDPOINT_SHARED, u32::from(*port));
        *first |= ENDPOINT_SHARED;
        wanted.insert(LpmKey { prefix_len: 128, data }, *policy);
    }
    wanted
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
