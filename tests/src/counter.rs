//! SIP that passes an interface towards PBXs, and their answers, told apart by source.
//!
//! A packet tap. In a PBX's namespace, behind the filter, it tells what the PBX itself saw and
//! answered; in the attackers' it tells what they sent. It reads messages rather than packets,
//! since TCP puts many into one segment and splits others, and it pairs each answer with its
//! request, since the 401 that begins every honest registration is no rejection.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::CString,
    net::IpAddr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::{
    namespace::Namespace,
    pbx::SIP_PORT,
    sip::{self, Message, Start, Stream},
    topology::Addresses,
};

/// Room for packets that the tap has not read yet.
const BACKLOG_BYTES: i32 = 64 * 1024 * 1024;
/// Longer than any packet, super-packets included.
const PACKET_BYTES_MAX: usize = 256 * 1024;
const QUIET: Duration = Duration::from_millis(150);
const QUIET_LIMIT: Duration = Duration::from_secs(5);

/// What passed between one source and the PBXs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests, by method.
    pub requests: BTreeMap<String, u64>,
    /// Those of them with credentials.
    pub credentialed: u64,
    /// Responses, by status.
    pub responses: BTreeMap<u16, u64>,
    /// 401, 403 and 407 to requests with credentials: guesses that an attacker got answered.
    pub rejected: u64,
    /// When the first and the last of these were seen.
    pub rejected_at: Option<(Instant, Instant)>,
}

impl Counts {
    pub fn requests_of(&self, method: &str) -> u64 {
        self.requests.get(method).copied().unwrap_or(0)
    }

    pub fn responses_of(&self, status: u16) -> u64 {
        self.responses.get(&status).copied().unwrap_or(0)
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (method, count) in &other.requests {
            *self.requests.entry(method.clone()).or_default() += count;
        }
        for (status, count) in &other.responses {
            *self.responses.entry(*status).or_default() += count;
        }
        self.credentialed += other.credentialed;
        self.rejected += other.rejected;
        self.rejected_at = match (self.rejected_at, other.rejected_at) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }

    /// All requests.
    pub fn all_requests(&self) -> u64 {
        self.requests.values().sum()
    }
}

/// The tap. Dropping it ends its thread.
#[derive(Debug)]
pub struct SipCounter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    tally: Mutex<Tally>,
    lost: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SipCounter {
    /// Counts what passes `interface` to and from port 5060 of these PBXs.
    pub fn start(namespace: &Namespace, interface: &str, pbxs: &[Addresses]) -> Result<Self> {
        let own = pbxs.iter().flat_map(|pbx| [pbx.v4.into(), pbx.v6.into()]).collect();
        let shared = Arc::new(Shared {
            socket: namespace.run(|| open_tap(interface))?,
            tally: Mutex::new(Tally { own, ..Tally::default() }),
            lost: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || listen(&shared))
        };
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What it has counted of `source` so far.
    pub fn of(&self, source: IpAddr) -> Counts {
        self.shared.tally().counts.get(&source).cloned().unwrap_or_default()
    }

    /// Everybody who was seen.
    pub fn all(&self) -> BTreeMap<IpAddr, Counts> {
        self.shared.tally().counts.clone()
    }

    /// Forgets what was counted; connections and open requests stay known.
    pub fn reset(&self) {
        self.shared.tally().counts.clear();
    }

    /// Waits until nothing more comes of `source`, makes sure that no packet was missed, and tells
    /// what there was.
    pub fn settled(&self, source: IpAddr) -> Result<Counts> {
        let start = Instant::now();
        let mut counts = self.of(source);
        while start.elapsed() < QUIET_LIMIT {
            std::thread::sleep(QUIET);
            let now = self.of(source);
            if now == counts {
                break;
            }
            counts = now;
        }
        let shared = &self.shared;
        let missed = packets_lost(&shared.socket);
        let lost = shared.lost.fetch_add(missed, Ordering::Relaxed) + missed;
        ensure!(lost == 0, "the tap missed {lost} packets: its counts are too low");
        Ok(counts)
    }
}

impl Drop for SipCounter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A tap that panicked has already said so.
            drop(thread.join());
        }
    }
}

fn listen(shared: &Shared) {
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    while !shared.stop.load(Ordering::Relaxed) {
        // The socket's receive time-out lets us look at `stop` now and then.
        let fd = shared.socket.as_raw_fd();
        // SAFETY: the buffer is ours and as long as we say.
        let length = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        if let Some(packet) = usize::try_from(length).ok().and_then(|length| buffer.get(..length)) {
            shared.tally().packet(packet);
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    own: Vec<IpAddr>,
    counts: BTreeMap<IpAddr, Counts>,
    /// Requests with credentials: source, Call-ID, CSeq and branch, which the answer repeats.
    credentialed: HashSet<(IpAddr, String)>,
    /// By source, its port, and whether it is the PBX that speaks.
    streams: HashMap<(IpAddr, u16, bool), Stream>,
}

impl Tally {
    fn packet(&mut self, bytes: &[u8]) {
        let Ok(packet) = SlicedPacket::from_ethernet(bytes) else { return };
        let (from, to): (IpAddr, IpAddr) = match &packet.net {
            Some(NetSlice::Ipv4(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            Some(NetSlice::Ipv6(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            _ => return,
        };
        let outgoing = self.own.contains(&from);
        let peer = if outgoing { to } else { from };
        match &packet.transport {
            Some(TransportSlice::Udp(udp)) => {
                let own_port = if outgoing { udp.source_port() } else { udp.destination_port() };
                if own_port == SIP_PORT {
                    self.message(peer, outgoing, udp.payload());
                }
            }
            Some(TransportSlice::Tcp(tcp)) => {
                let (own_port, port) = if outgoing {
                    (tcp.source_port(), tcp.destination_port())
                } else {
                    (tcp.destination_port(), tcp.source_port())
                };
                if own_port == SIP_PORT {
                    let key = (peer, port, outgoing);
                    let mut stream = self.streams.remove(&key).unwrap_or_default();
                    let (number, syn) = (tcp.sequence_number(), tcp.syn());
                    stream.segment(number, syn, tcp.payload(), |message| {
                        self.message(peer, outgoing, message);
                    });
                    self.streams.insert(key, stream);
                }
            }
            _ => {}
        }
    }

    fn message(&mut self, peer: IpAddr, outgoing: bool, bytes: &[u8]) {
        let Some(message) = sip::read(bytes) else { return };
        let counts = self.counts.entry(peer).or_default();
        match message.start {
            Start::Request(method) if !outgoing => {
                *counts.requests.entry(method.to_owned()).or_default() += 1;
                if message.credentialed {
                    counts.credentialed += 1;
                    self.credentialed.insert((peer, transaction(&message)));
                }
            }
            Start::Response(status) if outgoing => {
                *counts.responses.entry(status).or_default() += 1;
                if matches!(status, 401 | 403 | 407)
                    && self.credentialed.contains(&(peer, transaction(&message)))
                {
                    counts.rejected += 1;
                    let now = Instant::now();
                    counts.rejected_at = Some((counts.rejected_at.map_or(now, |at| at.0), now));
                }
            }
            // Calls that the PBX places, and the answers to them, are nobody's attempts.
            Start::Request(_) | Start::Response(_) => {}
        }
    }
}

/// What a response repeats of its request (RFC 3261, 8.2.6.2).
fn transaction(message: &Message<'_>) -> String {
    format!("{}\n{}\n{}", message.call_id, message.cseq, message.branch)
}

fn open_tap(interface: &str) -> Result<OwnedFd> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // With protocol 0 it hears nothing until it is bound to the interface.
    // SAFETY: a plain system call; the descriptor is checked and owned right after.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    ensure!(fd >= 0, "packet socket: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let name = CString::new(interface).context("interface name")?;
    // SAFETY: `name` is a C string that lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    ensure!(index > 0, "no interface {interface}: {}", std::io::Error::last_os_error());
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index as i32;
    // SAFETY: the address is a sockaddr_ll and the length is its own.
    let bound = unsafe {
        let length = size_of::<libc::sockaddr_ll>() as u32;
        libc::bind(fd, (&raw const address).cast(), length)
    };
    ensure!(bound == 0, "bind to {interface}: {}", std::io::Error::last_os_error());
    set_option(&socket, libc::SO_RCVBUFFORCE, &BACKLOG_BYTES)?;
    let pause = libc::timeval { tv_sec: 0, tv_usec: 50_000 };
    set_option(&socket, libc::SO_RCVTIMEO, &pause)?;
    Ok(socket)
}

fn set_option<T>(socket: &OwnedFd, option: i32, value: &T) -> Result<()> {
    // SAFETY: the value lives through the call and the length is its own.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    };
    ensure!(set == 0, "socket option {option}: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Packets that the kernel had no room for since the last call.
fn packets_lost(socket: &OwnedFd) -> u64 {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = size_of::<libc::tpacket_stats>() as u32;
    // SAFETY: the kernel writes at most `length` bytes into a structure of that length.
    let read = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if read == 0 { u64::from(statistics.tp_drops) } else { 0 }
}
