//! The schema of the settings, for programs and forms: made from the table of keys, so that it can't
//! say anything else than what is read.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use toml_edit::Value;

use super::french;
use super::json::from_toml;
use super::keys::{
    BLOCKLIST, BLOCKLIST_KEYS, ENDPOINT, ENDPOINT_KEYS, KEYS, Key, LOG, LOG_KEYS, SECTIONS,
    Section, required,
};
use super::settings::KeyName;
use super::{Blocklist, Config, Endpoint, Log};

/// What is shown in place of a secret.
pub const SECRET: &str = "(not shown)";

/// What a value is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Shape {
    /// `boolean`, `integer`, `duration`, `choice`, `path`, `listen`, `text`, `ports`, `network`,
    /// `peer`, `country` or `list`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Both included: of a number, of a duration in seconds, of a list's length.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<&'static str>,
    /// What the entries of a list are.
    #[serde(skip_serializing_if = "Option::is_none")]
    each: Option<Box<Shape>>,
}

impl Shape {
    pub(super) const fn of(kind: &'static str) -> Self {
        Self { kind, min: None, max: None, choices: Vec::new(), each: None }
    }

    pub(super) fn between(self, min: u64, max: u64) -> Self {
        Self { min: Some(min), max: Some(max), ..self }
    }

    pub(super) fn among(self, choices: impl Iterator<Item = &'static str>) -> Self {
        Self { choices: choices.collect(), ..self }
    }

    pub(super) fn each(self, each: Shape) -> Self {
        Self { each: Some(Box::new(each)), ..self }
    }
}

/// One language each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Help {
    en: &'static str,
    fr: &'static str,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct SectionSchema {
    /// Of the file; empty for what stands before every heading.
    pub name: &'static str,
    /// Whether there may be several, each with a name: `endpoint[NAME]`.
    pub named: bool,
    help: Help,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct SettingSchema {
    /// Such as `rules.block_time`; of a named section `endpoint[NAME].mode`.
    pub key: String,
    pub section: &'static str,
    #[serde(flatten)]
    pub shape: Shape,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    /// Absent where what is left out goes by the host's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// Must be there.
    required: bool,
    /// A change may cut off who makes it: it may need a confirmation.
    risky: bool,
    /// A change holds from the next start on.
    restart: bool,
    /// Never shown.
    secret: bool,
    help: Help,
    /// In words.
    expected: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Schema {
    pub sections: Vec<SectionSchema>,
    pub settings: Vec<SettingSchema>,
}

impl Schema {
    /// What somebody typed for a setting. What it doesn't fit is left as text, so that the reader of
    /// settings says what was expected.
    pub fn value(&self, key: &str, texts: &[&str]) -> Result<Json, String> {
        let row = KeyName::parse(key).and_then(|name| {
            let wanted = match name.named {
                Some((kind, _)) => format!("{kind}[NAME].{}", name.path),
                None => key.to_owned(),
            };
            self.settings.iter().find(|it| it.key == wanted)
        });
        let shape = &row.ok_or("there is no such setting")?.shape;
        match (shape.kind, texts) {
            ("list", [text]) if text.starts_with('[') => {
                let value: Value = text
                    .parse()
                    .map_err(|error: toml_edit::TomlError| error.message().replace('\n', ", "))?;
                Ok(from_toml(&value))
            }
            ("list", [text]) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(parts.map(Json::from).collect())
            }
            ("list", texts) => Ok(texts.iter().map(|text| Json::from(*text)).collect()),
            ("boolean", [text]) if text.parse::<bool>().is_ok() => Ok((*text == "true").into()),
            ("integer", [text]) => Ok(text.parse::<i64>().map_or((*text).into(), Json::from)),
            (_, [text]) => Ok((*text).into()),
            _ => Err("takes one value".to_owned()),
        }
    }
}

/// Everything that can be set.
pub fn schema() -> Schema {
    let mut schema = Schema { sections: Vec::new(), settings: Vec::new() };
    for section in SECTIONS {
        schema.sections.push(section_schema(section, false));
    }
    for key in KEYS {
        let section = section_of(key.path);
        schema.settings.push(setting(section, key.path.to_owned(), key, &Config::default(), &[]));
    }
    named(&mut schema, &ENDPOINT, ENDPOINT_KEYS, &Endpoint::default());
    named(&mut schema, &LOG, LOG_KEYS, &Log::default());
    named(&mut schema, &BLOCKLIST, BLOCKLIST_KEYS, &Blocklist::default());
    schema
}

fn named<T>(schema: &mut Schema, section: &'static Section, keys: &[Key<T>], default: &T) {
    schema.sections.push(section_schema(section, true));
    for key in keys {
        let name = format!("{}[NAME].{}", section.name, key.path);
        schema.settings.push(setting(section.name, name, key, default, required(section.name)));
    }
}

fn section_schema(section: &'static Section, named: bool) -> SectionSchema {
    let help = Help { en: section.help, fr: french::section(section.name) };
    SectionSchema { name: section.name, named, help }
}

/// The heading under which a key stands: the longest one.
fn section_of(path: &str) -> &'static str {
    let holds = |name: &str| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    SECTIONS.iter().map(|section| section.name).find(|name| holds(name)).unwrap_or_default()
}

fn setting<T>(
    section: &'static str,
    name: String,
    key: &Key<T>,
    default: &T,
    required: &[&str],
) -> SettingSchema {
    let required = required.contains(&key.path);
    let default = (key.show)(default).filter(|_| !required);
    SettingSchema {
        section,
        shape: (key.shape)(),
        unit: unit(&name),
        default: default.map(|value| from_toml(&value)),
        required,
        risky: is_risky(&name),
        restart: section == "daemon",
        secret: is_secret(&name),
        help: Help { en: key.help, fr: french::help(&name) },
        expected: (key.expected)(),
        key: name,
    }
}

/// Numbers that are not just counts. A duration says its own.
fn unit(key: &str) -> Option<&'static str> {
    let last = key.rsplit('.').next().unwrap_or(key);
    let guard = ["ssh.", "http.", "tftp."].iter().any(|section| key.contains(section));
    match last {
        "account_limit_hour" => Some("1/h"),
        "account_limit_day" => Some("1/d"),
        "accounts_limit" => Some("1/rules.accounts_window"),
        "ssh_limit" | "http_scan_limit" => Some("1/10min"),
        _ if last.ends_with("_limit") => Some("1/min"),
        "rate" if guard => Some("1/min"),
        "source_burst" => Some("packets"),
        _ if last.ends_with("_rate") => Some("packets/s"),
        "widest_v4" | "widest_v6" => Some("bits"),
        _ => None,
    }
}

/// What the lock-out guard looks at.
fn is_risky(key: &str) -> bool {
    key == "mode" || key == "observe.protections" || key.starts_with("geo.")
}

/// A setting's value as anybody may see it: that a secret is empty is none.
pub fn shown(key: &str, value: Json) -> Json {
    if is_hidden(key, &value) && value.as_str() != Some("") { SECRET.into() } else { value }
}

/// Is it a secret by its key, or by what stands in it?
pub fn is_hidden(key: &str, value: &Json) -> bool {
    is_secret(key) || value.as_str().is_some_and(has_credentials)
}

/// A URL may bear a password or a licence's key.
fn has_credentials(text: &str) -> bool {
    text.contains("://") && text.contains(['@', '?'])
}

/// Never shown to anybody, nor kept anywhere but in the files.
pub fn is_secret(key: &str) -> bool {
    key.ends_with("].log_token")
        || matches!(key, "mail.password" | "webhook.url" | "webhook.secret")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn secrets_are_hidden_by_their_key_and_by_what_they_are() {
        fn check(key: &str, value: &str, expected: &str) {
            assert_eq!(shown(key, value.into()), Json::from(expected), "{key} = {value}");
        }
        check("mail.password", "pa55", SECRET);
        check("mail.password", "", "");
        check("blocklist[x].url", "https://lists.example/all", "https://lists.example/all");
        check("blocklist[x].url", "https://ann:pa55@lists.example/all", SECRET);
        check("blocklist[x].url", "https://lists.example/all?key=5e5e", SECRET);
        check("mail.from", "SIPprot <sipprot@example.com>", "SIPprot <sipprot@example.com>");
    }

    #[test]
    fn the_schema_has_every_key_that_is_read_and_no_other() {
        let schema = schema();
        let described: BTreeSet<String> =
            schema.settings.iter().map(|it| it.key.replace("[NAME]", "[a]")).collect();
        assert_eq!(described.len(), schema.settings.len(), "one row for each");
        let example = Config::documented_default();
        let mut section = String::new();
        let mut read = BTreeSet::new();
        for line in example.lines() {
            let line = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
            if let Some(named) = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")) {
                section = format!("{named}[a].");
            } else if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                section = format!("{name}.");
            } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.contains("# ")) {
                read.insert(format!("{section}{key}"));
            }
        }
        // A file or a url: the example has one of them.
        read.insert("blocklist[a].file".to_owned());
        assert_eq!(described, read);
        let known =
            |key: &String| crate::config::KeyName::parse(key).is_some_and(|it| it.is_known());
        assert!(described.iter().all(known));
    }

    /// The settings page of the seed, field by field.
    #[test]
    fn every_field_of_the_seed_is_a_setting() {
        let schema = schema();
        for (field, keys) in [
            ("Protocoles", &["sip.protocols"][..]),
            ("Ports SIP", &["sip.ports"]),
            ("Règle de blocage SIP", &["rules.register_limit"]),
            ("Temps de blocage dynamique", &["rules.block_time"]),
            ("Seuil de blocage", &["rules.block_threshold"]),
            ("Agents utilisateurs bloqués", &["sip.blocked_user_agents"]),
            ("Géoprotection", &["geo.mode"]),
            ("Pays bloqués", &["geo.countries"]),
            ("TFTP", &["tftp.mode", "tftp.rate", "tftp.burst"]),
            ("DNS", &["dns.mode"]),
            ("Activer les notifications", &["notify.enabled"]),
            ("Envoyer un résumé quotidien", &["notify.summary"]),
            ("Envoyer le journal pour chaque attaque", &["notify.attacks", "notify.attack_every"]),
            ("Destinataire des notifications", &["mail.recipients"]),
        ] {
            let found = |key: &&str| schema.settings.iter().any(|it| it.key == *key);
            assert!(keys.iter().all(found), "{field}");
        }
        let row = |key: &str| schema.settings.iter().find(|it| it.key == key).unwrap();
        let threshold = &row("rules.block_threshold").shape;
        assert_eq!((threshold.min, threshold.max), (Some(1), Some(20)));
        assert_eq!(row("tftp.rate").default, Some(10.into()));
        assert_eq!(row("tftp.burst").default, Some(100.into()));
        assert_eq!(row("dns.mode").default, Some("enforce".into()));
        assert_eq!(row("notify.attack_every").default, Some("1h".into()));
    }

    #[test]
    fn a_row_as_programs_see_it() {
        let schema = serde_json::to_value(schema()).unwrap();
        let rows = schema["settings"].as_array().unwrap();
        let row = rows.iter().find(|it| it["key"] == "rules.block_time").unwrap();
        let shape = [&row["type"], &row["min"], &row["max"], &row["default"], &row["section"]];
        let expected = ["\"duration\"", "1", "31536000", "\"1h\"", "\"rules\""];
        assert_eq!(shape.map(ToString::to_string), expected);
        let row = rows.iter().find(|it| it["key"] == "geo.mode").unwrap();
        assert_eq!(
            (&row["choices"], &row["risky"]),
            (&serde_json::json!(["off", "deny", "allow"]), &true.into())
        );
    }
}
