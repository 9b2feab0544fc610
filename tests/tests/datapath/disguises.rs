//! Ways to write and to carry one message, all of which some PBX understands.

use sipprot_tests::datapath::Frame;
use sipprot_tests::datapath::frame::{ACK, PSH, protocol};
use sipprot_tests::datapath::message::digest;

use crate::pair::{address_v4, address_v6};
use crate::places::*;

/// A message, and how it is written. Its last header is the one that gives it away.
#[derive(Clone)]
pub struct Written {
    leading: Vec<u8>,
    start: String,
    headers: Vec<(String, String)>,
    colon: &'static str,
    /// Line ends, taken in turn.
    ends: &'static [&'static str],
}

impl Written {
    pub fn register(attempt: u32) -> Self {
        let headers = [
            ("Via", format!("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-{attempt}")),
            ("From", "<sip:100@pbx.example>;tag=1".to_owned()),
            ("To", "<sip:100@pbx.example>".to_owned()),
            ("Call-ID", format!("{attempt}@192.0.2.1")),
            ("CSeq", format!("{} REGISTER", attempt + 1)),
            ("Contact", "<sip:100@192.0.2.1>".to_owned()),
            ("Content-Length", "0".to_owned()),
        ];
        Self {
            leading: Vec::new(),
            start: "REGISTER sip:pbx.example SIP/2.0".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            colon: ": ",
            ends: &["\r\n"],
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn guess(self, attempt: u32) -> Self {
        self.header("Authorization", &digest("n", attempt))
    }

    fn before(&mut self, name: &str, value: &str) {
        self.headers.insert(self.headers.len() - 1, (name.to_owned(), value.to_owned()));
    }

    fn last(&mut self) -> &mut (String, String) {
        self.headers.last_mut().expect("a header")
    }

    fn value(&mut self, change: impl Fn(&str) -> String) {
        let (_, value) = self.last();
        *value = change(value);
    }

    fn names(&mut self, change: impl Fn(&str) -> String) {
        self.headers.iter_mut().for_each(|(name, _)| *name = change(name));
    }

    fn bytes(&self) -> Vec<u8> {
        let mut ends = self.ends.iter().cycle();
        let mut end = || ends.next().copied().unwrap_or_default();
        let mut text = format!("{}{}", self.start, end());
        for (name, value) in &self.headers {
            text += &format!("{name}{}{value}{}", self.colon, end());
        }
        text += end();
        [self.leading.as_slice(), text.as_bytes()].concat()
    }
}

/// Who sends, and over what.
pub struct Sender {
    pub number: u32,
    pub tcp: bool,
}

impl Sender {
    fn frame(&self, payload: &[u8]) -> Frame {
        let from = format!("{}:5060", address_v4(self.number));
        if self.tcp { Frame::tcp(&from, PBX) } else { Frame::udp(&from, PBX) }.payload(payload)
    }

    fn frame_v6(&self, payload: &[u8]) -> Frame {
        let from = format!("[{}]:5060", address_v6(self.number));
        if self.tcp { Frame::tcp(&from, PBX_V6) } else { Frame::udp(&from, PBX_V6) }
            .payload(payload)
    }

    /// A datagram whose first fragment ends behind so many bytes of payload.
    fn fragments(&self, payload: &[u8], first: usize) -> Vec<Frame> {
        if self.tcp {
            return Vec::new();
        }
        let first = first & !7;
        let offset = (8 + first) / 8;
        vec![
            self.frame(&payload[..first]).fragment(0, true),
            self.frame(&payload[first..]).fragment(offset as u16, false),
        ]
    }

    fn segments(&self, payload: &[u8], lengths: &[usize]) -> Vec<Frame> {
        let mut at = 0usize;
        let mut frames = Vec::new();
        for length in lengths.iter().copied().chain([usize::MAX]) {
            let end = payload.len().min(at.saturating_add(length));
            if self.tcp && at < end {
                let sequence = 1 + at as u32;
                frames.push(self.frame(&payload[at..end]).segment(PSH | ACK, sequence, 1));
            }
            at = end;
        }
        frames
    }

    /// A segment in which other bytes come first.
    fn behind(&self, other: &str, payload: &[u8]) -> Vec<Frame> {
        let all = [other.as_bytes(), payload].concat();
        if self.tcp { vec![self.frame(&all)] } else { Vec::new() }
    }
}

pub enum Change {
    /// Of the text; also told which attempt it is.
    Text(fn(&mut Written, u32)),
    /// Of what carries it; no frames where that can't be.
    Wire(fn(&Sender, &[u8]) -> Vec<Frame>),
}

impl Change {
    pub fn frames(&self, mut message: Written, attempt: u32, sender: &Sender) -> Vec<Frame> {
        match self {
            Self::Text(change) => {
                change(&mut message, attempt);
                vec![sender.frame(&message.bytes())]
            }
            Self::Wire(carry) => carry(sender, &message.bytes()),
        }
    }
}

pub struct Disguise {
    pub name: &'static str,
    pub change: Change,
}

const fn text(name: &'static str, change: fn(&mut Written, u32)) -> Disguise {
    Disguise { name, change: Change::Text(change) }
}

const fn wire(name: &'static str, carry: fn(&Sender, &[u8]) -> Vec<Frame>) -> Disguise {
    Disguise { name, change: Change::Wire(carry) }
}

/// Where the last header begins: behind the last line end but two.
fn last_header(payload: &[u8]) -> usize {
    let head = &payload[..payload.len() - 4];
    head.iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed + 1)
}

fn compact(name: &str) -> String {
    let known = [("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("Contact", "m")];
    let known = known.into_iter().chain([("Content-Length", "l")]);
    let found = known.into_iter().find(|(long, _)| *long == name);
    found.map_or(name.to_owned(), |(_, short)| short.to_owned())
}

fn mixed(name: &str) -> String {
    let case = |(at, letter): (usize, char)| match at % 2 {
        0 => letter.to_ascii_lowercase(),
        _ => letter.to_ascii_uppercase(),
    };
    name.chars().enumerate().map(case).collect()
}

const HARMLESS: &str = "OPTIONS sip:x SIP/2.0\r\nUser-Agent: phone\r\nContent-Length: 0\r\n\r\n";

/// Each with what some PBX or RFC makes of it in its name.
pub const DISGUISES: &[Disguise] = &[
    text("as it is", |_, _| {}),
    text("compact names", |it, _| it.names(compact)),
    text("names in capitals", |it, _| it.names(str::to_ascii_uppercase)),
    text("names in small letters", |it, _| it.names(str::to_ascii_lowercase)),
    text("names in mixed case", |it, _| it.names(mixed)),
    text("value in capitals", |it, _| it.value(str::to_ascii_uppercase)),
    text("a blank before the colon", |it, _| it.colon = " : "),
    text("tabs before the colon", |it, _| it.colon = "\t\t:\t"),
    text("40 blanks before the colon", |it, _| {
        it.colon = "                                        : ";
    }),
    text("no blank behind the colon", |it, _| it.colon = ":"),
    text("400 blanks behind the colon", |it, _| it.value(|value| " ".repeat(400) + value)),
    text("folded behind the colon", |it, _| it.colon = ":\r\n "),
    text("folded twice behind the colon", |it, _| it.colon = ":\r\n \r\n\t"),
    text("folded at every blank", |it, _| it.value(|value| value.replace(' ', "\r\n "))),
    text("folded at every blank, bare line feeds", |it, _| {
        it.value(|value| value.replace(' ', "\n\t"));
    }),
    text("tabs for blanks", |it, _| it.value(|value| value.replace(' ', "\t"))),
    text("ten blanks for one", |it, _| it.value(|value| value.replace(' ', &" ".repeat(10)))),
    text("blanks and a fold behind the value", |it, _| {
        it.value(|value| format!("{value} \t\r\n "))
    }),
    text("bare line feeds", |it, _| it.ends = &["\n"]),
    text("bare carriage returns", |it, _| it.ends = &["\r"]),
    text("line ends of all kinds", |it, _| it.ends = &["\r\n", "\n", "\r"]),
    text("30 line ends before", |it, _| it.leading = b"\r\n".repeat(30)),
    text("600 line feeds before", |it, _| it.leading = b"\n".repeat(600)),
    text("headers in reverse", |it, _| it.headers.reverse()),
    text("the header first", |it, _| it.headers.rotate_right(1)),
    text("behind 0 to 1,400 bytes", |it, attempt| {
        it.before("X", &"x".repeat(attempt as usize * 140));
    }),
    text("behind 1,450 bytes", |it, _| it.before("X", &"x".repeat(1450))),
    text("behind 2,100 bytes", |it, _| it.before("X", &"x".repeat(2100))),
    text("behind 60 Via", |it, _| (0..60).for_each(|_| it.before("Via", "SIP/2.0/UDP a"))),
    text("behind a Via of 60", |it, _| {
        it.headers[0].1 += &", SIP/2.0/UDP a".repeat(60);
    }),
    text("behind 150 folds", |it, _| it.before("X", &"\r\n ".repeat(150))),
    text("behind 600 folds", |it, _| it.before("X", &"\n ".repeat(600))),
    text("behind NULs", |it, _| it.before("X", "a\0b\0\0\0\0\0\0\0\0\0c")),
    text("NULs behind the value", |it, _| it.value(|value| format!("{value}\0\0"))),
    text("behind a line without a colon", |it, _| it.before("nonsense\r\nX", "1")),
    text("behind bytes that are no text", |it, _| it.before("X", "\u{feff}\u{80}\u{ff}\u{7f}\x01")),
    text("behind one of its name", |it, _| {
        let name = it.last().0.clone();
        it.before(&name, "harmless");
    }),
    text("behind eight of its name", |it, _| {
        let name = it.last().0.clone();
        (0..8).for_each(|_| it.before(&name, "harmless"));
    }),
    text("parameters without quotation marks", |it, _| it.value(|value| value.replace('"', ""))),
    text("blanks around equals signs", |it, _| it.value(|value| value.replace('=', " = "))),
    text("Proxy-Authorization", |it, _| {
        it.names(|name| name.replace("Authorization", "Proxy-Authorization"));
    }),
    text("method in small letters", |it, _| it.start = it.start.replace("REGISTER", "register")),
    text("method in mixed case", |it, _| it.start = it.start.replace("REGISTER", "Register")),
    text("three blanks in the start line", |it, _| it.start = it.start.replace(' ', "   ")),
    text("a tab behind the method", |it, _| it.start = it.start.replacen(' ', "\t", 1)),
    text("version in small letters", |it, _| it.start = it.start.replace("SIP/", "sip/")),
    text("blanks behind the version", |it, _| it.start += "  "),
    text("a long request URI", |it, _| {
        it.start = it.start.replace("pbx", &format!("pbx;{}", "x".repeat(900)));
    }),
    text("a blank before the start line", |it, _| it.leading = b" ".to_vec()),
    text("a byte order mark before", |it, _| it.leading = b"\xef\xbb\xbf".to_vec()),
    wire("IPv4 options", |from, payload| vec![from.frame(payload).ipv4_options(10)]),
    wire("a VLAN tag", |from, payload| vec![from.frame(payload).vlans(1)]),
    wire("QinQ", |from, payload| vec![from.frame(payload).vlans(2)]),
    wire("IPv6", |from, payload| vec![from.frame_v6(payload)]),
    wire("six extension headers", |from, payload| {
        let frame = from.frame_v6(payload).vlans(1);
        let add = |frame: Frame, _| frame.extension(protocol::DESTINATION_OPTIONS, &[0; 6]);
        vec![(0..6).fold(frame, add)]
    }),
    wire("an atomic fragment", |from, payload| {
        vec![from.frame_v6(payload).extension(protocol::FRAGMENT, &[0; 6])]
    }),
    wire("fragments, cut in the header's value", |from, payload| {
        from.fragments(payload, last_header(payload) + 24)
    }),
    wire("fragments, cut before the header", |from, payload| {
        from.fragments(payload, last_header(payload))
    }),
    wire("fragments, the first of eight bytes", |from, payload| from.fragments(payload, 8)),
    wire("fragments, the first without payload", |from, payload| from.fragments(payload, 0)),
    wire("behind another message in the segment", |from, payload| from.behind(HARMLESS, payload)),
    wire("behind eight others in the segment", |from, payload| {
        from.behind(&HARMLESS.repeat(8), payload)
    }),
    wire("behind an answer in the segment", |from, payload| {
        from.behind("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", payload)
    }),
    wire("behind a body in the segment", |from, payload| from.behind("v=0\r\ns=-\r\n", payload)),
    wire("segments, cut before the header", |from, payload| {
        from.segments(payload, &[last_header(payload)])
    }),
    wire("segments, cut in the header's name", |from, payload| {
        from.segments(payload, &[last_header(payload) + 4])
    }),
    wire("segments, cut in the header's value", |from, payload| {
        from.segments(payload, &[last_header(payload) + 18])
    }),
    wire("segments, cut in the method", |from, payload| from.segments(payload, &[4])),
    wire("segments of twelve bytes", |from, payload| from.segments(payload, &[12; 200])),
];
