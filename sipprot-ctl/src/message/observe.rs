//! From a packet's event to what the rules want to know.

use std::net::SocketAddr;
use std::sync::Arc;

use sipprot_common::abi::{
    EVENT_DROP, EVENT_FLAG_NONCE, EVENT_FLAG_OUTBOUND, EVENT_FLAG_TCP, EVENT_HOLD, EVENT_NOT_SIP,
    EVENT_RENEWED, EventHeader,
};
use sipprot_common::reason::Reason;
use sipprot_common::{hash, sip};

use super::{Message, Reader, StartLine};
use crate::rules::{
    Account, Challenge, Credentials, Direction, EndpointId, KernelDrop, Method, Observation, Proof,
    Request, Response, Time, Transport,
};

const TCP: u8 = 6;

/// An event's header and the bytes behind it, with its time on the wall clock.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    pub header: &'a EventHeader,
    pub payload: &'a [u8],
    pub at: Time,
}

/// What this packet says: one observation per message, or what the kernel did with it.
pub fn observations(reader: &mut Reader, packet: &Packet) -> Vec<Observation> {
    let header = packet.header;
    let reason = match header.kind {
        EVENT_RENEWED => Some(Reason::Blocked),
        EVENT_NOT_SIP => Some(Reason::NotSip),
        EVENT_DROP | EVENT_HOLD => Reason::from_number(header.reason),
        _ => None,
    };
    let messages = reader.read(packet.payload, header.protocol == TCP);
    match reason {
        Some(reason) => vec![packet.dropped(reason, messages)],
        None => messages.into_iter().map(|message| packet.seen(message)).collect(),
    }
}

impl Packet<'_> {
    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(self.header.source.to_ip(), self.header.source_port)
    }

    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.header.destination.to_ip(), self.header.destination_port)
    }

    pub fn endpoint(&self) -> EndpointId {
        EndpointId(self.header.policy as u16)
    }

    fn direction(&self) -> Direction {
        match self.header.flags & EVENT_FLAG_OUTBOUND {
            0 => Direction::Inbound,
            _ => Direction::Outbound,
        }
    }

    fn transport(&self) -> Transport {
        if self.header.protocol == TCP { Transport::Tcp } else { Transport::Udp }
    }

    fn proof(&self) -> Proof {
        match self.header.flags {
            flags if flags & EVENT_FLAG_NONCE != 0 => Proof::Nonce,
            flags if flags & EVENT_FLAG_TCP != 0 => Proof::Tcp,
            _ => Proof::None,
        }
    }

    /// What the kernel did with this packet.
    pub fn dropped(&self, reason: Reason, messages: Vec<Message>) -> Observation {
        let agent = messages.into_iter().find_map(|message| message.user_agent);
        Observation::KernelDrop(KernelDrop {
            at: self.at,
            source: self.source(),
            destination: self.destination(),
            endpoint: self.endpoint(),
            reason,
            user_agent: agent.map(Arc::from),
            count: 1,
            proof: self.proof(),
        })
    }

    /// What one message of this packet says.
    pub fn seen(&self, message: Message) -> Observation {
        match message.start {
            StartLine::Request => Observation::Request(self.request(message)),
            StartLine::Response(status) => Observation::Response(self.response(message, status)),
        }
    }

    fn request(&self, message: Message) -> Request {
        Request {
            at: self.at,
            direction: self.direction(),
            source: self.source(),
            destination: self.destination(),
            endpoint: self.endpoint(),
            transport: self.transport(),
            method: method(message.method),
            account: account(&message),
            credentials: credentials(&message),
            cut: !message.complete,
            call_id: message.call_id,
            cseq: message.cseq,
            branch: message.branch,
            user_agent: message.user_agent.map(Arc::from),
            proof: self.proof(),
        }
    }

    fn response(&self, message: Message, status: u16) -> Response {
        let asked = matches!(status, 401 | 407);
        Response {
            at: self.at,
            direction: self.direction(),
            source: self.source(),
            destination: self.destination(),
            endpoint: self.endpoint(),
            transport: self.transport(),
            status,
            cseq: message.cseq,
            method: method(message.method),
            challenge: message.challenges.first().filter(|_| asked).map(|first| Challenge {
                realm: first.realm.clone(),
                stale: message.challenges.iter().any(|challenge| challenge.stale),
            }),
            call_id: message.call_id,
            branch: message.branch,
        }
    }
}

fn account(message: &Message) -> Account {
    match message.account() {
        Some(identity) => Account::new(&identity.user, &identity.host),
        None => Account::new("", ""),
    }
}

/// A request may answer several realms; the one that tries a password is the one that matters.
fn credentials(message: &Message) -> Option<Credentials> {
    let all = &message.credentials;
    let one = all.iter().find(|one| one.response.is_some()).or(all.first())?;
    Some(Credentials {
        username: one.username.clone(),
        realm: one.realm.clone(),
        nonce_hash: one.nonce.unwrap_or_default(),
        response_hash: hash::fold(one.response.unwrap_or_default(), one.header),
        response_empty: one.response.is_none(),
    })
}

fn method(method: sip::Method) -> Method {
    Method::from_bytes(method.name().as_bytes())
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
