//! Holds the countries in the kernel, table and trie, against those that are promised. Reads only.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{COUNTRY_UNKNOWN, ScopedAddress};
use sipprot_common::source::Address;
use sipprot_common::table::{MIXED, PlaceTable};

use super::Datapath;
use super::error::Result;
use super::keys::{self, LpmKey};
use super::table::Table;
use super::table::compile;

/// Addresses that are in another country than promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountryDiffers {
    pub first: IpAddr,
    pub last: IpAddr,
    /// Index of the country; absent where the trie is to be asked, or has nothing.
    pub promised: Option<u32>,
    pub found: Option<u32>,
}

/// What differs, and how many runs and entries there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountryDifferences {
    pub found: u64,
    pub differ: u64,
    /// The first of them.
    pub first: Vec<CountryDiffers>,
}

impl CountryDifferences {
    const FIRST_MAX: usize = 100;

    fn note(&mut self, differs: CountryDiffers) {
        self.differ += 1;
        if self.first.len() < Self::FIRST_MAX {
            self.first.push(differs);
        }
    }
}

type Key = LpmKey<ScopedAddress>;

fn plain(key: &Key) -> (u64, u64, u32) {
    let (high, low) = key.data.address.halves();
    (high, low, key.prefix_len)
}

impl Datapath {
    /// Compares the countries in force with these networks, of which each has the index of its country.
    pub fn compare_countries(&self, promised: &[(IpNetwork, u32)]) -> Result<CountryDifferences> {
        let mut all = CountryDifferences::default();
        let networks: Vec<_> = promised
            .iter()
            .map(|(network, country)| (keys::canonical(*network), *country))
            .collect();
        // Compiled once more, and never put in force.
        let wanted = Table::<PlaceTable>::new(&self.maps.places)?.into_view()?;
        let in_trie = compile::fill_places(&wanted, &networks);
        let known = Table::<PlaceTable>::in_force(&self.maps.places)?;
        let known = match known {
            Some(known) => known.into_view()?,
            None => {
                // Without a table nobody has a country.
                let nobody = Table::<PlaceTable>::new(&self.maps.places)?.into_view()?;
                nobody.set_name(0, COUNTRY_UNKNOWN as u16);
                nobody
            }
        };
        let generation = match known.generation.get() {
            0 => self.config()?.geo_generation,
            generation => generation as u32,
        };
        all.places(&wanted, &known);
        let wanted: HashMap<_, _> = in_trie
            .into_iter()
            .map(|index| {
                let key = keys::scoped(generation, 0, networks[index].0);
                (plain(&key), (key, networks[index].1))
            })
            .collect();
        let mut found = HashMap::new();
        self.maps.geo.for_each(|key, country| {
            if keys::scope(key).0 == generation {
                found.insert(plain(key), (*key, *country));
            }
        })?;
        all.found += found.len() as u64;
        for (place, (key, country)) in &wanted {
            let there = found.remove(place).map(|(_, country)| country);
            if there != Some(*country) {
                all.entry(key, Some(*country), there);
            }
        }
        for (key, country) in found.values() {
            all.entry(key, None, Some(*country));
        }
        Ok(all)
    }
}

impl CountryDifferences {
    fn entry(&mut self, key: &Key, promised: Option<u32>, found: Option<u32>) {
        let prefix_len = key.prefix_len.saturating_sub(ScopedAddress::SCOPE_BITS);
        let Some(network) = keys::network(key.data.address, prefix_len) else { return };
        let (first, last) = (network.network(), network.broadcast());
        self.note(CountryDiffers { first, last, promised, found });
    }

    fn places(&mut self, wanted: &PlaceTable, known: &PlaceTable) {
        let name = |table: &PlaceTable, code: u8| (code != MIXED).then(|| table.name(code.into()));
        let v4 = |first: u32, last: u32| {
            let ends = [first << 8, last << 8 | 255];
            ends.map(|end| Address::from_v4(end).to_ip())
        };
        let v6 = |first: u32, last: u32| {
            // The /24s of 2000::/3.
            let high = |index: u32| (1 << 61) | (u64::from(index) << 40);
            let ends = [(high(first), 0), (high(last) | ((1 << 40) - 1), u64::MAX)];
            ends.map(|(high, low)| Address::from_halves(high, low).to_ip())
        };
        known.each_v4_run(|_, _, code| self.found += u64::from(code != 0));
        known.each_v6_run(|_, _, code| self.found += u64::from(code != 0));
        wanted.each_v4_run(|first, last, code| {
            let promised = name(wanted, code);
            let found = |index| name(known, known.v4_code(index));
            self.run((first, last), promised, found, v4);
        });
        wanted.each_v6_run(|first, last, code| {
            let promised = name(wanted, code);
            let found = |index| name(known, known.v6_code(index));
            self.run((first, last), promised, found, v6);
        });
    }

    /// Notes the parts of a run that have something else.
    fn run(
        &mut self,
        (first, last): (u32, u32),
        promised: Option<u32>,
        found: impl Fn(u32) -> Option<u32>,
        ends: impl Fn(u32, u32) -> [IpAddr; 2],
    ) {
        let mut part: Option<(u32, Option<u32>)> = None;
        for index in first..=last {
            let there = found(index);
            if part.is_some_and(|(_, it)| it == there) {
                continue;
            }
            if let Some((start, found)) = part.take() {
                let [first, last] = ends(start, index - 1);
                self.note(CountryDiffers { first, last, promised, found });
            }
            part = (there != promised).then_some((index, there));
        }
        if let Some((start, found)) = part {
            let [first, last] = ends(start, last);
            self.note(CountryDiffers { first, last, promised, found });
        }
    }
}
