//! SIPprot's controller, room by room.
//!
//! Imports run downwards: `daemon` wires everything, `http` and `cli` speak one API, the rest knows
//! nothing of them. aya lives in `datapath` alone, sled in `store`, axum in `http`.

/// `/etc/sipprot/sipprot.toml` and its `conf.d`: every key, its default and its limits.
pub mod config;
/// Countries: MaxMind-format databases and Debian's text ranges.
pub mod geo;
/// The judgement: observations in, decisions out; no I/O and no clock.
pub mod rules;
/// What must survive: lists, blocks, trust and history, in sled.
pub mod store;
