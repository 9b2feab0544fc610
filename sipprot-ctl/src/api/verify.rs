//! Whether the kernel holds what the store promises.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    pub agrees: bool,
    /// What differed was put right, and nothing differs now.
    pub repaired: bool,
    pub kinds: Vec<KindView>,
}

/// Things of one kind, in both.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct KindView {
    pub kind: String,
    /// Promised by store and configuration.
    pub promised: u64,
    /// Found in the kernel; absent where it can't be counted.
    pub found: Option<u64>,
    /// Promised, and not in the kernel.
    pub missing: u64,
    /// In the kernel, and promised by nobody.
    pub unexpected: u64,
    /// In both, with another content.
    pub different: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    pub what: String,
    /// `-` where nothing is.
    pub promised: String,
    pub found: String,
}

impl KindView {
    /// Differences that are named.
    pub const NAMED_MAX: usize = 20;

    pub fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    pub fn agrees(&self) -> bool {
        self.missing + self.unexpected + self.different == 0
    }

    pub fn missing(&mut self, what: impl fmt::Display, promised: impl fmt::Display) {
        self.missing += 1;
        self.name(what, promised, "-");
    }

    pub fn unexpected(&mut self, what: impl fmt::Display, found: impl fmt::Display) {
        self.unexpected += 1;
        self.name(what, "-", found);
    }

    pub fn different(
        &mut self,
        what: impl fmt::Display,
        promised: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        self.different += 1;
        self.name(what, promised, found);
    }

    fn name(
        &mut self,
        what: impl fmt::Display,
        promised: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        if self.differences.len() < Self::NAMED_MAX {
            let (promised, found) = (promised.to_string(), found.to_string());
            self.differences.push(Difference { what: what.to_string(), promised, found });
        }
    }
}

/// What was compared, and what the daemon made of it: its own affair.
#[derive(Clone)]
pub struct Compared {
    pub ready: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compared")
    }
}
