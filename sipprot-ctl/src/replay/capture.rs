//! Reads captures: pcap in both byte orders, with micro- or nanoseconds, and pcapng.
//!
//! Hands out frames as they were recorded and knows nothing of what is in them. A fault names the
//! file and the offset at which the faulty record begins.

mod pcapng;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::rules::Time;

/// The longest record that tcpdump and Wireshark write.
const RECORD_MAX: u32 = 262_144;

const HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;

/// What a frame begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    Ethernet,
    /// IPv4 or IPv6, with nothing before it.
    Ip,
    /// The pseudo-header of tcpdump's `any` interface.
    LinuxCooked,
    LinuxCooked2,
}

impl Link {
    /// By the number that tcpdump.org/linktypes has for it.
    fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Ethernet),
            // 12 and 14: what some systems wrote for raw IP before it had a number.
            12 | 14 | 101 | 228 | 229 => Some(Self::Ip),
            113 => Some(Self::LinuxCooked),
            276 => Some(Self::LinuxCooked2),
            _ => None,
        }
    }
}

/// One frame; cut short if the capture kept only the beginning of each.
pub struct Frame<'a> {
    pub at: Time,
    pub link: Link,
    pub bytes: &'a [u8],
}

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("{name}: cannot read: {source}")]
    Unreadable { name: String, source: io::Error },
    #[error("{name}: empty")]
    Empty { name: String },
    #[error("{name}: not a capture: begins with neither a pcap nor a pcapng magic number")]
    NotCapture { name: String },
    #[error("{name}: no packets")]
    NoPackets { name: String },
    #[error(
        "{name}: link type {number} at offset {offset}: only Ethernet, raw IP and Linux cooked are read"
    )]
    LinkType { name: String, number: u32, offset: u64 },
    #[error("{name}: ends in the middle of {what} that begins at offset {offset}")]
    Truncated { name: String, what: &'static str, offset: u64 },
    #[error("{name}: garbage at offset {offset}: {what}")]
    Garbage { name: String, what: &'static str, offset: u64 },
}

/// A capture being read, from its beginning to its end.
pub struct Capture<R> {
    bytes: Bytes<R>,
    format: Format,
    frame: Vec<u8>,
}

enum Format {
    Pcap { order: Order, nanoseconds: bool, link: Link },
    Pcapng(pcapng::Section),
}

impl Capture<BufReader<File>> {
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, BufReader::new(file)),
            Err(source) => Err(CaptureError::Unreadable { name, source }),
        }
    }
}

impl<R: Read> Capture<R> {
    /// Reads the header; `name` is what messages call the file.
    pub fn new(name: String, reader: R) -> Result<Self, CaptureError> {
        let mut bytes = Bytes { name, reader, offset: 0 };
        let mut magic = [0; 4];
        match bytes.fill(&mut magic)? {
            0 => return Err(CaptureError::Empty { name: bytes.name }),
            4 => {}
            _ => return Err(CaptureError::NotCapture { name: bytes.name }),
        }
        let (order, nanoseconds) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true),
            pcapng::MAGIC => {
                let section = pcapng::Section::begin(&mut bytes, 0)?;
                return Ok(Self { bytes, format: Format::Pcapng(section), frame: Vec::new() });
            }
            _ => return Err(CaptureError::NotCapture { name: bytes.name }),
        };
        let mut header = [0; HEADER_LEN - 4];
        bytes.exact(&mut header, "the file header", 0)?;
        // The upper bits say how long the frame check sequences are.
        let number = order.u32(&header, 16) & 0xffff;
        let Some(link) = Link::from_number(number) else {
            return Err(CaptureError::LinkType { name: bytes.name, number, offset: 20 });
        };
        let format = Format::Pcap { order, nanoseconds, link };
        Ok(Self { bytes, format, frame: Vec::new() })
    }

    pub fn name(&self) -> &str {
        &self.bytes.name
    }

    /// The next frame; none at the end of the file.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        let found = match &mut self.format {
            Format::Pcap { order, nanoseconds, link } => {
                let at = record(&mut self.bytes, &mut self.frame, *order, *nanoseconds)?;
                at.map(|at| (at, *link))
            }
            Format::Pcapng(section) => section.next_packet(&mut self.bytes, &mut self.frame)?,
        };
        Ok(found.map(|(at, link)| Frame { at, link, bytes: &self.frame }))
    }
}

/// Reads one record of a pcap file into `frame`: when it was seen.
fn record<R: Read>(
    bytes: &mut Bytes<R>,
    frame: &mut Vec<u8>,
    order: Order,
    nanoseconds: bool,
) -> Result<Option<Time>, CaptureError> {
    let offset = bytes.offset;
    let mut header = [0; RECORD_HEADER_LEN];
    match bytes.fill(&mut header)? {
        0 => return Ok(None),
        RECORD_HEADER_LEN => {}
        _ => return Err(bytes.truncated("a record", offset)),
    }
    let [seconds, fraction, length] = [0, 4, 8].map(|at| order.u32(&header, at));
    if length > RECORD_MAX {
        return Err(bytes.garbage("a record longer than any packet", offset));
    }
    bytes.take(frame, length, "a record", offset)?;
    let scale = if nanoseconds { 1 } else { 1_000 };
    Ok(Some(Time(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * scale)))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Little,
    Big,
}

impl Order {
    /// The word at `at`; zero where there are no such bytes.
    fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).unwrap_or_default();
        match self {
            Self::Little => u32::from_le_bytes(word),
            Self::Big => u32::from_be_bytes(word),
        }
    }

    fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let word = bytes.get(at..at + 2).and_then(|word| word.try_into().ok()).unwrap_or_default();
        match self {
            Self::Little => u16::from_le_bytes(word),
            Self::Big => u16::from_be_bytes(word),
        }
    }
}

/// The file, and how far it was read.
struct Bytes<R> {
    name: String,
    reader: R,
    offset: u64,
}

impl<R: Read> Bytes<R> {
    /// Fills the buffer, or as much of it as there is left.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, CaptureError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(CaptureError::Unreadable { name: self.name.clone(), source });
                }
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    fn exact(
        &mut self,
        buffer: &mut [u8],
        what: &'static str,
        offset: u64,
    ) -> Result<(), CaptureError> {
        let wanted = buffer.len();
        if self.fill(buffer)? < wanted {
            return Err(self.truncated(what, offset));
        }
        Ok(())
    }

    /// The next `length` bytes, in place of what was in the buffer.
    fn take(
        &mut self,
        buffer: &mut Vec<u8>,
        length: u32,
        what: &'static str,
        offset: u64,
    ) -> Result<(), CaptureError> {
        buffer.clear();
        buffer.resize(length as usize, 0);
        self.exact(buffer, what, offset)
    }

    fn truncated(&self, what: &'static str, offset: u64) -> CaptureError {
        CaptureError::Truncated { name: self.name.clone(), what, offset }
    }

    fn garbage(&self, what: &'static str, offset: u64) -> CaptureError {
        CaptureError::Garbage { name: self.name.clone(), what, offset }
    }
}

#[cfg(test)]
mod tests;
