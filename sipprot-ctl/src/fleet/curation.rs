//! The hub's judgement: who reported what, what of it is spread, and what is never. Pure: reports and
//! `now` in, what changed out. Nobody's word counts but a host's own, once, and within limits.

mod book;
mod guard;
mod judge;
mod record;
mod show;
#[cfg(test)]
mod tests;

pub use book::{Book, Done, Kept};
pub use guard::Guard;
pub use record::{Evidence, Judged, Refused, Reporter, Shielded, Source, State};
