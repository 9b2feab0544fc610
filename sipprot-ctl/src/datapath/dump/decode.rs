//! Keys and values as fields.

use serde_json::{Value, json};
use sipprot_common::abi::{
    Block, BlockKey, CONFIG_HAS_ALLOW, CONFIG_HAS_DENY, CONFIG_HAS_ENDPOINTS, CONFIG_TRACK_FLOWS,
    COUNTRIES, Config, Contained, Counters, EventCounts, GEO_ALLOW, GEO_DENY, ListEntry,
    MODE_ENFORCE, MODE_OBSERVE, Nonce, PORT_SIP, PORT_SIP_OPAQUE, Policy, PortSet, QuarantineKey,
    SCOPE_ALL, SCOPE_HTTP, SCOPE_LATER, SCOPE_SIP, SCOPE_SSH, ScopedAddress, Source, SourceCounts,
    TRUST_QUARANTINED, TcpConnection, Trust,
};
use sipprot_common::guard::GuardSet;
use sipprot_common::reason::Reason;
use sipprot_common::sketch::Page;
use sipprot_common::source::{Address, SourceKey};

use super::super::keys::{self, LpmKey};
use super::Fields;

/// With the kernel's time now.
#[derive(Clone, Copy)]
pub struct Decode {
    pub now_ns: u64,
}

macro_rules! fields {
    ($($name:literal: $value:expr),* $(,)?) => {{
        let mut fields = Fields::new();
        $(fields.insert($name.to_owned(), json!($value));)*
        fields
    }};
}

pub(super) use fields;

/// `FR`; the code itself where it is none.
pub fn country(index: u32) -> String {
    let letter = |number: u32| char::from(b'A' + (number % 26) as u8);
    match index as usize {
        index if index < COUNTRIES => {
            [letter(index as u32 / 26), letter(index as u32)].iter().collect()
        }
        COUNTRIES => "unknown".to_owned(),
        index => index.to_string(),
    }
}

fn countries(bits: &[u64; 11]) -> Vec<String> {
    let has = |index: &u32| bits[(index / 64) as usize] >> (index % 64) & 1 != 0;
    (0..=COUNTRIES as u32).filter(has).map(country).collect()
}

fn source(key: u64) -> String {
    let (address, prefix) = SourceKey(key).network();
    match (address.is_ipv4(), prefix) {
        (true, 32) | (false, 128) => address.to_string(),
        _ => format!("{address}/{prefix}"),
    }
}

fn network(address: Address, prefix_len: u32) -> String {
    let network = keys::network(address, prefix_len);
    network.map_or_else(|| format!("{}/{prefix_len}", address.to_ip()), |it| it.to_string())
}

fn scope(bits: u8) -> String {
    let names =
        [(SCOPE_SIP, "sip"), (SCOPE_SSH, "ssh"), (SCOPE_HTTP, "http"), (SCOPE_LATER, "later")];
    match bits {
        SCOPE_ALL => "all".to_owned(),
        bits => {
            let named = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name);
            named.collect::<Vec<_>>().join("+")
        }
    }
}

fn hash(key: u64) -> Fields {
    fields! { "hash": format!("{key:016x}") }
}

impl Decode {
    /// Seconds from now, to milliseconds; `never` for 0.
    fn ends(&self, at_ns: u64) -> Value {
        if at_ns == 0 {
            return json!("never");
        }
        let milliseconds = (at_ns / 1_000_000) as i64 - (self.now_ns / 1_000_000) as i64;
        json!(milliseconds as f64 / 1000.0)
    }

    /// Seconds ago.
    fn ago(&self, at_ns: u64) -> Value {
        if at_ns == 0 {
            return json!("never");
        }
        json!((self.now_ns.saturating_sub(at_ns) / 1_000_000) as f64 / 1000.0)
    }

    pub fn index(&self, index: u32) -> Fields {
        fields! { "index": index }
    }

    pub fn config(&self, config: &Config) -> Fields {
        let flags = [
            (CONFIG_TRACK_FLOWS, "track_flows"),
            (CONFIG_HAS_ALLOW, "has_allow"),
            (CONFIG_HAS_DENY, "has_deny"),
            (CONFIG_HAS_ENDPOINTS, "has_endpoints"),
        ];
        let set = flags.iter().filter(|(bit, _)| config.flags & bit != 0).map(|(_, name)| *name);
        fields! {
            "flags": set.collect::<Vec<_>>(),
            "lists_generation": config.lists_generation,
            "geo_generation": config.geo_generation,
            "endpoints_generation": config.endpoints_generation,
            "event_interval_us": config.event_interval_ns / 1000,
            "event_burst_us": config.event_burst_ns / 1000,
        }
    }

    pub fn policy(&self, policy: &Policy) -> Fields {
        let mode = match policy.mode {
            MODE_ENFORCE => "enforce",
            MODE_OBSERVE => "observe",
            _ => "off",
        };
        let geo = match policy.geo_mode {
            GEO_DENY => "deny",
            GEO_ALLOW => "allow",
            _ => "off",
        };
        let observed = sipprot_common::policy::Protection::ALL
            .into_iter()
            .filter(|it| policy.observe & it.bit() != 0)
            .map(|it| it.label());
        fields! {
            "mode": mode,
            "port_set": policy.port_set,
            "protocols": policy.protocols,
            "own_blocks": policy.own_blocks,
            "observe": observed.collect::<Vec<_>>(),
            "attempt_limit": policy.attempt_limit,
            "source_interval_us": policy.source_interval_ns / 1000,
            "endpoint_interval_us": policy.endpoint_interval_ns / 1000,
            "trusted_interval_us": policy.trusted_interval_ns / 1000,
            "containment_s": policy.containment_ns / 1_000_000_000,
            "geo": geo,
            "geo_scope": scope(policy.geo_scope),
            "geo_countries": countries(&policy.geo_countries),
            "dns_bytes_max": [policy.dns_udp_max, policy.dns_tcp_max],
        }
    }

    /// Ranges of ports of one class.
    pub fn ports(&self, set: &PortSet) -> Fields {
        let class = |port: u16| {
            let sip = match set.get(port) {
                PORT_SIP => "sip",
                PORT_SIP_OPAQUE => "sip-tls",
                _ => "",
            };
            let service = set.service(port).map_or("", |it| match it {
                sipprot_common::guard::Service::Ssh => "ssh",
                sipprot_common::guard::Service::Http => "http",
                sipprot_common::guard::Service::Tftp => "tftp",
            });
            [sip, service].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("+")
        };
        let mut ranges: Vec<(u16, u16, String)> = Vec::new();
        for port in 1..=u16::MAX {
            let class = class(port);
            if class.is_empty() {
                continue;
            }
            match ranges.last_mut() {
                Some((_, last, known)) if *last + 1 == port && *known == class => *last = port,
                _ => ranges.push((port, port, class)),
            }
        }
        let mut fields = Fields::new();
        for (first, last, class) in ranges {
            let name = if first == last { first.to_string() } else { format!("{first}:{last}") };
            fields.insert(name, json!(class));
        }
        fields
    }

    pub fn endpoint(&self, key: &LpmKey<Address>, policy: u32) -> (Fields, Fields) {
        let key = fields! { "network": network(key.data, key.prefix_len) };
        (key, fields! { "policy": policy })
    }

    fn scoped(&self, key: &LpmKey<ScopedAddress>) -> Fields {
        let (generation, policy) = keys::scope(key);
        let length = key.prefix_len.saturating_sub(ScopedAddress::SCOPE_BITS);
        fields! {
            "network": network(key.data.address, length),
            "policy": policy,
            "generation": generation,
        }
    }

    pub fn listed(&self, key: &LpmKey<ScopedAddress>, entry: &ListEntry) -> (Fields, Fields) {
        let ends = self.ends(entry.expires_ns);
        (self.scoped(key), fields! { "scope": scope(entry.scope), "ends_in_s": ends })
    }

    pub fn placed(&self, key: &LpmKey<ScopedAddress>, index: u32) -> (Fields, Fields) {
        (self.scoped(key), fields! { "country": country(index) })
    }

    pub fn block(&self, key: &BlockKey, block: &Block) -> (Fields, Fields) {
        let key = fields! { "source": source(key.source), "policy": key.policy };
        let value = fields! {
            "ends_in_s": self.ends(block.expires_ns),
            "scope": scope(block.scope),
            "duration_s": block.duration_ns / 1_000_000_000,
            "renewals": block.renewals,
            "drops": block.drops,
            "started_s_ago": self.ago(block.started_ns),
        };
        (key, value)
    }

    pub fn quarantine(&self, key: &QuarantineKey, expires_ns: u64) -> (Fields, Fields) {
        let key = fields! { "source": source(key.source), "port": key.port };
        (key, fields! { "ends_in_s": self.ends(expires_ns) })
    }

    pub fn contained(&self, key: &u64, contained: &Contained) -> (Fields, Fields) {
        let value = fields! {
            "ends_in_s": self.ends(contained.until_ns),
            "duration_s": contained.duration_ns / 1_000_000_000,
            "drops": contained.drops,
        };
        (fields! { "source": source(*key) }, value)
    }

    pub fn trust(&self, key: &u64, trust: &Trust) -> (Fields, Fields) {
        let value = fields! {
            "rate": trust.rate,
            "phones": trust.phones,
            "quarantined": trust.flags & TRUST_QUARANTINED != 0,
        };
        (fields! { "source": source(*key) }, value)
    }

    pub fn source(&self, key: &u64, known: &Source) -> (Fields, Fields) {
        let attempts = &known.attempts;
        let value = fields! {
            "attempts": attempts.all.current,
            "attempts_before": attempts.all.previous,
            "proven": attempts.proven.current,
            "held_for_s": match attempts.hold_until_ns > self.now_ns {
                true => self.ends(attempts.hold_until_ns),
                false => json!(0),
            },
            "accepted_s_ago": self.ago(attempts.accepted_ns),
            "tcp_bytes": known.tcp_bytes,
        };
        (fields! { "source": source(*key) }, value)
    }

    pub fn nonce(&self, key: &u64, nonce: &Nonce) -> (Fields, Fields) {
        (hash(*key), fields! { "source": source(nonce.source), "shared": nonce.shared != 0 })
    }

    pub fn flow(&self, key: u64, seen_ns: u64) -> (Fields, Fields) {
        (hash(key), fields! { "seen_s_ago": self.ago(seen_ns) })
    }

    pub fn connection(&self, key: u64, it: &TcpConnection) -> (Fields, Fields) {
        let value = fields! {
            "first_seq": it.first_seq,
            "next_seq": it.next_seq,
            "peer_seq": it.peer_seq,
            "opened": it.opened,
        };
        (hash(key), value)
    }

    pub fn counts(&self, key: u64, values: &[SourceCounts]) -> (Fields, Fields) {
        let sum = |field: fn(&SourceCounts) -> u64| values.iter().map(field).sum::<u64>();
        let value = fields! {
            "sip": sum(|it| it.sip),
            "registers": sum(|it| it.registers),
            "credentialed": sum(|it| it.credentialed),
            "dropped": sum(|it| it.dropped),
            "last_s_ago": self.ago(values.iter().map(|it| it.last_ns).max().unwrap_or_default()),
        };
        (fields! { "source": source(key) }, value)
    }

    pub fn page(&self, page: &Page) -> Fields {
        fields! { "cells_written": page.cells.iter().filter(|cell| **cell != 0).count() }
    }

    pub fn guarded(&self, set: &GuardSet) -> Fields {
        let used = set.tags.iter().zip(&set.buckets_ns).filter(|(tag, _)| **tag != 0);
        let buckets: Vec<Value> = used.map(|(_, at_ns)| self.ends(*at_ns)).collect();
        fields! { "sources": buckets.len(), "empty_in_s": buckets }
    }

    pub fn bucket(&self, at_ns: u64) -> Fields {
        fields! { "empty_in_s": self.ends(at_ns) }
    }

    pub fn counters(&self, values: &[Counters]) -> Fields {
        let mut fields = Fields::new();
        for &reason in Reason::ALL {
            let index = reason as usize;
            let packets: u64 = values.iter().map(|it| it.packets[index]).sum();
            let observed: u64 = values.iter().map(|it| it.observed[index]).sum();
            if packets > 0 {
                fields.insert(reason.label().to_owned(), json!(packets));
            }
            if observed > 0 {
                fields.insert(format!("{}_observed", reason.label()), json!(observed));
            }
        }
        fields
    }

    pub fn country_count(&self, index: u32, values: &[u64]) -> (Fields, Fields) {
        let drops: u64 = values.iter().sum();
        (fields! { "country": country(index) }, fields! { "drops": drops })
    }

    pub fn event_counts(&self, values: &[EventCounts]) -> Fields {
        fields! {
            "suppressed": values.iter().map(|it| it.suppressed).sum::<u64>(),
            "lost": values.iter().map(|it| it.lost).sum::<u64>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_is_in_maps() {
        assert_eq!(
            (country(5 * 26 + 17), country(676), country(0)),
            ("FR".into(), "unknown".into(), "AA".into())
        );
        assert_eq!((scope(0), scope(SCOPE_SIP | SCOPE_SSH)), ("all".into(), "sip+ssh".into()));
        let v4 = SourceKey::from(std::net::IpAddr::from([192, 0, 2, 7]));
        assert_eq!(source(v4.0), "192.0.2.7");
        let v6 = SourceKey::from("2001:db8::1".parse::<std::net::IpAddr>().unwrap());
        assert_eq!(source(v6.0), "2001:db8::/64");
        let decode = Decode { now_ns: 10_000_000_000 };
        assert_eq!((decode.ends(0), decode.ends(12_500_000_000)), (json!("never"), json!(2.5)));
        let mut ports = Box::new(PortSet::EMPTY);
        (5060..=5062).for_each(|port| ports.set(port, PORT_SIP));
        ports.guard(22, sipprot_common::guard::Service::Ssh);
        assert_eq!(decode.ports(&ports), fields! { "22": "ssh", "5060:5062": "sip" });
    }
}
