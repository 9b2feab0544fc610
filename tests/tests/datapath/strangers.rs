//! Forged sources: they use up no share of those who prove themselves, and wash nobody out.

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::{
    Case, Datapath, Frame, Kernel, Message, Policy, World, check_all, kernel,
};

use crate::places::*;

#[test]
fn shares() {
    check_all(&cases());
}

fn from(last: u32) -> Frame {
    Frame::udp(&format!("203.0.113.{last}:5060"), PBX).payload(register())
}

pub fn cases() -> Vec<Case> {
    let challenged = |case: Case| {
        case.ingress(&says(register()), Reason::SipRequest)
            .egress(&answers(Message::response(401, &register()).challenge("own")))
    };
    let endpoint = || World::of(Policy::new(0).endpoint_ceiling(1, 4));
    vec![
        challenged(Case::new("an endpoint's share for what is proven", endpoint()))
            .ingress_each(11..14, from, Reason::SipRequest)
            .ingress_each(14..20, from, Reason::EndpointCeiling)
            .ingress(&says(guess("other", 0)), Reason::EndpointCeiling)
            .ingress_each(0..4, |number| says(guess("own", number)), Reason::SipRequest)
            .ingress(&says(guess("own", 4)), Reason::EndpointCeiling),
        challenged(Case::new("a source's share for its own nonces", {
            World::of(Policy::new(0).source_ceiling(1, 3))
        }))
        .ingress_each(0..2, |_| says(register()), Reason::SipRequest)
        .ingress(&says(guess("other", 0)), Reason::SourceCeiling)
        .ingress_each(0..3, |number| says(guess("own", number)), Reason::SipRequest)
        .ingress(&says(guess("own", 3)), Reason::SourceCeiling)
        .ingress(&Frame::udp(BYSTANDER, PBX).payload(register()), Reason::SipRequest),
    ]
}

const STRANGERS: u32 = 400_000;
/// Where the source is in a frame without VLAN tags.
const SOURCE: usize = 26;

/// Guesses of a flood's length, each from another source, and no ceiling in their way.
fn flood(kernel: &mut Kernel) {
    let mut frame = says(guess("made up", 0)).bytes();
    for number in 0..STRANGERS {
        frame[SOURCE..][..4].copy_from_slice(&(0xf000_0000 | number).to_be_bytes());
        kernel.ingress(&frame).expect("a frame that runs");
    }
}

#[test]
fn a_flood_of_strangers_washes_nobody_out() {
    if let Some(missing) = kernel::missing() {
        println!("skipped: the flood needs {missing}");
        return;
    }
    let mut kernel = Kernel::load(&World::new()).expect("the object loads");
    let challenge = Message::response(401, &register()).challenge("own");
    kernel.egress(&answers(challenge).bytes()).expect("a challenge");
    // One is held, another one has all but one of its guesses behind it.
    for number in 0..11 {
        let passes = kernel.ingress(&says(guess("own", number)).bytes()).expect("a guess");
        assert_eq!(passes, number < 10);
    }
    let other = |number| Frame::udp(BYSTANDER, PBX).payload(guess("other", number)).bytes();
    for number in 0..9 {
        assert!(kernel.ingress(&other(number)).expect("a guess"));
    }
    flood(&mut kernel);
    assert!(!kernel.ingress(&says(register()).bytes()).expect("a frame"), "still held");
    assert!(kernel.ingress(&other(9)).expect("the tenth guess"));
    assert!(!kernel.ingress(&other(10)).expect("the eleventh guess"));
    // And who proves itself in the middle of it is counted, too.
    let late = "192.0.2.34:5060";
    let challenge = Message::response(401, &register()).challenge("late");
    kernel.egress(&Frame::udp(PBX, late).payload(challenge).bytes()).expect("a challenge");
    let guesses = (0..20).filter(|number| {
        let guess = Frame::udp(late, PBX).payload(guess("late", *number)).bytes();
        kernel.ingress(&guess).expect("a guess")
    });
    assert_eq!(guesses.count(), 10);
    let tally = kernel.tally_of(0..1).expect("counters");
    println!("{tally:?}; events left out: {:?}", kernel.events_left_out());
}
