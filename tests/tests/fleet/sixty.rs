//! With `SIPPROT_TEST_FULL=1`: 56 hosts without a filter and four with one, three servers, one hub. Each of
//! these is killed in turn, and the link cut, for `SIPPROT_OUTAGE_S` seconds.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use ipnetwork::IpNetwork;
use sipprot_ctl::fleet::{Bundle, Host};
use sipprot_tests::{
    daemon::Daemon,
    lab::Lab,
    namespace::Namespace,
    patience::{self, wait_for},
};

use super::{
    hosts::{connect, join, logged_at, other_host, report, start_host},
    middle::{self, Fleet},
};

/// Without a filter, each on a thread of its own, in a namespace of theirs.
const HOSTS: usize = 56;
const FILTERS: u8 = 4;
/// By which these hosts see the fleet.
const LINK: &str = "hosts0";
const HOSTS_AT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 194);
const ROUNDS: u32 = 10;
/// Attacks while something is away.
const ATTACKS: u32 = 20;
/// How long something is away, unless the environment says otherwise.
const OUTAGE: Duration = Duration::from_secs(5);
/// Two hosts report 11 attempts each, and a third.
const COUNT: u32 = 33;

struct Sixty {
    lab: Lab,
    fleet: Fleet,
    hosts: Vec<Host>,
    /// With filters.
    daemons: Vec<Daemon>,
    attacks: u32,
}

#[test]
fn sixty_hosts_and_a_cluster_that_loses_its_nodes() -> Result<()> {
    let is_full = std::env::var_os("SIPPROT_TEST_FULL").is_some();
    let missing = middle::missing().or((!is_full).then(|| "SIPPROT_TEST_FULL=1".to_owned()));
    if let Some(missing) = missing {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let lab = Lab::new()?;
    let place = Namespace::create(&lab.id().namespace("hosts"))?;
    connect(&lab, &place, LINK, "eth0", HOSTS_AT)?;
    let _others: Vec<Namespace>;
    let mut fleet = Fleet::new(&lab, 3)?;
    std::fs::write(fleet.directory.join("hub.toml"), "spread = \"quorum\"\n")?;
    fleet.start_hub()?;
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let name = format!("host-{number:02}");
        let bundle = Bundle::load(&fleet.add_host(&name)?)?;
        hosts.push(start_host(&lab, &place, &name, bundle)?);
    }
    let (places, mut daemons): (Vec<_>, Vec<_>) = (0..FILTERS)
        .map(|number| other_host(&lab, number))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    _others = places;
    for (number, daemon) in daemons.iter_mut().enumerate() {
        let credentials = fleet.add_host(&format!("filter-{number}"))?;
        join(daemon, &credentials)?;
    }
    let mut sixty = Sixty { lab, fleet, hosts, daemons, attacks: 0 };
    let first = sixty.attack();
    until_all(&sixty.hosts, first, true)?;
    sixty.spread_and_recall()?;
    sixty.outages()?;
    sixty.all_agree()
}

impl Sixty {
    /// Three hosts prove the next attacker.
    fn attack(&mut self) -> IpAddr {
        let source = attacker(self.attacks);
        self.attacks += 1;
        self.hosts[..3].iter().for_each(|host| host.report(report(source)));
        source
    }

    fn spread_and_recall(&mut self) -> Result<()> {
        let mut all = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let (clock, start) = (wall_us(), Instant::now());
            let source = self.attack();
            let mut spread = until_all(&self.hosts, source, true)?;
            spread.extend(self.logged(&format!("the fleet's list has {source}"), clock)?);
            println!("{source}: spread {}, after {:?}", figures(&mut spread), start.elapsed());
            let clock = wall_us();
            let mut recalled = std::thread::scope(|scope| {
                let timer = scope.spawn(|| until_all(&self.hosts, source, false));
                self.fleet.text(&["fleet", "recall", &source.to_string()])?;
                timer.join().map_err(|_| anyhow::anyhow!("the timer"))?
            })?;
            recalled.extend(self.logged(&format!("{source} is off the fleet's list"), clock)?);
            println!("{source}: recalled, the command included, {}", figures(&mut recalled));
            all[0].extend(spread);
            all[1].extend(recalled);
        }
        let [mut spread, mut recalled] = all;
        println!("{ROUNDS} rounds, {HOSTS} hosts and {FILTERS} with filters:");
        println!("attack on three hosts → enforced on all: {}", figures(&mut spread));
        println!("recall → lifted on all, the command included: {}", figures(&mut recalled));
        Ok(())
    }

    /// When the daemons' kernels had it, since `clock`.
    fn logged(&self, what: &str, clock: i64) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for daemon in &self.daemons {
            wait_for(what, || Ok(daemon.log().contains(what).then_some(())))?;
            let at = logged_at(&daemon.log(), what)?;
            times.push(Duration::from_micros((at - clock).max(0).unsigned_abs()));
        }
        Ok(times)
    }

    fn outages(&mut self) -> Result<()> {
        let outage = patience::outage(OUTAGE)?;
        for index in 0..3 {
            self.fleet.servers[index] = None;
            let attacked = self.attacks_for(outage);
            // Two of three servers are a majority: nobody need wait for the third.
            self.caught_up(&format!("server {} away for {outage:?}", index + 1), attacked)?;
            self.fleet.start_server(index)?;
            std::thread::sleep(Duration::from_secs(5));
        }
        self.fleet.hub.take().context("a hub")?.kill();
        let attacked = self.attacks_for(outage);
        self.fleet.start_hub()?;
        self.caught_up(&format!("the hub away for {outage:?}"), attacked)?;
        self.lab.net.internet.ip(&format!("link set {LINK} down\n"))?;
        let attacked = self.attacks_for(outage);
        self.lab.net.internet.ip(&format!("link set {LINK} up\n"))?;
        self.caught_up(&format!("the link of {HOSTS} hosts away for {outage:?}"), attacked)
    }

    fn attacks_for(&mut self, outage: Duration) -> Vec<IpAddr> {
        let attack = |_| {
            let source = self.attack();
            std::thread::sleep(outage / ATTACKS);
            source
        };
        (0..ATTACKS).map(attack).collect()
    }

    fn caught_up(&self, what: &str, attacked: Vec<IpAddr>) -> Result<()> {
        let start = Instant::now();
        for source in attacked {
            until_all(&self.hosts, source, true).with_context(|| what.to_owned())?;
        }
        println!("{what}: all hosts had everything {:?} after", start.elapsed());
        Ok(())
    }

    /// Nothing lost, nothing twice, the same everywhere.
    fn all_agree(&self) -> Result<()> {
        let listed = |host: &Host| {
            let held = host.shared().held().clone();
            let all: Vec<_> = held.iter().map(|(it, known)| (*it, known.clone())).collect();
            (held.revision, all)
        };
        let first = listed(&self.hosts[0]);
        let expected: BTreeSet<IpNetwork> = std::iter::once(0)
            .chain(ROUNDS + 1..self.attacks)
            .map(|number| attacker(number).into())
            .collect();
        assert_eq!(first.1.iter().map(|(it, _)| *it).collect::<BTreeSet<_>>(), expected);
        assert!(self.hosts.iter().all(|host| listed(host) == first));
        for daemon in &self.daemons {
            let entries = daemon.json(&["list", "deny", "--limit", "1000"])?;
            let entries = entries["entries"].as_array().context("entries")?;
            let networks: BTreeSet<IpNetwork> =
                entries.iter().filter_map(|it| it["ip"].as_str()?.parse().ok()).collect();
            assert_eq!(networks, expected);
            let output = daemon.cli(&["verify"])?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        let sources = self.fleet.json(&["fleet", "sources", "--limit", "1000"])?;
        let sources = sources["sources"].as_array().context("sources")?;
        assert_eq!(sources.len() as u32, self.attacks);
        for source in sources {
            assert_eq!(source["count"], COUNT, "{source:#}");
        }
        println!("{}", self.fleet.text(&["fleet", "status", "--hub"])?);
        Ok(())
    }
}

/// Each a /32 of its own, and few in each /24.
fn attacker(number: u32) -> IpAddr {
    Ipv4Addr::from(0xc633_6480 + number).into()
}

fn has(host: &Host, source: IpAddr) -> bool {
    host.shared().held().get(source.into()).is_some()
}

/// Until all of them have it, or none: how long each took.
fn until_all(hosts: &[Host], source: IpAddr, wanted: bool) -> Result<Vec<Duration>> {
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
    Ok(times.into_iter().flatten().collect())
}

fn figures(times: &mut [Duration]) -> String {
    times.sort();
    let last = times.len() - 1;
    let [median, late] = [times[last / 2], times[last * 99 / 100]];
    format!("p50 {median:?}, p99 {late:?}, max {:?}", times[last])
}

fn wall_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
