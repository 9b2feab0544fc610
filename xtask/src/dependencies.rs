//! What may be linked: licences that allow it, from the registry alone, and nothing banned.
//!
//! What `cargo deny check licenses bans sources` would say, of what cargo itself tells; advisories need a
//! database that a build has no way to fetch.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    process::{self, say},
    workspace,
};

/// What goes with MIT and Apache-2.0 in one binary.
const LICENSES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// TLS is rustls's: a second one would bring its faults too.
const BANNED: [&str; 3] = ["openssl", "openssl-sys", "native-tls"];

pub fn check() -> Result<()> {
    let mut cargo = workspace::cargo("metadata");
    cargo.args(["--format-version", "1", "--locked"]);
    let metadata: Value =
        serde_json::from_str(&process::printed(&mut cargo)?).context("what cargo metadata says")?;
    let packages = metadata["packages"].as_array().context("metadata without packages")?;
    let wrong: Vec<String> = packages.iter().filter_map(objection).collect();
    wrong.iter().for_each(say);
    match wrong.len() {
        0 => Ok(()),
        count => bail!("{count} dependencies are not to be linked"),
    }
}

/// Why a package may not be linked.
fn objection(package: &Value) -> Option<String> {
    let text = |field: &str| package[field].as_str().unwrap_or_default();
    let (name, license, source) = (text("name"), text("license"), text("source"));
    let reason = if BANNED.contains(&name) {
        "is banned".to_owned()
    } else if !is_allowed(license) {
        format!("has the license {license:?}")
    } else if !(source.is_empty()
        || source.starts_with("registry+")
        || source.starts_with("sparse+"))
    {
        format!("comes from {source}")
    } else {
        return None;
    };
    Some(format!("{name} {}: {reason}", text("version")))
}

/// Whether an SPDX expression, or the older form with a stroke, leaves an allowed choice. Only `AND` between
/// choices is known, as all of our dependencies write it.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    expression.split(" AND ").all(|choices| {
        let choices = choices.trim().trim_start_matches('(').trim_end_matches(')');
        choices.split(" OR ").any(|license| LICENSES.contains(&license.trim()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_not_be_linked_is_named_with_the_reason() {
        let check = |name: &str, license: &str, source: Option<&str>, expected: Option<&str>| {
            let package =
                json!({"name": name, "version": "1.2.3", "license": license, "source": source});
            assert_eq!(objection(&package).as_deref(), expected, "{name} {license}");
        };
        let registry = Some("registry+index");
        check("ours", "MIT OR Apache-2.0", None, None);
        check("old", "Unlicense/MIT", registry, None);
        check("both", "(MIT OR Apache-2.0) AND Unicode-3.0", registry, None);
        check("choice", "Apache-2.0 OR LGPL-2.1-or-later", registry, None);
        check("strict", "GPL-3.0", registry, Some("strict 1.2.3: has the license \"GPL-3.0\""));
        let both = "MIT AND GPL-2.0";
        check("half", both, registry, Some("half 1.2.3: has the license \"MIT AND GPL-2.0\""));
        check("none", "", registry, Some("none 1.2.3: has the license \"\""));
        check("openssl", "Apache-2.0", registry, Some("openssl 1.2.3: is banned"));
        check("fork", "MIT", Some("git+there"), Some("fork 1.2.3: comes from git+there"));
    }
}
