//! SIPprot in the kernel: XDP on what comes in, TC on what goes out.
//!
//! This file holds the entries and a packet's way through the rooms; `packet` reads headers, `home` says
//! whose address is whose, `lists` and `geo` judge by source, `guards` by port, `sip` by what is said,
//! `known` says whom we know, `rate` counts, `flow` remembers who opened what, `event` tells the
//! controller, `verdict` drops and counts.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod clock;
mod egress;
mod event;
mod flow;
mod frame;
mod geo;
mod guards;
mod home;
mod known;
mod lists;
mod maps;
mod packet;
mod rate;
mod sip;
mod verdict;
mod work;

use aya_ebpf::bindings::{TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use sipprot_common::abi::*;
use sipprot_common::block;
use sipprot_common::guard::Service;
use sipprot_common::reason::{Class, Reason};
use sipprot_common::sip::Method;

use crate::frame::Frame;
use crate::maps::Direction;
use crate::packet::{LATER_FRAGMENT, protocol};
use crate::verdict::Judge;
use crate::work::{Place, Work};

#[xdp]
#[inline(always)]
pub fn sipprot_ingress(frame: XdpContext) -> u32 {
    let Some(work) = maps::work(Direction::Ingress) else { return xdp_action::XDP_PASS };
    work.facts.policy = 0;
    work.facts.observed = 0;
    let reason = ingress(&frame, work);
    verdict::count(work.facts.policy, work.facts.observed, reason);
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(&frame, "{} from {:x}", reason.label(), work.packet.source_key);
    match reason.class() {
        Class::Pass | Class::Fault => xdp_action::XDP_PASS,
        Class::Drop => xdp_action::XDP_DROP,
    }
}

/// Watches what leaves; never changes or stops it.
#[classifier]
pub fn sipprot_egress(frame: TcContext) -> i32 {
    if let Some(work) = maps::work(Direction::Egress) {
        egress::watch(&frame, work);
    }
    TC_ACT_UNSPEC
}

/// A packet's way, by the numbers of the design: each step may end it with a reason.
#[inline(always)]
fn ingress(frame: &XdpContext, work: &mut Work) -> Reason {
    let (start, end) = frame.bounds();
    if let Some(fault) = packet::read(start, end, frame.length(), &mut work.packet)
        && !packet::is_cut_in_two(&mut work.packet)
    {
        return fault;
    }
    let Some(config) = maps::config() else { return Reason::LookupFailed };
    // Before the ways part: the verifier goes through it once.
    let Some(strangers) = maps::strangers() else { return Reason::LookupFailed };
    lists::look(work, config, strangers);
    // 0: whose packet?
    let port = work.packet.destination_port;
    let index = home::policy_of(&work.packet.destination, port, config);
    let Some(policy) = maps::policy(index) else { return Reason::LookupFailed };
    work.facts.policy = index;
    if policy.mode == MODE_OFF {
        return Reason::Off;
    }
    let judge = Judge { config, policy, index };
    if is_control(frame, work, &judge) {
        return Reason::Control;
    }
    let port = port_of(work, policy, work.packet.destination_port);
    work.facts.service = port.service as u32;
    // 1 to 4: by the source alone.
    if let Some(reason) = by_source(frame, &judge, work, port) {
        return reason;
    }
    if work.packet.beyond != 0 {
        return Reason::TooManyHeaders;
    }
    if work.packet.fragment == LATER_FRAGMENT {
        return Reason::LaterFragment;
    }
    // 5: the services beside SIP.
    if let Some(reason) = guards::judge(frame, work) {
        return reason;
    }
    // 6: what is said on a SIP port.
    match port.sip {
        PORT_NONE => Reason::Other,
        class => by_message(frame, &judge, work, class),
    }
}

/// What must always pass, whatever the lists say.
#[inline(always)]
fn is_control(frame: &XdpContext, work: &mut Work, judge: &Judge) -> bool {
    if packet::is_neighbour_discovery(&work.packet) {
        return true;
    }
    if !packet::is_icmp_error(&work.packet) || judge.config.flags & CONFIG_TRACK_FLOWS == 0 {
        return false;
    }
    let (start, end) = frame.bounds();
    if !packet::quoted_ports(start, end, &work.packet, &mut work.quoted) {
        return false;
    }
    let seed = geo::seed(judge.config, judge.policy, work.quoted.protocol);
    flow::quotes_live(&work.packet, &work.quoted, seed, clock::coarse_ns())
}

/// What a port means to a policy.
#[derive(Clone, Copy)]
struct Port {
    /// `PORT_*`: what SIP is spoken there; none where its transport isn't read.
    sip: u8,
    /// The number of the guarded service, 0 for none.
    service: u8,
}

impl Port {
    const NONE: Self = Self { sip: PORT_NONE, service: 0 };

    /// The scopes that a packet to this port is of.
    #[inline(always)]
    fn scopes(self) -> u8 {
        let service = (1 << self.service) & !SCOPE_SIP;
        service | (self.sip != PORT_NONE) as u8
    }
}

#[inline(always)]
fn port_of(work: &Work, policy: &Policy, port: u32) -> Port {
    let transport = match work.packet.protocol {
        protocol::UDP => PROTOCOL_UDP,
        protocol::TCP => PROTOCOL_TCP,
        _ => return Port::NONE,
    };
    if work.packet.fragment == LATER_FRAGMENT || work.packet.beyond != 0 {
        return Port::NONE;
    }
    let Some(set) = maps::port_set(policy.port_set) else { return Port::NONE };
    let bits = (*packet::slot(&mut set.words, port as u64 >> 4) >> ((port & 15) * 4)) as u8 & 15;
    let service = bits >> PORT_SERVICE_SHIFT;
    let guarded = if service == Service::Tftp as u8 { PROTOCOL_UDP } else { PROTOCOL_TCP };
    Port {
        sip: if policy.protocols & transport != 0 { bits & PORT_SIP_MASK } else { PORT_NONE },
        service: if guarded == transport { service } else { 0 },
    }
}

/// Allow, deny, dynamic block, geo.
#[inline(always)]
fn by_source(frame: &XdpContext, judge: &Judge, work: &mut Work, port: Port) -> Option<Reason> {
    let scopes = port.scopes();
    if lists::is_allowed(work, judge.index) {
        return Some(Reason::Allowed);
    }
    if lists::is_denied(work, judge.index, scopes) && judge.drops(work, Reason::Denied) {
        return Some(Reason::Denied);
    }
    if let Some(block) = lists::blocked(work, judge.policy, judge.index, scopes)
        && judge.drops(work, Reason::Blocked)
    {
        block.drops += 1;
        let opens = guards::opens_connection(work);
        if port.sip != PORT_NONE || opens {
            renew(frame, work, block, opens);
        }
        return Some(Reason::Blocked);
    }
    if geo::concerns(work, judge.policy, port.sip != PORT_NONE) {
        match geo::sipprot_geo(judge.index) {
            geo::DROPS => return Some(Reason::Geo),
            geo::OBSERVES => verdict::observe(work, Reason::Geo),
            _ => {}
        }
    }
    None
}

/// A SIP request of a blocked source may renew the block, and so may a new connection to what is
/// guarded.
#[inline(always)]
fn renew(frame: &XdpContext, work: &mut Work, block: &mut Block, opens: bool) {
    work.facts.now_ns = clock::coarse_ns();
    if opens {
        sip::read::leave_unread(work);
    } else {
        sip::read::read(frame, work);
        if !sip::is_request(work) {
            return;
        }
        let seen = rate::Seen {
            register: work.facts.method == Method::Register as u32,
            credentials: work.scan.credentials,
            dropped: true,
        };
        rate::count(work.packet.source_key, seen, work.facts.now_ns);
    }
    if block::renew(block, work.facts.now_ns) {
        work.facts.event_kind = EVENT_RENEWED as u32;
        work.facts.event_flags = 0;
        work.place = Place::default();
        work.facts.strange = 0;
        work.event.header.ifindex = frame.ifindex();
        event::send(Direction::Ingress, None, Reason::Blocked);
    }
}

#[inline(always)]
fn by_message(frame: &XdpContext, judge: &Judge, work: &mut Work, class: u8) -> Reason {
    work.facts.now_ns = clock::coarse_ns();
    work.facts.seed = judge.config.seed;
    work.facts.event_flags = 0;
    work.place = Place::default();
    work.event.header.ifindex = frame.ifindex();
    if sip::is_hopeless(judge, work) && judge.drops(work, Reason::EndpointCeiling) {
        return Reason::EndpointCeiling;
    }
    if class == PORT_SIP {
        sip::read::read(frame, work);
    } else {
        sip::read::leave_unread(work);
    }
    sip::judge(frame, judge, work)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
