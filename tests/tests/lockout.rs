//! Operators who cut themselves off: refused, or back in by themselves, also with the daemon dead.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the test
//! says what is missing. The operator works from the office: an established connection to the host's ssh
//! port, and a process that sshd would have told of it.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    topology::OFFICE,
};

const HOST: &str = "192.0.2.130:22";
/// The office, and what lies next to it.
const OWN: &str = "203.0.113.0/24";
const WITHIN: Duration = Duration::from_secs(3);
const REFUSED: i32 = 6;

/// A login from the office, as the host sees it.
struct Session {
    shell: Child,
    _connection: (TcpStream, TcpListener),
}

impl Session {
    fn open(lab: &Lab) -> Result<Self> {
        let address: SocketAddr = HOST.parse()?;
        let listener = lab.net.host.run(|| TcpListener::bind(address).context("listen"))?;
        let stream = lab.net.office.run(|| TcpStream::connect(address).context("connect"))?;
        let client = stream.local_addr()?;
        let told = format!("{} {} {} {}", client.ip(), client.port(), address.ip(), address.port());
        let mut shell = lab.net.host.command("sleep");
        let shell = shell.arg("300").env("SSH_CONNECTION", told).spawn().context("a shell")?;
        Ok(Self { shell, _connection: (stream, listener) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Can the operator log in?
fn gets_in(lab: &Lab) -> Result<bool> {
    let address: SocketAddr = HOST.parse()?;
    lab.net
        .office
        .run(|| Ok(TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok()))
}

fn comes_back(lab: &Lab) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if gets_in(lab)? {
            println!("back in after {:.1} s", start.elapsed().as_secs_f64());
            return Ok(());
        }
    }
    anyhow::bail!("still cut off after a minute")
}

fn refused(daemon: &Daemon, arguments: &[&str]) -> Result<()> {
    let output = daemon.cli(arguments)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(REFUSED), "{arguments:?}: {complaint}");
    println!("{}", complaint.trim());
    Ok(())
}

fn settings(lines: &[String]) -> Settings {
    let within = format!("confirm_within = \"{}s\"", WITHIN.as_secs());
    Settings { lines: [&[within], lines].concat(), ..Settings::default() }
}

#[test]
fn an_operator_who_denies_their_own_network_is_back_in() -> Result<()> {
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &settings(&[]))? else {
        return Ok(());
    };
    let _session = Session::open(&lab)?;
    let office = OFFICE.v4.into();
    refused(&daemon, &["deny", "add", OWN])?;
    let file = lab.directory().join("deny.csv");
    std::fs::write(&file, format!("IP_ADDRESS\n198.51.100.77\n{OWN}\n"))?;
    let import = ["deny", "import", file.to_str().context("a path")?];
    refused(&daemon, &import)?;
    assert!(gets_in(&lab)? && !daemon.check(office)?.denied, "nothing was done");

    daemon.text(&["deny", "add", OWN, "--confirm"])?;
    assert!(!gets_in(&lab)?);
    println!("{}", daemon.text(&["status"])?);
    comes_back(&lab)?;
    while !daemon.json(&["status"])?["pending"].is_null() {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!daemon.check(office)?.denied);

    // The kernel by itself; the next daemon takes back the rest.
    daemon.text(&["deny", "add", OWN, "--confirm"])?;
    daemon.kill()?;
    assert!(!gets_in(&lab)?);
    comes_back(&lab)?;
    daemon.start()?;
    assert!(gets_in(&lab)? && !daemon.check(office)?.denied);

    daemon.text(&[&import[..], &["--confirm"]].concat())?;
    assert!(!gets_in(&lab)?);
    daemon.text(&["confirm"])?;
    std::thread::sleep(WITHIN + Duration::from_secs(2));
    assert!(!gets_in(&lab)?, "it is what they want");
    assert!(daemon.check("198.51.100.77".parse()?)?.denied);
    Ok(())
}

#[test]
fn countries_that_keep_the_operator_out_wait_too() -> Result<()> {
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &settings(&[]))? else {
        return Ok(());
    };
    let _session = Session::open(&lab)?;
    let database = lab.directory().join("geoip");
    // 198.51.100.0/24
    std::fs::write(&database, "3325256704,3325256959,FR\n")?;
    let geo = [
        format!("geo.databases = [{database:?}]"),
        "geo.mode = \"allow\"".to_owned(),
        "geo.countries = [\"FR\"]".to_owned(),
    ];
    daemon.configure(&settings(&geo))?;
    refused(&daemon, &["reload"])?;
    assert!(gets_in(&lab)?);
    daemon.text(&["reload", "--confirm"])?;
    // It bites after five minutes, and can't be confirmed before.
    refused(&daemon, &["confirm"])?;
    println!("{}", daemon.text(&["confirm", "--cancel"])?);
    daemon.kill()?;
    // The file still says it.
    daemon.start()?;
    assert!(gets_in(&lab)?);
    let status = daemon.text(&["status"])?;
    assert!(status.contains("was not confirmed"), "{status}");
    Ok(())
}
