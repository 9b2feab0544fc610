//! Text ranges as in Debian's tor-geoipdb: `first,last,CC`, IPv4 as numbers, IPv6 as addresses.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::countries::Country;
use super::exempt::exempt_networks;
use super::ranges::Ranges;

/// Ranges of several files, and the oldest time at which one was made.
#[derive(Default)]
pub(super) struct TextRanges {
    ranges: Ranges,
    built: Option<Timestamp>,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TextError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("line {0} is no range of addresses and country")]
    Line(usize),
    #[error("no range in it")]
    Empty,
}

impl TextRanges {
    /// Adds a whole file, or on an error nothing of it.
    pub fn read(&mut self, path: &Path) -> Result<(), TextError> {
        let file = File::open(path)?;
        let mut built = file.metadata()?.modified().ok().and_then(|time| time.try_into().ok());
        let mut ranges = Ranges::default();
        let mut count = 0;
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let line = line?;
            if let Some(comment) = line.strip_prefix('#') {
                built = generated(comment).or(built);
            } else if !line.trim().is_empty() {
                add(&mut ranges, line.trim()).ok_or(TextError::Line(index + 1))?;
                count += 1;
            }
        }
        if count == 0 {
            return Err(TextError::Empty);
        }
        self.ranges.append(ranges);
        self.built = match (self.built, built) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Ok(())
    }

    pub fn finish(mut self) -> (Ranges, Option<Timestamp>) {
        self.ranges.settle();
        self.ranges.leave_out(exempt_networks());
        (self.ranges, self.built)
    }
}

fn add(ranges: &mut Ranges, line: &str) -> Option<()> {
    let mut fields = line.split(',');
    let (first, last, code) = (fields.next()?, fields.next()?, fields.next()?);
    let (first, last) = (address(first)?, address(last)?);
    // `??` is an allocated range of nobody knows where.
    match Country::from_code(code.trim().trim_matches('"')) {
        Some(country) => ranges.push(first, last, country).then_some(()),
        None => Some(()),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    match text.parse::<u32>() {
        Ok(number) => Some(Ipv4Addr::from_bits(number).into()),
        Err(_) => text.parse().ok(),
    }
}

/// The time in ` Generated: Thu, 25 Jun 2026 04:33:59 GMT`.
fn generated(comment: &str) -> Option<Timestamp> {
    let time = comment.trim().strip_prefix("Generated:")?;
    DateTimeParser::new().parse_timestamp(time.trim()).ok()
}
