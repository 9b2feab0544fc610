//! A message as both parsers read it, field by field.

use bytes::Bytes;
use ezk_sip_types::header::HeaderParse;
use ezk_sip_types::header::headers::Headers;
use ezk_sip_types::header::typed::{
    AuthResponse, CSeq, ContentLength, DigestResponse, FromTo, Username, Via,
};
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse;
use ezk_sip_types::uri::SipUriUserPart;
use ezk_sip_types::{Method, Name};
use sipprot_common::hash;
use sipprot_common::sip::{self, Header, Scan, Text};
use sipprot_ctl::message::{Identity, Reader, StartLine};

const SEED: u64 = 42;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// The kind of message, with a response's status.
    Start,
    /// Of the request, or the response's CSeq.
    Method,
    CallId,
    CSeq,
    Branch,
    From,
    To,
    UserAgent,
    /// How many headers have credentials.
    Credentials,
    Username,
    Realm,
    /// The hash, as the kernel compares it.
    Nonce,
    Response,
    /// Of head and body.
    Length,
    /// The headers of interest that there are.
    Names,
}

impl Field {
    pub const ALL: [Field; 15] = [
        Self::Start,
        Self::Method,
        Self::CallId,
        Self::CSeq,
        Self::Branch,
        Self::From,
        Self::To,
        Self::UserAgent,
        Self::Credentials,
        Self::Username,
        Self::Realm,
        Self::Nonce,
        Self::Response,
        Self::Length,
        Self::Names,
    ];
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Is(String),
    /// There is none.
    None,
    /// There is one, but it can't be read.
    Malformed,
    /// No message, so no fields.
    NoMessage,
}

impl Value {
    fn of(value: impl ToString) -> Self {
        match value.to_string() {
            empty if empty.is_empty() => Self::None,
            value => Self::Is(value),
        }
    }

    fn from_option(value: Option<impl ToString>) -> Self {
        value.map_or(Self::None, Self::of)
    }
}

pub type Reading = [Value; Field::ALL.len()];

const NO_MESSAGE: Reading = [const { Value::NoMessage }; Field::ALL.len()];

fn reading(value: impl Fn(Field) -> Value) -> Reading {
    Field::ALL.map(value)
}

const NAMES: [(Header, Name); 11] = [
    (Header::Via, Name::VIA),
    (Header::From, Name::FROM),
    (Header::To, Name::TO),
    (Header::CallId, Name::CALL_ID),
    (Header::CSeq, Name::CSEQ),
    (Header::UserAgent, Name::USER_AGENT),
    (Header::Authorization, Name::AUTHORIZATION),
    (Header::ProxyAuthorization, Name::PROXY_AUTHORIZATION),
    (Header::WwwAuthenticate, Name::WWW_AUTHENTICATE),
    (Header::ProxyAuthenticate, Name::PROXY_AUTHENTICATE),
    (Header::ContentLength, Name::CONTENT_LENGTH),
];

fn names(is_there: impl Fn(&(Header, Name)) -> bool) -> Value {
    let names: Vec<_> = NAMES
        .iter()
        .filter(|pair| is_there(pair))
        .map(|(header, _)| format!("{header:?}"))
        .collect();
    Value::of(names.join(" "))
}

pub fn ours(bytes: &[u8]) -> Reading {
    let Some((message, length)) = Reader::new(SEED).first(bytes) else { return NO_MESSAGE };
    let mut text = Box::new(Text::EMPTY);
    let captured = text.fill(bytes);
    let mut scan = Scan::default();
    scan.run(&text, captured, false);
    let digest = message.credentials.first();
    reading(|field| match field {
        Field::Start => Value::of(match message.start {
            StartLine::Request => "request".to_owned(),
            StartLine::Response(status) => status.to_string(),
        }),
        Field::Method => Value::of(message.method.name()),
        Field::CallId => Value::of(&message.call_id),
        Field::CSeq => match scan.place(Header::CSeq) {
            Some(_) => Value::of(message.cseq),
            None => Value::None,
        },
        Field::Branch => Value::of(&message.branch),
        Field::From => identity(&message.from, scan.place(Header::From)),
        Field::To => identity(&message.to, scan.place(Header::To)),
        Field::UserAgent => Value::from_option(message.user_agent.as_ref()),
        Field::Credentials => Value::of(message.credentials.len()),
        Field::Username => Value::from_option(digest.map(|digest| &digest.username)),
        Field::Realm => Value::from_option(digest.map(|digest| &digest.realm)),
        Field::Nonce => Value::from_option(digest.and_then(|digest| digest.nonce)),
        Field::Response => Value::from_option(digest.and_then(|digest| digest.response)),
        Field::Length if message.complete => Value::of(length),
        Field::Length => Value::None,
        Field::Names => names(|(header, _)| scan.place(*header).is_some()),
    })
}

fn identity(identity: &Option<Identity>, place: Option<u32>) -> Value {
    match identity {
        Some(identity) => Value::of(identity),
        None if place.is_some() => Value::Malformed,
        None => Value::None,
    }
}

pub fn theirs(bytes: &[u8]) -> Reading {
    let leading = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = Bytes::copy_from_slice(&bytes[leading..]);
    let mut lines = PullParser::new(&bytes, 0);
    let start = lines.next().and_then(Result::ok).and_then(|line| str::from_utf8(line).ok());
    let start = start.and_then(|line| MessageLine::parse(&bytes)(line).ok());
    let Some((_, start)) = start else { return NO_MESSAGE };
    let mut headers = Headers::new();
    let mut complete = true;
    for line in &mut lines {
        let Ok(line) = line else {
            complete = false;
            break;
        };
        let line = str::from_utf8(line).ok().and_then(|line| Line::parse(&bytes, line).ok());
        if let Some((_, line)) = line {
            headers.insert(line.name, line.value);
        }
    }
    let head = leading + lines.head_end();
    let digest = digest(&headers);
    let cseq: Typed<CSeq> = Typed::first(&headers, &Name::CSEQ);
    reading(|field| match field {
        Field::Start => Value::of(match &start {
            MessageLine::Request(_) => "request".to_owned(),
            MessageLine::Response(line) => line.code.into_u16().to_string(),
        }),
        Field::Method => match &start {
            MessageLine::Request(line) => Value::of(known(&line.method)),
            MessageLine::Response(_) => cseq.value(|cseq| known(&cseq.method)),
        },
        Field::CallId => Value::from_option(raw(&headers, &Name::CALL_ID)),
        Field::CSeq => cseq.value(|cseq| cseq.cseq.to_string()),
        Field::Branch => Typed::<Via>::first(&headers, &Name::VIA)
            .value(|via| via.params.get_val("branch").map(ToString::to_string).unwrap_or_default()),
        Field::From => Typed::first(&headers, &Name::FROM).value(user_at_host),
        Field::To => Typed::first(&headers, &Name::TO).value(user_at_host),
        Field::UserAgent => Value::from_option(raw(&headers, &Name::USER_AGENT)),
        Field::Credentials => Value::of(
            headers.get_raw(&Name::AUTHORIZATION).count()
                + headers.get_raw(&Name::PROXY_AUTHORIZATION).count(),
        ),
        Field::Username => digest.value(|digest| match &digest.username {
            Username::Username(name) | Username::UsernameNonASCII(name) => name.to_string(),
        }),
        Field::Realm => digest.value(|digest| digest.realm.to_string()),
        Field::Nonce => digest.value(|digest| hashed(&digest.nonce)),
        Field::Response => digest.value(|digest| hashed(&digest.response)),
        Field::Length if complete => {
            match Typed::<ContentLength>::first(&headers, &Name::CONTENT_LENGTH) {
                Typed::None => Value::of(head),
                Typed::Is(length) => Value::of(head.saturating_add(length.0)),
                Typed::Malformed => Value::Malformed,
            }
        }
        Field::Length => Value::None,
        Field::Names => names(|(_, name)| headers.contains(name)),
    })
}

/// A header as their types read it.
enum Typed<H> {
    Is(H),
    None,
    Malformed,
}

impl<H: HeaderParse> Typed<H> {
    fn first(headers: &Headers, name: &Name) -> Self {
        let Some(value) = headers.get_raw(name).next() else { return Self::None };
        match H::parse(value.as_ref(), value.trim()) {
            Ok((_, header)) => Self::Is(header),
            Err(_) => Self::Malformed,
        }
    }
}

impl<H> Typed<H> {
    fn value(&self, of: impl Fn(&H) -> String) -> Value {
        match self {
            Self::Is(header) => Value::of(of(header)),
            Self::None => Value::None,
            Self::Malformed => Value::Malformed,
        }
    }
}

fn digest(headers: &Headers) -> Typed<DigestResponse> {
    let first = |name| Typed::<AuthResponse>::first(headers, name);
    let response = match first(&Name::AUTHORIZATION) {
        Typed::None => first(&Name::PROXY_AUTHORIZATION),
        response => response,
    };
    match response {
        Typed::Is(AuthResponse::Digest(digest)) => Typed::Is(digest),
        Typed::Is(AuthResponse::Other(_)) | Typed::Malformed => Typed::Malformed,
        Typed::None => Typed::None,
    }
}

fn raw(headers: &Headers, name: &Name) -> Option<String> {
    headers.get_raw(name).next().map(|value| value.trim().to_owned())
}

fn known(method: &Method) -> String {
    let name = method.to_string();
    let ours = (1..=14).map(|number| sip::Method::from_number(number).name());
    ours.into_iter().find(|ours| *ours == name).unwrap_or("other").to_owned()
}

fn user_at_host(header: &FromTo) -> String {
    let uri = &header.uri.uri;
    let user = match &uri.user_part {
        SipUriUserPart::Empty => "",
        SipUriUserPart::User(user) => user,
        SipUriUserPart::UserPw(both) => &both.user,
    };
    let host = uri.host_port.host.to_string().to_ascii_lowercase();
    Identity { user: user.to_owned(), host }.to_string()
}

fn hashed(value: &str) -> String {
    if value.is_empty() { String::new() } else { hash::bytes(SEED, value.as_bytes()).to_string() }
}
