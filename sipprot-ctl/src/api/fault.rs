//! Why a command was not carried out, as callers see it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The command makes no sense as it is.
    Invalid,
    NotFound,
    /// It makes sense, and is not done: it would cut off what must not be cut off.
    Refused,
    /// Something else changed meanwhile: it may be tried again.
    Conflict,
    /// Nobody knows who asks.
    Denied,
    /// Known, and may not.
    Forbidden,
    /// Not so often.
    TooMany,
    /// No room left for it.
    Full,
    /// Not now.
    Unavailable,
    /// Our own failure; the log says more.
    Internal,
}

/// Says nothing of files, addresses or types inside the daemon: those are in its log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub struct Fault {
    pub code: Code,
    pub message: String,
    /// The field of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Refused for want of a consent alone: with `confirmed` it is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub consent: bool,
}

/// The body of an error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FaultBody {
    pub error: Fault,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, consent: false }
    }

    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(Code::Invalid, message) }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Code::Refused, message)
    }

    /// For want of a consent alone.
    pub fn needs_consent(message: impl Into<String>) -> Self {
        Self { consent: true, ..Self::refused(message) }
    }

    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::Denied, message)
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    pub fn internal() -> Self {
        Self::new(Code::Internal, "internal error: see the daemon's log")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
