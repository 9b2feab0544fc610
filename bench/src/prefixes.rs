//! The prefixes that are loaded: as mixed as those of public blocklists, and the same in every run.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

pub const MILLION: usize = 1_000_000;
/// None of them lies in here: its fixed bits, and those that vary.
pub const UNLISTED: [u32; 2] = [0x6000_0000, 0x03ff_ffff];
/// Nor do those that the cases send from.
const DOCUMENTATION: [u32; 3] = [0xc000_0200, 0xc633_6400, 0xcb00_7100];
/// The IPv6 networks lie in so many /32s.
const PROVIDERS: u64 = 100_000;

/// Marsaglia's xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}

/// 60 % single hosts, 30 % /24, the rest from /20 to /31.
pub fn v4(count: usize) -> Vec<IpNetwork> {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut seen = HashSet::new();
    let mut networks = Vec::with_capacity(count);
    while networks.len() < count {
        let length = match random.below(100) {
            0..60 => 32,
            60..90 => 24,
            90..95 => 20 + random.below(4) as u8,
            _ => 25 + random.below(7) as u8,
        };
        let mask = u32::MAX << (32 - length);
        let address = (random.next() >> 16) as u32 & mask;
        let is_free = |range: u32, bits: u32| (address ^ range) & bits != 0;
        let free = is_free(UNLISTED[0], !UNLISTED[1])
            && DOCUMENTATION.iter().all(|&range| is_free(range, mask & 0xffff_ff00));
        if free
            && seen.insert((address, length))
            && let Ok(network) = Ipv4Network::new(Ipv4Addr::from_bits(address), length)
        {
            networks.push(network.into());
        }
    }
    networks
}

/// 54 % /64, 38 % /48, the rest /32, /44 and single hosts.
pub fn v6(count: usize) -> Vec<IpNetwork> {
    let mut random = Random(0x0fed_cba9_8765_4321);
    let providers: Vec<u64> = (0..PROVIDERS).map(|_| provider(random.next())).collect();
    let mut seen = HashSet::new();
    let mut networks = Vec::with_capacity(count);
    while networks.len() < count {
        let length = match random.below(100) {
            0..2 => 32,
            2..40 => 48,
            40..94 => 64,
            94..96 => 44,
            _ => 128,
        };
        let provider = providers[random.below(PROVIDERS) as usize];
        let high = provider | (random.next() >> 32);
        let low = if length == 128 { random.next() } else { 0 };
        let bits = (u128::from(high) << 64 | u128::from(low)) & (u128::MAX << (128 - length));
        if seen.insert((bits, length))
            && let Ok(network) = Ipv6Network::new(Ipv6Addr::from_bits(bits), length)
        {
            networks.push(network.into());
        }
    }
    networks
}

/// A /32 of 2000::/3 in which no tunnel or documentation lies.
fn provider(random: u64) -> u64 {
    match random >> 3 & 0xffff_ffff_0000_0000 | 1 << 61 {
        it if matches!(it >> 48, 0x2001 | 0x2002) => it | 0x0a00 << 48,
        it => it,
    }
}

/// Upper halves of addresses on the list.
pub fn some_listed_v6(networks: &[IpNetwork], count: usize) -> Vec<u64> {
    let v6 = networks.iter().filter_map(|network| match network {
        IpNetwork::V6(v6) if v6.prefix() <= 64 => Some((v6.ip().to_bits() >> 64) as u64),
        _ => None,
    });
    v6.cycle().take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_mixed_and_leave_some_ranges_free() {
        let networks: HashSet<IpNetwork> = v4(20_000).into_iter().chain(v6(20_000)).collect();
        assert_eq!(networks.len(), 40_000);
        for free in ["203.0.113.7", "98.7.6.5", "192.0.2.11", "2001:db8::7"] {
            let free = free.parse().unwrap();
            assert!(!networks.iter().any(|network| network.contains(free)), "{free}");
        }
        let hosts = networks.iter().filter(|network| network.prefix() == 32 && network.is_ipv4());
        assert!((11_000..13_000).contains(&hosts.count()));
    }
}
