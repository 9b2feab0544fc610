//! What is done with each change, tick, test and delivery.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use jiff::civil::Date;
use jiff::{Timestamp, Zoned};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::Sources;
use crate::api::{
    Answer, Fault, LiveEvent, LiveKind, NotifyStatus, NotifyTest, NotifyTested, TestResult,
};
use crate::config::{MailWay, Notify, Severity};
use crate::notify::courier::{Carried, Job, MAIL, WEBHOOK};
use crate::notify::group::{Happened, Seen, notice};
use crate::notify::notice::{Alarm, Attack, Health, Notice, NoticeKind, Surge, brief, day_before};
use crate::notify::queue::{Failure, Queue};
use crate::notify::render::Renderer;
use crate::notify::surge::Rate;
use crate::store::{Change, DeliveryRecord, DeliveryState, NoticeState};

/// Deliveries of the log.
const LOG_MAX: usize = 1000;
/// Seconds between two writes of what waits for its message.
const SAVE_EVERY: i64 = 5;

type Reply = oneshot::Sender<Result<Answer, Fault>>;

pub struct Clerk {
    sources: Sources,
    settings: Arc<Notify>,
    renderer: Arc<Renderer>,
    jobs: Sender<Job>,
    state: NoticeState,
    is_dirty: bool,
    saved_at: i64,
    queue: Queue,
    attacks: Rate,
    drops: Rate,
    /// Numbers of the log, the oldest first.
    log: VecDeque<u64>,
    last_number: u64,
    is_under_way: bool,
    test: Option<Reply>,
    last_delivered: Option<i64>,
    last_error: Option<String>,
    store_error: Option<String>,
}

impl Clerk {
    pub fn new(sources: Sources, settings: Arc<Notify>, jobs: Sender<Job>) -> Self {
        let renderer = Arc::new(Renderer::new(&settings));
        let mut clerk = Self {
            sources,
            renderer,
            settings,
            jobs,
            state: NoticeState::default(),
            is_dirty: false,
            saved_at: 0,
            queue: Queue::default(),
            attacks: Rate::default(),
            drops: Rate::default(),
            log: VecDeque::new(),
            last_number: 0,
            is_under_way: false,
            test: None,
            last_delivered: None,
            last_error: None,
            store_error: None,
        };
        clerk.complain_of_templates();
        clerk.restore();
        clerk
    }

    fn complain_of_templates(&self) {
        self.renderer.complaints.iter().for_each(|what| warn!("{what}"));
    }

    /// What an earlier run left, and what happened while nobody looked.
    fn restore(&mut self) {
        let now = Timestamp::now();
        let store = self.sources.store.clone();
        let known = store.as_ref().and_then(|store| store.notices().ok().flatten());
        if let Some(store) = &store {
            let mut all: Vec<DeliveryRecord> = store.deliveries().filter_map(Result::ok).collect();
            all.reverse();
            for record in all {
                self.last_number = self.last_number.max(record.number);
                match record.state {
                    DeliveryState::Waiting => drop(self.queue.push(record)),
                    DeliveryState::Delivered | DeliveryState::GivenUp => {
                        self.log.push_back(record.number);
                    }
                }
            }
        }
        match known {
            None => {
                self.state.seen = Seen::until(now.as_second());
                self.state.summary_day = today().to_string();
                self.is_dirty = true;
            }
            Some(state) => {
                self.state = state;
                let missed = match self.settings.enabled {
                    true => (self.sources.missed)(self.state.seen.until),
                    false => Vec::new(),
                };
                for event in missed {
                    self.group(&event);
                }
            }
        }
    }

    pub fn apply(&mut self, settings: Arc<Notify>) {
        self.settings = settings;
        self.renderer = Arc::new(Renderer::new(&self.settings));
        self.complain_of_templates();
        self.queue.retry_all(Timestamp::now());
    }

    pub fn event(&mut self, event: &LiveEvent) {
        if !self.settings.enabled {
            return;
        }
        if event.kind == LiveKind::Lost {
            let lost = event.lost.unwrap_or(0);
            self.state.dropped += lost;
            self.is_dirty = true;
            return self.surge(lost);
        }
        if event.kind == LiveKind::Health {
            return self.health(event);
        }
        if self.group(event) || event.kind == LiveKind::Renewed {
            self.surge(1);
        }
    }

    /// Whether it is an attack.
    fn group(&mut self, event: &LiveEvent) -> bool {
        let attack = Attack::of(event);
        let is_attack = attack.is_some();
        let happened = match (attack, Alarm::of(event)) {
            (Some((severity, attack)), _) => Some((severity, Happened::Attack(attack))),
            (None, Some((severity, alarm))) => Some((severity, Happened::Alarm(alarm))),
            (None, None) => None,
        };
        if let Some((severity, happened)) = happened
            && self.state.seen.is_new(&happened)
        {
            self.happened(severity, happened);
        }
        is_attack
    }

    fn happened(&mut self, severity: Severity, happened: Happened) {
        self.is_dirty = true;
        let now = Timestamp::now().as_second();
        let urgent = self.state.group.add(severity, happened, &self.settings, now);
        if let Some(notice) = urgent {
            self.post(notice);
        }
    }

    /// The first is what it is; what differs from the one before is news.
    fn health(&mut self, event: &LiveEvent) {
        let before = std::mem::replace(&mut self.state.health, event.what.clone());
        self.is_dirty = true;
        if before.is_empty() || before == event.what {
            return;
        }
        let is_lost = |what| Health::of(what).is_some_and(|health| !health.is_protected);
        let (severity, kind) = match is_lost(&event.what) && !is_lost(&before) {
            true => (Severity::Critical, "health-lost"),
            false => (Severity::Warning, "health-trouble"),
        };
        let alarm = Alarm {
            at: event.at,
            kind: kind.to_owned(),
            what: brief(&event.what),
            ..Alarm::default()
        };
        self.happened(severity, Happened::Alarm(alarm));
    }

    fn surge(&mut self, attacks: u64) {
        let now = Timestamp::now().as_second();
        let Notify { surge_least, surge_factor, .. } = *self.settings;
        let found = self.attacks.add(attacks, surge_least, surge_factor, now);
        self.tell_surge(found, false, now);
    }

    /// Packets that were dropped since the last time.
    pub fn dropped(&mut self, packets: u64) {
        if self.settings.enabled {
            let now = Timestamp::now().as_second();
            let Notify { surge_drops, surge_factor, .. } = *self.settings;
            let found = self.drops.add(packets, surge_drops, surge_factor, now);
            self.tell_surge(found, true, now);
        }
    }

    fn tell_surge(&mut self, found: Option<(u64, u64)>, is_of_packets: bool, now: i64) {
        let Some((count, usual)) = found else { return };
        let name = if is_of_packets { "surge of packets" } else { "surge" };
        if self.state.group.may_tell(name, &self.settings, now) {
            let surge = Some(Surge { is_of_packets, now: count, usual });
            self.post(Notice { surge, ..notice(NoticeKind::Surge, Severity::Critical, now) });
        }
    }

    pub fn tick(&mut self) {
        let now = Zoned::now();
        let seconds = now.timestamp().as_second();
        if seconds < self.saved_at {
            // The clock was put back: nothing waits until it is there again.
            self.saved_at = seconds;
            self.queue.retry_all(now.timestamp());
        }
        if self.settings.enabled {
            let quiet = self.settings.is_quiet(now.time());
            if let Some(notice) = self.state.group.due(&self.settings, quiet, seconds) {
                self.post(notice);
            }
            self.look_at_summary(&now);
        }
        if self.is_dirty && seconds - self.saved_at >= SAVE_EVERY {
            self.save();
        }
    }

    fn look_at_summary(&mut self, now: &Zoned) {
        let today = now.date().to_string();
        if self.state.summary_day == today || now.time() < self.settings.summary_time() {
            return;
        }
        self.state.summary_day = today;
        self.is_dirty = true;
        if !self.settings.summary {
            return;
        }
        match self.summary(day_before(Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date())) {
            Ok(mut summary) => {
                summary.dropped = std::mem::take(&mut self.state.dropped);
                self.post(summary);
            }
            Err(error) => warn!("the day's summary could not be made: {error}"),
        }
    }

    fn summary(&self, day: Date) -> Result<Notice, String> {
        let mut summary = (self.sources.summary)(day)?;
        summary.health = Health::of(&self.state.health);
        let told = notice(NoticeKind::Summary, Severity::Info, Timestamp::now().as_second());
        Ok(Notice { summary: Some(summary), dropped: self.state.dropped, ..told })
    }

    /// Who gets what.
    fn targets(&self) -> Vec<String> {
        let mail = &self.settings.mail;
        let mut all = Vec::new();
        if mail.way != MailWay::Off {
            all.extend(mail.recipients.iter().map(|to| format!("{MAIL}{to}")));
        }
        if self.settings.webhook.url.is_some() {
            all.push(WEBHOOK.to_owned());
        }
        all
    }

    /// One record for each who gets it.
    fn records(&mut self, notice: Notice, targets: Vec<String>) -> Vec<DeliveryRecord> {
        let now = Timestamp::now();
        let notice = Notice { host: self.sources.host.clone(), ..notice }.bounded();
        let first = now.as_microsecond().unsigned_abs().max(self.last_number + 1);
        let message_id = format!("<sipprot.{first:x}@{}>", notice.host);
        let numbered = (first..).zip(targets);
        let records: Vec<_> = numbered
            .map(|(number, target)| DeliveryRecord {
                number,
                at: now,
                target,
                kind: notice.kind.to_string(),
                message_id: message_id.clone(),
                state: DeliveryState::Waiting,
                tries: 0,
                when: now,
                error: None,
                notice: Some(notice.clone()),
            })
            .collect();
        self.last_number = records.last().map_or(self.last_number, |record| record.number);
        records
    }

    /// Into the queue, together with what says that it is there: a restart neither loses nor doubles it.
    fn post(&mut self, notice: Notice) {
        let targets = self.targets();
        if !self.queue.has_room_for(targets.len()) {
            self.state.dropped += 1;
            self.is_dirty = true;
            return;
        }
        let records = self.records(notice, targets);
        let put = records.iter().map(|record| Change::PutDelivery(Box::new(record.clone())));
        self.write(put.collect());
        for record in records {
            self.queue.push(record);
        }
    }

    pub fn save(&mut self) {
        self.write(Vec::new());
    }

    fn write(&mut self, mut changes: Vec<Change>) {
        self.saved_at = Timestamp::now().as_second();
        self.is_dirty = false;
        changes.push(Change::PutNotices(Box::new(self.state.clone())));
        let Some(store) = &self.sources.store else { return };
        let failed = store.apply(&changes).err().map(|error| error.to_string());
        if let Some(what) = failed.as_ref().filter(|_| self.store_error != failed) {
            warn!("notifications wait in memory alone: {what}");
        }
        self.store_error = failed;
    }

    /// Hands the next message to the courier.
    pub fn dispatch(&mut self) {
        while self.settings.enabled && !self.is_under_way && self.test.is_none() {
            let now = Timestamp::now();
            let Some(record) = self.queue.next(now) else { return };
            if self.targets().contains(&record.target) {
                self.is_under_way = self.carry(vec![record], false);
                return;
            }
            let failure =
                Failure { what: "it is configured no more".to_owned(), concerns_all: false };
            let ended = Notify { give_up_after: std::time::Duration::ZERO, ..Notify::default() };
            let given_up = self.queue.tried(record.number, Err(failure), &ended, now);
            self.keep(given_up);
        }
    }

    fn carry(&self, records: Vec<DeliveryRecord>, is_test: bool) -> bool {
        let (settings, renderer) = (self.settings.clone(), self.renderer.clone());
        self.jobs.send(Job { records, settings, renderer, is_test }).is_ok()
    }

    pub fn is_waiting_for_courier(&self) -> bool {
        self.is_under_way
    }

    pub fn carried(&mut self, carried: Carried) {
        if carried.is_test {
            return self.tested(carried);
        }
        self.is_under_way = false;
        let now = Timestamp::now();
        for (record, result) in carried.results {
            let tried = self.queue.tried(record.number, result, &self.settings, now);
            self.keep(tried);
        }
    }

    /// Into the store, and into the log.
    fn keep(&mut self, record: Option<DeliveryRecord>) {
        let Some(record) = record else { return };
        let mut changes = Vec::new();
        match record.state {
            DeliveryState::Waiting => self.last_error.clone_from(&record.error),
            DeliveryState::Delivered => {
                self.last_delivered = Some(record.when.as_second());
                self.last_error = None;
                info!("told {}: {}", record.target, record.kind);
            }
            DeliveryState::GivenUp => {
                self.state.dropped += 1;
                let why = record.error.as_deref().unwrap_or_default();
                warn!("given up telling {}: {why}", record.target);
            }
        }
        if record.state != DeliveryState::Waiting {
            self.log.push_back(record.number);
            while self.log.len() > LOG_MAX {
                changes.extend(self.log.pop_front().map(Change::RemoveDelivery));
            }
        }
        changes.push(Change::PutDelivery(Box::new(record)));
        self.write(changes);
    }

    pub fn test(&mut self, test: NotifyTest, reply: Reply) {
        match self.test_of(test) {
            Err(fault) => drop(reply.send(Err(fault))),
            Ok(records) => {
                self.test = Some(reply);
                if !self.carry(records, true) {
                    self.test = None;
                }
            }
        }
    }

    fn test_of(&mut self, test: NotifyTest) -> Result<Vec<DeliveryRecord>, Fault> {
        if self.test.is_some() {
            return Err(Fault::unavailable("another test is being sent"));
        }
        let known = self.targets();
        let targets = match test.to.as_slice() {
            [] if known.is_empty() => {
                let what = "nobody can be told: neither mail.way nor webhook.url is set";
                return Err(Fault::invalid("to", what));
            }
            [] => known,
            named => named.iter().map(|name| self.target(name)).collect::<Result<_, _>>()?,
        };
        let now = Timestamp::now();
        let notice = match test.summary {
            true => self
                .summary(now.to_zoned(jiff::tz::TimeZone::UTC).date())
                .map_err(Fault::unavailable)?,
            false => notice(NoticeKind::Test, Severity::Info, now.as_second()),
        };
        Ok(self.records(notice, targets))
    }

    fn target(&self, name: &str) -> Result<String, Fault> {
        let settings = &self.settings;
        match name {
            WEBHOOK if settings.webhook.url.is_some() => Ok(WEBHOOK.to_owned()),
            WEBHOOK => Err(Fault::invalid("to", "webhook.url is not set")),
            _ if settings.mail.way == MailWay::Off => Err(Fault::invalid("to", "mail.way is off")),
            _ if crate::config::is_recipient(name) => Ok(format!("{MAIL}{name}")),
            _ => Err(Fault::invalid("to", "expected a mail address, or webhook")),
        }
    }

    /// A test is tried once.
    fn tested(&mut self, carried: Carried) {
        let now = Timestamp::now();
        let mut results = Vec::new();
        for (mut record, result) in carried.results {
            let error = result.err().map(|failure| failure.what);
            results.push(TestResult {
                target: record.target.clone(),
                delivered: error.is_none(),
                error: error.clone(),
            });
            record.state = match error {
                None => DeliveryState::Delivered,
                Some(_) => DeliveryState::GivenUp,
            };
            (record.tries, record.when, record.error, record.notice) = (1, now, error, None);
            let dropped = self.state.dropped;
            self.keep(Some(record));
            self.state.dropped = dropped;
        }
        if let Some(reply) = self.test.take() {
            let _ = reply.send(Ok(Answer::NotifyTested(NotifyTested { results })));
        }
    }

    pub fn status(&self) -> NotifyStatus {
        let mut problems = self.renderer.complaints.clone();
        problems.extend(self.last_error.clone());
        problems.extend(self.store_error.clone());
        NotifyStatus {
            enabled: self.settings.enabled,
            targets: self.targets(),
            waiting: self.queue.len() as u64,
            grouped: self.state.group.waiting(),
            dropped: self.state.dropped,
            last_delivered: self.last_delivered,
            next_summary: self.next_summary(),
            problems,
        }
    }

    fn next_summary(&self) -> Option<i64> {
        if !(self.settings.enabled && self.settings.summary) {
            return None;
        }
        let now = Zoned::now();
        let day = match self.state.summary_day == now.date().to_string() {
            true => now.date().tomorrow().ok()?,
            false => now.date(),
        };
        let at = day.to_datetime(self.settings.summary_time());
        Some(at.to_zoned(now.time_zone().clone()).ok()?.timestamp().as_second())
    }
}

fn today() -> Date {
    Zoned::now().date()
}
