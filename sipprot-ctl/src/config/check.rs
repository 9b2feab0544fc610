//! What only the whole configuration can tell: keys that contradict each other.

use std::collections::HashMap;

use super::error::Fault;
use super::read::Places;
use super::values::{GeoMode, LogKind, PortRange, SyslogTransport};
use super::{Config, ENDPOINTS_MAX, Endpoint};

pub(super) fn whole(config: &Config, places: &Places, faults: &mut Vec<Fault>) {
    let mut refuse = |keys: &[&str], shown: &str, what: String| {
        faults.push(places.fault(keys, shown, what));
    };
    if let Some((plain, _)) = overlap(&config.sip.ports, &config.sip.tls_ports) {
        let what = format!("{plain} is in sip.ports too");
        refuse(&["sip.tls_ports", "sip.ports"], "sip.tls_ports", what);
    }
    if config.rules.containment_max < config.rules.containment {
        let keys = ["rules.containment_max", "rules.containment"];
        refuse(&keys, keys[0], "shorter than rules.containment".to_owned());
    }
    if config.geo.mode == GeoMode::Allow && config.geo.countries.is_empty() {
        refuse(&["geo.mode"], "geo.mode", LETS_NOBODY_IN.to_owned());
    }
    api(config, &mut refuse);
    services(config, &mut refuse);
    endpoints(config, &mut refuse);
    logs(config, &mut refuse);
    for (keys, what) in config.notify.contradictions() {
        refuse(keys, keys[0], what.to_owned());
    }
    blocklists(config, &mut refuse);
}

fn blocklists(config: &Config, refuse: &mut impl FnMut(&[&str], &str, String)) {
    let mut names = HashMap::new();
    for (index, list) in config.blocklists.iter().enumerate() {
        let place = |key: &str| format!("blocklist[{index}].{key}");
        if names.insert(&list.name, index).is_some() {
            let what = format!("another blocklist is called {:?}", list.name);
            refuse(&[&place("name")], "blocklist.name", what);
        }
        let what = match (&list.file, &list.url) {
            (None, None) => "neither file nor url says where it is",
            (Some(_), Some(_)) => "file and url: which of them?",
            _ => continue,
        };
        refuse(&[&place("url"), &place("")], "blocklist.url", what.to_owned());
    }
}

fn api(config: &Config, refuse: &mut impl FnMut(&[&str], &str, String)) {
    let api = &config.api;
    let is_plain = api.listen.is_some_and(|it| !it.ip().is_loopback()) && !api.speaks_tls();
    if is_plain {
        let what = "without TLS the API is served on loopback alone".to_owned();
        refuse(&["api.tls", "api.listen"], "api.tls", what);
    }
    let keys = ["api.tls_certificate", "api.tls_key"];
    match (&api.certificate, &api.key) {
        (Some(_), None) => refuse(&keys, keys[0], "its tls_key is missing".to_owned()),
        (None, Some(_)) => refuse(&[keys[1]], keys[1], "its tls_certificate is missing".to_owned()),
        _ => {}
    }
}

/// A port has one guard.
fn services(config: &Config, refuse: &mut impl FnMut(&[&str], &str, String)) {
    let guards = &config.guards;
    for (left, right, ports, others) in [
        ("http.ports", "ssh.ports", &guards.http, &guards.ssh),
        ("tftp.ports", "ssh.ports", &guards.tftp, &guards.ssh),
        ("tftp.ports", "http.ports", &guards.tftp, &guards.http),
    ] {
        if let Some((ports, _)) = overlap(&ports.ports, &others.ports) {
            refuse(&[left, right], left, format!("{ports} is in {right} too"));
        }
    }
}

const LETS_NOBODY_IN: &str = "allow without any country lets nobody in";

fn endpoints(config: &Config, refuse: &mut impl FnMut(&[&str], &str, String)) {
    let mut names = HashMap::new();
    let mut owners = HashMap::new();
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let place = |key: &str| format!("endpoint[{index}].{key}");
        let name = &endpoint.name;
        if names.insert(name, index).is_some() {
            let what = format!("another endpoint is called {name:?}");
            refuse(&[&place("name")], "endpoint.name", what);
        }
        for &network in &endpoint.addresses {
            let sharing: &mut Vec<&Endpoint> = owners.entry(network).or_default();
            if let Some(what) = sharing.iter().find_map(|it| conflict(it, endpoint, config)) {
                refuse(&[&place("addresses")], "endpoint.addresses", format!("{network} {what}"));
            }
            sharing.push(endpoint);
        }
        if endpoint.geo_mode(config) == GeoMode::Allow && endpoint.geo_countries(config).is_empty()
        {
            let keys = [place("geo.mode"), place("geo.countries"), place("")];
            let keys = keys.each_ref().map(String::as_str);
            refuse(&keys, "endpoint.geo.mode", LETS_NOBODY_IN.to_owned());
        }
        if let Some(ports) = &endpoint.sip_ports
            && let Some((plain, _)) = overlap(ports, &config.sip.tls_ports)
        {
            let what = format!("{plain} is in sip.tls_ports too");
            refuse(&[&place("sip_ports")], "endpoint.sip_ports", what);
        }
        if index == ENDPOINTS_MAX {
            let what = format!("more than {ENDPOINTS_MAX} endpoints");
            refuse(&[&place("")], "endpoint", what);
        }
    }
}

/// Why two endpoints can't have one address.
fn conflict(first: &Endpoint, other: &Endpoint, config: &Config) -> Option<String> {
    /// Each is an entry of the kernel's.
    const SHARED_PORTS_MAX: u32 = 256;
    if first.name == other.name {
        return None;
    }
    let (name, ports) = (&first.name, other.sip_ports(config));
    let count: u32 = ports.iter().map(|it| u32::from(it.last() - it.first()) + 1).sum();
    if let Some((port, _)) = overlap(ports, first.sip_ports(config)) {
        let told = "endpoints with one address are told apart by their sip_ports";
        return Some(format!(
            "belongs to endpoint {name:?} already, and {port} is a port of both: {told}"
        ));
    }
    (count > SHARED_PORTS_MAX).then(|| {
        format!("belongs to endpoint {name:?} already: {SHARED_PORTS_MAX} sip_ports may tell another from it")
    })
}

fn logs(config: &Config, refuse: &mut impl FnMut(&[&str], &str, String)) {
    for (index, log) in config.logs.iter().enumerate() {
        let mut wrong = |key: &str, what: &str| {
            let places = [format!("log[{index}].{key}"), format!("log[{index}].")];
            let places = places.each_ref().map(String::as_str);
            refuse(&places, &format!("log.{key}"), what.to_owned());
        };
        let (received, tls) = (log.kind == LogKind::Syslog, log.transport == SyslogTransport::Tls);
        if config.logs[..index].iter().any(|other| other.name == log.name) {
            wrong("name", "another log has this name");
        }
        if log.kind == LogKind::File && log.path.is_none() {
            wrong("path", "missing: a file has one");
        }
        if received && log.listen.is_none() {
            wrong("listen", "missing: syslog is received somewhere");
        }
        if received && tls && (log.certificate.is_none() || log.key.is_none()) {
            wrong("certificate", "missing: TLS needs a certificate and its key");
        }
        match &log.endpoint {
            Some(_) if matches!(log.kind, LogKind::Syslog | LogKind::Api) => {
                wrong("endpoint", "whoever sends is known by its address or token");
            }
            Some(name) if !config.endpoints.iter().any(|endpoint| &endpoint.name == name) => {
                wrong("endpoint", "there is no such endpoint");
            }
            _ => {}
        }
    }
}

fn overlap(left: &[PortRange], right: &[PortRange]) -> Option<(PortRange, PortRange)> {
    left.iter().find_map(|&a| right.iter().find(|b| a.overlaps(**b)).map(|&b| (a, b)))
}
