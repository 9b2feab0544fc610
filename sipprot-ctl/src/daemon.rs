//! Wires the rooms together: events in, decisions carried out.
//!
//! One task holds everything: events, commands, signals and time come in turn, so nothing needs a
//! lock. Only the store's writes and long reads of it happen on other threads. What is an attack is
//! decided in `rules`; how the kernel is told, in `datapath`.

mod access;
mod answers;
mod audit;
mod change;
mod clock;
mod core;
mod feed;
mod fleet;
mod front;
pub(crate) mod geography;
pub(crate) mod guard;
mod hub;
mod journal;
pub(crate) mod judgement;
mod kernel;
mod learn;
mod lists;
mod manager;
mod news;
mod notices;
pub mod plan;
mod restore;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod upkeep;
mod verify;

pub(crate) use change::plain;
pub use judgement::by_hand::BY_HAND;

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::api::{Call, Caller};
use crate::config::Loaded;
use crate::datapath::{
    Datapath, EventReader, LinkWatch, Links, Object, Options as DatapathOptions,
};
use crate::feed::Heard;
use crate::fleet::News;
use crate::http::{self, Rooms};

use core::Core;
use judgement::urgency::Urgency;
use kernel::Kernel;
use manager::Manager;
pub use settings::staged::replace;

/// What `sipprot run` was told.
pub struct Options {
    pub config_path: Option<PathBuf>,
    pub loaded: Loaded,
    /// In place of those of the configuration.
    pub interfaces: Vec<String>,
    pub observe: bool,
    pub detach_on_exit: bool,
    /// No interface is there yet, or even named: go on all the same.
    pub wait: bool,
}

/// Events that are taken from the ring before others have their turn.
const BATCH_MAX: usize = 256;
const SECOND: Duration = Duration::from_secs(1);

/// Protects until it is told to end.
pub fn run(options: Options) -> anyhow::Result<()> {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator, before there is a second thread. With an arena for
    // each thread, what the journal frees would never serve what the judgement needs.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(options));
    runtime.shutdown_timeout(SECOND);
    result
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let detach = options.detach_on_exit;
    let config = &options.loaded.config;
    let wanted = match options.interfaces.as_slice() {
        [] => &config.interfaces,
        named => named,
    };
    if wanted.is_empty() && !options.wait {
        anyhow::bail!("no interface to protect: name one with --iface or in the configuration");
    }
    if !options.wait && !wanted.iter().any(|interface| guard::own::has_interface(interface)) {
        anyhow::bail!("there is no interface {}", wanted.join(", nor "));
    }
    if options.loaded.files.is_empty() && !options.observe {
        warn!(
            "no configuration is there: mode {} by default; 'sipprot setup' makes one",
            config.mode
        );
    }
    let mut manager = Manager::of_environment();
    // From before the interfaces are looked at: what comes after is told.
    let links = LinkWatch::open().context("cannot watch the interfaces")?;
    let kernel = open_datapath(config)?;
    let socket = config.daemon.socket.clone();
    let metrics = config.daemon.metrics;
    let mut core = Core::start(options, kernel)?;
    let listener = http::bind_socket(&socket)?;
    let reader = core.kernel.with(|datapath| datapath.events().map(Some))?;
    let (caller, calls) = Caller::new();
    let spool = core.config.daemon.state_dir.clone();
    let rooms = Rooms::new(caller, core.access.clone(), spool);
    let (stop, stopped) = watch::channel(false);
    let api = tokio::spawn(http::serve_api(listener, rooms.clone(), until(stopped.clone())));
    let scraped = match metrics {
        Some(address) => match http::bind_metrics(address) {
            Ok(listener) => {
                Some(tokio::spawn(http::serve_metrics(listener, rooms.clone(), until(stopped))))
            }
            Err(error) => {
                core.complain(format!("no metrics on {address}: {error}"));
                None
            }
        },
        None => None,
    };
    core.open_front(rooms);
    core.announce(detach);
    let (heard, told) = mpsc::channel(crate::feed::WAITING_MAX);
    core.start_logs(heard);
    core.start_notices();
    manager.ready(core.in_short());
    let news = core.fleet.news();
    turn(&mut core, Told { links, calls, logs: told, reader, news }, &mut manager).await?;
    info!("ending");
    manager.ending();
    core.live.end();
    let _ = stop.send(true);
    // Open connections must not keep us.
    let _ = tokio::time::timeout(SECOND, api).await;
    if let Some(scraped) = scraped {
        scraped.abort();
    }
    let _ = std::fs::remove_file(&socket);
    core.finish(detach)
}

fn open_datapath(config: &crate::config::Config) -> anyhow::Result<Kernel> {
    let lock = config.daemon.socket.with_extension("lock");
    let options = DatapathOptions {
        pin_dir: config.daemon.pin_dir.clone(),
        lock,
        object: Object::Embedded,
        ..DatapathOptions::default()
    };
    Ok(Kernel::new(Datapath::open(&options)?))
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// From where the daemon learns anything.
struct Told {
    reader: Option<EventReader>,
    calls: mpsc::Receiver<Call>,
    logs: mpsc::Receiver<Heard>,
    links: LinkWatch,
    news: Option<mpsc::Receiver<News>>,
}

/// Everything in turn, until a signal ends it.
async fn turn(core: &mut Core, told: Told, manager: &mut Manager) -> anyhow::Result<()> {
    let Told { mut reader, mut calls, mut logs, links, mut news } = told;
    let listen = |kind: SignalKind| signal(kind).context("cannot listen for signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let mut seconds = interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (going, mut later) = mpsc::unbounded_channel();
    core.going = Some(going);
    let mut urgency = Urgency::default();
    urgency.set(true);
    loop {
        tokio::select! {
            batch = next_batch(&mut reader, core) => match batch {
                Ok(batch) => {
                    core.after_batch(batch);
                    urgency.set(batch.events < BATCH_MAX);
                }
                Err(error) => {
                    error!("events: {error}");
                    core.complain("events of the kernel can't be read".to_owned());
                    reader = None;
                }
            },
            Some(call) = calls.recv() => urgency.at_leisure(|| core.answer(call)),
            Some(heard) = logs.recv() => urgency.at_leisure(|| core.heard(&heard)),
            changed = changed(&links) => if changed.concern(core.wanted_interfaces()) {
                urgency.at_leisure(|| core.reconcile());
            },
            Some(news) = of_fleet(&mut news) => urgency.at_leisure(|| core.fleet_news(news)),
            _ = seconds.tick() => {
                urgency.set(false);
                manager.alive(|| core.in_short());
                core.second();
                core.take_databases().await;
                urgency.set(true);
            }
            () = received(&mut hang_up) => urgency.at_leisure(|| {
                manager.reloading();
                if core.hang_up() {
                    manager.reloaded();
                }
            }),
            Some(later) = later.recv() => urgency.at_leisure(|| {
                if core.go_on(later) {
                    manager.reloaded();
                }
            }),
            () = received(&mut terminate) => return Ok(()),
            () = received(&mut interrupt) => return Ok(()),
        }
    }
}

async fn next_batch(
    reader: &mut Option<EventReader>,
    core: &mut Core,
) -> std::io::Result<crate::datapath::Batch> {
    match reader {
        Some(reader) => reader.batch(BATCH_MAX, |event| core.event(&event)).await,
        None => pending().await,
    }
}

async fn of_fleet(news: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    news.as_mut()?.recv().await
}

async fn changed(links: &LinkWatch) -> Links {
    match links.changed().await {
        Ok(links) => links,
        // They are looked at every few seconds anyway.
        Err(error) => {
            error!("interfaces: {error}");
            pending().await
        }
    }
}

async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        pending::<()>().await;
    }
}
