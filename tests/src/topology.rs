//! The map of the lab: who has which address, and the links between the namespaces.
//!
//! ```text
//! attackers 198.51.100.10…  ─┐                                          ┌─ pbx1 192.0.2.11
//! office    203.0.113.7     ─┼─ internet ─ (uplink) up0  host  br0 ─────┤
//! trunk     203.0.113.130   ─┘                                          └─ pbx2 192.0.2.12
//! ```
//!
//! All addresses are documentation addresses. Each attacker has an IPv6 /48 of its own, since a
//! firewall may well judge a whole /48.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::{janitor::LabId, namespace::Namespace};

/// The interface of the host that sipprot protects.
pub const UPLINK: &str = "up0";
/// The interface of every other namespace.
pub const INTERFACE: &str = "eth0";
/// How many attackers there are, each with addresses of its own.
pub const ATTACKERS: u8 = 64;

/// An IP version, where a scenario can be played over either.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    V4,
    V6,
}

/// The two addresses of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
}

impl Addresses {
    pub fn of(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }
}

pub const OFFICE: Addresses = Addresses {
    v4: Ipv4Addr::new(203, 0, 113, 7),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 7),
};
/// A second address in the office's network: another customer, behind an SBC.
pub const SBC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
pub const TRUNK: Addresses = Addresses {
    v4: Ipv4Addr::new(203, 0, 113, 130),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 0x130),
};
pub const PBXS: [Addresses; 2] = [pbx(1), pbx(2)];

const fn pbx(number: u8) -> Addresses {
    Addresses {
        v4: Ipv4Addr::new(192, 0, 2, 10 + number),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x10 + number as u16),
    }
}

/// The addresses of the nth attacker, from 0.
pub fn attacker(number: u8) -> Addresses {
    assert!(number < ATTACKERS, "there are {ATTACKERS} attackers, from 0");
    Addresses {
        v4: Ipv4Addr::new(198, 51, 100, 10 + number),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0xa00 + u16::from(number), 0, 0, 0, 0, 0x66),
    }
}

/// Gives out attackers one after another, so that no scenario inherits another's reputation.
#[derive(Debug, Default)]
pub struct Newcomers(std::sync::atomic::AtomicU8);

impl Newcomers {
    pub fn next(&self) -> Addresses {
        attacker(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// Which addresses svmap and the like would try: the endpoints' neighbourhood.
pub const NEIGHBOURHOOD: &str = "192.0.2.8/29";

/// All namespaces of a lab, linked and routed.
#[derive(Debug)]
pub struct Topology {
    pub internet: Namespace,
    pub host: Namespace,
    pub pbxs: [Namespace; 2],
    pub attackers: Namespace,
    pub office: Namespace,
    pub trunk: Namespace,
}

impl Topology {
    pub fn create(id: &LabId) -> Result<Self> {
        let namespace = |role| Namespace::create(&id.namespace(role));
        let topology = Self {
            internet: namespace("internet")?,
            host: namespace("host")?,
            pbxs: [namespace("pbx1")?, namespace("pbx2")?],
            attackers: namespace("attackers")?,
            office: namespace("office")?,
            trunk: namespace("trunk")?,
        };
        topology.link()?;
        topology.address()?;
        for router in [&topology.internet, &topology.host] {
            router.sysctl("net/ipv4/ip_forward", "1")?;
            router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        }
        Ok(topology)
    }

    /// Veth pairs, made inside the namespaces from the start.
    fn link(&self) -> Result<()> {
        let [pbx1, pbx2] = &self.pbxs;
        let cables = [
            (&self.attackers, INTERFACE, &self.internet, "att0"),
            (&self.office, INTERFACE, &self.internet, "off0"),
            (&self.trunk, INTERFACE, &self.internet, "trk0"),
            (&self.internet, "down0", &self.host, UPLINK),
            (pbx1, INTERFACE, &self.host, "vp1"),
            (pbx2, INTERFACE, &self.host, "vp2"),
        ];
        for (near, near_end, far, far_end) in cables {
            let far_name = far.name();
            near.ip(&format!(
                "link add name {near_end} type veth peer name {far_end} netns {far_name}\n\
                 link set {near_end} up\n"
            ))?;
            far.ip(&format!("link set {far_end} up\n"))?;
            near.plain_packets(near_end)?;
            far.plain_packets(far_end)?;
        }
        Ok(())
    }

    fn address(&self) -> Result<()> {
        self.internet.ip("addr add 198.51.100.1/24 dev att0\n\
             addr add 2001:db8:a::1/64 dev att0 nodad\n\
             addr add 203.0.113.1/25 dev off0\n\
             addr add 2001:db8:b::1/64 dev off0 nodad\n\
             addr add 203.0.113.129/25 dev trk0\n\
             addr add 2001:db8:e::1/64 dev trk0 nodad\n\
             addr add 192.0.2.129/30 dev down0\n\
             addr add 2001:db8:f::1/64 dev down0 nodad\n\
             route add 192.0.2.0/25 via 192.0.2.130\n\
             route add 2001:db8:c::/64 via 2001:db8:f::2\n\
             route add 2001:db8:a00::/40 via 2001:db8:a::2\n")?;
        self.host.ip("addr add 192.0.2.130/30 dev up0\n\
             addr add 2001:db8:f::2/64 dev up0 nodad\n\
             link add br0 type bridge forward_delay 0\n\
             link set br0 up\n\
             link set vp1 master br0\n\
             link set vp2 master br0\n\
             addr add 192.0.2.1/25 dev br0\n\
             addr add 2001:db8:c::1/64 dev br0 nodad\n\
             route add default via 192.0.2.129\n\
             route add ::/0 via 2001:db8:f::1\n")?;
        for (namespace, addresses) in self.pbxs.iter().zip(PBXS) {
            settle(namespace, addresses, 25, "192.0.2.1", "2001:db8:c::1")?;
        }
        settle(&self.office, OFFICE, 25, "203.0.113.1", "2001:db8:b::1")?;
        self.office.ip(&format!("addr add {SBC}/25 dev {INTERFACE}\n"))?;
        settle(&self.trunk, TRUNK, 25, "203.0.113.129", "2001:db8:e::1")?;
        self.address_attackers()
    }

    fn address_attackers(&self) -> Result<()> {
        let mut lines = String::from("addr add 2001:db8:a::2/64 dev eth0 nodad\n");
        for number in 0..ATTACKERS {
            let Addresses { v4, v6 } = attacker(number);
            lines += &format!("addr add {v4}/24 dev eth0\naddr add {v6}/128 dev eth0 nodad\n");
        }
        lines += "route add default via 198.51.100.1\nroute add ::/0 via 2001:db8:a::1\n";
        self.attackers.ip(&lines)
    }
}

/// Lines of a PBX beside its own address, for a lab with many tenants.
pub fn lines() -> impl Iterator<Item = Ipv4Addr> {
    (32..72).map(|last| Ipv4Addr::new(192, 0, 2, last))
}

/// What a PBX loses while its link is down: IPv6 addresses and all routes.
pub fn reconnect_pbx(namespace: &Namespace, addresses: Addresses) -> Result<()> {
    namespace.ip(&format!("addr flush dev {INTERFACE}\nlink set {INTERFACE} up\n"))?;
    settle(namespace, addresses, 25, "192.0.2.1", "2001:db8:c::1")
}

/// Gives a host at the edge its addresses and its way out.
fn settle(
    namespace: &Namespace,
    addresses: Addresses,
    prefix: u8,
    gateway_v4: &str,
    gateway_v6: &str,
) -> Result<()> {
    let Addresses { v4, v6 } = addresses;
    namespace.ip(&format!(
        "addr add {v4}/{prefix} dev eth0\n\
         addr add {v6}/64 dev eth0 nodad\n\
         route add default via {gateway_v4}\n\
         route add ::/0 via {gateway_v6}\n"
    ))
}
