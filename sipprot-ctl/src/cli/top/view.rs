//! What the operator chose to see, and what single keys mean.

use ipnetwork::IpNetwork;

use super::rates::Rated;
use super::terminal::Key;
use crate::api::{Done, NewEntry, Scope, TopAttacker};
use crate::cli::CliError;
use crate::cli::change::operator;
use crate::cli::client::{Client, query};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sort {
    #[default]
    Rate,
    Dropped,
    Last,
    Source,
}

impl Sort {
    pub const fn name(self) -> &'static str {
        match self {
            Sort::Rate => "rate",
            Sort::Dropped => "dropped",
            Sort::Last => "last",
            Sort::Source => "source",
        }
    }

    const fn next(self) -> Self {
        match self {
            Sort::Rate => Sort::Dropped,
            Sort::Dropped => Sort::Last,
            Sort::Last => Sort::Source,
            Sort::Source => Sort::Rate,
        }
    }
}

/// A change that was asked for by a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    Unblock(IpNetwork),
    Deny(IpNetwork),
}

impl Action {
    pub fn question(&self) -> String {
        match self {
            Action::Unblock(network) => format!("Unblock {network}? [y/N]"),
            Action::Deny(network) => format!("Deny {network} for good? [y/N]"),
        }
    }

    pub fn carry_out(&self, client: &Client) -> Result<Done, CliError> {
        match self {
            Action::Unblock(network) => {
                let by = query(&[("by", Some(&operator()))]);
                client.delete(&format!("/blocks/{}{by}", network.ip()))
            }
            Action::Deny(network) => {
                let entry = NewEntry {
                    network: *network,
                    note: "denied by sipprot top".to_owned(),
                    added_by: operator(),
                    expires_in_s: None,
                    scope: Scope::All,
                    endpoint: None,
                };
                client.post("/lists/deny", &entry)
            }
        }
    }
}

/// What follows from a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Stay,
    End,
    Do(Action),
}

/// What is typed into.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    #[default]
    Keys,
    Filter,
    Question(Action),
}

#[derive(Default)]
pub struct View {
    pub sort: Sort,
    pub paused: bool,
    pub filter: String,
    /// The source that the cursor is on; it stays on it wherever it moves.
    pub selected: Option<String>,
    pub mode: Mode,
    /// What came of the last change.
    pub said: String,
    /// Why there is nothing newer to show.
    pub away: Option<String>,
}

impl View {
    /// Those to show, in order.
    pub fn attackers<'a>(&self, rated: &'a Rated) -> Vec<&'a TopAttacker> {
        let wanted = self.filter.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&wanted);
        let mut all: Vec<&TopAttacker> = rated
            .now
            .attackers
            .iter()
            .filter(|it| {
                let others = [&it.country, &it.endpoint, &it.user_agent];
                holds(&it.source)
                    || holds(&it.reason)
                    || holds(&it.state)
                    || others.into_iter().flatten().any(|text| holds(text))
            })
            .collect();
        let rate = |it: &TopAttacker| rated.attackers.get(&it.source).copied().unwrap_or_default();
        all.sort_by(|a, b| {
            let order = match self.sort {
                Sort::Rate => rate(b).total_cmp(&rate(a)).then(b.dropped.cmp(&a.dropped)),
                Sort::Dropped => b.dropped.cmp(&a.dropped),
                Sort::Last => b.last.cmp(&a.last),
                Sort::Source => std::cmp::Ordering::Equal,
            };
            order.then_with(|| a.source.cmp(&b.source))
        });
        all
    }

    pub fn press(&mut self, key: Key, rated: &Rated) -> Step {
        if key == Key::Interrupt {
            return Step::End;
        }
        match std::mem::take(&mut self.mode) {
            Mode::Question(action) => match key {
                Key::Char('y' | 'Y') => Step::Do(action),
                _ => Step::Stay,
            },
            Mode::Filter => {
                self.type_filter(key);
                Step::Stay
            }
            Mode::Keys => self.command(key, rated),
        }
    }

    fn type_filter(&mut self, key: Key) {
        const LENGTH_MAX: usize = 64;
        self.mode = Mode::Filter;
        match key {
            Key::Char(char) if self.filter.len() < LENGTH_MAX => self.filter.push(char),
            Key::Back => _ = self.filter.pop(),
            Key::Enter => self.mode = Mode::Keys,
            Key::Escape => (self.mode, self.filter) = (Mode::Keys, String::new()),
            _ => {}
        }
    }

    fn command(&mut self, key: Key, rated: &Rated) -> Step {
        self.said.clear();
        match key {
            Key::Char('q') => return Step::End,
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('p' | ' ') => self.paused = !self.paused,
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Escape => self.filter.clear(),
            Key::Down | Key::Char('j') => self.step(rated, 1),
            Key::Up | Key::Char('k') => self.step(rated, -1),
            Key::Char('u') => self.ask(Action::Unblock),
            Key::Char('d') => self.ask(Action::Deny),
            _ => {}
        }
        Step::Stay
    }

    fn ask(&mut self, action: impl FnOnce(IpNetwork) -> Action) {
        match self.selected.as_ref().and_then(|source| source.parse().ok()) {
            Some(network) => self.mode = Mode::Question(action(network)),
            None => "choose a source first, by the arrow keys".clone_into(&mut self.said),
        }
    }

    fn step(&mut self, rated: &Rated, by: isize) {
        let sources = self.attackers(rated);
        let at = self.selected.as_ref();
        let at = at.and_then(|it| sources.iter().position(|other| other.source == *it));
        let next = match at {
            Some(at) => at.saturating_add_signed(by).min(sources.len().saturating_sub(1)),
            None => 0,
        };
        self.selected = sources.get(next).map(|it| it.source.clone());
    }
}
