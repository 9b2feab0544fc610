//! Listeners: bound before their address is there, and how many connections each has at once, of everybody
//! together and of each source.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use socket2::{Domain, Socket, Type};

const WAITING_MAX: i32 = 1024;

/// Also on an address that the host doesn't have yet: the daemon starts before the network is up.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING_MAX)?;
    Ok(socket.into())
}

#[derive(Debug)]
pub struct Places {
    most: usize,
    most_each: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self { most, most_each, taken: Mutex::default() })
    }

    /// Held for as long as the connection lasts.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&peer).copied().unwrap_or_default();
        if all >= self.most || own >= self.most_each {
            return None;
        }
        taken.insert(peer, own + 1);
        Some(Place { places: self.clone(), peer })
    }
}

/// A connection's place among those that are allowed.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_few() {
        let places = Places::new(9, 8);
        let take = |last: u8| places.take(IpAddr::from([192, 0, 2, last]));
        let mut own: Vec<_> = (0..8).filter_map(|_| take(11)).collect();
        assert_eq!((own.len(), take(11).is_none()), (8, true));
        let other = take(12);
        assert!(other.is_some() && take(13).is_none(), "another one's, and then it is full");
        own.pop();
        assert!(take(11).is_some());
        drop((own, other));
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
