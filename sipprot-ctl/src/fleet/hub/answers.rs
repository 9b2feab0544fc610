//! The hub's API: the same routes and doors as the daemon's, answered where they concern a hub.

use std::time::Duration;

use ipnetwork::IpNetwork;
use tracing::info;

use super::{Hub, now};
use crate::api::{
    Answer, Call, Command, Done as Told, Fault, FleetAnswer, FleetDecision, FleetJudge,
    FleetJudged, FleetProtect, Judgement, TEXT_MAX,
};
use crate::cli::version;
use crate::fleet::curation::{Done, Source, State};
use crate::fleet::list::EXPIRY_MAX_S;
use crate::fleet::message::ListChange;
use crate::message::clean;
use crate::report::address;

/// Sources that one decision may name.
const SOURCES_MAX: usize = 1000;

/// What a decision did, a line about it, and its record.
type Judged = Result<(Done, String, FleetDecision), Fault>;

impl Hub {
    pub(super) fn answer(&mut self, call: Call) -> anyhow::Result<()> {
        let Call { command, reply, .. } = call;
        let answer = match command {
            Command::Version => Ok(Answer::Version(version())),
            Command::Fleet | Command::FleetHub => Ok(Answer::Fleet(Box::new(self.fleet()))),
            Command::FleetHosts => {
                let hosts = self.book.hosts_answer(self.records.revision(), now());
                Ok(Answer::FleetHosts(hosts))
            }
            Command::FleetSources { query } => {
                let country = |network: IpNetwork| {
                    self.geo.country(network.ip()).map(|it| it.code().to_owned())
                };
                let owner = |network: IpNetwork| self.owners.owner(network.ip());
                Ok(Answer::FleetSources(self.book.sources_answer(&query, country, owner)))
            }
            Command::FleetLog { query } => Ok(Answer::FleetLog(self.records.log(&query)?)),
            Command::FleetJudge(judge) => {
                let judged = self.judge(&judge);
                self.carry_out(judged)?
            }
            Command::FleetProtect(protect) => {
                let judged = self.protect(&protect);
                self.carry_out(judged)?
            }
            Command::Rehearse(_) => Err(Fault::invalid("dry-run", "the hub does not rehearse")),
            _ => Err(Fault::not_found("this is a fleet's hub: it protects no host")),
        };
        let _ = reply.send(answer);
        Ok(())
    }

    /// Answered once it is on the disk.
    fn carry_out(&mut self, judged: Judged) -> anyhow::Result<Result<Answer, Fault>> {
        match judged {
            Ok((done, message, decision)) => {
                info!("{message}");
                self.records.decided(decision);
                self.keep_and_publish(done)?;
                Ok(Ok(Answer::Done(Told::new(message))))
            }
            Err(fault) => Ok(Err(fault)),
        }
    }

    fn fleet(&self) -> FleetAnswer {
        FleetAnswer {
            connected: self.connected,
            generation: self.records.generation(),
            revision: self.records.revision(),
            problem: self.problem.clone(),
            ..self.book.answer(now())
        }
    }

    /// All of them, or none where one can't be.
    fn judge(&mut self, judge: &FleetJudge) -> Judged {
        let (by, note) = (text("by", &judge.by)?, text("note", &judge.note)?);
        if judge.sources.is_empty() || judge.sources.len() > SOURCES_MAX {
            let message = format!("expected from 1 to {SOURCES_MAX} sources");
            return Err(Fault::invalid("sources", message));
        }
        let lasts = judge.expires_in_s.map(Duration::from_secs);
        let longest = Duration::from_secs(EXPIRY_MAX_S.unsigned_abs());
        if lasts.is_some_and(|it| it.is_zero() || it > longest) {
            return Err(Fault::invalid("expires_in_s", "expected from 1 second to 400 days"));
        }
        let now = now();
        let mut all = Done::default();
        let mut before = Vec::new();
        for network in &judge.sources {
            let network = crate::daemon::plain(*network);
            before.push((network, self.book.sources.get(&network).cloned()));
            let who = (by.as_str(), note.as_str());
            let done = match judge.judgement {
                Judgement::Approve => self.book.approve(network, who, lasts, now),
                Judgement::Reject => self.book.reject(network, who, now),
                Judgement::Recall => self.book.recall(network, who, now),
            };
            match done {
                Ok(done) => {
                    all.list.extend(done.list);
                    all.kept.extend(done.kept);
                }
                Err(objection) => {
                    for (network, source) in before.into_iter().rev() {
                        match source {
                            Some(source) => drop(self.book.sources.insert(network, source)),
                            None => drop(self.book.sources.remove(&network)),
                        }
                    }
                    return Err(objection.into());
                }
            }
        }
        let names: Vec<String> = judge.sources.iter().copied().map(address).collect();
        let verb = match judge.judgement {
            Judgement::Approve => "listed",
            Judgement::Reject => "rejected",
            Judgement::Recall => "recalled",
        };
        let message = format!("{} {verb} by {by}", names.join(", "));
        let became = |(network, source): (IpNetwork, Option<Source>)| FleetJudged {
            source: address(network),
            before: source.map(|it| it.state),
            after: self.book.sources.get(&network).map(|it| it.state),
        };
        let decision = FleetDecision {
            number: 0,
            at: now,
            by,
            what: judge.judgement.name().to_owned(),
            network: None,
            sources: before.into_iter().map(became).collect(),
            note,
        };
        Ok((all, message, decision))
    }

    fn protect(&mut self, protect: &FleetProtect) -> Judged {
        let (by, note) = (text("by", &protect.by)?, text("note", &protect.note)?);
        let network = crate::daemon::plain(protect.network);
        let name = address(network);
        let decision = |what: &str, sources: Vec<FleetJudged>| FleetDecision {
            number: 0,
            at: now(),
            by: by.clone(),
            what: what.to_owned(),
            network: Some(name.clone()),
            sources,
            note: note.clone(),
        };
        if protect.lift {
            let done = self.book.unprotect(network)?;
            let message = format!("{name} is protected no more, by {by}");
            return Ok((done, message, decision("unprotect", Vec::new())));
        }
        if network.prefix() == 0 {
            return Err(Fault::invalid("network", "that is every address there is"));
        }
        let done = self.book.protect(network, (&by, &note), now());
        let recalled = match done.list.len() {
            0 => String::new(),
            count => format!("; recalled: {count}"),
        };
        let became = done.list.iter().filter_map(|change| match change {
            ListChange::Remove(network) => Some(FleetJudged {
                source: address(*network),
                before: Some(State::Listed),
                after: Some(State::Recalled),
            }),
            ListChange::Put(_) => None,
        });
        let decision = decision("protect", became.collect());
        Ok((done, format!("{name} is protected by {by}{recalled}"), decision))
    }
}

fn text(field: &str, given: &str) -> Result<String, Fault> {
    if given.len() > TEXT_MAX {
        return Err(Fault::invalid(field, format!("longer than {TEXT_MAX} bytes")));
    }
    Ok(clean(given.as_bytes(), TEXT_MAX))
}
