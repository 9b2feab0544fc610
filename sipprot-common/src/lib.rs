//! What the kernel programs and the controller share.
//!
//! Types that cross the border live in `abi`; decisions that both sides must take alike are pure
//! functions (`attempt`, `block`, `ceiling`, `containment`, `policy`, `share`, `sketch`), `sip` reads SIP for
//! both, and `table` is how lists are looked up.
//! Nothing here does I/O, allocates or reads a clock.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
pub mod attempt;
pub mod block;
pub mod ceiling;
pub mod containment;
pub mod guard;
pub mod hash;
pub mod policy;
pub mod reason;
pub mod share;
pub mod sip;
pub mod sketch;
pub mod source;
pub mod table;
