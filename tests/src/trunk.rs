//! The trunk: a provider that never registers, places calls to the PBX and takes calls from it.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    lab::Lab,
    office::CALLEES,
    pbx::SIP_PORT,
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
        let at = SocketAddr::new(TRUNK.of(self.family), SIP_PORT);
        Sipp::answer(&self.lab.net.trunk, &self.lab.directory(), at)
    }

    /// Calls from outside to the office's phones, which must be answering.
    pub fn start_calls_in(&self, calls: u32, per_second: u32) -> Result<Sipp> {
        let lines = CALLEES
            .map(|callee| Line {
                account: "4400000".to_owned(),
                credentials: String::new(),
                callee: callee.to_string(),
            })
            .collect();
        let plan = Plan {
            scenario: sipp::TRUNK_CALL,
            local: TRUNK.of(self.family),
            ports: Ports::One(CALLING_PORT),
            calls,
            calls_per_second: per_second,
            lines,
            pause: Duration::from_millis(300),
            limit: Duration::from_secs(20 + u64::from(calls / per_second.max(1))),
        };
        let to = self.lab.pbxs[self.pbx].sip(self.family);
        Sipp::call(&self.lab.net.trunk, &self.lab.directory(), to, &plan)
    }
}
