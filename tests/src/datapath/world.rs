//! What is in the maps, in plain words: addresses as text, times in seconds from now.

use std::ops::RangeInclusive;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    self, Config, MODE_ENFORCE, PORT_SIP, PROTOCOL_TCP, PROTOCOL_UDP, SCOPE_ALL, SCOPE_LATER,
    SCOPE_SIP, TRUST_QUARANTINED, UserAgentPattern, UserAgents,
};
use sipprot_common::ceiling;
use sipprot_common::guard::Service;
use sipprot_common::policy::Protection;
use sipprot_common::source::{Address, SourceKey, Wider};

/// The generations that worlds use; entries of another one are not in force.
pub const LISTS_GENERATION: u32 = 3;
pub const GEO_GENERATION: u32 = 2;
pub const SEED: u64 = 0x5eed_0123_4567_89ab;

/// Seconds from the moment at which the world is made; negative ones are past.
pub type Seconds = i64;

/// The policy at an index, and the meaning of its ports.
#[derive(Clone)]
pub struct Policy {
    pub index: u32,
    pub abi: abi::Policy,
    pub ports: Vec<(RangeInclusive<u16>, u8)>,
    /// When its countries are kept out; until then their flows are learned.
    pub geo_from: Option<Seconds>,
    pub guarded: Vec<(u16, Service)>,
}

/// An entry of the allow or deny list.
#[derive(Clone, PartialEq)]
pub struct Listing {
    pub network: IpNetwork,
    pub policy: u32,
    pub scope: u8,
    /// `None`: never.
    pub expires: Option<Seconds>,
    /// Of the list it is in.
    pub generation: u32,
}

#[derive(Clone)]
pub struct Block {
    pub source: SourceKey,
    pub policy: u32,
    pub scope: u8,
    pub started: Seconds,
    pub expires: Seconds,
    pub duration: Seconds,
}

#[derive(Clone, Default)]
pub struct World {
    pub policies: Vec<Policy>,
    pub endpoints: Vec<(IpNetwork, u32)>,
    /// Ports of an address of the first policy that are another's.
    pub shared: Vec<(u32, u16, u32)>,
    pub allow: Vec<Listing>,
    pub deny: Vec<Listing>,
    pub blocks: Vec<Block>,
    /// Source, and when its containment ends.
    pub contained: Vec<(SourceKey, Seconds)>,
    /// Source, port, and when its quarantine ends.
    pub quarantine: Vec<(SourceKey, u16, Seconds)>,
    /// Source, and its own ceiling in packets a second (0: the policy's).
    pub trusted: Vec<(SourceKey, u32)>,
    /// Phones that are registered from a trusted source.
    pub phones: Vec<(SourceKey, u32)>,
    /// Name servers that may answer at any length.
    pub resolvers: Vec<IpNetwork>,
    pub geo: Vec<(IpNetwork, String)>,
    pub user_agents: Vec<String>,
    /// Lists and countries lie in tables as the daemon compiles them; otherwise all in the tries.
    pub compiled: bool,
    /// Remember flows that are opened outward.
    pub track_flows: bool,
    /// Events of one source a second, and at once; 0: no limit.
    pub events: (u32, u32),
    /// Makes the map of policies smaller than the object asks, so that look-ups fail.
    pub policies_max: Option<u32>,
}

/// `network` as text; an address stands for itself.
pub fn network(text: &str) -> IpNetwork {
    text.parse().expect("a network")
}

pub fn source(text: &str) -> SourceKey {
    text.parse::<std::net::IpAddr>().expect("an address").into()
}

/// The base of a network as the tries hold it, and its length in 128 bits.
pub fn prefix(network: &IpNetwork) -> (Address, u32) {
    match network {
        IpNetwork::V4(v4) => (Address::from_v4(v4.network().to_bits()), 96 + v4.prefix() as u32),
        IpNetwork::V6(v6) => {
            let bits = v6.network().to_bits();
            (Address::from_halves((bits >> 64) as u64, bits as u64), v6.prefix() as u32)
        }
    }
}

/// The index of a country of two letters.
pub fn country(code: &str) -> u32 {
    let letter = |at: usize| (code.as_bytes()[at] - b'A') as u32;
    letter(0) * 26 + letter(1)
}

impl Policy {
    /// Enforces, reads SIP on 5060 of UDP and TCP, and sets no ceilings.
    pub fn new(index: u32) -> Self {
        let abi = abi::Policy {
            mode: MODE_ENFORCE,
            protocols: PROTOCOL_UDP | PROTOCOL_TCP,
            attempt_limit: 10,
            containment_ns: 60_000_000_000,
            containment_max_ns: 600_000_000_000,
            ..abi::Policy::default()
        };
        let ports = vec![(5060..=5060, PORT_SIP)];
        Self { index, abi, ports, geo_from: None, guarded: Vec::new() }
    }

    /// As the maps hold it, where a time from now is what `at` says.
    pub fn timed(&self, at: impl Fn(Seconds) -> u64) -> abi::Policy {
        let mut policy = self.abi;
        if let Some(seconds) = self.geo_from {
            (policy.geo_from_ns, policy.geo_learning) = (at(seconds), [u64::MAX; 11]);
        }
        policy
    }

    pub fn mode(mut self, mode: u8) -> Self {
        self.abi.mode = mode;
        self
    }

    pub fn protocols(mut self, protocols: u8) -> Self {
        self.abi.protocols = protocols;
        self
    }

    pub fn observe(mut self, protection: Protection) -> Self {
        self.abi.observe |= protection.bit();
        self
    }

    pub fn ports(mut self, ports: RangeInclusive<u16>, class: u8) -> Self {
        self.ports.push((ports, class));
        self
    }

    pub fn guards(mut self, port: u16, service: Service) -> Self {
        self.guarded.push((port, service));
        self
    }

    /// Requests a minute and at once of one source, of a guarded service.
    pub fn guard_ceiling(mut self, service: Service, rate: u32, burst: u32) -> Self {
        self.abi.guards[service as usize] = ceiling::times_a_minute(rate, burst).into();
        self
    }

    /// What is asked of its guarded services counts apart from other endpoints.
    pub fn counts_apart(mut self) -> Self {
        self.abi.own_guards = 1;
        self
    }

    /// Bytes of DNS answers over UDP and TCP.
    pub fn dns(mut self, udp_max: u16, tcp_max: u16) -> Self {
        (self.abi.dns_udp_max, self.abi.dns_tcp_max) = (udp_max, tcp_max);
        self
    }

    pub fn off(mut self, protection: Protection) -> Self {
        self.abi.off |= protection.bit();
        self
    }

    pub fn attempt_limit(mut self, limit: u32) -> Self {
        self.abi.attempt_limit = limit;
        self
    }

    /// Packets a second and at once, of each untrusted source.
    pub fn source_ceiling(mut self, rate: u32, burst: u32) -> Self {
        (self.abi.source_interval_ns, self.abi.source_burst_ns) = ceiling::times(rate, burst);
        self
    }

    pub fn endpoint_ceiling(mut self, rate: u32, burst: u32) -> Self {
        (self.abi.endpoint_interval_ns, self.abi.endpoint_burst_ns) = ceiling::times(rate, burst);
        self
    }

    pub fn trusted_ceiling(mut self, rate: u32, burst: u32) -> Self {
        (self.abi.trusted_interval_ns, self.abi.trusted_burst_ns) = ceiling::times(rate, burst);
        self
    }

    pub fn own_blocks(mut self) -> Self {
        self.abi.own_blocks = 1;
        self
    }

    pub fn geo(mut self, mode: u8, countries: &[&str]) -> Self {
        self.abi.geo_mode = mode;
        for code in countries {
            let index = country(code);
            self.abi.geo_countries[(index / 64) as usize] |= 1 << (index % 64);
        }
        self
    }

    pub fn geo_scope(mut self, scope: u8) -> Self {
        self.abi.geo_scope = scope;
        self
    }

    pub fn geo_from(mut self, seconds: Seconds) -> Self {
        self.geo_from = Some(seconds);
        self
    }
}

impl Listing {
    pub fn new(text: &str) -> Self {
        Self {
            network: network(text),
            policy: 0,
            scope: SCOPE_ALL,
            expires: None,
            generation: LISTS_GENERATION,
        }
    }

    pub fn sip_only(self) -> Self {
        self.scope(SCOPE_SIP)
    }

    pub fn scope(mut self, scope: u8) -> Self {
        self.scope = scope;
        self
    }

    pub fn expires(mut self, seconds: Seconds) -> Self {
        self.expires = Some(seconds);
        self
    }

    /// Holds from then on.
    pub fn later(mut self, seconds: Seconds) -> Self {
        (self.scope, self.expires) = (SCOPE_LATER, Some(seconds));
        self
    }

    pub fn policy(mut self, policy: u32) -> Self {
        self.policy = policy;
        self
    }

    pub fn generation(mut self, generation: u32) -> Self {
        self.generation = generation;
        self
    }
}

impl Block {
    /// The host's, of all traffic, for an hour.
    pub fn new(text: &str) -> Self {
        Self {
            source: source(text),
            policy: 0,
            scope: SCOPE_ALL,
            started: 0,
            expires: 3600,
            duration: 3600,
        }
    }

    pub fn sip_only(self) -> Self {
        self.scope(SCOPE_SIP)
    }

    pub fn scope(mut self, scope: u8) -> Self {
        self.scope = scope;
        self
    }

    pub fn policy(mut self, policy: u32) -> Self {
        self.policy = policy;
        self
    }

    /// One of `duration`, that ends in `expires`.
    pub fn expires(mut self, expires: Seconds, duration: Seconds) -> Self {
        (self.started, self.expires, self.duration) = (expires - duration, expires, duration);
        self
    }
}

impl World {
    /// The host's policy, and nothing else.
    pub fn new() -> Self {
        Self::of(Policy::new(0))
    }

    pub fn of(host: Policy) -> Self {
        Self { policies: vec![host], ..Self::default() }
    }

    /// An endpoint with a policy of its own.
    pub fn endpoint(mut self, text: &str, policy: Policy) -> Self {
        self.endpoints.push((network(text), policy.index));
        self.policies.push(policy);
        self
    }

    /// An endpoint that has the address of the last one, and a port by which it is told from that.
    pub fn endpoint_at_port(mut self, port: u16, policy: Policy) -> Self {
        let (_, first) = *self.endpoints.last().expect("an endpoint before it");
        self.shared.push((first, port, policy.index));
        self.policies.push(policy);
        self
    }

    pub fn allow(mut self, listing: Listing) -> Self {
        self.allow.push(listing);
        self
    }

    pub fn deny(mut self, listing: Listing) -> Self {
        self.deny.push(listing);
        self
    }

    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    pub fn contained(mut self, text: &str, until: Seconds) -> Self {
        self.contained.push((source(text), until));
        self
    }

    /// The /48 that an IPv6 address is in.
    pub fn contained_network(mut self, text: &str, until: Seconds) -> Self {
        self.contained.push((source(text).wider(Wider::Block), until));
        self
    }

    pub fn trusted(mut self, text: &str) -> Self {
        self.trusted.push((source(text), 0));
        self
    }

    pub fn trusted_with_rate(mut self, text: &str, rate: u32) -> Self {
        self.trusted.push((source(text), rate));
        self
    }

    /// A trusted source with phones behind it.
    pub fn office(mut self, text: &str, phones: u32) -> Self {
        self.phones.push((source(text), phones));
        self.trusted(text)
    }

    pub fn phones_of(&self, key: SourceKey) -> u32 {
        let office = self.phones.iter().find(|(source, _)| *source == key);
        office.map_or(0, |(_, phones)| *phones)
    }

    pub fn resolver(mut self, text: &str) -> Self {
        self.resolvers.push(network(text));
        self
    }

    pub fn quarantine(mut self, text: &str, port: u16, until: Seconds) -> Self {
        self.quarantine.push((source(text), port, until));
        self
    }

    pub fn geo(mut self, text: &str, code: &str) -> Self {
        self.geo.push((network(text), code.to_owned()));
        self.track_flows = true;
        self
    }

    pub fn track_flows(mut self) -> Self {
        self.track_flows = true;
        self
    }

    /// A pattern as the configuration writes it.
    pub fn user_agent(mut self, pattern: &str) -> Self {
        self.user_agents.push(pattern.to_owned());
        self
    }

    pub fn events(mut self, rate: u32, burst: u32) -> Self {
        self.events = (rate, burst);
        self
    }

    pub fn policies_max(mut self, policies: u32) -> Self {
        self.policies_max = Some(policies);
        self
    }

    pub fn config(&self) -> Config {
        let mut flags = 0;
        for (wanted, flag) in [
            (self.track_flows, abi::CONFIG_TRACK_FLOWS),
            (!self.allow.is_empty(), abi::CONFIG_HAS_ALLOW),
            (!self.deny.is_empty(), abi::CONFIG_HAS_DENY),
            (!self.endpoints.is_empty(), abi::CONFIG_HAS_ENDPOINTS),
        ] {
            if wanted {
                flags |= flag;
            }
        }
        let (event_interval_ns, event_burst_ns) = ceiling::times(self.events.0, self.events.1);
        Config {
            seed: SEED,
            flags,
            lists_generation: LISTS_GENERATION,
            geo_generation: GEO_GENERATION,
            sketch_seed: 0x5eed,
            event_interval_ns,
            event_burst_ns,
            ..Config::default()
        }
    }

    /// The flags of a trusted source.
    pub fn trust_flags(&self, key: SourceKey) -> u32 {
        let quarantined = self.quarantine.iter().any(|(source, ..)| *source == key);
        if quarantined { TRUST_QUARANTINED } else { 0 }
    }

    /// The listed user agents, as the map holds them.
    pub fn agents(&self) -> Box<UserAgents> {
        let mut agents = Box::new(UserAgents::EMPTY);
        for text in &self.user_agents {
            agents.add(UserAgentPattern::parse(text).expect("a pattern that fits"));
        }
        agents
    }
}
