//! TLS as openssl's command speaks it: a certificate, and a client that says lines and hears the answers.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{namespace::Namespace, process::Process};

/// Makes `NAME.pem` and `NAME.key` in a directory, if they aren't there.
pub fn certificate(directory: &Path, name: &str) -> Result<()> {
    certificate_with(directory, name, &[])
}

/// The same for a server that clients know by its address.
pub fn certificate_of(directory: &Path, name: &str, address: IpAddr) -> Result<()> {
    let named = format!("subjectAltName=IP:{address}");
    let server = "basicConstraints=critical,CA:FALSE";
    certificate_with(directory, name, &["-addext", &named, "-addext", server])
}

fn certificate_with(directory: &Path, name: &str, more: &[&str]) -> Result<()> {
    let (chain, key) =
        (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
    if chain.exists() {
        return Ok(());
    }
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    command.args(more);
    command.args(["-days", "2", "-subj", "/CN=pbx.example", "-out"]).arg(&chain);
    let output = command.arg("-keyout").arg(&key).output().context("run openssl")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl req: {}", complaint.trim());
    Ok(())
}

/// Gives the files of a directory to whoever asks, over TLS; dropping it ends it.
#[derive(Debug)]
pub struct FileServer {
    _process: Process,
}

impl FileServer {
    /// With `NAME.pem` and `NAME.key` of another directory.
    pub fn start(
        namespace: &Namespace,
        port: u16,
        files: &Path,
        (certificates, name): (&Path, &str),
    ) -> Result<Self> {
        let mut command = namespace.command("openssl");
        command.args(["s_server", "-WWW", "-quiet", "-accept", &port.to_string()]);
        command.arg("-cert").arg(certificates.join(format!("{name}.pem")));
        command.arg("-key").arg(certificates.join(format!("{name}.key"))).current_dir(files);
        let log = certificates.join(format!("{name}-server.log"));
        Ok(Self { _process: Process::start(command, &log)? })
    }
}

/// A connection; dropping it ends it.
#[derive(Debug)]
pub struct Client {
    child: Child,
    says: ChildStdin,
    hears: Receiver<Vec<u8>>,
    heard: String,
}

impl Client {
    pub fn connect(namespace: &Namespace, from: IpAddr, to: SocketAddr) -> Result<Self> {
        let mut command = namespace.command("openssl");
        command.args(["s_client", "-quiet", "-verify_quiet", "-connect", &to.to_string()]);
        command.args(["-bind", &SocketAddr::new(from, 0).to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("run openssl")?;
        let says = child.stdin.take().context("openssl's stdin")?;
        let mut stdout = child.stdout.take().context("openssl's stdout")?;
        let (sender, hears) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, says, hears, heard: String::new() })
    }

    pub fn say(&mut self, text: &str) -> Result<()> {
        self.says.write_all(text.as_bytes()).context("write to openssl")?;
        self.says.flush().context("write to openssl")
    }

    /// Hears up to this text; an error if it doesn't come in time.
    pub fn hear(&mut self, end: &str, limit: Duration) -> Result<String> {
        let start = Instant::now();
        loop {
            if let Some(at) = self.heard.find(end) {
                let rest = self.heard.split_off(at + end.len());
                return Ok(std::mem::replace(&mut self.heard, rest));
            }
            let left = limit.saturating_sub(start.elapsed());
            match self.hears.recv_timeout(left) {
                Ok(bytes) => self.heard += &String::from_utf8_lossy(&bytes),
                Err(_) => bail!("in vain waited for {end:?}, heard {:?}", self.heard),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
