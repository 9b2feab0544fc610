//! Containment with its trickle, and the quarantine of a trusted source's ports.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::world::{self, Block};
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn containment() {
    check_all(&cases());
}

fn contained(name: &str) -> Case {
    Case::new(name, World::new().contained(MALLORY_ADDRESS, 60))
}

pub fn cases() -> Vec<Case> {
    let mut cases = trickles();
    cases.extend(quarantines());
    cases.push(doubling());
    cases
}

fn trickles() -> Vec<Case> {
    let tls = Policy::new(0).ports(5061..=5061, PORT_SIP_OPAQUE);
    vec![
        contained("one uncredentialed REGISTER in five seconds")
            .ingress(&says(register()), Reason::Trickle)
            .ingress(&says(register()), Reason::Contained)
            .wait(4)
            .ingress(&says(register()), Reason::Contained)
            .wait(2)
            .ingress(&says(register()), Reason::Trickle)
            .ingress(&says(register()), Reason::Contained)
            .events(&[(EVENT_REQUEST, 0); 2]),
        contained("other SIP doesn't pass")
            .ingress(&says(Message::request("OPTIONS")), Reason::Contained)
            .ingress(&says(Message::request("INVITE")), Reason::Contained)
            .ingress(&says(Message::request("ACK")), Reason::Contained)
            .ingress(&says(guess("n", 0)), Reason::Contained)
            .ingress(&sends(&[0x80; 100]), Reason::Contained)
            .events(&[]),
        contained("answers and keep-alives do, and what isn't SIP")
            .ingress(&says(Message::response(200, &register())), Reason::SipResponse)
            .ingress(&sends(b"\r\n\r\n"), Reason::SipKeepalive)
            .ingress(&Frame::udp(MALLORY, "198.51.100.10:16384"), Reason::Other)
            .ingress(&Frame::ip(MALLORY, PBX, 1).payload([8; 8]), Reason::Other)
            .ingress(&says(register()).fragment(5, false), Reason::LaterFragment),
        contained("a request that echoes its own nonce")
            .egress(&answers(Message::response(401, &register()).challenge("n1")))
            .ingress_each(0..10, |number| says(guess("n1", number)), Reason::Trickle)
            .ingress(&says(guess("n1", 10)), Reason::Held),
        contained("it ends")
            .wait(61)
            .ingress(&says(Message::request("OPTIONS")), Reason::SipRequest),
        contained("its source's neighbour")
            .ingress(&Frame::udp("203.0.113.8:5060", PBX).payload(register()), Reason::SipRequest),
        Case::new("a TLS port is never contained", World::of(tls).contained(MALLORY_ADDRESS, 60))
            .ingress(
                &Frame::udp(MALLORY, "198.51.100.10:5061").payload([22, 3, 1]),
                Reason::SipOpaque,
            )
            .ingress(&says(Message::request("OPTIONS")), Reason::Contained),
        Case::new("nor is a trusted source", {
            World::new().contained(MALLORY_ADDRESS, 60).trusted(MALLORY_ADDRESS)
        })
        .ingress(&says(Message::request("OPTIONS")), Reason::SipRequest),
        Case::new("a /64 is contained whole", World::new().contained("2001:db8:bad::1", 60))
            .ingress(
                &Frame::udp(MALLORY_V6, PBX_V6).payload(Message::request("BYE")),
                Reason::Contained,
            ),
    ]
}

/// Contained again while the last containment is remembered: twice as long.
fn doubling() -> Case {
    let round = |case: Case, from: u32, after: u64| {
        case.ingress_each(from..from + 10, |number| says(guess("n", number)), Reason::SipRequest)
            .ingress(&says(guess("n", from + 10)), Reason::Contained)
            .wait(after - 5)
            .ingress(&says(Message::request("OPTIONS")), Reason::Contained)
            .wait(10)
            .ingress(&says(Message::request("OPTIONS")), Reason::SipRequest)
            .wait(130)
    };
    let case = Case::new("a containment doubles", World::new());
    let case = round(case, 0, 60);
    let case = round(case, 100, 120);
    round(case, 200, 240)
}

fn quarantines() -> Vec<Case> {
    let world = || World::new().trusted(MALLORY_ADDRESS).quarantine(MALLORY_ADDRESS, 5060, 300);
    let from = |port: u16, message: Message| {
        Frame::udp(&format!("{MALLORY_ADDRESS}:{port}"), PBX).payload(message)
    };
    let tls = Policy::new(0).ports(5061..=5061, PORT_SIP_OPAQUE);
    vec![
        Case::new("one port of a trusted source", world())
            .ingress(&from(5060, register()), Reason::Quarantined)
            .ingress(&from(5060, guess("n", 1)), Reason::Quarantined)
            .ingress(&sends(b"\r\n"), Reason::Quarantined)
            .ingress(&from(5062, register()), Reason::SipRequest)
            .ingress(&Frame::udp(MALLORY, "198.51.100.10:16384"), Reason::Other)
            .wait(301)
            .ingress(&from(5060, register()), Reason::SipRequest),
        Case::new("at a TLS port too", World { policies: vec![tls], ..world() })
            .ingress(&Frame::udp(MALLORY, "198.51.100.10:5061").payload([22]), Reason::Quarantined),
        Case::new("only where trust says so", {
            let quarantine = vec![(world::source(MALLORY_ADDRESS), 5060, 300)];
            World { quarantine, ..World::new() }
        })
        .ingress(&from(5060, register()), Reason::SipRequest),
        Case::new("a block goes before", world().block(Block::new(MALLORY_ADDRESS)))
            .ingress(&from(5060, register()), Reason::Blocked),
    ]
}
