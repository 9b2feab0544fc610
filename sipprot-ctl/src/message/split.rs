//! From the bytes of a packet to messages: several may share a TCP segment.

use sipprot_common::sip::{CAPACITY, Header, Method, Scan, Start, Text, start, value};

use super::digest::{Challenge, Credentials, Parameters};
use super::text::{SHOWN_MAX, clean, identifier};
use super::{Identity, Message, StartLine};

/// No more messages are read from one packet: the shortest that a PBX answers is longer than this
/// many of them could be.
const MESSAGES_MAX: usize = 64;
/// Headers of one kind in one message.
const REPEATS_MAX: usize = 4;

/// Reads packets; keeps the buffer that the scanner needs.
pub struct Reader {
    text: Box<Text>,
    seed: u64,
}

impl Reader {
    /// `seed` is the one of the maps, so that hashes are the kernel's.
    pub fn new(seed: u64) -> Self {
        Self { text: Box::new(Text::EMPTY), seed }
    }

    /// The messages in a packet's payload. A datagram holds one; behind it, and behind bytes that
    /// are no message, the rest of a segment is searched for the next start line.
    pub fn read(&mut self, payload: &[u8], stream: bool) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut rest = payload;
        while !rest.is_empty() && messages.len() < MESSAGES_MAX {
            let Some((message, length)) = self.first(rest) else {
                match next_line(rest) {
                    Some(behind) if stream => rest = &rest[behind..],
                    _ => break,
                }
                continue;
            };
            messages.push(message);
            if !stream {
                break;
            }
            rest = &rest[length.clamp(1, rest.len())..];
        }
        messages
    }

    /// The message that the bytes begin with, and its length with its body, which may lie beyond them.
    pub fn first(&mut self, bytes: &[u8]) -> Option<(Message, usize)> {
        let length = self.text.fill(bytes);
        let text = &*self.text;
        let at = start::leading(text);
        let start = match start::classify(text, at, length) {
            Start::Request(_) | Start::Token => {
                // Blanks behind the version (RFC 4475 3.1.2.16) don't hide a request from us.
                let end = line_end(&bytes[..length as usize], at as usize)?;
                let line = bytes[at as usize..end].trim_ascii_end();
                if !start::has_version(text, at + line.len() as u32) {
                    return None;
                }
                StartLine::Request
            }
            Start::Response => StartLine::Response(start::status(text, at) as u16),
            Start::Keepalive | Start::NotSip => return None,
        };
        // Only now: of a segment of nothing but short lines each is tried.
        let mut scan = Scan::default();
        scan.run(text, length, false);
        let head = head_length(&bytes[..length as usize], at as usize);
        let body = self.content_length(&scan, length);
        let end = head.unwrap_or(length as usize);
        let message = self.message(start, at, &scan, end as u32, head.is_some());
        Some((message, end + if head.is_some() { body } else { 0 }))
    }

    fn message(&self, start: StartLine, at: u32, scan: &Scan, end: u32, complete: bool) -> Message {
        let cseq = self.line(scan, Header::CSeq, end);
        let digits = cseq.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let method = match start {
            StartLine::Request => match start::classify(&self.text, at, end) {
                Start::Request(method) => method,
                // A tab behind the method, where the kernel looks for a blank.
                _ => method_before_tab(&self.text.bytes[at as usize..end as usize]),
            },
            StartLine::Response(_) => method_named(cseq[digits..].trim_ascii()),
        };
        let parameters = |place| Parameters { text: &self.text, place, end, seed: self.seed };
        let tagged = |header| scan.place(header).and_then(|at| parameters(at).hash(b"tag"));
        let agent = self.line(scan, Header::UserAgent, end);
        Message {
            start,
            method,
            call_id: identifier(self.line(scan, Header::CallId, end)),
            cseq: number(&cseq[..digits]),
            branch: scan
                .place(Header::Via)
                .map(|at| identifier(parameters(at).raw(b"branch").unwrap_or_default()))
                .unwrap_or_default(),
            from: Identity::from_header(self.line(scan, Header::From, end)),
            to: Identity::from_header(self.line(scan, Header::To, end)),
            to_tag: tagged(Header::To),
            user_agent: (!agent.is_empty()).then(|| clean(agent, SHOWN_MAX)),
            credentials: self.credentials(scan, end),
            challenges: self.challenges(scan, end),
            complete,
        }
    }

    /// A header's value up to the end of its first line, blanks around it cut.
    fn line(&self, scan: &Scan, header: Header, end: u32) -> &[u8] {
        let Some(place) = scan.place(header).filter(|&place| place < end) else { return &[] };
        let from = value::skip(&self.text, place).min(end) as usize;
        let rest = &self.text.bytes[from..end as usize];
        let stop = rest.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(rest.len());
        rest[..stop].trim_ascii()
    }

    fn content_length(&self, scan: &Scan, end: u32) -> usize {
        let line = self.line(scan, Header::ContentLength, end);
        let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
        number(&line[..digits]) as usize
    }

    fn credentials(&self, scan: &Scan, end: u32) -> Vec<Credentials> {
        if scan.credentials == 0 {
            return Vec::new();
        }
        let headers = [Header::Authorization, Header::ProxyAuthorization];
        self.each(scan, headers, end, |one| one.credentials())
    }

    fn challenges(&self, scan: &Scan, end: u32) -> Vec<Challenge> {
        let headers = [Header::WwwAuthenticate, Header::ProxyAuthenticate];
        self.each(scan, headers, end, |one| one.challenge())
    }

    /// Reads every header of these kinds. The scanner notes the first of a kind only: for the next
    /// it is set on the text that follows.
    fn each<T>(
        &self,
        scan: &Scan,
        headers: [Header; 2],
        end: u32,
        read: impl Fn(&Parameters) -> T,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for header in headers {
            let Some(mut place) = scan.place(header).filter(|&place| place < end) else { continue };
            let own = Parameters { text: &self.text, place, end, seed: self.seed };
            found.push(read(&own));
            let mut rest = Box::new(Text::EMPTY);
            for _ in 1..REPEATS_MAX {
                let length = rest.fill(&self.text.bytes[place as usize..end as usize]);
                let mut again = Scan::default();
                again.run(&rest, length, false);
                let Some(next) = again.place(header) else { break };
                found.push(read(&Parameters {
                    text: &rest,
                    place: next,
                    end: length,
                    seed: self.seed,
                }));
                place += next;
            }
        }
        found
    }
}

/// The last byte that ends the line at `from`: a line feed, or a bare carriage return, which PJSIP
/// takes for a line end too.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let at = from + bytes.get(from..)?.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let pair = matches!(bytes[at..], [b'\r', b'\n', ..]);
    Some(at + usize::from(pair))
}

/// Where the body begins: behind the first empty line.
fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let end = line_end(bytes, at)?;
        match bytes.get(end + 1..) {
            Some([b'\r', b'\n', ..]) => return Some(end + 3),
            Some([b'\r' | b'\n', ..]) => return Some(end + 2),
            _ => at = end + 1,
        }
    }
}

fn next_line(bytes: &[u8]) -> Option<usize> {
    line_end(&bytes[..bytes.len().min(CAPACITY)], 0).map(|end| end + 1)
}

/// A decimal number; too large ones are as large as can be.
fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0u32, |number, digit| {
        number.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
    })
}

fn method_before_tab(line: &[u8]) -> Method {
    let name = line.split(|byte| *byte == b'\t').next().unwrap_or_default();
    (1..=14)
        .map(Method::from_number)
        .find(|method| name == method.name().as_bytes())
        .unwrap_or(Method::Other)
}

fn method_named(name: &[u8]) -> Method {
    (1..=14)
        .map(Method::from_number)
        .find(|method| name.eq_ignore_ascii_case(method.name().as_bytes()))
        .unwrap_or(Method::Other)
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
