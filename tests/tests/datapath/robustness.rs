//! Frames that nobody should send: cut at every length, with every length field wrong, and random.
//!
//! A source on no list is never dropped for them, the kernel and the model agree on each, and every
//! frame is counted once.

use sipprot_common::reason::{Class, Reason};
use sipprot_tests::datapath::frame::protocol;
use sipprot_tests::datapath::world::{Block, Listing};
use sipprot_tests::datapath::{Datapath, Frame, Kernel, Message, Model, Tally, World, kernel};

use crate::places::*;

/// Both datapaths side by side, and what they counted so far.
struct Pair {
    kernel: Kernel,
    model: Model,
    counted: [Tally; 2],
    frames: u64,
}

/// XDP sees no frame that is shorter than Ethernet's header.
const FRAME_MIN: usize = 14;

impl Pair {
    /// Lists, blocks and agents that none of the frames is named by. `None` when something is missing.
    fn load() -> Option<Self> {
        if let Some(missing) = kernel::missing() {
            println!("skipped: the datapath's robustness needs {missing}");
            return None;
        }
        let world = World::new()
            .deny(Listing::new("192.0.2.0/24"))
            .allow(Listing::new("192.0.2.9"))
            .block(Block::new("192.0.2.77"))
            .user_agent("friendly-scanner")
            .track_flows();
        Some(Self {
            kernel: Kernel::load(&world).expect("the object loads"),
            model: Model::load(&world),
            counted: [Tally::default(), Tally::default()],
            frames: 0,
        })
    }

    /// Runs a frame in and out of both.
    fn run(&mut self, name: &dyn Fn() -> String, frame: &[u8]) {
        self.frames += 1;
        let passed = self.kernel.ingress(frame).expect("a frame that runs");
        let tally = self.kernel.tally_of(0..1).expect("counters");
        let in_kernel = tally.since(&self.counted[0]).only();
        self.counted[0] = tally;
        self.model.ingress(frame).expect("a frame that runs");
        let tally = self.model.tally().expect("counters");
        let in_model = tally.since(&self.counted[1]).only();
        self.counted[1] = tally;
        assert!(passed, "{}: dropped for {in_kernel:?}\n{frame:02x?}", name());
        // Where two headers are wrong at once, either may be found first.
        let fault = |reason: Option<Reason>| reason.is_some_and(|r| r.class() == Class::Fault);
        let agree = in_kernel == in_model || fault(in_kernel) && fault(in_model);
        assert!(agree, "{}: {in_kernel:?}, model {in_model:?}\n{frame:02x?}", name());
        self.watch(frame);
        if self.frames.is_multiple_of(1000) {
            self.kernel.events().expect("events");
            self.model.events().expect("events");
        }
    }

    /// BPF_PROG_TEST_RUN takes no socket buffer whose network header is not whole.
    fn watch(&mut self, frame: &[u8]) {
        match self.kernel.egress(frame) {
            Ok(()) => self.model.egress(frame).expect("a frame that runs"),
            Err(error) => assert!(frame.len() < 14 + 40, "{error:#}\n{frame:02x?}"),
        }
    }

    /// Every frame was counted once, under the host's policy, in the whole array.
    fn finish(mut self) {
        let tally = self.kernel.tally().expect("counters");
        assert_eq!(tally.packets(), self.frames);
        assert_eq!(self.counted[1].packets(), self.frames);
        println!("{} frames: {tally:?}", self.frames);
    }
}

/// A frame from the `number`th source: each has its own, so that no limit adds up.
type Make = fn(u32) -> Frame;

fn v4(number: u32) -> String {
    format!("203.{}.{}.7:5060", number >> 8 & 0xff, number & 0xff)
}

fn v6(number: u32) -> String {
    // A /48 each, since a whole /48 may be contained.
    format!("[3fff:{:x}:{:x}::7]:5060", number >> 16, number & 0xffff)
}

const CORPUS: &[(&str, Make)] = &[
    ("REGISTER", |n| Frame::udp(&v4(n), PBX).payload(guess("n", 1))),
    ("REGISTER over IPv6", |n| Frame::udp(&v6(n), PBX_V6).payload(guess("n", 1))),
    ("INVITE over TCP", |n| Frame::tcp(&v4(n), PBX).payload(Message::request("INVITE"))),
    ("INVITE over TCP and IPv6", |n| {
        Frame::tcp(&v6(n), PBX_V6).payload(Message::request("INVITE").attempt("n", 1))
    }),
    ("two tags", |n| Frame::udp(&v4(n), PBX).payload(Message::request("OPTIONS")).vlans(2)),
    ("two tags and IPv6", |n| Frame::udp(&v6(n), PBX_V6).payload(register()).vlans(2)),
    ("three tags", |n| Frame::udp(&v6(n), PBX_V6).payload(register()).vlans(3)),
    ("fifteen words", |n| Frame::udp(&v4(n), PBX).payload(register()).ipv4_options(10)),
    ("fifteen words, TCP", |n| Frame::tcp(&v4(n), PBX).payload(register()).ipv4_options(10)),
    ("six extension headers", |n| chain(n, 6)),
    ("seven extension headers", |n| chain(n, 7)),
    ("first fragment", |n| Frame::udp(&v4(n), PBX).payload(register()).fragment(0, true)),
    ("later fragment", |n| Frame::udp(&v4(n), PBX).payload([b'x'; 64]).fragment(9, false)),
    ("first fragment, IPv6", |n| Frame::udp(&v6(n), PBX_V6).payload(register()).fragment(0, true)),
    ("later fragment, IPv6", |n| Frame::tcp(&v6(n), PBX_V6).payload([1; 64]).fragment(9, true)),
    ("answer", |n| Frame::udp(&v4(n), PBX).payload(Message::response(200, &register()))),
    ("challenge", |n| {
        Frame::udp(&v4(n), PBX).payload(Message::response(401, &register()).challenge("n"))
    }),
    ("STUN", |n| Frame::udp(&v4(n), PBX).payload(*b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl")),
    ("CRLF", |n| Frame::udp(&v6(n), PBX_V6).payload(*b"\r\n\r\n")),
    ("RTP", |n| Frame::udp(&v4(n), "198.51.100.10:16384").payload([0x80; 60])),
    ("ping", |n| Frame::ip(&v4(n), PBX, protocol::ICMP).payload([8, 0, 0, 0, 0, 0, 0, 1])),
    ("ICMP error", |n| icmp_error(&v4(n), PBX, protocol::ICMP, 3)),
    ("ICMPv6 error", |n| icmp_error(&v6(n), PBX_V6, protocol::ICMPV6, 1)),
    ("neighbour", |n| Frame::ip(&v6(n), PBX_V6, protocol::ICMPV6).payload([135; 32])),
    ("GRE", |n| Frame::ip(&v4(n), PBX, protocol::GRE).payload([0; 30])),
];

fn chain(number: u32, headers: usize) -> Frame {
    let kinds = [protocol::HOP_BY_HOP, protocol::DESTINATION_OPTIONS, protocol::ROUTING];
    let frame = Frame::udp(&v6(number), PBX_V6).payload(register());
    (0..headers).fold(frame, |frame, at| frame.extension(kinds[at % 3], &[0; 14]))
}

fn icmp_error(from: &str, to: &str, number: u8, kind: u8) -> Frame {
    let quoted = &Frame::udp(to, from).payload([0; 20]).bytes()[14..];
    Frame::ip(from, to, number).payload([&[kind, 0, 0, 0, 0, 0, 0, 0], quoted].concat())
}

#[test]
fn cut_at_every_length() {
    let Some(mut pair) = Pair::load() else { return };
    let mut number = 0;
    for (name, make) in CORPUS {
        for length in FRAME_MIN..make(0).bytes().len() {
            number += 1;
            let frame = make(number).bytes();
            pair.run(&|| format!("{name} cut to {length} bytes"), &frame[..length]);
        }
    }
    pair.finish();
}

/// Where the length fields of a frame lie, by its EtherType: tags, network header, transport header.
struct Fields {
    network: usize,
    ipv6: bool,
    transport: usize,
}

fn fields(frame: &[u8]) -> Fields {
    let mut network = 14;
    while frame[network - 2..network] != [0x08, 0x00] && frame[network - 2..network] != [0x86, 0xdd]
    {
        network += 4;
    }
    let ipv6 = frame[network] >> 4 == 6;
    let header_len = if ipv6 { 40 } else { (frame[network] & 15) as usize * 4 };
    Fields { network, ipv6, transport: network + header_len }
}

/// The frame with every wrong length that a 16-bit field at `at` can usefully have.
fn wrong_lengths(frame: &[u8], at: usize) -> Vec<Vec<u8>> {
    let near = 0..frame.len() as u16 + 16;
    let far = [1499, 1500, 1501, 2047, 2048, 2049, 9000, 32767, 32768, 65534, 65535];
    near.chain(far)
        .map(|length| {
            let mut wrong = frame.to_vec();
            wrong[at..at + 2].copy_from_slice(&length.to_be_bytes());
            wrong
        })
        .collect()
}

/// The frame with every value of the nibble at `at` (the upper one of the byte, or the lower).
fn wrong_nibbles(frame: &[u8], at: usize, upper: bool) -> Vec<Vec<u8>> {
    (0..16)
        .map(|value| {
            let mut wrong = frame.to_vec();
            let byte = wrong[at];
            wrong[at] = if upper { byte & 15 | value << 4 } else { byte & 0xf0 | value };
            wrong
        })
        .collect()
}

/// Every wrong variant of one frame; the source is put in afterwards.
fn wrong(frame: &[u8]) -> Vec<Vec<u8>> {
    let Fields { network, ipv6, transport } = fields(frame);
    let total = if ipv6 { network + 4 } else { network + 2 };
    let mut all = wrong_lengths(frame, total);
    all.extend(wrong_nibbles(frame, network, true));
    if ipv6 {
        // The next header, and the first extension's own length.
        for byte in 0..=255 {
            let mut wrong = frame.to_vec();
            wrong[network + 6] = byte;
            all.push(wrong.clone());
            wrong[network + 6] = protocol::DESTINATION_OPTIONS;
            wrong[transport + 1] = byte;
            all.push(wrong);
        }
    } else {
        all.extend(wrong_nibbles(frame, network, false));
    }
    if frame.len() > transport + 13 {
        // A UDP length, or a part of a sequence number; a data offset, or a byte of payload.
        all.extend(wrong_lengths(frame, transport + 4));
        all.extend(wrong_nibbles(frame, transport + 12, true));
    }
    all
}

/// Gives a frame the source of `other`, if it is long enough.
fn take_source(frame: &mut [u8], other: &[u8]) {
    let Fields { network, ipv6, .. } = fields(other);
    let place = if ipv6 { network + 8..network + 24 } else { network + 12..network + 16 };
    frame[place.clone()].copy_from_slice(&other[place]);
}

#[test]
fn wrong_in_every_length_field() {
    let Some(mut pair) = Pair::load() else { return };
    let mut number = 0;
    for (name, make) in CORPUS {
        for (at, mut frame) in wrong(&make(0).bytes()).into_iter().enumerate() {
            number += 1;
            take_source(&mut frame, &make(number).bytes());
            pair.run(&|| format!("{name}, wrong variant {at}"), &frame);
        }
    }
    pair.finish();
}

/// A seeded generator (SplitMix64): a failure is found again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

const SEED: u64 = 20_221;
const RANDOM_FRAMES: u32 = 24_000;

#[test]
fn random_bytes() {
    let Some(mut pair) = Pair::load() else { return };
    let mut random = Random(SEED);
    for number in 0..RANDOM_FRAMES {
        let frame =
            if number % 2 == 0 { changed(&mut random, number) } else { invented(&mut random) };
        if listed(&frame) {
            continue;
        }
        pair.run(&|| format!("frame {number} of seed {SEED}"), &frame);
    }
    pair.finish();
}

/// A frame of the corpus with a few random bytes, mostly in its headers, and a random end.
fn changed(random: &mut Random, number: u32) -> Vec<u8> {
    let (_, make) = CORPUS[random.below(CORPUS.len())];
    let mut frame = make(number).bytes();
    for _ in 0..1 + random.below(4) {
        let most = if random.below(4) == 0 { frame.len() } else { frame.len().min(90) };
        let at = 12 + random.below(most - 12);
        frame[at] = random.next() as u8;
    }
    if random.below(3) == 0 {
        frame.truncate(FRAME_MIN + random.below(frame.len() - FRAME_MIN));
    }
    frame
}

/// Random bytes behind an EtherType that is looked at, with a likely version and port.
fn invented(random: &mut Random) -> Vec<u8> {
    let length = FRAME_MIN + random.below(300);
    let mut frame: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
    let ipv6 = random.below(2) == 0;
    frame[12..14].copy_from_slice(if ipv6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
    let changes: &[(usize, u8)] = if ipv6 {
        &[(14, 0x60), (20, [6, 17, 0, 43, 44, 51, 58, 60][random.below(8)]), (56, 0x13), (57, 0xc4)]
    } else {
        &[
            (14, 0x45),
            (20, 0),
            (21, 0),
            (23, [1, 6, 17, 58][random.below(4)]),
            (36, 0x13),
            (37, 0xc4),
        ]
    };
    for (at, byte) in changes {
        if let Some(place) = frame.get_mut(*at) {
            *place = *byte;
        }
    }
    frame
}

/// Did chance make a frame of the few sources that are on a list?
fn listed(frame: &[u8]) -> bool {
    frame.windows(3).any(|bytes| bytes == [192, 0, 2])
}

#[test]
fn too_short_for_a_header_on_the_model() {
    let mut model = Model::load(&World::new());
    let frame = says(register()).bytes();
    for length in 0..FRAME_MIN {
        assert!(model.ingress(&frame[..length]).expect("a frame that runs"));
    }
    let mut expected = Tally::default();
    (0..FRAME_MIN).for_each(|_| expected.count(0, Reason::Truncated, None));
    assert_eq!(model.tally().expect("a tally"), expected);
}
