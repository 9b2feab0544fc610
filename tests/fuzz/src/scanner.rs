//! The scanner that kernel and host share. Whatever the payload: nothing is read of what lies behind
//! it, the same headers are found as by reading a byte at a time, and what was not read is supposed
//! to have credentials.

use sipprot_common::abi::{UserAgentPattern, UserAgents};
use sipprot_common::hash;
use sipprot_common::sip::{
    AgentMatch, Agents, CAPACITY, Header, Parameter, Scan, Start, Text, Value, start, value,
};

use crate::naive::{self, Naive};

const SEED: u64 = 42;

const HEADERS: [Header; 11] = [
    Header::Via,
    Header::From,
    Header::To,
    Header::CallId,
    Header::CSeq,
    Header::UserAgent,
    Header::Authorization,
    Header::ProxyAuthorization,
    Header::WwwAuthenticate,
    Header::ProxyAuthenticate,
    Header::ContentLength,
];

/// No more lines than the scanner reads of any message.
const LINES_ALWAYS_READ: usize = CAPACITY / 8;

/// Bytes of a name that are compared: so close to the end of the text a name wraps.
const NAME_MAX: usize = 24;

/// Place, value's place, the line's hash, and the parameters' hashes of a header.
type Found = (u32, u32, u64, Vec<Option<u64>>);

/// All that the scanner tells of a payload.
#[derive(PartialEq, Debug)]
struct Told {
    start: Start,
    version: bool,
    status: u32,
    credentials: u32,
    supposed: bool,
    headers: Vec<Option<Found>>,
    listed: bool,
    whole: u64,
}

impl Told {
    fn of(text: &Text, length: u32, cut: bool, several: bool) -> Self {
        let at = start::leading(text);
        let mut scan = Scan::default();
        scan.run(text, length, several);
        let supposed = scan.supposes_credentials(cut);
        let hash = |at, name| {
            let found = Parameter::default().find(text, at, length, name)?;
            Some(Value::default().hash(text, found, length, SEED))
        };
        let header = |header| {
            let place = scan.place(header)?;
            let from = value::skip(text, place);
            let line = Value::default().hash_line(text, from, length, SEED);
            let names = [b"branch".as_slice(), b"tag", b"nonce", b"response", b"username"];
            Some((place, from, line, names.map(|name| hash(place, name)).into()))
        };
        let listed = listed(text, length, &scan);
        Self {
            start: start::classify(text, at, length),
            version: start::has_version(text, scan.first_line_end),
            status: start::status(text, at),
            credentials: scan.credentials,
            supposed,
            headers: HEADERS.map(header).into(),
            listed,
            whole: Value::default().hash_all(text, 0, length, SEED),
        }
    }
}

fn listed(text: &Text, length: u32, scan: &Scan) -> bool {
    let patterns = ["friendly-scanner", "=two words", "*scan*"];
    let mut list = Box::new(UserAgents::EMPTY);
    for pattern in patterns {
        list.add(UserAgentPattern::parse(pattern).expect("a pattern"));
    }
    AgentMatch::default().listed(&Agents { text, length, scan, list: &list })
}

pub fn check(payload: &[u8]) {
    for several in [false, true] {
        let mut text = Box::new(Text::EMPTY);
        let length = text.fill(payload);
        let cut = payload.len() > CAPACITY;
        let told = Told::of(&text, length, cut, several);
        // An older, longer message in the same buffer.
        let mut stale = Box::new(Text::EMPTY);
        stale.fill(&b"\nTo:<x>;tag=1\nAuthorization: nonce=n".repeat(60)[..CAPACITY]);
        stale.fill(payload);
        assert_eq!(told, Told::of(&stale, length, cut, several), "depends on an older message");
        agrees(&told, payload, cut, several);
        if !several {
            hashes(&text, payload);
        }
    }
}

/// The scanner against a reader of bytes.
fn agrees(told: &Told, payload: &[u8], cut: bool, several: bool) {
    let naive = Naive::read(payload, several);
    let counted = told.credentials - u32::from(told.supposed);
    assert_eq!(told.supposed, cut && (several || !naive.ended), "what was not read");
    if naive.lines > LINES_ALWAYS_READ || wraps(payload) || has_nul(payload) {
        // A name that ends with the window is among those supposed.
        assert!(told.credentials >= naive.credentials().min(1), "credentials overlooked");
        return;
    }
    assert_eq!(counted, naive.credentials(), "credentials, several {several}");
    for (header, found) in HEADERS.into_iter().zip(&told.headers) {
        let place = found.as_ref().map(|found| found.0);
        assert_eq!(place, naive.first(header), "{header:?}, several {several}");
    }
}

/// A line so close behind which the text ends that a name in it may be read on at its beginning.
fn wraps(payload: &[u8]) -> bool {
    payload.len() > CAPACITY - NAME_MAX
        && payload[CAPACITY - NAME_MAX..]
            .iter()
            .take(NAME_MAX)
            .any(|byte| naive::is_line_end(*byte))
}

/// A NUL in a name is taken for its end.
fn has_nul(payload: &[u8]) -> bool {
    payload.contains(&0)
}

/// What is hashed eight bytes at a time is what its bytes hash to.
fn hashes(text: &Text, payload: &[u8]) {
    let payload = &payload[..payload.len().min(CAPACITY)];
    let line = payload.iter().take_while(|byte| !matches!(byte, b'\r' | b'\n' | 0)).count();
    let told = Value::default().hash_line(text, 0, payload.len() as u32, SEED);
    assert_eq!(told, hash::bytes(SEED, &payload[..line]), "the first line's hash");
}
