//! Findings from facts.

use std::path::Path;

use super::interface::Facts;
use super::*;
use crate::config::Mode;
use crate::datapath::probe::Xdp;
use crate::listening::{Socket, Transport};

fn states(findings: &[Finding]) -> Vec<State> {
    findings.iter().map(|finding| finding.state).collect()
}

fn config(text: &str) -> Config {
    Config::parse(Path::new("t.toml"), text).unwrap()
}

#[test]
fn interfaces() {
    let features = "rx-gro-hw: off [fixed]\nlarge-receive-offload: off\nrx-vlan-offload: off\n";
    let ours = Xdp { name: "sipprot_ingress".to_owned(), generic: false };
    let up = Facts {
        name: "eth0".to_owned(),
        exists: true,
        up: true,
        mtu: 1500,
        driver: "virtio_net".to_owned(),
        xdp: Some(ours.clone()),
        features: features.to_owned(),
    };
    let check = |facts: &Facts, expected: &[State]| {
        let findings = interface::judge(facts, true);
        assert_eq!(states(&findings), expected, "{facts:?}: {findings:?}");
    };
    check(&up, &[State::Ok]);
    check(&Facts { exists: false, ..up.clone() }, &[State::Problem]);
    check(&Facts { up: false, ..up.clone() }, &[State::Warning, State::Ok]);
    check(&Facts { xdp: None, ..up.clone() }, &[State::Problem]);
    let other = Xdp { name: "xdp_filter".to_owned(), generic: false };
    check(&Facts { xdp: Some(other), ..up.clone() }, &[State::Problem]);
    let generic = Xdp { generic: true, ..ours };
    let slow = Facts { xdp: Some(generic), ..up.clone() };
    check(&slow, &[State::Warning]);
    check(&Facts { mtu: 9000, ..slow }, &[State::Warning, State::Warning]);
    check(&Facts { mtu: 9000, ..up.clone() }, &[State::Ok]);
    let lro = features.replace("large-receive-offload: off", "large-receive-offload: on");
    check(&Facts { features: lro, ..up.clone() }, &[State::Ok, State::Warning]);
    check(&Facts { features: String::new(), ..up }, &[State::Ok, State::Unknown]);
}

#[test]
fn default_routes() {
    let table = "Iface\tDestination\tGateway\neth1\t000200C0\t0\nens3\t00000000\t010200C0\n";
    assert_eq!(interface::default_route(table), Some("ens3"));
    assert_eq!(interface::default_route("Iface\n"), None);
}

#[test]
fn sshd_is_guarded_where_it_listens() {
    let check = |ports: &[u16], text: &str, expected: State| {
        assert_eq!(states(&ssh::guarded(ports, &config(text))), [expected], "{ports:?} {text}");
    };
    check(&[22, 2222], "", State::Ok);
    check(&[], "", State::Ok);
    check(&[22], "ssh.ports = [22]", State::Ok);
    check(&[22, 2222], "ssh.ports = [22]", State::Warning);
    check(&[22], "ssh.mode = \"observe\"", State::Warning);
}

#[test]
fn ssh_logins() {
    let check = |settings: &str, expected: &[State]| {
        assert_eq!(states(&ssh::logins(settings)), expected, "{settings}");
    };
    check("permitrootlogin yes\npasswordauthentication yes\n", &[State::Warning; 2]);
    check("permitrootlogin prohibit-password\npasswordauthentication yes\n", &[State::Warning]);
    check("permitrootlogin yes\npasswordauthentication no\n", &[State::Ok]);
}

#[test]
fn sip_ports() {
    let socket = |transport, port, address: &str| Socket {
        program: "asterisk".to_owned(),
        transport,
        port,
        address: address.parse().unwrap(),
    };
    let udp = |port| socket(Transport::Udp, port, "192.0.2.1");
    let check = |sockets: &[Socket], text: &str, expected: &[State]| {
        let findings = sip::judge(sockets, &config(text));
        assert_eq!(states(&findings), expected, "{sockets:?}: {findings:?}");
    };
    check(&[], "", &[State::Ok]);
    check(&[udp(5060), udp(4569), udp(17_000)], "", &[State::Ok]);
    check(&[udp(5060), udp(5160)], "", &[State::Warning]);
    check(&[udp(5160)], "sip.ports = [5060, 5160]", &[State::Ok]);
    let own = "[[endpoint]]\nname = \"pbx1\"\naddresses = [\"192.0.2.1\"]\nsip_ports = [5160]\n";
    check(&[udp(5160)], own, &[State::Ok]);
    check(&[socket(Transport::Udp, 5160, "127.0.0.1")], "", &[State::Ok]);
    let tcp = |port| socket(Transport::Tcp, port, "::");
    check(&[tcp(5038), tcp(8088), tcp(5060)], "", &[State::Ok]);
    check(&[tcp(5080)], "", &[State::Warning]);
}

#[test]
fn without_a_daemon_it_says_what_nobody_knows() {
    let loaded = Loaded { config: config("mode = \"observe\""), files: Vec::new() };
    assert_eq!(loaded.config.mode, Mode::Observe);
    let status = Err("nobody answers".to_owned());
    let checkup = look(&Surroundings { loaded: Ok(&loaded), status, top: None });
    let of = |check: &str| -> Vec<State> {
        let found = checkup.findings.iter().filter(|finding| finding.check == check);
        found.map(|finding| finding.state).collect()
    };
    assert_eq!(of("daemon"), [State::Problem]);
    assert_eq!(of("interface"), [State::Problem]);
    for check in ["mode", "maps", "logs", "sources"] {
        assert_eq!(of(check), [State::Unknown], "{check}");
    }
    assert!(checkup.problems >= 2);
    let remedies = checkup.findings.iter().filter(|it| it.state > State::Unknown);
    assert!(remedies.into_iter().all(|finding| finding.remedy.is_some()));
}
