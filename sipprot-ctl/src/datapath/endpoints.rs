//! Whose address is whose: endpoints and their policies, and name servers; changed by difference.

use std::collections::HashMap;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{CONFIG_HAS_ENDPOINTS, ENDPOINTS_MAX, POLICIES_MAX, RESOLVERS_MAX, maps};
use sipprot_common::source::Address;

use super::error::{DatapathError, Result};
use super::keys::LpmKey;
use super::map::{Insert, Map};
use super::{Datapath, keys};

impl Datapath {
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
        let done = self.change_endpoints(endpoints);
        self.change_config(|config| {
            config.endpoints_generation = config.endpoints_generation.wrapping_add(1);
        })?;
        done
    }

    fn change_endpoints(&self, endpoints: &[(IpNetwork, u32)]) -> Result<()> {
        let wanted: HashMap<_, u32> =
            endpoints.iter().map(|(network, policy)| (key(*network), *policy)).collect();
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

    pub fn endpoints(&self) -> Result<Vec<(IpNetwork, u32)>> {
        named(&self.maps.endpoints)
    }

    pub fn resolvers(&self) -> Result<Vec<IpNetwork>> {
        Ok(named(&self.maps.resolvers)?.into_iter().map(|(network, _)| network).collect())
    }
}

/// A network as the kernel has it.
pub fn kept(network: IpNetwork) -> Option<IpNetwork> {
    let LpmKey { prefix_len, data } = key(network);
    keys::network(data, prefix_len)
}

fn named(map: &Map<LpmKey<Address>, u32>) -> Result<Vec<(IpNetwork, u32)>> {
    let entries = map.entries()?.into_iter();
    let named =
        entries.filter_map(|(key, value)| Some((keys::network(key.data, key.prefix_len)?, value)));
    Ok(named.collect())
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
