//! SIPprot's controller, room by room.
//!
//! Imports run downwards: `daemon` wires everything, `http` and `cli` speak one API, the rest knows
//! nothing of them. aya lives in `datapath` alone, sled in `store`, axum in `http`.

/// Who may use the API from afar: users, their logins, and tokens.
pub mod access;
/// The JSON that daemon and CLI exchange: one type per answer.
pub mod api;
/// The audit log's words: what commands are called there, and what can be taken back.
pub mod audit;
/// Lists that others keep.
pub mod blocklist;
/// The commands and their tables.
pub mod cli;
/// `/etc/sipprot/sipprot.toml` and its drop-ins: every key, its default and its limits.
pub mod config;
/// Wires the rooms together: events in, decisions carried out.
pub mod daemon;
/// The programs in the kernel, their maps and their events.
pub mod datapath;
/// What may be wrong on this host, and what to do about it.
pub mod doctor;
/// What logs tell: files, the journal, syslog, and the filters that read them.
pub mod feed;
/// What an operator's URL names: lists of networks, country databases.
pub mod fetch;
/// The fleet: a hub, its hosts, and what they share.
pub mod fleet;
/// What other programs ban, as rows of our lists.
pub mod foreign;
/// Countries: MaxMind-format databases and Debian's text ranges.
pub mod geo;
/// Bytes as hex digits.
mod hex;
/// The API on its socket, and `/metrics`.
pub mod http;
/// Who of this host listens where.
pub mod listening;
/// The pages of the manual that the program writes by itself.
mod manual;
/// SIP messages as the controller needs them: from an event's bytes to an observation.
pub mod message;
/// Counters for Prometheus.
pub mod metrics;
/// Who is told of attacks: by mail and by a webhook.
pub mod notify;
/// Listeners: their addresses, and how many connections each has.
mod places;
/// The rules over a recorded capture: what would have been done, and why.
pub mod replay;
/// The daily report.
pub mod report;
/// The judgement: observations in, decisions out; no I/O and no clock.
pub mod rules;
/// Takes secrets out of what leaves the host.
mod scrub;
/// Lists as spreadsheets.
pub mod sheet;
/// What must survive: lists, blocks, trust and history, in sled.
pub mod store;
/// TLS for those who connect to us.
mod tls;
/// What there is to say of one address: the verdict, the rule, the evidence, the past.
pub mod why;
