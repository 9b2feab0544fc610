//! Alerts: to the log, the metrics, the day's attacks, and into the store in words.

use tracing::warn;

use crate::api::AlertView;
use crate::daemon::clock::timestamp;
use crate::daemon::core::Core;
use crate::report::address;
use crate::rules::{Account, Alert, AlertKind};
use crate::store::{AlertRecord, AttackRecord, Change};

impl Core {
    pub(in crate::daemon) fn alert(&mut self, alert: &Alert) {
        let kind = alert_kind(&alert.kind);
        let record = AlertRecord {
            at: timestamp(alert.at),
            source: Self::network_of(alert.source),
            kind: kind.to_owned(),
            endpoint: self.endpoint_name(alert.endpoint),
            what: words(&alert.kind),
            accounts: accounts(&alert.kind).iter().map(ToString::to_string).collect(),
        };
        warn!(
            source = %alert.source_ip,
            alert = kind,
            endpoint = record.endpoint,
            "alert {kind}: {}: {}",
            alert.source_ip,
            record.what
        );
        self.metrics.judgement.alerts.with_label_values(&[kind]).inc();
        self.tell_alert(alert_view(&record));
        self.journal.write(vec![Change::AddAlert(record)]);
        if matches!(alert.kind, AlertKind::PossibleBreakIn { .. }) {
            let standing = self.standing(alert.source);
            self.journal.write(vec![Change::PutStanding(standing)]);
        }
        if matches!(alert.kind, AlertKind::Spared { .. } | AlertKind::TrustFull) {
            return;
        }
        let at = timestamp(alert.at);
        self.ledger.add_attack(AttackRecord {
            day: at.to_zoned(jiff::tz::TimeZone::UTC).date(),
            source: Self::network_of(alert.source),
            method: format!("ALERT:{kind}"),
            victim: None,
            endpoint: self.endpoint_name(alert.endpoint),
            country: self.country_code(alert.source_ip),
            user_agent: None,
            drops: 0,
            observed: 0,
            first: at,
            last: at,
        });
    }
}

pub fn alert_view(record: &AlertRecord) -> AlertView {
    AlertView {
        at: record.at.as_second(),
        source: address(record.source),
        kind: record.kind.clone(),
        endpoint: record.endpoint.clone(),
        what: record.what.clone(),
        accounts: record.accounts.clone(),
    }
}

const fn alert_kind(kind: &AlertKind) -> &'static str {
    match kind {
        AlertKind::KnownPeerBlocked => "known-peer-blocked",
        AlertKind::StalePassword { .. } => "stale-password",
        AlertKind::PossibleBreakIn { .. } => "possible-break-in",
        AlertKind::AccountUnderAttack { .. } => "account-under-attack",
        AlertKind::WorldBehindNat => "world-behind-nat",
        AlertKind::Spared { .. } => "spared",
        AlertKind::TrustFull => "trust-full",
        AlertKind::Watched { .. } => "watched",
        AlertKind::ServiceCut { .. } => "service-cut",
    }
}

fn accounts(kind: &AlertKind) -> &[Account] {
    match kind {
        AlertKind::StalePassword { accounts } => accounts,
        AlertKind::PossibleBreakIn { account, .. }
        | AlertKind::AccountUnderAttack { account, .. } => std::slice::from_ref(account),
        AlertKind::KnownPeerBlocked
        | AlertKind::WorldBehindNat
        | AlertKind::Spared { .. }
        | AlertKind::TrustFull
        | AlertKind::Watched { .. }
        | AlertKind::ServiceCut { .. } => &[],
    }
}

fn words(kind: &AlertKind) -> String {
    match kind {
        AlertKind::KnownPeerBlocked => "a trusted peer was blocked all the same".to_owned(),
        AlertKind::StalePassword { accounts } => {
            let names: Vec<&str> = accounts.iter().map(Account::as_str).collect();
            format!("a trusted peer's {} keeps failing: an old password?", names.join(", "))
        }
        AlertKind::PossibleBreakIn { account, failures, sources } => format!(
            "possible break-in: {account} was accepted after {failures} failures here, and on it \
             {sources} sources failed lately"
        ),
        AlertKind::AccountUnderAttack { account, sources } => {
            format!("{account} is guessed at from {sources} sources")
        }
        AlertKind::WorldBehindNat => {
            "most SIP comes from this one address: rules don't act on it".to_owned()
        }
        AlertKind::Spared { rule } => {
            format!("broke {rule}, and is spared: it is never blocked by a rule")
        }
        AlertKind::Watched { rule } => {
            format!("broke {rule} by a log that is only watched: enforcing would have blocked it")
        }
        AlertKind::ServiceCut { rule } => {
            format!("a trusted peer broke {rule}: that service is cut off, its SIP goes on")
        }
        AlertKind::TrustFull => "no room for another trusted peer: it stays a stranger".to_owned(),
    }
}
