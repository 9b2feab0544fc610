//! `sipprot filter`: what is built in, and what a filter makes of a file. It needs no daemon.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use super::args::FilterVerb;
use super::table::{Align, Table};
use super::{CliError, Context};
use crate::access::random_secret;
use crate::feed::filter::{Filter, Found, Line, Verdict, ready_names, ready_text};
use crate::feed::{hash_of, lines::Lines};
use crate::message::clean;

/// Lines that are told one by one in JSON; and to people, of those that don't match.
const TOLD_MAX: usize = 10_000;
const SHOWN_MAX: usize = 20;
const TEXT_MAX: usize = 300;

#[derive(Serialize, Default)]
struct Tested {
    filter: String,
    lines: u64,
    matched: u64,
    /// Known, and nobody's fault.
    ignored: u64,
    unmatched: u64,
    signals: BTreeMap<&'static str, u64>,
    matches: Vec<Match>,
    unmatched_lines: Vec<Unmatched>,
    /// Of the line that is looked at; empty ones are no lines but have a number.
    #[serde(skip)]
    number: u64,
}

#[derive(Serialize)]
struct Match {
    line: u64,
    signal: &'static str,
    address: IpAddr,
    port: Option<u16>,
    account: Option<String>,
    method: Option<String>,
    status: Option<u16>,
    path: Option<String>,
    transport: Option<String>,
    times: u32,
}

#[derive(Serialize)]
struct Unmatched {
    line: u64,
    text: String,
}

pub(super) fn run(context: &Context, verb: FilterVerb) -> Result<(), CliError> {
    match verb {
        FilterVerb::List => list(context),
        FilterVerb::Show { name } => show(context, &name),
        FilterVerb::Test { filter, file } => context.print(&test(&find(&filter)?, &file)?, told),
        FilterVerb::Token => token(context),
    }
}

#[derive(Serialize)]
struct Ready {
    name: String,
    help: String,
}

fn list(context: &Context) -> Result<(), CliError> {
    let ready = ready_names().filter_map(Filter::ready);
    let ready: Vec<Ready> = ready.map(|it| Ready { name: it.name, help: it.help }).collect();
    context.print(&ready, |ready| {
        let mut table = Table::new([("FILTER", Align::Left), ("WHAT IT READS", Align::Left)]);
        for it in ready {
            let first = it.help.lines().next().unwrap_or_default();
            table.row([it.name.clone(), first.to_owned()]);
        }
        table.render()
    })
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    text: &'a str,
}

fn show(context: &Context, name: &str) -> Result<(), CliError> {
    let text = ready_text(name).ok_or_else(|| unknown(name))?;
    context.print(&Shown { name, text }, |it| it.text.to_owned())
}

fn unknown(name: &str) -> CliError {
    let names: Vec<_> = ready_names().collect();
    CliError::Failed(format!("there is no filter {name}: there are {}", names.join(", ")))
}

/// By its name, or of a file.
fn find(name: &str) -> Result<Filter, CliError> {
    if let Some(ready) = Filter::ready(name) {
        return Ok(ready);
    }
    let text = match std::fs::read_to_string(name) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown(name)),
        Err(error) => return Err(CliError::Failed(format!("{name}: {error}"))),
    };
    Filter::parse(&text).map_err(|error| CliError::Failed(format!("{name}: {error}")))
}

fn test(filter: &Filter, file: &Path) -> Result<Tested, CliError> {
    let failed = |error: io::Error| CliError::Failed(format!("{}: {error}", file.display()));
    let mut from: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    let mut tested = Tested { filter: filter.name.clone(), ..Tested::default() };
    let (mut lines, mut chunk) = (Lines::default(), vec![0; 64 << 10]);
    loop {
        let count = from.read(&mut chunk).map_err(failed)?;
        // The last line of a file need not have an end.
        let bytes = if count == 0 { b"\n" } else { &chunk[..count] };
        lines.take(bytes, |line| tested.add(filter, line));
        if count == 0 {
            return Ok(tested);
        }
    }
}

impl Tested {
    fn add(&mut self, filter: &Filter, text: &str) {
        self.number += 1;
        if text.is_empty() {
            return;
        }
        self.lines += 1;
        match filter.look(Line::plain(text)) {
            Verdict::Ignored => self.ignored += 1,
            Verdict::Unknown => {
                self.unmatched += 1;
                if self.unmatched_lines.len() < TOLD_MAX {
                    let text = clean(text.as_bytes(), TEXT_MAX);
                    self.unmatched_lines.push(Unmatched { line: self.number, text });
                }
            }
            Verdict::Means(found) => {
                self.matched += 1;
                *self.signals.entry(found.told.name()).or_default() += 1;
                if self.matches.len() < TOLD_MAX {
                    self.matches.push(of(&found, self.number));
                }
            }
        }
    }
}

fn of(found: &Found<'_>, line: u64) -> Match {
    let text = |text: Option<&str>| text.map(|text| clean(text.as_bytes(), TEXT_MAX));
    Match {
        line,
        signal: found.told.name(),
        address: found.address,
        port: found.port,
        account: text(found.account),
        method: text(found.method),
        status: found.status,
        path: text(found.path),
        transport: text(found.transport),
        times: found.times,
    }
}

fn told(tested: &Tested) -> String {
    let columns = ["LINE", "SIGNAL", "ADDRESS", "PORT", "DETAIL"];
    let mut table = Table::new(columns.map(|name| (name, Align::Left)));
    for it in tested.matches.iter().take(SHOWN_MAX) {
        let status = it.status.map(|status| status.to_string());
        let parts = [&it.account, &it.transport, &it.method, &status, &it.path];
        let detail: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        table.row([
            it.line.to_string(),
            it.signal.to_owned(),
            it.address.to_string(),
            it.port.map(|port| port.to_string()).unwrap_or_default(),
            detail.join(" "),
        ]);
    }
    let mut text = if tested.matches.is_empty() { String::new() } else { table.render() };
    text += &more(tested.matched);
    if !tested.unmatched_lines.is_empty() {
        text += "Not matched:\n";
    }
    for it in tested.unmatched_lines.iter().take(SHOWN_MAX) {
        text += &format!("  {}: {}\n", it.line, it.text);
    }
    text += &more(tested.unmatched);
    for (signal, count) in &tested.signals {
        text += &format!("{signal}: {count}\n");
    }
    let Tested { lines, matched, ignored, unmatched, .. } = tested;
    text + &format!(
        "{lines} lines: {matched} matched, {ignored} known and nobody's fault, {unmatched} not matched\n"
    )
}

fn more(count: u64) -> String {
    match count.saturating_sub(SHOWN_MAX as u64) {
        0 => String::new(),
        more => format!("  and {more} more: see --json\n"),
    }
}

#[derive(Serialize)]
struct Token {
    token: String,
    log_token: String,
}

fn token(context: &Context) -> Result<(), CliError> {
    let token = random_secret();
    let token = token.map_err(|error| CliError::Failed(format!("no randomness: {error}")))?;
    let log_token = hash_of(&token);
    context.print(&Token { token, log_token }, |it| {
        format!(
            "The token, for the PBX; it is shown this once:\n  {}\nIts hash, for the [[endpoint]]:\n  log_token = \"{}\"\n",
            it.token, it.log_token
        )
    })
}
