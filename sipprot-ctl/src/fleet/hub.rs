//! `sipprot hub`: takes reports, curates them, publishes the blocklist.
//!
//! A report is acknowledged once what it did is on the disk, and a delta lies there before it leaves:
//! killed at any moment, the hub goes on where it was, and hosts notice nothing but a pause.

mod answers;
mod publish;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use ipnetwork::IpNetwork;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use super::curation::{Book, Done, Kept};
use super::home::Home;
use super::key::{Signer, Verifier};
use super::message::{Health, ListChange, Reports as HostReports};
use super::nats::{Channel, Incoming, Way, subject};
use super::refusal::Refusal;
use super::rules::Rules;
use crate::access::{Access, Times};
use crate::api::{Call, Caller};
use crate::daemon::guard::own::Own;
use crate::daemon::guard::sessions;
use crate::geo::{Geo, Owners};
use crate::http::{self, Rooms};
use publish::{Outlet, Published};
use records::Records;

const SECOND: Duration = Duration::from_secs(1);
const TEND_EVERY: u64 = 10;
const DATABASES_EVERY: u64 = 60;
/// Whole lists are published this often while they change.
const SNAPSHOT_EVERY: u64 = 30;
const RETRY: Duration = Duration::from_secs(1);

pub struct Hub {
    home: Home,
    written: [Option<SystemTime>; 2],
    book: Book,
    records: Records,
    keys: BTreeMap<String, Verifier>,
    outlet: Outlet,
    geo: Geo,
    owners: Owners,
    /// Revision of the last snapshot.
    snapshot: Option<u64>,
    connected: bool,
    problem: Option<String>,
    seconds: u64,
}

/// Runs until a signal ends it.
pub fn run(directory: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(directory));
    runtime.shutdown_timeout(SECOND);
    result
}

async fn serve(directory: &Path) -> anyhow::Result<()> {
    let home = Home::new(directory);
    let identities = home.identities()?;
    let listener = http::bind_socket(&home.socket())?;
    let way = Way {
        servers: identities.servers.clone(),
        seed: identities.hub_seed.clone(),
        ca: home.ca()?,
        name: "hub".to_owned(),
    };
    let channel = Channel::open(&way).await?;
    let (published, acks) = mpsc::unbounded_channel();
    let signer = Signer::new(&identities.operator_seed)?;
    let outlet = Outlet::start(channel.clone(), signer, identities.servers.len(), published);
    let mut hub = Hub::open(home, outlet)?;
    let (caller, calls) = Caller::new();
    let times = Times { idle: Duration::from_secs(3600), whole: Duration::from_secs(86_400) };
    let access = Access::load(None, times)?;
    let rooms = Rooms::new(caller, access.into(), hub.home.database());
    let (stop, stopped) = watch::channel(false);
    let api = tokio::spawn(http::serve_api(listener, rooms, async move {
        let mut stopped = stopped;
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    let (reports, told) = mpsc::channel(4);
    let (heard, health) = mpsc::channel(1024);
    tokio::spawn(take_reports(channel.clone(), reports));
    tokio::spawn(take_health(channel.clone(), heard));
    info!("the hub of {} hosts, revision {}", hub.keys.len(), hub.records.revision());
    hub.turn(&channel, calls, told, health, acks).await?;
    let _ = stop.send(true);
    let _ = tokio::time::timeout(SECOND, api).await;
    let _ = std::fs::remove_file(hub.home.socket());
    channel.flush().await;
    info!("the hub has ended");
    Ok(())
}

/// Batches of reports, for as long as there is a stream of them.
async fn take_reports(channel: Channel, reports: mpsc::Sender<Vec<Incoming>>) {
    loop {
        match channel.reports().await {
            Err(error) => tracing::debug!("no reports yet: {error:#}"),
            Ok(mut stream) => loop {
                match stream.batch().await {
                    Ok(batch) => {
                        if reports.send(batch).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::debug!("the reports: {error:#}");
                        break;
                    }
                }
            },
        }
        sleep(RETRY).await;
    }
}

async fn take_health(channel: Channel, heard: mpsc::Sender<Incoming>) {
    loop {
        if let Ok(mut listener) = channel.subscribe(subject::HEALTH).await {
            while let Some(health) = listener.next().await {
                if heard.send(health).await.is_err() {
                    return;
                }
            }
        }
        sleep(RETRY).await;
    }
}

impl Hub {
    fn open(home: Home, outlet: Outlet) -> anyhow::Result<Self> {
        let (records, book) = Records::open(&home.database())?;
        let mut hub = Self {
            written: home.written_at(),
            home,
            book,
            records,
            keys: BTreeMap::new(),
            outlet,
            geo: Geo::open(&[]),
            owners: Owners::open(),
            snapshot: None,
            connected: false,
            problem: None,
            seconds: 0,
        };
        hub.follow_files()?;
        for (revision, delta) in hub.records.outbox()? {
            hub.outlet.delta(hub.records.generation(), revision, delta);
        }
        Ok(hub)
    }

    async fn turn(
        &mut self,
        channel: &Channel,
        mut calls: mpsc::Receiver<Call>,
        mut told: mpsc::Receiver<Vec<Incoming>>,
        mut health: mpsc::Receiver<Incoming>,
        mut acks: mpsc::UnboundedReceiver<Published>,
    ) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut seconds = interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(batch) = told.recv() => self.take(batch).await?,
                Some(call) = calls.recv() => self.answer(call)?,
                Some(heard) = health.recv() => self.hear(&heard)?,
                Some(published) = acks.recv() => self.records.published(published.revision),
                _ = seconds.tick() => {
                    self.connected = channel.is_connected();
                    self.second()?;
                }
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    /// Identities and settings, when they are new. Wrong ones change nothing.
    fn follow_files(&mut self) -> anyhow::Result<()> {
        let identities = self.home.identities()?;
        let rules = Rules::load(&self.home.rules())?;
        let mut keys = BTreeMap::new();
        for (name, key) in &identities.hosts {
            keys.insert(name.clone(), Verifier::new(key).with_context(|| name.clone())?);
        }
        self.keys = keys;
        let own = Own::look();
        let addresses = own.addresses.iter().map(|network| network.ip());
        let addresses =
            addresses.chain(own.gateways).chain(own.resolvers).chain(sessions::clients());
        self.book.follow(rules, addresses.map(IpNetwork::from).collect());
        let names: BTreeSet<String> = identities.hosts.into_keys().collect();
        let kept = self.book.enrol(&names);
        self.records.keep(&self.book, &Done { list: Vec::new(), kept }, Vec::new())
    }

    async fn take(&mut self, batch: Vec<Incoming>) -> anyhow::Result<()> {
        let now = now();
        let mut done = Done::default();
        for message in &batch {
            let host = subject::host(&message.subject);
            match self.verified(host, &message.payload) {
                Ok(reports) => {
                    let one = self.book.take(host, reports, now);
                    done.list.extend(one.list);
                    done.kept.extend(one.kept);
                }
                Err(why) => {
                    warn!("a message of {host} is not taken: {why}");
                    self.book.refuse(host, why, None, now);
                }
            }
        }
        self.keep_and_publish(done)?;
        for message in &batch {
            message.done().await;
        }
        Ok(())
    }

    fn verified(&self, host: &str, message: &[u8]) -> Result<HostReports, Refusal> {
        let key = self.keys.get(host).ok_or(Refusal::Revoked)?;
        HostReports::open(key, message)
    }

    fn hear(&mut self, heard: &Incoming) -> anyhow::Result<()> {
        let (host, now) = (subject::host(&heard.subject), now());
        let health = self.keys.get(host).ok_or(Refusal::Revoked);
        match health.and_then(|key| Health::open(key, &heard.payload)) {
            Ok(health) => {
                if self.book.hear(host, health, now) {
                    let kept = [Kept::Host(host.to_owned())].into();
                    return self.records.keep(
                        &self.book,
                        &Done { list: Vec::new(), kept },
                        Vec::new(),
                    );
                }
            }
            Err(why) => self.book.refuse(host, why, None, now),
        }
        Ok(())
    }

    /// First on the disk, then out. A disk that fails ends the hub: nothing is lost but time.
    fn keep_and_publish(&mut self, done: Done) -> anyhow::Result<()> {
        let deltas = self.outlet.deltas(&self.records, self.book.recalled, &done.list, now());
        for change in &done.list {
            match change {
                ListChange::Put(it) => info!("listed {} until {}", it.network, it.until),
                ListChange::Remove(network) => info!("recalled {network}"),
            }
        }
        self.records.keep(&self.book, &done, deltas.clone())?;
        for (revision, delta) in deltas {
            self.outlet.delta(self.records.generation(), revision, delta);
        }
        Ok(())
    }

    fn second(&mut self) -> anyhow::Result<()> {
        self.seconds += 1;
        let written = self.home.written_at();
        if written != self.written {
            self.written = written;
            self.problem = self.follow_files().err().map(|problem| format!("{problem:#}"));
            match &self.problem {
                Some(problem) => error!("{problem}; all stays as it was"),
                None => info!("settings and hosts were read again"),
            }
        }
        if self.seconds.is_multiple_of(TEND_EVERY) {
            let kept = self.book.tend(now());
            self.records.keep(&self.book, &Done { list: Vec::new(), kept }, Vec::new())?;
            self.records.note(&self.book)?;
        }
        if self.seconds.is_multiple_of(DATABASES_EVERY) {
            self.follow_databases();
        }
        let revision = self.records.revision();
        let is_due = self.snapshot.is_none() || self.seconds.is_multiple_of(SNAPSHOT_EVERY);
        if is_due && self.snapshot != Some(revision) {
            self.snapshot = Some(revision);
            self.outlet.snapshot(&self.records, &self.book, now());
        }
        Ok(())
    }

    fn follow_databases(&mut self) {
        if self.geo.has_changed() {
            self.geo = Geo::open(&[]).or(&self.geo);
        }
        if self.owners.has_changed() {
            self.owners = Owners::open();
        }
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
