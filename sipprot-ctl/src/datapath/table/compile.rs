//! Which part of a list goes into its table, and which is left to the trie.
//!
//! Networks are pairs of an address and a prefix length of 128, as the tries have them: IPv4 lies in
//! `::ffff:0:0/96`. A network that is not of a length that the table has is cut into some that are,
//! unless that makes too many.

use std::collections::HashMap;

use sipprot_common::abi::COUNTRY_UNKNOWN;
use sipprot_common::source::Address;
use sipprot_common::table::{
    ASK, GEO, HOSTS, Hosts, LISTED, ListTable, MIXED, PlaceTable, Prefixes,
};

use super::super::keys;
pub use super::super::keys::canonical;

/// Parts into which one IPv6 network is cut at most.
const PARTS_MAX: u64 = 256;
/// Of its capacity, the part of a table that is filled: cuckoo tables get slow beyond.
const FILL: (usize, usize) = (9, 10);

pub type Network = (Address, u32);

/// Part of a network of IPv6 whose length the table has: the first, how many, and their length.
struct Cut {
    high: u64,
    low: u64,
    parts: u64,
    rung: u32,
}

/// First and last address of a network of IPv4; `None` for IPv6.
fn v4_range((address, prefix_len): Network) -> Option<(u32, u32)> {
    if !address.is_v4() || prefix_len < 96 {
        return None;
    }
    let first = address.halves().1 as u32;
    let rest = u32::MAX.checked_shr(prefix_len - 96).unwrap_or(0);
    Some((first & !rest, first | rest))
}

/// Does a network of IPv6 hold all of IPv4, where the tries have it?
fn holds_v4((address, prefix_len): Network) -> bool {
    let (high, low) = address.halves();
    prefix_len < 96 && high == 0 && (low == 0 || !address.is_v4() && low >> 32 == 0xffff)
}

fn cut((address, prefix_len): Network) -> Option<Cut> {
    let (high, low) = address.halves();
    let rung = match prefix_len {
        17..=32 => 32,
        33..=48 => 48,
        49..=64 => 64,
        128 => 128,
        _ => return None,
    };
    let parts = 1 << (rung - prefix_len);
    (parts <= PARTS_MAX).then_some(Cut { high, low, parts, rung })
}

impl Cut {
    fn each(&self) -> impl Iterator<Item = (u64, u64, u32)> {
        let step = if self.rung == 128 { 0 } else { 1 << (64 - self.rung) };
        let (high, low, rung) = (self.high, self.low, self.rung);
        (0..self.parts).map(move |part| (high + part * step, low, rung))
    }
}

/// Fills a new table with a denylist. Returns the indices of what goes into the trie instead.
pub fn fill(table: &ListTable, networks: &[Network]) -> Vec<usize> {
    let (mut hosts, mut cuts, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for (index, &network) in networks.iter().enumerate() {
        match v4_range(network) {
            Some((first, last)) if network.1 <= 96 + 24 => {
                table.networks.change(first, last, 0, LISTED);
            }
            Some(range) => hosts.push((range, index)),
            None => match cut(network) {
                Some(cut) => cuts.push((cut, index)),
                None => rest.push(index),
            },
        }
    }
    // The narrow ones first: what finds no room is little in number.
    hosts.sort_by_key(|((first, last), _)| last - first);
    cuts.sort_by_key(|(cut, _)| cut.parts);
    let seed = table.seed.get();
    let mut room = Hosts::CAPACITY / FILL.1 * FILL.0;
    for ((first, last), index) in hosts {
        let size = (last - first) as usize + 1;
        let fits = room >= size && (first..=last).all(|host| table.hosts.add(host, seed));
        if fits {
            room -= size;
            table.networks.change(first, first, 0, HOSTS);
        } else {
            rest.push(index);
        }
    }
    let mut room = Prefixes::CAPACITY / FILL.1 * FILL.0;
    for (cut, index) in cuts {
        let size = cut.parts as usize;
        let fits = room >= size
            && cut.each().all(|(high, low, rung)| table.prefixes.add(high, low, rung, seed));
        if fits {
            room -= size;
        } else {
            rest.push(index);
        }
    }
    for &index in &rest {
        ask(table, networks[index]);
    }
    table.compiled.set((networks.len() - rest.len()) as u64);
    rest
}

/// What a denied network without an end looks like in a table that has it.
pub enum Compiled {
    /// The /24s from the one of this address to the one of that.
    Networks(u32, u32),
    Hosts(u32, u32),
    /// By their spelling.
    Prefixes(Vec<u64>),
    /// No table can have it.
    Never,
}

pub fn compiled(network: Network, seed: u64) -> Compiled {
    match v4_range(network) {
        Some((first, last)) if network.1 <= 96 + 24 => Compiled::Networks(first, last),
        Some((first, last)) => Compiled::Hosts(first, last),
        None => match cut(network) {
            Some(cut) => Compiled::Prefixes(
                cut.each()
                    .map(|(high, low, rung)| Prefixes::spelling(high, low, rung, seed))
                    .collect(),
            ),
            None => Compiled::Never,
        },
    }
}

/// An address of each part into which a network of IPv6 is cut.
pub fn parts(network: Network) -> impl Iterator<Item = Address> {
    let cut = cut(network).into_iter();
    let each = cut.flat_map(|cut| cut.each().collect::<Vec<_>>());
    each.map(|(high, low, _)| Address::from_halves(high, low))
}

/// Lets packets from a network ask the tries.
pub fn ask(table: &ListTable, network: Network) {
    let (address, prefix_len) = network;
    if let Some((first, last)) = v4_range(network) {
        return table.networks.change(first, last, 0, ASK);
    }
    if holds_v4(network) {
        table.networks.change(0, u32::MAX, 0, ASK);
    }
    let high = address.halves().0;
    if prefix_len >= 32 {
        return table.prefixes.ask_below(high, table.seed.get());
    }
    let first = (high >> 48) as u16;
    let last = first | u16::MAX.checked_shr(prefix_len).unwrap_or(0);
    table.prefixes.ask_wide(first, last);
}

/// Takes a network out of a table that is in force; false when nothing was there. Of others that it
/// overlaps nothing may be left in the table: they must be in the trie before.
pub fn unlist(table: &ListTable, network: Network) -> bool {
    let seed = table.seed.get();
    if let Some((first, last)) = v4_range(network) {
        if network.1 > 96 + 24 {
            return (first..=last).fold(false, |any, host| table.hosts.remove(host, seed) | any);
        }
        let was_there = table.networks.get(first) & LISTED != 0;
        table.networks.change(first, last, LISTED | HOSTS, ASK);
        return was_there;
    }
    let parts = cut(network);
    parts.is_some_and(|cut| {
        let remove = |(high, low, rung)| table.prefixes.remove(high, low, rung, seed);
        cut.each().fold(false, |any, part| remove(part) | any)
    })
}

/// Lets an address in, with as little around it as the table can tell apart. Returns what that was.
pub fn let_in(table: &ListTable, address: Address) -> Vec<Network> {
    let lengths: &[u32] = if address.is_v4() { &[128, 96 + 24] } else { &[128, 64, 48, 32] };
    let networks = lengths.iter().map(|&length| (keys::masked(address, length), length));
    // A /24 that isn't listed as a whole only leads to its hosts, of which the others stay.
    let leads = |network: &Network| {
        let first = v4_range(*network).filter(|_| network.1 == 96 + 24);
        first.is_some_and(|(first, _)| table.networks.get(first) & LISTED == 0)
    };
    let found: Vec<_> =
        networks.filter(|network| !leads(network) && unlist(table, *network)).collect();
    table.compiled.set(table.compiled.get().saturating_sub(found.len() as u64));
    found
}

/// Says for each /24 of IPv4 and of 2000::/3 whether some policy may keep its country out, by the country's code.
/// Without `places` nobody knows.
pub fn mark_geo(table: &ListTable, places: Option<&PlaceTable>, keeps_out: impl Fn(u8) -> bool) {
    let mark_v4 = |first: u32, last: u32, code| {
        let (clear, set) = if keeps_out(code) { (0, GEO) } else { (GEO, 0) };
        table.networks.change(first << 8, last << 8, clear, set);
    };
    let mark_v6 = |first, last, code| table.prefixes.mark_places(first, last, keeps_out(code));
    match places {
        Some(places) => {
            places.each_v4_run(mark_v4);
            places.each_v6_run(mark_v6);
        }
        None => {
            mark_v4(0, u32::MAX >> 8, MIXED);
            mark_v6(0, PlaceTable::V6_LAST, MIXED);
        }
    }
}

/// Fills a new table with networks and the index of their country. Returns what goes into the trie.
pub fn fill_places(table: &PlaceTable, networks: &[(Network, u32)]) -> Vec<usize> {
    // `None` for a country that found no code.
    let mut codes: HashMap<u32, Option<u8>> = HashMap::new();
    let (mut rest, mut wide) = (Vec::new(), Vec::new());
    table.set_name(0, COUNTRY_UNKNOWN as u16);
    for (index, &(network, country)) in networks.iter().enumerate() {
        let next = codes.len() + 1;
        let code = *codes.entry(country).or_insert_with(|| {
            let code = u8::try_from(next).ok().filter(|code| *code < MIXED);
            code.inspect(|code| table.set_name(*code, country as u16))
        });
        let Some((family, first, last)) = places_of(network) else { continue };
        let whole = network.1 <= family.whole();
        match code.filter(|_| whole) {
            Some(code) => {
                family.put(table, (first, last), code);
                wide.push((index, family, first, last));
            }
            None => {
                family.put(table, (first, last), MIXED);
                rest.push(index);
            }
        }
    }
    // Where networks overlap, the trie has to know all of them.
    let is_mixed = |&(_, family, first, last): &(usize, Family, u32, u32)| {
        (first..=last).any(|place| family.code(table, place) == MIXED)
    };
    rest.extend(wide.into_iter().filter(is_mixed).map(|(index, ..)| index));
    rest
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// The longest prefix, of 128, that is a whole place.
    const fn whole(self) -> u32 {
        match self {
            Self::V4 => 96 + 24,
            Self::V6 => 24,
        }
    }

    fn put(self, table: &PlaceTable, (first, last): (u32, u32), code: u8) {
        match self {
            Self::V4 => table.put_v4(first, last, code),
            Self::V6 => table.put_v6(first, last, code),
        }
    }

    fn code(self, table: &PlaceTable, place: u32) -> u8 {
        match self {
            Self::V4 => table.v4_code(place),
            Self::V6 => table.v6_code(place),
        }
    }
}

/// The places that a network covers or lies in; `None` where nobody has a country.
fn places_of(network: Network) -> Option<(Family, u32, u32)> {
    if let Some((first, last)) = v4_range(network) {
        return Some((Family::V4, first >> 8, last >> 8));
    }
    let ((address, prefix_len), high) = (network, network.0.halves().0);
    if address.is_v4() || prefix_len < 3 || high >> 61 != 1 {
        return None;
    }
    let first = (high >> 40) as u32 & 0x1f_ffff;
    let last = if prefix_len < 24 { first | ((1 << (24 - prefix_len)) - 1) } else { first };
    Some((Family::V6, first, last))
}

#[cfg(test)]
mod tests;
