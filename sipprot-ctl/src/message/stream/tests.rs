//! Streams cut at any byte, in any order.

use super::*;

const REQUEST: &str = "MESSAGE sip:x SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 MESSAGE\r\n\
                       Content-Length: 27\r\n\r\nSIP/2.0 200 OK\r\nCall-ID: no";
const ANSWER: &str = "SIP/2.0 200 OK\r\nCall-ID: b\r\nCSeq: 2 REGISTER\r\nl: 0\r\n\r\n";
const START: u32 = u32::MAX - 50;
const SECOND: u64 = 1_000_000_000;

fn text() -> String {
    [REQUEST, ANSWER, "\r\n\r\n", ANSWER, REQUEST, ANSWER].concat()
}

const ALL: [&str; 5] = ["a", "b", "b", "a", "b"];

fn stream() -> Stream {
    Stream::new(Some(START), Duration::from_secs(10))
}

fn push(stream: &mut Stream, second: u64, offset: usize, bytes: &str) -> Vec<String> {
    let sequence = START.wrapping_add(offset as u32);
    let at = Time(second * SECOND);
    let messages = stream.push(&mut Reader::new(1), at, sequence, bytes.as_bytes());
    messages.into_iter().map(|message| message.call_id).collect()
}

fn check(segments: &[(usize, &str)], expected: &[&str], gaps: u32) {
    let mut stream = stream();
    let calls: Vec<String> =
        segments.iter().flat_map(|(offset, bytes)| push(&mut stream, 1, *offset, bytes)).collect();
    assert_eq!((calls, stream.gaps), (expected.iter().map(ToString::to_string).collect(), gaps));
}

fn pieces(text: &str, length: usize) -> Vec<(usize, &str)> {
    let starts = (0..text.len()).step_by(length);
    starts.map(|at| (at, &text[at..text.len().min(at + length)])).collect()
}

#[test]
fn split_at_every_byte() {
    let text = text();
    check(&[(0, &text)], &ALL, 0);
    for at in 1..text.len() {
        let (one, two) = text.split_at(at);
        check(&[(0, one), (at, two)], &ALL, 0);
        check(&[(at, two), (0, one), (at, two)], &ALL, 0);
    }
}

#[test]
fn pieces_of_every_length_in_any_order() {
    let text = text();
    for length in 1..60 {
        let mut pieces = pieces(&text, length);
        check(&pieces, &ALL, 0);
        pieces.extend_from_within(..pieces.len() / 2);
        check(&pieces, &ALL, 0);
        if pieces.len() < EARLY_SEGMENTS_MAX {
            // A fixed shuffle: each step is prime to any count below it.
            let count = pieces.len();
            let shuffled: Vec<_> = (0..count).map(|n| pieces[(n * 257 + 3) % count]).collect();
            check(&shuffled, &ALL, 0);
            pieces.reverse();
            check(&pieces, &ALL, 0);
        }
    }
}

#[test]
fn overlaps_keep_what_came_first() {
    let (one, two) = ANSWER.split_at(30);
    let other = ANSWER.replace("Call-ID: b", "Call-ID: c");
    check(&[(0, one), (0, &other), (30, two)], &["b"], 0);
    check(&[(0, ANSWER), (10, &other[10..]), (ANSWER.len(), ANSWER)], &["b", "b"], 0);
}

#[test]
fn messages_without_a_length_and_with_an_odd_one() {
    let none = ANSWER.replace("l: 0\r\n", "");
    let bare = ANSWER.replace("\r\n", "\n");
    check(&[(0, &[&none, &bare, ANSWER].concat())], &["b"; 3], 0);
    let liar = ANSWER.replace("l: 0", "l: 4000000000");
    check(&[(0, &liar), (liar.len(), ANSWER)], &["b", "b"], 0);
    // A head longer than what is read of it still tells where its body ends.
    let long = REQUEST.replace("\r\n\r\n", &format!("\r\n{}\r\n\r\n", ["X: y"; 600].join("\r\n")));
    check(&[(0, &(long + ANSWER))], &["a", "b"], 0);
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
fn a_gap_is_given_up_in_time() {
    let mut stream = stream();
    let none: Vec<String> = Vec::new();
    assert_eq!(push(&mut stream, 1, 0, "SIP/2.0 200 OK\r\nCall"), none);
    assert_eq!(push(&mut stream, 2, 1000, ANSWER), none);
    assert_eq!(push(&mut stream, 11, 1000 + ANSWER.len(), "\r\n"), none);
    assert_eq!(push(&mut stream, 12, 1002 + ANSWER.len(), ANSWER), ["b", "b"]);
    // What fills it in time begins the wait anew.
    let from = 1002 + 2 * ANSWER.len();
    let (one, two) = ANSWER.split_at(30);
    assert_eq!(push(&mut stream, 20, from + 30, two), none);
    assert_eq!(push(&mut stream, 29, from, one), ["b"]);
    assert_eq!(stream.gaps, 1);
}

#[test]
fn after_a_lost_piece_reading_goes_on_at_a_start_line() {
    let mut stream = stream();
    assert!(push(&mut stream, 1, 0, &REQUEST[..40]).is_empty());
    stream.lose(START.wrapping_add(40), 20);
    let rest = [&REQUEST[60..], "\r\n\r\n", ANSWER].concat();
    // What stands in the body is taken for a message: nobody knows any more that it is one.
    assert_eq!(push(&mut stream, 1, 60, &rest), ["no", "b"]);
    assert_eq!(stream.gaps, 1);
}

#[test]
fn no_head_without_end() {
    let endless = format!("REGISTER sip:x SIP/2.0\r\n{}", "X: y\r\n".repeat(HEAD_MAX / 6 + 1));
    check(&[(0, &endless), (endless.len(), ANSWER)], &["b"], 1);
    let no_line = "x".repeat(HEAD_MAX + 1);
    check(&[(0, &no_line), (no_line.len(), ANSWER)], &["b"], 1);
}

#[test]
fn noise_is_skipped_line_by_line() {
    let noise = "GET / HTTP/1.1\r\nHost: x\r\n\r\n\0\0\r\nINVITE\r\n";
    check(&[(0, &[noise, ANSWER, noise, REQUEST].concat())], &["b", "a"], 0);
}
