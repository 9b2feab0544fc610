//! Kamailio, asking for digest authentication.
//!
//! Accounts are 1000 to 1999, the password of each is [`password`]. The second PBX answers 404 to
//! a REGISTER for anybody else, as many do, which is what svwar needs.

use std::{
    net::{SocketAddr, TcpStream, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    counter::SipCounter,
    namespace::Namespace,
    process::Process,
    topology::{Addresses, Family, INTERFACE, TRUNK},
};

pub const SIP_PORT: u16 = 5060;
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
    process: Process,
}

/// How a PBX differs from its neighbour.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// REGISTER for an unknown user is answered 404 rather than challenged.
    pub unknown_users_404: bool,
    /// Seconds until a nonce is stale.
    pub nonce_expire_s: u32,
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
        let config_file = directory.join("kamailio.cfg");
        std::fs::write(&config_file, config(addresses, manners)).context("write kamailio.cfg")?;
        let counter = SipCounter::start(namespace, INTERFACE, &[addresses])?;
        let mut command = namespace.command("kamailio");
        command.arg("-f").arg(&config_file).args(["-DD", "-E", "-m", "64", "-M", "8"]);
        command.arg("-w").arg(directory).arg("-Y").arg(directory);
        let process = Process::start(command, &directory.join("kamailio.log"))?;
        let mut pbx = Self { addresses, counter, namespace: namespace.clone(), process };
        pbx.wait_until_it_answers()?;
        Ok(pbx)
    }

    /// Where to send SIP to.
    pub fn sip(&self, family: Family) -> SocketAddr {
        SocketAddr::new(self.addresses.of(family), SIP_PORT)
    }

    /// What it said on its log.
    pub fn log(&self) -> String {
        self.process.output()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        let [v4, v6] = [self.sip(Family::V4), self.sip(Family::V6)];
        let answers = || -> Result<bool> { Ok(answers_options(v4)? && answers_options(v6)?) };
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
fn answers_options(to: SocketAddr) -> Result<bool> {
    if TcpStream::connect_timeout(&to, Duration::from_millis(200)).is_err() {
        return Ok(false);
    }
    let socket = UdpSocket::bind((to.ip(), 0)).context("bind for OPTIONS")?;
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

fn config(addresses: Addresses, manners: Manners) -> String {
    let define = if manners.unknown_users_404 { "#!define UNKNOWN_USERS_404\n" } else { "" };
    let text = CONFIG
        .replace("@V4@", &addresses.v4.to_string())
        .replace("@V6@", &addresses.v6.to_string())
        .replace("@TRUNK_V4@", &TRUNK.v4.to_string())
        .replace("@TRUNK_V6@", &TRUNK.v6.to_string())
        .replace("@NONCE_EXPIRE@", &manners.nonce_expire_s.to_string())
        .replace("@SECRET@", &format!("the nonces of {}", addresses.v4));
    // Kamailio wants its own mark on the first line.
    text.replacen("#!KAMAILIO\n", &format!("#!KAMAILIO\n{define}"), 1)
}
