//! The thread that holds it all: follows the changes, groups them, keeps the queue in the store, and hands
//! one message after the other to the courier.

mod clerk;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::civil::Date;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::clerk::Clerk;
use super::courier;
use super::notice::Summary;
use crate::api::{Answer, Fault, Live, LiveEvent, NotifyTest};
use crate::config::Notify;
use crate::store::Store;

/// Questions that may wait.
const ASKS_MAX: usize = 16;
const TICK: Duration = Duration::from_millis(500);
/// How long the end waits for a message that is on its way.
const END: Duration = Duration::from_secs(5);

/// Where the facts come from.
pub struct Sources {
    pub store: Option<Arc<Store>>,
    pub live: Live,
    pub host: String,
    /// Of a day.
    pub summary: Box<dyn Fn(Date) -> Result<Summary, String> + Send>,
    /// What began after a time (Unix seconds), as far as the store knows.
    pub missed: Box<dyn Fn(i64) -> Vec<LiveEvent> + Send>,
}

type Reply = oneshot::Sender<Result<Answer, Fault>>;

enum Ask {
    Status(Reply),
    Test(NotifyTest, Reply),
}

/// The way to the thread.
pub struct Desk {
    asks: mpsc::Sender<Ask>,
    settings: watch::Sender<Arc<Notify>>,
    /// Packets dropped so far.
    drops: watch::Sender<u64>,
    thread: JoinHandle<()>,
}

impl Desk {
    pub fn start(sources: Sources, settings: &Notify) -> io::Result<Self> {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let (settings, set) = watch::channel(Arc::new(settings.clone()));
        let (drops, dropped) = watch::channel(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let thread = std::thread::Builder::new()
            .name("notices".to_owned())
            .spawn(move || runtime.block_on(work(sources, (set, dropped), asked)))?;
        Ok(Self { asks, settings, drops, thread })
    }

    pub fn apply(&self, settings: &Notify) {
        self.settings.send_if_modified(|known| {
            let differs = **known != *settings;
            *known = Arc::new(settings.clone());
            differs
        });
    }

    /// How many packets were dropped so far. The first number says nothing: it may be years of them.
    pub fn drops(&self, total: u64) {
        self.drops.send_replace(total);
    }

    /// Answers once the message is delivered, or can't be.
    pub fn test(&self, test: NotifyTest, reply: Reply) {
        self.ask(Ask::Test(test, reply));
    }

    /// Answers once what an earlier run left is known.
    pub fn status(&self, reply: Reply) {
        self.ask(Ask::Status(reply));
    }

    fn ask(&self, ask: Ask) {
        if let Err(refused) = self.asks.try_send(ask) {
            let (Ask::Status(reply) | Ask::Test(_, reply)) = refused.into_inner();
            let _ = reply.send(Err(Fault::unavailable("notifications are busy")));
        }
    }

    /// After the end of the changes.
    pub fn finish(self) {
        drop(self.asks);
        let _ = self.thread.join();
    }
}

async fn work(
    sources: Sources,
    (mut set, mut dropped): (watch::Receiver<Arc<Notify>>, watch::Receiver<u64>),
    mut asked: mpsc::Receiver<Ask>,
) {
    let (told, mut carried) = mpsc::unbounded_channel();
    let Ok(jobs) = courier::start(told) else {
        tracing::error!("no thread for notifications: nobody is told of anything");
        return;
    };
    let Ok(mut followed) = sources.live.follow(None) else { return };
    let settings = set.borrow_and_update().clone();
    let mut clerk = Clerk::new(sources, settings, jobs);
    let mut drops = None::<u64>;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = followed.coming.next() => match event {
                Some(event) => clerk.event(&event),
                None => break,
            },
            Some(carried) = carried.recv() => clerk.carried(carried),
            Some(ask) = asked.recv() => match ask {
                Ask::Status(reply) => {
                    let _ = reply.send(Ok(Answer::NotifyStatus(clerk.status())));
                }
                Ask::Test(test, reply) => clerk.test(test, reply),
            },
            Ok(()) = set.changed() => {
                let settings = set.borrow_and_update().clone();
                clerk.apply(settings);
            }
            Ok(()) = dropped.changed() => {
                let total = *dropped.borrow_and_update();
                clerk.dropped(total.saturating_sub(drops.replace(total).unwrap_or(total)));
            }
            _ = ticks.tick() => clerk.tick(),
        }
        clerk.dispatch();
    }
    if clerk.is_waiting_for_courier()
        && let Ok(Some(last)) = timeout(END, carried.recv()).await
    {
        clerk.carried(last);
    }
    clerk.save();
}
