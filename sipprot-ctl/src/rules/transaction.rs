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
/// A telephone that rings keeps its request for so long: a provisional response resets timer C
/// (RFC 3261 16.7), but not every PBX repeats it.
const RINGING_MAX: Duration = Duration::from_secs(15 * 60);
/// Ringing requests that are spared when one must make room for another.
const SPARED_MAX: usize = 16;

/// The credentials that a request brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    Nothing,
    /// Credentials with an empty response: a wish to be challenged.
    Empty,
    Response {
        realm: u64,
    },
    /// None was seen, but the message was cut before its headers ended.
    Unseen,
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
    /// When it took its place in the queue.
    queued: Time,
    answered: bool,
    /// A provisional response said so.
    rings: bool,
    /// Number of the request before with the same key.
    previous: Option<u64>,
}

impl Entry {
    fn waits(&self, now: Time) -> bool {
        self.rings && !self.answered && now.since(self.transaction.at) <= RINGING_MAX
    }
}

/// The requests of the last `lifetime`, and those that ring for longer; at most `capacity`, the
/// oldest goes first.
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
            self.make_room(transaction.at);
        }
        let queued = transaction.at;
        Some(self.queue(Entry { transaction, queued, answered: false, rings: false, previous }))
    }

    fn queue(&mut self, entry: Entry) -> u64 {
        let number = self.first + self.entries.len() as u64;
        self.newest.insert(entry.transaction.key, number);
        self.entries.push_back(entry);
        number
    }

    fn make_room(&mut self, now: Time) {
        for _ in 0..SPARED_MAX {
            if !self.entries.front().is_some_and(|oldest| oldest.waits(now)) {
                break;
            }
            self.queue_again(now);
        }
        self.forget_oldest();
        self.dropped += 1;
    }

    /// The oldest becomes the newest.
    fn queue_again(&mut self, now: Time) {
        let Some(entry) = self.forget_oldest() else { return };
        let previous = self.newest.get(&entry.transaction.key).copied();
        self.queue(Entry { queued: now, previous, ..entry });
    }

    /// A provisional response: its request may wait longer for the final one.
    pub fn ring(&mut self, key: u64, destination: SocketAddr) {
        if let Some(place) = self.waiting(key, destination) {
            self.entries[place].rings = true;
        }
    }

    /// The request that a final response answers: the oldest unanswered one whose source the
    /// response goes to, else the oldest.
    pub fn answer(&mut self, key: u64, destination: SocketAddr) -> Option<Transaction> {
        let place = self.waiting(key, destination)?;
        let entry = &mut self.entries[place];
        entry.answered = true;
        Some(entry.transaction.clone())
    }

    fn waiting(&self, key: u64, destination: SocketAddr) -> Option<usize> {
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
        Some(self.place(addressed.or(oldest)?))
    }

    /// A request that is still without a final response.
    pub fn unanswered(&self, number: u64) -> Option<&Transaction> {
        let entry = self.entries.get(self.place(number))?;
        (number >= self.first && !entry.answered).then_some(&entry.transaction)
    }

    pub fn expire(&mut self, now: Time) {
        while let Some(oldest) = self.entries.front()
            && now.since(oldest.queued) > self.lifetime
        {
            match oldest.waits(now) {
                true => self.queue_again(now),
                false => _ = self.forget_oldest(),
            }
        }
    }

    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes that are kept, and for how many requests.
    #[cfg(test)]
    pub fn bytes(&self) -> (usize, usize) {
        let texts = self.entries.iter().map(|entry| entry.transaction.account.heap());
        let entries = self.entries.capacity() * size_of::<Entry>();
        let numbers = self.newest.capacity() * size_of::<(u64, u64)>();
        (self.entries.len(), entries + numbers + texts.sum::<usize>())
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

    fn forget_oldest(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        if self.newest.get(&entry.transaction.key) == Some(&self.first) {
            self.newest.remove(&entry.transaction.key);
        }
        self.first += 1;
        Some(entry)
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
    fn who_rings_waits_for_a_quarter_of_an_hour() {
        let check = |rings: bool, seconds: u64, others: u64, found: bool| {
            let mut open = transactions();
            open.open(request(1, 1, 0, ANN));
            if rings {
                open.ring(1, ANN.parse().unwrap());
            }
            (0..others).for_each(|key| _ = open.open(request(100 + key, 1, 30, EVE)));
            open.expire(Time::from_secs(seconds));
            let answered = open.answer(1, ANN.parse().unwrap());
            assert_eq!(answered.is_some(), found, "{rings} {seconds} {others}");
            assert!(open.entries.len() <= 4 && open.newest.len() <= open.entries.len());
        };
        check(false, 40, 0, true);
        check(false, 41, 0, false);
        check(true, 41, 0, true);
        check(true, 41, 3, true);
        check(true, 30, 20, true);
        check(true, 15 * 60, 0, true);
        check(true, 15 * 60 + 41, 0, false);
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
