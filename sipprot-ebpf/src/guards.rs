//! Step 5 of a packet's way: what is not SIP and still does harm.
//!
//! New connections to ssh and http, and TFTP requests, have a ceiling for each source: what is over it
//! is dropped, and nobody is blocked for it, since any of them may be forged. DNS answers have a length
//! that old resolvers survive (CVE-2015-7547).

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use sipprot_common::abi::GUARD_SETS;
use sipprot_common::guard::{self, Service, WAYS};
use sipprot_common::policy::Protection;
use sipprot_common::reason::Reason;
use sipprot_common::table::KNOWN;

use crate::flow::{self, ACK, SYN};
use crate::frame::Frame;
use crate::maps::{self, Direction};
use crate::packet::{Cursor, FIRST_FRAGMENT, bounded, protocol, slot};
use crate::rate;
use crate::verdict::Judge;
use crate::work::Work;
use crate::{clock, event};

pub const DNS_PORT: u32 = 53;
/// A length behind this offset is not read, but taken for too long.
const OFFSET_MAX: u32 = 0x3fff;

/// Stops a packet, or lets it go on. What is neither for a guarded port nor from a name server's pays
/// no more than this question.
#[inline(always)]
pub fn judge(frame: &XdpContext, work: &Work) -> Option<Reason> {
    if work.facts.service == 0 && work.packet.source_port != DNS_PORT {
        return None;
    }
    match sipprot_guard(frame.ctx) {
        DNS => Some(Reason::DnsOversize),
        TFTP => Some(Reason::TftpCeiling),
        SSH => Some(Reason::SshCeiling),
        HTTP => Some(Reason::HttpCeiling),
        _ => None,
    }
}

const PASSES: u32 = 0;
const DNS: u32 = Reason::DnsOversize as u32;
const TFTP: u32 = Reason::TftpCeiling as u32;
const SSH: u32 = Reason::SshCeiling as u32;
const HTTP: u32 = Reason::HttpCeiling as u32;

/// The number of the reason for which a packet is dropped; 0: it goes on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_guard(frame: *mut xdp_md) -> u32 {
    let frame = XdpContext::new(frame);
    let Some(work) = maps::work(Direction::Ingress) else { return PASSES };
    let Some(config) = maps::config() else { return PASSES };
    let index = work.facts.policy;
    let Some(policy) = maps::policy(index) else { return PASSES };
    let judge = Judge { config, policy, index };
    let reason = if work.packet.source_port == DNS_PORT && is_oversized(&frame, &judge, work) {
        Reason::DnsOversize
    } else if work.facts.service != 0 && is_over(&judge, work) {
        ceiling(work.facts.service)
    } else {
        return PASSES;
    };
    let drops = judge.drops(work, reason);
    event::sample(work, frame.ifindex(), reason);
    if drops { reason as u32 } else { PASSES }
}

#[inline(always)]
fn ceiling(service: u32) -> Reason {
    const SSH: u32 = Service::Ssh as u32;
    const HTTP: u32 = Service::Http as u32;
    match service {
        SSH => Reason::SshCeiling,
        HTTP => Reason::HttpCeiling,
        _ => Reason::TftpCeiling,
    }
}

/// Does it open a connection to a service that is guarded?
#[inline(always)]
pub fn opens_connection(work: &Work) -> bool {
    work.facts.service != 0 && work.packet.tcp_flags & (SYN | ACK) == SYN
}

/// Is a packet one more request than its source may send? Over TCP only what opens a connection is one.
#[inline(always)]
fn is_over(judge: &Judge, work: &Work) -> bool {
    let service = work.facts.service;
    let is_off = judge.policy.off >> (Protection::Dns as u32 + service) & 1 != 0;
    if is_off || work.packet.protocol == protocol::TCP && !opens_connection(work) {
        return false;
    }
    let (rate, phones) = (judge.policy.guards[service as usize & 3], phones(work));
    // Its burst is a time: so many phones have so many times as many.
    let interval_ns = rate.interval_ns.checked_div(phones).unwrap_or(rate.interval_ns);
    interval_ns != 0 && !take(judge, work, interval_ns, rate.burst_ns)
}

/// How many phones fetch what they need through a source. They don't ssh.
#[inline(always)]
fn phones(work: &Work) -> u64 {
    if work.facts.known & KNOWN == 0 || work.facts.service == Service::Ssh as u32 {
        return 1;
    }
    match maps::trust(work.packet.source_key) {
        Some(trust) => trust.phones as u64,
        None => 1,
    }
}

/// Takes one request from the bucket of the packet's source; false when it is over the rate.
#[inline(always)]
fn take(judge: &Judge, work: &Work, interval_ns: u64, burst_ns: u64) -> bool {
    let now_ns = clock::coarse_ns();
    let apart = judge.index * judge.policy.own_guards as u32;
    let tag = guard::tag(judge.config.seed, work.packet.source_key, work.facts.service, apart);
    let Some(set) = maps::guarded(tag as u32 & (GUARD_SETS - 1)) else { return true };
    let way = set.find(tag);
    if way < WAYS {
        return rate::take(slot(&mut set.buckets_ns, way as u64), now_ns, interval_ns, burst_ns);
    }
    let way = set.coldest() as u64;
    let place = slot(&mut set.tags, way);
    // Of two CPUs that want a place at once, one gets it, and the other's packet isn't counted.
    if rate::compare_exchange(place, *place, tag) {
        let bucket = slot(&mut set.buckets_ns, way);
        rate::compare_exchange(bucket, *bucket, now_ns + interval_ns);
    }
    true
}

/// Is it an answer, or the beginning of one, that says it is longer than allowed? What can't be told
/// is taken for that: no name server sends it.
#[inline(always)]
fn is_oversized(frame: &XdpContext, judge: &Judge, work: &Work) -> bool {
    if judge.policy.off & Protection::Dns.bit() != 0 {
        return false;
    }
    let oversized = match work.packet.protocol {
        protocol::UDP => exceeds(udp_length(frame, work), judge.policy.dns_udp_max),
        protocol::TCP => exceeds(tcp_length(frame, judge, work), judge.policy.dns_tcp_max),
        _ => false,
    };
    oversized && !maps::is_resolver(&work.packet.source_literal)
}

#[inline(always)]
const fn exceeds(length: u32, most: u16) -> bool {
    most != 0 && length > most as u32
}

/// Payload of the whole datagram, as the header in its first fragment says.
#[inline(always)]
fn udp_length(frame: &XdpContext, work: &Work) -> u32 {
    let packet = &work.packet;
    match read_u16(frame, packet.transport + 4) {
        // Over IPv6 the kernel takes 0 for "as long as it is", which a fragment doesn't know.
        0 if packet.fragment == FIRST_FRAGMENT => u32::MAX,
        0 => packet.payload_len,
        length => length - 8,
    }
}

/// What stands before the first answer of a connection; 0 for every other segment.
#[inline(always)]
fn tcp_length(frame: &XdpContext, judge: &Judge, work: &Work) -> u32 {
    let packet = &work.packet;
    match flow::first_answer(packet, judge.config.seed) {
        flow::NO_ANSWER => 0,
        flow::TOO_EARLY => u32::MAX,
        // One byte of two: together with the next ones it comes again.
        at if at + 2 > packet.payload_len => u32::MAX,
        at => read_u16(frame, packet.payload + at),
    }
}

/// The two bytes at an offset; the largest number where they can't be read.
#[inline(always)]
fn read_u16(frame: &XdpContext, offset: u32) -> u32 {
    let (start, end) = frame.bounds();
    let at = bounded::<{ OFFSET_MAX as i32 }>(offset as u64);
    if at != offset as u64 {
        return u32::MAX;
    }
    match Cursor::new(start, end, frame.length()).u16(at) {
        Some(value) => value as u32,
        None => u32::MAX,
    }
}
