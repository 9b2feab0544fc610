//! The guards of the services beside SIP: what one source may ask of each, and the mode of each.

use ipnetwork::IpNetwork;
use sipprot_common::guard::Service;

use super::values::{Mode, PortRange};
use super::{Config, Endpoint};

#[derive(Clone, PartialEq, Debug)]
pub struct Guards {
    /// Without ports they are found.
    pub ssh: Guard,
    pub http: Guard,
    pub tftp: Guard,
    pub dns: DnsGuard,
}

/// A ceiling for each source of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guard {
    pub mode: Mode,
    pub ports: Vec<PortRange>,
    /// New connections, or requests, a minute.
    pub rate: u32,
    pub burst: u32,
}

/// Longer answers of name servers are dropped.
#[derive(Clone, PartialEq, Debug)]
pub struct DnsGuard {
    pub mode: Mode,
    pub strict: bool,
    /// They may answer at any length.
    pub resolvers: Vec<IpNetwork>,
}

impl Guards {
    pub const fn of(&self, service: Service) -> &Guard {
        match service {
            Service::Ssh => &self.ssh,
            Service::Http => &self.http,
            Service::Tftp => &self.tftp,
        }
    }
}

impl DnsGuard {
    /// Bytes of an answer over UDP and over TCP: what a getaddrinfo with CVE-2015-7547 has on its stack,
    /// or what glibc's maintainers advised firewalls to let through.
    pub const fn lengths(&self) -> (u16, u16) {
        if self.strict { (512, 1024) } else { (2048, 2048) }
    }
}

impl Endpoint {
    pub fn guard_mode(&self, service: Service, config: &Config) -> Mode {
        let own = match service {
            Service::Ssh => self.ssh_mode,
            Service::Http => self.http_mode,
            Service::Tftp => self.tftp_mode,
        };
        own.unwrap_or(config.guards.of(service).mode)
    }

    pub fn dns_mode(&self, config: &Config) -> Mode {
        self.dns_mode.unwrap_or(config.guards.dns.mode)
    }
}

impl Default for Guards {
    fn default() -> Self {
        let guard = |ports: &[u16], rate, burst| Guard {
            mode: Mode::Enforce,
            ports: ports.iter().map(|port| PortRange::one(*port)).collect(),
            rate,
            burst,
        };
        Self {
            ssh: guard(&[], 10, 20),
            http: guard(&[80, 443], 300, 600),
            tftp: guard(&[69], 10, 100),
            dns: DnsGuard { mode: Mode::Enforce, strict: false, resolvers: Vec::new() },
        }
    }
}
