//! What one source did lately: its windows, and the last failures as evidence.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use sipprot_common::source::{Address, SourceKey};

use super::account::Account;
use super::decision::{Evidence, Sighting};
use super::observation::{EndpointId, LogLine, Method, Speaker};
use super::proof::Proof;
use super::rule::Signal;
use super::table::Warmth;
use super::time::Time;
use super::window::Windows;

/// Failures kept as evidence: of who proved a round trip, and of anybody.
const NOTES_PROVEN_MAX: usize = 64;
const NOTES_MAX: usize = 16;
/// What the windows of one source may take.
const WINDOWS_BYTES_MAX: usize = 32 << 10;
/// Accounts named in evidence.
const ACCOUNTS_NAMED_MAX: usize = 8;

/// Something that may count against its source.
#[derive(Clone, Debug)]
pub struct Failure {
    pub at: Time,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub endpoint: EndpointId,
    pub method: Option<Method>,
    pub status: Option<u16>,
    pub account: Option<Account>,
    pub user_agent: Option<Arc<str>>,
    pub proof: Proof,
    pub count: u32,
    pub signals: &'static [Signal],
    /// None where the wire showed it.
    pub line: Option<Arc<LogLine>>,
}

impl Failure {
    /// Whose word it is; None is the wire's.
    pub fn speaker(&self) -> Option<Speaker> {
        self.line.as_ref().map(|line| line.speaker)
    }

    pub fn key(&self) -> SourceKey {
        SourceKey::from(self.source.ip())
    }

    pub fn address(&self) -> Address {
        Address::from(self.source.ip())
    }

    pub fn signals(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }

    pub fn sighting(&self) -> Sighting {
        Sighting {
            at: self.at,
            port: self.source.port(),
            method: self.method,
            status: self.status,
            account: self.account.clone(),
            user_agent: self.user_agent.as_deref().map(str::to_owned),
            proof: self.proof,
            line: self.line.as_ref().map(|line| line.text.as_str().into()),
        }
    }
}

#[derive(Default)]
pub struct Source {
    pub windows: Windows,
    notes: VecDeque<Failure>,
    last: Time,
    last_proven: Option<Time>,
}

impl Source {
    pub fn note(&mut self, failure: Failure) {
        self.last = self.last.max(failure.at);
        // What a tenant says must not wash out what others proved.
        if failure.proof.is_proven() && matches!(failure.speaker(), None | Some(Speaker::Host)) {
            self.last_proven = Some(failure.at);
        }
        let most = if self.last_proven.is_some() { NOTES_PROVEN_MAX } else { NOTES_MAX };
        if self.notes.len() >= most {
            self.notes.pop_front();
        }
        if self.notes.len() == self.notes.capacity() {
            // Sources that are seen once are most of them: they pay for one.
            self.notes.reserve_exact(self.notes.len().max(1));
        }
        self.notes.push_back(failure);
        self.windows.fit(WINDOWS_BYTES_MAX);
    }

    /// The last failures, the newest first.
    pub fn notes(&self) -> impl Iterator<Item = &Failure> {
        self.notes.iter().rev()
    }

    /// What there is as evidence among the notes that `counts`.
    pub fn evidence(&self, counts: impl Fn(&Failure) -> bool) -> Option<Evidence> {
        let mut notes = self.notes().filter(|note| counts(note));
        let last = notes.next()?;
        let mut evidence = Evidence::of(last.sighting(), last.count);
        let mut oldest = last;
        for note in notes {
            if note.at <= oldest.at {
                oldest = note;
            }
            evidence.count = evidence.count.saturating_add(note.count);
            if let Some(account) = &note.account
                && evidence.accounts.len() < ACCOUNTS_NAMED_MAX
                && !evidence.accounts.contains(account)
            {
                evidence.accounts.push(account.clone());
            }
        }
        evidence.first = oldest.at;
        evidence.opening = oldest.sighting();
        Some(evidence)
    }
}

impl Warmth for Source {
    /// Forged floods prove nothing, so they never wash out who did.
    fn warmth(&self) -> (u8, Time) {
        match self.last_proven {
            Some(at) => (1, at),
            None => (0, self.last),
        }
    }

    fn heap(&self) -> usize {
        let lines = self.notes.iter().filter_map(|note| note.line.as_ref());
        let lines: usize = lines.map(|line| line.text.len() + size_of::<LogLine>()).sum();
        self.windows.heap() + self.notes.capacity() * size_of::<Failure>() + lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_names_the_first_and_the_last_that_counted() {
        let mut source = Source::default();
        for second in 1..=100u64 {
            source.note(Failure {
                at: Time::from_secs(second),
                source: SocketAddr::from(([203, 0, 113, 7], 5000 + second as u16)),
                destination: SocketAddr::from(([192, 0, 2, 11], 5060)),
                endpoint: EndpointId(1),
                method: Some(Method::Register),
                status: Some(401),
                account: Some(Account::from("100@pbx")),
                user_agent: None,
                proof: Proof::Nonce,
                count: 1,
                signals: &[],
                line: None,
            });
        }
        let check = |from: u64, to: u64, first: u64, last: u64| {
            let counts = |note: &Failure| (from..=to).contains(&note.at.as_secs());
            let evidence = source.evidence(counts).unwrap();
            let ports = (evidence.opening.port, evidence.closing.port);
            assert_eq!(ports, (5000 + first as u16, 5000 + last as u16), "{from}-{to}");
            assert_eq!(evidence.first, Time::from_secs(first));
            assert_eq!((evidence.opening.at, evidence.closing.at), (evidence.first, evidence.last));
        };
        check(60, 70, 60, 70);
        check(100, 100, 100, 100);
        check(1, 100, 37, 100);
        assert!(source.evidence(|_| false).is_none());
    }
}
