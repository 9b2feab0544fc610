//! The acceptance of a proposal: limits and mode into the files, peers into the store.

use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde_json::Value as Json;
use tracing::{error, info};

use crate::api::{
    Accepted, Answer, Consent, Fault, LearnAccept, LearnProposal, ModeChange, ProposedLimit,
    ProposedPeer,
};
use crate::config::{Config, DEFAULT_PATH, Mode};
use crate::daemon::answers::Reply;
use crate::daemon::audit::setting_pair;
use crate::daemon::change::text;
use crate::daemon::core::Core;
use crate::daemon::settings::staged;
use crate::report::address;
use crate::store::{Change, LearnEnd, Pair, PeerRecord};

/// Keys and their new values.
type Edits = Vec<(String, Option<Json>)>;

/// A file before and after.
struct Edit {
    file: PathBuf,
    before: Option<String>,
    after: String,
    backup: PathBuf,
}

impl Core {
    pub(in crate::daemon) fn accept_learned(&mut self, accept: LearnAccept, reply: Reply) {
        match self.try_accept(&accept) {
            Err(fault) => _ = reply.send(Err(fault)),
            Ok((accepted, changes)) => {
                let stored = self.journal.write_for_good(changes);
                tokio::spawn(async move {
                    let answer = match stored.await {
                        Ok(Ok(_)) => Ok(Answer::Accepted(accepted)),
                        _ => Err(crate::daemon::journal::not_stored()),
                    };
                    let _ = reply.send(answer);
                });
            }
        }
    }

    fn try_accept(&mut self, accept: &LearnAccept) -> Result<(Accepted, Vec<Change>), Fault> {
        self.needs_store()?;
        let by = text("by", &accept.by)?;
        let whole = !(accept.peers || accept.limits || accept.enforce);
        let proposal = self.proposal()?;
        let mut accepted = Accepted { done: false, changes: Vec::new(), undo: Vec::new() };
        let peers = chosen_peers(&proposal, whole || accept.peers, &accept.also)?;
        for peer in &peers {
            let network = address(peer.network);
            accepted.changes.push(format!("add the peer {network}: {}", peer.why));
            accepted.undo.push(format!("sipprot peer remove {network}"));
        }
        let limits = if whole || accept.limits { proposal.limits.as_slice() } else { &[] };
        let mode = proposal.mode.as_ref().filter(|_| whole || accept.enforce);
        let edits = self.edits(limits, mode, &mut accepted)?;
        let ends = (whole || accept.enforce) && self.lessons.goes_on();
        if ends {
            accepted.changes.push("end learning: the rules act".to_owned());
            accepted.undo.push("sipprot learn start".to_owned());
            self.tell_what_stays(&mut accepted);
        }
        if accept.dry_run || accepted.changes.is_empty() {
            return Ok((accepted, Vec::new()));
        }
        // While the host learns, nothing of it acts yet: the end of learning comes last.
        let keys = limits.iter().map(|it| it.key.as_str()).chain(mode.map(|_| "mode"));
        let before: Vec<_> = keys.map(|key| (key.to_owned(), self.stated(key))).collect();
        self.apply_edits(&edits)?;
        let pair = |(key, before): (String, Option<Json>)| {
            setting_pair(&key, self.file_of(&key), [before, self.stated(&key)])
        };
        let pairs: Vec<Pair> = before.into_iter().map(pair).filter(Pair::is_change).collect();
        self.journal.tell(|act| act.pairs = pairs);
        let mut changes = self.take_peers(&peers, &by)?;
        if ends {
            changes.extend(self.end_learning(LearnEnd::Accepted)?);
        }
        info!("accepted by {by}: {}", accepted.changes.join("; "));
        accepted.done = true;
        Ok((accepted, changes))
    }

    /// What goes on to observe for another reason.
    fn tell_what_stays(&self, accepted: &mut Accepted) {
        if self.observe {
            let what = "the daemon was started with --observe: until it is started without, nothing \
                        is dropped";
            accepted.changes.push(what.to_owned());
        }
        let own = self.config.endpoints.iter().filter(|it| it.mode == Some(Mode::Observe));
        for endpoint in own {
            accepted.changes.push(format!("{} goes on to observe: its own mode", endpoint.name));
        }
    }

    fn take_peers(&mut self, peers: &[ProposedPeer], by: &str) -> Result<Vec<Change>, Fault> {
        let mut changes = Vec::new();
        for peer in peers {
            let record = PeerRecord {
                network: peer.network,
                rate: None,
                note: format!("learned: {}", peer.kind),
                added_at: self.clock.timestamp_now(),
                added_by: by.to_owned(),
            };
            changes.push(Change::PutPeer(record.clone()));
            self.put_peer(record)?;
        }
        if !peers.is_empty() {
            self.follow_peers();
        }
        Ok(changes)
    }

    /// The files as they would be, and what changes in them.
    fn edits(
        &self,
        limits: &[ProposedLimit],
        mode: Option<&ModeChange>,
        accepted: &mut Accepted,
    ) -> Result<Vec<Edit>, Fault> {
        let limits = limits.iter().map(|it| {
            (it.key.clone(), Json::from(it.proposed), format!("{} → {}", it.now, it.proposed))
        });
        let mode = mode.map(|it| {
            (
                "mode".to_owned(),
                Json::from(it.proposed.to_string()),
                format!("{} → {}", it.now, it.proposed),
            )
        });
        let mut by_file: Vec<(PathBuf, Edits)> = Vec::new();
        for (key, value, what) in limits.chain(mode) {
            let file = self.file_of(&key);
            accepted.changes.push(format!("set {key} in {}: {what}", file.display()));
            match by_file.iter_mut().find(|(known, _)| *known == file) {
                Some((_, keys)) => keys.push((key, Some(value))),
                None => by_file.push((file, vec![(key, Some(value))])),
            }
        }
        let mut edits = Vec::new();
        for (file, keys) in by_file {
            let edit = self.edit(file, &keys)?;
            let (file, backup) = (edit.file.display(), edit.backup.display());
            accepted.undo.push(match edit.before {
                Some(_) => format!("cp {backup} {file} && sipprot reload"),
                None => format!("rm {file} && sipprot reload"),
            });
            edits.push(edit);
        }
        Ok(edits)
    }

    fn edit(&self, file: PathBuf, keys: &[(String, Option<Json>)]) -> Result<Edit, Fault> {
        let before = match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(&file, &error)),
        };
        let after = Config::edited(&file, before.as_deref().unwrap_or_default(), keys)
            .map_err(|error| Fault::invalid("config", error.to_string()))?;
        let backup = free_name(&file, self.clock.timestamp_now());
        Ok(Edit { file, before, after, backup })
    }

    /// Where a key is set, or else the main file.
    pub(in crate::daemon) fn file_of(&self, key: &str) -> PathBuf {
        let set_in = self.origins.of(key).map(|(file, _)| file.to_owned());
        let main = self.config_path.clone().unwrap_or_else(|| DEFAULT_PATH.into());
        set_in.unwrap_or(main)
    }

    /// All of them, and in force; or none.
    fn apply_edits(&mut self, edits: &[Edit]) -> Result<(), Fault> {
        if edits.is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        for edit in edits {
            result = result.and_then(|()| edit.apply());
        }
        let result = result.and_then(|()| self.reload(Consent::default()).map(drop));
        if result.is_err() {
            edits.iter().for_each(Edit::take_back);
            if let Err(fault) = self.reload(Consent::default()) {
                error!("going back to the old configuration: {fault}");
            }
        }
        result
    }
}

impl Edit {
    fn apply(&self) -> Result<(), Fault> {
        let written = match &self.before {
            Some(before) => std::fs::write(&self.backup, before),
            None => Ok(()),
        };
        written
            .and_then(|()| staged::replace(&self.file, &self.after))
            .map_err(|error| unwritable(&self.file, &error))
    }

    fn take_back(&self) {
        let done = match &self.before {
            Some(before) => staged::replace(&self.file, before),
            None => std::fs::remove_file(&self.file),
        };
        if let Err(error) = done {
            error!("{}: {error}", self.file.display());
        }
    }
}

/// For a copy of the file that no earlier copy has.
fn free_name(file: &Path, now: Timestamp) -> PathBuf {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let named = |number: u32| {
        let mut name = file.to_owned().into_os_string();
        name.push(format!(".before-learn-{stamp}-{number}"));
        PathBuf::from(name)
    };
    (1..).map(named).find(|name| !name.exists()).unwrap_or_else(|| named(0))
}

fn unwritable(file: &Path, error: &std::io::Error) -> Fault {
    Fault::refused(format!("{} can't be changed: {error}", file.display()))
}

/// All that are advised, if peers are wanted, and those that are named.
fn chosen_peers(
    proposal: &LearnProposal,
    wanted: bool,
    named: &[IpNetwork],
) -> Result<Vec<ProposedPeer>, Fault> {
    let known = |network: &IpNetwork| proposal.peers.iter().any(|peer| peer.network == *network);
    if let Some(stranger) = named.iter().find(|network| !known(network)) {
        let message =
            format!("{} is not proposed: 'sipprot peer add' takes any", address(*stranger));
        return Err(Fault::invalid("also", message));
    }
    let chosen = proposal
        .peers
        .iter()
        .filter(|peer| (wanted && peer.advised) || named.contains(&peer.network));
    Ok(chosen.cloned().collect())
}
