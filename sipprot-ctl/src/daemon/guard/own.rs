//! What belongs to this host, and what it can't do without: its addresses and on-link networks, its
//! gateways, its resolvers. No rule blocks these.

use std::ffi::{CStr, CString};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use ipnetwork::IpNetwork;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Own {
    /// With the prefix of their interface.
    pub addresses: Vec<IpNetwork>,
    pub gateways: Vec<IpAddr>,
    pub resolvers: Vec<IpAddr>,
}

/// Wider on-link prefixes are no neighbourhood: a mistake there must not spare the world.
const ON_LINK_PREFIX_MIN: (u8, u8) = (16, 48);

impl Own {
    /// As the machine is now; what can't be read is left out.
    pub fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let mut gateways = gateways_v4(&read("/proc/net/route"));
        gateways.extend(gateways_v6(&read("/proc/net/ipv6_route")));
        Self {
            addresses: interface_addresses(),
            gateways,
            resolvers: resolvers(&read("/etc/resolv.conf")),
        }
    }

    /// An address that this host can't do without, if the network holds one.
    pub fn within(&self, network: IpNetwork) -> Option<String> {
        let own = self.addresses.iter().map(|own| (own.ip(), "an address of this host"));
        let gateways = self.gateways.iter().map(|it| (*it, "this host's gateway"));
        let resolvers = self.resolvers.iter().map(|it| (*it, "this host's resolver"));
        let loopback = [(Ipv4Addr::LOCALHOST.into(), "this host itself")];
        let mut all = own.chain(gateways).chain(resolvers).chain(loopback);
        let (address, what) = all.find(|(address, _)| network.contains(*address))?;
        Some(format!("{address}, {what}"))
    }

    pub fn never_blocked(&self) -> impl Iterator<Item = IpNetwork> {
        let on_link = self.addresses.iter().map(|network| {
            let (least, single) = match network {
                IpNetwork::V4(_) => (ON_LINK_PREFIX_MIN.0, 32),
                IpNetwork::V6(_) => (ON_LINK_PREFIX_MIN.1, 128),
            };
            let prefix = if network.prefix() < least { single } else { network.prefix() };
            IpNetwork::new(network.ip(), prefix).unwrap_or(*network)
        });
        let others = self.gateways.iter().chain(&self.resolvers);
        on_link.chain(others.map(|address| IpNetwork::from(*address)))
    }
}

/// Whether there is such an interface now.
pub fn has_interface(name: &str) -> bool {
    CString::new(name).is_ok_and(|name| {
        // SAFETY: the name ends with a NUL.
        unsafe { libc::if_nametoindex(name.as_ptr()) != 0 }
    })
}

/// Addresses of all interfaces but the loopback's, with their prefixes.
fn interface_addresses() -> Vec<IpNetwork> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the kernel fills `first` with a list that is freed below.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return Vec::new();
    }
    let mut networks = Vec::new();
    let mut next = first;
    // SAFETY: the list ends with a null pointer, and each of its entries is valid until it is freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        // SAFETY: the name is a C string of the entry.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        let (address, mask) = (address_of(entry.ifa_addr), address_of(entry.ifa_netmask));
        if name != c"lo"
            && let (Some(address), Some(mask)) = (address, mask)
            && let Ok(network) = IpNetwork::new(address, prefix_of(mask))
        {
            networks.push(network);
        }
    }
    // SAFETY: it came from getifaddrs, and nothing of it is used any more.
    unsafe { libc::freeifaddrs(first) };
    networks
}

fn address_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the family says which structure it is; null is checked first.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let v4 = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let v6 = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

fn prefix_of(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    ones as u8
}

/// `/proc/net/route`: addresses in hex, in the host's byte order.
fn gateways_v4(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let raw = u32::from_str_radix(line.split_whitespace().nth(2)?, 16).ok()?;
        (raw != 0).then(|| Ipv4Addr::from(raw.to_ne_bytes()).into())
    };
    unique(table.lines().skip(1).filter_map(gateway))
}

/// `/proc/net/ipv6_route`: addresses in hex, in network order.
fn gateways_v6(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let raw = u128::from_str_radix(line.split_whitespace().nth(4)?, 16).ok()?;
        (raw != 0).then(|| Ipv6Addr::from(raw).into())
    };
    unique(table.lines().filter_map(gateway))
}

fn resolvers(text: &str) -> Vec<IpAddr> {
    let resolver = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        address.split('%').next()?.parse().ok()
    };
    unique(text.lines().filter_map(resolver))
}

fn unique(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut list: Vec<IpAddr> = addresses.collect();
    list.sort();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
        items.into_iter().map(|item| item.to_string()).collect()
    }

    #[test]
    fn tables_of_proc() {
        let gateway = format!("{:08X}", u32::from_ne_bytes([192, 0, 2, 1]));
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t{gateway}\t0003\n\
             eth0\t000200C0\t00000000\t0001\nnonsense\n"
        );
        assert_eq!(texts(gateways_v4(&table)), ["192.0.2.1"]);
        let none = "0".repeat(32);
        let table = format!(
            "{none} 00 {none} 00 20010db8000000000000000000000001 00000400 1 0 3 eth0\n\
             {none} 00 {none} 00 {none} 00000400 1 0 3 lo\n"
        );
        assert_eq!(texts(gateways_v6(&table)), ["2001:db8::1"]);
    }

    #[test]
    fn resolvers_of_resolv_conf() {
        let text = "# nameserver 192.0.2.9\nnameserver 192.0.2.53\nsearch x\n\
                    nameserver fe80::1%eth0\nnameserver\nnameserver nonsense\n";
        assert_eq!(texts(resolvers(text)), ["192.0.2.53", "fe80::1"]);
    }

    #[test]
    fn on_link_networks_are_spared_unless_they_are_the_world() {
        let own = Own {
            addresses: ["192.0.2.1/24", "10.1.2.3/8", "2001:db8::1/64", "2001:db8::2/3"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
            gateways: vec!["198.51.100.1".parse().unwrap()],
            resolvers: Vec::new(),
        };
        let expected =
            ["192.0.2.1/24", "10.1.2.3/32", "2001:db8::1/64", "2001:db8::2/128", "198.51.100.1/32"];
        assert_eq!(texts(own.never_blocked()), expected);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let own = Own::look();
        assert!(own.addresses.iter().all(|network| !network.ip().is_loopback()));
    }
}
