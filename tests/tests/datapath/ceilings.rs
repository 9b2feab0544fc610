//! Ceilings: every datagram and every segment with payload to a SIP port counts, SIP or not.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::frame::{ACK, SYN};
use sipprot_tests::datapath::{Case, Frame, Policy, World, check_all};

use crate::places::*;

#[test]
fn ceilings() {
    check_all(&cases());
}

/// Three at once, then one a second, of each untrusted source.
fn host() -> Policy {
    Policy::new(0).source_ceiling(1, 3)
}

fn from(last: u32) -> Frame {
    Frame::udp(&format!("203.0.113.{last}:5060"), PBX).payload(register())
}

pub fn cases() -> Vec<Case> {
    let told = |reason_count: usize, flags: u8| {
        let mut events = vec![(EVENT_REQUEST, flags); 3];
        events.extend(vec![(EVENT_DROP, flags); reason_count]);
        events
    };
    let kind = |name: &str, payload: &[u8], reason: Reason| {
        Case::new(format!("{name} count"), World::of(host()))
            .ingress_each(0..3, |_| sends(payload), reason)
            .ingress(&sends(payload), Reason::SourceCeiling)
    };
    let tls = || Frame::udp(MALLORY, "198.51.100.10:5061").payload([22, 3, 1]);
    let endpoint = || Policy::new(0).endpoint_ceiling(1, 4);
    vec![
        Case::new("a source's burst, then its rate", World::of(host()))
            .ingress_each(0..3, |_| from(7), Reason::SipRequest)
            .ingress_each(0..2, |_| from(7), Reason::SourceCeiling)
            .events(&told(2, 0))
            .wait(1)
            .ingress(&from(7), Reason::SipRequest)
            .ingress(&from(7), Reason::SourceCeiling)
            .ingress(&from(8), Reason::SipRequest)
            .wait(60)
            .ingress_each(0..3, |_| from(7), Reason::SipRequest)
            .ingress(&from(7), Reason::SourceCeiling),
        kind("keep-alives", b"\r\n\r\n", Reason::SipKeepalive),
        kind("empty datagrams", b"", Reason::SipKeepalive),
        kind("payloads that aren't SIP", &[0x80; 100], Reason::NotSip),
        kind("answers", b"SIP/2.0 200 OK\r\n\r\n", Reason::SipResponse),
        Case::new("empty TCP segments don't", World::of(host()))
            .ingress(&Frame::tcp(MALLORY, PBX).segment(SYN, 1, 0), Reason::SipKeepalive)
            .ingress_each(
                0..20,
                |_| Frame::tcp(MALLORY, PBX).segment(ACK, 2, 1),
                Reason::SipKeepalive,
            )
            .ingress_each(0..3, |_| Frame::tcp(MALLORY, PBX).payload("\r\n"), Reason::SipKeepalive)
            .ingress(&Frame::tcp(MALLORY, PBX).payload("\r\n"), Reason::SourceCeiling)
            .ingress(&Frame::tcp(MALLORY, PBX).segment(ACK, 2, 1), Reason::SipKeepalive),
        Case::new("TLS ports count", World::of(host().ports(5061..=5061, PORT_SIP_OPAQUE)))
            .ingress_each(0..3, |_| tls(), Reason::SipOpaque)
            .ingress(&tls(), Reason::SourceCeiling)
            .ingress(&from(7), Reason::SourceCeiling)
            .events(&[(EVENT_DROP, 0); 2]),
        Case::new("other ports don't", World::of(host()))
            .ingress_each(0..20, |_| Frame::udp(MALLORY, "198.51.100.10:16384"), Reason::Other)
            .ingress_each(0..3, |_| from(7), Reason::SipRequest),
        Case::new("all untrusted sources of an endpoint", World::of(endpoint()))
            .ingress_each(1..5, from, Reason::SipRequest)
            .ingress_each(5..9, from, Reason::EndpointCeiling)
            .wait(1)
            .ingress(&from(9), Reason::SipRequest)
            .ingress(&from(10), Reason::EndpointCeiling),
        Case::new(
            "a trusted source is not among them",
            World::of(endpoint()).trusted("203.0.113.9"),
        )
        .ingress_each(1..5, from, Reason::SipRequest)
        .ingress(&from(5), Reason::EndpointCeiling)
        .ingress_each(0..10, |_| from(9), Reason::SipRequest),
        Case::new("each endpoint has its own", {
            let tenant = Policy { index: 7, ..endpoint() };
            World::of(endpoint()).endpoint("198.51.100.20", tenant)
        })
        .ingress_each(1..5, from, Reason::SipRequest)
        .ingress(&from(5), Reason::EndpointCeiling)
        .ingress(&Frame::udp(MALLORY, OTHER_PBX).payload(register()), Reason::SipRequest)
        .under(7),
        Case::new("a higher one for trusted sources", {
            World::of(host().trusted_ceiling(1, 6)).trusted(MALLORY_ADDRESS)
        })
        .ingress_each(0..6, |_| from(7), Reason::SipRequest)
        .ingress(&from(7), Reason::SourceCeiling)
        .events(&{
            let mut events = vec![(EVENT_REQUEST, EVENT_FLAG_TRUSTED); 6];
            events.push((EVENT_DROP, EVENT_FLAG_TRUSTED));
            events
        }),
        Case::new("a trusted source's own", {
            // Two a second for as long as the policy's burst lasts: five seconds.
            World::of(host().trusted_ceiling(1, 6)).trusted_with_rate(MALLORY_ADDRESS, 2)
        })
        .ingress_each(0..11, |_| from(7), Reason::SipRequest)
        .ingress(&from(7), Reason::SourceCeiling),
        Case::new("no ceiling where none is set", World::new()).ingress_each(
            0..100,
            |_| from(7),
            Reason::SipRequest,
        ),
    ]
}
