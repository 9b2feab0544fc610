//! Lists as files: uploaded, looked at and carried out, or sent out.
//!
//! A file travels through an unnamed one in the spool, so that no size of it is ever in memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;
use tracing::error;

use super::Rooms;
use super::asker::Asker;
use super::consent::Consented;
use super::error::Params;
use super::pieces::Pieces;
use super::routes::{Called, list_named};
use crate::api::{
    Answer, Code, Command, Consent, Fault, List, ReadSheet, RemoveEntries, Sheet, SheetAnswer,
    SheetUse, nobody,
};

/// Where files lie while they pass through.
#[derive(Clone)]
pub(super) struct Spool(PathBuf);

impl FromRef<Rooms> for Spool {
    fn from_ref(rooms: &Rooms) -> Self {
        Self(rooms.spool.clone())
    }
}

/// Bytes of an uploaded file.
const SHEET_BYTES_MAX: u64 = 512 << 20;
const PIECE: usize = 64 << 10;
const PIECES_WAITING: usize = 8;
/// A list may change while a file is looked at; then it is looked at again.
const TRIES: usize = 3;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SheetParams {
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    endpoint: Option<String>,
    /// Of times that don't say theirs.
    #[serde(default = "utc")]
    zone: String,
    #[serde(default = "nobody")]
    by: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

pub(super) async fn import(
    asker: Asker,
    State(spool): State<Spool>,
    Path(list): Path<String>,
    Params(params): Params<SheetParams>,
    Consented(consent): Consented,
    body: Body,
) -> Called {
    change(&asker, &spool, (&list, SheetUse::Import), params, consent, body).await
}

pub(super) async fn remove(
    asker: Asker,
    State(spool): State<Spool>,
    Path(list): Path<String>,
    Params(params): Params<SheetParams>,
    Consented(consent): Consented,
    body: Body,
) -> Called {
    change(&asker, &spool, (&list, SheetUse::Remove), params, consent, body).await
}

async fn change(
    asker: &Asker,
    spool: &Spool,
    (list, usage): (&str, SheetUse),
    params: SheetParams,
    consent: Consent,
    body: Body,
) -> Called {
    let SheetParams { dry_run, endpoint, zone, by } = params;
    let (list, began) = (list_named(list)?, Instant::now());
    let file = Arc::new(upload(&spool.0, body).await?);
    let sheet = Sheet { list, usage, file, endpoint, zone, by, began };
    carry_out(asker, &sheet, dry_run, consent).await
}

/// A list's own export, taken for a file of what is to be removed.
pub(super) async fn remove_all(
    asker: &Asker,
    spool: &Spool,
    list: List,
    removal: RemoveEntries,
    consent: Consent,
) -> Called {
    let RemoveEntries { endpoint, dry_run, by, .. } = removal;
    let (file, began) = (Arc::new(unnamed(&spool.0)?), Instant::now());
    let (into, of) = (file.clone(), endpoint.clone());
    asker.call(Command::ExportList { list, endpoint: of, into }).await?;
    let (usage, zone) = (SheetUse::Remove, utc());
    let sheet = Sheet { list, usage, file, endpoint, zone, by, began };
    carry_out(asker, &sheet, dry_run, consent).await
}

async fn carry_out(asker: &Asker, sheet: &Sheet, dry_run: bool, consent: Consent) -> Called {
    for _ in 0..TRIES {
        let read = match asker.call(Command::ReadSheet { sheet: sheet.clone(), consent }).await? {
            Answer::Read(read) => read,
            _ => return Err(Fault::internal()),
        };
        if dry_run {
            return Ok(axum::Json(read.answer).into_response());
        }
        faultless(&read)?;
        match asker.call(Command::ApplySheet { read, consent }).await {
            Err(fault) if fault.code == Code::Conflict => {}
            answer => return Ok(axum::Json(answer?).into_response()),
        }
    }
    Err(Fault::new(Code::Conflict, "the lists change all the time: try again"))
}

/// All of a file or nothing.
fn faultless(read: &ReadSheet) -> Result<(), Fault> {
    let SheetAnswer { invalid, faults, .. } = &read.answer;
    let Some(first) = faults.first() else { return Ok(()) };
    let field = format!("line {}, {}", first.line, first.field);
    let more = if *invalid > 1 {
        format!("; {} more lines are wrong", invalid - 1)
    } else {
        String::new()
    };
    Err(Fault::invalid(&field, format!("{}{more}. Nothing is changed", first.message)))
}

async fn upload(spool: &FilePath, mut body: Body) -> Result<File, Fault> {
    let mut file = unnamed(spool)?;
    let (pieces, mut taken) = mpsc::channel::<Bytes>(PIECES_WAITING);
    let written = tokio::task::spawn_blocking(move || -> io::Result<File> {
        while let Some(piece) = taken.blocking_recv() {
            file.write_all(&piece)?;
        }
        Ok(file)
    });
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::invalid("body", error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        bytes += piece.len() as u64;
        if bytes > SHEET_BYTES_MAX {
            return Err(Fault::invalid("body", format!("more than {SHEET_BYTES_MAX} bytes")));
        }
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    drop(pieces);
    match written.await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(unusable(&error)),
        Err(_) => Err(Fault::internal()),
    }
}

fn unnamed(spool: &FilePath) -> Result<File, Fault> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600);
    options.open(spool).map_err(|error| unusable(&error))
}

fn unusable(error: &io::Error) -> Fault {
    error!("no room for a file that passes through: {error}");
    Fault::unavailable("the state directory can't take the file: see the daemon's log")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportParams {
    #[serde(default)]
    endpoint: Option<String>,
}

pub(super) async fn export(
    asker: Asker,
    State(spool): State<Spool>,
    Path(list): Path<String>,
    Params(ExportParams { endpoint }): Params<ExportParams>,
) -> Called {
    let (list, into) = (list_named(&list)?, Arc::new(unnamed(&spool.0)?));
    asker.call(Command::ExportList { list, endpoint, into: into.clone() }).await?;
    let (pieces, taken) = mpsc::channel::<io::Result<Bytes>>(PIECES_WAITING);
    tokio::task::spawn_blocking(move || send_out(&into, &pieces));
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    Ok((kind, Body::new(Pieces(taken))).into_response())
}

/// Until the file ends or nobody listens any more.
fn send_out(file: &File, pieces: &mpsc::Sender<io::Result<Bytes>>) {
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    loop {
        let bytes = match file.read_at(&mut piece, at) {
            Ok(0) => return,
            Ok(length) => {
                at += length as u64;
                Ok(Bytes::copy_from_slice(&piece[..length]))
            }
            Err(error) => Err(error),
        };
        let failed = bytes.is_err();
        if pieces.blocking_send(bytes).is_err() || failed {
            return;
        }
    }
}
