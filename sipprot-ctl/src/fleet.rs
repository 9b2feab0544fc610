//! The fleet: what one host proves, all its hosts know, and can be told to forget.
//!
//! `message` is what travels, signed; `curation` decides on the hub what is spread, `list` on a host
//! what of it is taken in: both are pure, with `now` given. `nats` alone knows the engine that carries
//! it. `hub` and `host` wire them, each on threads where nobody waits for the judgement. The channel is
//! never the only copy of anything: the hub's database and the hosts' files are.

pub mod bundle;
pub mod curation;
pub mod home;
pub mod host;
pub mod hub;
pub mod key;
pub mod list;
pub mod message;
pub mod nats;
pub mod refusal;
pub mod rules;
mod spool;

pub use bundle::Bundle;
pub use home::Home;
pub use host::{Host, News};
pub use hub::run as run_hub;
pub use list::{Held, Known, widest};
pub use message::{Grade, Health, Report};
pub use refusal::Refusal;
