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
/// More rejections than there will be.
const NEVER: u32 = 1_000_000;
/// All are registered again within this, whatever happened.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What all phones of a campus do.
#[derive(Clone, Copy, Debug)]
pub struct Routine {
    /// The first to the last of them begin within this.
    pub within: Duration,
    /// How often each wants to be accepted, `pause` after the time before.
    pub times: u32,
    pub pause: Duration,
    /// For so long nobody can succeed, and all keep trying.
    pub outage: Duration,
    /// There is one more, with a stale password, which tries as long as the others renew.
    pub one_is_stale: bool,
}

impl Routine {
    pub fn once(within: Duration) -> Self {
        let (pause, outage) = (Duration::ZERO, Duration::ZERO);
        Self { within, times: 1, pause, outage, one_is_stale: false }
    }

    #[must_use]
    pub fn renewed(self, times: u32, pause: Duration) -> Self {
        Self { times, pause, ..self }
    }
}

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

    /// All phones do as told. The run ends when the last has succeeded, or at its limit.
    pub fn start(&self, routine: Routine) -> Result<Sipp> {
        let Routine { within, times, pause, outage, one_is_stale } = routine;
        let stale = one_is_stale.then(|| stale(pause * times)).into_iter();
        let wanted = format!("{times};{NEVER}");
        let lines: Vec<Line> =
            stale.chain(PHONES.map(|account| Line::of(account, &wanted))).collect();
        let per_second = (lines.len() as f64 / within.as_secs_f64()).ceil() as u32;
        let limit = LIMIT + outage + pause * times.saturating_sub(1);
        self.call(&Plan { limit, ..self.plan(lines, per_second, pause) })
    }

    /// One phone with a stale password, on a port of its own, which tries for so long.
    pub fn start_stale(&self, port: u16, time: Duration) -> Result<Sipp> {
        let (ports, limit) = (Ports::One(port), time + LIMIT);
        let plan = Plan { ports, limit, ..self.plan(vec![stale(time)], 1, Duration::ZERO) };
        self.call(&plan)
    }

    /// Phones call numbers outside, which the PBX sends to the trunk.
    pub fn start_calls_out(&self, calls: u32, per_second: u32) -> Result<Sipp> {
        let lines = PHONES.map(|from| Line::of(from, format!("9{from}"))).collect();
        let plan = self.plan(lines, per_second, Duration::from_millis(300));
        let limit = Duration::from_secs(20 + u64::from(calls / per_second));
        self.call(&Plan { scenario: sipp::CALL, ports: Ports::Each, calls, limit, ..plan })
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

/// A phone with an old password: it tries twice in three seconds.
fn stale(time: Duration) -> Line {
    let rejections = time.as_secs() * 2 / 3;
    Line::with_password(STALE_ACCOUNT, "last month's", format!("1;{rejections}"))
}
