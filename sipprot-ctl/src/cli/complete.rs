//! What shells offer: verbs and options from the command line's definition, and what is on lists from
//! the daemon. Quick, and silent when there is nobody to ask.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{CompletionCandidate, Shell};
use serde::de::DeserializeOwned;

use super::args::Args;
use super::client::{Client, query};
use super::{CliError, socket, write_out};
use crate::api::{BlocksAnswer, Entries, LiveKind, PeersAnswer, Status, TrustAnswer};
use crate::config::Choice;
use crate::geo::Country;
use crate::message::clean;

/// By this variable a shell's script asks.
const VARIABLE: &str = "COMPLETE";
/// Whoever presses a key doesn't wait longer.
const PATIENCE: Duration = Duration::from_millis(400);
const OFFERED_MAX: usize = 50;

/// Answers a shell that asks; false when none does.
pub(super) fn answer() -> bool {
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(Args::command).var(VARIABLE);
    asked.try_complete(std::env::args_os(), here.as_deref()).unwrap_or(true)
}

/// The script by which a shell asks.
pub(super) fn script(shell: Shell) -> Result<(), CliError> {
    if shell == Shell::Bash {
        return write_out(include_str!("complete/sipprot.bash"));
    }
    let failed = |error: io::Error| CliError::Failed(format!("cannot write the script: {error}"));
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer = shells
        .completer(&name)
        .ok_or_else(|| CliError::Failed(format!("{name} is not among the shells")))?;
    let mut script = Vec::new();
    let own = "sipprot";
    completer.write_registration(VARIABLE, own, own, own, &mut script).map_err(failed)?;
    write_out(&String::from_utf8_lossy(&script))
}

type Offer = (String, Option<String>);

fn offered(current: &OsStr, all: impl IntoIterator<Item = Offer>) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    all.into_iter()
        .filter(|(value, _)| value.starts_with(&*begun))
        .take(OFFERED_MAX)
        .map(|(value, help)| {
            let help = help.map(|help| clean(help.as_bytes(), 60)).filter(|it| !it.is_empty());
            CompletionCandidate::new(value).help(help.map(Into::into))
        })
        .collect()
}

/// What the daemon of this command line says, if it says anything soon.
fn ask<T: DeserializeOwned>(path: &str) -> Option<T> {
    let socket = socket(named_config(std::env::args()).as_deref()).ok()?;
    Client::new(socket).waiting(PATIENCE).get(path).ok()
}

/// `--config FILE` of the line that is being typed.
fn named_config(words: impl Iterator<Item = String>) -> Option<PathBuf> {
    let mut words = words.skip_while(|word| !word.starts_with("--config"));
    match words.next()?.split_once('=') {
        Some((_, file)) => Some(file.into()),
        None => words.next().map(Into::into),
    }
}

/// Rows of a list that have what is typed: some more than are offered, since it may stand in their notes.
fn rows<T: DeserializeOwned>(list: &str, current: &OsStr) -> Option<T> {
    let begun = current.to_string_lossy();
    let search = Some(&*begun).filter(|begun| !begun.is_empty());
    ask(&format!("{list}{}", query(&[("search", search), ("limit", Some("200"))])))
}

/// Of the list that the line names.
pub(super) fn entries(current: &OsStr) -> Vec<CompletionCandidate> {
    let list = std::env::args().find(|word| word == "allow" || word == "deny");
    let found: Option<Entries> = list.and_then(|list| rows(&format!("/lists/{list}"), current));
    let entries = found.into_iter().flat_map(|found| found.entries);
    offered(current, entries.map(|entry| (entry.ip, Some(entry.note))))
}

/// Addresses that are cut off for a while.
pub(super) fn blocked(current: &OsStr) -> Vec<CompletionCandidate> {
    let found: Option<BlocksAnswer> = rows("/blocks", current);
    let blocks = found.into_iter().flat_map(|found| found.blocks);
    offered(current, blocks.map(|block| (address(&block.source), Some(block.rule))))
}

pub(super) fn trusted(current: &OsStr) -> Vec<CompletionCandidate> {
    let found: Option<TrustAnswer> = rows("/trust", current);
    let trust = found.into_iter().flat_map(|found| found.trust);
    offered(current, trust.map(|it| (address(&it.source), Some(it.accounts.join(", ")))))
}

pub(super) fn peers(current: &OsStr) -> Vec<CompletionCandidate> {
    let found: Option<PeersAnswer> = rows("/peers", current);
    let peers = found.into_iter().flat_map(|found| found.peers);
    let added = peers.filter(|peer| peer.configured_in.is_none());
    offered(current, added.map(|peer| (peer.network.to_string(), Some(peer.note))))
}

pub(super) fn endpoints(current: &OsStr) -> Vec<CompletionCandidate> {
    let found: Option<Status> = ask("/status");
    let endpoints = found.into_iter().flat_map(|found| found.endpoints);
    offered(current, endpoints.map(|endpoint| (endpoint.name, Some(endpoint.mode))))
}

pub(super) fn countries(current: &OsStr) -> Vec<CompletionCandidate> {
    let upper = current.to_ascii_uppercase();
    let all = Country::all().map(|it| (it.code().to_owned(), Some(it.name().to_owned())));
    // There are more than are offered elsewhere.
    let begun = upper.to_string_lossy();
    all.filter(|(code, _)| code.starts_with(&*begun))
        .map(|(code, name)| CompletionCandidate::new(code).help(name.map(Into::into)))
        .collect()
}

pub(super) fn kinds(current: &OsStr) -> Vec<CompletionCandidate> {
    offered(current, LiveKind::ALL.iter().map(|kind| (kind.name().to_owned(), None)))
}

pub(super) fn interfaces(current: &OsStr) -> Vec<CompletionCandidate> {
    offered(current, crate::doctor::interfaces().into_iter().map(|name| (name, None)))
}

/// Without the prefix of an IPv6 source.
fn address(source: &str) -> String {
    source.split('/').next().unwrap_or(source).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_line() {
        let check = |line: &str, expected: Option<&str>| {
            let words = line.split(' ').map(str::to_owned);
            assert_eq!(named_config(words), expected.map(PathBuf::from), "{line}");
        };
        check("sipprot -- sipprot --config /a.toml unblock", Some("/a.toml"));
        check("sipprot -- sipprot --config=/a.toml unblock", Some("/a.toml"));
        check("sipprot -- sipprot unblock", None);
        check("sipprot -- sipprot --config", None);
    }

    #[test]
    fn offers() {
        let check = |current: &str, expected: &[&str]| {
            let all = ["192.0.2.1", "192.0.2.9", "2001:db8::"];
            let all = all.map(|it| (it.to_owned(), Some("a\x1bb".to_owned())));
            let found = offered(OsStr::new(current), all);
            let values: Vec<_> = found.iter().map(|it| it.get_value().to_string_lossy()).collect();
            assert_eq!(values, expected, "{current}");
            let helps = found.iter().filter_map(|it| it.get_help());
            helps.for_each(|help| assert_eq!(help.to_string(), "a\u{fffd}b"));
        };
        check("", &["192.0.2.1", "192.0.2.9", "2001:db8::"]);
        check("192.0.2.9", &["192.0.2.9"]);
        check("x", &[]);
        let found = countries(OsStr::new("f"));
        assert!(found.iter().any(|it| it.get_value() == "FR"), "{found:?}");
    }
}
