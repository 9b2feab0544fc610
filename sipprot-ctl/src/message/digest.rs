//! Digest authentication (RFC 8760, RFC 3261 22): what a request offers and a response asks for.

use sipprot_common::hash;
use sipprot_common::sip::{Parameter, Text, Value};

use super::text::clean;

const NAME_MAX: usize = 64;

/// One Authorization or Proxy-Authorization header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub realm: String,
    /// `None` when the header has none.
    pub nonce: Option<u64>,
    /// `None` when it is missing or empty: such a header asks for a challenge and guesses nothing.
    pub response: Option<u64>,
    /// Of the whole header: two guesses differ in it, a retransmission doesn't.
    pub header: u64,
}

/// One WWW-Authenticate or Proxy-Authenticate header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: Option<u64>,
    pub stale: bool,
}

/// Looks into one header of a text whose name ends at `place`.
pub(super) struct Parameters<'a> {
    pub text: &'a Text,
    pub place: u32,
    pub end: u32,
    pub seed: u64,
}

impl Parameters<'_> {
    pub fn credentials(&self) -> Credentials {
        Credentials {
            username: self.shown("username"),
            realm: self.shown("realm"),
            nonce: self.hashed("nonce"),
            response: self.hashed("response"),
            header: hash::bytes(self.seed, self.header()),
        }
    }

    pub fn challenge(&self) -> Challenge {
        let stale = self.named("stale").eq_ignore_ascii_case(b"true");
        Challenge { realm: self.shown("realm"), nonce: self.hashed("nonce"), stale }
    }

    /// The hash of a parameter's value as the kernel computes it; `None` when absent or empty.
    pub fn hash(&self, name: &'static [u8]) -> Option<u64> {
        let at = Parameter::default().find(self.text, self.place, self.end, name)?;
        let mut value = Value::default();
        let hash = value.hash(self.text, at, self.end, self.seed);
        (value.length > 0).then_some(hash)
    }

    /// The header behind its name, with its folds.
    fn header(&self) -> &[u8] {
        let bytes = &self.text.bytes[self.place.min(self.end) as usize..self.end as usize];
        let mut end = 0;
        while let Some(feed) = bytes[end..].iter().position(|&byte| byte == b'\n') {
            end += feed + 1;
            if !matches!(bytes.get(end), Some(b' ' | b'\t')) {
                return &bytes[..end];
            }
        }
        bytes
    }

    /// The first value of this name that isn't empty. What a PBX finds must be found here too, or a
    /// guess would look like the question for a challenge: unlike the kernel's search this one knows
    /// quoted strings, and any number of blanks and folds about the equals sign.
    fn named(&self, name: &str) -> &[u8] {
        let mut pairs = Pairs { rest: self.header() };
        let value = pairs.find(|(found, value)| {
            found.eq_ignore_ascii_case(name.as_bytes()) && !value.is_empty()
        });
        value.map_or(&[], |(_, value)| value)
    }

    fn hashed(&self, name: &str) -> Option<u64> {
        let value = self.named(name);
        (!value.is_empty()).then(|| hash::bytes(self.seed, value))
    }

    fn shown(&self, name: &str) -> String {
        clean(self.named(name), NAME_MAX)
    }

    /// The bytes that [`Value::hash`] goes over.
    pub fn raw(&self, name: &'static [u8]) -> Option<&[u8]> {
        let at = Parameter::default().find(self.text, self.place, self.end, name)?;
        let rest = self.text.bytes.get(at as usize..self.end as usize)?;
        let (rest, ends): (_, &[u8]) = match rest.split_first() {
            Some((b'"', quoted)) => (quoted, b"\"\r\n\0"),
            _ => (rest, b"\"\r\n\0;, \t"),
        };
        let end = rest.iter().position(|byte| ends.contains(byte)).unwrap_or(rest.len());
        Some(&rest[..end])
    }
}

/// The parameters of a header (RFC 3261 25.1, auth-param); what is none is passed over.
struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let begins = self.rest.iter().position(|byte| !b" \t\r\n,;:".contains(byte))?;
            let (name, behind) = split_at_any(&self.rest[begins..], b" \t\r\n,;=\"");
            let Some((b'=', value)) = behind.trim_ascii_start().split_first() else {
                // The scheme, or a stray quotation mark.
                self.rest = if name.is_empty() { &behind[1..] } else { behind };
                continue;
            };
            let value = value.trim_ascii_start();
            let (value, rest) = match value.split_first() {
                Some((b'"', quoted)) => split_quoted(quoted),
                _ => split_at_any(value, b" \t\r\n,;\""),
            };
            self.rest = rest;
            return Some((name, value));
        }
    }
}

fn split_at_any<'a>(bytes: &'a [u8], ends: &[u8]) -> (&'a [u8], &'a [u8]) {
    bytes.split_at(bytes.iter().position(|byte| ends.contains(byte)).unwrap_or(bytes.len()))
}

/// What lies before the closing quotation mark, as it is written, and behind it.
fn split_quoted(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return (&bytes[..at], &bytes[at + 1..]),
            _ => {}
        }
    }
    (bytes, &[])
}
