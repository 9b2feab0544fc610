//! What the controller is told: events within their bounds.

use sipprot_common::abi::*;
use sipprot_common::ceiling;
use sipprot_common::reason::Reason;
use sipprot_common::share::{RECORDS_MAX, Share};
use sipprot_common::sip::CAPACITY;
use sipprot_common::source::SourceKey;

use super::message::HELD;
use super::speech::Speech;
use super::{Model, Passage, Place};
use crate::datapath::Event;

impl Model {
    /// Sends an event, if the source's share allows.
    pub(super) fn tell(
        &mut self,
        passage: &Passage,
        speech: &Speech,
        kind: u8,
        reason: Reason,
        share: Option<SourceKey>,
    ) {
        let config = self.world.config();
        let share = share.and_then(|key| match self.trusted.get_mut(&key) {
            Some(trust) => Some(&mut trust.events_ns),
            None => self.untrusted.get_mut(&key).map(|source| &mut source.events_ns),
        });
        if let Some(bucket) = share {
            let (interval_ns, burst_ns) = (config.event_interval_ns, config.event_burst_ns);
            match ceiling::take(*bucket, self.now_ns, interval_ns, burst_ns) {
                Some(next_ns) => *bucket = next_ns,
                None => {
                    self.suppressed += 1;
                    return;
                }
            }
        }
        let bytes = if kind == EVENT_NOT_SIP { &[] } else { speech.bytes() };
        self.events.push(event(passage, speech, kind, reason, passage.place, bytes));
    }

    /// Sends the whole payload of a TCP segment, if the other end's share of bytes allows.
    pub(super) fn tell_stream(
        &mut self,
        passage: &Passage,
        speech: &Speech,
        reason: Reason,
        remote: SourceKey,
    ) {
        let payload = passage.packet.payload;
        let share = match self.trusted.get_mut(&remote) {
            Some(trust) => Some((&mut trust.stream_ns, Share::TRUSTED)),
            None => self
                .untrusted
                .get_mut(&remote)
                .map(|source| (&mut source.stream_ns, Share::UNTRUSTED)),
        };
        if let Some((bucket, share)) = share {
            match share.take(*bucket, self.now_ns, payload.len() as u32) {
                Some(next_ns) => *bucket = next_ns,
                None => {
                    self.suppressed += 1;
                    return;
                }
            }
        }
        let Place { connection, mut sequence } = passage.place;
        for bytes in payload.chunks(CAPACITY).take(RECORDS_MAX as usize) {
            let place = Place { connection, sequence };
            self.events.push(event(passage, speech, EVENT_SEGMENT, reason, place, bytes));
            sequence = sequence.wrapping_add(bytes.len() as u32);
        }
    }
}

pub(super) fn event(
    passage: &Passage,
    speech: &Speech,
    kind: u8,
    reason: Reason,
    place: Place,
    bytes: &[u8],
) -> Event {
    let packet = &passage.packet;
    let observed = if passage.observed.is_some() { EVENT_FLAG_OBSERVED } else { 0 };
    Event {
        kind,
        flags: if kind == EVENT_RENEWED { 0 } else { passage.flags & !HELD | observed },
        reason: Some(reason),
        policy: passage.index,
        protocol: packet.protocol,
        source: (packet.literal, packet.source_port),
        destination: (packet.destination, packet.destination_port),
        credentials: speech.credentials,
        payload_len: packet.payload.len() as u32,
        connection: place.connection,
        sequence: place.sequence,
        bytes: bytes.to_vec(),
    }
}
