//! What an endpoint has otherwise than the host: its limits, its guards' rates, and what of all that is
//! in force for it.

use std::time::Duration;

use sipprot_common::guard::Service;

use super::keys::{ENDPOINT_KEYS, KEYS};
use super::{Config, Endpoint, Guard};

/// Limits of the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnLimits {
    pub register: Option<u32>,
    pub invite: Option<u32>,
    pub probe: Option<u32>,
    pub not_sip: Option<u32>,
    pub ssh: Option<u32>,
    pub http_scan: Option<u32>,
    pub http_missed: Option<u32>,
    pub block_time: Option<Duration>,
}

/// What one source may ask of a guarded service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnRate {
    pub rate: Option<u32>,
    pub burst: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnRates {
    pub ssh: OwnRate,
    pub http: OwnRate,
    pub tftp: OwnRate,
}

/// A key of an endpoint with the value that is in force for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InForce {
    pub key: &'static str,
    /// As the file would have it.
    pub value: String,
    /// The endpoint's own, or else the host's.
    pub own: bool,
}

impl OwnRates {
    const fn of(&self, service: Service) -> OwnRate {
        match service {
            Service::Ssh => self.ssh,
            Service::Http => self.http,
            Service::Tftp => self.tftp,
        }
    }
}

impl Endpoint {
    /// Rate and burst of a guard at this endpoint.
    pub fn guard_rate(&self, service: Service, config: &Config) -> (u32, u32) {
        let (own, Guard { rate, burst, .. }) = (self.rates.of(service), config.guards.of(service));
        (own.rate.unwrap_or(*rate), own.burst.unwrap_or(*burst))
    }

    /// Whether its guards count what a source asks of this endpoint apart.
    pub fn has_own_rates(&self) -> bool {
        self.rates != OwnRates::default()
    }

    /// Every key in which an endpoint may differ from the host, as it is for this one.
    pub fn in_force(&self, config: &Config) -> Vec<InForce> {
        let shown = |key: &super::keys::Key<Self>| {
            let under_rules = format!("rules.{}", key.path);
            let named = match key.path {
                "sip_ports" => "sip.ports",
                path => path,
            };
            let mut hosts = KEYS.iter();
            let hosts = hosts.find(|host| host.path == named || host.path == under_rules)?;
            let own = (key.show)(self);
            let value = own.clone().or_else(|| (hosts.show)(config))?;
            Some(InForce {
                key: key.path,
                value: value.to_string().trim().trim_matches('"').to_owned(),
                own: own.is_some(),
            })
        };
        ENDPOINT_KEYS.iter().filter_map(shown).collect()
    }
}
