//! Who is protected, when nobody said: whoever answers on a SIP port.
//!
//! A trunk answers on its SIP port too, but only to the PBX; the PBX answers to many. So those who
//! answer are taken in the order of how many they answer to, and whoever only talks with one that
//! was taken already is its peer.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use sipprot_common::source::Address;

use super::packet::Packet;
use crate::config::PortRange;

/// Bounds against captures full of forged answers.
const ANSWERERS_MAX: usize = 65_536;
const PEERS_MAX: usize = 4_096;

#[derive(Default)]
struct Answerer {
    to: HashSet<IpAddr>,
    challenges: u32,
    answers: u32,
    /// When it first answered, for the order of equals.
    number: usize,
}

/// Collects who answers.
#[derive(Default)]
pub struct Guess {
    answerers: HashMap<IpAddr, Answerer>,
}

impl Guess {
    pub fn note(&mut self, packet: &Packet, ports: &[PortRange]) {
        // An answer over TCP may leave in pieces of any size; that a connection was accepted is one.
        let accepts = packet.tcp.is_some_and(|tcp| tcp.syn && tcp.ack);
        let status = packet.payload.strip_prefix(b"SIP/2.0 ");
        if status.is_none() && !accepts
            || !ports.iter().any(|range| range.contains(packet.source.port()))
        {
            return;
        }
        let [from, to] =
            [packet.source, packet.destination].map(|end| Address::from(end.ip()).to_ip());
        let number = self.answerers.len();
        if number >= ANSWERERS_MAX && !self.answerers.contains_key(&from) {
            return;
        }
        let answerer =
            self.answerers.entry(from).or_insert_with(|| Answerer { number, ..Default::default() });
        if answerer.to.len() < PEERS_MAX {
            answerer.to.insert(to);
        }
        answerer.answers = answerer.answers.saturating_add(1);
        if status.is_some_and(|it| it.starts_with(b"401") || it.starts_with(b"407")) {
            answerer.challenges = answerer.challenges.saturating_add(1);
        }
    }

    pub fn endpoints(self) -> Vec<IpAddr> {
        let mut answerers: Vec<(IpAddr, Answerer)> = self.answerers.into_iter().collect();
        answerers.sort_by_key(|(_, it)| {
            let most = (it.to.len(), it.challenges, it.answers);
            (std::cmp::Reverse(most), it.number)
        });
        let mut taken: Vec<(IpAddr, HashSet<IpAddr>)> = Vec::new();
        for (address, answerer) in answerers {
            let is_peer = taken
                .iter()
                .any(|(endpoint, to)| to.contains(&address) || answerer.to.contains(endpoint));
            if !is_peer {
                taken.push((address, answerer.to));
            }
        }
        taken.into_iter().map(|(address, _)| address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answers: &[(&str, &str, &str)], expected: &[&str]) {
        let mut guess = Guess::default();
        for (from, to, status) in answers {
            let payload = format!("SIP/2.0 {status}");
            let packet = Packet {
                source: from.parse().unwrap(),
                destination: to.parse().unwrap(),
                tcp: None,
                payload: payload.as_bytes(),
                missing: 0,
            };
            guess.note(&packet, &[PortRange::one(5060)]);
        }
        let found: Vec<String> = guess.endpoints().iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_pbx_and_not_its_trunk() {
        let (pbx, trunk) = ("192.0.2.11:5060", "203.0.113.130:5060");
        let (office, cracker) = ("203.0.113.7:20000", "198.51.100.66:5060");
        check(
            &[
                (trunk, pbx, "200 OK"),
                (trunk, pbx, "200 OK"),
                (pbx, office, "401 Unauthorized"),
                (pbx, cracker, "401 Unauthorized"),
            ],
            &["192.0.2.11"],
        );
        check(
            &[(pbx, trunk, "200 OK"), (trunk, pbx, "200 OK"), (pbx, trunk, "401 U")],
            &["192.0.2.11"],
        );
    }

    #[test]
    fn several_pbxs_and_nobody_elsewhere() {
        let (one, two) = ("192.0.2.11:5060", "[2001:db8:c::12]:5060");
        let (v4, v6) = ("198.51.100.66:5060", "[2001:db8:a00::66]:5060");
        check(&[(one, v4, "401 U"), (two, v6, "404 N")], &["192.0.2.11", "2001:db8:c::12"]);
        check(&[("192.0.2.11:40000", v4, "200 OK")], &[]);
    }
}
