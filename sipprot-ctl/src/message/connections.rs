//! The TCP connections that are followed: each direction's [`Stream`], bounded in number and bytes.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use super::stream::Stream;
use super::{Message, Reader};
use crate::rules::Time;

/// Directions that are followed; who was silent longest goes first.
const STREAMS_MAX: usize = 32_768;
/// Bytes that all of them may keep.
const BYTES_MAX: usize = 16 << 20;
/// What waits is forgotten when nothing has come for so long.
const IDLE: Duration = Duration::from_secs(600);
/// A client's lost segment is sent again within it. Behind it the client only pretends to have sent.
const PATIENCE_INWARD: Duration = Duration::from_secs(10);
/// What an endpoint sends is seen before it can get lost: what is missing was left out of the events.
const PATIENCE_OUTWARD: Duration = Duration::from_secs(1);

/// Which direction of which connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Direction {
    /// The protected end.
    pub endpoint: SocketAddr,
    pub peer: SocketAddr,
    pub outward: bool,
    /// The connection's own number; 0 where it isn't known. What doesn't prove to belong to a
    /// connection is never joined with what does.
    pub connection: u32,
}

/// A segment's payload and its place.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub direction: Direction,
    pub at: Time,
    /// Counted from the connection's first byte if its number is known.
    pub sequence: u32,
    pub payload: &'a [u8],
}

struct Followed {
    stream: Stream,
    at: Time,
    /// Its place in the order of use.
    used: u64,
}

/// All that are followed.
#[derive(Default)]
pub struct Connections {
    streams: HashMap<Direction, Followed>,
    order: BTreeMap<u64, Direction>,
    /// Those of them that keep bytes.
    holding: BTreeMap<u64, Direction>,
    uses: u64,
    held: usize,
    /// How often something was given up.
    pub gaps: u64,
}

impl Connections {
    /// Takes a segment; returns the messages whose heads it completes.
    pub fn push(&mut self, reader: &mut Reader, segment: &Segment) -> Vec<Message> {
        if segment.payload.is_empty() {
            return Vec::new();
        }
        self.forget_idle(segment.at);
        let direction = segment.direction;
        let mut followed = self.take(direction).unwrap_or_else(|| {
            let patience = if direction.outward { PATIENCE_OUTWARD } else { PATIENCE_INWARD };
            let first = (direction.connection != 0).then_some(0);
            Followed { stream: Stream::new(first, patience), at: segment.at, used: 0 }
        });
        followed.at = segment.at;
        let gaps = followed.stream.gaps;
        let Segment { at, sequence, payload, .. } = *segment;
        let messages = followed.stream.push(reader, at, sequence, payload);
        self.gaps += u64::from(followed.stream.gaps - gaps);
        self.put(direction, followed);
        self.make_room();
        messages
    }

    /// These bytes of a direction will never come.
    pub fn lose(&mut self, direction: Direction, sequence: u32, length: usize) {
        if let Some(mut followed) = self.take(direction) {
            let gaps = followed.stream.gaps;
            followed.stream.lose(sequence, length);
            self.gaps += u64::from(followed.stream.gaps - gaps);
            self.put(direction, followed);
        }
    }

    fn take(&mut self, direction: Direction) -> Option<Followed> {
        let followed = self.streams.remove(&direction)?;
        self.order.remove(&followed.used);
        if self.holding.remove(&followed.used).is_some() {
            self.held -= followed.stream.held();
        }
        Some(followed)
    }

    /// As the last one used.
    fn put(&mut self, direction: Direction, mut followed: Followed) {
        self.uses += 1;
        followed.used = self.uses;
        self.order.insert(self.uses, direction);
        let held = followed.stream.held();
        if held > 0 {
            self.held += held;
            self.holding.insert(self.uses, direction);
        }
        self.streams.insert(direction, followed);
    }

    fn make_room(&mut self) {
        while self.held > BYTES_MAX
            && let Some((_, direction)) = self.holding.first_key_value()
        {
            self.forget_waiting(*direction);
        }
        while self.streams.len() > STREAMS_MAX
            && let Some((_, direction)) = self.order.first_key_value()
        {
            self.take(*direction);
        }
    }

    fn forget_idle(&mut self, now: Time) {
        while let Some((_, direction)) = self.holding.first_key_value()
            && let Some(followed) = self.streams.get(direction)
            && now.since(followed.at) > IDLE
        {
            self.forget_waiting(*direction);
        }
    }

    /// Its place stays, so that what comes next is read.
    fn forget_waiting(&mut self, direction: Direction) {
        if let Some(followed) = self.streams.get_mut(&direction)
            && self.holding.remove(&followed.used).is_some()
        {
            self.held -= followed.stream.held();
            followed.stream.forget_waiting();
            self.gaps += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const ANSWER: &str = "SIP/2.0 200 OK\r\nCall-ID: b\r\nCSeq: 2 REGISTER\r\nl: 0\r\n\r\n";

    fn direction(port: u16, connection: u32) -> Direction {
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        Direction { endpoint: address(5060), peer: address(port), outward: false, connection }
    }

    struct Followers {
        reader: Reader,
        connections: Connections,
    }

    impl Followers {
        fn new() -> Self {
            Self { reader: Reader::new(1), connections: Connections::default() }
        }

        /// How many messages the bytes complete.
        fn hear(&mut self, to: Direction, second: u64, sequence: u32, text: &str) -> usize {
            let at = Time(second * SECOND);
            let segment = Segment { direction: to, at, sequence, payload: text.as_bytes() };
            self.connections.push(&mut self.reader, &segment).len()
        }
    }

    #[test]
    fn connections_are_kept_apart() {
        let mut all = Followers::new();
        let (head, tail) = ANSWER.split_at(30);
        let others = [
            direction(2, 7),
            direction(1, 8),
            direction(1, 0),
            Direction { outward: true, ..direction(1, 7) },
        ];
        assert_eq!(all.hear(direction(1, 7), 1, 0, head), 0);
        for other in others {
            assert_eq!(all.hear(other, 1, 30, tail), 0, "{other:?}");
        }
        assert_eq!(all.hear(direction(1, 7), 1, 30, tail), 1);
    }

    #[test]
    fn a_known_connection_begins_at_its_first_byte() {
        let mut all = Followers::new();
        let (head, tail) = ANSWER.split_at(30);
        assert_eq!(all.hear(direction(1, 7), 1, 30, tail), 0);
        assert_eq!(all.hear(direction(1, 7), 1, 0, head), 1);
        assert_eq!(all.hear(direction(2, 7), 1, 5000, ANSWER), 0);
        let behind = 5000 + ANSWER.len() as u32;
        assert_eq!(all.hear(direction(2, 7), 9, behind, "\r\n"), 0);
        assert_eq!(all.hear(direction(2, 7), 11, behind + 2, "\r\n"), 1, "it waited long enough");
        assert_eq!(all.hear(direction(3, 0), 1, 5000, ANSWER), 1, "anywhere, if it is not known");
    }

    #[test]
    fn what_waits_too_long_is_forgotten_and_the_place_is_not() {
        let mut all = Followers::new();
        let (head, tail) = ANSWER.split_at(30);
        assert_eq!(all.hear(direction(1, 7), 1, 0, head), 0);
        assert_eq!(all.connections.held, 30);
        assert_eq!(all.hear(direction(2, 7), 700, 0, ANSWER), 1);
        assert_eq!((all.connections.held, all.connections.gaps), (0, 1));
        assert_eq!(all.hear(direction(1, 7), 700, 30, &(tail.to_owned() + ANSWER)), 1);
    }

    #[test]
    fn bytes_and_directions_are_bounded() {
        let mut all = Followers::new();
        let endless = format!("OPTIONS sip:x SIP/2.0\r\nX: {}", "y".repeat(60_000));
        for number in 1..=1500 {
            all.hear(direction(1, number), 1, 0, &endless);
            assert!(all.connections.held <= BYTES_MAX);
        }
        assert_eq!(all.connections.streams.len(), 1500);
        for number in 0..STREAMS_MAX as u32 {
            all.hear(direction(2, number + 1), 2, 0, "\r\n");
        }
        assert_eq!(all.connections.streams.len(), STREAMS_MAX);
        assert_eq!((all.connections.held, all.connections.holding.len()), (0, 0));
        assert_eq!(all.connections.order.len(), STREAMS_MAX);
    }
}
