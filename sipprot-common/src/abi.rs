//! The types in the maps and in the ring buffer.
//!
//! Everything here is `repr(C)` with explicit padding; sizes are asserted below, and a change of any
//! of them asks for a new [`ABI_VERSION`]. Times are nanoseconds of CLOCK_MONOTONIC, ports and
//! numbers are in host order, addresses in network order.

use crate::attempt::Attempts;
use crate::guard::{GuardSet, Service};
use crate::sketch::Page;
use crate::source::Address;

/// Goes into the name of the pin directory: maps of another version are never reused.
pub const ABI_VERSION: u32 = 3;

pub const POLICIES_MAX: u32 = 512;
pub const PORT_SETS_MAX: u32 = 64;
pub const USER_AGENTS_MAX: usize = 64;
/// Bytes of a user agent pattern; longer ones are refused by the configuration.
pub const USER_AGENT_LEN_MAX: usize = 32;
pub const BLOCKS_MAX: u32 = 131_072;
pub const TRUST_MAX: u32 = 65_536;
pub const QUARANTINE_MAX: u32 = 16_384;
pub const CONTAINED_MAX: u32 = 65_536;
pub const SOURCES_MAX: u32 = 131_072;
pub const SOURCE_COUNTS_MAX: u32 = 65_536;
pub const NONCES_MAX: u32 = 131_072;
pub const FLOWS_MAX: u32 = 131_072;
pub const KNOCKS_MAX: u32 = 65_536;
pub const TCP_CONNECTIONS_MAX: u32 = 65_536;
/// Sets of sources that ask something of a guarded service.
pub const GUARD_SETS: u32 = 32_768;
pub const RESOLVERS_MAX: u32 = 4_096;
pub const LIST_MAX: u32 = 2_097_152;
pub const ENDPOINTS_MAX: u32 = 8_192;
/// A bucket per endpoint for all untrusted sources, one for those of them who prove themselves, one
/// for newcomers to the map of sources, and one for the events of the guards.
pub const BUCKETS_MAX: u32 = 2 * POLICIES_MAX + 2;
pub const BUCKET_PROVEN: u32 = POLICIES_MAX;
pub const BUCKET_NEWCOMERS: u32 = 2 * POLICIES_MAX;
pub const BUCKET_GUARD_EVENTS: u32 = 2 * POLICIES_MAX + 1;
/// Bytes of the event ring.
pub const EVENTS_BYTES: u32 = 16 << 20;
/// Two letters of A to Z: the index of a country is `(first - 'A') * 26 + (second - 'A')`.
pub const COUNTRIES: usize = 26 * 26;
/// Stands for "not in the database" in per-country counts.
pub const COUNTRY_UNKNOWN: u32 = COUNTRIES as u32;

/// Marks types that are plain bytes: no padding, no invalid bit patterns.
///
/// # Safety
/// The type must be `repr(C)` or `repr(transparent)`, without padding, bool, enum or reference.
pub unsafe trait Plain: Copy {}

macro_rules! abi {
    ($($type:ty = $size:literal;)*) => {$(
        const _: () = assert!(size_of::<$type>() == $size);
        // SAFETY: repr(C), padding is explicit, and the size assertion above would show any other.
        unsafe impl Plain for $type {}
        // SAFETY: as above; aya asks the same of its keys and values.
        #[cfg(feature = "aya")]
        unsafe impl aya::Pod for $type {}
    )*};
}

abi! {
    Address = 16;
    crate::source::SourceKey = 8;
    Config = 48;
    Policy = 344;
    Rate = 16;
    GuardSet = 64;
    PortSet = 32_768;
    ScopedAddress = 20;
    ListEntry = 16;
    Block = 64;
    BlockKey = 16;
    QuarantineKey = 16;
    Contained = 32;
    Trust = 40;
    Attempts = 96;
    Source = 176;
    Page = 8_192;
    Nonce = 16;
    SourceCounts = 40;
    TcpConnection = 16;
    UserAgents = 4_648;
    UserAgentPattern = 72;
    Counters = 1_024;
    EventCounts = 16;
    EventHeader = 80;
}

/// The one entry of `CONFIG`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Seed of every hash over bytes that an attacker chooses; new whenever the maps are made.
    pub seed: u64,
    /// `CONFIG_*` bits.
    pub flags: u32,
    /// Which scope numbers of the allow and deny tries are in force.
    pub lists_generation: u32,
    /// Likewise for the geo trie.
    pub geo_generation: u32,
    /// Seed of the sketch; new with every start.
    pub sketch_seed: u32,
    /// How often a source may cause an event, and how many at once (as a time).
    pub event_interval_ns: u64,
    pub event_burst_ns: u64,
    /// Another one after each change of `ENDPOINTS`: what was read from it before is forgotten.
    pub endpoints_generation: u32,
    pub pad: u32,
}

/// Remember flows that are opened outward, for geo.
pub const CONFIG_TRACK_FLOWS: u32 = 1;
pub const CONFIG_HAS_ALLOW: u32 = 2;
pub const CONFIG_HAS_DENY: u32 = 4;
pub const CONFIG_HAS_ENDPOINTS: u32 = 8;

/// In the value of an address in `ENDPOINTS`: several endpoints have it, and [`port_key`] says whose a
/// port is.
pub const ENDPOINT_SHARED: u32 = 1 << 31;

/// The key in `ENDPOINTS` of a port of an address that several endpoints have; `policy` is the address's
/// own. It lies among the addresses to which nobody sends (100::/64, RFC 6666).
#[inline(always)]
pub const fn port_key(policy: u32, port: u32) -> Address {
    Address::from_halves(PORT_KEYS, (policy as u64) << 32 | port as u64)
}

/// The first half of all of them.
pub const PORT_KEYS: u64 = 0x0100 << 48;

/// What applies to the packets of one endpoint; index 0 is the host's own.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `MODE_*`.
    pub mode: u8,
    /// `PROTOCOL_*` bits: the transports on which SIP is read.
    pub protocols: u8,
    /// `GEO_*`.
    pub geo_mode: u8,
    /// 1 when this endpoint has dynamic blocks of its own beside the host's.
    pub own_blocks: u8,
    /// A bit per [`crate::policy::Protection`] that only observes.
    pub observe: u32,
    /// Index into `PORT_SETS`.
    pub port_set: u32,
    /// Credentialed requests in 60 s without an acceptance before the source is held.
    pub attempt_limit: u32,
    pub source_interval_ns: u64,
    pub source_burst_ns: u64,
    pub endpoint_interval_ns: u64,
    pub endpoint_burst_ns: u64,
    pub trusted_interval_ns: u64,
    pub trusted_burst_ns: u64,
    pub containment_ns: u64,
    pub containment_max_ns: u64,
    /// A bit per country: those that are denied, or in allow mode those that are let in.
    pub geo_countries: [u64; 11],
    /// A bit per country that is kept out from `geo_from_ns` on: until then its flows are learned.
    pub geo_learning: [u64; 11],
    pub geo_from_ns: u64,
    /// Changes when countries are newly kept out: which side opened an older flow is not known.
    pub geo_epoch: u32,
    /// `SCOPE_*`: what is kept out.
    pub geo_scope: u8,
    /// 1 when what a source asks of its guarded services is counted apart from other endpoints.
    pub own_guards: u8,
    pub pad: [u8; 2],
    /// A bit per protection that is off: the guards have a mode of their own.
    pub off: u32,
    /// Bytes of a DNS answer over UDP and over TCP; 0: any number.
    pub dns_udp_max: u16,
    pub dns_tcp_max: u16,
    /// What one source may ask of a guarded service, by the service's number.
    pub guards: [Rate; 4],
}

/// The times of a bucket, as [`crate::ceiling::take`] wants them. No interval: no limit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub interval_ns: u64,
    pub burst_ns: u64,
}

impl From<(u64, u64)> for Rate {
    fn from((interval_ns, burst_ns): (u64, u64)) -> Self {
        Self { interval_ns, burst_ns }
    }
}

impl Default for Policy {
    fn default() -> Self {
        // SAFETY: Policy is Plain: all zeroes is a value (mode off).
        unsafe { core::mem::zeroed() }
    }
}

pub const MODE_OFF: u8 = 0;
pub const MODE_OBSERVE: u8 = 1;
pub const MODE_ENFORCE: u8 = 2;
pub const PROTOCOL_UDP: u8 = 1;
pub const PROTOCOL_TCP: u8 = 2;
pub const GEO_OFF: u8 = 0;
pub const GEO_DENY: u8 = 1;
pub const GEO_ALLOW: u8 = 2;

/// Four bits per port, port 0 in the lowest bits of the first word: what SIP is spoken there in the
/// lower two, the number of a guarded [`Service`] in the upper two. A port may be of both.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PortSet {
    pub words: [u64; PORT_SET_WORDS],
}

pub const PORT_SET_WORDS: usize = 4096;
pub const PORT_NONE: u8 = 0;
/// SIP in the clear.
pub const PORT_SIP: u8 = 1;
/// SIP over TLS or WebSocket: in the SIP scope, not read.
pub const PORT_SIP_OPAQUE: u8 = 2;
/// The bits of these; those above them are a service's.
pub const PORT_SIP_MASK: u8 = 3;
pub const PORT_SERVICE_SHIFT: u32 = 2;

impl PortSet {
    pub const EMPTY: Self = Self { words: [0; PORT_SET_WORDS] };

    /// `class` is one of `PORT_*`; the port's service stays.
    pub fn set(&mut self, port: u16, class: u8) {
        self.replace(port, PORT_SIP_MASK, class);
    }

    /// What SIP is spoken there stays.
    pub fn guard(&mut self, port: u16, service: Service) {
        self.replace(port, !PORT_SIP_MASK & 15, (service as u8) << PORT_SERVICE_SHIFT);
    }

    fn replace(&mut self, port: u16, mask: u8, bits: u8) {
        let shift = (port & 15) * 4;
        let word = &mut self.words[(port >> 4) as usize];
        *word = (*word & !((mask as u64) << shift)) | ((bits as u64) << shift);
    }

    pub fn get(&self, port: u16) -> u8 {
        self.bits(port) & PORT_SIP_MASK
    }

    pub fn service(&self, port: u16) -> Option<Service> {
        Service::from_number(self.bits(port) >> PORT_SERVICE_SHIFT)
    }

    fn bits(&self, port: u16) -> u8 {
        (self.words[(port >> 4) as usize] >> ((port & 15) * 4)) as u8 & 15
    }
}

/// Key of the tries: a scope, then an address. `prefix_len` counts the scope's 32 bits too.
///
/// The scope is the generation in the upper half and the policy (0 = host) in the lower, so that a
/// whole list is replaced by filling a new generation and switching `Config::lists_generation`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScopedAddress {
    /// Big-endian.
    pub scope: [u8; 4],
    pub address: Address,
}

impl ScopedAddress {
    pub const SCOPE_BITS: u32 = 32;

    #[inline(always)]
    pub const fn new(generation: u32, policy: u32, address: Address) -> Self {
        Self { scope: ((generation << 16) | (policy & 0xffff)).to_be_bytes(), address }
    }
}

/// Value of the allow and deny tries.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListEntry {
    /// 0 = never.
    pub expires_ns: u64,
    /// `SCOPE_*`; allow entries are always `SCOPE_ALL` or `SCOPE_LATER`.
    pub scope: u8,
    pub pad: [u8; 7],
}

/// All traffic of the source.
pub const SCOPE_ALL: u8 = 0;
/// Only traffic to SIP ports. This and what follows are bits: an entry may have several.
pub const SCOPE_SIP: u8 = 1;
/// All traffic, but from `expires_ns` on: whom a change may have cut off is let in unless it is confirmed.
/// No bit of a packet's scopes.
pub const SCOPE_LATER: u8 = 1 << 7;
/// Only traffic to the ports that are guarded as this service.
pub const SCOPE_SSH: u8 = Service::Ssh.scope();
pub const SCOPE_HTTP: u8 = Service::Http.scope();

/// Does what has this scope stop a packet that is of these scopes?
#[inline(always)]
pub const fn covers(scope: u8, packet: u8) -> bool {
    scope == SCOPE_ALL || scope & packet != 0
}

/// A block is the host's (policy 0) or of one endpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    pub source: u64,
    pub policy: u32,
    pub pad: u32,
}

/// A dynamic block. The kernel renews it; the controller writes and tidies it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub started_ns: u64,
    pub expires_ns: u64,
    /// What a renewal gives, from now.
    pub duration_ns: u64,
    /// Of the minute in which SIP requests of the blocked source are counted.
    pub window_start_ns: u64,
    pub window_requests: u32,
    pub renewals: u32,
    pub renewed_ns: u64,
    /// Packets dropped by this block; lost updates between CPUs are accepted.
    pub drops: u64,
    pub scope: u8,
    pub pad: [u8; 7],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuarantineKey {
    pub source: u64,
    pub port: u32,
    pub pad: u32,
}

/// A contained source: SIP only, with a trickle. Stays after its end so that the next one is longer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contained {
    pub until_ns: u64,
    pub next_trickle_ns: u64,
    /// Length of the last containment; the next doubles it.
    pub duration_ns: u64,
    pub drops: u64,
}

/// A trusted source.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    pub ceiling_ns: u64,
    pub events_ns: u64,
    /// `TRUST_*` bits.
    pub flags: u32,
    /// Its own ceiling as packets a second; 0 = the policy's.
    pub rate: u32,
    /// As [`Source::stream_ns`].
    pub stream_ns: u64,
    /// Registered from it: so many times it may fetch what phones fetch.
    pub phones: u32,
    pub pad: u32,
}

/// Some source ports of it are in `QUARANTINE`.
pub const TRUST_QUARANTINED: u32 = 1;

/// What the kernel remembers of an untrusted source that speaks SIP.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Of what proves nothing, and of requests that echo a nonce of the source's own.
    pub ceilings_ns: [u64; 2],
    pub events_ns: u64,
    pub attempts: Attempts,
    /// Credentialed REGISTERs and INVITEs that await their answer, as transaction hashes.
    pub pending: [u32; 8],
    pub pending_next: u32,
    /// SIP payload over TCP since `tcp_start_ns`.
    pub tcp_bytes: u32,
    pub tcp_start_ns: u64,
    /// Bucket of the TCP payload, from and to it, that the controller is told.
    pub stream_ns: u64,
}

impl Source {
    pub const NEW: Self = Self {
        ceilings_ns: [0; 2],
        events_ns: 0,
        attempts: Attempts::NEW,
        pending: [0; 8],
        pending_next: 0,
        tcp_bytes: 0,
        tcp_start_ns: 0,
        stream_ns: 0,
    };
}

/// A nonce that egress sent, by its hash.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nonce {
    /// To whom it went first.
    pub source: u64,
    /// 1 once it went to a second source: it proves nothing any more.
    pub shared: u32,
    pub pad: u32,
}

/// Per-CPU counts of one source, for people; no decision hangs on them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    pub sip: u64,
    pub registers: u64,
    pub credentialed: u64,
    pub dropped: u64,
    pub last_ns: u64,
}

/// A TCP connection to a SIP port: what the endpoint has sent, so that an acknowledgement proves. Or
/// one from here to a name server, of which only `peer_seq` counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpConnection {
    /// First sequence number after the endpoint's SYN.
    pub first_seq: u32,
    /// Next one that the endpoint will send.
    pub next_seq: u32,
    /// First sequence number after the other end's SYN.
    pub peer_seq: u32,
    /// `OPENED_*`: by whom, and how far that has come.
    pub opened: u32,
}

/// By the other end, to a SIP port.
pub const OPENED_INWARD: u32 = 0;
/// By us, to a name server: the SYN has left, `peer_seq` is not known yet.
pub const OPENED_OUTWARD: u32 = 1;
/// As before, and the other end's SYN was acknowledged.
pub const OPENED_WHOLLY: u32 = 2;

/// Listed user agents, lower case, matched without case.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UserAgents {
    pub count: u32,
    /// How many of them are substrings; these come first.
    pub substrings: u32,
    /// Bits by the hash of the first bytes of those that are none: what else begins so.
    pub heads: [u64; 4],
    pub patterns: [UserAgentPattern; USER_AGENTS_MAX],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserAgentPattern {
    pub value: [u64; 4],
    /// All ones where `value` has a byte.
    pub mask: [u64; 4],
    /// `AGENT_*`.
    pub kind: u32,
    /// Bytes of `value`.
    pub length: u32,
}

/// The value begins with the pattern.
pub const AGENT_PREFIX: u32 = 0;
/// The value is the pattern.
pub const AGENT_EXACT: u32 = 1;
/// The pattern is somewhere in the value.
pub const AGENT_SUBSTRING: u32 = 2;

/// Packets by reason, of one policy on one CPU.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Counters {
    /// What happened.
    pub packets: [u64; crate::reason::REASONS_MAX],
    /// What would have been dropped, had the protection not only observed.
    pub observed: [u64; crate::reason::REASONS_MAX],
}

/// Of one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Not sent because its source had its share.
    pub suppressed: u64,
    /// Not sent because the ring was full.
    pub lost: u64,
}

/// Before the first `captured` bytes of the SIP payload.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventHeader {
    pub at_ns: u64,
    /// As on the wire, not canonical.
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
    /// `EVENT_*` kind.
    pub kind: u8,
    /// [`crate::reason::Reason`] by which the packet was counted.
    pub reason: u8,
    /// IP protocol: 6 or 17.
    pub protocol: u8,
    /// `EVENT_FLAG_*` bits.
    pub flags: u8,
    pub policy: u32,
    pub ifindex: u32,
    /// Length of the whole SIP payload.
    pub payload_len: u32,
    pub captured: u32,
    /// Headers with credentials in the packet.
    pub credentials: u32,
    /// Of a TCP connection whose beginning was seen: a number of its own, which only its two ends
    /// know. 0 for any other, and for a segment that doesn't prove to belong to it.
    pub connection: u32,
    /// Of the first captured byte: counted from the connection's first one in this direction, or as
    /// on the wire when `connection` is 0.
    pub sequence: u32,
    pub pad: u32,
}

/// A SIP request over UDP, with its bytes.
pub const EVENT_REQUEST: u8 = 1;
/// A SIP response over UDP, with its bytes.
pub const EVENT_RESPONSE: u8 = 2;
/// The packet was dropped (or would have been); its bytes follow when it was SIP.
pub const EVENT_DROP: u8 = 3;
/// A hold or containment began with this packet.
pub const EVENT_HOLD: u8 = 4;
/// A dynamic block was renewed by this packet.
pub const EVENT_RENEWED: u8 = 5;
/// Something else than SIP on a SIP port; no bytes.
pub const EVENT_NOT_SIP: u8 = 6;
/// TCP payload that passed, whatever it begins with; what is longer than a record comes in several.
pub const EVENT_SEGMENT: u8 = 7;

/// Sent by an endpoint or the host to the world.
pub const EVENT_FLAG_OUTBOUND: u8 = 1;
/// Echoes a nonce that egress sent to this source and to no other.
pub const EVENT_FLAG_NONCE: u8 = 2;
/// Rides a TCP connection in which data was acknowledged both ways.
pub const EVENT_FLAG_TCP: u8 = 4;
/// The protection only observes: the packet passed.
pub const EVENT_FLAG_OBSERVED: u8 = 8;
pub const EVENT_FLAG_TRUSTED: u8 = 16;

/// The names of the maps in the object, at most 15 bytes each.
pub mod maps {
    pub const CONFIG: &str = "CONFIG";
    pub const POLICIES: &str = "POLICIES";
    pub const PORT_SETS: &str = "PORT_SETS";
    pub const ENDPOINTS: &str = "ENDPOINTS";
    pub const ALLOW: &str = "ALLOW";
    pub const DENY: &str = "DENY";
    pub const GEO: &str = "GEO";
    pub const LISTED: &str = "LISTED";
    pub const PLACES: &str = "PLACES";
    pub const STRANGERS: &str = "STRANGERS";
    pub const BLOCKS: &str = "BLOCKS";
    pub const QUARANTINE: &str = "QUARANTINE";
    pub const CONTAINED: &str = "CONTAINED";
    pub const TRUST: &str = "TRUST";
    pub const SOURCES: &str = "SOURCES";
    pub const SKETCH: &str = "SKETCH";
    pub const NONCES: &str = "NONCES";
    pub const REGISTERS: &str = "REGISTERS";
    pub const FLOWS: &str = "FLOWS";
    pub const KNOCKS: &str = "KNOCKS";
    pub const TCP_CONNS: &str = "TCP_CONNS";
    pub const GUARDED: &str = "GUARDED";
    pub const RESOLVERS: &str = "RESOLVERS";
    pub const USER_AGENTS: &str = "USER_AGENTS";
    pub const COUNTERS: &str = "COUNTERS";
    pub const COUNTRIES: &str = "COUNTRIES";
    pub const BUCKETS: &str = "BUCKETS";
    pub const EVENT_COUNTS: &str = "EVENT_COUNTS";
    pub const EVENTS: &str = "EVENTS";
}

/// The programs in the object.
pub const PROGRAM_INGRESS: &str = "sipprot_ingress";
pub const PROGRAM_EGRESS: &str = "sipprot_egress";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_set_keeps_ports_apart() {
        let mut set = Box::new(PortSet::EMPTY);
        set.set(5060, PORT_SIP);
        set.set(5061, PORT_SIP_OPAQUE);
        set.set(65535, PORT_SIP);
        assert_eq!((set.get(5059), set.get(5060), set.get(5061)), (PORT_NONE, PORT_SIP, 2));
        set.set(5060, PORT_NONE);
        assert_eq!((set.get(5060), set.get(5061), set.get(65535)), (PORT_NONE, 2, PORT_SIP));
    }

    #[test]
    fn a_port_may_be_of_sip_and_of_a_service() {
        let mut set = Box::new(PortSet::EMPTY);
        set.guard(443, Service::Http);
        set.set(443, PORT_SIP_OPAQUE);
        set.guard(22, Service::Http);
        set.guard(22, Service::Ssh);
        assert_eq!((set.get(443), set.service(443)), (PORT_SIP_OPAQUE, Some(Service::Http)));
        assert_eq!((set.get(22), set.service(22)), (PORT_NONE, Some(Service::Ssh)));
        assert_eq!((set.get(23), set.service(23)), (PORT_NONE, None));
    }

    #[test]
    fn scopes() {
        let to_ssh = Service::Ssh.scope();
        for (scope, packet, stops) in [
            (SCOPE_ALL, 0, true),
            (SCOPE_ALL, SCOPE_SIP, true),
            (SCOPE_SIP, SCOPE_SIP, true),
            (SCOPE_SIP, to_ssh, false),
            (SCOPE_SSH, to_ssh, true),
            (SCOPE_SSH, 0, false),
            (SCOPE_HTTP, to_ssh, false),
            (SCOPE_HTTP | SCOPE_SSH, to_ssh, true),
        ] {
            assert_eq!(covers(scope, packet), stops, "{scope} {packet}");
        }
    }

    /// The bytes of one event as the kernel writes them; a change here is a change of the ABI.
    #[test]
    fn golden_event_header() {
        assert_eq!(ABI_VERSION, 3);
        assert_eq!(core::mem::offset_of!(EventHeader, source), 8);
        assert_eq!(core::mem::offset_of!(EventHeader, source_port), 40);
        assert_eq!(core::mem::offset_of!(EventHeader, kind), 44);
        assert_eq!(core::mem::offset_of!(EventHeader, policy), 48);
        assert_eq!(core::mem::offset_of!(EventHeader, captured), 60);
        assert_eq!(core::mem::offset_of!(EventHeader, connection), 68);
        assert_eq!(core::mem::offset_of!(EventHeader, sequence), 72);
        assert_eq!(core::mem::offset_of!(Policy, geo_countries), 80);
        assert_eq!(core::mem::offset_of!(Policy, own_guards), 269);
        assert_eq!(core::mem::offset_of!(Policy, guards), 280);
        assert_eq!(core::mem::offset_of!(Trust, phones), 32);
        assert_eq!(core::mem::offset_of!(Block, scope), 56);
        let scoped = ScopedAddress::new(3, 7, Address::from_v4(0xc000_0201));
        assert_eq!(scoped.scope, [0, 3, 0, 7]);
        assert_eq!(scoped.address.low, [0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    }
}
