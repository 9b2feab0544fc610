//! One key per source, for both address families.
//!
//! An [`Address`] is always 16 bytes: IPv6 as it is, IPv4 mapped into `::ffff:0:0/96`. The IPv4
//! address inside a translated or tunnelled IPv6 one (64:ff9b::/96 RFC 6052, 2002::/16 RFC 3056,
//! 2001::/32 RFC 4380) replaces it, so that past the packet parser an attacker has no second name.
//! A [`SourceKey`] is what counting and blocking go by: IPv4 by the address, IPv6 by its /64.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network that holds many sources of one owner, or of one owner's provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wider {
    /// /56: what a provider gives to a household.
    Site,
    /// /48: what a provider gives to an enterprise, or to whoever asks.
    Block,
}

impl Wider {
    pub const ALL: [Wider; 2] = [Self::Site, Self::Block];

    /// How much wider its limits are than those of one source, as a power of two.
    #[inline(always)]
    pub const fn limit_bits(self) -> u32 {
        match self {
            Self::Site => 2,
            Self::Block => 4,
        }
    }
}

/// An address of either family in 16 network-order bytes, IPv4 as `::ffff:a.b.c.d`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Address {
    pub high: [u8; 8],
    pub low: [u8; 8],
}

/// IPv4 or the /64 of IPv6, in 8 bytes.
///
/// IPv4 takes `ffff:ffff:a.b.c.d`, inside ff00::/8, which is multicast and never a source. There, too,
/// are the wider networks that a source of 2000::/3 is also counted in: its /56 as `ff` and 56 bits,
/// its /48 as `ff00` and 48 bits.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct SourceKey(pub u64);

const V4_KEY: u64 = 0xffff_ffff_0000_0000;
const WIDE: u64 = 0xff00_0000_0000_0000;
const V4_MAPPED: u64 = 0xffff_0000_0000;

impl Address {
    #[inline(always)]
    pub const fn from_halves(high: u64, low: u64) -> Self {
        Self { high: high.to_be_bytes(), low: low.to_be_bytes() }
    }

    #[inline(always)]
    pub const fn from_v4(address: u32) -> Self {
        Self::from_halves(0, V4_MAPPED | address as u64)
    }

    #[inline(always)]
    pub const fn halves(&self) -> (u64, u64) {
        (u64::from_be_bytes(self.high), u64::from_be_bytes(self.low))
    }

    /// The address that decisions are made on: the IPv4 inside a translated or tunnelled IPv6.
    #[inline(always)]
    pub const fn canonical(high: u64, low: u64) -> Self {
        if high == 0x0064_ff9b_0000_0000 && low >> 32 == 0 {
            return Self::from_v4(low as u32);
        }
        if high >> 48 == 0x2002 {
            return Self::from_v4((high >> 16) as u32);
        }
        if high >> 32 == 0x2001_0000 {
            // Teredo keeps the client's address with every bit inverted.
            return Self::from_v4(!(low as u32));
        }
        Self::from_halves(high, low)
    }

    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        let (high, low) = self.halves();
        high == 0 && low >> 32 == V4_MAPPED >> 32
    }

    #[inline(always)]
    pub const fn key(&self) -> SourceKey {
        let (high, low) = self.halves();
        if self.is_v4() { SourceKey(V4_KEY | (low & 0xffff_ffff)) } else { SourceKey(high) }
    }

    /// Private, loopback, link-local and carrier-grade NAT ranges (RFC 1918, 6598, 4193): no country.
    #[inline(always)]
    pub const fn is_local(&self) -> bool {
        let (high, low) = self.halves();
        if !self.is_v4() {
            return high >> 54 == 0xfe80 >> 6 || high >> 57 == 0xfc00 >> 9 || high == 0;
        }
        let address = low as u32;
        matches!(address >> 24, 0 | 10 | 127)
            || address >> 20 == 0xac1
            || matches!(address >> 16, 0xc0a8 | 0xa9fe)
            || address >> 22 == 0x6440_0000 >> 22
    }

    pub const fn to_ip(&self) -> IpAddr {
        let (high, low) = self.halves();
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::from_bits(low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(((high as u128) << 64) | low as u128))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::from_v4(v4.to_bits()),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                Self::canonical((bits >> 64) as u64, bits as u64)
            }
        }
    }
}

impl SourceKey {
    #[inline(always)]
    pub const fn is_v4(self) -> bool {
        self.0 & V4_KEY == V4_KEY
    }

    /// Is it a /64 of 2000::/3, and so counted in wider networks, too?
    #[inline(always)]
    pub const fn is_global_v6(self) -> bool {
        self.0 >> 61 == 1
    }

    /// The key of the wider network that such a source is in.
    #[inline(always)]
    pub const fn wider(self, wider: Wider) -> Self {
        match wider {
            Wider::Site => Self(WIDE | self.0 >> 8),
            Wider::Block => Self(WIDE | self.0 >> 16),
        }
    }

    /// The network that the key stands for: its address and prefix length.
    pub const fn network(self) -> (IpAddr, u8) {
        if self.is_v4() {
            return (IpAddr::V4(Ipv4Addr::from_bits(self.0 as u32)), 32);
        }
        let (high, length) = match self.0 >> 48 {
            0xff00 => (self.0 << 16, 48),
            0xff01..=0xffff => (self.0 << 8, 56),
            _ => (self.0, 64),
        };
        (IpAddr::V6(Ipv6Addr::from_bits((high as u128) << 64)), length)
    }
}

impl From<IpAddr> for SourceKey {
    fn from(address: IpAddr) -> Self {
        Address::from(address).key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, canonical: &str, network: &str) {
        let address = Address::from(input.parse::<IpAddr>().unwrap());
        assert_eq!(address.to_ip().to_string(), canonical);
        let (base, length) = address.key().network();
        assert_eq!(format!("{base}/{length}"), network);
    }

    #[test]
    fn one_key_for_both_families() {
        check("192.0.2.7", "192.0.2.7", "192.0.2.7/32");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7/32");
    }

    #[test]
    fn wider_networks_have_keys_of_their_own() {
        let key = |text: &str| SourceKey::from(text.parse::<IpAddr>().unwrap());
        let networks = |key: SourceKey| {
            Wider::ALL
                .map(|wider| key.wider(wider).network())
                .map(|(base, length)| format!("{base}/{length}"))
        };
        assert_eq!(networks(key("2001:db8:1:2ff::7")), ["2001:db8:1:200::/56", "2001:db8:1::/48"]);
        assert_eq!(
            networks(key("3fff:fff:ffff:ffff::1")),
            ["3fff:fff:ffff:ff00::/56", "3fff:fff:ffff::/48"]
        );
        for (text, global) in [
            ("2001:db8::1", true),
            ("192.0.2.7", false),
            ("fd00::1", false),
            ("64:ff9b:1::1", false),
        ] {
            assert_eq!(key(text).is_global_v6(), global, "{text}");
        }
    }

    #[test]
    fn local_ranges() {
        for (address, local) in [
            ("10.1.2.3", true),
            ("172.15.0.1", false),
            ("172.16.0.1", true),
            ("172.31.255.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("192.169.1.1", false),
            ("169.254.1.1", true),
            ("100.63.255.255", false),
            ("100.64.0.1", true),
            ("100.127.0.1", true),
            ("100.128.0.1", false),
            ("127.0.0.1", true),
            ("192.0.2.1", false),
            ("fe80::1", true),
            ("fd00::1", true),
            ("::1", true),
            ("2001:db8::1", false),
        ] {
            let parsed = Address::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(parsed.is_local(), local, "{address}");
        }
    }

    #[test]
    fn embedded_ipv4_has_no_second_name() {
        check("64:ff9b::c000:207", "192.0.2.7", "192.0.2.7/32");
        check("2002:c000:207::1", "192.0.2.7", "192.0.2.7/32");
        check("2001:0:c633:6401:0:0:3fff:fdf8", "192.0.2.7", "192.0.2.7/32");
    }
}
