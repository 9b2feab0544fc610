//! A host's side of the fleet, on a thread of its own: sends reports and health, follows the blocklist.
//!
//! What the daemon needs to know of the list it reads in [`Held`]; what changed of it is told by [`News`].

mod follow;
mod kept;
mod send;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use ipnetwork::IpNetwork;
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::bundle::Bundle;
use super::key::{Signer, Verifier};
use super::list::Held;
use super::message::{Health, ListChange, Report};
use super::nats::{Channel, Way};
use super::refusal::Refusal;
use super::spool::Spool;

/// Reports that may wait for the thread, which writes them down.
const TOLD_MAX: usize = 4096;

/// What the daemon must put in force.
#[derive(Debug)]
pub enum News {
    Changed(Vec<ListChange>),
    Ended(Vec<IpNetwork>),
}

/// How the connection fares.
#[derive(Clone, Default, Debug)]
pub struct Standing {
    pub connected: bool,
    pub waiting: u64,
    pub lost: u64,
    pub refused: BTreeMap<Refusal, u64>,
    pub problem: Option<String>,
}

/// Shared with the thread.
#[derive(Clone, Default)]
pub struct Shared {
    pub(super) held: Arc<Mutex<Held>>,
    standing: Arc<Mutex<Standing>>,
}

impl Shared {
    /// For a moment only: the judgement waits for it.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stand(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn refuse(&self, why: Refusal) {
        self.stand(|it| *it.refused.entry(why).or_default() += 1);
    }
}

/// A host of a fleet, while it is one. Dropping it ends it; what waits stays on the disk.
pub struct Host {
    pub name: String,
    shared: Shared,
    reports: mpsc::Sender<Report>,
    health: watch::Sender<Option<Health>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Duty {
    bundle: Bundle,
    directory: PathBuf,
    shared: Shared,
    news: mpsc::Sender<News>,
}

impl Host {
    /// The list as it was kept is in [`Shared`] when this returns.
    pub fn start(
        bundle: Bundle,
        state_dir: &Path,
        news: mpsc::Sender<News>,
    ) -> anyhow::Result<Self> {
        let directory = state_dir.join("fleet");
        std::fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let shared = Shared::default();
        *shared.held() = kept::read(&directory);
        let (signer, verifier) = (Signer::new(&bundle.seed)?, Verifier::new(&bundle.hub)?);
        let spool = Spool::open(&directory.join("reports"), &bundle.name)?;
        let (reports, told) = mpsc::channel(TOLD_MAX);
        let (health, fares) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let name = bundle.name.clone();
        let duty = Duty { bundle, directory: directory.clone(), shared: shared.clone(), news };
        let last = shared.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
            let work = duty.work(signer, verifier, spool, (told, fares));
            let ended = runtime.block_on(async {
                let mut stopped = stopped;
                tokio::select! {
                    ended = work => ended,
                    _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
                }
            });
            if let Err(problem) = ended {
                error!("the fleet: {problem:#}");
            }
            if let Err(problem) = kept::write(&directory, &last.held()) {
                error!("the fleet's list: {problem:#}");
            }
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        Ok(Self { name, shared, reports, health, stop, thread: Some(thread) })
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Never waits: what finds no room is counted.
    pub fn report(&self, report: Report) {
        if self.reports.try_send(report).is_err() {
            self.shared.stand(|it| it.lost += 1);
        }
    }

    pub fn tell_health(&self, health: Health) {
        self.health.send_replace(Some(health));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Duty {
    async fn work(
        self,
        signer: Signer,
        verifier: Verifier,
        spool: Spool,
        (told, fares): (mpsc::Receiver<Report>, watch::Receiver<Option<Health>>),
    ) -> anyhow::Result<()> {
        let way = Way {
            servers: self.bundle.servers.clone(),
            seed: self.bundle.seed.clone(),
            ca: self.bundle.ca.clone(),
            name: self.bundle.name.clone(),
        };
        let channel = match Channel::open(&way).await {
            Ok(channel) => channel,
            Err(problem) => {
                self.shared.stand(|it| it.problem = Some(format!("{problem:#}")));
                return Err(problem);
            }
        };
        let sender = send::Sender {
            channel: channel.clone(),
            name: self.bundle.name.clone(),
            signer,
            shared: self.shared.clone(),
        };
        let follower = follow::Follower::new(self, channel, verifier);
        tokio::select! {
            ended = sender.reports(spool, told) => ended,
            ended = sender.health(fares) => ended,
            ended = follower.follow() => ended,
        }
    }
}

/// Unix microseconds.
fn now_us() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn now() -> i64 {
    i64::try_from(now_us() / 1_000_000).unwrap_or(i64::MAX)
}
