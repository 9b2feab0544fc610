//! What comes or leaves in pieces: TCP payload is told to the host with its place, within a bound, and
//! of a datagram in fragments the worst is taken.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_common::sip::CAPACITY;
use sipprot_tests::datapath::frame::{ACK, PSH, SYN};
use sipprot_tests::datapath::{Case, Datapath, Frame, Kernel, Message, World, check_all, kernel};

use crate::places::*;

#[test]
fn pieces() {
    check_all(&cases());
}

pub fn cases() -> Vec<Case> {
    let mut cases = streams();
    cases.extend(shares());
    cases.extend(holds());
    cases.extend(fragments());
    cases
}

/// The sequence numbers with which the PBX and Mallory begin.
const FIRST: u32 = 0xffff_ff00;
const PEER_FIRST: u32 = 0x8000_0000;
/// Segments and answers of an established connection.
const INWARD: (u8, u8) = (EVENT_SEGMENT, EVENT_FLAG_TCP);
const OUTWARD: (u8, u8) = (EVENT_SEGMENT, EVENT_FLAG_OUTBOUND);

fn accepts() -> Frame {
    Frame::tcp(PBX, MALLORY).segment(SYN | ACK, FIRST, PEER_FIRST.wrapping_add(1))
}

fn connected(name: &str, world: World) -> Case {
    Case::new(name, world)
        .ingress(&Frame::tcp(MALLORY, PBX).segment(SYN, PEER_FIRST, 0), Reason::SipKeepalive)
        .egress(&accepts())
}

/// Mallory's bytes from an offset in the stream; she has the whole handshake.
fn says_at(offset: usize, bytes: &[u8]) -> Frame {
    let sequence = PEER_FIRST.wrapping_add(1 + offset as u32);
    Frame::tcp(MALLORY, PBX).segment(PSH | ACK, sequence, FIRST.wrapping_add(1)).payload(bytes)
}

fn answers_at(offset: usize, bytes: &[u8]) -> Frame {
    let sequence = FIRST.wrapping_add(1 + offset as u32);
    Frame::tcp(PBX, MALLORY).segment(PSH | ACK, sequence, PEER_FIRST.wrapping_add(1)).payload(bytes)
}

fn accepted() -> Vec<u8> {
    Message::response(200, &guess("n", 0)).bytes()
}

/// Several answers, longer together than one record.
fn buffer() -> Vec<u8> {
    accepted().repeat(CAPACITY / accepted().len() + 2)
}

/// A request that comes, and an answer that leaves, twelve bytes at a time.
fn in_twelves(case: Case) -> Case {
    let request = register().bytes();
    let case = request.chunks(12).enumerate().fold(case, |case, (at, piece)| {
        let reason = match at {
            0 => Reason::SipRequest,
            _ => Reason::SipSegment,
        };
        let blank = piece.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        let reason = if blank { Reason::SipKeepalive } else { reason };
        case.ingress(&says_at(at * 12, piece), reason)
    });
    accepted()
        .chunks(12)
        .enumerate()
        .fold(case, |case, (at, piece)| case.egress(&answers_at(at * 12, piece)))
}

fn told_in_twelves() -> Vec<(u8, u8)> {
    let mut told = vec![INWARD; register().bytes().len().div_ceil(12)];
    told.extend(vec![OUTWARD; accepted().len().div_ceil(12)]);
    told
}

fn streams() -> Vec<Case> {
    vec![
        connected("every segment is told, both ways", World::new())
            .then(in_twelves)
            .events(&told_in_twelves()),
        connected("of a trusted source too", World::new().trusted(MALLORY_ADDRESS))
            .then(in_twelves)
            .events(&{
                let trusted = |(kind, flags)| match flags {
                    EVENT_FLAG_TCP => (kind, flags | EVENT_FLAG_TRUSTED),
                    _ => (kind, flags),
                };
                told_in_twelves().into_iter().map(trusted).collect::<Vec<_>>()
            }),
        connected("a buffer with many answers comes in several records", World::new())
            .egress(&answers_at(0, &buffer()))
            .events(&vec![OUTWARD; buffer().len().div_ceil(CAPACITY)]),
        connected("so does a segment that is longer than what is read of it", World::new())
            .ingress(&says_at(0, &buffer()), Reason::SipResponse)
            .events(&vec![INWARD; buffer().len().div_ceil(CAPACITY)]),
        connected("in-dialog requests and provisional answers are part of it", World::new())
            .ingress(&says_at(0, &Message::request("ACK").bytes()), Reason::SipRequest)
            .egress(&answers_at(0, &Message::response(100, &register()).bytes()))
            .events(&[INWARD, OUTWARD]),
        Case::new("without a handshake the place is the wire's", World::new())
            .ingress(&says_at(7, b"v=0\r\n"), Reason::SipSegment)
            .egress(&answers_at(7, b"v=0\r\n"))
            .events(&[(EVENT_SEGMENT, 0), OUTWARD]),
        connected("another port is not in the connection", World::new())
            .ingress(&Frame::tcp("203.0.113.7:9", PBX).payload("v=0\r\n"), Reason::SipSegment)
            .events(&[(EVENT_SEGMENT, 0)]),
    ]
}

fn shares() -> Vec<Case> {
    let kibibyte = |number: u32| answers_at(number as usize * 1024, &[b'x'; 1024]);
    let sent = |case: Case, count: u32| (0..count).fold(case, |case, n| case.egress(&kibibyte(n)));
    vec![
        connected("sixty-four kibibytes at once", World::new())
            .ingress(&says_at(0, &[b'x'; 500]), Reason::SipSegment)
            .events(&[INWARD])
            .then(|case| sent(case, 80))
            .events(&[OUTWARD; 64])
            .wait(10)
            .then(|case| sent(case, 80))
            .events(&[OUTWARD; 10]),
        connected("of a trusted source more", World::new().trusted(MALLORY_ADDRESS))
            .then(|case| sent(case, 80))
            .events(&[OUTWARD; 80]),
        connected("they don't depend on the share of other events", World::new().events(1, 1))
            .ingress(&says(register()), Reason::SipRequest)
            .ingress(&says(register()), Reason::SipRequest)
            .ingress_each(0..9, |n| says_at(n as usize * 5, b"v=0\r\n"), Reason::SipSegment)
            .events(&{
                let mut events = vec![(EVENT_REQUEST, 0)];
                events.extend([INWARD; 9]);
                events
            }),
    ]
}

fn holds() -> Vec<Case> {
    let acknowledges = |flags| {
        let sequence = PEER_FIRST.wrapping_add(5000);
        Frame::tcp(MALLORY, PBX).segment(flags, sequence, FIRST.wrapping_add(1))
    };
    let guesses = |number: u32| says_at(number as usize * 600, &guess("n", number).bytes());
    vec![
        connected("a held source may acknowledge what it was answered", World::new())
            .ingress_each(0..10, guesses, Reason::SipRequest)
            .ingress(&guesses(10), Reason::Held)
            .ingress(&acknowledges(ACK), Reason::SipKeepalive)
            .egress(&answers_at(0, b"SIP/2.0 401"))
            .ingress(&acknowledges(SYN), Reason::Held)
            .ingress(&acknowledges(ACK | PSH).payload("\r\n"), Reason::Held)
            .ingress(&says(register()), Reason::Held),
    ]
}

/// A guess whose credentials are in the second fragment.
fn guess_in_fragments(number: u32) -> [Frame; 2] {
    let text = guess("n", number).bytes();
    let at = text.windows(13).position(|name| name == b"Authorization").unwrap_or_default();
    // The UDP header belongs to the first fragment.
    let at = (at + 8) / 8 * 8 - 8;
    let offset = ((at + 8) / 8) as u16;
    let piece = |bytes: &[u8]| Frame::udp(MALLORY, PBX).payload(bytes);
    [piece(&text[..at]).fragment(0, true), piece(&text[at..]).fragment(offset, false)]
}

fn fragments() -> Vec<Case> {
    let guessed = |case: Case, number: u32| {
        let [first, second] = guess_in_fragments(number);
        case.ingress(&first, Reason::SipRequest).ingress(&second, Reason::LaterFragment)
    };
    vec![
        Case::new("credentials in a later fragment count", World::new())
            .then(|case| (0..10).fold(case, guessed))
            .ingress(&guess_in_fragments(10)[0], Reason::Contained),
    ]
}

/// What the records say of their places: each begins where the one before ended.
#[test]
fn places_in_a_connection() {
    if let Some(missing) = kernel::missing() {
        println!("skipped: places in a connection need {missing}");
        return;
    }
    let mut kernel = Kernel::load(&World::new()).expect("the object loads");
    kernel.egress(&accepts().bytes()).expect("a frame that runs");
    for frame in [says_at(0, &buffer()), says_at(buffer().len(), b"v=0\r\n")] {
        kernel.ingress(&frame.bytes()).expect("a frame that runs");
    }
    let mut next = 0;
    let mut text = Vec::new();
    for event in kernel.events().expect("events") {
        assert_eq!((event.connection, event.sequence), (FIRST.wrapping_add(1) | 1, next));
        next += event.bytes.len() as u32;
        text.extend(event.bytes);
    }
    assert!(text == [buffer(), b"v=0\r\n".to_vec()].concat());
}
