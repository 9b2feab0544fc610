//! Why the store refuses, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::RECORD_BYTES_MAX;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon has it; nothing was touched.
    #[error("another sipprot{} uses {}", with_process(.process), directory.display())]
    InUse { directory: PathBuf, process: Option<u32> },
    /// The directory, the disk or a permission is in the way; the data is as it was.
    #[error("cannot use {}: {source}", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    /// A write may not have reached the disk: it is not acknowledged, and neither is any later one
    /// until the store is opened again.
    #[error("cannot make a write last in {}: {what}", directory.display())]
    NotDurable { directory: PathBuf, what: String },
    /// The database can't be read; opening it again recovers what it can.
    #[error("the database is broken: {0}")]
    Broken(String),
    /// A record that is too large to keep.
    #[error("a record of {0} bytes is too large, the most is {RECORD_BYTES_MAX}")]
    TooLarge(usize),
}

fn with_process(process: &Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}

impl StoreError {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Unusable { path, source }
    }
}
