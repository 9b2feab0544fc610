//! Those whom the firewall is for.
//!
//! Each is bounded in count and time, comes from an address of its own, and says how much it sent.
//! What came of it is not theirs to say: ask the PBX's counter.

/// One nonce, thousands of guesses, as fast as a socket takes them.
pub mod cracker;
/// A million forged sources, and among them those who are real.
pub mod flood;
/// Guesses in somebody else's name: raw packets with a source address that isn't the attacker's.
pub mod forger;
/// SIPVicious as Debian packages it, with its agent shown or hidden.
pub mod sipvicious;
