//! Reads SIP, in the kernel and on the host alike.
//!
//! A message (or a TCP segment) is copied into a [`Text`]; [`Scan`] walks its lines once and notes
//! where the headers of interest are: any case, compact names (RFC 3261 7.3.3), blanks before the
//! colon, bare line feeds, headers in any order. [`parameter`] and [`Value`] then look into one
//! header. Every loop is a bounded [`text::repeat`], so that the kernel's verifier sees each body once.

pub mod agent;
pub mod header;
pub mod skip;
pub mod start;
pub mod text;
pub mod value;

pub use agent::{AgentMatch, Agents};
pub use header::{Header, Letters, Scan};
pub use skip::Skip;
pub use start::{Method, Start};
pub use text::{CAPACITY, Text};
pub use value::{Parameter, Value};
