//! Step 6 on the host: what is said on a SIP port, and what follows from it.

use sipprot_common::abi::*;
use sipprot_common::attempt::{self, Verdict};
use sipprot_common::ceiling;
use sipprot_common::containment;
use sipprot_common::reason::Reason;
use sipprot_common::sip::Method;
use sipprot_common::source::{SourceKey, Wider};

use super::headers::Packet;
use super::speech::{Kind, Speech};
use super::{Model, Passage, Place, SECOND_NS, TcpConnection, Untrusted};
use crate::datapath::frame::protocol;

impl Model {
    /// What is said to a SIP port.
    pub(super) fn by_message(&mut self, passage: &mut Passage, class: u8) -> Reason {
        let payload = passage.packet.payload;
        if self.is_hopeless(passage) && passage.drops(Reason::EndpointCeiling) {
            return Reason::EndpointCeiling;
        }
        let speech = if class == PORT_SIP {
            Speech::of(&passage.packet)
        } else {
            Speech::silent(Kind::Opaque)
        };
        if class == PORT_SIP {
            self.mark_proof(passage, &speech);
        }
        let trusted = self.trusted.contains_key(&passage.key());
        if trusted {
            passage.flags |= EVENT_FLAG_TRUSTED;
            if self.is_quarantined(passage) && passage.drops(Reason::Quarantined) {
                return Reason::Quarantined;
            }
        } else if self.is_held(passage) {
            passage.flags |= HELD;
            let acknowledges = passage.packet.tcp.is_some_and(|tcp| !tcp.syn) && payload.is_empty();
            if !acknowledges && passage.drops(Reason::Held) {
                return Reason::Held;
            }
        }
        if payload.is_empty() && !speech.cut && passage.packet.protocol == protocol::TCP {
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
        self.seen.insert(passage.key(), self.now_ns);
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

    /// Over the ceiling of the endpoint, and in no way known: nobody reads it.
    fn is_hopeless(&self, passage: &Passage) -> bool {
        let (packet, policy) = (&passage.packet, &passage.policy);
        if packet.protocol == protocol::TCP && packet.payload.is_empty() {
            return false;
        }
        let times_ns = (policy.endpoint_interval_ns, policy.endpoint_burst_ns);
        let bucket_ns = self.buckets.get(&(passage.index, false)).copied().unwrap_or_default();
        let seen = self.seen.get(&passage.key());
        ceiling::take(bucket_ns, self.now_ns, times_ns.0, times_ns.1).is_none()
            && seen.is_none_or(|seen_ns| self.now_ns - seen_ns > SEEN_NS)
            && !self.trusted.contains_key(&passage.key())
            && self.established(packet).is_none()
    }

    fn is_held(&mut self, passage: &Passage) -> bool {
        let now_ns = self.now_ns;
        let site = passage.key().wider(Wider::Site);
        let site = self.wider.get(&site).filter(|_| passage.key().is_global_v6());
        site.is_some_and(|site| attempt::held(site, now_ns))
            || attempt::held(&self.source(passage).attempts, now_ns)
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
        let own_nonce = passage.flags & EVENT_FLAG_NONCE != 0;
        let source = self.untrusted.entry(passage.key()).or_default();
        if take(
            &mut source.ceilings_ns[usize::from(own_nonce)],
            policy.source_interval_ns,
            policy.source_burst_ns,
        ) {
            return Some(Reason::SourceCeiling);
        }
        let bucket = self.buckets.entry((passage.index, passage.is_proven())).or_default();
        take(bucket, policy.endpoint_interval_ns, policy.endpoint_burst_ns)
            .then_some(Reason::EndpointCeiling)
    }

    /// What a source may say before the PBX has accepted it.
    fn unaccepted(&mut self, passage: &mut Passage, speech: &Speech) -> Option<Reason> {
        let now_ns = self.now_ns;
        if passage.flags & EVENT_FLAG_TCP != 0 {
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
        let contained = self.contained_as(passage.key());
        if is_attempt(passage, speech) {
            return self.attempted(passage, speech, contained.is_some());
        }
        let key = contained.filter(|_| !matches!(speech.kind, Kind::Response | Kind::Keepalive))?;
        (!self.trickles(passage, speech, key) && passage.drops(Reason::Contained))
            .then_some(Reason::Contained)
    }

    /// The key under which a source is contained: its own or that of a wider network.
    fn contained_as(&self, key: SourceKey) -> Option<SourceKey> {
        let wider = key.is_global_v6().then(|| Wider::ALL.map(|wider| key.wider(wider)));
        let mut keys = [key].into_iter().chain(wider.into_iter().flatten());
        keys.find(|key| {
            let contained = self.contained.get(key);
            contained.is_some_and(|contained| containment::in_force(contained, self.now_ns))
        })
    }

    /// What a message proves of who sends it, trusted or not.
    fn mark_proof(&self, passage: &mut Passage, speech: &Speech) {
        if let Some(tcp) = passage.packet.tcp {
            let connection = self.established(&passage.packet);
            passage.place = Place::within(connection, tcp.sequence, |it| it.peer);
            if connection.is_some() {
                passage.flags |= EVENT_FLAG_TCP;
            }
        }
        let nonce = speech.echoed_nonce().and_then(|nonce| self.nonces.get(&nonce));
        if is_attempt(passage, speech) && nonce == Some(&Some(passage.key())) {
            passage.flags |= EVENT_FLAG_NONCE;
        }
    }

    /// The connection to which a segment proves to belong.
    fn established(&self, packet: &Packet) -> Option<&TcpConnection> {
        let tcp = packet.tcp.filter(|tcp| tcp.ack)?;
        let local = (packet.destination, packet.destination_port);
        let remote = (packet.source, packet.source_port);
        let connection = self.connections.get(&(protocol::TCP, local, remote))?;
        let sent = connection.next.wrapping_sub(connection.first);
        (tcp.acknowledgement.wrapping_sub(connection.first) <= sent).then_some(connection)
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

    fn trickles(&mut self, passage: &mut Passage, speech: &Speech, key: SourceKey) -> bool {
        let now_ns = self.now_ns;
        let wanted = speech.kind == Kind::Request && speech.method == Method::Register;
        passage.trickles = wanted
            && self
                .contained
                .get_mut(&key)
                .is_some_and(|contained| containment::trickle(contained, now_ns, exchange));
        passage.trickles
    }

    fn attempted(
        &mut self,
        passage: &mut Passage,
        speech: &Speech,
        contained: bool,
    ) -> Option<Reason> {
        let key = passage.key();
        let proven = passage.is_proven();
        let request = attempt::Request {
            now_ns: self.now_ns,
            limit: passage.policy.attempt_limit,
            count: speech.credentials,
            proven,
            contained,
        };
        let source = self.source(passage);
        let recent = source.recent.iter().any(|bytes| bytes == speech.bytes());
        let verdict = if recent && !speech.cut {
            match (contained, proven) {
                (true, true) => Verdict::Trickle,
                (true, false) => Verdict::Contain,
                _ => Verdict::Pass,
            }
        } else {
            let verdict = attempt::judge(&mut source.attempts, &request, add);
            if matches!(verdict, Verdict::Pass | Verdict::Trickle) {
                if let Some(reason) = self.over_wider_attempts(passage, &request) {
                    return Some(reason);
                }
                remember(self.source(passage), speech);
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
                self.begin_containment(passage, key);
                let drops = passage.drops(Reason::Contained);
                self.tell(passage, speech, EVENT_HOLD, Reason::Contained, Some(key));
                drops.then_some(Reason::Contained)
            }
        }
    }

    /// The same in the wider networks of an IPv6 source; a /48 is never held.
    fn over_wider_attempts(
        &mut self,
        passage: &mut Passage,
        request: &attempt::Request,
    ) -> Option<Reason> {
        if !passage.key().is_global_v6() {
            return None;
        }
        for wider in Wider::ALL {
            let key = passage.key().wider(wider);
            let limit = request.limit << wider.limit_bits();
            let proven = request.proven && wider == Wider::Site;
            let attempts = self.wider.entry(key).or_insert_with(|| attempt::Attempts {
                start_ns: request.now_ns,
                ..Default::default()
            });
            let request = attempt::Request { limit, proven, contained: false, ..*request };
            match attempt::judge(attempts, &request, add) {
                Verdict::Pass | Verdict::Trickle => {}
                Verdict::Hold => return passage.drops(Reason::Held).then_some(Reason::Held),
                Verdict::Contain => {
                    self.begin_containment(passage, key);
                    return passage.drops(Reason::Contained).then_some(Reason::Contained);
                }
            }
        }
        None
    }

    fn begin_containment(&mut self, passage: &Passage, key: SourceKey) {
        let policy = &passage.policy;
        let (shortest_ns, longest_ns) = (policy.containment_ns, policy.containment_max_ns);
        let entry = self.contained.entry(key).or_default();
        containment::begin(entry, self.now_ns, shortest_ns, longest_ns);
    }

    fn pass(&mut self, passage: &mut Passage, speech: &Speech) -> Reason {
        let reason = if passage.trickles { Reason::Trickle } else { passing(speech) };
        if passage.packet.tcp.is_some() && speech.captured > 0 {
            self.tell_stream(passage, speech, reason, passage.key());
            return reason;
        }
        let kind = match speech.kind {
            Kind::Request if speech.is_telling() => EVENT_REQUEST,
            Kind::Response => EVENT_RESPONSE,
            Kind::NotSip => EVENT_NOT_SIP,
            Kind::Request | Kind::Keepalive | Kind::Segment | Kind::Opaque => return reason,
        };
        // What a trusted source says, and what answers an own challenge, is always told.
        let vouched_for = passage.flags & (EVENT_FLAG_TRUSTED | EVENT_FLAG_NONCE) != 0;
        let share = (!vouched_for).then_some(passage.key());
        self.tell(passage, speech, kind, reason, share);
        reason
    }
}

/// How long a source counts as seen, at the least.
const SEEN_NS: u64 = 64 * SECOND_NS;

fn add(place: &mut u32, amount: u32) -> u32 {
    let before = *place;
    *place += amount;
    before
}

fn exchange(place: &mut u64, old: u64, new: u64) -> bool {
    let same = *place == old;
    if same {
        *place = new;
    }
    same
}

/// The source is held already: a bit of [`Passage::flags`] that no event shows.
pub(super) const HELD: u8 = 0x80;

/// The reason of a packet to a SIP port that nothing stopped.
pub(super) fn passing(speech: &Speech) -> Reason {
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
