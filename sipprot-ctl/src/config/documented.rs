//! The configuration as text: the documented default file, and what is in force.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use toml_edit::Value;

use super::keys::{
    BLOCKLIST, BLOCKLIST_KEYS, ENDPOINT, ENDPOINT_KEYS, KEYS, Key, LOG, LOG_KEYS, SECTIONS, Section,
};
use super::values::{BlockScope, GeoMode, LogKind, Mode, PortRange, RuleScope, SyslogTransport};
use super::{Blocklist, Config, Endpoint, Log, OwnCeilings, OwnLimits, OwnRate, OwnRates};

const WIDTH: usize = 100;

const HEAD: &str = "\
# SIPprot's configuration: every key, its meaning and its default.
#
# A line that begins with # and no space is a default; take the # away and change it. Files in
# conf.d beside this one are read after it, by name, and override it. `sipprot reload` applies a
# change; if anything is wrong with it, the configuration that runs goes on.
";

pub(super) fn documented_default() -> String {
    let config = Config::default();
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        text.push('\n');
        text += &prose(section.help);
        if !section.name.is_empty() {
            text += &format!("[{}]\n", section.name);
        }
        let prefix =
            if section.name.is_empty() { String::new() } else { format!("{}.", section.name) };
        for key in KEYS {
            let Some(name) = key.path.strip_prefix(&prefix).filter(|name| !name.contains('.'))
            else {
                continue;
            };
            document(&mut text, name, key, &config);
        }
    }
    document_table(&mut text, &ENDPOINT, ENDPOINT_KEYS, &example_endpoint());
    document_table(&mut text, &LOG, LOG_KEYS, &example_log());
    document_table(&mut text, &BLOCKLIST, BLOCKLIST_KEYS, &example_blocklist());
    text
}

fn document_table<T>(text: &mut String, section: &Section, keys: &[Key<T>], example: &T) {
    text.push('\n');
    *text += &prose(section.help);
    *text += &format!("#[[{}]]\n", section.name);
    for key in keys {
        document(text, key.path, key, example);
    }
}

fn document<T>(text: &mut String, name: &str, key: &Key<T>, target: &T) {
    let Some(value) = (key.show)(target) else { return };
    text.push('\n');
    text.push_str(&prose(&format!("{} Takes {}.", key.help, (key.expected)())));
    for line in assignment(name, &value).lines() {
        text.push('#');
        text.push_str(line);
        text.push('\n');
    }
}

/// An endpoint in which every key is set, from the addresses kept for documentation.
fn example_endpoint() -> Endpoint {
    Endpoint {
        name: "pbx1".to_owned(),
        addresses: ["192.0.2.10/32", "2001:db8:10::/64"].iter().flat_map(|n| n.parse()).collect(),
        sip_ports: Some(vec![PortRange::one(5060)]),
        mode: Some(Mode::Observe),
        geo_mode: Some(GeoMode::Deny),
        geo_countries: Some(["KP"].iter().flat_map(|code| code.parse()).collect()),
        geo_scope: Some(RuleScope::Sip),
        allow: ["198.51.100.7/32"].iter().flat_map(|n| n.parse()).collect(),
        deny: ["203.0.113.0/24"].iter().flat_map(|n| n.parse()).collect(),
        ceilings: OwnCeilings {
            source_rate: Some(50),
            source_burst: Some(100),
            endpoint_rate: Some(500),
            trusted_rate: Some(2000),
        },
        limits: OwnLimits {
            register: Some(20),
            invite: Some(10),
            probe: Some(60),
            not_sip: Some(60),
            ssh: Some(3),
            http_scan: Some(2),
            http_missed: Some(60),
            block_time: Some(Duration::from_secs(1800)),
        },
        rates: OwnRates {
            ssh: OwnRate { rate: Some(5), burst: Some(10) },
            http: OwnRate { rate: Some(600), burst: Some(1200) },
            tftp: OwnRate { rate: Some(20), burst: Some(200) },
        },
        ssh_mode: Some(Mode::Observe),
        http_mode: Some(Mode::Observe),
        tftp_mode: Some(Mode::Off),
        dns_mode: Some(Mode::Enforce),
        block_scope: BlockScope::Host,
        log_token: Some(format!("sha256:{}", "0".repeat(64))),
    }
}

/// A log in which every key is set.
fn example_log() -> Log {
    Log {
        name: "tenants".to_owned(),
        kind: LogKind::File,
        filters: vec!["asterisk".to_owned(), "kamailio".to_owned()],
        path: Some("/var/log/kamailio.log".into()),
        units: vec!["kamailio.service".to_owned()],
        listen: Some(SocketAddr::from(([192, 0, 2, 1], 6514))),
        transport: SyslogTransport::Tls,
        certificate: Some("/etc/sipprot/log.pem".into()),
        key: Some("/etc/sipprot/log.key".into()),
        senders: ["192.0.2.10/32"].iter().flat_map(|network| network.parse()).collect(),
        endpoint: Some("pbx1".to_owned()),
        mode: Mode::Observe,
    }
}

fn example_blocklist() -> Blocklist {
    Blocklist {
        name: "apiban".to_owned(),
        url: Some("https://lists.example/apiban.txt".to_owned()),
        ..Blocklist::default()
    }
}

fn assignment(name: &str, value: &Value) -> String {
    let line = format!("{name} = {}", value.to_string().trim());
    match value.as_array() {
        Some(array) if line.len() > WIDTH => {
            let elements: Vec<_> =
                array.iter().map(|element| format!("{},", element.to_string().trim())).collect();
            format!("{name} = [\n{}\n]\n", wrap(elements.iter().map(String::as_str), WIDTH - 1))
        }
        _ => line + "\n",
    }
}

fn prose(text: &str) -> String {
    let wrapped = wrap(text.split_whitespace(), WIDTH - 2);
    wrapped.lines().map(|line| format!("# {line}\n")).collect()
}

fn wrap<'a>(words: impl Iterator<Item = &'a str>, width: usize) -> String {
    let mut text = String::new();
    let mut length = 0;
    for word in words {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
            text.push('\n');
            length = 0;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += word_length;
    }
    text
}

/// Every key with its value, as TOML that reads back to this configuration.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in KEYS {
            if let Some(value) = (key.show)(self) {
                write!(f, "{}", assignment(key.path, &value))?;
            }
        }
        write_tables(f, &ENDPOINT, ENDPOINT_KEYS, &self.endpoints)?;
        write_tables(f, &LOG, LOG_KEYS, &self.logs)?;
        write_tables(f, &BLOCKLIST, BLOCKLIST_KEYS, &self.blocklists)
    }
}

fn write_tables<T>(
    f: &mut fmt::Formatter<'_>,
    section: &Section,
    keys: &[Key<T>],
    tables: &[T],
) -> fmt::Result {
    for table in tables {
        write!(f, "\n[[{}]]\n", section.name)?;
        for key in keys {
            if let Some(value) = (key.show)(table) {
                write!(f, "{}", assignment(key.path, &value))?;
            }
        }
    }
    Ok(())
}
