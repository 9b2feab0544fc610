//! One picture of what is going on, as lines.
//!
//! Attackers chose some of the text: nothing of it that could steer a terminal gets into a line.

use super::rates::{Rated, Speed};
use super::view::{Mode, View};
use crate::api::TopAttacker;
use crate::cli::events;
use crate::cli::lists::time;
use crate::message::clean;

/// What there is to write on.
pub struct Paper {
    pub width: usize,
    /// As long as it takes otherwise.
    pub height: Option<usize>,
    pub colour: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    Plain,
    Title,
    /// The heading of a table.
    Heading,
    Selected,
    /// Something is wrong, or it attacks right now.
    Bad,
    Faint,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub text: String,
    pub style: Style,
}

impl Line {
    pub fn styled(&self) -> String {
        let code = match self.style {
            Style::Plain => return self.text.clone(),
            Style::Title => "1",
            Style::Heading | Style::Selected => "7",
            Style::Bad => "31",
            Style::Faint => "2",
        };
        format!("\x1b[{code}m{}\x1b[0m", self.text)
    }
}

/// On paper without end.
const ENDPOINTS_SHOWN: usize = 20;
const ATTACKERS_SHOWN: usize = 20;
/// On a screen.
const ENDPOINTS_BESIDE: usize = 6;
const REASONS_SHOWN: usize = 4;

pub fn frame(rated: &Rated, view: &View, paper: &Paper) -> Vec<Line> {
    let head = head(rated, view);
    let endpoints = endpoints(rated, paper.height.map_or(ENDPOINTS_SHOWN, |_| ENDPOINTS_BESIDE));
    let latest = latest(rated, paper.height);
    let keys = paper.height.map(|_| keys(view));
    let taken = head.len() + endpoints.len() + latest.len() + usize::from(keys.is_some());
    // The heading of the table, too.
    let room = paper.height.map_or(ATTACKERS_SHOWN, |height| height.saturating_sub(taken + 1));
    let mut lines = head;
    lines.extend(attackers(rated, view, room));
    if let Some(height) = paper.height {
        let rest = endpoints.len() + latest.len() + 1;
        let empty = Line { text: String::new(), style: Style::Plain };
        lines.resize(height.saturating_sub(rest).max(lines.len()), empty);
    }
    lines.extend(endpoints);
    lines.extend(latest);
    lines.extend(keys);
    lines.truncate(paper.height.unwrap_or(usize::MAX));
    lines.into_iter().map(|line| fit(line, paper)).collect()
}

/// As wide as the paper, and harmless.
fn fit(line: Line, paper: &Paper) -> Line {
    let text = clean_whole(&line.text, paper.width);
    let style = match line.style {
        Style::Bad if !paper.colour => Style::Title,
        style => style,
    };
    // A bar goes from edge to edge.
    let bar = matches!(style, Style::Heading | Style::Selected);
    let text = if bar { format!("{text:<width$}", width = paper.width) } else { text };
    Line { text, style }
}

/// [`clean`] takes blanks off both ends; those in front are the table's.
fn clean_whole(text: &str, width: usize) -> String {
    let blanks = text.len() - text.trim_start_matches(' ').len();
    let blanks = blanks.min(width);
    " ".repeat(blanks) + &clean(text.as_bytes(), width - blanks)
}

fn line(style: Style, text: impl Into<String>) -> Line {
    Line { text: text.into(), style }
}

fn head(rated: &Rated, view: &View) -> Vec<Line> {
    let top = &rated.now;
    let verdict = match (top.protected, top.problems.is_empty()) {
        (true, true) => "protected",
        (true, false) => "protected, with problems",
        (false, _) => "NOT protected",
    };
    let interfaces: Vec<String> = top
        .interfaces
        .iter()
        .map(|it| {
            let xdp = it.xdp.as_deref().unwrap_or("NOT ATTACHED");
            let rate = rated.received.get(&it.name).copied().unwrap_or_default();
            format!("{} ({xdp}) {}/s", it.name, number(rate))
        })
        .collect();
    let paused = if view.paused { "  PAUSED" } else { "" };
    let mut lines = vec![
        line(
            Style::Title,
            format!("sipprot on {}: {verdict}, mode {}{paused}", top.host, top.mode),
        ),
        line(
            Style::Plain,
            format!("In: {}   Passed: {}", interfaces.join(", "), passed(&rated.traffic)),
        ),
        line(Style::Plain, format!("Dropped: {}", dropped(rated))),
        line(
            Style::Plain,
            format!(
                "Denied: {}   Blocked: {}   Contained: {}   Quarantined: {}   Trusted: {}   \
                 Judged after {:.1} ms",
                top.lists.deny,
                top.lists.dynamic,
                top.lists.contained,
                top.lists.quarantined,
                top.lists.trust,
                top.events.lag_seconds * 1000.0
            ),
        ),
    ];
    lines.extend(top.gateway.iter().map(|gateway| {
        line(Style::Bad, format!("! most SIP comes from {gateway}: no rule acts on it"))
    }));
    lines.extend(top.problems.iter().take(2).map(|it| line(Style::Bad, format!("! {it}"))));
    lines.extend(view.away.iter().map(|why| line(Style::Bad, format!("! {why}"))));
    lines
}

fn passed(speed: &Speed) -> String {
    format!("{}/s, {}/s of them SIP", number(speed.passed), number(speed.sip))
}

/// `812/s, 5159 in all: blocked 800/s, user_agent 12/s`.
fn dropped(rated: &Rated) -> String {
    let mut reasons: Vec<(&String, f64)> =
        rated.traffic.drops.iter().map(|(reason, rate)| (reason, *rate)).collect();
    reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
    let shown: Vec<String> = reasons
        .iter()
        .take(REASONS_SHOWN)
        .map(|(reason, rate)| format!("{reason} {}/s", number(*rate)))
        .collect();
    let of = if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) };
    let would = match rated.traffic.observed {
        0.0 => String::new(),
        rate => format!("   Would have been: {}/s", number(rate)),
    };
    let all = rated.now.traffic.dropped;
    format!("{}/s, {all} in all{of}{would}", number(rated.traffic.dropped))
}

fn attackers(rated: &Rated, view: &View, room: usize) -> Vec<Line> {
    let all = view.attackers(rated);
    let at = view.selected.as_ref();
    let at = at.and_then(|source| all.iter().position(|it| it.source == *source));
    // What is selected is in sight.
    let first = at.map_or(0, |at| (at + 1).saturating_sub(room));
    let heading = row(["SOURCE", "CC", "ENDPOINT", "STATE", "REASON", "DROPPED", "/S", "AGENT"]);
    let mut lines = vec![line(Style::Heading, heading)];
    for attacker in all.iter().skip(first).take(room) {
        let rate = rated.attackers.get(&attacker.source).copied().unwrap_or_default();
        let style = match view.selected.as_ref() == Some(&attacker.source) {
            true => Style::Selected,
            false if rate > 0.0 => Style::Bad,
            false => Style::Plain,
        };
        lines.push(line(style, attacker_row(attacker, rate)));
    }
    if all.is_empty() && room > 0 {
        let what = if view.filter.is_empty() { "Nobody attacks." } else { "Nobody like this." };
        lines.push(line(Style::Faint, what));
    }
    lines
}

fn attacker_row(attacker: &TopAttacker, rate: f64) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    row([
        &attacker.source,
        &or_dash(&attacker.country),
        &or_dash(&attacker.endpoint),
        &attacker.state,
        &attacker.reason,
        &attacker.dropped.to_string(),
        &number(rate),
        &or_dash(&attacker.user_agent),
    ])
}

fn row(cells: [&str; 8]) -> String {
    const WIDTHS: [usize; 7] = [20, 3, 12, 11, 22, 10, 9];
    // Numbers are on the right.
    const RIGHT: [usize; 2] = [5, 6];
    let mut text = String::new();
    for (index, cell) in cells.iter().enumerate() {
        let Some(&width) = WIDTHS.get(index) else {
            text += cell;
            break;
        };
        // An IPv6 network is wider than its column, and is not to be cut.
        let cell = if index == 0 { (*cell).to_owned() } else { clean(cell.as_bytes(), width) };
        text += &match RIGHT.contains(&index) {
            true => format!("{cell:>width$}  "),
            false => format!("{cell:<width$} "),
        };
    }
    text
}

fn endpoints(rated: &Rated, room: usize) -> Vec<Line> {
    let heading = format!(
        "{:<20} {:<9} {:>10} {:>10} {:>11} {:>12} {:>7}",
        "ENDPOINT", "MODE", "PASSED/S", "SIP/S", "DROPPED/S", "DROPPED", "BLOCKS"
    );
    let mut all: Vec<_> = rated.now.endpoints.iter().collect();
    let speed = |name: &str| rated.endpoints.get(name).cloned().unwrap_or_default();
    all.sort_by(|a, b| speed(&b.name).dropped.total_cmp(&speed(&a.name).dropped));
    let rows = all.iter().take(room).map(|it| {
        let speed = speed(&it.name);
        let text = format!(
            "{:<20} {:<9} {:>10} {:>10} {:>11} {:>12} {:>7}",
            it.name,
            it.mode,
            number(speed.passed),
            number(speed.sip),
            number(speed.dropped),
            it.traffic.dropped,
            it.blocks
        );
        line(Style::Plain, text)
    });
    std::iter::once(line(Style::Heading, heading)).chain(rows).collect()
}

fn latest(rated: &Rated, height: Option<usize>) -> Vec<Line> {
    let count = match height {
        Some(..20) => 1,
        Some(..30) => 3,
        _ => 5,
    };
    let latest = &rated.now.latest;
    let first = latest.len().saturating_sub(count);
    latest[first..].iter().map(|event| line(Style::Faint, events::line(event).trim_end())).collect()
}

fn keys(view: &View) -> Line {
    match &view.mode {
        Mode::Question(action) => line(Style::Title, action.question()),
        Mode::Filter => line(Style::Title, format!("Filter: {}_", view.filter)),
        Mode::Keys if !view.said.is_empty() => line(Style::Title, view.said.clone()),
        Mode::Keys => {
            let filter = match view.filter.as_str() {
                "" => String::new(),
                filter => format!(" ({filter})"),
            };
            let text = format!(
                "q quit  s sort ({})  p pause  / filter{filter}  ↑↓ choose  u unblock  d deny   {}",
                view.sort.name(),
                time(jiff::Timestamp::now().as_second())
            );
            line(Style::Faint, text)
        }
    }
}

/// Three digits at least, and no more than is of interest.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests;
