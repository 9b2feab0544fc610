//! `sipprot events`: what changed, and what changes.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args as ClapArgs;
use clap_complete::ArgValueCompleter;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::client::{Client, query};
use super::complete;
use super::lists::time;
use super::{CliError, Context};
use crate::api::{LiveEvent, LiveEvents, LiveKind};
use crate::config::Choice;
use crate::message::clean;

/// Between tries to reach a daemon that is away.
const RETRY: Duration = Duration::from_millis(500);
/// A daemon that says nothing for so long is gone: it says at least that it is still here.
const SILENCE: Duration = Duration::from_secs(45);
/// Between looks whether anybody still reads what is printed.
const LOOK: Duration = Duration::from_secs(1);
/// One event is at most this long.
const EVENT_MAX: usize = 256 << 10;
/// Characters of one that are shown.
const WHAT_MAX: usize = 400;

#[derive(ClapArgs, Debug)]
pub struct Events {
    /// Go on with what changes from now on, until it is interrupted. With --json, one object a line.
    #[arg(long)]
    pub follow: bool,
    /// Only these, with commas between: block, renewed, contained, quarantined, denied, ended,
    /// trusted, distrusted, alert, list, peer, reload, health.
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = live_kind, add = ArgValueCompleter::new(complete::kinds))]
    pub kind: Vec<LiveKind>,
    /// Only those of an endpoint.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
    /// At most so many of the last ones.
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "follow")]
    pub limit: usize,
}

fn live_kind(text: &str) -> Result<LiveKind, String> {
    LiveKind::from_name(text).ok_or_else(|| "no such kind: see --help".to_owned())
}

pub(super) fn run(context: &Context, events: &Events) -> Result<(), CliError> {
    let names: Vec<String> = events.kind.iter().map(ToString::to_string).collect();
    let kinds = (!names.is_empty()).then(|| names.join(","));
    let endpoint = events.endpoint.as_deref();
    let parts = [("kind", kinds.as_deref()), ("endpoint", endpoint)];
    if events.follow {
        let path = format!("/events{}", query(&parts));
        return Client::run(follow(context, &path));
    }
    let limit = events.limit.to_string();
    let parts = [parts[0], parts[1], ("limit", Some(&*limit))];
    let recent: LiveEvents = context.client()?.get(&format!("/events/recent{}", query(&parts)))?;
    context.print(&recent, |recent| recent.events.iter().map(line).collect())
}

/// Until nobody reads any more, or a signal comes.
async fn follow(context: &Context, path: &str) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot wait: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        done = Follower::new(context)?.run(path) => done,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        () = nobody_reads() => Ok(()),
    }
}

struct Follower<'a> {
    context: &'a Context,
    /// The last event that was printed.
    last: Option<u64>,
    connected: bool,
}

impl<'a> Follower<'a> {
    fn new(context: &'a Context) -> Result<Self, CliError> {
        Ok(Self { context, last: None, connected: false })
    }

    async fn run(mut self, path: &str) -> Result<(), CliError> {
        loop {
            let client = self.context.client()?.resuming(self.last);
            match client.open(path).await {
                Ok(body) => {
                    self.say("following again");
                    self.connected = true;
                    if self.read(body).await?.is_none() {
                        return Ok(());
                    }
                    eprintln!("sipprot: the daemon is away: waiting for it");
                }
                Err(error @ CliError::Fault(_)) if !self.is_resuming(&error) => return Err(error),
                Err(error) if !self.connected => return Err(error),
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
    }

    /// A daemon that is just stopping refuses, too.
    fn is_resuming(&self, error: &CliError) -> bool {
        let away = matches!(error, CliError::Fault(fault)
            if fault.code == crate::api::Code::Unavailable);
        self.connected && away
    }

    fn say(&self, what: &str) {
        if self.connected {
            eprintln!("sipprot: {what}");
        }
    }

    /// Until the daemon ends it; `None` when nobody reads what is printed.
    async fn read(&mut self, mut body: Incoming) -> Result<Option<()>, CliError> {
        let mut rest = Vec::new();
        while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
            let Ok(piece) = frame.into_data() else { continue };
            rest.extend_from_slice(&piece);
            if rest.len() > EVENT_MAX {
                return Err(CliError::Failed("an event that isn't ours: too long".to_owned()));
            }
            while let Some(event) = take_event(&mut rest)? {
                self.last = Some(event.id).filter(|id| *id > 0).or(self.last);
                if !self.print(&event)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    }

    /// False when nobody reads any more.
    fn print(&self, event: &LiveEvent) -> Result<bool, CliError> {
        use std::io::{ErrorKind, Write};
        let text = if self.context.json {
            let json = serde_json::to_string(event);
            json.map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))? + "\n"
        } else {
            line(event)
        };
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(CliError::Failed(format!("cannot write to stdout: {error}"))),
        }
    }
}

/// The next whole event, without comments.
fn take_event(rest: &mut Vec<u8>) -> Result<Option<LiveEvent>, CliError> {
    while let Some(end) = rest.windows(2).position(|two| two == b"\n\n") {
        let block: Vec<u8> = rest.drain(..end + 2).collect();
        let mut lines = block.split(|&byte| byte == b'\n');
        let Some(data) = lines.find_map(|line| line.strip_prefix(b"data: ")) else { continue };
        let event = serde_json::from_slice(data);
        return event
            .map(Some)
            .map_err(|error| CliError::Failed(format!("an event that isn't ours: {error}")));
    }
    Ok(None)
}

/// A pipe whose reader has gone says so only to who asks, or writes.
async fn nobody_reads() {
    while std::io::stdout().is_terminal() || !is_broken(libc::STDOUT_FILENO) {
        sleep(LOOK).await;
    }
}

fn is_broken(file: libc::c_int) -> bool {
    let mut asked = libc::pollfd { fd: file, events: 0, revents: 0 };
    // SAFETY: one entry, which outlives the call; it doesn't wait.
    let found = unsafe { libc::poll(&mut asked, 1, 0) };
    found > 0 && asked.revents & (libc::POLLERR | libc::POLLNVAL) != 0
}

/// `2026-11-22 17:21:03  block        198.51.100.16 is blocked: …`.
pub(super) fn line(event: &LiveEvent) -> String {
    let place = event.endpoint.as_ref().map(|endpoint| format!(" [{endpoint}]"));
    let place = place.unwrap_or_default();
    // Attackers chose some of it.
    let what = clean(event.what.as_bytes(), WHAT_MAX);
    format!("{}  {:<11} {what}{place}\n", time(event.at), event.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u64) -> LiveEvent {
        LiveEvent {
            id,
            at: 0,
            kind: LiveKind::Trusted,
            source: None,
            endpoint: Some("pbx1".to_owned()),
            what: "192.0.2.1 is trusted".to_owned(),
            block: None,
            alert: None,
            lost: None,
        }
    }

    #[test]
    fn events_are_found_however_they_are_cut() {
        let json = |id| serde_json::to_string(&event(id)).unwrap();
        let stream = format!(
            ": following\n\nid: 7\nevent: trusted\ndata: {}\n\n: still here\n\ndata: {}\n\n",
            json(7),
            json(8)
        );
        for size in [1, 3, 64, stream.len()] {
            let (mut rest, mut found) = (Vec::new(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                rest.extend_from_slice(piece);
                while let Some(event) = take_event(&mut rest).unwrap() {
                    found.push(event.id);
                }
            }
            assert_eq!((found.as_slice(), rest.len()), (&[7, 8][..], 0), "pieces of {size}");
        }
        assert!(take_event(&mut b"data: nonsense\n\n".to_vec()).is_err());
    }

    #[test]
    fn a_line_for_people() {
        let expected = format!("{}  trusted     192.0.2.1 is trusted [pbx1]\n", time(0));
        assert_eq!(line(&event(1)), expected);
    }
}
