//! `sipprot import`: the lists of another program, taken over.
//!
//! A running fail2ban or CrowdSec is asked by its own command. fail2ban's database is read by `sqlite3`: for
//! one look, and one that only some ever take, a database engine is not linked.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args as ClapArgs, Subcommand};
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::{Import as CsvImport, either};
use super::sheets::{self, open};
use super::{CliError, Context, complete, write_out};
use crate::foreign::fail2ban::{self, Clock};
use crate::foreign::{Found, crowdsec};
use crate::store::List;

/// Rows that a first look shows.
const SHOWN: usize = 20;
const FAIL2BAN: &str = "fail2ban-client";

#[derive(ClapArgs, Debug)]
pub struct Import {
    #[command(subcommand)]
    pub verb: ImportVerb,
}

#[derive(Subcommand, Debug)]
pub enum ImportVerb {
    /// Deny what fail2ban bans now; its jails are asked, if no FILE is given.
    Fail2ban {
        /// Its database (which needs sqlite3), what 'fail2ban-client banned' printed, or addresses;
        /// - reads stdin.
        file: Option<PathBuf>,
        /// Of this jail alone; can be given more than once.
        #[arg(long, value_name = "NAME")]
        jail: Vec<String>,
        /// Allow what it never bans (ignoreip), in place of denying what it bans.
        #[arg(long, conflicts_with = "file")]
        ignoreip: bool,
        #[command(flatten)]
        how: How,
    },
    /// Deny what CrowdSec bans now; cscli is asked, if no FILE is given.
    Crowdsec {
        /// What 'cscli decisions list' printed with -o json or -o raw; - reads stdin. What was left of
        /// a ban counts from when the file was written.
        file: Option<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// Take over a list that sipPROT exported, like 'sipprot deny import'.
    SipprotCsv {
        #[command(flatten)]
        file: CsvImport,
        /// The list.
        #[arg(long, default_value = "deny", value_parser = either)]
        to: crate::api::List,
    },
}

#[derive(ClapArgs, Debug)]
pub struct How {
    /// Only say what would change.
    #[arg(long, visible_alias = "preview")]
    pub dry_run: bool,
    /// The endpoint whose list it becomes; the host's otherwise.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
    /// Also if it may cut you off: what does is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
}

pub(super) fn run(context: &Context, verb: ImportVerb) -> Result<(), CliError> {
    let now = Timestamp::now();
    match verb {
        ImportVerb::Fail2ban { ignoreip: true, jail, how, .. } => {
            import(context, List::Allow, "fail2ban", &ignored(jail)?, &how)
        }
        ImportVerb::Fail2ban { file, jail, how, .. } => {
            let clock = Clock { now, zone: TimeZone::system() };
            let found = match file {
                Some(file) => fail2ban::banned(&text_of(&file)?, &jail, &clock).map_err(failed)?,
                None => banned(jail, &clock)?,
            };
            import(context, List::Deny, "fail2ban", &found, &how)
        }
        ImportVerb::Crowdsec { file, how } => {
            let (text, printed_at) = match file {
                Some(file) => (text_of(&file)?, written_at(&file).unwrap_or(now)),
                // Without --all it leaves out what came from lists and from the network.
                None => (said("cscli", &["decisions", "list", "--all", "-o", "json"])?, now),
            };
            let found = crowdsec::decisions(&text, printed_at, now).map_err(failed)?;
            import(context, List::Deny, "crowdsec", &found, &how)
        }
        ImportVerb::SipprotCsv { file, to } => sheets::import(context, to, &file),
    }
}

fn import(
    context: &Context,
    list: List,
    by: &str,
    found: &Found,
    how: &How,
) -> Result<(), CliError> {
    found.left_out().for_each(|why| eprintln!("{why}"));
    if found.is_empty() {
        return Err(CliError::Failed(format!("{by} has nothing to take over")));
    }
    let rows = found.sheet(list, by, Timestamp::now()).map_err(failed)?;
    if how.dry_run && !context.json {
        write_out(&preview(&rows))?;
    }
    sheets::import_made(context, list, rows, how)
}

/// The first of the rows.
fn preview(rows: &[u8]) -> String {
    let text = String::from_utf8_lossy(rows);
    let mut shown: String =
        text.lines().take(1 + SHOWN).map(|line| format!("  {line}\n")).collect();
    let more = text.lines().count().saturating_sub(1 + SHOWN);
    if more > 0 {
        shown += &format!("  and {more} more\n");
    }
    shown
}

fn banned(jails: Vec<String>, clock: &Clock) -> Result<Found, CliError> {
    let mut found = Found::default();
    for jail in wanted(jails)? {
        let text = said(FAIL2BAN, &["get", &jail, "banip", "--with-time"])?;
        fail2ban::add_lines(&mut found, &jail, &text, clock).map_err(failed)?;
    }
    Ok(found)
}

fn ignored(jails: Vec<String>) -> Result<Found, CliError> {
    let mut found = Found::default();
    for jail in wanted(jails)? {
        let text = said(FAIL2BAN, &["get", &jail, "ignoreip"])?;
        fail2ban::add_ignored(&mut found, &jail, &text);
    }
    Ok(found)
}

/// All there are, if none is named.
fn wanted(jails: Vec<String>) -> Result<Vec<String>, CliError> {
    if !jails.is_empty() {
        return Ok(jails);
    }
    Ok(fail2ban::jails(&said(FAIL2BAN, &["status"])?))
}

/// A file's text; of a database its rows.
fn text_of(path: &Path) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    open(path)?
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?;
    if bytes.starts_with(fail2ban::DATABASE) {
        let options = ["-readonly", "-json"].map(OsStr::new);
        let arguments = [options[0], options[1], path.as_os_str(), OsStr::new(fail2ban::QUERY)];
        return said("sqlite3", &arguments);
    }
    String::from_utf8(bytes).map_err(|_| CliError::Failed(format!("{}: not UTF-8", path.display())))
}

fn written_at(path: &Path) -> Option<Timestamp> {
    File::open(path).ok()?.metadata().ok()?.modified().ok()?.try_into().ok()
}

/// What another program says, if it ends well.
fn said(program: &str, arguments: &[impl AsRef<OsStr>]) -> Result<String, CliError> {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.map_err(|error| CliError::Failed(format!("cannot run {program}: {error}")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(CliError::Failed(format!("{program}: {}", complaint.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn failed(error: impl ToString) -> CliError {
    CliError::Failed(error.to_string())
}
