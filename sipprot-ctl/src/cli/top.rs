//! `sipprot top`: what is going on, every second.

mod frame;
mod rates;
mod terminal;
mod view;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use super::client::Client;
use super::{CliError, Context};
use crate::api::Top;
use frame::{Paper, frame};
use rates::{Rated, rated};
use terminal::Terminal;
use view::{Step, View};

const EVERY: Duration = Duration::from_secs(1);
/// A daemon that is this slow is shown as away.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where nobody says how wide the paper is.
const WIDTH: usize = 130;

#[derive(ClapArgs, Debug)]
pub struct Options {
    /// Print one picture as text, after a second of looking; so it is where there is no terminal.
    #[arg(long)]
    pub once: bool,
}

pub(super) fn run(context: &Context, options: &Options) -> Result<(), CliError> {
    let client = context.client()?.waiting(PATIENCE);
    let live = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if options.once || context.json || !live {
        return once(context, &client);
    }
    let first = fetch(&client)?;
    let failed = |error: std::io::Error| CliError::Failed(format!("the terminal: {error}"));
    let mut terminal = Terminal::open().map_err(failed)?;
    watch(&client, &mut terminal, first).map_err(failed)
}

fn fetch(client: &Client) -> Result<Top, CliError> {
    client.get("/top?limit=200")
}

fn once(context: &Context, client: &Client) -> Result<(), CliError> {
    let before = fetch(client)?;
    std::thread::sleep(EVERY);
    let now = rated(Some(&before), fetch(client)?);
    let width = terminal::size().map_or(WIDTH, |(width, _)| width);
    context.print(&now, |now| {
        let lines = frame(now, &View::default(), &Paper { width, height: None, colour: false });
        lines.iter().map(|line| line.text.trim_end().to_owned() + "\n").collect()
    })
}

/// Until the operator has seen enough.
fn watch(client: &Client, terminal: &mut Terminal, first: Top) -> std::io::Result<()> {
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut view = View::default();
    let mut now: Rated = rated(None, first);
    let mut next = Instant::now() + EVERY;
    loop {
        let (width, height) = terminal::size().unwrap_or((WIDTH, 24));
        let shown = frame(&now, &view, &Paper { width, height: Some(height), colour });
        terminal.show(&shown)?;
        let Some(key) = terminal.key(next.saturating_duration_since(Instant::now()))? else {
            if terminal.is_told_to_end() {
                return Ok(());
            }
            if Instant::now() >= next {
                next = Instant::now() + EVERY;
                if !view.paused {
                    renew(client, &mut now, &mut view);
                }
            }
            continue;
        };
        match view.press(key, &now) {
            Step::End => return Ok(()),
            Step::Stay => {}
            Step::Do(action) => {
                view.said = match action.carry_out(client) {
                    Ok(done) => done.message,
                    Err(error) => error.to_string(),
                };
                renew(client, &mut now, &mut view);
            }
        }
    }
}

fn renew(client: &Client, now: &mut Rated, view: &mut View) {
    match fetch(client) {
        Ok(top) => {
            *now = rated(Some(&now.now), top);
            view.away = None;
        }
        Err(error) => view.away = Some(error.to_string()),
    }
}
