//! IPv6 sources are also counted by their /56 and /48, by wider limits; a /48 is only ever contained.

use std::ops::Range;

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::{Case, Frame, Message, World, check_all};

use crate::places::*;

#[test]
fn wider_networks() {
    check_all(&cases());
}

/// Of the `site`th /56 of a /48, the `number`th /64.
fn address(site: u32, number: u32) -> String {
    format!("[2001:db8:bad:{:x}::7]:5060", site << 8 | number)
}

fn says_from(source: &str, message: Message) -> Frame {
    Frame::udp(source, PBX_V6).payload(message)
}

/// Eight guesses each, which no /64 is stopped for.
fn guesses(case: Case, sites: Range<u32>, numbers: Range<u32>) -> Case {
    sites.fold(case, |case, site| {
        numbers.clone().fold(case, |case, number| {
            case.ingress_each(
                0..8,
                |guessed| says_from(&address(site, number), guess("n", guessed)),
                Reason::SipRequest,
            )
        })
    })
}

/// The same, each /64 on a nonce of its own.
fn proven_guesses(case: Case, site: u32, numbers: Range<u32>) -> Case {
    numbers.fold(case, |case, number| {
        let (source, nonce) = (address(site, number), format!("n{site}-{number}"));
        let challenge = Message::response(401, &register()).challenge(&nonce);
        case.egress(&Frame::udp(PBX_V6, &source).payload(challenge)).ingress_each(
            0..8,
            |guessed| says_from(&source, guess(&nonce, guessed)),
            Reason::SipRequest,
        )
    })
}

pub fn cases() -> Vec<Case> {
    let options = || Message::request("OPTIONS");
    let accepted = |number: u32| {
        Frame::udp(PBX_V6, &address(0, number)).payload(Message::response(200, &guess("n", 7)))
    };
    vec![
        guesses(Case::new("a /56 is contained at four times the limit", World::new()), 0..1, 0..5)
            .ingress(&says_from(&address(0, 5), guess("n", 0)), Reason::Contained)
            .ingress(&says_from(&address(0, 6), options()), Reason::Contained)
            .ingress(&says_from(&address(0, 7), register()), Reason::Trickle)
            .ingress(&says_from(&address(0, 8), register()), Reason::Contained)
            .ingress(&says_from(&address(1, 0), options()), Reason::SipRequest)
            .wait(61)
            .ingress(&says_from(&address(0, 6), options()), Reason::SipRequest),
        proven_guesses(Case::new("it is held, where proven", World::new()), 0, 0..5)
            .then(|case| {
                let challenge = Message::response(401, &register()).challenge("last");
                case.egress(&Frame::udp(PBX_V6, &address(0, 5)).payload(challenge))
            })
            .ingress(&says_from(&address(0, 5), guess("last", 0)), Reason::Held)
            .ingress(&says_from(&address(0, 6), options()), Reason::Held)
            .ingress(&says_from(&address(0, 6), register()), Reason::Held)
            .ingress(&says_from(&address(1, 0), options()), Reason::SipRequest)
            .wait(61)
            .ingress(&says_from(&address(0, 6), options()), Reason::SipRequest),
        (0..5)
            .fold(
                Case::new("a /48 is contained at sixteen times the limit", World::new()),
                |case, site| proven_guesses(case, site, 0..4),
            )
            .ingress(&says_from(&address(9, 0), guess("n", 0)), Reason::Contained)
            .ingress(&says_from(&address(8, 0), options()), Reason::Contained)
            .ingress(&says_from(&address(7, 0), register()), Reason::Trickle)
            .ingress(&says_from("[2001:db8:bae::7]:5060", options()), Reason::SipRequest),
        Case::new("who is trusted in it never suffers from it", {
            World::new().contained_network("2001:db8:bad::7", 60).trusted("2001:db8:bad:3::7")
        })
        .ingress(&says_from("[2001:db8:bad:3::7]:5060", options()), Reason::SipRequest)
        .ingress(&says_from("[2001:db8:bad:4::7]:5060", options()), Reason::Contained),
        guesses(Case::new("an acceptance stands for its own request", World::new()), 0..1, 0..5)
            .egress(&accepted(0))
            .ingress(&says_from(&address(0, 5), guess("n", 0)), Reason::SipRequest)
            .ingress(&says_from(&address(0, 5), guess("n", 1)), Reason::Contained),
    ]
}
