//! What an endpoint sends: its answers, and the flows that it opens.

use sipprot_common::abi::*;
use sipprot_common::attempt;
use sipprot_common::reason::Reason;
use sipprot_common::source::{SourceKey, Wider};

use super::headers::{self, Packet};
use super::message::passing;
use super::speech::{Kind, Speech};
use super::{FLOW_IDLE_NS, Flow, Model, Passage, Place, TcpConnection};

impl Model {
    /// What an endpoint sends.
    pub(super) fn watch(&mut self, frame: &[u8]) {
        let Ok(packet) = headers::read(frame) else { return };
        if packet.beyond {
            return;
        }
        let local = (packet.source, packet.source_port);
        let remote = (packet.destination, packet.destination_port);
        let flow = (packet.protocol, local, remote);
        self.note_asked(&packet, flow);
        let index = self.endpoint(packet.source, packet.source_port);
        let Some(policy) = self.policy(index) else { return };
        if self.world.track_flows && policy.geo_mode != GEO_OFF {
            self.note_flow(&packet, flow, self.kept_out(&policy, remote.0).is_some());
        }
        if policy.mode == MODE_OFF || self.port_class(index, &packet, local.1) != PORT_SIP {
            return;
        }
        let place = self.note_tcp_sent(&packet, flow);
        if packet.payload.is_empty() {
            return;
        }
        let speech = Speech::of(&packet);
        let flags = EVENT_FLAG_OUTBOUND;
        let passage = Passage {
            packet,
            index,
            policy,
            on_sip: PORT_SIP,
            service: None,
            observed: None,
            flags,
            trickles: false,
            place,
        };
        self.hear_answer(&passage, &speech, remote.0.key());
    }

    /// Opened outward, or kept alive.
    fn note_flow(&mut self, packet: &Packet, flow: Flow, kept_out: bool) {
        let first = packet.tcp.map_or(kept_out, |tcp| tcp.syn && !tcp.ack);
        let knocked = self.knocks.get(&flow).is_some_and(|at| self.now_ns - at < FLOW_IDLE_NS);
        if first && !knocked || self.flows.contains_key(&flow) {
            self.flows.insert(flow, self.now_ns);
        }
    }

    fn note_tcp_sent(&mut self, packet: &Packet, flow: Flow) -> Place {
        let Some(tcp) = packet.tcp else { return Place::default() };
        if tcp.syn && tcp.ack {
            let (first, peer) = (tcp.sequence.wrapping_add(1), tcp.acknowledgement);
            self.connections.insert(flow, TcpConnection { first, next: first, peer });
            return Place::within(None, tcp.sequence, |it| it.first);
        }
        if let Some(connection) = self.connections.get_mut(&flow) {
            let next = tcp.sequence.wrapping_add(packet.payload.len() as u32);
            if !tcp.rst && (next.wrapping_sub(connection.next) as i32) > 0 {
                connection.next = next;
            }
        }
        Place::within(self.connections.get(&flow), tcp.sequence, |it| it.first)
    }

    fn hear_answer(&mut self, passage: &Passage, speech: &Speech, remote: SourceKey) {
        if speech.kind == Kind::Response {
            match speech.status() {
                200..=299 => self.accept(speech, remote),
                401 | 407 => {
                    if let Some(nonce) = speech.given_nonce() {
                        let to = self.nonces.entry(nonce).or_insert(Some(remote));
                        if *to != Some(remote) {
                            *to = None;
                        }
                    }
                }
                _ => {}
            }
        }
        match speech.kind {
            _ if passage.packet.tcp.is_some() => {
                self.tell_stream(passage, speech, passing(speech), remote);
            }
            Kind::Request if speech.is_telling() => {
                self.tell(passage, speech, EVENT_REQUEST, Reason::SipRequest, None);
            }
            Kind::Response if speech.status() >= 200 => {
                self.tell(passage, speech, EVENT_RESPONSE, Reason::SipResponse, None);
            }
            _ => {}
        }
    }

    /// A 2xx to a credentialed REGISTER or INVITE: all is forgiven.
    fn accept(&mut self, speech: &Speech, remote: SourceKey) {
        let Some(source) = self.untrusted.get_mut(&remote) else { return };
        let transaction = speech.transaction();
        let Some(at) = source.pending.iter().position(|pending| *pending == transaction) else {
            return;
        };
        source.pending.remove(at);
        attempt::accept(&mut source.attempts, self.now_ns);
        source.tcp_bytes = 0;
        self.contained.remove(&remote);
        if remote.is_global_v6() {
            for wider in Wider::ALL {
                self.wider.get_mut(&remote.wider(wider)).map(attempt::take_back);
            }
        }
    }
}
