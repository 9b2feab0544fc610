//! What a payload says: the shared scanner's findings as ordinary values.

use sipprot_common::sip::{
    AgentMatch, Agents, CAPACITY, Header, Method, Parameter, Scan, Start, Text, Value, start, value,
};

use super::headers::{Fragment, Packet};
use crate::datapath::World;
use crate::datapath::frame::protocol;
use crate::datapath::world::SEED;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Request,
    Response,
    Keepalive,
    Segment,
    NotSip,
    /// Of a TLS or WebSocket port: not read.
    Opaque,
}

pub struct Speech {
    pub kind: Kind,
    pub method: Method,
    pub credentials: u32,
    pub captured: u32,
    /// Its headers go on behind what was read.
    pub cut: bool,
    text: Box<Text>,
    scan: Scan,
}

impl Speech {
    /// Reads what a packet says.
    pub fn of(packet: &Packet) -> Self {
        let (payload, several) = (packet.payload, packet.protocol == protocol::TCP);
        let fragmented = packet.fragment == Fragment::First;
        let mut speech = Self::silent(Kind::Keepalive);
        if payload.is_empty() {
            if fragmented {
                (speech.kind, speech.credentials, speech.cut) = (Kind::Request, 1, true);
            }
            return speech;
        }
        speech.captured = speech.text.fill(payload);
        let at =
            payload.iter().take(CAPACITY).take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
                as u32;
        let begins = start::classify(&speech.text, at, speech.captured);
        speech.scan.run(&speech.text, speech.captured, several);
        let cut = fragmented || payload.len() > CAPACITY;
        speech.cut = speech.scan.supposes_credentials(cut);
        speech.credentials = speech.scan.credentials;
        let version = start::has_version(&speech.text, speech.scan.first_line_end);
        let credentialed = speech.credentials != 0;
        (speech.kind, speech.method) = match begins {
            Start::Request(method) => (Kind::Request, method),
            Start::Response => (Kind::Response, Method::Other),
            Start::Token | Start::NotSip if several => (Kind::Segment, Method::Other),
            Start::Token if version => (Kind::Request, Method::Other),
            // Whatever has credentials is taken for a request: what a PBX makes of it is unknown.
            _ if credentialed => (Kind::Request, Method::Other),
            Start::Keepalive => (Kind::Keepalive, Method::Other),
            _ => (Kind::NotSip, Method::Other),
        };
        speech
    }

    /// What is not read at all.
    pub fn silent(kind: Kind) -> Self {
        Self {
            kind,
            method: Method::Other,
            credentials: 0,
            captured: 0,
            cut: false,
            text: Box::new(Text::EMPTY),
            scan: Scan::default(),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.text.bytes[..self.captured as usize]
    }

    pub fn status(&self) -> u32 {
        start::status(&self.text, start::leading(&self.text))
    }

    pub fn lists_agent(&self, world: &World) -> bool {
        let (text, length, scan) = (&*self.text, self.captured, &self.scan);
        AgentMatch::default().listed(&Agents { text, length, scan, list: &world.agents() })
    }

    /// Requests whose outcome matters.
    pub fn is_telling(&self) -> bool {
        use Method::*;
        !matches!(self.method, Ack | Bye | Cancel | Prack | Update | Info | Notify)
    }

    fn parameter(&self, header: Header, name: &'static [u8]) -> Option<u64> {
        let place = self.scan.place(header)?;
        let at = Parameter::default().find(&self.text, place, self.captured, name)?;
        Some(Value::default().hash(&self.text, at, self.captured, SEED))
    }

    /// Stands for the nonce that a request echoes.
    pub fn echoed_nonce(&self) -> Option<u64> {
        let of = |header| self.scan.place(header).map(|_| header);
        let header = of(Header::Authorization).or_else(|| of(Header::ProxyAuthorization))?;
        self.parameter(header, b"nonce")
    }

    /// Stands for the nonce that a response hands out.
    pub fn given_nonce(&self) -> Option<u64> {
        let of = |header| self.scan.place(header).map(|_| header);
        let header = of(Header::WwwAuthenticate).or_else(|| of(Header::ProxyAuthenticate))?;
        self.parameter(header, b"nonce")
    }

    fn line(&self, header: Header) -> Vec<u8> {
        let Some(place) = self.scan.place(header) else { return Vec::new() };
        let from = value::skip(&self.text, place) as usize;
        let rest = self.bytes().get(from..).unwrap_or_default();
        rest.iter().copied().take_while(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect()
    }

    /// By what a response finds its request: branch, Call-ID and CSeq.
    pub fn transaction(&self) -> (Option<u64>, Vec<u8>, Vec<u8>) {
        let branch = self.parameter(Header::Via, b"branch");
        (branch, self.line(Header::CallId), self.line(Header::CSeq))
    }
}
