//! What needs the whole program and a real PBX: how fast the controller reacts, whether calls live
//! through a flood, and how many guesses get an answer, against fail2ban.

mod awake;
mod calls;
mod events;
mod fail2ban;
mod reaction;

use std::path::Path;

use anyhow::{Result, bail};
use sipprot_tests::attackers::cracker::{self, Plan};
use sipprot_tests::daemon::{Daemon, Settings};
use sipprot_tests::lab::Lab;
use sipprot_tests::pbx::Manners;
use sipprot_tests::topology::Family;

use crate::Effort;
use crate::load;
use crate::report::Report;

/// Of forged floods beside real traffic.
const FRAMES_PER_SECOND: u64 = 250_000;

pub fn measure(report: &mut Report, sipprot: &Path, effort: Effort) {
    if let Some(missing) = Lab::missing() {
        report.note(format!("race: needs {missing}"));
        return;
    }
    report.fail2ban_attempts = report.keep("fail2ban_attempts", || {
        let lab = Lab::with(Manners { logs_failures: true, ..Manners::default() })?;
        let _fail2ban = fail2ban::start(&lab)?;
        attempts(&lab)
    });
    report.sipprot_attempts = report.keep("sipprot_attempts", || {
        let (lab, _daemon) = protected(sipprot)?;
        attempts(&lab)
    });
    if let Some(micros) = report.keep("react_us", || {
        let (lab, daemon) = protected(sipprot)?;
        reaction::measure(&lab, &daemon)
    }) {
        report.react_us.p50 = percentile(&micros, 50);
        report.react_us.p99 = percentile(&micros, 99);
    }
    if let Some(micros) = report.keep("react_us with CPUs awake", || {
        let (lab, daemon) = protected(sipprot)?;
        let _awake = awake::Awake::keep()?;
        reaction::measure(&lab, &daemon)
    }) {
        report.react_us.p50_awake = percentile(&micros, 50);
    }
    if let Some(micros) = report.keep("react_us under a flood", || {
        let (lab, daemon) = protected(sipprot)?;
        reaction::measure_flooded(&lab, &daemon)
    }) {
        report.react_us.p99_flood = percentile(&micros, 99);
    }
    if let Some(controller) = report.keep("events_per_second", || {
        let (lab, daemon) = protected(sipprot)?;
        events::measure(&lab, &daemon)
    }) {
        report.events_per_second = Some(controller.events_per_second.round());
        report.idle_cpu_percent = Some(controller.idle_cpu_percent);
        report.idle_mib = Some(controller.idle_mib);
        report.note(controller.what);
    }
    if let Some(calls) = report.keep("calls under a flood", || {
        let (lab, _daemon) = protected(sipprot)?;
        calls::measure(&lab, effort.calls)
    }) {
        report.calls_ok_flood = Some(calls.ok);
        report.calls_failed_flood = Some(calls.failed);
        report.pbx_cpu_ratio_flood = Some(calls.cpu_ratio);
        report.note(calls.what);
    }
    if let Some(import) = report.keep("import_1m_seconds", || {
        let (lab, daemon) = protected(sipprot)?;
        load::import(&daemon, &lab.directory())
    }) {
        report.import_1m_seconds = Some(import.durable);
        report.note(import.what);
    }
}

fn protected(sipprot: &Path) -> Result<(Lab, Daemon)> {
    let lab = Lab::new()?;
    let mut daemon = lab.daemon(sipprot)?;
    daemon.configure(&Settings::default())?;
    daemon.start()?;
    Ok((lab, daemon))
}

/// Of 5,000 guesses on one nonce, as fast as the socket takes them: how many the PBX answered.
fn attempts(lab: &Lab) -> Result<u64> {
    let plan = Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4));
    let told = cracker::attack_from(&lab.net.attackers, &plan)?;
    if !told.challenged || told.sent < plan.guesses {
        bail!("the cracker could not do its work: {told:?}");
    }
    Ok(lab.counts(plan.source)?.rejected)
}

/// The value that so many of a hundred don't exceed.
fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * percent).div_ceil(100);
    sorted.get(place.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50), Some(50.0));
        assert_eq!(percentile(&hundred, 99), Some(99.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
