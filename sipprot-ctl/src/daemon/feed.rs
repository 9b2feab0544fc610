//! The log feed in the daemon: which logs are read, whose word they are, and what they told as an
//! observation.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{debug, error, info};

use super::core::Core;
use crate::api::{Answer, Fault, Ingested, LogView};
use crate::config::{Config, Log, LogKind, Mode};
use crate::feed::filter::Line;
use crate::feed::{Feed, Heard, Identity, Place, Places, Reading, Source, Tap, Whose, filters};
use crate::metrics::take_over;
use crate::rules::{
    Account, Carrier, EndpointId, LogLine, Logged, Method, Observation, Speaker, Told,
};

/// What the host's own ssh log is called where nobody named it.
const SSH: &str = "ssh";
/// Seconds.
const PLACES_EVERY: u64 = 60;
/// The journal is there, and somebody writes it.
const JOURNAL: &str = "/run/systemd/journal/socket";
const SSH_FILES: [&str; 2] = ["/var/log/auth.log", "/var/log/secure"];

/// The logs that are read.
#[derive(Default)]
pub struct Logs {
    /// None before the daemon listens.
    told: Option<mpsc::Sender<Heard>>,
    /// Their readings end before the thread that they are on.
    all: Vec<Following>,
    feed: Option<Feed>,
    identity: Arc<Identity>,
    /// Where the last run was, of files that are not followed yet.
    places: Places,
    /// As they were noted last.
    noted: BTreeMap<String, Place>,
}

/// One of them.
struct Following {
    log: Log,
    tap: Tap,
    /// None of the API's, and of what can't be read.
    _reading: Option<Reading>,
}

impl Core {
    /// Begins to read; what is told goes there.
    pub(super) fn start_logs(&mut self, told: mpsc::Sender<Heard>) {
        self.logs.told = Some(told);
        self.logs.places = Places::load(&self.config.daemon.state_dir, Timestamp::now());
        self.logs.feed = Feed::start().inspect_err(|error| error!("no log is read: {error}")).ok();
        self.follow_logs();
    }

    /// Reads the logs of the configuration. What was read before goes on where it is.
    pub(super) fn follow_logs(&mut self) {
        let (Some(told), Some(feed)) = (&self.logs.told, &self.logs.feed) else { return };
        let identity = Arc::new(identity(&self.config));
        let same_speakers = identity == self.logs.identity;
        let mut before = std::mem::take(&mut self.logs.all);
        // What ends gives its socket back before another one wants it.
        let wanted = wanted(&self.config);
        before.retain(|it| {
            wanted.contains(&it.log) && (same_speakers || it.log.kind != LogKind::Syslog)
        });
        let mut all = Vec::new();
        for log in wanted {
            if let Some(known) = before.iter().position(|it| it.log == log) {
                all.push(before.swap_remove(known));
                continue;
            }
            let tap = tap(&log);
            let source = Source::of(&log).filter(|_| tap.tally.error().is_none());
            let from = self.logs.places.logs.remove(&log.name);
            let reading = source
                .and_then(|source| feed.read(source, &identity, (tap.clone(), from), told.clone()));
            match tap.tally.error() {
                Some(what) => error!("log {}: {what}", log.name),
                None => info!("reading the log {} ({})", log.name, log.filters.join(", ")),
            }
            all.push(Following { log, tap, _reading: reading });
        }
        self.logs.all = all;
        self.logs.identity = identity;
    }

    /// The same once more, before the end.
    pub(super) fn note_last_places(&mut self) {
        self.logs.noted.clear();
        self.note_places();
    }

    /// Notes how far files are read, so that the next run goes on there.
    pub(super) fn note_places(&mut self) {
        let place = |it: &Following| Some((it.log.name.clone(), it.tap.tally.place()?));
        let logs: BTreeMap<String, Place> = self.logs.all.iter().filter_map(place).collect();
        // Time goes on for quiet logs, too.
        if logs == self.logs.noted && !self.seconds.is_multiple_of(PLACES_EVERY) {
            return;
        }
        self.logs.noted = logs.clone();
        let places = Places::new(logs, Timestamp::now());
        if let Err(error) = places.save(&self.config.daemon.state_dir) {
            debug!("how far logs are read could not be noted: {error}");
        }
    }

    /// Judges what a log told.
    pub(super) fn heard(&mut self, heard: &Heard) {
        if let Some(observation) = self.logged(heard) {
            self.observe(&observation);
        }
    }

    /// None where it speaks for an endpoint that is configured no more.
    fn logged(&self, heard: &Heard) -> Option<Observation> {
        let name = match &heard.whose {
            Whose::Host => None,
            Whose::Endpoint(name) => Some(&**name),
        };
        let endpoint = EndpointId(u16::try_from(self.plan.policy(name)?).ok()?);
        let speaker = match (heard.watched, name) {
            (true, _) => Speaker::Watched,
            (false, None) => Speaker::Host,
            (false, Some(_)) => Speaker::Tenant(endpoint),
        };
        Some(Observation::Logged(Logged {
            at: self.clock.time_now(),
            told: heard.told,
            source: SocketAddr::new(heard.address, heard.port.unwrap_or_default()),
            destination: SocketAddr::new(self.address_of(name), 0),
            endpoint,
            carrier: carrier(heard),
            method: heard
                .method
                .as_ref()
                .filter(|_| is_sip(heard.told))
                .map(|it| Method::from_bytes(it.as_bytes())),
            status: heard.status,
            account: heard.account.as_deref().map(Account::from),
            times: heard.times,
            line: Arc::new(LogLine { speaker, text: heard.line.clone() }),
        }))
    }

    /// One of those that were attacked; a log rarely says which.
    fn address_of(&self, endpoint: Option<&str>) -> IpAddr {
        let own = self.own.addresses.first();
        let declared = self.config.endpoints.iter().find(|it| Some(it.name.as_str()) == endpoint);
        let network = declared.map_or(own, |endpoint| endpoint.addresses.first());
        network.map_or(Ipv4Addr::UNSPECIFIED.into(), |network| network.ip())
    }

    /// Lines that an endpoint's PBX sends by itself.
    pub(super) fn ingest(&mut self, log: &str, token: &str, text: &str) -> Result<Answer, Fault> {
        let Some(whose) = self.logs.identity.by_token(token) else {
            return Err(Fault::denied("no endpoint has this token"));
        };
        let mut all = self.logs.all.iter();
        let found = all.find(|it| it.log.name == log && it.log.kind == LogKind::Api);
        let Some(tap) = found.map(|it| it.tap.clone()) else {
            return Err(Fault::not_found("no log of the API has this name"));
        };
        tap.seen();
        let mut done = Ingested { lines: 0, told: 0 };
        for line in text.lines() {
            done.lines += 1;
            if let Some(heard) = tap.sift_of(Line::plain(line), &whose) {
                done.told += 1;
                self.heard(&heard);
            }
        }
        Ok(Answer::Ingested(done))
    }

    pub(super) fn log_views(&self) -> Vec<LogView> {
        let view = |Following { log, tap, .. }: &Following| {
            let tally = &tap.tally;
            let last = tally.last_line.load(Relaxed);
            LogView {
                name: log.name.clone(),
                kind: log.kind.to_string(),
                filters: log.filters.clone(),
                endpoint: log.endpoint.clone(),
                mode: log.mode.to_string(),
                lines: tally.lines.load(Relaxed),
                matched: tally.matched.load(Relaxed),
                left_out: tally.left_out.load(Relaxed),
                refused: tally.refused.load(Relaxed),
                lost: tally.lost.load(Relaxed),
                last_line_at: (last > 0).then_some(last),
                error: tally.error(),
            }
        };
        self.logs.all.iter().map(view).collect()
    }

    /// Of those that the operator named.
    pub(super) fn log_problems(&self) -> Vec<String> {
        if self.logs.told.is_some() && self.logs.feed.is_none() {
            return vec!["no log is read: the feed could not be started".to_owned()];
        }
        let named = |view: &LogView| self.config.logs.iter().any(|log| log.name == view.name);
        let views = self.log_views().into_iter().filter(named);
        views.filter_map(|view| Some(format!("log {}: {}", view.name, view.error?))).collect()
    }

    pub(super) fn log_metrics(&self) {
        for view in self.log_views() {
            let metrics = &self.metrics.logs;
            let name = view.name.as_str();
            take_over(&metrics.lines.with_label_values(&[name]), view.lines);
            take_over(&metrics.matched.with_label_values(&[name]), view.matched);
            for (why, count) in
                [("length", view.left_out), ("sender", view.refused), ("load", view.lost)]
            {
                take_over(&metrics.left_out.with_label_values(&[name, why]), count);
            }
            metrics.healthy.with_label_values(&[name]).set(view.error.is_none().into());
        }
    }
}

fn tap(log: &Log) -> Tap {
    let whose = match &log.endpoint {
        Some(name) => Whose::Endpoint(name.as_str().into()),
        None => Whose::Host,
    };
    let (filters, error) = match filters(&log.filters) {
        Ok(filters) => (filters, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let tap = Tap::new(&log.name, filters, whose, log.mode == Mode::Observe);
    tap.tally.set_error(error);
    tap
}

/// Those of the configuration, and the host's ssh log.
fn wanted(config: &Config) -> Vec<Log> {
    let mut logs: Vec<Log> =
        config.logs.iter().filter(|log| log.mode != Mode::Off).cloned().collect();
    let sshd = |log: &Log| log.endpoint.is_none() && log.filters.iter().any(|it| it == "sshd");
    if config.follow_ssh && !config.logs.iter().any(sshd) {
        logs.extend(ssh_log());
    }
    logs
}

fn ssh_log() -> Option<Log> {
    let log = Log { name: SSH.to_owned(), filters: vec!["sshd".to_owned()], ..Log::default() };
    if Path::new(JOURNAL).exists() {
        // By itself, or one for each connection.
        let units = ["ssh.service", "sshd.service", "ssh@*.service", "sshd@*.service"];
        let units = units.map(str::to_owned).to_vec();
        return Some(Log { kind: LogKind::Journal, units, ..log });
    }
    let file = SSH_FILES.iter().find(|file| Path::new(file).exists())?;
    Some(Log { kind: LogKind::File, path: Some(file.into()), ..log })
}

fn identity(config: &Config) -> Identity {
    let mut identity = Identity::default();
    for endpoint in &config.endpoints {
        // Behind an address that several have each of them may speak for another: a token tells.
        let others = || config.endpoints.iter().filter(|other| other.name != endpoint.name);
        let shared = |network: &IpNetwork| others().any(|it| it.addresses.contains(network));
        let own: Vec<_> = endpoint.addresses.iter().copied().filter(|it| !shared(it)).collect();
        identity.add(&endpoint.name, &own, endpoint.log_token.as_deref());
    }
    identity
}

const fn is_sip(told: Told) -> bool {
    matches!(told, Told::SipRejected | Told::SipAccepted)
}

fn carrier(heard: &Heard) -> Carrier {
    match heard.transport.as_deref() {
        _ if !is_sip(heard.told) => Carrier::Hidden,
        Some("tls" | "ws" | "wss") => Carrier::Hidden,
        Some("tcp") => Carrier::Stream,
        _ => Carrier::Unproven,
    }
}
