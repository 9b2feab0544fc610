//! Outside lists: read in their time on another thread, kept over failures and restarts, and put into the
//! denylist's tables beside the operator's own entries.
//!
//! What was read last lies in the state directory. It holds until it expires, however often its source fails.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use ipnetwork::IpNetwork;
use jiff::{SignedDuration, Timestamp};
use sipprot_common::source::SourceKey;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::query::{self, Page};
use crate::api::{BlocklistView, BlocklistsAnswer, Consent, Fault, ListQuery, LiveKind, SeenView};
use crate::blocklist::{self, Listed, Spared};
use crate::config::{Blocklist, Mode, Scope};
use crate::daemon::clock::{after, moved};
use crate::daemon::core::Core;
use crate::datapath::ListItem;
use crate::fetch::{self, fetch};
use crate::store::{List, ListEntry, Origin};

/// After a failure it is tried again this soon.
const RETRY: Duration = Duration::from_secs(300);
/// An entry takes at most 44 bytes, remarks aside.
const BYTES_PER_ENTRY: u64 = 256;

type Reading = oneshot::Receiver<anyhow::Result<Listed>>;

/// One outside list.
pub(in crate::daemon) struct Feed {
    config: Blocklist,
    /// What is taken in, in order.
    networks: Vec<IpNetwork>,
    spared: u64,
    too_wide: u64,
    unreadable: u64,
    read_at: Option<Timestamp>,
    /// When it is read next.
    due: Timestamp,
    reading: Option<Reading>,
    problem: Option<String>,
    seen: Seen,
}

/// Sources that a list which only watches would have stopped.
#[derive(Default)]
struct Seen {
    events: u64,
    /// And whether each was trusted then.
    sources: HashMap<SourceKey, bool>,
}

/// More sources are counted by their events alone.
const SEEN_MAX: usize = 16_384;

impl Seen {
    fn note(&mut self, source: SourceKey, is_trusted: impl Fn() -> bool) {
        self.events += 1;
        if self.sources.len() < SEEN_MAX || self.sources.contains_key(&source) {
            *self.sources.entry(source).or_default() |= is_trusted();
        }
    }

    fn view(&self) -> SeenView {
        SeenView {
            events: self.events,
            sources: self.sources.len() as u64,
            trusted: self.sources.values().filter(|it| **it).count() as u64,
        }
    }
}

impl Feed {
    fn new(config: &Blocklist) -> Self {
        Self {
            config: config.clone(),
            networks: Vec::new(),
            spared: 0,
            too_wide: 0,
            unreadable: 0,
            read_at: None,
            due: Timestamp::UNIX_EPOCH,
            reading: None,
            problem: None,
            seen: Seen::default(),
        }
    }

    pub(in crate::daemon) fn clock_was_set(&mut self, by: SignedDuration) {
        self.due = moved(self.due, by);
        self.read_at = self.read_at.map(|at| moved(at, by));
    }

    fn enforces(&self) -> bool {
        self.config.mode == Mode::Enforce
    }

    fn take(&mut self, listed: Listed, spared: &Spared, read_at: Timestamp) -> bool {
        let (found, before) = (listed.networks.len(), std::mem::take(&mut self.networks));
        self.networks = listed.networks;
        self.networks.retain(|network| !spared.overlaps(*network));
        self.spared = (found - self.networks.len()) as u64;
        (self.too_wide, self.unreadable) = (listed.too_wide, listed.unreadable);
        (self.read_at, self.problem) = (Some(read_at), None);
        self.networks != before
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.read_at.map(|at| after(at, self.config.expires))
    }

    /// An entry of it as the lists have theirs.
    fn entry(&self, network: IpNetwork) -> ListEntry {
        ListEntry {
            network,
            list: List::Deny,
            endpoint: None,
            note: format!("on the blocklist {}", self.config.name),
            added_at: self.read_at.unwrap_or(Timestamp::UNIX_EPOCH),
            added_by: self.config.name.clone(),
            expires_at: self.expires_at(),
            scope: Scope::All,
            origin: Origin::Feed,
        }
    }
}

#[cfg(test)]
impl Feed {
    pub fn make_due(&mut self) {
        self.due = Timestamp::UNIX_EPOCH;
    }

    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    pub fn read_long_ago(&mut self) {
        self.read_at = Some(Timestamp::UNIX_EPOCH);
    }
}

fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("blocklists")
}

fn kept(state_dir: &Path, name: &str) -> PathBuf {
    directory(state_dir).join(format!("{name}.txt"))
}

impl Core {
    /// The lists as configured, with what was read of them last. One that is configured as before goes on.
    pub(in crate::daemon) fn open_blocklists(&mut self) {
        let spared = self.spared();
        let state_dir = self.config.daemon.state_dir.clone();
        let mut before = std::mem::take(&mut self.feeds);
        let mut feeds = Vec::new();
        for config in self.config.blocklists.iter().filter(|it| it.mode != Mode::Off) {
            let same = before.iter().position(|feed| feed.config == *config);
            let same = same.map(|place| before.swap_remove(place));
            let mut feed = same.unwrap_or_else(|| Feed::new(config));
            if feed.problem.is_some() {
                // Maybe that was mended.
                feed.due = Timestamp::UNIX_EPOCH;
            }
            let path = kept(&state_dir, &config.name);
            if let Ok((listed, at)) = read_kept(&path, config) {
                feed.take(listed, &spared, at);
            }
            feeds.push(feed);
        }
        self.feeds = feeds;
        self.expire_blocklists();
    }

    /// Networks of which a stranger's word denies nothing.
    fn spared(&self) -> Spared {
        let allowed = self.store.iter().flat_map(|store| store.list(List::Allow));
        let allowed = allowed.filter_map(|entry| Some(entry.ok()?.network));
        Spared::new(self.spared_networks().chain(allowed))
    }

    /// The same but for the allowlist, which may be long.
    pub(in crate::daemon) fn spared_networks(&self) -> impl Iterator<Item = IpNetwork> {
        let told = self.config.never_block.iter().chain(&self.engine.settings().peers).copied();
        let endpoints = self.config.endpoints.iter().flat_map(|it| it.addresses.iter().copied());
        let trusted = self.engine.state().trust.into_iter().map(|peer| peer.source_ip.into());
        let own = self.own.never_blocked();
        let operators = self.operators(Consent::default()).into_iter().map(IpNetwork::from);
        let own = own.chain(operators);
        told.chain(endpoints).chain(trusted).chain(own)
    }

    /// Once a second.
    pub(in crate::daemon) fn look_at_blocklists(&mut self) {
        let now = self.clock.timestamp_now();
        let mut news = self.expire_blocklists();
        for index in 0..self.feeds.len() {
            news |= self.take_read(index, now);
            let feed = &mut self.feeds[index];
            if feed.reading.is_none() && feed.due <= now {
                feed.due = after(now, feed.config.refresh);
                feed.reading = Some(begin(&feed.config, &self.config.daemon.state_dir));
            }
        }
        if news && let Err(error) = self.load_lists() {
            self.complain(format!("the blocklists could not be put into force: {error:#}"));
        }
    }

    /// Takes over what another thread has read, if it has; true when it is something else than before.
    fn take_read(&mut self, index: usize, now: Timestamp) -> bool {
        let Some(reading) = &mut self.feeds[index].reading else { return false };
        let read = match reading.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => return false,
            Err(oneshot::error::TryRecvError::Closed) => Err(anyhow::anyhow!("reading ended")),
            Ok(read) => read,
        };
        let spared = self.spared();
        let feed = &mut self.feeds[index];
        feed.reading = None;
        let name = &feed.config.name;
        match read {
            Ok(listed) => {
                let name = name.clone();
                let (is_other, enforces) = (feed.take(listed, &spared, now), feed.enforces());
                let what = format!("the blocklist {name} has {} entries", feed.networks.len());
                info!("{what}");
                if is_other {
                    self.tell(LiveKind::List, what);
                }
                is_other && enforces
            }
            Err(error) => {
                warn!("the blocklist {name}: {error:#}; what was read last stays until it expires");
                let problem = format!("{error:#}");
                let what = format!("the blocklist {name} could not be read: {problem}");
                feed.due = feed.due.min(after(now, RETRY));
                if feed.problem.replace(problem.clone()) != Some(problem) {
                    self.tell(LiveKind::List, what);
                }
                false
            }
        }
    }

    fn expire_blocklists(&mut self) -> bool {
        let now = self.clock.timestamp_now();
        let (mut any, mut told) = (false, Vec::new());
        for feed in &mut self.feeds {
            let is_over = feed.expires_at().is_some_and(|at| at <= now);
            if is_over && !feed.networks.is_empty() {
                let name = &feed.config.name;
                told.push(format!("the blocklist {name} has expired: it denies nobody any more"));
                feed.networks.clear();
                any |= feed.enforces();
            }
        }
        for what in told {
            warn!("{what}");
            self.tell(LiveKind::List, what);
        }
        any
    }

    pub(in crate::daemon) fn feed_items(&self) -> impl Iterator<Item = ListItem> {
        let feeds = self.feeds.iter().filter(|feed| feed.enforces());
        feeds.flat_map(|feed| feed.networks.iter().copied().map(ListItem::host))
    }

    /// Entries of outside lists that cover or lie in a network.
    pub(in crate::daemon) fn feed_entries(
        &self,
        network: IpNetwork,
    ) -> impl Iterator<Item = ListEntry> {
        let feeds = self.feeds.iter().filter(|feed| feed.enforces());
        feeds.flat_map(move |feed| {
            blocklist::overlapping(&feed.networks, network).map(|network| feed.entry(network))
        })
    }

    /// Lists that only watch, and have an address.
    pub(in crate::daemon) fn watching_feeds(&self, address: IpAddr) -> Vec<String> {
        let feeds = self.feeds.iter().filter(|feed| !feed.enforces());
        let has = |feed: &&Feed| blocklist::has(&feed.networks, address);
        feeds.filter(has).map(|feed| feed.config.name.clone()).collect()
    }

    /// Counts who is on a list that only watches.
    pub(in crate::daemon) fn watch(&mut self, address: IpAddr) {
        let engine = &self.engine;
        let watching = self.feeds.iter_mut().filter(|feed| !feed.enforces());
        for Feed { networks, seen, .. } in watching {
            if blocklist::has(networks, address) {
                seen.note(SourceKey::from(address), || engine.is_trusted(address));
            }
        }
    }

    /// `covers` chooses the lists that have an address.
    pub(in crate::daemon) fn blocklists_answer(
        &self,
        query: &ListQuery,
    ) -> Result<BlocklistsAnswer, Fault> {
        let view = |feed: &Feed| BlocklistView {
            name: feed.config.name.clone(),
            source: feed.config.url.as_deref().map(fetch::shown).unwrap_or_else(|| {
                let file = feed.config.file.as_deref().unwrap_or(Path::new(""));
                file.display().to_string()
            }),
            mode: feed.config.mode.to_string(),
            entries: feed.networks.len() as u64,
            spared: feed.spared,
            too_wide: feed.too_wide,
            unreadable: feed.unreadable,
            read_at: feed.read_at.map(Timestamp::as_second),
            expires_at: feed.expires_at().map(Timestamp::as_second),
            problem: feed.problem.clone(),
            seen: feed.seen.view(),
        };
        let covers = |feed: &&Feed| {
            query.covers.is_none_or(|address| blocklist::has(&feed.networks, address))
        };
        let views = self.feeds.iter().filter(covers).map(view).collect();
        let query = ListQuery { covers: None, ..query.clone() };
        let now = self.clock.timestamp_now().as_second();
        let Page { rows, total } = query::page_of(views, &query, now)?;
        Ok(BlocklistsAnswer { blocklists: rows, total })
    }

    pub(in crate::daemon) fn blocklist_problems(&self) -> impl Iterator<Item = String> {
        self.feeds.iter().filter_map(|feed| {
            let problem = feed.problem.as_ref()?;
            Some(format!("the blocklist {}: {problem}", feed.config.name))
        })
    }
}

fn begin(config: &Blocklist, state_dir: &Path) -> Reading {
    let (done, reading) = oneshot::channel();
    let (config, path) = (config.clone(), kept(state_dir, &config.name));
    tokio::task::spawn_blocking(move || {
        let new = path.with_extension(format!("{}.new", READINGS.fetch_add(1, Ordering::Relaxed)));
        let is_wanted = || !done.is_closed();
        let read = read_anew(&config, &path, &new, is_wanted);
        if read.is_err() {
            let _ = fs::remove_file(&new);
        }
        let _ = done.send(read);
    });
    reading
}

/// Each writes a file of its own: one that nobody waits for any more may still be at it.
static READINGS: AtomicU64 = AtomicU64::new(0);

/// Only what is right, and still wanted, takes the place of what was read before.
fn read_anew(
    config: &Blocklist,
    kept: &Path,
    new: &Path,
    is_wanted: impl Fn() -> bool,
) -> anyhow::Result<Listed> {
    let directory = kept.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).context("the state directory")?;
    let mut file = File::create(new).context("the state directory")?;
    let bytes = u64::from(config.entries_max) * BYTES_PER_ENTRY;
    match (&config.url, &config.file) {
        (Some(url), _) => {
            fetch(url, fetch::Limits { bytes, ..fetch::Limits::default() }, &mut file)?;
        }
        (None, Some(path)) => {
            let from = File::open(path).with_context(|| path.display().to_string())?;
            let copied = std::io::copy(&mut std::io::Read::take(from, bytes + 1), &mut file)?;
            anyhow::ensure!(copied <= bytes, "more than {bytes} bytes");
        }
        (None, None) => anyhow::bail!("neither file nor url"),
    }
    file.flush()?;
    file.sync_all()?;
    let listed = blocklist::read(BufReader::new(File::open(new)?), config)?;
    anyhow::ensure!(is_wanted(), "it is configured otherwise by now");
    fs::rename(new, kept)?;
    File::open(directory)?.sync_all()?;
    Ok(listed)
}

fn read_kept(path: &Path, config: &Blocklist) -> anyhow::Result<(Listed, Timestamp)> {
    let file = File::open(path)?;
    let at = Timestamp::try_from(file.metadata()?.modified()?)?;
    Ok((blocklist::read(BufReader::new(file), config)?, at))
}
