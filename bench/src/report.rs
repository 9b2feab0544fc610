//! All figures of one run, for people and for programs. What wasn't measured is null, with a note.

use std::fmt;
use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::aims;
use crate::cases::Table;
use crate::fleet::Fleet;
use crate::floods::Flood;
use crate::micro::Nanoseconds;
use crate::scaling::Scaling;
use crate::wire;

#[derive(Debug, Default, Serialize)]
pub struct React {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub p99_flood: Option<f64>,
    /// The median where no CPU halts.
    pub p50_awake: Option<f64>,
}

#[derive(Default, Serialize)]
pub struct Report {
    pub floor_mpps: Option<f64>,
    pub flood_v4_1m_mpps: Option<f64>,
    pub flood_v6_1m_mpps: Option<f64>,
    pub flood_sip_unlisted_mpps: Option<f64>,
    pub flood_pass_mpps: Option<f64>,
    pub flood_geo_allow_mpps: Option<f64>,
    pub lpm_only_mpps: Option<f64>,
    pub xdp_filter_mpps: Option<f64>,
    pub nft_set_mpps: Option<f64>,
    pub ipset_mpps: Option<f64>,
    pub ns: Option<Nanoseconds>,
    pub load_1m_seconds: Option<f64>,
    pub load_1m_mib: Option<f64>,
    pub import_1m_seconds: Option<f64>,
    pub react_us: React,
    /// Of one core's time.
    pub events_per_second: Option<f64>,
    pub idle_cpu_percent: Option<f64>,
    pub idle_mib: Option<f64>,
    pub calls_ok_flood: Option<u32>,
    pub calls_failed_flood: Option<u32>,
    pub pbx_cpu_ratio_flood: Option<f64>,
    pub fail2ban_attempts: Option<u64>,
    pub sipprot_attempts: Option<u64>,
    pub floods: Vec<Flood>,
    pub cases: Option<Table>,
    pub scaling: Option<Scaling>,
    pub fleet: Option<Fleet>,
    pub machine: Machine,
    /// What failed, and what a figure is to be read with.
    pub notes: Vec<String>,
}

/// Where and in what company the figures were measured.
#[derive(Default, Serialize)]
pub struct Machine {
    pub kernel: String,
    pub cpus: usize,
    pub cpu: String,
    /// One minute's average, before and after; the bench itself makes about 1.
    pub load: [String; 2],
    pub quick: bool,
}

fn load_average() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

impl Report {
    pub fn begin(quick: bool) -> Result<Self> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let cpu = fs::read_to_string("/proc/cpuinfo")?
            .lines()
            .find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1.to_owned()))
            .unwrap_or_default();
        let cpus = wire::cpus()?;
        let load = [load_average()?, String::new()];
        let machine = Machine { kernel, cpus, cpu, load, quick };
        Ok(Self { machine, ..Self::default() })
    }

    pub fn end(&mut self) -> Result<()> {
        self.machine.load[1] = load_average()?;
        Ok(())
    }

    /// A part's figure, or a note why there is none.
    pub fn keep<T>(&mut self, part: &str, measure: impl FnOnce() -> Result<T>) -> Option<T> {
        eprintln!("bench: {part}");
        match measure() {
            Ok(figure) => Some(figure),
            Err(error) => {
                self.note(format!("{part}: {error:#}"));
                None
            }
        }
    }

    pub fn note(&mut self, note: String) {
        eprintln!("bench: {note}");
        self.notes.push(note);
    }

    pub fn add(&mut self, flood: Flood) {
        let field = match flood.name {
            "floor" | "floor_again" => Some(&mut self.floor_mpps),
            "flood_v4_1m" => Some(&mut self.flood_v4_1m_mpps),
            "flood_v6_1m" => Some(&mut self.flood_v6_1m_mpps),
            "flood_sip_unlisted" => Some(&mut self.flood_sip_unlisted_mpps),
            "flood_pass" => Some(&mut self.flood_pass_mpps),
            "flood_geo_allow" => Some(&mut self.flood_geo_allow_mpps),
            "lpm_only" => Some(&mut self.lpm_only_mpps),
            "xdp_filter" => Some(&mut self.xdp_filter_mpps),
            "nft_set" => Some(&mut self.nft_set_mpps),
            "ipset" => Some(&mut self.ipset_mpps),
            _ => None,
        };
        if let Some(field) = field {
            // The floor is measured twice: a machine that changes its pace gives itself away.
            *field = Some(field.map_or(flood.mpps, |before| flood.mpps.max(before)));
        }
        self.floods.push(flood);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { kernel, cpus, cpu, load: [before, after], quick } = &self.machine;
        let quick = if *quick { "; a quick run" } else { "" };
        writeln!(
            f,
            "Linux {kernel}, {cpus} × {cpu}; load {before} before, {after} after{quick}\n"
        )?;
        if !self.floods.is_empty() {
            writeln!(f, "{:<20} {:>7} {:>9} {:>9}  WHAT", "FLOOD", "MPPS", "OF FLOOR", "RECEIVED")?;
        }
        for Flood { name, mpps, received_percent, what } in &self.floods {
            let ratio =
                self.floor_mpps.map_or(String::new(), |floor| format!("{:.2}", mpps / floor));
            writeln!(f, "{name:<20} {mpps:>7.2} {ratio:>9} {received_percent:>7.1} %  {what}")?;
        }
        if let Some(ns) = &self.ns {
            writeln!(f, "\n{:<26} {:>6} {:>6}", "NANOSECONDS", "GROSS", "NET")?;
            for (name, gross, base) in ns.rows() {
                writeln!(f, "{name:<26} {gross:>6} {:>6}", gross.saturating_sub(base))?;
            }
        }
        let race = [("fail2ban", self.fail2ban_attempts), ("sipprot", self.sipprot_attempts)];
        for (name, attempts) in race {
            if let Some(attempts) = attempts {
                writeln!(f, "\n5,000 guesses on one nonce, answered behind {name}: {attempts}")?;
            }
        }
        if let Some(cases) = &self.cases {
            write!(f, "\n{cases}")?;
        }
        if let Some(scaling) = &self.scaling {
            write!(f, "\n{scaling}")?;
        }
        if let Some(fleet) = &self.fleet {
            write!(f, "\n{fleet}")?;
        }
        let aims = aims::all(self);
        writeln!(f, "\n{:<58} {:>9} {:>9}  ", "AIM", "MEASURED", "AIMED AT")?;
        for aim in &aims {
            writeln!(f, "{aim}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}
