//! By what a request is known again: its retransmission by every byte, its answer by its transaction.

use sipprot_common::hash;
use sipprot_common::sip::{Header, Letters};

use super::read::sipprot_look_for;
use crate::maps::{self, Direction};

/// Reads the nonce of the first credentials in the text that came in.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_read_nonce() -> u32 {
    let Some(work) = maps::work(Direction::Ingress) else { return 0 };
    let (text, seed, end) = (&work.event.text, work.facts.seed, work.facts.captured);
    let place = match work.scan.place(Header::Authorization) {
        Some(place) => Some(place),
        None => work.scan.place(Header::ProxyAuthorization),
    };
    work.facts.nonce_seen = 0;
    if let Some(place) = place
        && let Some(at) = work.parameter.find(text, place, end, b"nonce")
    {
        work.facts.nonce = work.value.hash(text, at, end, seed);
        work.facts.nonce_seen = 1;
    }
    0
}

/// The fingerprint by which a retransmission is known: of every byte, since a request that differs
/// anywhere may be another guess.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_of_every_byte() -> u32 {
    let Some(work) = maps::work(Direction::Ingress) else { return 0 };
    let (text, seed, end) = (&work.event.text, work.facts.seed, work.facts.captured);
    work.value.hash_all(text, 0, end, seed) as u32 | 1
}

/// The hash by which a response finds its request: branch, Call-ID and CSeq.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_transaction(direction: u32) -> u32 {
    let Some(work) = maps::work_of(direction) else { return 0 };
    sipprot_look_for(direction, Letters::TRANSACTION.0);
    let (text, seed, end) = (&work.event.text, work.facts.seed, work.facts.captured);
    let mut print = seed;
    if let Some(place) = work.scan.place(Header::Via)
        && let Some(at) = work.parameter.find(text, place, end, b"branch")
    {
        print = hash::fold(print, work.value.hash(text, at, end, seed));
    }
    if let Some(place) = work.scan.place(Header::CallId) {
        let at = work.skip.to_value(text, place);
        print = hash::fold(print, work.value.hash_line(text, at, end, seed));
    }
    if let Some(place) = work.scan.place(Header::CSeq) {
        let at = work.skip.to_value(text, place);
        print = hash::fold(print, work.value.hash_line(text, at, end, seed));
    }
    hash::finish(print) as u32 | 1
}
