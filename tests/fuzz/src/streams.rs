//! TCP reassembly: the same messages however a stream is cut and in whatever order its pieces come, and bounded
//! memory whatever a client pretends to have sent.

use std::net::{Ipv4Addr, SocketAddr};

use sipprot_ctl::message::{Connections, Direction, Message, Reader, Segment};
use sipprot_ctl::rules::Time;

use crate::seeds;

const SEED: u64 = 42;
const CUTS: usize = 8;
/// What lies before the stream's bytes.
const HEAD: usize = CUTS + 1;

/// The first bytes say where the others are cut, and in which order the pieces come.
pub fn check(bytes: &[u8]) {
    let Some((head, stream)) = bytes.split_at_checked(HEAD) else { return };
    let pieces = pieces(&head[..CUTS], stream);
    let whole = read(&[(0, stream)]);
    assert_eq!(read(&pieces), whole, "in {} pieces", pieces.len());
    let mut shuffled = pieces.clone();
    shuffled.rotate_left(usize::from(head[CUTS]) % pieces.len().max(1));
    let late = read(&shuffled);
    assert_eq!(late, whole, "the piece at {:?} first", shuffled.first().map(|it| it.0));
    // Sent again, all of it: nothing is read twice.
    let again: Vec<_> = pieces.iter().chain(&pieces).copied().collect();
    assert_eq!(read(&again), whole, "sent twice");
    anything(head, stream);
}

fn pieces<'a>(cuts: &[u8], stream: &'a [u8]) -> Vec<(u32, &'a [u8])> {
    let mut places: Vec<_> =
        cuts.iter().map(|cut| usize::from(*cut) * stream.len() / 256).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    let pairs = places.windows(2).filter(|pair| pair[0] < pair[1]);
    pairs.map(|pair| (pair[0] as u32, &stream[pair[0]..pair[1]])).collect()
}

fn direction(connection: u32) -> Direction {
    let address = |last| SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), 5060));
    Direction { endpoint: address(1), peer: address(2), outward: false, connection }
}

fn read(pieces: &[(u32, &[u8])]) -> Vec<Message> {
    let (mut reader, mut connections) = (Reader::new(SEED), Connections::default());
    let mut messages = Vec::new();
    for &(sequence, payload) in pieces {
        let segment = Segment { direction: direction(1), at: Time(0), sequence, payload };
        messages.extend(connections.push(&mut reader, &segment));
    }
    messages
}

/// Segments of any number, place and time.
fn anything(head: &[u8], stream: &[u8]) {
    let (mut reader, mut connections) = (Reader::new(SEED), Connections::default());
    for (number, payload) in (0..).zip(stream.chunks(1 + usize::from(head[0]))) {
        let word = |at: usize| payload.get(at).copied().map_or(0, u32::from);
        let sequence = word(0) << (word(1) % 32);
        let at = Time::from_secs(u64::from(word(2)) * number % 1000);
        let segment = Segment { direction: direction(word(3) % 3), at, sequence, payload };
        let messages = connections.push(&mut reader, &segment);
        assert!(messages.len() <= stream.len(), "more than was sent");
        if word(4).is_multiple_of(16) {
            connections.lose(segment.direction, sequence.wrapping_add(word(5)), payload.len());
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let messages = seeds::messages();
    let pairs = messages.windows(2).map(|pair| pair.concat());
    let heads = [[10, 50, 90, 130, 170, 210, 250, 1, 3], [128, 128, 128, 128, 0, 0, 0, 255, 1]];
    let streams = messages.iter().cloned().chain(pairs);
    streams.zip(heads.iter().cycle()).map(|(stream, head)| [&head[..], &stream].concat()).collect()
}
