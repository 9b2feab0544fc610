//! Scratch space of one CPU and direction.
//!
//! What the packet reader finds is written here and read back: the verifier then knows nothing of it
//! and has one state where it would else have one per combination of headers.

use sipprot_common::abi::{EventHeader, Source};
use sipprot_common::sip::{AgentMatch, Parameter, Scan, Skip, Text, Value};

use crate::packet::{Packet, Quoted};

#[repr(C)]
pub struct Work {
    pub packet: Packet,
    pub quoted: Quoted,
    pub facts: Facts,
    pub place: Place,
    pub skip: Skip,
    pub scan: Scan,
    pub parameter: Parameter,
    pub value: Value,
    pub agent: AgentMatch,
    /// A source that is about to be added.
    pub fresh: Source,
    /// Bucket of all events of this CPU.
    pub events_ns: u64,
    /// Likewise of all sources that are in no map.
    pub strange_events_ns: u64,
    pub event: Event,
}

/// What is known of the packet's SIP.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Facts {
    /// What the tables know of the source, and which entries of the tries go with them.
    pub known: u32,
    pub generation: u32,
    pub now_ns: u64,
    pub seed: u64,
    /// The key under which the source is contained: its own, or that of a wider network; 0 if it isn't.
    pub contained_as: u64,
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
    /// 1: the source was seen in the last minute.
    pub seen: u32,
    /// 1: the source is in no map; nothing is kept of it.
    pub strange: u32,
    /// 1: its TCP payload is to be told.
    pub streams: u32,
    /// 1: one of its user agents is on the list.
    pub listed: u32,
    /// The number of the guarded service that the packet is for; 0 for none.
    pub service: u32,
    /// Bytes of the payload before those in the text, when its segment is told in several records.
    pub told: u32,
}

/// Where a segment's payload stands in its TCP connection: as in [`EventHeader`].
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Place {
    pub connection: u32,
    pub sequence: u32,
}

/// As it goes into the ring: the header and the text behind it.
#[repr(C)]
pub struct Event {
    pub header: EventHeader,
    pub text: Text,
}
