//! The services beside SIP: ceilings of what sources ask of them, and answers that are too long.

use sipprot_common::abi::*;
use sipprot_common::ceiling;
use sipprot_common::guard::{self, Service};
use sipprot_common::policy::Protection;
use sipprot_common::reason::Reason;

use super::headers::{Fragment, Packet};
use super::speech::{Kind, Speech};
use super::told::event;
use super::{Flow, Model, Passage, Place};
use crate::datapath::frame::protocol;

const DNS_PORT: u16 = 53;

impl Model {
    pub(super) fn guard(&mut self, passage: &mut Passage) -> Option<Reason> {
        let is_on = |protection: Protection| passage.policy.off & protection.bit() == 0;
        let reason = if is_on(Protection::Dns) && self.is_oversized(passage) {
            Reason::DnsOversize
        } else {
            let (protection, reason) = match passage.service? {
                Service::Ssh => (Protection::Ssh, Reason::SshCeiling),
                Service::Http => (Protection::Http, Reason::HttpCeiling),
                Service::Tftp => (Protection::Tftp, Reason::TftpCeiling),
            };
            let opens = passage.packet.tcp.is_none_or(|tcp| tcp.syn && !tcp.ack);
            if !is_on(protection) || !opens || !self.is_over_guard(passage) {
                return None;
            }
            reason
        };
        let drops = passage.drops(reason);
        self.sample(passage, reason);
        drops.then_some(reason)
    }

    fn is_over_guard(&mut self, passage: &Passage) -> bool {
        let Some(service) = passage.service else { return false };
        let rate = passage.policy.guards[service as usize];
        let phones = match self.trusted.get(&passage.key()) {
            Some(trust) if service != Service::Ssh => trust.phones.max(1),
            _ => 1,
        };
        if rate.interval_ns == 0 {
            return false;
        }
        let apart = passage.index * u32::from(passage.policy.own_guards);
        let bucket = self.guarded.entry((passage.key(), service, apart)).or_default();
        let interval_ns = rate.interval_ns / u64::from(phones);
        match ceiling::take(*bucket, self.now_ns, interval_ns, rate.burst_ns) {
            Some(next_ns) => *bucket = next_ns,
            None => return true,
        }
        false
    }

    fn is_oversized(&self, passage: &Passage) -> bool {
        let packet = &passage.packet;
        let (udp_max, tcp_max) = (passage.policy.dns_udp_max, passage.policy.dns_tcp_max);
        if packet.source_port != DNS_PORT || (udp_max, tcp_max) == (0, 0) {
            return false;
        }
        let resolvers = &self.world.resolvers;
        if resolvers.iter().any(|network| super::covers(network, packet.literal)) {
            return false;
        }
        match packet.protocol {
            protocol::UDP => {
                let length = match packet.udp_length {
                    0 if packet.fragment == Fragment::First => return true,
                    0 => packet.payload.len(),
                    said => usize::from(said) - 8,
                };
                length > usize::from(udp_max)
            }
            protocol::TCP => {
                let local = (packet.destination, packet.destination_port);
                let remote = (packet.source, packet.source_port);
                let asked = self.asked.get(&(packet.protocol, local, remote));
                let (Some(asked), Some(tcp)) = (asked, packet.tcp) else { return false };
                let Some(first) = asked else { return !packet.payload.is_empty() };
                let at = first.wrapping_sub(tcp.sequence) as usize;
                match packet.payload.get(at..) {
                    None | Some([]) => false,
                    Some([high, low, ..]) => u16::from_be_bytes([*high, *low]) > tcp_max,
                    Some([_]) => true,
                }
            }
            _ => false,
        }
    }

    /// Tells of a packet that is stopped, or would be, now and then.
    fn sample(&mut self, passage: &Passage, reason: Reason) {
        let (interval_ns, burst_ns) = guard::EVENT_TIMES;
        let taken = ceiling::take(self.guard_events_ns, self.now_ns, interval_ns, burst_ns);
        let Some(next_ns) = taken else { return };
        self.guard_events_ns = next_ns;
        let nothing = Speech::silent(Kind::Opaque);
        let (kind, place) = (EVENT_DROP, Place::default());
        self.events.push(event(passage, &nothing, kind, reason, place, &[]));
    }

    /// A connection to a name server, and what we acknowledge of its SYN.
    pub(super) fn note_asked(&mut self, packet: &Packet, flow: Flow) {
        let Some(tcp) = packet.tcp.filter(|_| packet.destination_port == DNS_PORT) else { return };
        match (tcp.syn, tcp.ack, tcp.rst) {
            (true, false, false) => {
                self.asked.insert(flow, None);
            }
            (false, true, false) => {
                if let Some(first @ None) = self.asked.get_mut(&flow) {
                    *first = Some(tcp.acknowledgement);
                }
            }
            _ => {}
        }
    }
}
