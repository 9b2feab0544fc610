//! Numbered datagrams from one namespace to another, and which of them never came.
//!
//! Its port is one where no PBX listens and nothing is limited: only a list or a block drops there.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;

const PORT: u16 = 40_000;
/// As long as a packet of a call: 20 ms of G.711.
const LENGTH: usize = 172;
/// Room for some seconds of all that is sent.
static BUFFER: i32 = 64 << 20;
const PAUSE: Duration = Duration::from_micros(500);
/// A sender that was kept waiting doesn't send all at once what it owes: a veth pair queues 256 frames,
/// and what finds no room there never comes to a filter.
const BURST_MAX: u64 = 32;

/// A stream of datagrams. Dropping it ends it.
pub struct Sender {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    pub fn start(
        from: &Namespace,
        source: Ipv4Addr,
        target: Ipv4Addr,
        per_second: u64,
    ) -> Result<Self> {
        let socket = from.run(|| UdpSocket::bind((source, 0)).context("bind a sender"))?;
        socket.connect((target, PORT)).context("connect a sender")?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || send(&socket, &stop, &sent, per_second))
        };
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    /// How many were sent.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.sent.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.end();
    }
}

fn send(socket: &UdpSocket, stop: &AtomicBool, sent: &AtomicU64, per_second: u64) {
    let start = Instant::now();
    let mut message = [0; LENGTH];
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_micros() as u64 * per_second / 1_000_000;
        let due = due.min(number + BURST_MAX);
        while number < due {
            message[..8].copy_from_slice(&number.to_be_bytes());
            // What the sender's own queue refuses was never on the wire: it keeps its number.
            if socket.send(&message).is_err() {
                break;
            }
            number += 1;
            sent.store(number, Ordering::Relaxed);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What came of one source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrived {
    pub count: u64,
    /// The longest time between two that came and aren't neighbours.
    silence: Duration,
    next: u64,
    last: Option<Instant>,
}

impl Arrived {
    pub fn missing(&self, sent: u64) -> u64 {
        sent - self.count
    }

    /// How long nothing came through. There is no gap where some only overtook others.
    pub fn gap(&self, sent: u64) -> Duration {
        if self.missing(sent) == 0 { Duration::ZERO } else { self.silence }
    }
}

/// Listens at a PBX.
pub struct Receiver {
    stop: Arc<AtomicBool>,
    arrived: Arc<Mutex<HashMap<Ipv4Addr, Arrived>>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub fn start(at: &Namespace, address: Ipv4Addr) -> Result<Self> {
        let socket = at.run(|| UdpSocket::bind((address, PORT)).context("bind the receiver"))?;
        // SAFETY: reads one integer that lives through the call.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUFFORCE,
                (&raw const BUFFER).cast(),
                size_of::<i32>() as u32,
            )
        };
        ensure!(done == 0, "a buffer of {BUFFER} bytes: {}", std::io::Error::last_os_error());
        socket.set_read_timeout(Some(Duration::from_millis(20))).context("set a time-out")?;
        let (stop, arrived) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let thread = {
            let (stop, arrived) = (Arc::clone(&stop), Arc::clone(&arrived));
            std::thread::spawn(move || receive(&socket, &stop, &arrived))
        };
        Ok(Self { stop, arrived, thread: Some(thread) })
    }

    /// What has come of a source since it was last forgotten.
    pub fn of(&self, source: Ipv4Addr) -> Arrived {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.get(&source).copied().unwrap_or_default()
    }

    pub fn forget(&self) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn receive(socket: &UdpSocket, stop: &AtomicBool, all: &Mutex<HashMap<Ipv4Addr, Arrived>>) {
    let mut message = [0; LENGTH];
    while !stop.load(Ordering::Relaxed) {
        let Ok((LENGTH, SocketAddr::V4(source))) = socket.recv_from(&mut message) else { continue };
        let number = u64::from_be_bytes(std::array::from_fn(|at| message[at]));
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        note(all.entry(*SocketAddrV4::ip(&source)).or_default(), number, Instant::now());
    }
}

/// A silence counts only where something is missing: the sender may have been late.
fn note(arrived: &mut Arrived, number: u64, now: Instant) {
    if let Some(last) = arrived.last
        && number != arrived.next
    {
        arrived.silence = arrived.silence.max(now - last);
    }
    arrived.count += 1;
    arrived.next = number + 1;
    arrived.last = Some(now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_number_makes_a_silence() {
        let mut arrived = Arrived::default();
        let start = Instant::now();
        for (number, millis) in [(0, 0), (1, 50), (2, 60), (5, 90), (6, 190)] {
            note(&mut arrived, number, start + Duration::from_millis(millis));
        }
        assert_eq!((arrived.missing(7), arrived.gap(7)), (2, Duration::from_millis(30)));
        assert_eq!(arrived.gap(5), Duration::ZERO);
    }
}
