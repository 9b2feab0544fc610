//! SIP that is spoken where the filter doesn't look.

use super::Finding;
use crate::config::{Config, PortRange};
use crate::listening::{self, Socket, Transport};

const CHECK: &str = "sip";
const PROGRAMS: [&str; 5] = ["asterisk", "freeswitch", "kamailio", "opensips", "yate"];
/// Over TCP they have many services; SIP is here.
const TCP_PORTS: std::ops::RangeInclusive<u16> = 5000..=5999;
/// From here on it is media.
const MEDIA: u16 = 10_000;
/// What PBXs speak beside SIP: SCCP, MGCP, STUN, DUNDi, IAX, UNIStim, the manager.
const OTHERS: [u16; 8] = [2000, 2427, 2727, 3478, 4520, 4569, 5000, 5038];

pub fn look(config: &Config) -> Vec<Finding> {
    judge(&listening::of(&PROGRAMS), config)
}

/// Who speaks SIP on this host.
pub fn pbxs(config: &Config) -> Vec<Socket> {
    let mut all = listening::of(&PROGRAMS);
    all.retain(|socket| speaks_sip(socket) && is_guarded(socket.port, config));
    all
}

pub fn judge(sockets: &[Socket], config: &Config) -> Vec<Finding> {
    let sip = sockets.iter().filter(|it| speaks_sip(it));
    let (guarded, open): (Vec<&Socket>, Vec<&Socket>) =
        sip.partition(|it| is_guarded(it.port, config));
    let mut findings: Vec<Finding> = open
        .iter()
        .map(|socket| {
            let Socket { program, port, transport, .. } = socket;
            Finding::warning(
                CHECK,
                format!("{program} listens on {transport} {port}, which is no SIP port of the configuration"),
                format!("sip.ports = [5060, {port}], if SIP is spoken there (sip.tls_ports for TLS)"),
            )
        })
        .collect();
    if findings.is_empty() {
        let mut ports: Vec<String> =
            guarded.iter().map(|it| format!("{} {}", it.transport, it.port)).collect();
        ports.sort();
        ports.dedup();
        findings.push(Finding::ok(
            CHECK,
            match ports.as_slice() {
                [] => {
                    "no PBX was found to listen here (in containers and guests they can't be seen)"
                        .to_owned()
                }
                ports => format!("PBXs listen on guarded ports: {}", ports.join(", ")),
            },
        ));
    }
    findings
}

fn speaks_sip(socket: &Socket) -> bool {
    let in_range = match socket.transport {
        Transport::Tcp => TCP_PORTS.contains(&socket.port),
        Transport::Udp => socket.port < MEDIA,
    };
    in_range && !OTHERS.contains(&socket.port) && !socket.address.is_loopback()
}

fn is_guarded(port: u16, config: &Config) -> bool {
    let own = config.endpoints.iter().filter_map(|endpoint| endpoint.sip_ports.as_ref());
    let all = own.chain([&config.sip.ports, &config.sip.tls_ports]).flatten();
    all.into_iter().any(|range: &PortRange| range.contains(port))
}
