//! Network headers of all lengths: options, extension headers, fragments, and impossible ones.

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::frame::protocol;
use sipprot_tests::datapath::world::{Block, Listing};
use sipprot_tests::datapath::{Case, Frame, World, check_all};

use crate::places::*;

#[test]
fn headers() {
    check_all(&cases());
}

pub fn cases() -> Vec<Case> {
    let mut cases = ipv4_options();
    cases.extend(extensions());
    cases.extend(fragments());
    cases.extend(impossible());
    cases
}

fn ipv4_options() -> Vec<Case> {
    (0..=10)
        .map(|words| {
            let tcp = Frame::tcp(MALLORY, PBX).payload(register());
            Case::new(format!("IPv4 header of {} words", 5 + words), World::new())
                .ingress(&says(register()).ipv4_options(words), Reason::SipRequest)
                .ingress(&tcp.ipv4_options(words).vlans(2), Reason::SipRequest)
        })
        .collect()
}

fn over_ipv6() -> Frame {
    Frame::udp(MALLORY_V6, PBX_V6).payload(register())
}

fn extensions() -> Vec<Case> {
    let kinds = [
        ("hop-by-hop", protocol::HOP_BY_HOP, 6),
        ("long hop-by-hop", protocol::HOP_BY_HOP, 6 + 8 * 5),
        ("routing", protocol::ROUTING, 6),
        ("destination options", protocol::DESTINATION_OPTIONS, 14),
        ("authentication", protocol::AUTHENTICATION, 10),
        ("long authentication", protocol::AUTHENTICATION, 22),
        ("atomic fragment", protocol::FRAGMENT, 6),
    ];
    let mut cases: Vec<Case> = kinds
        .iter()
        .map(|(name, number, length)| {
            let frame = over_ipv6().extension(*number, &vec![0; *length]);
            let tcp = Frame::tcp(MALLORY_V6, PBX_V6)
                .payload(register())
                .extension(*number, &vec![0; *length]);
            Case::new(*name, World::new())
                .ingress(&frame, Reason::SipRequest)
                .ingress(&tcp.vlans(1), Reason::SipRequest)
        })
        .collect();
    let chain = |count: usize| {
        (0..count)
            .fold(over_ipv6(), |frame, _| frame.extension(protocol::DESTINATION_OPTIONS, &[0; 6]))
    };
    for count in 1..=6 {
        let name = format!("{count} extension headers");
        cases.push(Case::new(name, World::new()).ingress(&chain(count), Reason::SipRequest));
    }
    let all = over_ipv6()
        .extension(protocol::HOP_BY_HOP, &[0; 6])
        .extension(protocol::DESTINATION_OPTIONS, &[0; 6])
        .extension(protocol::ROUTING, &[0; 22])
        .extension(protocol::AUTHENTICATION, &[0; 10])
        .extension(protocol::DESTINATION_OPTIONS, &[0; 14]);
    let long = over_ipv6()
        .extension(protocol::DESTINATION_OPTIONS, &[0; 6 + 8 * 60])
        .extension(protocol::DESTINATION_OPTIONS, &[0; 6 + 8 * 70]);
    cases.extend([
        Case::new("one of each", World::new()).ingress(&all, Reason::SipRequest),
        Case::new("seven extension headers", World::new())
            .ingress(&chain(7), Reason::TooManyHeaders)
            .ingress(&chain(9), Reason::TooManyHeaders),
        Case::new("longer headers than are followed", World::new())
            .ingress(&long, Reason::TooManyHeaders),
        Case::new("a chain that is too long hides no denied source", {
            World::new().deny(Listing::new("2001:db8:bad::/48"))
        })
        .ingress(&chain(7), Reason::Denied)
        .ingress(&long, Reason::Denied),
        Case::new("nor a blocked one", World::new().block(Block::new("2001:db8:bad::7")))
            .ingress(&chain(7), Reason::Blocked),
        Case::new("nor makes one allowed", World::new().allow(Listing::new("2001:db8:bad::/48")))
            .ingress(&chain(7), Reason::Allowed),
    ]);
    cases
}

fn fragments() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, first) in [("IPv4", says(register())), ("IPv6", over_ipv6())] {
        let later = first.clone().payload([b'x'; 80]);
        cases.push(
            Case::new(format!("{name} fragments"), World::new())
                .ingress(&first.clone().fragment(0, true), Reason::SipRequest)
                .ingress(&later.clone().fragment(60, true), Reason::LaterFragment)
                .ingress(&later.fragment(120, false), Reason::LaterFragment),
        );
    }
    let unfinished = |number: u32| says(register()).payload(vec![b'x'; 8 * number as usize]);
    cases.push(
        Case::new("first fragments whose headers go on elsewhere count as guesses", World::new())
            .ingress_each(0..10, |at| unfinished(at % 2).fragment(0, true), Reason::SipRequest)
            .ingress(&unfinished(0).fragment(0, true), Reason::Contained),
    );
    let hidden = over_ipv6().extension(protocol::DESTINATION_OPTIONS, &[0; 6]).fragment(9, false);
    cases.push(
        Case::new("later fragment behind options", World::new())
            .ingress(&hidden, Reason::LaterFragment)
            .ingress(&Frame::ip(MALLORY_V6, PBX_V6, 58).fragment(9, true), Reason::LaterFragment),
    );
    cases
}

/// Lengths that cannot be, and headers that the frame cuts off: none of them is a drop.
fn impossible() -> Vec<Case> {
    const IP: usize = 14;
    let changed = |frame: &Frame, changes: &[(usize, u8)]| {
        let mut bytes = frame.bytes();
        for (at, byte) in changes {
            bytes[*at] = *byte;
        }
        bytes
    };
    let row = |name: &str, frame: Vec<u8>, reason: Reason| {
        Case::new(name, World::new()).ingress_bytes(frame, reason)
    };
    let udp = says(register());
    let tcp = Frame::tcp(MALLORY, PBX).payload(register());
    let options = Frame::ip(MALLORY, PBX, protocol::GRE).ipv4_options(10);
    let v6_options = Frame::ip(MALLORY_V6, PBX_V6, protocol::GRE)
        .extension(protocol::DESTINATION_OPTIONS, &[0; 14]);
    vec![
        row("IHL 4", changed(&udp, &[(IP, 0x44)]), Reason::BadHeader),
        row("IP version 5", changed(&udp, &[(IP, 0x55)]), Reason::BadHeader),
        row(
            "IPv6 in IPv4's EtherType",
            changed(&over_ipv6(), &[(12, 8), (13, 0)]),
            Reason::BadHeader,
        ),
        row("total length 19", changed(&udp, &[(IP + 2, 0), (IP + 3, 19)]), Reason::BadHeader),
        row(
            "total length 20: no payload",
            changed(&udp, &[(IP + 2, 0), (IP + 3, 20)]),
            Reason::SipKeepalive,
        ),
        row(
            "total length 65535",
            changed(&udp, &[(IP + 2, 255), (IP + 3, 255)]),
            Reason::SipRequest,
        ),
        row("UDP length 7", changed(&udp, &[(IP + 24, 0), (IP + 25, 7)]), Reason::BadHeader),
        row("UDP length 8", changed(&udp, &[(IP + 24, 0), (IP + 25, 8)]), Reason::SipKeepalive),
        row("UDP length 0", changed(&udp, &[(IP + 24, 0), (IP + 25, 0)]), Reason::SipRequest),
        row(
            "UDP length 65535",
            changed(&udp, &[(IP + 24, 255), (IP + 25, 255)]),
            Reason::SipRequest,
        ),
        row("TCP data offset 4", changed(&tcp, &[(IP + 32, 0x40)]), Reason::BadHeader),
        row("TCP data offset 15", changed(&tcp, &[(IP + 32, 0xf0)]), Reason::SipSegment),
        row(
            "TCP options cut off",
            changed(&tcp, &[(IP + 32, 0xf0)])[..IP + 60].to_vec(),
            Reason::Truncated,
        ),
        row("IPv4 header cut off", udp.bytes()[..IP + 10].to_vec(), Reason::Truncated),
        row("IPv4 options cut off", options.bytes()[..IP + 40].to_vec(), Reason::Truncated),
        row("IPv6 header cut off", over_ipv6().bytes()[..IP + 39].to_vec(), Reason::Truncated),
        row(
            "IPv6 extension header cut off",
            v6_options.bytes()[..IP + 48].to_vec(),
            Reason::Truncated,
        ),
        row("UDP header cut off", udp.bytes()[..IP + 27].to_vec(), Reason::Truncated),
        row("ICMP header cut off", Frame::ip(MALLORY, PBX, 1).bytes(), Reason::Truncated),
        row("VLAN tag cut off", udp.clone().vlans(1).bytes()[..16].to_vec(), Reason::Truncated),
        row(
            "padding behind the packet",
            [sends(b"\r\n").bytes(), b"REGISTER sip:x SIP/2.0\r\n".to_vec()].concat(),
            Reason::SipKeepalive,
        ),
        row(
            "bytes behind the datagram",
            {
                let mut frame = changed(&udp, &[(IP + 24, 0), (IP + 25, 8 + 22)]);
                frame[IP + 28..IP + 28 + 22].copy_from_slice(b"GET / HTTP/1.1\r\nA: bc\n");
                frame
            },
            Reason::NotSip,
        ),
    ]
}
