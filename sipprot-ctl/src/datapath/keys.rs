//! Networks as keys of the tries.
//!
//! IPv4 lies in `::ffff:0:0/96`, so a /n of IPv4 is a /(96 + n). The datapath judges the IPv4 address
//! inside a translated or tunnelled IPv6 one; a listed network of such addresses becomes the IPv4
//! network inside, or it would never match.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use sipprot_common::abi::{Plain, ScopedAddress};
use sipprot_common::source::Address;

/// Key of an LPM trie: the kernel's `struct bpf_lpm_trie_key`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LpmKey<K> {
    pub prefix_len: u32,
    pub data: K,
}

const _: () = assert!(size_of::<LpmKey<Address>>() == 20);
const _: () = assert!(size_of::<LpmKey<ScopedAddress>>() == 24);

// SAFETY: repr(C), a word and bytes; the sizes above show that there is no padding.
unsafe impl aya::Pod for LpmKey<Address> {}
// SAFETY: as above.
unsafe impl aya::Pod for LpmKey<ScopedAddress> {}

/// Widest IPv4 network that an IPv6 one may stand for: 2002::/16 must not become all of IPv4.
const EMBEDDED_PREFIX_MIN: u8 = 8;

pub fn masked(address: Address, prefix_len: u32) -> Address {
    let (high, low) = address.halves();
    let bits = ((high as u128) << 64) | low as u128;
    let mask = if prefix_len == 0 { 0 } else { u128::MAX << (128 - prefix_len.min(128)) };
    let bits = bits & mask;
    Address::from_halves((bits >> 64) as u64, bits as u64)
}

fn literal_v6(network: Ipv6Network) -> (Address, u32) {
    let bits = network.ip().to_bits();
    let address = Address::from_halves((bits >> 64) as u64, bits as u64);
    (masked(address, network.prefix() as u32), network.prefix() as u32)
}

fn v4(network: Ipv4Network) -> (Address, u32) {
    let prefix_len = 96 + network.prefix() as u32;
    (masked(Address::from_v4(network.ip().to_bits()), prefix_len), prefix_len)
}

/// The IPv4 network inside a translated (RFC 6052), 6to4 (RFC 3056) or Teredo (RFC 4380) one.
fn embedded(network: Ipv6Network) -> Option<Ipv4Network> {
    let bits = network.ip().to_bits();
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    let (address, prefix) = if high == 0x0064_ff9b_0000_0000 && low >> 32 == 0 {
        (low as u32, network.prefix().checked_sub(96)?)
    } else if high >> 48 == 0x2002 {
        ((high >> 16) as u32, network.prefix().checked_sub(16)?.min(32))
    } else if high >> 32 == 0x2001_0000 {
        (!(low as u32), network.prefix().checked_sub(96)?)
    } else {
        return None;
    };
    if prefix < EMBEDDED_PREFIX_MIN {
        return None;
    }
    Ipv4Network::new(Ipv4Addr::from_bits(address), prefix).ok()
}

/// As the network is written: for the allowlist and for endpoints.
pub fn literal(network: IpNetwork) -> (Address, u32) {
    match network {
        IpNetwork::V4(network) => v4(network),
        IpNetwork::V6(network) => literal_v6(network),
    }
}

/// As the datapath judges sources: for the denylist and geo.
pub fn canonical(network: IpNetwork) -> (Address, u32) {
    match network {
        IpNetwork::V4(network) => v4(network),
        IpNetwork::V6(network) => embedded(network).map_or_else(|| literal_v6(network), v4),
    }
}

pub fn scoped(generation: u32, policy: u32, key: (Address, u32)) -> LpmKey<ScopedAddress> {
    let (address, prefix_len) = key;
    LpmKey {
        prefix_len: ScopedAddress::SCOPE_BITS + prefix_len,
        data: ScopedAddress::new(generation, policy, address),
    }
}

/// Generation and policy of a key.
pub fn scope(key: &LpmKey<ScopedAddress>) -> (u32, u32) {
    let scope = u32::from_be_bytes(key.data.scope);
    (scope >> 16, scope & 0xffff)
}

/// Back from a key's address and its prefix length (of 128).
pub fn network(address: Address, prefix_len: u32) -> Option<IpNetwork> {
    if address.is_v4() && prefix_len >= 96 {
        return IpNetwork::new(address.to_ip(), (prefix_len - 96) as u8).ok();
    }
    let (high, low) = address.halves();
    let v6 = Ipv6Addr::from_bits(((high as u128) << 64) | low as u128);
    IpNetwork::new(IpAddr::V6(v6), u8::try_from(prefix_len).ok()?).ok()
}

/// The keys of all networks that cover an address, the narrowest first.
pub fn covering(
    generation: u32,
    policy: u32,
    address: Address,
) -> impl Iterator<Item = LpmKey<ScopedAddress>> {
    (0..=128).rev().map(move |prefix_len| {
        scoped(generation, policy, (masked(address, prefix_len), prefix_len))
    })
}

/// Plain types of the ABI cross the border as bytes; this reads one from the front of a slice.
pub fn read<T: Plain>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (head, rest) = bytes.split_at_checked(size_of::<T>())?;
    // SAFETY: the slice has the type's size, and any bytes are a value of a Plain type.
    Some((unsafe { head.as_ptr().cast::<T>().read_unaligned() }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, literally: &str, judged: &str) {
        let input: IpNetwork = input.parse().unwrap();
        let show = |(address, prefix_len)| network(address, prefix_len).unwrap().to_string();
        assert_eq!(show(literal(input)), literally, "literal {input}");
        assert_eq!(show(canonical(input)), judged, "canonical {input}");
    }

    #[test]
    fn networks_become_keys() {
        check("192.0.2.7", "192.0.2.7/32", "192.0.2.7/32");
        check("192.0.2.7/24", "192.0.2.0/24", "192.0.2.0/24");
        check("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0");
        check("2001:db8:1:2::3/48", "2001:db8:1::/48", "2001:db8:1::/48");
        check("::/0", "::/0", "::/0");
        check("::ffff:192.0.2.0/120", "192.0.2.0/24", "192.0.2.0/24");
    }

    #[test]
    fn embedded_ipv4_is_judged_as_ipv4() {
        check("2002:c000:207::/48", "2002:c000:207::/48", "192.0.2.7/32");
        check("2002:c000:207:1::5/128", "2002:c000:207:1::5/128", "192.0.2.7/32");
        check("2002:c000:200::/40", "2002:c000:200::/40", "192.0.2.0/24");
        check("64:ff9b::c000:200/120", "64:ff9b::c000:200/120", "192.0.2.0/24");
        check("2001:0:c633:6401::3fff:fdf8/128", "2001:0:c633:6401::3fff:fdf8/128", "192.0.2.7/32");
    }

    #[test]
    fn a_whole_tunnel_prefix_never_becomes_all_of_ipv4() {
        check("2002::/16", "2002::/16", "2002::/16");
        check("64:ff9b::/96", "64:ff9b::/96", "64:ff9b::/96");
        check("2001::/32", "2001::/32", "2001::/32");
    }

    #[test]
    fn keys_carry_their_scope() {
        let key = scoped(3, 7, literal("192.0.2.0/24".parse().unwrap()));
        assert_eq!((key.prefix_len, scope(&key)), (32 + 96 + 24, (3, 7)));
        let address = Address::from_v4(0xc000_0207);
        let covering: Vec<_> = covering(3, 7, address).collect();
        assert_eq!(covering.len(), 129);
        assert!(covering.contains(&key));
    }
}
