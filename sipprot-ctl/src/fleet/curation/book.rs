//! The hub's book: sources, hosts, protected networks; what a message makes of it, and what of that
//! must be kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ipnetwork::IpNetwork;

use super::guard::Guard;
use super::record::{Evidence, Judged, Refused, Reporter, Shielded, Source, State, Text};
use crate::fleet::list::SKEW_S;
use crate::fleet::message::{Grade, Health, ListChange, Listed, Report, Reports};
use crate::fleet::refusal::Refusal;
use crate::fleet::rules::{Rules, Spread};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// What nobody judged is forgotten after this, what somebody did later.
const PENDING_FOR_S: i64 = 30 * DAY_S;
const JUDGED_FOR_S: i64 = 90 * DAY_S;
/// Reports of longer ago prove nothing any more.
const OLD_S: i64 = 7 * DAY_S;
/// Sources that are known at once, and of one host that nobody else reported.
const SOURCES_MAX: usize = 2_000_000;
/// Hosts whose word on one source is kept.
const EVIDENCE_MAX: usize = 256;
const REFUSED_SHOWN: usize = 200;
/// An end that moves by less than a tenth is not told again.
const RENEWAL_PART: u32 = 10;

/// Everything that the hub knows.
pub struct Book {
    pub sources: BTreeMap<IpNetwork, Source>,
    pub hosts: BTreeMap<String, Reporter>,
    pub protected: BTreeMap<IpNetwork, Shielded>,
    /// Of hosts that nobody knows.
    pub strangers: BTreeMap<Refusal, u64>,
    pub refused: VecDeque<Refused>,
    pub recalled: u64,
    pub(super) rules: Rules,
    /// The hub's own addresses and its operators'.
    pub(super) own: Vec<IpNetwork>,
    pub(super) guard: Guard,
    texts: BTreeSet<Text>,
    /// Hosts that have a voice: each report asks, and there may be thousands.
    members: u64,
}

/// What a message or a decision did.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Done {
    /// Of the blocklist.
    pub list: Vec<ListChange>,
    /// What must be written.
    pub kept: BTreeSet<Kept>,
}

/// A row of the database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kept {
    Source(IpNetwork),
    Host(String),
    Protected(IpNetwork),
}

impl Default for Book {
    fn default() -> Self {
        Self {
            sources: BTreeMap::new(),
            hosts: BTreeMap::new(),
            protected: BTreeMap::new(),
            strangers: BTreeMap::new(),
            refused: VecDeque::new(),
            recalled: 0,
            rules: Rules::default(),
            own: Vec::new(),
            guard: Guard::new(std::iter::empty(), std::iter::empty()),
            texts: BTreeSet::new(),
            members: 0,
        }
    }
}

impl Book {
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// From now on these hold.
    pub fn follow(&mut self, rules: Rules, own: Vec<IpNetwork>) {
        (self.rules, self.own) = (rules, own);
        self.renew_guard();
    }

    pub(super) fn renew_guard(&mut self) {
        let protected = self.rules.protected.iter().chain(self.protected.keys()).copied();
        let told = self.hosts.values().filter(|it| !it.revoked);
        let told = told.flat_map(|it| it.health.spare.iter());
        self.guard = Guard::new(protected, told.chain(&self.own).copied());
    }

    /// Who belongs to the fleet. A host that doesn't any more keeps its past, but has no voice.
    pub fn enrol(&mut self, names: &BTreeSet<String>) -> BTreeSet<Kept> {
        let mut kept = BTreeSet::new();
        for name in names {
            let host = self.hosts.entry(name.clone()).or_insert_with(|| {
                kept.insert(Kept::Host(name.clone()));
                Reporter::default()
            });
            if std::mem::take(&mut host.revoked) {
                kept.insert(Kept::Host(name.clone()));
            }
        }
        for (name, host) in &mut self.hosts {
            if !names.contains(name) && !host.revoked {
                host.revoked = true;
                kept.insert(Kept::Host(name.clone()));
            }
        }
        self.members = self.hosts.values().filter(|it| !it.revoked).count() as u64;
        self.renew_guard();
        kept
    }

    /// A message, or a part of one, that is not taken.
    pub fn refuse(&mut self, host: &str, why: Refusal, network: Option<IpNetwork>, now: i64) {
        let counts = match self.hosts.get_mut(host) {
            Some(reporter) => &mut reporter.refused,
            None => &mut self.strangers,
        };
        *counts.entry(why).or_default() += 1;
        self.refused.truncate(REFUSED_SHOWN - 1);
        self.refused.push_front(Refused { at: now, host: host.to_owned(), why, network });
    }

    /// What a host reports. Whose it is was verified; it says so itself, too.
    pub fn take(&mut self, host: &str, message: Reports, now: i64) -> Done {
        let mut done = Done::default();
        if let Err(why) = self.admit(host, &message, now) {
            self.refuse(host, why, None, now);
            return done;
        }
        done.kept.insert(Kept::Host(host.to_owned()));
        for report in message.reports {
            match self.fits(host, &report, now) {
                Ok(()) => self.note(host, report, now, &mut done),
                Err(why) => self.refuse(host, why, Some(report.source), now),
            }
        }
        done
    }

    fn admit(&mut self, host: &str, message: &Reports, now: i64) -> Result<(), Refusal> {
        let reporter = self.hosts.get_mut(host).filter(|it| !it.revoked);
        let reporter = reporter.ok_or(Refusal::Revoked)?;
        if message.host != host {
            return Err(Refusal::OtherHost);
        }
        if message.sequence <= reporter.sequence {
            return Err(Refusal::Replayed);
        }
        if message.sent_at > now + SKEW_S {
            return Err(Refusal::Future);
        }
        reporter.sequence = message.sequence;
        Ok(())
    }

    fn fits(&mut self, host: &str, report: &Report, now: i64) -> Result<(), Refusal> {
        let most = self.rules.reports_per_hour;
        let reporter = self.hosts.get_mut(host).ok_or(Refusal::Revoked)?;
        if reporter.hour != now / HOUR_S {
            (reporter.hour, reporter.in_hour) = (now / HOUR_S, 0);
        }
        if reporter.in_hour >= most {
            return Err(Refusal::TooMany);
        }
        // What is refused counts, too: else trying costs nothing.
        reporter.in_hour += 1;
        if let Some(why) = self.guard.refuses_report(report.source) {
            return Err(why);
        }
        if report.first > report.last || report.first < 0 {
            return Err(Refusal::Malformed);
        }
        if report.last > now + SKEW_S {
            return Err(Refusal::Future);
        }
        if report.last < now - OLD_S {
            return Err(Refusal::Old);
        }
        let is_full = self.sources.len() >= SOURCES_MAX;
        if is_full && !self.sources.contains_key(&report.source) {
            return Err(Refusal::TooMany);
        }
        reporter.reports += 1;
        Ok(())
    }

    fn note(&mut self, host: &str, report: Report, now: i64, done: &mut Done) {
        let network = report.source;
        let rule = self.text(&report.rule);
        let [user_agent, country, endpoint, account] =
            [&report.user_agent, &report.country, &report.endpoint, &report.account]
                .map(|text| text.as_ref().map(|text| self.text(text)));
        let host = self.text(host);
        let source = self.sources.entry(network).or_insert_with(|| Source::new(rule.clone()));
        // What is only suspected must not take the place of what was proven.
        if report.grade == Grade::Proven || source.proven().next().is_none() {
            source.rule = rule;
        }
        source.user_agent = user_agent.or(source.user_agent.take());
        source.country = country.or(source.country.take());
        source.endpoint = endpoint.or(source.endpoint.take());
        source.account = account.or(source.account.take());
        let (first, last) = (second(report.first), second(report.last));
        let room = source.evidence.len() < EVIDENCE_MAX;
        match source.evidence.iter_mut().find(|it| it.host == host) {
            Some(known) => {
                known.grade = known.grade.max(report.grade);
                known.count = known.count.saturating_add(report.count);
                known.first = known.first.min(first);
                known.last = known.last.max(last);
            }
            None if room => {
                let (grade, count) = (report.grade, report.count);
                source.evidence.push(Evidence { host, grade, count, first, last });
            }
            None => {}
        }
        done.kept.insert(Kept::Source(network));
        if report.grade == Grade::Proven {
            self.weigh(network, now, done);
        }
    }

    /// After a report that proves something: renewed if it is listed, listed if so many agree.
    fn weigh(&mut self, network: IpNetwork, now: i64, done: &mut Done) {
        let expires = i64::try_from(self.rules.expires.as_secs()).unwrap_or(DAY_S);
        let has_quorum = self.rules.spread == Spread::Quorum && self.has_quorum(network, now);
        let Some(source) = self.sources.get_mut(&network) else { return };
        let until = second(i64::from(source.last()) + expires);
        if source.is_listed(now) {
            let part = second(expires) / RENEWAL_PART;
            if until < source.until.saturating_add(part) {
                return;
            }
            source.until = until;
        } else {
            // What somebody rejected or recalled needs somebody to come back.
            let is_open = matches!(source.state, State::Pending | State::Listed);
            if !is_open || !has_quorum || i64::from(until) <= now {
                return;
            }
            let by = "quorum".into();
            source.state = State::Listed;
            source.until = until;
            source.judged = Some(Judged { at: second(now), by, note: String::new() });
        }
        done.list.push(ListChange::Put(source.listed(network)));
    }

    /// Enough hosts that still belong to the fleet proved it within the window, each counted once.
    pub fn has_quorum(&self, network: IpNetwork, now: i64) -> bool {
        let Some(source) = self.sources.get(&network) else { return false };
        let window = i64::try_from(self.rules.window.as_secs()).unwrap_or(DAY_S);
        let is_member = |host: &str| self.hosts.get(host).is_some_and(|it| !it.revoked);
        let needed = u64::from(self.rules.quorum).min(self.members.max(1));
        let said = source.proven().filter(|it| i64::from(it.last) >= now - window);
        let said = said.filter(|it| is_member(&it.host));
        let weights = said.map(|it| u64::from(self.rules.weight(&it.host)));
        weights.sum::<u64>() >= needed
    }

    /// How a host fares; true where it wants others spared than before, which must be kept.
    pub fn hear(&mut self, host: &str, health: Health, now: i64) -> bool {
        let why = match self.hosts.get(host).filter(|it| !it.revoked) {
            None => Some(Refusal::Revoked),
            Some(_) if health.host != host => Some(Refusal::OtherHost),
            Some(_) if health.sent_at > now + SKEW_S => Some(Refusal::Future),
            Some(it) if health.sent_at < it.health.sent_at => Some(Refusal::Replayed),
            Some(_) => None,
        };
        if let Some(why) = why {
            self.refuse(host, why, None, now);
            return false;
        }
        let Some(reporter) = self.hosts.get_mut(host) else { return false };
        let is_other = reporter.health.spare != health.spare;
        (reporter.health, reporter.heard_at) = (health, now);
        if is_other {
            self.renew_guard();
        }
        is_other
    }

    /// What ended, and what nobody needs any more.
    pub fn tend(&mut self, now: i64) -> BTreeSet<Kept> {
        let mut kept = BTreeSet::new();
        self.sources.retain(|network, source| {
            let is_over = source.state == State::Listed && i64::from(source.until) <= now;
            if is_over {
                source.state = State::Pending;
                source.until = 0;
                kept.insert(Kept::Source(*network));
            }
            let judged = source.judged.as_ref().map_or(0, |it| it.at);
            let last = i64::from(source.last().max(judged));
            let keep_for = match source.state {
                State::Pending => PENDING_FOR_S,
                State::Listed => i64::MAX,
                State::Rejected | State::Recalled => JUDGED_FOR_S,
            };
            let is_old = now - last > keep_for;
            if is_old {
                kept.insert(Kept::Source(*network));
            }
            !is_old
        });
        kept
    }

    /// The list as it is now, in order.
    pub fn listed(&self, now: i64) -> impl Iterator<Item = Listed> {
        let listed = self.sources.iter().filter(move |(_, source)| source.is_listed(now));
        listed.map(|(network, source)| source.listed(*network))
    }

    /// The same text is kept once.
    pub(super) fn text(&mut self, text: &str) -> Text {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new = Text::from(text);
        if self.texts.len() < 65_536 {
            self.texts.insert(new.clone());
        }
        new
    }

    /// As the database had it.
    pub fn restore(&mut self, network: IpNetwork, mut source: Source) {
        source.rule = self.text(&source.rule);
        for evidence in &mut source.evidence {
            evidence.host = self.text(&evidence.host);
        }
        let texts = [&mut source.user_agent, &mut source.country, &mut source.endpoint];
        for text in texts.into_iter().flatten() {
            *text = self.text(text);
        }
        self.sources.insert(network, source);
    }
}

impl Source {
    pub(super) fn new(rule: Text) -> Self {
        Self {
            state: State::Pending,
            evidence: Vec::new(),
            rule,
            user_agent: None,
            country: None,
            endpoint: None,
            account: None,
            until: 0,
            judged: None,
        }
    }

    pub(super) fn listed(&self, network: IpNetwork) -> Listed {
        let hosts = u8::try_from(self.proven().count()).unwrap_or(u8::MAX);
        let since = self.judged.as_ref().map_or(0, |it| it.at);
        Listed { network, since, until: self.until, rule: self.rule.to_string(), hosts }
    }
}

/// Unix seconds as they are kept.
pub(super) fn second(at: i64) -> u32 {
    u32::try_from(at.max(0)).unwrap_or(u32::MAX)
}
