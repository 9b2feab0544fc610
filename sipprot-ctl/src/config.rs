//! `/etc/sipprot/sipprot.toml` and its drop-ins in `sipprot.d`: every key, its default and its limits.
//!
//! Owns the meaning of the configuration and nothing that acts on it: no interface is looked up, no
//! database opened, no address resolved here. `keys` is the one table from which reading, the
//! documented default file and every message come; `read` walks the files; `check` sees to what
//! only the whole can tell.

mod api;
mod branding;
mod check;
mod documented;
mod duration;
mod edit;
mod error;
mod forms;
mod french;
mod guards;
mod json;
mod keys;
mod notify;
mod own;
mod read;
mod schema;
mod settings;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnetwork::IpNetwork;
use serde_json::Value as Json;

pub use api::Api;
pub use branding::Branding;
pub use duration::{format_duration, parse_duration};
pub use error::{ConfigError, Fault};
pub use forms::unmapped;
pub use guards::{DnsGuard, Guard, Guards};
pub use notify::{
    Language, Mail, MailSecurity, MailWay, Notify, Severity, Webhook, WebhookFormat, is_recipient,
};
pub use own::{InForce, OwnLimits, OwnRate, OwnRates};
pub use schema::{SECRET, Schema, is_hidden, is_secret, schema, shown};
pub use settings::{Difference, KeyName, Origins, Setting, differences, section_name, version_of};
pub(crate) use values::choices;
pub use values::{
    BlockScope, Choice, GeoMode, LogKind, LogLevel, Mode, PortRange, Protection, RuleScope, Scope,
    SyslogTransport, Transport, UseTls,
};

use crate::geo::Country;

/// Where the configuration lies when the operator names no other file.
pub const DEFAULT_PATH: &str = "/etc/sipprot/sipprot.toml";

/// The kernel holds 512 policies; number 0 is the host's own.
pub const ENDPOINTS_MAX: usize = 511;

/// How many user agents the kernel compares with.
pub const USER_AGENTS_MAX: usize = 64;

/// Bytes of a listed user agent.
pub const USER_AGENT_LENGTH: std::ops::RangeInclusive<usize> = 3..=32;

/// The whole configuration, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The uplinks to protect; empty when only the command line names them.
    pub interfaces: Vec<String>,
    pub mode: Mode,
    /// Trusted without having to prove it.
    pub peers: Vec<Peer>,
    /// No rule ever blocks these.
    pub never_block: Vec<IpNetwork>,
    /// How long a change that may cut off its operator waits for a confirmation.
    pub confirm_within: Duration,
    pub daemon: Daemon,
    pub api: Api,
    pub sip: Sip,
    pub rules: RuleLimits,
    pub ceilings: Ceilings,
    pub geo: GeoPolicy,
    /// The services beside SIP.
    pub guards: Guards,
    /// Protections whose drops are only counted.
    pub observe: Vec<Protection>,
    /// Whether the host's ssh log is followed without being named.
    pub follow_ssh: bool,
    /// Who reports abuse; may be empty.
    pub abuse_contact: String,
    pub endpoints: Vec<Endpoint>,
    pub logs: Vec<Log>,
    pub blocklists: Vec<Blocklist>,
    pub audit: Audit,
    pub report: ReportKept,
    /// Of the dashboard.
    pub branding: Branding,
    pub fleet: Fleet,
    /// Who is told of what.
    pub notify: Notify,
}

/// Whether this host belongs to a fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fleet {
    /// What `sipprot fleet add-host` printed; without it there is no fleet.
    pub credentials: Option<PathBuf>,
    pub mode: Mode,
    /// Whether reports name endpoints and accounts.
    pub names: bool,
    /// The directory of a hub on this same host.
    pub hub: Option<PathBuf>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { credentials: None, mode: Mode::Enforce, names: false, hub: None }
    }
}

/// How much is kept of what was changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Audit {
    pub records_max: u32,
    pub keep_for: Duration,
}

impl Default for Audit {
    fn default() -> Self {
        Self { records_max: 100_000, keep_for: Duration::from_secs(90 * 86_400) }
    }
}

/// How much is kept of what reports tell.
#[derive(Clone, PartialEq, Debug)]
pub struct ReportKept {
    pub rows_max: u32,
    pub keep_for: Duration,
}

impl Default for ReportKept {
    fn default() -> Self {
        Self { rows_max: 200_000, keep_for: Duration::from_secs(400 * 86_400) }
    }
}

/// A list that others keep: plain addresses and networks, one a line.
#[derive(Clone, PartialEq, Debug)]
pub struct Blocklist {
    pub name: String,
    /// Either this or `url`.
    pub file: Option<PathBuf>,
    pub url: Option<String>,
    pub refresh: Duration,
    /// How long what was read last holds when it can't be read again.
    pub expires: Duration,
    pub entries_max: u32,
    /// The shortest prefix of a network that is taken in.
    pub widest_v4: u32,
    pub widest_v6: u32,
    pub mode: Mode,
}

impl Default for Blocklist {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self {
            name: String::new(),
            file: None,
            url: None,
            refresh: Duration::from_secs(HOUR),
            expires: Duration::from_secs(7 * 24 * HOUR),
            entries_max: 500_000,
            widest_v4: 16,
            widest_v6: 32,
            mode: Mode::Enforce,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    pub network: IpNetwork,
    /// A ceiling of its own, in packets a second.
    pub rate: Option<u32>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Daemon {
    pub state_dir: PathBuf,
    pub socket: PathBuf,
    pub pin_dir: PathBuf,
    /// Where `/metrics` is served; `None` is nowhere.
    pub metrics: Option<SocketAddr>,
    pub log: LogLevel,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Sip {
    pub ports: Vec<PortRange>,
    /// In the SIP scope of blocks, but encrypted: never parsed.
    pub tls_ports: Vec<PortRange>,
    pub protocols: Vec<Transport>,
    /// Patterns of the User-Agent header's value, compared without regard to ASCII case: `=text` is
    /// the whole of it, `*text*` is anywhere in its first 64 bytes, other text is its beginning.
    pub blocked_user_agents: Vec<String>,
}

/// What the rules count up to, and what follows.
#[derive(Clone, PartialEq, Debug)]
pub struct RuleLimits {
    /// Failed registrations a minute from one source.
    pub register_limit: u32,
    /// Failures an hour from one source for one account.
    pub account_limit_hour: u32,
    /// Failures a day from one source for one account.
    pub account_limit_day: u32,
    /// Distinct failing accounts from one source within `accounts_window`.
    pub accounts_limit: u32,
    pub accounts_window: Duration,
    /// Failed ssh logins in ten minutes.
    pub ssh_limit: u32,
    /// Requests in ten minutes for folders that only scanners ask for.
    pub http_scan_limit: u32,
    /// Requests a minute for what is not there or forbidden.
    pub http_missed_limit: u32,
    /// Failing INVITEs a minute from one untrusted source.
    pub invite_limit: u32,
    /// Probes a minute from one untrusted source.
    pub probe_limit: u32,
    /// Packets a minute that are not SIP from one untrusted source.
    pub not_sip_limit: u32,
    pub block_time: Duration,
    /// The dynamic block that becomes a permanent one.
    pub block_threshold: u32,
    pub scope: RuleScope,
    pub containment: Duration,
    pub containment_max: Duration,
    pub escalate_unproven: bool,
    pub unblock_grace: Duration,
    pub trust_for: Duration,
    pub count_age: Duration,
}

/// Packets a second to SIP ports.
#[derive(Clone, PartialEq, Debug)]
pub struct Ceilings {
    pub source_rate: u32,
    pub source_burst: u32,
    pub endpoint_rate: u32,
    pub trusted_rate: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub struct GeoPolicy {
    pub mode: GeoMode,
    pub countries: Vec<Country>,
    pub scope: RuleScope,
    /// Explicit databases; empty means the usual places.
    pub databases: Vec<PathBuf>,
    /// From where a newer database is fetched by itself.
    pub update_url: Option<String>,
    pub update_every: Duration,
}

impl Default for GeoPolicy {
    fn default() -> Self {
        Self {
            mode: GeoMode::default(),
            countries: Vec::new(),
            scope: RuleScope::default(),
            databases: Vec::new(),
            update_url: None,
            update_every: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// A protected PBX; what it leaves out is the host's.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Endpoint {
    pub name: String,
    pub addresses: Vec<IpNetwork>,
    pub sip_ports: Option<Vec<PortRange>>,
    pub mode: Option<Mode>,
    pub geo_mode: Option<GeoMode>,
    pub geo_countries: Option<Vec<Country>>,
    pub geo_scope: Option<RuleScope>,
    /// Its own lists, beside those that are kept at run time.
    pub allow: Vec<IpNetwork>,
    pub deny: Vec<IpNetwork>,
    pub ceilings: OwnCeilings,
    pub limits: OwnLimits,
    pub rates: OwnRates,
    pub ssh_mode: Option<Mode>,
    pub http_mode: Option<Mode>,
    pub tftp_mode: Option<Mode>,
    pub dns_mode: Option<Mode>,
    pub block_scope: BlockScope,
    /// Of the token by which its own logs are known.
    pub log_token: Option<String>,
}

/// A log that is followed or received.
#[derive(Clone, PartialEq, Debug)]
pub struct Log {
    pub name: String,
    pub kind: LogKind,
    /// Names of ready filters, or files.
    pub filters: Vec<String>,
    pub path: Option<PathBuf>,
    pub units: Vec<String>,
    pub listen: Option<SocketAddr>,
    pub transport: SyslogTransport,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Whose UDP messages are taken by their address.
    pub senders: Vec<IpNetwork>,
    /// Whose log it is; the host's own otherwise.
    pub endpoint: Option<String>,
    pub mode: Mode,
}

impl Log {
    /// Whether it may be the word of this endpoint.
    pub fn may_speak_for(&self, endpoint: &str) -> bool {
        let received = matches!(self.kind, LogKind::Syslog | LogKind::Api);
        self.mode != Mode::Off && (received || self.endpoint.as_deref() == Some(endpoint))
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: LogKind::default(),
            filters: Vec::new(),
            path: None,
            units: Vec::new(),
            listen: None,
            transport: SyslogTransport::default(),
            certificate: None,
            key: None,
            senders: Vec::new(),
            endpoint: None,
            mode: Mode::Enforce,
        }
    }
}

/// Ceilings of an endpoint, where they differ from the host's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnCeilings {
    pub source_rate: Option<u32>,
    pub source_burst: Option<u32>,
    pub endpoint_rate: Option<u32>,
    pub trusted_rate: Option<u32>,
}

/// A configuration and the files that it came from.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    pub config: Config,
    /// In the order in which they were read; empty when there is no file.
    pub files: Vec<PathBuf>,
    /// Where each key was set.
    pub origins: Origins,
}

impl Loaded {
    /// All of it as TOML, with where each value comes from.
    pub fn annotated(&self) -> String {
        settings::annotated(self)
    }
}

impl Config {
    /// Reads `path`, or the default file, and its drop-ins, sorted by name: the `*.toml` in the directory
    /// that has its name with `.d` in place of `.toml`. Later files override earlier ones. Without any
    /// file the defaults hold; a file that is named but isn't there is an error.
    pub fn load(path: Option<&Path>) -> Result<Loaded, ConfigError> {
        Self::load_with(path, &[])
    }

    /// Where the daemon is reached, whatever else is wrong with the files.
    pub fn socket(path: Option<&Path>) -> Result<PathBuf, ConfigError> {
        let mut texts = Vec::new();
        let files = read::find_files(path, false)?;
        for file in &files {
            texts.push((file.as_path(), std::fs::read_to_string(file).unwrap_or_default()));
        }
        Ok(read::read_what_is_right(&texts).daemon.socket)
    }

    /// The same with other texts in place of some files, of which one may be new.
    pub fn load_with(path: Option<&Path>, others: &[(&Path, &str)]) -> Result<Loaded, ConfigError> {
        let main = read::main_file(path);
        let begun = others.iter().any(|(file, _)| *file == main);
        let files = read::find_files(path, begun)?;
        let mut texts = Vec::new();
        for file in &files {
            let other = others.iter().find(|(known, _)| known == file);
            let text = match other {
                Some((_, text)) => (*text).to_owned(),
                None => std::fs::read_to_string(file)
                    .map_err(|source| ConfigError::Unreadable { path: file.clone(), source })?,
            };
            texts.push((file.as_path(), text));
        }
        let (config, origins) = read::read_texts(&texts)?;
        Ok(Loaded { config, files, origins })
    }

    /// The text of a file with other values for some keys, its comments kept; a key without a value is
    /// taken out. Whether they make sense is not looked at: [`Config::load_with`] does that.
    pub fn edited(
        file: &Path,
        text: &str,
        edits: &[(String, Option<Json>)],
    ) -> Result<String, ConfigError> {
        edit::edited(file, text, edits)
    }

    /// Reads one text as if it were the only file; `name` is what messages call it.
    pub fn parse(name: &Path, text: &str) -> Result<Config, ConfigError> {
        read::read_texts(&[(name, text.to_owned())]).map(|(config, _)| config)
    }

    /// The file that the package installs: every key commented out, with its default and meaning.
    pub fn documented_default() -> String {
        documented::documented_default()
    }

    /// Whether drops of this protection are only counted, whatever the mode.
    pub fn only_observes(&self, protection: Protection) -> bool {
        self.observe.contains(&protection)
    }
}

impl Endpoint {
    pub fn sip_ports<'a>(&'a self, config: &'a Config) -> &'a [PortRange] {
        self.sip_ports.as_deref().unwrap_or(&config.sip.ports)
    }

    pub fn mode(&self, config: &Config) -> Mode {
        self.mode.unwrap_or(config.mode)
    }

    pub fn geo_mode(&self, config: &Config) -> GeoMode {
        self.geo_mode.unwrap_or(config.geo.mode)
    }

    pub fn geo_countries<'a>(&'a self, config: &'a Config) -> &'a [Country] {
        self.geo_countries.as_deref().unwrap_or(&config.geo.countries)
    }

    pub fn geo_scope(&self, config: &Config) -> RuleScope {
        self.geo_scope.unwrap_or(config.geo.scope)
    }

    pub fn ceilings(&self, config: &Config) -> Ceilings {
        let (own, host) = (self.ceilings, &config.ceilings);
        Ceilings {
            source_rate: own.source_rate.unwrap_or(host.source_rate),
            source_burst: own.source_burst.unwrap_or(host.source_burst),
            endpoint_rate: own.endpoint_rate.unwrap_or(host.endpoint_rate),
            trusted_rate: own.trusted_rate.unwrap_or(host.trusted_rate),
        }
    }

    pub fn register_limit(&self, config: &Config) -> u32 {
        self.limits.register.unwrap_or(config.rules.register_limit)
    }
}

/// The scanners that are known by their User-Agent. None of these is what a real phone sends. Names
/// that are short or that a real product's begins with are matched as a whole.
const KNOWN_SCANNERS: &[&str] = &[
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "pplsip",
    "VaxSIPUserAgent",
    "VaxIPUserAgent",
    "sivus",
    "sip-scan",
    "sipscan",
    "siparmyknife",
    "iWar",
    "sundayddr",
    "Conaito",
    "Nmap NSE",
    "=smap",
    "=Trixbox",
];

impl Default for Config {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            mode: Mode::Enforce,
            peers: Vec::new(),
            never_block: Vec::new(),
            confirm_within: Duration::from_secs(60),
            daemon: Daemon::default(),
            api: Api::default(),
            sip: Sip::default(),
            rules: RuleLimits::default(),
            ceilings: Ceilings::default(),
            geo: GeoPolicy::default(),
            guards: Guards::default(),
            observe: Vec::new(),
            follow_ssh: true,
            abuse_contact: String::new(),
            endpoints: Vec::new(),
            blocklists: Vec::new(),
            logs: Vec::new(),
            audit: Audit::default(),
            fleet: Fleet::default(),
            report: ReportKept::default(),
            branding: Branding::default(),
            notify: Notify::default(),
        }
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/sipprot".into(),
            socket: "/run/sipprot/sipprot.sock".into(),
            pin_dir: "/sys/fs/bpf/sipprot".into(),
            metrics: Some(SocketAddr::from(([127, 0, 0, 1], 9160))),
            log: LogLevel::Info,
        }
    }
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            ports: vec![PortRange::one(5060)],
            tls_ports: vec![PortRange::one(5061)],
            protocols: vec![Transport::Udp, Transport::Tcp],
            blocked_user_agents: KNOWN_SCANNERS.iter().map(|&agent| agent.to_owned()).collect(),
        }
    }
}

impl Default for RuleLimits {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        Self {
            register_limit: 10,
            account_limit_hour: 30,
            account_limit_day: 100,
            accounts_limit: 5,
            accounts_window: Duration::from_secs(10 * MINUTE),
            ssh_limit: 6,
            http_scan_limit: 3,
            http_missed_limit: 30,
            invite_limit: 5,
            probe_limit: 30,
            not_sip_limit: 30,
            block_time: Duration::from_secs(HOUR),
            block_threshold: 5,
            scope: RuleScope::All,
            containment: Duration::from_secs(MINUTE),
            containment_max: Duration::from_secs(10 * MINUTE),
            escalate_unproven: false,
            unblock_grace: Duration::from_secs(HOUR),
            trust_for: Duration::from_secs(7 * DAY),
            count_age: Duration::from_secs(30 * DAY),
        }
    }
}

impl Default for Ceilings {
    fn default() -> Self {
        Self { source_rate: 100, source_burst: 200, endpoint_rate: 300, trusted_rate: 2000 }
    }
}
