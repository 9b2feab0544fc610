//! Header lines as a first reading of RFC 3261 finds them, a byte at a time: the scanner's oracle.

use sipprot_common::sip::{CAPACITY, Header};

/// A header line whose name is of interest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    pub header: Header,
    /// Offset just behind the name.
    pub place: u32,
}

/// What there is in a payload, of which only the first [`CAPACITY`] bytes are read.
#[derive(Default)]
pub struct Naive {
    pub headers: Vec<Line>,
    /// An empty line was among those that were read.
    pub ended: bool,
    pub lines: usize,
}

impl Naive {
    /// `several`: goes on behind the empty line, and takes the first line for a header too.
    pub fn read(payload: &[u8], several: bool) -> Self {
        let payload = &payload[..payload.len().min(CAPACITY)];
        let mut at = payload.iter().take_while(|byte| is_line_end(**byte)).count();
        let mut naive = Self::default();
        let mut first = true;
        while at < payload.len() {
            let rest = &payload[at..];
            let length = rest.iter().position(|byte| is_line_end(*byte)).unwrap_or(rest.len());
            naive.lines += 1;
            if length == 0 {
                naive.ended = true;
                if !several {
                    break;
                }
            }
            if !first || several {
                naive.line(&rest[..length], at, length == rest.len());
            }
            first = false;
            at += length + if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
        }
        naive
    }

    /// The colon, or a blank before it, must follow the name, unless the payload ends there.
    fn line(&mut self, line: &[u8], at: usize, is_last: bool) {
        let end = line.iter().position(|byte| matches!(byte, b':' | b' ' | b'\t'));
        let name = &line[..end.unwrap_or(line.len())];
        if let Some(header) = named(name).filter(|_| end.is_some() || is_last) {
            self.headers.push(Line { header, place: (at + name.len()) as u32 });
        }
    }

    pub fn credentials(&self) -> u32 {
        let credentials = |line: &&Line| {
            matches!(line.header, Header::Authorization | Header::ProxyAuthorization)
        };
        self.headers.iter().filter(credentials).count() as u32
    }

    pub fn first(&self, header: Header) -> Option<u32> {
        self.headers.iter().find(|line| line.header == header).map(|line| line.place)
    }
}

pub fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn named(name: &[u8]) -> Option<Header> {
    Some(match name.to_ascii_lowercase().as_slice() {
        b"via" | b"v" => Header::Via,
        b"from" | b"f" => Header::From,
        b"to" | b"t" => Header::To,
        b"call-id" | b"i" => Header::CallId,
        b"cseq" => Header::CSeq,
        b"user-agent" => Header::UserAgent,
        b"authorization" => Header::Authorization,
        b"proxy-authorization" => Header::ProxyAuthorization,
        b"www-authenticate" => Header::WwwAuthenticate,
        b"proxy-authenticate" => Header::ProxyAuthenticate,
        b"content-length" | b"l" => Header::ContentLength,
        _ => return None,
    })
}
