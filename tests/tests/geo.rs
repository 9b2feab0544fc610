//! Countries by the real database (Debian's tor-geoipdb), in which the lab's own addresses are given a
//! country: one is let in, all others are kept out, and whom the PBX asked answers all the same.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the
//! test says what is missing.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData};
use sipprot_common::abi::{ABI_VERSION, Policy, maps};
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    namespace::Namespace,
    office::PHONES,
    pbx::Manners,
    topology::{Addresses, OFFICE, PBXS, UPLINK},
    usage,
};

const DATABASES: [&str; 2] = ["/usr/share/tor/geoip", "/usr/share/tor/geoip6"];
/// The lab is in no database: the office is in Germany, the attackers are in Japan.
const LAB: &str = "203.0.113.0,203.0.113.255,DE\n198.51.100.0,198.51.100.255,JP\n";
const SECOND_UPLINK: &str = "up1";
const PATIENCE: Duration = Duration::from_millis(700);
const LIMIT: Duration = Duration::from_secs(20);
const MAIL: &[u8] = &[b'm'; 256 << 10];

/// One who sits abroad, and the PBX.
struct Ends<'a> {
    lab: &'a Lab,
    foreign: IpAddr,
}

impl Ends<'_> {
    fn abroad(&self) -> &Namespace {
        &self.lab.net.attackers
    }

    fn pbx(&self) -> &Namespace {
        &self.lab.net.pbxs[0]
    }

    /// Does a datagram from abroad arrive? If it does, the PBX answers it.
    fn knocks(&self, port: u16) -> Result<bool> {
        let at: SocketAddr = (PBXS[0].v4, 7000 + port).into();
        let listener = self.pbx().run(|| UdpSocket::bind(at).context("listen"))?;
        listener.set_read_timeout(Some(PATIENCE))?;
        let from = (self.foreign, 4000 + port);
        let sender = self.abroad().run(|| UdpSocket::bind(from).context("bind abroad"))?;
        sender.send_to(b"knock", at)?;
        match listener.recv_from(&mut [0; 16]) {
            Ok((_, from)) => listener.send_to(b"who is it?", from).map(|_| true).context("answer"),
            Err(_) => Ok(false),
        }
    }

    /// Does a connection from abroad come about?
    fn connects(&self) -> Result<bool> {
        let at: SocketAddr = (PBXS[0].v4, 7025).into();
        let _listener = self.pbx().run(|| TcpListener::bind(at).context("listen"))?;
        self.abroad().run(|| Ok(TcpStream::connect_timeout(&at, PATIENCE).is_ok()))
    }

    /// The PBX hands a mail to a server abroad, which thanks for it. Returns how long that took.
    fn mails(&self) -> Result<Duration> {
        let at: SocketAddr = (self.foreign, 25).into();
        let server = self.abroad().run(|| TcpListener::bind(at).context("listen abroad"))?;
        let start = Instant::now();
        std::thread::scope(|scope| {
            let thanks = scope.spawn(move || -> Result<()> {
                let (mut stream, _) = server.accept()?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.read_exact(&mut vec![0; MAIL.len()]).context("the mail")?;
                Ok(stream.write_all(b"thanks")?)
            });
            let mut stream = self
                .pbx()
                .run(|| TcpStream::connect_timeout(&at, LIMIT).context("connect abroad"))?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.write_all(MAIL)?;
            stream.read_exact(&mut [0; 6]).context("no thanks")?;
            thanks.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
            Ok(start.elapsed())
        })
    }
}

fn settings(directory: &Path, mode: &str, countries: &str) -> Settings {
    let lab = directory.join("lab.csv");
    let [v4, v6] = DATABASES;
    let lines = vec![
        format!("geo.databases = [{v4:?}, {v6:?}, {lab:?}]"),
        format!("geo.mode = {mode:?}"),
        format!("geo.countries = {countries}"),
    ];
    Settings { lines, ..Settings::default() }
}

/// The networks are in the kernel.
fn wait_until_loaded(daemon: &Daemon) -> Result<Duration> {
    let start = Instant::now();
    while daemon.json(&["geo", "status"])?["loading"] == true {
        ensure!(start.elapsed() < 5 * LIMIT, "the countries are loaded: {}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(start.elapsed())
}

/// Nobody waits five minutes: ends the learning of flows in the kernel's policies.
fn end_learning(daemon: &Daemon) -> Result<()> {
    wait_until_loaded(daemon)?;
    let path = daemon.pin_dir().join(format!("v{ABI_VERSION}/maps/{}", maps::POLICIES));
    let mut policies: Array<_, Policy> = Array::try_from(Map::Array(MapData::from_pin(path)?))?;
    for index in 0..=PBXS.len() as u32 {
        let policy = policies.get(&index, 0)?;
        policies.set(index, Policy { geo_from_ns: 1, ..policy }, 0)?;
    }
    Ok(())
}

fn is_learning(daemon: &Daemon) -> Result<bool> {
    let status = daemon.json(&["geo", "status"])?;
    let policies = status["policies"].as_array().context("policies")?;
    Ok(policies.iter().any(|policy| policy["learning_until"].is_i64()))
}

/// A second cable between the host and the internet, by which the PBX's answers come.
fn second_uplink(lab: &Lab) -> Result<()> {
    let (internet, host) = (&lab.net.internet, &lab.net.host);
    internet.ip(&format!(
        "link add down1 type veth peer name {SECOND_UPLINK} netns {}\n\
         link set down1 up\naddr add 192.0.2.133/30 dev down1\n",
        host.name()
    ))?;
    host.ip(&format!(
        "link set {SECOND_UPLINK} up\naddr add 192.0.2.134/30 dev {SECOND_UPLINK}\n"
    ))?;
    for interface in ["all", UPLINK, SECOND_UPLINK] {
        host.sysctl(&format!("net/ipv4/conf/{interface}/rp_filter"), "0")?;
    }
    internet.plain_packets("down1")?;
    host.plain_packets(SECOND_UPLINK)
}

fn control(daemon: &Daemon) -> Result<u64> {
    let metrics = daemon.metrics()?;
    let lines = metrics.lines().filter(|line| line.contains("reason=\"control\""));
    lines.filter(|line| line.starts_with("sipprot_packets_total")).map(value).sum()
}

fn value(line: &str) -> Result<u64> {
    line.rsplit(' ').next().and_then(|text| text.parse().ok()).context("a count")
}

/// What the daemon takes of the machine's memory, in MiB.
fn resident(daemon: &Daemon) -> Result<f64> {
    usage::resident_mib(daemon.process_id().context("no process")?)
}

#[test]
fn one_country_is_let_in_and_whoever_was_asked() -> Result<()> {
    if !DATABASES.iter().all(|path| Path::new(path).exists()) {
        println!("skipped: needs tor-geoipdb");
        return Ok(());
    }
    let none = Settings::default();
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &none)? else { return Ok(()) };
    let Addresses { v4: foreign, .. } = lab.newcomer();
    let ends = Ends { lab: &lab, foreign: foreign.into() };
    second_uplink(&lab)?;
    let drop_ins = daemon.config_file().with_file_name("conf.d");
    std::fs::create_dir(&drop_ins)?;
    let both = format!("interfaces = [{UPLINK:?}, {SECOND_UPLINK:?}]\n");
    std::fs::write(drop_ins.join("uplinks.toml"), both)?;
    std::fs::write(lab.directory().join("lab.csv"), LAB)?;
    let before = resident(&daemon)?;
    daemon.configure(&settings(&lab.directory(), "allow", "[\"DE\"]"))?;
    let start = Instant::now();
    let refused = daemon.cli(&["reload"])?;
    assert_eq!(refused.status.code(), Some(6), "whoever works from abroad would be cut off");
    daemon.text(&["reload", "--confirm"])?;
    println!(
        "geo on after {:?}; daemon {before:.0} MiB before, {:.0} after",
        start.elapsed(),
        resident(&daemon)?
    );

    println!("loaded {:?} later", wait_until_loaded(&daemon)?);

    // For five minutes nothing is dropped; what is answered to a knock opens nothing.
    ensure!(is_learning(&daemon)?, "flows are learned first");
    ensure!(ends.knocks(1)?, "a country is let in while its flows are learned");
    end_learning(&daemon)?;
    ensure!(!is_learning(&daemon)?, "the learning has ended");
    ensure!(!ends.knocks(1)? && !ends.knocks(2)?, "the country is kept out");
    ensure!(!ends.connects()?, "the country is kept out of TCP");
    assert_eq!(lab.office().register()?.ok, PHONES, "the country that is let in");

    println!("a mail abroad took {:?}", ends.mails()?);
    ensure!(!ends.connects()?, "the same server, unasked");
    lab.net.internet.ip(&format!("route replace {}/32 via 192.0.2.134 dev down1\n", PBXS[0].v4))?;
    println!("and {:?} with the answers by another uplink", ends.mails()?);
    ensure!(!ends.connects()? && !ends.knocks(3)?, "nor does the other uplink let it in");

    // A narrow link on the way: the router says so, from an address in no country.
    lab.net.internet.ip("link set att0 mtu 1300\n")?;
    let told = control(&daemon)?;
    println!("and {:?} through a narrow link", ends.mails()?);
    ensure!(control(&daemon)? > told, "path-MTU discovery needs the router's word");
    lab.net.internet.ip("link set att0 mtu 1500\n")?;

    let status = daemon.json(&["geo", "status"])?;
    ensure!(status["drops"]["JP"].as_u64().unwrap_or(0) > 0, "drops by country: {status}");
    println!("{}", daemon.text(&["geo", "status"])?);
    let preview = ["geo", "preview", "--mode", "deny", "--countries", "Germany"];
    let found = daemon.json(&preview)?;
    let phone = &found["phones"][0];
    assert_eq!(phone["source"], OFFICE.v4.to_string(), "{found}");
    assert_eq!((&phone["cut_off"], &found["live"]), (&true.into(), &true.into()));
    println!("{}", daemon.text(&preview)?);

    // A restart learns nothing anew.
    daemon.kill()?;
    daemon.start()?;
    ensure!(!is_learning(&daemon)? && !ends.knocks(4)?, "kept out after a restart");
    moved(&ends, &daemon)?;
    a_continent(&lab, &daemon)?;
    daemon.stop()?;
    let found = daemon.json(&preview)?;
    assert_eq!((&found["live"], &found["phones"]), (&false.into(), &serde_json::Value::Null));
    ensure!(found["networks"]["v4"].as_u64() > Some(1000), "{found}");
    Ok(())
}

/// The database says that the attackers have moved: they are let in soon after.
fn moved(ends: &Ends, daemon: &Daemon) -> Result<()> {
    std::fs::write(ends.lab.directory().join("lab.csv"), LAB.replace("JP", "DE"))?;
    let start = Instant::now();
    while !ends.knocks(5)? {
        ensure!(start.elapsed() < LIMIT, "the changed database: {}", daemon.log());
    }
    println!("a changed database was in force after {:?}", start.elapsed());
    Ok(())
}

fn a_continent(lab: &Lab, daemon: &Daemon) -> Result<()> {
    let before = resident(daemon)?;
    daemon.configure(&settings(&lab.directory(), "deny", "[\"Asia\"]"))?;
    let start = Instant::now();
    let (took, slowest) = std::thread::scope(|scope| {
        // Who asks meanwhile is answered.
        let asked = scope.spawn(|| -> Result<Duration> {
            let mut slowest = Duration::ZERO;
            while start.elapsed() < Duration::from_secs(6) {
                let asked = Instant::now();
                daemon.text(&["check", "192.0.2.99"])?;
                slowest = slowest.max(asked.elapsed());
            }
            Ok(slowest)
        });
        daemon.text(&["reload"])?;
        let took = start.elapsed();
        let slowest = asked.join().map_err(|_| anyhow::anyhow!("nobody asked"))??;
        anyhow::Ok((took, slowest))
    })?;
    wait_until_loaded(daemon)?;
    println!("the slowest answer meanwhile took {slowest:?}");
    let found = daemon.json(&["geo", "preview", "--mode", "deny", "--countries", "Asia"])?;
    println!(
        "Asia: {} in force after {took:?}, daemon {before:.0} MiB before, {:.0} after",
        found["networks"],
        resident(daemon)?
    );
    ensure!(took < Duration::from_secs(10), "a continent took {took:?}");
    Ok(())
}
