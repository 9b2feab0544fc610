//! The main paths: both families, both transports, VLAN tags, and what is said on a SIP port.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn paths() {
    check_all(&cases());
}

pub fn cases() -> Vec<Case> {
    let mut cases = families_transports_and_tags();
    cases.extend(starts());
    cases.extend([
        Case::new("a frame that isn't IP", World::new()).ingress_bytes(arp(), Reason::NotIp),
        Case::new("a frame of Ethernet's header alone", World::new())
            .ingress_bytes(arp()[..14].to_vec(), Reason::NotIp),
        Case::new("protocols without ports", World::new())
            .ingress(&Frame::ip(MALLORY, PBX, 47).payload([0; 40]), Reason::Other)
            .ingress(&Frame::ip(MALLORY_V6, PBX_V6, 50).payload([0; 40]), Reason::Other)
            .ingress(&Frame::ip(MALLORY_V6, PBX_V6, 59), Reason::Other)
            .ingress(&Frame::ip(MALLORY, PBX, 1).payload([8, 0, 0, 0, 0, 0, 0, 1]), Reason::Other),
        Case::new("other ports", World::new())
            .ingress(&Frame::udp(MALLORY, "198.51.100.10:5059"), Reason::Other)
            .ingress(&Frame::tcp(MALLORY, "198.51.100.10:5061"), Reason::Other)
            .ingress(&Frame::udp("203.0.113.7:5060", "198.51.100.10:53"), Reason::Other),
        port_ranges(),
        Case::new("a map that should be there is not", broken())
            .ingress(&Frame::udp(MALLORY, OTHER_PBX).payload(register()), Reason::LookupFailed)
            .ingress(&says(register()), Reason::SipRequest),
        events_have_a_share(),
        a_trusted_source_is_always_told_of(),
        a_proven_request_is_always_told_of(),
        neighbour_discovery(),
    ]);
    cases
}

fn families_transports_and_tags() -> Vec<Case> {
    let mut cases = Vec::new();
    for (source, destination) in [(MALLORY, "198.51.100.10"), (MALLORY_V6, "[2001:db8:100::10]")] {
        let transports =
            [(Frame::udp as fn(&str, &str) -> Frame, EVENT_REQUEST), (Frame::tcp, EVENT_SEGMENT)];
        for (transport, (frame, kind)) in transports.into_iter().enumerate() {
            for tags in 0..=3 {
                let to = |port| frame(source, &format!("{destination}:{port}")).vlans(tags);
                let or = |reason| if tags > 2 { Reason::TooManyHeaders } else { reason };
                let name = format!("{source} to {destination}, transport {transport}, {tags} tags");
                let request = to(5060).payload(Message::request("OPTIONS"));
                let case = Case::new(name, World::new())
                    .ingress(&request, or(Reason::SipRequest))
                    .ingress(&to(16384).payload([0x80; 172]), or(Reason::Other));
                let told: &[(u8, u8)] = if tags > 2 { &[] } else { &[(kind, 0)] };
                cases.push(case.events(told));
            }
        }
    }
    cases
}

/// How payloads on a SIP port begin.
fn starts() -> Vec<Case> {
    let row = |name: &str, payload: &[u8], reason: Reason, events: &[(u8, u8)]| {
        Case::new(name, World::new()).ingress(&sends(payload), reason).events(events)
    };
    let asks = [(EVENT_REQUEST, 0)];
    let other = [(EVENT_NOT_SIP, 0)];
    let mut cases = vec![
        row("CRLF keep-alive", b"\r\n\r\n", Reason::SipKeepalive, &[]),
        row("NUL keep-alive", b"\0", Reason::SipKeepalive, &[]),
        row("four NULs", b"\0\0\0\0", Reason::SipKeepalive, &[]),
        row("empty datagram", b"", Reason::SipKeepalive, &[]),
        row("STUN", b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl", Reason::SipKeepalive, &[]),
        row("PROXY v1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Reason::SipKeepalive, &[]),
        row("PROXY v2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Reason::SipKeepalive, &[]),
        row("TLS to a port in the clear", b"\x16\x03\x01\x02\0\x01", Reason::NotSip, &other),
        row("RTP to a SIP port", &[0x80; 172], Reason::NotSip, &other),
        row("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Reason::NotSip, &other),
        row("unknown method", b"FROB sip:x SIP/2.0\r\n\r\n", Reason::SipRequest, &asks),
        row(
            "the same behind line ends",
            b"\r\nFROB sip:x SIP/2.0\r\n\r\n",
            Reason::SipRequest,
            &asks,
        ),
        row("small letters", b"register sip:x sip/2.0\r\n\r\n", Reason::SipRequest, &asks),
        row("a line without end", b"REGISTER sip:x SIP/2.0", Reason::SipRequest, &asks),
        row("a word without end", b"FROB", Reason::NotSip, &other),
        row("response", b"SIP/2.0 200 OK\r\n\r\n", Reason::SipResponse, &[(EVENT_RESPONSE, 0)]),
    ];
    for method in ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "PUBLISH", "REFER"] {
        let frame = Message::request(method).bytes();
        cases.push(row(method, &frame, Reason::SipRequest, &asks));
    }
    for method in ["ACK", "BYE", "CANCEL", "NOTIFY", "PRACK", "UPDATE", "INFO"] {
        let frame = Message::request(method).bytes();
        cases.push(row(method, &frame, Reason::SipRequest, &[]));
    }
    cases
}

fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x08, 0x06]);
    frame.extend([0; 28]);
    frame
}

fn port_ranges() -> Case {
    let host = Policy::new(0).ports(5080..=5090, PORT_SIP).ports(5061..=5061, PORT_SIP_OPAQUE);
    let to = |port: u16| Frame::udp(MALLORY, &format!("198.51.100.10:{port}")).payload(register());
    Case::new("ranges of ports", World::of(host))
        .ingress(&to(5060), Reason::SipRequest)
        .ingress(&to(5061), Reason::SipOpaque)
        .ingress(&to(5079), Reason::Other)
        .ingress(&to(5080), Reason::SipRequest)
        .ingress(&to(5090), Reason::SipRequest)
        .ingress(&to(5091), Reason::Other)
}

fn broken() -> World {
    World::new().endpoint("198.51.100.20", Policy::new(5)).policies_max(1)
}

fn events_have_a_share() -> Case {
    let tell = [(EVENT_REQUEST, 0); 2];
    Case::new("a source has its share of events", World::new().events(1, 2))
        .ingress_each(0..5, |_| says(register()), Reason::SipRequest)
        .events(&tell)
        .wait(10)
        .ingress_each(0..5, |_| says(register()), Reason::SipRequest)
        .events(&tell)
}

fn a_trusted_source_is_always_told_of() -> Case {
    Case::new(
        "what a trusted source says is told",
        World::new().events(1, 2).trusted(MALLORY_ADDRESS),
    )
    .ingress_each(0..5, |_| says(register()), Reason::SipRequest)
    .events(&[(EVENT_REQUEST, EVENT_FLAG_TRUSTED); 5])
}

/// A forger uses up the share of whose address it is, who all the same is heard.
fn a_proven_request_is_always_told_of() -> Case {
    let challenge = Message::response(401, &register()).challenge("n1");
    let mut told = vec![(EVENT_REQUEST, 0); 2];
    told.push((EVENT_RESPONSE, EVENT_FLAG_OUTBOUND));
    told.push((EVENT_REQUEST, EVENT_FLAG_NONCE));
    Case::new("what echoes its own nonce is told", World::new().events(1, 2))
        .ingress_each(0..5, |number| says(guess("forged", number)), Reason::SipRequest)
        .egress(&answers(challenge))
        .ingress(&says(guess("n1", 5)), Reason::SipRequest)
        .events(&told)
}

/// ICMPv6 types 133 to 137, also from a source on the denylist; but over IPv6 only.
fn neighbour_discovery() -> Case {
    use sipprot_tests::datapath::world::Listing;
    let world = World::new().deny(Listing::new("::/0")).deny(Listing::new("0.0.0.0/0"));
    let icmp = |kind: u8| Frame::ip("fe80::1", "ff02::1", 58).payload([kind, 0, 0, 0, 0, 0, 0, 0]);
    let over_ipv4 = Frame::ip(MALLORY, PBX, 58).payload([135, 0, 0, 0, 0, 0, 0, 0]);
    Case::new("neighbour discovery", world)
        .ingress_each(133..=137, |kind| icmp(kind as u8), Reason::Control)
        .ingress(&icmp(128), Reason::Denied)
        .ingress(&icmp(132), Reason::Denied)
        .ingress(&icmp(138), Reason::Denied)
        .ingress(&over_ipv4, Reason::Denied)
}
