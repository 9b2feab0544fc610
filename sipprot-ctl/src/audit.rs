//! The audit log's words: what a command is called there, and what of a record can be taken back.
//!
//! Knows no store and no kernel: records and commands in, names and reasons out. Records are kept by
//! `store`, undone by `daemon`.

mod act;
mod filter;
mod undo;

pub use act::{Act, act};
pub use filter::matches;
pub use undo::{least, parts, why_not};
