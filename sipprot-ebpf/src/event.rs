//! Events to the controller: bounded per source and per CPU, what is left out is counted.

use core::ptr;

use sipprot_common::abi::{
    BUCKET_GUARD_EVENTS, EVENT_DROP, EVENT_FLAG_OBSERVED, EVENT_SEGMENT, EventCounts, EventHeader,
    Source, Trust,
};
use sipprot_common::ceiling;
use sipprot_common::guard;
use sipprot_common::reason::Reason;
use sipprot_common::share::{RECORDS_MAX, Share};
use sipprot_common::sip::CAPACITY;
use sipprot_common::sip::text::{Flow, Step, repeat};

use crate::clock;
use crate::frame::Frame;
use crate::maps::{self, Direction};
use crate::packet::bounded;
use crate::rate;
use crate::work::{Place, Work};

/// Events of one CPU: 20,000 a second, 4,000 at once.
const CPU_TIMES: (u64, u64) = ceiling::times(20_000, 4_000);

/// Of those, about sources that are in no map: a flood of them must not use up what the others need.
const STRANGE_TIMES: (u64, u64) = ceiling::times(200, 1_000);

const HEADER_LEN: usize = size_of::<EventHeader>();

/// Sends what the scratch space of `direction` knows of the packet. `share` is the bucket of its source,
/// if it has one.
#[inline(always)]
pub fn send(direction: Direction, share: Option<&mut u64>, reason: Reason) {
    let share = share.map_or(ptr::null_mut(), |bucket| &raw mut *bucket);
    sipprot_send(direction as u32, share, reason as u32);
}

/// A global function: there are many reasons to tell, and the verifier goes through this once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sipprot_send(direction: u32, share: *mut u64, reason: u32) -> u32 {
    let Some(work) = maps::work_of(direction) else { return 0 };
    let Some(config) = maps::config() else { return 0 };
    let Some(counts) = maps::event_counts() else { return 0 };
    let now_ns = work.facts.now_ns;
    // SAFETY: null, or a bucket in a map.
    if let Some(bucket) = unsafe { share.as_mut() } {
        let (interval_ns, burst_ns) = (config.event_interval_ns, config.event_burst_ns);
        if !charged(bucket, ceiling::take(*bucket, now_ns, interval_ns, burst_ns), counts) {
            return 0;
        }
    }
    if !may_tell(work, counts, now_ns) {
        return 0;
    }
    fill(work, reason);
    record(work, counts, now_ns);
    0
}

/// Tells of a packet that a guard stops, or would: without its bytes, and only now and then.
#[inline(always)]
pub fn sample(work: &mut Work, ifindex: u32, reason: Reason) {
    let Some(counts) = maps::event_counts() else { return };
    let now_ns = clock::coarse_ns();
    let Some(bucket) = maps::bucket(BUCKET_GUARD_EVENTS) else { return };
    if !rate::take(bucket, now_ns, guard::EVENT_TIMES.0, guard::EVENT_TIMES.1) {
        return;
    }
    work.facts.event_kind = EVENT_DROP as u32;
    work.facts.event_flags = 0;
    work.facts.captured = 0;
    work.scan.credentials = 0;
    work.place = Place::default();
    work.event.header.ifindex = ifindex;
    fill(work, reason as u32);
    record(work, counts, now_ns);
}

/// Of sources that are in no map there are events for them all together.
#[inline(always)]
fn may_tell(work: &mut Work, counts: &mut EventCounts, now_ns: u64) -> bool {
    if work.facts.strange == 0 {
        return true;
    }
    let bucket = &mut work.strange_events_ns;
    charged(bucket, ceiling::take(*bucket, now_ns, STRANGE_TIMES.0, STRANGE_TIMES.1), counts)
}

/// Charges a bucket, if what is to be told has room in it; else that is left out and counted.
#[inline(always)]
fn charged(bucket: &mut u64, next_ns: Option<u64>, counts: &mut EventCounts) -> bool {
    match next_ns {
        Some(next_ns) => *bucket = next_ns,
        None => counts.suppressed += 1,
    }
    next_ns.is_some()
}

/// The bucket of a source's TCP payload, and how fast it empties.
pub struct Stream<'a> {
    bucket: &'a mut u64,
    share: Share,
}

impl<'a> Stream<'a> {
    pub fn trusted(trust: &'a mut Trust) -> Self {
        Self { bucket: &mut trust.stream_ns, share: Share::TRUSTED }
    }

    pub fn untrusted(source: &'a mut Source) -> Self {
        Self { bucket: &mut source.stream_ns, share: Share::UNTRUSTED }
    }
}

/// Sends the payload of a TCP segment: what was read of it, and what a longer buffer has behind it,
/// record by record. All of it or nothing: a gap costs the host a message or two.
#[inline(always)]
pub fn send_stream(frame: &impl Frame, work: &mut Work, stream: Option<Stream>, reason: Reason) {
    let Some(counts) = maps::event_counts() else { return };
    let now_ns = clock::coarse_ns();
    if let Some(Stream { bucket, share }) = stream
        && !charged(bucket, share.take(*bucket, now_ns, work.packet.payload_len), counts)
    {
        return;
    }
    if !may_tell(work, counts, now_ns) {
        return;
    }
    work.facts.event_kind = EVENT_SEGMENT as u32;
    fill(work, reason as u32);
    if record(work, counts, now_ns) && work.packet.payload_len > CAPACITY as u32 {
        repeat(RECORDS_MAX - 1, work, frame);
    }
}

impl<F: Frame> Step<F> for Work {
    /// One more record of a long buffer.
    #[inline(always)]
    fn step(&mut self, frame: &F) -> Flow {
        let done = self.facts.told + self.facts.captured;
        let rest = (self.packet.payload_len as u64).wrapping_sub(done as u64);
        if rest == 0 || rest > u32::MAX as u64 {
            return Flow::Stop;
        }
        let length = if rest > CAPACITY as u64 { CAPACITY as u64 } else { rest };
        let length = bounded::<{ CAPACITY as i32 - 1 }>(length - 1) as u32 + 1;
        if !frame.load(self.packet.payload + done, &mut self.event.text, length) {
            return Flow::Stop;
        }
        self.event.header.sequence += self.facts.captured;
        self.event.header.captured = length;
        self.facts.told = done;
        self.facts.captured = length;
        let Some(counts) = maps::event_counts() else { return Flow::Stop };
        if record(self, counts, clock::coarse_ns()) { Flow::More } else { Flow::Stop }
    }
}

/// Puts a record into the ring, if this CPU may; false when it was left out.
#[inline(always)]
fn record(work: &mut Work, counts: &mut EventCounts, now_ns: u64) -> bool {
    let bucket = &mut work.events_ns;
    if !charged(bucket, ceiling::take(*bucket, now_ns, CPU_TIMES.0, CPU_TIMES.1), counts) {
        return false;
    }
    let written = write(work);
    counts.lost += !written as u64;
    written
}

#[inline(always)]
fn fill(work: &mut Work, reason: u32) {
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
    header.connection = work.place.connection;
    header.sequence = work.place.sequence;
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
