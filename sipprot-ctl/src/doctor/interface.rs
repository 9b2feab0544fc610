//! The interfaces that are protected: there, up, with our program in their driver.

use std::fs;
use std::mem::zeroed;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use super::{Finding, output_of};
use crate::api::Status;
use crate::config::Config;
use crate::datapath::probe::{self, Xdp};

const CHECK: &str = "interface";
/// What most drivers take natively, one page for each packet.
const MTU_MAX: u32 = 3_498;

/// What there is to know of one.
#[derive(Clone, Default, Debug)]
pub struct Facts {
    pub name: String,
    pub exists: bool,
    pub up: bool,
    pub mtu: u32,
    pub driver: String,
    pub xdp: Option<Xdp>,
    /// What `ethtool -k` says; empty where it isn't there.
    pub features: String,
}

pub fn look(config: &Config, status: Option<&Status>) -> Vec<Finding> {
    let named: Vec<String> = match status {
        Some(status) => status.interfaces.iter().map(|it| it.name.clone()).collect(),
        None => config.interfaces.clone(),
    };
    if named.is_empty() {
        let route = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let uplink = default_route(&route).unwrap_or("eth0");
        let remedy =
            format!("interfaces = [\"{uplink}\"] in the configuration, or 'sipprot setup'");
        return vec![Finding::problem(CHECK, "no interface is protected", remedy)];
    }
    named.iter().flat_map(|name| judge(&facts(name), status.is_some())).collect()
}

/// The interface by which the world is reached.
pub fn default_route(table: &str) -> Option<&str> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace();
        let (interface, destination) = (columns.next()?, columns.next()?);
        (destination == "00000000").then_some(interface)
    })
}

fn facts(name: &str) -> Facts {
    let ethtool = |option| {
        let programs = ["ethtool", "/usr/sbin/ethtool", "/sbin/ethtool"];
        output_of(&programs, &[option, name]).unwrap_or_default()
    };
    let driver = ethtool("-i");
    let driver = driver.lines().find_map(|line| line.strip_prefix("driver: "));
    let flags = asked(name, libc::SIOCGIFFLAGS).map(|answer| {
        // SAFETY: of this question the answer is the flags.
        i32::from(unsafe { answer.ifr_ifru.ifru_flags })
    });
    let mtu = asked(name, libc::SIOCGIFMTU).map(|answer| {
        // SAFETY: of this question the answer is the MTU.
        unsafe { answer.ifr_ifru.ifru_mtu }
    });
    let runs = libc::IFF_UP | libc::IFF_RUNNING;
    Facts {
        name: name.to_owned(),
        exists: flags.is_some(),
        up: flags.is_some_and(|flags| flags & runs == runs),
        mtu: mtu.and_then(|mtu| u32::try_from(mtu).ok()).unwrap_or_default(),
        driver: driver.unwrap_or("its driver is not known").to_owned(),
        xdp: probe::xdp(name),
        features: ethtool("-k"),
    }
}

/// What the kernel says of an interface; `None` where there is none. Not by /sys, which may be that of
/// another network namespace.
fn asked(name: &str, question: libc::Ioctl) -> Option<libc::ifreq> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    // SAFETY: plain integers and a union of them: all zeroes is a value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return None;
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    // SAFETY: the kernel fills the struct; the name in it ends with a NUL.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), question, &mut request) };
    (done == 0).then_some(request)
}

pub fn judge(facts: &Facts, daemon_runs: bool) -> Vec<Finding> {
    let Facts { name, driver, .. } = facts;
    if !facts.exists {
        let meanwhile = match daemon_runs {
            true => "the daemon filters it as soon as it comes",
            false => "'sipprot run' doesn't start with none, the service waits for it",
        };
        let remedy = format!("name one that is there ('ip link'); {meanwhile}");
        return vec![Finding::problem(CHECK, format!("there is no {name}"), remedy)];
    }
    let mut findings = Vec::new();
    if !facts.up {
        let remedy = format!("ip link set {name} up, or look at its cable");
        findings.push(Finding::warning(CHECK, format!("{name} is down"), remedy));
    }
    findings.push(match &facts.xdp {
        Some(xdp) if !xdp.is_ours() => Finding::problem(
            CHECK,
            format!("another XDP program is on {name}: {:?}", xdp.name),
            format!("end what put it there, or 'ip link set {name} xdp off'"),
        ),
        Some(xdp) if xdp.generic => Finding::warning(
            CHECK,
            format!("{name} is filtered by generic XDP, which is slower ({driver})"),
            format!(
                "where the driver can: MTU at most {MTU_MAX}, 'ethtool -K {name} lro off rx-gro-hw off', \
                 then start sipprot anew; its log says why the driver refused"
            ),
        ),
        Some(_) => Finding::ok(CHECK, format!("{name} is filtered in its driver ({driver})")),
        None if daemon_runs => Finding::problem(
            CHECK,
            format!("no XDP program is on {name}: nothing that arrives there is filtered"),
            "sipprot status tells why; the daemon tries again every five seconds",
        ),
        None => Finding::problem(
            CHECK,
            format!("no XDP program is on {name}: nothing that arrives there is filtered"),
            "start the daemon: systemctl start sipprot, or sipprot run",
        ),
    });
    findings.extend(offloads(facts));
    if facts.mtu > MTU_MAX {
        let what = format!("{name} has an MTU of {}, which many drivers don't filter", facts.mtu);
        let generic = facts.xdp.as_ref().is_none_or(|xdp| xdp.generic);
        findings.extend(generic.then(|| {
            Finding::warning(CHECK, what, format!("ip link set {name} mtu {MTU_MAX} or less"))
        }));
    }
    findings
}

fn offloads(facts: &Facts) -> Vec<Finding> {
    let Facts { name, features, .. } = facts;
    if features.is_empty() {
        return vec![Finding::unknown(CHECK, format!("offloads of {name}: ethtool is not there"))];
    }
    let is_on = |feature: &str| {
        let line = features.lines().find_map(|line| line.trim().strip_prefix(feature));
        line.is_some_and(|rest| rest.trim_start_matches(':').trim().starts_with("on"))
    };
    let mut findings = Vec::new();
    for (feature, short) in [("large-receive-offload", "lro"), ("rx-gro-hw", "rx-gro-hw")] {
        if is_on(feature) {
            let what =
                format!("the card of {name} joins packets before they are filtered ({short})");
            let remedy = format!("ethtool -K {name} {short} off");
            findings.push(Finding::warning(CHECK, what, remedy));
        }
    }
    if is_on("rx-vlan-offload") {
        let what = format!("the card of {name} takes VLAN tags off: filtered all the same");
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}
