//! Peers that are trusted by the operator's word: those of the configuration, which only its files
//! change, and those that were added at run time, which the store keeps.

use ipnetwork::IpNetwork;
use sipprot_common::source::SourceKey;
use tracing::info;

use crate::api::{Code, Done, Fault, ListQuery, LiveKind, NewPeer, PeerView, PeersAnswer};
use crate::daemon::answers::Outcome;
use crate::daemon::change::{now_or_fault, plain, text};
use crate::daemon::core::Core;
use crate::daemon::guard::rehearsal::only_said;
use crate::daemon::lists::query::{self, Page};
use crate::daemon::plan;
use crate::report::address;
use crate::rules::{Decision, Release, ReleaseReason, Settings};
use crate::store::{BlockKind, Change, PeerRecord};

/// As many as the configuration may name.
const PEERS_MAX: usize = 4096;
const KEY: &str = "peers";
/// Packets a second.
const RATE_MAX: u32 = 10_000_000;

impl Core {
    /// What the rules go by, with the peers that were added.
    pub(in crate::daemon) fn rule_settings(&self) -> Settings {
        let mut settings = plan::settings(&self.config, &self.own);
        settings.peers.extend(self.peers.iter().map(|peer| peer.network));
        let rates = self.peers.iter().filter_map(|peer| Some((peer.network, peer.rate?)));
        settings.peer_rates.extend(rates);
        settings
    }

    pub(in crate::daemon) fn peers_answer(&self, query: &ListQuery) -> Result<PeersAnswer, Fault> {
        let now = self.clock.timestamp_now().as_second();
        let Page { rows, total } = query::page_of(self.peer_views(), query, now)?;
        Ok(PeersAnswer { peers: rows, total })
    }

    /// Those of the configuration first.
    pub(in crate::daemon) fn peer_views(&self) -> Vec<PeerView> {
        let place = (!self.config.peers.is_empty()).then(|| self.configured_in());
        let configured = self.config.peers.iter().map(|peer| PeerView {
            network: peer.network,
            rate: peer.rate,
            configured_in: place.clone(),
            note: String::new(),
            added_at: None,
            added_by: None,
        });
        let added = self.peers.iter().map(|peer| PeerView {
            network: peer.network,
            rate: peer.rate,
            configured_in: None,
            note: peer.note.clone(),
            added_at: Some(peer.added_at.as_second()),
            added_by: Some(peer.added_by.clone()),
        });
        configured.chain(added).collect()
    }

    fn configured_in(&self) -> String {
        self.origins.place(KEY).unwrap_or_else(|| "the configuration".to_owned())
    }

    pub(in crate::daemon) fn add_peer(&mut self, new: NewPeer) -> Outcome {
        now_or_fault(self.try_add_peer(new))
    }

    fn try_add_peer(&mut self, new: NewPeer) -> Result<Outcome, Fault> {
        self.needs_store()?;
        let network = plain(new.network);
        if network.prefix() == 0 {
            return Err(Fault::invalid("network", "every address there is: who is no peer then?"));
        }
        if new.rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
            return Err(Fault::invalid("rate", format!("must be from 1 to {RATE_MAX}")));
        }
        let known = self.peers.iter().find(|it| it.network == network);
        let note = match text("note", &new.note)? {
            none if none.is_empty() => known.map(|it| it.note.clone()).unwrap_or_default(),
            note => note,
        };
        let peer = PeerRecord {
            network,
            rate: new.rate,
            note,
            added_at: self.clock.timestamp_now(),
            added_by: text("added_by", &new.added_by)?,
        };
        if let Some(said) = self.would(|| format!("{} would be a trusted peer", address(network))) {
            return Ok(only_said(said));
        }
        let changes = vec![Change::PutPeer(peer.clone())];
        let what = format!("{} is a peer, added by {}", address(network), peer.added_by);
        self.put_peer(peer)?;
        self.tell_of(LiveKind::Peer, network, what);
        self.follow_peers();
        self.release_peers(network);
        let mut message = format!("{} is a trusted peer", address(network));
        if self.ledger.blocks().any(|it| network.contains(it.source.ip())) {
            message += "; what was blocked of it stays so until 'sipprot unblock'";
        }
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// Rules and kernel are told by [`Core::follow_peers`].
    pub(in crate::daemon) fn put_peer(&mut self, peer: PeerRecord) -> Result<(), Fault> {
        self.peers.retain(|known| known.network != peer.network);
        if self.peers.len() >= PEERS_MAX {
            return Err(Fault::new(Code::Full, format!("there are {PEERS_MAX} peers already")));
        }
        let network = address(peer.network);
        info!("trusting the peer {network} by {}: {}", peer.added_by, peer.note);
        self.peers.push(peer);
        self.peers.sort_by_key(|peer| peer.network);
        Ok(())
    }

    pub(in crate::daemon) fn remove_peer(&mut self, network: IpNetwork, by: &str) -> Outcome {
        now_or_fault(self.try_remove_peer(plain(network), by))
    }

    fn try_remove_peer(&mut self, network: IpNetwork, by: &str) -> Result<Outcome, Fault> {
        let by = text("by", by)?;
        let shown = address(network);
        let configured = self.config.peers.iter().any(|peer| peer.network == network);
        if !self.peers.iter().any(|peer| peer.network == network) {
            let wider = self.engine.settings().peers.iter().find(|it| covers(**it, network));
            return Err(match wider {
                _ if configured => Fault::refused(format!(
                    "{shown} is a peer by the configuration: take it out of '{KEY}' at {}, then \
                     'sipprot reload'",
                    self.configured_in()
                )),
                Some(wider) => Fault::not_found(format!(
                    "{shown} is no peer by itself, only as part of {}",
                    address(*wider)
                )),
                None => Fault::not_found(format!("{shown} is no peer")),
            });
        }
        self.needs_store()?;
        if let Some(said) = self.would(|| format!("{shown} would be no peer any more")) {
            return Ok(only_said(said));
        }
        self.peers.retain(|peer| peer.network != network);
        self.follow_peers();
        let what = format!("{shown} is no peer any more, by {by}");
        info!("{what}");
        self.tell_of(LiveKind::Peer, network, what);
        let mut message = format!("{shown} is no longer a trusted peer");
        if configured {
            let place = self.configured_in();
            message = format!("{shown} stays a trusted peer: it is configured in {place}");
        }
        let stored = self.journal.write_for_good(vec![Change::RemovePeer(network)]);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// Rules and kernel trust whom the operator trusts, and no longer whom not.
    pub(in crate::daemon) fn follow_peers(&mut self) {
        self.engine.apply(self.rule_settings());
        self.peers_seen.clear();
        self.forget_trust();
        self.restore_trust();
    }

    /// What a stranger was held back for is not held against a peer.
    fn release_peers(&mut self, network: IpNetwork) {
        let contained: Vec<SourceKey> = self
            .ledger
            .blocks()
            .filter(|it| it.kind == BlockKind::Containment && network.contains(it.source.ip()))
            .map(|it| SourceKey::from(it.source.ip()))
            .chain(
                crate::daemon::change::is_one_source(network)
                    .then(|| SourceKey::from(network.ip())),
            )
            .collect();
        let (at, reason) = (self.clock.time_now(), ReleaseReason::Spared);
        for source in contained {
            self.carry_out(Decision::Release(Release { source, at, reason }));
        }
    }
}

fn covers(wider: IpNetwork, network: IpNetwork) -> bool {
    wider.prefix() <= network.prefix() && wider.contains(network.ip())
}
