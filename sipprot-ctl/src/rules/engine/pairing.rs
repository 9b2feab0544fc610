//! Packets to outcomes: a request waits for its response, a challenge for its answer.

use std::time::Duration;

use sipprot_common::source::{Address, SourceKey};

use super::{Challenged, Engine};
use crate::rules::account::Account;
use crate::rules::decision::Decision;
use crate::rules::ledger::Tenancy;
use crate::rules::observation::{Challenge, Credentials, Direction, Method, Request, Response};
use crate::rules::outcome::{self, Outcome};
use crate::rules::proof::Proof;
use crate::rules::rule::Signal;
use crate::rules::source::Failure;
use crate::rules::time::Time;
use crate::rules::transaction::{Given, Transaction, Transactions};

/// 64*T1 (RFC 3261 17.1.2.2): a challenge must be answered within it.
const ANSWER_TIME: Duration = Duration::from_secs(32);
/// T1 (RFC 3261 17.1.1.1): the PBX is on this host; if it is there, it answers sooner.
const PROBE_TIME: Duration = Duration::from_millis(500);

impl Engine {
    pub(super) fn request(&mut self, request: &Request) {
        let inbound = request.direction == Direction::Inbound;
        let followed = match request.method {
            Method::Ack | Method::Cancel => false,
            Method::Register | Method::Options | Method::Invite => true,
            _ => inbound,
        };
        let given = self.given(request);
        if inbound {
            let source_ip = Address::from(request.source.ip()).to_ip();
            self.nat.count(source_ip, self.settings.gateways.contains(&source_ip));
            let realm = match given {
                Given::Response { realm } => Some(Some(realm)),
                // It may have been for any.
                Given::Unseen => Some(None),
                Given::Nothing | Given::Empty => None,
            };
            if let Some(realm) = realm {
                self.tenancy(source_ip.into(), &request.account).answer(request.at, realm);
            }
        }
        if !followed {
            return;
        }
        let transaction = self.transaction(request, given);
        let number = self.transactions(request.method).open(transaction);
        if let Some(number) = number
            && inbound
            && !matches!(request.method, Method::Register | Method::Invite)
        {
            self.probes.push(request.at.after(PROBE_TIME), number);
        }
    }

    fn given(&self, request: &Request) -> Given {
        match &request.credentials {
            None if request.cut => Given::Unseen,
            None => Given::Nothing,
            Some(credentials) if credentials.response_empty => Given::Empty,
            Some(credentials) => Given::Response { realm: self.hash(credentials.realm.as_str()) },
        }
    }

    fn transaction(&self, request: &Request, given: Given) -> Transaction {
        let credentials = request.credentials.as_ref();
        let fingerprint = credentials.map(|credentials| {
            let Credentials { username, realm, nonce_hash, response_hash, .. } = credentials;
            (username.as_str(), realm.as_str(), *nonce_hash, *response_hash)
        });
        let tried = match credentials {
            Some(credentials) if matches!(given, Given::Response { .. }) => {
                let tried = request.account.tried_as(&credentials.username);
                (tried != request.account).then_some(tried)
            }
            _ => None,
        };
        Transaction {
            key: self.pairing_key(
                request.direction,
                request.method,
                request.cseq,
                &request.call_id,
                &request.branch,
            ),
            identity: self.hash((request.source, &request.account, fingerprint)),
            at: request.at,
            source: request.source,
            destination: request.destination,
            endpoint: request.endpoint,
            method: request.method,
            account: request.account.clone(),
            tried,
            given,
            user_agent: request.user_agent.clone(),
            proof: request.proof,
        }
    }

    fn pairing_key(
        &self,
        of_request: Direction,
        method: Method,
        cseq: u32,
        call_id: &str,
        branch: &str,
    ) -> u64 {
        self.hash((of_request, method, cseq, call_id, branch))
    }

    const fn transactions(&mut self, method: Method) -> &mut Transactions {
        match method {
            Method::Invite => &mut self.invites,
            _ => &mut self.requests,
        }
    }

    pub(super) fn tenancy(&mut self, source: SourceKey, account: &Account) -> &mut Tenancy {
        let key = self.tenancy_key(source, account);
        self.tenancies.entry(key, || Tenancy::new(source, account.clone()))
    }

    pub(super) fn response(&mut self, response: &Response, decisions: &mut Vec<Decision>) {
        // 100 says only that the next hop has it (RFC 3261 16.7).
        if response.status <= 100 {
            return;
        }
        let of_request = match response.direction {
            Direction::Outbound => Direction::Inbound,
            Direction::Inbound => Direction::Outbound,
        };
        let key = self.pairing_key(
            of_request,
            response.method,
            response.cseq,
            &response.call_id,
            &response.branch,
        );
        if response.status < 200 {
            self.transactions(response.method).ring(key, response.destination);
            return;
        }
        let answered = self.transactions(response.method).answer(key, response.destination);
        let Some(request) = answered else { return };
        match of_request {
            Direction::Inbound => self.answered(request, response, decisions),
            Direction::Outbound => self.trunk_answered(&request, response, decisions),
        }
    }

    /// The PBX answered a request from the world.
    fn answered(&mut self, request: Transaction, response: &Response, out: &mut Vec<Decision>) {
        let challenge = response.challenge.as_ref();
        let realm = challenge.map(|Challenge { realm, .. }| self.hash(realm.as_str()));
        let outcome = outcome::outcome(&outcome::Answer {
            method: request.method,
            given: request.given,
            own_nonce: request.proof == Proof::Nonce,
            trusted: self.is_trusted(request.source.ip()),
            status: response.status,
            realm,
            stale: challenge.is_some_and(|challenge| challenge.stale),
        });
        match outcome {
            Outcome::Uncounted => {}
            Outcome::Challenged => {
                let due = response.at.after(ANSWER_TIME);
                self.challenges.push(due, Challenged { request, status: response.status, realm });
            }
            Outcome::Accepted => self.accepted(&request, response, out),
            Outcome::Rejected { account } => self.rejected(&request, response, account, out),
            Outcome::Probed { account } => {
                let strange = account && self.is_strange(&request);
                let signals: &[Signal] = match (account, strange) {
                    (true, true) => &[
                        Signal::Probe,
                        Signal::ProbedAddress,
                        Signal::AccountFailure,
                        Signal::StrangeAccount,
                    ],
                    (true, false) => {
                        &[Signal::Probe, Signal::ProbedAddress, Signal::AccountFailure]
                    }
                    (false, _) => &[Signal::Probe, Signal::ProbedAddress],
                };
                self.fail(failure(&request, response.at, Some(response.status), signals), out);
            }
        }
    }

    /// Whether the account of a request was not accepted from its source in 7 days.
    fn is_strange(&self, request: &Transaction) -> bool {
        let key = self.tenancy_key(request.source.ip().into(), request.tried());
        !self.tenancies.get(key).is_some_and(|tenancy| tenancy.accepted_lately(self.now))
    }

    fn rejected(
        &mut self,
        request: &Transaction,
        response: &Response,
        account: bool,
        out: &mut Vec<Decision>,
    ) {
        let invite = request.method == Method::Invite;
        let strange = self.is_strange(request);
        // A call that is refused where the account is at home is the dialplan's word: a barred number.
        let guess = account && !(invite && response.status == 403 && self.is_at_home(request));
        if guess {
            self.note_echo(request.source.ip().into(), response.at);
            let tenancy = self.tenancy(request.source.ip().into(), request.tried());
            if std::mem::take(&mut tenancy.free) {
                return;
            }
        }
        let signals = rejection(invite, guess, strange);
        self.fail(failure(request, response.at, Some(response.status), signals), out);
    }

    /// Whether the account was accepted through this very source port lately, by itself or among
    /// others.
    fn is_at_home(&self, request: &Transaction) -> bool {
        let (source, port) = (request.source.ip().into(), request.source.port());
        self.peers.used_by(source, port, request.tried(), self.now) && !self.is_strange(request)
    }

    /// What nobody answered in time.
    pub(super) fn due(&mut self, decisions: &mut Vec<Decision>) {
        while let Some((due, challenged)) = self.challenges.pop_due(self.now) {
            let Challenged { request, status, realm } = challenged;
            let key = self.tenancy_key(request.source.ip().into(), &request.account);
            let tenancy = self.tenancies.get(key);
            if tenancy.is_some_and(|tenancy| tenancy.answered_after(request.at, realm)) {
                continue;
            }
            let signals: &[Signal] = match request.method {
                Method::Register => &[Signal::RegisterAttempt],
                _ => &[Signal::Probe],
            };
            self.fail(failure(&request, due, Some(status), signals), decisions);
        }
        while let Some((due, logged)) = self.heard.pop_due(self.now) {
            self.unechoed(&logged, due, decisions);
        }
        while let Some((due, number)) = self.probes.pop_due(self.now) {
            if let Some(request) = self.requests.unanswered(number) {
                let failure = failure(request, due, None, &[Signal::ProbedAddress]);
                self.fail(failure, decisions);
            }
        }
    }
}

fn failure(
    request: &Transaction,
    at: Time,
    status: Option<u16>,
    signals: &'static [Signal],
) -> Failure {
    Failure {
        at,
        source: request.source,
        destination: request.destination,
        endpoint: request.endpoint,
        method: Some(request.method),
        status,
        account: Some(request.tried().clone()),
        user_agent: request.user_agent.clone(),
        proof: request.proof,
        count: 1,
        signals,
        line: None,
    }
}

/// What a rejection counts as. A wrong password is a guess, whatever the method.
pub(super) const fn rejection(invite: bool, guess: bool, strange: bool) -> &'static [Signal] {
    match (invite, guess, strange) {
        (true, false, _) => &[Signal::InviteFailure],
        (true, true, false) => {
            &[Signal::InviteFailure, Signal::RegisterAttempt, Signal::AccountFailure]
        }
        (true, true, true) => &[
            Signal::InviteFailure,
            Signal::RegisterAttempt,
            Signal::AccountFailure,
            Signal::StrangeAccount,
        ],
        (false, _, false) => &[Signal::RegisterAttempt, Signal::AccountFailure],
        (false, _, true) => {
            &[Signal::RegisterAttempt, Signal::AccountFailure, Signal::StrangeAccount]
        }
    }
}
