//! Listed user agents, however the header is written.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::{Case, Frame, Message, World, check_all};

use crate::places::*;

#[test]
fn agents() {
    check_all(&cases());
}

fn world() -> World {
    World::new()
        .user_agent("friendly-scanner")
        .user_agent("SIPVicious")
        .user_agent("a-pattern-of-thirty-two-bytes-xy")
        .user_agent("=smap")
        .user_agent("*mass scan*")
}

/// As many patterns as fit, of all kinds.
fn full() -> World {
    (0..USER_AGENTS_MAX).fold(World::new(), |world, number| match number % 3 {
        0 => world.user_agent(&format!("prefix{number:02}")),
        1 => world.user_agent(&format!("=exact{number:02}")),
        _ => world.user_agent(&format!("*aaab{number:02}*")),
    })
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let told = |trusted: bool| [(EVENT_DROP, if trusted { EVENT_FLAG_TRUSTED } else { 0 })];
    for (name, value) in [
        ("User-Agent", "friendly-scanner"),
        ("user-agent", "FRIENDLY-Scanner 1.2"),
        ("USER-AGENT ", "sipvicious"),
        ("User-Agent\t", "  sipvicious/0.3"),
        ("User-Agent", "\r\n sipvicious"),
        ("User-Agent", "\r\n\t  sipvicious"),
        ("User-Agent", "a-pattern-of-thirty-two-bytes-xyz"),
        ("User-Agent", "smap"),
        ("User-Agent", "SMAP \t "),
        ("User-Agent", "smap\r\n "),
        ("User-Agent", "a Mass  Scanner"),
        ("User-Agent", "amass\r\n\tscan"),
        ("User-Agent", &format!("{}mass scan", "x".repeat(55))),
        ("User-Agent", &format!("{}smap", " ".repeat(300))),
    ] {
        let message = Message::request("OPTIONS").header(name, value);
        for trusted in [false, true] {
            let world = if trusted { world().trusted(MALLORY_ADDRESS) } else { world() };
            cases.push(
                Case::new(format!("{name}:{value}, trusted {trusted}"), world)
                    .ingress(&says(message.clone()), Reason::UserAgent)
                    .events(&told(trusted)),
            );
        }
    }
    for (name, value) in [
        ("User-Agent", "Yealink SIP-T46S"),
        ("User-Agent", "friendly"),
        ("User-Agent", "x friendly-scanner"),
        ("User-Agent", "a-pattern-of-thirty-two-bytes-xz"),
        ("User-Agent", ""),
        ("User-Agent", "\r\nsmap: 1"),
        ("User-Agent", "smap 1"),
        ("User-Agent", "xsmap"),
        ("User-Agent", "massscan"),
        ("User-Agent", &format!("{}mass scan", "x".repeat(56))),
        ("X-User-Agent", "friendly-scanner"),
        ("Subject", "friendly-scanner"),
    ] {
        let message = Message::request("OPTIONS").header(name, value);
        cases.push(
            Case::new(format!("{name}:{value} is not listed"), world())
                .ingress(&says(message), Reason::SipRequest),
        );
    }
    let listed = Message::request("OPTIONS").agent("friendly-scanner");
    let tcp = |payload: Vec<u8>| Frame::tcp(MALLORY, PBX).payload(payload);
    let cut = listed.bytes().split_off(40);
    cases.extend([
        Case::new("listed over IPv6", world())
            .ingress(&Frame::udp(MALLORY_V6, PBX_V6).payload(listed.clone()), Reason::UserAgent),
        Case::new("listed over TCP", world())
            .ingress(&tcp(listed.bytes()), Reason::UserAgent)
            .ingress(&tcp(cut), Reason::UserAgent),
        Case::new("in a body it is nothing", world()).ingress(
            &says(Message::request("MESSAGE").body("\r\nUser-Agent: sipvicious\r\n")),
            Reason::SipRequest,
        ),
        Case::new("in an answer it is nothing", world()).ingress(
            &says(Message::response(200, &register()).agent("sipvicious")),
            Reason::SipResponse,
        ),
        Case::new("behind line ends and a blank", world())
            .ingress(&says(listed.clone().leading(&"\r\n".repeat(30))), Reason::UserAgent)
            .ingress(&says(listed.clone().leading(" ")), Reason::UserAgent),
        Case::new("the eighth of them is listed", world())
            .ingress(&says(repeated(7, "sipvicious")), Reason::UserAgent)
            .ingress(&says(repeated(8, "sipvicious")), Reason::SipRequest),
        Case::new("the second message of a segment", world()).ingress(
            &tcp([Message::request("OPTIONS").agent("phone").bytes(), listed.bytes()].concat()),
            Reason::UserAgent,
        ),
        Case::new("the longest list", full())
            .ingress(&says(repeated(0, "prefix63 x")), Reason::UserAgent)
            .ingress(&says(repeated(0, "exact61")), Reason::UserAgent)
            .ingress(&says(repeated(0, "exact61 x")), Reason::SipRequest)
            .ingress(&says(repeated(0, &("a".repeat(58) + "aaab62"))), Reason::UserAgent)
            .ingress(&says(repeated(7, &"a".repeat(64))), Reason::SipRequest),
        Case::new("where nothing is listed", World::new())
            .ingress(&says(listed.clone()), Reason::SipRequest),
        Case::new("at a TLS port nothing is read", {
            let host = sipprot_tests::datapath::Policy::new(0).ports(5060..=5060, PORT_SIP_OPAQUE);
            World { policies: vec![host], ..world() }
        })
        .ingress(&says(listed), Reason::SipOpaque),
    ]);
    cases
}

/// A request with so many harmless user agents before this one.
fn repeated(before: usize, agent: &str) -> Message {
    (0..before).fold(Message::request("OPTIONS"), |message, _| message.agent("aaaa")).agent(agent)
}
