//! Looks into one header's value: skips to it, finds a parameter, hashes it.

use super::skip::Skip;
use super::text::{CAPACITY, Flow, Step, Text, below, equals, lower, lowest, repeat, splat};
use crate::hash;

/// Blanks that may stand on either side of an equals sign (RFC 3261 25.1, EQUAL). A nonce behind more
/// of them is not found: the attempt counts all the same, but is not proven.
const BLANKS_MAX: u32 = 4;

/// [`Skip::to_value`], for callers whose search need not lie in a map.
pub fn skip(text: &Text, from: u32) -> u32 {
    Skip::default().to_value(text, from)
}

/// The search for `name=` in a header. In the kernel it lies in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameter {
    at: u32,
    end: u32,
    /// Lower case, its last byte in the highest bits.
    name: u64,
    mask: u64,
    length: u32,
    /// Offset behind the `=`, 0 when not found.
    found: u32,
}

impl Parameter {
    /// `name` has at most eight lower-case letters. Returns the offset of its value.
    #[inline(always)]
    pub fn find(&mut self, text: &Text, from: u32, end: u32, name: &'static [u8]) -> Option<u32> {
        let (word, mask) = right_aligned(name);
        *self = Self { at: from, end, name: word, mask, length: name.len() as u32, found: 0 };
        repeat(CAPACITY as u32 / 8 + 64, self, text);
        match self.found {
            0 => None,
            found => Some(found),
        }
    }
}

const fn right_aligned(name: &[u8]) -> (u64, u64) {
    let (mut word, mut mask, mut index) = (0u64, 0u64, 0);
    while index < name.len() && index < 8 {
        let shift = (8 - name.len() + index) * 8;
        word |= (name[index] as u64) << shift;
        mask |= 0xff << shift;
        index += 1;
    }
    (word, mask)
}

impl Step<Text> for Parameter {
    #[inline(always)]
    fn step(&mut self, text: &Text) -> Flow {
        let at = self.at;
        if at >= self.end {
            return Flow::Stop;
        }
        let word = text.word(at);
        let marks = equals(word, splat(b'=')) | equals(word, splat(b'\n'));
        if marks == 0 {
            self.at = at + 8;
            return Flow::More;
        }
        let mark = at + lowest(marks);
        self.at = mark + 1;
        if text.byte(mark) == b'\n' {
            let folded = matches!(text.byte(mark + 1), b' ' | b'\t');
            return if folded { Flow::More } else { Flow::Stop };
        }
        let mut behind = mark;
        for _ in 0..BLANKS_MAX {
            if !matches!(text.byte(behind.wrapping_sub(1)), b' ' | b'\t') {
                break;
            }
            behind -= 1;
        }
        let before = lower(text.word(behind.wrapping_sub(8)));
        let apart = text.byte(behind.wrapping_sub(self.length + 1));
        let separated = matches!(apart, b' ' | b',' | b';' | b'\t' | b'\n');
        if before & self.mask == self.name && separated {
            let mut found = mark + 1;
            for _ in 0..BLANKS_MAX {
                if !matches!(text.byte(found), b' ' | b'\t') {
                    break;
                }
                found += 1;
            }
            self.found = found;
            return Flow::Stop;
        }
        Flow::More
    }
}

/// Hashes a value up to its end. In the kernel it lies in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Value {
    at: u32,
    end: u32,
    pub length: u32,
    pad: u32,
    hash: u64,
    /// All ones where a line end, a quotation mark, or a separator ends the value.
    lines: u64,
    quotes: u64,
    separators: u64,
}

impl Value {
    /// The hash of the quoted string or token at `at`; the same as [`hash::bytes`] of its bytes.
    #[inline(always)]
    pub fn hash(&mut self, text: &Text, at: u32, end: u32, seed: u64) -> u64 {
        let quoted = text.byte(at) == b'"';
        let at = at + quoted as u32;
        let separators = if quoted { 0 } else { u64::MAX };
        *self = Self { at, end, hash: seed, lines: u64::MAX, quotes: u64::MAX, separators, ..NEW };
        self.finish(text)
    }

    /// The hash of the rest of the line at `at`, blanks and quotation marks in it included.
    #[inline(always)]
    pub fn hash_line(&mut self, text: &Text, at: u32, end: u32, seed: u64) -> u64 {
        *self = Self { at, end, hash: seed, lines: u64::MAX, ..NEW };
        self.finish(text)
    }

    /// The hash of everything from `at` on; behind `end` the text has only zeroes.
    #[inline(always)]
    pub fn hash_all(&mut self, text: &Text, at: u32, end: u32, seed: u64) -> u64 {
        *self = Self { at, end, hash: hash::fold(seed, end as u64), ..NEW };
        self.finish(text)
    }

    #[inline(always)]
    fn finish(&mut self, text: &Text) -> u64 {
        repeat(CAPACITY as u32 / 8, self, text);
        hash::finish(hash::fold(self.hash, self.length as u64))
    }
}

const NEW: Value =
    Value { at: 0, end: 0, length: 0, pad: 0, hash: 0, lines: 0, quotes: 0, separators: 0 };

impl Step<Text> for Value {
    #[inline(always)]
    fn step(&mut self, text: &Text) -> Flow {
        if self.at >= self.end {
            return Flow::Stop;
        }
        let word = text.word(self.at);
        let lines = equals(word, splat(b'\r')) | equals(word, splat(b'\n')) | equals(word, 0);
        let quotes = equals(word, splat(b'"'));
        let separators = equals(word, splat(b';'))
            | equals(word, splat(b','))
            | equals(word, splat(b' '))
            | equals(word, splat(b'\t'));
        let ends = (lines & self.lines) | (quotes & self.quotes) | (separators & self.separators);
        let kept = below(word, ends);
        let count = if ends == 0 { 8 } else { lowest(ends) };
        if count > 0 {
            self.hash = hash::fold(self.hash, kept);
        }
        self.length += count;
        self.at += 8;
        if ends == 0 { Flow::More } else { Flow::Stop }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Scan};
    use super::*;

    fn check(line: &str, name: &'static [u8], expected: Option<&str>) {
        let message = format!("REGISTER sip:x SIP/2.0\r\n{line}\r\nX: y=1\r\nnonce=\"no\"\r\n\r\n");
        let mut text = Box::new(Text::EMPTY);
        let length = text.fill(message.as_bytes());
        let mut scan = Scan::default();
        scan.run(&text, length, false);
        let place = scan.place(Header::Authorization).or(scan.place(Header::Via)).unwrap();
        let found = Parameter::default().find(&text, place, length, name);
        let hashed = found.map(|at| Value::default().hash(&text, at, length, 42));
        assert_eq!(hashed, expected.map(|value| hash::bytes(42, value.as_bytes())), "{line}");
    }

    #[test]
    fn digest_parameters() {
        let line = "Authorization: Digest username=\"100\", realm=\"pbx\", cnonce=\"c\", \
                    Nonce=\"abcdefgh12345678+/==\",response=0123456789abcdef0123456789abcdef, uri=\"x\"";
        check(line, b"nonce", Some("abcdefgh12345678+/=="));
        check(line, b"cnonce", Some("c"));
        check(line, b"username", Some("100"));
        check(line, b"response", Some("0123456789abcdef0123456789abcdef"));
        check(line, b"opaque", None);
        check("Authorization: Digest cnonce=\"c\"", b"nonce", None);
        check("Authorization: Digest realm=\"\",\r\n nonce=\"folded\"", b"nonce", Some("folded"));
        check("Authorization: Digest nonce=\"\"", b"nonce", Some(""));
        check("Authorization: Digest nonce = \"x\"", b"nonce", Some("x"));
        check("Authorization: Digest a=1,nonce\t \t = \t  x", b"nonce", Some("x"));
        check("Authorization: Digest cnonce = \"x\"", b"nonce", None);
        check("Authorization: Digest nonce     = \"x\"", b"nonce", None);
    }

    #[test]
    fn via_branch() {
        let line = "v: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK-1;received=192.0.2.1";
        check(line, b"branch", Some("z9hG4bK-1"));
        check(line, b"received", Some("192.0.2.1"));
    }

    #[test]
    fn lines_and_whole_texts() {
        let mut text = Box::new(Text::EMPTY);
        let length = text.fill(b"I: a \"b\" <c>;d\r\nX: \0end");
        let line = Value::default().hash_line(&text, 3, length, 7);
        assert_eq!(line, hash::bytes(7, b"a \"b\" <c>;d"));
        let whole = |bytes: &[u8]| {
            let mut text = Box::new(Text::EMPTY);
            let length = text.fill(bytes);
            Value::default().hash_all(&text, 0, length, 7)
        };
        let guess = |response: &str| whole(format!("response = {response}\r\n").as_bytes());
        assert_eq!(guess("\"abc\""), guess("\"abc\""));
        assert_ne!(guess("\"abc\""), guess("\"abd\""));
        assert_ne!(whole(b"a\0b"), whole(b"a\0c"));
        assert_ne!(whole(b"a"), whole(b"a\0"));
    }
}
