//! Receives syslog messages over UDP, TCP and TLS.
//!
//! A sender over TCP or TLS has shown its address by the handshake, and speaks for the endpoint that this
//! address belongs to. Over UDP any neighbour could write that address into its packets: a message speaks
//! for an endpoint by its token alone, unless the operator vouches for the address. Whoever speaks for
//! nobody is refused and counted.

pub mod framing;
pub mod message;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ipnetwork::IpNetwork;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::filter::Line;
use super::identity::Identity;
use super::lines::LINE_MAX;
use super::tap::{Heard, Tap, Whose};
use crate::config::SyslogTransport;
use crate::places::Places;
use crate::tls::{Acceptor, Files};
use framing::Frames;

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
    pub certificate: Option<Files>,
    pub senders: Vec<IpNetwork>,
}

/// What all connections of a listener share.
struct Shared {
    listen: Listen,
    identity: Arc<Identity>,
    tap: Tap,
    heard: mpsc::Sender<Heard>,
    places: Arc<Places>,
}

pub(super) async fn receive(
    listen: Listen,
    identity: Arc<Identity>,
    tap: Tap,
    heard: mpsc::Sender<Heard>,
) {
    let places = Places::new(CONNECTIONS_MAX, CONNECTIONS_EACH_MAX);
    let shared = Arc::new(Shared { listen, identity, tap, heard, places });
    while !shared.heard.is_closed() {
        let result = match shared.listen.transport {
            SyslogTransport::Udp => datagrams(&shared).await,
            SyslogTransport::Tcp => connections(&shared, None).await,
            SyslogTransport::Tls => match acceptor(&shared.listen) {
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

fn acceptor(listen: &Listen) -> io::Result<Acceptor> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "TLS without a certificate");
    Acceptor::new(listen.certificate.as_ref().ok_or_else(missing)?)
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
    // They end with the listener: whoever may no longer speak must not go on.
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let (stream, peer) = listener.accept().await?;
        let Some(place) = shared.places.take(peer.ip()) else {
            shared.tap.tally.refused.fetch_add(1, Relaxed);
            continue;
        };
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        served.spawn(async move {
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::feed::{filters, hash_of};

    const PBX1: &str = "192.0.2.11";
    const PBX2: &str = "192.0.2.12";
    const LINE: &str =
        "sipprot: rejected REGISTER account 100 from 198.51.100.7 port 4711 over tls";

    fn shared(transport: SyslogTransport) -> (Arc<Shared>, mpsc::Receiver<Heard>) {
        let mut identity = Identity::default();
        for (name, address) in [("pbx1", PBX1), ("pbx2", PBX2)] {
            identity.add(name, &[address.parse().unwrap()], Some(&hash_of(&format!("of {name}"))));
        }
        let filters = filters(&["kamailio".to_owned()]).unwrap();
        let (heard, told) = mpsc::channel(16);
        let shared = Shared {
            listen: Listen {
                address: "127.0.0.1:0".parse().unwrap(),
                transport,
                certificate: None,
                senders: Vec::new(),
            },
            identity: Arc::new(identity),
            tap: Tap::new("syslog", filters, Whose::Host, false),
            heard,
            places: Places::new(CONNECTIONS_MAX, CONNECTIONS_EACH_MAX),
        };
        (Arc::new(shared), told)
    }

    fn modern(data: &str) -> String {
        format!("<28>1 2026-11-22T17:21:03Z pbx kamailio 9 - {data} {LINE}")
    }

    fn whose(heard: Option<Heard>) -> String {
        match heard.map(|it| it.whose) {
            Some(Whose::Endpoint(name)) => name.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn who_speaks_for_whom() {
        let (shared, _told) = shared(SyslogTransport::Udp);
        let token = |name: &str| modern(&format!("[sipprot@32473 token=\"of {name}\"]"));
        let older = format!("<28>Nov 22 17:21:03 pbx kamailio[9]: {LINE}");
        #[rustfmt::skip]
        let table = [
            (modern("-"), Some(PBX1), "pbx1"),
            (older.clone(), Some(PBX2), "pbx2"),
            // A forged sender is none: over UDP nobody has an address.
            (older, None, "None"),
            (token("pbx2"), None, "pbx2"),
            (token("pbx2"), Some(PBX1), "pbx2"),
            // A wrong token is not made good by the address.
            (token("pbx3"), Some(PBX1), "None"),
            (modern("[other@1 token=\"of pbx2\"]"), Some(PBX1), "pbx1"),
            (modern("-"), Some("198.51.100.7"), "None"),
            ("no syslog".to_owned(), Some(PBX1), "None"),
            (format!("<28>sshd[9]: {LINE}"), Some(PBX1), "None"),
        ];
        for (message, sender, expected) in table {
            let sender = sender.map(|address| address.parse().unwrap());
            let found = whose(shared.sift(message.as_bytes(), sender));
            assert_eq!(found, expected, "{message} from {sender:?}");
        }
        assert_eq!(shared.tap.tally.refused.load(Relaxed), 4);
    }

    #[tokio::test]
    async fn a_stream_is_read_to_its_end() {
        let (shared, mut told) = shared(SyslogTransport::Tcp);
        let (mut near, far) = tokio::io::duplex(100);
        let text = modern("-");
        let stream = format!("{} {text}{text}\n{text}\nhalf of one", text.len());
        let writing = tokio::spawn(async move { near.write_all(stream.as_bytes()).await });
        read(&shared, far, PBX1.parse().unwrap()).await.unwrap();
        writing.await.unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(whose(told.try_recv().ok()), "pbx1");
        }
        assert!(told.try_recv().is_err());
    }
}
