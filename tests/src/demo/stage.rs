//! Lines for people, among them the live one.
//!
//! Where the output is no terminal a row is printed once, when it is complete.

use std::io::{IsTerminal, Write};

use anyhow::{Context, Result};

use super::outcome::Attacker;

const TITLES: [&str; 7] =
    ["ATTACKER", "SOURCE", "SENT", "REACHED PBX", "REJECTED", "OUTCOME", "TIME TO BLOCK"];

/// Where it is told.
pub struct Stage {
    out: Box<dyn Write>,
    terminal: bool,
}

impl Stage {
    /// On standard output, unless that is kept for JSON.
    pub fn new(json: bool) -> Self {
        if json {
            Self { out: Box::new(std::io::stderr()), terminal: std::io::stderr().is_terminal() }
        } else {
            Self { out: Box::new(std::io::stdout()), terminal: std::io::stdout().is_terminal() }
        }
    }

    pub fn heading(&mut self, text: &str) -> Result<()> {
        self.line(&format!("\n== {text}"))
    }

    pub fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "{text}").context("tell the story")
    }

    pub fn titles(&mut self) -> Result<()> {
        let titles = row(TITLES.map(str::to_owned));
        self.line(&format!("\n{titles}"))
    }

    /// A row that isn't complete yet.
    pub fn live(&mut self, name: &str, source: &str, sent: u64, reached: u64) -> Result<()> {
        if !self.terminal {
            return Ok(());
        }
        let (sent, reached) = (sent.to_string(), reached.to_string());
        let cells = [name, source, &sent, &reached, "", "…", ""].map(str::to_owned);
        write!(self.out, "\r\x1b[K{}", row(cells)).context("tell the story")?;
        self.out.flush().context("tell the story")
    }

    /// A complete row; the outcome may not be known yet.
    pub fn row(&mut self, attacker: &Attacker, known: bool) -> Result<()> {
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        let time = attacker.time_to_block_us.map_or("-".to_owned(), |us| format!("{us} µs"));
        let cells = [
            attacker.name.to_owned(),
            attacker.source.to_string(),
            attacker.sent.to_string(),
            attacker.reached.to_string(),
            attacker.rejected_by_pbx.to_string(),
            if known { attacker.outcome.name() } else { "(ask later)" }.to_owned(),
            if known { time } else { String::new() },
        ];
        self.line(&format!("{start}{}", row(cells)))
    }

    /// What a command printed, below the command.
    pub fn command(&mut self, command: &str, printed: &str) -> Result<()> {
        self.line(&format!("\n$ {command}\n{}", printed.trim_end()))
    }

    pub fn verdict(&mut self, failures: &[String]) -> Result<()> {
        if failures.is_empty() {
            return self.heading("Everything as it must be; nothing left behind");
        }
        self.heading("Not as it must be:")?;
        failures.iter().try_for_each(|failure| self.line(&format!("   - {failure}")))
    }
}

fn row([name, source, sent, reached, rejected, outcome, time]: [String; 7]) -> String {
    format!(
        "{name:<30} {source:<20} {sent:>6} {reached:>12} {rejected:>9}  {outcome:<11} {time:>13}"
    )
    .trim_end()
    .to_owned()
}
