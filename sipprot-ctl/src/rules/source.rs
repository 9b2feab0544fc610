//! What one source did lately: its windows, and the last failures as evidence.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use sipprot_common::source::{Address, SourceKey};

use super::account::Account;
use super::decision::Evidence;
use super::observation::{EndpointId, Method};
use super::proof::Proof;
use super::rule::Signal;
use super::table::Warmth;
use super::time::Time;
use super::window::Windows;

/// Failures kept as evidence.
const NOTES_MAX: usize = 64;
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
}

impl Failure {
    pub fn key(&self) -> SourceKey {
        SourceKey::from(self.source.ip())
    }

    pub fn address(&self) -> Address {
        Address::from(self.source.ip())
    }

    pub fn signals(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
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
        if failure.proof.is_proven() {
            self.last_proven = Some(failure.at);
        }
        if self.notes.len() >= NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(failure);
    }

    /// The last failures, the newest first.
    pub fn notes(&self) -> impl Iterator<Item = &Failure> {
        self.notes.iter().rev()
    }

    /// What there is as evidence among the notes that `counts`.
    pub fn evidence(&self, counts: impl Fn(&Failure) -> bool) -> Option<Evidence> {
        let mut notes = self.notes().filter(|note| counts(note));
        let last = notes.next()?;
        let mut evidence = Evidence {
            first: last.at,
            last: last.at,
            count: last.count,
            method: last.method,
            status: last.status,
            user_agent: last.user_agent.as_deref().map(str::to_owned),
            proof: last.proof,
            accounts: last.account.iter().cloned().collect(),
        };
        for note in notes {
            evidence.first = evidence.first.min(note.at);
            evidence.count = evidence.count.saturating_add(note.count);
            if let Some(account) = &note.account
                && evidence.accounts.len() < ACCOUNTS_NAMED_MAX
                && !evidence.accounts.contains(account)
            {
                evidence.accounts.push(account.clone());
            }
        }
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
}
