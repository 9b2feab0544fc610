//! A big office: five hundred phones behind one address, which keep trying until they are accepted.
//!
//! To the firewall it is one source with many accounts, and whatever happens to all of them at once
//! (a power cut, expired nonces, a PBX that is away or new) looks like a burst of failures.

use std::{net::Ipv4Addr, ops::Range, time::Duration};

use anyhow::Result;

use crate::{
    lab::Lab,
    sipp::{self, Line, Plan, Ports, Sipp},
    topology::Family,
};

/// The accounts of its phones.
pub const PHONES: Range<u16> = 1000..1500;
/// An account whose phone still has last month's password.
pub const STALE_ACCOUNT: u16 = 1900;
/// All are registered again within this, whatever happened.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The phones of one address at the first PBX of a lab.
#[derive(Clone, Copy, Debug)]
pub struct Campus<'a> {
    lab: &'a Lab,
    source: Ipv4Addr,
    ports: Ports,
}

impl<'a> Campus<'a> {
    pub(crate) fn new(lab: &'a Lab, source: Ipv4Addr) -> Self {
        Self { lab, source, ports: Ports::Each }
    }

    /// All phones through one source port, as behind an SBC.
    #[must_use]
    pub fn through(self, port: u16) -> Self {
        Self { ports: Ports::One(port), ..self }
    }

    /// All phones register within `within`, and then again and again, `pause` apart, until each was
    /// accepted so many `times`.
    pub fn start(&self, within: Duration, times: u32, pause: Duration) -> Result<Sipp> {
        self.run(self.lines(times), within, times, pause)
    }

    /// The same with one phone more, whose password is stale; it is among them and never succeeds,
    /// so that the run takes its whole time.
    pub fn start_with_stale(&self, within: Duration, times: u32, pause: Duration) -> Result<Sipp> {
        let mut lines = self.lines(times);
        lines.insert(0, stale());
        self.run(lines, within, times, pause)
    }

    /// One phone with a stale password, on a port of its own, which tries until the limit.
    pub fn start_stale(&self, port: u16, limit: Duration) -> Result<Sipp> {
        let ports = Ports::One(port);
        let plan = Plan { ports, limit, ..self.plan(vec![stale()], 1, Duration::ZERO) };
        self.call(&plan)
    }

    /// Phones call numbers outside, which the PBX sends to the trunk.
    pub fn start_calls_out(&self, calls: u32, per_second: u32) -> Result<Sipp> {
        let lines = PHONES.map(|from| Line::of(from, format!("9{from}"))).collect();
        let plan = self.plan(lines, per_second, Duration::from_millis(300));
        let limit = Duration::from_secs(20 + u64::from(calls / per_second));
        self.call(&Plan { scenario: sipp::CALL, ports: Ports::Each, calls, limit, ..plan })
    }

    fn lines(&self, times: u32) -> Vec<Line> {
        PHONES.map(|account| Line::of(account, times)).collect()
    }

    fn run(&self, lines: Vec<Line>, within: Duration, times: u32, pause: Duration) -> Result<Sipp> {
        let per_second = (lines.len() as f64 / within.as_secs_f64()).ceil() as u32;
        let limit = LIMIT + pause * times.saturating_sub(1);
        self.call(&Plan { limit, ..self.plan(lines, per_second, pause) })
    }

    fn plan(&self, lines: Vec<Line>, calls_per_second: u32, pause: Duration) -> Plan {
        Plan {
            scenario: sipp::STEADFAST,
            local: self.source.into(),
            ports: self.ports,
            calls: lines.len() as u32,
            calls_per_second,
            lines,
            pause,
            limit: LIMIT,
        }
    }

    fn call(&self, plan: &Plan) -> Result<Sipp> {
        let to = self.lab.pbxs[0].sip(Family::V4);
        Sipp::call(&self.lab.net.office, &self.lab.directory(), to, plan)
    }
}

fn stale() -> Line {
    Line::with_password(STALE_ACCOUNT, "last month's", 1)
}
