//! Torture: what happens to a host while its firewall is stopped, killed, upgraded, or loses its disk.
//!
//! Each trial is a fault that is brought about many times; what came of it is a row of the table. A
//! trial ends early only when nothing more can be learnt from it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
};

/// A build of sipprot whose maps are of another size.
mod builds;
/// A clock that is years off, and put right.
mod clock;
/// The disk: full, read-only, or with other bytes on it than were written.
mod disk;
/// A million forged sources.
mod flood;
/// Start, stop, crash and reload under traffic: is there a packet that sees no filter?
mod gap;
/// SIGKILL at any time: is anything lost that was acknowledged?
mod kill;
/// Small disks that get full, or fail.
mod mount;
/// A disk that takes its time.
mod slow;
/// Hours of what a host sees, and what it takes meanwhile.
mod soak;
/// The rows, as a table for people and for the docs.
mod table;
/// Numbered datagrams from one namespace to another, and which of them never came.
mod traffic;

pub use table::Row;
use table::Table;

/// How long it may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// Once or twice each: whether the trials themselves work.
    Smoke,
    /// A few times each, in less than ten minutes.
    Quick,
    /// Hours.
    Full,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    pub sipprot: PathBuf,
    pub length: Length,
    /// Only the trials whose name contains it.
    pub only: Option<String>,
    /// A soak too, which nothing else begins.
    pub soak: Option<Soak>,
    /// The page of the docs that the rows go into.
    pub markdown: Option<PathBuf>,
}

/// How long it lasts, and where its samples go.
#[derive(Clone, Debug)]
pub struct Soak {
    pub lasts: Duration,
    pub csv: PathBuf,
}

/// How often each fault is brought about.
#[derive(Clone, Copy, Debug)]
struct Times {
    cycles: u32,
    kills: u32,
    kills_at_start: u32,
    kills_at_upgrade: u32,
    /// Of each kind of damage to a file.
    damages: u32,
    /// Files are cut off wherever they can be, not at some places.
    every_place: bool,
    clocks: u32,
    /// Changes refused by a disk that takes none.
    changes: u32,
    /// One of so many of the packets that are sent otherwise: a smoke leaves the CPU to the trials.
    thinned: u64,
    flood: Option<Duration>,
}

impl Times {
    const SMOKE: Self = Self {
        cycles: 1,
        kills: 1,
        kills_at_start: 1,
        kills_at_upgrade: 1,
        damages: 1,
        every_place: false,
        clocks: 1,
        changes: 6,
        thinned: 20,
        flood: None,
    };
    const QUICK: Self = Self {
        cycles: 5,
        kills: 20,
        kills_at_start: 20,
        kills_at_upgrade: 10,
        damages: 24,
        every_place: false,
        clocks: 2,
        changes: 30,
        thinned: 1,
        flood: Some(Duration::from_secs(20)),
    };
    const FULL: Self = Self {
        cycles: 100,
        kills: 1000,
        kills_at_start: 1000,
        kills_at_upgrade: 200,
        damages: 1000,
        every_place: true,
        clocks: 20,
        changes: 60,
        thinned: 1,
        flood: Some(Duration::from_hours(1)),
    };

    const fn of(length: Length) -> Self {
        match length {
            Length::Smoke => Self::SMOKE,
            Length::Quick => Self::QUICK,
            Length::Full => Self::FULL,
        }
    }
}

type Trial = fn(&Bench) -> Result<Vec<Row>>;

/// Runs the trials. True if nothing was lost in any.
pub fn run(options: &Options) -> Result<bool> {
    let times = Times::of(options.length);
    // In every test run there is no time for more than that the trials work.
    let is_short = |name: &str| options.length != Length::Smoke || ["gap", "clock"].contains(&name);
    let wanted = |name: &str| match &options.only {
        Some(only) => name.contains(only),
        None => is_short(name),
    };
    let (mut table, mut broken) = (Table::default(), Vec::new());
    let trials: [(&str, Trial); 8] = [
        ("gap", gap::run),
        ("kill", kill::run),
        ("disk", disk::run),
        ("filesystem", disk::file_system),
        ("slow", slow::run),
        ("clock", clock::run),
        ("flood", flood::run),
        ("soak", soak::run),
    ];
    for (name, trial) in trials {
        if wanted(name) {
            eprintln!("torture: {name}");
            let (sipprot, soak) = (options.sipprot.clone(), options.soak.clone());
            let bench = Bench { sipprot, times, soak };
            match trial(&bench).with_context(|| format!("the trial {name}")) {
                Ok(rows) => {
                    for row in rows {
                        eprintln!("torture: {row}");
                        table.add(row);
                    }
                }
                // What the others find is worth its hours all the same.
                Err(error) => {
                    eprintln!("torture: {error:#}");
                    broken.push(error);
                }
            }
        }
    }
    println!("{table}");
    if let Some(path) = &options.markdown {
        table.write(path)?;
    }
    broken.into_iter().next().map_or(Ok(table.nothing_was_lost()), Err)
}

/// What every trial has at hand.
struct Bench {
    sipprot: PathBuf,
    times: Times,
    soak: Option<Soak>,
}

impl Bench {
    /// A lab with a daemon that runs.
    fn lab(&self, settings: &Settings) -> Result<(Lab, Daemon)> {
        let lab = Lab::with(Manners::default())?;
        let mut daemon = lab.daemon(&self.sipprot)?;
        daemon.configure(settings)?;
        daemon.start()?;
        Ok((lab, daemon))
    }
}

/// A file that 'deny import' reads, with an entry for each network.
fn write_list(lab: &Lab, networks: impl Iterator<Item = String>) -> Result<PathBuf> {
    let path = lab.directory().join("list.csv");
    let rows: String = networks.map(|network| format!("{network},an entry\n")).collect();
    fs::write(&path, format!("IP_ADDRESS,NOTE\n{rows}")).context("write a list")?;
    Ok(path)
}

/// The kernel holds what the store promises.
fn agrees(daemon: &Daemon) -> Result<()> {
    let found = daemon.cli(&["verify"])?;
    let said = String::from_utf8_lossy(&found.stdout);
    ensure!(found.status.success(), "kernel and store differ: {said}");
    Ok(())
}

/// What the files below a directory hold.
fn disk_mib(below: &Path) -> Result<f64> {
    let mut mib = 0.0;
    for entry in fs::read_dir(below).with_context(|| below.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            mib += disk_mib(&path)?;
        } else if let Ok(metadata) = path.metadata() {
            // One that was replaced in between is gone.
            mib += metadata.len() as f64 / f64::from(1 << 20);
        }
    }
    Ok(mib)
}
