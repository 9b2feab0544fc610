//! Receives syslog messages over UDP, TCP and TLS.
//!
//! A sender over TCP or TLS has shown its address by the handshake, and speaks for the endpoint that this
//! address belongs to. Over UDP any neighbour could write that address into its packets: a message speaks
//! for an endpoint by its token alone, unless the operator vouches for the address. Whoever speaks for
//! nobody is refused and counted.

mod framing;
mod message;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnetwork::IpNetwork;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::filter::Line;
use super::identity::Identity;
use super::lines::LINE_MAX;
use super::tap::{Heard, Tap, Whose};
use crate::config::SyslogTransport;
use framing::Frames;
use tls::Acceptor;

/// Connections of all senders, and of one.
const CONNECTIONS_MAX: usize = 256;
const CONNECTIONS_EACH_MAX: usize = 8;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A sender that says nothing for so long is gone.
const IDLE_TIME: Duration = Duration::from_secs(24 * 3600);
const RETRY: Duration = Duration::from_secs(5);

#[derive(Clone, PartialEq, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    pub transport: SyslogTransport,
    /// Chain and key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub senders: Vec<IpNetwork>,
}

/// What all connections of a listener share.
struct Shared {
    listen: Listen,
    identity: Arc<Identity>,
    tap: Tap,
    heard: mpsc::Sender<Heard>,
    connections: Mutex<HashMap<IpAddr, usize>>,
}

pub(super) async fn receive(
    listen: Listen,
    identity: Arc<Identity>,
    tap: Tap,
    heard: mpsc::Sender<Heard>,
) {
    let shared = Arc::new(Shared { listen, identity, tap, heard, connections: Mutex::default() });
    while !shared.heard.is_closed() {
        let result = match shared.listen.transport {
            SyslogTransport::Udp => datagrams(&shared).await,
            SyslogTransport::Tcp => connections(&shared, None).await,
            SyslogTransport::Tls => match Acceptor::new(shared.listen.certificate.as_ref()) {
                Ok(acceptor) => connections(&shared, Some(acceptor)).await,
                Err(error) => Err(error),
            },
        };
        if let Err(error) = result {
            shared.tap.tally.set_error(Some(error.to_string()));
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn datagrams(shared: &Shared) -> io::Result<()> {
    let socket = UdpSocket::bind(shared.listen.address).await?;
    shared.tap.tally.set_error(None);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let (count, sender) = socket.recv_from(&mut buffer).await?;
        let vouched = shared.listen.senders.iter().any(|network| network.contains(sender.ip()));
        let Some(found) = shared.sift(&buffer[..count], vouched.then_some(sender.ip())) else {
            continue;
        };
        // The socket's buffer is all that may wait: who sends datagrams knows that some get lost.
        if shared.heard.try_send(found).is_err() {
            shared.tap.tally.lost.fetch_add(1, Relaxed);
        }
    }
}

async fn connections(shared: &Arc<Shared>, acceptor: Option<Acceptor>) -> io::Result<()> {
    let listener = TcpListener::bind(shared.listen.address).await?;
    shared.tap.tally.set_error(None);
    loop {
        let (stream, peer) = listener.accept().await?;
        let Some(place) = Place::take(shared, peer.ip()) else {
            shared.tap.tally.refused.fetch_add(1, Relaxed);
            continue;
        };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let shared = place.shared.clone();
            let ended = serve(&shared, stream, peer.ip(), acceptor).await;
            if ended.is_err() {
                shared.tap.tally.refused.fetch_add(1, Relaxed);
            }
            drop(place);
        });
    }
}

async fn serve(
    shared: &Shared,
    stream: TcpStream,
    peer: IpAddr,
    acceptor: Option<Acceptor>,
) -> io::Result<()> {
    match acceptor {
        None => read(shared, stream, peer).await,
        Some(acceptor) => {
            let stream = timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await??;
            read(shared, stream, peer).await
        }
    }
}

async fn read(shared: &Shared, mut from: impl AsyncRead + Unpin, peer: IpAddr) -> io::Result<()> {
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    let mut chunk = vec![0; 16 << 10];
    loop {
        let count = timeout(IDLE_TIME, from.read(&mut chunk)).await??;
        if count == 0 {
            return Ok(());
        }
        let whole =
            frames.take(&chunk[..count], |message| found.extend(shared.sift(message, Some(peer))));
        shared.tap.tally.left_out.fetch_add(frames.take_left_out(), Relaxed);
        for it in found.drain(..) {
            if shared.heard.send(it).await.is_err() {
                return Ok(());
            }
        }
        whole?;
    }
}

impl Shared {
    /// `sender` is an address that is known not to be forged.
    fn sift(&self, bytes: &[u8], sender: Option<IpAddr>) -> Option<Heard> {
        if bytes.len() > LINE_MAX {
            self.tap.tally.left_out.fetch_add(1, Relaxed);
            return None;
        }
        let text = super::lines::text(bytes);
        let message = message::read(&text);
        let whose = match message.as_ref().and_then(|it| it.token.as_deref()) {
            Some(token) => self.identity.by_token(token),
            None => sender.and_then(|address| self.identity.by_address(address)),
        };
        let (Some(message), Some(whose @ Whose::Endpoint(_))) = (message, whose) else {
            self.tap.tally.refused.fetch_add(1, Relaxed);
            return None;
        };
        self.tap.seen();
        self.tap.sift_of(Line { program: Some(message.program), text: message.text }, &whose)
    }
}

/// A connection's place among those that are allowed.
struct Place {
    shared: Arc<Shared>,
    peer: IpAddr,
}

impl Place {
    fn take(shared: &Arc<Shared>, peer: IpAddr) -> Option<Self> {
        let mut taken = shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&peer).copied().unwrap_or_default();
        if all >= CONNECTIONS_MAX || own >= CONNECTIONS_EACH_MAX {
            return None;
        }
        taken.insert(peer, own + 1);
        Some(Self { shared: shared.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}
