//! Commands that change something, by the names that the log has for them.

use crate::api::{Command, SheetUse};
use crate::report::address;
use crate::sheet::list_name;

/// What somebody does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    /// If the command says it.
    pub who: Option<String>,
    pub what: &'static str,
    /// What it is done to.
    pub target: String,
}

/// `None` for what changes nothing. Written out, so that a new command has to think of it.
pub fn act(command: &Command) -> Option<Act> {
    let (what, who, target) = match command {
        Command::AddEntry { list, entry, .. } => {
            let target = format!("{} {}", list_name(*list), address(entry.network));
            ("list.add", &entry.added_by, target)
        }
        Command::EditEntry { list, edit } => {
            let target = format!("{} {}", list_name(*list), address(edit.network));
            ("list.edit", &edit.by, target)
        }
        Command::RemoveEntry { list, network, by, .. } => {
            ("list.remove", by, format!("{} {}", list_name(*list), address(*network)))
        }
        Command::ApplySheet { read, .. } => {
            let answer = &read.answer;
            let what = match answer.usage {
                SheetUse::Import => "list.import",
                SheetUse::Remove => "list.remove_csv",
            };
            let target = format!("{}, {} rows", list_name(answer.list), answer.rows);
            return Some(Act { who: None, what, target });
        }
        Command::Confirm { cancel, by } => {
            (if *cancel { "cancel" } else { "confirm" }, by, String::new())
        }
        Command::Block(block) => ("block", &block.by, block.address.to_string()),
        Command::Unblock { address, by } => ("unblock", by, address.to_string()),
        Command::RevokeTrust { address, by } => ("trust.revoke", by, address.to_string()),
        Command::AddPeer(peer) => ("peer.add", &peer.added_by, address(peer.network)),
        Command::RemovePeer { network, by } => ("peer.remove", by, address(*network)),
        Command::LearnStart(start) => ("learn.start", &start.by, format!("{} days", start.days)),
        Command::LearnAccept(accept) if accept.dry_run => return None,
        Command::LearnAccept(accept) => ("learn.accept", &accept.by, String::new()),
        Command::LearnStop { by } => ("learn.stop", by, String::new()),
        Command::LearnDiscard { by } => ("learn.discard", by, String::new()),
        Command::ApplySettings { staged, .. } => ("settings", &staged.by, staged.target()),
        Command::Reload { .. } => {
            return Some(Act { who: None, what: "reload", target: String::new() });
        }
        Command::Undo { number, by, .. } => ("undo", by, format!("{number}")),
        Command::Note(note) => (note.what.name(), &note.who, note.target.clone()),
        Command::Version
        | Command::Status
        | Command::Entries { .. }
        | Command::ReadSheet { .. }
        | Command::ExportList { .. }
        | Command::Blocks { .. }
        | Command::Trust
        | Command::Blocklists
        | Command::Peers
        | Command::Check { .. }
        | Command::Why { .. }
        | Command::Report { .. }
        | Command::Learn
        | Command::LearnProposal
        | Command::GeoPreview(_)
        | Command::Schema
        | Command::Settings
        | Command::ChangeSettings { .. }
        | Command::Audit { .. }
        | Command::Ingest { .. }
        | Command::Metrics => return None,
    };
    Some(Act { who: Some(who.clone()), what, target })
}
