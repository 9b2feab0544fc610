//! How costs grow: with the prefixes on the list, the sources that are tracked, the endpoints, the
//! CPUs. Sizes that the datapath refuses leave a note and no point.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use serde::Serialize;

use crate::Effort;
use crate::micro::fastest;
use crate::objects::Objects;
use crate::prefixes;
use crate::shipped::{ANYBODY, Countries, Shipped};
use crate::wire::{cpus, frame, pin, pin_to_last_cpu, register};

const PREFIXES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Bits that vary in the source's address.
const SOURCE_BITS: [u32; 4] = [10, 13, 17, 20];
const ENDPOINTS: [u32; 4] = [1, 10, 100, 500];
const SIP_PORT: u16 = 5060;
const MEDIA_PORT: u16 = 16_384;
const SMALL: [u8; 22] = [0; 22];
const MEDIA: [u8; 172] = [0x80; 172];

/// One figure by one quantity.
#[derive(Debug, Serialize)]
pub struct Curve {
    pub name: &'static str,
    pub by: &'static str,
    pub unit: &'static str,
    pub points: Vec<(u64, f64)>,
}

#[derive(Debug, Default, Serialize)]
pub struct Scaling {
    pub curves: Vec<Curve>,
    /// Which sizes were refused, and why.
    pub refused: Vec<String>,
}

pub fn measure(objects: &Objects, effort: Effort) -> Result<Scaling> {
    let mut scaling = Scaling::default();
    pin_to_last_cpu()?;
    scaling.by_prefixes(objects, effort).context("by prefixes")?;
    scaling.by_sources(objects, effort).context("by sources")?;
    scaling.by_endpoints(objects, effort).context("by endpoints")?;
    scaling.by_cpus(objects, effort).context("by CPUs")?;
    Ok(scaling)
}

impl Scaling {
    fn by_prefixes(&mut self, objects: &Objects, effort: Effort) -> Result<()> {
        let (mut look, mut load) = (Vec::new(), Vec::new());
        let frame = frame(false, SIP_PORT).payload(SMALL).bytes();
        for count in PREFIXES {
            let networks = prefixes::v4(count);
            let mut shipped = Shipped::open(objects)?;
            let empty = fastest(shipped.own("bench_empty")?, &frame, effort)?;
            let start = Instant::now();
            if let Err(error) = shipped.load_denied(&networks) {
                self.refused.push(format!("{count} prefixes: {error:#}"));
                continue;
            }
            load.push((count as u64, start.elapsed().as_secs_f64()));
            let gross = fastest(shipped.own("bench_list_v4")?, &frame, effort)?;
            look.push((count as u64, gross.saturating_sub(empty) as f64));
        }
        self.add("the list's verdict, random IPv4 source", "prefixes", "ns", look);
        self.add("loading the list", "prefixes", "s", load);
        Ok(())
    }

    /// A REGISTER of a random one of so many sources, no ceiling in the way: what tracking costs.
    fn by_sources(&mut self, objects: &Objects, effort: Effort) -> Result<()> {
        let mut shipped = Shipped::open(objects)?;
        shipped.judge(Countries::Any, false)?;
        let frame = frame(false, SIP_PORT).payload(register()).bytes();
        let mut points = Vec::new();
        for bits in SOURCE_BITS {
            let varies = (1 << bits) - 1;
            shipped.vary([prefixes::UNLISTED[0], varies])?;
            points.push((1 << bits, net(&mut shipped, &frame, effort)?));
        }
        self.add("REGISTER of a random one of the sources", "sources", "ns", points);
        Ok(())
    }

    fn by_endpoints(&mut self, objects: &Objects, effort: Effort) -> Result<()> {
        let mut shipped = Shipped::open(objects)?;
        let frame = frame(false, MEDIA_PORT).payload(MEDIA).bytes();
        let empty = fastest(shipped.own("bench_empty")?, &frame, effort)?;
        let mut points = Vec::new();
        for count in ENDPOINTS {
            shipped.declare_endpoints(count)?;
            let gross = fastest(shipped.ingress()?, &frame, effort)?;
            points.push((count.into(), gross.saturating_sub(empty) as f64));
        }
        self.add("RTP of a known source", "endpoints", "ns", points);
        Ok(())
    }

    /// The whole program on each CPU at once, random sources: what they share shows.
    fn by_cpus(&mut self, objects: &Objects, effort: Effort) -> Result<()> {
        let mut shipped = Shipped::open(objects)?;
        shipped.load_denied(&prefixes::v4(prefixes::MILLION))?;
        shipped.vary(ANYBODY)?;
        shipped.follow_up(true)?;
        let small = frame(false, SIP_PORT).payload(SMALL).bytes();
        let register = frame(false, SIP_PORT).payload(register()).bytes();
        let program = shipped.own("bench_random_v4")?;
        let cpus = cpus()?;
        for (name, frame) in
            [("small UDP, behind the default ceilings", small), ("REGISTER, likewise", register)]
        {
            let rate = |count| Ok((count as u64, together(program, &frame, count, effort)?));
            let points = (1..=cpus).map(rate).collect::<Result<Vec<_>>>()?;
            self.add(name, "CPUs", "Mpps", points);
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: &'static str,
        by: &'static str,
        unit: &'static str,
        points: Vec<(u64, f64)>,
    ) {
        self.curves.push(Curve { name, by, unit, points });
    }
}

/// Of the shipped program with a random source, without what makes it random.
fn net(shipped: &mut Shipped, frame: &[u8], effort: Effort) -> Result<f64> {
    shipped.follow_up(false)?;
    let empty = fastest(shipped.own("bench_random_v4")?, frame, effort)?;
    shipped.follow_up(true)?;
    let gross = fastest(shipped.own("bench_random_v4")?, frame, effort)?;
    Ok(gross.saturating_sub(empty) as f64)
}

/// Million packets a second of so many CPUs together, the best of some runs.
fn together(program: &Xdp, frame: &[u8], cpus: usize, effort: Effort) -> Result<f64> {
    let one = |cpu| -> Result<Duration> {
        pin(cpu)?;
        let options =
            TestRunOptions { data_in: Some(frame), repeat: effort.repeat, ..TestRunOptions::new() };
        Ok(program.test_run(options)?.duration)
    };
    let (mut best, one) = (0.0_f64, &one);
    for _ in 0..effort.runs {
        let rates = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cpus).map(|cpu| scope.spawn(move || one(cpu))).collect();
            threads
                .into_iter()
                .map(|thread| {
                    let each =
                        thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
                    ensure!(!each.is_zero(), "no time was measured");
                    Ok(1e3 / each.as_nanos() as f64)
                })
                .collect::<Result<Vec<f64>>>()
        })?;
        best = best.max(rates.iter().sum());
    }
    Ok(best)
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "SCALING")?;
        for Curve { name, by, unit, points } in &self.curves {
            let points: Vec<_> =
                points.iter().map(|(size, value)| format!("{size}: {value:.2}")).collect();
            writeln!(f, "{name:<40} {unit:<5} by {by:<10} {}", points.join("  "))?;
        }
        self.refused.iter().try_for_each(|refused| writeln!(f, "refused: {refused}"))
    }
}
