//! pcapng (draft-ietf-opsawg-pcapng): sections, interfaces with their clocks, packet blocks.

use std::io::Read;

use super::{Bytes, CaptureError, Link, Order, RECORD_MAX};
use crate::rules::Time;

/// A section header block's type, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const OPTION_TIME_RESOLUTION: u16 = 9;
const MICROSECONDS: u64 = 1_000_000;
/// A block's type and its length, twice.
const FRAMING_LEN: u32 = 12;

pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
    /// When the last packet was seen: simple packets have no time of their own.
    last: Time,
}

#[derive(Clone, Copy)]
struct Interface {
    link: Link,
    /// Of its clock, a second.
    ticks: u64,
}

impl Section {
    /// Reads a section header whose type was read already.
    pub fn begin<R: Read>(bytes: &mut Bytes<R>, offset: u64) -> Result<Self, CaptureError> {
        const WHAT: &str = "a section header";
        let mut start = [0; 8];
        bytes.exact(&mut start, WHAT, offset)?;
        let order = match start[4..] {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            _ => return Err(bytes.garbage("a section of unknown byte order", offset)),
        };
        let rest = order.u32(&start, 0).checked_sub(FRAMING_LEN).filter(|rest| *rest <= RECORD_MAX);
        let Some(rest) = rest else {
            return Err(bytes.garbage("a section header of impossible length", offset));
        };
        bytes.take(&mut Vec::new(), rest, WHAT, offset)?;
        Ok(Self { order, interfaces: Vec::new(), last: Time(0) })
    }

    /// Reads up to the next packet, which is put into `frame`.
    pub fn next_packet<R: Read>(
        &mut self,
        bytes: &mut Bytes<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Option<(Time, Link)>, CaptureError> {
        const WHAT: &str = "a block";
        loop {
            let offset = bytes.offset;
            let mut kind = [0; 4];
            match bytes.fill(&mut kind)? {
                0 => return Ok(None),
                4 if kind == MAGIC => {
                    let last = self.last;
                    *self = Self { last, ..Self::begin(bytes, offset)? };
                    continue;
                }
                4 => {}
                _ => return Err(bytes.truncated(WHAT, offset)),
            }
            let mut length = [0; 4];
            bytes.exact(&mut length, WHAT, offset)?;
            let length = self.order.u32(&length, 0);
            if length < FRAMING_LEN || !length.is_multiple_of(4) || length > 2 * RECORD_MAX {
                return Err(bytes.garbage("a block of impossible length", offset));
            }
            bytes.take(frame, length - 8, WHAT, offset)?;
            if self.order.u32(frame, frame.len() - 4) != length {
                return Err(bytes.garbage("a block whose two lengths differ", offset));
            }
            frame.truncate(frame.len() - 4);
            let found = match self.order.u32(&kind, 0) {
                INTERFACE => self.interface(frame).map(|()| None),
                ENHANCED_PACKET => self.enhanced(frame).map(Some),
                SIMPLE_PACKET => self.simple(frame).map(Some),
                // Names, statistics and what is yet to come.
                _ => Ok(None),
            };
            match found {
                Ok(None) => {}
                Ok(Some(packet)) => return Ok(Some(packet)),
                Err(Fault::What(what)) => return Err(bytes.garbage(what, offset)),
                Err(Fault::LinkType(number)) => {
                    return Err(CaptureError::LinkType {
                        name: bytes.name.clone(),
                        number,
                        offset,
                    });
                }
            }
        }
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), Fault> {
        let number = u32::from(self.order.u16(body, 0));
        let link = Link::from_number(number).ok_or(Fault::LinkType(number))?;
        let ticks = match self.option(body.get(8..).unwrap_or_default(), OPTION_TIME_RESOLUTION) {
            Some([power, ..]) if power & 0x80 != 0 => 1u64.checked_shl(u32::from(power & 0x7f)),
            Some([power, ..]) => 10u64.checked_pow(u32::from(*power)),
            _ => Some(MICROSECONDS),
        };
        let ticks = ticks.filter(|ticks| *ticks > 0);
        let ticks = ticks.ok_or(Fault::What("an interface with an impossible clock"))?;
        self.interfaces.push(Interface { link, ticks });
        Ok(())
    }

    fn option<'a>(&self, mut options: &'a [u8], wanted: u16) -> Option<&'a [u8]> {
        while options.len() >= 4 {
            let (code, length) = (self.order.u16(options, 0), self.order.u16(options, 2) as usize);
            let value = options.get(4..4 + length)?;
            if code == wanted {
                return Some(value);
            }
            options = options.get(4 + length.next_multiple_of(4)..)?;
        }
        None
    }

    fn enhanced(&mut self, body: &mut Vec<u8>) -> Result<(Time, Link), Fault> {
        let [interface, high, low, length] = [0, 4, 8, 12].map(|at| self.order.u32(body, at));
        let known = self.interfaces.get(interface as usize);
        let Interface { link, ticks } =
            *known.ok_or(Fault::What("a packet of an undescribed interface"))?;
        keep(body, 20, length)?;
        let stamp = u128::from(high) << 32 | u128::from(low);
        let at = stamp * 1_000_000_000 / u128::from(ticks);
        let Ok(at) = i64::try_from(at) else {
            return Err(Fault::What("a packet of the far future"));
        };
        self.last = Time(at.unsigned_abs());
        Ok((self.last, link))
    }

    fn simple(&self, body: &mut Vec<u8>) -> Result<(Time, Link), Fault> {
        let first = self.interfaces.first();
        let link = first.ok_or(Fault::What("a packet of an undescribed interface"))?.link;
        let there = u32::try_from(body.len()).unwrap_or(u32::MAX).saturating_sub(4);
        keep(body, 4, self.order.u32(body, 0).min(there))?;
        Ok((self.last, link))
    }
}

enum Fault {
    What(&'static str),
    LinkType(u32),
}

/// Leaves of a block's body the packet alone.
fn keep(body: &mut Vec<u8>, from: usize, length: u32) -> Result<(), Fault> {
    let end = from + length as usize;
    if end > body.len() {
        return Err(Fault::What("a packet longer than its block"));
    }
    body.truncate(end);
    body.drain(..from);
    Ok(())
}
