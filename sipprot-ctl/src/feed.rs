//! The log feed: what programs of this host and of its endpoints write of failures.
//!
//! It owns files, the journal and syslog, and the filters that tell what a line means. What follows from
//! that it must not know: it tells the daemon what was found and whose word it is, and `rules` judge it.
//! It works on a thread of its own, so that no burst of lines keeps the kernel's events waiting.

mod announced;
pub mod file;
pub mod filter;
mod identity;
mod journal;
pub mod lines;
mod place;
pub mod syslog;
mod tap;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

pub use identity::{Identity, hash_of};
pub use place::{Place, Places};
pub use tap::{Heard, Tally, Tap, Whose};

use crate::config::{Log, LogKind};
use crate::tls::Files;
use filter::Filter;

/// What may be found and not yet judged; then files wait, and UDP loses.
pub const WAITING_MAX: usize = 4096;

/// Where lines come from.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    File(std::path::PathBuf),
    Journal {
        units: Vec<String>,
    },
    Syslog(syslog::Listen),
    /// Given by hand to its [`Tap`].
    Api,
}

impl Source {
    /// None where the configuration lacks something, which it refuses to.
    pub fn of(log: &Log) -> Option<Self> {
        Some(match log.kind {
            LogKind::File => Self::File(log.path.clone()?),
            LogKind::Journal => Self::Journal { units: log.units.clone() },
            LogKind::Syslog => Self::Syslog(syslog::Listen {
                address: log.listen?,
                transport: log.transport,
                certificate: log
                    .certificate
                    .clone()
                    .zip(log.key.clone())
                    .map(|(chain, key)| Files { chain, key }),
                senders: log.senders.clone(),
            }),
            LogKind::Api => Self::Api,
        })
    }
}

/// The filters of a log by their names.
pub fn filters(names: &[String]) -> Result<Vec<Filter>, String> {
    let read = |name: &String| {
        if !name.starts_with('/') {
            return Filter::ready(name).ok_or_else(|| format!("there is no filter {name}"));
        }
        let text = std::fs::read_to_string(Path::new(name))
            .map_err(|error| format!("the filter {name} can't be read: {error}"))?;
        Filter::parse(&text).map_err(|error| format!("the filter {name}: {error}"))
    };
    names.iter().map(read).collect()
}

/// The thread on which logs are read. Dropping it ends all of them.
pub struct Feed {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A log that is read. Dropping it ends that.
pub struct Reading(AbortHandle);

impl Feed {
    pub fn start() -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
            // Ends when the sender is dropped.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Reads a log, a file from a place on; what it tells goes to `heard`. None of what is given by hand.
    pub fn read(
        &self,
        source: Source,
        identity: &Arc<Identity>,
        (tap, from): (Tap, Option<Place>),
        heard: mpsc::Sender<Heard>,
    ) -> Option<Reading> {
        let task = match source {
            Source::File(path) => self.runtime.spawn(file::follow(path, from, tap, heard)),
            Source::Journal { units } => self.runtime.spawn(journal::follow(units, tap, heard)),
            Source::Syslog(listen) => {
                self.runtime.spawn(syslog::receive(listen, identity.clone(), tap, heard))
            }
            Source::Api => return None,
        };
        Some(Reading(task.abort_handle()))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
