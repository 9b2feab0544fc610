//! Addresses that lie in no country: private, link-local, loopback and the carriers' shared range.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

const fn v4(a: u8, b: u8, length: u8) -> IpNetwork {
    match Ipv4Network::new_checked(Ipv4Addr::new(a, b, 0, 0), length) {
        Some(network) => IpNetwork::V4(network),
        None => panic!("the prefix is too long"),
    }
}

const fn v6(first: u16, low: u16, length: u8) -> IpNetwork {
    match Ipv6Network::new_checked(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, low), length) {
        Some(network) => IpNetwork::V6(network),
        None => panic!("the prefix is too long"),
    }
}

const EXEMPT: [IpNetwork; 13] = [
    v4(0, 0, 8),       // this network, RFC 1122
    v4(10, 0, 8),      // private, RFC 1918
    v4(100, 64, 10),   // shared by carriers, RFC 6598
    v4(127, 0, 8),     // loopback
    v4(169, 254, 16),  // link-local, RFC 3927
    v4(172, 16, 12),   // private
    v4(192, 168, 16),  // private
    v4(224, 0, 3),     // multicast, reserved, broadcast
    v6(0, 0, 128),     // unspecified
    v6(0, 1, 128),     // loopback
    v6(0xfc00, 0, 7),  // unique local, RFC 4193
    v6(0xfe80, 0, 10), // link-local
    v6(0xff00, 0, 8),  // multicast
];

/// Networks that no geo policy touches.
pub fn exempt_networks() -> &'static [IpNetwork] {
    &EXEMPT
}

/// Whether an address lies in no country. An IPv4-mapped address is the IPv4 one.
pub fn is_exempt(address: IpAddr) -> bool {
    let address = address.to_canonical();
    EXEMPT.iter().any(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, exempt: bool) {
        assert_eq!(is_exempt(address.parse().unwrap()), exempt, "{address}");
    }

    #[test]
    fn both_sides_of_each_line() {
        for (inside, outside) in [
            ("10.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.63.255.255"),
            ("100.127.255.255", "100.128.0.0"),
            ("127.0.0.1", "128.0.0.0"),
            ("169.254.1.1", "169.253.255.255"),
            ("172.31.255.255", "172.32.0.0"),
            ("192.168.0.1", "192.167.255.255"),
            ("224.0.0.1", "223.255.255.255"),
            ("::1", "::2"),
            ("fdff::1", "fbff::1"),
            ("fe80::1", "fec0::1"),
            ("::ffff:10.0.0.1", "::ffff:8.8.8.8"),
        ] {
            check(inside, true);
            check(outside, false);
        }
    }
}
