//! What time brings: ticks for the rules, ends of blocks, writes, interfaces that come and go.

use jiff::SignedDuration;
use sipprot_common::source::SourceKey;
use tracing::{debug, error, warn};

use super::answers::Outcome;
use super::core::Core;
use crate::api::{Consent, LiveKind};
use crate::daemon::guard::own::Own;
use crate::datapath::{BlockTarget, List as KernelList};
use crate::rules::Observation;
use crate::store::{BlockKind, BlockRecord, Change, List};

/// Seconds between looks at what is due.
const TIDY_EVERY: u64 = 2;
const RECONCILE_EVERY: u64 = 5;
/// Between looks at how full the maps are.
pub(super) const FILL_EVERY: u64 = 60;
const WRITE_EVERY: u64 = 5;
const MEMORY_EVERY: u64 = 30;
const ENDPOINTS_EVERY: u64 = 10;
const GEOGRAPHY_EVERY: u64 = 5;
const SSHD_EVERY: u64 = 60;
const TRIM_EVERY: u64 = 60;

impl Core {
    /// Once a second; on an idle host it does next to nothing.
    pub(super) fn second(&mut self) {
        self.seconds += 1;
        self.look_at_clock();
        let at = self.clock.time_now();
        self.observe(&Observation::Tick { at });
        self.look_at_peaks();
        if self.seconds.is_multiple_of(TIDY_EVERY) {
            self.end_blocks_due();
            self.end_entries_due();
            self.mend_lists();
        }
        self.end_pending_due();
        self.look_at_blocklists();
        self.look_at_fleet();
        self.look_at_hub();
        if self.seconds.is_multiple_of(RECONCILE_EVERY) {
            self.reconcile();
            self.look_at_losses();
            self.try_refused();
            self.look_at_health();
            self.give_back_memory();
        }
        if self.seconds.is_multiple_of(WRITE_EVERY) {
            self.write_renewals();
            self.write_attacks();
            self.note_places();
            self.forget_fresh();
        }
        if self.seconds.is_multiple_of(ENDPOINTS_EVERY) {
            self.look_at_endpoints();
            self.look_at_own();
            self.look_at_drops();
        }
        if self.seconds.is_multiple_of(MEMORY_EVERY) {
            self.write_learned();
        }
        if self.seconds.is_multiple_of(MEMORY_EVERY)
            && (self.engine.take_new_accounts() | self.persisted.dirty)
        {
            self.write_memory();
        }
        if self.seconds.is_multiple_of(TRIM_EVERY) {
            self.trim_audit();
            self.trim_report();
        }
        if self.seconds.is_multiple_of(SSHD_EVERY) {
            self.look_at_sshd();
        }
        if self.seconds.is_multiple_of(GEOGRAPHY_EVERY) {
            self.look_for_newer_countries();
            self.look_at_databases();
        }
    }

    /// Addresses and gateways come after us when the host boots, and may change later.
    fn look_at_own(&mut self) {
        let own = Own::look();
        if own != self.own {
            self.own = own;
            self.engine.apply(self.rule_settings());
        }
    }

    /// Lists and countries take much of it, and only while they change.
    fn give_back_memory(&mut self) {
        let rested = self.kernel.with(|datapath| Ok(datapath.rest_tables()));
        if rested.is_ok_and(|it| it) {
            #[cfg(target_env = "gnu")]
            // SAFETY: gives unused pages of the heap back to the kernel.
            unsafe {
                libc::malloc_trim(0);
            }
        }
    }

    /// Blocks whose time is up by our books; the kernel's is right.
    fn end_blocks_due(&mut self) {
        let due = self.ledger.due(self.clock.timestamp_now());
        let mut ended = Vec::new();
        for record in due {
            if self.has_ended(&record) {
                self.tell_block(LiveKind::Ended, &record);
                self.ledger.remove_block(&record.key());
                ended.push(Change::EndBlock(record.key()));
            }
        }
        self.journal.write(ended);
    }

    fn has_ended(&mut self, record: &BlockRecord) -> bool {
        let source = SourceKey::from(record.source.ip());
        match record.kind {
            BlockKind::Dynamic => {
                let Some(policy) = self.plan.policy(record.key().endpoint.as_deref()) else {
                    return true;
                };
                let target = BlockTarget { source, policy };
                self.look_again(target);
                let key = record.key();
                let goes_on = self
                    .ledger
                    .blocks_of(record.source)
                    .any(|known| known.key() == key && known.expires_at > record.expires_at);
                if !goes_on {
                    // What came in while the block was being put may have left a hold.
                    self.kernel.carry("ending a block", |datapath| {
                        datapath.clear_source(source)?;
                        datapath.remove_block(target)
                    });
                }
                !goes_on
            }
            // The kernel keeps an ended containment, so that the next one is longer.
            BlockKind::Containment => true,
            BlockKind::Quarantine => {
                let port = record.port.unwrap_or_default();
                self.kernel
                    .carry("ending a quarantine", |datapath| datapath.release_port(source, port));
                true
            }
        }
    }

    fn end_entries_due(&mut self) {
        let now = self.clock.timestamp_now();
        while let Some(first) = self.expiring.first().filter(|first| first.at <= now) {
            let key = first.key.clone();
            self.expiring.pop_first();
            self.lists_version += 1;
            debug!("the list entry {} has ended", key.network);
            self.tell_list(&key, "has ended on");
            if let Some(policy) = self.plan.policy(key.endpoint.as_deref()) {
                // What has an end is in the tries alone: nothing else is touched.
                self.kernel.carry("ending a list entry", |datapath| {
                    datapath.remove_ended(kernel_list(key.list), key.network, policy)
                });
            }
            let count = &mut self.list_counts[key.list as usize];
            *count = count.saturating_sub(1);
            self.journal.write(vec![Change::RemoveList(key)]);
        }
    }

    /// By now they are in the store.
    fn forget_fresh(&mut self) {
        if self.journal.complaint().is_none() {
            let limit = self.clock.timestamp_now() - SignedDuration::from_secs(5);
            self.fresh_denials.retain(|entry| entry.added_at > limit);
            self.fresh_edits.retain(|(at, _)| *at > limit);
            self.leaving.retain(|_, at| *at > limit);
        }
    }

    pub(super) fn write_renewals(&mut self) {
        let renewed = self.ledger.take_renewed();
        self.journal.write(renewed.into_iter().map(Change::PutBlock).collect());
    }

    pub(super) fn write_attacks(&mut self) {
        let attacks = self.ledger.take_attacks();
        self.journal.note(attacks.into_iter().map(Change::AddAttack).collect());
    }

    /// Events that the kernel could not send.
    fn look_at_losses(&mut self) {
        let counts =
            self.kernel.carry("reading event counts", |datapath| datapath.event_counts().map(Some));
        let Some(Some(counts)) = counts else { return };
        let losing = counts.lost > self.lost_before && self.lost_before > 0;
        if losing && !self.losing {
            warn!("the kernel loses events: it holds the line by itself meanwhile");
        }
        self.losing = losing;
        self.lost_before = counts.lost;
    }

    /// By a signal. True if it is done; else it goes on once databases are read.
    pub(super) fn hang_up(&mut self) -> bool {
        self.journal.begin(Some(self.own_record("reload", String::new(), "SIGHUP")));
        let ahead = self.must_read_ahead(None);
        let is_done = ahead.is_none();
        match ahead {
            Some(config) => self.read_ahead(config, None),
            None => self.reload_and_log(),
        }
        self.journal.begin(None);
        is_done
    }

    pub(super) fn reload_and_log(&mut self) {
        if let Outcome::Now(Err(fault)) = self.reload_as_asked(Consent::default()) {
            error!("the configuration stays as it was: {fault}");
        }
    }
}

pub const fn kernel_list(list: List) -> KernelList {
    match list {
        List::Allow => KernelList::Allow,
        List::Deny => KernelList::Deny,
    }
}
