//! What the kernel programs and the controller share.
//!
//! `source` is the one key of a source for both address families, `reason` the numbered ways a
//! packet can leave the datapath. Nothing here does I/O, allocates or reads a clock.
#![cfg_attr(not(test), no_std)]

pub mod reason;
pub mod source;
