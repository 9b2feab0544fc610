//! What the kernel would do by itself: blocks, listed agents, ceilings, the attempt window and
//! containment, in the order in which a packet meets them.
//!
//! The decisions are those of `sipprot-common`; this is what lies around them, on ordinary
//! collections. Lists and geo verdicts are not here: they are in the store and in databases, and a
//! replay needs neither. Every policy enforces, since the question is what would have been done.

mod source;

use std::collections::HashMap;
use std::net::SocketAddr;

use sipprot_common::abi::{
    self, Contained, MODE_OFF, PORT_NONE, PORT_SIP, PORT_SIP_OPAQUE, PROTOCOL_TCP, PROTOCOL_UDP,
    SCOPE_SIP, UserAgentPattern, UserAgents,
};
use sipprot_common::block;
use sipprot_common::reason::Reason;
use sipprot_common::source::{Address, SourceKey};

use super::memory::Memory;
use super::packet::Packet;
use super::speech::{Kind, Speech};
use crate::daemon::plan::scope::kernel_scope;
use crate::daemon::plan::{Plan, nanoseconds};
use crate::rules::{Block, Contain, Decision, Deny, Quarantine};
use source::{TcpConnection, Untrusted};

/// Half of how many sources, nonces and connections are remembered.
const SOURCES_HALF: usize = 131_072;

/// A TCP connection: the protected end first.
pub type Flow = (SocketAddr, SocketAddr);

/// A packet from the world.
pub struct Passage<'a> {
    pub now_ns: u64,
    pub packet: &'a Packet<'a>,
    pub policy: u32,
    pub port: u8,
    pub trusted: bool,
    pub speech: Speech,
}

/// What becomes of a packet, and whether the controller is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Pass,
    /// Passes, and is told as what it is.
    Tell(Reason),
    Drop(Reason),
    DropAndTell(Reason),
}

pub struct Kernel {
    plan: Plan,
    sources: Memory<SourceKey, Untrusted>,
    /// Ceilings of trusted sources.
    trusted: Memory<SourceKey, u64>,
    /// Of each policy: of what proves nothing, and of what is proven.
    endpoints: Vec<[u64; 2]>,
    contained: Memory<SourceKey, Contained>,
    blocks: HashMap<(SourceKey, u32), abi::Block>,
    /// The scope, and until when.
    denied: HashMap<SourceKey, (u8, u64)>,
    quarantined: HashMap<(SourceKey, u16), u64>,
    /// To whom a nonce went: none when to several.
    nonces: Memory<u64, Option<SourceKey>>,
    connections: Memory<Flow, TcpConnection>,
}

impl Kernel {
    pub fn new(plan: Plan) -> Self {
        Self {
            sources: Memory::new(SOURCES_HALF),
            trusted: Memory::new(SOURCES_HALF),
            endpoints: vec![[0; 2]; plan.policies.len()],
            contained: Memory::new(SOURCES_HALF),
            blocks: HashMap::new(),
            denied: HashMap::new(),
            quarantined: HashMap::new(),
            nonces: Memory::new(SOURCES_HALF),
            connections: Memory::new(SOURCES_HALF),
            plan,
        }
    }

    pub fn user_agents(plan: &Plan) -> Box<UserAgents> {
        let mut list = Box::new(UserAgents::EMPTY);
        let patterns = plan.user_agents.iter().filter_map(|text| UserAgentPattern::parse(text));
        patterns.for_each(|pattern| list.add(pattern));
        list
    }

    /// The policy of the endpoint that has an address and port, if one does.
    pub fn endpoint(&self, at: SocketAddr) -> Option<u32> {
        let address = Address::from(at.ip()).to_ip();
        Some(self.plan.policy_at(address, at.port())).filter(|policy| *policy > 0)
    }

    /// What the policy expects on a port: `PORT_*`.
    pub fn port_class(&self, policy: u32, packet: &Packet, port: u16) -> u8 {
        let Some(policy) = self.plan.policies.get(policy as usize) else { return PORT_NONE };
        let transport = if packet.tcp.is_some() { PROTOCOL_TCP } else { PROTOCOL_UDP };
        if policy.mode == MODE_OFF || policy.protocols & transport == 0 {
            return PORT_NONE;
        }
        self.plan.port_sets.get(policy.port_set as usize).map_or(PORT_NONE, |set| set.get(port))
    }

    /// Judges a packet from the world.
    pub fn judge(&mut self, passage: &Passage) -> Verdict {
        if let Some(verdict) = self.by_source(passage) {
            return verdict;
        }
        if passage.port == PORT_NONE {
            return Verdict::Pass;
        }
        let (key, now_ns) = (passage.key(), passage.now_ns);
        let quarantine = (key, passage.packet.source.port());
        if passage.trusted
            && self.quarantined.get(&quarantine).is_some_and(|until_ns| now_ns < *until_ns)
        {
            return Verdict::Drop(Reason::Quarantined);
        }
        let bare = passage.packet.payload.is_empty();
        let acknowledges = bare && passage.packet.tcp.is_some_and(|tcp| !tcp.syn);
        if !passage.trusted && !acknowledges && self.is_held(key, now_ns) {
            return Verdict::Drop(Reason::Held);
        }
        if passage.packet.tcp.is_some() && bare {
            return Verdict::Pass;
        }
        if passage.speech.listed_agent {
            return Verdict::DropAndTell(Reason::UserAgent);
        }
        if let Some(reason) = self.over_ceiling(passage) {
            return Verdict::DropAndTell(reason);
        }
        if passage.port == PORT_SIP_OPAQUE {
            return Verdict::Pass;
        }
        if !passage.trusted
            && let Some(verdict) = self.unaccepted(passage)
        {
            return verdict;
        }
        match passage.speech.kind {
            Kind::NotSip => Verdict::Tell(Reason::NotSip),
            _ => Verdict::Pass,
        }
    }

    fn by_source(&mut self, passage: &Passage) -> Option<Verdict> {
        let (key, now_ns, on_sip) = (passage.key(), passage.now_ns, passage.port != PORT_NONE);
        let scopes = if on_sip { SCOPE_SIP } else { 0 };
        if let Some((scope, until_ns)) = self.denied.get(&key)
            && now_ns < *until_ns
            && abi::covers(*scope, scopes)
        {
            return Some(Verdict::Drop(Reason::Denied));
        }
        let own = self.plan.policies.get(passage.policy as usize);
        let own = own.is_some_and(|policy| policy.own_blocks != 0).then_some(passage.policy);
        for policy in std::iter::once(0).chain(own) {
            let Some(block) = self.blocks.get_mut(&(key, policy)) else { continue };
            if !abi::covers(block.scope, scopes) || !block::in_force(block.expires_ns, now_ns) {
                continue;
            }
            let request = passage.port == PORT_SIP && passage.speech.kind == Kind::Request;
            return Some(match request && block::renew(block, now_ns) {
                true => Verdict::DropAndTell(Reason::Blocked),
                false => Verdict::Drop(Reason::Blocked),
            });
        }
        None
    }

    /// Notes what a decision of the rules puts into the kernel.
    pub fn carry_out(&mut self, decision: &Decision, now_ns: u64) {
        match decision {
            Decision::Block(block) => self.block(block, now_ns),
            Decision::Deny(Deny { case, scope, expires_in, .. }) => {
                let until_ns = expires_in.map_or(u64::MAX, |time| now_ns + nanoseconds(time));
                self.denied.insert(case.source, (kernel_scope(*scope), until_ns));
            }
            Decision::Contain(Contain { case, duration, .. }) => {
                let duration_ns = nanoseconds(*duration);
                let known = self.contained.entry(case.source, Contained::default);
                *known = Contained { until_ns: now_ns + duration_ns, duration_ns, ..*known };
            }
            Decision::Quarantine(Quarantine { case, port, duration, .. }) => {
                self.quarantined.insert((case.source, *port), now_ns + nanoseconds(*duration));
            }
            Decision::Release(release) => {
                self.contained.remove(release.source);
                self.source(release.source).forget_attempts();
            }
            Decision::Trust(_)
            | Decision::Distrust(_)
            | Decision::Alert(_)
            | Decision::Remember(_) => {}
        }
    }

    fn block(&mut self, block: &Block, now_ns: u64) {
        let case = &block.case;
        let policy = if block.host_wide { 0 } else { u32::from(case.endpoint.0) };
        let duration_ns = nanoseconds(block.duration);
        let entry = abi::Block {
            started_ns: now_ns,
            expires_ns: now_ns + duration_ns,
            duration_ns,
            scope: kernel_scope(block.scope),
            ..abi::Block::default()
        };
        self.blocks.insert((case.source, policy), entry);
        if block.scope.covers_sip() {
            // The block stands for the attempts: when it ends, they are not held against it again.
            self.source(case.source).forget_attempts();
        }
    }
}

impl Passage<'_> {
    fn key(&self) -> SourceKey {
        SourceKey::from(self.packet.source.ip())
    }

    fn stream(&self) -> bool {
        self.packet.tcp.is_some()
    }
}
