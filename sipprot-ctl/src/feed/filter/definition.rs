//! A filter as TOML: read, checked, and its patterns compiled within bounds.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::Filter;
use crate::rules::Told;

/// What a compiled pattern may take: none of the ready ones comes near it.
const PATTERN_BYTES_MAX: usize = 1 << 20;
const PATTERNS_MAX: usize = 64;

/// The fields that a pattern may name.
const FIELDS: [&str; 8] =
    ["address", "port", "account", "method", "status", "path", "transport", "reason"];

/// Short for fields of one form only: `{address}` in a pattern. A brace can stand nowhere else in it
/// with letters inside.
const FORMS: [(&str, &str); 3] = [
    // Of a port behind it, too, where none could be told from an IPv6 address.
    (
        "{address}",
        r"(?<address>\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?|[0-9A-Fa-f:.]{2,51}(?:%[0-9A-Za-z_.-]{1,15})?)",
    ),
    ("{port}", "(?<port>[0-9]{1,5})"),
    ("{status}", "(?<status>[0-9]{3})"),
];

/// Short for what ready filters ask of paths: `{scanned}` in a case.
const PATHS: [(&str, &str); 2] = [
    // What phones fetch, and try to fetch, all day.
    (
        "{provisioning}",
        concat!(
            r"(?i)(?:[^?]*/(?:(?:auto)?prov(?:ision(?:ing)?)?|phoneconfig|firmware|tftpboot)/.*",
            r"|[^?]*\.(?:cfg|xml|boot|rom|ld|sbn|bin|loads|tlv)(?:\?.*)?",
            r"|[^?]*/(?:sep|spa|cfg|snom[a-z0-9]*-)?[0-9a-f]{12}(?:[.?-].*)?)",
        ),
    ),
    // Folders that nobody asks for who isn't looking for a hole.
    (
        "{scanned}",
        concat!(
            r"(?i)[^?]*/(?:billing|(?:mya2|a2)billing|a2customer|phpmyadmin[0-9._-]*|pma[0-9]*|myadmin|mysqladmin",
            r"|sqladmin|dbadmin|mysql|adminer(?:\.php)?|vtigercrm|vicidial|recordings|admin/config\.php|freepbx",
            r"|elastix|asterisk|digium_phones|aastra|polycom|wp-login\.php|wp-admin|xmlrpc\.php|cgi-bin|\.env",
            r"|\.git|(?:scripts/)?setup\.php|boaform|hnap1|manager/html|vendor/phpunit)(?:[/?].*)?",
        ),
    ),
];

#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("{0}")]
    Toml(String),
    #[error("pattern {number}: {what}")]
    Pattern { number: usize, what: String },
    #[error("a filter has 1 to {PATTERNS_MAX} patterns")]
    Count,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    name: String,
    #[serde(default)]
    help: String,
    #[serde(default)]
    programs: Vec<String>,
    pattern: Vec<PatternDefinition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternDefinition {
    #[serde(rename = "match")]
    whole: String,
    /// For all that match; else the cases say.
    signal: Option<Signal>,
    #[serde(default)]
    case: Vec<CaseDefinition>,
    sole: Option<String>,
    #[serde(default)]
    announces: bool,
}

#[derive(Deserialize)]
struct CaseDefinition {
    signal: Signal,
    /// Field and pattern of its whole value.
    #[serde(flatten)]
    tests: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Signal {
    SshFailed,
    SshAccepted,
    HttpScan,
    HttpMissed,
    SipRejected,
    SipAccepted,
    /// Known, and nobody's fault.
    Ignored,
}

impl Signal {
    const fn told(self) -> Option<Told> {
        match self {
            Self::SshFailed => Some(Told::SshFailed),
            Self::SshAccepted => Some(Told::SshAccepted),
            Self::HttpScan => Some(Told::HttpScan),
            Self::HttpMissed => Some(Told::HttpMissed),
            Self::SipRejected => Some(Told::SipRejected),
            Self::SipAccepted => Some(Told::SipAccepted),
            Self::Ignored => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Pattern {
    pub whole: Regex,
    /// The first that holds decides.
    pub cases: Vec<Case>,
    /// A text that the program writes once: a line that has it twice was tampered with.
    pub sole: Option<String>,
    pub announces: bool,
}

#[derive(Debug)]
pub(super) struct Case {
    pub told: Option<Told>,
    pub tests: Vec<(String, Regex)>,
}

pub(super) fn read(text: &str) -> Result<Filter, FilterError> {
    let definition: Definition = toml_edit::de::from_str(text)
        .map_err(|error| FilterError::Toml(error.to_string().trim().replace('\n', " ")))?;
    if !(1..=PATTERNS_MAX).contains(&definition.pattern.len()) {
        return Err(FilterError::Count);
    }
    let compiled = (1..).zip(definition.pattern).map(|(number, pattern)| {
        compile(pattern).map_err(|what| FilterError::Pattern { number, what })
    });
    Ok(Filter {
        name: definition.name,
        help: definition.help.trim().to_owned(),
        programs: definition.programs,
        patterns: compiled.collect::<Result<_, _>>()?,
    })
}

fn compile(definition: PatternDefinition) -> Result<Pattern, String> {
    let written =
        FORMS.iter().fold(definition.whole, |text, (short, form)| text.replace(short, form));
    let whole = anchored(&written)?;
    let named: Vec<&str> = whole.capture_names().flatten().collect();
    if let Some(strange) = named.iter().find(|name| !FIELDS.contains(name)) {
        return Err(format!("no field is called {strange:?}: there are {}", FIELDS.join(", ")));
    }
    let cases = match (definition.signal, definition.case.as_slice()) {
        (Some(signal), []) => vec![Case { told: signal.told(), tests: Vec::new() }],
        (None, [_, ..]) => {
            definition.case.into_iter().map(|it| case(it, &named)).collect::<Result<_, _>>()?
        }
        _ => return Err("either a signal, or cases that have one each".to_owned()),
    };
    if cases.iter().any(|case| case.told.is_some()) && !named.contains(&"address") {
        return Err("it has no field address".to_owned());
    }
    Ok(Pattern { whole, cases, sole: definition.sole, announces: definition.announces })
}

fn case(definition: CaseDefinition, named: &[&str]) -> Result<Case, String> {
    let test = |(field, text): (String, String)| {
        if !named.contains(&field.as_str()) {
            return Err(format!("a case tests {field:?}, which the pattern doesn't name"));
        }
        let text = PATHS.iter().fold(text, |text, (short, form)| text.replace(short, form));
        Ok((field, anchored(&text)?))
    };
    let tests = definition.tests.into_iter().map(test).collect::<Result<_, _>>()?;
    Ok(Case { told: definition.signal.told(), tests })
}

/// From the first byte to the last, whatever the pattern says of lines.
fn anchored(text: &str) -> Result<Regex, String> {
    let compiled = RegexBuilder::new(&format!(r"\A(?:{text})\z"))
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(4 * PATTERN_BYTES_MAX)
        .build();
    compiled.map_err(|error| error.to_string().trim().replace('\n', " "))
}
