//! Step 6 of a packet's way: what follows from what is said on a SIP port.

mod fingerprint;
pub mod read;

use sipprot_common::abi::*;
use sipprot_common::attempt::{self, Verdict};
use sipprot_common::containment;
use sipprot_common::reason::Reason;
use sipprot_common::sip::{Agents, Method, header, text::Flow};
use sipprot_common::source::SourceKey;
use sipprot_common::table::KNOWN;

use crate::event::{self, Stream};
use crate::flow;
use crate::frame::Frame;
use crate::known;
use crate::maps::{self, Direction};
use crate::packet::{protocol, slot};
use crate::rate::{self, Seen};
use crate::verdict::Judge;
use crate::work::Work;

pub use self::fingerprint::sipprot_transaction;
use self::fingerprint::{sipprot_of_every_byte, sipprot_read_nonce};
use self::read::{KEEPALIVE, OPAQUE, REQUEST, RESPONSE, SEGMENT};

/// Is it an answer, and nothing else? A TCP segment may hold requests behind one.
#[inline(always)]
fn only_answers(work: &Work) -> bool {
    work.facts.start == RESPONSE && work.packet.protocol != protocol::TCP
}

/// Will the endpoint's ceiling stop a packet, whatever it says? Then it need not be read, which is
/// nearly all that a packet costs. Who was not seen lately was sent no nonce lately, and so can prove
/// itself by a connection alone.
#[inline(always)]
pub fn is_hopeless(judge: &Judge, work: &mut Work) -> bool {
    let packet = &work.packet;
    let bare = packet.protocol == protocol::TCP && packet.payload_len == 0;
    if bare || !rate::is_endpoint_full(judge.policy, judge.index, work.facts.now_ns) {
        return false;
    }
    !known::is_seen(judge.config.sketch_seed, packet.source_key, work.facts.now_ns)
        && work.facts.known & KNOWN == 0
        && !flow::is_established(packet, judge.config.seed, &mut work.place)
}

/// Judges a packet to a SIP port that nothing above stopped.
#[inline(always)]
pub fn judge(frame: &impl Frame, judge: &Judge, work: &mut Work) -> Reason {
    work.facts.trickles = 0;
    work.facts.strange = 0;
    work.facts.streams = 0;
    work.facts.listed = lists_agent(work) as u32;
    if work.packet.protocol == protocol::TCP || work.scan.credentials != 0 {
        mark_proof(work);
    }
    let known = work.facts.known & KNOWN != 0;
    let trust = if known { maps::trust(work.packet.source_key) } else { None };
    let reason = match trust {
        Some(trust) => trusted(judge, work, trust),
        None => untrusted(judge, work),
    };
    if work.facts.streams != 0 {
        tell_stream(frame, work, work.packet.source_key, reason);
    }
    reason
}

/// Tells the controller the TCP payload of a packet from or to a source.
#[inline(always)]
pub fn tell_stream(frame: &impl Frame, work: &mut Work, peer: u64, reason: Reason) {
    let stream = match maps::trust(peer) {
        Some(trust) => Some(Stream::trusted(trust)),
        None => maps::source(peer).map(Stream::untrusted),
    };
    event::send_stream(frame, work, stream, reason);
}

#[inline(always)]
fn trusted(judge: &Judge, work: &mut Work, trust: &mut Trust) -> Reason {
    let (key, port) = (work.packet.source_key, work.packet.source_port);
    work.facts.event_flags |= EVENT_FLAG_TRUSTED as u32;
    if trust.flags & TRUST_QUARANTINED != 0
        && let Some(end_ns) = maps::quarantine_end(key, port)
        && work.facts.now_ns < end_ns
        && judge.drops(work, Reason::Quarantined)
    {
        return Reason::Quarantined;
    }
    if is_bare_segment(work) {
        return passing(work).0;
    }
    if work.facts.listed != 0 && refuses(judge, work, Some(&mut trust.events_ns), Reason::UserAgent)
    {
        return Reason::UserAgent;
    }
    if rate::over_trusted(trust, judge.policy, work.facts.now_ns)
        && refuses(judge, work, Some(&mut trust.events_ns), Reason::SourceCeiling)
    {
        return Reason::SourceCeiling;
    }
    pass(work, Some(&mut trust.events_ns))
}

#[inline(always)]
fn untrusted(judge: &Judge, work: &mut Work) -> Reason {
    let (key, now_ns) = (work.packet.source_key, work.facts.now_ns);
    let seed = judge.config.sketch_seed;
    work.facts.held = 0;
    work.facts.seen = known::is_seen(seed, key, now_ns) as u32;
    let found = if work.facts.seen != 0 { maps::source(key) } else { None };
    work.facts.strange = found.is_none() as u32;
    if let Some(source) = &found {
        work.facts.held = attempt::held(&source.attempts, now_ns) as u32;
    }
    work.facts.held |= known::is_site_held(work, seed) as u32;
    let bare = is_bare_segment(work);
    // What a held source only acknowledges lets the answers to its earlier requests leave, by which
    // it is judged.
    let drops = work.facts.held != 0 && !(bare && work.packet.tcp_flags & flow::SYN == 0);
    if drops && judge.drops(work, Reason::Held) {
        count(work, true);
        return Reason::Held;
    }
    if bare {
        return passing(work).0;
    }
    match found {
        Some(source) => acquainted(judge, work, source),
        None => stranger(judge, work),
    }
}

/// A source that the exact map knows.
#[inline(always)]
fn acquainted(judge: &Judge, work: &mut Work, source: &mut Source) -> Reason {
    if work.facts.listed != 0
        && refuses(judge, work, Some(&mut source.events_ns), Reason::UserAgent)
    {
        return Reason::UserAgent;
    }
    let own_nonce = work.facts.event_flags & EVENT_FLAG_NONCE as u32 != 0;
    let over = if rate::over_source(source, judge.policy, own_nonce, work.facts.now_ns) {
        Some(Reason::SourceCeiling)
    } else if rate::over_endpoint(judge.policy, judge.index, is_proven(work), work.facts.now_ns) {
        Some(Reason::EndpointCeiling)
    } else {
        None
    };
    if let Some(reason) = over
        && refuses(judge, work, Some(&mut source.events_ns), reason)
    {
        return reason;
    }
    known::see(judge.config.sketch_seed, work.packet.source_key, work.facts.now_ns);
    unaccepted(judge, work, source)
}

/// A source that may have been forged a moment ago: it is entered into the exact map only once its
/// packet is through the ceilings, which need to know nothing of it.
#[inline(always)]
fn stranger(judge: &Judge, work: &mut Work) -> Reason {
    if work.facts.listed != 0 && refuses(judge, work, None, Reason::UserAgent) {
        return Reason::UserAgent;
    }
    let now_ns = work.facts.now_ns;
    if rate::over_endpoint(judge.policy, judge.index, is_proven(work), now_ns)
        && refuses(judge, work, None, Reason::EndpointCeiling)
    {
        return Reason::EndpointCeiling;
    }
    let key = work.packet.source_key;
    let free = is_proven(work) || known::contained_as(work) != 0;
    let source = known::enter(work, key, free);
    known::see(judge.config.sketch_seed, key, now_ns);
    if let Some(source) = source {
        work.facts.strange = 0;
        // Its first packet, which came before it had a bucket.
        source.ceilings_ns[0] = now_ns + judge.policy.source_interval_ns;
        return unaccepted(judge, work, source);
    }
    // No room, and it tries again: what can't be counted can't be let through.
    if work.facts.seen != 0
        && counts_as_attempt(work)
        && refuses(judge, work, None, Reason::EndpointCeiling)
    {
        return Reason::EndpointCeiling;
    }
    pass(work, None)
}

/// A TCP segment without payload says nothing and counts for nothing.
#[inline(always)]
fn is_bare_segment(work: &Work) -> bool {
    work.packet.protocol == protocol::TCP && work.packet.payload_len == 0 && work.facts.cut == 0
}

/// Drops, or only observes: the controller is told of both.
#[inline(always)]
fn refuses(judge: &Judge, work: &mut Work, share: Option<&mut u64>, reason: Reason) -> bool {
    let drops = judge.drops(work, reason);
    if drops {
        count(work, true);
    }
    work.facts.event_kind = EVENT_DROP as u32;
    event::send(Direction::Ingress, share, reason);
    drops
}

/// Is one of the user agents on the list? Nearly every message has one, and no more.
#[inline(always)]
fn lists_agent(work: &mut Work) -> bool {
    if work.facts.captured == 0 || work.scan.agent(0).is_none() || only_answers(work) {
        return false;
    }
    match sipprot_next_agent(1) {
        MORE_AGENTS => sipprot_other_agents() != 0,
        hit => hit != 0,
    }
}

const LISTED_AGENT: u32 = 1;
const MORE_AGENTS: u32 = 2;

/// As [`sipprot_parse`], of what comes in.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_other_agents() -> u32 {
    let (mut agent, mut found) = (1, MORE_AGENTS);
    while agent < header::AGENTS_MAX && found == MORE_AGENTS {
        found = sipprot_next_agent(0);
        agent += 1;
    }
    (found == LISTED_AGENT) as u32
}

/// What it found, or [`MORE_AGENTS`]; `first` begins anew. All by numbers: a caller that holds the scratch
/// space would be taken for the only one who writes there.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_next_agent(first: u32) -> u32 {
    let Some(work) = maps::work(Direction::Ingress) else { return 0 };
    if first != 0 {
        work.agent.begin();
    }
    let Some(list) = maps::user_agents() else { return 0 };
    let (text, length, scan) = (&work.event.text, work.facts.captured, &work.scan);
    match work.agent.next(&Agents { text, length, scan, list }) {
        Flow::More => MORE_AGENTS,
        Flow::Stop => work.agent.hit() as u32,
    }
}

/// What an untrusted source may say before the PBX has accepted it, by what is known of it.
#[inline(always)]
fn unaccepted(judge: &Judge, work: &mut Work, source: &mut Source) -> Reason {
    if work.facts.start != OPAQUE
        && let Some(reason) = over_attempts(judge, work, source)
    {
        count(work, true);
        return reason;
    }
    pass(work, Some(&mut source.events_ns))
}

/// The attempt window, the TCP budget and containment. `Some` is the reason of a drop.
#[inline(always)]
fn over_attempts(judge: &Judge, work: &mut Work, source: &mut Source) -> Option<Reason> {
    let now_ns = work.facts.now_ns;
    // A segment of no connection gets nowhere, and anyone may have sent it in the source's name.
    if work.facts.event_flags & EVENT_FLAG_TCP as u32 != 0
        && over_tcp_budget(source, work.packet.payload_len, now_ns)
    {
        source.attempts.hold_until_ns = now_ns + attempt::HOLD_NS;
        if holds(judge, work, source, Reason::TcpBudget) {
            return Some(Reason::TcpBudget);
        }
    }
    work.facts.contained_as = known::contained_as(work);
    let contained = work.facts.contained_as != 0;
    if counts_as_attempt(work) {
        return attempted(judge, work, source, contained);
    }
    let answers = work.facts.start == RESPONSE || work.facts.start == KEEPALIVE;
    if contained && !answers && !trickles(work) {
        return contains(judge, work);
    }
    None
}

#[inline(always)]
fn over_tcp_budget(source: &mut Source, payload_len: u32, now_ns: u64) -> bool {
    if now_ns.wrapping_sub(source.tcp_start_ns) >= attempt::WINDOW_NS {
        source.tcp_start_ns = now_ns;
        source.tcp_bytes = 0;
    }
    rate::fetch_add(&mut source.tcp_bytes, payload_len) + payload_len > attempt::TCP_BYTES_MAX
}

/// Requests with credentials; ACK and CANCEL repeat those of their INVITE and have no outcome.
#[inline(always)]
fn counts_as_attempt(work: &Work) -> bool {
    let method = work.facts.method;
    let silent = method == Method::Ack as u32 || method == Method::Cancel as u32;
    work.scan.credentials != 0
        && (work.packet.protocol == protocol::TCP || !silent && !only_answers(work))
}

/// One uncredentialed REGISTER in five seconds passes a containment.
#[inline(always)]
fn trickles(work: &mut Work) -> bool {
    if work.facts.start != REQUEST || work.facts.method != Method::Register as u32 {
        return false;
    }
    let passes = match maps::contained(work.facts.contained_as) {
        Some(contained) => {
            containment::trickle(contained, work.facts.now_ns, rate::compare_exchange)
        }
        None => true,
    };
    work.facts.trickles = passes as u32;
    passes
}

/// Marks what proves that its sender receives what is sent to its address: a nonce which went to this
/// source and to no other, or an established TCP connection.
#[inline(never)]
fn mark_proof(work: &mut Work) {
    if work.facts.start == OPAQUE {
        return;
    }
    if flow::is_established(&work.packet, work.facts.seed, &mut work.place) {
        work.facts.event_flags |= EVENT_FLAG_TCP as u32;
    }
    if !counts_as_attempt(work) {
        return;
    }
    sipprot_read_nonce();
    let key = work.packet.source_key;
    if work.facts.nonce_seen != 0
        && let Some(nonce) = maps::nonce(work.facts.nonce)
        && nonce.source == key
        && nonce.shared == 0
    {
        work.facts.event_flags |= EVENT_FLAG_NONCE as u32;
    }
}

#[inline(always)]
fn is_proven(work: &Work) -> bool {
    work.facts.event_flags & (EVENT_FLAG_NONCE | EVENT_FLAG_TCP) as u32 != 0
}

#[inline(always)]
fn attempted(
    judge: &Judge,
    work: &mut Work,
    source: &mut Source,
    contained: bool,
) -> Option<Reason> {
    let fingerprint = sipprot_of_every_byte();
    let proven = is_proven(work);
    // Of two that are cut nobody knows whether they differ.
    if work.facts.cut == 0 && is_recent(source, fingerprint) {
        work.facts.trickles = (contained && proven) as u32;
        return if contained && !proven { contains(judge, work) } else { None };
    }
    let request = attempt::Request {
        now_ns: work.facts.now_ns,
        limit: judge.policy.attempt_limit,
        count: work.scan.credentials,
        proven,
        contained,
    };
    match attempt::judge(&mut source.attempts, &request, rate::fetch_add) {
        verdict @ (Verdict::Pass | Verdict::Trickle) => {
            work.facts.trickles = matches!(verdict, Verdict::Trickle) as u32;
            if let Some(reason) = over_wider_attempts(judge, work, proven) {
                return Some(reason);
            }
            remember(work, source, fingerprint);
            None
        }
        Verdict::Hold => holds(judge, work, source, Reason::Held).then_some(Reason::Held),
        Verdict::Contain => {
            if contained {
                return contains(judge, work);
            }
            begin_containment(judge, work, work.packet.source_key);
            holds(judge, work, source, Reason::Contained).then_some(Reason::Contained)
        }
    }
}

/// The same in the wider networks of an IPv6 source. They are no source of their own: nobody is told.
#[inline(always)]
fn over_wider_attempts(judge: &Judge, work: &mut Work, proven: bool) -> Option<Reason> {
    if !SourceKey(work.packet.source_key).is_global_v6() {
        return None;
    }
    match known::judge_wider(judge, work, proven) {
        known::HELD_WIDELY => judge.drops(work, Reason::Held).then_some(Reason::Held),
        known::CONTAINED_WIDELY => {
            begin_containment(judge, work, work.facts.contained_as);
            judge.drops(work, Reason::Contained).then_some(Reason::Contained)
        }
        _ => None,
    }
}

#[inline(always)]
fn is_recent(source: &Source, fingerprint: u32) -> bool {
    let mut index = 0;
    while index < attempt::RECENT {
        if source.attempts.recent[index] == fingerprint {
            return true;
        }
        index += 1;
    }
    false
}

/// Notes a counted request: to know its retransmission, and to know the answer that accepts it.
#[inline(always)]
fn remember(work: &mut Work, source: &mut Source, fingerprint: u32) {
    let next = source.attempts.recent_next;
    source.attempts.recent_next = next + 1;
    *slot(&mut source.attempts.recent, next as u64) = fingerprint;
    let method = work.facts.method;
    if method == Method::Register as u32 || method == Method::Invite as u32 {
        let transaction = sipprot_transaction(Direction::Ingress as u32);
        let next = source.pending_next;
        source.pending_next = next + 1;
        *slot(&mut source.pending, next as u64) = transaction;
    }
}

/// Is this the answer to a credentialed request of the source? Its place is emptied.
#[inline(always)]
pub fn answers_pending(source: &mut Source, transaction: u32) -> bool {
    let mut index = 0;
    while index < attempt::RECENT {
        if source.pending[index] == transaction {
            source.pending[index] = 0;
            return true;
        }
        index += 1;
    }
    false
}

#[inline(always)]
fn begin_containment(judge: &Judge, work: &Work, key: u64) {
    let mut contained = match maps::contained(key) {
        Some(contained) => *contained,
        None => Contained::default(),
    };
    containment::begin(
        &mut contained,
        work.facts.now_ns,
        judge.policy.containment_ns,
        judge.policy.containment_max_ns,
    );
    maps::contain(key, &contained);
}

/// TCP payload that was read: the host puts it together with what comes before and behind it.
#[inline(always)]
fn is_stream(work: &Work) -> bool {
    work.packet.protocol == protocol::TCP && work.facts.captured != 0
}

/// Counts a packet that passes, and tells the controller what it needs.
#[inline(always)]
fn pass(work: &mut Work, share: Option<&mut u64>) -> Reason {
    count(work, false);
    let (reason, kind) = passing(work);
    if is_stream(work) {
        work.facts.streams = 1;
    } else if kind != 0 {
        let share = if is_vouched_for(work) { None } else { share };
        work.facts.event_kind = kind as u32;
        if kind == EVENT_NOT_SIP {
            work.facts.captured = 0;
        }
        event::send(Direction::Ingress, share, reason);
    }
    reason
}

/// The rules must see all that a trusted source says, or the accounts that they don't know are
/// strangers when all of a big office fail at once; and what answers a source's own challenge, or a
/// forger could use up the events by which it would be trusted. Ceiling and attempt window bound both.
#[inline(always)]
fn is_vouched_for(work: &Work) -> bool {
    work.facts.event_flags & (EVENT_FLAG_TRUSTED | EVENT_FLAG_NONCE) as u32 != 0
}

/// The reason of a packet that nothing stopped, and the kind of its event, if it has one.
#[inline(always)]
pub fn passing(work: &Work) -> (Reason, u8) {
    let (reason, kind) = match work.facts.start {
        REQUEST => (Reason::SipRequest, if is_telling(work) { EVENT_REQUEST } else { 0 }),
        RESPONSE => (Reason::SipResponse, EVENT_RESPONSE),
        SEGMENT => (Reason::SipSegment, 0),
        KEEPALIVE => (Reason::SipKeepalive, 0),
        OPAQUE => (Reason::SipOpaque, 0),
        _ => (Reason::NotSip, EVENT_NOT_SIP),
    };
    (if work.facts.trickles != 0 { Reason::Trickle } else { reason }, kind)
}

#[inline(always)]
pub fn is_request(work: &Work) -> bool {
    work.facts.start == REQUEST
}

#[inline(always)]
pub fn is_response(work: &Work) -> bool {
    work.facts.start == RESPONSE
}

/// Requests whose outcome matters. In-dialog ones and those without an outcome don't.
#[inline(always)]
pub fn is_telling(work: &Work) -> bool {
    const SILENT: u32 = 1 << Method::Ack as u32
        | 1 << Method::Bye as u32
        | 1 << Method::Cancel as u32
        | 1 << Method::Prack as u32
        | 1 << Method::Update as u32
        | 1 << Method::Info as u32
        | 1 << Method::Notify as u32;
    (SILENT >> (work.facts.method & 31)) & 1 == 0
}

#[inline(always)]
fn count(work: &Work, dropped: bool) {
    if work.facts.strange != 0 {
        return;
    }
    let seen = Seen {
        register: work.facts.start == REQUEST && work.facts.method == Method::Register as u32,
        credentials: work.scan.credentials,
        dropped,
    };
    rate::count(work.packet.source_key, seen, work.facts.now_ns);
}

/// A hold or containment begins: the controller is told once, also when it is only observed.
#[inline(always)]
fn holds(judge: &Judge, work: &mut Work, source: &mut Source, reason: Reason) -> bool {
    let drops = judge.drops(work, reason);
    if work.facts.held == 0 || matches!(reason, Reason::Contained) {
        work.facts.event_kind = EVENT_HOLD as u32;
        event::send(Direction::Ingress, Some(&mut source.events_ns), reason);
    }
    drops
}

/// A packet of a source that is contained already.
#[inline(always)]
fn contains(judge: &Judge, work: &mut Work) -> Option<Reason> {
    if !judge.drops(work, Reason::Contained) {
        return None;
    }
    if let Some(contained) = maps::contained(work.facts.contained_as) {
        contained.drops += 1;
    }
    Some(Reason::Contained)
}
