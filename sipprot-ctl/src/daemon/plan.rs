//! From the configuration to what the kernel and the rules are told. Pure: the same configuration
//! and surroundings give the same plan.

pub mod guards;
pub(crate) mod scope;

use std::collections::HashMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    GEO_ALLOW, GEO_DENY, GEO_OFF, MODE_ENFORCE, MODE_OBSERVE, MODE_OFF, PORT_SETS_MAX, PORT_SIP,
    PORT_SIP_OPAQUE, PROTOCOL_TCP, PROTOCOL_UDP, Policy, PortSet, Rate, SCOPE_ALL, SCOPE_SIP,
};
use sipprot_common::ceiling;
use sipprot_common::guard::Service;
use sipprot_common::policy;

use crate::config::{
    BlockScope, Ceilings, Config, Endpoint, GeoMode, Mode, PortRange, Protection, RuleScope,
    Transport,
};
use crate::daemon::guard::own::Own;
use crate::datapath::SharedPort;
use crate::geo::Country;
use crate::rules::{self, EndpointId, OwnRules, RuleId, Settings};

/// One source may cause this many events a second, and so many at once.
const SOURCE_EVENTS: (u32, u32) = (50, 200);

/// What the kernel is to hold of the configuration.
pub struct Plan {
    /// By index; 0 is the host's own.
    pub policies: Vec<Policy>,
    pub port_sets: Vec<Box<PortSet>>,
    pub endpoints: Vec<(IpNetwork, u32)>,
    /// Ports of these that are of another endpoint, which has the same address.
    pub shared: Vec<SharedPort>,
    /// Name servers that may answer at any length.
    pub resolvers: Vec<IpNetwork>,
    /// Where sshd was found, if the configuration leaves that to us.
    pub sshd: Option<Vec<u16>>,
    pub user_agents: Vec<String>,
    /// Countries that matter to some policy: only their networks go into the kernel.
    pub countries: Vec<Country>,
    pub event_interval_ns: u64,
    pub event_burst_ns: u64,
    /// Names of the policies, for people and metrics.
    pub names: Vec<String>,
    /// Whether there may be blocks in it, its own or by the word of its own log.
    pub keeps_blocks: Vec<bool>,
}

/// The host's own policy in metrics and answers.
pub const HOST: &str = "host";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    #[error("endpoints have more than {PORT_SETS_MAX} different sets of SIP ports")]
    TooManyPortSets,
}

impl Plan {
    /// `observe` overrides every mode that enforces. Without a country database (`knows_countries`)
    /// geo protection is off: else its allow mode would let nobody in.
    pub fn new(config: &Config, observe: bool, knows_countries: bool) -> Result<Self, PlanError> {
        let mut sets = PortSets::default();
        let host = Tenant::host(config);
        let others = config.endpoints.iter().map(|endpoint| Tenant::of(endpoint, config));
        let mut tenants: Vec<Tenant> = std::iter::once(host).chain(others).collect();
        if !knows_countries {
            tenants.iter_mut().for_each(|tenant| tenant.geo_mode = GeoMode::Off);
        }
        let mut policies = Vec::with_capacity(tenants.len());
        for tenant in &tenants {
            let port_set = sets.number(tenant.ports, config)?;
            policies.push(policy(config, tenant, port_set, observe));
        }
        let countries = countries(&tenants);
        let (endpoints, shared) = homes(config);
        let (event_interval_ns, event_burst_ns) = ceiling::times(SOURCE_EVENTS.0, SOURCE_EVENTS.1);
        Ok(Self {
            policies,
            port_sets: sets.sets,
            endpoints,
            shared,
            resolvers: config.guards.dns.resolvers.clone(),
            sshd: config.guards.ssh.ports.is_empty().then(Vec::new),
            user_agents: config.sip.blocked_user_agents.clone(),
            countries,
            event_interval_ns,
            event_burst_ns,
            names: tenants.iter().map(|tenant| tenant.name.to_owned()).collect(),
            keeps_blocks: tenants.iter().map(|tenant| tenant.keeps_blocks).collect(),
        })
    }

    /// What is judged only watches. Lists, geo and blocks that are in force hold: they are the
    /// operator's word, or were before.
    #[must_use]
    pub fn learning(mut self) -> Self {
        use policy::Protection::{Attempts, Ceiling, Containment, Http, Ssh, Tftp, UserAgent};
        let judged = [Attempts, Ceiling, Containment, Http, Ssh, Tftp, UserAgent];
        let bits = judged.iter().fold(0, |bits, judged| bits | judged.bit());
        self.policies.iter_mut().for_each(|policy| policy.observe |= bits);
        self
    }

    /// Guards the ports on which sshd was found, where nothing else is guarded.
    #[must_use]
    pub fn guarding(mut self, sshd: Vec<u16>) -> Self {
        if self.sshd.is_none() {
            return self;
        }
        for set in &mut self.port_sets {
            for port in &sshd {
                if set.service(*port).is_none() {
                    set.guard(*port, Service::Ssh);
                }
            }
        }
        self.sshd = Some(sshd);
        self
    }

    pub fn name(&self, policy: u32) -> &str {
        self.names.get(policy as usize).map_or(HOST, String::as_str)
    }

    /// Whose an address and port are.
    pub fn policy_at(&self, address: IpAddr, port: u16) -> u32 {
        let covering = self.endpoints.iter().filter(|(network, _)| network.contains(address));
        let narrowest = covering.max_by_key(|(network, _)| network.prefix());
        let Some((network, first)) = narrowest else { return 0 };
        let mut shared = self.shared.iter();
        let other = shared.find(|it| it.network == *network && it.port == port);
        other.map_or(*first, |it| it.policy)
    }

    /// The policy of an endpoint's name; `None` stands for the host.
    pub fn policy(&self, endpoint: Option<&str>) -> Option<u32> {
        policy_of(&self.names, endpoint)
    }

    pub fn tracks_flows(&self) -> bool {
        self.policies.iter().any(|policy| policy.geo_mode != GEO_OFF)
    }
}

/// Whose the addresses are, and the ports by which others are told from the first that has one.
fn homes(config: &Config) -> (Vec<(IpNetwork, u32)>, Vec<SharedPort>) {
    let (mut first, mut shared) = (HashMap::new(), Vec::new());
    let mut endpoints = Vec::new();
    for (policy, endpoint) in (1..).zip(&config.endpoints) {
        for &network in &endpoint.addresses {
            if *first.entry(network).or_insert(policy) == policy {
                endpoints.push((network, policy));
                continue;
            }
            let ports = endpoint.sip_ports(config).iter();
            let ports = ports.flat_map(|range| range.first()..=range.last());
            shared.extend(ports.map(|port| SharedPort { network, port, policy }));
        }
    }
    (endpoints, shared)
}

/// Those that are listed; all, where some are kept out without being named: what is dropped is counted
/// by country.
fn countries(tenants: &[Tenant]) -> Vec<Country> {
    if tenants.iter().any(|tenant| tenant.geo_mode == GeoMode::Allow) {
        return (0..).map_while(Country::from_index).collect();
    }
    let denying = tenants.iter().filter(|tenant| tenant.geo_mode == GeoMode::Deny);
    let mut countries: Vec<Country> =
        denying.flat_map(|tenant| tenant.geo_countries.iter().copied()).collect();
    countries.sort();
    countries.dedup();
    countries
}

/// Endpoint or host, with the host's settings filled in.
struct Tenant<'a> {
    name: &'a str,
    mode: Mode,
    ports: &'a [PortRange],
    geo_mode: GeoMode,
    geo_countries: &'a [Country],
    geo_scope: RuleScope,
    ceilings: Ceilings,
    register_limit: u32,
    guard_mode: [(policy::Protection, Mode); 4],
    rates: [Rate; 4],
    own_rates: bool,
    keeps_blocks: bool,
}

impl<'a> Tenant<'a> {
    fn host(config: &'a Config) -> Self {
        Self {
            name: HOST,
            mode: config.mode,
            ports: &config.sip.ports,
            geo_mode: config.geo.mode,
            geo_countries: &config.geo.countries,
            geo_scope: config.geo.scope,
            ceilings: config.ceilings.clone(),
            register_limit: config.rules.register_limit,
            guard_mode: guards::modes(config, None),
            rates: guards::rates(config, None),
            own_rates: false,
            keeps_blocks: false,
        }
    }

    fn of(endpoint: &'a Endpoint, config: &'a Config) -> Self {
        Self {
            name: &endpoint.name,
            mode: endpoint.mode(config),
            ports: endpoint.sip_ports(config),
            geo_mode: endpoint.geo_mode(config),
            geo_countries: endpoint.geo_countries(config),
            geo_scope: endpoint.geo_scope(config),
            ceilings: endpoint.ceilings(config),
            register_limit: endpoint.register_limit(config),
            guard_mode: guards::modes(config, Some(endpoint)),
            rates: guards::rates(config, Some(endpoint)),
            own_rates: endpoint.has_own_rates(),
            keeps_blocks: endpoint.block_scope == BlockScope::Endpoint
                || config.logs.iter().any(|log| log.may_speak_for(&endpoint.name)),
        }
    }
}

/// Different sets are few: endpoints share them.
#[derive(Default)]
struct PortSets {
    sets: Vec<Box<PortSet>>,
    numbers: HashMap<Vec<PortRange>, u32>,
}

impl PortSets {
    fn number(&mut self, ports: &[PortRange], config: &Config) -> Result<u32, PlanError> {
        let mut key = ports.to_vec();
        key.sort();
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        if number >= PORT_SETS_MAX {
            return Err(PlanError::TooManyPortSets);
        }
        let mut set = Box::new(PortSet::EMPTY);
        let tls = config.sip.tls_ports.as_slice();
        for (ranges, class) in [(tls, PORT_SIP_OPAQUE), (ports, PORT_SIP)] {
            for range in ranges {
                (range.first()..=range.last()).for_each(|port| set.set(port, class));
            }
        }
        guards::mark(&mut set, &config.guards);
        self.sets.push(set);
        self.numbers.insert(key, number);
        Ok(number)
    }
}

fn policy(config: &Config, tenant: &Tenant, port_set: u32, observe: bool) -> Policy {
    let ceilings = &tenant.ceilings;
    let (source_interval_ns, source_burst_ns) =
        ceiling::times(ceilings.source_rate, ceilings.source_burst);
    let (endpoint_interval_ns, endpoint_burst_ns) =
        ceiling::times(ceilings.endpoint_rate, ceilings.endpoint_rate);
    let (trusted_interval_ns, trusted_burst_ns) =
        ceiling::times(ceilings.trusted_rate, ceilings.trusted_rate);
    let protocols = config.sip.protocols.iter().fold(0, |bits, transport| match transport {
        Transport::Udp => bits | PROTOCOL_UDP,
        Transport::Tcp => bits | PROTOCOL_TCP,
    });
    let (dns_udp_max, dns_tcp_max) = config.guards.dns.lengths();
    let mut geo_countries = [0u64; 11];
    for country in tenant.geo_countries {
        let index = usize::from(country.index());
        geo_countries[index / 64] |= 1 << (index % 64);
    }
    Policy {
        mode: match tenant.mode {
            Mode::Enforce if !observe => MODE_ENFORCE,
            Mode::Enforce | Mode::Observe => MODE_OBSERVE,
            Mode::Off => MODE_OFF,
        },
        protocols,
        geo_mode: match tenant.geo_mode {
            GeoMode::Off => GEO_OFF,
            GeoMode::Deny => GEO_DENY,
            GeoMode::Allow => GEO_ALLOW,
        },
        own_blocks: tenant.keeps_blocks.into(),
        observe: config.observe.iter().fold(0, |bits, only| bits | protection(*only).bit())
            | guards::bits(&tenant.guard_mode, Mode::Observe),
        port_set,
        attempt_limit: tenant.register_limit,
        source_interval_ns,
        source_burst_ns,
        endpoint_interval_ns,
        endpoint_burst_ns,
        trusted_interval_ns,
        trusted_burst_ns,
        containment_ns: nanoseconds(config.rules.containment),
        containment_max_ns: nanoseconds(config.rules.containment_max),
        geo_countries,
        geo_scope: match tenant.geo_scope {
            RuleScope::All => SCOPE_ALL,
            RuleScope::Sip => SCOPE_SIP,
        },
        off: guards::bits(&tenant.guard_mode, Mode::Off),
        dns_udp_max,
        dns_tcp_max,
        guards: tenant.rates,
        own_guards: tenant.own_rates.into(),
        ..Policy::default()
    }
}

const fn protection(only: Protection) -> policy::Protection {
    match only {
        Protection::Deny => policy::Protection::Deny,
        Protection::Block => policy::Protection::Block,
        Protection::Containment => policy::Protection::Containment,
        Protection::Geo => policy::Protection::Geo,
        Protection::UserAgent => policy::Protection::UserAgent,
        Protection::Ceiling => policy::Protection::Ceiling,
        Protection::Attempts => policy::Protection::Attempts,
        Protection::Dns => policy::Protection::Dns,
        Protection::Ssh => policy::Protection::Ssh,
        Protection::Http => policy::Protection::Http,
        Protection::Tftp => policy::Protection::Tftp,
    }
}

/// The policy of an endpoint, by the names of all.
pub fn policy_of(names: &[String], endpoint: Option<&str>) -> Option<u32> {
    match endpoint {
        None => Some(0),
        Some(name) => {
            let index = names.iter().skip(1).position(|known| known == name)?;
            u32::try_from(index + 1).ok()
        }
    }
}

pub fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The key that sets a rule's limit, if one does.
pub const fn limit_key(rule: RuleId) -> Option<&'static str> {
    match rule {
        RuleId::Register => Some("rules.register_limit"),
        RuleId::RegisterHour => Some("rules.account_limit_hour"),
        RuleId::RegisterDay => Some("rules.account_limit_day"),
        RuleId::Accounts => Some("rules.accounts_limit"),
        RuleId::Invite => Some("rules.invite_limit"),
        RuleId::Probe => Some("rules.probe_limit"),
        RuleId::NotSip => Some("rules.not_sip_limit"),
        RuleId::Ssh => Some("rules.ssh_limit"),
        RuleId::HttpScan => Some("rules.http_scan_limit"),
        RuleId::HttpMissed => Some("rules.http_missed_limit"),
        _ => None,
    }
}

/// What the rules go by.
///
/// The allowlist is not among what they spare: the kernel passes its packets before anybody sees them.
pub fn settings(config: &Config, own: &Own) -> Settings {
    let limits = &config.rules;
    let mut settings = Settings {
        block_time: limits.block_time,
        block_threshold: limits.block_threshold,
        block_scope: match limits.scope {
            RuleScope::All => rules::Scope::All,
            RuleScope::Sip => rules::Scope::Sip,
        },
        count_age: limits.count_age,
        unblock_grace: limits.unblock_grace,
        escalate_unproven: limits.escalate_unproven,
        peers: config.peers.iter().map(|peer| peer.network).collect(),
        peer_rates: config.peers.iter().filter_map(|it| Some((it.network, it.rate?))).collect(),
        trusted_rate: config.ceilings.trusted_rate,
        gateways: own.gateways.clone(),
        trust_time: limits.trust_for,
        ..Settings::default()
    };
    for rule in &mut settings.rules {
        match rule.id {
            RuleId::Register => rule.limit = limits.register_limit,
            RuleId::RegisterHour => rule.limit = limits.account_limit_hour,
            RuleId::RegisterDay => rule.limit = limits.account_limit_day,
            RuleId::Accounts => {
                rule.limit = limits.accounts_limit;
                rule.window = limits.accounts_window;
            }
            RuleId::Invite => rule.limit = limits.invite_limit,
            RuleId::Probe => rule.limit = limits.probe_limit,
            RuleId::NotSip => rule.limit = limits.not_sip_limit,
            RuleId::Ssh => rule.limit = limits.ssh_limit,
            RuleId::HttpScan => rule.limit = limits.http_scan_limit,
            RuleId::HttpMissed => rule.limit = limits.http_missed_limit,
            _ => {}
        }
    }
    let numbered = (1..).zip(&config.endpoints);
    settings.endpoints = numbered.map(|(index, it)| (EndpointId(index), own_rules(it))).collect();
    let endpoints = config.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    settings.never_blocked = own
        .never_blocked()
        .chain(config.never_block.iter().copied())
        .chain(endpoints.copied())
        .collect();
    settings
}

fn own_rules(endpoint: &Endpoint) -> OwnRules {
    let own = &endpoint.limits;
    let limits = [
        (RuleId::Register, own.register),
        (RuleId::Invite, own.invite),
        (RuleId::Probe, own.probe),
        (RuleId::NotSip, own.not_sip),
        (RuleId::Ssh, own.ssh),
        (RuleId::HttpScan, own.http_scan),
        (RuleId::HttpMissed, own.http_missed),
    ];
    OwnRules {
        limits: limits.into_iter().filter_map(|(rule, limit)| Some((rule, limit?))).collect(),
        block_time: own.block_time,
        blocks_alone: endpoint.block_scope == BlockScope::Endpoint,
    }
}

#[cfg(test)]
mod tests;
