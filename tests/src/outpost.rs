//! The smallest lab: a host with one cable to the world, and a daemon that isn't started yet. No PBX and no phones.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

use crate::{
    daemon::Daemon,
    janitor::{self, Janitor, LabId},
    namespace::Namespace,
    topology::UPLINK,
};

static OUTPOSTS: AtomicU32 = AtomicU32::new(0);
/// Labs of the same process begin at 0.
const FIRST: u32 = 1000;

/// The world's end of the cable.
pub const FAR_END: &str = "down0";

/// Dropping it removes all of it.
// Dropped in this order: what runs, then where it ran.
#[derive(Debug)]
pub struct Outpost {
    pub daemon: Daemon,
    pub host: Namespace,
    pub world: Namespace,
    directory: PathBuf,
    _janitor: Janitor,
}

impl Outpost {
    /// Both ends are up and have no addresses; or `None`, and a line that says why.
    pub fn build() -> Result<Option<Self>> {
        // SAFETY: geteuid has no arguments and cannot fail.
        let is_root = unsafe { libc::geteuid() } == 0;
        let Some(program) = std::env::var_os("SIPPROT_BIN").filter(|_| is_root) else {
            println!("skipped: needs root and SIPPROT_BIN (the binary)");
            return Ok(None);
        };
        Self::of(Path::new(&program)).map(Some)
    }

    /// With a daemon that this program is.
    pub fn of(program: &Path) -> Result<Self> {
        janitor::sweep()?;
        let id = LabId::new(FIRST + OUTPOSTS.fetch_add(1, Ordering::Relaxed));
        let directory = id.directory();
        std::fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        let janitor = Janitor::hire(&id)?;
        let [host, world] = ["host", "world"].map(|role| Namespace::create(&id.namespace(role)));
        let (host, world) = (host?, world?);
        cable(&world, FAR_END, &host, UPLINK)?;
        let daemon = Daemon::named("sipprot", &host, program, &directory)?;
        Ok(Self { daemon, host, world, directory, _janitor: janitor })
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A veth pair, both ends up.
pub fn cable(near: &Namespace, near_end: &str, far: &Namespace, far_end: &str) -> Result<()> {
    let far_name = far.name();
    near.ip(&format!(
        "link add name {near_end} type veth peer name {far_end} netns {far_name}\n\
         link set {near_end} up\n"
    ))?;
    far.ip(&format!("link set {far_end} up\n"))
}
