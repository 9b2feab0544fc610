//! What an endpoint sends: the PBX's answers, which no attacker can forge, and the flows that are
//! opened outward.

use aya_ebpf::programs::TcContext;
use sipprot_common::abi::*;
use sipprot_common::attempt;
use sipprot_common::reason::Reason;
use sipprot_common::sip::Header;
use sipprot_common::source::{SourceKey, Wider};

use crate::frame::Frame;
use crate::maps::Direction;
use crate::packet::protocol;
use crate::work::{Place, Work};
use crate::{clock, event, flow, geo, guards, home, maps, packet, sip};

/// Bytes that must be readable directly: link, network and transport headers with their options.
const HEADERS_LEN: u32 = 256;

#[inline(always)]
pub fn watch(frame: &TcContext, work: &mut Work) {
    let Some(config) = maps::config() else { return };
    // Headers may lie in fragments of the buffer; a short packet gives an error, which is fine.
    let _ = frame.pull_data(if frame.len() < HEADERS_LEN { frame.len() } else { HEADERS_LEN });
    let (first, end) = frame.bounds();
    if packet::read(first, end, frame.length(), &mut work.packet).is_some()
        || work.packet.beyond != 0
    {
        return;
    }
    if work.packet.protocol == protocol::TCP && work.packet.destination_port == guards::DNS_PORT {
        flow::note_opened(&work.packet, config.seed);
    }
    let index = home::policy_of(&work.packet.source, work.packet.source_port, config);
    let Some(policy) = maps::policy(index) else { return };
    if config.flags & CONFIG_TRACK_FLOWS != 0 {
        geo::note_outward(&work.packet, config, policy);
    }
    let port = crate::port_of(work, policy, work.packet.source_port);
    if policy.mode == MODE_OFF || port.sip != PORT_SIP {
        return;
    }
    if work.packet.protocol == protocol::TCP {
        flow::note_tcp_sent(&work.packet, config.seed, &mut work.place);
    } else {
        work.place = Place::default();
    }
    if work.packet.payload_len == 0 {
        return;
    }
    work.facts.now_ns = clock::coarse_ns();
    work.facts.seed = config.seed;
    work.facts.policy = index;
    work.facts.event_flags = EVENT_FLAG_OUTBOUND as u32;
    work.event.header.ifindex = frame.ifindex();
    sip::read::read(frame, work);
    said(frame, work);
}

/// An answer has no share of its own events: there are no more of them than requests that passed.
/// But a peer decides into how many segments TCP cuts them.
#[inline(always)]
fn said(frame: &TcContext, work: &mut Work) {
    let remote = work.packet.destination.key().0;
    if sip::is_response(work) {
        match work.facts.status {
            200..=299 => accepted(work, remote),
            401 | 407 => challenged(work, remote),
            _ => {}
        }
    }
    if work.packet.protocol == protocol::TCP {
        sip::tell_stream(frame, work, remote, sip::passing(work).0);
    } else if sip::is_request(work) && sip::is_telling(work) {
        tell(work, EVENT_REQUEST);
    } else if sip::is_response(work) && work.facts.status >= 200 {
        tell(work, EVENT_RESPONSE);
    }
}

/// A 2xx to a credentialed REGISTER or INVITE ends hold and containment; no other 2xx does.
#[inline(always)]
fn accepted(work: &mut Work, remote: u64) {
    let Some(source) = maps::source(remote) else { return };
    let transaction = sip::sipprot_transaction(Direction::Egress as u32);
    if sip::answers_pending(source, transaction) {
        attempt::accept(&mut source.attempts, work.facts.now_ns);
        source.tcp_bytes = 0;
        maps::release(remote);
        take_back(SourceKey(remote));
    }
}

/// In the wider networks of an IPv6 source the acceptance stands for its own request alone.
#[inline(always)]
fn take_back(key: SourceKey) {
    if !key.is_global_v6() {
        return;
    }
    for wider in Wider::ALL {
        if let Some(network) = maps::source(key.wider(wider).0) {
            attempt::take_back(&mut network.attempts);
        }
    }
}

/// Remembers to whom a nonce went.
#[inline(always)]
fn challenged(work: &mut Work, remote: u64) {
    let Some(hash) = challenge_nonce(work) else { return };
    match maps::nonce(hash) {
        Some(nonce) => {
            if nonce.source != remote {
                nonce.shared = 1;
            }
        }
        None => maps::add_nonce(hash, &Nonce { source: remote, shared: 0, pad: 0 }),
    }
}

#[inline(always)]
fn challenge_nonce(work: &mut Work) -> Option<u64> {
    let place = match work.scan.place(Header::WwwAuthenticate) {
        Some(place) => place,
        None => work.scan.place(Header::ProxyAuthenticate)?,
    };
    let (text, end) = (&work.event.text, work.facts.captured);
    let at = work.parameter.find(text, place, end, b"nonce")?;
    Some(work.value.hash(text, at, end, work.facts.seed))
}

#[inline(always)]
fn tell(work: &mut Work, kind: u8) {
    work.facts.event_kind = kind as u32;
    let reason = if kind == EVENT_REQUEST { Reason::SipRequest } else { Reason::SipResponse };
    event::send(Direction::Egress, None, reason);
}
