//! The way of a packet on the host: the same decisions by other means.
//!
//! Headers come from etherparse, maps are ordinary collections, hashes are the things themselves.
//! What `sipprot-common` decides for the kernel it decides here too; the order of the decisions and
//! everything around them is written a second time, from the design.

mod answers;
mod guards;
mod headers;
mod message;
mod speech;
mod told;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use anyhow::Result;
use sipprot_common::abi::{self, *};
use sipprot_common::attempt;
use sipprot_common::block;
use sipprot_common::guard::Service;
use sipprot_common::policy::{Action, Protection, action, geo_drops, geo_learns};
use sipprot_common::reason::{Class, Reason};
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
    /// Of what proves nothing, and of what echoes its own nonce.
    ceilings_ns: [u64; 2],
    events_ns: u64,
    attempts: attempt::Attempts,
    recent: VecDeque<Vec<u8>>,
    pending: VecDeque<Transaction>,
    tcp_bytes: usize,
    tcp_start_ns: u64,
    stream_ns: u64,
}

struct TcpConnection {
    first: u32,
    next: u32,
    /// The other end's first sequence number.
    peer: u32,
}

/// Where a segment stands in its connection.
#[derive(Clone, Copy, Default)]
struct Place {
    connection: u32,
    sequence: u32,
}

impl Place {
    /// Counted from the `first` byte of a connection that is known.
    fn within(
        connection: Option<&TcpConnection>,
        sequence: u32,
        first: impl Fn(&TcpConnection) -> u32,
    ) -> Self {
        match connection {
            Some(known) => {
                Self { connection: known.first | 1, sequence: sequence.wrapping_sub(first(known)) }
            }
            None => Self { connection: 0, sequence },
        }
    }
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
    /// What came in from countries that are kept out, and passed.
    knocks: HashMap<Flow, u64>,
    connections: HashMap<Flow, TcpConnection>,
    /// Who asked something of a guarded service.
    guarded: HashMap<(SourceKey, Service, u32), u64>,
    guard_events_ns: u64,
    /// Connections opened to name servers: where the first answer begins, once that is known.
    asked: HashMap<Flow, Option<u32>>,
    /// By policy, and whether of what is proven.
    buckets: HashMap<(u32, bool), u64>,
    /// When a source was last let through the ceilings.
    seen: HashMap<SourceKey, u64>,
    /// Attempts of IPv6 sources in their wider networks.
    wider: HashMap<SourceKey, attempt::Attempts>,
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
    service: Option<Service>,
    observed: Option<Reason>,
    flags: u8,
    trickles: bool,
    place: Place,
}

impl Passage<'_> {
    fn key(&self) -> SourceKey {
        self.packet.source.key()
    }

    /// The scopes that it is of.
    fn scopes(&self) -> u8 {
        let sip = if self.on_sip == PORT_NONE { 0 } else { SCOPE_SIP };
        sip | self.service.map_or(0, Service::scope)
    }

    fn is_proven(&self) -> bool {
        self.flags & (EVENT_FLAG_NONCE | EVENT_FLAG_TCP) != 0
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
            let phones = world.phones_of(*source);
            (*source, Trust { flags, rate: *rate, phones, ..Trust::default() })
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
            knocks: HashMap::new(),
            connections: HashMap::new(),
            guarded: HashMap::new(),
            guard_events_ns: 0,
            asked: HashMap::new(),
            buckets: HashMap::new(),
            seen: HashMap::new(),
            wider: HashMap::new(),
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
        let at = |seconds| self.at(seconds);
        Some(found.map_or(abi::Policy::default(), |policy| policy.timed(at)))
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

    /// The guarded service that a packet is for.
    fn service(&self, index: u32, packet: &Packet) -> Option<Service> {
        let policy = self.world.policies.iter().find(|policy| policy.index == index)?;
        if packet.fragment == Fragment::Later || packet.beyond {
            return None;
        }
        let guarded = policy.guarded.iter().rev();
        let (_, service) = guarded.clone().find(|(port, _)| *port == packet.destination_port)?;
        let wanted = if service.is_udp() { protocol::UDP } else { protocol::TCP };
        (packet.protocol == wanted).then_some(*service)
    }

    fn endpoint(&self, address: Address, port: u16) -> u32 {
        let found = self.world.endpoints.iter().filter(|(network, _)| covers(network, address));
        let found = found.max_by_key(|(network, _)| world::prefix(network).1);
        let Some((_, first)) = found else { return 0 };
        let mut shared = self.world.shared.iter();
        let other = shared.find(|(of, theirs, _)| (of, *theirs) == (first, port));
        other.map_or(*first, |(.., policy)| *policy)
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
        let index = self.endpoint(packet.destination, packet.destination_port);
        let Some(policy) = self.policy(index) else {
            self.tally.count(0, Reason::LookupFailed, None);
            return Reason::LookupFailed;
        };
        let on_sip = self.port_class(index, &packet, packet.destination_port);
        let service = self.service(index, &packet);
        let mut passage = Passage {
            packet,
            index,
            policy,
            on_sip,
            service,
            observed: None,
            flags: 0,
            trickles: false,
            place: Place::default(),
        };
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
        if let Some(reason) = self.guard(passage) {
            return reason;
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
    fn is_listed(&self, list: &[Listing], address: Address, index: u32, scopes: u8) -> bool {
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
                let is_later = listing.scope == SCOPE_LATER;
                let is_before = |seconds| self.now_ns < self.at(seconds);
                (is_later || abi::covers(listing.scope, scopes))
                    && listing.expires.is_none_or(|seconds| is_before(seconds) != is_later)
            })
        })
    }

    /// Allow, deny, block, geo.
    fn by_source(&mut self, passage: &mut Passage) -> Option<Reason> {
        let (index, scopes) = (passage.index, passage.scopes());
        let (literal, source) = (passage.packet.literal, passage.packet.source);
        if self.is_listed(&self.world.allow, literal, index, scopes) {
            return Some(Reason::Allowed);
        }
        if self.is_listed(&self.world.deny, source, index, scopes) && passage.drops(Reason::Denied)
        {
            return Some(Reason::Denied);
        }
        if let Some(key) = self.block_in_force(passage)
            && passage.drops(Reason::Blocked)
        {
            self.hit_block(passage, key);
            return Some(Reason::Blocked);
        }
        self.by_country(passage)
    }

    /// Where packets pass although their country is kept out, what is answered to them opens nothing.
    fn by_country(&mut self, passage: &mut Passage) -> Option<Reason> {
        let everything = passage.policy.geo_scope == SCOPE_ALL;
        if !everything && passage.on_sip == PORT_NONE {
            return None;
        }
        let country = self.kept_out(&passage.policy, passage.packet.source)?;
        if self.answers_flow(&passage.packet) {
            return None;
        }
        if geo_learns(&passage.policy, country, self.now_ns) {
            passage.policy.observe |= Protection::Geo.bit();
        }
        if passage.drops(Reason::Geo) {
            return Some(Reason::Geo);
        }
        let packet = &passage.packet;
        let local = (packet.destination, packet.destination_port);
        let flow = (packet.protocol, local, (packet.source, packet.source_port));
        self.knocks.insert(flow, self.now_ns);
        None
    }

    fn block_in_force(&self, passage: &Passage) -> Option<(SourceKey, u32)> {
        let own = (passage.policy.own_blocks != 0).then_some(passage.index);
        let keys = [Some(0), own].into_iter().flatten().map(|index| (passage.key(), index));
        keys.into_iter().find(|key| {
            self.blocks.get(key).is_some_and(|block| {
                abi::covers(block.scope, passage.scopes())
                    && block::in_force(block.expires_ns, self.now_ns)
            })
        })
    }

    fn hit_block(&mut self, passage: &mut Passage, key: (SourceKey, u32)) {
        let Some(block) = self.blocks.get_mut(&key) else { return };
        block.drops += 1;
        let opens = passage.packet.tcp.is_some_and(|tcp| tcp.syn && !tcp.ack);
        if opens && passage.service.is_some() {
            if block::renew(block, self.now_ns) {
                let nothing = Speech::silent(Kind::Opaque);
                self.tell(passage, &nothing, EVENT_RENEWED, Reason::Blocked, None);
            }
            return;
        }
        if passage.on_sip == PORT_NONE {
            return;
        }
        let speech = Speech::of(&passage.packet);
        if speech.kind == Kind::Request && block::renew(block, self.now_ns) {
            self.tell(passage, &speech, EVENT_RENEWED, Reason::Blocked, None);
        }
    }

    /// The country for which a policy keeps an address out.
    fn kept_out(&self, policy: &abi::Policy, address: Address) -> Option<u32> {
        if policy.geo_mode == GEO_OFF || address.is_local() {
            return None;
        }
        let covering = self.world.geo.iter().filter(|(network, _)| covers(network, address));
        let country = covering
            .max_by_key(|(network, _)| world::prefix(network).1)
            .map_or(COUNTRY_UNKNOWN, |(_, code)| world::country(code));
        debug_assert_eq!(self.world.config().geo_generation, GEO_GENERATION);
        geo_drops(policy, country).then_some(country)
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
}

fn covers(network: &ipnetwork::IpNetwork, address: Address) -> bool {
    let (base, length) = world::prefix(network);
    let bits = |address: Address| {
        let (high, low) = address.halves();
        ((high as u128) << 64) | low as u128
    };
    length == 0 || (bits(base) ^ bits(address)) >> (128 - length) == 0
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
