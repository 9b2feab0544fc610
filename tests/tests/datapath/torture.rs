//! The messages of RFC 4475 and RFC 5118, over all that may carry them. Nothing in them is hostile:
//! none is dropped, what is SIP is never called something else, and kernel and model agree.

use std::fs;
use std::path::Path;

use sipprot_common::abi::{EVENT_REQUEST, EVENT_RESPONSE, EVENT_SEGMENT};
use sipprot_common::reason::{Class, Reason};
use sipprot_ctl::config::Config;
use sipprot_tests::datapath::frame::{ACK, PSH};
use sipprot_tests::datapath::{Frame, World};

use crate::pair::{Pair, address_v4, address_v6};
use crate::places::*;

/// Longer messages come in fragments or segments; divisible by eight, as fragments are.
const PIECE: usize = 1400;

struct Sample {
    name: String,
    bytes: Vec<u8>,
}

fn corpus(rfc: &str) -> Vec<Sample> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(rfc);
    let entries = fs::read_dir(&directory).expect("the corpus");
    let mut samples: Vec<_> = entries
        .map(|entry| entry.expect("a file").path())
        .map(|path| Sample {
            name: format!("{rfc} {}", path.file_stem().expect("a name").to_string_lossy()),
            bytes: fs::read(&path).expect("a message"),
        })
        .collect();
    samples.sort_by(|left, right| left.name.cmp(&right.name));
    samples
}

/// RFC 5118's archive has bare line feeds, and two messages lack the empty line.
fn on_the_wire(sample: &Sample) -> Sample {
    let text = String::from_utf8(sample.bytes.clone()).expect("text");
    let end = if text.contains("\n\n") { "" } else { "\r\n" };
    let bytes = (text.replace('\n', "\r\n") + end).into_bytes();
    Sample { name: format!("{} with CRLF", sample.name), bytes }
}

/// What the first packet must be counted as: said by the message itself, not by the scanner.
fn expected(sample: &Sample, tcp: bool) -> Reason {
    const METHODS: [&[u8]; 6] =
        [b"INVITE ", b"OPTIONS ", b"REGISTER ", b"MESSAGE ", b"ACK ", b"BYE "];
    let begins = |text: &[u8]| sample.bytes.trim_ascii_start().starts_with(text);
    if begins(b"SIP/2.0 ") {
        return Reason::SipResponse;
    }
    // A segment that begins with an unknown method may be the middle of something.
    let known = METHODS.into_iter().any(begins);
    if tcp && !known { Reason::SipSegment } else { Reason::SipRequest }
}

/// Header lines with credentials, all messages in the bytes taken together.
fn credentials(bytes: &[u8]) -> u32 {
    let lines = bytes.split(|byte| *byte == b'\n');
    let names = lines.filter_map(|line| line.split(|byte| *byte == b':').next());
    let credentials =
        names.filter(|name| name.to_ascii_lowercase().trim_ascii_end().ends_with(b"authorization"));
    credentials.count() as u32
}

/// A message as packets of one source.
fn packets(sample: &Sample, tcp: bool, from: &str, to: &str) -> Vec<Frame> {
    let pieces: Vec<_> = sample.bytes.chunks(PIECE).collect();
    let frame = |(at, piece): (usize, &&[u8])| {
        let begins = at * PIECE;
        if tcp {
            return Frame::tcp(from, to).segment(PSH | ACK, 1 + begins as u32, 1).payload(*piece);
        }
        let frame = Frame::udp(from, to).payload(*piece);
        let offset = if at == 0 { 0 } else { (8 + begins) / 8 };
        match pieces.len() {
            1 => frame,
            count => frame.fragment(offset as u16, at + 1 < count),
        }
    };
    pieces.iter().enumerate().map(frame).collect()
}

#[test]
fn messages_of_the_rfcs() {
    let agents = Config::default().sip.blocked_user_agents;
    let world = agents.iter().fold(World::new(), |world, agent| world.user_agent(agent));
    let Some(mut pair) = Pair::load(&world) else { return };
    let mut samples = corpus("rfc4475");
    samples.extend(corpus("rfc5118"));
    assert_eq!(samples.len(), 49 + 12);
    let with_crlf: Vec<_> = samples[49..].iter().map(on_the_wire).collect();
    samples.extend(with_crlf);
    let (mut number, mut frames) = (0, 0);
    for sample in &samples {
        for variant in 0..12 {
            let (tcp, ipv6, tags) = (variant & 1 != 0, variant & 2 != 0, variant >> 2);
            number += 1;
            let (from, to) = match ipv6 {
                true => (format!("[{}]:5060", address_v6(number)), PBX_V6),
                false => (format!("{}:5060", address_v4(number)), PBX),
            };
            let name = format!("{}, tcp {tcp}, IPv6 {ipv6}, {tags} tags", sample.name);
            for (at, frame) in packets(sample, tcp, &from, to).into_iter().enumerate() {
                frames += 1;
                let outcome = pair.ingress(&name, &frame.vlans(tags));
                let reason = outcome.reason;
                assert_ne!(reason.class(), Class::Drop, "{name}: {reason:?}");
                let first = if at == 0 { expected(sample, tcp) } else { reason };
                assert_eq!(reason, first, "{name}");
                assert!(at == 0 || matches!(reason, Reason::LaterFragment | Reason::SipSegment));
                for event in &outcome.events {
                    let kinds = [EVENT_REQUEST, EVENT_RESPONSE, EVENT_SEGMENT];
                    assert!(kinds.contains(&event.kind), "{name}: {event:?}");
                    // Of what goes on in another fragment the worst is supposed.
                    let unseen = u32::from(!tcp && sample.bytes.len() > PIECE);
                    assert_eq!(event.credentials, credentials(&event.bytes) + unseen, "{name}");
                }
            }
        }
    }
    println!("{} messages, {number} variants, {frames} frames: no drop", samples.len());
}
