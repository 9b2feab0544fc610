//! The demonstration: an office at work, attackers one after another, and what came of it.
//!
//! It shows, and it judges: [`run`] tells whether every expectation was met, and names those that
//! were not.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{janitor, lab::Lab};

/// Who attacks, in which order, and how.
mod cast;
/// The JSON object, and what it must show.
mod outcome;
/// Lines for people, among them the live one.
mod stage;
/// The acts.
mod story;

use stage::Stage;
use story::Story;

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary; without it the lab is unprotected, which shows what there is to lose.
    pub sipprot: Option<PathBuf>,
    /// Rejected registrations a minute that are still no attack.
    pub register_limit: u32,
    /// One JSON object on standard output, and the story on standard error.
    pub json: bool,
    /// Keep it up afterwards.
    pub hold: bool,
}

/// Plays it. True if everything was as it must be.
pub fn run(options: &Options) -> Result<bool> {
    let mut stage = Stage::new(options.json);
    stage.heading("Building the lab")?;
    let lab = Lab::new()?;
    let id = lab.id().clone();
    let (summary, mut failures) = Story::play(lab, options, &mut stage)?;
    let left = janitor::leftovers(Some(&id));
    if !left.is_empty() {
        failures.push(format!("left behind: {}", left.join(", ")));
    }
    stage.verdict(&failures)?;
    if options.json {
        println!("{}", serde_json::to_string(&summary).context("write the JSON object")?);
    }
    Ok(failures.is_empty())
}
