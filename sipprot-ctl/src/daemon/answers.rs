//! Commands in, answers out. What takes long is read on another thread, and what changes something
//! is answered once it lasts.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tracing::error;

use super::alerts::alert_view;
use super::core::Core;
use super::geography::Geography;
use super::why;
use crate::api::{
    Answer, BlockView, BlocksAnswer, Call, Command, Done, Entries, EntriesQuery, Entry, Fault,
    GeoData, TrustAnswer, TrustView, country_name,
};
use crate::cli::version;
use crate::report;
use crate::store::{BlockKind, BlockRecord, List, ListEntry, Origin, Store, StoreError};

/// Entries in one answer; callers ask for the next page.
pub const PAGE_MAX: u64 = 10_000;

pub(super) type Reply = oneshot::Sender<Result<Answer, Fault>>;

/// An answer that is there, or one that something has to be waited for.
pub enum Outcome {
    Now(Result<Answer, Fault>),
    /// Done, and to be told once it is stored.
    Stored(oneshot::Receiver<Result<(), Fault>>, Done),
}

impl Core {
    pub(super) fn answer(&mut self, call: Call) {
        let Call { command, reply, .. } = call;
        let outcome = match command {
            Command::Entries { list, query } => return self.entries(list, query, reply),
            Command::Why { address } => return self.why(address, reply),
            Command::Report { date } => return self.report(date, reply),
            Command::GeoPreview(change) => return self.preview_geo(change, reply),
            Command::Version => Outcome::Now(Ok(Answer::Version(version()))),
            Command::Status => Outcome::Now(Ok(Answer::Status(Box::new(self.status())))),
            Command::Metrics => Outcome::Now(self.metrics_text()),
            Command::Blocks { kind } => Outcome::Now(Ok(Answer::Blocks(self.blocks(kind)))),
            Command::Trust => Outcome::Now(Ok(Answer::Trust(self.trust_answer()))),
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
            Command::EditEntry { list, edit } => self.edit_entry(list, edit),
            Command::RemoveEntry { list, network, by, consent } => {
                self.remove_entry(list, network, &by, consent)
            }
            Command::Confirm { cancel, by } => self.confirm(cancel, &by),
            Command::Block(block) => self.block_by_hand(block),
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
            Command::Blocklists => Outcome::Now(Ok(Answer::Blocklists(self.blocklists_answer()))),
            Command::Peers => Outcome::Now(Ok(Answer::Peers(self.peers_answer()))),
            Command::AddPeer(peer) => self.add_peer(peer),
            Command::RemovePeer { network, by } => self.remove_peer(network, &by),
            Command::Ingest { log, token, text } => Outcome::Now(self.ingest(&log, &token, &text)),
            it @ (Command::Users
            | Command::AddUser(_)
            | Command::EditUser { .. }
            | Command::RemoveUser { .. }
            | Command::Tokens
            | Command::AddToken(_)
            | Command::RevokeToken { .. }) => return self.access(it, reply),
            Command::Reload { consent } => Outcome::Now(self.reload(consent).map(Answer::Done)),
        };
        match outcome {
            Outcome::Now(answer) => {
                let _ = reply.send(answer);
            }
            Outcome::Stored(stored, done) => {
                tokio::spawn(async move {
                    let answer = match stored.await {
                        Ok(Ok(())) => Ok(Answer::Done(done)),
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

    fn entries(&self, list: List, query: EntriesQuery, reply: Reply) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        let geography = self.geography.clone();
        let now = self.clock.timestamp_now();
        tokio::task::spawn_blocking(move || {
            let live = store.list(list).filter(|entry| {
                !entry.as_ref().is_ok_and(|it| it.expires_at.is_some_and(|at| at <= now))
            });
            let _ = reply.send(page(live, &query, &geography).map_err(|error| internal(&error)));
        });
    }

    fn report(&mut self, date: Option<Date>, reply: Reply) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        let today = self.clock.timestamp_now().to_zoned(TimeZone::UTC).date();
        let date = date.unwrap_or(today);
        self.write_renewals();
        self.write_attacks();
        let written = self.journal.write_for_good(Vec::new());
        tokio::spawn(async move {
            let _ = written.await;
            let made = tokio::task::spawn_blocking(move || make_report(&store, date)).await;
            let answer = match made {
                Ok(Ok(report)) => Ok(Answer::Report(report)),
                Ok(Err(error)) => Err(internal(&error)),
                Err(_) => Err(Fault::internal()),
            };
            let _ = reply.send(answer);
        });
    }

    fn blocks(&self, kind: Option<BlockKind>) -> BlocksAnswer {
        let now = self.clock.timestamp_now();
        let wanted =
            |it: &&BlockRecord| kind.is_none_or(|kind| it.kind == kind) && now < it.expires_at;
        let mut blocks: Vec<BlockView> =
            self.ledger.blocks().filter(wanted).map(block_view).collect();
        blocks
            .sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| a.source.cmp(&b.source)));
        BlocksAnswer { blocks }
    }

    fn trust_answer(&self) -> TrustAnswer {
        let state = self.engine.state();
        let now = self.clock.time_now();
        let mut trust: Vec<TrustView> = state
            .trust
            .into_iter()
            .map(|peer| TrustView {
                source: report::address(Self::network_of(peer.source)),
                kind: why::trust_kind(peer.kind).to_owned(),
                accounts: peer.accounts.iter().map(|it| it.account.to_string()).collect(),
                since: seconds(peer.since),
                last_seen: seconds(peer.last),
                peak: peer.peak.rate(now),
                ceiling: self.engine.ceiling(peer.source, now),
                country: self.country_code(peer.source_ip),
            })
            .collect();
        trust.sort_by(|a, b| a.source.cmp(&b.source));
        TrustAnswer { trust, peers: self.peer_views() }
    }
}

pub fn seconds(time: crate::rules::Time) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn no_store(reply: Reply) {
    let _ = reply.send(Err(Fault::unavailable("the store can't be used: see the daemon's log")));
}

pub fn internal(error: &StoreError) -> Fault {
    error!("store: {error}");
    Fault::internal()
}

fn page(
    entries: impl Iterator<Item = Result<ListEntry, StoreError>>,
    query: &EntriesQuery,
    geography: &Geography,
) -> Result<Answer, StoreError> {
    let offset = query.offset.unwrap_or(0);
    let limit = query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let search = query.search.as_deref().map(str::to_lowercase);
    let mut answer = Entries { entries: Vec::new(), total: 0 };
    for entry in entries {
        let entry = entry?;
        let country = geography.country(entry.network.ip());
        let in_country = query.country.as_ref().is_none_or(|wanted| {
            country.is_some_and(|country| country.code().eq_ignore_ascii_case(wanted))
        });
        if !in_country || !search.as_deref().is_none_or(|search| matches(&entry, search)) {
            continue;
        }
        if answer.total >= offset && (answer.entries.len() as u64) < limit {
            answer.entries.push(entry_view(entry, geography));
        }
        answer.total += 1;
    }
    Ok(Answer::Entries(answer))
}

/// Part of address, note or author; or an address that the entry covers.
fn matches(entry: &ListEntry, search: &str) -> bool {
    let covered = search.parse::<IpAddr>().is_ok_and(|address| entry.network.contains(address));
    covered
        || report::address(entry.network).contains(search)
        || entry.note.to_lowercase().contains(search)
        || entry.added_by.to_lowercase().contains(search)
}

pub fn entry_view(entry: ListEntry, geography: &Geography) -> Entry {
    Entry {
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

fn make_report(store: &Arc<Store>, date: Date) -> Result<crate::api::Report, StoreError> {
    let start = midnight(date);
    let end = date.tomorrow().map_or(jiff::Timestamp::MAX, midnight);
    let blocks = store.history(start..end).collect::<Result<Vec<_>, _>>()?;
    let attacks = store.attacks(date..=date).collect::<Result<Vec<_>, _>>()?;
    let alerts = store
        .alerts(start..end)
        .map(|alert| alert.map(|alert| alert_view(&alert)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(report::daily(host_name(), date, blocks, attacks, alerts))
}

fn midnight(date: Date) -> jiff::Timestamp {
    date.to_zoned(TimeZone::UTC).map_or(jiff::Timestamp::MAX, |zoned| zoned.timestamp())
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
