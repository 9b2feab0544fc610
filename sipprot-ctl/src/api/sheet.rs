//! Many changes of a list at once, by a file.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::List;

/// What a file's rows are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SheetUse {
    Import,
    Remove,
}

/// A file that came in, wholly.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub list: List,
    pub usage: SheetUse,
    pub file: Arc<File>,
    /// The endpoint whose list it is; the host's otherwise.
    pub endpoint: Option<String>,
    /// Of times that don't say theirs, by its IANA name.
    pub zone: String,
    pub by: String,
    /// When its first byte came.
    pub began: Instant,
}

/// What a file would change, or has changed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SheetAnswer {
    pub list: List,
    pub usage: SheetUse,
    /// Whether it was carried out; all of it or nothing.
    pub done: bool,
    /// One line for people.
    pub message: String,
    pub rows: u64,
    pub new: u64,
    /// On the list already, with another note, time, author, end or scope.
    pub changed: u64,
    /// On the list already, just so.
    pub unchanged: u64,
    /// Rows whose address comes again further down: the last one counts.
    pub duplicate: u64,
    /// New or changed, but a wider network of the list covers them anyway.
    pub covered: u64,
    pub removed: u64,
    /// To be removed, and not on the list.
    pub absent: u64,
    /// Any of these, and nothing is carried out.
    pub invalid: u64,
    /// The first of the invalid rows.
    pub faults: Vec<SheetFault>,
    /// Operators and trusted peers that it would cut off.
    pub cuts_off: Vec<String>,
    /// The zone that times without one were taken to be of.
    pub zone: String,
    pub separator: char,
    /// From the first byte to the kernel.
    pub enforced_s: Option<f64>,
    /// And to the disk.
    pub durable_s: Option<f64>,
    /// Its record in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SheetFault {
    pub line: u64,
    /// The column's name.
    pub field: String,
    pub message: String,
}

impl SheetAnswer {
    /// Invalid rows that are named.
    pub const FAULTS_MAX: usize = 100;

    /// Nothing looked at yet.
    pub fn of(sheet: &Sheet) -> Self {
        Self {
            list: sheet.list,
            usage: sheet.usage,
            done: false,
            message: String::new(),
            rows: 0,
            new: 0,
            changed: 0,
            unchanged: 0,
            duplicate: 0,
            covered: 0,
            removed: 0,
            absent: 0,
            invalid: 0,
            faults: Vec::new(),
            cuts_off: Vec::new(),
            zone: sheet.zone.clone(),
            separator: ',',
            enforced_s: None,
            durable_s: None,
            audit: None,
        }
    }
}

impl fmt::Display for SheetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {}", self.line, self.field, self.message)
    }
}

/// A file that was read, and what the daemon made of it: its own affair.
#[derive(Clone)]
pub struct ReadSheet {
    pub answer: SheetAnswer,
    pub ready: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for ReadSheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}
