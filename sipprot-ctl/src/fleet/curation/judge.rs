//! What the webmaster decides: approve, reject, recall, protect.

use std::time::Duration;

use ipnetwork::IpNetwork;

use super::book::{Book, Done, Kept, second};
use super::record::{Judged, Shielded, Source, State};
use crate::api::Fault;
use crate::fleet::message::ListChange;
use crate::fleet::refusal::Refusal;

/// Why a decision can't be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Objection {
    #[error("{0} is not known")]
    Unknown(IpNetwork),
    #[error("{0} can't be spread: {1}")]
    Refused(IpNetwork, Refusal),
    #[error("{0} is not listed")]
    NotListed(IpNetwork),
    #[error("{0} is not protected")]
    NotProtected(IpNetwork),
}

impl From<Objection> for Fault {
    fn from(objection: Objection) -> Self {
        let message = objection.to_string();
        match objection {
            Objection::Refused(..) => Fault::refused(message),
            Objection::Unknown(_) | Objection::NotListed(_) | Objection::NotProtected(_) => {
                Fault::not_found(message)
            }
        }
    }
}

impl Book {
    fn judged(&mut self, by: &str, note: &str, now: i64) -> Judged {
        Judged { at: second(now), by: self.text(by), note: note.to_owned() }
    }

    /// From now on all hosts drop it. A network, or a source that nobody reported, may be named, too.
    pub fn approve(
        &mut self,
        network: IpNetwork,
        (by, note): (&str, &str),
        lasts: Option<Duration>,
        now: i64,
    ) -> Result<Done, Objection> {
        if let Some(why) = self.guard.refuses(network) {
            return Err(Objection::Refused(network, why));
        }
        let judged = self.judged(by, note, now);
        let lasts = lasts.unwrap_or(self.rules.expires);
        let until = second(now.saturating_add(i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX)));
        let rule = self.text("MANUAL:webmaster");
        let source = self.sources.entry(network).or_insert_with(|| Source::new(rule));
        (source.state, source.until, source.judged) = (State::Listed, until, Some(judged));
        let put = ListChange::Put(source.listed(network));
        Ok(Done { list: vec![put], kept: [Kept::Source(network)].into() })
    }

    /// It does not come up again by itself.
    pub fn reject(
        &mut self,
        network: IpNetwork,
        (by, note): (&str, &str),
        now: i64,
    ) -> Result<Done, Objection> {
        let known = self.sources.get(&network).ok_or(Objection::Unknown(network))?;
        if known.is_listed(now) {
            return self.recall(network, (by, note), now);
        }
        let judged = self.judged(by, note, now);
        if let Some(source) = self.sources.get_mut(&network) {
            (source.state, source.judged) = (State::Rejected, Some(judged));
        }
        Ok(Done { list: Vec::new(), kept: [Kept::Source(network)].into() })
    }

    /// All hosts let it in again.
    pub fn recall(
        &mut self,
        network: IpNetwork,
        (by, note): (&str, &str),
        now: i64,
    ) -> Result<Done, Objection> {
        let judged = self.judged(by, note, now);
        let source = self.sources.get_mut(&network).filter(|it| it.is_listed(now));
        let source = source.ok_or(Objection::NotListed(network))?;
        (source.state, source.until, source.judged) = (State::Recalled, 0, Some(judged));
        self.recalled += 1;
        let list = vec![ListChange::Remove(network)];
        Ok(Done { list, kept: [Kept::Source(network)].into() })
    }

    /// Nothing of it is spread any more; what is listed is recalled.
    pub fn protect(&mut self, network: IpNetwork, (by, note): (&str, &str), now: i64) -> Done {
        let judged = self.judged(by, note, now);
        self.protected.insert(network, Shielded { judged });
        self.renew_guard();
        let mut done = Done { list: Vec::new(), kept: [Kept::Protected(network)].into() };
        let overlaps = |it: &IpNetwork| it.contains(network.ip()) || network.contains(it.ip());
        let listed = self.sources.iter().filter(|(_, source)| source.is_listed(now));
        let listed: Vec<IpNetwork> = listed.map(|(it, _)| *it).filter(|it| overlaps(it)).collect();
        for other in listed {
            if let Ok(recalled) = self.recall(other, (by, "protected"), now) {
                done.list.extend(recalled.list);
                done.kept.extend(recalled.kept);
            }
        }
        done
    }

    pub fn unprotect(&mut self, network: IpNetwork) -> Result<Done, Objection> {
        self.protected.remove(&network).ok_or(Objection::NotProtected(network))?;
        self.renew_guard();
        Ok(Done { list: Vec::new(), kept: [Kept::Protected(network)].into() })
    }
}
