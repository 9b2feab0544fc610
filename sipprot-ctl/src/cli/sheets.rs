//! Lists as files: `import`, `export`, `template` and `remove --csv`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::args::{Export, Import, RemoveCsv};
use super::change::operator;
use super::client::query;
use super::import::How;
use super::{CliError, Context, write_out};
use crate::api::{SheetAnswer, SheetUse};
use crate::sheet::{self, list_name};
use crate::store::List;

/// Lines named by a command that people read.
const FAULTS_SHOWN: usize = 20;

pub(super) fn import(context: &Context, list: List, import: &Import) -> Result<(), CliError> {
    let flags = Flags {
        dry_run: import.dry_run,
        confirm: import.confirm,
        endpoint: import.endpoint.as_deref(),
        zone: Some(import.zone.as_str()),
    };
    send(context, list, "import", open(&import.file)?, &flags)
}

/// Rows that were made of what another program printed; times say their zone.
pub(super) fn import_made(
    context: &Context,
    list: List,
    rows: Vec<u8>,
    how: &How,
) -> Result<(), CliError> {
    let flags = Flags {
        dry_run: how.dry_run,
        confirm: how.confirm,
        endpoint: how.endpoint.as_deref(),
        zone: None,
    };
    send(context, list, "import", Box::new(io::Cursor::new(rows)), &flags)
}

pub(super) fn remove(context: &Context, list: List, remove: &RemoveCsv) -> Result<(), CliError> {
    let flags = Flags {
        dry_run: remove.dry_run,
        confirm: remove.confirm,
        endpoint: remove.endpoint.as_deref(),
        zone: None,
    };
    send(context, list, "remove", open(&remove.file)?, &flags)
}

struct Flags<'a> {
    dry_run: bool,
    confirm: bool,
    endpoint: Option<&'a str>,
    zone: Option<&'a str>,
}

fn send(
    context: &Context,
    list: List,
    verb: &str,
    file: Box<dyn Read + Send>,
    flags: &Flags<'_>,
) -> Result<(), CliError> {
    let query = query(&[
        ("by", Some(&operator())),
        ("dry_run", flags.dry_run.then_some("true")),
        ("endpoint", flags.endpoint),
        ("zone", flags.zone),
    ]);
    let client = context.client()?.confirming(flags.confirm);
    let answer: SheetAnswer =
        client.upload(&format!("/lists/{}/{verb}{query}", list_name(list)), file)?;
    context.print(&answer, told)?;
    if answer.invalid > 0 {
        return Err(CliError::Failed(format!("{} lines are wrong", answer.invalid)));
    }
    Ok(())
}

/// `-` is what comes on stdin.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>, CliError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path)
        .map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?;
    Ok(Box::new(file))
}

pub(super) fn told(answer: &SheetAnswer) -> String {
    let mut text = String::new();
    let name = list_name(answer.list);
    if answer.done {
        text += &format!("{}\n", answer.message);
    } else {
        text += &format!("Nothing is changed yet: this is what the {name} list would get.\n");
    }
    let counts: &[(&str, u64)] = match answer.usage {
        SheetUse::Import => &[
            ("new", answer.new),
            ("changed", answer.changed),
            ("already there, just so", answer.unchanged),
            ("duplicate rows (the last one counts)", answer.duplicate),
            ("covered by a wider network anyway", answer.covered),
            ("invalid", answer.invalid),
        ],
        SheetUse::Remove => &[
            ("removed", answer.removed),
            ("not on the list", answer.absent),
            ("duplicate rows", answer.duplicate),
            ("invalid", answer.invalid),
        ],
    };
    text += &format!("{:>10} rows\n", answer.rows);
    for (what, count) in counts.iter().filter(|(_, count)| *count > 0) {
        text += &format!("{count:>10} {what}\n");
    }
    for fault in answer.faults.iter().take(FAULTS_SHOWN) {
        text += &format!("  {fault}\n");
    }
    let hidden = answer.invalid.saturating_sub(FAULTS_SHOWN as u64);
    if hidden > 0 {
        text +=
            &format!("  and {hidden} more; --json names the first {}\n", SheetAnswer::FAULTS_MAX);
    }
    for cut in &answer.cuts_off {
        text += &format!("  THIS CUTS OFF {cut}\n");
    }
    if answer.usage == SheetUse::Import {
        text += &format!("Times without a zone are {}.\n", answer.zone);
    }
    if let (Some(enforced), Some(durable)) = (answer.enforced_s, answer.durable_s) {
        text += &format!("In force after {enforced:.1} s, on the disk after {durable:.1} s.\n");
    }
    text
}

pub(super) fn export(context: &Context, list: List, export: &Export) -> Result<(), CliError> {
    let query = query(&[("endpoint", export.endpoint.as_deref())]);
    let path = format!("/lists/{}/csv{query}", list_name(list));
    context.client()?.download(&path, &mut io::stdout().lock())
}

pub(super) fn template(list: List) -> Result<(), CliError> {
    write_out(&sheet::template(list))
}
