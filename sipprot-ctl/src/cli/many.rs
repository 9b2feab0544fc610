//! Many entries or blocks at once.

use super::args::{AggregateArgs, Block, EditArgs, Remove, RemoveCsv, Unblock};
use super::ask::is_agreed;
use super::change::{operator, print};
use super::client::query;
use super::{CliError, Context, sheets};
use crate::api::{
    Aggregate, AggregateAnswer, Done, EditEntry, NewBlock, RemoveEntries, SheetAnswer,
};
use crate::sheet::list_name;
use crate::store::List;

pub(super) fn edit(edit: EditArgs) -> EditEntry {
    let change = edit.change;
    let forever = change.forever.then_some(0);
    EditEntry {
        network: edit.entry,
        endpoint: edit.endpoint,
        note: change.note,
        scope: change.scope,
        expires_in_s: change.time.map(|time| time.as_secs()).or(forever),
        to: change.network,
        version: edit.version,
        by: operator(),
    }
}

pub(super) fn remove(context: &Context, list: List, removal: Remove) -> Result<(), CliError> {
    let Remove { networks, csv, all, dry_run, endpoint, yes, confirm } = removal;
    if let Some(file) = csv {
        return sheets::remove(context, list, &RemoveCsv { file, dry_run, endpoint, confirm });
    }
    let name = list_name(list);
    let client = context.client()?.confirming(confirm);
    let path = format!("/lists/{name}/delete");
    let wanted = RemoveEntries { networks, all, endpoint, dry_run, by: operator() };
    if !all {
        let wanted = RemoveEntries { dry_run: false, ..wanted };
        let client = client.rehearsing(dry_run);
        return print(context, &client.post::<_, Done>(&path, &wanted)?);
    }
    let tried: SheetAnswer =
        client.post(&path, &RemoveEntries { dry_run: true, ..wanted.clone() })?;
    if dry_run {
        return context.print(&tried, sheets::told);
    }
    if !yes && !is_agreed(&format!("Remove all {} entries of the {name} list?", tried.removed))? {
        return Err(CliError::Failed("nothing is changed".to_owned()));
    }
    let done: SheetAnswer = client.post_large(&path, &wanted)?;
    context.print(&done, sheets::told)
}

pub(super) fn aggregate(
    context: &Context,
    list: List,
    args: AggregateArgs,
) -> Result<(), CliError> {
    let wanted = Aggregate { dry_run: args.dry_run, endpoint: args.endpoint, by: operator() };
    let path = format!("/lists/{}/aggregate", list_name(list));
    let answer: AggregateAnswer = context.client()?.post_large(&path, &wanted)?;
    context.print(&answer, merged)
}

/// Merges that people are shown.
const MERGES_SHOWN: usize = 50;

pub(super) fn merged(answer: &AggregateAnswer) -> String {
    let mut text = String::new();
    for merge in answer.merged.iter().take(MERGES_SHOWN) {
        let hidden = merge.count - merge.entries.len() as u64;
        let more = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
        text += &format!("{}  <-  {}{more}\n", merge.network, merge.entries.join(" "));
    }
    let hidden = answer.merges.saturating_sub(MERGES_SHOWN as u64);
    if hidden > 0 {
        let max = AggregateAnswer::SHOWN_MAX;
        text += &format!("and {hidden} more; --json names the first {max}\n");
    }
    text += &format!("{}\n", answer.message);
    if !answer.done && answer.merges > 0 {
        text += "Nothing is changed.\n";
    }
    text
}

pub(super) fn block(context: &Context, block: &Block) -> Result<(), CliError> {
    let client = context.client()?.confirming(block.confirm).rehearsing(block.dry_run);
    for address in &block.addresses {
        let new = NewBlock {
            address: *address,
            duration_s: block.time.map(|time| time.as_secs()),
            reason: block.reason.clone(),
            by: operator(),
            scope: block.scope,
        };
        print(context, &client.post("/blocks", &new)?)?;
    }
    Ok(())
}

pub(super) fn unblock(context: &Context, unblock: &Unblock) -> Result<(), CliError> {
    let client = context.client()?.rehearsing(unblock.dry_run);
    let by = query(&[("by", Some(&operator()))]);
    if unblock.all {
        let asks = !unblock.yes && !unblock.dry_run;
        if asks && !is_agreed("Lift every block, containment and quarantine?")? {
            return Err(CliError::Failed("nothing is changed".to_owned()));
        }
        return print(context, &client.delete(&format!("/blocks{by}"))?);
    }
    for address in &unblock.addresses {
        print(context, &client.delete(&format!("/blocks/{address}{by}"))?)?;
    }
    Ok(())
}
