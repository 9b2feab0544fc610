//! A filter: patterns with named fields, and the signal that a line means.
//!
//! Lines are written by attackers as much as by the programs that log them. So a pattern is anchored at
//! both ends, is matched in linear time and within a bounded size, and says by its form which address
//! the program itself wrote: [`Filter::look`] never searches a line for anything that looks like one.

mod definition;
pub(super) mod prelude;
mod ready;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use regex::Regex;
use sipprot_common::source::Address;

pub use definition::FilterError;
pub use ready::{names as ready_names, text as ready_text};

use crate::rules::Told;
use definition::{Case, Pattern};
use prelude::Prelude;

/// A line as it came: with its beginning still on it, or told by whom it was written.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Of the journal or of syslog; None where it can only stand in the text.
    pub program: Option<&'a str>,
    pub text: &'a str,
}

impl<'a> Line<'a> {
    /// Of a file.
    pub const fn plain(text: &'a str) -> Self {
        Self { program: None, text }
    }
}

/// What a line means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found<'a> {
    pub told: Told,
    pub address: IpAddr,
    pub port: Option<u16>,
    pub account: Option<&'a str>,
    pub method: Option<&'a str>,
    pub status: Option<u16>,
    pub path: Option<&'a str>,
    pub transport: Option<&'a str>,
    /// The next failure of this address and port is the same one.
    pub announces: bool,
    /// How often the line stands for itself.
    pub times: u32,
}

/// What a filter makes of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<'a> {
    Means(Found<'a>),
    /// A pattern knows it, and it is nobody's fault.
    Ignored,
    Unknown,
}

#[derive(Debug)]
pub struct Filter {
    pub name: String,
    pub help: String,
    /// Whose lines these are, where that is told; empty for anybody's.
    programs: Vec<String>,
    patterns: Vec<Pattern>,
}

impl Filter {
    /// From its TOML.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        definition::read(text)
    }

    /// One of those that are built in.
    pub fn ready(name: &str) -> Option<Self> {
        // That each of them reads is tested.
        Self::parse(ready::text(name)?).ok()
    }

    pub fn look<'a>(&self, line: Line<'a>) -> Verdict<'a> {
        let (program, text) = match line.program {
            Some(program) => (Some(program), line.text),
            None => match prelude::split(line.text) {
                Some(Prelude { program, text }) => (Some(program), text),
                None => (None, line.text),
            },
        };
        let foreign = |program: &str| !self.programs.iter().any(|own| own == program);
        if !self.programs.is_empty() && program.is_some_and(foreign) {
            return Verdict::Unknown;
        }
        let (times, text) = prelude::repeated(text);
        for pattern in &self.patterns {
            if let Some(verdict) = pattern.look(text, times) {
                return verdict;
            }
        }
        Verdict::Unknown
    }
}

impl Pattern {
    fn look<'a>(&self, text: &'a str, times: u32) -> Option<Verdict<'a>> {
        let fields = self.whole.captures(text)?;
        if let Some(sole) = &self.sole
            && text.matches(sole.as_str()).nth(1).is_some()
        {
            return None;
        }
        let field = |name: &str| fields.name(name).map(|found| found.as_str());
        let holds = |case: &&Case| case.tests.iter().all(|(name, test)| is(test, field(name)));
        let Some(told) = self.cases.iter().find(holds)?.told else {
            return Some(Verdict::Ignored);
        };
        let (address, port) = address(field("address")?)?;
        Some(Verdict::Means(Found {
            told,
            address,
            port: field("port").and_then(|port| port.parse().ok()).or(port),
            account: field("account"),
            method: field("method"),
            status: field("status").and_then(|status| status.parse().ok()),
            path: field("path"),
            transport: field("transport"),
            announces: self.announces,
            times,
        }))
    }
}

fn is(test: &Regex, field: Option<&str>) -> bool {
    field.is_some_and(|value| test.is_match(value))
}

/// An address as programs write it: in brackets, with a zone or a port behind it.
fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    let (address, port) = match bare.parse::<IpAddr>() {
        Ok(address) => (address, None),
        Err(_) => text.parse::<SocketAddr>().map(|it| (it.ip(), Some(it.port()))).ok()?,
    };
    Some((Address::from(address).to_ip(), port))
}
