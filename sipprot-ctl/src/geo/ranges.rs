//! Ranges of addresses with their countries: looked up, joined, and cut into networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::countries::Country;

/// Sorted, not overlapping, and neighbours of one country are one range.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ranges {
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u128>>,
}

/// Both ends are included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Range<A> {
    first: A,
    last: A,
    country: Country,
}

impl Ranges {
    /// Adds a range; `false` if it runs backwards or mixes families. [`Ranges::settle`] comes last.
    pub fn push(&mut self, first: IpAddr, last: IpAddr, country: Country) -> bool {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.v4.push(Range { first: first.to_bits(), last: last.to_bits(), country });
                true
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                self.v6.push(Range { first: first.to_bits(), last: last.to_bits(), country });
                true
            }
            _ => false,
        }
    }

    /// Adds all of another's; [`Ranges::settle`] comes last.
    pub fn append(&mut self, mut other: Ranges) {
        self.v4.append(&mut other.v4);
        self.v6.append(&mut other.v6);
    }

    /// Sorts and joins. Where ranges overlap, the one that begins first keeps what it has.
    pub fn settle(&mut self) {
        join(&mut self.v4, |address| address.checked_add(1));
        join(&mut self.v6, |address| address.checked_add(1));
    }

    /// Takes networks out of ranges that are settled.
    pub fn leave_out(&mut self, networks: &[IpNetwork]) {
        for network in networks {
            match network {
                IpNetwork::V4(v4) => {
                    let hole = (v4.network().to_bits(), v4.broadcast().to_bits());
                    punch(&mut self.v4, hole, |a| a.checked_sub(1), |a| a.checked_add(1));
                }
                IpNetwork::V6(v6) => {
                    let hole = (v6.network().to_bits(), v6.broadcast().to_bits());
                    punch(&mut self.v6, hole, |a| a.checked_sub(1), |a| a.checked_add(1));
                }
            }
        }
    }

    pub fn country(&self, address: IpAddr) -> Option<Country> {
        match address {
            IpAddr::V4(address) => look_up(&self.v4, address.to_bits()),
            IpAddr::V6(address) => look_up(&self.v6, address.to_bits()),
        }
    }

    pub fn only(&self, wanted: impl Fn(Country) -> bool) -> Ranges {
        Ranges {
            v4: self.v4.iter().filter(|range| wanted(range.country)).copied().collect(),
            v6: self.v6.iter().filter(|range| wanted(range.country)).copied().collect(),
        }
    }

    /// As few networks as cover exactly these ranges.
    pub fn into_networks(self) -> impl Iterator<Item = (IpNetwork, Country)> {
        let v4 = self.v4.into_iter().flat_map(|Range { first, last, country }| {
            cut(first.into(), last.into(), 32).filter_map(move |(start, length)| {
                let address = Ipv4Addr::from_bits(u32::try_from(start).ok()?);
                Some((IpNetwork::new(address.into(), length).ok()?, country))
            })
        });
        let v6 = self.v6.into_iter().flat_map(|Range { first, last, country }| {
            cut(first, last, 128).filter_map(move |(start, length)| {
                Some((IpNetwork::new(Ipv6Addr::from_bits(start).into(), length).ok()?, country))
            })
        });
        v4.chain(v6)
    }
}

fn join<A: Copy + Ord>(ranges: &mut Vec<Range<A>>, next: impl Fn(A) -> Option<A>) {
    ranges.sort_unstable();
    let mut joined: Vec<Range<A>> = Vec::with_capacity(ranges.len());
    for mut range in ranges.drain(..) {
        if let Some(before) = joined.last_mut() {
            let Some(free) = next(before.last) else { break };
            if range.last < free {
                continue;
            }
            range.first = range.first.max(free);
            if range.first == free && range.country == before.country {
                before.last = range.last;
                continue;
            }
        }
        joined.push(range);
    }
    joined.shrink_to_fit();
    *ranges = joined;
}

fn punch<A: Copy + Ord>(
    ranges: &mut Vec<Range<A>>,
    (first, last): (A, A),
    before: impl Fn(A) -> Option<A>,
    after: impl Fn(A) -> Option<A>,
) {
    let touched = ranges.partition_point(|range| range.last < first)
        ..ranges.partition_point(|range| range.first <= last);
    let mut left = Vec::new();
    for &range in &ranges[touched.clone()] {
        if let Some(end) = before(first).filter(|&end| range.first <= end) {
            left.push(Range { last: end, ..range });
        }
        if let Some(start) = after(last).filter(|&start| start <= range.last) {
            left.push(Range { first: start, ..range });
        }
    }
    ranges.splice(touched, left);
}

fn look_up<A: Copy + Ord>(ranges: &[Range<A>], address: A) -> Option<Country> {
    let after = ranges.partition_point(|range| range.first <= address);
    let range = ranges.get(after.checked_sub(1)?)?;
    (address <= range.last).then_some(range.country)
}

/// Cuts a range of `bits`-bit addresses into (start, prefix length), the largest blocks that fit.
fn cut(first: u128, last: u128, bits: u8) -> impl Iterator<Item = (u128, u8)> {
    let mut rest = Some(first);
    std::iter::from_fn(move || {
        let start = rest.filter(|&start| start <= last)?;
        let aligned = start.trailing_zeros().min(bits.into());
        // One less than the room that is left, so that all of the IPv6 addresses don't overflow.
        let room = last - start;
        let fitting = room.checked_add(1).map_or(bits.into(), u128::ilog2);
        let size = aligned.min(fitting);
        rest = 1_u128.checked_shl(size).and_then(|step| start.checked_add(step));
        Some((start, bits - u8::try_from(size).unwrap_or(bits)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ranges` as `first-last CC`, in any order → what they are cut into.
    fn check(ranges: &[&str], networks: &[&str]) {
        let mut all = Ranges::default();
        for range in ranges {
            let (addresses, country) = range.split_once(' ').unwrap();
            let (first, last) = addresses.split_once('-').unwrap();
            let country = country.parse().unwrap();
            assert!(all.push(first.parse().unwrap(), last.parse().unwrap(), country));
        }
        all.settle();
        let found: Vec<_> = all
            .clone()
            .into_networks()
            .map(|(network, country)| format!("{network} {country}"))
            .collect();
        assert_eq!(found, networks);
        for (network, country) in all.clone().into_networks() {
            assert_eq!(all.country(network.network()), Some(country));
            assert_eq!(all.country(network.broadcast()), Some(country));
        }
    }

    #[test]
    fn ranges_are_cut_into_the_fewest_networks() {
        check(&["1.0.0.0-1.0.0.255 FR"], &["1.0.0.0/24 FR"]);
        check(
            &["1.0.0.1-1.0.0.6 FR"],
            &["1.0.0.1/32 FR", "1.0.0.2/31 FR", "1.0.0.4/31 FR", "1.0.0.6/32 FR"],
        );
        check(&["0.0.0.0-255.255.255.255 FR"], &["0.0.0.0/0 FR"]);
        check(&["255.255.255.255-255.255.255.255 FR"], &["255.255.255.255/32 FR"]);
        check(&["::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff FR"], &["::/0 FR"]);
        check(
            &["2001:db8::-2001:db8:2:ffff:ffff:ffff:ffff:ffff DE"],
            &["2001:db8::/47 DE", "2001:db8:2::/48 DE"],
        );
    }

    #[test]
    fn neighbours_are_joined_and_overlaps_are_settled() {
        check(&["1.0.1.0-1.0.1.255 FR", "1.0.0.0-1.0.0.255 FR"], &["1.0.0.0/23 FR"]);
        check(
            &["1.0.0.0-1.0.0.255 FR", "1.0.1.0-1.0.1.255 DE"],
            &["1.0.0.0/24 FR", "1.0.1.0/24 DE"],
        );
        check(
            &["1.0.0.0-1.0.0.255 FR", "1.0.0.128-1.0.1.255 DE"],
            &["1.0.0.0/24 FR", "1.0.1.0/24 DE"],
        );
        check(&["0.0.0.0-255.255.255.255 FR", "1.0.0.0-1.0.0.255 DE"], &["0.0.0.0/0 FR"]);
    }

    #[test]
    fn networks_are_left_out() {
        let mut ranges = Ranges::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let country = "FR".parse().unwrap();
        assert!(ranges.push(address("9.0.0.0"), address("11.255.255.255"), country));
        assert!(ranges.push(address("12.0.0.0"), address("12.0.0.1"), country));
        ranges.settle();
        let holes =
            ["10.0.0.0/8", "12.0.0.0/31", "0.0.0.0/8", "::/0"].map(|it| it.parse().unwrap());
        ranges.leave_out(&holes);
        let left: Vec<_> = ranges.into_networks().map(|(network, _)| network.to_string()).collect();
        assert_eq!(left, ["9.0.0.0/8", "11.0.0.0/8"]);
    }

    #[test]
    fn what_lies_between_ranges_has_no_country() {
        let mut ranges = Ranges::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let country = "FR".parse().unwrap();
        assert!(ranges.push(address("1.0.0.0"), address("1.0.0.9"), country));
        assert!(!ranges.push(address("1.0.0.9"), address("1.0.0.0"), country));
        assert!(!ranges.push(address("1.0.0.9"), address("::1"), country));
        ranges.settle();
        assert_eq!(ranges.country(address("1.0.0.10")), None);
        assert_eq!(ranges.country(address("0.255.255.255")), None);
        assert_eq!(ranges.country(address("::1.0.0.1")), None);
    }
}
