//! Events to the controller: bounded per source and per CPU, what is left out is counted.

use sipprot_common::abi::{Config, EVENT_FLAG_OBSERVED, EventHeader};
use sipprot_common::ceiling;
use sipprot_common::reason::Reason;
use sipprot_common::sip::CAPACITY;

use crate::clock;
use crate::maps;
use crate::packet::bounded;
use crate::work::Work;

/// Events of one CPU: 20,000 a second, 4,000 at once.
const CPU_TIMES: (u64, u64) = ceiling::times(20_000, 4_000);

/// Of those, about sources that are in no map: a flood of them must not use up what the others need.
const STRANGE_TIMES: (u64, u64) = ceiling::times(200, 1_000);

const HEADER_LEN: usize = size_of::<EventHeader>();

/// Sends what `work` knows of the packet. `share` is the bucket of its source, if it has one.
#[inline(always)]
pub fn send(work: &mut Work, config: &Config, share: Option<&mut u64>, reason: Reason) {
    let Some(counts) = maps::event_counts() else { return };
    let now_ns = clock::coarse_ns();
    if let Some(bucket) = share {
        match ceiling::take(*bucket, now_ns, config.event_interval_ns, config.event_burst_ns) {
            Some(next_ns) => *bucket = next_ns,
            None => {
                counts.suppressed += 1;
                return;
            }
        }
    }
    if work.facts.strange != 0 {
        match ceiling::take(work.strange_events_ns, now_ns, STRANGE_TIMES.0, STRANGE_TIMES.1) {
            Some(next_ns) => work.strange_events_ns = next_ns,
            None => {
                counts.suppressed += 1;
                return;
            }
        }
    }
    match ceiling::take(work.events_ns, now_ns, CPU_TIMES.0, CPU_TIMES.1) {
        Some(next_ns) => work.events_ns = next_ns,
        None => {
            counts.suppressed += 1;
            return;
        }
    }
    fill(work, reason);
    if !write(work) {
        counts.lost += 1;
    }
}

#[inline(always)]
fn fill(work: &mut Work, reason: Reason) {
    let (packet, facts) = (&work.packet, &work.facts);
    let header = &mut work.event.header;
    header.at_ns = clock::precise_ns();
    header.source = packet.source_literal;
    header.destination = packet.destination;
    header.source_port = packet.source_port as u16;
    header.destination_port = packet.destination_port as u16;
    header.kind = facts.event_kind as u8;
    header.reason = reason as u8;
    header.protocol = packet.protocol as u8;
    let observed = if facts.observed != 0 { EVENT_FLAG_OBSERVED } else { 0 };
    header.flags = facts.event_flags as u8 | observed;
    header.policy = facts.policy;
    header.payload_len = packet.payload_len;
    header.captured = facts.captured;
    header.credentials = work.scan.credentials;
    header.pad = 0;
}

#[inline(always)]
fn write(work: &Work) -> bool {
    let captured = work.facts.captured as u64;
    let event = (&raw const work.event).cast::<u8>();
    let length = if captured == 0 {
        HEADER_LEN
    } else {
        // At most CAPACITY, in a form that the verifier keeps.
        bounded::<{ CAPACITY as i32 - 1 }>(captured - 1) as usize + 1 + HEADER_LEN
    };
    // SAFETY: the text behind the header has room for CAPACITY bytes.
    maps::send_event(unsafe { core::slice::from_raw_parts(event, length) })
}
