//! Settings by name, such as `rules.block_time` and `endpoint[pbx1].mode`: what each is, where it was
//! set, and in what two configurations differ.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::json::{from_toml, to_toml};
use super::keys::{
    BLOCKLIST, BLOCKLIST_KEYS, ENDPOINT, ENDPOINT_KEYS, KEYS, Key, LOG, LOG_KEYS, Section,
};
use super::{Config, Loaded, shown};
use crate::hex::hex;

/// A key that is set, or has a default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    pub key: String,
    pub value: Json,
}

/// A key that two configurations don't agree about; what is left out is absent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    pub key: String,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

/// The parts of a setting's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyName<'a> {
    /// The kind of named section, and which of them.
    pub named: Option<(&'a str, &'a str)>,
    /// Dotted; empty for a named section as a whole.
    pub path: &'a str,
}

impl<'a> KeyName<'a> {
    pub fn parse(key: &'a str) -> Option<Self> {
        let Some((kind, rest)) = key.split_once('[') else {
            return (!key.is_empty()).then_some(Self { named: None, path: key });
        };
        let (name, path) = rest.split_once(']')?;
        let known = [ENDPOINT.name, LOG.name, BLOCKLIST.name].contains(&kind);
        let path = match path {
            "" => "",
            path => path.strip_prefix('.').filter(|path| !path.is_empty())?,
        };
        (known && !name.is_empty()).then_some(Self { named: Some((kind, name)), path })
    }

    /// Whether there is such a key, or may be such a section.
    pub fn is_known(&self) -> bool {
        fn holds<T>(keys: &[Key<T>], path: &str) -> bool {
            path.is_empty() || keys.iter().any(|key| key.path == path)
        }
        match self.named {
            None => KEYS.iter().any(|key| key.path == self.path),
            Some(("endpoint", _)) => holds(ENDPOINT_KEYS, self.path),
            Some(("log", _)) => holds(LOG_KEYS, self.path),
            Some(_) => holds(BLOCKLIST_KEYS, self.path),
        }
    }
}

/// `endpoint[pbx1]`.
pub fn section_name(kind: &str, name: &str) -> String {
    format!("{kind}[{name}]")
}

impl Config {
    /// Everything that is set or has a default, in the order of the documentation.
    pub fn settings(&self) -> Vec<Setting> {
        let mut all = Vec::new();
        push(&mut all, "", KEYS, self);
        for endpoint in &self.endpoints {
            push_named(&mut all, &ENDPOINT, &endpoint.name, ENDPOINT_KEYS, endpoint);
        }
        for log in &self.logs {
            push_named(&mut all, &LOG, &log.name, LOG_KEYS, log);
        }
        for list in &self.blocklists {
            push_named(&mut all, &BLOCKLIST, &list.name, BLOCKLIST_KEYS, list);
        }
        all
    }

    /// The same for every configuration that says the same, and another one for any that doesn't.
    pub fn version(&self) -> String {
        version_of(&self.settings())
    }

    /// What `after` says otherwise.
    pub fn differences(&self, after: &Config) -> Vec<Difference> {
        differences(self.settings(), after.settings())
    }
}

/// Of all that is set, in its order.
pub fn version_of(settings: &[Setting]) -> String {
    let mut hash = Sha256::new();
    for Setting { key, value } in settings {
        hash.update(format!("{key} = {value}\n"));
    }
    hex(&hash.finalize()[..8])
}

/// In the order of `after`; what that leaves out comes last.
pub fn differences(before: Vec<Setting>, after: Vec<Setting>) -> Vec<Difference> {
    let mut left: BTreeMap<String, Json> =
        before.into_iter().map(|it| (it.key, it.value)).collect();
    let mut all = Vec::new();
    for Setting { key, value } in after {
        let before = left.remove(&key);
        if before.as_ref() != Some(&value) {
            all.push(Difference { key, before, after: Some(value) });
        }
    }
    let gone = left.into_iter();
    all.extend(gone.map(|(key, value)| Difference { key, before: Some(value), after: None }));
    all
}

/// TOML that reads back to this configuration.
pub(super) fn annotated(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut section = None;
    for Setting { key, value } in loaded.config.settings() {
        let name = KeyName::parse(&key);
        let named =
            name.and_then(|name| name.named).map(|(kind, of)| (kind.to_owned(), of.to_owned()));
        if let Some((kind, _)) = named.as_ref().filter(|_| named != section) {
            text += &format!("\n[[{kind}]]\n");
        }
        section = named;
        let path = name.map_or(key.as_str(), |name| name.path);
        let value = shown(&key, value);
        let value = to_toml(&value).map(|value| value.to_string()).unwrap_or_default();
        let origin = loaded.origins.place(&key).unwrap_or_else(|| "default".to_owned());
        text += &format!("{path} = {}  # {origin}\n", value.trim());
    }
    text
}

fn push_named<T>(
    all: &mut Vec<Setting>,
    section: &Section,
    name: &str,
    keys: &[Key<T>],
    target: &T,
) {
    push(all, &(section_name(section.name, name) + "."), keys, target);
}

fn push<T>(all: &mut Vec<Setting>, prefix: &str, keys: &[Key<T>], target: &T) {
    for key in keys {
        if let Some(value) = (key.show)(target) {
            all.push(Setting { key: format!("{prefix}{}", key.path), value: from_toml(&value) });
        }
    }
}

/// File and line of every key that was set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins(HashMap<String, (PathBuf, usize)>);

impl Origins {
    /// Of places by number, such as `endpoint[0].mode`.
    pub(super) fn new(config: &Config, places: HashMap<String, (PathBuf, usize)>) -> Self {
        let name = |kind: &str, number: usize| match kind {
            "endpoint" => config.endpoints.get(number).map(|it| it.name.as_str()),
            "log" => config.logs.get(number).map(|it| it.name.as_str()),
            _ => config.blocklists.get(number).map(|it| it.name.as_str()),
        };
        let named = |place: String| {
            let Some((kind, rest)) = place.split_once('[') else { return Some(place) };
            let (number, path) = rest.split_once("].")?;
            let section = section_name(kind, name(kind, number.parse().ok()?)?);
            Some(if path.is_empty() { section } else { format!("{section}.{path}") })
        };
        let places = places.into_iter();
        Self(places.filter_map(|(place, at)| Some((named(place)?, at))).collect())
    }

    /// Where a key, or a named section, was last set.
    pub fn of(&self, key: &str) -> Option<(&Path, usize)> {
        self.0.get(key).map(|(file, line)| (file.as_path(), *line))
    }

    /// `FILE:LINE`.
    pub fn place(&self, key: &str) -> Option<String> {
        self.of(key).map(|(file, line)| format!("{}:{line}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(Path::new("t.toml"), text).unwrap()
    }

    #[test]
    fn names_are_parsed() {
        let parsed = |key| KeyName::parse(key).map(|it| (it.named, it.path, it.is_known()));
        assert_eq!(parsed("rules.block_time"), Some((None, "rules.block_time", true)));
        assert_eq!(parsed("rules.blok"), Some((None, "rules.blok", false)));
        let pbx = Some(("endpoint", "pbx.1"));
        assert_eq!(parsed("endpoint[pbx.1].geo.mode"), Some((pbx, "geo.mode", true)));
        assert_eq!(parsed("endpoint[pbx.1]"), Some((pbx, "", true)));
        assert_eq!(parsed("log[a].path").map(|it| it.2), Some(true));
        for wrong in ["", "endpoint[", "endpoint[a", "endpoint[]", "endpoint[a]b", "x[a].mode"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sipprot.toml");
        let text = "mode = \"observe\"\npeers = [{ network = \"192.0.2.7\", rate = 9 }]\n[[endpoint]]\n\
                    name = \"a\"\naddresses = [\"192.0.2.1\"]\ngeo.mode = \"off\"\n[[endpoint]]\nname = \"b\"\n\
                    addresses = [\"192.0.2.2\"]\n[[log]]\nname = \"a\"\npath = \"/l\"\nfilters = [\"sshd\"]\n";
        std::fs::write(&file, text).unwrap();
        let loaded = Config::load(Some(&file)).unwrap();
        let shown = loaded.annotated();
        assert_eq!(parse(&shown), loaded.config, "{shown}");
        assert!(shown.contains(&format!("mode = \"observe\"  # {}:1\n", file.display())));
        assert!(shown.contains(&format!("geo.mode = \"off\"  # {}:6\n", file.display())));
        assert!(shown.contains("rules.block_time = \"1h\"  # default\n"));
    }

    #[test]
    fn differences_and_versions() {
        let one = "[[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\nmode = \"observe\"\n";
        let (before, after) =
            (parse(one), parse(&format!("mode = \"off\"\n{one}ssh.mode = \"off\"")));
        let told: Vec<_> = before.differences(&after).into_iter().map(|it| it.key).collect();
        assert_eq!(told, ["mode", "endpoint[a].ssh.mode"]);
        let gone = after.differences(&parse("mode = \"off\""));
        assert!(gone.iter().all(|it| it.key.starts_with("endpoint[a].") && it.after.is_none()));
        assert!(gone.iter().any(|it| it.key == "endpoint[a].name"), "the whole section");
        assert_ne!(before.version(), after.version());
        assert_eq!(before.version(), parse(&format!("# else\n{one}")).version());
    }
}
