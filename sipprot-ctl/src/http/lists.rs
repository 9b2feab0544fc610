//! Rows of lists, changes of many entries, and what the kernel holds of them.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Deserialize;

use super::asker::Asker;
use super::consent::Consented;
use super::error::{Body, Params};
use super::routes::{Called, address, answer, list_named};
use super::sheets::{self, Spool};
use crate::api::{
    Aggregate, Answer, BlockKind, Code, Command, DenyBlocks, EditEntry, Fault, ListQuery,
    MoveEntries, NewBlock, RemoveEntries, ReportQuery, SummaryQuery, Verification, nobody,
};

/// A list may change while it is looked at; then it is looked at again.
const TRIES: usize = 3;

pub(super) async fn entries(
    asker: Asker,
    Path(list): Path<String>,
    Params(query): Params<ListQuery>,
) -> Called {
    answer(&asker, Command::Entries { list: list_named(&list)?, query }).await
}

pub(super) async fn edit_entry(
    asker: Asker,
    Path(list): Path<String>,
    Consented(consent): Consented,
    Body(edit): Body<EditEntry>,
) -> Called {
    answer(&asker, Command::EditEntry { list: list_named(&list)?, edit, consent }).await
}

/// Some by name, or all; all of them go the way of a file.
pub(super) async fn delete(
    asker: Asker,
    State(spool): State<Spool>,
    Path(list): Path<String>,
    Consented(consent): Consented,
    Body(removal): Body<RemoveEntries>,
) -> Called {
    let list = list_named(&list)?;
    match (removal.all, removal.networks.is_empty()) {
        (true, true) => sheets::remove_all(&asker, &spool, list, removal, consent).await,
        (true, false) => Err(Fault::invalid("networks", "either some networks, or all")),
        (false, _) if removal.dry_run => {
            Err(Fault::invalid("dry_run", "only a removal of all can be tried"))
        }
        (false, _) => answer(&asker, Command::RemoveEntries { list, removal, consent }).await,
    }
}

pub(super) async fn move_entries(
    asker: Asker,
    Path(list): Path<String>,
    Consented(consent): Consented,
    Body(entries): Body<MoveEntries>,
) -> Called {
    answer(&asker, Command::MoveEntries { list: list_named(&list)?, entries, consent }).await
}

pub(super) async fn aggregate(
    asker: Asker,
    Path(list): Path<String>,
    Body(wanted): Body<Aggregate>,
) -> Called {
    let list = list_named(&list)?;
    for _ in 0..TRIES {
        let command = Command::Aggregate { list, wanted: wanted.clone() };
        let Answer::MergesFound(found) = asker.call(command).await? else {
            return Err(Fault::internal());
        };
        if wanted.dry_run || found.answer.merges == 0 {
            return Ok(axum::Json(found.answer).into_response());
        }
        let merged = found.answer.clone();
        match asker.call(Command::Merge { found }).await {
            Err(fault) if fault.code == Code::Conflict => {}
            Err(fault) => return Err(fault),
            Ok(Answer::Done(done)) => {
                let merged =
                    crate::api::AggregateAnswer { done: true, message: done.message, ..merged };
                return Ok(axum::Json(merged).into_response());
            }
            Ok(_) => return Err(Fault::internal()),
        }
    }
    Err(changing())
}

fn changing() -> Fault {
    Fault::new(Code::Conflict, "the lists change all the time: try again")
}

pub(super) async fn blocks(asker: Asker, Params(query): Params<ListQuery>) -> Called {
    answer(&asker, Command::Blocks { query }).await
}

pub(super) async fn block(
    asker: Asker,
    Consented(consent): Consented,
    Body(block): Body<NewBlock>,
) -> Called {
    answer(&asker, Command::Block { block, consent }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lifting {
    #[serde(default)]
    kind: Option<BlockKind>,
    #[serde(default = "nobody")]
    by: String,
}

pub(super) async fn unblock_all(
    asker: Asker,
    Params(Lifting { kind, by }): Params<Lifting>,
) -> Called {
    answer(&asker, Command::UnblockAll { kind, by }).await
}

pub(super) async fn deny_blocks(
    asker: Asker,
    Consented(consent): Consented,
    Body(blocks): Body<DenyBlocks>,
) -> Called {
    answer(&asker, Command::DenyBlocks { blocks, consent }).await
}

pub(super) async fn trust(asker: Asker, Params(query): Params<ListQuery>) -> Called {
    answer(&asker, Command::Trust { query }).await
}

pub(super) async fn peers(asker: Asker, Params(query): Params<ListQuery>) -> Called {
    answer(&asker, Command::Peers { query }).await
}

pub(super) async fn blocklists(asker: Asker, Params(query): Params<ListQuery>) -> Called {
    answer(&asker, Command::Blocklists { query }).await
}

pub(super) async fn report(asker: Asker, Params(query): Params<ReportQuery>) -> Called {
    answer(&asker, Command::Report { query }).await
}

pub(super) async fn summary(asker: Asker, Params(query): Params<SummaryQuery>) -> Called {
    answer(&asker, Command::Summary { query }).await
}

pub(super) async fn report_csv(asker: Asker, Params(query): Params<ReportQuery>) -> Called {
    let Answer::Report(report) = asker.call(Command::Report { query }).await? else {
        return Err(Fault::internal());
    };
    let csv = crate::report::sheet::csv(&report).map_err(|_| Fault::internal())?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv).into_response())
}

pub(super) async fn abuse(asker: Asker, Path(text): Path<String>) -> Called {
    answer(&asker, Command::Abuse { address: address(&text)? }).await
}

pub(super) async fn verify(asker: Asker) -> Called {
    Ok(axum::Json(verified(&asker, false).await?).into_response())
}

/// Puts right what differs, and looks again.
pub(super) async fn repair(asker: Asker) -> Called {
    let found = verified(&asker, true).await?;
    let repaired = !found.agrees && verified(&asker, false).await?.agrees;
    Ok(axum::Json(Verification { repaired, ..found }).into_response())
}

async fn verified(asker: &Asker, repair: bool) -> Result<Verification, Fault> {
    for _ in 0..TRIES {
        let Answer::Compared(compared) = asker.call(Command::Compare).await? else {
            return Err(Fault::internal());
        };
        match asker.call(Command::Settle { compared, repair }).await {
            Err(fault) if fault.code == Code::Conflict => {}
            Err(fault) => return Err(fault),
            Ok(Answer::Verified(found)) => return Ok(found),
            Ok(_) => return Err(Fault::internal()),
        }
    }
    Err(changing())
}
