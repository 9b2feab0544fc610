//! The bench's own programs: nothing at all, shipped functions by themselves, and forged frames.
//!
//! An object apart, never shipped, that takes the rooms of the shipped one as they are. Where sources
//! vary, the next one is made of the one in the frame, which the kernel leaves as the last run did.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(dead_code, reason = "only some functions of each room are measured by themselves")]

mod clock;
mod event;
mod flow;
mod frame;
mod geo;
mod home;
mod known;
mod lists;
mod maps;
mod packet;
mod rate;
mod sip;
mod verdict;
mod work;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX};
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;
use sipprot_common::source::Address;

use crate::maps::Direction;
use crate::packet::{NOT_FRAGMENTED, protocol};
use crate::verdict::Judge;
use crate::work::Work;

const ETHERNET: usize = 14;
const V4_CHECKSUM: usize = ETHERNET + 10;
const V4_SOURCE: usize = ETHERNET + 12;
const V6_SOURCE: usize = ETHERNET + 8;
const V4_UDP_CHECKSUM: usize = ETHERNET + 20 + 6;
const V6_UDP_CHECKSUM: usize = ETHERNET + 40 + 6;
/// Of the list that [`bench_forge_v6`] takes some of its sources from.
const LISTED_MAX: u32 = 1 << 16;

/// The shipped program, behind [`bench_random_v4`] and [`bench_random_v6`].
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// The bits of an IPv4 source that are fixed, and those that vary.
#[map]
static RANGE: Array<[u32; 2]> = Array::with_max_entries(1, 0);
/// Upper halves of IPv6 addresses that are on the list.
#[map]
static SOME_LISTED: Array<u64> = Array::with_max_entries(LISTED_MAX, 0);

/// What running a program costs, and the least that a receiver can do.
#[xdp]
pub fn bench_empty(_: XdpContext) -> u32 {
    XDP_DROP
}

/// `T` at an offset of the frame, if it is that long.
#[inline(always)]
fn at<T>(frame: &XdpContext, offset: usize) -> Option<*mut T> {
    let place = frame.data() + offset;
    (place + size_of::<T>() <= frame.data_end()).then_some(place as *mut T)
}

/// The next source of a fixed course through all of [`RANGE`].
#[inline(always)]
fn next_v4(frame: &XdpContext) -> Option<u32> {
    let [fixed, varies] = *RANGE.get(0)?;
    let place = at::<u32>(frame, V4_SOURCE)?;
    // SAFETY: `at` has checked that the word lies in the frame.
    unsafe {
        let next = u32::from_be(place.read_unaligned()).wrapping_mul(1_664_525);
        let next = fixed | next.wrapping_add(1_013_904_223) & varies;
        place.write_unaligned(next.to_be());
        Some(next)
    }
}

/// Likewise the upper half of one in 2000::/3.
#[inline(always)]
fn next_v6(frame: &XdpContext) -> Option<u64> {
    let place = at::<u64>(frame, V6_SOURCE)?;
    // SAFETY: as above.
    unsafe {
        let next = u64::from_be(place.read_unaligned()).wrapping_mul(6_364_136_223_846_793_005);
        let next = next.wrapping_add(1_442_695_040_888_963_407) & (u64::MAX >> 3) | 1 << 61;
        place.write_unaligned(next.to_be());
        Some(next)
    }
}

/// Another source, then the program in [`PROGRAMS`].
#[xdp]
pub fn bench_random_v4(frame: XdpContext) -> u32 {
    next_v4(&frame);
    // SAFETY: what is in the map is an XDP program.
    unsafe { PROGRAMS.tail_call(&frame, 0) };
    XDP_ABORTED
}

#[xdp]
pub fn bench_random_v6(frame: XdpContext) -> u32 {
    next_v6(&frame);
    // SAFETY: as above.
    unsafe { PROGRAMS.tail_call(&frame, 0) };
    XDP_ABORTED
}

/// As `packet::read` would leave it.
#[inline(always)]
fn from(work: &mut Work, source: Address) {
    // Field by field: all of them at once would be zeroed byte by byte.
    let packet = &mut work.packet;
    packet.source = source;
    packet.source_literal = source;
    packet.source_key = source.key().0;
    packet.protocol = protocol::UDP;
    packet.fragment = NOT_FRAGMENTED;
    packet.payload_len = 22;
    packet.beyond = 0;
}

/// Allow, deny and geo: everything that is asked of the lists for one source.
#[inline(always)]
fn judge_by_lists(source: Option<Address>) -> u32 {
    let (Some(source), Some(work)) = (source, maps::work(Direction::Ingress)) else {
        return XDP_ABORTED;
    };
    let (Some(config), Some(policy)) = (maps::config(), maps::policy(0)) else {
        return XDP_ABORTED;
    };
    let Some(strangers) = maps::strangers() else { return XDP_ABORTED };
    from(work, source);
    lists::look(work, config, strangers);
    if lists::is_allowed(work, 0) {
        return 0;
    }
    if lists::is_denied(work, 0, sipprot_common::abi::SCOPE_SIP) {
        return 1;
    }
    let kept_out = geo::concerns(work, policy, true)
        && geo::kept_out(&work.packet.source, config, policy).is_some();
    2 + kept_out as u32
}

#[xdp]
pub fn bench_list_v4(frame: XdpContext) -> u32 {
    judge_by_lists(next_v4(&frame).map(Address::from_v4))
}

#[xdp]
pub fn bench_list_v6(frame: XdpContext) -> u32 {
    judge_by_lists(next_v6(&frame).map(|high| Address::from_halves(high, 1)))
}

/// What is counted for a request of a source that nobody knows: ceiling, sketch, ration of newcomers.
#[xdp]
pub fn bench_count(frame: XdpContext) -> u32 {
    let (Some(source), Some(work)) = (next_v4(&frame), maps::work(Direction::Ingress)) else {
        return XDP_ABORTED;
    };
    let (Some(config), Some(policy)) = (maps::config(), maps::policy(0)) else {
        return XDP_ABORTED;
    };
    from(work, Address::from_v4(source));
    work.facts.now_ns = clock::coarse_ns();
    let judge = Judge { config, policy, index: 0 };
    if sip::is_hopeless(&judge, work) {
        return 0;
    }
    if rate::over_endpoint(policy, 0, false, work.facts.now_ns) {
        return 1;
    }
    let key = work.packet.source_key;
    work.facts.seen = known::is_seen(config.sketch_seed, key, work.facts.now_ns) as u32;
    let entered = known::enter(work, key, false).is_some();
    known::see(config.sketch_seed, key, work.facts.now_ns);
    2 + entered as u32
}

/// Takes `new` for `old` in an internet checksum (RFC 1624).
#[inline(always)]
fn amend(frame: &XdpContext, offset: usize, old: u32, new: u32) -> Option<()> {
    let place = at::<u16>(frame, offset)?;
    // SAFETY: `at` has checked that the word lies in the frame.
    let checksum = unsafe { place.read_unaligned() };
    let mut sum = !checksum as u32 & 0xffff;
    sum += (!old & 0xffff) + (!old >> 16) + (new & 0xffff) + (new >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    // SAFETY: as above.
    unsafe { place.write_unaligned(!sum as u16) };
    Some(())
}

/// Sends a frame back out in the name of another source of [`RANGE`], its checksums right.
#[xdp]
pub fn bench_forge_v4(frame: XdpContext) -> u32 {
    let send = || {
        let [fixed, varies] = *RANGE.get(0)?;
        // SAFETY: the helper takes nothing.
        let new = (fixed | unsafe { bpf_get_prandom_u32() } & varies).to_be();
        let place = at::<u32>(&frame, V4_SOURCE)?;
        // SAFETY: `at` has checked that the word lies in the frame.
        let old = unsafe { place.read_unaligned() };
        // SAFETY: as above.
        unsafe { place.write_unaligned(new) };
        amend(&frame, V4_CHECKSUM, old, new)?;
        amend(&frame, V4_UDP_CHECKSUM, old, new)
    };
    if send().is_some() { XDP_TX } else { XDP_ABORTED }
}

/// Likewise over IPv6: of 32 sources one is on the list, the others anywhere in 2000::/3.
#[xdp]
pub fn bench_forge_v6(frame: XdpContext) -> u32 {
    let send = || {
        // SAFETY: the helper takes nothing.
        let (upper, lower) = unsafe { (bpf_get_prandom_u32(), bpf_get_prandom_u32()) };
        let random = ((upper as u64) << 32 | lower as u64) & (u64::MAX >> 3) | 1 << 61;
        let new = match upper & 31 {
            0 => *SOME_LISTED.get(lower & (LISTED_MAX - 1))?,
            _ => random,
        };
        let new = new.to_be();
        let place = at::<u64>(&frame, V6_SOURCE)?;
        // SAFETY: `at` has checked that the words lie in the frame.
        let old = unsafe { place.read_unaligned() };
        // SAFETY: as above.
        unsafe { place.write_unaligned(new) };
        amend(&frame, V6_UDP_CHECKSUM, old as u32, new as u32)?;
        amend(&frame, V6_UDP_CHECKSUM, (old >> 32) as u32, (new >> 32) as u32)
    };
    if send().is_some() { XDP_TX } else { XDP_ABORTED }
}

/// Sends a frame back out as it is.
#[xdp]
pub fn bench_repeat(_: XdpContext) -> u32 {
    XDP_TX
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
