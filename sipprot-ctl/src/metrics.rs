//! Counters for Prometheus.
//!
//! Labels are bounded: endpoint names, country codes, reasons, kinds, maps, interfaces; never an
//! address. What the kernel counts is taken over when it is asked for.

use std::cell::RefCell;

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Seconds from the packet that broke a limit to the block in the kernel.
const REACTION_BUCKETS: [f64; 10] =
    [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 1.0];

/// Of `sipprot_blocks_total`.
const BLOCK_KINDS: [&str; 5] = ["dynamic", "containment", "quarantine", "deny", "manual"];
/// Of `sipprot_alerts_total`.
const ALERT_KINDS: [&str; 9] = [
    "known-peer-blocked",
    "stale-password",
    "possible-break-in",
    "account-under-attack",
    "world-behind-nat",
    "spared",
    "trust-full",
    "watched",
    "service-cut",
];

/// What there is to say of a metric.
#[derive(Clone, Debug)]
pub struct Described {
    pub name: String,
    pub help: String,
    pub kind: &'static str,
    pub labels: Vec<String>,
}

pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    pub traffic: Traffic,
    pub judgement: Judgement,
    pub maps: Maps,
    pub events: Events,
    pub health: Health,
    pub logs: Logs,
    pub fleet: FleetGauges,
}

/// Packets.
pub struct Traffic {
    pub packets: IntCounterVec,
    pub observed: IntCounterVec,
    pub by_country: IntCounterVec,
}

/// What the rules led to, and what they remember.
pub struct Judgement {
    pub blocks: IntCounterVec,
    pub in_force: IntGaugeVec,
    pub refused: IntGauge,
    pub alerts: IntCounterVec,
    pub list_entries: IntGaugeVec,
    pub trusted: IntGauge,
    pub reaction: Histogram,
    pub memory: IntGaugeVec,
    pub memory_dropped: IntCounterVec,
}

/// The kernel's maps.
pub struct Maps {
    pub entries: IntGaugeVec,
    pub capacity: IntGaugeVec,
    pub refusals: IntCounterVec,
}

/// What the kernel tells.
pub struct Events {
    pub received: IntCounter,
    pub malformed: IntCounter,
    pub suppressed: IntCounter,
    pub lost: IntCounter,
    pub lag: Gauge,
}

/// Logs that are followed or received.
pub struct Logs {
    pub lines: IntCounterVec,
    pub matched: IntCounterVec,
    pub left_out: IntCounterVec,
    pub healthy: IntGaugeVec,
}

/// Whether everything is in order.
pub struct Health {
    pub attached: IntGaugeVec,
    pub protected: IntGauge,
    pub store_healthy: IntGauge,
    pub reload_successful: IntGauge,
    pub reload_time: Gauge,
    pub geo_age: Gauge,
}

/// Of a fleet whose hub runs beside this daemon; empty otherwise.
pub struct FleetGauges {
    pub hosts: IntGaugeVec,
    pub hub_up: IntGaugeVec,
}

impl Metrics {
    pub fn new(version: &str) -> prometheus::Result<Self> {
        let made = Maker { registry: Registry::new(), described: RefCell::default() };
        let build =
            made.gauges("sipprot_build_info", "The version, as a label; always 1.", &["version"])?;
        build.with_label_values(&[version]).set(1);
        let start = made.float("sipprot_start_time_seconds", "When the daemon started.")?;
        start.set(jiff::Timestamp::now().as_millisecond() as f64 / 1000.0);
        Ok(Self {
            traffic: Traffic::new(&made)?,
            judgement: Judgement::new(&made)?,
            maps: Maps::new(&made)?,
            events: Events::new(&made)?,
            health: Health::new(&made)?,
            logs: Logs::new(&made)?,
            fleet: FleetGauges::new(&made)?,
            registry: made.registry,
            described: made.described.into_inner(),
        })
    }

    /// Every metric, whether it has a value yet or not.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Prometheus' text format.
    pub fn render(&self) -> prometheus::Result<String> {
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Traffic {
    fn new(made: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            packets: made.counters(
                "sipprot_packets_total",
                "Packets by the one reason with which each left the datapath.",
                &["endpoint", "reason", "verdict"],
            )?,
            observed: made.counters(
                "sipprot_observed_packets_total",
                "Packets that would have been dropped, had the protection not only observed.",
                &["endpoint", "reason"],
            )?,
            by_country: made.counters(
                "sipprot_dropped_packets_by_country_total",
                "Packets dropped by the geo rule, by the source's country.",
                &["country"],
            )?,
        })
    }
}

impl Judgement {
    fn new(made: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            blocks: made.counters_of(
                "sipprot_blocks_total",
                "Blocks, containments, quarantines and denials since the daemon started.",
                &BLOCK_KINDS,
            )?,
            in_force: made.gauges(
                "sipprot_blocks_in_force",
                "Blocks, containments and quarantines in force.",
                &["kind"],
            )?,
            refused: made.gauge(
                "sipprot_blocks_refused",
                "Blocks that are not in force, for the kernel did not take them.",
            )?,
            alerts: made.counters_of("sipprot_alerts_total", "Alerts raised.", &ALERT_KINDS)?,
            list_entries: made.gauges("sipprot_list_entries", "Entries on a list.", &["list"])?,
            trusted: made.gauge("sipprot_trusted_sources", "Learned trusted peers.")?,
            reaction: made.histogram(
                "sipprot_reaction_seconds",
                "From the packet that broke a limit to the block in the kernel.",
            )?,
            memory: made.gauges("sipprot_rules_entries", "What the rules remember.", &["kind"])?,
            memory_dropped: made.counters(
                "sipprot_rules_dropped_total",
                "What the rules had to forget because they were full.",
                &["kind"],
            )?,
        })
    }
}

impl Maps {
    fn new(made: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            entries: made.gauges("sipprot_map_entries", "Entries in a map.", &["map"])?,
            capacity: made.gauges("sipprot_map_capacity", "Room of a map.", &["map"])?,
            refusals: made.counters(
                "sipprot_map_refusals_total",
                "Entries refused because their map was full.",
                &["map"],
            )?,
        })
    }
}

impl Events {
    fn new(made: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            received: made.counter("sipprot_events_received_total", "Events from the datapath.")?,
            malformed: made
                .counter("sipprot_events_malformed_total", "Records in the ring that are none.")?,
            suppressed: made.counter(
                "sipprot_events_suppressed_total",
                "Events not sent because their source or CPU had its share.",
            )?,
            lost: made.counter(
                "sipprot_events_lost_total",
                "Events not sent because the ring was full.",
            )?,
            lag: made.float(
                "sipprot_controller_lag_seconds",
                "From the last event's packet to its judgement.",
            )?,
        })
    }
}

impl Logs {
    fn new(made: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            lines: made.counters("sipprot_log_lines_total", "Lines of a log.", &["log"])?,
            matched: made.counters(
                "sipprot_log_matched_lines_total",
                "Lines that a filter knows.",
                &["log"],
            )?,
            left_out: made.counters(
                "sipprot_log_left_out_lines_total",
                "Lines that were not judged: too long, from senders that speak for nobody, or too many.",
                &["log", "why"],
            )?,
            healthy: made.gauges("sipprot_log_healthy", "Whether the log can be read.", &["log"])?,
        })
    }
}

impl FleetGauges {
    fn new(made: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            hosts: made.gauges(
                "sipprot_fleet_hosts",
                "Hosts of the fleet whose hub runs here, by how they fare.",
                &["health"],
            )?,
            hub_up: made.gauges("sipprot_fleet_hub_up", "Whether that hub answers.", &[])?,
        })
    }
}

impl Health {
    fn new(made: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            attached: made.gauges(
                "sipprot_interface_attached",
                "Whether the interface is filtered.",
                &["interface", "mode"],
            )?,
            protected: made.gauge(
                "sipprot_protected",
                "Whether every interface is filtered and the mode is enforce.",
            )?,
            store_healthy: made
                .gauge("sipprot_store_healthy", "Whether the store takes what it is told.")?,
            reload_successful: made.gauge(
                "sipprot_config_last_reload_successful",
                "Whether the last configuration that was read is in force.",
            )?,
            reload_time: made.float(
                "sipprot_config_last_reload_success_timestamp_seconds",
                "When the configuration in force was read.",
            )?,
            geo_age: made.float("sipprot_geo_database_age_seconds", "Age of the oldest one.")?,
        })
    }
}

/// Brings a counter to what somebody else counted; one that runs backwards was begun anew.
pub fn take_over(counter: &IntCounter, total: u64) {
    let known = counter.get();
    if total < known {
        counter.reset();
        counter.inc_by(total);
    } else {
        counter.inc_by(total - known);
    }
}

struct Maker {
    registry: Registry,
    described: RefCell<Vec<Described>>,
}

impl Maker {
    fn keep<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        kind: &'static str,
        collector: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let collector = collector?;
        self.registry.register(Box::new(collector.clone()))?;
        self.described.borrow_mut().extend(collector.desc().into_iter().map(|desc| Described {
            name: desc.fq_name.clone(),
            help: desc.help.clone(),
            kind,
            labels: desc.variable_labels.clone(),
        }));
        Ok(collector)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.keep("counter", IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// One for each kind, from the start: from the first occurrence on, there is an increase.
    fn counters_of(
        &self,
        name: &str,
        help: &str,
        kinds: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = self.counters(name, help, &["kind"])?;
        for kind in kinds {
            counters.with_label_values(&[kind]);
        }
        Ok(counters)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.keep("counter", IntCounter::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.keep("gauge", IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.keep("gauge", IntGauge::new(name, help))
    }

    fn float(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.keep("gauge", Gauge::new(name, help))
    }

    fn histogram(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        let options = HistogramOpts::new(name, help).buckets(REACTION_BUCKETS.to_vec());
        self.keep("histogram", Histogram::with_opts(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_help_and_no_address() {
        let metrics = Metrics::new("1").unwrap();
        metrics.traffic.packets.with_label_values(&["host", "other", "passed"]).inc();
        metrics.judgement.reaction.observe(0.0001);
        let text = metrics.render().unwrap();
        assert!(text.contains(
            "sipprot_packets_total{endpoint=\"host\",reason=\"other\",verdict=\"passed\"} 1"
        ));
        assert!(text.contains("# HELP sipprot_reaction_seconds "));
        assert!(text.contains("sipprot_build_info{version=\"1\"} 1"));
    }

    #[test]
    fn counters_follow_the_kernel() {
        let counter = IntCounter::new("x", "x").unwrap();
        for (total, expected) in [(5, 5), (5, 5), (9, 9), (2, 2)] {
            take_over(&counter, total);
            assert_eq!(counter.get(), expected);
        }
    }
}
