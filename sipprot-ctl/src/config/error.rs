//! What is wrong with a configuration, told so that the operator finds the line.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use toml_edit::Value;

/// Why there is no configuration. The caller keeps the one that runs, and shows this.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is there, or was named, but can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The files can be read but say something wrong. Displays the first fault in one line.
    #[error("{}", first_of(.0))]
    Wrong(Vec<Fault>),
}

impl ConfigError {
    /// Every fault that was found, in the order of the files.
    pub fn faults(&self) -> &[Fault] {
        match self {
            ConfigError::Unreadable { .. } => &[],
            ConfigError::Wrong(faults) => faults,
        }
    }
}

fn first_of(faults: &[Fault]) -> String {
    match faults {
        [] => "wrong configuration".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// One thing that is wrong: `file:line: key: what`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// The whole path, such as `rules.register_limit`; empty when the text isn't TOML.
    pub key: String,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// A value that a form refuses, with its place in the text.
#[derive(Debug)]
pub(super) struct Wrong {
    pub span: Option<Range<usize>>,
    pub what: String,
}

impl Wrong {
    pub fn expected(expected: &str, value: &Value) -> Self {
        Self { span: value.span(), what: format!("expected {expected}, found {}", found(value)) }
    }

    pub fn because(value: &Value, why: &str) -> Self {
        Self { span: value.span(), what: format!("{}: {why}", found(value)) }
    }
}

/// A value as a message shows it: one line, and not too long.
fn found(value: &Value) -> String {
    const LENGTH_MAX: usize = 60;
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::InlineTable(_) => "a table".to_owned(),
        Value::String(text) if text.value().chars().count() > LENGTH_MAX => {
            let start: String = text.value().chars().take(LENGTH_MAX).collect();
            format!("{:?}", start + "…")
        }
        Value::String(text) => format!("{:?}", text.value()),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(flag) => flag.value().to_string(),
        Value::Datetime(time) => time.value().to_string(),
    }
}
