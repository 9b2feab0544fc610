//! The tables in front of the tries, compiled and put into force as the daemon does it.

use std::os::fd::AsFd;

use anyhow::{Context, Result};
use aya::maps::Map;
use sipprot_common::abi::{GEO_OFF, SCOPE_ALL, maps};
use sipprot_common::policy::geo_drops;
use sipprot_common::source::Address;
use sipprot_common::table::{ListTable, MIXED, PlaceTable, Strangers};
use sipprot_ctl::datapath::table::{self, Slot, Table, compile};

use super::Kernel;
use crate::datapath::world::{self, GEO_GENERATION, LISTS_GENERATION, Listing, World};

/// Is it in a table, and so in no trie?
pub fn is_compiled(listing: &Listing) -> bool {
    listing.generation == LISTS_GENERATION
        && (listing.policy, listing.scope, listing.expires) == (0, SCOPE_ALL, None)
        && compile::canonical(listing.network) == world::prefix(&listing.network)
}

impl Kernel {
    fn slot<T: 'static>(&mut self, name: &'static str) -> Result<Slot<T>> {
        let Map::ArrayOfMaps(data) = self.map(name)? else { anyhow::bail!("{name} is no slot") };
        let fd = data.fd().as_fd().try_clone_to_owned()?;
        Ok(table::slot(fd, name))
    }

    /// All but those who are blocked or trusted.
    pub(super) fn find_strangers(&mut self, world: &World) -> Result<()> {
        let Map::Array(data) = self.map(maps::STRANGERS)? else { anyhow::bail!("no array") };
        let fd = data.fd().as_fd().try_clone_to_owned()?;
        let strangers = Table::<Strangers>::of(fd, maps::STRANGERS)?.into_view()?;
        let blocked = world.blocks.iter().map(|block| block.source.0);
        let known = blocked.chain(world.trusted.iter().map(|(source, _)| source.0));
        strangers.replace(known, world.config().seed, &mut vec![0; Strangers::WORDS]);
        Ok(())
    }

    /// The tries are asked for everything.
    pub(super) fn clear_tables(&mut self) -> Result<()> {
        self.slot::<ListTable>(maps::LISTED)?.clear()?;
        self.slot::<PlaceTable>(maps::PLACES)?.clear()?;
        Ok(())
    }

    pub(super) fn fill_tables(&mut self, world: &World) -> Result<()> {
        let (lists, places) = (self.slot(maps::LISTED)?, self.slot(maps::PLACES)?);
        let lists_table = Table::<ListTable>::new(&lists)?;
        let places_table = Table::<PlaceTable>::new(&places)?;
        let (in_lists, in_places) = (lists_table.view()?, places_table.view()?);
        in_lists.seed.set(world.config().seed);
        in_lists.generation.set(LISTS_GENERATION.into());
        let plain: Vec<&Listing> = world.deny.iter().filter(|it| is_compiled(it)).collect();
        let networks: Vec<_> = plain.iter().map(|it| world::prefix(&it.network)).collect();
        let rest = compile::fill(in_lists, &networks);
        let rest: Vec<Listing> = rest.into_iter().map(|index| plain[index].clone()).collect();
        self.fill_list(maps::DENY, &rest, |_| 0).context("what the table has no room for")?;
        for listing in world.allow.iter().chain(&world.deny).filter(|it| !plain.contains(it)) {
            compile::ask(in_lists, world::prefix(&listing.network));
        }

        in_places.generation.set(GEO_GENERATION.into());
        let networks: Vec<((Address, u32), u32)> = world
            .geo
            .iter()
            .map(|(network, code)| (world::prefix(network), world::country(code)))
            .collect();
        compile::fill_places(in_places, &networks);
        compile::mark_geo(in_lists, Some(in_places), |code| {
            let policies = world.policies.iter().map(|it| &it.abi);
            let country = in_places.name(code.into());
            policies
                .filter(|policy| policy.geo_mode != GEO_OFF)
                .any(|policy| code == MIXED || geo_drops(policy, country))
        });
        places_table.put_in_force(&places)?;
        lists_table.put_in_force(&lists)?;
        Ok(())
    }
}
