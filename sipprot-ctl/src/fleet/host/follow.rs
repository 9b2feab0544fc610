//! Follows the blocklist: deltas as they come, what was missed, and the whole where that is shorter.
//!
//! A live delta is a hint: it is believed by its signature and its number. What is missing is asked of
//! the stream, which is looked at every few seconds anyway, so that a lost hint costs no more than that.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::{Duty, News, kept, now};
use crate::fleet::key::Verifier;
use crate::fleet::list::Unfit;
use crate::fleet::message::{Delta, Listed, Manifest, digest, unpack_chunk};
use crate::fleet::nats::{Channel, Incoming, subject};
use crate::fleet::refusal::Refusal;

/// More missed revisions than these, and the whole list is fetched.
const STEPS_MAX: u64 = 256;
const TEND_EVERY: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);
const POLL_DEFAULT: Duration = Duration::from_secs(2);
const POLL_MAX: Duration = Duration::from_secs(600);
/// After failures the snapshot is asked for no sooner.
const SNAPSHOT_RETRY: i64 = 2;

pub(super) struct Follower {
    duty: Duty,
    channel: Channel,
    verifier: Verifier,
    poll: Duration,
    /// Something is not on the disk.
    dirty: bool,
    snapshot_after: i64,
}

/// Whether the stream could help.
#[derive(PartialEq, Eq)]
enum Step {
    Taken,
    Ignored,
    Gap,
}

impl Follower {
    pub fn new(duty: Duty, channel: Channel, verifier: Verifier) -> Self {
        let poll = POLL_DEFAULT;
        Self { duty, channel, verifier, poll, dirty: false, snapshot_after: 0 }
    }

    pub async fn follow(mut self) -> anyhow::Result<()> {
        let mut live = self.channel.subscribe(subject::LIVE_DELTA).await?;
        let mut tend = interval(TEND_EVERY);
        tend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Instant::now();
        loop {
            tokio::select! {
                delta = live.next() => match delta {
                    Some(delta) => {
                        if self.step(&delta).await == Step::Gap {
                            next = Instant::now();
                        }
                    }
                    None => sleep(RETRY).await,
                },
                () = sleep_until(next) => {
                    let pause = match self.catch_up().await {
                        Ok(()) => self.poll,
                        Err(error) => {
                            debug!("the fleet's list: {error:#}");
                            RETRY
                        }
                    };
                    next = Instant::now() + pause;
                }
                _ = tend.tick() => self.tend().await,
            }
        }
    }

    async fn step(&mut self, incoming: &Incoming) -> Step {
        let delta = match Delta::open(&self.verifier, &incoming.payload) {
            Ok(delta) => delta,
            Err(why) => {
                warn!("a delta of the fleet's list is not taken: {why}");
                self.duty.shared.refuse(why);
                return Step::Ignored;
            }
        };
        let stepped = self.duty.shared.held().step(delta, now());
        match stepped {
            Ok(taken) => {
                self.seen(incoming.sequence);
                taken.refused.iter().for_each(|why| self.duty.shared.refuse(*why));
                self.dirty = true;
                self.tell(News::Changed(taken.changes)).await;
                Step::Taken
            }
            Err(Unfit::Gap) => Step::Gap,
            Err(Unfit::Refused(why)) => {
                self.seen(incoming.sequence);
                self.duty.shared.refuse(why);
                Step::Ignored
            }
        }
    }

    fn seen(&self, sequence: Option<u64>) {
        let mut held = self.duty.shared.held();
        held.sequence = held.sequence.max(sequence.unwrap_or_default());
    }

    async fn tell(&self, news: News) {
        let is_empty = match &news {
            News::Changed(changes) => changes.is_empty(),
            News::Ended(networks) => networks.is_empty(),
        };
        if !is_empty {
            let _ = self.duty.news.send(news).await;
        }
    }

    /// Whether there is more than is known here, and that.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let Some(last) = self.channel.last_delta().await? else {
            // No delta yet, or all of them too old to be kept: the whole list tells.
            return self.take_snapshot().await;
        };
        let delta = match Delta::open(&self.verifier, &last.payload) {
            Ok(delta) => delta,
            Err(why) => {
                self.duty.shared.refuse(why);
                return Ok(());
            }
        };
        let (generation, revision) = {
            let held = self.duty.shared.held();
            (held.generation, held.revision)
        };
        if delta.generation == generation && delta.revision <= revision {
            return Ok(());
        }
        if delta.generation < generation {
            self.duty.shared.refuse(Refusal::OtherGeneration);
            return Ok(());
        }
        let missed = delta.revision - revision.min(delta.revision);
        let is_far = delta.generation != generation || missed > STEPS_MAX;
        if !is_far && self.take_steps().await? {
            return Ok(());
        }
        self.take_snapshot().await?;
        self.take_steps().await?;
        Ok(())
    }

    /// All that the stream has from here on; false where something between is gone.
    async fn take_steps(&mut self) -> anyhow::Result<bool> {
        loop {
            let seen = self.duty.shared.held().sequence;
            let Some(delta) = self.channel.delta_from(seen + 1).await? else { return Ok(true) };
            let is_further = delta.sequence.is_some_and(|number| number > seen);
            if !is_further || self.step(&delta).await == Step::Gap {
                return Ok(false);
            }
            self.seen(delta.sequence);
        }
    }

    async fn take_snapshot(&mut self) -> anyhow::Result<()> {
        if now() < self.snapshot_after {
            return Ok(());
        }
        self.snapshot_after = now() + SNAPSHOT_RETRY;
        let Some(found) = self.channel.snapshot_part(subject::MANIFEST).await? else {
            return Ok(());
        };
        let manifest = match Manifest::open(&self.verifier, &found.payload) {
            Ok(manifest) => manifest,
            Err(why) => {
                self.duty.shared.refuse(why);
                return Ok(());
            }
        };
        self.poll = Duration::from_secs(manifest.poll_s.into()).clamp(POLL_DEFAULT, POLL_MAX);
        {
            let held = self.duty.shared.held();
            let is_known =
                (manifest.generation, manifest.revision) == (held.generation, held.revision);
            if is_known {
                drop(held);
                self.seen(Some(manifest.sequence));
                return Ok(());
            }
        }
        let Some(listed) = self.chunks(&manifest).await? else { return Ok(()) };
        // Aside: it takes long, and only this thread changes it.
        let mut held = self.duty.shared.held().clone();
        match held.replace(&manifest, listed, now()) {
            Ok(taken) => {
                held.sequence = manifest.sequence;
                let before = std::mem::replace(&mut *self.duty.shared.held(), held);
                drop(before);
                info!("the fleet's list: revision {}", manifest.revision);
                taken.refused.iter().for_each(|why| self.duty.shared.refuse(*why));
                self.dirty = true;
                self.tell(News::Changed(taken.changes)).await;
            }
            Err(why) => {
                warn!("the fleet's list is not taken: {why}");
                self.duty.shared.refuse(why);
            }
        }
        Ok(())
    }

    /// All of them, if each is what the manifest says; a newer snapshot may have taken their place.
    async fn chunks(&self, manifest: &Manifest) -> anyhow::Result<Option<Vec<Listed>>> {
        let mut listed = Vec::new();
        for (number, expected) in manifest.chunks.iter().enumerate() {
            let place = subject::chunk(manifest.set, number);
            let Some(chunk) = self.channel.snapshot_part(&place).await? else { return Ok(None) };
            if digest(&chunk.payload) != *expected {
                return Ok(None);
            }
            match unpack_chunk(&chunk.payload) {
                Ok(entries) => listed.extend(entries),
                Err(why) => {
                    self.duty.shared.refuse(why);
                    return Ok(None);
                }
            }
        }
        Ok(Some(listed))
    }

    /// What ended goes, and what is new is written down.
    async fn tend(&mut self) {
        let held = self.duty.shared.held().clone();
        let ended = held.ended(now());
        drop(held);
        self.duty.shared.held().forget(&ended);
        self.dirty |= !ended.is_empty();
        self.tell(News::Ended(ended)).await;
        if std::mem::take(&mut self.dirty) {
            let held = self.duty.shared.held().clone();
            if let Err(error) = kept::write(&self.duty.directory, &held) {
                self.dirty = true;
                warn!("the fleet's list: {error:#}");
            }
        }
    }
}
