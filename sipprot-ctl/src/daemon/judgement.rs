//! What the rules are told and what becomes of what they decide.

pub(super) mod alerts;
pub(super) mod by_hand;
pub(super) mod carry;
pub(super) mod events;
pub(super) mod evidence;
pub(super) mod ledger;
pub(super) mod memory;
pub(super) mod notes;
pub(super) mod peaks;
pub(super) mod peers;
pub(super) mod refused;
pub mod rescued;
pub(super) mod urgency;
