//! The book as people are shown it.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::IpNetwork;

use super::book::Book;
use super::record::{Reporter, Source, State, Text};
use crate::api::{
    FleetAccount, FleetAnswer, FleetEvidence, FleetHost, FleetHosts, FleetNetwork, FleetQuery,
    FleetSource, FleetSources, RefusedView,
};
use crate::fleet::list::widest;
use crate::report::address;

const ROWS: u64 = 100;
const ROWS_MAX: u64 = 10_000;
/// Networks and accounts that are proposed at once.
const PROPOSED_MAX: usize = 100;
/// Sources that make an account one that is attacked by many.
const ACCOUNT_SOURCES: usize = 3;

impl Book {
    pub fn answer(&self, now: i64) -> FleetAnswer {
        let mut sources = BTreeMap::new();
        for source in self.sources.values() {
            *sources.entry(source.state.to_string()).or_default() += 1;
        }
        let mut refused = self.strangers.clone();
        for (why, count) in self.hosts.values().flat_map(|it| &it.refused) {
            *refused.entry(*why).or_default() += count;
        }
        let silent = self.hosts.iter().filter(|(_, it)| !it.revoked && self.is_silent(it, now));
        let protected = self.rules.protected.iter().chain(self.protected.keys());
        let last_refused = self.refused.iter().map(|it| RefusedView {
            at: it.at,
            host: it.host.clone(),
            why: it.why,
            source: it.network.map(address),
        });
        FleetAnswer {
            role: "hub".to_owned(),
            hub: true,
            entries: self.listed(now).count() as u64,
            spread: Some(self.rules.spread.to_string()),
            sources,
            hosts: self.hosts.values().filter(|it| !it.revoked).count() as u64,
            silent: silent.map(|(name, _)| name.clone()).collect(),
            protected: protected.copied().collect(),
            refused,
            last_refused: last_refused.collect(),
            ..FleetAnswer::default()
        }
    }

    fn is_silent(&self, host: &Reporter, now: i64) -> bool {
        now - host.heard_at > i64::try_from(self.rules.silent_after.as_secs()).unwrap_or(i64::MAX)
    }

    pub fn hosts_answer(&self, revision: u64, now: i64) -> FleetHosts {
        let view = |(name, host): (&String, &Reporter)| {
            let told = &host.health;
            let health = match host {
                it if it.revoked => "revoked",
                it if it.heard_at == 0 => "unheard",
                it if self.is_silent(it, now) => "silent",
                it if !it.health.protected => "unprotected",
                _ => "protected",
            };
            FleetHost {
                name: name.clone(),
                health: health.to_owned(),
                problems: told.problems.clone(),
                version: told.version.clone(),
                mode: told.mode.clone(),
                interfaces: told.interfaces.clone(),
                attacks: told.attacks,
                lag_seconds: told.lag_seconds,
                fullest_map: told.fullest.as_ref().map(|(map, _)| map.clone()),
                fullest_percent: told.fullest.as_ref().map(|(_, percent)| *percent),
                revision: told.revision,
                behind: revision.saturating_sub(told.revision),
                entries: told.entries,
                spared: told.spared,
                reports: host.reports,
                waiting: told.waiting,
                refused: host.refused.clone(),
                heard_at: (host.heard_at > 0).then_some(host.heard_at),
                spare: told.spare.clone(),
            }
        };
        FleetHosts { hosts: self.hosts.iter().map(view).collect() }
    }

    /// Countries as the hub's database has them, or else as a host said.
    pub fn sources_answer(
        &self,
        query: &FleetQuery,
        country: impl Fn(IpNetwork) -> Option<String>,
        owner: impl Fn(IpNetwork) -> Option<String>,
    ) -> FleetSources {
        let wanted = |(network, source): &(&IpNetwork, &Source)| {
            query.state.is_none_or(|state| state == source.state)
                && (query.unproven
                    || source.state != State::Pending
                    || source.proven().next().is_some())
                && query.covers.is_none_or(|it| {
                    it.contains(network.network()) || network.contains(it.network())
                })
        };
        let mut rows: Vec<_> = self.sources.iter().filter(wanted).collect();
        // Those that most hosts saw come first, then the newest.
        let rank =
            |source: &Source| (source.proven().count(), source.evidence.len(), source.last());
        rows.sort_by_cached_key(|(network, source)| (std::cmp::Reverse(rank(source)), **network));
        let offset = usize::try_from(query.offset.unwrap_or(0)).unwrap_or(usize::MAX);
        let limit = usize::try_from(query.limit.unwrap_or(ROWS).min(ROWS_MAX)).unwrap_or(0);
        let total = rows.len() as u64;
        let view = |(network, source): (&IpNetwork, &Source)| {
            let mut view = source_view(*network, source);
            view.country = country(*network).or(view.country);
            view.owner = owner(*network);
            view
        };
        let sources = rows.into_iter().skip(offset).take(limit).map(view).collect();
        FleetSources { sources, total, networks: self.networks(), accounts: self.accounts() }
    }

    /// Several of one /24 or /48: proposed to whoever looks, unless the whole is listed or judged.
    pub fn networks(&self) -> Vec<FleetNetwork> {
        let mut counts: BTreeMap<IpNetwork, u64> = BTreeMap::new();
        for (network, source) in &self.sources {
            let Ok(wide) = IpNetwork::new(network.network(), widest(*network)) else { continue };
            let Ok(wide) = IpNetwork::new(wide.network(), wide.prefix()) else { continue };
            if wide != *network && source.proven().next().is_some() {
                *counts.entry(wide).or_default() += 1;
            }
        }
        let least = u64::from(self.rules.network_sources);
        counts.retain(|network, count| {
            *count >= least
                && !self.sources.contains_key(network)
                && self.guard.refuses(*network).is_none()
        });
        let mut all: Vec<_> = counts.into_iter().collect();
        all.sort_by_key(|(network, count)| (std::cmp::Reverse(*count), *network));
        all.truncate(PROPOSED_MAX);
        let view = |(network, sources)| FleetNetwork { network: address(network), sources };
        all.into_iter().map(view).collect()
    }

    /// One account, attacked from many sources.
    pub fn accounts(&self) -> Vec<FleetAccount> {
        let mut all: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
        for source in self.sources.values() {
            let Some(account) = &source.account else { continue };
            let (sources, hosts) = all.entry(account).or_default();
            *sources += 1;
            hosts.extend(source.evidence.iter().map(|it| &*it.host));
        }
        let mut many: Vec<FleetAccount> = all
            .into_iter()
            .filter(|(_, (sources, _))| *sources >= ACCOUNT_SOURCES)
            .map(|(account, (sources, hosts))| FleetAccount {
                account: account.to_owned(),
                sources: sources as u64,
                hosts: hosts.len() as u64,
            })
            .collect();
        many.sort_by_key(|it| std::cmp::Reverse(it.sources));
        many.truncate(PROPOSED_MAX);
        many
    }
}

fn source_view(network: IpNetwork, source: &Source) -> FleetSource {
    let text = |text: &Option<Text>| text.clone().map(String::from);
    let judged = source.judged.as_ref();
    FleetSource {
        source: address(network),
        state: source.state,
        rule: source.rule.to_string(),
        proven: source.proven().next().is_some(),
        hosts: source
            .evidence
            .iter()
            .map(|it| FleetEvidence {
                host: it.host.to_string(),
                grade: it.grade.to_string(),
                count: it.count,
                first: it.first.into(),
                last: it.last.into(),
            })
            .collect(),
        count: source.count(),
        first: source.first().into(),
        last: source.last().into(),
        user_agent: text(&source.user_agent),
        country: text(&source.country),
        owner: None,
        endpoint: text(&source.endpoint),
        account: text(&source.account),
        until: (source.until > 0).then_some(source.until.into()),
        judged_at: judged.map(|it| it.at.into()),
        judged_by: judged.map(|it| it.by.to_string()),
        note: judged.map(|it| it.note.clone()).filter(|note| !note.is_empty()),
    }
}
