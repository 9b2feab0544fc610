//! Commands in, answers out. What takes long is read on another thread, and what changes something
//! is answered once it lasts.

pub(super) mod abuse;
pub(super) mod check;
pub(super) mod checkup;
pub(super) mod reports;
mod rows;
pub(super) mod status;
pub(super) mod top;
pub(super) mod why;

use tokio::sync::oneshot;
use tracing::error;

use super::core::Core;
use super::geography::Geography;
use super::journal;
use crate::api::{
    Answer, BlockView, Call, Command, Done, Entry, Fault, GeoData, ListQuery, SettingsAnswer,
    TrustAnswer, TrustView, country_name,
};
use crate::cli::version;
use crate::config::schema;
use crate::daemon::lists::query::{self, Page};
use crate::report;
use crate::store::{BlockRecord, ListEntry, Origin, StoreError};

pub(super) type Reply = oneshot::Sender<Result<Answer, Fault>>;

/// An answer that is there, or one that something has to be waited for.
pub enum Outcome {
    Now(Result<Answer, Fault>),
    /// Done, and to be told once it is stored.
    Stored(journal::Stored, Done),
}

impl Core {
    /// What changes something has a record in the audit log.
    pub(super) fn answer(&mut self, call: Call) {
        let Call { who, command, reply } = call;
        self.journal.begin(self.act_of(&who, &command));
        self.carry_out_command(command, reply);
        self.journal.begin(None);
    }

    pub(super) fn carry_out_command(&mut self, command: Command, reply: Reply) {
        if let Some(config) = self.must_read_ahead(Some(&command)) {
            return self.read_ahead(config, Some((command, reply)));
        }
        let outcome = match command {
            Command::Rehearse(command) => self.rehearse(*command),

            Command::Entries { list, query } => return self.entries(list, query, reply),
            Command::Why { address } => return self.why(address, reply),
            Command::Report { query } => return self.report(&query, reply),
            Command::Summary { query } => return self.summary(query, reply),
            Command::Abuse { address } => return self.abuse(address, reply),
            Command::Aggregate { list, wanted } => return self.find_merges(list, wanted, reply),
            Command::Merge { found } => self.merge(&found),
            Command::Compare => return self.compare(reply),
            Command::Settle { compared, repair } => Outcome::Now(self.settle(&compared, repair)),
            Command::GeoPreview(change) => return self.preview_geo(change, reply),
            Command::Version => Outcome::Now(Ok(Answer::Version(version()))),
            Command::Status => Outcome::Now(Ok(Answer::Status(Box::new(self.status())))),
            Command::Health => Outcome::Now(Ok(Answer::Health(self.known_problems()))),
            Command::Metrics => Outcome::Now(self.metrics_text()),
            Command::Blocks { query } => Outcome::Now(self.blocks(&query).map(Answer::Blocks)),
            Command::Trust { query } => Outcome::Now(self.trust_answer(&query).map(Answer::Trust)),
            Command::Check { address } => {
                Outcome::Now(self.check(address).map(|check| Answer::Check(Box::new(check))))
            }
            Command::ReadSheet { sheet, consent } => return self.read_sheet(sheet, consent, reply),
            Command::ApplySheet { read, consent } => {
                return self.apply_sheet(&read, consent, reply);
            }
            Command::ExportList { list, endpoint, into } => {
                return self.export_list(list, endpoint, into, reply);
            }
            Command::AddEntry { list, entry, consent } => self.add_entry(list, entry, consent),
            Command::EditEntry { list, edit, consent } => self.edit_entry(list, &edit, consent),
            Command::RemoveEntry { list, network, by, consent } => {
                self.remove_entry(list, network, &by, consent)
            }
            Command::RemoveEntries { list, removal, consent } => {
                self.remove_entries(list, &removal, consent)
            }
            Command::MoveEntries { list, entries, consent } => {
                self.move_entries(list, &entries, consent)
            }
            Command::DenyBlocks { blocks, consent } => self.deny_blocks(&blocks, consent),
            Command::UnblockAll { kind, by } => self.unblock_all(kind, &by),
            Command::Confirm { cancel, right, by } => self.confirm(cancel, right, &by),
            Command::Block { block, consent } => self.block_by_hand(block, consent),
            Command::Unblock { address, by } => self.unblock(address, &by),
            Command::RevokeTrust { address, by } => self.revoke_trust(address, &by),
            Command::LearnAccept(accept) => return self.accept_learned(accept, reply),
            Command::Learn => Outcome::Now(Ok(Answer::Learn(self.learn_status()))),
            Command::LearnProposal => {
                Outcome::Now(self.proposal().map(|it| Answer::LearnProposal(Box::new(it))))
            }
            Command::LearnStart(start) => self.start_learning(start),
            Command::LearnStop { by } => self.stop_learning(&by),
            Command::LearnDiscard { by } => self.discard_learned(&by),
            Command::Blocklists { query } => {
                Outcome::Now(self.blocklists_answer(&query).map(Answer::Blocklists))
            }
            Command::Peers { query } => Outcome::Now(self.peers_answer(&query).map(Answer::Peers)),
            Command::AddPeer(peer) => self.add_peer(peer),
            Command::RemovePeer { network, by } => self.remove_peer(network, &by),
            Command::Ingest { log, token, text } => Outcome::Now(self.ingest(&log, &token, &text)),
            Command::Follow => Outcome::Now(Ok(Answer::Follow(self.live.clone()))),
            Command::Top { limit } => Outcome::Now(Ok(Answer::Top(Box::new(self.top(limit))))),
            Command::Reload { consent } => self.reload_as_asked(consent),
            Command::Schema => Outcome::Now(Ok(Answer::Schema(Box::new(schema())))),
            Command::Settings => {
                let settings = SettingsAnswer::of(&self.loaded());
                Outcome::Now(Ok(Answer::Settings(Box::new(settings))))
            }
            Command::ChangeSettings { change, consent } => {
                return self.change_settings(&change, consent, reply);
            }
            Command::ApplySettings { staged, consent } => {
                return self.apply_settings(&staged, consent, reply);
            }
            Command::Audit { query } => return self.audit(query, reply),
            Command::Undo { number, consent, right, .. } => {
                return self.undo(number, right, consent, reply);
            }
            Command::Note(_) => self.note(),
            Command::Doctor => return self.checkup(reply),
            Command::Service => Outcome::Now(Ok(Answer::Service(self.service()))),
            Command::ActOnService(act) => return self.act_on_service(act, reply),
            Command::Fleet => Outcome::Now(Ok(self.fleet_answer())),
            it @ (Command::FleetHub
            | Command::FleetHosts
            | Command::FleetSources { .. }
            | Command::FleetLog { .. }
            | Command::FleetJudge(_)
            | Command::FleetProtect(_)) => return self.ask_hub(it, reply),
            Command::NotifyStatus => return self.notify_status(reply),
            Command::NotifyLog { query } => return self.notify_log(query, reply),
            Command::NotifyTest(test) => return self.notify_test(test, reply),
            it @ (Command::Users
            | Command::AddUser(_)
            | Command::EditUser { .. }
            | Command::RemoveUser { .. }
            | Command::Tokens
            | Command::AddToken(_)
            | Command::RevokeToken { .. }) => return self.access(it, reply),
        };
        Self::reply(outcome, reply);
    }

    pub(super) fn reply(outcome: Outcome, reply: Reply) {
        match outcome {
            Outcome::Now(answer) => {
                let _ = reply.send(answer);
            }
            Outcome::Stored(stored, done) => {
                tokio::spawn(async move {
                    let answer = match stored.await {
                        Ok(Ok(audit)) => Ok(Answer::Done(Done { audit, ..done })),
                        _ => Err(Fault::unavailable(format!(
                            "{}; it could not be stored and ends with the next reboot",
                            done.message
                        ))),
                    };
                    let _ = reply.send(answer);
                });
            }
        }
    }

    /// Answers what takes long to look at, on another thread. What was acknowledged or is about to be is
    /// in the store by then.
    pub(super) fn answer_after_writes(
        &self,
        look: Result<impl FnOnce() -> Result<Answer, Fault> + Send + 'static, Fault>,
        reply: Reply,
    ) {
        let look = match look {
            Ok(look) => look,
            Err(fault) => {
                let _ = reply.send(Err(fault));
                return;
            }
        };
        let written = self.journal.write_for_good(Vec::new());
        tokio::spawn(async move {
            let _ = written.await;
            let answer = tokio::task::spawn_blocking(look).await;
            let _ = reply.send(answer.unwrap_or_else(|_| Err(Fault::internal())));
        });
    }

    fn trust_answer(&self, query: &ListQuery) -> Result<TrustAnswer, Fault> {
        let state = self.engine.state();
        let now = self.clock.time_now();
        let seen_there = |endpoints: &[String]| {
            query.endpoint.as_ref().is_none_or(|wanted| endpoints.contains(wanted))
        };
        let seen = state.trust.into_iter().map(|peer| (self.names_of(&peer.endpoints), peer));
        let mut trust: Vec<TrustView> = seen
            .filter(|(endpoints, _)| seen_there(endpoints))
            .map(|(endpoints, peer)| TrustView {
                source: report::address(Self::network_of(peer.source)),
                kind: why::trust_kind(peer.kind).to_owned(),
                accounts: peer.accounts.iter().map(|it| it.account.to_string()).collect(),
                since: seconds(peer.since),
                last_seen: seconds(peer.last),
                peak: peer.peak.rate(now),
                ceiling: self.engine.ceiling(peer.source, now),
                country: self.country_code(peer.source_ip),
                endpoints,
            })
            .collect();
        trust.sort_by(|a, b| a.source.cmp(&b.source));
        let rest = ListQuery { endpoint: None, ..query.clone() };
        let Page { rows, total } = query::page_of(trust, &rest, seconds(now))?;
        let whole = ListQuery { offset: None, limit: None, ..query.clone() };
        let peers = query::page_of(self.peer_views(), &whole, seconds(now))?.rows;
        Ok(TrustAnswer { trust: rows, peers, total })
    }
}

pub fn seconds(time: crate::rules::Time) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn no_store(reply: Reply) {
    let _ = reply.send(Err(Fault::unavailable("the store can't be used: see the daemon's log")));
}

pub fn store_fault(error: &StoreError) -> Fault {
    error!("store: {error}");
    Fault::unavailable(format!("the store can't be used, what is in force stays so: {error}"))
}

/// Another one after each change.
pub(super) fn version_of(entry: &ListEntry) -> String {
    let bytes = serde_json::to_vec(entry).unwrap_or_default();
    format!("{:016x}", sipprot_common::hash::bytes(0, &bytes))
}

pub fn entry_view(entry: ListEntry, geography: &Geography) -> Entry {
    Entry {
        version: version_of(&entry),
        ip: report::address(entry.network),
        geo_data: geography.country(entry.network.ip()).map(GeoData::from),
        note: entry.note,
        time: entry.added_at.as_second(),
        added_by: entry.added_by,
        list: entry.list,
        endpoint: entry.endpoint,
        scope: entry.scope,
        origin: match entry.origin {
            Origin::Manual => "manual",
            Origin::Import => "import",
            Origin::Escalation => "escalation",
            Origin::Feed => "feed",
            Origin::Fleet => "fleet",
        }
        .to_owned(),
        expires_at: entry.expires_at.map(|at| at.as_second()),
    }
}

pub fn block_view(record: &BlockRecord) -> BlockView {
    BlockView {
        source: report::address(record.source),
        kind: record.kind,
        port: record.port,
        endpoint: record.endpoint.clone(),
        victim: record.victim,
        scope: record.scope,
        also: record.also.clone(),
        rule: record.rule.clone(),
        reason: told_reason(record),
        proven: record.proven,
        started_at: record.started_at.as_second(),
        expires_at: record.expires_at.as_second(),
        duration_s: record.duration_s,
        renewals: record.renewals,
        reaction_us: record.reaction_us,
        user_agent: record.user_agent.clone(),
        account: record.account.clone(),
        country: record.country.clone(),
        country_name: record.country.as_deref().and_then(country_name),
        evidence: record.evidence.as_ref().map(why::evidence_view),
        escalated: record.escalated,
        lifted_by: record.lifted.as_ref().map(|lifted| lifted.by.clone()),
        lifted_at: record.lifted.as_ref().map(|lifted| lifted.at.as_second()),
        refused: record.refused,
    }
}

fn told_reason(record: &BlockRecord) -> String {
    let refused = if record.refused { "; NOT IN FORCE: the kernel did not take it" } else { "" };
    format!("{}{refused}", record.reason)
}
