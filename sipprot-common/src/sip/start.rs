//! What a payload begins with: a request line, a status line, a keep-alive, or something else.

use super::skip::Skip;
use super::text::{Text, lower};

/// SIP methods; unknown ones are `Other`.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    Other = 0,
    Register = 1,
    Invite = 2,
    Options = 3,
    Ack = 4,
    Bye = 5,
    Cancel = 6,
    Subscribe = 7,
    Notify = 8,
    Message = 9,
    Publish = 10,
    Prack = 11,
    Update = 12,
    Info = 13,
    Refer = 14,
}

/// How a payload on a SIP port begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    Request(Method),
    /// Begins like a request line with a method that we don't know; its version must be looked at.
    Token,
    Response,
    /// CRLF or NUL keep-alive, STUN (RFC 8489), or a PROXY header.
    Keepalive,
    NotSip,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Word {
    value: u64,
    mask: u64,
    number: u64,
    /// As the standard writes it; 0 where case doesn't matter.
    exact: u64,
}

const RESPONSE: u8 = 15;
const PROXY: u8 = 16;
/// First eight bytes, lower case; matched without case, as lenient PBXs do. ACK and CANCEL are
/// matched with it: only they have no outcome, and what a strict PBX takes for another method has one.
const WORDS: [(&str, u8); 16] = [
    ("register ", Method::Register as u8),
    ("invite ", Method::Invite as u8),
    ("options ", Method::Options as u8),
    ("ack ", Method::Ack as u8),
    ("bye ", Method::Bye as u8),
    ("cancel ", Method::Cancel as u8),
    ("subscribe ", Method::Subscribe as u8),
    ("notify ", Method::Notify as u8),
    ("message ", Method::Message as u8),
    ("publish ", Method::Publish as u8),
    ("prack ", Method::Prack as u8),
    ("update ", Method::Update as u8),
    ("info ", Method::Info as u8),
    ("refer ", Method::Refer as u8),
    ("sip/2.0 ", RESPONSE),
    ("proxy ", PROXY),
];
const SLOTS: usize = 64;
const NO_WORD: Word = Word { value: 1, mask: 0, number: 0, exact: 0 };

const fn slot(multiplier: u32, word: u64) -> usize {
    (((word as u32).wrapping_mul(multiplier)) >> (32 - 6)) as usize
}

/// Of a word of lower-case letters and blanks.
const fn upper(word: u64) -> u64 {
    let mut bytes = word.to_le_bytes();
    bytes.make_ascii_uppercase();
    u64::from_le_bytes(bytes)
}

const fn fill(multiplier: u32) -> Option<[Word; SLOTS]> {
    let mut table = [NO_WORD; SLOTS];
    let mut index = 0;
    while index < WORDS.len() {
        let bytes = WORDS[index].0.as_bytes();
        let (mut value, mut mask, mut at) = (0u64, 0u64, 0);
        while at < bytes.len() && at < 8 {
            value |= (bytes[at] as u64) << (at * 8);
            mask |= 0xff << (at * 8);
            at += 1;
        }
        let slot = slot(multiplier, value);
        if table[slot].number != 0 {
            return None;
        }
        let number = WORDS[index].1 as u64;
        let silent = number == Method::Ack as u64 || number == Method::Cancel as u64;
        table[slot] = Word { value, mask, number, exact: if silent { upper(value) } else { 0 } };
        index += 1;
    }
    Some(table)
}

const MULTIPLIER: u32 = {
    let mut multiplier = 0x9e37_79b9u32;
    while fill(multiplier).is_none() {
        multiplier = multiplier.wrapping_mul(747_796_405).wrapping_add(2_891_336_453) | 1;
    }
    multiplier
};

static TABLE: [Word; SLOTS] = match fill(MULTIPLIER) {
    Some(table) => table,
    None => [NO_WORD; SLOTS],
};

const STUN_COOKIE: u32 = u32::from_le_bytes([0x21, 0x12, 0xa4, 0x42]);
/// The second half of the PROXY v2 signature, behind its leading line ends.
const PROXY_V2: u64 = u64::from_le_bytes(*b"\0\r\nQUIT\n");

/// Where the start line begins, for callers whose search need not lie in a map.
pub fn leading(text: &Text) -> u32 {
    Skip::default().line_ends(text)
}

#[inline(always)]
pub fn classify(text: &Text, at: u32, length: u32) -> Start {
    let word = text.word(at);
    if at >= length || word == PROXY_V2 {
        return Start::Keepalive;
    }
    let head = word as u8;
    if head & 0xc0 == 0 {
        let stun = (word >> 32) as u32 == STUN_COOKIE;
        let nul = length - at <= 8 && word == 0;
        if stun || nul {
            return Start::Keepalive;
        }
    }
    let lowered = lower(word);
    let found = &TABLE[slot(MULTIPLIER, lowered) & (SLOTS - 1)];
    if lowered & found.mask != found.value {
        // A method is a token (RFC 3261 25.1), which may begin with a digit or a sign.
        return if head.is_ascii_graphic() { Start::Token } else { Start::NotSip };
    }
    if found.exact != 0 && word & found.mask != found.exact {
        return Start::Request(Method::Other);
    }
    match found.number as u8 {
        RESPONSE => Start::Response,
        PROXY => Start::Keepalive,
        number => Start::Request(Method::from_number(number)),
    }
}

/// Does the line that ends at `feed` end in `SIP/2.0`?
#[inline(always)]
pub fn has_version(text: &Text, feed: u32) -> bool {
    const VERSION: u64 = u64::from_le_bytes(*b"\0sip/2.0");
    if feed < 9 {
        return false;
    }
    let end = if text.byte(feed - 1) == b'\r' { feed - 1 } else { feed };
    lower(text.word(end - 8)) & !0xff == VERSION
}

/// The status code of a response whose start line begins at `at`; 0 when it isn't three digits.
#[inline(always)]
pub fn status(text: &Text, at: u32) -> u32 {
    let digit = |offset| (text.byte(at + 8 + offset) as u32).wrapping_sub(b'0' as u32);
    let (hundreds, tens, ones) = (digit(0), digit(1), digit(2));
    if hundreds > 9 || tens > 9 || ones > 9 {
        return 0;
    }
    hundreds * 100 + tens * 10 + ones
}

impl Method {
    #[inline(always)]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Register,
            2 => Self::Invite,
            3 => Self::Options,
            4 => Self::Ack,
            5 => Self::Bye,
            6 => Self::Cancel,
            7 => Self::Subscribe,
            8 => Self::Notify,
            9 => Self::Message,
            10 => Self::Publish,
            11 => Self::Prack,
            12 => Self::Update,
            13 => Self::Info,
            14 => Self::Refer,
            _ => Self::Other,
        }
    }

    /// As on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Register => "REGISTER",
            Self::Invite => "INVITE",
            Self::Options => "OPTIONS",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Refer => "REFER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: &[u8], expected: Start) {
        let mut text = Box::new(Text::EMPTY);
        let length = text.fill(payload);
        let at = leading(&text);
        assert_eq!(classify(&text, at, length), expected, "{payload:?}");
    }

    #[test]
    fn starts() {
        use Start::*;
        for number in 1..=14 {
            let method = Method::from_number(number);
            check(format!("{} sip:x SIP/2.0\r\n", method.name()).as_bytes(), Request(method));
        }
        check(b"register sip:x SIP/2.0", Request(Method::Register));
        check(b"ack sip:x SIP/2.0", Request(Method::Other));
        check(b"CANCEl sip:x SIP/2.0", Request(Method::Other));
        check(&[b"\r\n".repeat(40), b"BYE sip:x SIP/2.0".to_vec()].concat(), Request(Method::Bye));
        check(&b"\r\n".repeat(40), Keepalive);
        check(&b"\r".repeat(3000), Keepalive);
        check(b"\r\x0c\n", NotSip);
        check(b"\r\n\r\nINVITE sip:x SIP/2.0", Request(Method::Invite));
        check(b"REGISTERED sip:x SIP/2.0", Request(Method::Register));
        check(b"SIP/2.0 200 OK", Response);
        check(b"FOO sip:x SIP/2.0", Token);
        check(b"\r\n\r\n", Keepalive);
        check(b"\r\n", Keepalive);
        check(b"\0", Keepalive);
        check(b"\0\0\0\0", Keepalive);
        check(b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl", Keepalive);
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Keepalive);
        check(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Keepalive);
        check(b"!odd sip:x SIP/2.0", Token);
        check(b"7 sip:x SIP/2.0", Token);
        check(b" INVITE sip:x SIP/2.0", NotSip);
        check(b"\x16\x03\x01\x02\0", NotSip);
        check(b"\x80\0\0\0rtp", NotSip);
    }

    #[test]
    fn versions_and_status() {
        let mut text = Box::new(Text::EMPTY);
        text.fill(b"FOO sip:x SIP/2.0\r\nX");
        assert!(has_version(&text, 18));
        text.fill(b"FOO sip:x SIP/2.0\nX");
        assert!(has_version(&text, 17));
        text.fill(b"GET / HTTP/1.1\r\nX");
        assert!(!has_version(&text, 15));
        text.fill(b"SIP/2.0 407 Proxy");
        assert_eq!(status(&text, 0), 407);
        text.fill(b"SIP/2.0 4x7 Proxy");
        assert_eq!(status(&text, 0), 0);
    }
}
