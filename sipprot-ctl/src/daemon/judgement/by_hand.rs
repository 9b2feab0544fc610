//! Blocks and learned trust by hand. At once in the kernel, then in the store.

use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use sipprot_common::abi::maps;
use sipprot_common::source::{Address, SourceKey};
use tracing::info;

use crate::api::{BLOCK_SECONDS_MAX, Consent, Done, Fault, LiveKind, NewBlock};
use crate::config::{Scope, format_duration};
use crate::daemon::answers::Outcome;
use crate::daemon::change::{now_or_fault, text};
use crate::daemon::clock::after;
use crate::daemon::core::Core;
use crate::daemon::guard::rehearsal::only_said;
use crate::daemon::guard::{self};
use crate::daemon::judgement::carry::kernel_block;
use crate::daemon::judgement::memory::Persisted;
use crate::daemon::lists::entries::waiting;
use crate::daemon::plan::scope::{kernel_scope, rules_scope};
use crate::datapath::BlockTarget;
use crate::report::address;
use crate::store::{
    BlockKey, BlockKind, BlockRecord, Change, Lifted, List, ListEntry, Origin, Pair, PendingRecord,
};

/// METHOD of blocks by hand.
pub const BY_HAND: &str = "MANUAL:operator";

impl Core {
    pub(in crate::daemon) fn block_by_hand(&mut self, new: NewBlock, consent: Consent) -> Outcome {
        now_or_fault(self.try_block(new, consent))
    }

    fn try_block(&mut self, new: NewBlock, consent: Consent) -> Result<Outcome, Fault> {
        let source = SourceKey::from(new.address);
        let network = Self::network_of(source);
        self.spares_own(network)?;
        let duration = match new.duration_s {
            Some(0) => return Err(Fault::invalid("duration_s", "must be more than 0")),
            Some(seconds) if seconds > BLOCK_SECONDS_MAX => {
                let message = "longer than a year: put it on the denylist instead";
                return Err(Fault::invalid("duration_s", message));
            }
            Some(seconds) => Duration::from_secs(seconds),
            None => self.config.rules.block_time,
        };
        let (reason, by) = (text("reason", &new.reason)?, text("by", &new.by)?);
        let pending = self.consider_block(network, new.scope, &by, consent)?;
        let length = format_duration(duration);
        let said = self.would(|| {
            let waits = waiting(&pending);
            format!("{} would be blocked for {length}{waits}", address(network))
        });
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        let block = kernel_block(duration, kernel_scope(rules_scope(new.scope)));
        let target = BlockTarget::host(source);
        self.kernel
            .put(maps::BLOCKS, |datapath| datapath.put_block(target, &block))
            .map_err(|error| self.fault("blocking", &error))?;
        let now = self.clock.timestamp_now();
        let why = if reason.is_empty() { format!("by {by}") } else { format!("{reason}, by {by}") };
        let record =
            by_hand(network, now, duration, new.scope, why, self.country_code(new.address));
        info!(source = %address(network), "blocked {} for {}: {}", address(network), format_duration(duration), record.reason);
        self.metrics.judgement.blocks.with_label_values(&["manual"]).inc();
        self.tell_block(LiveKind::Block, &record);
        self.ledger.put_block(record.clone());
        let message = format!("{} is blocked for {length}{}", address(network), self.deadline());
        let changes = std::iter::once(Change::PutBlock(record)).chain(waits).collect();
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// Refuses a block of an operator, or says what is to wait for their confirmation.
    fn consider_block(
        &mut self,
        network: IpNetwork,
        scope: Scope,
        by: &str,
        consent: Consent,
    ) -> Result<Option<PendingRecord>, Fault> {
        if !guard::cuts_ssh(scope) {
            return Ok(None);
        }
        let cut = self.cut_by_block(network, consent)?;
        let key = BlockKey { source: network, port: None, endpoint: None };
        let lifted = Lifted { at: self.clock.timestamp_now(), by: by.to_owned() };
        let undo = vec![Change::LiftBlock { key, lifted }];
        let what = format!("the block of {}", address(network));
        self.consider(cut, what, by, undo, consent)
    }

    /// Lifts all that stands against a source, but for wider denylist entries, which it names.
    pub(in crate::daemon) fn unblock(&mut self, asked: IpAddr, by: &str) -> Outcome {
        now_or_fault(self.try_unblock(asked, by))
    }

    fn try_unblock(&mut self, asked: IpAddr, by: &str) -> Result<Outcome, Fault> {
        let source = SourceKey::from(asked);
        let network = Self::network_of(source);
        let by = text("by", by)?;
        if self.rehearses {
            return self.would_unblock(asked, network).map(only_said);
        }
        let now = self.clock.timestamp_now();
        let lifted = Lifted { at: now, by: by.clone() };
        let policies = self.blocking_policies();
        let in_kernel = self
            .kernel
            .with(|datapath| {
                let mut any = false;
                for policy in &policies {
                    any |= datapath.remove_block(BlockTarget { source, policy: *policy })?;
                }
                any |= datapath.uncontain(source)?;
                any |= datapath.release_networks(source)?;
                for port in datapath.quarantined()?.iter().filter(|it| it.source == source) {
                    any |= datapath.release_port(source, port.port)?;
                }
                // A known source is no finding: only what was held against it would be.
                datapath.clear_source(source)?;
                Ok(any)
            })
            .map_err(|error| self.fault("unblocking", &error))?;
        let held: Vec<BlockRecord> = self.ledger.blocks_of(network).cloned().collect();
        for record in held {
            let lifted = Some(lifted.clone());
            self.tell_block(LiveKind::Ended, &BlockRecord { lifted, ..record });
        }
        let keys = self.end_blocks(source);
        let mut changes: Vec<Change> = keys
            .iter()
            .map(|key| Change::LiftBlock { key: key.clone(), lifted: lifted.clone() })
            .collect();
        let (denied, wider) = self.lift_denials(asked, network)?;
        changes.extend(denied.iter().filter_map(|entry| escalation_lifted(entry, &lifted)));
        changes.extend(denied.iter().map(|entry| Change::RemoveList(entry.key())));
        self.engine.unblock(source, self.clock.time_now());
        changes.push(Change::PutStanding(self.standing(source)));
        let grace = match self.engine.settings().unblock_grace {
            Duration::ZERO => String::new(),
            grace => format!(", and left alone for {}", format_duration(grace)),
        };
        let any = in_kernel || !keys.is_empty() || !denied.is_empty();
        let mut message = match any {
            true => format!("{asked} is unblocked{grace}"),
            false => format!("nothing stood against {asked}{grace}"),
        };
        for network in wider {
            message += &format!("; it is still denied by {}", address(network));
        }
        info!("{message} (by {by})");
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    fn would_unblock(&mut self, asked: IpAddr, network: IpNetwork) -> Result<Done, Fault> {
        let check = self.check(asked)?;
        let held = self.ledger.blocks_of(network).count();
        let denied = check.entries.iter().filter(|entry| entry.list == List::Deny).count();
        let message = match held > 0 || check.denied || check.held || check.contained {
            true => format!(
                "{asked} would be unblocked: blocks and containments {held}, denials {denied}"
            ),
            false => format!("nothing stands against {asked}"),
        };
        Ok(Done::said(message))
    }

    /// Takes the source itself off the denylist; wider networks are returned, not lifted.
    fn lift_denials(
        &mut self,
        asked: IpAddr,
        network: IpNetwork,
    ) -> Result<(Vec<ListEntry>, Vec<IpNetwork>), Fault> {
        let covering = self.covering(List::Deny, Address::from(asked).to_ip())?;
        let (own, wider): (Vec<_>, Vec<_>) = covering.into_iter().partition(|entry| {
            let is_others = matches!(entry.origin, Origin::Feed | Origin::Fleet);
            let is_ours = !is_others && !self.is_configured(entry);
            is_ours && entry.network.prefix() >= network.prefix()
        });
        for entry in &own {
            self.take_out(&entry.key())?;
        }
        Ok((own, wider.into_iter().map(|entry| entry.network).collect()))
    }

    pub(in crate::daemon) fn revoke_trust(&mut self, asked: IpAddr, by: &str) -> Outcome {
        let source = SourceKey::from(asked);
        let by = match text("by", by) {
            Ok(by) => by,
            Err(fault) => return Outcome::Now(Err(fault)),
        };
        let now = self.clock.time_now();
        if self.rehearses && self.engine.explain(source, now).trust.is_some() {
            let message = format!("{asked} would lose its trust, and gain none for a day");
            return only_said(Done::said(message));
        }
        let before = Persisted::trust_of(source, &self.engine.state());
        let revoked = if self.rehearses { None } else { self.engine.revoke_trust(source, now) };
        let Some(decision) = revoked else {
            let message = format!("{asked} has no learned trust");
            return Outcome::Now(Err(Fault::not_found(message)));
        };
        info!("trust of {asked} revoked by {by}");
        let gone = |it| Pair::Trust { before: Some(it), after: None };
        self.journal.tell(|act| act.pairs.extend(before.into_iter().map(gone)));
        self.carry_out(decision);
        self.write_memory();
        let message = format!("{asked} is no longer trusted, and gains no trust for a day");
        let stored = self.journal.write_for_good(Vec::new());
        Outcome::Stored(stored, Done::new(message))
    }
}

/// What had led to the denylist is lifted in the history, too.
pub(in crate::daemon) fn escalation_lifted(entry: &ListEntry, lifted: &Lifted) -> Option<Change> {
    (entry.origin == Origin::Escalation).then(|| Change::NoteLift {
        key: BlockKey { source: entry.network, port: None, endpoint: entry.endpoint.clone() },
        started_at: entry.added_at,
        lifted: lifted.clone(),
    })
}

fn by_hand(
    source: IpNetwork,
    now: Timestamp,
    duration: Duration,
    scope: Scope,
    reason: String,
    country: Option<String>,
) -> BlockRecord {
    BlockRecord {
        source,
        kind: BlockKind::Dynamic,
        port: None,
        endpoint_only: false,
        endpoint: None,
        victim: None,
        started_at: now,
        expires_at: after(now, duration),
        duration_s: duration.as_secs(),
        scope,
        also: Vec::new(),
        rule: BY_HAND.to_owned(),
        reason,
        user_agent: None,
        account: None,
        country,
        proven: false,
        evidence_first: now,
        evidence_last: now,
        evidence: None,
        renewals: 0,
        reaction_us: None,
        escalated: false,
        lifted: None,
        refused: false,
    }
}
