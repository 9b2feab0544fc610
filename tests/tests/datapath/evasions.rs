//! Guesses that are written oddly count like all others: ten pass, the eleventh does not.

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::message::digest;
use sipprot_tests::datapath::{Case, Frame, Message, World, check_all};

use crate::places::*;

#[test]
fn evasions() {
    check_all(&cases());
}

pub fn cases() -> Vec<Case> {
    let row = |name: &str, message: &dyn Fn(u32) -> Message| {
        Case::new(name, World::new())
            .ingress_each(0..10, |number| says(message(number)), Reason::SipRequest)
            .ingress(&says(message(10)), Reason::Contained)
    };
    let credentials = |value: String| register().header("Authorization", &value);
    let raw = |number: u32, before: &str, after: &str| {
        format!("Digest username=\"1\", nonce=\"n\", {before}=\"{number:032x}\"{after}")
    };
    vec![
        row("one branch, blanks around the sign", &|n| credentials(raw(n, "response ", ""))),
        row("one branch, two responses", &|n| credentials(raw(n, "response=\"0\", response", ""))),
        row("one branch, a folded line", &|n| credentials(raw(n, "\r\n response", "\r\n "))),
        row("one branch, Basic", &|n| credentials(format!("Basic {n:08x}"))),
        row("no branch", &|n| {
            register().with("Via", "SIP/2.0/UDP x").header("Authorization", &digest("n", n))
        }),
        row("30 line ends before", &|n| guess("n", n).leading(&"\r\n".repeat(15))),
        row("100 line feeds before", &|n| guess("n", n).leading(&"\n".repeat(100))),
        row("a blank before", &|n| guess("n", n).leading(" ")),
        row("a byte order mark before", &|n| guess("n", n).leading("\u{feff}")),
        row("a method named PROXY", &|n| guess("n", n).start_line("PROXY sip:x SIP/2.0")),
        row("a method in small letters", &|n| guess("n", n).start_line("ack sip:x SIP/2.0")),
        row("an unknown method", &|n| guess("n", n).start_line("FROB sip:x SIP/2.0")),
        row("an unknown version", &|n| guess("n", n).start_line("FROB sip:x SIP/3.0")),
        row("a tab behind the method", &|n| guess("n", n).start_line("ACK\tsip:x SIP/2.0")),
        row("blanks before the colon", &|n| {
            register().header("AUTHORIZATION \t ", &digest("n", n))
        }),
        row("behind 500 folds", &|n| folded(500, n)),
        row("behind 800 folds, where it is not read", &|n| folded(800, n)),
        Case::new("five headers are five attempts", World::new())
            .ingress(&says(five(0)), Reason::SipRequest)
            .ingress(&says(five(5)), Reason::SipRequest)
            .ingress(&says(five(10)), Reason::Contained),
        Case::new("over TCP behind an answer", World::new())
            .ingress_each(0..10, behind_answer, Reason::SipResponse)
            .ingress(&behind_answer(10), Reason::Contained),
        Case::new("over TCP in a segment that begins with the header", World::new())
            .ingress_each(0..10, begins_with_header, Reason::SipSegment)
            .ingress(&begins_with_header(10), Reason::Contained),
    ]
}

fn folded(folds: usize, number: u32) -> Message {
    register().header("X", &"\n ".repeat(folds)).header("Authorization", &digest("n", number))
}

fn five(from: u32) -> Message {
    (from..from + 5)
        .fold(register(), |message, number| message.header("Authorization", &digest("n", number)))
}

fn behind_answer(number: u32) -> Frame {
    let payload = [b"SIP/2.0 200 OK\r\n\r\n".to_vec(), guess("n", number).bytes()].concat();
    Frame::tcp(MALLORY, PBX).payload(payload)
}

fn begins_with_header(number: u32) -> Frame {
    let payload = format!("Authorization: {}\r\n\r\n", digest("n", number));
    Frame::tcp(MALLORY, PBX).payload(payload)
}
