//! The ring buffer, in batches, for tokio. Checks lengths; what an event means is read elsewhere.

use std::io;
use std::path::Path;

use aya::maps::{MapData, RingBuf};
use sipprot_common::abi::{EventHeader, maps};
use tokio::io::unix::AsyncFd;

use super::error::{DatapathError, Result};
use super::keys;

/// One event, borrowed from the ring.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub header: EventHeader,
    /// The captured bytes of the SIP payload.
    pub payload: &'a [u8],
}

impl<'a> Event<'a> {
    /// `None` when the bytes are not an event, or shorter than its header says.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = keys::read::<EventHeader>(bytes)?;
        let payload = rest.get(..header.captured as usize)?;
        Some(Self { header, payload })
    }
}

/// What one batch had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub events: usize,
    /// Records that were not events.
    pub malformed: usize,
}

/// The reading end of the ring; there must be only one.
pub struct EventReader {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl EventReader {
    /// Within a tokio runtime.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let wrong = |source| DatapathError::Map { map: maps::EVENTS, operation: "opening", source };
        let ring = MapData::from_pin(directory.join(maps::EVENTS))
            .and_then(aya::maps::Map::from_map_data)
            .and_then(RingBuf::try_from)
            .map_err(|error| wrong(io::Error::other(error.to_string())))?;
        // `register` panics outside a runtime.
        tokio::runtime::Handle::try_current().map_err(|error| wrong(io::Error::other(error)))?;
        // SAFETY: the ring owns its map's descriptor and never gives out another.
        let ring = unsafe { AsyncFd::register(ring) }.map_err(|error| wrong(error.into()))?;
        Ok(Self { ring })
    }

    /// Waits for events and shows up to `limit` of them. Gives way to other tasks after each batch.
    /// Cancelling it while it waits loses nothing.
    pub async fn batch(
        &mut self,
        limit: usize,
        mut visit: impl FnMut(Event<'_>),
    ) -> io::Result<Batch> {
        let batch = {
            let mut ready = self.ring.readable_mut().await?;
            let (batch, drained) = drain(ready.get_inner_mut(), limit, &mut visit);
            if drained {
                ready.clear_ready();
            }
            batch
        };
        tokio::task::yield_now().await;
        Ok(batch)
    }

    /// What is in the ring now, without waiting; for shutting down and for tests.
    pub fn drain(&mut self, limit: usize, mut visit: impl FnMut(Event<'_>)) -> Batch {
        drain(self.ring.get_mut(), limit, &mut visit).0
    }
}

fn drain(
    ring: &mut RingBuf<MapData>,
    limit: usize,
    visit: &mut impl FnMut(Event<'_>),
) -> (Batch, bool) {
    let mut batch = Batch::default();
    while batch.events + batch.malformed < limit {
        let Some(record) = ring.next() else { return (batch, true) };
        match Event::parse(&record) {
            Some(event) => {
                batch.events += 1;
                visit(event);
            }
            None => batch.malformed += 1,
        }
    }
    (batch, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked() {
        let mut bytes = vec![0u8; size_of::<EventHeader>() + 8];
        let captured = std::mem::offset_of!(EventHeader, captured);
        let check = |bytes: &[u8], expected: Option<usize>| {
            assert_eq!(Event::parse(bytes).map(|event| event.payload.len()), expected);
        };
        check(&bytes, Some(0));
        bytes[captured] = 5;
        check(&bytes, Some(5));
        bytes[captured] = 9;
        check(&bytes, None);
        bytes[captured + 3] = 0xff;
        check(&bytes, None);
        check(&bytes[..71], None);
        check(&[], None);
    }
}
