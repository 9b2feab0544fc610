//! What the kernel remembers of sources: attempts, ceilings, nonces, connections.

use std::collections::VecDeque;

use sipprot_common::abi;
use sipprot_common::attempt::{self, Attempts};
use sipprot_common::ceiling;
use sipprot_common::containment;
use sipprot_common::reason::Reason;
use sipprot_common::sip::Method;
use sipprot_common::source::{SourceKey, Wider};

use super::{Flow, Kernel, Passage, Verdict};
use crate::replay::packet::Packet;
use crate::replay::speech::Kind;

/// Credentialed requests of a source that wait for their answer.
const PENDING_MAX: usize = attempt::RECENT;

#[derive(Default)]
pub struct Untrusted {
    /// Of what proves nothing, and of what echoes its own nonce.
    ceilings_ns: [u64; 2],
    attempts: Attempts,
    recent: VecDeque<u32>,
    pending: VecDeque<u64>,
    tcp_bytes: usize,
    tcp_start_ns: u64,
}

impl Untrusted {
    pub fn forget_attempts(&mut self) {
        *self = Self { ceilings_ns: self.ceilings_ns, ..Self::default() };
    }

    fn over_tcp_budget(&mut self, length: usize, now_ns: u64) -> bool {
        if now_ns.wrapping_sub(self.tcp_start_ns) >= attempt::WINDOW_NS {
            (self.tcp_start_ns, self.tcp_bytes) = (now_ns, 0);
        }
        self.tcp_bytes += length;
        self.tcp_bytes > attempt::TCP_BYTES_MAX as usize
    }
}

/// What the protected end has sent.
pub struct TcpConnection {
    first: u32,
    next: u32,
    /// Where the other end began, if the handshake was seen.
    peer: Option<u32>,
}

impl Kernel {
    pub(super) fn source(&mut self, key: SourceKey) -> &mut Untrusted {
        self.sources.entry(key, Untrusted::default)
    }

    pub(super) fn over_ceiling(&mut self, passage: &Passage) -> Option<Reason> {
        let policy = *self.plan.policies.get(passage.policy as usize)?;
        let now_ns = passage.now_ns;
        let over = |bucket: &mut u64, interval_ns, burst_ns| {
            let next_ns = ceiling::take(*bucket, now_ns, interval_ns, burst_ns);
            *bucket = next_ns.unwrap_or(*bucket);
            next_ns.is_none()
        };
        if passage.trusted {
            let bucket = self.trusted.entry(passage.key(), || 0);
            return over(bucket, policy.trusted_interval_ns, policy.trusted_burst_ns)
                .then_some(Reason::SourceCeiling);
        }
        let (own_nonce, proven) = self.proofs(passage);
        let bucket = &mut self.source(passage.key()).ceilings_ns[usize::from(own_nonce)];
        if over(bucket, policy.source_interval_ns, policy.source_burst_ns) {
            return Some(Reason::SourceCeiling);
        }
        let bucket = &mut self.endpoints.get_mut(passage.policy as usize)?[usize::from(proven)];
        over(bucket, policy.endpoint_interval_ns, policy.endpoint_burst_ns)
            .then_some(Reason::EndpointCeiling)
    }

    /// What a source may say before the PBX has accepted it.
    pub(super) fn unaccepted(&mut self, passage: &Passage) -> Option<Verdict> {
        let (key, now_ns) = (passage.key(), passage.now_ns);
        if passage.stream() && self.is_established(passage.packet) {
            let length = passage.packet.payload.len();
            let source = self.source(key);
            if source.over_tcp_budget(length, now_ns) {
                source.attempts.hold_until_ns = now_ns + attempt::HOLD_NS;
                return Some(Verdict::DropAndTell(Reason::TcpBudget));
            }
        }
        let contained = self.contained_as(key, now_ns);
        if passage.speech.is_attempt(passage.stream()) {
            return self.attempted(passage, contained.is_some());
        }
        let says_nothing = matches!(passage.speech.kind, Kind::Response | Kind::Keepalive);
        let key = contained.filter(|_| !says_nothing)?;
        (!self.trickles(passage, key)).then_some(Verdict::Drop(Reason::Contained))
    }

    /// The key under which a source is contained: its own or that of a wider network.
    fn contained_as(&mut self, key: SourceKey, now_ns: u64) -> Option<SourceKey> {
        std::iter::once(key).chain(wider(key).into_iter().flatten()).find(|key| {
            let contained = self.contained.get(*key);
            contained.is_some_and(|contained| containment::in_force(contained, now_ns))
        })
    }

    /// Whether a request echoes a nonce of its source's own, and whether it is proven at all.
    fn proofs(&mut self, passage: &Passage) -> (bool, bool) {
        let attempt = passage.speech.is_attempt(passage.stream());
        let nonce = passage.speech.nonce.filter(|_| attempt);
        let own_nonce = nonce.is_some_and(|nonce| self.is_own_nonce(nonce, passage.key()));
        (own_nonce, own_nonce || self.is_established(passage.packet))
    }

    fn trickles(&mut self, passage: &Passage, key: SourceKey) -> bool {
        let speech = &passage.speech;
        speech.kind == Kind::Request
            && speech.method == Some(Method::Register)
            && self
                .contained
                .get(key)
                .is_some_and(|contained| containment::trickle(contained, passage.now_ns, exchange))
    }

    fn attempted(&mut self, passage: &Passage, contained: bool) -> Option<Verdict> {
        let (key, now_ns) = (passage.key(), passage.now_ns);
        let policy = *self.plan.policies.get(passage.policy as usize)?;
        let speech = &passage.speech;
        let (_, proven) = self.proofs(passage);
        let request = attempt::Request {
            now_ns,
            limit: policy.attempt_limit,
            count: speech.credentials,
            proven,
            contained,
        };
        let source = self.source(key);
        if source.recent.contains(&speech.fingerprint) {
            return (contained && !proven).then_some(Verdict::Drop(Reason::Contained));
        }
        match attempt::judge(&mut source.attempts, &request, fetch_add) {
            attempt::Verdict::Pass | attempt::Verdict::Trickle => {
                if let Some(reason) = self.over_wider_attempts(key, &policy, &request) {
                    return Some(Verdict::Drop(reason));
                }
                let source = self.source(key);
                push(&mut source.recent, speech.fingerprint, attempt::RECENT);
                None
            }
            attempt::Verdict::Hold => Some(Verdict::DropAndTell(Reason::Held)),
            attempt::Verdict::Contain if contained => Some(Verdict::Drop(Reason::Contained)),
            attempt::Verdict::Contain => {
                let known = self.contained.entry(key, Default::default);
                let (shortest_ns, longest_ns) = (policy.containment_ns, policy.containment_max_ns);
                containment::begin(known, now_ns, shortest_ns, longest_ns);
                Some(Verdict::DropAndTell(Reason::Contained))
            }
        }
    }

    /// The same in the wider networks of an IPv6 source; a /48 is never held.
    fn over_wider_attempts(
        &mut self,
        key: SourceKey,
        policy: &abi::Policy,
        request: &attempt::Request,
    ) -> Option<Reason> {
        for (width, network) in Wider::ALL.into_iter().zip(wider(key).into_iter().flatten()) {
            let limit = request.limit << width.limit_bits();
            let proven = request.proven && width == Wider::Site;
            let request = attempt::Request { limit, proven, contained: false, ..*request };
            match attempt::judge(&mut self.source(network).attempts, &request, fetch_add) {
                attempt::Verdict::Pass | attempt::Verdict::Trickle => {}
                attempt::Verdict::Hold => return Some(Reason::Held),
                attempt::Verdict::Contain => {
                    let known = self.contained.entry(network, Default::default);
                    let lengths_ns = (policy.containment_ns, policy.containment_max_ns);
                    containment::begin(known, request.now_ns, lengths_ns.0, lengths_ns.1);
                    return Some(Reason::Contained);
                }
            }
        }
        None
    }

    /// Is the source held, or its /56?
    pub(super) fn is_held(&mut self, key: SourceKey, now_ns: u64) -> bool {
        let site = wider(key).map(|[site, _]| site);
        [Some(key), site]
            .into_iter()
            .flatten()
            .any(|key| attempt::held(&self.source(key).attempts, now_ns))
    }

    /// A credentialed REGISTER or INVITE went through; `transaction` is what its answer is known by.
    pub fn await_answer(&mut self, key: SourceKey, transaction: u64) {
        push(&mut self.source(key).pending, transaction, PENDING_MAX);
    }

    /// A 2xx: if it answers a credentialed request of the source, all is forgiven.
    pub fn accepted(&mut self, key: SourceKey, transaction: u64, now_ns: u64) {
        let source = self.source(key);
        let Some(at) = source.pending.iter().position(|pending| *pending == transaction) else {
            return;
        };
        source.pending.remove(at);
        attempt::accept(&mut source.attempts, now_ns);
        source.tcp_bytes = 0;
        self.contained.remove(key);
        for network in wider(key).into_iter().flatten() {
            attempt::take_back(&mut self.source(network).attempts);
        }
    }

    /// A challenge went out with this nonce.
    pub fn gave_nonce(&mut self, nonce: u64, to: SourceKey) {
        let known = self.nonces.entry(nonce, || Some(to));
        if *known != Some(to) {
            *known = None;
        }
    }

    /// Was the nonce sent to this source and to no other?
    pub fn is_own_nonce(&mut self, nonce: u64, source: SourceKey) -> bool {
        self.nonces.get(nonce).is_some_and(|to| *to == Some(source))
    }

    /// Notes what a protected end sends. A connection that began before the capture is known from
    /// the first data that it carries outward.
    pub fn note_tcp_sent(&mut self, packet: &Packet) {
        let Some(tcp) = packet.tcp else { return };
        let flow: Flow = (packet.source, packet.destination);
        let length = packet.payload.len() + packet.missing;
        let next = tcp.sequence.wrapping_add(length as u32);
        if tcp.syn && tcp.ack {
            let first = tcp.sequence.wrapping_add(1);
            let peer = Some(tcp.acknowledgement);
            self.connections.insert(flow, TcpConnection { first, next: first, peer });
        } else if let Some(connection) = self.connections.get(flow) {
            if !tcp.rst && next.wrapping_sub(connection.next) as i32 > 0 {
                connection.next = next;
            }
        } else if length > 0 {
            let connection = TcpConnection { first: tcp.sequence, next, peer: None };
            self.connections.insert(flow, connection);
        }
    }

    /// The number of a segment's connection, and the first sequence number of its direction, if the
    /// handshake was seen and the segment proves to belong to it.
    pub fn connection(&mut self, packet: &Packet, outward: bool) -> Option<(u32, u32)> {
        if !outward && !self.is_established(packet) {
            return None;
        }
        let (source, destination) = (packet.source, packet.destination);
        let flow = if outward { (source, destination) } else { (destination, source) };
        let connection = self.connections.get(flow)?;
        let peer = connection.peer?;
        Some((connection.first | 1, if outward { connection.first } else { peer }))
    }

    /// Does a segment acknowledge what only the other end of the connection can know?
    pub fn is_established(&mut self, packet: &Packet) -> bool {
        let Some(tcp) = packet.tcp.filter(|tcp| tcp.ack) else { return false };
        let connection = self.connections.get((packet.destination, packet.source));
        connection.is_some_and(|connection| {
            let sent = connection.next.wrapping_sub(connection.first);
            tcp.acknowledgement.wrapping_sub(connection.first) <= sent
        })
    }
}

/// The wider networks that a source is also counted in.
fn wider(key: SourceKey) -> Option<[SourceKey; 2]> {
    key.is_global_v6().then(|| Wider::ALL.map(|wider| key.wider(wider)))
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

fn fetch_add(place: &mut u32, amount: u32) -> u32 {
    let before = *place;
    *place = before.wrapping_add(amount);
    before
}

fn exchange(place: &mut u64, old: u64, new: u64) -> bool {
    let same = *place == old;
    if same {
        *place = new;
    }
    same
}
