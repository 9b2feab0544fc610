//! `sipprot support`: all that somebody needs who helps from afar, in one file, without secrets. Works without a
//! daemon: what can't be had says why.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args as ClapArgs;
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use serde_json::Value;

use super::client::Client;
use super::{CliError, Context, version};
use crate::api::Done;
use crate::config::{Config, DEFAULT_PATH, Daemon};
use crate::datapath::{dump, rescue};
use crate::fetch::{Limits, fetch};
use crate::scrub::Scrub;

const PATIENCE: Duration = Duration::from_secs(10);
const METRICS: Limits = Limits { time: PATIENCE, bytes: 16 << 20 };
/// What one part may be long; of the journal the end counts.
const PART_MAX: usize = 8 << 20;
const OWNER_ONLY: u32 = 0o600;

#[derive(ClapArgs, Debug)]
pub struct Support {
    /// Where it is written; by default in this directory, with host and time in its name.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What the API tells, by the name of the part.
const ANSWERS: [(&str, &str); 9] = [
    ("status", "/status"),
    ("settings", "/settings"),
    ("top", "/top?limit=50"),
    ("events", "/events/recent"),
    ("audit", "/audit?limit=200"),
    ("report", "/report"),
    ("blocks", "/blocks?limit=200"),
    ("learn", "/learn"),
    ("blocklists", "/blocklists"),
];

/// What programs of the host tell.
const PROGRAMS: [(&str, &[&str]); 8] = [
    ("kernel", &["uname", "-a"]),
    ("links", &["ip", "-details", "-statistics", "link"]),
    ("addresses", &["ip", "address"]),
    ("routes", &["ip", "route", "show", "table", "all"]),
    ("package", &["dpkg-query", "--show", "sipprot", "linux-image*", "libc6"]),
    ("unit", &["systemctl", "status", "--no-pager", "--full", "sipprot.service"]),
    ("unit-files", &["systemctl", "cat", "--no-pager", "sipprot.service"]),
    (
        "journal",
        &["journalctl", "--no-pager", "--output=short-iso", "--lines=5000", "--unit=sipprot"],
    ),
];

pub(super) fn run(context: &Context, support: &Support) -> Result<(), CliError> {
    let main = context.config.clone().unwrap_or_else(|| DEFAULT_PATH.into());
    let files = config_files(&main);
    let texts: Vec<String> = files.iter().flat_map(fs::read_to_string).collect();
    let failed = |error: io::Error| CliError::Failed(format!("cannot write the bundle: {error}"));
    let scrub = Scrub::new(&texts).map_err(|error| failed(io::Error::other(error)))?;
    let out = support.out.clone().unwrap_or_else(default_name);
    let file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&out);
    let file = file.map_err(|error| CliError::Failed(format!("{}: {error}", out.display())))?;
    let mut bundle = Bundle::new(file, scrub);
    gather(context, &files, &mut bundle).and_then(|()| bundle.finish()).map_err(failed)?;
    let message = format!(
        "{} is written. Secrets are left out; addresses and account names are in it: look into it \
         before you send it\n",
        out.display()
    );
    context.print(&Done::new(message), |done| done.message.clone())
}

/// The file, and those in the directory beside it.
fn config_files(main: &Path) -> Vec<PathBuf> {
    let further = fs::read_dir(main.with_extension("d")).into_iter().flatten().flatten();
    let mut further: Vec<PathBuf> = further.map(|it| it.path()).filter(|it| it.is_file()).collect();
    further.sort();
    std::iter::once(main.to_owned()).chain(further).collect()
}

fn default_name() -> PathBuf {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-').collect();
    let at = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    format!("sipprot-support-{host}-{at}.tar.gz").into()
}

fn gather(context: &Context, files: &[PathBuf], bundle: &mut Bundle) -> io::Result<()> {
    let daemon = match Config::load(context.config.as_deref()) {
        Ok(loaded) => loaded.config.daemon,
        Err(error) => {
            bundle.put("config-error.txt", &error.to_string())?;
            Daemon::default()
        }
    };
    bundle.put("version.txt", &format!("{}\n{}\n", version().version, Timestamp::now()))?;
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        bundle.put(&format!("config/{name}"), &told(fs::read_to_string(file)))?;
    }
    let client = Client::new(daemon.socket.clone()).waiting(PATIENCE);
    for (name, path) in ANSWERS {
        let answer = client.get::<Value>(path).map(|it| format!("{it:#}"));
        bundle.put(&format!("api/{name}.json"), &told(answer))?;
    }
    if let Some(address) = daemon.metrics {
        let mut text = Vec::new();
        let fetched = fetch(&format!("http://{address}/metrics"), METRICS, &mut text);
        let text = fetched.map(|_| String::from_utf8_lossy(&text).into_owned());
        bundle.put("metrics.txt", &told(text))?;
    }
    bundle.put("doctor.txt", &super::doctor::told(context))?;
    let maps = dump::maps(&daemon.pin_dir).map(|maps| format!("{maps:#?}"));
    bundle.put("maps.txt", &told(maps))?;
    let kernel = rescue::status(&daemon.pin_dir).map(|status| format!("{status:#?}"));
    bundle.put("in-force.txt", &told(kernel))?;
    bundle.put("state.txt", &listing(&daemon.state_dir))?;
    for (name, words) in PROGRAMS {
        bundle.put(&format!("host/{name}.txt"), &told(output(words)))?;
    }
    Ok(())
}

/// What there is, or why there is nothing.
fn told<E: std::fmt::Display>(text: Result<String, E>) -> String {
    text.unwrap_or_else(|error| format!("not available: {error}\n"))
}

fn output(words: &[&str]) -> io::Result<String> {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?;
    let bytes = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Names and sizes alone.
fn listing(directory: &Path) -> String {
    let mut lines = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(it) if it.is_dir() => left.push(entry.path()),
                Ok(it) => lines.push(format!("{:>12} {}", it.len(), entry.path().display())),
                Err(_) => {}
            }
        }
    }
    lines.sort();
    lines.join("\n") + "\n"
}

struct Bundle {
    tar: tar::Builder<GzEncoder<File>>,
    scrub: Scrub,
}

impl Bundle {
    fn new(file: File, scrub: Scrub) -> Self {
        Self { tar: tar::Builder::new(GzEncoder::new(file, Compression::default())), scrub }
    }

    /// The only way in: nothing unscrubbed gets by.
    fn put(&mut self, name: &str, text: &str) -> io::Result<()> {
        let start = text.len().saturating_sub(PART_MAX);
        let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(start);
        let text = self.scrub.scrub(&text[start..]);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(OWNER_ONLY);
        header.set_mtime(Timestamp::now().as_second().max(0).unsigned_abs());
        self.tar.append_data(&mut header, format!("sipprot-support/{name}"), text.as_bytes())
    }

    fn finish(self) -> io::Result<()> {
        let mut file = self.tar.into_inner()?.finish()?;
        file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_in_unscrubbed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bundle.tar.gz");
        let scrub = Scrub::new(&[]).unwrap();
        let mut bundle = Bundle::new(File::create(&path).unwrap(), scrub);
        bundle.put("a/b.txt", "smtp.password = \"hunter2\"\nmode = \"observe\"\n").unwrap();
        bundle.finish().unwrap();
        let unpacked = flate2::read::GzDecoder::new(File::open(&path).unwrap());
        let mut archive = tar::Archive::new(unpacked);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("sipprot-support/a/b.txt"));
        let mut text = String::new();
        io::Read::read_to_string(&mut entry, &mut text).unwrap();
        assert_eq!(text, "smtp.password = (not shown)\nmode = \"observe\"\n");
    }
}
