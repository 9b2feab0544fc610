//! Tells people: what is worth a message, in which words, and how it reaches them.
//!
//! `group` and `surge` decide, with `now` given; `render` makes texts; `mail` and `webhook` send them,
//! on the thread of `courier`; `desk` is the thread that holds all of it and the queue. The daemon
//! only hands over the stream of changes, the settings and what makes a summary: it waits for nothing here.

mod courier;
mod desk;
mod group;
mod mail;
mod notice;
mod queue;
mod render;
mod surge;
#[cfg(test)]
mod tests;
mod webhook;
mod words;

pub use desk::{Desk, Sources};
pub use group::{Group, Seen};
pub use notice::{
    Alarm, Attack, Change, Country, Endpoint, Notice, NoticeKind, Summary, Surge, day_before,
};
pub use render::TEMPLATES;
