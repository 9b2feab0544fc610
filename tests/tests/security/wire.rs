//! Bytes as they go over a connection: what no well-behaved client would say, and all that comes back.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use sipprot_tests::namespace::Namespace;

const CONNECT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// How a conversation ended.
#[derive(Debug)]
pub struct Heard {
    pub text: String,
    /// The other side closed the connection.
    pub closed: bool,
}

impl Heard {
    /// The status of each answer.
    pub fn statuses(&self) -> Vec<u16> {
        let answers = self.text.split("HTTP/1.1 ").skip(1);
        answers.filter_map(|it| it.get(..3)?.parse().ok()).collect()
    }
}

pub fn connect(namespace: &Namespace, to: SocketAddr) -> Result<TcpStream> {
    namespace.run(|| TcpStream::connect_timeout(&to, CONNECT).context("connect"))
}

/// From an address, on a thread that is in the namespace already.
pub fn bound(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)
            .context("make a socket")?;
    socket.bind(&SocketAddr::new(from, 0).into()).context("bind")?;
    socket.connect_timeout(&to.into(), CONNECT).context("connect")?;
    Ok(socket.into())
}

/// Says it, and hears whatever comes until the connection is closed, or nothing more comes for so long.
pub fn say(stream: &mut TcpStream, bytes: &[u8], quiet: Duration) -> Result<Heard> {
    // Who was refused in the middle of it has closed: that is an answer, too.
    let _ = stream.write_all(bytes);
    hear(stream, quiet)
}

pub fn hear(stream: &mut TcpStream, quiet: Duration) -> Result<Heard> {
    stream.set_read_timeout(Some(quiet)).context("set a time-out")?;
    let (mut text, mut buffer) = (String::new(), vec![0; 65_536]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(Heard { text, closed: true }),
            Ok(count) => text += &String::from_utf8_lossy(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Ok(Heard { text, closed: true });
            }
            Err(_) => return Ok(Heard { text, closed: false }),
        }
    }
}

/// Has the other side closed it? What came is thrown away.
pub fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    stream.set_nonblocking(true).is_err()
        || loop {
            match stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
}

/// Keeps saying a little, from time to time, until the other side has closed; after how long.
pub fn drip(
    stream: &mut TcpStream,
    drop: &[u8],
    every: Duration,
    limit: Duration,
) -> Option<Duration> {
    let start = Instant::now();
    let mut next = start;
    while start.elapsed() < limit {
        if is_closed(stream) {
            return Some(start.elapsed());
        }
        if Instant::now() >= next && !drop.is_empty() {
            next += every;
            if stream.write_all(drop).is_err_and(|it| it.kind() != ErrorKind::WouldBlock) {
                return Some(start.elapsed());
            }
        }
        std::thread::sleep(PAUSE);
    }
    None
}
