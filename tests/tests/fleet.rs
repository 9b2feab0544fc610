//! A fleet over real NATS servers: a hub, and hosts with the real daemon and the real kernel.
//!
//! With `SIPPROT_TEST_FULL=1` sixty hosts without a filter follow the list of a cluster of three servers, of
//! which each is killed in turn, and the hub.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_ctl::fleet::{Bundle, Grade, Host, Report};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    browser::{self, browse},
    daemon::{Daemon, Settings},
    lab::Lab,
    namespace::Namespace,
    patience::wait_for,
    pbx::Manners,
    process::Process,
    topology::{Family, UPLINK},
};

/// The NATS servers' and the hub's, in the middle of the lab.
const MIDDLE: &str = "192.0.2.129";
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 138);
const NOT_FOUND: i32 = 4;
const REFUSED: i32 = 6;
/// From a host's verdict to what another one drops.
const SPREAD_WITHIN: Duration = Duration::from_secs(1);

/// The fleet's middle: NATS servers and the hub.
struct Fleet {
    place: Namespace,
    program: PathBuf,
    directory: PathBuf,
    servers: Vec<Option<Process>>,
    hub: Option<Process>,
    starts: u32,
}

impl Fleet {
    fn new(lab: &Lab, servers: usize) -> Result<Self> {
        let program = std::env::var_os("SIPPROT_BIN").context("SIPPROT_BIN")?;
        let program = Path::new(&program).canonicalize()?;
        let directory = lab.directory().join("fleet");
        let place = lab.net.internet.clone();
        let mut fleet =
            Self { place, program, directory, servers: Vec::new(), hub: None, starts: 0 };
        let addresses: Vec<String> =
            (0..servers).map(|index| format!("{MIDDLE}:{}", 4222 + index)).collect();
        let mut arguments = vec!["fleet", "init"];
        addresses.iter().for_each(|it| arguments.extend(["--server", it]));
        println!("{}", fleet.text(&arguments)?);
        for index in 0..servers {
            fleet.servers.push(None);
            fleet.start_server(index)?;
        }
        Ok(fleet)
    }

    fn start_server(&mut self, index: usize) -> Result<()> {
        let mut command = self.place.command("nats-server");
        let configuration = format!("nats/nats-{}.conf", index + 1);
        command.arg("-c").arg(self.directory.join(configuration));
        self.starts += 1;
        let log = self.directory.join(format!("nats-{index}-{}.log", self.starts));
        self.servers[index] = Some(Process::start(command, &log)?);
        Ok(())
    }

    fn start_hub(&mut self) -> Result<()> {
        let mut command = self.command();
        command.args(["hub", "--dir"]).arg(&self.directory);
        self.starts += 1;
        let log = self.directory.join(format!("hub-{}.log", self.starts));
        self.hub = Some(Process::start(command, &log)?);
        wait_for("the hub's answer", || {
            let answered = self.json(&["fleet", "status", "--hub"]);
            let is_there = answered.is_ok_and(|it| it["connected"] == true);
            Ok(is_there.then_some(()))
        })
        .with_context(|| self.hub.as_ref().map(Process::output).unwrap_or_default())
    }

    fn command(&self) -> Command {
        self.place.command(&self.program)
    }

    fn run(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let mut command = self.command();
        command.args(arguments);
        if arguments[0] == "fleet" {
            command.arg("--dir").arg(&self.directory);
        }
        command.output().context("run sipprot")
    }

    fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(&[arguments, &["--json"]].concat())?)?)
    }

    fn refused(&self, arguments: &[&str], code: i32, says: &str) -> Result<()> {
        let output = self.run(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let found = output.status.code();
        ensure!(
            found == Some(code) && complaint.contains(says),
            "{arguments:?}: {found:?} {complaint}"
        );
        Ok(())
    }

    /// A new host's file.
    fn add_host(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(format!("{name}.toml"));
        std::fs::write(&path, self.text(&["fleet", "add-host", name])?)?;
        Ok(path)
    }

    fn set(&self, lines: &str) -> Result<()> {
        std::fs::write(self.directory.join("hub.toml"), lines)?;
        // The hub looks each second.
        std::thread::sleep(Duration::from_millis(2100));
        Ok(())
    }

    fn state_of(&self, source: IpAddr) -> Result<Option<String>> {
        let all = self.json(&["fleet", "sources", "--covers", &source.to_string()])?;
        let found = all["sources"].as_array().context("sources")?.first().cloned();
        Ok(found.and_then(|it| Some(it["state"].as_str()?.to_owned())))
    }

    fn wait_for_state(&self, source: IpAddr, wanted: &str) -> Result<()> {
        wait_for(&format!("{source} {wanted}"), || {
            Ok((self.state_of(source)?.as_deref() == Some(wanted)).then_some(()))
        })
        .with_context(|| {
            let log = self.hub.as_ref().map(Process::output);
            format!("{:?}\n{}", self.text(&["fleet", "status", "--hub"]), log.unwrap_or_default())
        })
    }
}

/// A second host with a filter of its own, on the other side of the lab's internet.
fn other_host(lab: &Lab) -> Result<(Namespace, Daemon)> {
    let host = Namespace::create(&lab.id().namespace("host2"))?;
    let name = host.name();
    lab.net.internet.ip(&format!(
        "link add name hb0 type veth peer name {UPLINK} netns {name}\n\
         link set hb0 up\naddr add 192.0.2.137/30 dev hb0\n"
    ))?;
    host.ip(&format!(
        "link set lo up\nlink set {UPLINK} up\naddr add {OTHER_HOST}/30 dev {UPLINK}\n\
         route add default via 192.0.2.137\n"
    ))?;
    let program = std::env::var_os("SIPPROT_BIN").context("SIPPROT_BIN")?;
    let daemon = Daemon::named("other", &host, program.as_ref(), &lab.directory())?;
    Ok((host, daemon))
}

fn join(daemon: &mut Daemon, credentials: &Path) -> Result<()> {
    let line = format!("fleet.credentials = \"{}\"", credentials.display());
    daemon.configure(&Settings::of(&[&line]))?;
    if daemon.is_running() {
        daemon.text(&["reload"])?;
    } else {
        daemon.start()?;
    }
    wait_for("the host in its fleet", || {
        let status = daemon.json(&["fleet", "status"])?;
        Ok((status["connected"] == true).then_some(()))
    })
    .with_context(|| daemon.log())
}

fn wait_for_denial(daemon: &Daemon, source: IpAddr, denied: bool) -> Result<()> {
    wait_for(&format!("{source} denied: {denied}"), || {
        Ok((daemon.check(source)?.denied == denied).then_some(()))
    })
    .with_context(|| daemon.log())
}

fn crack(lab: &Lab, source: IpAddr) -> Result<()> {
    let plan = Plan {
        guesses: 100,
        patience: Duration::from_millis(100),
        ..Plan::new(source, lab.pbxs[0].sip(Family::V4))
    };
    cracker::attack_from(&lab.net.attackers, &plan).map(drop)
}

/// What the other host drops of it: counted by the kernel, sent by the attacker.
fn knock(lab: &Lab, from: IpAddr) -> Result<()> {
    lab.net.attackers.run(|| {
        let socket = UdpSocket::bind((from, 0))?;
        for _ in 0..5 {
            socket.send_to(b"OPTIONS sip:x@192.0.2.138 SIP/2.0\r\n\r\n", (OTHER_HOST, 5060))?;
        }
        Ok(())
    })
}

fn dropped(daemon: &Daemon) -> Result<u64> {
    Ok(daemon.dropped()?.get("denied").copied().unwrap_or_default())
}

fn missing() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = std::env::split_paths(&path).any(|it| it.join("nats-server").is_file());
    (!has).then_some("nats-server")
}

#[test]
fn what_one_host_proves_all_know_and_can_be_told_to_forget() -> Result<()> {
    if let Some(missing) = missing() {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let (_host, mut other) = other_host(&lab)?;
    let mut fleet = Fleet::new(&lab, 1)?;
    let (first, second) = (fleet.add_host("pbx-01")?, fleet.add_host("pbx-02")?);
    fleet.start_hub()?;
    join(&mut daemon, &first)?;
    join(&mut other, &second)?;

    // By default somebody looks at it first.
    let attacker: IpAddr = lab.newcomer().v4.into();
    let name = attacker.to_string();
    crack(&lab, attacker)?;
    fleet.wait_for_state(attacker, "pending")?;
    println!("{}", fleet.text(&["fleet", "pending"])?);
    assert!(!other.check(attacker)?.denied);
    fleet.text(&["fleet", "approve", &name])?;
    wait_for_denial(&other, attacker, true)?;
    println!("{}", other.text(&["why", &name])?);
    let listed = other.json(&["list", "deny"])?;
    assert_eq!(listed["entries"][0]["origin"], "fleet", "{listed:#}");
    knock(&lab, attacker)?;
    wait_for("dropped packets", || Ok((dropped(&other)? >= 5).then_some(())))?;
    fleet.text(&["fleet", "recall", &name, "--note", "a customer's"])?;
    wait_for_denial(&other, attacker, false)?;
    let before = dropped(&other)?;
    knock(&lab, attacker)?;
    assert_eq!(dropped(&other)?, before);
    assert_eq!(fleet.state_of(attacker)?.as_deref(), Some("recalled"));

    // A quorum of one: within a second.
    fleet.set("spread = \"quorum\"\nquorum = 1\n")?;
    let quick: IpAddr = lab.newcomer().v4.into();
    crack(&lab, quick)?;
    wait_for_denial(&other, quick, true)?;
    let took = spread_time(&daemon, &other, quick)?;
    println!("blocked at pbx-01, dropped at pbx-02 after {took:?}");
    assert!(took < SPREAD_WITHIN, "{took:?}");
    // What was recalled stays so.
    daemon.text(&["unblock", &name])?;
    assert_eq!(fleet.state_of(attacker)?.as_deref(), Some("recalled"));

    // The hub away: nothing is lost, and what holds goes on.
    fleet.hub.take().context("a hub")?.kill();
    let late: IpAddr = lab.newcomer().v4.into();
    crack(&lab, late)?;
    assert!(other.check(quick)?.denied);
    fleet.start_hub()?;
    wait_for_denial(&other, late, true)?;
    // So with NATS away, and with a host that was away.
    fleet.servers[0] = None;
    let later: IpAddr = lab.newcomer().v4.into();
    crack(&lab, later)?;
    other.stop()?;
    other.start()?;
    assert!(other.check(quick)?.denied, "{}", other.log());
    fleet.start_server(0)?;
    wait_for_denial(&other, later, true)?;

    wait_for("the other host's health", || {
        let hosts = fleet.json(&["fleet", "hosts"])?;
        Ok((hosts["hosts"][1]["health"] == "protected").then_some(()))
    })?;

    // Protected, private, its own: never.
    fleet.refused(&["fleet", "approve", "10.0.0.1"], REFUSED, "private")?;
    fleet.refused(&["fleet", "approve", "198.51.0.0/16"], REFUSED, "too-wide")?;
    fleet.refused(&["fleet", "approve", &OTHER_HOST.to_string()], REFUSED, "own-address")?;
    fleet.refused(&["fleet", "recall", "203.0.113.99"], NOT_FOUND, "not listed")?;
    println!("{}", fleet.text(&["fleet", "protect", &format!("{quick}")])?);
    wait_for_denial(&other, quick, false)?;

    // What one host lets in, the others' word does not shut out.
    other.text(&["allow", "add", &later.to_string()])?;
    assert!(other.check(later)?.allowed);
    knock_passes(&lab, &other, later)?;

    println!("{}", fleet.text(&["fleet", "hosts"])?);
    println!("{}", fleet.text(&["fleet", "status", "--hub"])?);
    println!("{}", other.text(&["fleet", "status"])?);
    beside_the_hub(&lab, &daemon, &mut fleet, &other)?;
    strangers(&lab, &fleet, &first)
}

/// A daemon that runs beside the hub: its dashboard shows the fleet, and decides.
fn beside_the_hub(lab: &Lab, daemon: &Daemon, fleet: &mut Fleet, other: &Daemon) -> Result<()> {
    fleet.set("spread = \"webmaster\"\n")?;
    let attacker: IpAddr = lab.newcomer().v4.into();
    crack(lab, attacker)?;
    fleet.wait_for_state(attacker, "pending")?;
    let directory = fleet.directory.to_str().context("a path")?;
    daemon.text(&["config", "set", "fleet.hub", directory])?;
    if let Some(missing) = browser::missing() {
        println!("the hub in a browser skipped: needs {}", missing.display());
        return Ok(());
    }
    daemon.text(&["config", "set", "api.listen", browser::API])?;
    browser::add_users(daemon)?;
    browse(lab, &attacker.to_string(), &["hosts"])?;
    wait_for_denial(other, attacker, true)
}

/// From the first host's block to the other's entry, by their own clocks, which are the same.
fn spread_time(daemon: &Daemon, other: &Daemon, source: IpAddr) -> Result<Duration> {
    let blocked = logged_at(&daemon.log(), &format!("blocked {source}"))?;
    let events = other.json(&["check", &source.to_string()])?;
    ensure!(events["denied"] == true, "{events}");
    let listed = logged_at(&other.log(), &format!("the fleet's list has {source}"))?;
    Ok(Duration::from_micros((listed - blocked).max(0).unsigned_abs()))
}

/// When a line was logged, in Unix microseconds.
fn logged_at(log: &str, what: &str) -> Result<i64> {
    let line = log.lines().find(|line| line.contains(what));
    let line = line.with_context(|| format!("no line says {what:?}: {log}"))?;
    let plain: String = line.chars().skip_while(|it| !it.is_ascii_digit()).collect();
    let time = plain.split_whitespace().next().unwrap_or_default();
    // Colours may come before the time.
    let time = time.split('m').next_back().unwrap_or(time);
    let time: jiff::Timestamp = time.parse().with_context(|| line.to_owned())?;
    Ok(time.as_microsecond())
}

fn knock_passes(lab: &Lab, other: &Daemon, source: IpAddr) -> Result<()> {
    let before = dropped(other)?;
    knock(lab, source)?;
    ensure!(dropped(other)? == before, "an allowed address was dropped");
    Ok(())
}

fn report(source: IpAddr) -> Report {
    Report {
        source: source.into(),
        grade: Grade::Proven,
        rule: "BRUTEFORCE:register".to_owned(),
        count: 11,
        first: now(),
        last: now(),
        user_agent: None,
        country: None,
        endpoint: None,
        account: None,
    }
}

/// A host without a daemon around it.
fn start_host(lab: &Lab, place: &str, bundle: Bundle) -> Result<Host> {
    let directory = lab.directory().join(place);
    let (news, mut told) = tokio::sync::mpsc::channel(64);
    std::thread::spawn(move || while told.blocking_recv().is_some() {});
    lab.net.internet.run(move || Host::start(bundle, &directory, news))
}

/// A host that speaks for another is not heard, and one that was removed neither.
fn strangers(lab: &Lab, fleet: &Fleet, bundle: &Path) -> Result<()> {
    let own = Bundle::load(bundle)?;
    let forger = start_host(lab, "forger", Bundle { name: "pbx-02".to_owned(), ..own.clone() })?;
    let (forged, late): (IpAddr, IpAddr) = ("198.51.100.201".parse()?, "198.51.100.202".parse()?);
    forger.report(report(forged));
    fleet.text(&["fleet", "remove-host", "pbx-01"])?;
    let removed = start_host(lab, "removed", own)?;
    removed.report(report(late));
    std::thread::sleep(Duration::from_secs(3));
    for (host, source) in [(&forger, forged), (&removed, late)] {
        assert_eq!(fleet.state_of(source)?, None);
        assert_eq!(host.shared().standing().waiting, 1, "{source}");
    }
    Ok(())
}

fn has(host: &Host, source: IpAddr) -> bool {
    host.shared().held().get(source.into()).is_some()
}

/// Until all of them have it, or none: the median and the last but one in a hundred.
fn until_all(hosts: &[Host], source: IpAddr, wanted: bool) -> Result<[Duration; 3]> {
    let start = Instant::now();
    let mut times = vec![None; hosts.len()];
    while times.iter().any(Option::is_none) {
        ensure!(start.elapsed() < Duration::from_secs(60), "{source} {wanted}: {times:?}");
        for (host, time) in hosts.iter().zip(&mut times) {
            if time.is_none() && has(host, source) == wanted {
                *time = Some(start.elapsed());
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort();
    let last = times.len() - 1;
    Ok([times[last / 2], times[last * 99 / 100], times[last]])
}

#[test]
fn sixty_hosts_and_a_cluster_that_loses_its_nodes() -> Result<()> {
    let missing = missing().or(Lab::missing().is_some().then_some("a lab"));
    let missing = missing.or(std::env::var_os("SIPPROT_BIN").is_none().then_some("SIPPROT_BIN"));
    let is_full = std::env::var_os("SIPPROT_TEST_FULL").is_some();
    let missing = missing.or((!is_full).then_some("SIPPROT_TEST_FULL=1"));
    if let Some(missing) = missing {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut fleet = Fleet::new(&lab, 3)?;
    std::fs::write(fleet.directory.join("hub.toml"), "spread = \"quorum\"\n")?;
    let mut hosts = Vec::new();
    for number in 0..60 {
        let name = format!("host-{number:02}");
        let bundle = Bundle::load(&fleet.add_host(&name)?)?;
        hosts.push(start_host(&lab, &name, bundle)?);
    }
    fleet.start_hub()?;
    let attack = |number: u32| -> IpAddr { Ipv4Addr::from(0xc633_6400 + number).into() };
    let tell = |source: IpAddr| hosts[..3].iter().for_each(|host| host.report(report(source)));
    tell(attack(0));
    until_all(&hosts, attack(0), true)?;
    for number in 1..6 {
        tell(attack(number));
        let spread = until_all(&hosts, attack(number), true)?;
        let recalled = std::thread::scope(|scope| {
            let timer = scope.spawn(|| until_all(&hosts, attack(number), false));
            fleet.text(&["fleet", "recall", &attack(number).to_string()])?;
            timer.join().map_err(|_| anyhow::anyhow!("the timer"))?
        })?;
        println!("p50, p99, max: spread {spread:?}; recalled, the command included, {recalled:?}");
    }
    let pause = Duration::from_secs(5);
    let mut number = 6;
    for index in 0..3 {
        fleet.servers[index] = None;
        for _ in 0..20 {
            tell(attack(number));
            number += 1;
            std::thread::sleep(pause / 20);
        }
        fleet.start_server(index)?;
        std::thread::sleep(pause);
    }
    fleet.hub.take().context("a hub")?.kill();
    (number..number + 20).for_each(|number| tell(attack(number)));
    number += 20;
    std::thread::sleep(pause);
    fleet.start_hub()?;
    for number in 6..number {
        until_all(&hosts, attack(number), true)?;
    }
    let listed = |host: &Host| {
        let held = host.shared().held().clone();
        let all: Vec<_> = held.iter().map(|(network, known)| (*network, known.clone())).collect();
        (held.revision, all)
    };
    let first = listed(&hosts[0]);
    assert_eq!(first.1.len() as u32, number - 5);
    assert!(hosts.iter().all(|host| listed(host) == first));
    let sources = fleet.json(&["fleet", "sources", "--limit", "1000"])?;
    for source in sources["sources"].as_array().context("sources")? {
        assert_eq!(source["count"], 33, "{source:#}");
    }
    println!("{}", fleet.text(&["fleet", "status", "--hub"])?);
    Ok(())
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |it| it.as_secs() as i64)
}
