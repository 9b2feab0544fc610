//! What is aimed at, line by line, and how far this run got.

use std::fmt;

use crate::report::Report;

/// Better above or below.
#[derive(Clone, Copy)]
enum Bound {
    Least(f64),
    Most(f64),
}

pub struct Aim {
    what: &'static str,
    measured: Option<f64>,
    bound: Bound,
    unit: &'static str,
}

impl Aim {
    /// `None` when it wasn't measured.
    pub fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::Least(least) => measured >= least,
            Bound::Most(most) => measured <= most,
        })
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: f64| match value {
            _ if value.fract() == 0.0 || value >= 1000.0 => format!("{value:.0}{}", self.unit),
            _ if value < 10.0 => format!("{value:.2}{}", self.unit),
            _ => format!("{value:.1}{}", self.unit),
        };
        let measured = self.measured.map_or_else(|| "-".to_owned(), number);
        let bound = match self.bound {
            Bound::Least(least) => format!("≥ {}", number(least)),
            Bound::Most(most) => format!("≤ {}", number(most)),
        };
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "SHORT",
            None => "not measured",
        };
        write!(f, "{:<58} {measured:>9} {bound:>9}  {verdict}", self.what)
    }
}

pub fn all(report: &Report) -> Vec<Aim> {
    use Bound::{Least, Most};
    let ratio = |of: Option<f64>, to: Option<f64>| Some(of? / to?);
    let floor = report.floor_mpps;
    let v4 = report.flood_v4_1m_mpps;
    let net = |name: &str| {
        let rows = report.ns?.rows();
        let (_, gross, base) = *rows.iter().find(|(row, ..)| *row == name)?;
        Some(gross.saturating_sub(base) as f64)
    };
    let aim = |what, measured, bound, unit| Aim { what, measured, bound, unit };
    let best_set = report.nft_set_mpps.into_iter().chain(report.ipset_mpps).reduce(f64::max);
    let calls = report.calls_failed_flood.map(f64::from);
    vec![
        aim("forged IPv4 flood, 1M prefixes: of the floor", ratio(v4, floor), Least(0.5), ""),
        aim("… against tries only", ratio(v4, report.lpm_only_mpps), Least(8.0), "×"),
        aim("… against the better of nftables and ipset", ratio(v4, best_set), Least(12.0), "×"),
        aim(
            "forged IPv6 flood, 1M prefixes: of the floor",
            ratio(report.flood_v6_1m_mpps, floor),
            Least(0.5),
            "",
        ),
        aim(
            "forged SIP requests on no list: of the floor",
            ratio(report.flood_sip_unlisted_mpps, floor),
            Least(0.33),
            "",
        ),
        aim("list and geo, random IPv4 source", net("list_v4_random"), Most(30.0), " ns"),
        aim("list and geo, random IPv6 source", net("list_v6_random"), Most(15.0), " ns"),
        aim("counting a forged source", net("count_forged"), Most(25.0), " ns"),
        aim("RTP, known source", net("rtp_pass_known"), Most(20.0), " ns"),
        aim("RTP, random source", net("rtp_pass"), Most(85.0), " ns"),
        aim("clean REGISTER, known source", net("sip_pass_known"), Most(100.0), " ns"),
        aim("clean REGISTER, random source", net("sip_pass"), Most(200.0), " ns"),
        aim("1M prefixes, text to enforced", report.load_1m_seconds, Most(0.3), " s"),
        aim("… memory in the kernel", report.load_1m_mib, Most(64.0), " MiB"),
        aim("… durable in the store", report.import_1m_seconds, Most(30.0), " s"),
        aim("reaction of the controller, median", report.react_us.p50, Most(200.0), " µs"),
        aim("… with CPUs that don't halt", report.react_us.p50_awake, Most(200.0), " µs"),
        aim("… 99th percentile", report.react_us.p99, Most(1000.0), " µs"),
        aim("… 99th percentile under flood", report.react_us.p99_flood, Most(5000.0), " µs"),
        aim(
            "attempts answered, 5,000 guesses on one nonce, over the limit of 10",
            report.sipprot_attempts.map(|attempts| attempts.saturating_sub(10) as f64),
            Most(2.0),
            "",
        ),
        aim("legitimate calls failed during a flood", calls, Most(0.0), ""),
        aim("… the PBX's CPU time, ratio", report.pbx_cpu_ratio_flood, Most(1.1), "×"),
        aim("events a second on one core", report.events_per_second, Least(200_000.0), ""),
        aim("the idle daemon's CPU time", report.idle_cpu_percent, Most(0.5), " %"),
        aim("… and resident memory", report.idle_mib, Most(64.0), " MiB"),
        aim(
            "verifier instructions, ingress",
            report.cases.as_ref().map(|cases| f64::from(cases.verified_ingress)),
            Most(100_000.0),
            "",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let report = Report {
            floor_mpps: Some(10.0),
            flood_v4_1m_mpps: Some(4.0),
            lpm_only_mpps: Some(0.4),
            ..Report::default()
        };
        let met: Vec<_> = all(&report).iter().map(Aim::is_met).take(3).collect();
        assert_eq!(met, [Some(false), Some(true), None]);
    }
}
