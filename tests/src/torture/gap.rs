//! Start, stop, crash and reload under traffic: is there a packet that sees no filter?
//!
//! A denied source and a blocked one send all the time, and the office, which nobody may cut off. What
//! arrives of the former, or doesn't of the latter, is lost.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Bench, Row, agrees,
    builds::Builds,
    traffic::{Receiver, Sender},
};
use crate::{
    daemon::{Daemon, Settings},
    lab::Lab,
    topology::{Family, OFFICE, PBXS},
};

/// Packets a second: together the 50,000 that the table tells.
const DENIED: u64 = 23_000;
const BLOCKED: u64 = 23_000;
const FROM_OFFICE: u64 = 4_000;
/// Until what is under way has arrived.
const SETTLE: Duration = Duration::from_millis(300);

/// Something that is done to a daemon that runs, and runs again afterwards.
struct Fault {
    name: &'static str,
    seen: &'static str,
    bring: fn(&mut Daemon, u32) -> Result<()>,
}

const FAULTS: [Fault; 4] = [
    Fault {
        name: "stop and start",
        seen: "the filter stays in force; commands answer again after",
        bring: |daemon, _| {
            daemon.stop()?;
            daemon.start()
        },
    },
    Fault {
        name: "kill -9 and start",
        seen: "the filter stays in force; commands answer again after",
        bring: |daemon, _| {
            daemon.kill()?;
            daemon.start()
        },
    },
    Fault {
        name: "reload of another configuration",
        seen: "done after",
        bring: |daemon, cycle| {
            let limit = 10 + cycle % 2;
            let lines = vec![format!("rules.probe_limit = {limit}")];
            daemon.configure(&Settings { lines, ..Settings::default() })?;
            daemon.text(&["reload"]).map(drop)
        },
    },
    Fault {
        name: "upgrade to and from a build with other maps",
        seen: "new maps are filled before the program is exchanged; commands answer again after",
        bring: |daemon, cycle| {
            daemon.stop()?;
            let builds = Builds::of(daemon)?;
            daemon.upgrade(if cycle.is_multiple_of(2) { &builds.other } else { &builds.this });
            daemon.start()
        },
    },
];

pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (lab, mut daemon) = bench.lab(&Settings::default())?;
    let target = PBXS[0].v4;
    let (denied, blocked) = (lab.newcomer().v4, lab.newcomer().v4);
    let office = match OFFICE.of(Family::V4) {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => unreachable!("an IPv4 address was asked for"),
    };
    let receiver = Receiver::start(&lab.net.pbxs[0], target)?;
    let sources = [
        (&lab.net.attackers, denied, DENIED),
        (&lab.net.attackers, blocked, BLOCKED),
        (&lab.net.office, office, FROM_OFFICE),
    ];
    let start = || -> Result<Vec<Sender>> {
        let start =
            |&(from, source, rate)| Sender::start(from, source, target, rate / bench.times.thinned);
        sources.iter().map(start).collect()
    };
    // Without an entry all of it arrives: what is seen below is the filter's work.
    let senders = start()?;
    std::thread::sleep(SETTLE);
    let sent: Vec<u64> = senders.into_iter().map(Sender::stop).collect();
    std::thread::sleep(SETTLE);
    for (&(_, source, _), sent) in sources.iter().zip(sent) {
        let arrived = receiver.of(source).count;
        ensure!(arrived == sent && sent > 0, "{source}: {arrived} of {sent} arrive unfiltered");
    }
    daemon.text(&["deny", "add", &denied.to_string()])?;
    daemon.text(&["block", &blocked.to_string(), "--for", "24h"])?;
    let mut rows = Vec::new();
    for fault in &FAULTS {
        receiver.forget();
        let unqueued = unqueued_frames(&lab)?;
        let senders = start()?;
        let mut longest = Duration::ZERO;
        for cycle in 0..bench.times.cycles {
            let began = Instant::now();
            (fault.bring)(&mut daemon, cycle)
                .with_context(|| format!("{}, cycle {cycle}", fault.name))?;
            longest = longest.max(began.elapsed());
            std::thread::sleep(Duration::from_millis(50));
        }
        let sent: Vec<u64> = senders.into_iter().map(Sender::stop).collect();
        std::thread::sleep(SETTLE);
        let of_office = receiver.of(office);
        let came = |source: Ipv4Addr| receiver.of(source).count;
        let unqueued = unqueued_frames(&lab)? - unqueued;
        let (through, missing) = (came(denied) + came(blocked), of_office.missing(sent[2]));
        rows.push(Row {
            fault: fault.name.to_owned(),
            times: bench.times.cycles,
            lost: through + missing,
            gap: Some(of_office.gap(sent[2])),
            seen: format!(
                "{} {longest:.1?} at most; {} packets of blocked sources, {through} passed; {} of \
                 the office, {missing} missing; {unqueued} frames found no room in the queue of the uplink's cable",
                fault.seen,
                sent[0] + sent[1],
                sent[2]
            ),
        });
    }
    agrees(&daemon)?;
    receiver.forget();
    let senders = start()?;
    let row = taken_out(bench.times.cycles, &mut daemon, &receiver, (denied, office))?;
    let sent: Vec<u64> = senders.into_iter().map(Sender::stop).collect();
    std::thread::sleep(SETTLE);
    let of_office = receiver.of(office);
    let missing = of_office.missing(sent[2]);
    let seen = format!("{}; {} of the office, {missing} missing", row.seen, sent[2]);
    rows.push(Row { lost: row.lost + missing, gap: Some(of_office.gap(sent[2])), seen, ..row });
    agrees(&daemon)?;
    Ok(rows)
}

/// Frames that never came to a filter: a veth pair queues 256, and these found no room.
fn unqueued_frames(lab: &Lab) -> Result<u64> {
    let link = lab.net.internet.link("down0")?;
    link["stats64"]["tx"]["dropped"].as_u64().context("what the cable left out")
}

/// Stopped so that it takes the filter out, as somebody may choose: all of it passes then, and nothing
/// once it is there again.
fn taken_out(
    cycles: u32,
    daemon: &mut Daemon,
    receiver: &Receiver,
    (denied, office): (Ipv4Addr, Ipv4Addr),
) -> Result<Row> {
    let mut through = 0;
    for cycle in 0..cycles {
        daemon.stop()?;
        daemon.start_with(&["--detach-on-exit"])?;
        daemon.stop()?;
        let before = receiver.of(denied).count;
        std::thread::sleep(SETTLE);
        ensure!(receiver.of(denied).count > before, "cycle {cycle}: still filtered");
        daemon.start()?;
        // What was under way when the filter came.
        std::thread::sleep(SETTLE / 10);
        let before = receiver.of(denied).count;
        let of_office = receiver.of(office).count;
        std::thread::sleep(SETTLE / 3);
        through += receiver.of(denied).count - before;
        ensure!(receiver.of(office).count > of_office, "cycle {cycle}: the office is cut off");
    }
    Ok(Row {
        fault: "stop that takes the filter out, and start".to_owned(),
        times: cycles,
        lost: through,
        gap: None,
        seen: format!(
            "nothing is filtered in between, as chosen; then {through} blocked packets pass"
        ),
    })
}
