//! The queue: which delivery is next, and when one that failed is tried again. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::config::Notify;
use crate::store::{DeliveryRecord, DeliveryState};

/// Deliveries that may wait.
pub const WAITING_MAX: usize = 500;

#[derive(Default)]
pub struct Queue {
    waiting: BTreeMap<u64, DeliveryRecord>,
    /// Until when a way is not tried, since it failed.
    held: BTreeMap<&'static str, Timestamp>,
}

/// What carries a target's messages: all mail goes by one server.
fn way(target: &str) -> &'static str {
    if target.starts_with("mail:") { "mail" } else { "webhook" }
}

impl Queue {
    /// `false` when there is no room.
    pub fn push(&mut self, record: DeliveryRecord) -> bool {
        let fits = self.waiting.len() < WAITING_MAX;
        if fits {
            self.waiting.insert(record.number, record);
        }
        fits
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn has_room_for(&self, count: usize) -> bool {
        self.waiting.len() + count <= WAITING_MAX
    }

    /// Settings may mend what failed: all is tried again at once.
    pub fn retry_all(&mut self, now: Timestamp) {
        self.held.clear();
        self.waiting.values_mut().for_each(|record| record.when = record.when.min(now));
    }

    /// The oldest that may be tried now.
    pub fn next(&self, now: Timestamp) -> Option<DeliveryRecord> {
        let held = |target: &str| self.held.get(way(target)).is_some_and(|until| *until > now);
        let mut all = self.waiting.values();
        all.find(|record| record.when <= now && !held(&record.target)).cloned()
    }

    /// What has become of one, to be kept.
    pub fn tried(
        &mut self,
        number: u64,
        result: Result<(), Failure>,
        settings: &Notify,
        now: Timestamp,
    ) -> Option<DeliveryRecord> {
        let mut record = self.waiting.remove(&number)?;
        record.tries += 1;
        match result {
            Ok(()) => {
                self.held.remove(way(&record.target));
                finish(&mut record, DeliveryState::Delivered, None, now);
                return Some(record);
            }
            Err(failure) => {
                let wait = signed(wait(settings, record.tries));
                let until = now.checked_add(wait).unwrap_or(Timestamp::MAX);
                if failure.concerns_all {
                    self.held.insert(way(&record.target), until);
                }
                let age = now.duration_since(record.at);
                if age >= signed(settings.give_up_after) {
                    finish(&mut record, DeliveryState::GivenUp, Some(failure.what), now);
                    return Some(record);
                }
                (record.when, record.error) = (until, Some(failure.what));
            }
        }
        self.waiting.insert(number, record.clone());
        Some(record)
    }
}

/// Why a delivery failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub what: String,
    /// The others that go this way would fail as well.
    pub concerns_all: bool,
}

fn finish(
    record: &mut DeliveryRecord,
    state: DeliveryState,
    error: Option<String>,
    now: Timestamp,
) {
    (record.state, record.when, record.error, record.notice) = (state, now, error, None);
}

/// Doubles with each try.
fn wait(settings: &Notify, tries: u32) -> std::time::Duration {
    let doublings = tries.saturating_sub(1).min(20);
    settings.retry_after.saturating_mul(1 << doublings).min(settings.retry_longest)
}

fn signed(time: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}
