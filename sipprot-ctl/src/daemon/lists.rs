//! The lists by hand, from files and from outside, as they are asked for and changed.

pub(super) mod aggregate;
pub(super) mod blocklists;
pub(super) mod configured;
pub(super) mod entries;
pub(super) mod many;
pub(super) mod query;
pub(super) mod sheets;
