//! What the operator can set about the judgement. Read from the configuration elsewhere; a new set
//! takes effect at once and forgets nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use sipprot_common::source::SourceKey;

use super::decision::Scope;
use super::observation::EndpointId;
use super::rule::{Rule, RuleId, bound};
use super::time::{DAY, HOUR};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub rules: Vec<Rule>,
    /// Endpoints that have something otherwise than the host.
    pub endpoints: HashMap<EndpointId, OwnRules>,
    pub block_time: Duration,
    /// The block that is for good, 1–20.
    pub block_threshold: u32,
    pub block_scope: Scope,
    /// How long blocks and containments count.
    pub count_age: Duration,
    /// How long a source is only observed after a manual unblock.
    pub unblock_grace: Duration,
    /// Three containments in three separate hours lead to a SIP-only denylist entry for 30 days.
    pub escalate_unproven: bool,
    /// No rule ever acts on these: own addresses and on-link prefix, endpoints, gateways,
    /// resolvers, relays and hubs in use, the allowlist, addresses of ssh and admin logins.
    pub never_blocked: Vec<IpNetwork>,
    /// Configured peers: trusted without having shown anything.
    pub peers: Vec<IpNetwork>,
    /// Gateways: if most SIP comes from one of them, the world is behind a NAT.
    pub gateways: Vec<IpAddr>,
    /// Spare the one private or gateway address that most SIP comes from.
    pub spare_world_behind_nat: bool,
    /// Packets a second that every trusted source may send.
    pub trusted_rate: u32,
    /// Of peers that have a ceiling of their own.
    pub peer_rates: Vec<(IpNetwork, u32)>,
    /// How long trust is remembered.
    pub trust_time: Duration,
}

/// What an endpoint has otherwise than the host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnRules {
    /// By a rule that has a limit here failures are counted apart.
    pub limits: HashMap<RuleId, u32>,
    pub block_time: Option<Duration>,
    /// Who attacks it is blocked here alone, and not for the whole host.
    pub blocks_alone: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rule::defaults(),
            endpoints: HashMap::new(),
            block_time: HOUR,
            block_threshold: 5,
            block_scope: Scope::All,
            count_age: 30 * DAY,
            unblock_grace: HOUR,
            escalate_unproven: false,
            never_blocked: Vec::new(),
            peers: Vec::new(),
            gateways: Vec::new(),
            spare_world_behind_nat: true,
            trusted_rate: 2000,
            peer_rates: Vec::new(),
            trust_time: 7 * DAY,
        }
    }
}

impl Settings {
    /// A block cuts off a whole /64 in IPv6: it must not hit a single protected address in it.
    pub fn is_never_blocked(&self, address: IpAddr) -> bool {
        let shares_source = |network: &IpNetwork| {
            network.is_ipv6()
                && network.prefix() >= 64
                && SourceKey::from(network.network()) == SourceKey::from(address)
        };
        contains(&self.never_blocked, address) || self.never_blocked.iter().any(shares_source)
    }

    /// An endpoint may have its own limit.
    pub fn limit(&self, rule: &Rule, endpoint: EndpointId) -> u32 {
        self.own_limit(rule.id, endpoint).map_or_else(|| rule.bounded_limit(), bound)
    }

    pub fn own_limit(&self, rule: RuleId, endpoint: EndpointId) -> Option<u32> {
        self.endpoints.get(&endpoint)?.limits.get(&rule).copied()
    }

    /// How long who attacks an endpoint is blocked.
    pub fn block_time(&self, endpoint: EndpointId) -> Duration {
        let own = self.endpoints.get(&endpoint).and_then(|own| own.block_time);
        own.unwrap_or(self.block_time)
    }

    pub fn blocks_alone(&self, endpoint: EndpointId) -> bool {
        self.endpoints.get(&endpoint).is_some_and(|own| own.blocks_alone)
    }

    /// The narrowest network's, if several have one.
    pub fn peer_rate(&self, address: IpAddr) -> Option<u32> {
        let own = self.peer_rates.iter().filter(|(network, _)| network.contains(address));
        own.max_by_key(|(network, _)| network.prefix()).map(|(_, rate)| *rate)
    }

    pub fn is_peer(&self, address: IpAddr) -> bool {
        contains(&self.peers, address)
    }
}

fn contains(networks: &[IpNetwork], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}
