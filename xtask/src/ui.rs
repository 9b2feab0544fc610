//! The dashboard: its packages, its build and its checks, by Node and npm where they are installed.
//!
//! Its files are made anew only when a source is younger: the controller embeds them, and would be compiled
//! again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result};

use crate::{
    process::{self, say},
    workspace,
};

/// By this variable the controller's build script is told which files to embed.
pub const DIST_VARIABLE: &str = "SIPPROT_UI";
const NODE_MAJOR: u32 = 18;
/// What npm writes when it is done.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// The dashboard's files, or nothing where Node is missing.
pub fn build() -> Result<Option<PathBuf>> {
    if !is_possible() {
        say("without Node 18 and npm the controller is built without its dashboard");
        return Ok(None);
    }
    let (ui, dist) = (workspace::ui_dir(), workspace::ui_dir().join("dist"));
    if is_younger(&dist.join("index.html"), newest(&ui)?) {
        return Ok(Some(dist));
    }
    install(&ui)?;
    process::run(npm(&ui).args(["run", "--silent", "build"]))?;
    Ok(Some(dist))
}

/// Types, accessibility of the markup, and the logic's own tests.
pub fn check() -> Result<()> {
    if !is_possible() {
        say("without Node 18 and npm the dashboard is not checked");
        return Ok(());
    }
    let ui = workspace::ui_dir();
    install(&ui)?;
    process::run(npm(&ui).args(["run", "--silent", "check"]))?;
    process::run(npm(&ui).args(["run", "--silent", "test"]))
}

fn is_possible() -> bool {
    let Some(node) = process::find_program("node") else { return false };
    let version = process::printed(Command::new(node).arg("--version")).unwrap_or_default();
    major(&version) >= Some(NODE_MAJOR) && process::find_program("npm").is_some()
}

/// Of `v18.20.4`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn install(ui: &Path) -> Result<()> {
    let locked = modified(&ui.join("package-lock.json"));
    if locked.is_some_and(|locked| is_younger(&ui.join(INSTALLED), locked)) {
        return Ok(());
    }
    say("installing the dashboard's packages");
    process::run(npm(ui).args(["ci", "--silent"]))
}

fn npm(ui: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(ui);
    command
}

/// When the youngest source was changed.
fn newest(ui: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut left = vec![ui.to_owned()];
    while let Some(dir) = left.pop() {
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() {
                let made = ["dist", "node_modules", "test-results"].iter().any(|it| name == *it);
                left.extend((!made).then_some(path));
            } else {
                newest = newest.max(modified(&path).unwrap_or(newest));
            }
        }
    }
    Ok(newest)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}

fn is_younger(path: &Path, than: SystemTime) -> bool {
    modified(path).is_some_and(|made| made >= than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node() {
        assert_eq!(major("v18.20.4\n"), Some(18));
        assert_eq!(major("v20.0.0"), Some(20));
        assert_eq!(major("bash: node: not found"), None);
    }
}
