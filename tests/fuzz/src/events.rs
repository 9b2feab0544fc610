//! The decoder of the ring's records: from a record's bytes over messages to observations.
//!
//! Input is the record: an event's header as the kernel writes it, and the bytes behind it.

use std::mem::{offset_of, size_of};

use sipprot_common::abi::{EVENT_REQUEST, EVENT_RESPONSE, EventHeader};
use sipprot_common::sip::{Scan, Text};
use sipprot_ctl::datapath::Event;
use sipprot_ctl::message::{Message, Packet, Reader, observations};
use sipprot_ctl::rules::{Observation, Time};

use crate::seeds;

const SEED: u64 = 42;
const HEADER_LEN: usize = size_of::<EventHeader>();
const CAPTURED: usize = offset_of!(EventHeader, captured);
/// The most that is kept of a text in one message.
const TEXT_MAX: usize = 128;

pub fn check(record: &[u8]) {
    if let Some(event) = Event::parse(record) {
        check_event(&event, record);
    }
    // Most records lie about their length: here is one that doesn't.
    if let Some(behind) = record.len().checked_sub(HEADER_LEN) {
        let mut record = record.to_vec();
        record[CAPTURED..CAPTURED + 4].copy_from_slice(&(behind as u32).to_ne_bytes());
        let event = Event::parse(&record).expect("an event whose length is right");
        assert_eq!(event.payload.len(), behind);
        check_event(&event, &record);
    }
}

fn check_event(event: &Event, record: &[u8]) {
    assert_eq!(event.payload, &record[HEADER_LEN..HEADER_LEN + event.header.captured as usize]);
    let packet = Packet { header: &event.header, payload: event.payload, at: Time(0) };
    let seen = observations(&mut Reader::new(SEED), &packet);
    for observation in &seen {
        let agent = match observation {
            Observation::Request(request) => {
                assert_eq!(request.source, packet.source());
                request.user_agent.as_deref()
            }
            Observation::Response(response) => {
                assert_eq!(response.destination, packet.destination());
                None
            }
            Observation::KernelDrop(drop) => drop.user_agent.as_deref(),
            _ => None,
        };
        shown(agent.unwrap_or_default());
    }
    for stream in [false, true] {
        messages(event.payload, stream);
    }
}

fn messages(payload: &[u8], stream: bool) {
    let mut used = Reader::new(SEED);
    used.read(&b"\nTo:<sip:x>;tag=1\nAuthorization: Digest nonce=n".repeat(45), stream);
    let messages = used.read(payload, stream);
    assert_eq!(messages, Reader::new(SEED).read(payload, stream), "depends on an older message");
    assert!(messages.len() <= if stream { 64 } else { 1 });
    for message in &messages {
        bounded(message);
    }
    let Some((message, length)) = used.first(payload) else { return };
    assert!(length > 0, "a message without length is read for ever");
    assert!(message.credentials.is_empty() || scanned_credentials(payload));
}

fn scanned_credentials(payload: &[u8]) -> bool {
    let mut text = Box::new(Text::EMPTY);
    let length = text.fill(payload);
    let mut scan = Scan::default();
    scan.run(&text, length, false);
    scan.credentials > 0
}

fn bounded(message: &Message) {
    let Message { call_id, branch, from, to, user_agent, credentials, challenges, .. } = message;
    shown(call_id);
    shown(branch);
    for identity in [from, to].into_iter().flatten() {
        shown(&identity.user);
        shown(&identity.host);
        assert!(!identity.user.is_empty() || !identity.host.is_empty());
    }
    shown(user_agent.as_deref().unwrap_or_default());
    assert!(credentials.len() <= 8 && challenges.len() <= 8);
    for one in credentials {
        shown(&one.username);
        shown(&one.realm);
    }
    challenges.iter().for_each(|one| shown(&one.realm));
}

/// Whatever reaches a terminal or a log.
fn shown(text: &str) {
    assert!(text.chars().count() <= TEXT_MAX, "{text:?} is long");
    assert!(!text.chars().any(char::is_control), "{text:?} steers a terminal");
}

/// The messages as records, of datagrams and of segments.
pub fn seeds() -> Vec<Vec<u8>> {
    let messages = seeds::messages().into_iter().enumerate();
    messages.map(|(number, message)| record(&message, number % 2 == 0)).collect()
}

fn record(message: &[u8], stream: bool) -> Vec<u8> {
    let mut record = vec![0; HEADER_LEN];
    let answer = message.starts_with(b"SIP/2.0");
    record[offset_of!(EventHeader, kind)] = if answer { EVENT_RESPONSE } else { EVENT_REQUEST };
    record[offset_of!(EventHeader, protocol)] = if stream { 6 } else { 17 };
    record[CAPTURED..CAPTURED + 4].copy_from_slice(&(message.len() as u32).to_ne_bytes());
    record.extend(message);
    record
}
