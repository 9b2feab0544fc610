//! The proposal, in the words of the API.

use std::cmp::Reverse;

use crate::api::{
    EndpointLoad, Fault, LearnProposal, LearnState, ModeChange, ProposedLimit, ProposedPeer,
    SourcePeak, WouldView,
};
use crate::config::Mode;
use crate::daemon::answers::seconds;
use crate::daemon::answers::why::failures;
use crate::daemon::core::Core;
use crate::daemon::plan::limit_key;
use crate::report::address;
use crate::rules::{
    Account, Cause, Learning, LimitProposal, PeerKind, PeerProposal, RuleId, Would, WouldBe,
};

/// Rows of consequences in one answer.
const WOULD_MAX: usize = 1000;
/// Sources that are told by how busy they were.
const PEAKS_MAX: usize = 20;

impl Core {
    pub(in crate::daemon) fn proposal(&self) -> Result<LearnProposal, Fault> {
        let Some(learning) = self.learning() else {
            return Err(Fault::not_found("nothing was learned: 'sipprot learn start'"));
        };
        let proposal = learning.proposal(self.engine.settings());
        let status = self.learn_status();
        let mut would: Vec<WouldView> =
            learning.would().map(|would| self.would_view(learning, would)).collect();
        would.sort_by_key(|row| (Reverse(row.customer), row.what, Reverse(row.last)));
        let more = would.len().saturating_sub(WOULD_MAX) as u64;
        would.truncate(WOULD_MAX);
        Ok(LearnProposal {
            preliminary: status.state == LearnState::Learning,
            status,
            mode: (self.config.mode == Mode::Observe).then(|| ModeChange {
                now: Mode::Observe.to_string(),
                proposed: Mode::Enforce.to_string(),
            }),
            peers: proposal.peers.iter().map(|peer| self.peer_view(peer)).collect(),
            limits: proposal.limits.iter().filter_map(limit_view).collect(),
            would,
            left_out: learning.left_out() + more,
            trusted: self.busiest(),
            endpoints: learning
                .endpoints()
                .map(|(endpoint, peak)| EndpointLoad {
                    endpoint: self.plan.name(endpoint.0.into()).to_owned(),
                    requests: peak.requests,
                    drops: peak.drops,
                })
                .collect(),
        })
    }

    pub(in crate::daemon) fn would_view(&self, learning: &Learning, would: &Would) -> WouldView {
        let seen = learning.seen(would.source());
        WouldView {
            source: address(Self::network_of(would.source())),
            what: would.what,
            rule: match would.cause {
                Cause::Rule(rule) => rule.signature().to_owned(),
                Cause::Ceiling => "FLOOD:source".to_owned(),
            },
            proven: would.proven,
            customer: would.known_peer || seen.is_some_and(|seen| seen.is_customer()),
            suspect: seen.is_some_and(|seen| seen.suspect),
            count: would.count,
            first: seconds(would.first),
            last: seconds(would.last),
            endpoint: self.endpoint_name(would.endpoint),
            victim: would.victim,
            port: would.port,
            account: would.evidence.accounts.first().map(Account::to_string),
            user_agent: would.evidence.user_agent.clone(),
            evidence: failures(&would.evidence),
        }
    }

    fn peer_view(&self, peer: &PeerProposal) -> ProposedPeer {
        let source = peer.source_ip.into();
        let standing = self.engine.explain(source, self.clock.time_now());
        let mut why = match peer.kind {
            PeerKind::Trunk => "it answers what your endpoints send to it".to_owned(),
            PeerKind::Office => format!("{} accounts registered from it", peer.accounts),
            PeerKind::Caller => format!(
                "{} of its calls were accepted without a password: a trunk that is known by its \
                 address, or an open PBX",
                peer.calls
            ),
        };
        if let Some(would) = peer.would {
            why += &format!("; it would have been {}", word(would));
        }
        ProposedPeer {
            network: Self::network_of(source),
            kind: match peer.kind {
                PeerKind::Trunk => "trunk",
                PeerKind::Office => "office",
                PeerKind::Caller => "caller",
            }
            .to_owned(),
            accounts: peer.accounts as u64,
            calls: peer.calls.into(),
            peak: standing.trust.map_or(0, |trust| trust.peak),
            advised: peer.is_advised(),
            why,
        }
    }

    fn busiest(&self) -> Vec<SourcePeak> {
        let now = self.clock.time_now();
        let state = self.engine.state().trust;
        let mut peaks: Vec<_> =
            state.iter().map(|peer| (peer.peak.rate(now), peer.source)).collect();
        peaks.sort_by_key(|(peak, source)| (Reverse(*peak), source.0));
        let busiest = peaks.into_iter().take(PEAKS_MAX).filter(|(peak, _)| *peak > 0);
        busiest
            .map(|(peak, source)| SourcePeak {
                source: address(Self::network_of(source)),
                peak,
                ceiling: self.engine.ceiling(source, now),
            })
            .collect()
    }
}

fn limit_view(limit: &LimitProposal) -> Option<ProposedLimit> {
    let LimitProposal { rule, now, proposed, reached, source_ip } = *limit;
    let what = RuleId::help(rule);
    Some(ProposedLimit {
        key: limit_key(rule)?.to_owned(),
        now,
        proposed,
        reached,
        source: source_ip.to_string(),
        why: format!("{source_ip}, a customer, reached {reached} {what}"),
    })
}

/// After "would have been".
const fn word(what: WouldBe) -> &'static str {
    match what {
        WouldBe::Denied => "denied for good",
        WouldBe::Blocked => "blocked",
        WouldBe::Contained => "contained",
        WouldBe::Held => "held",
        WouldBe::Quarantined => "quarantined",
        WouldBe::Dropped => "dropped now and then",
    }
}
