//! Commands that change something: lists, blocks, trust, the configuration in force.

use std::net::IpAddr;

use super::args::{Block, Edit, EditVerb, Peer, PeerVerb, RemoveCsv, Trust, TrustVerb};
use super::client::query;
use super::{CliError, Context, lists, sheets};
use crate::api::{Done, EditEntry, NewBlock, NewEntry, NewPeer};
use crate::sheet::list_name;
use crate::store::List;

pub(super) fn edit(context: &Context, list: List, edit: Edit) -> Result<(), CliError> {
    let name = list_name(list);
    let client = context.client()?;
    let done: Done = match edit.verb {
        EditVerb::Import(import) => return sheets::import(context, list, &import),
        EditVerb::Export(export) => return sheets::export(context, list, &export),
        EditVerb::Template => return sheets::template(list),
        EditVerb::Remove { csv: Some(file), dry_run, endpoint, confirm, .. } => {
            let remove = RemoveCsv { file, dry_run, endpoint, confirm };
            return sheets::remove(context, list, &remove);
        }
        EditVerb::Edit { network, note, endpoint, dry_run } => {
            let edit = EditEntry { network, note, endpoint, by: operator() };
            client.rehearsing(dry_run).patch(&format!("/lists/{name}"), &edit)?
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
        EditVerb::Remove { network, confirm, dry_run, .. } => {
            let network = network.map(|network| network.to_string());
            let query = query(&[("network", network.as_deref()), ("by", Some(&operator()))]);
            let client = client.confirming(confirm).rehearsing(dry_run);
            client.delete(&format!("/lists/{name}{query}"))?
        }
    };
    print(context, &done)
}

pub(super) fn block(context: &Context, block: Block) -> Result<(), CliError> {
    let new = NewBlock {
        address: block.address,
        duration_s: block.time.map(|time| time.as_secs()),
        reason: block.reason,
        by: operator(),
        scope: block.scope,
    };
    print(context, &context.client()?.rehearsing(block.dry_run).post("/blocks", &new)?)
}

pub(super) fn unblock(context: &Context, address: IpAddr, dry_run: bool) -> Result<(), CliError> {
    let by = query(&[("by", Some(&operator()))]);
    let client = context.client()?.rehearsing(dry_run);
    print(context, &client.delete(&format!("/blocks/{address}{by}"))?)
}

pub(super) fn trust(context: &Context, trust: Trust) -> Result<(), CliError> {
    match trust.verb {
        TrustVerb::List => lists::trust(context),
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
        PeerVerb::List => lists::peers(context),
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

fn print(context: &Context, done: &Done) -> Result<(), CliError> {
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
