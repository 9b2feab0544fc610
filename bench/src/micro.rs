//! Nanoseconds per packet by BPF_PROG_TEST_RUN: the shipped program, and shipped functions alone.
//!
//! The kernel runs one frame in a loop and leaves it as the last run did. So where sources are to
//! vary, a small program writes the next one into the frame and goes on with the shipped program by a
//! tail call; `empty_random` is what that by itself costs. Figures are gross, and minima: what
//! disturbs a run only ever makes it slower.

use anyhow::{Result, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use serde::Serialize;
use sipprot_common::reason::Reason;

use crate::Effort;
use crate::objects::Objects;
use crate::prefixes;
use crate::shipped::{Countries, Shipped};
use crate::wire::{frame, pin_to_last_cpu, register};

const MEDIA_PORT: u16 = 16_384;
const SIP_PORT: u16 = 5060;
const MEDIA: [u8; 172] = [0x80; 172];
/// Of random sources a few per cent are listed, and leave for that.
const MOSTLY_PERCENT: f64 = 85.0;

/// The fields of the report, and three more that explain them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Nanoseconds {
    pub empty: u64,
    /// A random source, then a tail call to the empty program.
    pub empty_random: u64,
    pub list_v4_random: u64,
    pub list_v6_random: u64,
    /// Behind the default ceilings, as under a flood.
    pub count_forged: u64,
    /// Where no ceiling stops anybody.
    pub count_forged_no_ceiling: u64,
    pub rtp_pass: u64,
    pub rtp_pass_known: u64,
    pub sip_pass: u64,
    pub sip_pass_known: u64,
}

pub fn measure(objects: &Objects, effort: Effort) -> Result<Nanoseconds> {
    pin_to_last_cpu()?;
    let mut shipped = Shipped::open(objects)?;
    let count = prefixes::MILLION;
    let networks: Vec<_> = prefixes::v4(count).into_iter().chain(prefixes::v6(count)).collect();
    shipped.load_geo()?;
    shipped.judge(Countries::AllButOne, true)?;
    shipped.load_denied(&networks)?;
    drop(networks);

    let small = [frame(false, SIP_PORT).payload([0; 22]), frame(true, SIP_PORT).payload([0; 22])];
    let [v4, v6] = small.map(|frame| frame.bytes());
    let rtp = frame(false, MEDIA_PORT).payload(MEDIA).bytes();
    let sip = frame(false, SIP_PORT).payload(register()).bytes();
    let empty = fastest(shipped.own("bench_empty")?, &rtp, effort)?;
    let mut figures = Nanoseconds { empty, ..Nanoseconds::default() };
    shipped.follow_up(false)?;
    figures.empty_random = fastest(shipped.own("bench_random_v4")?, &rtp, effort)?;
    figures.list_v4_random = fastest(shipped.own("bench_list_v4")?, &v4, effort)?;
    figures.list_v6_random = fastest(shipped.own("bench_list_v6")?, &v6, effort)?;
    figures.count_forged = fastest(shipped.own("bench_count")?, &v4, effort)?;

    // No ceiling may end what is to be measured to its end.
    shipped.judge(Countries::AllButOne, false)?;
    figures.count_forged_no_ceiling = fastest(shipped.own("bench_count")?, &v4, effort)?;
    shipped.follow_up(true)?;
    let runs = [
        (&mut figures.rtp_pass_known, &rtp, false, Reason::Other),
        (&mut figures.rtp_pass, &rtp, true, Reason::Other),
        (&mut figures.sip_pass_known, &sip, false, Reason::SipRequest),
        (&mut figures.sip_pass, &sip, true, Reason::SipRequest),
    ];
    for (figure, frame, random, reason) in runs {
        let before = shipped.packets()?;
        *figure = match random {
            true => fastest(shipped.own("bench_random_v4")?, frame, effort)?,
            false => fastest(shipped.ingress()?, frame, effort)?,
        };
        // What was measured must be what the case is about.
        let packets = shipped.packets()?.since(&before);
        let mostly = packets.percent(reason);
        ensure!(mostly > MOSTLY_PERCENT, "not {reason:?} but {}", packets.description());
    }
    Ok(figures)
}

/// Nanoseconds of one run, gross.
pub fn fastest(program: &Xdp, frame: &[u8], effort: Effort) -> Result<u64> {
    let mut best = u64::MAX;
    for _ in 0..effort.runs {
        let options =
            TestRunOptions { data_in: Some(frame), repeat: effort.repeat, ..TestRunOptions::new() };
        best = best.min(program.test_run(options)?.duration.as_nanos() as u64);
    }
    Ok(best)
}

impl Nanoseconds {
    /// Name, gross figure, and what the net one is net of: where the tail call is needed for another
    /// source, the empty program behind it.
    pub fn rows(&self) -> [(&'static str, u64, u64); 10] {
        [
            ("empty", self.empty, 0),
            ("empty_random", self.empty_random, 0),
            ("list_v4_random", self.list_v4_random, self.empty),
            ("list_v6_random", self.list_v6_random, self.empty),
            ("count_forged", self.count_forged, self.empty),
            ("count_forged_no_ceiling", self.count_forged_no_ceiling, self.empty),
            ("rtp_pass", self.rtp_pass, self.empty_random),
            ("rtp_pass_known", self.rtp_pass_known, self.empty),
            ("sip_pass", self.sip_pass, self.empty_random),
            ("sip_pass_known", self.sip_pass_known, self.empty),
        ]
    }
}
