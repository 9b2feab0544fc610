//! SIP as the counter and the cracker need it: messages out of datagrams and streams, and the few
//! headers that pair an answer with its request.
//!
//! It is no validator: what it can't read it skips.

use std::collections::BTreeMap;

/// A stream that holds this much without a message in it is not SIP.
const UNREAD_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start<'a> {
    Request(&'a str),
    Response(u16),
}

/// What is known of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    pub start: Start<'a>,
    pub call_id: &'a str,
    pub cseq: &'a str,
    /// The branch of the topmost Via.
    pub branch: &'a str,
    /// Whether it bears Authorization or Proxy-Authorization.
    pub credentialed: bool,
    /// The challenge, if it is one.
    pub challenge: Option<&'a str>,
}

/// Reads the message that `bytes` begins with; `None` if it doesn't begin with one.
pub fn read(bytes: &[u8]) -> Option<Message<'_>> {
    let head_end = find(bytes, b"\r\n\r\n").unwrap_or(bytes.len());
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
    let mut lines = head.split("\r\n");
    let start = start_line(lines.next()?)?;
    let mut message =
        Message { start, call_id: "", cseq: "", branch: "", credentialed: false, challenge: None };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "call-id" | "i" => message.call_id = value,
            "cseq" => message.cseq = value,
            "via" | "v" if message.branch.is_empty() => message.branch = branch(value),
            "authorization" | "proxy-authorization" => message.credentialed = true,
            "www-authenticate" | "proxy-authenticate" => message.challenge = Some(value),
            _ => {}
        }
    }
    Some(message)
}

fn start_line(line: &str) -> Option<Start<'_>> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        return rest.get(..3)?.parse().ok().map(Start::Response);
    }
    let (method, rest) = line.split_once(' ')?;
    rest.ends_with(" SIP/2.0").then_some(Start::Request(method))
}

fn branch(via: &str) -> &str {
    let first = via.split(',').next().unwrap_or(via);
    first.split(';').find_map(|part| part.trim().strip_prefix("branch=")).unwrap_or("")
}

/// A parameter of a challenge, without its quotes.
pub fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let challenge = challenge.strip_prefix("Digest").unwrap_or(challenge);
    challenge.split(',').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim().trim_matches('"'))
    })
}

/// Takes whole messages off the front of a stream, and leaves what is not yet whole.
pub fn take_messages(stream: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    let mut at = 0;
    loop {
        // Empty lines between messages are keep-alives (RFC 5626, 4.4.1).
        while stream[at..].starts_with(b"\r\n") {
            at += 2;
        }
        let Some(head) = find(&stream[at..], b"\r\n\r\n") else { break };
        let end = at + head + 4 + content_length(&stream[at..at + head]);
        if end > stream.len() {
            break;
        }
        each(&stream[at..end]);
        at = end;
    }
    stream.drain(..at);
    if stream.len() > UNREAD_BYTES_MAX {
        stream.clear();
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head);
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| {
            matches!(name.trim().to_ascii_lowercase().as_str(), "content-length" | "l")
        })
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// One direction of a TCP connection, put in order.
#[derive(Debug, Default)]
pub struct Stream {
    next: Option<u32>,
    early: BTreeMap<u32, Vec<u8>>,
    text: Vec<u8>,
}

impl Stream {
    /// A segment was seen: whole messages are given out, in order, each once.
    pub fn segment(&mut self, sequence: u32, syn: bool, data: &[u8], each: impl FnMut(&[u8])) {
        if syn {
            *self = Self { next: Some(sequence.wrapping_add(1)), ..Self::default() };
            return;
        }
        if data.is_empty() {
            return;
        }
        self.next.get_or_insert(sequence);
        self.early.insert(sequence, data.to_vec());
        while let Some((sequence, data)) = self.early.pop_first() {
            if !self.append(sequence, &data) {
                self.early.insert(sequence, data);
                break;
            }
        }
        take_messages(&mut self.text, each);
    }

    /// Appends what is new of a segment; false if something before it is missing.
    fn append(&mut self, sequence: u32, data: &[u8]) -> bool {
        let next = self.next.unwrap_or(sequence);
        let ahead = sequence.wrapping_sub(next) as i32;
        if ahead > 0 {
            return false;
        }
        let known = ahead.unsigned_abs() as usize;
        if let Some(new) = data.get(known..) {
            self.text.extend_from_slice(new);
            self.next = Some(next.wrapping_add(new.len() as u32));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: &str = "REGISTER sip:pbx SIP/2.0\r\n\
        v: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-1;rport, SIP/2.0/UDP 192.0.2.8;branch=x\r\n\
        Via: SIP/2.0/UDP 192.0.2.7;branch=y\r\ni: abc\r\nCSeq: 2 REGISTER\r\n\
        Authorization: Digest username=\"1000\"\r\nl: 3\r\n\r\nabc";

    #[test]
    fn a_request_with_compact_headers() {
        let message = read(REGISTER.as_bytes()).unwrap();
        assert_eq!(message.start, Start::Request("REGISTER"));
        assert_eq!((message.call_id, message.cseq), ("abc", "2 REGISTER"));
        assert_eq!(message.branch, "z9hG4bK-1");
        assert!(message.credentialed);
    }

    #[test]
    fn a_challenge() {
        let text = b"SIP/2.0 401 Unauthorized\r\nCall-ID: x\r\n\
            WWW-Authenticate: Digest realm=\"a b\", nonce=\"n=1\", qop=\"auth\"\r\n\r\n";
        let message = read(text).unwrap();
        assert_eq!(message.start, Start::Response(401));
        let challenge = message.challenge.unwrap();
        assert_eq!(parameter(challenge, "realm"), Some("a b"));
        assert_eq!(parameter(challenge, "nonce"), Some("n=1"));
        assert_eq!(parameter(challenge, "opaque"), None);
    }

    #[test]
    fn what_is_no_message() {
        for bytes in [&b""[..], b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"SIP/2.0 4", b"\xff\xfe"] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn messages_from_segments_in_any_order_and_twice() {
        let stream = [b"\r\n", REGISTER.as_bytes(), REGISTER.as_bytes(), b"\r\n\r\n"].concat();
        for size in [1, 7, 100, 5000] {
            let mut segments: Vec<(u32, &[u8])> = stream
                .chunks(size)
                .scan(u32::MAX - 50, |at, chunk| {
                    let here = *at;
                    *at = at.wrapping_add(chunk.len() as u32);
                    Some((here, chunk))
                })
                .collect();
            let last = segments.len() - 1;
            segments.swap(last / 2, last);
            segments.extend_from_within(..1);
            let mut reader = Stream::default();
            let mut seen = 0;
            reader.segment(u32::MAX - 51, true, b"", |_| seen += 1);
            for (sequence, data) in segments {
                reader.segment(sequence, false, data, |message| {
                    assert_eq!(message, REGISTER.as_bytes());
                    seen += 1;
                });
            }
            assert_eq!(seen, 2, "segments of {size}");
        }
    }
}
