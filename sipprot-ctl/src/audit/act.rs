//! Commands that change something, by the names that the log has for them.

use crate::api::{Command, ServiceAct, SheetUse};
use crate::report::address;
use crate::sheet::list_name;

/// What somebody does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    pub what: &'static str,
    /// What it is done to.
    pub target: String,
}

/// `None` for what changes nothing. Written out, so that a new command has to think of it.
pub fn act(command: &Command) -> Option<Act> {
    let (what, target) = match command {
        Command::AddEntry { list, entry, .. } => {
            let target = format!("{} {}", list_name(*list), address(entry.network));
            ("list.add", target)
        }
        Command::EditEntry { list, edit, .. } => {
            let target = format!("{} {}", list_name(*list), address(edit.network));
            ("list.edit", target)
        }
        Command::RemoveEntry { list, network, .. } => {
            ("list.remove", format!("{} {}", list_name(*list), address(*network)))
        }
        Command::RemoveEntries { removal, .. } if removal.dry_run => return None,
        Command::RemoveEntries { list, removal, .. } => {
            let which = match (removal.all, &removal.endpoint) {
                (true, None) => "all".to_owned(),
                (true, Some(endpoint)) => format!("all of {endpoint}"),
                (false, _) => several(removal.networks.iter().copied().map(address)),
            };
            ("list.remove", format!("{} {which}", list_name(*list)))
        }
        Command::MoveEntries { list, entries, .. } => {
            let moved = several(entries.networks.iter().copied().map(address));
            ("list.move", format!("{} {moved}", list_name(*list)))
        }
        Command::Merge { found } => ("list.aggregate", list_name(found.answer.list).to_owned()),
        Command::DenyBlocks { blocks, .. } => {
            ("block.deny", several(blocks.addresses.iter().map(ToString::to_string)))
        }
        Command::UnblockAll { .. } => ("unblock", "all".to_owned()),
        Command::Settle { repair: true, .. } => ("repair", String::new()),
        Command::ApplySheet { read, .. } => {
            let answer = &read.answer;
            let what = match answer.usage {
                SheetUse::Import => "list.import",
                SheetUse::Remove => "list.remove_csv",
            };
            let target = format!("{}, {} rows", list_name(answer.list), answer.rows);
            (what, target)
        }
        Command::Confirm { cancel, .. } => {
            (if *cancel { "cancel" } else { "confirm" }, String::new())
        }
        Command::Block { block, .. } => ("block", block.address.to_string()),
        Command::Unblock { address, .. } => ("unblock", address.to_string()),
        Command::RevokeTrust { address, .. } => ("trust.revoke", address.to_string()),
        Command::AddPeer(peer) => ("peer.add", address(peer.network)),
        Command::RemovePeer { network, .. } => ("peer.remove", address(*network)),
        Command::LearnStart(start) => ("learn.start", format!("{} days", start.days)),
        Command::LearnAccept(accept) if accept.dry_run => return None,
        Command::LearnAccept(_) => ("learn.accept", String::new()),
        Command::LearnStop { .. } => ("learn.stop", String::new()),
        Command::LearnDiscard { .. } => ("learn.discard", String::new()),
        // Until it is known what of it is a change.
        Command::ChangeSettings { .. } => ("settings", String::new()),
        Command::ApplySettings { staged, .. } => ("settings", staged.target()),
        Command::Reload { .. } => ("reload", String::new()),
        Command::Undo { number, .. } => ("undo", format!("{number}")),
        Command::ActOnService(ServiceAct::Restart { .. }) => ("service.restart", String::new()),
        Command::ActOnService(ServiceAct::Stop(stop)) => (
            "service.stop",
            stop.again_in_s.map_or_else(String::new, |time| format!("for {time} s")),
        ),
        Command::NotifyTest(test) => ("notify.test", several(test.to.iter().cloned())),
        Command::Note(note) => (note.what.name(), note.target.clone()),
        // Users and tokens; never what proves them.
        Command::AddUser(user) => ("user.add", user.name.clone()),
        Command::EditUser { name, .. } => ("user.edit", name.clone()),
        Command::RemoveUser { name, .. } => ("user.remove", name.clone()),
        Command::AddToken(token) => ("token.add", token.name.clone()),
        Command::RevokeToken { name, .. } => ("token.revoke", name.clone()),
        Command::FleetJudge(judge) => {
            ("fleet.judge", several(judge.sources.iter().copied().map(address)))
        }
        Command::FleetProtect(protect) => ("fleet.protect", address(protect.network)),
        Command::Users
        | Command::Tokens
        | Command::Version
        | Command::Status
        | Command::Health
        | Command::Entries { .. }
        | Command::ReadSheet { .. }
        | Command::ExportList { .. }
        | Command::Blocks { .. }
        | Command::Trust { .. }
        | Command::Blocklists { .. }
        | Command::Peers { .. }
        | Command::Check { .. }
        | Command::Why { .. }
        | Command::Report { .. }
        | Command::Summary { .. }
        | Command::Learn
        | Command::LearnProposal
        | Command::GeoPreview(_)
        | Command::Schema
        | Command::Settings
        | Command::Audit { .. }
        | Command::Ingest { .. }
        | Command::Metrics
        | Command::Aggregate { .. }
        | Command::Abuse { .. }
        | Command::Compare
        | Command::Settle { .. }
        | Command::Rehearse(_)
        | Command::NotifyStatus
        | Command::NotifyLog { .. }
        | Command::Follow
        | Command::Doctor
        | Command::Service
        | Command::Fleet
        | Command::FleetHub
        | Command::FleetHosts
        | Command::FleetSources { .. }
        | Command::FleetLog { .. }
        | Command::Top { .. } => return None,
    };
    Some(Act { what, target })
}

/// One by its name, more by the first and how many there are.
fn several(mut names: impl ExactSizeIterator<Item = String>) -> String {
    let others = names.len().saturating_sub(1);
    let first = names.next().unwrap_or_default();
    if others == 0 { first } else { format!("{first} and {others} more") }
}
