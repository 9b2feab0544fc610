//! Streams cut at any byte, in any order.

use super::*;

const REQUEST: &str = "MESSAGE sip:x SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 MESSAGE\r\n\
                       Content-Length: 27\r\n\r\nSIP/2.0 200 OK\r\nCall-ID: no";
const ANSWER: &str = "SIP/2.0 200 OK\r\nCall-ID: b\r\nCSeq: 2 REGISTER\r\nl: 0\r\n\r\n";
const START: u32 = u32::MAX - 50;

fn tcp(offset: usize) -> Tcp {
    Tcp {
        syn: false,
        ack: true,
        rst: false,
        sequence: START.wrapping_add(offset as u32),
        acknowledgement: 0,
    }
}

fn text() -> String {
    [REQUEST, ANSWER, "\r\n\r\n", ANSWER, REQUEST, ANSWER].concat()
}

fn check(segments: &[(usize, &str)], expected: &[&str], gaps: u32) {
    let (mut stream, mut reader) = (Stream::default(), Reader::new(1));
    stream.push(&mut reader, Tcp { syn: true, ..tcp(0) }, b"");
    let messages = segments
        .iter()
        .flat_map(|(offset, bytes)| stream.push(&mut reader, tcp(offset + 1), bytes.as_bytes()));
    let calls: Vec<String> = messages.map(|message| message.call_id).collect();
    assert_eq!(
        (calls.iter().map(String::as_str).collect::<Vec<_>>(), stream.gaps),
        (expected.to_vec(), gaps)
    );
}

#[test]
fn split_at_every_byte() {
    let text = text();
    let expected = ["a", "b", "b", "a", "b"];
    check(&[(0, &text)], &expected, 0);
    for at in 1..text.len() {
        let (one, two) = text.split_at(at);
        check(&[(0, one), (at, two)], &expected, 0);
        check(&[(at, two), (0, one), (at, two)], &expected, 0);
    }
    for length in 1..60 {
        let starts = (0..text.len()).step_by(length);
        let pieces: Vec<(usize, &str)> =
            starts.map(|at| (at, &text[at..text.len().min(at + length)])).collect();
        check(&pieces, &expected, 0);
    }
}

#[test]
fn overlaps_keep_what_came_first() {
    let (one, two) = ANSWER.split_at(30);
    let other = ANSWER.replace("Call-ID: b", "Call-ID: c");
    check(&[(0, one), (0, &other), (30, two)], &["b"], 0);
}

#[test]
fn a_gap_is_given_up_at_its_bound() {
    let filler = "keeping\n".repeat(EARLY_MAX / 32);
    let mut segments = vec![(0, "SIP/2.0 200 OK\r\nCall"), (1000, ANSWER)];
    check(&segments, &[], 0);
    let behind = 1000 + ANSWER.len();
    (0..4).for_each(|part| segments.push((behind + part * filler.len(), &filler)));
    check(&segments, &["b"], 1);
}

#[test]
fn after_a_lost_piece_reading_goes_on_at_a_start_line() {
    let (mut stream, mut reader) = (Stream::default(), Reader::new(1));
    assert!(stream.push(&mut reader, tcp(0), &REQUEST.as_bytes()[..40]).is_empty());
    stream.lose(tcp(40).sequence, 20);
    let rest = [&REQUEST[60..], "\r\n\r\n", ANSWER].concat();
    let messages = stream.push(&mut reader, tcp(60), rest.as_bytes());
    let calls: Vec<&str> = messages.iter().map(|message| message.call_id.as_str()).collect();
    // What stands in the body is taken for a message: nobody knows any more that it is one.
    assert_eq!((calls.as_slice(), stream.gaps), (["no", "b"].as_slice(), 1));
}

#[test]
fn no_head_and_no_body_without_end() {
    let endless = format!("REGISTER sip:x SIP/2.0\r\n{}", "X: y\r\n".repeat(HEAD_MAX / 6 + 1));
    check(&[(0, &endless), (endless.len(), ANSWER)], &["b"], 1);
    let liar = ANSWER.replace("l: 0", "l: 4000000000");
    check(&[(0, &liar), (liar.len(), ANSWER)], &["b", "b"], 0);
}
