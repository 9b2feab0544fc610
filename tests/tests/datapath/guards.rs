//! The services beside SIP: blocks and denials of one of them alone.

use sipprot_common::abi::*;
use sipprot_common::guard::Service;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::frame::SYN;
use sipprot_tests::datapath::world::{Block, Listing};
use sipprot_tests::datapath::{Case, Frame, Policy, World, check_all};

use crate::places::*;

#[test]
fn guards() {
    check_all(&cases());
}

pub fn cases() -> Vec<Case> {
    scopes()
}

fn host() -> Policy {
    Policy::new(0)
        .guards(22, Service::Ssh)
        .guards(80, Service::Http)
        .guards(443, Service::Http)
        .guards(69, Service::Tftp)
        .ports(443..=443, PORT_SIP_OPAQUE)
}

/// Mallory opens a connection to a port of the PBX.
fn opens(port: u16) -> Frame {
    Frame::tcp(MALLORY, &format!("198.51.100.10:{port}")).segment(SYN, 1, 0)
}

fn scopes() -> Vec<Case> {
    let blocked = |scope: u8| World::of(host()).block(Block::new(MALLORY_ADDRESS).scope(scope));
    let udp = |port: u16| Frame::udp(MALLORY, &format!("198.51.100.10:{port}"));
    vec![
        Case::new("a block of ssh stops ssh alone", blocked(SCOPE_SSH))
            .ingress(&opens(22), Reason::Blocked)
            .ingress(&Frame::tcp(MALLORY, "198.51.100.10:22"), Reason::Blocked)
            .ingress(&udp(22), Reason::Other)
            .ingress(&opens(23), Reason::Other)
            .ingress(&opens(80), Reason::Other)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("a block of http stops http alone", blocked(SCOPE_HTTP))
            .ingress(&opens(80), Reason::Blocked)
            .ingress(&opens(443), Reason::Blocked)
            .ingress(&opens(22), Reason::Other)
            .ingress(&udp(69), Reason::Other)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("a block of both", blocked(SCOPE_SSH | SCOPE_HTTP))
            .ingress(&opens(22), Reason::Blocked)
            .ingress(&opens(80), Reason::Blocked)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("a block of SIP reaches a port of both", blocked(SCOPE_SIP))
            .ingress(&opens(443), Reason::Blocked)
            .ingress(&opens(80), Reason::Other)
            .ingress(&opens(22), Reason::Other),
        Case::new("a denial of ssh alone", {
            World::of(host()).deny(Listing::new("203.0.113.0/24").scope(SCOPE_SSH))
        })
        .ingress(&opens(22), Reason::Denied)
        .ingress(&opens(80), Reason::Other)
        .ingress(&says(register()), Reason::SipRequest),
    ]
}
