//! The trunk: a provider that never registers, places calls to the PBX and takes calls from it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Result;

use crate::{
    lab::Lab,
    office::CALLEES,
    pbx::{self, SIP_PORT},
    process::Process,
    sipp::{self, Line, Plan, Ports, Sipp},
    topology::{Family, TRUNK},
};

/// The port from which the trunk calls; on 5060 it is called.
const CALLING_PORT: u16 = 5070;

/// The trunk of a lab, over one IP version.
#[derive(Clone, Copy, Debug)]
pub struct Trunk<'a> {
    lab: &'a Lab,
    pbx: usize,
    family: Family,
}

impl<'a> Trunk<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Self {
        Self { lab, pbx: 0, family: Family::V4 }
    }

    #[must_use]
    pub fn over(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// Calls into the second PBX, for instance.
    #[must_use]
    pub fn at(self, pbx: usize) -> Self {
        Self { pbx, ..self }
    }

    /// Takes calls from now on, until what is returned is dropped.
    pub fn answer(&self) -> Result<Process> {
        self.start_answering(sipp::ANSWER)
    }

    /// Says that it is there whenever it is asked, until what is returned is dropped.
    pub fn answer_options(&self) -> Result<Process> {
        self.start_answering(sipp::ANSWER_OPTIONS)
    }

    fn start_answering(&self, scenario: sipp::Scenario) -> Result<Process> {
        let at = SocketAddr::new(TRUNK.of(self.family), SIP_PORT);
        Sipp::answer(&self.lab.net.trunk, &self.lab.directory(), at, scenario)
    }

    /// Asks lines of the PBX whether they are there, one after another; returns how many answered.
    pub fn ask(&self, lines: impl Iterator<Item = Ipv4Addr> + Send) -> Result<usize> {
        let from = SocketAddr::new(TRUNK.v4.into(), CALLING_PORT);
        self.lab.net.trunk.run(|| {
            let mut answered = 0;
            for line in lines {
                answered += usize::from(pbx::answers_options(from, (line, SIP_PORT).into())?);
            }
            Ok(answered)
        })
    }

    /// Calls from outside to the office's phones, which must be answering.
    pub fn start_calls_in(&self, calls: u32, per_second: u32) -> Result<Sipp> {
        let callees = CALLEES.map(|callee| callee.to_string());
        self.start_calling(sipp::TRUNK_CALL, callees, calls, per_second)
    }

    /// Calls to numbers that nobody has.
    pub fn start_calls_in_vain(&self, calls: u32, per_second: u32) -> Result<Sipp> {
        let nobody = (0..50).map(|number| format!("44{number:05}"));
        self.start_calling(sipp::CALL_IN_VAIN, nobody, calls, per_second)
    }

    fn start_calling(
        &self,
        scenario: sipp::Scenario,
        callees: impl Iterator<Item = String>,
        calls: u32,
        per_second: u32,
    ) -> Result<Sipp> {
        let line =
            |callee| Line { account: "4400000".to_owned(), credentials: String::new(), callee };
        let plan = Plan {
            scenario,
            local: TRUNK.of(self.family),
            ports: Ports::One(CALLING_PORT),
            calls,
            calls_per_second: per_second,
            lines: callees.map(line).collect(),
            pause: Duration::from_millis(300),
            limit: Duration::from_secs(20 + u64::from(calls / per_second.max(1))),
        };
        let to = self.lab.pbxs[self.pbx].sip(self.family);
        Sipp::call(&self.lab.net.trunk, &self.lab.directory(), to, &plan)
    }
}
