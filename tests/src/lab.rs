//! The whole lab, ready to use, and the guard that removes it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result};

use crate::{
    attackers::flood::{self, Flood},
    campus::Campus,
    counter::{Counts, SipCounter},
    daemon::{Daemon, Settings},
    janitor::{self, Janitor, LabId},
    office::Office,
    pbx::{Manners, Pbx},
    topology::{Addresses, Family, INTERFACE, Newcomers, PBXS, Topology, UPLINK},
    trunk::Trunk,
};

static LABS: AtomicU32 = AtomicU32::new(0);

/// Host, PBXs, office, trunk and attackers. Dropping it removes all of it.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: what runs, then where it ran.
    pub pbxs: [Pbx; 2],
    /// What attackers sent, whether it arrived or not.
    pub sent: SipCounter,
    pub net: Topology,
    newcomers: Newcomers,
    /// Held while an attacker without a choice of source address has the route to itself.
    route: Mutex<()>,
    id: LabId,
    _janitor: Janitor,
}

impl Lab {
    /// Builds it and waits until both PBXs answer. Removes labs of dead processes first.
    pub fn new() -> Result<Self> {
        Self::with(Manners::default())
    }

    /// The same with other manners of the PBXs; only the second tells who is unknown, only the first
    /// has many lines.
    pub fn with(manners: Manners) -> Result<Self> {
        janitor::sweep()?;
        let id = LabId::new(LABS.fetch_add(1, Ordering::Relaxed));
        let directory = id.directory();
        std::fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        let janitor = Janitor::hire(&id)?;
        let net = Topology::create(&id)?;
        let pbx = |number: usize| {
            let (unknown_users_404, many_lines) = (number == 1, manners.many_lines && number == 0);
            let manners = Manners { unknown_users_404, many_lines, ..manners };
            let directory = directory.join(format!("pbx{}", number + 1));
            Pbx::start(&net.pbxs[number], PBXS[number], manners, &directory)
        };
        let pbxs = [pbx(0)?, pbx(1)?];
        let sent = SipCounter::start(&net.attackers, INTERFACE, &PBXS)?;
        Ok(Self {
            pbxs,
            sent,
            net,
            newcomers: Newcomers::default(),
            route: Mutex::new(()),
            id,
            _janitor: janitor,
        })
    }

    /// Why no lab can be made here, in a line; `None` if nothing is missing.
    pub fn missing() -> Option<String> {
        // SAFETY: geteuid has no arguments and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            return Some("root (network namespaces)".to_owned());
        }
        let programs = ["ip", "ethtool", "kamailio", "sipp", "svcrack", "svwar", "svmap"];
        let absent: Vec<&str> = programs.into_iter().filter(|name| !in_path(name)).collect();
        (!absent.is_empty()).then(|| absent.join(", "))
    }

    pub fn id(&self) -> &LabId {
        &self.id
    }

    /// Where the lab's files are.
    pub fn directory(&self) -> PathBuf {
        self.id.directory()
    }

    /// The interface of the host that is to be protected.
    pub fn uplink(&self) -> &'static str {
        UPLINK
    }

    /// The addresses of an attacker who has not been seen yet.
    pub fn newcomer(&self) -> Addresses {
        self.newcomers.next()
    }

    pub fn office(&self) -> Office<'_> {
        Office::new(self)
    }

    /// An office of five hundred phones, at the first PBX.
    pub fn campus(&self, source: Ipv4Addr) -> Campus<'_> {
        Campus::new(self, source)
    }

    pub fn trunk(&self) -> Trunk<'_> {
        Trunk::new(self)
    }

    /// The lab with a running sipprot, the binary that `SIPPROT_BIN` names; or a line that says why
    /// there is none.
    pub fn protected(manners: Manners, settings: &Settings) -> Result<Option<(Self, Daemon)>> {
        let binary = std::env::var_os("SIPPROT_BIN");
        let missing = Self::missing()
            .or_else(|| binary.is_none().then(|| "SIPPROT_BIN (the binary)".to_owned()));
        if let Some(missing) = missing {
            println!("skipped: needs {missing}");
            return Ok(None);
        }
        let lab = Self::with(manners)?;
        let mut daemon = lab.daemon(binary.unwrap_or_default().as_ref())?;
        daemon.configure(settings)?;
        daemon.start()?;
        Ok(Some((lab, daemon)))
    }

    /// sipprot on the host, not yet started.
    pub fn daemon(&self, program: &Path) -> Result<Daemon> {
        Daemon::new(&self.net.host, program, &self.directory())
    }

    /// Floods the first PBX from a million forged sources of each family, and among them from real ones.
    pub fn flood(
        &self,
        families: &[Family],
        real: Vec<SocketAddr>,
        per_second: u64,
    ) -> Result<Flood> {
        // What the PBXs answer to nobody ends here.
        for network in flood::NETWORKS {
            self.net.internet.ip(&format!("route replace blackhole {network}\n"))?;
        }
        let targets = families.iter().map(|&family| self.pbxs[0].sip(family)).collect();
        let towards = self.net.host.hardware_address(UPLINK)?;
        let plan = flood::Plan { targets, real, per_second };
        Flood::start(&self.net.internet, "down0", towards, plan)
    }

    /// Runs `attack` while everything that the attackers send to IPv4 comes from `source`, unless
    /// it chose its own.
    pub fn attack_as<T>(&self, source: Ipv4Addr, attack: impl FnOnce() -> Result<T>) -> Result<T> {
        let _alone = self.route.lock().unwrap_or_else(PoisonError::into_inner);
        let attackers = &self.net.attackers;
        attackers.ip(&format!("route replace default via 198.51.100.1 src {source}\n"))?;
        let result = attack();
        attackers.ip("route replace default via 198.51.100.1\n")?;
        result
    }

    /// What both PBXs counted of a source, added up.
    pub fn counts(&self, source: std::net::IpAddr) -> Result<Counts> {
        let mut sum = Counts::default();
        for pbx in &self.pbxs {
            sum.add(&pbx.counter.settled(source)?);
        }
        Ok(sum)
    }

    /// Forgets what was counted.
    pub fn reset_counts(&self) {
        for pbx in &self.pbxs {
            pbx.counter.reset();
        }
        self.sent.reset();
    }
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
