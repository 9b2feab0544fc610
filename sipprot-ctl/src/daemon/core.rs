//! What the daemon is made of, how it comes up and how it ends.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

use anyhow::Context;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use sipprot_common::abi::{CONFIG_TRACK_FLOWS, Policy};
use sipprot_common::policy::{follow_geo, keep_geo};
use sipprot_common::source::SourceKey;
use tracing::{error, info, warn};

use super::Options;
use super::answers::Reply;
use super::audit::Notes;
use super::clock::Clock;
use super::feed::Logs;
use super::fleet::Fleet;
use super::front::{self, Front};
use super::geography::{Geography, Opening, Told};
use super::guard::Guard;
use super::hub::Beside;
use super::journal::Journal;
use super::kernel::Kernel;
use super::learn::Lessons;
use super::news::Health;
use super::plan::{self, Plan};
use super::settings::{self, Ready};
use crate::access::Access;
use crate::api::Live;
use crate::cli::version;
use crate::config::{Config, Loaded, Origins};
use crate::daemon::answers::checkup::LastCheckup;
use crate::daemon::geography::ahead::{Ahead, Going};
use crate::daemon::geography::update::GeoUpdate;
use crate::daemon::guard::own::Own;
use crate::daemon::judgement::ledger::Ledger;
use crate::daemon::judgement::memory::Persisted;
use crate::daemon::judgement::peaks::Peaks;
use crate::daemon::lists::blocklists::Feed;
use crate::datapath::{Change as LinkChange, DatapathError, Mode as XdpMode, Opened};
use crate::message::{Connections, Reader};
use crate::metrics::Metrics;
use crate::notify::Desk;
use crate::rules::{Decision, Engine};
use crate::store::{ListEntry, ListKey, PeerRecord, Store, StoreError};

pub struct Core {
    pub(super) config_path: Option<PathBuf>,
    /// Of the command line; the configuration's otherwise.
    pub(super) named_interfaces: Vec<String>,
    pub(super) observe: bool,
    pub(super) config: Config,
    pub(super) files: Vec<PathBuf>,
    pub(super) origins: Origins,
    pub(super) plan: Plan,
    pub(super) kernel: Kernel,
    pub(super) store: Option<Arc<Store>>,
    /// Who may use the API; shared with those who ask at its door.
    pub(super) access: Arc<Access>,
    pub(super) front: Front,
    pub(super) journal: Journal,
    pub(super) engine: Engine,
    pub(super) reader: Reader,
    pub(super) connections: Connections,
    pub(super) clock: Clock,
    pub(super) ledger: Ledger,
    pub(super) persisted: Persisted,
    pub(super) metrics: Metrics,
    pub(super) own: Own,
    pub(super) geography: Arc<Geography>,
    pub(super) told_countries: Option<Told>,
    pub(super) opening: Option<Opening>,
    /// Read for a change that is about to be made.
    pub(super) ahead: Option<Ahead>,
    pub(super) going: Option<Going>,
    /// Who wait for the end of `opening`, to have the kernel compared.
    pub(super) compares: Vec<Reply>,
    pub(super) geo_update: GeoUpdate,
    /// List entries that end by themselves.
    pub(super) expiring: BTreeSet<Expiring>,
    pub(super) list_counts: [u64; 2],
    /// Goes up with every change of the lists.
    pub(super) lists_version: u64,
    /// The kernel has lists that could not be stored.
    pub(super) lists_stale: Arc<AtomicBool>,
    pub(super) guard: Guard,
    pub(super) feeds: Vec<Feed>,
    pub(super) fleet: Fleet,
    pub(super) beside: Beside,
    /// Denials by rules that may not be in the store yet.
    pub(super) fresh_denials: Vec<ListEntry>,
    /// Entries that were changed a moment ago, likewise.
    pub(super) fresh_edits: Vec<(Timestamp, ListEntry)>,
    /// Entries that were taken out a moment ago, which the store may still have.
    pub(super) leaving: HashMap<ListKey, Timestamp>,
    pub(super) complaints: Vec<String>,
    pub(super) store_notes: Vec<String>,
    pub(super) reload_complaint: Option<String>,
    pub(super) started_at: Timestamp,
    /// Peers that were told at run time, beside those of the configuration.
    pub(super) peers: Vec<PeerRecord>,
    /// Sources of configured peer networks that the kernel was told of.
    pub(super) peers_seen: HashSet<SourceKey>,
    /// How much trusted sources send.
    pub(super) peaks: Peaks,
    pub(super) lessons: Lessons,
    pub(super) logs: Logs,
    pub(super) decisions: Vec<Decision>,
    /// Of the audit log, in this minute.
    pub(super) notes: Notes,
    /// A change of settings that lies ready.
    pub(super) staging: Weak<Mutex<Option<Ready>>>,
    pub(super) seconds: u64,
    pub(super) lag_seconds: f64,
    pub(super) lost_before: u64,
    pub(super) losing: bool,
    pub(super) live: Live,
    pub(super) health: Health,
    /// Who tells people; none before the daemon listens.
    pub(super) notices: Option<Desk>,
    /// What is asked for is only tried.
    pub(super) rehearses: bool,
    pub(super) last_checkup: LastCheckup,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expiring {
    pub at: Timestamp,
    pub key: ListKey,
}

impl PartialOrd for Expiring {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expiring {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |it: &Self| (it.at, it.key.network, it.key.endpoint.clone());
        let list = |it: &Self| it.key.list as u8;
        key(self).cmp(&key(other)).then(list(self).cmp(&list(other)))
    }
}

impl Core {
    /// Comes up: store, maps, and last the programs, so that there is no moment in which a restored
    /// block is missing.
    pub(super) fn start(options: Options, kernel: Kernel) -> anyhow::Result<Self> {
        let (store, store_notes) = open_store(&options.loaded.config)?;
        let path = options.config_path.as_deref();
        let Loaded { config, files, origins } =
            settings::settled(options.loaded, store.as_deref(), path)?;
        let geography = Geography::open(&config);
        let lessons =
            Lessons::load(store.as_ref().map(Arc::as_ref)).context("reading what is learned")?;
        let access =
            Access::load(store.clone(), front::times(&config)).context("reading who may log in")?;
        let guard = Guard::load(store.as_deref()).context("reading what waits")?;
        let knows_countries = geography.is_available() && !guard.geo_off;
        let plan = Plan::new(&config, options.observe, knows_countries)?;
        let plan = Self::planned(plan, &lessons);
        let own = Own::look();
        let seed = kernel.with(|datapath| Ok(datapath.config()?.seed))?;
        let mut core = Self {
            config_path: options.config_path,
            named_interfaces: options.interfaces,
            observe: options.observe,
            files,
            origins,
            plan,
            kernel,
            journal: Journal::start(store.clone()).context("cannot start the journal")?,
            store,
            access: Arc::new(access),
            front: Front::default(),
            engine: Engine::new(plan::settings(&config, &own)),
            reader: Reader::new(seed),
            connections: Connections::default(),
            clock: Clock::now(),
            ledger: Ledger::default(),
            persisted: Persisted::default(),
            metrics: Metrics::new(&version().version).context("cannot make the metrics")?,
            own,
            geography: Arc::new(geography),
            told_countries: None,
            opening: None,
            ahead: None,
            going: None,
            compares: Vec::new(),
            geo_update: GeoUpdate::default(),
            config,
            expiring: BTreeSet::new(),
            list_counts: [0; 2],
            lists_version: 0,
            lists_stale: Arc::default(),
            guard,
            feeds: Vec::new(),
            fleet: Fleet::default(),
            beside: Beside::default(),
            fresh_denials: Vec::new(),
            fresh_edits: Vec::new(),
            leaving: HashMap::new(),
            complaints: Vec::new(),
            store_notes,
            reload_complaint: None,
            started_at: Timestamp::now(),
            peers: Vec::new(),
            peers_seen: HashSet::new(),
            peaks: Peaks::default(),
            lessons,
            logs: Logs::default(),
            decisions: Vec::new(),
            notes: Notes::default(),
            staging: Weak::new(),
            seconds: 0,
            lag_seconds: 0.0,
            lost_before: 0,
            losing: false,
            live: Live::new(Timestamp::now().as_microsecond().unsigned_abs()),
            health: Health::default(),
            notices: None,
            rehearses: false,
            last_checkup: LastCheckup::default(),
        };
        core.tell_policies(follow_geo)
            .and_then(|()| core.tell_countries())
            .context("cannot tell the kernel its policies")?;
        core.restore().context("cannot restore what was in force")?;
        core.attach(options.wait)?;
        core.metrics.health.reload_successful.set(1);
        core.metrics.health.reload_time.set(core.started_at.as_millisecond() as f64 / 1000.0);
        Ok(core)
    }

    /// All that is planned. Where networks must be loaded for it that takes seconds, on another thread;
    /// until they are there, whom countries keep out stays as it was: an inward flow that is not known
    /// for one would open a way for itself.
    pub(super) fn tell_kernel(&mut self) -> Result<(), DatapathError> {
        if !self.countries_must_be_loaded() {
            self.tell_policies(follow_geo)?;
            return self.tell_countries();
        }
        self.tell_policies(|policy, before, _| keep_geo(policy, before))?;
        self.load_countries();
        Ok(())
    }

    /// Policies, port sets, user agents and endpoints, as planned.
    fn tell_policies(
        &mut self,
        follow: impl Fn(&mut Policy, &Policy, u64),
    ) -> Result<(), DatapathError> {
        let plan = &self.plan;
        self.kernel.with(|datapath| {
            for (index, ports) in (0..).zip(&plan.port_sets) {
                datapath.set_port_set(index, ports)?;
            }
            let policies =
                datapath.followed(&plan.policies, &plan.endpoints, &plan.shared, &follow)?;
            for (index, policy) in (0..).zip(&policies) {
                datapath.set_policy(index, policy)?;
            }
            datapath.set_user_agents(&plan.user_agents)?;
            datapath.set_endpoints(&plan.endpoints, &plan.shared)?;
            datapath.set_resolvers(&plan.resolvers)?;
            datapath.set_event_rate(plan.event_interval_ns, plan.event_burst_ns)?;
            datapath.set_flags(CONFIG_TRACK_FLOWS, plan.tracks_flows())
        })
    }

    pub(super) fn wanted_interfaces(&self) -> &[String] {
        match self.named_interfaces.as_slice() {
            [] => &self.config.interfaces,
            named => named,
        }
    }

    /// One interface that is there is enough to start; the others are waited for. Or all of them, where
    /// that is allowed.
    fn attach(&mut self, may_wait: bool) -> anyhow::Result<()> {
        let mut attached = false;
        let mut first_error = None;
        let wanted = self.wanted_interfaces().to_vec();
        for interface in &wanted {
            let result = self.kernel.with(|datapath| datapath.attach(interface).map(Some));
            match result {
                Ok(Some(attachment)) => {
                    attached = true;
                    log_attachment(&attachment);
                }
                Ok(None) => attached = true,
                Err(error) => {
                    let is_missing = matches!(error, DatapathError::NoInterface { .. });
                    if is_missing && may_wait {
                        info!("waiting for the interface {interface}");
                    } else {
                        error!("{error}");
                        first_error.get_or_insert(error);
                    }
                    let _ = self.kernel.with(|datapath| {
                        datapath.expect(interface);
                        Ok(())
                    });
                }
            }
        }
        self.detach_others(&wanted);
        match first_error {
            Some(error) if !attached => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Takes the programs off interfaces that an earlier run had and this one doesn't want.
    pub(super) fn detach_others(&mut self, wanted: &[String]) {
        let attachments = self.attachments();
        for attachment in attachments.iter().filter(|it| !wanted.contains(&it.interface)) {
            let interface = &attachment.interface;
            info!("no longer protecting {interface}");
            self.kernel.carry("detaching", |datapath| datapath.detach(interface));
        }
    }

    pub(super) fn attachments(&self) -> Vec<crate::datapath::Attachment> {
        self.kernel.with(|datapath| Ok(datapath.attachments())).unwrap_or_default()
    }

    pub(super) fn reconcile(&mut self) {
        let changes = self.kernel.with(|datapath| Ok(datapath.reconcile())).unwrap_or_default();
        for change in changes {
            match change {
                LinkChange::Gone { interface } => error!("the interface {interface} is gone"),
                LinkChange::Attached(attachment) => {
                    log_attachment(&attachment);
                    self.own = Own::look();
                    self.engine.apply(self.rule_settings());
                }
                LinkChange::Failed { interface, error } => {
                    // Tried again every few seconds: once an hour is enough to say so.
                    if self.seconds.is_multiple_of(3600) || self.seconds < 10 {
                        error!("{interface}: {error}");
                    }
                }
            }
        }
    }

    pub(super) fn announce(&self, detach: bool) {
        let opened = self.kernel.datapath().map(|datapath| datapath.opened().clone());
        match opened {
            Some(Opened::Replaced { difference }) => {
                info!("the kernel held maps of another build ({difference}): made anew");
            }
            Some(Opened::Reused) => info!("took over the maps of the last run"),
            Some(Opened::Made) | None => {}
        }
        let mode = self.mode();
        let end = if detach { "is taken out" } else { "stays in force" };
        info!(
            "mode {mode}; {} endpoints; when this ends, the filter {end}",
            self.plan.names.len() - 1
        );
    }

    pub(super) fn complain(&mut self, what: String) {
        error!("{what}");
        self.complaints.push(what);
    }

    /// Writes what is left. The kernel goes on by itself, unless it is to be taken out.
    pub(super) fn finish(mut self, detach: bool) -> anyhow::Result<()> {
        self.write_renewals();
        self.write_attacks();
        self.write_memory();
        self.write_learned();
        self.note_last_places();
        if let Some(desk) = self.notices.take() {
            desk.finish();
        }
        self.journal.finish();
        if detach {
            self.kernel.with(|datapath| datapath.detach_all())?;
            info!("the filter is taken out: nothing is protected");
        } else if self.kernel.is_there() {
            info!("the filter stays in force; 'sipprot rescue detach' takes it out");
        }
        Ok(())
    }

    /// What stands for a source in the store: its address, or its /64.
    pub(super) fn network_of(source: SourceKey) -> IpNetwork {
        let (address, prefix) = source.network();
        IpNetwork::new(address, prefix).unwrap_or_else(|_| address.into())
    }
}

fn log_attachment(attachment: &crate::datapath::Attachment) {
    let interface = &attachment.interface;
    match (attachment.mode, &attachment.fallback) {
        (XdpMode::Generic, Some(why)) => {
            warn!("protecting {interface} with generic XDP, which is slower: {why}");
        }
        (XdpMode::Generic, None) => warn!("protecting {interface} with generic XDP"),
        (XdpMode::Native, _) => info!("protecting {interface} with native XDP"),
        (XdpMode::Gone, _) => error!("{interface} is gone"),
    }
}

/// What the store has is in force all the same; nothing that changes is acknowledged.
fn without_writing(config: &Config, why: &StoreError) -> (Option<Arc<Store>>, Vec<String>) {
    let scratch = config.daemon.socket.with_extension("store");
    match Store::open_copy(&config.daemon.state_dir, &scratch, &why.to_string()) {
        Ok((store, _)) => {
            error!("no change can be kept: {why}");
            let note = "the store can't be written: what it has is in force, no change is taken";
            (Some(Arc::new(store)), vec![note.to_owned()])
        }
        Err(error) => {
            error!("going on without a store: {why}; nor can it be copied: {error}");
            (None, vec!["the store can't be used: nothing survives a reboot".to_owned()])
        }
    }
}

/// A store that can't be used is a degraded mode, unless another daemon has it.
fn open_store(config: &Config) -> anyhow::Result<(Option<Arc<Store>>, Vec<String>)> {
    match Store::open(&config.daemon.state_dir) {
        Ok((store, report)) => {
            let notes: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
            notes.iter().for_each(|note| warn!("{note}"));
            Ok((Some(Arc::new(store)), notes))
        }
        Err(error @ StoreError::InUse { .. }) => Err(error.into()),
        Err(error) => Ok(without_writing(config, &error)),
    }
}
