//! Which sources are known: the sketch before the exact map, who may enter the map, and the wider
//! networks that an IPv6 source is also counted in.

use sipprot_common::abi::*;
use sipprot_common::attempt::{self, Request, Verdict};
use sipprot_common::sketch;
use sipprot_common::source::{SourceKey, Wider};

use crate::maps;
use crate::packet::slot;
use crate::rate;
use crate::verdict::Judge;
use crate::work::Work;

/// The cells of a source.
#[inline(always)]
fn cells(seed: u32, key: u64) -> Option<[&'static mut u16; 2]> {
    let [(page, cell), (other_page, other_cell)] = sketch::places(seed, key);
    let first = slot(&mut maps::sketch(page)?.cells, cell);
    let second = slot(&mut maps::sketch(other_page)?.cells, other_cell);
    Some([first, second])
}

/// Was a source seen in the last minute? Without a sketch all were, which only costs look-ups.
#[inline(always)]
pub fn is_seen(seed: u32, key: u64, now_ns: u64) -> bool {
    let Some([first, second]) = cells(seed, key) else { return true };
    let now = sketch::tick(now_ns);
    sketch::is_recent(*first, now) && sketch::is_recent(*second, now)
}

/// Notes that a source was seen. A cell is written once in four seconds at most, so that CPUs don't
/// take its line from each other.
#[inline(always)]
pub fn see(seed: u32, key: u64, now_ns: u64) {
    let Some([first, second]) = cells(seed, key) else { return };
    let now = sketch::tick(now_ns);
    if *first != now {
        *first = now;
    }
    if *second != now {
        *second = now;
    }
}

/// A source's entry, if it was seen lately and is known. Nothing that is older counts any more.
#[inline(always)]
pub fn find(seed: u32, key: u64, now_ns: u64) -> Option<&'static mut Source> {
    if is_seen(seed, key, now_ns) { maps::source(key) } else { None }
}

/// The entry of a source whose packet the ceilings let pass, made if there is room for it. A proof
/// makes room for itself: it takes a round trip, so that no forger has one.
#[inline(never)]
pub fn enter(work: &mut Work, key: u64, free: bool) -> Option<&'static mut Source> {
    if let Some(source) = maps::source(key) {
        return Some(source);
    }
    let now_ns = work.facts.now_ns;
    if !free {
        let seen = work.facts.seen != 0;
        let bucket = maps::bucket(BUCKET_NEWCOMERS)?;
        let next_ns = sketch::admit(*bucket, now_ns, seen)?;
        // Of two CPUs that enter somebody at once, one enters for free.
        rate::compare_exchange(bucket, *bucket, next_ns);
    }
    work.fresh = Source::NEW;
    // A new one's window begins now: turning it later is a matter of several words, in which two
    // CPUs could lose each other's counts.
    work.fresh.attempts.start_ns = now_ns;
    maps::add_source(key, &work.fresh);
    maps::source(key)
}

/// Is the household of an IPv6 source held?
#[inline(always)]
pub fn is_site_held(work: &Work, seed: u32) -> bool {
    let key = SourceKey(work.packet.source_key);
    if !key.is_global_v6() {
        return false;
    }
    match find(seed, key.wider(Wider::Site).0, work.facts.now_ns) {
        Some(site) => attempt::held(&site.attempts, work.facts.now_ns),
        None => false,
    }
}

/// The key under which a source is contained: its own or that of a wider network; 0 when it isn't.
#[inline(never)]
pub fn contained_as(work: &Work) -> u64 {
    let key = SourceKey(work.packet.source_key);
    let now_ns = work.facts.now_ns;
    if is_contained(key.0, now_ns) {
        return key.0;
    }
    if key.is_global_v6() {
        for wider in Wider::ALL {
            let wide = key.wider(wider).0;
            if is_contained(wide, now_ns) {
                return wide;
            }
        }
    }
    0
}

#[inline(always)]
fn is_contained(key: u64, now_ns: u64) -> bool {
    match maps::contained(key) {
        Some(contained) => sipprot_common::containment::in_force(contained, now_ns),
        None => false,
    }
}

/// What [`judge_wider`] finds, in numbers, so that the verifier has no enum to split on.
pub const WITHIN_LIMITS: u32 = 0;
pub const HELD_WIDELY: u32 = 1;
/// `facts.contained_as` says by which network.
pub const CONTAINED_WIDELY: u32 = 2;

/// Counts attempts of an IPv6 source in its wider networks, and judges them there by wider limits. A
/// /48 is only ever contained: it may be that of many.
#[inline(never)]
pub fn judge_wider(judge: &Judge, work: &mut Work, proven: bool) -> u32 {
    let key = SourceKey(work.packet.source_key);
    for wider in Wider::ALL {
        let wide = key.wider(wider).0;
        let site = matches!(wider, Wider::Site);
        let Some(entry) = enter(work, wide, proven) else { continue };
        see(judge.config.sketch_seed, wide, work.facts.now_ns);
        let request = Request {
            now_ns: work.facts.now_ns,
            limit: judge.policy.attempt_limit << wider.limit_bits(),
            count: work.scan.credentials,
            proven: proven && site,
            contained: false,
        };
        match attempt::judge(&mut entry.attempts, &request, rate::fetch_add) {
            Verdict::Hold => return HELD_WIDELY,
            Verdict::Contain => {
                work.facts.contained_as = wide;
                return CONTAINED_WIDELY;
            }
            Verdict::Pass | Verdict::Trickle => {}
        }
    }
    WITHIN_LIMITS
}
