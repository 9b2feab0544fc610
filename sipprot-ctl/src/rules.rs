//! The judgement: observations in, decisions out; no I/O, no clock.
//!
//! An [`Observation`] is a request, a response, something the kernel did by itself, or time going
//! by. The [`Engine`] pairs requests with responses, tells a failure from a challenge, counts by
//! [`Rule`]s and says what is to be done as [`Decision`]s, each with its [`Evidence`]. It must not
//! know packets, maps, files, tasks or people.

mod account;
mod consequence;
mod decision;
mod engine;
mod learn;
mod ledger;
mod nat;
mod observation;
mod outcome;
mod peak;
mod proof;
mod record;
mod rule;
mod settings;
mod source;
mod standing;
mod state;
mod table;
mod time;
mod transaction;
mod trust;
mod window;

pub use account::Account;
pub use decision::{
    Alert, AlertKind, Block, Case, Contain, Decision, Deny, Distrust, DistrustReason, Evidence,
    Quarantine, Release, ReleaseReason, Scope, Sighting, Trust, TrustKind,
};
pub use engine::Engine;
pub use learn::{
    Cause, EndpointPeak, Learned, Learning, LimitProposal, PeerKind, PeerProposal, Proposal, Seen,
    Would, WouldBe,
};
pub use observation::{
    Carrier, Challenge, Credentials, Direction, EndpointId, KernelDrop, LogLine, Logged, Method,
    Observation, Request, Response, Speaker, Told, Transport,
};
pub use peak::Peak;
pub use proof::Proof;
pub use rule::{AppliesTo, Consequence, Counts, Per, Rule, RuleId, Signal};
pub use settings::{OwnRules, Settings};
pub use standing::{Memory, Standing, TrustStanding, WindowStanding};
pub use state::{
    AcceptedState, BlockState, PortState, RecordState, State, SuspectState, TrustState,
};
pub use time::Time;
