//! The command line of settings, of the audit log and of undo.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use crate::config::{GeoMode, RuleScope};

#[derive(ClapArgs, Debug)]
pub struct Config {
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Print every key with its meaning and default.
    Default,
    /// Print every key as JSON: type, unit, bounds, choices, default, help in English and French.
    Schema,
    /// Check FILE and its drop-ins, or the ones in use.
    Check { file: Option<PathBuf> },
    /// Print what the files say, each value with where it comes from.
    Show,
    /// Print what FILE, or the files in use, would change in the running daemon.
    Diff { file: Option<PathBuf> },
    /// Print settings that are in force.
    Get {
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        of: OfEndpoint,
    },
    /// Set keys, at once in force and in the file: KEY VALUE..., or KEY=VALUE for several.
    ///
    /// Entries of a list are given one by one, or with commas between. A key stays in the file where it
    /// is set; a new one goes into the main file. Of an endpoint: --endpoint NAME, or
    /// 'endpoint[NAME].KEY'; a name that there isn't yet is a new endpoint, with addresses.
    Set {
        #[arg(value_name = "KEY VALUE", required = true)]
        words: Vec<String>,
        #[command(flatten)]
        of: OfEndpoint,
        #[command(flatten)]
        how: How,
    },
    /// Take keys out of their files, so that their defaults hold.
    Unset {
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        of: OfEndpoint,
        #[command(flatten)]
        how: How,
    },
}

#[derive(ClapArgs, Debug)]
pub struct OfEndpoint {
    /// The endpoint whose keys they are; the host's otherwise.
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
}

#[derive(ClapArgs, Debug)]
pub struct How {
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
}

/// `geo set`.
#[derive(ClapArgs, Debug)]
pub struct GeoSet {
    /// deny (the countries are kept out) or allow (all others are).
    #[arg(long, value_parser = super::geo_mode)]
    pub mode: GeoMode,
    /// ISO codes, English names, continents, with commas between; those of the file otherwise.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub countries: Vec<String>,
    /// All traffic, or only that to SIP ports; as in the file otherwise.
    #[arg(long, value_parser = super::geo_scope)]
    pub scope: Option<RuleScope>,
    #[command(flatten)]
    pub of: OfEndpoint,
    #[command(flatten)]
    pub how: How,
}

#[derive(ClapArgs, Debug)]
pub struct GeoOff {
    #[command(flatten)]
    pub of: OfEndpoint,
    #[command(flatten)]
    pub how: How,
}

#[derive(ClapArgs, Debug)]
pub struct Audit {
    /// Only what this user did.
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
    /// Only this: list.add, list.edit, list.remove, list.import, block, unblock, trust.revoke, peer.add,
    /// peer.remove, learn.start, settings, reload, confirm, rollback, undo, login.failed and so on;
    /// list for all that begin so.
    #[arg(long, value_name = "WHAT")]
    pub what: Option<String>,
    /// Only about an address, or from it; a part is enough.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Only since a time: 2026-02-28, 2026-02-28T12:00:00Z, or 90m, 12h, 7d ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<i64>,
    /// Only before a time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<i64>,
    /// The oldest first.
    #[arg(long)]
    pub oldest: bool,
    /// At most so many.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Leave out so many first.
    #[arg(long, value_name = "N")]
    pub offset: Option<u64>,
}

#[derive(ClapArgs, Debug)]
pub struct Undo {
    /// As 'sipprot audit' numbers it; the last thing that you did otherwise.
    pub number: Option<u64>,
    /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
}

/// Unix seconds: of a date (UTC), of a time, or so long ago.
fn time(text: &str) -> Result<i64, String> {
    use jiff::Timestamp;
    use jiff::civil::Date;
    use jiff::tz::TimeZone;
    if let Some(ago) = crate::config::parse_duration(text) {
        return Ok(Timestamp::now().as_second() - i64::try_from(ago.as_secs()).unwrap_or(i64::MAX));
    }
    let date = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
    let at = text.parse::<Timestamp>().ok().or_else(|| Some(date()?.timestamp()));
    at.map(Timestamp::as_second).ok_or_else(|| {
        "expected a time such as 2026-02-28, 2026-02-28T12:00:00Z, 90m, 12h or 7d".to_owned()
    })
}
