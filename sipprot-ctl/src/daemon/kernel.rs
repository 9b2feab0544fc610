//! The datapath, or its absence: without one (in tests) every operation does nothing.
//!
//! A failing operation is logged, counted and gone on from: the daemon must outlive a full map.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::error;

use crate::datapath::{Datapath, DatapathError, Result};

#[derive(Default)]
pub struct Kernel {
    datapath: Option<Arc<Datapath>>,
    /// Refused writes by map, and when the last was.
    refused: BTreeMap<&'static str, (u64, Instant)>,
    /// A map that takes nothing.
    #[cfg(test)]
    pub full: Option<&'static str>,
}

/// A map that refused something is a problem for so long.
const REFUSAL_TOLD: Duration = Duration::from_secs(3600);

impl Kernel {
    pub fn new(datapath: Datapath) -> Self {
        Self { datapath: Some(Arc::new(datapath)), ..Self::default() }
    }

    pub fn is_there(&self) -> bool {
        self.datapath.is_some()
    }

    pub fn datapath(&self) -> Option<Arc<Datapath>> {
        self.datapath.clone()
    }

    /// Carries out; the error is the caller's.
    pub fn with<T: Default>(&self, work: impl FnOnce(&Datapath) -> Result<T>) -> Result<T> {
        self.datapath.as_deref().map_or_else(|| Ok(T::default()), work)
    }

    /// Carries out a write into a map that refuses when it is full; the error is the caller's.
    pub fn put(&self, map: &'static str, work: impl FnOnce(&Datapath) -> Result<()>) -> Result<()> {
        #[cfg(test)]
        if self.full == Some(map) {
            return Err(DatapathError::MapFull { map });
        }
        // Its name is for tests, which have no maps to fill.
        let _ = map;
        self.with(work)
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
            let (count, last) = self.refused.entry(map).or_insert((0, Instant::now()));
            *count += 1;
            *last = Instant::now();
            // An attack that fills a map must not fill the log too.
            if !count.is_power_of_two() {
                return;
            }
        }
        error!("{what}: {error}");
    }

    /// How often each map refused something.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refused.iter().map(|(map, (count, _))| (*map, *count))
    }

    /// The same, of those that did so lately.
    pub fn refusing(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let lately = |last: &Instant| last.elapsed() < REFUSAL_TOLD;
        let refusing = self.refused.iter().filter(move |(_, (_, last))| lately(last));
        refusing.map(|(map, (count, _))| (*map, *count))
    }
}
