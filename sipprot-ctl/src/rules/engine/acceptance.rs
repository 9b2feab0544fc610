//! What an acceptance leads to: trust, the end of a containment, or the suspicion of a break-in.

use std::net::{IpAddr, SocketAddr};

use sipprot_common::source::{Address, SourceKey};

use super::Engine;
use crate::rules::account::Account;
use crate::rules::decision::{AlertKind, Decision, Release, ReleaseReason, TrustKind};
use crate::rules::ledger::{BREAK_IN_FAILURES, Target};
use crate::rules::observation::{EndpointId, Method, Response, Transport};
use crate::rules::record::{DISTRUST, Record};
use crate::rules::time::Time;
use crate::rules::transaction::{Given, Transaction};
use crate::rules::trust::Grant;

impl Engine {
    pub(super) fn accepted(
        &mut self,
        request: &Transaction,
        response: &Response,
        decisions: &mut Vec<Decision>,
    ) {
        let at = response.at;
        let source_ip = Address::from(request.source.ip()).to_ip();
        let source = SourceKey::from(source_ip);
        if matches!(request.given, Given::Response { .. }) {
            let (tried, endpoint) = (request.tried(), request.endpoint);
            let suspect = self.possible_break_in(source_ip, tried, endpoint, at, decisions);
            let tenancy = self.tenancy(source, request.tried());
            let known = tenancy.accepted_lately(at);
            tenancy.accept(at);
            self.new_accounts |= !known;
            if let Some(learning) = &mut self.learning {
                learning.accepted(source_ip, request.tried(), suspect, at);
            }
            let account = self.hash(request.tried());
            self.nat.accepted(source_ip, account);
            if request.method == Method::Register && !suspect {
                let tried = Some(request.tried());
                let whose = (tried, request.endpoint);
                self.trust(request.source, TrustKind::Registered, whose, at, decisions);
            }
        }
        if request.given == Given::Nothing
            && request.method == Method::Invite
            && let Some(learning) = &mut self.learning
        {
            learning.called(source_ip, at);
        }
        if request.given == Given::Unseen {
            // Whether it had a password is not known: it gains no trust, but is no stranger either.
            self.tenancy(source, request.tried()).free = true;
        }
        if matches!(request.given, Given::Response { .. } | Given::Unseen) {
            let contained = self.records.get_mut(source);
            let ends = contained.is_some_and(|record| record.end_containment(at));
            // The kernel knows an answer only when its segment begins with it.
            let unheard = response.transport == Transport::Tcp && !self.is_trusted(source_ip);
            if ends || unheard {
                let reason = ReleaseReason::Accepted;
                decisions.push(Decision::Release(Release { source, at, reason }));
            }
        }
        if self.is_trusted(source_ip) {
            self.peers.used_port(source, request.source.port(), Some(request.tried()), at);
        }
    }

    /// Whether the account that was just accepted may give no new trust.
    pub(super) fn possible_break_in(
        &mut self,
        source_ip: IpAddr,
        account: &Account,
        endpoint: EndpointId,
        at: Time,
        decisions: &mut Vec<Decision>,
    ) -> bool {
        let target_key = self.hash(account);
        let failures = self.tenancy(source_ip.into(), account).failures(at);
        let (sources, attacked) = self.attackers(target_key, at);
        if failures < BREAK_IN_FAILURES && !attacked {
            return self.targets.get(target_key).is_some_and(|target| target.is_suspect(at));
        }
        let until = at.after(DISTRUST);
        self.targets.entry(target_key, Target::default).suspect(until, at);
        let account = account.clone();
        let record = self.records.entry(source_ip.into(), Record::default);
        record.suspect(&account, until, at);
        let kind = AlertKind::PossibleBreakIn { account, failures, sources };
        self.alert(kind, source_ip, endpoint, at, decisions);
        true
    }

    /// A peer answered an endpoint's own request.
    pub(super) fn trunk_answered(
        &mut self,
        request: &Transaction,
        response: &Response,
        decisions: &mut Vec<Decision>,
    ) {
        let peer = SourceKey::from(request.destination.ip());
        if !(200..300).contains(&response.status) || SourceKey::from(response.source.ip()) != peer {
            return;
        }
        if let Some(learning) = &mut self.learning {
            learning.trunk(Address::from(request.destination.ip()).to_ip(), response.at);
        }
        let whose = (None, request.endpoint);
        self.trust(request.destination, TrustKind::Trunk, whose, response.at, decisions);
        self.peers.trunk_port(peer, request.destination.port(), response.at);
    }

    pub(super) fn trust(
        &mut self,
        peer: SocketAddr,
        kind: TrustKind,
        whose: (Option<&Account>, EndpointId),
        at: Time,
        decisions: &mut Vec<Decision>,
    ) {
        let source_ip = Address::from(peer.ip()).to_ip();
        if self.records.get(source_ip.into()).is_some_and(|record| record.is_distrusted(at)) {
            return;
        }
        match self.peers.grant(source_ip, kind, whose, at, self.settings.trust_time) {
            Grant::Known => {}
            Grant::Told(trust) => decisions.push(Decision::Trust(trust)),
            Grant::Full => {
                let endpoint = EndpointId::default();
                self.alert(AlertKind::TrustFull, source_ip, endpoint, at, decisions);
            }
        }
    }
}
