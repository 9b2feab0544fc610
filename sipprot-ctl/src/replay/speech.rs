//! What the kernel's scanner makes of one packet's payload: the shared scanner, asked the kernel's
//! questions in the kernel's order.

use sipprot_common::abi::UserAgents;
use sipprot_common::sip::{AgentMatch, Header, Method, Parameter, Scan, Start, Text, Value, start};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    Request,
    Response,
    #[default]
    Keepalive,
    /// TCP bytes that don't begin with a start line.
    Segment,
    NotSip,
}

/// What one payload is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speech {
    pub kind: Kind,
    pub method: Option<Method>,
    /// Headers with credentials.
    pub credentials: u32,
    pub listed_agent: bool,
    /// The nonce that the first of them echoes, hashed.
    pub nonce: Option<u64>,
    /// Of every byte: a retransmission has the same.
    pub fingerprint: u32,
}

/// Reads payloads; keeps the buffer that the scanner needs.
pub struct Listener {
    text: Box<Text>,
    agents: Box<UserAgents>,
    seed: u64,
}

impl Listener {
    pub fn new(agents: Box<UserAgents>, seed: u64) -> Self {
        Self { text: Box::new(Text::EMPTY), agents, seed }
    }

    /// `stream` for a TCP segment, which may hold several messages or parts of them.
    pub fn hear(&mut self, payload: &[u8], stream: bool) -> Speech {
        if payload.is_empty() {
            return Speech::default();
        }
        let end = self.text.fill(payload);
        let text = &*self.text;
        let begins = start::classify(text, start::leading(text), end);
        let mut scan = Scan::default();
        scan.run(text, end, stream);
        let (kind, method) = match begins {
            Start::Request(method) => (Kind::Request, Some(method)),
            Start::Response => (Kind::Response, None),
            Start::Token | Start::NotSip if stream => (Kind::Segment, None),
            Start::Token if start::has_version(text, scan.first_line_end) => (Kind::Request, None),
            // Whatever has credentials is taken for a request.
            _ if scan.credentials != 0 => (Kind::Request, None),
            Start::Keepalive => (Kind::Keepalive, None),
            Start::Token | Start::NotSip => (Kind::NotSip, None),
        };
        let only_answers = kind == Kind::Response && !stream;
        let listed_agent = !only_answers
            && scan
                .place(Header::UserAgent)
                .is_some_and(|place| AgentMatch::default().listed(text, place, &self.agents));
        let credentials = if only_answers { 0 } else { scan.credentials };
        let fingerprint = Value::default().hash_all(text, 0, end, self.seed) as u32 | 1;
        Speech {
            kind,
            method,
            credentials,
            listed_agent,
            nonce: self.nonce(&scan, end),
            fingerprint,
        }
    }

    fn nonce(&self, scan: &Scan, end: u32) -> Option<u64> {
        let place =
            scan.place(Header::Authorization).or_else(|| scan.place(Header::ProxyAuthorization))?;
        let at = Parameter::default().find(&self.text, place, end, b"nonce")?;
        Some(Value::default().hash(&self.text, at, end, self.seed))
    }
}

impl Speech {
    /// Is it counted by the attempt window? ACK and CANCEL repeat the credentials of their INVITE.
    pub fn is_attempt(&self, stream: bool) -> bool {
        let silent = matches!(self.method, Some(Method::Ack | Method::Cancel));
        self.credentials != 0 && (stream || !silent)
    }
}
