//! The programs in the kernel, their maps and their events. The only module that knows aya.
//!
//! Owns the pin directory, and through it all that the kernel holds of us; every operation takes and
//! gives the types of `sipprot_common`. It decides nothing about sources and keeps nothing: after a
//! crash the kernel goes on by the pins, and the next [`Datapath::open`] finds them.

mod attach;
mod clock;
mod compare;
mod compare_countries;
mod countries;
mod counts;
pub mod dump;
mod endpoints;
mod error;
mod events;
mod kernel;
mod kernel_log;
mod keys;
mod link;
mod links;
mod lists;
mod load;
mod lock;
mod map;
mod maps;
mod netlink;
mod pins;
pub mod probe;
pub mod rescue;
mod sources;
mod sys;
pub mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use sipprot_common::abi::{
    Config, POLICIES_MAX, PORT_SETS_MAX, Policy, PortSet, USER_AGENTS_MAX, UserAgentPattern,
    UserAgents,
};

pub use attach::{Attachment, Egress, Mode};
pub use clock::{Clock, boottime_ns, monotonic_ns, monotonic_precise_ns};
pub use compare::{Differs, ListDifferences};
pub use compare_countries::{CountryDifferences, CountryDiffers};
pub use counts::Fill;
pub use endpoints::{EndpointDiffers, SharedPort, kept};
pub use error::{DatapathError, Result};
pub use events::{Batch, Event, EventReader};
pub use kernel_log::KernelLog;
pub use links::{LinkWatch, Links};
pub use lists::{List, ListItem};
pub use sources::{BlockTarget, Quarantined};

use attach::Choice;
use lists::ListState;
use load::Programs;
use lock::Lock;
use map::Insert;
use maps::Maps;
use pins::Pins;

/// Rooms of maps that differ from the object's.
pub type MapSizes = Vec<(&'static str, u32)>;

#[derive(Clone, Debug)]
pub struct Options {
    /// On a BPF file system.
    pub pin_dir: PathBuf,
    /// Held while a daemon runs.
    pub lock: PathBuf,
    pub object: Object,
    pub on_mismatch: OnMismatch,
    /// Attach generic XDP even where the driver could do better.
    pub force_generic: bool,
    /// Use the clsact even where the kernel has TCX.
    pub force_clsact: bool,
    pub map_sizes: MapSizes,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pin_dir: "/sys/fs/bpf/sipprot".into(),
            lock: "/run/sipprot/lock".into(),
            object: Object::Embedded,
            on_mismatch: OnMismatch::StartFresh,
            force_generic: false,
            force_clsact: false,
            map_sizes: MapSizes::new(),
        }
    }
}

/// Where the eBPF object comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    Embedded,
    File(PathBuf),
}

/// What to do about pinned maps that another build made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMismatch {
    Refuse,
    /// New, empty maps; the caller restores what its store has before it attaches. Until then the
    /// programs that are attached go on with the old ones.
    StartFresh,
}

/// Which maps [`Datapath::open`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There were none.
    Made,
    /// Those of the last run, with all that was in them.
    Reused,
    /// Those of another build were given up; says what differed.
    Replaced { difference: String },
}

/// What [`Datapath::reconcile`] found and did.
#[derive(Debug)]
pub enum Change {
    /// The interface went away.
    Gone {
        interface: String,
    },
    /// It came back, or somebody had taken the programs off.
    Attached(Attachment),
    Failed {
        interface: String,
        error: DatapathError,
    },
}

/// The loaded datapath. Dropping it detaches nothing.
pub struct Datapath {
    pins: Pins,
    maps: Maps,
    programs: Mutex<Programs>,
    choice: Choice,
    opened: Opened,
    verified: [Option<u32>; 2],
    log: Mutex<Option<KernelLog>>,
    /// Interfaces that are to be attached, and whether they were there when last looked at.
    wanted: Mutex<BTreeMap<String, bool>>,
    config: Mutex<()>,
    lists: Mutex<ListState>,
    /// Of `CONFIG`; as old as the maps.
    seed: u64,
    _lock: Lock,
}

/// A panic in another thread leaves our maps no worse than a crash would.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random() -> Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == bytes.len() as isize {
        return Ok(u64::from_ne_bytes(bytes));
    }
    Err(error::system("getrandom")(io::Error::last_os_error()))
}

impl Datapath {
    /// Loads the programs over the pinned maps, or over new ones. Attaches nothing: the caller fills
    /// the maps first.
    pub fn open(options: &Options) -> Result<Self> {
        kernel::check_privileges()?;
        kernel::check_version()?;
        let object = load::bytes(&options.object)?;
        let lock = Lock::take(&options.lock, &options.pin_dir)?;
        kernel::ensure_bpf_fs(&options.pin_dir)?;
        let pins = Pins::new(&options.pin_dir);
        pins.create()?;
        let opened = prepare(&pins, &object, options)?;
        let loaded = load::load(&object, &pins, &options.map_sizes)
            .and_then(|loaded| Ok((loaded, Maps::open(&pins)?)));
        let ((programs, log), maps) = match (loaded, &opened) {
            (Ok(loaded), _) => loaded,
            (Err(error), Opened::Reused) => return Err(error),
            (Err(error), Opened::Made) => {
                pins.remove_maps();
                return Err(error);
            }
            (Err(error), Opened::Replaced { .. }) => {
                pins.bring_back()?;
                return Err(error);
            }
        };
        pins.discard_aside();
        let lists = Mutex::new(ListState::read(&maps)?);
        let mut datapath = Self {
            pins,
            maps,
            verified: programs.verified,
            programs: Mutex::new(programs),
            choice: Choice { generic: options.force_generic, clsact: options.force_clsact },
            opened,
            log: Mutex::new(log),
            wanted: Mutex::default(),
            config: Mutex::default(),
            lists,
            seed: 0,
            _lock: lock,
        };
        if datapath.config()?.seed == 0 {
            let seed = random()?.max(1);
            datapath.change_config(|config| config.seed = seed)?;
            if datapath.opened == Opened::Reused {
                // A run that made them died before this point: nothing is in them.
                datapath.opened = Opened::Made;
            }
        }
        // What the sketch forgets by it, it would have forgotten in a minute.
        let sketch_seed = random()? as u32;
        datapath.change_config(|config| config.sketch_seed = sketch_seed)?;
        datapath.seed = datapath.config()?.seed;
        datapath.find_strangers()?;
        Ok(datapath)
    }

    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Instructions that the verifier went through, of the ingress and the egress program.
    pub fn verified_instructions(&self) -> [Option<u32>; 2] {
        self.verified
    }

    /// Debug lines of the programs, where the build has them; once.
    pub fn take_log(&self) -> Option<KernelLog> {
        guard(&self.log).take()
    }

    /// Attaches to an interface, or replaces the program that an earlier run left there.
    pub fn attach(&self, interface: &str) -> Result<Attachment> {
        let attachment =
            attach::attach(&self.pins, &mut guard(&self.programs), interface, self.choice)?;
        guard(&self.wanted).insert(interface.into(), true);
        Ok(attachment)
    }

    /// Remembers an interface that isn't there yet: [`Self::reconcile`] attaches to it when it comes.
    pub fn expect(&self, interface: &str) {
        guard(&self.wanted).entry(interface.into()).or_insert(false);
    }

    /// False when nothing of ours was attached.
    pub fn detach(&self, interface: &str) -> Result<bool> {
        guard(&self.wanted).remove(interface);
        attach::detach(&self.pins, interface)
    }

    pub fn detach_all(&self) -> Result<()> {
        guard(&self.wanted).clear();
        for interface in self.pins.interfaces() {
            attach::detach(&self.pins, &interface)?;
        }
        Ok(())
    }

    /// What is attached by the pins, of this run and of earlier ones.
    pub fn attachments(&self) -> Vec<Attachment> {
        attach::attachments(&self.pins)
    }

    /// Attaches again where an interface came back or the programs were taken off. Cheap when all is
    /// well; meant to be called every few seconds.
    pub fn reconcile(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (interface, was_there) in guard(&self.wanted).iter_mut() {
            let ifindex = netlink::ifindex(interface);
            let Some(ifindex) = ifindex else {
                if std::mem::replace(was_there, false) {
                    // The links hold nothing any more.
                    let _ = attach::detach(&self.pins, interface);
                    changes.push(Change::Gone { interface: interface.clone() });
                }
                continue;
            };
            *was_there = true;
            if attach::in_place(&self.pins, interface, ifindex) {
                continue;
            }
            let programs = &mut guard(&self.programs);
            changes.push(match attach::attach(&self.pins, programs, interface, self.choice) {
                Ok(attachment) => Change::Attached(attachment),
                Err(error) => Change::Failed { interface: interface.clone(), error },
            });
        }
        changes
    }

    pub fn config(&self) -> Result<Config> {
        Ok(self.maps.config.get(&0)?.unwrap_or_default())
    }

    fn change_config(&self, change: impl FnOnce(&mut Config)) -> Result<()> {
        let _only = guard(&self.config);
        let before = self.config()?;
        let mut config = before;
        change(&mut config);
        if config != before {
            self.maps.config.insert(&0, &config, Insert::Any)?;
        }
        Ok(())
    }

    /// Sets or clears `CONFIG_*` bits; those of lists and endpoints follow by themselves.
    pub fn set_flags(&self, flags: u32, on: bool) -> Result<()> {
        self.change_config(|config| match on {
            true => config.flags |= flags,
            false => config.flags &= !flags,
        })
    }

    /// How often one source may cause an event.
    pub fn set_event_rate(&self, interval_ns: u64, burst_ns: u64) -> Result<()> {
        self.change_config(|config| {
            config.event_interval_ns = interval_ns;
            config.event_burst_ns = burst_ns;
        })
    }

    pub fn set_policy(&self, index: u32, policy: &Policy) -> Result<()> {
        if index >= POLICIES_MAX || policy.port_set >= PORT_SETS_MAX {
            let message =
                format!("policy {index} or its port set {} is out of range", policy.port_set);
            return Err(DatapathError::Invalid(message));
        }
        self.maps.policies.insert(&index, policy, Insert::Any).map(drop)
    }

    pub fn policy(&self, index: u32) -> Result<Option<Policy>> {
        self.maps.policies.get(&index)
    }

    pub fn has_port_set(&self, index: u32, ports: &PortSet) -> Result<bool> {
        Ok(self.maps.port_sets.get(&index)?.is_some_and(|found| found.words == ports.words))
    }

    pub fn has_user_agents(&self, patterns: &[String]) -> Result<bool> {
        let wanted = agents_of(patterns)?;
        Ok(self.maps.user_agents.get(&0)?.is_some_and(|found| {
            (found.count, found.heads, found.patterns)
                == (wanted.count, wanted.heads, wanted.patterns)
        }))
    }

    pub fn set_port_set(&self, index: u32, ports: &PortSet) -> Result<()> {
        if index >= PORT_SETS_MAX {
            return Err(DatapathError::Invalid(format!("there is no port set {index}")));
        }
        self.maps.port_sets.insert(&index, ports, Insert::Any).map(drop)
    }

    /// Patterns of user agents to drop, as [`UserAgentPattern::parse`] reads them.
    pub fn set_user_agents(&self, patterns: &[String]) -> Result<()> {
        self.maps.user_agents.insert(&0, &*agents_of(patterns)?, Insert::Any).map(drop)
    }

    /// The events; within a tokio runtime, and only one reader at a time. What came while nobody read
    /// is still in the ring, up to its size.
    pub fn events(&self) -> Result<EventReader> {
        EventReader::open(&self.pins.maps())
    }
}

fn agents_of(patterns: &[String]) -> Result<Box<UserAgents>> {
    if patterns.len() > USER_AGENTS_MAX {
        let message = format!("{} user agents, at most {USER_AGENTS_MAX}", patterns.len());
        return Err(DatapathError::Invalid(message));
    }
    let mut list = Box::new(UserAgents::EMPTY);
    for text in patterns {
        list.add(UserAgentPattern::parse(text).ok_or_else(|| {
            DatapathError::Invalid(format!("the user agent {text:?} is too short or too long"))
        })?);
    }
    Ok(list)
}

/// Decides about the maps that are pinned before the object is loaded over them.
fn prepare(pins: &Pins, object: &[u8], options: &Options) -> Result<Opened> {
    // A run that died between moving the maps aside and loading left them there: they are given up.
    match pins.check(&load::layouts(object, &options.map_sizes)?) {
        Ok(true) => Ok(Opened::Reused),
        Ok(false) => {
            fs::create_dir_all(pins.maps()).map_err(error::system("the pin directory"))?;
            Ok(Opened::Made)
        }
        Err(DatapathError::Layout { map, difference })
            if options.on_mismatch == OnMismatch::StartFresh =>
        {
            pins.set_aside()?;
            Ok(Opened::Replaced { difference: format!("{map}: {difference}") })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_may_share_it() {
        fn shared<T: Send + Sync>() {}
        fn moved<T: Send>() {}
        shared::<Datapath>();
        moved::<EventReader>();
        moved::<KernelLog>();
    }
}
