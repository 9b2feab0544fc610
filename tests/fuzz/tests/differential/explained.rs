//! Where the two parsers read differently, and why.

use sipprot_common::sip::CAPACITY;

use crate::Disagreement;
use crate::reading::{Field, Value};

/// A class of disagreements; the first row that applies explains one.
pub struct Explained {
    pub what: &'static str,
    pub why: &'static str,
    pub applies: fn(&Disagreement) -> bool,
}

pub const EXPLAINED: &[Explained] = &[
    Explained {
        what: "longer than the window",
        why: "the kernel reads 2,048 bytes, and the event that reaches the host has no more",
        applies: |it| it.bytes.len() > CAPACITY,
    },
    Explained {
        what: "a bare carriage return",
        why: "ends a line for us, since it does for PJSIP; for them it ends the message's reading",
        applies: |it| bare_return(it.bytes),
    },
    Explained {
        what: "a start line that they refuse",
        why: "we look at method and version, and at a status's first three digits: whatever a PBX \
              may answer counts. They want a URI that they know, and refuse 4294967301",
        applies: |it| it.field == Field::Start && *it.theirs == Value::NoMessage,
    },
    Explained {
        what: "an IPv6 address written otherwise",
        why: "they write addresses anew; we compare accounts as they are written",
        applies: |it| {
            is_identity(it) && text(it.ours).contains('[') && text(it.theirs).contains('[')
        },
    },
    Explained {
        what: "a head that never ends",
        why: "we take what there is, as the kernel must; they leave out the unfinished line",
        applies: |it| !head_ends(it.bytes),
    },
    Explained {
        what: "a version with a tail",
        why: "they stop reading behind SIP/2.0; we want the line to end there, but for blanks",
        applies: |it| it.field == Field::Start && *it.ours == Value::NoMessage,
    },
    Explained {
        what: "a line that they skip",
        why: "a header line that is not UTF-8, or has more than a token before its colon, is none \
              for them; for us the name alone makes it one",
        applies: |it| *it.theirs == Value::None || skipped(it),
    },
    Explained {
        what: "a value that they refuse",
        why: "they read typed headers by their grammar; we take what is there: an attempt with a \
              damaged header is an attempt",
        applies: |it| *it.theirs == Value::Malformed,
    },
    Explained {
        what: "made fit to be shown",
        why: "controls are replaced in what people see, blanks about it cut, agents end after 96 \
              characters, and long or odd identifiers in their hash",
        applies: |it| {
            let shown = text(it.ours);
            let odd = [char::REPLACEMENT_CHARACTER, '#'];
            let trimmed = shown == text(it.theirs).trim();
            trimmed || shown.contains(odd) || shown.chars().count() >= 96
        },
    },
    Explained {
        what: "a semicolon in the user part",
        why: "ends the name for us: spelling one account with many parameters makes no new accounts",
        applies: |it| {
            is_identity(it) && text(it.theirs).split('@').next().unwrap_or_default().contains(';')
        },
    },
    Explained {
        what: "an escaped quotation mark in a display name",
        why: "they know no escapes, and read the address out of the name: \"\\\"<sip:x@y>\"",
        applies: |it| is_identity(it) && contains(it.bytes, b"\\\""),
    },
    Explained {
        what: "a percent sign in the branch",
        why: "is a character of the token (RFC 3261 25.1); they decode it, or drop the parameter",
        applies: |it| it.field == Field::Branch && text(it.ours).contains('%'),
    },
    Explained {
        what: "a character that their grammar lacks",
        why: "they stop before it and keep what they have; we go on to where a PBX's lenient parser \
              would: to the parameter, the bracket, or the end of the value",
        applies: |it| {
            matches!(it.field, Field::From | Field::To | Field::Branch | Field::CallId)
                && text(it.ours).starts_with(text(it.theirs))
        },
    },
    Explained {
        what: "a comma or a blank in a bare address",
        why: "ends it for us (RFC 3261 20.10 forbids both outside of angle brackets); for them a comma \
              is of the user part",
        applies: |it| is_identity(it) && !text(it.ours).contains('@'),
    },
    Explained {
        what: "mixed line ends",
        why: "where LF and CRLF meet in the empty line, they leave a byte or two of it to the body",
        applies: |it| {
            it.field == Field::Length && bare_feed(it.bytes) && contains(it.bytes, b"\r\n")
        },
    },
    Explained {
        what: "a name without its colon",
        why: "a blank behind the name makes a line a header for us, so that none before the colon hides \
              one; they want the colon",
        applies: |it| matches!(it.field, Field::Length | Field::Branch) && blank_in_name(it.bytes),
    },
    Explained {
        what: "a folded identifier",
        why: "we read one to the end of its line, as the kernel does",
        applies: |it| it.field == Field::CallId && text(it.theirs).starts_with(text(it.ours)),
    },
];

/// They have fewer headers.
fn skipped(it: &Disagreement) -> bool {
    matches!(it.field, Field::Names | Field::Credentials)
        && text(it.theirs).len() <= text(it.ours).len()
}

fn text(value: &Value) -> &str {
    match value {
        Value::Is(text) => text,
        _ => "",
    }
}

fn is_identity(it: &Disagreement) -> bool {
    matches!(it.field, Field::From | Field::To)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn bare_feed(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] != b'\r' && pair[1] == b'\n')
}

fn blank_in_name(bytes: &[u8]) -> bool {
    [b"\nV ia  :".as_slice(), b"\nContent-Length\t 40"].iter().any(|line| contains(bytes, line))
}

fn bare_return(bytes: &[u8]) -> bool {
    let mut behind = bytes.split(|byte| *byte == b'\r').skip(1);
    behind.any(|rest| rest.first() != Some(&b'\n'))
}

fn head_ends(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    [b"\n\r\n".as_slice(), b"\n\n"].iter().any(|end| contains(start, end))
}
