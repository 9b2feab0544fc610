//! Blocks that the kernel does not take, most likely because its map is full: told, kept, and tried
//! again until their time is up. The kernel's own window and holds stand in the meantime.

use sipprot_common::source::SourceKey;
use tracing::info;

use crate::daemon::core::Core;
use crate::datapath::DatapathError;
use crate::report::address;
use crate::store::{BlockRecord, Change};

/// More are counted only: who fills the map must not fill the memory as well.
const REFUSED_MAX: usize = 4_096;
/// Tried at once.
const TRIES_MAX: usize = 256;

impl Core {
    /// A block by the rules that is not in force. It counts towards escalation all the same.
    pub(in crate::daemon) fn refused(
        &mut self,
        source: SourceKey,
        record: BlockRecord,
        error: &DatapathError,
    ) {
        self.kernel.failed("blocking", error);
        let standing = self.standing(source);
        let mut changes = vec![Change::PutStanding(standing)];
        if self.ledger.refused_len() < REFUSED_MAX {
            let record = BlockRecord { refused: true, ..record };
            self.ledger.put_block(record.clone());
            changes.push(Change::PutBlock(record));
        }
        self.journal.write(changes);
    }

    /// Tries again what was refused.
    pub(in crate::daemon) fn try_refused(&mut self) {
        let now = self.clock.timestamp_now();
        let refused = self.ledger.refused().filter(|record| now < record.expires_at);
        let refused: Vec<BlockRecord> = refused.take(TRIES_MAX).cloned().collect();
        let mut changes = Vec::new();
        for record in refused {
            match self.try_put_back(&record) {
                Ok(()) => {
                    info!("blocked {} after all: {}", address(record.source), record.rule);
                    self.metrics.judgement.blocks.with_label_values(&["dynamic"]).inc();
                    let record = BlockRecord { refused: false, ..record };
                    self.ledger.put_block(record.clone());
                    changes.push(Change::PutBlock(record));
                }
                Err(DatapathError::MapFull { .. }) => break,
                Err(_) => {}
            }
        }
        self.journal.write(changes);
    }
}
