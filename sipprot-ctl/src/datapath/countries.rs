//! Countries in their table and trie, replaced as a whole, and which of them matter to a policy.

use std::collections::HashMap;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{GEO_OFF, Policy};
use sipprot_common::policy::geo_drops;
use sipprot_common::table::{ListTable, MIXED, PlaceTable};

use super::endpoints::SharedPort;
use super::error::Result;
use super::lists::{ListState, after, fill, settle};
use super::table::{Table, compile};
use super::{Datapath, guard, keys, monotonic_ns};

impl Datapath {
    /// Replaces the geo database: networks and the index of their country. Comes after a change of
    /// the policies' countries, too: which sources are asked for their country depends on these.
    pub fn replace_geo(&self, networks: impl IntoIterator<Item = (IpNetwork, u32)>) -> Result<()> {
        let networks: Vec<_> = networks
            .into_iter()
            .map(|(network, country)| (keys::canonical(network), country))
            .collect();
        if networks.is_empty() {
            let mut state = guard(&self.lists);
            let in_force = self.config()?.geo_generation;
            return self.forget_geo(&mut state, in_force);
        }
        // What takes longest waits for nobody, and nobody for it.
        let table = Table::<PlaceTable>::new(&self.maps.places)?;
        let view = table.view()?;
        let in_trie = compile::fill_places(view, &networks);
        let mut state = guard(&self.lists);
        let in_force = self.config()?.geo_generation;
        let next = after(in_force);
        view.generation.set(next.into());
        let entries = in_trie
            .into_iter()
            .map(|index| (keys::scoped(next, 0, networks[index].0), networks[index].1))
            .collect();
        let count = fill(&self.maps.geo, &mut state, in_force, entries)?;
        table.put_in_force(&self.maps.places)?;
        self.change_config(|config| config.geo_generation = next)?;
        if let Some(lists) = &state.lists {
            self.mark_geo(lists.view()?, Some(&table))?;
        }
        state.places = Some(table);
        settle(&self.maps.geo, &mut state, next, count)
    }

    /// Nobody has a country: there is no table.
    fn forget_geo(&self, state: &mut ListState, in_force: u32) -> Result<()> {
        if let Some(lists) = &state.lists {
            self.mark_geo(lists.view()?, None)?;
        }
        self.maps.places.clear()?;
        state.places = None;
        let next = after(in_force);
        self.change_config(|config| config.geo_generation = next)?;
        settle(&self.maps.geo, state, next, 0)
    }

    /// Comes after a change of the policies' countries where the networks stay.
    pub fn follow_policies(&self) -> Result<()> {
        let state = guard(&self.lists);
        match &state.lists {
            Some(lists) => self.mark_geo(lists.view()?, state.places.as_ref()),
            None => Ok(()),
        }
    }

    /// The policies as they are to be set, each after what it follows: `follow` gets both, and the time.
    /// What an endpoint had before is found by its first address.
    pub fn followed(
        &self,
        policies: &[Policy],
        endpoints: &[(IpNetwork, u32)],
        shared: &[SharedPort],
        follow: impl Fn(&mut Policy, &Policy, u64),
    ) -> Result<Vec<Policy>> {
        let known: HashMap<IpNetwork, u32> = self.endpoints()?.into_iter().collect();
        let now_ns = monotonic_ns();
        let before = |index: u32| match index {
            0 => self.policy(0),
            index => {
                let mut own = endpoints.iter().filter(|(_, policy)| *policy == index);
                if let Some(known) = own.find_map(|(network, _)| known.get(network)) {
                    return self.policy(*known);
                }
                let port = shared.iter().find(|it| it.policy == index);
                let first = port.and_then(|it| Some((*known.get(&it.network)?, it.port)));
                let Some((first, port)) = first else { return Ok(None) };
                self.policy_of_port(first, port)?.map_or(Ok(None), |known| self.policy(known))
            }
        };
        let followed = (0..).zip(policies).map(|(index, policy)| {
            let mut policy = *policy;
            follow(&mut policy, &before(index)?.unwrap_or_default(), now_ns);
            Ok(policy)
        });
        followed.collect()
    }

    /// Tells a table of lists which sources' countries matter to some policy.
    pub(super) fn mark_geo(
        &self,
        table: &ListTable,
        places: Option<&Table<PlaceTable>>,
    ) -> Result<()> {
        let policies = self.maps.policies.entries()?;
        let by_country: Vec<_> =
            policies.iter().map(|(_, policy)| policy).filter(|it| it.geo_mode != GEO_OFF).collect();
        let places = places.filter(|_| !by_country.is_empty()).map(Table::view).transpose()?;
        compile::mark_geo(table, places.map(|it| &**it), |code| {
            let country = |places: &PlaceTable| places.name(code.into());
            let country = places.filter(|_| code != MIXED).map(|it| country(it));
            by_country.iter().any(|policy| country.is_none_or(|it| geo_drops(policy, it)))
        });
        Ok(())
    }
}
