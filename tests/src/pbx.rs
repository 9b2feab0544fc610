//! Kamailio, asking for digest authentication.
//!
//! Accounts are 1000 to 1999, the password of each is [`password`]. The second PBX answers 404 to
//! a REGISTER for anybody else, as many do, which is what svwar needs.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    counter::SipCounter,
    namespace::Namespace,
    process::Process,
    tls,
    topology::{Addresses, Family, INTERFACE, TRUNK, lines},
};

pub const SIP_PORT: u16 = 5060;
pub const SIP_TLS_PORT: u16 = 5061;
/// Where it listens too, if it has [`Manners::second_port`].
pub const SECOND_PORT: u16 = 5070;
const CONFIG: &str = include_str!("pbx.cfg");
const START_LIMIT: Duration = Duration::from_secs(10);

/// The password of an account.
pub fn password(account: u16) -> String {
    format!("secret{account}")
}

/// One running PBX and what is counted at its side of the filter.
#[derive(Debug)]
pub struct Pbx {
    pub addresses: Addresses,
    pub counter: SipCounter,
    namespace: Namespace,
    directory: PathBuf,
    manners: Manners,
    starts: u32,
    process: Process,
}

/// How a PBX differs from its neighbour.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// REGISTER for an unknown user is answered 404 rather than challenged.
    pub unknown_users_404: bool,
    /// Seconds until a nonce is stale.
    pub nonce_expire_s: u32,
    /// Whoever asks in the same second gets the same nonce, as is Kamailio's default.
    pub shared_nonces: bool,
    /// Without rport in the request the answer goes to the port in Via (RFC 3261 18.2.2).
    pub answers_to_via: bool,
    /// It asks the trunk every second whether it is there.
    pub qualifies_trunk: bool,
    /// It logs who failed to authenticate, for those who ban by it.
    pub logs_failures: bool,
    /// It listens on its [`lines`] too, as if each were a tenant's PBX.
    pub many_lines: bool,
    /// It speaks TLS, too, and logs who failed to authenticate as the log feed wants it.
    pub speaks_tls: bool,
    /// It listens on [`SECOND_PORT`] of its IPv4 address too, as if that were another tenant's PBX.
    pub second_port: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            unknown_users_404: false,
            nonce_expire_s: 300,
            shared_nonces: false,
            answers_to_via: false,
            qualifies_trunk: false,
            logs_failures: false,
            many_lines: false,
            speaks_tls: false,
            second_port: false,
        }
    }
}

impl Manners {
    fn defines(self) -> String {
        let names = [
            (self.unknown_users_404, "UNKNOWN_USERS_404"),
            (!self.shared_nonces, "NONCES_OF_ONE_SOURCE"),
            (!self.answers_to_via, "FORCE_RPORT"),
            (self.qualifies_trunk, "QUALIFY_TRUNK"),
            (self.logs_failures, "LOG_FAILURES"),
            (self.speaks_tls, "SPEAK_TLS"),
            (self.speaks_tls, "TELL_FAILURES"),
        ];
        let wanted = names.into_iter().filter(|(wanted, _)| *wanted);
        wanted.map(|(_, name)| format!("#!define {name}\n")).collect()
    }
}

impl Pbx {
    /// Starts it and waits until it answers on UDP and TCP, IPv4 and IPv6.
    pub fn start(
        namespace: &Namespace,
        addresses: Addresses,
        manners: Manners,
        directory: &Path,
    ) -> Result<Self> {
        std::fs::create_dir_all(directory).context("make the PBX's directory")?;
        if manners.many_lines {
            let add = |line: Ipv4Addr| format!("addr add {line}/25 dev {INTERFACE}\n");
            namespace.ip(&lines().map(add).collect::<String>())?;
        }
        let counter = SipCounter::start(namespace, INTERFACE, &[addresses])?;
        let process = run(namespace, addresses, manners, directory, 1)?;
        let (namespace, directory) = (namespace.clone(), directory.to_owned());
        let mut pbx =
            Self { addresses, counter, namespace, directory, manners, starts: 1, process };
        pbx.wait_until_it_answers()?;
        Ok(pbx)
    }

    /// It crashes. Phones get no answer, not even an ICMP error: as if the whole guest were gone.
    pub fn crash(&mut self) -> Result<()> {
        self.namespace.ip(&format!("link set {INTERFACE} down\n"))?;
        self.process.kill();
        Ok(())
    }

    /// After a crash: with a new secret, so that no nonce of before is its own, and no registrations.
    pub fn start_again(&mut self) -> Result<()> {
        self.starts += 1;
        crate::topology::reconnect_pbx(&self.namespace, self.addresses)?;
        self.process =
            run(&self.namespace, self.addresses, self.manners, &self.directory, self.starts)?;
        self.wait_until_it_answers()
    }

    /// Where to send SIP to.
    pub fn sip(&self, family: Family) -> SocketAddr {
        SocketAddr::new(self.addresses.of(family), SIP_PORT)
    }

    /// Where it says what it says.
    pub fn log_file(&self) -> PathBuf {
        log_file(&self.directory, self.starts)
    }

    /// What it said on its log.
    pub fn log(&self) -> String {
        self.process.output()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        let [v4, v6] = [self.sip(Family::V4), self.sip(Family::V6)];
        let answers = || -> Result<bool> { Ok(is_there(v4)? && is_there(v6)?) };
        while !self.namespace.run(answers)? {
            if let Some(status) = self.process.ended()? {
                bail!("kamailio ended with {status}: {}", self.process.last_words());
            }
            if start.elapsed() > START_LIMIT {
                bail!("kamailio does not answer: {}", self.process.last_words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Whether somebody accepts TCP and answers an OPTIONS over UDP, within a short moment.
fn is_there(to: SocketAddr) -> Result<bool> {
    let own = SocketAddr::new(to.ip(), 0);
    let accepts = TcpStream::connect_timeout(&to, Duration::from_millis(200)).is_ok();
    Ok(accepts && answers_options(own, to)?)
}

/// Whether somebody answers an OPTIONS over UDP, within a short moment.
pub fn answers_options(from: SocketAddr, to: SocketAddr) -> Result<bool> {
    let socket = UdpSocket::bind(from).context("bind for OPTIONS")?;
    socket.set_read_timeout(Some(Duration::from_millis(200))).context("set a time-out")?;
    let from = socket.local_addr().context("own address")?;
    let options = format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKready;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:ready@{to}>;tag=1\r\nTo: <sip:{to}>\r\n\
         Call-ID: ready@{from}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    if socket.send_to(options.as_bytes(), to).is_err() {
        return Ok(false);
    }
    Ok(socket.recv(&mut [0; 2048]).is_ok())
}

fn run(
    namespace: &Namespace,
    addresses: Addresses,
    manners: Manners,
    directory: &Path,
    start: u32,
) -> Result<Process> {
    if manners.speaks_tls {
        tls::certificate(directory, "pbx")?;
    }
    let config_file = directory.join("kamailio.cfg");
    std::fs::write(&config_file, config(addresses, manners, start, directory))
        .context("write kamailio.cfg")?;
    let trunks = format!("1 sip:{}:{SIP_PORT}\n", TRUNK.v4);
    std::fs::write(directory.join("trunks"), trunks).context("write the list of trunks")?;
    let mut command = namespace.command("kamailio");
    command.arg("-f").arg(&config_file).args(["-DD", "-E", "-m", "64", "-M", "8"]);
    command.arg("-w").arg(directory).arg("-Y").arg(directory);
    Process::start(command, &log_file(directory, start))
}

fn log_file(directory: &Path, start: u32) -> PathBuf {
    directory.join(format!("kamailio-{start}.log"))
}

fn config(addresses: Addresses, manners: Manners, start: u32, directory: &Path) -> String {
    let listen = |line: Ipv4Addr| format!("listen=udp:{line}:{SIP_PORT}\n");
    let mut lines: String = lines().filter(|_| manners.many_lines).map(listen).collect();
    if manners.second_port {
        lines += &format!("listen=udp:{}:{SECOND_PORT}\n", addresses.v4);
    }
    let text = CONFIG
        .replace("@V4@", &addresses.v4.to_string())
        .replace("@V6@", &addresses.v6.to_string())
        .replace("@TRUNK_V4@", &TRUNK.v4.to_string())
        .replace("@TRUNK_V6@", &TRUNK.v6.to_string())
        .replace("@NONCE_EXPIRE@", &manners.nonce_expire_s.to_string())
        .replace("@SECRET@", &format!("nonces {start} of {}", addresses.v4))
        .replace("@DIRECTORY@", &directory.display().to_string())
        .replace("@LINES@\n", &lines);
    // Kamailio wants its own mark on the first line.
    text.replacen("#!KAMAILIO\n", &format!("#!KAMAILIO\n{}", manners.defines()), 1)
}
