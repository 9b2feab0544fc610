//! The cracker's sockets: never blocking, so that a peer that falls silent can't hold it.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Plan, Transport};
use crate::sip::{self, Start};

/// What fits whole into a segment on any of the lab's links.
const SEGMENT_BYTES_MAX: usize = 1300;
const READ_BYTES: usize = 64 * 1024;
/// The longest nap while waiting: then deadlines are looked at again.
const NAP: Duration = Duration::from_millis(20);

pub(super) struct Socket {
    transport: Transport,
    /// One, or for UDP several that take turns.
    fds: Vec<OwnedFd>,
    locals: Vec<SocketAddr>,
    buffer: Vec<u8>,
    stream: Vec<u8>,
    closed: bool,
    /// When the peer last took something off our hands.
    progress: Instant,
    /// What the 401 to the first REGISTER (CSeq 1) asks for.
    pub(super) challenge: Option<String>,
    /// Answers to guesses (CSeq above 1), by status.
    pub(super) answers: BTreeMap<u16, u32>,
    pub(super) last_answer: Option<Instant>,
}

impl Socket {
    /// Bound and connected; `None` if nobody lets us connect before the deadline.
    pub(super) fn open(plan: &Plan, deadline: Instant) -> Result<Option<Self>> {
        let mut socket = Self {
            transport: plan.transport,
            fds: Vec::new(),
            locals: Vec::new(),
            buffer: vec![0; READ_BYTES],
            stream: Vec::new(),
            closed: false,
            progress: Instant::now(),
            challenge: None,
            answers: BTreeMap::new(),
            last_answer: None,
        };
        let count = if plan.transport == Transport::Udp { plan.source_ports.max(1) } else { 1 };
        for n in 0..count {
            let port = if plan.source_port == 0 { 0 } else { plan.source_port + n };
            let from = SocketAddr::new(plan.source, port);
            let opened = match plan.transport {
                Transport::Udp => Some(udp(from, plan.target)?),
                Transport::Tcp => tcp(from, plan.target, deadline)?,
            };
            let Some((fd, local)) = opened else { return Ok(None) };
            socket.fds.push(fd);
            socket.locals.push(local);
        }
        socket.progress = Instant::now();
        Ok(Some(socket))
    }

    /// From where the nth message will come.
    pub(super) fn local(&self, n: u32) -> SocketAddr {
        self.locals[n as usize % self.locals.len()]
    }

    /// Sends messages until all are with the kernel, the deadline is there, or the peer has taken
    /// nothing for as long as the plan's patience; returns how many.
    pub(super) fn send_all(
        &mut self,
        plan: &Plan,
        messages: &[Vec<u8>],
        deadline: Instant,
    ) -> Result<u32> {
        let packets = match self.transport {
            Transport::Udp => messages.to_vec(),
            Transport::Tcp => segments(messages, plan.segment_bytes),
        };
        let start = Instant::now();
        let (mut bytes, mut ends) = (0, ends(messages));
        let mut whole = 0;
        for (n, packet) in packets.iter().enumerate() {
            if !self.send(n % self.fds.len(), packet, plan.patience, deadline)? {
                break;
            }
            bytes += packet.len();
            while ends.next_if(|end| *end <= bytes).is_some() {
                whole += 1;
            }
            self.read()?;
            if let Some(per_second) = plan.per_second {
                let due = start + Duration::from_secs(1) * whole / per_second.max(1);
                self.wait_until(due.min(deadline))?;
            }
        }
        Ok(whole)
    }

    /// Sends one packet; false when it can't be.
    fn send(
        &mut self,
        at: usize,
        packet: &[u8],
        patience: Duration,
        deadline: Instant,
    ) -> Result<bool> {
        let mut rest = packet;
        while !rest.is_empty() {
            match send(&self.fds[at], rest) {
                Ok(length) => {
                    self.progress = Instant::now();
                    rest = &rest[length..];
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let now = Instant::now();
                    if now > deadline || now > self.progress + patience {
                        return Ok(false);
                    }
                    self.poll(libc::POLLIN | libc::POLLOUT, NAP)?;
                    self.read()?;
                }
                // An ICMP error about an earlier datagram is shown once; then UDP goes on.
                Err(_) if self.transport == Transport::Udp && Instant::now() < deadline => {}
                Err(_) => return Ok(false),
            }
            if self.closed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for the challenge.
    pub(super) fn wait_for_challenge(&mut self, until: Instant) -> Result<Option<&str>> {
        while self.challenge.is_none() && !self.closed && Instant::now() < until {
            self.poll(libc::POLLIN, NAP)?;
            self.read()?;
        }
        Ok(self.challenge.as_deref())
    }

    /// Listens until nothing has come for `patience`.
    pub(super) fn listen(&mut self, patience: Duration, deadline: Instant) -> Result<()> {
        let start = Instant::now();
        while !self.closed {
            let until = self.last_answer.unwrap_or(start).max(start) + patience;
            if Instant::now() >= until.min(deadline) {
                break;
            }
            self.poll(libc::POLLIN, NAP)?;
            self.read()?;
        }
        Ok(())
    }

    fn wait_until(&mut self, due: Instant) -> Result<()> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                return Ok(());
            }
            self.poll(libc::POLLIN, left.min(NAP))?;
            self.read()?;
        }
    }

    /// Reads what is there, and counts it.
    fn read(&mut self) -> Result<()> {
        for at in 0..self.fds.len() {
            while !self.closed {
                let length = match receive(&self.fds[at], &mut self.buffer) {
                    Ok(0) | Err(ErrorKind::ConnectionReset) if self.transport == Transport::Tcp => {
                        self.closed = true;
                        break;
                    }
                    Ok(length) => length,
                    Err(ErrorKind::WouldBlock) => break,
                    // An ICMP error, as in `send`.
                    Err(_) => continue,
                };
                if self.transport == Transport::Tcp {
                    // Acknowledged at once: the peer may wait for room in a tiny window.
                    set_option(&self.fds[at], libc::IPPROTO_TCP, libc::TCP_QUICKACK, &1_i32)?;
                    self.stream.extend_from_slice(&self.buffer[..length]);
                } else {
                    self.stream.clear();
                    self.stream.extend_from_slice(&self.buffer[..length]);
                }
                let mut stream = std::mem::take(&mut self.stream);
                sip::take_messages(&mut stream, |message| self.count(message));
                self.stream = stream;
            }
        }
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        let Some(message) = sip::read(bytes) else { return };
        let Start::Response(status) = message.start else { return };
        if message.cseq.starts_with("1 ") {
            self.challenge = message.challenge.map(str::to_owned);
        } else {
            *self.answers.entry(status).or_default() += 1;
            self.last_answer = Some(Instant::now());
        }
    }

    fn poll(&self, events: i16, limit: Duration) -> Result<()> {
        let mut fds: Vec<libc::pollfd> = self
            .fds
            .iter()
            .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 })
            .collect();
        let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array is ours and as long as we say.
        let polled = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit_ms) };
        let error = io::Error::last_os_error();
        ensure!(polled >= 0 || error.kind() == ErrorKind::Interrupted, "poll: {error}");
        Ok(())
    }
}

/// Where each message ends in the stream of all.
fn ends(messages: &[Vec<u8>]) -> std::iter::Peekable<impl Iterator<Item = usize>> {
    messages
        .iter()
        .scan(0, |end, message| {
            *end += message.len();
            Some(*end)
        })
        .peekable()
}

/// The stream cut at odd places, or packed so that each segment holds whole messages.
fn segments(messages: &[Vec<u8>], segment_bytes: Option<usize>) -> Vec<Vec<u8>> {
    if let Some(bytes) = segment_bytes {
        return messages.concat().chunks(bytes.max(1)).map(<[u8]>::to_vec).collect();
    }
    let mut packed: Vec<Vec<u8>> = Vec::new();
    for message in messages {
        match packed.last_mut() {
            Some(last) if last.len() + message.len() <= SEGMENT_BYTES_MAX => {
                last.extend_from_slice(message);
            }
            _ => packed.push(message.clone()),
        }
    }
    packed
}

fn udp(from: SocketAddr, to: SocketAddr) -> Result<(OwnedFd, SocketAddr)> {
    let socket = UdpSocket::bind(from).with_context(|| format!("bind to {from}"))?;
    socket.connect(to).with_context(|| format!("connect to {to}"))?;
    socket.set_nonblocking(true).context("make the socket non-blocking")?;
    let local = socket.local_addr().context("own address")?;
    Ok((socket.into(), local))
}

/// Bound to a source before it connects, which the standard library can't.
fn tcp(
    from: SocketAddr,
    to: SocketAddr,
    deadline: Instant,
) -> Result<Option<(OwnedFd, SocketAddr)>> {
    let family = if from.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let flags = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: a plain system call; the descriptor is checked and owned right after.
    let fd = unsafe { libc::socket(family, flags, 0) };
    ensure!(fd >= 0, "TCP socket: {}", io::Error::last_os_error());
    // SAFETY: the descriptor is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Closing resets: nothing of ours stays in the kernel to be sent again and again.
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    set_option(&fd, libc::SOL_SOCKET, libc::SO_LINGER, &linger)?;
    set_option(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1_i32)?;
    let (address, length) = socket_address(from);
    // SAFETY: the address lives through the call and has at least `length` bytes.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    ensure!(bound == 0, "bind to {from}: {}", io::Error::last_os_error());
    let (address, length) = socket_address(to);
    // SAFETY: as for bind. The connection is under way when this returns.
    unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), length) };
    let stream = TcpStream::from(fd);
    while Instant::now() < deadline {
        if stream.peer_addr().is_ok() {
            let local = stream.local_addr().context("own address")?;
            return Ok(Some((stream.into(), local)));
        }
        if stream.take_error().context("state of the connection")?.is_some() {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

fn socket_address(address: SocketAddr) -> (libc::sockaddr_in6, u32) {
    // SAFETY: all-zero is a valid sockaddr_in6.
    let mut storage: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    match address.ip() {
        IpAddr::V6(ip) => {
            storage.sin6_family = libc::AF_INET6 as u16;
            storage.sin6_port = address.port().to_be();
            storage.sin6_addr.s6_addr = ip.octets();
            (storage, size_of::<libc::sockaddr_in6>() as u32)
        }
        IpAddr::V4(ip) => {
            // A sockaddr_in: family and port lie where a sockaddr_in6 has them, then the address.
            storage.sin6_family = libc::AF_INET as u16;
            storage.sin6_port = address.port().to_be();
            storage.sin6_flowinfo = u32::from_ne_bytes(ip.octets());
            (storage, size_of::<libc::sockaddr_in>() as u32)
        }
    }
}

fn set_option<T>(fd: &OwnedFd, level: i32, option: i32, value: &T) -> Result<()> {
    // SAFETY: the value lives through the call and the length is its own.
    let set = unsafe {
        let length = size_of::<T>() as u32;
        libc::setsockopt(fd.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length)
    };
    ensure!(set == 0, "socket option {option}: {}", io::Error::last_os_error());
    Ok(())
}

/// MSG_EOR ends a record: over TCP the kernel merges nothing that follows into the same segment.
fn send(fd: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_EOR | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the buffer is ours and as long as we say.
    let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
    // SAFETY: the buffer is ours and as long as we say.
    let length = unsafe {
        let flags = libc::MSG_DONTWAIT;
        libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags)
    };
    usize::try_from(length).map_err(|_| io::Error::last_os_error().kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_to_a_segment_unless_split() {
        let messages = vec![vec![1; 600], vec![2; 600], vec![3; 600]];
        let sizes =
            |segments: Vec<Vec<u8>>| -> Vec<usize> { segments.iter().map(Vec::len).collect() };
        assert_eq!(sizes(segments(&messages, None)), [1200, 600]);
        assert_eq!(sizes(segments(&messages, Some(700))), [700, 700, 400]);
        assert_eq!(ends(&messages).collect::<Vec<_>>(), [600, 1200, 1800]);
    }
}
