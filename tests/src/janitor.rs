//! What removes a lab, also one whose process was killed.
//!
//! A shell waits at the end of a pipe. When the lab's process ends, however it ends, the pipe
//! closes, and the shell kills what is left in the lab's namespaces, removes them, unmounts its
//! bpffs and deletes its files. A lab that is dropped properly uses the same way. Only namespaces,
//! mounts and files that bear the lab's id are touched.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// How names of labs begin; then come the process id and a number.
const PREFIX: &str = "sipprot-lab-";

const SCRIPT: &str = r#"
read -r nothing
for path in /run/netns/"$1"-*; do
    [ -e "$path" ] || continue
    name=${path##*/}
    for pid in $(ip netns pids "$name"); do kill -9 "$pid"; done 2>/dev/null
    ip netns delete "$name"
done
mountpoint -q "$2/bpf" && umount -l "$2/bpf"
rm -rf "$2"
"#;

/// The name of a lab: unique on this machine while its process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabId(String);

impl LabId {
    pub fn new(number: u32) -> Self {
        Self(format!("{PREFIX}{}-{number}", std::process::id()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of one of its namespaces.
    pub fn namespace(&self, role: &str) -> String {
        format!("{}-{role}", self.0)
    }

    /// Where its files are.
    pub fn directory(&self) -> PathBuf {
        std::env::temp_dir().join(&self.0)
    }

    /// The lab to which a namespace or directory belongs, and its process.
    fn parse(name: &str) -> Option<(Self, u32)> {
        let mut parts = name.strip_prefix(PREFIX)?.splitn(3, '-');
        let pid = parts.next()?.parse().ok()?;
        let number: u32 = parts.next()?.parse().ok()?;
        Some((Self(format!("{PREFIX}{pid}-{number}")), pid))
    }
}

/// Holds the pipe.
#[derive(Debug)]
pub struct Janitor(Child);

impl Janitor {
    /// From now on the lab will be removed.
    pub fn hire(id: &LabId) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "sipprot-lab-janitor", id.as_str()])
            .arg(id.directory())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for the lab; the janitor has work to do then.
            .process_group(0)
            .spawn()
            .context("start the janitor")?;
        Ok(Self(child))
    }

    /// Closes the pipe and waits; complaints of the janitor are returned.
    fn dismiss(&mut self) -> String {
        drop(self.0.stdin.take());
        let mut complaints = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            // An unreadable complaint is no complaint; what is left behind shows by itself.
            drop(stderr.read_to_string(&mut complaints));
        }
        drop(self.0.wait());
        complaints
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        let complaints = self.dismiss();
        if !complaints.is_empty() {
            eprintln!("removing the lab: {}", complaints.trim());
        }
    }
}

/// Everything on this machine that bears the id of a lab: namespaces, and directories of files.
pub fn leftovers(of: Option<&LabId>) -> Vec<String> {
    let places = [PathBuf::from("/run/netns"), std::env::temp_dir()];
    let mut found = Vec::new();
    for place in &places {
        for name in names_in(place) {
            if LabId::parse(&name).is_some_and(|(id, _)| of.is_none_or(|of| *of == id)) {
                found.push(place.join(name).display().to_string());
            }
        }
    }
    found
}

/// Removes the labs whose processes are gone (their janitor was killed too, or still works).
pub fn sweep() -> Result<()> {
    let mut dead: Vec<LabId> = Vec::new();
    for place in [PathBuf::from("/run/netns"), std::env::temp_dir()] {
        for name in names_in(&place) {
            if let Some((id, pid)) = LabId::parse(&name)
                && !Path::new(&format!("/proc/{pid}")).exists()
                && !dead.contains(&id)
            {
                dead.push(id);
            }
        }
    }
    for id in &dead {
        // The janitor of a killed lab may be at it in the same moment: its complaints are ours.
        Janitor::hire(id)?.dismiss();
    }
    Ok(())
}

fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_lab_and_process() {
        let id = LabId("sipprot-lab-12-3".to_owned());
        assert_eq!(LabId::parse("sipprot-lab-12-3-office"), Some((id.clone(), 12)));
        assert_eq!(LabId::parse("sipprot-lab-12-3"), Some((id, 12)));
        assert_eq!(LabId::parse("sipprot-lab-12"), None);
        assert_eq!(LabId::parse("somebody-else-12-3"), None);
    }
}
