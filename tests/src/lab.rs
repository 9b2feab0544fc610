//! The whole lab, ready to use, and the guard that removes it.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result};

use crate::{
    counter::{Counts, SipCounter},
    daemon::Daemon,
    janitor::{self, Janitor, LabId},
    office::Office,
    pbx::{Manners, Pbx},
    topology::{Addresses, INTERFACE, Newcomers, PBXS, Topology, UPLINK},
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
        Self::with_nonce_expire(300)
    }

    /// The same with nonces that are stale after so many seconds.
    pub fn with_nonce_expire(nonce_expire_s: u32) -> Result<Self> {
        janitor::sweep()?;
        let id = LabId::new(LABS.fetch_add(1, Ordering::Relaxed));
        let directory = id.directory();
        std::fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        let janitor = Janitor::hire(&id)?;
        let net = Topology::create(&id)?;
        let pbx = |number: usize| {
            let manners = Manners { unknown_users_404: number == 1, nonce_expire_s };
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

    pub fn trunk(&self) -> Trunk<'_> {
        Trunk::new(self)
    }

    /// sipprot on the host, not yet started.
    pub fn daemon(&self, program: &Path) -> Result<Daemon> {
        Daemon::new(&self.net.host, program, &self.directory())
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
