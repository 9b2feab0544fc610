//! What was seen, in the words of the judgement. Where it came from (kernel events, a capture, a
//! PBX's log) is not known here; whoever translates packets into observations lives elsewhere.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sipprot_common::reason::Reason;

use super::account::Account;
use super::proof::Proof;
use super::time::Time;

/// A protected endpoint by its number in the policy table; 0 is the host itself.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EndpointId(pub u16);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// From the world to an endpoint.
    Inbound,
    /// From an endpoint to the world.
    Outbound,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    Udp,
    Tcp,
}

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Register,
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Subscribe,
    Notify,
    Publish,
    Message,
    Refer,
    Info,
    Prack,
    Update,
    Other,
}

impl Method {
    /// Methods are case-sensitive (RFC 3261 7.1).
    pub fn from_bytes(name: &[u8]) -> Self {
        match name {
            b"REGISTER" => Self::Register,
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"PUBLISH" => Self::Publish,
            b"MESSAGE" => Self::Message,
            b"REFER" => Self::Refer,
            b"INFO" => Self::Info,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            _ => Self::Other,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "REGISTER",
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Publish => "PUBLISH",
            Self::Message => "MESSAGE",
            Self::Refer => "REFER",
            Self::Info => "INFO",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Other => "OTHER",
        }
    }
}

/// What an Authorization or Proxy-Authorization header says (RFC 3261 22.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    pub username: String,
    pub realm: String,
    pub nonce_hash: u64,
    /// Of the digest response, and of whatever else changes it (nc, cnonce, uri).
    pub response_hash: u64,
    /// The response is missing or empty: a client that only asks to be challenged.
    pub response_empty: bool,
}

/// A WWW-Authenticate or Proxy-Authenticate header of a 401 or 407.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    pub realm: String,
    pub stale: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub at: Time,
    pub direction: Direction,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub endpoint: EndpointId,
    pub transport: Transport,
    pub method: Method,
    pub call_id: String,
    pub cseq: u32,
    pub branch: String,
    /// `user@host` of To for a REGISTER, of From otherwise.
    pub account: Account,
    pub credentials: Option<Credentials>,
    /// The message was cut before its headers ended: it may have more credentials than were seen.
    pub cut: bool,
    pub user_agent: Option<Arc<str>>,
    pub proof: Proof,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub at: Time,
    /// Outbound: the PBX's answer to the world.
    pub direction: Direction,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub endpoint: EndpointId,
    pub transport: Transport,
    pub status: u16,
    /// Number and method of CSeq.
    pub cseq: u32,
    pub method: Method,
    pub call_id: String,
    /// Of the topmost Via.
    pub branch: String,
    pub challenge: Option<Challenge>,
}

/// What a line of a log says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Told {
    SshFailed,
    SshAccepted,
    /// A folder was asked for that only scanners ask for.
    HttpScan,
    /// Nothing is there, or nothing for strangers.
    HttpMissed,
    /// An account's password, or the account itself, was wrong.
    SipRejected,
    SipAccepted,
}

impl Told {
    /// The word of filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SshFailed => "ssh_failed",
            Self::SshAccepted => "ssh_accepted",
            Self::HttpScan => "http_scan",
            Self::HttpMissed => "http_missed",
            Self::SipRejected => "sip_rejected",
            Self::SipAccepted => "sip_accepted",
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose word a log is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Speaker {
    /// The host's own.
    Host,
    /// A tenant's: it acts for this endpoint alone.
    Tenant(EndpointId),
    /// Of a log that is only watched.
    Watched,
}

/// Where a failure was read.
#[derive(PartialEq, Eq, Debug)]
pub struct LogLine {
    pub speaker: Speaker,
    /// `name of the log: what it said`, fit to be shown.
    pub text: String,
}

/// Something that a log told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logged {
    pub at: Time,
    pub told: Told,
    /// Port 0 where the log doesn't say.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub endpoint: EndpointId,
    pub carrier: Carrier,
    pub method: Option<Method>,
    pub status: Option<u16>,
    pub account: Option<Account>,
    pub times: u32,
    pub line: Arc<LogLine>,
}

/// By what a request came that a log tells of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// Not said, or UDP: whoever sent it may have forged the source.
    Unproven,
    /// Plain TCP: the wire shows it, too.
    Stream,
    /// TLS, WebSocket, ssh, http: a connection that stood, and that the wire tells nothing of.
    Hidden,
}

/// What the kernel did, or saw, by itself.
///
/// The reasons that mean something to the judgement: `UserAgent` (a listed agent dropped),
/// `NotSip` (passed, but no SIP), `Held` and `Contained` (the attempt window is at its limit; or
/// packets dropped since), `Blocked` (only when the kernel renewed the block, a real attack that
/// goes on). All others only show in the source's standing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelDrop {
    pub at: Time,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub endpoint: EndpointId,
    pub reason: Reason,
    pub user_agent: Option<Arc<str>>,
    /// How many packets since the last such observation.
    pub count: u32,
    pub proof: Proof,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Observation {
    Request(Request),
    Response(Response),
    KernelDrop(KernelDrop),
    Logged(Logged),
    /// Time goes by: to be given at least once a second, for what is due by then.
    Tick {
        at: Time,
    },
}

impl Observation {
    pub const fn at(&self) -> Time {
        match self {
            Self::Request(request) => request.at,
            Self::Response(response) => response.at,
            Self::KernelDrop(drop) => drop.at,
            Self::Logged(logged) => logged.at,
            Self::Tick { at } => *at,
        }
    }
}
