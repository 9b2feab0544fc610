//! Requests waiting for their response (RFC 3261 17), paired by Call-ID, CSeq and branch.
//!
//! The source of a transaction is that of its *request*: without rport the answer goes to the Via
//! port, with maddr even elsewhere, and what fails is charged to who sent it. Several requests may
//! share a key, since attackers repeat Call-ID, CSeq and branch; each is answered once, in order.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::observation::{EndpointId, Method};
use super::proof::Proof;
use super::time::Time;

/// A repetition after 64*T1 is a new request (RFC 3261 17.1.2.2).
const RETRANSMISSION_MAX: Duration = Duration::from_secs(32);
/// How many requests with the same key are looked at.
const SAME_KEY_MAX: usize = 64;

/// The credentials that a request brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    Nothing,
    /// Credentials with an empty response: a wish to be challenged.
    Empty,
    Response {
        realm: u64,
    },
}

#[derive(Clone, Debug)]
pub struct Transaction {
    /// Hash of direction, Call-ID, CSeq and branch.
    pub key: u64,
    /// Hash of source, account and credentials: the same key and identity is a retransmission.
    pub identity: u64,
    pub at: Time,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub endpoint: EndpointId,
    pub method: Method,
    /// Who it claims to be: To of a REGISTER, From otherwise.
    pub account: Account,
    /// Whose password it tries, if that is another account.
    pub tried: Option<Account>,
    pub given: Given,
    pub user_agent: Option<Arc<str>>,
    pub proof: Proof,
}

impl Transaction {
    pub fn tried(&self) -> &Account {
        self.tried.as_ref().unwrap_or(&self.account)
    }
}

struct Entry {
    transaction: Transaction,
    answered: bool,
    /// Number of the request before with the same key.
    previous: Option<u64>,
}

/// The requests of the last `lifetime`, at most `capacity`; the oldest goes first.
pub struct Transactions {
    entries: VecDeque<Entry>,
    /// Number of the oldest entry.
    first: u64,
    /// Number of the newest entry with a key.
    newest: HashMap<u64, u64>,
    lifetime: Duration,
    capacity: usize,
    dropped: u64,
}

impl Transactions {
    pub fn new(lifetime: Duration, capacity: usize) -> Self {
        // All at once: growing later would make a verdict wait.
        Self {
            entries: VecDeque::with_capacity(capacity),
            first: 0,
            newest: HashMap::with_capacity(capacity),
            lifetime,
            capacity,
            dropped: 0,
        }
    }

    /// Takes a request and returns its number; none if it is a retransmission.
    pub fn open(&mut self, transaction: Transaction) -> Option<u64> {
        self.expire(transaction.at);
        let previous = self.newest.get(&transaction.key).copied();
        let repeated = self.same_key(previous).any(|number| {
            let before = &self.entries[self.place(number)].transaction;
            before.identity == transaction.identity
                && transaction.at.since(before.at) <= RETRANSMISSION_MAX
        });
        if repeated {
            return None;
        }
        if self.entries.len() >= self.capacity {
            self.forget_oldest();
            self.dropped += 1;
        }
        let number = self.first + self.entries.len() as u64;
        self.newest.insert(transaction.key, number);
        self.entries.push_back(Entry { transaction, answered: false, previous });
        Some(number)
    }

    /// The request that a final response answers: the oldest unanswered one whose source the
    /// response goes to, else the oldest.
    pub fn answer(&mut self, key: u64, destination: SocketAddr) -> Option<Transaction> {
        let mut oldest = None;
        let mut addressed = None;
        for number in self.same_key(self.newest.get(&key).copied()) {
            let entry = &self.entries[self.place(number)];
            if !entry.answered {
                oldest = Some(number);
                if entry.transaction.source == destination {
                    addressed = Some(number);
                }
            }
        }
        let place = self.place(addressed.or(oldest)?);
        let entry = &mut self.entries[place];
        entry.answered = true;
        Some(entry.transaction.clone())
    }

    /// A request that is still without a final response.
    pub fn unanswered(&self, number: u64) -> Option<&Transaction> {
        let entry = self.entries.get(self.place(number))?;
        (number >= self.first && !entry.answered).then_some(&entry.transaction)
    }

    pub fn expire(&mut self, now: Time) {
        while let Some(entry) = self.entries.front()
            && now.since(entry.transaction.at) > self.lifetime
        {
            self.forget_oldest();
        }
    }

    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn place(&self, number: u64) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    /// Numbers of the entries with one key, the newest first.
    fn same_key(&self, newest: Option<u64>) -> impl Iterator<Item = u64> {
        let known = |number: &u64| *number >= self.first;
        std::iter::successors(newest.filter(known), move |number| {
            self.entries[self.place(*number)].previous.filter(known)
        })
        .take(SAME_KEY_MAX)
    }

    fn forget_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        if self.newest.get(&entry.transaction.key) == Some(&self.first) {
            self.newest.remove(&entry.transaction.key);
        }
        self.first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: u64, identity: u64, at: u64, source: &str) -> Transaction {
        Transaction {
            key,
            identity,
            at: Time::from_secs(at),
            source: source.parse().unwrap(),
            destination: "198.51.100.1:5060".parse().unwrap(),
            endpoint: EndpointId(1),
            method: Method::Register,
            account: Account::from("100@pbx"),
            tried: None,
            given: Given::Nothing,
            user_agent: None,
            proof: Proof::None,
        }
    }

    const ANN: &str = "192.0.2.1:5060";
    const EVE: &str = "192.0.2.66:5060";

    fn transactions() -> Transactions {
        Transactions::new(Duration::from_secs(40), 4)
    }

    #[test]
    fn a_retransmission_opens_nothing() {
        let mut open = transactions();
        assert_eq!(open.open(request(1, 1, 0, ANN)), Some(0));
        assert_eq!(open.open(request(1, 1, 32, ANN)), None);
        assert_eq!(open.open(request(1, 2, 32, ANN)), Some(1), "other credentials");
        assert_eq!(open.open(request(1, 1, 33, ANN)), Some(2), "too late for a retransmission");
    }

    #[test]
    fn each_request_is_answered_once_and_in_order() {
        let mut open = transactions();
        for identity in 1..=2 {
            open.open(request(1, identity, identity, ANN));
        }
        let elsewhere = "203.0.113.9:9".parse().unwrap();
        let mut answers = || open.answer(1, elsewhere).map(|request| request.identity);
        assert_eq!([answers(), answers(), answers()], [Some(1), Some(2), None]);
        assert!(open.answer(2, elsewhere).is_none());
    }

    #[test]
    fn a_response_goes_to_the_source_it_is_sent_to_first() {
        let mut open = transactions();
        open.open(request(1, 1, 0, ANN));
        open.open(request(1, 2, 0, EVE));
        let answered = open.answer(1, EVE.parse().unwrap()).unwrap();
        assert_eq!(answered.source, EVE.parse().unwrap());
    }

    #[test]
    fn old_and_surplus_requests_are_forgotten() {
        let mut open = transactions();
        for key in 0..6 {
            assert_eq!(open.open(request(key, 1, key, ANN)), Some(key));
        }
        assert_eq!((open.entries.len(), open.dropped(), open.newest.len()), (4, 2, 4));
        assert!(open.unanswered(1).is_none() && open.unanswered(2).is_some());
        open.expire(Time::from_secs(44));
        assert!(open.unanswered(3).is_none() && open.unanswered(4).is_some());
        assert!(open.unanswered(99).is_none());
    }
}
