//! Commands that change something: lists, blocks, trust, the configuration in force.

use super::args::{Edit, EditVerb, Peer, PeerVerb, Trust, TrustVerb};
use super::client::query;
use super::{CliError, Context, lists, many, sheets};
use crate::api::{Done, MoveEntries, NewEntry, NewPeer};
use crate::sheet::list_name;
use crate::store::List;

pub(super) fn edit(context: &Context, list: List, edit: Edit) -> Result<(), CliError> {
    let name = list_name(list);
    let client = context.client()?;
    let done: Done = match edit.verb {
        EditVerb::Import(import) => return sheets::import(context, list, &import),
        EditVerb::Export(export) => return sheets::export(context, list, &export),
        EditVerb::Template => return sheets::template(list),
        EditVerb::Remove(removal) => return many::remove(context, list, removal),
        EditVerb::Aggregate(wanted) => return many::aggregate(context, list, wanted),
        EditVerb::Move(moved) => {
            let entries = MoveEntries { networks: moved.networks, to: moved.to, by: operator() };
            let path = format!("/lists/{name}/move");
            client.confirming(moved.confirm).rehearsing(moved.dry_run).post(&path, &entries)?
        }
        EditVerb::Edit(edit) => {
            let path = format!("/lists/{name}");
            let client = client.confirming(edit.confirm).rehearsing(edit.dry_run);
            client.patch(&path, &many::edit(edit))?
        }
        EditVerb::Add(add) => {
            let entry = NewEntry {
                network: add.network,
                note: add.note,
                added_by: operator(),
                expires_in_s: add.time.map(|time| time.as_secs()),
                scope: add.scope,
                endpoint: add.endpoint,
            };
            let client = client.confirming(add.confirm).rehearsing(add.dry_run);
            client.post(&format!("/lists/{name}"), &entry)?
        }
    };
    print(context, &done)
}

pub(super) fn trust(context: &Context, trust: Trust) -> Result<(), CliError> {
    match trust.verb {
        TrustVerb::List(filter) => lists::trust(context, &filter),
        TrustVerb::Revoke { address, dry_run } => {
            let by = query(&[("by", Some(&operator()))]);
            let client = context.client()?.rehearsing(dry_run);
            print(context, &client.delete(&format!("/trust/{address}{by}"))?)
        }
    }
}

pub(super) fn peer(context: &Context, peer: Peer) -> Result<(), CliError> {
    match peer.verb {
        PeerVerb::Add { network, note, rate, dry_run } => {
            let new = NewPeer { network, rate, note, added_by: operator() };
            print(context, &context.client()?.rehearsing(dry_run).post("/peers", &new)?)
        }
        PeerVerb::List(filter) => lists::peers(context, &filter),
        PeerVerb::Remove { network, dry_run } => {
            let network = network.to_string();
            let query = query(&[("network", Some(&network)), ("by", Some(&operator()))]);
            let client = context.client()?.rehearsing(dry_run);
            print(context, &client.delete(&format!("/peers{query}"))?)
        }
    }
}

pub(super) fn reload(context: &Context, confirm: bool, dry_run: bool) -> Result<(), CliError> {
    let client = context.client()?.confirming(confirm).rehearsing(dry_run);
    print(context, &client.post("/reload", &())?)
}

pub(super) fn confirm(context: &Context, cancel: bool) -> Result<(), CliError> {
    let (client, by) = (context.client()?, query(&[("by", Some(&operator()))]));
    let path = format!("/confirm{by}");
    let done = if cancel { client.delete(&path)? } else { client.post(&path, &())? };
    print(context, &done)
}

pub(super) fn print(context: &Context, done: &Done) -> Result<(), CliError> {
    context.print(done, |done| format!("{}\n", done.message))
}

/// Who sits at the terminal, for the note of who did it.
pub(super) fn operator() -> String {
    ["SUDO_USER", "LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .map(|name| crate::message::clean(name.as_bytes(), 64))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "root".to_owned())
}
