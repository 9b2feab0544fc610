//! Who attacks, in which order, and how. Everybody comes from an address of its own.

use std::{net::IpAddr, time::Duration};

use anyhow::Result;

use crate::{
    attackers::{
        cracker,
        sipvicious::{self, Agent, Tool},
    },
    lab::Lab,
    topology::Family,
};

/// An odd size: no message begins where a segment does.
const SPLIT_BYTES: usize = 333;

/// One attacker.
pub struct Character {
    pub name: &'static str,
    pub source: IpAddr,
    attack: Attack,
}

enum Attack {
    Sipvicious(sipvicious::Plan),
    Cracker(cracker::Plan),
}

impl Character {
    /// Attacks until done, or until its limit.
    pub fn attack(&self, lab: &Lab) -> Result<()> {
        match &self.attack {
            Attack::Sipvicious(plan) => sipvicious::attack(lab, plan).map(drop),
            Attack::Cracker(plan) => cracker::attack_from(&lab.net.attackers, plan).map(drop),
        }
    }

    fn sipvicious(lab: &Lab, name: &'static str, tool: Tool, agent: Agent) -> Self {
        // Only the second PBX tells known accounts from unknown ones.
        let pbx = usize::from(tool == Tool::Svwar);
        let (source, target) = (lab.newcomer().v4, lab.pbxs[pbx].addresses.v4);
        let plan = sipvicious::Plan {
            limit: Duration::from_secs(4),
            ..sipvicious::Plan::new(tool, source, target).disguised(agent)
        };
        Self { name, source: source.into(), attack: Attack::Sipvicious(plan) }
    }

    fn cracker(
        lab: &Lab,
        name: &'static str,
        family: Family,
        how: impl FnOnce(cracker::Plan) -> cracker::Plan,
    ) -> Self {
        let source = lab.newcomer().of(family);
        let plan = how(cracker::Plan::new(source, lab.pbxs[0].sip(family)));
        Self { name, source, attack: Attack::Cracker(plan) }
    }

    /// Somebody known comes back, without asking for a nonce, with a few guesses.
    pub fn returning(lab: &Lab, name: &'static str, source: IpAddr) -> Self {
        let plan = cracker::Plan::new(source, lab.pbxs[0].sip(Family::V4));
        let plan = cracker::Plan { guesses: 200, forge_nonce: true, ..plan };
        Self { name, source, attack: Attack::Cracker(plan) }
    }
}

/// Scanners as packaged: their agent is on every list.
pub fn listed(lab: &Lab) -> Vec<Character> {
    [("svcrack", Tool::Svcrack), ("svwar", Tool::Svwar), ("svmap", Tool::Svmap)]
        .map(|(name, tool)| Character::sipvicious(lab, name, tool, Agent::Shown))
        .into()
}

/// The same without their agent.
pub fn hidden(lab: &Lab) -> Vec<Character> {
    [
        ("svcrack-hidden", Tool::Svcrack),
        ("svwar-hidden", Tool::Svwar),
        ("svmap-hidden", Tool::Svmap),
    ]
    .map(|(name, tool)| Character::sipvicious(lab, name, tool, Agent::Compact))
    .into()
}

/// Thousands of guesses on one nonce. The first of them is the one who comes back.
pub fn crackers(lab: &Lab) -> Vec<Character> {
    vec![
        Character::cracker(lab, "cracker", Family::V4, |plan| plan),
        Character::cracker(lab, "cracker-tcp", Family::V4, cracker::Plan::tcp),
        Character::cracker(lab, "cracker-ipv6", Family::V6, |plan| plan),
    ]
}

/// Their friends, who wait until the daemon is dead.
pub fn vultures(lab: &Lab) -> Vec<Character> {
    vec![
        Character::cracker(lab, "cracker-daemon-dead", Family::V4, |plan| plan),
        Character::cracker(lab, "cracker-tcp-daemon-dead", Family::V4, cracker::Plan::tcp),
        Character::cracker(lab, "cracker-tcp-split-daemon-dead", Family::V4, |plan| {
            plan.split(SPLIT_BYTES)
        }),
    ]
}
