//! What the datapath costs and what peers cost, side by side in one run on one machine.
//!
//! Read in this order: `wire` (live frames between two namespaces), `shipped` (the datapath as the
//! daemon opens it), what is measured (`micro`, `floods`, `peers`, `load`, `race`, `cases`, `scaling`,
//! `fleet`), and `report` with `aims` and `charts`. A part that fails is named in the report and leaves its
//! fields empty; figures are never made up for.

mod aims;
mod cases;
mod charts;
mod fleet;
mod floods;
mod load;
mod micro;
mod objects;
mod peers;
mod prefixes;
mod race;
mod report;
mod scaling;
mod shipped;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::floods::Flood;
use crate::objects::Objects;
use crate::report::Report;
use crate::wire::Wire;

/// Measures the datapath and its peers
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    objects: Objects,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// At most two minutes, for a first impression
    #[arg(long)]
    quick: bool,
    /// Write charts (SVG) into this directory
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Ns,
    Floods,
    Peers,
    Load,
    Race,
    Cases,
    Scaling,
    Fleet,
}

/// How long to look.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Of each test run; the fastest counts.
    runs: u32,
    /// Packets in a test run.
    repeat: u32,
    /// Of each flood; the best counts.
    floods: u32,
    flood_time: Duration,
    loads: u32,
    /// Each within the office, out and in.
    calls: u32,
}

impl Effort {
    const FULL: Self = Self {
        runs: 15,
        repeat: 1_000_000,
        floods: 30,
        flood_time: Duration::from_millis(200),
        loads: 5,
        calls: 100,
    };
    const QUICK: Self = Self {
        runs: 5,
        repeat: 300_000,
        floods: 8,
        flood_time: Duration::from_millis(100),
        loads: 2,
        calls: 25,
    };
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sipprot-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let effort = if options.quick { Effort::QUICK } else { Effort::FULL };
    let mut report = Report::begin(options.quick)?;
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let objects = &options.objects;
    if wanted(Part::Ns) {
        report.ns = report.keep("ns", || micro::measure(objects, effort));
    }
    let wire = || Wire::lay().context("the wire");
    if wanted(Part::Floods) {
        for flood in report.keep("floods", || floods(&wire()?, objects, effort)).unwrap_or_default()
        {
            report.add(flood);
        }
    }
    if wanted(Part::Peers) {
        report.keep("peers", peers::check);
        type Peer = fn(&Wire, &Objects, Effort) -> Result<Flood>;
        let peers: [(&'static str, Peer); 3] = [
            ("xdp_filter", peers::xdp_filter),
            ("nft_set", peers::nftables),
            ("ipset", peers::ipset),
        ];
        for (name, measure) in peers {
            if let Some(flood) = report.keep(name, || measure(&wire()?, objects, effort)) {
                report.add(flood);
            }
        }
    }
    if wanted(Part::Load)
        && let Some(load) = report.keep("load", || load::measure(objects, effort.loads))
    {
        (report.load_1m_seconds, report.load_1m_mib) = (Some(load.seconds), Some(load.mib));
    }
    if wanted(Part::Race)
        && let Some(sipprot) = &objects.sipprot
    {
        race::measure(&mut report, sipprot, effort);
    }
    if wanted(Part::Cases) {
        report.cases = report.keep("cases", || cases::measure(&objects.shipped, effort));
    }
    if wanted(Part::Scaling) {
        report.scaling = report.keep("scaling", || scaling::measure(objects, effort));
    }
    if wanted(Part::Fleet) {
        report.fleet = report.keep("fleet", fleet::measure);
    }
    report.end()?;
    if let Some(directory) = &options.charts {
        charts::write(&report, directory)?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// The floor before and after: a machine that changes its pace meanwhile gives itself away.
fn floods(wire: &Wire, objects: &Objects, effort: Effort) -> Result<Vec<Flood>> {
    let mut floods = vec![floods::floor(wire, objects, effort)?];
    floods.extend(floods::shipped(wire, objects, effort)?);
    floods.push(floods::tries_only(wire, objects, effort)?);
    let again = Flood { name: "floor_again", ..floods::floor(wire, objects, effort)? };
    floods.push(again);
    Ok(floods)
}
