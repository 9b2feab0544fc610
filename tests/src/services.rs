//! Services beside SIP and their clients: a TFTP server as it is packaged; a web server and a name server
//! that are mocks, since they are to say one thing only.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{namespace::Namespace, process::Process};

/// Programs of this room that aren't there.
pub fn missing() -> Option<String> {
    let programs = ["in.tftpd", "curl", "getent", "timeout", "unshare"];
    let absent = programs.into_iter().filter(|program| path_of(program).is_none());
    let absent: Vec<&str> = absent.collect();
    (!absent.is_empty()).then(|| absent.join(", "))
}

/// in.tftpd is not in everybody's path.
fn path_of(program: &str) -> Option<PathBuf> {
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    places.iter().map(|place| Path::new(place).join(program)).find(|path| path.is_file())
}

fn command(namespace: &Namespace, program: &str) -> Result<Command> {
    Ok(namespace.command(path_of(program).with_context(|| format!("no {program}"))?))
}

/// tftpd-hpa with one file. Dropping it ends it.
#[derive(Debug)]
pub struct TftpServer {
    _process: Process,
}

impl TftpServer {
    pub const FILE: &str = "phone.cfg";

    pub fn start(namespace: &Namespace, directory: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let files = directory.join("tftp");
        fs::create_dir_all(&files).context("make the TFTP directory")?;
        fs::write(files.join(Self::FILE), vec![b'x'; 2000]).context("write the file")?;
        for path in [directory, &files, &files.join(Self::FILE)] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .context("open it to all")?;
        }
        let mut tftpd = command(namespace, "in.tftpd")?;
        tftpd.args(["--listen", "--foreground", "--secure", "--user", "nobody"]).arg(&files);
        let process = Process::start(tftpd, &directory.join("tftpd.log"))?;
        Ok(Self { _process: process })
    }
}

/// Runs curl from `source`; true when it got what it asked for.
pub fn curl_gets(from: &Namespace, source: std::net::IpAddr, url: &str) -> Result<bool> {
    let mut curl = command(from, "curl")?;
    curl.args(["--silent", "--globoff", "--output", "/dev/null", "--max-time", "1"]);
    let status = curl.args(["--interface", &source.to_string(), url]).status();
    Ok(status.context("run curl")?.success())
}

/// A mock on threads of its own, until it is dropped.
#[derive(Debug)]
struct Mock {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Mock {
    fn new() -> Self {
        Self { stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() }
    }

    /// Answers each connection.
    fn accept(&mut self, listener: TcpListener, answer: impl Fn(TcpStream) + Send + 'static) {
        let stop = self.stop.clone();
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => answer(stream),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        }));
    }

    fn receive(&mut self, socket: UdpSocket, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
        let stop = self.stop.clone();
        self.threads.push(std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while !stop.load(Ordering::Relaxed) {
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => drop(socket.send_to(&answer(&buffer[..length]), from)),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        }));
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Says yes to every request, and closes.
#[derive(Debug)]
pub struct WebServer {
    _mock: Mock,
}

impl WebServer {
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let listener = namespace.run(|| listener("[::]:80"))?;
        let mut mock = Mock::new();
        mock.accept(listener, |mut stream| {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        Ok(Self { _mock: mock })
    }
}

/// Knows one address for every name, and pads its answers to a length.
#[derive(Debug)]
pub struct NameServer {
    length: Arc<AtomicUsize>,
    _mock: Mock,
}

impl NameServer {
    pub fn start(namespace: &Namespace, address: std::net::IpAddr) -> Result<Self> {
        let place = SocketAddr::new(address, 53).to_string();
        let (listener, socket) = namespace.run(|| {
            let socket = UdpSocket::bind(&place).context("bind the name server")?;
            socket.set_nonblocking(true).context("make a socket not wait")?;
            Ok((listener(&place)?, socket))
        })?;
        let length = Arc::new(AtomicUsize::new(100));
        let mut mock = Mock::new();
        let wanted = length.clone();
        mock.receive(socket, move |query| answer(query, wanted.load(Ordering::Relaxed)));
        let wanted = length.clone();
        mock.accept(listener, move |stream| {
            let _ = converse(stream, wanted.load(Ordering::Relaxed));
        });
        Ok(Self { length, _mock: mock })
    }

    /// So long are its answers from now on.
    pub fn pads_to(&self, length: usize) {
        self.length.store(length, Ordering::Relaxed);
    }
}

fn listener(place: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(place).with_context(|| format!("listen on {place}"))?;
    listener.set_nonblocking(true).context("make a listener not wait")?;
    Ok(listener)
}

/// All queries of one connection (RFC 1035, 4.2.2).
fn converse(mut stream: TcpStream, length: usize) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    loop {
        let mut before = [0; 2];
        stream.read_exact(&mut before)?;
        let mut query = vec![0; u16::from_be_bytes(before).into()];
        stream.read_exact(&mut query)?;
        let answer = answer(&query, length);
        let before = (answer.len() as u16).to_be_bytes();
        stream.write_all(&[&before[..], &answer].concat())?;
    }
}

/// A well-formed answer of that length: the address asked for, and a TXT record that fills the rest.
fn answer(query: &[u8], length: usize) -> Vec<u8> {
    const NAME: [u8; 2] = [0xc0, 12];
    let question_end =
        query.iter().skip(12).position(|byte| *byte == 0).map_or(12, |at| 12 + at + 5);
    let question = query.get(12..question_end).unwrap_or_default();
    let v6 = question.ends_with(&[0, 28, 0, 1]);
    let record = |kind: u8, data: &[u8]| {
        let length = (data.len() as u16).to_be_bytes();
        [&NAME[..], &[0, kind, 0, 1, 0, 0, 0, 60], &length, data].concat()
    };
    let address = if v6 {
        record(28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9])
    } else {
        record(1, &[192, 0, 2, 99])
    };
    let head = [query.get(..2).unwrap_or_default(), &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 1]].concat();
    let mut answer = [head, question.to_vec(), address].concat();
    let room = length.saturating_sub(answer.len() + 12);
    // Strings of a TXT record have at most 255 bytes, each behind its length.
    let text: Vec<u8> = (0..room)
        .map(|at| if at % 256 == 0 { (room - at - 1).min(255) as u8 } else { b'x' })
        .collect();
    answer.extend(record(16, &text));
    answer
}

/// Whether getaddrinfo finds a name when `server` is the only name server. Over TCP it waits for ever.
pub fn resolves(
    namespace: &Namespace,
    server: std::net::IpAddr,
    options: &str,
    directory: &Path,
) -> Result<bool> {
    let file = directory.join("resolv.conf");
    let text = format!("nameserver {server}\noptions timeout:1 attempts:1 {options}\n");
    fs::write(&file, text).context("write a resolv.conf")?;
    let mut getent = command(namespace, "unshare")?;
    let script =
        "mount --bind \"$0\" /etc/resolv.conf && exec timeout 2 getent ahosts a.name.example";
    let output = getent.args(["--mount", "sh", "-c", script]).arg(&file).output();
    let output = output.context("run getent")?;
    let (found, said) = (String::from_utf8_lossy(&output.stdout), output.stderr);
    ensure!(said.is_empty(), "getent: {}", String::from_utf8_lossy(&said));
    Ok(found.contains("192.0.2.99") && found.contains("2001:db8::9"))
}
