//! Scratch space of one CPU and direction.
//!
//! What the packet reader finds is written here and read back: the verifier then knows nothing of it
//! and has one state where it would else have one per combination of headers.

use sipprot_common::abi::{EventHeader, Source};
use sipprot_common::sip::{AgentMatch, Parameter, Scan, Skip, Text, Value};
use sipprot_common::source::Address;

use crate::packet::Quoted;

#[repr(C)]
pub struct Work {
    pub packet: Packet,
    pub quoted: Quoted,
    pub facts: Facts,
    pub skip: Skip,
    pub scan: Scan,
    pub parameter: Parameter,
    pub value: Value,
    pub agent: AgentMatch,
    /// A source that is about to be added.
    pub fresh: Source,
    /// Bucket of all events of this CPU.
    pub events_ns: u64,
    pub event: Event,
}

/// What the headers below SIP say.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Packet {
    /// Canonical: what counting, blocking and denying go by.
    pub source: Address,
    /// As on the wire: what allowing goes by.
    pub source_literal: Address,
    pub destination: Address,
    pub source_key: u64,
    pub protocol: u32,
    /// [`NOT_FRAGMENTED`], [`FIRST_FRAGMENT`] or [`LATER_FRAGMENT`].
    pub fragment: u32,
    /// Offset of the transport header from the frame's start.
    pub transport: u32,
    pub source_port: u32,
    pub destination_port: u32,
    pub payload: u32,
    pub payload_len: u32,
    pub tcp_flags: u32,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub icmp_type: u32,
    /// 1: more IPv6 extension headers than are followed; only the addresses are known.
    pub beyond: u32,
}

pub const NOT_FRAGMENTED: u32 = 0;
pub const FIRST_FRAGMENT: u32 = 1;
pub const LATER_FRAGMENT: u32 = 2;

/// What is known of the packet's SIP.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Facts {
    pub now_ns: u64,
    pub seed: u64,
    /// Hash of the nonce in the first credentials, when `nonce_seen`.
    pub nonce: u64,
    pub nonce_seen: u32,
    pub policy: u32,
    pub observed: u32,
    pub start: u32,
    pub captured: u32,
    pub method: u32,
    pub event_kind: u32,
    pub event_flags: u32,
    /// 1: the source is held already, by a protection that only observes.
    pub held: u32,
    /// 1: passes a containment, or would if there were one.
    pub trickles: u32,
    /// Of a response.
    pub status: u32,
    /// 1: its headers go on behind what was read.
    pub cut: u32,
    pub pad: u32,
}

/// As it goes into the ring: the header and the text behind it.
#[repr(C)]
pub struct Event {
    pub header: EventHeader,
    pub text: Text,
}
