//! A forged flood: a million sources that were never there, and among them those who are.
//!
//! Frames are put on the wire before the uplink, where no router minds their sources. Every source
//! has its turn before any has another one.

use std::{
    ffi::CString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
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
const FIRST_V4: u32 = 0xf000_0000;
/// 3fff::/20, for documentation (RFC 9637); each source has a /48 of its own.
const FIRST_V6: u16 = 0x3fff;
/// Of each family.
pub const SOURCES: u32 = 1 << 20;
/// Where all of them are.
pub const NETWORKS: [&str; 2] = ["240.0.0.0/12", "3fff::/20"];
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
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
/// Within their headers.
const IPV4_CHECKSUM: usize = 10;
const IPV4_SOURCE: usize = 12;
const IPV6_SOURCE: usize = 8;
const UDP_LENGTH: usize = 4;
const UDP_CHECKSUM: usize = 6;
const UDP_PROTOCOL: u32 = 17;

/// Whom to flood, how, and in whose names beside those of the million.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One, or one of each family: a frame goes to each in turn.
    pub targets: Vec<SocketAddr>,
    pub real: Vec<SocketAddr>,
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

    /// Of a flood of one family.
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
    target: SocketAddr,
}

impl Template {
    fn new(target: SocketAddr, towards: [u8; 6], message: &str) -> Self {
        let anybody = if target.is_ipv4() { "192.0.2.1:5060" } else { "[2001:db8::1]:5060" };
        let mut bytes = Frame::udp(anybody, &target.to_string()).payload(message).bytes();
        bytes[..6].copy_from_slice(&towards);
        let mark = NUMBER.as_bytes();
        let numbers = (0..bytes.len().saturating_sub(mark.len()))
            .filter(|&at| bytes[at..].starts_with(mark))
            .collect();
        Self { bytes, numbers, target }
    }

    fn stamp(&mut self, source: SocketAddr, number: u32) {
        let mut digits = [0; NUMBER.len()];
        for (digit, place) in digits.iter_mut().rev().enumerate() {
            *place = b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15];
        }
        for &at in &self.numbers {
            self.bytes[at..][..NUMBER.len()].copy_from_slice(&digits);
        }
        match source.ip() {
            IpAddr::V4(address) => self.stamp_v4(address, source.port()),
            IpAddr::V6(address) => self.stamp_v6(address, source.port()),
        }
    }

    fn stamp_v4(&mut self, source: Ipv4Addr, port: u16) {
        let (ip, udp) = self.bytes[ETHERNET_LEN..].split_at_mut(IPV4_LEN);
        put(ip, IPV4_SOURCE, &source.octets());
        put(ip, IPV4_CHECKSUM, &[0; 2]);
        let sum = folded(words(ip));
        put(ip, IPV4_CHECKSUM, &sum.to_be_bytes());
        put(udp, 0, &port.to_be_bytes());
        // Over IPv4 a datagram may be without a checksum (RFC 768).
        put(udp, UDP_CHECKSUM, &[0; 2]);
    }

    fn stamp_v6(&mut self, source: Ipv6Addr, port: u16) {
        let (ip, udp) = self.bytes[ETHERNET_LEN..].split_at_mut(IPV6_LEN);
        put(ip, IPV6_SOURCE, &source.octets());
        put(udp, 0, &port.to_be_bytes());
        put(udp, UDP_CHECKSUM, &[0; 2]);
        // Both addresses, the protocol, and the length once more (RFC 8200, 8.1).
        let sum =
            words(&ip[IPV6_SOURCE..]) + UDP_PROTOCOL + words(&udp[UDP_LENGTH..][..2]) + words(udp);
        put(udp, UDP_CHECKSUM, &folded(sum).to_be_bytes());
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..][..what.len()].copy_from_slice(what);
}

/// The sum of 16-bit words; a byte that is left over counts as the first of one.
fn words(bytes: &[u8]) -> u32 {
    let word = |word: &[u8]| u32::from(word[0]) << 8 | word.get(1).map_or(0, |&low| low.into());
    bytes.chunks(2).map(word).sum()
}

/// The checksum of words that add up to `sum` (RFC 1071).
fn folded(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) as u16 + (sum >> 16) as u16)
}

/// Bad credentials on nonces that nobody gave out, requests without, and a scanner that says so; each to
/// every target.
fn templates(plan: &Plan, towards: [u8; 6]) -> Vec<Template> {
    let messages: Vec<_> = plan.targets.iter().map(|target| (target, messages(target))).collect();
    (0..messages.first().map_or(0, |(_, texts)| texts.len()))
        .flat_map(|kind| messages.iter().map(move |(target, texts)| (**target, &texts[kind])))
        .map(|(target, text)| Template::new(target, towards, text))
        .collect()
}

fn messages(target: &SocketAddr) -> [String; 4] {
    let host = match target.ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
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
    [guess.clone(), scan, guess, ask]
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
            frame.stamp(source(plan, frame.target.is_ipv4(), number), number as u32);
            number += 1;
        }
        shared.sent.fetch_add(send_batch(socket, &frames)?, Ordering::Relaxed);
    }
    Ok(())
}

/// Who sends the frame of that number.
fn source(plan: &Plan, is_v4: bool, number: u64) -> SocketAddr {
    let nth = (number / REAL_EVERY) as usize;
    if number.is_multiple_of(REAL_EVERY) {
        let real = plan.real.iter().filter(|it| it.is_ipv4() == is_v4);
        if let Some(&real) = real.clone().nth(nth % real.count().max(1)) {
            return real;
        }
    }
    let offset = (number as u32).wrapping_mul(STRIDE) & (SOURCES - 1);
    let port = 1024 + (offset & 0x7fff) as u16;
    let address = if is_v4 {
        IpAddr::from(Ipv4Addr::from(FIRST_V4 | offset))
    } else {
        let (high, low) = ((offset >> 16) as u16, offset as u16);
        IpAddr::from(Ipv6Addr::new(FIRST_V6, high, low, 0, 0, 0, 0, 1))
    };
    SocketAddr::new(address, port)
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
            targets: vec![
                "192.0.2.11:5060".parse().unwrap(),
                "[2001:db8:c::11]:5060".parse().unwrap(),
            ],
            real: vec![
                "203.0.113.7:21040".parse().unwrap(),
                "[2001:db8:b::7]:21040".parse().unwrap(),
            ],
            per_second: 1,
        }
    }

    #[test]
    fn every_source_has_its_turn() {
        for (is_v4, real) in [true, false].into_iter().zip(plan().real) {
            let sources: HashSet<SocketAddr> =
                (0..u64::from(SOURCES)).map(|number| source(&plan(), is_v4, number)).collect();
            // Some turns go to those who are real.
            assert!(sources.len() as u64 >= u64::from(SOURCES) * (REAL_EVERY - 1) / REAL_EVERY);
            assert!(sources.contains(&real));
            assert!(sources.iter().all(|source| source.is_ipv4() == is_v4));
        }
    }

    #[test]
    fn frames_are_whole_messages_from_whom_they_say() {
        let templates = templates(&plan(), [2; 6]);
        assert_eq!(templates.len(), 8);
        for (number, mut template) in (7..).zip(templates) {
            let from: SocketAddr = match template.target {
                SocketAddr::V4(_) => "240.1.2.3:4567",
                SocketAddr::V6(_) => "[3fff:1:2::1]:4567",
            }
            .parse()
            .unwrap();
            template.stamp(from, number);
            let packet = etherparse::SlicedPacket::from_ethernet(&template.bytes).unwrap();
            let Some(etherparse::TransportSlice::Udp(udp)) = &packet.transport else {
                panic!("no UDP")
            };
            let source = match &packet.net {
                Some(etherparse::NetSlice::Ipv4(ip)) => {
                    let header = ip.header().to_header();
                    assert_eq!(header.header_checksum, header.calc_header_checksum());
                    IpAddr::from(header.source)
                }
                Some(etherparse::NetSlice::Ipv6(ip)) => {
                    let (ip, header) = (ip.header().to_header(), udp.to_header());
                    let checksum = header.calc_checksum_ipv6(&ip, udp.payload());
                    assert_eq!(header.checksum, checksum.unwrap());
                    IpAddr::from(ip.source)
                }
                other => panic!("no IP: {other:?}"),
            };
            assert_eq!(SocketAddr::new(source, udp.source_port()), from);
            let message = sip::read(udp.payload()).unwrap();
            assert!(message.branch.ends_with(&format!("{number:08x}")), "{}", message.branch);
        }
    }
}
