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
            username: self.shown(b"username"),
            realm: self.shown(b"realm"),
            nonce: self.hash(b"nonce"),
            response: self.hash(b"response"),
            header: self.header(),
        }
    }

    pub fn challenge(&self) -> Challenge {
        let stale = self.raw(b"stale").is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
        Challenge { realm: self.shown(b"realm"), nonce: self.hash(b"nonce"), stale }
    }

    /// The hash of a parameter's value as the kernel computes it; `None` when absent or empty.
    pub fn hash(&self, name: &'static [u8]) -> Option<u64> {
        let at = Parameter::default().find(self.text, self.place, self.end, name)?;
        let mut value = Value::default();
        let hash = value.hash(self.text, at, self.end, self.seed);
        (value.length > 0).then_some(hash)
    }

    fn header(&self) -> u64 {
        let bytes = &self.text.bytes[self.place.min(self.end) as usize..self.end as usize];
        let mut end = 0;
        while let Some(feed) = bytes[end..].iter().position(|&byte| byte == b'\n') {
            end += feed + 1;
            if !matches!(bytes.get(end), Some(b' ' | b'\t')) {
                return hash::bytes(self.seed, &bytes[..end]);
            }
        }
        hash::bytes(self.seed, bytes)
    }

    fn shown(&self, name: &'static [u8]) -> String {
        clean(self.raw(name).unwrap_or_default(), NAME_MAX)
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
