//! What changes, as it changes: one stream for everybody who follows.
//!
//! Telling never waits. Who reads too slowly loses the oldest, and is told how many; the last ones
//! are kept, for who was away for a moment.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::{AlertView, BlockView, Fault};
use crate::config::{Choice, choices};

choices! {
    /// What kind of change it is.
    LiveKind {
        Block = "block",
        Renewed = "renewed",
        Contained = "contained",
        Quarantined = "quarantined",
        Denied = "denied",
        Ended = "ended",
        Trusted = "trusted",
        Distrusted = "distrusted",
        Alert = "alert",
        List = "list",
        Peer = "peer",
        Reload = "reload",
        Confirm = "confirm",
        Health = "health",
        Lost = "lost",
    }
}

/// A change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveEvent {
    /// Later ones have higher numbers, over restarts too.
    pub id: u64,
    pub at: i64,
    pub kind: LiveKind,
    pub source: Option<String>,
    pub endpoint: Option<String>,
    /// One line for people.
    pub what: String,
    /// Of a block, containment, quarantine or denial.
    pub block: Option<BlockView>,
    pub alert: Option<AlertView>,
    /// Of `lost`: how many; absent where nobody knows, after a restart.
    pub lost: Option<u64>,
}

/// The last changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveEvents {
    /// The oldest first.
    pub events: Vec<LiveEvent>,
}

/// Which changes; all of it narrows the choice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LiveFilter {
    /// Any when empty.
    pub kinds: Vec<LiveKind>,
    /// The endpoint's own, without those of the host.
    pub endpoint: Option<String>,
}

impl LiveFilter {
    /// Kinds with commas between.
    pub fn read(kinds: Option<&str>, endpoint: Option<String>) -> Result<Self, Fault> {
        let kind = |name: &str| {
            LiveKind::from_name(name.trim()).ok_or_else(|| {
                let known: Vec<&str> = LiveKind::ALL.iter().map(|kind| kind.name()).collect();
                Fault::invalid("kind", format!("expected some of {}", known.join(", ")))
            })
        };
        let kinds = kinds.map(|kinds| kinds.split(',').map(kind).collect()).transpose()?;
        Ok(Self { kinds: kinds.unwrap_or_default(), endpoint })
    }

    /// What was lost concerns everybody.
    pub fn takes(&self, event: &LiveEvent) -> bool {
        event.kind == LiveKind::Lost
            || (self.kinds.is_empty() || self.kinds.contains(&event.kind))
                && (self.endpoint.is_none() || self.endpoint == event.endpoint)
    }
}

/// So many are kept, and so many may wait for a reader.
const KEPT_MAX: usize = 512;
pub const FOLLOWERS_MAX: usize = 64;

/// Where changes are told, and followed.
#[derive(Clone, Debug)]
pub struct Live {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    kept: VecDeque<Arc<LiveEvent>>,
    /// Of the next one.
    id: u64,
    first_id: u64,
    /// Absent once nothing more will be told.
    told: Option<broadcast::Sender<Arc<LiveEvent>>>,
}

/// A follower's view: what it missed, and what comes.
pub struct Followed {
    pub missed: Vec<Arc<LiveEvent>>,
    pub coming: Coming,
}

pub struct Coming(broadcast::Receiver<Arc<LiveEvent>>);

impl Coming {
    /// The next one; `None` when the daemon ends.
    pub async fn next(&mut self) -> Option<Arc<LiveEvent>> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Arc::new(lost(0, Some(count)))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Live {
    /// `first_id` must be higher than any of an earlier run.
    pub fn new(first_id: u64) -> Self {
        let told = Some(broadcast::channel(KEPT_MAX).0);
        let state = State { kept: VecDeque::new(), id: first_id, first_id, told };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it its number, keeps it and tells it.
    pub fn tell(&self, event: LiveEvent) {
        let mut state = self.state();
        let event = Arc::new(LiveEvent { id: state.id, ..event });
        state.id += 1;
        if state.kept.len() == KEPT_MAX {
            state.kept.pop_front();
        }
        state.kept.push_back(event.clone());
        if let Some(told) = &state.told {
            // Nobody may be listening.
            let _ = told.send(event);
        }
    }

    /// The last ones, at most so many, the oldest first.
    pub fn last(&self, count: usize, filter: &LiveFilter) -> Vec<LiveEvent> {
        let state = self.state();
        let wanted = state.kept.iter().rev().filter(|event| filter.takes(event)).take(count);
        let mut events: Vec<LiveEvent> = wanted.map(|event| LiveEvent::clone(event)).collect();
        events.reverse();
        events
    }

    /// From now on, or from behind the event of this number on.
    pub fn follow(&self, after: Option<u64>) -> Result<Followed, Fault> {
        let state = self.state();
        let Some(told) = &state.told else {
            return Err(Fault::unavailable("the daemon is stopping"));
        };
        if told.receiver_count() >= FOLLOWERS_MAX {
            return Err(Fault::unavailable(format!("{FOLLOWERS_MAX} follow already")));
        }
        let mut missed = Vec::new();
        if let Some(after) = after {
            let oldest = state.kept.front().map_or(state.id, |event| event.id);
            match after.checked_add(1) {
                Some(next) if next >= oldest => {}
                // It heard an earlier run, or this one before what is kept of it.
                next => {
                    let known = next.filter(|next| *next >= state.first_id);
                    missed.push(Arc::new(lost(after, known.map(|next| oldest - next))));
                }
            }
            missed.extend(state.kept.iter().filter(|event| event.id > after).cloned());
        }
        Ok(Followed { missed, coming: Coming(told.subscribe()) })
    }

    #[cfg(test)]
    pub fn has_followers(&self) -> bool {
        self.state().told.as_ref().is_some_and(|told| told.receiver_count() > 0)
    }

    /// Nothing more will be told: who follows is let go.
    pub fn end(&self) {
        self.state().told = None;
    }
}

fn lost(id: u64, count: Option<u64>) -> LiveEvent {
    let what = match count {
        Some(count) => format!("{count} changes were lost: they came faster than they were read"),
        None => "the daemon was started anew: what changed meanwhile is not known".to_owned(),
    };
    LiveEvent {
        id,
        at: jiff::Timestamp::now().as_second(),
        kind: LiveKind::Lost,
        source: None,
        endpoint: None,
        what,
        block: None,
        alert: None,
        lost: count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: LiveKind, endpoint: Option<&str>) -> LiveEvent {
        LiveEvent { kind, endpoint: endpoint.map(str::to_owned), ..lost(0, None) }
    }

    fn told(live: &Live, count: usize) {
        (0..count).for_each(|_| live.tell(event(LiveKind::Block, None)));
    }

    fn check(first: u64, count: usize, after: u64, lost: Option<Option<u64>>, ids: &[u64]) {
        let live = Live::new(first);
        told(&live, count);
        let mut missed = live.follow(Some(after)).unwrap().missed;
        let gap = missed.first().filter(|it| it.kind == LiveKind::Lost).map(|it| it.lost);
        assert_eq!(gap, lost, "after {after}");
        missed.drain(..usize::from(gap.is_some()));
        let found: Vec<u64> = missed.iter().map(|event| event.id).collect();
        match ids {
            [first, last] => {
                assert_eq!(found, (*first..=*last).collect::<Vec<_>>(), "after {after}")
            }
            _ => assert!(found.is_empty(), "after {after}: {found:?}"),
        }
    }

    #[test]
    fn who_was_away_gets_what_was_missed_or_is_told_how_much_is_lost() {
        let kept = KEPT_MAX as u64;
        check(100, 5, 104, None, &[]);
        check(100, 5, 101, None, &[102, 104]);
        check(100, 5, 99, None, &[100, 104]);
        check(100, KEPT_MAX + 5, 101, Some(Some(3)), &[105, 104 + kept]);
        check(100, 5, 42, Some(None), &[100, 104]);
        check(100, 0, 42, Some(None), &[]);
        check(100, 0, 99, None, &[]);
        check(100, 5, u64::MAX, Some(None), &[]);
    }

    #[tokio::test]
    async fn telling_never_waits_and_who_is_slow_is_told() {
        let live = Live::new(1);
        let mut slow = live.follow(None).unwrap().coming;
        told(&live, KEPT_MAX + 7);
        let first = slow.next().await.unwrap();
        assert_eq!((first.kind, first.lost), (LiveKind::Lost, Some(7)));
        assert_eq!(slow.next().await.unwrap().id, 8);
        live.end();
        let mut last = 8;
        while let Some(event) = slow.next().await {
            last = event.id;
        }
        assert_eq!(last, KEPT_MAX as u64 + 7, "what was told before the end arrives");
        assert!(live.follow(None).is_err());
    }

    #[test]
    fn followers_are_bounded() {
        let live = Live::new(1);
        let all: Vec<Followed> = (0..FOLLOWERS_MAX).map(|_| live.follow(None).unwrap()).collect();
        assert!(live.follow(None).is_err());
        drop(all);
        assert!(live.follow(None).is_ok());
    }

    #[test]
    fn filters() {
        let check = |kinds: Option<&str>, endpoint: Option<&str>, expected: [bool; 3]| {
            let filter = LiveFilter::read(kinds, endpoint.map(str::to_owned)).unwrap();
            let events = [
                event(LiveKind::Block, Some("pbx1")),
                event(LiveKind::Alert, None),
                event(LiveKind::Lost, None),
            ];
            assert_eq!(
                events.map(|event| filter.takes(&event)),
                expected,
                "{kinds:?} {endpoint:?}"
            );
        };
        check(None, None, [true, true, true]);
        check(Some("block"), None, [true, false, true]);
        check(Some("ended, alert"), None, [false, true, true]);
        check(None, Some("pbx1"), [true, false, true]);
        check(Some("alert"), Some("pbx1"), [false, false, true]);
        let fault = LiveFilter::read(Some("block,nonsense"), None).unwrap_err();
        assert_eq!(fault.field.as_deref(), Some("kind"));
    }
}
