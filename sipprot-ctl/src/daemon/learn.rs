//! Learning: its begin and end, what of it survives, and how far it is.

pub(super) mod accept;
pub(super) mod proposal;

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sipprot_common::reason::Reason;
use tracing::info;

use super::answers::Outcome;
use super::change::{now_or_fault, text};
use super::clock::{after, moved, time};
use super::core::Core;
use super::plan::{Plan, PlanError};
use crate::api::{Done, Fault, LearnStart, LearnState, LearnStatus};
use crate::config::{Mode, format_duration};
use crate::rules::{EndpointId, Learning, Time};
use crate::store::{Change, LearnEnd, LearningRecord, Store, StoreError};

const DAY: Duration = Duration::from_secs(86_400);
const DAYS_MAX: u32 = 90;

/// What the daemon knows of learning, beside what the engine holds while it goes on.
#[derive(Default)]
pub struct Lessons {
    pub record: Option<LearningRecord>,
    /// After its end.
    pub learned: Option<Learning>,
    /// Until something else is learned, or a restart: whoever discarded it may want it back.
    pub discarded: Option<Discarded>,
    written: Time,
    /// Requests and would-be drops of each endpoint at the last look.
    counted: Vec<(u64, u64)>,
    counted_at: Time,
}

pub struct Discarded {
    started_at: Timestamp,
    pub learned: Learning,
}

impl Lessons {
    pub fn has_discarded(&self, record: &LearningRecord) -> bool {
        self.discarded.as_ref().is_some_and(|it| it.started_at == record.started_at)
    }

    /// Before anything else: whether the host learns decides what the kernel is told.
    pub fn load(store: Option<&Store>) -> Result<Self, StoreError> {
        let record = store.map(Store::learning).transpose()?.flatten();
        Ok(Self { record, ..Self::default() })
    }

    /// It ends as much later as it would have, and all of it is written again.
    pub fn clock_was_set(&mut self, by: SignedDuration) -> Option<Change> {
        (self.written, self.counted_at) = (Time::default(), Time::default());
        let record = self.record.as_mut().filter(|record| record.ended.is_none())?;
        record.until = moved(record.until, by);
        Some(Change::PutLearning(record.clone()))
    }

    pub fn goes_on(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.ended.is_none())
    }
}

impl Core {
    /// As configured; while the host learns, what is judged only watches.
    pub(super) fn planned(plan: Plan, lessons: &Lessons) -> Plan {
        let plan = plan.guarding(crate::listening::sshd());
        if lessons.goes_on() { plan.learning() } else { plan }
    }

    /// For the configuration in force.
    pub(super) fn make_plan(&self) -> Result<Plan, PlanError> {
        let knows_countries = self.geography.is_available() && !self.guard.geo_off;
        let plan = Plan::new(&self.config, self.observe, knows_countries)?;
        Ok(Self::planned(plan, &self.lessons))
    }

    /// Goes on with what was learned before a restart.
    pub(super) fn restore_learning(&mut self, store: &Store) -> Result<(), StoreError> {
        let Some(record) = &self.lessons.record else { return Ok(()) };
        let learning = Learning::restore(time(record.started_at), store.learned()?);
        if self.lessons.goes_on() {
            info!("learning goes on: the rules judge, and nothing is dropped by them");
            self.engine.learn(learning);
        } else {
            self.lessons.learned = Some(learning);
        }
        self.lessons.written = self.clock.time_now();
        Ok(())
    }

    pub(super) fn learning(&self) -> Option<&Learning> {
        self.engine.learning().or(self.lessons.learned.as_ref())
    }

    pub(super) fn start_learning(&mut self, start: LearnStart) -> Outcome {
        now_or_fault(self.try_start_learning(&start))
    }

    fn try_start_learning(&mut self, start: &LearnStart) -> Result<Outcome, Fault> {
        self.needs_store()?;
        if !(1..=DAYS_MAX).contains(&start.days) {
            return Err(Fault::invalid("days", format!("must be from 1 to {DAYS_MAX}")));
        }
        if self.lessons.goes_on() {
            return Err(Fault::refused("the host learns already: 'sipprot learn status'"));
        }
        if self.config.mode == Mode::Off {
            return Err(Fault::refused("the mode is off: there is nothing to learn from"));
        }
        let now = self.clock.timestamp_now();
        let record = LearningRecord {
            started_at: now,
            until: after(now, DAY * start.days),
            started_by: text("by", &start.by)?,
            ended: None,
        };
        let started = time(now);
        let lessons =
            Lessons { record: Some(record.clone()), written: started, ..Lessons::default() };
        let before = std::mem::replace(&mut self.lessons, lessons);
        if let Err(fault) = self.plan_again() {
            self.lessons = before;
            return Err(fault);
        }
        self.engine.learn(Learning::new(started));
        info!("learning for {} days, by {}", start.days, record.started_by);
        let changes = vec![Change::RemoveLearning, Change::PutLearning(record)];
        let message = format!(
            "learning for {}: the rules judge, and nothing is dropped by them. Your lists, geo and \
             blocks hold",
            format_duration(DAY * start.days)
        );
        Ok(Outcome::Stored(self.journal.write_for_good(changes), Done::new(message)))
    }

    pub(super) fn stop_learning(&mut self, by: &str) -> Outcome {
        now_or_fault(self.try_stop_learning(by))
    }

    fn try_stop_learning(&mut self, by: &str) -> Result<Outcome, Fault> {
        let by = text("by", by)?;
        let changes = self.end_learning(LearnEnd::Stopped)?;
        let message = format!(
            "learning has ended, and the mode is {}. What was learned stays: 'sipprot learn \
             proposal'",
            self.mode()
        );
        info!("learning stopped by {by}");
        Ok(Outcome::Stored(self.journal.write_for_good(changes), Done::new(message)))
    }

    pub(super) fn discard_learned(&mut self, by: &str) -> Outcome {
        now_or_fault(self.try_discard_learned(by))
    }

    fn try_discard_learned(&mut self, by: &str) -> Result<Outcome, Fault> {
        let by = text("by", by)?;
        let Some(started_at) = self.lessons.record.as_ref().map(|record| record.started_at) else {
            return Err(Fault::not_found("nothing was learned"));
        };
        if self.lessons.goes_on() {
            self.end_learning(LearnEnd::Stopped)?;
        }
        let learned = self.lessons.learned.take();
        let discarded = learned.map(|learned| Discarded { started_at, learned });
        self.lessons = Lessons { discarded, ..Lessons::default() };
        info!("what was learned is discarded by {by}");
        let message = format!("what was learned is forgotten, and the mode is {}", self.mode());
        let stored = self.journal.write_for_good(vec![Change::RemoveLearning]);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// The rules act again. What they only judged is not held against anyone.
    pub(super) fn end_learning(&mut self, how: LearnEnd) -> Result<Vec<Change>, Fault> {
        let ended = Some((how, self.clock.timestamp_now()));
        let record = self.lessons.record.as_ref().filter(|record| record.ended.is_none());
        let Some(record) = record else {
            return Err(Fault::not_found("the host doesn't learn: 'sipprot learn start'"));
        };
        let before = record.clone();
        let record = LearningRecord { ended, ..before.clone() };
        let mut changes = self.learned_changes();
        self.forgive_learned();
        self.lessons.record = Some(record.clone());
        if let Err(fault) = self.plan_again() {
            self.lessons.record = Some(before);
            return Err(fault);
        }
        self.lessons.learned = self.engine.end_learning();
        self.write_memory();
        changes.push(Change::PutLearning(record));
        Ok(changes)
    }

    /// Holds and containments that the kernel only observed must not bite the moment it enforces.
    fn forgive_learned(&mut self) {
        let held: HashSet<_> = self.ledger.blocks().map(|block| block.source).collect();
        self.kernel.carry("releasing what was only observed", |datapath| {
            for (source, _) in datapath.contained()? {
                if !held.contains(&Self::network_of(source)) {
                    datapath.uncontain(source)?;
                }
            }
            for (source, known) in datapath.sources()? {
                if known.attempts.hold_until_ns > 0 {
                    datapath.clear_source(source)?;
                }
            }
            Ok(())
        });
    }

    pub(super) fn plan_again(&mut self) -> Result<(), Fault> {
        let plan = self.make_plan().map_err(|error| Fault::invalid("config", error.to_string()))?;
        let before = std::mem::replace(&mut self.plan, plan);
        if let Err(error) = self.tell_kernel() {
            self.plan = before;
            let fault = self.fault("changing what is enforced", &error);
            if let Err(error) = self.tell_kernel() {
                self.kernel.failed("going back", &error);
            }
            return Err(fault);
        }
        Ok(())
    }

    /// What was learned since it was written last.
    fn learned_changes(&mut self) -> Vec<Change> {
        let now = self.clock.time_now();
        // Events arrive only nearly in order.
        let since = self.lessons.written.before(Duration::from_secs(5));
        let Some(learning) = self.engine.learning() else { return Vec::new() };
        let changes = learning.since(since).into_iter().map(Change::PutLearned).collect();
        self.lessons.written = now;
        changes
    }

    pub(super) fn write_learned(&mut self) {
        let changes = self.learned_changes();
        self.journal.note(changes);
    }

    /// How busy endpoints are, and what enforcing would have dropped there.
    pub(super) fn look_at_endpoints(&mut self) {
        if self.engine.learning().is_none() {
            return;
        }
        let now = self.clock.time_now();
        let policies = self.plan.names.len() as u32;
        let counts: Vec<(u64, u64)> = (0..policies)
            .map(|policy| {
                let counters = self.kernel.with(|datapath| datapath.counters(policy).map(Some));
                counters.ok().flatten().map_or((0, 0), |counters| {
                    let requests = [Reason::SipRequest, Reason::Trickle];
                    let requests = requests.iter().map(|reason| counters.packets[*reason as usize]);
                    (requests.sum(), counters.observed.iter().sum())
                })
            })
            .collect();
        let milliseconds = now.since(self.lessons.counted_at).as_millis() as u64;
        let before = std::mem::replace(&mut self.lessons.counted, counts.clone());
        self.lessons.counted_at = now;
        let Some(learning) = self.engine.learning_mut() else { return };
        for ((endpoint, after), before) in (0u16..).zip(counts).zip(before) {
            let sent = after.0.saturating_sub(before.0).saturating_mul(1000);
            let rate = sent.checked_div(milliseconds).unwrap_or(0);
            let drops = after.1.saturating_sub(before.1);
            if rate > 0 || drops > 0 {
                let rate = u32::try_from(rate).unwrap_or(u32::MAX);
                learning.note_endpoint(EndpointId(endpoint), rate, drops);
            }
        }
    }

    /// `enforce`, `observe` or `off`; `learning` while the rules only judge.
    pub(super) fn mode(&self) -> String {
        match () {
            () if self.lessons.goes_on() => "learning".to_owned(),
            () if self.observe => "observe".to_owned(),
            () => self.config.mode.to_string(),
        }
    }

    pub(super) fn learn_status(&self) -> LearnStatus {
        let (mut sources, mut customers) = (HashSet::new(), HashSet::new());
        if let Some(learning) = self.learning() {
            for would in learning.would() {
                sources.insert(would.source());
                if learning.seen(would.source()).is_some_and(|seen| seen.is_customer()) {
                    customers.insert(would.source());
                }
            }
        }
        let record = self.lessons.record.as_ref();
        let now = self.clock.timestamp_now();
        LearnStatus {
            state: match record {
                None => LearnState::Never,
                Some(LearningRecord { ended: Some((LearnEnd::Stopped, _)), .. }) => {
                    LearnState::Stopped
                }
                Some(LearningRecord { ended: Some((LearnEnd::Accepted, _)), .. }) => {
                    LearnState::Accepted
                }
                Some(record) if record.until <= now => LearnState::Ready,
                Some(_) => LearnState::Learning,
            },
            started_at: record.map(|record| record.started_at.as_second()),
            until: record.map(|record| record.until.as_second()),
            ended_at: record.and_then(|record| record.ended).map(|(_, at)| at.as_second()),
            started_by: record.map(|record| record.started_by.clone()),
            sources: sources.len() as u64,
            customers: customers.len() as u64,
        }
    }

    /// The operator forgot it: nothing is enforced until the decision.
    pub(super) fn learning_problem(&self) -> Option<String> {
        let status = self.learn_status();
        (status.state == LearnState::Ready).then(|| {
            "learning is over, and nothing is enforced: 'sipprot learn proposal', then accept or \
             stop"
                .to_owned()
        })
    }
}
