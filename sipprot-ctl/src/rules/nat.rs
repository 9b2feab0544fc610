//! Is the world behind a NAT? If most SIP comes from one private or gateway address, that address
//! is everybody's, and no rule may act on it.
//!
//! Being loud is not enough, or a cracker on the local network would earn its impunity: customers'
//! accounts must have been accepted from the address, unless it is known to be a gateway.

use std::net::IpAddr;
use std::time::Duration;

use sipprot_common::source::SourceKey;

use super::time::{MINUTE, Time};

/// Private sources that are counted.
const CANDIDATES_MAX: usize = 64;
/// Fewer requests than these say nothing.
const REQUESTS_MIN: u32 = 100;
const ACCOUNTS_MIN: usize = 3;
const EPOCH: Duration = MINUTE;

struct Candidate {
    source: SourceKey,
    source_ip: IpAddr,
    gateway: bool,
    requests: u32,
    accounts: Vec<u64>,
}

/// Requests of the last minutes, the older ones counting less.
#[derive(Default)]
pub struct Nat {
    total: u32,
    candidates: Vec<Candidate>,
    epoch: Time,
    spared: Option<SourceKey>,
}

impl Nat {
    pub fn spares(&self, source: SourceKey) -> bool {
        self.spared == Some(source)
    }

    /// Everybody's address, if most come from one.
    pub fn spared(&self) -> Option<SourceKey> {
        self.spared
    }

    /// Counts a request from the world.
    pub fn count(&mut self, source_ip: IpAddr, gateway: bool) {
        self.total = self.total.saturating_add(1);
        if !gateway && !is_private(source_ip) {
            return;
        }
        if let Some(candidate) = self.candidate(source_ip) {
            candidate.requests = candidate.requests.saturating_add(1);
            return;
        }
        if self.candidates.len() < CANDIDATES_MAX {
            let (source, accounts) = (SourceKey::from(source_ip), Vec::new());
            let candidate = Candidate { source, source_ip, gateway, requests: 1, accounts };
            self.candidates.push(candidate);
        }
    }

    /// An account was accepted from this address.
    pub fn accepted(&mut self, source_ip: IpAddr, account: u64) {
        if let Some(candidate) = self.candidate(source_ip)
            && candidate.accounts.len() < ACCOUNTS_MIN
            && !candidate.accounts.contains(&account)
        {
            candidate.accounts.push(account);
        }
    }

    fn candidate(&mut self, source_ip: IpAddr) -> Option<&mut Candidate> {
        let source = SourceKey::from(source_ip);
        self.candidates.iter_mut().find(|candidate| candidate.source == source)
    }

    /// Once a minute: who sent most? Returns the address if it is newly spared.
    pub fn settle(&mut self, now: Time) -> Option<IpAddr> {
        if now.since(self.epoch) < EPOCH {
            return None;
        }
        self.epoch = now;
        let before = self.spared;
        let most = self.candidates.iter().find(|candidate| {
            self.total >= REQUESTS_MIN
                && candidate.requests > self.total / 2
                && (candidate.gateway || candidate.accounts.len() >= ACCOUNTS_MIN)
        });
        let found = most.map(|candidate| (candidate.source, candidate.source_ip));
        self.spared = found.map(|(source, _)| source);
        self.total /= 2;
        for candidate in &mut self.candidates {
            candidate.requests /= 2;
        }
        self.candidates.retain(|candidate| candidate.requests > 0);
        found.filter(|(source, _)| before != Some(*source)).map(|(_, source_ip)| source_ip)
    }
}

/// RFC 1918, RFC 6598 and RFC 4193 addresses, and link-local ones.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.to_bits() >> 22 == 0x6440_0000 >> 22;
            v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `loud` sends 150 requests and others 100; `accounts` are accepted from it.
    fn check(loud: &str, gateway: bool, accounts: u64, spared: bool) {
        let loud: IpAddr = loud.parse().unwrap();
        let mut nat = Nat::default();
        for request in 0..250u32 {
            match request % 5 {
                0..3 => nat.count(loud, gateway),
                _ => nat.count(IpAddr::from([192, 0, 2, request as u8]), false),
            }
        }
        (0..accounts).for_each(|account| nat.accepted(loud, account));
        assert_eq!(nat.settle(Time::from_secs(100)), spared.then_some(loud), "{loud}");
        assert_eq!(nat.spares(SourceKey::from(loud)), spared);
    }

    #[test]
    fn only_a_private_or_gateway_address_with_customers_is_spared() {
        check("10.0.0.1", false, 3, true);
        check("100.64.0.1", false, 3, true);
        check("fd00::1", false, 3, true);
        check("10.0.0.1", false, 2, false);
        check("203.0.113.1", false, 9, false);
        check("203.0.113.1", true, 0, true);
    }

    #[test]
    fn it_is_told_once_and_ends_with_the_majority() {
        let mut nat = Nat::default();
        let gateway = IpAddr::from([10, 0, 0, 1]);
        let mut minute = |own: u32, others: u32, now: u64| {
            (0..own).for_each(|_| nat.count(gateway, true));
            (0..others).for_each(|_| nat.count(IpAddr::from([192, 0, 2, 1]), false));
            let told = nat.settle(Time::from_secs(now)).is_some();
            (told, nat.spares(SourceKey::from(gateway)))
        };
        assert_eq!(minute(200, 0, 100), (true, true));
        assert_eq!(minute(200, 10, 160), (false, true));
        assert_eq!(minute(10, 900, 220), (false, false));
    }
}
