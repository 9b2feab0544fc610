//! What the webmaster sets: `hub.toml`, in the fleet's directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{Choice, choices, parse_duration};

choices! {
    /// Who decides what is spread.
    #[derive(Default)]
    Spread {
        /// Somebody looks at each source first.
        #[default]
        Webmaster = "webmaster",
        /// So many hosts as the quorum says.
        Quorum = "quorum",
    }
}

/// What decides on the hub.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    pub spread: Spread,
    /// Hosts that must have proven a source; all of them where there are fewer.
    pub quorum: u32,
    /// Within this time.
    #[serde(deserialize_with = "span")]
    pub window: Duration,
    /// After the last report that proved it.
    #[serde(deserialize_with = "span")]
    pub expires: Duration,
    /// Sources that a host may report in an hour.
    pub reports_per_hour: u32,
    /// Proven sources of one /24 or /48 for which the network is proposed.
    pub network_sources: u32,
    /// A host of which nothing is heard for longer is silent.
    #[serde(deserialize_with = "span")]
    pub silent_after: Duration,
    /// Never spread.
    pub protected: Vec<IpNetwork>,
    /// What a host's word counts, where that isn't 1; 0 is nothing.
    pub weights: BTreeMap<String, u32>,
}

impl Default for Rules {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self {
            spread: Spread::Webmaster,
            quorum: 3,
            window: Duration::from_secs(24 * HOUR),
            expires: Duration::from_secs(7 * 24 * HOUR),
            reports_per_hour: 1000,
            network_sources: 3,
            silent_after: Duration::from_secs(60),
            protected: Vec::new(),
            weights: BTreeMap::new(),
        }
    }
}

/// The file that `sipprot fleet init` writes: all of it commented out.
pub const DOCUMENTED: &str = r#"# The hub's settings. `sipprot hub` reads them again when this file changes; a wrong file changes nothing.

# Who decides what is spread: "webmaster" (each source waits for `sipprot fleet approve`) or "quorum"
# (so many hosts have proven it).
#spread = "webmaster"

# Hosts that must have proven a source within the window; all of them where there are fewer.
#quorum = 3
#window = "24h"

# How long a source is listed after the last report that proved it.
#expires = "7d"

# Sources that one host may report in an hour; what is more is refused and counted.
#reports_per_hour = 1000

# Proven sources of one /24 or /48 for which the network is proposed. It is never listed by itself.
#network_sources = 3

# A host of which nothing is heard for longer is silent.
#silent_after = "60s"

# Networks of which nothing is ever spread.
#protected = ["192.0.2.0/24", "2001:db8::/32"]

# What a host's word counts towards the quorum, where that isn't 1; 0 is nothing.
#[weights]
#pbx-01 = 2
"#;

impl Rules {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let rules: Self = toml_edit::de::from_str(text).map_err(|error| {
            // The message has the line; what follows it quotes the file.
            anyhow::anyhow!("{}", error.to_string().trim().replace('\n', " "))
        })?;
        anyhow::ensure!(rules.quorum > 0, "quorum: expected 1 or more");
        anyhow::ensure!(rules.network_sources > 1, "network_sources: expected 2 or more");
        for (key, span, least) in [
            ("window", rules.window, 60),
            ("expires", rules.expires, 60),
            ("silent_after", rules.silent_after, 5),
        ] {
            let most = Duration::from_secs(365 * 86_400);
            let is_right = span >= Duration::from_secs(least) && span <= most;
            anyhow::ensure!(is_right, "{key}: expected from {least}s to 365d");
        }
        Ok(rules)
    }

    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    pub fn weight(&self, host: &str) -> u32 {
        self.weights.get(host).copied().unwrap_or(1)
    }
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text)
        .ok_or_else(|| serde::de::Error::custom("expected a time such as 90s, 10m, 1h or 7d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_file_says_the_defaults() {
        assert_eq!(Rules::parse(DOCUMENTED).unwrap(), Rules::default());
        let settings = DOCUMENTED.lines().filter(|line| line.contains(" = "));
        let said: String =
            settings.map(|line| format!("{}\n", line.trim_start_matches('#'))).collect();
        let (said, _) = said.split_once("protected").unwrap();
        assert_eq!(Rules::parse(said).unwrap(), Rules::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, says: &str| {
            let error = Rules::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        };
        check("spread = \"all\"", "spread");
        check("quorum = 0", "quorum");
        check("window = \"1s\"", "window");
        check("window = 1", "string");
        check("expire = \"1h\"", "expire");
        check("protected = [\"x\"]", "protected");
    }
}
