//! Settings, as callers see and change them.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Done, nobody};
use crate::config::{Config, Difference, Loaded, Setting, shown};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsAnswer {
    /// Of what is in force; another one after any change.
    pub version: String,
    /// In reading order.
    pub files: Vec<String>,
    pub settings: Vec<SettingView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingView {
    /// Such as `rules.block_time` or `endpoint[pbx1].mode`.
    pub key: String,
    pub value: Json,
    /// Null where there is none.
    pub default: Json,
    pub origin: OriginView,
}

impl SettingsAnswer {
    pub fn of(loaded: &Loaded) -> Self {
        let Loaded { config, files, origins } = loaded;
        let default = Config::default().settings();
        let view = |Setting { key, value }: Setting| {
            let known = default.iter().find(|it| it.key == key);
            let (file, line) = origins.of(&key).unzip();
            SettingView {
                value: shown(&key, value),
                default: known.map(|it| it.value.clone()).unwrap_or_default(),
                origin: OriginView {
                    file: file.map(|file| file.display().to_string()),
                    line: line.map(|line| line as u64),
                },
                key,
            }
        };
        Self {
            version: config.version(),
            files: files.iter().map(|file| file.display().to_string()).collect(),
            settings: config.settings().into_iter().map(view).collect(),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OriginView {
    /// Absent for a default.
    pub file: Option<String>,
    pub line: Option<u64>,
}

/// Several settings at once: all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// By key; null takes a key out of its file, so that the default holds. `endpoint[NAME]` alone with
    /// null takes out the whole section.
    pub settings: BTreeMap<String, Json>,
    /// The version that it was made from: another one in force meanwhile is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default = "nobody")]
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChanged {
    /// Whether it is in force; a dry run never is.
    pub done: bool,
    pub message: String,
    /// Afterwards.
    pub version: String,
    pub changes: Vec<Difference>,
    /// Which were written.
    pub files: Vec<String>,
    /// Its record in the audit log, by which it can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<u64>,
}

/// Of an undo: of settings what changed, of anything else that it is done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Undone {
    Settings(SettingsChanged),
    Other(Done),
}

/// A checked change, ready in files beside those that it replaces.
#[derive(Clone)]
pub struct StagedSettings {
    pub by: String,
    pub keys: Vec<String>,
    /// The daemon's own.
    pub ready: Arc<dyn Any + Send + Sync>,
}

impl StagedSettings {
    pub fn target(&self) -> String {
        self.keys.join(" ")
    }
}

impl fmt::Debug for StagedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagedSettings({}, by {})", self.target(), self.by)
    }
}
