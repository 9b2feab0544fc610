//! Countries in their table and trie, replaced as a whole, and which of them matter to a policy.

use std::ops::Deref;

use ipnetwork::IpNetwork;
use sipprot_common::abi::GEO_OFF;
use sipprot_common::policy::geo_drops;
use sipprot_common::table::{ListTable, MIXED, PlaceTable};

use super::error::Result;
use super::lists::{after, fill, settle};
use super::table::{Table, compile};
use super::{Datapath, guard, keys};

impl Datapath {
    /// Replaces the geo database: networks and the index of their country. Comes after a change of
    /// the policies' countries, too: which sources are asked for their country depends on these.
    pub fn replace_geo(&self, networks: impl IntoIterator<Item = (IpNetwork, u32)>) -> Result<()> {
        let mut state = guard(&self.lists);
        let in_force = self.config()?.geo_generation;
        let next = after(in_force);
        let networks: Vec<_> = networks
            .into_iter()
            .map(|(network, country)| (keys::canonical(network), country))
            .collect();
        let table = Table::<PlaceTable>::new(&self.maps.places)?;
        table.generation.set(next.into());
        let in_trie = compile::fill_places(&table, &networks);
        let entries = in_trie
            .into_iter()
            .map(|index| (keys::scoped(next, 0, networks[index].0), networks[index].1))
            .collect();
        let count = fill(&self.maps.geo, &mut state, in_force, entries)?;
        table.put_in_force(&self.maps.places)?;
        self.change_config(|config| config.geo_generation = next)?;
        if let Some(lists) = &state.lists {
            self.mark_geo(lists, Some(&table))?;
        }
        state.places = Some(table);
        settle(&self.maps.geo, &mut state, next, count)
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
        let places = places.filter(|_| !by_country.is_empty()).map(Deref::deref);
        compile::mark_geo(table, places, |code| {
            let country = |places: &PlaceTable| places.name(code.into());
            let country = places.filter(|_| code != MIXED).map(country);
            by_country.iter().any(|policy| country.is_none_or(|it| geo_drops(policy, it)))
        });
        Ok(())
    }
}
