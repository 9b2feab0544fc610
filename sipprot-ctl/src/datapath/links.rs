//! Interfaces that come and change, told by the kernel as it happens: an interface that appears while the host
//! boots is to be filtered before its first packet.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use tokio::io::unix::AsyncFd;

use super::netlink;

const RTMGRP_LINK: u32 = 1;
/// Enough for the longest message of the kernel's.
const BUFFER: usize = 65_536;

/// Who listens to rtnetlink's group of links.
pub struct LinkWatch {
    socket: AsyncFd<OwnedFd>,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Links {
    Named(Vec<String>),
    /// More than could be told.
    Any,
}

impl Links {
    pub fn concern(&self, interfaces: &[String]) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| interfaces.contains(name)),
            Self::Any => true,
        }
    }
}

impl LinkWatch {
    /// Within a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: a plain socket; the descriptor is ours.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: an address is plain integers: all zeroes is a value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = RTMGRP_LINK;
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the address is of the length that is told.
        if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: an owned descriptor stays the same for as long as it lives.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(Self { socket })
    }

    /// Waits for a change. Cancelling it while it waits loses nothing.
    pub async fn changed(&self) -> io::Result<Links> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| read(socket.as_raw_fd())) {
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Links::Any);
                }
                Ok(links) => return links.map(Links::Named),
                Err(_would_block) => {}
            }
        }
    }
}

/// The interfaces that one datagram names.
fn read(socket: i32) -> io::Result<Vec<String>> {
    let mut buffer = vec![0u8; BUFFER];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let received = unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    netlink::link_names(&buffer[..received as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_concerns() {
        let wanted = ["eth0".to_owned()];
        let named = |name: &str| Links::Named(vec![name.to_owned()]);
        assert!(named("eth0").concern(&wanted));
        assert!(!named("veth7").concern(&wanted));
        assert!(Links::Any.concern(&wanted));
    }
}
