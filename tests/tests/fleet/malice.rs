use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ipnetwork::IpNetwork;
use sipprot_ctl::fleet::{
    Bundle, Health, Home, Host, Refusal, Report,
    key::{self, Signer},
    message::{Delta, ListChange, Listed, Manifest, REPORTS_MAX, Reports},
    nats::{Channel, Way, subject},
};
use sipprot_tests::{lab::Lab, namespace::Namespace, patience::wait_for};

use super::{
    hosts::{now, report, start_host},
    middle::{self, Fleet, MIDDLE},
};

const LIAR: &str = "pbx-01";
const WATCHER: &str = "pbx-02";
const REPORTS_PER_HOUR: u32 = 100;
/// Told truly, by the host that lies otherwise.
const TRUE: &str = "198.51.100.7/32";

/// A host that speaks for another is not heard, and one that was removed neither.
pub fn strangers(lab: &Lab, fleet: &Fleet, bundle: &Path) -> Result<()> {
    let own = Bundle::load(bundle)?;
    let place = &lab.net.internet;
    let other = Bundle { name: WATCHER.to_owned(), ..own.clone() };
    let forger = start_host(lab, place, "forger", other)?;
    let (forged, late): (IpAddr, IpAddr) = ("198.51.100.201".parse()?, "198.51.100.202".parse()?);
    forger.report(report(forged));
    fleet.text(&["fleet", "remove-host", LIAR])?;
    let removed = start_host(lab, place, "removed", own)?;
    removed.report(report(late));
    std::thread::sleep(Duration::from_secs(3));
    for (host, source) in [(&forger, forged), (&removed, late)] {
        assert_eq!(fleet.state_of(source)?, None);
        assert_eq!(host.shared().standing().waiting, 1, "{source}");
    }
    Ok(())
}

/// Every bad input of a host and of a list, through real servers: none is applied, each is counted.
#[test]
fn whoever_lies_is_not_believed_and_counted() -> Result<()> {
    if let Some(missing) = middle::missing() {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut fleet = Fleet::new(&lab, 1)?;
    let rules = format!(
        "spread = \"quorum\"\nquorum = 1\nreports_per_hour = {REPORTS_PER_HOUR}\n\
         protected = [\"198.51.100.240/28\"]\n"
    );
    std::fs::write(fleet.directory.join("hub.toml"), rules)?;
    let liar = Bundle::load(&fleet.add_host(LIAR)?)?;
    let watcher = Bundle::load(&fleet.add_host(WATCHER)?)?;
    fleet.start_hub()?;
    let watcher = start_host(&lab, &lab.net.internet, WATCHER, watcher)?;
    watcher.tell_health(Health {
        // Its own address, its operator's, its trunk.
        spare: ["192.0.2.138/32", "203.0.113.8/32", "203.0.113.136/32"].map(net).to_vec(),
        ..Health::default()
    });
    wait_for("the other host's health", || {
        let hosts = fleet.json(&["fleet", "hosts"])?;
        Ok(hosts["hosts"][1]["heard_at"].is_number().then_some(()))
    })?;
    let listed = a_host_lies(&fleet, &liar, &watcher)?;
    others_subjects_are_closed(&fleet.place, &liar)?;
    assert_eq!(watcher.shared().standing().refused, BTreeMap::new());
    the_list_lies(&mut fleet, &watcher, listed)
}

/// How many are listed afterwards: what was true, and what the host's share of reports let in.
fn a_host_lies(fleet: &Fleet, liar: &Bundle, watcher: &Host) -> Result<usize> {
    let (own, stranger) = (Signer::new(&liar.seed)?, Signer::new(&key::make_user()?.seed)?);
    let message = |sequence: u64, reports: Vec<Report>| Reports {
        host: LIAR.to_owned(),
        sequence,
        sent_at: now(),
        reports,
    };
    let about = |source: &str| Report { source: net(source), ..report([0, 0, 0, 0].into()) };
    let good = message(10, vec![about(TRUE)]).seal(&own);
    let other_host = Reports { host: WATCHER.to_owned(), ..message(11, vec![about(TRUE)]) };
    let future = Reports { sent_at: now() + 600, ..message(12, vec![about("198.51.100.8/32")]) };
    let mut version = good.clone();
    version[4] = 9;
    use Refusal::{
        Forged, Future, Malformed, Old, OtherHost, OwnAddress, Private, Protected, Replayed,
        TooMany, TooWide, Version,
    };
    let bad = [
        (TooWide, about("0.0.0.0/0")),
        (TooWide, about("198.51.100.0/24")),
        (Private, about("10.0.0.1/32")),
        (OwnAddress, about(&format!("{MIDDLE}/32"))),
        (OwnAddress, about("192.0.2.138/32")),
        (OwnAddress, about("203.0.113.8/32")),
        (OwnAddress, about("203.0.113.136/32")),
        (Protected, about("198.51.100.250/32")),
        (Future, Report { last: now() + 600, ..about("198.51.100.9/32") }),
        (Old, Report { first: 1, last: now() - 8 * 86_400, ..about("198.51.100.9/32") }),
        (Malformed, Report { first: now(), last: now() - 10, ..about("198.51.100.9/32") }),
    ];
    let mut expected = BTreeMap::from([
        (Malformed, 1),
        (Forged, 1),
        (Version, 1),
        (OtherHost, 1),
        (Future, 1),
        (Replayed, 2),
    ]);
    bad.iter().for_each(|(why, _)| *expected.entry(*why).or_default() += 1);
    let reports = bad.map(|(_, report)| report).to_vec();
    let judged = 1 + reports.len() as u64;
    let mut sent = vec![
        b"no message of ours".to_vec(),
        message(9, vec![about(TRUE)]).seal(&stranger),
        version,
        other_host.seal(&own),
        future.seal(&own),
        good.clone(),
        good,
        // Behind the one before.
        message(5, vec![about("198.51.100.8/32")]).seal(&own),
        message(20, reports).seal(&own),
    ];
    // More than a host may report: each a source of its own.
    let flood = if std::env::var_os("SIPPROT_TEST_FULL").is_some() { 1_000_000 } else { 2_000u32 };
    let sources: Vec<u32> = (0..flood).collect();
    for (number, part) in (21..).zip(sources.chunks(REPORTS_MAX)) {
        let reports =
            part.iter().map(|it| about(&format!("2001:db8:{:x}:{:x}::/64", it >> 16, it & 0xffff)));
        sent.push(message(number, reports.collect()).seal(&own));
    }
    let room = u64::from(REPORTS_PER_HOUR) - judged;
    expected.insert(TooMany, u64::from(flood) - room);
    let started = Instant::now();
    speak(&fleet.place, liar, async |channel| {
        for (number, message) in sent.into_iter().enumerate() {
            let id = format!("lie-{number}");
            channel.publish_kept(subject::report(LIAR), &id, message).await?;
        }
        // The stream takes none that is larger.
        let large = channel.publish_kept(subject::report(LIAR), "large", vec![0; 600 << 10]).await;
        ensure!(large.is_err(), "600 KiB were taken");
        Ok(())
    })?;
    let found = || -> Result<BTreeMap<Refusal, u64>> {
        let hosts = fleet.json(&["fleet", "hosts"])?;
        Ok(serde_json::from_value(hosts["hosts"][0]["refused"].clone())?)
    };
    let settled = wait_for("every lie counted", || Ok((found()? == expected).then_some(())));
    settled.with_context(|| format!("expected {expected:?}, found {:?}", found()))?;
    println!("{flood} reports of one host: {room} taken, counted within {:?}", started.elapsed());
    println!("{}", fleet.text(&["fleet", "status", "--hub"])?);
    let listed = 1 + room as usize;
    let all = fleet.json(&["fleet", "sources", "--limit", "0"])?;
    assert_eq!(all["total"], listed, "{all}");
    wait_for("the list at the other host", || {
        Ok((watcher.shared().held().len() == listed).then_some(()))
    })?;
    assert!(watcher.shared().held().get(net(TRUE)).is_some());
    Ok(listed)
}

/// Neither in another host's name nor in the hub's: the servers refuse it.
fn others_subjects_are_closed(place: &Namespace, liar: &Bundle) -> Result<()> {
    let closed = [
        subject::report(WATCHER),
        subject::health(WATCHER),
        subject::DELTA.to_owned(),
        subject::LIVE_DELTA.to_owned(),
        subject::MANIFEST.to_owned(),
    ];
    speak(place, liar, async |channel| {
        for place in &closed {
            channel.publish(place.clone(), b"x".to_vec()).await?;
        }
        channel.subscribe(subject::REPORTS).await?;
        channel.flush().await;
        let deadline = Instant::now() + Duration::from_secs(5);
        while channel.denied() <= closed.len() as u64 {
            ensure!(Instant::now() < deadline, "{} refused", channel.denied());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
}

/// Whoever holds the servers can't sign; and what a hub signs that went mad is bounded all the same.
fn the_list_lies(fleet: &mut Fleet, watcher: &Host, listed: usize) -> Result<()> {
    fleet.hub.take().context("a hub")?.kill();
    let identities = Home::new(&fleet.directory).identities()?;
    let (hub, stranger) =
        (Signer::new(&identities.operator_seed)?, Signer::new(&key::make_operator()?.seed)?);
    let (generation, revision) = {
        let held = watcher.shared().held();
        (held.generation, held.revision)
    };
    let put = |network: &str, until: i64| {
        let (network, rule) = (net(network), "BRUTEFORCE:register".to_owned());
        let until = until.try_into().unwrap_or_default();
        ListChange::Put(Listed { network, since: 1, until, rule, hosts: 3 })
    };
    let delta = |revision: u64, changes: Vec<ListChange>| Delta {
        generation,
        revision,
        at: now(),
        recalled: 0,
        changes,
    };
    let day = now() + 86_400;
    let next = revision + 1;
    let bad = vec![
        put("198.51.100.21/32", 0),
        put("198.51.100.22/32", now() + 500 * 86_400),
        put("198.51.100.23/32", now() - 1),
        put("0.0.0.0/0", day),
        put("192.168.1.1/32", day),
    ];
    let empty = Manifest {
        generation,
        revision: next + 300,
        at: now(),
        recalled: 0,
        sequence: 0,
        set: 'a',
        entries: 0,
        poll_s: 2,
        chunks: Vec::new(),
    };
    let remove = vec![ListChange::Remove(net(TRUE))];
    let deltas = [
        b"no message of ours".to_vec(),
        delta(next, remove.clone()).seal(&stranger),
        Delta { generation: generation - 1, ..delta(next, remove.clone()) }.seal(&hub),
        delta(revision, remove.clone()).seal(&hub),
        Delta { at: now() + 600, ..delta(next, remove) }.seal(&hub),
        delta(next, bad).seal(&hub),
        // So far ahead that the host asks for the whole list, of which nothing is left.
        delta(next + 300, Vec::new()).seal(&hub),
    ];
    let way = Bundle {
        name: "hub".to_owned(),
        servers: identities.servers,
        seed: identities.hub_seed,
        hub: String::new(),
        ca: Home::new(&fleet.directory).ca()?,
    };
    speak(&fleet.place, &way, async |channel| {
        let manifest = empty.seal(&hub);
        channel.publish_kept(subject::MANIFEST.to_owned(), "empty", manifest).await?;
        for (number, delta) in deltas.into_iter().enumerate() {
            let id = format!("mad-{number}");
            channel.publish_kept(subject::DELTA.to_owned(), &id, delta).await?;
        }
        Ok(())
    })?;
    use Refusal::{
        Forged, Future, Malformed, NoExpiry, Old, OtherGeneration, Private, Replayed, Shrinking,
        TooWide,
    };
    let told = || watcher.shared().standing().refused;
    let wanted = [
        Malformed,
        Forged,
        OtherGeneration,
        Replayed,
        Future,
        NoExpiry,
        Old,
        TooWide,
        Private,
        Shrinking,
    ];
    wait_for("every lie counted", || {
        Ok(wanted.iter().all(|why| told().contains_key(why)).then_some(()))
    })
    .with_context(|| format!("{:?}", told()))?;
    println!("refused by a host: {:?}", told());
    let held = watcher.shared().held();
    assert_eq!((held.len(), held.get(net(TRUE)).is_some()), (listed, true));
    Ok(())
}

/// Connects as somebody, and does what is to be done there before the connection ends.
fn speak(
    place: &Namespace,
    bundle: &Bundle,
    work: impl AsyncFnOnce(&Channel) -> Result<()> + Send,
) -> Result<()> {
    let way = Way {
        servers: bundle.servers.clone(),
        seed: bundle.seed.clone(),
        ca: bundle.ca.clone(),
        name: bundle.name.clone(),
    };
    place.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let channel = Channel::open(&way).await?;
            let deadline = Instant::now() + Duration::from_secs(5);
            while !channel.is_connected() {
                ensure!(Instant::now() < deadline, "{} is not connected", way.name);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            work(&channel).await?;
            channel.flush().await;
            Ok(())
        })
    })
}

fn net(text: &str) -> IpNetwork {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
