//! Health: what is protected, how full things are, what is wrong; for people and for Prometheus.

use sipprot_common::abi::MODE_ENFORCE;
use sipprot_common::containment::in_force;
use sipprot_common::reason::{Class, Reason};
use sipprot_common::source::SourceKey;
use tracing::error;

use crate::api::{
    Answer, EndpointSetting, EndpointView, EventView, Fault, InterfaceView, ListCounts, MapFill,
    Status, StoreView,
};
use crate::cli::version;
use crate::config::InForce;
use crate::daemon::core::Core;
use crate::datapath::{Egress, Fill, Mode as XdpMode, monotonic_ns};
use crate::metrics::take_over;
use crate::store::{BlockKind, List};

/// A map this full is a problem (percent).
const FULL: usize = 90;

impl Core {
    pub(in crate::daemon) fn status(&mut self) -> Status {
        let interfaces = self.interface_views();
        let maps = self.fill();
        let problems = self.problems(&interfaces, &maps);
        let counts = self.kernel.with(|datapath| datapath.event_counts()).unwrap_or_default();
        let complaint = self.journal.complaint();
        Status {
            version: version().version,
            protected: self.is_protected(&interfaces),
            problems,
            mode: self.mode(),
            learning: self.lessons.goes_on().then(|| self.learn_status()),
            started_at: self.started_at.as_second(),
            interfaces,
            endpoints: self.endpoint_views(),
            guards: self.guard_views(),
            lists: self.list_counts(),
            events: EventView {
                received: self.metrics.events.received.get(),
                suppressed: counts.suppressed,
                lost: counts.lost,
                lag_seconds: self.lag_seconds,
            },
            maps: maps.iter().map(map_fill).collect(),
            store: StoreView {
                healthy: self.store.is_some() && complaint.is_none(),
                notes: self.store_notes.iter().cloned().chain(complaint).collect(),
            },
            geo: self.geo_view(),
            pending: self.pending_view(),
            confirm_within_s: self.config.confirm_within.as_secs(),
            logs: self.log_views(),
            config_files: self.files.iter().map(|file| file.display().to_string()).collect(),
        }
    }

    pub(in crate::daemon) fn is_protected(&self, interfaces: &[InterfaceView]) -> bool {
        let enforcing = self.plan.policies.first().is_some_and(|host| host.mode == MODE_ENFORCE);
        let attached = !interfaces.is_empty() && interfaces.iter().all(|it| it.attached);
        self.kernel.is_there() && enforcing && attached && !self.lessons.goes_on()
    }

    fn endpoint_views(&self) -> Vec<EndpointView> {
        let endpoints = self.config.endpoints.iter().zip(self.plan.policies.iter().skip(1));
        endpoints
            .map(|(endpoint, policy)| EndpointView {
                name: endpoint.name.clone(),
                addresses: endpoint.addresses.clone(),
                mode: endpoint.mode(&self.config).to_string(),
                guards: self.guard_modes(policy),
                settings: endpoint.in_force(&self.config).into_iter().map(setting).collect(),
            })
            .collect()
    }

    fn list_counts(&self) -> ListCounts {
        let now = self.clock.timestamp_now();
        ListCounts {
            allow: self.list_counts[List::Allow as usize],
            deny: self.list_counts[List::Deny as usize],
            dynamic: self.ledger.in_force(BlockKind::Dynamic, now),
            contained: self.ledger.in_force(BlockKind::Containment, now),
            networks_contained: self.networks_contained(),
            quarantined: self.ledger.in_force(BlockKind::Quarantine, now),
            trust: self.engine.memory().peers as u64,
        }
    }

    fn networks_contained(&self) -> u64 {
        let now_ns = monotonic_ns();
        let all = self.kernel.with(|datapath| datapath.contained()).unwrap_or_default();
        let is_wide = |source: SourceKey| source.network().0.is_ipv6() && source.network().1 < 64;
        let networks = all.iter().filter(|(source, it)| is_wide(*source) && in_force(it, now_ns));
        networks.count() as u64
    }

    pub(in crate::daemon) fn interface_views(&self) -> Vec<InterfaceView> {
        let attachments = self.attachments();
        self.wanted_interfaces()
            .iter()
            .map(|name| {
                let found = attachments.iter().find(|it| &it.interface == name);
                let xdp = found.and_then(|it| match it.mode {
                    _ if it.egress == Egress::Gone => None,
                    XdpMode::Native => Some("native".to_owned()),
                    XdpMode::Generic => Some("generic".to_owned()),
                    XdpMode::Gone => None,
                });
                InterfaceView { name: name.clone(), attached: xdp.is_some(), xdp }
            })
            .collect()
    }

    pub(in crate::daemon) fn fill(&mut self) -> Vec<Fill> {
        self.kernel.carry("reading how full the maps are", |it| it.fill()).unwrap_or_default()
    }

    pub(in crate::daemon) fn problems(
        &self,
        interfaces: &[InterfaceView],
        maps: &[Fill],
    ) -> Vec<String> {
        let mut problems = Vec::new();
        let lost = interfaces.iter().filter(|it| !it.attached && self.kernel.is_there());
        problems.extend(lost.map(|it| format!("{} is not filtered", it.name)));
        if interfaces.is_empty() && self.kernel.is_there() {
            problems
                .push("no interface is named: nothing is filtered; see sipprot setup".to_owned());
        }
        for fill in maps.iter().filter(|it| it.max > 0 && it.used * 100 >= it.max * FULL) {
            let share = fill.used * 100 / fill.max;
            problems.push(format!("the kernel's map {} is {share} % full", fill.map));
        }
        for (map, count) in self.kernel.refusing() {
            let refused = format!("entries refused so far: {count}");
            problems.push(format!("the kernel's map {map} was full within the hour; {refused}"));
        }
        let refused = self.ledger.refused_len();
        if refused > 0 {
            problems
                .push(format!("blocks not in force, for the kernel did not take them: {refused}"));
        }
        if self.losing {
            problems.push("the kernel loses events: more attacks than can be told".to_owned());
        }
        if self.store.is_none() {
            problems.push("no store: blocks and lists don't survive a reboot".to_owned());
        }
        problems.extend(self.front.complaint.clone());
        problems.extend(self.journal.complaint().map(|what| format!("store: {what}")));
        problems.extend(self.reload_complaint.clone());
        problems.extend(self.blocklist_problems());
        problems.extend(self.fleet.problem());
        problems.extend(self.beside.problem());
        problems.extend(self.pending_problem());
        problems.extend(self.learning_problem());
        problems.extend(self.geo_problems());
        problems.extend(self.log_problems());
        problems.extend(self.complaints.iter().cloned());
        problems
    }

    pub(super) fn metrics_text(&mut self) -> Result<Answer, Fault> {
        let status = self.status();
        let metrics = &self.metrics;
        metrics.health.protected.set(status.protected.into());
        metrics.health.store_healthy.set(status.store.healthy.into());
        metrics.health.attached.reset();
        for interface in &status.interfaces {
            let mode = interface.xdp.as_deref().unwrap_or("none");
            let labels = [interface.name.as_str(), mode];
            metrics.health.attached.with_label_values(&labels).set(interface.attached.into());
        }
        let lists = &status.lists;
        for (list, count) in [("allow", lists.allow), ("deny", lists.deny)] {
            metrics.judgement.list_entries.with_label_values(&[list]).set(count as i64);
        }
        let in_force = [
            ("dynamic", lists.dynamic),
            ("containment", lists.contained),
            ("quarantine", lists.quarantined),
        ];
        for (kind, count) in in_force {
            metrics.judgement.in_force.with_label_values(&[kind]).set(count as i64);
        }
        metrics.judgement.refused.set(self.ledger.refused_len() as i64);
        metrics.judgement.trusted.set(lists.trust as i64);
        for map in &status.maps {
            let name = map.map.to_ascii_lowercase();
            metrics.maps.entries.with_label_values(&[&name]).set(map.entries as i64);
            metrics.maps.capacity.with_label_values(&[&name]).set(map.capacity as i64);
        }
        take_over(&metrics.events.suppressed, status.events.suppressed);
        take_over(&metrics.events.lost, status.events.lost);
        for (map, count) in self.kernel.refused() {
            let name = map.to_ascii_lowercase();
            take_over(&metrics.maps.refusals.with_label_values(&[&name]), count);
        }
        if let Some(days) = status.geo.age_days {
            metrics.health.geo_age.set((days * 86_400) as f64);
        }
        self.rules_metrics();
        self.log_metrics();
        self.kernel_metrics();
        self.hub_metrics();
        self.metrics.render().map(Answer::Metrics).map_err(|failure| {
            error!("metrics: {failure}");
            Fault::internal()
        })
    }

    fn rules_metrics(&self) {
        let memory = self.engine.memory();
        let entries = [
            ("sources", memory.sources),
            ("peers", memory.peers),
            ("records", memory.records),
            ("accounts", memory.accounts),
        ];
        for (kind, count) in entries {
            self.metrics.judgement.memory.with_label_values(&[kind]).set(count as i64);
        }
        let dropped = [
            ("requests", memory.requests_dropped),
            ("challenges", memory.challenges_dropped),
            ("sources", memory.sources_dropped),
            ("records", memory.records_dropped),
            ("accounts", memory.accounts_dropped),
            ("peers", memory.peers_refused),
        ];
        for (kind, count) in dropped {
            take_over(&self.metrics.judgement.memory_dropped.with_label_values(&[kind]), count);
        }
    }

    /// Takes over what the kernel counted. A reason that never occurred has no series, but for the
    /// host's own.
    fn kernel_metrics(&mut self) {
        for (policy, endpoint) in (0u32..).zip(&self.plan.names) {
            let Ok(Some(counters)) =
                self.kernel.with(|datapath| datapath.counters(policy).map(Some))
            else {
                continue;
            };
            for &reason in Reason::ALL {
                let labels = [endpoint.as_str(), reason.label()];
                let (packets, observed) =
                    (counters.packets[reason as usize], counters.observed[reason as usize]);
                if packets > 0 || policy == 0 {
                    let [endpoint, label] = labels;
                    let labels = [endpoint, label, verdict(reason)];
                    take_over(&self.metrics.traffic.packets.with_label_values(&labels), packets);
                }
                if observed > 0 {
                    take_over(&self.metrics.traffic.observed.with_label_values(&labels), observed);
                }
            }
        }
        for (code, count) in self.country_drops() {
            take_over(&self.metrics.traffic.by_country.with_label_values(&[&*code]), count);
        }
    }
}

fn verdict(reason: Reason) -> &'static str {
    if reason.class() == Class::Drop { "dropped" } else { "passed" }
}

fn setting(it: InForce) -> EndpointSetting {
    let origin = if it.own { "endpoint" } else { crate::daemon::plan::HOST };
    EndpointSetting { key: it.key.to_owned(), value: it.value, origin: origin.to_owned() }
}

fn map_fill(fill: &Fill) -> MapFill {
    MapFill { map: fill.map.to_owned(), entries: fill.used as u64, capacity: fill.max as u64 }
}
