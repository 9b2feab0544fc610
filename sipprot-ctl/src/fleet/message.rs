//! What travels: an envelope that says version, kind and signature, and what is in it.
//!
//! Whoever reads one believes nothing of it before the signature, and nothing without a bound.
//! Reports and health are JSON, since they are few and grow; the blocklist is packed, since it is long.

mod packed;

use std::collections::BTreeMap;
use std::fmt;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::key::{Signer, Verifier};
use super::refusal::Refusal;
use crate::config::{Choice, choices};

pub use packed::{CHUNK_ENTRIES, pack_chunk, unpack_chunk};
use packed::{Cursor, pack_changes, unpack_changes};

const MAGIC: &[u8; 4] = b"SPFL";
const VERSION: u8 = 1;
const HEAD: usize = MAGIC.len() + 2;
const SIGNATURE: usize = 64;
/// Bytes of a message; NATS carries up to a megabyte.
pub const MESSAGE_MAX: usize = 768 << 10;
/// Reports in one message.
pub const REPORTS_MAX: usize = 256;
/// Changes in one delta.
pub const CHANGES_MAX: usize = 4096;
/// Networks that a host wants spared.
pub const SPARED_MAX: usize = 256;
/// Bytes of a rule's name, a user agent, an endpoint's name.
pub const TEXT_MAX: usize = 64;
const PROBLEMS_MAX: usize = 16;
const PROBLEM_MAX: usize = 256;
const INTERFACES_MAX: usize = 64;
const CHUNKS_MAX: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Reports = 1,
    Health = 2,
    Delta = 3,
    Manifest = 4,
}

choices! {
    /// How well it is known that a source did it.
    Grade {
        /// Unproven: it spreads nothing.
        Contained = "contained",
        Proven = "proven",
    }
}

/// One attacker, as one host saw it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    pub source: IpNetwork,
    pub grade: Grade,
    /// `KIND:signature`, as in the host's own history.
    pub rule: String,
    pub count: u32,
    /// Unix seconds.
    pub first: i64,
    pub last: i64,
    #[serde(default)]
    pub user_agent: Option<String>,
    /// ISO code.
    #[serde(default)]
    pub country: Option<String>,
    /// Only of hosts that tell names.
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default)]
    pub account: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reports {
    pub host: String,
    /// Grows with each message of a host, over restarts too.
    pub sequence: u64,
    pub sent_at: i64,
    pub reports: Vec<Report>,
}

/// How a host fares.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Health {
    pub host: String,
    pub sent_at: i64,
    pub version: String,
    pub protected: bool,
    pub mode: String,
    pub problems: Vec<String>,
    /// Name, and `native`, `generic` or `gone`.
    pub interfaces: Vec<(String, String)>,
    /// Sources blocked since it started.
    pub attacks: u64,
    pub lag_seconds: f64,
    /// The fullest map, and how full it is, in percent.
    pub fullest: Option<(String, u8)>,
    pub revision: u64,
    pub entries: u64,
    /// Left out, for they are its own, trusted or protected there.
    pub spared: u64,
    /// Reports that wait.
    pub waiting: u64,
    pub refused: BTreeMap<Refusal, u64>,
    /// Its own addresses, its operators', its trunks.
    pub spare: Vec<IpNetwork>,
}

/// A source that all hosts drop until then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub network: IpNetwork,
    /// Unix seconds.
    pub since: u32,
    pub until: u32,
    pub rule: String,
    /// How many hosts reported it.
    pub hosts: u8,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListChange {
    Put(Listed),
    Remove(IpNetwork),
}

/// From one revision of the blocklist to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delta {
    /// Of the hub's database: one that was lost begins a later one.
    pub generation: u64,
    pub revision: u64,
    /// Unix seconds.
    pub at: i64,
    /// Entries recalled so far, so that a list that shrinks can be told from one that was lost.
    pub recalled: u64,
    pub changes: Vec<ListChange>,
}

/// Where the whole list lies, and what it must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub generation: u64,
    pub revision: u64,
    pub at: i64,
    pub recalled: u64,
    /// The delta stream's number that it covers.
    pub sequence: u64,
    /// Chunks lie in one of two sets, so that the one before stays whole meanwhile.
    pub set: char,
    pub entries: u64,
    /// Seconds between a host's looks at whether it missed something.
    pub poll_s: u32,
    /// SHA-256 of each chunk, in hex.
    pub chunks: Vec<String>,
}

/// As it goes over the wire.
pub fn seal(key: &Signer, kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD + SIGNATURE + body.len());
    message.extend_from_slice(MAGIC);
    message.extend_from_slice(&[VERSION, kind as u8]);
    let signature = key.sign(&signed(&message, body));
    message.extend_from_slice(&signature);
    message.extend_from_slice(body);
    message
}

/// The body, once it is certain whose it is.
pub fn open<'a>(key: &Verifier, kind: Kind, message: &'a [u8]) -> Result<&'a [u8], Refusal> {
    if message.len() > MESSAGE_MAX {
        return Err(Refusal::TooLarge);
    }
    let (head, rest) = message.split_at_checked(HEAD).ok_or(Refusal::Malformed)?;
    let (signature, body) = rest.split_at_checked(SIGNATURE).ok_or(Refusal::Malformed)?;
    if &head[..MAGIC.len()] != MAGIC {
        return Err(Refusal::Malformed);
    }
    if head[MAGIC.len()] != VERSION {
        return Err(Refusal::Version);
    }
    if head[MAGIC.len() + 1] != kind as u8 {
        return Err(Refusal::Malformed);
    }
    if !key.knows(&signed(head, body), signature) {
        return Err(Refusal::Forged);
    }
    Ok(body)
}

fn signed(head: &[u8], body: &[u8]) -> Vec<u8> {
    [head, body].concat()
}

/// As manifests name a chunk.
pub fn digest(chunk: &[u8]) -> String {
    Sha256::digest(chunk).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Malformed)
}

fn written<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn is_short(text: &str, most: usize) -> bool {
    text.len() <= most && !text.chars().any(char::is_control)
}

fn all_short<'a>(texts: impl IntoIterator<Item = &'a Option<String>>) -> bool {
    texts.into_iter().flatten().all(|text| is_short(text, TEXT_MAX))
}

impl Reports {
    pub fn seal(&self, key: &Signer) -> Vec<u8> {
        seal(key, Kind::Reports, &written(self))
    }

    pub fn open(key: &Verifier, message: &[u8]) -> Result<Self, Refusal> {
        let reports: Self = json(open(key, Kind::Reports, message)?)?;
        if reports.reports.len() > REPORTS_MAX {
            return Err(Refusal::TooLarge);
        }
        let is_bounded = |it: &Report| {
            is_short(&it.rule, TEXT_MAX)
                && all_short([&it.user_agent, &it.country, &it.endpoint, &it.account])
        };
        if !reports.reports.iter().all(is_bounded) {
            return Err(Refusal::Malformed);
        }
        Ok(reports)
    }
}

impl Health {
    pub fn seal(&self, key: &Signer) -> Vec<u8> {
        seal(key, Kind::Health, &written(self))
    }

    pub fn open(key: &Verifier, message: &[u8]) -> Result<Self, Refusal> {
        let health: Self = json(open(key, Kind::Health, message)?)?;
        let texts = [&health.host, &health.version, &health.mode];
        let is_bounded = texts.iter().all(|text| is_short(text, TEXT_MAX))
            && health.problems.len() <= PROBLEMS_MAX
            && health.problems.iter().all(|text| is_short(text, PROBLEM_MAX))
            && health.interfaces.len() <= INTERFACES_MAX
            && health.interfaces.iter().all(|(name, xdp)| is_short(name, 16) && is_short(xdp, 16))
            && health.fullest.iter().all(|(map, _)| is_short(map, TEXT_MAX))
            && health.lag_seconds.is_finite()
            && health.spare.len() <= SPARED_MAX;
        if is_bounded { Ok(health) } else { Err(Refusal::Malformed) }
    }

    /// Within what a message may hold.
    pub fn bounded(mut self) -> Self {
        self.problems.truncate(PROBLEMS_MAX);
        for problem in &mut self.problems {
            *problem = crate::message::clean(problem.as_bytes(), PROBLEM_MAX);
        }
        self.interfaces.truncate(INTERFACES_MAX);
        self.spare.truncate(SPARED_MAX);
        self
    }
}

impl Delta {
    pub fn seal(&self, key: &Signer) -> Vec<u8> {
        let mut body = Vec::new();
        for number in [self.generation, self.revision, self.at as u64, self.recalled] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        pack_changes(&mut body, &self.changes);
        seal(key, Kind::Delta, &body)
    }

    pub fn open(key: &Verifier, message: &[u8]) -> Result<Self, Refusal> {
        let mut cursor = Cursor(open(key, Kind::Delta, message)?);
        let [generation, revision, at, recalled] =
            [cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?];
        let at = i64::try_from(at).map_err(|_| Refusal::Malformed)?;
        let changes = unpack_changes(&mut cursor, CHANGES_MAX)?;
        Ok(Self { generation, revision, at, recalled, changes })
    }
}

impl Manifest {
    pub fn seal(&self, key: &Signer) -> Vec<u8> {
        seal(key, Kind::Manifest, &written(self))
    }

    pub fn open(key: &Verifier, message: &[u8]) -> Result<Self, Refusal> {
        let manifest: Self = json(open(key, Kind::Manifest, message)?)?;
        let is_bounded = manifest.chunks.len() <= CHUNKS_MAX
            && manifest.chunks.iter().all(|it| is_short(it, 64))
            && matches!(manifest.set, 'a' | 'b');
        if is_bounded { Ok(manifest) } else { Err(Refusal::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::key;

    fn pair() -> (Signer, Verifier) {
        let made = key::make_user().unwrap();
        (Signer::new(&made.seed).unwrap(), Verifier::new(&made.public).unwrap())
    }

    #[test]
    fn an_envelope_is_believed_whole_or_not_at_all() {
        let (signer, verifier) = pair();
        let (_, stranger) = pair();
        let whole = seal(&signer, Kind::Delta, b"body");
        assert_eq!(open(&verifier, Kind::Delta, &whole), Ok(&b"body"[..]));
        let with = |at: usize, byte: u8| {
            let mut other = whole.clone();
            other[at] = byte;
            other
        };
        for (message, kind, refusal) in [
            (Vec::new(), Kind::Delta, Refusal::Malformed),
            (whole[..HEAD + SIGNATURE - 1].to_vec(), Kind::Delta, Refusal::Malformed),
            (with(0, b'x'), Kind::Delta, Refusal::Malformed),
            (with(4, 2), Kind::Delta, Refusal::Version),
            (whole.clone(), Kind::Manifest, Refusal::Malformed),
            (with(5, Kind::Manifest as u8), Kind::Manifest, Refusal::Forged),
            (with(20, whole[20] ^ 1), Kind::Delta, Refusal::Forged),
            (with(whole.len() - 1, b'Y'), Kind::Delta, Refusal::Forged),
            (vec![0; MESSAGE_MAX + 1], Kind::Delta, Refusal::TooLarge),
        ] {
            assert_eq!(open(&verifier, kind, &message), Err(refusal));
        }
        assert_eq!(open(&stranger, Kind::Delta, &whole), Err(Refusal::Forged));
    }

    fn report(rule: &str) -> Report {
        Report {
            source: "198.51.100.7/32".parse().unwrap(),
            grade: Grade::Proven,
            rule: rule.to_owned(),
            count: 11,
            first: 1,
            last: 2,
            user_agent: None,
            country: None,
            endpoint: None,
            account: None,
        }
    }

    #[test]
    fn reports_are_bounded() {
        let (signer, verifier) = pair();
        let check = |reports: Vec<Report>, expected: Result<usize, Refusal>| {
            let sent = Reports { host: "a".to_owned(), sequence: 1, sent_at: 1, reports };
            let opened = Reports::open(&verifier, &sent.seal(&signer));
            assert_eq!(opened.map(|it| it.reports.len()), expected);
        };
        check(vec![report("BRUTEFORCE:register")], Ok(1));
        check(vec![report("a"); REPORTS_MAX + 1], Err(Refusal::TooLarge));
        check(vec![report(&"a".repeat(TEXT_MAX + 1))], Err(Refusal::Malformed));
        check(vec![report("a\nb")], Err(Refusal::Malformed));
        let odd = seal(&signer, Kind::Reports, b"{\"host\": 1}");
        assert_eq!(Reports::open(&verifier, &odd).unwrap_err(), Refusal::Malformed);
    }

    #[test]
    fn a_delta_reads_back() {
        let (signer, verifier) = pair();
        let listed = |network: &str, until| {
            ListChange::Put(Listed {
                network: network.parse().unwrap(),
                since: 5,
                until,
                rule: "BRUTEFORCE:register".to_owned(),
                hosts: 3,
            })
        };
        let delta = Delta {
            generation: 7,
            revision: u64::MAX,
            at: 1_800_000_000,
            recalled: 5,
            changes: vec![
                listed("198.51.100.7/32", 9),
                listed("2001:db8:1::/64", u32::MAX),
                ListChange::Remove("203.0.113.0/24".parse().unwrap()),
                ListChange::Remove("2001:db8::/48".parse().unwrap()),
            ],
        };
        assert_eq!(Delta::open(&verifier, &delta.seal(&signer)), Ok(delta));
    }
}
