//! What a rule was broken by, as a record of the store.

use std::time::Duration;

use crate::config::format_duration;
use crate::daemon::clock::timestamp;
use crate::daemon::core::Core;
use crate::rules::{Account, Case, RuleId, Sighting};
use crate::store::{EvidenceRecord, PacketRecord};

/// Of the kernel's attempt window.
const ATTEMPT_WINDOW: Duration = Duration::from_secs(60);

impl Core {
    pub(in crate::daemon) fn evidence(&self, case: &Case) -> EvidenceRecord {
        let evidence = &case.evidence;
        let bounds = self.bounds(case);
        EvidenceRecord {
            count: self.count(case),
            limit: bounds.map(|(limit, _)| limit),
            window_s: bounds.map(|(_, window)| window.as_secs()),
            first: packet(&evidence.opening),
            last: packet(&evidence.closing),
            accounts: evidence.accounts.iter().map(Account::to_string).collect(),
        }
    }

    /// `12 rejected attempts … within 1m, the limit is 10`.
    pub(in crate::daemon) fn reason(&self, case: &Case) -> String {
        let what = format!("{} {}", self.count(case), case.rule.help());
        match self.bounds(case) {
            // Of a port alone, which is cut off for what all of an address together did.
            Some((limit, window)) if self.count(case) < limit => {
                format!(
                    "{what} of the {limit} within {} that are the limit",
                    format_duration(window)
                )
            }
            Some((limit, window)) => {
                format!("{what} within {}, the limit is {limit}", format_duration(window))
            }
            None => what,
        }
    }

    /// The kernel counts up to the limit by itself, and tells of few.
    fn count(&self, case: &Case) -> u32 {
        let by_kernel = case.rule == RuleId::KernelAttempts;
        let limit = self.bounds(case).filter(|_| by_kernel).map_or(0, |(limit, _)| limit);
        case.evidence.count.max(limit)
    }

    /// Limit and window of the broken rule, as they are now. The kernel's own line goes by the limit
    /// of `register`.
    fn bounds(&self, case: &Case) -> Option<(u32, Duration)> {
        let settings = self.engine.settings();
        let by_kernel = case.rule == RuleId::KernelAttempts;
        let wanted = if by_kernel { RuleId::Register } else { case.rule };
        let rule = settings.rules.iter().find(|rule| rule.id == wanted)?;
        let window = if by_kernel { ATTEMPT_WINDOW } else { rule.window };
        Some((settings.limit(rule, case.endpoint), window))
    }
}

pub(in crate::daemon) fn packet(seen: &Sighting) -> PacketRecord {
    PacketRecord {
        at: timestamp(seen.at),
        port: seen.port,
        method: seen.method,
        status: seen.status,
        account: seen.account.as_ref().map(Account::to_string),
        user_agent: seen.user_agent.clone(),
        proof: seen.proof,
        line: seen.line.as_deref().map(str::to_owned),
    }
}
