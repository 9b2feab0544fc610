//! The way of a packet on the host: the same decisions by other means.
//!
//! Headers come from etherparse, maps are ordinary collections, hashes are the things themselves.
//! What `sipprot-common` decides for the kernel it decides here too; the order of the decisions and
//! everything around them is written a second time, from the design.

mod headers;
mod speech;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use anyhow::Result;
use sipprot_common::abi::{self, *};
use sipprot_common::attempt::{self, Verdict};
use sipprot_common::block;
use sipprot_common::ceiling;
use sipprot_common::containment;
use sipprot_common::policy::{Action, action, geo_drops};
use sipprot_common::reason::{Class, Reason};
use sipprot_common::sip::Method;
use sipprot_common::source::{Address, SourceKey};

use self::headers::{End, Fragment, Packet};
use self::speech::{Kind, Speech};
use super::frame::protocol;
use super::tally::Tally;
use super::world::{self, GEO_GENERATION, LISTS_GENERATION, Listing, Seconds, World};
use super::{Datapath, Event};

const SECOND_NS: u64 = 1_000_000_000;
const FLOW_IDLE_NS: u64 = 300 * SECOND_NS;

type Flow = (u8, End, End);
type Transaction = (Option<u64>, Vec<u8>, Vec<u8>);

/// What is remembered of an untrusted source.
#[derive(Default)]
struct Untrusted {
    ceiling_ns: u64,
    events_ns: u64,
    attempts: attempt::Attempts,
    recent: VecDeque<Vec<u8>>,
    pending: VecDeque<Transaction>,
    tcp_bytes: usize,
    tcp_start_ns: u64,
}

struct TcpConnection {
    first: u32,
    next: u32,
}

pub struct Model {
    world: World,
    start_ns: u64,
    now_ns: u64,
    blocks: HashMap<(SourceKey, u32), Block>,
    contained: HashMap<SourceKey, Contained>,
    trusted: HashMap<SourceKey, Trust>,
    untrusted: HashMap<SourceKey, Untrusted>,
    /// To whom a nonce went: `None` when to several.
    nonces: HashMap<u64, Option<SourceKey>>,
    flows: HashMap<Flow, u64>,
    connections: HashMap<Flow, TcpConnection>,
    buckets: HashMap<u32, u64>,
    tally: Tally,
    events: Vec<Event>,
    suppressed: u64,
}

/// One packet on its way.
struct Passage<'a> {
    packet: Packet<'a>,
    index: u32,
    policy: abi::Policy,
    on_sip: u8,
    observed: Option<Reason>,
    flags: u8,
    trickles: bool,
}

impl Passage<'_> {
    fn key(&self) -> SourceKey {
        self.packet.source.key()
    }

    /// Does the policy drop for this reason? The first reason that it only observes is noted.
    fn drops(&mut self, reason: Reason) -> bool {
        match action(self.policy.mode, self.policy.observe, reason) {
            Action::Drop => true,
            Action::Observe => {
                self.observed.get_or_insert(reason);
                false
            }
            Action::Pass => false,
        }
    }
}

impl Model {
    pub fn load(world: &World) -> Self {
        // Any moment long after boot.
        let start_ns = 1_000_000 * SECOND_NS;
        let at = |seconds: Seconds| start_ns.saturating_add_signed(seconds * 1_000_000_000);
        let blocks = world.blocks.iter().map(|block| {
            let value = Block {
                started_ns: at(block.started),
                expires_ns: at(block.expires),
                duration_ns: block.duration as u64 * SECOND_NS,
                scope: block.scope,
                ..Block::default()
            };
            ((block.source, block.policy), value)
        });
        let contained = world.contained.iter().map(|(source, until)| {
            (*source, Contained { until_ns: at(*until), ..Contained::default() })
        });
        let trusted = world.trusted.iter().map(|(source, rate)| {
            let flags = world.trust_flags(*source);
            (*source, Trust { flags, rate: *rate, ..Trust::default() })
        });
        Self {
            start_ns,
            now_ns: start_ns,
            blocks: blocks.collect(),
            contained: contained.collect(),
            trusted: trusted.collect(),
            untrusted: HashMap::new(),
            nonces: HashMap::new(),
            flows: HashMap::new(),
            connections: HashMap::new(),
            buckets: HashMap::new(),
            tally: Tally::default(),
            events: Vec::new(),
            suppressed: 0,
            world: world.clone(),
        }
    }

    fn at(&self, seconds: Seconds) -> u64 {
        self.start_ns.saturating_add_signed(seconds * 1_000_000_000)
    }

    fn policy(&self, index: u32) -> Option<abi::Policy> {
        if self.world.policies_max.is_some_and(|most| index >= most) {
            return None;
        }
        let found = self.world.policies.iter().find(|policy| policy.index == index);
        Some(found.map_or(abi::Policy::default(), |policy| policy.abi))
    }

    fn port_class(&self, index: u32, packet: &Packet, port: u16) -> u8 {
        let Some(policy) = self.world.policies.iter().find(|policy| policy.index == index) else {
            return PORT_NONE;
        };
        let transport = match packet.protocol {
            protocol::UDP => PROTOCOL_UDP,
            protocol::TCP => PROTOCOL_TCP,
            _ => return PORT_NONE,
        };
        if policy.abi.protocols & transport == 0
            || packet.fragment == Fragment::Later
            || packet.beyond
        {
            return PORT_NONE;
        }
        let sets = policy.ports.iter().rev();
        sets.clone().find(|(range, _)| range.contains(&port)).map_or(PORT_NONE, |(_, class)| *class)
    }

    fn endpoint(&self, address: Address) -> u32 {
        let found = self.world.endpoints.iter().filter(|(network, _)| covers(network, address));
        found.max_by_key(|(network, _)| world::prefix(network).1).map_or(0, |(_, index)| *index)
    }

    /// Counts the packet; returns its reason.
    fn pass_through(&mut self, frame: &[u8]) -> Reason {
        let packet = match headers::read(frame) {
            Ok(packet) => packet,
            Err(fault) => {
                self.tally.count(0, fault, None);
                return fault;
            }
        };
        let index = self.endpoint(packet.destination);
        let Some(policy) = self.policy(index) else {
            self.tally.count(0, Reason::LookupFailed, None);
            return Reason::LookupFailed;
        };
        let on_sip = self.port_class(index, &packet, packet.destination_port);
        let mut passage =
            Passage { packet, index, policy, on_sip, observed: None, flags: 0, trickles: false };
        let reason = self.judge(&mut passage);
        self.tally.count(index, reason, passage.observed);
        reason
    }

    fn judge(&mut self, passage: &mut Passage) -> Reason {
        if passage.policy.mode == MODE_OFF {
            return Reason::Off;
        }
        if self.is_control(&passage.packet) {
            return Reason::Control;
        }
        if let Some(reason) = self.by_source(passage) {
            return reason;
        }
        if passage.packet.beyond {
            return Reason::TooManyHeaders;
        }
        if passage.packet.fragment == Fragment::Later {
            return Reason::LaterFragment;
        }
        match passage.on_sip {
            PORT_NONE => Reason::Other,
            class => self.by_message(passage, class),
        }
    }

    fn is_control(&self, packet: &Packet) -> bool {
        let Some(icmp_type) = packet.icmp_type else { return false };
        let neighbour_discovery = packet.protocol == protocol::ICMPV6 && packet.ipv6;
        if neighbour_discovery && (133..=137).contains(&icmp_type) {
            return true;
        }
        let error = match packet.protocol {
            protocol::ICMP => matches!(icmp_type, 3 | 11 | 12),
            _ => (1..=4).contains(&icmp_type),
        };
        if !error || !self.world.track_flows {
            return false;
        }
        let Some((number, local_port, remote)) = headers::quoted_flow(packet) else {
            return false;
        };
        self.is_live(&(number, (packet.destination, local_port), remote))
    }

    fn is_live(&self, flow: &Flow) -> bool {
        self.flows.get(flow).is_some_and(|seen_ns| self.now_ns - seen_ns < FLOW_IDLE_NS)
    }

    /// The entry with the longest prefix, of the host's list or else of the endpoint's own.
    fn is_listed(&self, list: &[Listing], address: Address, index: u32, on_sip: bool) -> bool {
        [0, index].iter().any(|policy| {
            let of_scope = |listing: &&Listing| {
                listing.policy == *policy && listing.generation == LISTS_GENERATION
            };
            let covering = list
                .iter()
                .filter(of_scope)
                .filter(|listing| covers(&listing.network, address))
                .max_by_key(|listing| world::prefix(&listing.network).1);
            covering.is_some_and(|listing| {
                (on_sip || listing.scope == SCOPE_ALL)
                    && listing.expires.is_none_or(|seconds| self.now_ns < self.at(seconds))
            })
        })
    }

    /// Allow, deny, block, geo.
    fn by_source(&mut self, passage: &mut Passage) -> Option<Reason> {
        let (index, on_sip) = (passage.index, passage.on_sip != PORT_NONE);
        let (literal, source) = (passage.packet.literal, passage.packet.source);
        if self.is_listed(&self.world.allow, literal, index, true) {
            return Some(Reason::Allowed);
        }
        if self.is_listed(&self.world.deny, source, index, on_sip) && passage.drops(Reason::Denied)
        {
            return Some(Reason::Denied);
        }
        if let Some(key) = self.block_in_force(passage)
            && passage.drops(Reason::Blocked)
        {
            self.hit_block(passage, key);
            return Some(Reason::Blocked);
        }
        (self.is_kept_out(passage) && passage.drops(Reason::Geo)).then_some(Reason::Geo)
    }

    fn block_in_force(&self, passage: &Passage) -> Option<(SourceKey, u32)> {
        let own = (passage.policy.own_blocks != 0).then_some(passage.index);
        let keys = [Some(0), own].into_iter().flatten().map(|index| (passage.key(), index));
        keys.into_iter().find(|key| {
            self.blocks.get(key).is_some_and(|block| {
                (block.scope == SCOPE_ALL || passage.on_sip != PORT_NONE)
                    && block::in_force(block.expires_ns, self.now_ns)
            })
        })
    }

    fn hit_block(&mut self, passage: &mut Passage, key: (SourceKey, u32)) {
        let Some(block) = self.blocks.get_mut(&key) else { return };
        block.drops += 1;
        if passage.on_sip == PORT_NONE {
            return;
        }
        let several = passage.packet.protocol == protocol::TCP;
        let speech = Speech::read(passage.packet.payload, several);
        if speech.kind == Kind::Request && block::renew(block, self.now_ns) {
            self.tell(passage, &speech, EVENT_RENEWED, Reason::Blocked, None);
        }
    }

    fn is_kept_out(&mut self, passage: &Passage) -> bool {
        let source = passage.packet.source;
        if passage.policy.geo_mode == GEO_OFF || source.is_local() {
            return false;
        }
        let covering = self.world.geo.iter().filter(|(network, _)| covers(network, source));
        let country = covering
            .max_by_key(|(network, _)| world::prefix(network).1)
            .map_or(COUNTRY_UNKNOWN, |(_, code)| world::country(code));
        debug_assert_eq!(self.world.config().geo_generation, GEO_GENERATION);
        geo_drops(&passage.policy, country) && !self.answers_flow(&passage.packet)
    }

    /// A first fragment that answers lets those in that follow it, which have no ports.
    fn answers_flow(&mut self, packet: &Packet) -> bool {
        let local = (packet.destination, packet.destination_port);
        let remote = (packet.source, packet.source_port);
        let live = self.is_live(&(packet.protocol, local, remote));
        if live && packet.fragment == Fragment::First {
            self.flows.insert((packet.protocol, (local.0, 0), (remote.0, 0)), self.now_ns);
        }
        live
    }

    /// What is said to a SIP port.
    fn by_message(&mut self, passage: &mut Passage, class: u8) -> Reason {
        let payload = passage.packet.payload;
        let speech = if class == PORT_SIP {
            Speech::read(payload, passage.packet.protocol == protocol::TCP)
        } else {
            Speech::silent(Kind::Opaque)
        };
        let trusted = self.trusted.contains_key(&passage.key());
        if trusted {
            passage.flags |= EVENT_FLAG_TRUSTED;
            if self.is_quarantined(passage) && passage.drops(Reason::Quarantined) {
                return Reason::Quarantined;
            }
        } else if self.source(passage).attempts.hold_until_ns > self.now_ns {
            passage.flags |= HELD;
            if passage.drops(Reason::Held) {
                return Reason::Held;
            }
        }
        if payload.is_empty() && passage.packet.protocol == protocol::TCP {
            return passing(&speech);
        }
        let asked = !only_answers(&passage.packet, &speech);
        if asked
            && speech.lists_agent(&self.world)
            && self.refuses(passage, &speech, Reason::UserAgent)
        {
            return Reason::UserAgent;
        }
        if let Some(reason) = self.over_ceiling(passage, trusted)
            && self.refuses(passage, &speech, reason)
        {
            return reason;
        }
        if !trusted
            && class == PORT_SIP
            && let Some(reason) = self.unaccepted(passage, &speech)
        {
            return reason;
        }
        self.pass(passage, &speech)
    }

    fn source(&mut self, passage: &Passage) -> &mut Untrusted {
        self.untrusted.entry(passage.key()).or_default()
    }

    fn is_quarantined(&self, passage: &Passage) -> bool {
        self.world.quarantine.iter().any(|(source, port, until)| {
            *source == passage.key()
                && *port == passage.packet.source_port
                && self.now_ns < self.at(*until)
        })
    }

    /// Tells of a drop, also of one that is only observed.
    fn refuses(&mut self, passage: &mut Passage, speech: &Speech, reason: Reason) -> bool {
        let drops = passage.drops(reason);
        self.tell(passage, speech, EVENT_DROP, reason, Some(passage.key()));
        drops
    }

    fn over_ceiling(&mut self, passage: &Passage, trusted: bool) -> Option<Reason> {
        let (now_ns, policy) = (self.now_ns, passage.policy);
        let take = |bucket: &mut u64, interval_ns, burst_ns| {
            let next_ns = ceiling::take(*bucket, now_ns, interval_ns, burst_ns);
            *bucket = next_ns.unwrap_or(*bucket);
            next_ns.is_none()
        };
        if trusted {
            let trust = self.trusted.get_mut(&passage.key())?;
            let own_ns = SECOND_NS.checked_div(trust.rate as u64);
            let interval_ns = own_ns.unwrap_or(policy.trusted_interval_ns);
            let over = take(&mut trust.ceiling_ns, interval_ns, policy.trusted_burst_ns);
            return over.then_some(Reason::SourceCeiling);
        }
        let source = self.untrusted.entry(passage.key()).or_default();
        if take(&mut source.ceiling_ns, policy.source_interval_ns, policy.source_burst_ns) {
            return Some(Reason::SourceCeiling);
        }
        let bucket = self.buckets.entry(passage.index).or_default();
        take(bucket, policy.endpoint_interval_ns, policy.endpoint_burst_ns)
            .then_some(Reason::EndpointCeiling)
    }

    /// What a source may say before the PBX has accepted it.
    fn unaccepted(&mut self, passage: &mut Passage, speech: &Speech) -> Option<Reason> {
        let now_ns = self.now_ns;
        if passage.packet.protocol == protocol::TCP {
            if self.is_established(&passage.packet) {
                passage.flags |= EVENT_FLAG_TCP;
            }
            let length = passage.packet.payload.len();
            let source = self.source(passage);
            if now_ns - source.tcp_start_ns >= attempt::WINDOW_NS {
                (source.tcp_start_ns, source.tcp_bytes) = (now_ns, 0);
            }
            source.tcp_bytes += length;
            if source.tcp_bytes > attempt::TCP_BYTES_MAX as usize {
                source.attempts.hold_until_ns = now_ns + attempt::HOLD_NS;
                if self.holds(passage, speech, Reason::TcpBudget) {
                    return Some(Reason::TcpBudget);
                }
            }
        }
        let contained = self.contained.get(&passage.key());
        let contained = contained.is_some_and(|contained| containment::in_force(contained, now_ns));
        if is_attempt(passage, speech) {
            return self.attempted(passage, speech, contained);
        }
        let contained = contained && !matches!(speech.kind, Kind::Response | Kind::Keepalive);
        (contained && !self.trickles(passage, speech) && passage.drops(Reason::Contained))
            .then_some(Reason::Contained)
    }

    fn is_established(&self, packet: &Packet) -> bool {
        let Some(tcp) = packet.tcp else { return false };
        let local = (packet.destination, packet.destination_port);
        let remote = (packet.source, packet.source_port);
        let connection = self.connections.get(&(protocol::TCP, local, remote));
        tcp.ack
            && connection.is_some_and(|connection| {
                let sent = connection.next.wrapping_sub(connection.first);
                tcp.acknowledgement.wrapping_sub(connection.first) <= sent
            })
    }

    /// Tells of a hold or containment that begins.
    fn holds(&mut self, passage: &mut Passage, speech: &Speech, reason: Reason) -> bool {
        let begins = passage.flags & HELD == 0;
        let drops = passage.drops(reason);
        if begins {
            self.tell(passage, speech, EVENT_HOLD, reason, Some(passage.key()));
        }
        drops
    }

    fn trickles(&mut self, passage: &mut Passage, speech: &Speech) -> bool {
        let now_ns = self.now_ns;
        let wanted = speech.kind == Kind::Request && speech.method == Method::Register;
        passage.trickles = wanted
            && self
                .contained
                .get_mut(&passage.key())
                .is_some_and(|contained| containment::trickle(contained, now_ns));
        passage.trickles
    }

    fn attempted(
        &mut self,
        passage: &mut Passage,
        speech: &Speech,
        contained: bool,
    ) -> Option<Reason> {
        let key = passage.key();
        let nonce = speech.echoed_nonce().and_then(|nonce| self.nonces.get(&nonce));
        if nonce == Some(&Some(key)) {
            passage.flags |= EVENT_FLAG_NONCE;
        }
        let proven = passage.flags & (EVENT_FLAG_NONCE | EVENT_FLAG_TCP) != 0;
        let request = attempt::Request {
            now_ns: self.now_ns,
            limit: passage.policy.attempt_limit,
            count: speech.credentials,
            proven,
            contained,
        };
        let source = self.source(passage);
        let verdict = if source.recent.iter().any(|bytes| bytes == speech.bytes()) {
            match (contained, proven) {
                (true, true) => Verdict::Trickle,
                (true, false) => Verdict::Contain,
                _ => Verdict::Pass,
            }
        } else {
            let verdict = attempt::judge(&mut source.attempts, &request, |place, amount| {
                let before = *place;
                *place += amount;
                before
            });
            if matches!(verdict, Verdict::Pass | Verdict::Trickle) {
                remember(source, speech);
            }
            verdict
        };
        match verdict {
            Verdict::Pass => None,
            Verdict::Trickle => {
                passage.trickles = true;
                None
            }
            Verdict::Hold => self.holds(passage, speech, Reason::Held).then_some(Reason::Held),
            Verdict::Contain if contained => {
                passage.drops(Reason::Contained).then_some(Reason::Contained)
            }
            Verdict::Contain => {
                let entry = self.contained.entry(key).or_default();
                let policy = &passage.policy;
                let (shortest_ns, longest_ns) = (policy.containment_ns, policy.containment_max_ns);
                containment::begin(entry, request.now_ns, shortest_ns, longest_ns);
                let drops = passage.drops(Reason::Contained);
                self.tell(passage, speech, EVENT_HOLD, Reason::Contained, Some(key));
                drops.then_some(Reason::Contained)
            }
        }
    }

    fn pass(&mut self, passage: &mut Passage, speech: &Speech) -> Reason {
        let reason = if passage.trickles { Reason::Trickle } else { passing(speech) };
        let kind = match speech.kind {
            Kind::Request if speech.is_telling() => EVENT_REQUEST,
            Kind::Response => EVENT_RESPONSE,
            Kind::Segment => EVENT_SEGMENT,
            Kind::NotSip => EVENT_NOT_SIP,
            Kind::Request | Kind::Keepalive | Kind::Opaque => return reason,
        };
        self.tell(passage, speech, kind, reason, Some(passage.key()));
        reason
    }

    /// Sends an event, if the source's share allows.
    fn tell(
        &mut self,
        passage: &Passage,
        speech: &Speech,
        kind: u8,
        reason: Reason,
        share: Option<SourceKey>,
    ) {
        let config = self.world.config();
        let share = share.and_then(|key| match self.trusted.get_mut(&key) {
            Some(trust) => Some(&mut trust.events_ns),
            None => self.untrusted.get_mut(&key).map(|source| &mut source.events_ns),
        });
        if let Some(bucket) = share {
            let (interval_ns, burst_ns) = (config.event_interval_ns, config.event_burst_ns);
            match ceiling::take(*bucket, self.now_ns, interval_ns, burst_ns) {
                Some(next_ns) => *bucket = next_ns,
                None => {
                    self.suppressed += 1;
                    return;
                }
            }
        }
        let packet = &passage.packet;
        let observed = if passage.observed.is_some() { EVENT_FLAG_OBSERVED } else { 0 };
        let bytes = if kind == EVENT_NOT_SIP { &[] } else { speech.bytes() };
        let flags = if kind == EVENT_RENEWED { 0 } else { passage.flags & !HELD | observed };
        self.events.push(Event {
            kind,
            flags,
            reason: Some(reason),
            policy: passage.index,
            protocol: packet.protocol,
            source: (packet.literal, packet.source_port),
            destination: (packet.destination, packet.destination_port),
            credentials: speech.credentials,
            payload_len: packet.payload.len() as u32,
            bytes: bytes.to_vec(),
        });
    }

    /// What an endpoint sends.
    fn watch(&mut self, frame: &[u8]) {
        let Ok(packet) = headers::read(frame) else { return };
        if packet.beyond {
            return;
        }
        let local = (packet.source, packet.source_port);
        let remote = (packet.destination, packet.destination_port);
        let flow = (packet.protocol, local, remote);
        if self.world.track_flows {
            let opens = packet.tcp.is_none_or(|tcp| tcp.syn && !tcp.ack);
            if opens || self.flows.contains_key(&flow) {
                self.flows.insert(flow, self.now_ns);
            }
        }
        let index = self.endpoint(packet.source);
        let Some(policy) = self.policy(index) else { return };
        if policy.mode == MODE_OFF || self.port_class(index, &packet, local.1) != PORT_SIP {
            return;
        }
        self.note_tcp_sent(&packet, flow);
        let several = packet.protocol == protocol::TCP;
        let speech = Speech::read(packet.payload, several);
        let flags = EVENT_FLAG_OUTBOUND;
        let passage = Passage {
            packet,
            index,
            policy,
            on_sip: PORT_SIP,
            observed: None,
            flags,
            trickles: false,
        };
        self.hear_answer(&passage, &speech, remote.0.key());
    }

    fn note_tcp_sent(&mut self, packet: &Packet, flow: Flow) {
        let Some(tcp) = packet.tcp else { return };
        if tcp.syn && tcp.ack {
            let first = tcp.sequence.wrapping_add(1);
            self.connections.insert(flow, TcpConnection { first, next: first });
        } else if let Some(connection) = self.connections.get_mut(&flow) {
            let next = tcp.sequence.wrapping_add(packet.payload.len() as u32);
            if !tcp.rst && (next.wrapping_sub(connection.next) as i32) > 0 {
                connection.next = next;
            }
        }
    }

    fn hear_answer(&mut self, passage: &Passage, speech: &Speech, remote: SourceKey) {
        match speech.kind {
            Kind::Request if speech.is_telling() => {
                self.tell(passage, speech, EVENT_REQUEST, Reason::SipRequest, None);
            }
            Kind::Response => {
                match speech.status() {
                    0..=199 => return,
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
    }
}

/// The source is held already: a bit of [`Passage::flags`] that no event shows.
const HELD: u8 = 0x80;

fn covers(network: &ipnetwork::IpNetwork, address: Address) -> bool {
    let (base, length) = world::prefix(network);
    let bits = |address: Address| {
        let (high, low) = address.halves();
        ((high as u128) << 64) | low as u128
    };
    length == 0 || (bits(base) ^ bits(address)) >> (128 - length) == 0
}

/// The reason of a packet to a SIP port that nothing stopped.
fn passing(speech: &Speech) -> Reason {
    match speech.kind {
        Kind::Request => Reason::SipRequest,
        Kind::Response => Reason::SipResponse,
        Kind::Keepalive => Reason::SipKeepalive,
        Kind::Segment => Reason::SipSegment,
        Kind::NotSip => Reason::NotSip,
        Kind::Opaque => Reason::SipOpaque,
    }
}

/// Credentials in a response mean nothing, and ACK and CANCEL have no outcome. A TCP segment may
/// hold other messages behind its first.
fn is_attempt(passage: &Passage, speech: &Speech) -> bool {
    let silent = matches!(speech.method, Method::Ack | Method::Cancel);
    speech.credentials != 0
        && !only_answers(&passage.packet, speech)
        && (passage.packet.protocol == protocol::TCP || !silent)
}

/// Is it a response, and nothing else?
fn only_answers(packet: &Packet, speech: &Speech) -> bool {
    packet.protocol != protocol::TCP && speech.kind == Kind::Response
}

/// Notes a counted request, to know its retransmission and its acceptance.
fn remember(source: &mut Untrusted, speech: &Speech) {
    source.recent.push_back(speech.bytes().to_vec());
    if source.recent.len() > attempt::RECENT {
        source.recent.pop_front();
    }
    if matches!(speech.method, Method::Register | Method::Invite) {
        source.pending.push_back(speech.transaction());
        if source.pending.len() > 8 {
            source.pending.pop_front();
        }
    }
}

impl Datapath for Model {
    fn name(&self) -> &'static str {
        "model"
    }

    fn ingress(&mut self, frame: &[u8]) -> Result<bool> {
        self.now_ns += Duration::from_micros(1).as_nanos() as u64;
        Ok(self.pass_through(frame).class() != Class::Drop)
    }

    fn egress(&mut self, frame: &[u8]) -> Result<()> {
        self.now_ns += Duration::from_micros(1).as_nanos() as u64;
        self.watch(frame);
        Ok(())
    }

    fn wait(&mut self, seconds: u64) -> Result<()> {
        self.now_ns += seconds * SECOND_NS;
        Ok(())
    }

    fn tally(&mut self) -> Result<Tally> {
        Ok(self.tally.clone())
    }

    fn events(&mut self) -> Result<Vec<Event>> {
        Ok(std::mem::take(&mut self.events))
    }

    fn events_left_out(&mut self) -> Result<(u64, u64)> {
        Ok((self.suppressed, 0))
    }
}
