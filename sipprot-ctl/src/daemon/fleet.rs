//! This host's part in a fleet: what it tells of itself, and the blocklist in force.
//!
//! The list lies in the kernel's denylist with its ends, minus what this host spares. What the operator
//! or another list has of the same network goes before it.

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::time::SystemTime;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{error, info};

use super::core::Core;
use crate::api::{Answer, Consent, FleetAnswer, LiveKind};
use crate::blocklist::Spared;
use crate::config::{Fleet as Settings, Mode, Scope};
use crate::datapath::{List as KernelList, ListItem};
use crate::fleet::message::{ListChange, TEXT_MAX};
use crate::fleet::{Bundle, Grade, Health, Held, Host, Known, News, Report, widest};
use crate::message::clean;
use crate::rules::TrustKind;
use crate::store::{BlockRecord, List, ListEntry, ListKey, Origin};

/// Who an entry of the fleet's is added by.
pub const AUTHOR: &str = "the fleet";
const NEWS_MAX: usize = 64;
const HEALTH_EVERY: u64 = 5;
const SPARE_EVERY: u64 = 30;
/// More changes than these are put in force by one swap of all lists.
const CHANGES_MAX: usize = 5000;

pub struct Fleet {
    host: Option<Host>,
    /// For which settings, and which file.
    opened: Option<(Settings, Option<SystemTime>)>,
    sender: mpsc::Sender<News>,
    news: Option<mpsc::Receiver<News>>,
    /// Whom nothing of it may touch, as of the last look.
    guard: Spared,
    /// Entries that are not in force.
    spared: BTreeSet<IpNetwork>,
    complaint: Option<String>,
    /// Sources cut off since the start.
    attacks: Cell<u64>,
}

impl Default for Fleet {
    fn default() -> Self {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        Self {
            host: None,
            opened: None,
            sender,
            news: Some(news),
            guard: Spared::new(std::iter::empty()),
            spared: BTreeSet::new(),
            complaint: None,
            attacks: Cell::new(0),
        }
    }
}

impl Fleet {
    /// The end at which the daemon hears what changed.
    pub fn news(&mut self) -> Option<mpsc::Receiver<News>> {
        self.news.take()
    }

    pub fn problem(&self) -> Option<String> {
        let problem = self.host.as_ref().and_then(|host| host.shared().standing().problem);
        let problem = self.complaint.clone().or(problem)?;
        Some(format!("the fleet: {problem}"))
    }

    /// As it is now; the thread goes on with its own.
    fn held(&self) -> Option<Held> {
        self.host.as_ref().map(|host| host.shared().held().clone())
    }
}

impl Core {
    /// Joins, leaves or stays, as configured; true when the list may be another one.
    pub(super) fn open_fleet(&mut self) -> bool {
        let settings = self.config.fleet.clone();
        let path = settings.credentials.as_ref();
        let written = path.and_then(|path| std::fs::metadata(path).ok()?.modified().ok());
        let wanted = Some((settings.clone(), written));
        if self.fleet.opened == wanted && self.fleet.complaint.is_none() {
            return false;
        }
        // First the old one goes: it has the files.
        self.fleet.host = None;
        (self.fleet.opened, self.fleet.complaint) = (wanted, None);
        if let Some(path) = settings.credentials.filter(|_| settings.mode != Mode::Off) {
            let state_dir = &self.config.daemon.state_dir;
            let sender = self.fleet.sender.clone();
            let started = Bundle::load(&path).and_then(|it| Host::start(it, state_dir, sender));
            match started {
                Ok(host) => {
                    info!("a host of a fleet, by the name {}", host.name);
                    self.fleet.host = Some(host);
                }
                Err(problem) => {
                    error!("the fleet: {problem:#}");
                    self.fleet.complaint = Some(format!("{problem:#}"));
                }
            }
        }
        self.look_whom_to_spare();
        true
    }

    fn fleet_enforces(&self) -> bool {
        self.config.fleet.mode == Mode::Enforce
    }

    /// Everything that is the host's own or trusted by it; the allowlist goes before in the kernel.
    fn look_whom_to_spare(&mut self) {
        let Some(held) = self.fleet.held() else {
            self.fleet.spared.clear();
            return;
        };
        self.fleet.guard = Spared::new(self.spared_networks());
        let guard = &self.fleet.guard;
        let spared = held.iter().map(|(network, _)| *network);
        self.fleet.spared = spared.filter(|network| guard.overlaps(*network)).collect();
    }

    /// For the kernel, with their ends.
    pub(super) fn fleet_items(&self) -> impl Iterator<Item = ListItem> {
        let held = self.fleet.held().filter(|_| self.fleet_enforces()).unwrap_or_default();
        let networks: Vec<_> =
            held.iter().map(|(network, known)| (*network, known.clone())).collect();
        let in_force = networks.into_iter().filter(|(network, _)| {
            !self.fleet.spared.contains(network) && !self.is_listed_otherwise(*network)
        });
        in_force.filter_map(|(network, known)| self.list_item(&entry(network, &known)))
    }

    /// Entries in force that cover or lie in a network.
    pub(super) fn fleet_entries(&self, network: IpNetwork) -> Vec<ListEntry> {
        if !self.fleet_enforces() {
            return Vec::new();
        }
        let found = self.fleet_overlapping(network);
        let in_force = found.into_iter().filter(|(it, _)| !self.fleet.spared.contains(it));
        in_force.map(|(network, known)| entry(network, &known)).collect()
    }

    fn fleet_overlapping(&self, network: IpNetwork) -> Vec<(IpNetwork, Known)> {
        match &self.fleet.host {
            Some(host) => host.shared().held().overlapping(network),
            None => Vec::new(),
        }
    }

    /// Whether the list has an address, where it is only watched.
    pub(super) fn fleet_watches(&self, network: IpNetwork) -> bool {
        !self.fleet_enforces() && !self.fleet_overlapping(network).is_empty()
    }

    /// All of it in force, as a list has its entries; to be made on another thread.
    pub(super) fn fleet_rows(&self) -> impl FnOnce() -> Vec<ListEntry> + Send + 'static {
        let held = self.fleet.held().filter(|_| self.fleet_enforces()).unwrap_or_default();
        let spared = self.fleet.spared.clone();
        move || {
            let in_force = held.iter().filter(|(network, _)| !spared.contains(network));
            in_force.map(|(network, known)| entry(*network, known)).collect()
        }
    }

    /// The operator's own entry of the same network, or another list's: they go before.
    fn is_listed_otherwise(&self, network: IpNetwork) -> bool {
        let key = ListKey { list: List::Deny, network, endpoint: None };
        let stored = self.store.as_ref().and_then(|store| store.list_entry(&key).ok().flatten());
        stored.is_some()
            || self.feed_entries(network).any(|entry| entry.network == network)
            || self.own_entries(List::Deny).any(|it| it.network == network && it.endpoint.is_none())
    }

    pub(super) fn fleet_news(&mut self, news: News) {
        match news {
            News::Changed(changes) if changes.len() > CHANGES_MAX => {
                info!("the fleet's list: {} changes", changes.len());
                self.look_whom_to_spare();
                if let Err(error) = self.load_lists() {
                    self.complain(format!(
                        "the fleet's list could not be put into force: {error:#}"
                    ));
                }
            }
            News::Changed(changes) => {
                for change in changes {
                    match change {
                        ListChange::Put(listed) => self.fleet_puts(listed.network),
                        ListChange::Remove(network) => self.fleet_removes(network, "recalled"),
                    }
                }
            }
            News::Ended(networks) => {
                networks.into_iter().for_each(|network| self.fleet_removes(network, "over"));
            }
        }
    }

    fn fleet_puts(&mut self, network: IpNetwork) {
        let source = sipprot_common::source::SourceKey::from(network.ip());
        let is_trusted = || self.engine.explain(source, self.clock.time_now()).trust.is_some();
        if self.fleet.guard.overlaps(network) || is_trusted() {
            self.fleet.spared.insert(network);
            return;
        }
        self.fleet.spared.remove(&network);
        let what = format!("{} is on the fleet's list", crate::report::address(network));
        self.put_fleet_back(network);
        info!("the fleet's list has {}", crate::report::address(network));
        self.tell_of(LiveKind::List, network, what);
    }

    /// Where the list has it, and nothing else does.
    pub(super) fn put_fleet_back(&mut self, network: IpNetwork) {
        let found = self.fleet_entries(network).into_iter().find(|it| it.network == network);
        let Some(found) = found.filter(|_| !self.is_listed_otherwise(network)) else { return };
        let Some(item) = self.list_item(&found) else { return };
        self.lists_version += 1;
        self.kernel.carry("putting an entry of the fleet's", |datapath| {
            datapath.add_entry(KernelList::Deny, &item).map(drop)
        });
    }

    fn fleet_removes(&mut self, network: IpNetwork, why: &str) {
        let was_spared = self.fleet.spared.remove(&network);
        if was_spared || !self.fleet_enforces() || self.is_listed_otherwise(network) {
            return;
        }
        let what = format!("{} is off the fleet's list: {why}", crate::report::address(network));
        self.tell_of(LiveKind::List, network, what.clone());
        let Ok(others) = self.others(List::Deny, network) else { return };
        self.lists_version += 1;
        self.kernel.carry("removing an entry of the fleet's", |datapath| {
            datapath.remove_entry(KernelList::Deny, network, 0, &others)
        });
        info!("{what}");
    }

    /// Of blocks and containments as they begin. What a tenant's own word did alone proves nothing to others.
    pub(super) fn report_to_fleet(&self, kind: LiveKind, record: &BlockRecord) {
        let begins = matches!(kind, LiveKind::Block | LiveKind::Denied | LiveKind::Contained);
        if !begins || record.rule == super::judgement::by_hand::BY_HAND {
            return;
        }
        self.fleet.attacks.set(self.fleet.attacks.get() + 1);
        let Some(host) = &self.fleet.host else { return };
        let is_proven = record.proven && !record.endpoint_only && kind != LiveKind::Contained;
        let names = self.config.fleet.names;
        let text = |text: &str| clean(text.as_bytes(), TEXT_MAX);
        let name = |it: &Option<String>| it.as_deref().filter(|_| names).map(text);
        host.report(Report {
            source: record.source,
            grade: if is_proven { Grade::Proven } else { Grade::Contained },
            rule: text(&record.rule),
            count: record.evidence.as_ref().map_or(1, |it| it.count),
            first: record.evidence_first.as_second(),
            last: record.evidence_last.as_second(),
            user_agent: record.user_agent.as_deref().map(text),
            country: record.country.as_deref().map(text),
            endpoint: name(&record.endpoint),
            account: name(&record.account),
        });
    }

    /// Once a second.
    pub(super) fn look_at_fleet(&mut self) {
        if self.fleet.host.is_none() {
            return;
        }
        if self.seconds.is_multiple_of(SPARE_EVERY) {
            self.spare_anew();
        }
        if self.seconds.is_multiple_of(HEALTH_EVERY) || self.seconds == 1 {
            let health = self.fleet_health();
            if let Some(host) = &self.fleet.host {
                host.tell_health(health);
            }
        }
    }

    /// Who became trusted since is let in, and who no longer is, isn't.
    fn spare_anew(&mut self) {
        let before = self.fleet.spared.clone();
        self.look_whom_to_spare();
        let now = self.fleet.spared.clone();
        for network in now.difference(&before) {
            self.fleet_removes(*network, "spared here");
            self.fleet.spared.insert(*network);
        }
        for network in before.difference(&now) {
            self.put_fleet_back(*network);
        }
    }

    fn fleet_health(&mut self) -> Health {
        let interfaces = self.interface_views();
        let problems = self.known_problems();
        let percent = |it: &crate::datapath::Fill| it.used * 100 / it.max.max(1);
        let fullest = self.known_fill().iter().max_by_key(|it| percent(it));
        let fullest =
            fullest.map(|it| (it.map.to_string(), u8::try_from(percent(it)).unwrap_or(100)));
        let xdp = |it: &crate::api::InterfaceView| it.xdp.clone().unwrap_or("gone".to_owned());
        Health {
            version: crate::cli::version().version,
            protected: self.is_protected(&interfaces),
            mode: self.mode().to_string(),
            problems,
            interfaces: interfaces.iter().map(|it| (it.name.clone(), xdp(it))).collect(),
            attacks: self.fleet.attacks.get(),
            lag_seconds: self.lag_seconds,
            fullest,
            spared: self.fleet.spared.len() as u64,
            spare: self.to_be_spared(),
            ..Health::default()
        }
    }

    /// What no host of the fleet shall drop: this one's addresses, its operators', its trunks. Its
    /// customers' are nobody else's business.
    fn to_be_spared(&self) -> Vec<IpNetwork> {
        let own = self.own.addresses.iter().map(|network| network.ip().into());
        let endpoints = self.config.endpoints.iter().flat_map(|it| it.addresses.iter().copied());
        let peers = self.engine.settings().peers.iter().copied();
        let trust = self.engine.state().trust.into_iter();
        let trunks = trust.filter(|it| it.kind == TrustKind::Trunk).map(|it| it.source_ip.into());
        let operators = self.operators(Consent::default()).into_iter().map(IpNetwork::from);
        let all = own.chain(operators).chain(endpoints).chain(peers).chain(trunks);
        let narrow = all.filter(|network| network.prefix() >= widest(*network));
        let mut seen = HashSet::new();
        narrow.filter(|network| seen.insert(*network)).collect()
    }

    pub(super) fn fleet_answer(&self) -> Answer {
        let mut answer = FleetAnswer { role: "none".to_owned(), ..FleetAnswer::default() };
        answer.problem = self.fleet.complaint.clone();
        if let Some(host) = &self.fleet.host {
            let standing = host.shared().standing();
            let held = host.shared().held().clone();
            answer = FleetAnswer {
                role: "host".to_owned(),
                connected: standing.connected,
                generation: held.generation,
                revision: held.revision,
                entries: held.len() as u64,
                spared: self.fleet.spared.len() as u64,
                name: Some(host.name.clone()),
                mode: Some(self.config.fleet.mode.to_string()),
                waiting: standing.waiting,
                refused: standing.refused,
                problem: standing.problem,
                ..answer
            };
        }
        answer.hub = self.config.fleet.hub.is_some();
        Answer::Fleet(Box::new(answer))
    }
}

fn entry(network: IpNetwork, known: &Known) -> ListEntry {
    let until = Timestamp::from_second(known.until.into()).unwrap_or(Timestamp::MAX);
    let hosts = match known.hosts {
        0 => "by the webmaster's word".to_owned(),
        1 => "proven by one host".to_owned(),
        hosts => format!("proven by {hosts} hosts"),
    };
    ListEntry {
        network,
        list: List::Deny,
        endpoint: None,
        note: format!("{}, {hosts}", known.rule),
        added_at: Timestamp::from_second(known.since.into()).unwrap_or(Timestamp::UNIX_EPOCH),
        added_by: AUTHOR.to_owned(),
        expires_at: Some(until),
        scope: Scope::All,
        origin: Origin::Fleet,
    }
}
