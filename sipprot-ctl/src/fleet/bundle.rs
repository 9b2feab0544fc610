//! What a host needs to belong to a fleet, in one file: `sipprot fleet add-host` prints it.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::key::{Signer, Verifier};

/// A name is part of subjects and files.
pub const NAME_MAX: usize = 48;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub name: String,
    /// `ADDRESS:PORT` each.
    pub servers: Vec<String>,
    /// The host's own key, by which it connects and signs.
    pub seed: String,
    /// By which it knows what the hub publishes.
    pub hub: String,
    /// Who signed the servers' certificates, in PEM.
    pub ca: String,
}

impl Bundle {
    pub fn to_text(&self) -> anyhow::Result<String> {
        let head = "# What this host needs to belong to the fleet. It holds a secret key: only root may read it.\n";
        Ok(head.to_owned() + &toml_edit::ser::to_string_pretty(self)?)
    }

    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let bundle: Self = toml_edit::de::from_str(text).map_err(|error| {
            // The rest of the message would quote the key.
            anyhow::anyhow!("not what 'sipprot fleet add-host' prints: {}", error.message())
        })?;
        check_name(&bundle.name)?;
        anyhow::ensure!(!bundle.servers.is_empty(), "no servers");
        Signer::new(&bundle.seed).context("seed")?;
        Verifier::new(&bundle.hub).context("hub")?;
        Ok(bundle)
    }

    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }
}

/// Letters, digits, `-` and `_`: nothing that means something in a subject.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    anyhow::ensure!(
        !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(is_plain),
        "expected a name of at most {NAME_MAX} letters, digits, - and _"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::key;

    #[test]
    fn a_bundle_reads_back_and_wrong_ones_do_not_tell_the_key() {
        let (host, hub) = (key::make_user().unwrap(), key::make_operator().unwrap());
        let bundle = Bundle {
            name: "pbx-01".to_owned(),
            servers: vec!["192.0.2.1:4222".to_owned()],
            seed: host.seed.clone(),
            hub: hub.public,
            ca: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        };
        let text = bundle.to_text().unwrap();
        assert_eq!(Bundle::parse(&text).unwrap(), bundle);
        for (from, to) in [("pbx-01", "pbx.01"), ("hub =", "hob ="), ("name", "\"")] {
            let error = format!("{:#}", Bundle::parse(&text.replacen(from, to, 1)).unwrap_err());
            assert!(!error.contains(&host.seed), "{error}");
        }
    }
}
