//! What changes, told to whoever follows.

use ipnetwork::IpNetwork;

use super::answers::block_view;
use super::change::name as list_name;
use super::core::Core;
use super::upkeep::FILL_EVERY;
use crate::api::{AlertView, LiveEvent, LiveKind};
use crate::datapath::Fill;
use crate::report::address;
use crate::store::{BlockKind, BlockRecord, ListKey};

/// The health as it was told last.
#[derive(Default)]
pub struct Health {
    told: Option<(bool, Vec<String>)>,
    /// Counting what is in the maps takes longer than all else of it.
    fill: Vec<Fill>,
}

impl Core {
    fn event_now(&self, kind: LiveKind, what: impl Into<String>) -> LiveEvent {
        LiveEvent {
            id: 0,
            at: self.clock.timestamp_now().as_second(),
            kind,
            source: None,
            endpoint: None,
            what: what.into(),
            block: None,
            alert: None,
            lost: None,
        }
    }

    pub(super) fn tell(&self, kind: LiveKind, what: impl Into<String>) {
        self.live.tell(self.event_now(kind, what));
    }

    pub(super) fn tell_of(&self, kind: LiveKind, network: IpNetwork, what: impl Into<String>) {
        let source = Some(address(network));
        self.live.tell(LiveEvent { source, ..self.event_now(kind, what) });
    }

    /// Something began, goes on or ended that cuts a source off.
    pub(super) fn tell_block(&self, kind: LiveKind, record: &BlockRecord) {
        self.report_to_fleet(kind, record);
        let (source, how) = (address(record.source), kind.to_string());
        let what = match (kind, record.kind) {
            (LiveKind::Ended, kind) => {
                let by = record.lifted.as_ref().map(|lifted| format!(", lifted by {}", lifted.by));
                format!("the {} of {source} ended{}", noun(kind), by.unwrap_or_default())
            }
            (LiveKind::Renewed, kind) => {
                format!("the {} of {source} goes on: it attacks", noun(kind))
            }
            (LiveKind::Block, _) => format!("{source} is blocked: {}", record.reason),
            _ => format!("{source} is {how}: {}", record.reason),
        };
        self.live.tell(LiveEvent {
            source: Some(source),
            endpoint: record.endpoint.clone(),
            block: Some(block_view(record)),
            ..self.event_now(kind, what)
        });
    }

    pub(super) fn tell_list(&self, key: &ListKey, what: &str) {
        let network = address(key.network);
        let what = format!("{network} {what} the {}", list_name(key.list));
        self.live.tell(LiveEvent {
            source: Some(network),
            endpoint: key.endpoint.clone(),
            ..self.event_now(LiveKind::List, what)
        });
    }

    pub(super) fn tell_alert(&self, alert: AlertView) {
        let what = format!("{}: {}", alert.source, alert.what);
        self.live.tell(LiveEvent {
            source: Some(alert.source.clone()),
            endpoint: alert.endpoint.clone(),
            alert: Some(alert),
            ..self.event_now(LiveKind::Alert, what)
        });
    }

    /// As it was counted last.
    pub(super) fn known_fill(&self) -> &[Fill] {
        &self.health.fill
    }

    /// As it was told last.
    pub(super) fn known_problems(&mut self) -> Vec<String> {
        if self.health.told.is_none() {
            self.look_at_health();
        }
        self.health.told.as_ref().map(|(_, problems)| problems.clone()).unwrap_or_default()
    }

    /// Tells whether anything is wrong, when that is news.
    pub(super) fn look_at_health(&mut self) {
        if self.seconds.is_multiple_of(FILL_EVERY) {
            self.health.fill = self.fill();
        }
        let interfaces = self.interface_views();
        let problems = self.problems(&interfaces, &self.health.fill);
        let now = (self.is_protected(&interfaces), problems);
        if self.health.told.as_ref() == Some(&now) {
            return;
        }
        let protected = if now.0 { "protected" } else { "NOT protected" };
        let what = match now.1.as_slice() {
            [] => format!("the system is {protected}"),
            problems => format!("the system is {protected}: {}", problems.join("; ")),
        };
        self.tell(LiveKind::Health, what);
        self.health.told = Some(now);
    }
}

const fn noun(kind: BlockKind) -> &'static str {
    match kind {
        BlockKind::Dynamic => "block",
        BlockKind::Containment => "containment",
        BlockKind::Quarantine => "quarantine",
    }
}
