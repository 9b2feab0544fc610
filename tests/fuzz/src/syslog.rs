//! Syslog as senders write it: the same messages wherever a stream is cut, and texts that stand in their lines.

use sipprot_ctl::feed::lines::LINE_MAX;
use sipprot_ctl::feed::syslog::framing::Frames;
use sipprot_ctl::feed::syslog::message::read;

pub fn check(bytes: &[u8]) {
    let whole = messages(&[bytes]);
    for at in [1, bytes.len() / 3, bytes.len() / 2] {
        let (one, other) = bytes.split_at(at.min(bytes.len()));
        assert_eq!(messages(&[one, other]), whole, "cut at {at}");
    }
    let each: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(messages(&each), whole, "byte by byte");
    for message in whole.0.iter().map(Vec::as_slice).chain([bytes]) {
        assert!(message.len() <= LINE_MAX.max(bytes.len()));
        let line = String::from_utf8_lossy(message);
        let Some(message) = read(&line) else { continue };
        assert!(line.contains(message.text) && line.contains(message.program));
        assert!(message.token.is_none_or(|token| token.len() <= line.len()));
    }
}

/// What was read before the stream made no sense, and whether it did.
fn messages(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    let sense = pieces.iter().all(|it| frames.take(it, |it| found.push(it.to_vec())).is_ok());
    (found, sense)
}

pub fn seeds() -> Vec<Vec<u8>> {
    let message = "<34>1 2026-11-23T10:00:00.0Z pbx asterisk 7 - [sipprot@32473 token=\"a\\\"b\"][x y=\"z\"] \u{feff}text";
    let older =
        "<34>Nov 23 10:00:00 pbx sshd[7]: Failed password for a from 198.51.100.7 port 1 ssh2";
    [
        message.to_owned(),
        older.to_owned(),
        format!("{} {message}{} {older}", message.len(), older.len()),
        format!("{message}\n{older}\n<1>half"),
        format!("{} {}5 <1>ab", LINE_MAX + 1, "x".repeat(99)),
    ]
    .map(String::into_bytes)
    .into()
}
