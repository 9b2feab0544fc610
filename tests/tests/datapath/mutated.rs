//! One message in many disguises, and what still sees through them: a table of disguise × signature,
//! and the exact set of those that are missed.

use sipprot_common::reason::{Class, Reason};
use sipprot_tests::datapath::World;

use crate::disguises::{DISGUISES, Disguise, Sender, Written};
use crate::pair::{Pair, address_v4, address_v6};

/// What a disguise may hide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Signature {
    /// Listed agents, by each kind of pattern.
    Prefix,
    Exact,
    Substring,
    /// Guesses count: the eleventh is dropped.
    Guess,
    /// A REGISTER without credentials is known as one: it passes a containment.
    Register,
}

use Signature::*;

const SIGNATURES: [Signature; 5] = [Prefix, Exact, Substring, Guess, Register];
const AGENTS: &[Signature] = &[Prefix, Exact, Substring];
const AGENTS_AND_REGISTER: &[Signature] = &[Prefix, Exact, Substring, Register];
const AGENTS_AND_GUESS: &[Signature] = &[Prefix, Exact, Substring, Guess];
const BOTH: &[bool] = &[false, true];
const UDP: &[bool] = &[false];
const TCP: &[bool] = &[true];

/// What is missed: disguise, signatures, transports (true: TCP).
///
/// A REGISTER that is missed is only missed by the trickle: a contained source gets less through,
/// not more. An agent that is missed drops nothing, but its guesses count like all others.
const MISSED: &[(&str, &[Signature], &[bool])] = &[
    // Behind the 2,048 bytes that are read. Since credentials may be there, it counts as a guess.
    ("behind 2,100 bytes", AGENTS_AND_REGISTER, BOTH),
    // Eight User-Agent headers of a packet are looked at.
    ("behind eight of its name", AGENTS, BOTH),
    ("behind eight others in the segment", AGENTS, TCP),
    // No request line by RFC 3261, 7.1; with credentials they count all the same.
    ("a blank before the start line", &[Register], BOTH),
    ("a byte order mark before", &[Register], BOTH),
    // The header is in a later fragment, which is not reassembled. A first fragment that ends before
    // its headers do counts as a guess, whatever it says.
    ("fragments, cut in the header's value", AGENTS, UDP),
    ("fragments, cut before the header", AGENTS_AND_REGISTER, UDP),
    ("fragments, the first of eight bytes", AGENTS_AND_REGISTER, UDP),
    ("fragments, the first without payload", AGENTS_AND_REGISTER, UDP),
    // A segment is named by what it begins with.
    ("behind another message in the segment", &[Register], TCP),
    ("behind eight others in the segment", &[Register], TCP),
    ("behind an answer in the segment", &[Register], TCP),
    ("behind a body in the segment", &[Register], TCP),
    ("segments, cut in the method", &[Register], TCP),
    // The kernel does not reassemble streams. It holds an untrusted source after 16 KiB in a minute
    // without an acceptance, and the host is shown every segment until then.
    ("segments, cut in the header's name", AGENTS_AND_GUESS, TCP),
    ("segments, cut in the header's value", AGENTS, TCP),
    ("segments of twelve bytes", AGENTS_AND_GUESS, TCP),
];

fn number(row: usize, signature: Signature, tcp: bool) -> u32 {
    (row * 16 + signature as usize * 2 + tcp as usize) as u32
}

fn message(signature: Signature, attempt: u32) -> Written {
    let message = Written::register(attempt);
    match signature {
        Prefix => message.header("User-Agent", "Friendly Scanner 1.8"),
        Exact => message.header("User-Agent", "Two Words"),
        Substring => message.header("User-Agent", "the Mass Scan tool"),
        Guess => message.guess(attempt),
        Register => message,
    }
}

fn world() -> World {
    let agents = ["friendly scanner", "=two words", "*mass scan*"];
    let mut world = agents.iter().fold(World::new(), |world, agent| world.user_agent(agent));
    for row in 0..DISGUISES.len() {
        for tcp in [false, true] {
            let number = number(row, Register, tcp);
            world = world.contained(&address_v4(number), 3600).contained(&address_v6(number), 3600);
        }
    }
    world
}

/// `None` where the disguise says nothing about the transport.
fn sees(pair: &mut Pair, row: usize, signature: Signature, tcp: bool) -> Option<bool> {
    let Disguise { name, change } = &DISGUISES[row];
    let sender = Sender { number: number(row, signature, tcp), tcp };
    let attempts = if signature == Guess { 11 } else { 1 };
    let mut reasons = Vec::new();
    for attempt in 0..attempts {
        let frames = change.frames(message(signature, attempt), attempt, &sender);
        let name = format!("{name}, {signature:?}, tcp {tcp}, attempt {attempt}");
        reasons = frames.iter().map(|frame| pair.ingress(&name, frame).reason).collect();
    }
    let seen = |reason: &Reason| match signature {
        Prefix | Exact | Substring => *reason == Reason::UserAgent,
        Guess => reason.class() == Class::Drop,
        Register => *reason == Reason::Trickle,
    };
    (!reasons.is_empty()).then(|| reasons.iter().any(seen))
}

#[test]
fn disguises() {
    let Some(mut pair) = Pair::load(&world()) else { return };
    let columns = SIGNATURES.map(|signature| format!("{:>10}    ", format!("{signature:?}")));
    println!("{:48}{}", "", columns.concat());
    println!("{:48}{}", "", "     UDP   TCP".repeat(SIGNATURES.len()));
    let (mut missed, mut tried) = (Vec::new(), 0);
    for (row, Disguise { name, .. }) in DISGUISES.iter().enumerate() {
        let mut line = format!("{name:48}");
        for signature in SIGNATURES {
            for tcp in [false, true] {
                let seen = sees(&mut pair, row, signature, tcp);
                tried += usize::from(seen.is_some());
                if seen == Some(false) {
                    missed.push((*name, signature, tcp));
                }
                let cell = seen.map_or("-", |seen| if seen { "yes" } else { "MISS" });
                line += &format!("{cell:>width$}", width = if tcp { 6 } else { 8 });
            }
        }
        println!("{line}");
    }
    println!("{} disguises, {tried} cells, {} missed", DISGUISES.len(), missed.len());
    let mut known = Vec::new();
    for (name, signatures, transports) in MISSED {
        for signature in *signatures {
            known.extend(transports.iter().map(|tcp| (*name, *signature, *tcp)));
        }
    }
    let new: Vec<_> = missed.iter().filter(|miss| !known.contains(miss)).collect();
    let gone: Vec<_> = known.iter().filter(|miss| !missed.contains(miss)).collect();
    assert!(new.is_empty() && gone.is_empty(), "newly missed: {new:?}\nseen now: {gone:?}");
}
