//! The attempt window: guesses with and without proof, holds, retransmissions, acceptances.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::message::digest;
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn attempts() {
    check_all(&cases());
}

/// The PBX challenges Mallory.
fn challenged(case: Case, nonce: &str) -> Case {
    case.egress(&answers(Message::response(401, &register()).challenge(nonce)))
}

/// Guesses that pass.
fn guesses(case: Case, numbers: std::ops::Range<u32>, nonce: &str) -> Case {
    case.ingress_each(numbers, |number| says(guess(nonce, number)), Reason::SipRequest)
}

/// Mallory is held: ten proven guesses passed, the eleventh did not.
fn held(name: &str) -> Case {
    guesses(challenged(Case::new(name, World::new()), "n1"), 0..10, "n1")
        .ingress(&says(guess("n1", 10)), Reason::Held)
}

/// The PBX's answer to a guess.
fn answer(status: u16, number: u32) -> Frame {
    answers(Message::response(status, &guess("n1", number)))
}

pub fn cases() -> Vec<Case> {
    let mut cases = windows();
    cases.extend(proofs());
    cases.extend(retransmissions());
    cases.extend(acceptances());
    cases
}

fn windows() -> Vec<Case> {
    let asked = [(EVENT_REQUEST, 0); 10];
    vec![
        guesses(Case::new("unproven guesses are contained", World::new()), 0..10, "n")
            .events(&asked)
            .ingress(&says(guess("n", 10)), Reason::Contained)
            .events(&[(EVENT_HOLD, 0)])
            .ingress_each(11..20, |number| says(guess("n", number)), Reason::Contained)
            .events(&[]),
        held("proven guesses are held")
            .ingress(&says(guess("n1", 11)), Reason::Held)
            .ingress(&says(register()), Reason::Held)
            .ingress(&sends(b"\r\n\r\n"), Reason::Held)
            .ingress(&says(Message::response(200, &register())), Reason::Held)
            .ingress(&Frame::udp(MALLORY, "198.51.100.10:16384"), Reason::Other)
            .ingress(&Frame::udp(BYSTANDER, PBX).payload(register()), Reason::SipRequest),
        held("a hold ends after a minute, the window when it has slid by")
            .wait(61)
            .ingress(&says(register()), Reason::SipRequest)
            .ingress(&says(guess("n1", 11)), Reason::Held)
            .wait(130)
            .ingress(&says(guess("n1", 12)), Reason::SipRequest),
        guesses(Case::new("two a minute pass for ever", World::new()), 0..2, "n")
            .wait(60)
            .then(|case| guesses(case, 2..4, "n"))
            .wait(60)
            .then(|case| guesses(case, 4..6, "n"))
            .wait(60)
            .then(|case| guesses(case, 6..8, "n")),
        Case::new("a limit of three", World::of(Policy::new(0).attempt_limit(3)))
            .ingress_each(0..3, |number| says(guess("n", number)), Reason::SipRequest)
            .ingress(&says(guess("n", 3)), Reason::Contained),
        Case::new("uncredentialed requests are no attempts", World::new()).ingress_each(
            0..50,
            |_| says(register()),
            Reason::SipRequest,
        ),
        Case::new("trusted sources have no window", World::new().trusted(MALLORY_ADDRESS))
            .ingress_each(0..50, |number| says(guess("n", number)), Reason::SipRequest)
            .events(&[(EVENT_REQUEST, EVENT_FLAG_TRUSTED); 50]),
        Case::new("one window for all endpoints", {
            World::new().endpoint("198.51.100.20", Policy::new(7))
        })
        .ingress_each(0..10, |number| says(guess("n", number)), Reason::SipRequest)
        .ingress(&Frame::udp(MALLORY, OTHER_PBX).payload(guess("n", 10)), Reason::Contained)
        .under(7),
        Case::new("one window for a /64", World::new())
            .ingress_each(
                0..10,
                |number| {
                    let source = format!("[2001:db8:bad::{:x}]:5060", number + 1);
                    Frame::udp(&source, PBX_V6).payload(guess("n", number))
                },
                Reason::SipRequest,
            )
            .ingress(
                &Frame::udp("[2001:db8:bad::ffff]:9", PBX_V6).payload(guess("n", 10)),
                Reason::Contained,
            )
            .ingress(
                &Frame::udp("[2001:db8:bad:1::1]:9", PBX_V6).payload(guess("n", 11)),
                Reason::SipRequest,
            ),
        Case::new("INVITE and Proxy-Authorization", World::new())
            .egress(&answers(
                Message::response(407, &Message::request("INVITE"))
                    .header("Proxy-Authenticate", "Digest realm=\"x\", nonce=\"n1\""),
            ))
            .ingress_each(0..10, invite, Reason::SipRequest)
            .ingress(&invite(10), Reason::Held),
        Case::new("ACK and CANCEL repeat credentials", World::new())
            .ingress_each(
                0..20,
                |number| says(Message::request("ACK").attempt("n", number)),
                Reason::SipRequest,
            )
            .ingress_each(
                0..20,
                |number| says(Message::request("CANCEL").attempt("n", number)),
                Reason::SipRequest,
            ),
        Case::new("credentials in an answer mean nothing", World::new()).ingress_each(
            0..20,
            |number| {
                says(
                    Message::response(200, &register())
                        .header("Authorization", &digest("n", number)),
                )
            },
            Reason::SipResponse,
        ),
    ]
}

fn invite(number: u32) -> Frame {
    let branch = format!("SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK-{number}");
    let message = Message::request("INVITE").with("Via", &branch);
    says(message.header("Proxy-Authorization", &digest("n1", number)))
}

fn proofs() -> Vec<Case> {
    let to_bystander = |nonce: &str| {
        let challenge = Message::response(401, &register()).challenge(nonce);
        Frame::udp(PBX, BYSTANDER).payload(challenge)
    };
    let proven = (EVENT_REQUEST, EVENT_FLAG_NONCE);
    let told = (EVENT_RESPONSE, EVENT_FLAG_OUTBOUND);
    vec![
        challenged(Case::new("a request that echoes its own nonce is proven", World::new()), "n1")
            .ingress(&says(guess("n1", 0)), Reason::SipRequest)
            .ingress(&says(guess("other", 1)), Reason::SipRequest)
            .events(&[told, proven, (EVENT_REQUEST, 0)]),
        challenged(
            Case::new("a peer's is marked, too", World::new().trusted(MALLORY_ADDRESS)),
            "n1",
        )
        .ingress(&says(guess("n1", 0)), Reason::SipRequest)
        .ingress(&says(guess("other", 1)), Reason::SipRequest)
        .events(&[
            told,
            (EVENT_REQUEST, EVENT_FLAG_NONCE | EVENT_FLAG_TRUSTED),
            (EVENT_REQUEST, EVENT_FLAG_TRUSTED),
        ]),
        Case::new("somebody else's nonce proves nothing", World::new())
            .egress(&to_bystander("n1"))
            .ingress(&says(guess("n1", 0)), Reason::SipRequest)
            .events(&[told, (EVENT_REQUEST, 0)]),
        challenged(Case::new("a shared nonce proves nothing", World::new()), "n1")
            .egress(&to_bystander("n1"))
            .ingress_each(0..10, |number| says(guess("n1", number)), Reason::SipRequest)
            .ingress(&says(guess("n1", 10)), Reason::Contained),
        challenged(Case::new("a nonce given twice to one source is its own", World::new()), "n1")
            .then(|case| challenged(case, "n1"))
            .ingress(&says(guess("n1", 0)), Reason::SipRequest)
            .events(&[told, told, proven]),
        Case::new("a nonce in a 403 is none", World::new())
            .egress(&answers(Message::response(403, &register()).challenge("n1")))
            .ingress(&says(guess("n1", 0)), Reason::SipRequest)
            .events(&[told, (EVENT_REQUEST, 0)]),
        guesses(Case::new("forged guesses do not shut out a proven one", World::new()), 0..10, "x")
            .ingress(&says(guess("x", 10)), Reason::Contained)
            .then(|case| challenged(case, "n1"))
            .ingress_each(20..30, |number| says(guess("n1", number)), Reason::Trickle)
            .ingress(&says(guess("n1", 30)), Reason::Held),
        Case::new("a challenge of another port is none", World::new())
            .egress(
                &Frame::udp("198.51.100.10:5099", MALLORY)
                    .payload(Message::response(401, &register()).challenge("n1")),
            )
            .ingress(&says(guess("n1", 0)), Reason::SipRequest)
            .events(&[(EVENT_REQUEST, 0)]),
    ]
}

fn retransmissions() -> Vec<Case> {
    vec![
        Case::new("a retransmission is not counted", World::new())
            .ingress_each(0..30, |_| says(guess("n", 0)), Reason::SipRequest)
            .then(|case| guesses(case, 1..10, "n"))
            .ingress_each(0..5, |_| says(guess("n", 9)), Reason::SipRequest)
            .ingress(&says(guess("n", 10)), Reason::Contained),
        guesses(Case::new("a retransmission passes no containment", World::new()), 0..10, "n")
            .ingress(&says(guess("n", 10)), Reason::Contained)
            .ingress(&says(guess("n", 9)), Reason::Contained)
            .ingress(&says(guess("n", 0)), Reason::Contained),
        challenged(
            Case::new("a proven one does", World::new().contained(MALLORY_ADDRESS, 60)),
            "n1",
        )
        .ingress_each(0..30, |_| says(guess("n1", 0)), Reason::Trickle),
        Case::new("another response is another guess", World::new())
            .ingress_each(
                0..10,
                |number| says(register().header("Authorization", &digest("n", number))),
                Reason::SipRequest,
            )
            .ingress(
                &says(register().header("Authorization", &digest("n", 10))),
                Reason::Contained,
            ),
    ]
}

fn acceptances() -> Vec<Case> {
    let other_cseq = Message::response(200, &guess("n1", 9)).with("CSeq", "77 REGISTER");
    vec![
        held("an acceptance ends a hold, and empties the window")
            .egress(&answer(200, 9))
            .then(|case| guesses(case, 20..30, "n1"))
            .ingress(&says(guess("n1", 30)), Reason::Held),
        held("another 2xx does not")
            .egress(&answers(Message::response(200, &Message::request("OPTIONS"))))
            .egress(&answers(other_cseq))
            .egress(&answer(202, 77))
            .ingress(&says(guess("n1", 11)), Reason::Held),
        held("nor does a rejection, or a provisional answer")
            .egress(&answer(403, 9))
            .egress(&answer(100, 9))
            .ingress(&says(guess("n1", 11)), Reason::Held),
        held("an answer accepts once")
            .egress(&answer(200, 9))
            .then(|case| guesses(case, 20..30, "n1"))
            .ingress(&says(guess("n1", 30)), Reason::Held)
            .egress(&answer(200, 9))
            .ingress(&says(guess("n1", 31)), Reason::Held),
        held("a 2xx to somebody else accepts nobody here")
            .egress(&Frame::udp(PBX, BYSTANDER).payload(Message::response(200, &guess("n1", 9))))
            .ingress(&says(guess("n1", 11)), Reason::Held),
        guesses(Case::new("an acceptance ends a containment", World::new()), 0..10, "n1")
            .ingress(&says(guess("n1", 10)), Reason::Contained)
            .egress(&answer(200, 9))
            .ingress(&says(guess("n1", 11)), Reason::SipRequest)
            .ingress(&says(Message::request("OPTIONS")), Reason::SipRequest),
        Case::new("an INVITE's acceptance empties the window too", World::new())
            .ingress_each(0..10, invite, Reason::SipRequest)
            .egress(&answers(Message::response(200, &{
                Message::request("INVITE")
                    .with("Via", "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK-9")
            })))
            .ingress_each(10..20, invite, Reason::SipRequest),
        Case::new("an OPTIONS is accepted without effect", World::new())
            .ingress_each(
                0..10,
                |number| says(Message::request("OPTIONS").attempt("n", number)),
                Reason::SipRequest,
            )
            .egress(&answers(Message::response(200, &Message::request("OPTIONS").attempt("n", 9))))
            .ingress(&says(Message::request("OPTIONS").attempt("n", 10)), Reason::Contained),
    ]
}
