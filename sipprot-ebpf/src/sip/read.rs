//! Reads a payload: what it is, and where its headers are.

use sipprot_common::sip::{CAPACITY, Letters, Method, Start, header, start, text::Flow};

use crate::frame::Frame;
use crate::maps;
use crate::packet::{FIRST_FRAGMENT, bounded, protocol};
use crate::work::Work;

/// `Facts::start` in numbers, so that the verifier has no enum to split on.
pub(super) const REQUEST: u32 = 1;
pub(super) const RESPONSE: u32 = 2;
pub(super) const KEEPALIVE: u32 = 3;
pub(super) const SEGMENT: u32 = 4;
const NOT_SIP: u32 = 5;
/// On a TLS or WebSocket port: not read.
pub(super) const OPAQUE: u32 = 6;
/// A word that may be a method; settled once the version has been looked at.
const TOKEN: u32 = 7;

/// Copies the payload and reads what it is.
#[inline(always)]
pub fn read<F: Frame>(frame: &F, work: &mut Work) {
    let length = work.packet.payload_len as u64;
    work.facts.captured = 0;
    work.facts.told = 0;
    work.scan.credentials = 0;
    let fragmented = work.packet.fragment == FIRST_FRAGMENT;
    work.facts.cut = fragmented as u32;
    if length == 0 {
        work.facts.method = Method::Other as u32;
        work.facts.start = if fragmented { REQUEST } else { KEEPALIVE };
        work.scan.credentials = fragmented as u32;
        return;
    }
    let most = if length > CAPACITY as u64 { CAPACITY as u64 } else { length };
    let most = bounded::<{ CAPACITY as i32 - 1 }>(most - 1) + 1;
    if !frame.load(work.packet.payload, &mut work.event.text, most as u32) {
        work.facts.start = NOT_SIP;
        return;
    }
    work.event.text.terminate(most as u32);
    work.facts.captured = most as u32;
    work.facts.cut |= (length > CAPACITY as u64) as u32;
    sipprot_parse(F::DIRECTION as u32);
}

/// What comes to a TLS or WebSocket port has no text.
#[inline(always)]
pub fn leave_unread(work: &mut Work) {
    work.facts.start = OPAQUE;
    work.facts.captured = 0;
    work.facts.cut = 0;
    work.scan.credentials = 0;
}

/// Start line and headers of the text in the direction's scratch space.
///
/// A global function, as all that read a text: the verifier goes through it once, whoever calls it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_parse(direction: u32) -> u32 {
    let Some(work) = maps::work_of(direction) else { return 0 };
    let text = &work.event.text;
    let length = work.facts.captured;
    let at = work.skip.line_ends(text);
    work.facts.method = Method::Other as u32;
    work.facts.start = match start::classify(text, at, length) {
        Start::Request(method) => {
            work.facts.method = method as u32;
            REQUEST
        }
        Start::Token => TOKEN,
        Start::Response => RESPONSE,
        Start::Keepalive => KEEPALIVE,
        Start::NotSip => NOT_SIP,
    };
    work.facts.status = start::status(text, at);
    let several = work.packet.protocol == protocol::TCP;
    work.scan.begin(at, length, several);
    sipprot_look_for(direction, Letters::JUDGED.0);
    work.scan.end();
    work.facts.cut = work.scan.supposes_credentials(work.facts.cut != 0) as u32;
    work.facts.start = settled(work, several);
    0
}

/// Looks for the headers that begin with `letters`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_look_for(direction: u32, letters: u32) -> u32 {
    let Some(work) = maps::work_of(direction) else { return 0 };
    work.scan.look_for(&work.event.text, Letters(letters));
    let mut step = 0;
    while step < header::STEPS_MAX && sipprot_read_on(direction) != 0 {
        step += 1;
    }
    0
}

/// 1: there is more.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_read_on(direction: u32) -> u32 {
    let Some(work) = maps::work_of(direction) else { return 0 };
    (work.scan.read_on(&work.event.text) == Flow::More) as u32
}

/// What the payload is, now that its lines are known. Whatever has credentials is taken for a
/// request: what a PBX makes of an odd beginning is not ours to guess.
#[inline(always)]
fn settled(work: &Work, several: bool) -> u32 {
    let start = work.facts.start;
    if start == REQUEST || start == RESPONSE {
        return start;
    }
    if several && start != KEEPALIVE {
        return SEGMENT;
    }
    let version = start == TOKEN && start::has_version(&work.event.text, work.scan.first_line_end);
    if version || work.scan.credentials != 0 {
        return REQUEST;
    }
    if start == TOKEN { NOT_SIP } else { start }
}
