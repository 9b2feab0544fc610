//! Headers, byte orders, faults.

use super::*;

fn words(order: Order, words: &[u32]) -> Vec<u8> {
    let bytes = |word: &u32| match order {
        Order::Little => word.to_le_bytes(),
        Order::Big => word.to_be_bytes(),
    };
    words.iter().flat_map(bytes).collect()
}

fn open(bytes: &[u8]) -> Result<Capture<&[u8]>, CaptureError> {
    Capture::new("x.pcap".to_owned(), bytes)
}

fn fault(bytes: &[u8]) -> String {
    let mut capture = match open(bytes) {
        Ok(capture) => capture,
        Err(error) => return error.to_string(),
    };
    loop {
        match capture.next_frame() {
            Ok(Some(_)) => {}
            Ok(None) => return "nothing".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

fn file(order: Order, magic: u32, link: u32) -> Vec<u8> {
    words(order, &[magic, 0, 0, 0, 65_535, link])
}

#[test]
fn both_orders_and_both_clocks() {
    let cases = [(0xa1b2_c3d4, 5_000), (0xa1b2_3c4d, 5)];
    for order in [Order::Little, Order::Big] {
        for (magic, nanoseconds) in cases {
            let mut bytes = file(order, magic, 101);
            bytes.extend(words(order, &[7, 5, 3, 3]));
            bytes.extend(b"abc");
            let mut capture = open(&bytes).unwrap();
            let frame = capture.next_frame().unwrap().unwrap();
            let expected = (Time(7_000_000_000 + nanoseconds), Link::Ip, b"abc".as_slice());
            assert_eq!((frame.at, frame.link, frame.bytes), expected, "{order:?} {magic:x}");
            assert!(capture.next_frame().unwrap().is_none());
        }
    }
}

#[test]
fn faults_name_file_and_offset() {
    assert_eq!(fault(b""), "x.pcap: empty");
    let not = "x.pcap: not a capture: begins with neither a pcap nor a pcapng magic number";
    assert_eq!(fault(b"abc"), not);
    assert_eq!(fault(b"#!/bin/sh\n"), not);
    let header = file(Order::Little, 0xa1b2_c3d4, 1);
    assert_eq!(
        fault(&header[..20]),
        "x.pcap: ends in the middle of the file header that begins at offset 0"
    );
    let number =
        "x.pcap: link type 105 at offset 20: only Ethernet, raw IP and Linux cooked are read";
    assert_eq!(fault(&file(Order::Big, 0xa1b2_c3d4, 105)), number);
    let cut = [header.clone(), words(Order::Little, &[1, 1, 10, 10]), vec![0; 9]].concat();
    assert_eq!(fault(&cut), "x.pcap: ends in the middle of a record that begins at offset 24");
    let garbage = [header, vec![0xff; 40]].concat();
    assert_eq!(fault(&garbage), "x.pcap: garbage at offset 24: a record longer than any packet");
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = [body, &[0; 3]].concat();
    let body = &padded[..body.len().next_multiple_of(4)];
    let length = body.len() as u32 + 12;
    [words(order, &[kind, length]), body.to_vec(), words(order, &[length])].concat()
}

fn section(order: Order) -> Vec<u8> {
    block(order, 0x0a0d_0d0a, &words(order, &[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]))
}

/// An interface with a clock of nanoseconds.
fn interface(order: Order, link: u16) -> Vec<u8> {
    let short = |number: u16| match order {
        Order::Little => number.to_le_bytes(),
        Order::Big => number.to_be_bytes(),
    };
    let body =
        [short(link), [0; 2], [0; 2], [0; 2], short(9), short(1), [9, 0], [0; 2], [0; 2], [0; 2]];
    block(order, 1, &body.concat())
}

#[test]
fn pcapng() {
    for order in [Order::Little, Order::Big] {
        let packet = [words(order, &[0, 1, 2, 3, 99]), b"abc".to_vec()].concat();
        let simple = [words(order, &[2]), b"de".to_vec()].concat();
        let unknown = block(order, 0x0bad_cafe, b"to be skipped");
        let blocks = [section(order), interface(order, 276), unknown, block(order, 6, &packet)];
        let bytes = [blocks.concat(), block(order, 3, &simple), section(order)].concat();
        let mut capture = open(&bytes).unwrap();
        let frame = capture.next_frame().unwrap().unwrap();
        let at = Time((1 << 32) + 2);
        assert_eq!(
            (frame.at, frame.link, frame.bytes),
            (at, Link::LinuxCooked2, b"abc".as_slice())
        );
        let frame = capture.next_frame().unwrap().unwrap();
        assert_eq!((frame.at, frame.bytes), (at, b"de".as_slice()), "no time of its own");
        assert!(capture.next_frame().unwrap().is_none());
    }
}

#[test]
fn pcapng_faults() {
    let order = Order::Little;
    let begun = [section(order), interface(order, 1)].concat();
    let at = begun.len();
    let cut = [begun.clone(), block(order, 6, &[0; 40])[..30].to_vec()].concat();
    assert_eq!(
        fault(&cut),
        format!("x.pcap: ends in the middle of a block that begins at offset {at}")
    );
    let long = [begun.clone(), block(order, 6, &words(order, &[0, 0, 0, 99, 99]))].concat();
    assert_eq!(
        fault(&long),
        format!("x.pcap: garbage at offset {at}: a packet longer than its block")
    );
    let other = [begun, block(order, 6, &words(order, &[7, 0, 0, 0, 0]))].concat();
    let expected = format!("x.pcap: garbage at offset {at}: a packet of an undescribed interface");
    assert_eq!(fault(&other), expected);
    let link = [section(order), interface(order, 147)].concat();
    let offset = section(order).len();
    assert!(fault(&link).starts_with(&format!("x.pcap: link type 147 at offset {offset}")));
}
