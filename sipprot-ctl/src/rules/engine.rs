//! The judgement itself: observations in, decisions out.
//!
//! It does no I/O, reads no clock, and keeps a bounded amount of everything.

use std::net::IpAddr;

use sipprot_common::source::SourceKey;

use super::decision::Decision;
use super::observation::Observation;
use super::settings::Settings;
use super::standing::Standing;
use super::state::State;
use super::time::Time;

pub struct Engine {
    settings: Settings,
}

impl Engine {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// New settings; nothing that was seen is forgotten.
    pub fn apply(&mut self, settings: Settings) {
        self.settings = settings;
    }

    pub fn observe(&mut self, observation: &Observation) -> Vec<Decision> {
        let mut decisions = Vec::new();
        self.observe_into(observation, &mut decisions);
        decisions
    }

    /// The same, without allocating when there is nothing to decide.
    pub fn observe_into(&mut self, _observation: &Observation, _decisions: &mut Vec<Decision>) {}

    /// A manual unblock (or removal from the denylist): clears the windows and gives an hour's
    /// grace, in which the source is only observed. Lifting it in the kernel is the caller's.
    pub fn unblock(&mut self, _source: SourceKey, _now: Time) {}

    /// Takes trust away, and gives none for a day.
    pub fn revoke_trust(&mut self, _source: SourceKey, _now: Time) -> Option<Decision> {
        None
    }

    pub fn is_trusted(&self, _source: IpAddr) -> bool {
        false
    }

    /// What there is for or against a source.
    pub fn explain(&self, source: SourceKey, _now: Time) -> Standing {
        Standing { source, ..Standing::default() }
    }

    /// What must survive a restart.
    pub fn state(&self) -> State {
        State::default()
    }

    pub fn restore(&mut self, _state: State, _now: Time) {}
}
