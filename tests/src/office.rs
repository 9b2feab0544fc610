//! The office: fifty phones behind one address, each on a port of its own.
//!
//! Ten of them take calls, on the very port from which they registered; the others call. To the
//! firewall it is one source with many accounts, sometimes with one stale password among them.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, bail};

use crate::{
    lab::Lab,
    process::Process,
    sipp::{self, Calls, Line, Plan, Ports, Sipp},
    topology::{Family, OFFICE},
};

/// The accounts of the phones that call.
pub const CALLERS: std::ops::Range<u16> = 1000..1040;
/// The accounts of the phones that are called.
pub const CALLEES: std::ops::Range<u16> = 1040..1050;
pub const PHONES: u32 = (CALLEES.end - CALLERS.start) as u32;
/// An account whose phone still has last month's password.
pub const STALE_ACCOUNT: u16 = 1060;
/// A callee answers on this port plus its account.
const PORTS_FROM: u16 = 20000;
const LIMIT: Duration = Duration::from_secs(20);

/// The office of a lab, over one IP version, at one of the PBXs.
#[derive(Clone, Copy, Debug)]
pub struct Office<'a> {
    lab: &'a Lab,
    pbx: usize,
    family: Family,
}

impl<'a> Office<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Self {
        Self { lab, pbx: 0, family: Family::V4 }
    }

    #[must_use]
    pub fn over(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// As a customer of the second PBX, for instance.
    #[must_use]
    pub fn at(self, pbx: usize) -> Self {
        Self { pbx, ..self }
    }

    /// All fifty register, renew twice, and that is it. Counted in phones.
    pub fn register(&self) -> Result<Calls> {
        let callees: Vec<Sipp> =
            CALLEES.map(|account| self.start_registering(account)).collect::<Result<_>>()?;
        let callers = self.register_callers(50)?;
        let mut sum = callers.finish()?;
        for callee in callees {
            sum = sum + callee.finish()?;
        }
        Ok(sum)
    }

    /// The forty callers register, so many a second.
    pub fn register_callers(&self, per_second: u32) -> Result<Sipp> {
        self.start(Plan {
            calls_per_second: per_second,
            ..self.plan(sipp::REGISTER, CALLERS.map(|account| Line::of(account, "")).collect())
        })
    }

    /// One callee registers from the port on which it will answer.
    fn start_registering(&self, account: u16) -> Result<Sipp> {
        self.start(Plan {
            ports: Ports::One(PORTS_FROM + account),
            ..self.plan(sipp::REGISTER, vec![Line::of(account, "")])
        })
    }

    /// The ten callees answer from now on, until what is returned is dropped.
    pub fn answer(&self) -> Result<Vec<Process>> {
        let directory = self.lab.directory();
        let local = OFFICE.of(self.family);
        CALLEES
            .map(|account| {
                let at = SocketAddr::new(local, PORTS_FROM + account);
                Sipp::answer(&self.lab.net.office, &directory, at, sipp::ANSWER)
            })
            .collect()
    }

    /// Callers call callees; ends with the last call.
    pub fn start_calls(&self, calls: u32, per_second: u32) -> Result<Sipp> {
        let lines = CALLERS.zip(CALLEES.cycle()).map(|(from, to)| Line::of(from, to)).collect();
        self.start(Plan { calls, calls_per_second: per_second, ..self.plan(sipp::CALL, lines) })
    }

    /// Callers call numbers outside, which the PBX sends to the trunk.
    pub fn start_calls_out(&self, calls: u32, per_second: u32) -> Result<Sipp> {
        let lines = CALLERS.map(|from| Line::of(from, format!("9{from}"))).collect();
        self.start(Plan { calls, calls_per_second: per_second, ..self.plan(sipp::CALL, lines) })
    }

    /// One phone with an old password tries twelve times, `pause` apart, on one port.
    pub fn start_stale_phone(&self, port: u16, pause: Duration) -> Result<Sipp> {
        let line = Line::with_password(STALE_ACCOUNT, "last month's", "");
        let plan = self.plan(sipp::STALE, vec![line]);
        self.start(Plan { ports: Ports::One(port), pause, limit: LIMIT + pause * 12, ..plan })
    }

    /// Everybody once: registered, then `calls` calls among themselves.
    pub fn register_and_call(&self, calls: u32) -> Result<(Calls, Calls)> {
        let registered = self.register()?;
        if registered.ok == 0 {
            bail!("not one phone of the office could register");
        }
        let _answering = self.answer()?;
        Ok((registered, self.start_calls(calls, 20)?.finish()?))
    }

    fn plan(&self, scenario: sipp::Scenario, lines: Vec<Line>) -> Plan {
        Plan {
            scenario,
            local: OFFICE.of(self.family),
            ports: Ports::Each,
            calls: lines.len() as u32,
            calls_per_second: 50,
            lines,
            pause: Duration::from_millis(300),
            limit: LIMIT,
        }
    }

    fn start(&self, plan: Plan) -> Result<Sipp> {
        let to = self.lab.pbxs[self.pbx].sip(self.family);
        let extra = Duration::from_secs(u64::from(plan.calls / plan.calls_per_second.max(1)));
        let plan = Plan { limit: plan.limit + extra, ..plan };
        Sipp::call(&self.lab.net.office, &self.lab.directory(), to, &plan)
    }
}
