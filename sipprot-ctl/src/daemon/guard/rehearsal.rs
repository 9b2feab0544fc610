//! Changes that are only tried: all that could refuse them is looked at, and nothing is done.
//!
//! A change asks [`Core::would`] once nothing can refuse it any more, before it touches anything.

use crate::api::{Answer, Command, Consent, Done, Fault};
use crate::daemon::answers::Outcome;
use crate::daemon::core::Core;

impl Core {
    pub(in crate::daemon) fn rehearse(&mut self, command: Command) -> Outcome {
        self.rehearses = true;
        let outcome = match command {
            Command::AddEntry { list, entry, consent } => self.add_entry(list, entry, consent),
            Command::EditEntry { list, edit, consent } => self.edit_entry(list, &edit, consent),
            Command::RemoveEntries { list, removal, consent } => {
                self.remove_entries(list, &removal, consent)
            }
            Command::MoveEntries { list, entries, consent } => {
                self.move_entries(list, &entries, consent)
            }
            Command::RemoveEntry { list, network, by, consent } => {
                self.remove_entry(list, network, &by, consent)
            }
            Command::DenyBlocks { blocks, consent } => self.deny_blocks(&blocks, consent),
            Command::UnblockAll { kind, by } => self.unblock_all(kind, &by),
            Command::Block { block, consent } => self.block_by_hand(block, consent),
            Command::Unblock { address, by } => self.unblock(address, &by),
            Command::RevokeTrust { address, by } => self.revoke_trust(address, &by),
            Command::AddPeer(peer) => self.add_peer(peer),
            Command::RemovePeer { network, by } => self.remove_peer(network, &by),
            Command::Reload { consent } => Outcome::Now(self.try_reload(consent).map(Answer::Done)),
            _ => {
                let what = "this can't be tried without doing it";
                Outcome::Now(Err(Fault::invalid(Consent::DRY_RUN, what)))
            }
        };
        self.rehearses = false;
        outcome
    }

    /// What is said of a change that is only tried.
    pub(in crate::daemon) fn would(&self, message: impl FnOnce() -> String) -> Option<Done> {
        self.rehearses.then(|| Done::said(message()))
    }
}

pub(in crate::daemon) fn only_said(done: Done) -> Outcome {
    Outcome::Now(Ok(Answer::Done(done)))
}
