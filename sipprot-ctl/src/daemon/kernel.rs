//! The datapath, or its absence: without one (in tests) every operation does nothing.
//!
//! A failing operation is logged, counted and gone on from: the daemon must outlive a full map.

use std::collections::BTreeMap;

use tracing::error;

use crate::datapath::{Datapath, DatapathError, Result};

#[derive(Default)]
pub struct Kernel {
    datapath: Option<Datapath>,
    /// Refused writes by map.
    refused: BTreeMap<&'static str, u64>,
}

impl Kernel {
    pub fn new(datapath: Datapath) -> Self {
        Self { datapath: Some(datapath), refused: BTreeMap::new() }
    }

    pub fn is_there(&self) -> bool {
        self.datapath.is_some()
    }

    pub fn datapath(&self) -> Option<&Datapath> {
        self.datapath.as_ref()
    }

    /// Carries out; the error is the caller's.
    pub fn with<T: Default>(&self, work: impl FnOnce(&Datapath) -> Result<T>) -> Result<T> {
        self.datapath.as_ref().map_or_else(|| Ok(T::default()), work)
    }

    /// Carries out; an error is logged and counted here.
    pub fn carry<T: Default>(
        &mut self,
        what: &str,
        work: impl FnOnce(&Datapath) -> Result<T>,
    ) -> Option<T> {
        match self.with(work) {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed(what, &error);
                None
            }
        }
    }

    pub fn failed(&mut self, what: &str, error: &DatapathError) {
        if let DatapathError::MapFull { map } = error {
            let count = self.refused.entry(map).or_default();
            *count += 1;
            // An attack that fills a map must not fill the log too.
            if !count.is_power_of_two() {
                return;
            }
        }
        error!("{what}: {error}");
    }

    pub fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused
    }
}
