//! The dashboard: its packages, its build and its checks, by Node and npm where they are installed.
//!
//! Its files are made anew only when what they are made of is another: the controller embeds them, and would
//! be compiled again.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
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
/// What the files are made of.
const SOURCES: [&str; 6] =
    ["index.html", "src", "build", "vite.config.ts", "svelte.config.js", "package-lock.json"];
/// Says of which sources the files were made.
const MADE_OF: &str = "node_modules/.sipprot-dist";

/// The dashboard's files, or nothing where Node is missing.
pub fn build() -> Result<Option<PathBuf>> {
    if !is_possible() {
        say("without Node 18 and npm the controller is built without its dashboard");
        return Ok(None);
    }
    let (ui, dist) = (workspace::ui_dir(), workspace::ui_dir().join("dist"));
    // What tests need of the packages must be there even if nothing has to be built.
    install(&ui)?;
    let (sources, made_of) = (digest(&ui)?, ui.join(MADE_OF));
    let known = fs::read_to_string(&made_of).unwrap_or_default();
    if dist.join("index.html").is_file() && known == sources {
        return Ok(Some(dist));
    }
    process::run(npm(&ui).args(["run", "--silent", "build"]))?;
    fs::write(&made_of, sources).with_context(|| format!("cannot write {}", made_of.display()))?;
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

/// Another one whenever a source comes, goes or changes.
fn digest(ui: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let mut left: Vec<PathBuf> = SOURCES.iter().map(|name| ui.join(name)).collect();
    let mut files = Vec::new();
    while let Some(path) = left.pop() {
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        let unreadable = || format!("cannot read {}", path.display());
        for entry in fs::read_dir(&path).with_context(unreadable)? {
            left.push(entry.with_context(unreadable)?.path());
        }
    }
    files.sort();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        (file.strip_prefix(ui).unwrap_or(&file), bytes).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
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
    fn only_sources_say_whether_it_is_built_anew() {
        let ui = std::env::temp_dir().join(format!("sipprot-ui-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            let path = ui.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        SOURCES.iter().for_each(|name| match name.contains('.') {
            true => write(name, ""),
            false => write(&format!("{name}/one.ts"), ""),
        });
        let first = digest(&ui).unwrap();
        write("e2e/pages.spec.ts", "another test");
        assert_eq!(digest(&ui).unwrap(), first);
        write("src/pages/One.svelte", "a page");
        let second = digest(&ui).unwrap();
        assert_ne!(second, first);
        fs::remove_file(ui.join("src/pages/One.svelte")).unwrap();
        assert_eq!(digest(&ui).unwrap(), first);
        fs::remove_dir_all(&ui).unwrap();
    }

    #[test]
    fn versions_of_node() {
        assert_eq!(major("v18.20.4\n"), Some(18));
        assert_eq!(major("v20.0.0"), Some(20));
        assert_eq!(major("bash: node: not found"), None);
    }
}
