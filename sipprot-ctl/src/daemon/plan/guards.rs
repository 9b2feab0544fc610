//! The guards of the services beside SIP: what the kernel is told of them, and how status shows them.

use std::collections::BTreeMap;

use sipprot_common::abi::{MODE_ENFORCE, MODE_OFF, Policy, PortSet, Rate};
use sipprot_common::ceiling;
use sipprot_common::guard::Service;
use sipprot_common::policy::Protection;

use crate::api::GuardView;
use crate::config::{Config, Endpoint, Guards, Mode, PortRange};
use crate::daemon::core::Core;
use crate::listening;
use tracing::info;

/// Where ssh is if nobody says otherwise: endpoints' own sshd can't be seen from here.
const SSH_PORT: u16 = 22;

const fn protection(service: Service) -> Protection {
    match service {
        Service::Ssh => Protection::Ssh,
        Service::Http => Protection::Http,
        Service::Tftp => Protection::Tftp,
    }
}

/// The mode of each guard, for the host or one endpoint.
pub fn modes(config: &Config, endpoint: Option<&Endpoint>) -> [(Protection, Mode); 4] {
    let mode = |service| {
        let host = config.guards.of(service).mode;
        let mode = endpoint.map_or(host, |endpoint| endpoint.guard_mode(service, config));
        (protection(service), mode)
    };
    let dns = endpoint.map_or(config.guards.dns.mode, |endpoint| endpoint.dns_mode(config));
    let [ssh, http, tftp] = Service::ALL.map(mode);
    [ssh, http, tftp, (Protection::Dns, dns)]
}

/// The bits of the guards that have this mode.
pub fn bits(modes: &[(Protection, Mode)], wanted: Mode) -> u32 {
    let these = modes.iter().filter(|(_, mode)| *mode == wanted);
    these.fold(0, |bits, (protection, _)| bits | protection.bit())
}

/// What one source may ask of the host or of one endpoint, by the service's number.
pub fn rates(config: &Config, endpoint: Option<&Endpoint>) -> [Rate; 4] {
    let mut rates = [Rate::default(); 4];
    for service in Service::ALL {
        let host = config.guards.of(service);
        let (rate, burst) = endpoint
            .map_or((host.rate, host.burst), |endpoint| endpoint.guard_rate(service, config));
        rates[service as usize] = ceiling::times_a_minute(rate, burst).into();
    }
    rates
}

/// The configured ports of each service.
pub fn mark(set: &mut PortSet, guards: &Guards) {
    if guards.ssh.ports.is_empty() {
        set.guard(SSH_PORT, Service::Ssh);
    }
    for service in Service::ALL {
        for range in &guards.of(service).ports {
            (range.first()..=range.last()).for_each(|port| set.guard(port, service));
        }
    }
}

/// What a guard does under a policy, all that bears on it taken together.
fn in_force(policy: &Policy, protection: Protection) -> Mode {
    let bit = protection.bit();
    match policy.mode {
        MODE_OFF => Mode::Off,
        _ if policy.off & bit != 0 => Mode::Off,
        MODE_ENFORCE if policy.observe & bit == 0 => Mode::Enforce,
        _ => Mode::Observe,
    }
}

impl Core {
    /// The host's guards.
    pub(in crate::daemon) fn guard_views(&self) -> Vec<GuardView> {
        let Some(host) = self.plan.policies.first() else { return Vec::new() };
        let guards = &self.config.guards;
        let mut views = Service::ALL.map(|service| {
            let (guard, protection) = (guards.of(service), protection(service));
            let mut ports: Vec<String> = guard.ports.iter().map(PortRange::to_string).collect();
            if service == Service::Ssh && ports.is_empty() {
                let found = self.plan.sshd.iter().flatten().filter(|port| **port != SSH_PORT);
                ports = std::iter::once(&SSH_PORT).chain(found).map(u16::to_string).collect();
            }
            GuardView {
                name: protection.label().to_owned(),
                mode: in_force(host, protection).to_string(),
                ports,
                rate: Some(guard.rate),
                burst: Some(guard.burst),
                bytes_max: None,
            }
        });
        views.sort_by(|left, right| left.name.cmp(&right.name));
        let dns = GuardView {
            name: Protection::Dns.label().to_owned(),
            mode: in_force(host, Protection::Dns).to_string(),
            ports: Vec::new(),
            rate: None,
            burst: None,
            bytes_max: Some(guards.dns.lengths()),
        };
        std::iter::once(dns).chain(views).collect()
    }

    /// The mode of each guard under a policy.
    pub(in crate::daemon) fn guard_modes(&self, policy: &Policy) -> BTreeMap<String, String> {
        let guards = Service::ALL.map(protection).into_iter().chain([Protection::Dns]);
        let shown = |it: Protection| (it.label().to_owned(), in_force(policy, it).to_string());
        guards.map(shown).collect()
    }

    /// An sshd that listens on another port since is guarded there.
    pub(in crate::daemon) fn look_at_sshd(&mut self) {
        if self.plan.sshd.as_ref().is_some_and(|known| *known != listening::sshd()) {
            info!("sshd listens elsewhere");
            self.reload_and_log();
        }
    }
}

#[cfg(test)]
mod tests {
    use sipprot_common::abi::MODE_OBSERVE;

    use super::*;

    #[test]
    fn what_a_guard_does() {
        let ssh = Protection::Ssh.bit();
        let policy = |mode, observe, off| Policy { mode, observe, off, ..Policy::default() };
        let check = |policy, expected| {
            assert_eq!(in_force(&policy, Protection::Ssh), expected, "{policy:?}");
        };
        check(policy(MODE_ENFORCE, 0, 0), Mode::Enforce);
        check(policy(MODE_ENFORCE, Protection::Http.bit(), Protection::Dns.bit()), Mode::Enforce);
        check(policy(MODE_ENFORCE, ssh, 0), Mode::Observe);
        check(policy(MODE_OBSERVE, 0, 0), Mode::Observe);
        check(policy(MODE_OBSERVE, 0, ssh), Mode::Off);
        check(policy(MODE_OFF, ssh, 0), Mode::Off);
    }
}
