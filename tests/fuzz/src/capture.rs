//! Captures that strangers send: reading one ends, and no frame has more than the file.
//!
//! Behind the file's reader stands the reader of packets, as in `sipprot replay`.

use sipprot_ctl::replay::capture::Capture;
use sipprot_ctl::replay::packet;

use crate::seeds;

pub fn check(bytes: &[u8]) {
    let Ok(mut capture) = Capture::new("fuzzed.pcap".to_owned(), bytes) else { return };
    let mut read = 0;
    while let Ok(Some(frame)) = capture.next_frame() {
        read += frame.bytes.len();
        assert!(read <= bytes.len(), "more than the file has");
        if let Ok(packet) = packet::read(&frame) {
            assert!(packet.payload.len() <= frame.bytes.len(), "more than the frame has");
        }
    }
}

/// The ordinary messages in a pcap and in a pcapng, over IPv4 and UDP with nothing before it.
pub fn seeds() -> Vec<Vec<u8>> {
    let packets: Vec<_> = seeds::ordinary().iter().map(|message| datagram(message)).collect();
    vec![pcap(&packets), pcapng(&packets)]
}

fn datagram(message: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 10, 198, 51, 100, 10];
    packet[2..4].copy_from_slice(&(28 + message.len() as u16).to_be_bytes());
    for word in [5060, 5060, 8 + message.len() as u16, 0] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend(message);
    packet
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = words(&[0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, 101]);
    for (second, packet) in packets.iter().enumerate() {
        let length = packet.len() as u32;
        file.extend(words(&[second as u32, 0, length, length]));
        file.extend(packet);
    }
    file
}

fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind, mut body: Vec<u8>| {
        body.resize(body.len().next_multiple_of(4), 0);
        let length = body.len() as u32 + 12;
        [words(&[kind, length]), body, words(&[length])].concat()
    };
    let mut file = block(0x0a0d_0d0a, words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    file.extend(block(1, words(&[101, 65_535])));
    for packet in packets {
        let length = packet.len() as u32;
        file.extend(block(6, [words(&[0, 0, 0, length, length]), packet.clone()].concat()));
    }
    file
}
