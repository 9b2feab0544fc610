//! Soak: hours of what a host sees, calls and guesses and changes, and whether memory, file descriptors, the kernel's
//! maps and disk come to rest. Each sample is a line of a CSV file; a picture of it stands beside it.

use std::{
    fmt::Write as _,
    fs,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Bench, Row, agrees, disk_mib, write_list};
use crate::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    office::PHONES,
    sipp::Calls,
    topology::{ATTACKERS, Family, attacker},
    usage,
};

const EVERY: Duration = Duration::from_secs(10);
/// The attackers come again and again, each time as if it were the first.
const SETTINGS: [&str; 2] = ["rules.unblock_grace = \"0s\"", "rules.count_age = \"1m\""];
/// Kept out and let in again by turns: nobody of the lab is there.
const COUNTRY: &str = "KP";
/// Of a list that comes and goes.
const LIST_ROWS: u32 = 20_000;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 140.0;
const MARGIN: f64 = 24.0;

#[derive(Clone, Copy, Debug)]
struct Sample {
    seconds: f64,
    memory_mib: f64,
    descriptors: f64,
    map_entries: f64,
    disk_mib: f64,
}

type Value = fn(&Sample) -> f64;
const CURVES: [(&str, Value); 4] = [
    ("memory, MiB", |it| it.memory_mib),
    ("file descriptors", |it| it.descriptors),
    ("entries of the kernel's maps", |it| it.map_entries),
    ("disk, MiB", |it| it.disk_mib),
];

pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let Some(soak) = &bench.soak else { return Ok(Vec::new()) };
    let (lab, daemon) = bench.lab(&Settings::of(&SETTINGS))?;
    let office = lab.office();
    ensure!(office.register()?.ok == PHONES, "the office can't register");
    let _answering = office.answer()?;
    let list = write_list(&lab, (0..LIST_ROWS).map(|it| format!("3fff:{it:x}::/32")))?;
    let (mut called, mut samples) = (Calls::default(), Vec::<Sample>::new());
    let began = Instant::now();
    let (mut rounds, mut blocked) = (0, 0);
    while began.elapsed() < soak.lasts {
        called = called + office.start_calls(10, 5)?.finish()?;
        let source = IpAddr::from(attacker((rounds % u32::from(ATTACKERS)) as u8).v4);
        let plan = Plan {
            guesses: 30,
            patience: Duration::from_millis(100),
            ..Plan::new(source, lab.pbxs[0].sip(Family::V4))
        };
        cracker::attack_from(&lab.net.attackers, &plan)?;
        if daemon.check(source)?.blocked {
            daemon.text(&["unblock", &source.to_string()])?;
            blocked += 1;
        }
        change(&daemon, rounds, source, &list)?;
        rounds += 1;
        if began.elapsed() >= EVERY * samples.len() as u32 {
            samples.push(sample(&daemon, began)?);
            fs::write(&soak.csv, csv(&samples)).context("write the samples")?;
        }
    }
    fs::write(soak.csv.with_extension("svg"), picture(&samples)).context("draw the samples")?;
    agrees(&daemon)?;
    let last = samples.last().context("no sample")?;
    Ok(vec![Row {
        fault: "calls, guesses and changes all the time".to_owned(),
        times: 1,
        lost: u64::from(called.failed + rounds - blocked),
        gap: None,
        seen: format!(
            "in {} minutes {} calls, {} failed; {rounds} crackers, {blocked} blocked; at the end {:.0} MiB of memory, \
             {} file descriptors, {} entries of maps, {:.1} MiB of disk",
            soak.lasts.as_secs() / 60,
            called.ok,
            called.failed,
            last.memory_mib,
            last.descriptors,
            last.map_entries,
            last.disk_mib
        ),
    }])
}

/// What an operator does: an entry all the time, now and then a setting, a list, a reload, a country.
fn change(daemon: &Daemon, round: u32, source: IpAddr, list: &Path) -> Result<()> {
    let (source, list) = (&*source.to_string(), &*list.to_string_lossy());
    daemon.text(&["deny", "add", source])?;
    daemon.text(&["deny", "remove", source])?;
    match round % 20 {
        0 => daemon.text(&["config", "set", &format!("rules.probe_limit={}", 20 + round % 7)])?,
        2 => daemon.text(&["deny", "import", list])?,
        5 => daemon.text(&["geo", "set", "--mode", "deny", "--countries", COUNTRY])?,
        10 => daemon.text(&["reload"])?,
        12 => daemon.text(&["deny", "remove", "--csv", list])?,
        15 => daemon.text(&["geo", "off"])?,
        _ => return Ok(()),
    };
    Ok(())
}

fn sample(daemon: &Daemon, began: Instant) -> Result<Sample> {
    let id = daemon.process_id().context("it runs")?;
    let status = daemon.json(&["status"])?;
    let maps = status["maps"].as_array().with_context(|| format!("no maps in {status}"))?;
    Ok(Sample {
        seconds: began.elapsed().as_secs_f64(),
        memory_mib: usage::resident_mib(id)?,
        descriptors: fs::read_dir(format!("/proc/{id}/fd")).context("its files")?.count() as f64,
        map_entries: maps.iter().filter_map(|map| map["entries"].as_f64()).sum(),
        disk_mib: disk_mib(&daemon.state_dir())?,
    })
}

fn csv(samples: &[Sample]) -> String {
    let mut text = "seconds,memory_mib,descriptors,map_entries,disk_mib\n".to_owned();
    for it in samples {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{:.0},{:.1},{},{},{:.2}",
            it.seconds, it.memory_mib, it.descriptors, it.map_entries, it.disk_mib
        );
    }
    text
}

/// Curves one below the other, each from zero to its own most.
fn picture(samples: &[Sample]) -> String {
    let height = HEIGHT * CURVES.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n"
    );
    let end = samples.last().map_or(1.0, |it| it.seconds).max(1.0);
    for (row, (name, value)) in (0..).zip(CURVES) {
        let bottom = HEIGHT * f64::from(row + 1) - MARGIN;
        let most = samples.iter().map(value).fold(f64::MIN_POSITIVE, f64::max);
        let points: String = samples
            .iter()
            .map(|it| {
                let x = it.seconds / end * WIDTH;
                let y = bottom - value(it) / most * (HEIGHT - 2.0 * MARGIN);
                format!("{x:.1},{y:.1} ")
            })
            .collect();
        let _ = writeln!(
            svg,
            "<text x=\"0\" y=\"{:.0}\">{name}, at most {most:.1}; {end:.0} s</text>\n<polyline fill=\"none\" \
             stroke=\"#1f6feb\" points=\"{}\"/>",
            bottom - HEIGHT + 2.0 * MARGIN - 6.0,
            points.trim_end()
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_line_and_a_point_of_each_curve() {
        let sample = |seconds, memory_mib| Sample {
            seconds,
            memory_mib,
            descriptors: 20.0,
            map_entries: 7.0,
            disk_mib: 0.5,
        };
        let samples = [sample(0.0, 40.0), sample(10.0, 80.0)];
        assert!(csv(&samples).ends_with("\n0,40.0,20,7,0.50\n10,80.0,20,7,0.50\n"));
        let svg = picture(&samples);
        assert_eq!(svg.matches("<polyline").count(), CURVES.len());
        // Half of the most at half the height, the most at the end and at the top.
        assert!(svg.contains("points=\"0.0,70.0 640.0,24.0\""), "{svg}");
    }
}
