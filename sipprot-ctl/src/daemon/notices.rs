//! Notifications in the daemon: what the desk is given, and what is asked of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use tracing::error;

use super::answers::{Reply, block_view, no_store, store_fault};
use super::core::Core;
use crate::api::{
    AlertView, Answer, DeliveryView, Fault, LiveEvent, LiveKind, NotifyLog, NotifyLogQuery,
    NotifyTest, Report, ReportOrder, ReportQuery,
};
use crate::daemon::answers::reports;
use crate::daemon::judgement::alerts::alert_view;
use crate::daemon::lists::query::PAGE_MAX;
use crate::notify::{Attack, Change, Country, Desk, Endpoint, Sources, Summary};
use crate::report::Days;
use crate::store::{BlockKind, BlockRecord, DeliveryRecord, DeliveryState, Store, StoreError};

/// Rows of each table of a summary.
const ROWS: usize = 10;

impl Core {
    /// Begins to tell people.
    pub(super) fn start_notices(&mut self) {
        let (of_day, since) = (self.store.clone(), self.store.clone());
        let sources = Sources {
            store: self.store.clone(),
            live: self.live.clone(),
            host: reports::host_name(),
            summary: Box::new(move |day| match &of_day {
                Some(store) => summary(store, day).map_err(|error| error.to_string()),
                None => Err("there is no store".to_owned()),
            }),
            missed: Box::new(move |from| {
                let found = since.as_ref().map(|store| missed(store, from));
                found.and_then(Result::ok).unwrap_or_default()
            }),
        };
        match Desk::start(sources, &self.config.notify) {
            Ok(desk) => self.notices = Some(desk),
            Err(error) => error!("nobody is told of anything: {error}"),
        }
    }

    pub(super) fn follow_notices(&mut self) {
        if let Some(desk) = &self.notices {
            desk.apply(&self.config.notify);
        }
    }

    /// Tells how many packets were dropped so far, so that a surge of them is found.
    pub(super) fn look_at_drops(&self) {
        if let Some(desk) = self.notices.as_ref().filter(|_| self.config.notify.enabled) {
            let policies = (0u32..).zip(&self.plan.names);
            desk.drops(policies.map(|(policy, _)| self.traffic_of(policy).dropped).sum());
        }
    }

    fn desk(&self) -> Result<&Desk, Fault> {
        let none = || Fault::unavailable("notifications are not running: see the daemon's log");
        self.notices.as_ref().ok_or_else(none)
    }

    pub(super) fn notify_status(&self, reply: Reply) {
        match self.desk() {
            Ok(desk) => desk.status(reply),
            Err(fault) => drop(reply.send(Err(fault))),
        }
    }

    pub(super) fn notify_test(&self, test: NotifyTest, reply: Reply) {
        let changes = self.journal.signed(Vec::new());
        self.journal.write(changes);
        match self.desk() {
            Ok(desk) => desk.test(test, reply),
            Err(fault) => drop(reply.send(Err(fault))),
        }
    }

    pub(super) fn notify_log(&self, query: NotifyLogQuery, reply: Reply) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        tokio::task::spawn_blocking(move || {
            let log = log(&store, &query).map(Answer::NotifyLog);
            let _ = reply.send(log.map_err(|error| store_fault(&error)));
        });
    }
}

fn log(store: &Store, query: &NotifyLogQuery) -> Result<NotifyLog, StoreError> {
    let limit = query.limit.unwrap_or(100).min(PAGE_MAX);
    let mut answer = NotifyLog { deliveries: Vec::new(), total: 0 };
    for record in store.deliveries() {
        let record = record?;
        if answer.total < limit {
            answer.deliveries.push(delivery_view(record));
        }
        answer.total += 1;
    }
    Ok(answer)
}

fn delivery_view(record: DeliveryRecord) -> DeliveryView {
    let state = match record.state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::GivenUp => "given_up",
    };
    DeliveryView {
        number: record.number,
        at: record.at.as_second(),
        kind: record.kind,
        target: record.target,
        message_id: record.message_id,
        state: state.to_owned(),
        tries: record.tries,
        when: record.when.as_second(),
        error: record.error,
    }
}

/// What the store has of a day.
fn summary(store: &Arc<Store>, day: Date) -> Result<Summary, StoreError> {
    let days = Days { first: day, last: day };
    let query = ReportQuery {
        sort: Some(ReportOrder::Drops),
        limit: Some(PAGE_MAX),
        ..ReportQuery::default()
    };
    let report = reports::make(store, days, &query)?;
    let mut changes = Vec::new();
    let mut changes_total = 0;
    let time = reports::midnight(day)..day.tomorrow().map_or(Timestamp::MAX, reports::midnight);
    for record in store.audit() {
        let record = record?;
        if record.at < time.start {
            break;
        }
        if record.at >= time.end {
            continue;
        }
        changes_total += 1;
        if changes.len() < ROWS {
            changes.push(Change {
                at: record.at.as_second(),
                who: record.who,
                what: record.what,
                target: crate::message::clean(record.target.as_bytes(), 80),
            });
        }
    }
    Ok(Summary { changes, changes_total, ..of_report(&report) })
}

fn of_report(report: &Report) -> Summary {
    let sources: HashSet<&str> = report.rows.iter().map(|row| row.attacker.as_str()).collect();
    let attackers = report.rows.iter().take(ROWS).map(|row| Attack {
        at: row.last,
        source: row.attacker.clone(),
        rule: row.method.clone(),
        country: row.country_name.clone(),
        endpoint: row.endpoint.clone(),
        user_agent: row.user_agent.clone(),
        times: row.drops,
        ..Attack::default()
    });
    let countries = report.countries.iter().take(ROWS).map(|row| Country {
        name: row.country_name.clone().unwrap_or_else(|| "—".to_owned()),
        attackers: row.attackers,
        drops: row.drops,
    });
    Summary {
        day: report.date.clone(),
        attackers_total: sources.len() as u64,
        blocks: report.total_blocks,
        containments: report.total_containments,
        drops: report.total_drops,
        observed: report.total_observed,
        attackers: attackers.collect(),
        countries: countries.collect(),
        endpoints: endpoints(report),
        alarms_total: report.alerts.len() as u64,
        ..Summary::default()
    }
}

/// The most attacked ones.
fn endpoints(report: &Report) -> Vec<Endpoint> {
    let mut all: BTreeMap<&str, (HashSet<&str>, Endpoint)> = BTreeMap::new();
    for row in &report.rows {
        let Some(name) = row.endpoint.as_deref() else { continue };
        let (sources, endpoint) = all.entry(name).or_default();
        sources.insert(&row.attacker);
        endpoint.blocks += row.blocks;
        endpoint.drops += row.drops;
    }
    let mut rows: Vec<Endpoint> = all
        .into_iter()
        .map(|(name, (sources, it))| Endpoint {
            name: name.to_owned(),
            attackers: sources.len() as u64,
            ..it
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.drops, row.attackers)));
    rows.truncate(ROWS);
    rows
}

/// Blocks and alerts from a time on, as they would have been told.
fn missed(store: &Store, from: i64) -> Result<Vec<LiveEvent>, StoreError> {
    let time = Timestamp::from_second(from).unwrap_or(Timestamp::MAX)..Timestamp::MAX;
    let mut all = Vec::new();
    for record in store.history(time.clone()) {
        all.push(of_block(&record?));
    }
    for record in store.alerts(time) {
        all.push(of_alert(alert_view(&record?)));
    }
    all.sort_by_key(|event| event.at);
    Ok(all)
}

fn of_block(record: &BlockRecord) -> LiveEvent {
    let block = block_view(record);
    let kind = match record.kind {
        _ if block.escalated => LiveKind::Denied,
        BlockKind::Dynamic => LiveKind::Block,
        BlockKind::Containment => LiveKind::Contained,
        BlockKind::Quarantine => LiveKind::Quarantined,
    };
    event(kind, block.started_at, |event| event.block = Some(block))
}

fn of_alert(alert: AlertView) -> LiveEvent {
    event(LiveKind::Alert, alert.at, |event| event.alert = Some(alert))
}

fn event(kind: LiveKind, at: i64, fill: impl FnOnce(&mut LiveEvent)) -> LiveEvent {
    let mut event = LiveEvent {
        id: 0,
        at,
        kind,
        source: None,
        endpoint: None,
        what: String::new(),
        block: None,
        alert: None,
        lost: None,
    };
    fill(&mut event);
    event
}
