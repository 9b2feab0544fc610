//! Keys and values as bytes.
//!
//! A key begins with its kind, so that one database holds them all and one batch can touch several.
//! Numbers are big-endian: byte order is the order of addresses and of time. A value is a version
//! byte and JSON.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::noted::AlertRecord;
use super::records::{AttackRecord, BlockKey, List, ListKey, TrustKey, TrustKind};
use crate::rules::Learned;

/// First byte of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    List = b'L',
    Block = b'B',
    History = b'H',
    Trust = b'T',
    Peer = b'P',
    Standing = b'S',
    Attack = b'A',
    Alert = b'W',
    Learning = b'N',
    Learned = b'R',
    Pending = b'C',
    Audit = b'J',
    User = b'U',
    Token = b'K',
    Session = b'X',
    Delivery = b'D',
    Meta = b'M',
}

impl Kind {
    pub const ALL: [Kind; 17] = [
        Kind::List,
        Kind::Block,
        Kind::History,
        Kind::Trust,
        Kind::Peer,
        Kind::Standing,
        Kind::Attack,
        Kind::Alert,
        Kind::Learning,
        Kind::Learned,
        Kind::Pending,
        Kind::Audit,
        Kind::User,
        Kind::Token,
        Kind::Session,
        Kind::Delivery,
        Kind::Meta,
    ];

    /// The kinds that the export can rebuild.
    pub const EXPORTED: [Kind; 9] = [
        Kind::List,
        Kind::Block,
        Kind::Trust,
        Kind::Peer,
        Kind::Standing,
        Kind::Learning,
        Kind::Pending,
        Kind::User,
        Kind::Token,
    ];

    pub fn of(key: &[u8]) -> Option<Kind> {
        let first = *key.first()?;
        Kind::ALL.into_iter().find(|kind| *kind as u8 == first)
    }

    pub fn prefix(self) -> Vec<u8> {
        vec![self as u8]
    }
}

/// Whether the export holds this record too.
pub(super) fn is_exported(key: &[u8]) -> bool {
    Kind::of(key).is_some_and(|kind| Kind::EXPORTED.contains(&kind))
}

/// The number of the last batch that the export knows too.
pub(super) const COMMIT_KEY: &[u8] = b"Mcommit";
pub(super) const CLOCK_KEY: &[u8] = b"Mclock";
/// A change of files that was begun.
/// What waits to be told, and what was told last.
pub(super) const NOTICES_KEY: &[u8] = b"Mnotices";
pub(super) const INTENT_KEY: &[u8] = b"Mintent";

const VERSION: u8 = 1;

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("an empty value")]
    Empty,
    #[error("a value of version {0}, which a newer sipprot wrote")]
    Newer(u8),
    #[error("a broken value: {0}")]
    Broken(#[from] serde_json::Error),
}

pub(super) fn encode<T: Serialize>(record: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record)?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION, json)) => Ok(serde_json::from_slice(json)?),
        Some((&version, _)) => Err(DecodeError::Newer(version)),
        None => Err(DecodeError::Empty),
    }
}

pub(super) fn list_prefix(list: List) -> Vec<u8> {
    list_start(list).to_vec()
}

const fn list_start(list: List) -> [u8; 2] {
    let letter = match list {
        List::Allow => b'a',
        List::Deny => b'd',
    };
    [Kind::List as u8, letter]
}

/// The list whose entry has this key.
pub(super) fn list_of(key: &[u8]) -> Option<List> {
    [List::Allow, List::Deny].into_iter().find(|list| key.starts_with(&list_start(*list)))
}

pub(super) fn list_key(key: &ListKey) -> Vec<u8> {
    let mut bytes = list_prefix(key.list);
    push_network(&mut bytes, key.network);
    push_text(&mut bytes, key.endpoint.as_deref());
    bytes
}

/// Begins the keys of every list entry of exactly this network.
pub(super) fn list_network_prefix(list: List, network: IpNetwork) -> Vec<u8> {
    let mut bytes = list_prefix(list);
    push_network(&mut bytes, network);
    bytes
}

/// Comes after the keys of all entries within this network, and before those of any other.
pub(super) fn after_list_network(list: List, network: IpNetwork) -> Vec<u8> {
    let mut bytes = list_prefix(list);
    push_address(&mut bytes, network.broadcast());
    bytes.push(u8::MAX);
    bytes
}

/// Begins the keys of every block of this source.
pub(super) fn block_source_prefix(source: IpNetwork) -> Vec<u8> {
    let mut bytes = Kind::Block.prefix();
    push_network(&mut bytes, source);
    bytes
}

pub(super) fn block_key(key: &BlockKey) -> Vec<u8> {
    let mut bytes = Kind::Block.prefix();
    push_block(&mut bytes, key);
    bytes
}

pub(super) fn history_key(started_at: Timestamp, key: &BlockKey) -> Vec<u8> {
    let mut bytes = history_start(started_at);
    push_block(&mut bytes, key);
    bytes
}

/// Whether a key of the history or of alerts is of this source.
pub(super) fn is_of_source(key: &[u8], source: IpNetwork) -> bool {
    let mut wanted = Vec::new();
    push_network(&mut wanted, source);
    let time = history_start(Timestamp::UNIX_EPOCH).len();
    key.get(time..).is_some_and(|rest| rest.starts_with(&wanted))
}

/// Not after any history key of this time, and after all of earlier ones.
pub(super) fn history_start(time: Timestamp) -> Vec<u8> {
    at_time(Kind::History, time)
}

pub(super) fn alert_start(time: Timestamp) -> Vec<u8> {
    at_time(Kind::Alert, time)
}

pub(super) fn alert_key(alert: &AlertRecord) -> Vec<u8> {
    let mut bytes = alert_start(alert.at);
    push_network(&mut bytes, alert.source);
    push_text(&mut bytes, Some(&alert.kind));
    bytes
}

pub(super) fn audit_key(number: u64) -> Vec<u8> {
    let mut bytes = Kind::Audit.prefix();
    bytes.extend(number.to_be_bytes());
    bytes
}

pub(super) fn delivery_key(number: u64) -> Vec<u8> {
    let mut bytes = Kind::Delivery.prefix();
    bytes.extend(number.to_be_bytes());
    bytes
}

pub(super) fn audit_number(key: &[u8]) -> Option<u64> {
    key.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn learned_key(learned: &Learned) -> Vec<u8> {
    let mut bytes = Kind::Learned.prefix();
    match learned {
        Learned::Would(would) => {
            push_address(&mut bytes, would.source_ip);
            push_text(&mut bytes, Some(&format!("{:?} {:?}", would.what, would.cause)));
        }
        Learned::Seen(seen) => push_address(&mut bytes, seen.source_ip),
        Learned::Endpoint(endpoint, _) => {
            bytes.push(0);
            bytes.extend(endpoint.0.to_be_bytes());
        }
    }
    bytes
}

fn at_time(kind: Kind, time: Timestamp) -> Vec<u8> {
    let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
    let mut bytes = kind.prefix();
    bytes.extend(milliseconds.to_be_bytes());
    bytes
}

pub(super) fn trust_key(key: &TrustKey) -> Vec<u8> {
    let mut bytes = Kind::Trust.prefix();
    push_address(&mut bytes, key.address);
    bytes.push(match key.kind {
        TrustKind::Registration => b'r',
        TrustKind::Trunk => b't',
        TrustKind::Configured => b'c',
    });
    push_text(&mut bytes, key.endpoint.as_deref());
    push_text(&mut bytes, key.account.as_deref());
    bytes
}

pub(super) fn peer_key(network: IpNetwork) -> Vec<u8> {
    let mut bytes = Kind::Peer.prefix();
    push_network(&mut bytes, network);
    bytes
}

/// Of a user, a token or a session.
pub(super) fn named_key(kind: Kind, name: &str) -> Vec<u8> {
    let mut bytes = kind.prefix();
    bytes.extend(name.as_bytes());
    bytes
}

pub(super) fn standing_key(source: IpNetwork) -> Vec<u8> {
    let mut bytes = Kind::Standing.prefix();
    push_network(&mut bytes, source);
    bytes
}

/// Not after any attack key of this day, and after all of earlier ones.
pub(super) fn attack_start(day: Date) -> Vec<u8> {
    let mut bytes = Kind::Attack.prefix();
    bytes.extend(u16::try_from(day.year()).unwrap_or(0).to_be_bytes());
    bytes.extend([day.month().unsigned_abs(), day.day().unsigned_abs()]);
    bytes
}

pub(super) fn attack_key(record: &AttackRecord) -> Vec<u8> {
    let mut bytes = attack_start(record.day);
    push_network(&mut bytes, record.source);
    match record.victim {
        Some(victim) => push_address(&mut bytes, victim),
        None => bytes.push(0),
    }
    push_text(&mut bytes, Some(&record.method));
    // Several endpoints may have one address.
    push_text(&mut bytes, record.endpoint.as_deref());
    bytes
}

fn push_block(bytes: &mut Vec<u8>, key: &BlockKey) {
    push_network(bytes, key.source);
    bytes.extend(key.port.unwrap_or(0).to_be_bytes());
    push_text(bytes, key.endpoint.as_deref());
}

/// Host bits don't make another network.
fn push_network(bytes: &mut Vec<u8>, network: IpNetwork) {
    push_address(bytes, network.network());
    bytes.push(network.prefix());
}

fn push_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            bytes.push(4);
            bytes.extend(v4.octets());
        }
        IpAddr::V6(v6) => {
            bytes.push(6);
            bytes.extend(v6.octets());
        }
    }
}

/// The length goes first, so that no two pairs of texts make one key; nothing is not an empty text.
fn push_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => bytes.extend(0_u32.to_be_bytes()),
        Some(text) => {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
            bytes.extend(length.to_be_bytes());
            bytes.extend(text.as_bytes());
        }
    }
}

/// The JSON inside a value of the present version.
pub(super) fn json_of(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.split_first() {
        Some((&VERSION, json)) => Some(json),
        _ => None,
    }
}
