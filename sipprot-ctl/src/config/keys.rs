//! The table of keys: path, place, form and meaning of each, written once.
//!
//! Reading, the documented default file and the messages all go by it. A new key is a field in
//! `Config`, its default there, and one row here.

use toml_edit::Value;

use super::branding::{BRAND, COLOUR};
use super::error::Wrong;
use super::forms::{
    AbsolutePath, CONTACT, Countries, ENDPOINT_NAME, FILTER, Flag, Form, INTERFACE, Listen, Many,
    Maybe, Network, OneOf, OrNone, PeerEntry, Ports, RATE_MAX, Span, TOKEN_HASH, UNIT, URL,
    USER_AGENT, Whole,
};
use super::notify::{
    Language, MailSecurity, MailWay, QUIET_HOURS, RECIPIENT, SENDER, SERVER, SHORT_TEXT, Severity,
    TIME_OF_DAY, WebhookFormat,
};
use super::schema::Shape;
use super::values::{
    BlockScope, GeoMode, LogKind, LogLevel, Mode, Protection, RuleScope, SyslogTransport,
    Transport, UseTls,
};
use super::{Blocklist, Config, Endpoint, Log, USER_AGENTS_MAX};

/// One key of a table that is read into a `T`.
pub(super) struct Key<T: 'static> {
    /// Dotted, from the root of the file or of the endpoint.
    pub path: &'static str,
    pub help: &'static str,
    /// What completes "expected …".
    pub expected: fn() -> String,
    /// The same for programs.
    pub shape: fn() -> Shape,
    pub set: fn(&mut T, &Value) -> Result<(), Wrong>,
    /// `None` for a key left out.
    pub show: fn(&T) -> Option<Value>,
}

/// A table heading in the documented default file; the root's name is empty.
pub(super) struct Section {
    pub name: &'static str,
    pub help: &'static str,
}

/// The keys that each of a kind of named sections must have.
pub(super) fn required(section: &str) -> &'static [&'static str] {
    match section {
        "endpoint" => &["name", "addresses"],
        "log" => &["name", "filters"],
        "blocklist" => &["name"],
        _ => &[],
    }
}

macro_rules! keys {
    ($target:ty; $($path:literal = $($field:ident).+, $form:expr, $help:literal;)*) => {
        &[$(Key {
            path: $path,
            help: $help,
            expected: || $form.expected(),
            shape: || $form.shape(),
            set: |target: &mut $target, value| {
                target.$($field).+ = $form.read(value)?;
                Ok(())
            },
            show: |target: &$target| $form.show(&target.$($field).+),
        },)*]
    };
}

const NETWORKS_MAX: usize = 4096;
const PORTS_MAX: usize = 64;
const COUNT_MAX: u32 = 10_000;
/// At once; so that a bucket is never emptied for longer than some years.
const BURST_MAX: u32 = 1_000_000;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

pub(super) const SECTIONS: &[Section] = &[
    Section { name: "", help: "The host." },
    Section { name: "daemon", help: "Where the daemon keeps its things." },
    Section {
        name: "api",
        help: "The API over TCP, for people: logins and tokens. `sipprot user add` makes the first user.",
    },
    Section { name: "sip", help: "What is SIP." },
    Section { name: "rules", help: "What counts as an attack, and what follows from it." },
    Section {
        name: "ceilings",
        help: "What the kernel drops by itself, in packets a second to SIP ports.",
    },
    Section { name: "geo", help: "Countries." },
    Section {
        name: "ssh",
        help: "New ssh connections from one source. What is more is dropped; nobody is blocked for it, \
               since the sender of a SYN may be forged.",
    },
    Section { name: "http", help: "New http connections from one source, likewise." },
    Section {
        name: "tftp",
        help: "TFTP requests from one source. An office that is trusted may send so many for each of \
               its phones, over http too.",
    },
    Section {
        name: "dns",
        help: "Answers of name servers that are longer than old resolvers survive (getaddrinfo, \
               CVE-2015-7547).",
    },
    Section { name: "observe", help: "Protections to watch before they bite." },
    Section { name: "audit", help: "The log of everything that is changed." },
    Section {
        name: "report",
        help: "What reports are made of: attacks of each day, past blocks, alerts.",
    },
    Section { name: "branding", help: "What the dashboard is called and how it looks." },
    Section {
        name: "fleet",
        help: "Hosts that tell each other of attackers, by a hub. Without credentials there is none.",
    },
    Section {
        name: "notify",
        help: "Who is told of attacks, by mail and by a webhook. `sipprot notify test` tries it.",
    },
    Section { name: "mail", help: "How mail leaves, and to whom." },
    Section {
        name: "webhook",
        help: "An HTTP server that is told too. With a secret every request is signed: X-Sipprot-Signature is \
               sha256= and the HMAC-SHA256, in hex, of X-Sipprot-Timestamp, a dot and the body.",
    },
];

pub(super) const KEYS: &[Key<Config>] = keys! { Config;
    "interfaces" = interfaces, Many(INTERFACE, 0, 64),
        "The interfaces that lead to the world. `sipprot run --iface` goes before it; one of the two must name them.";
    "mode" = mode, OneOf::<Mode>::new(),
        "enforce drops, observe counts what would be dropped and lets it pass, off does not look.";
    "peers" = peers, Many(PeerEntry, 0, NETWORKS_MAX),
        "Trunks and offices that are trusted without having to prove it. Trust is learned too; this is for those that can't show it. A rate, in packets a second of each of its addresses, replaces ceilings.trusted_rate.";
    "never_block" = never_block, Many(Network, 0, NETWORKS_MAX),
        "No rule ever blocks these. The denylist still can.";
    "confirm_within" = confirm_within, Span(2, HOUR),
        "A change that may cut off its operator, made with --confirm, is taken back after this time unless `sipprot confirm` follows.";
    "follow_ssh" = follow_ssh, Flag,
        "Whether the host's own ssh log is followed, the journal or /var/log/auth.log, where no [[log]] of the host's has the filter sshd.";
    "abuse_contact" = abuse_contact, CONTACT,
        "Who reports, in what `sipprot report abuse` writes for an abuse desk: a name and how to answer.";

    "daemon.state_dir" = daemon.state_dir, AbsolutePath,
        "Lists, blocks, trust and history.";
    "daemon.socket" = daemon.socket, AbsolutePath,
        "Where the command line reaches the daemon.";
    "daemon.pin_dir" = daemon.pin_dir, AbsolutePath,
        "Where programs and maps are pinned, in a bpf file system, so that protection goes on without the daemon.";
    "daemon.metrics" = daemon.metrics, Listen,
        "Where Prometheus scrapes /metrics; \"\" turns it off.";
    "daemon.log" = daemon.log, OneOf::<LogLevel>::new(),
        "The least severity that is logged.";

    "api.listen" = api.listen, Listen,
        "Where it is served, /api/v1/; \"\" turns it off.";
    "api.tls" = api.tls, OneOf::<UseTls>::new(),
        "auto speaks TLS on every address but loopback; off is refused there.";
    "api.tls_certificate" = api.certificate, OrNone(AbsolutePath),
        "A chain in PEM. Without one the daemon signs its own and keeps it in daemon.state_dir. `sipprot reload` reads a new one.";
    "api.tls_key" = api.key, OrNone(AbsolutePath),
        "Its key in PEM.";
    "api.session_idle" = api.session_idle, Span(1, 30 * DAY),
        "How long a login stands without a request.";
    "api.session_max" = api.session_max, Span(1, 365 * DAY),
        "How long a login stands whatever is done.";

    "sip.ports" = sip.ports, Many(Ports, 1, PORTS_MAX),
        "Ports on which SIP is spoken in the clear: \"5060\", 5060, or a range \"5060:5062\".";
    "sip.tls_ports" = sip.tls_ports, Many(Ports, 0, PORTS_MAX),
        "Ports of SIP over TLS or WebSocket. A block of SIP covers them, but they can't be read.";
    "sip.protocols" = sip.protocols, Many(OneOf::<Transport>::new(), 1, 2),
        "The transports on which those ports are SIP.";
    "sip.blocked_user_agents" = sip.blocked_user_agents, Many(USER_AGENT, 0, USER_AGENTS_MAX),
        "SIP requests whose User-Agent matches one of these, in any case, are dropped: \"text\" is its beginning, \"=text\" the whole of it, \"*text*\" anywhere in its first 64 bytes. No real phone's does.";

    "rules.register_limit" = rules.register_limit, Whole(1, COUNT_MAX),
        "Failed registrations a minute from one source; more is an attack.";
    "rules.account_limit_hour" = rules.account_limit_hour, Whole(1, COUNT_MAX),
        "The same for one account of one source, an hour: for the patient.";
    "rules.account_limit_day" = rules.account_limit_day, Whole(1, COUNT_MAX),
        "And a day.";
    "rules.accounts_limit" = rules.accounts_limit, Whole(1, COUNT_MAX),
        "Distinct accounts that fail from one source within accounts_window, none of which it ever registered.";
    "rules.accounts_window" = rules.accounts_window, Span(1, DAY),
        "See accounts_limit.";
    "rules.ssh_limit" = rules.ssh_limit, Whole(1, COUNT_MAX),
        "Failed ssh logins in ten minutes from one source, as logs tell.";
    "rules.http_scan_limit" = rules.http_scan_limit, Whole(1, COUNT_MAX),
        "Requests in ten minutes from one source for folders that only scanners ask for (phpMyAdmin, billing and the like) and that are not there or forbidden, as logs tell.";
    "rules.http_missed_limit" = rules.http_missed_limit, Whole(1, COUNT_MAX),
        "Requests a minute from one source for anything else that is not there or forbidden; what phones fetch doesn't count.";
    "rules.invite_limit" = rules.invite_limit, Whole(1, COUNT_MAX),
        "Failing calls a minute from one untrusted source to one endpoint.";
    "rules.probe_limit" = rules.probe_limit, Whole(1, COUNT_MAX),
        "OPTIONS and other probes a minute from one untrusted source to one endpoint.";
    "rules.not_sip_limit" = rules.not_sip_limit, Whole(1, COUNT_MAX),
        "Packets a minute from one untrusted source to SIP ports that are not SIP.";
    "rules.block_time" = rules.block_time, Span(1, 365 * DAY),
        "How long a dynamic block lasts. A new attack starts the time again.";
    "rules.block_threshold" = rules.block_threshold, Whole(1, 20),
        "The dynamic block that is the permanent one: the source moves to the denylist.";
    "rules.scope" = rules.scope, OneOf::<RuleScope>::new(),
        "What a dynamic block cuts off: all traffic, or the SIP ports.";
    "rules.containment" = rules.containment, Span(1, HOUR),
        "How long a source without proof is held off SIP, but for a trickle; doubles each time.";
    "rules.containment_max" = rules.containment_max, Span(1, DAY),
        "The longest containment.";
    "rules.escalate_unproven" = rules.escalate_unproven, Flag,
        "Whether three containments in three separate hours put a source on the denylist, for SIP and for 30 days. UDP sources can be forged: this lets others choose whom you deny.";
    "rules.unblock_grace" = rules.unblock_grace, Span(0, 30 * DAY),
        "How long a source that was unblocked by hand isn't blocked again.";
    "rules.trust_for" = rules.trust_for, Span(1, 365 * DAY),
        "How long an address stays trusted after its last accepted registration or call.";
    "rules.count_age" = rules.count_age, Span(1, 3650 * DAY),
        "How long a dynamic block counts towards block_threshold, and a containment towards escalate_unproven.";

    "ceilings.source_rate" = ceilings.source_rate, Whole(1, RATE_MAX),
        "One untrusted source.";
    "ceilings.source_burst" = ceilings.source_burst, Whole(1, RATE_MAX),
        "What one untrusted source may send at once.";
    "ceilings.endpoint_rate" = ceilings.endpoint_rate, Whole(1, RATE_MAX),
        "All untrusted sources of one endpoint together.";
    "ceilings.trusted_rate" = ceilings.trusted_rate, Whole(1, RATE_MAX),
        "One trusted source. One that is known to be busier may send 20 times its peak, up to ten times this.";

    "geo.mode" = geo.mode, OneOf::<GeoMode>::new(),
        "off, deny (the listed countries are dropped) or allow (all others are dropped).";
    "geo.countries" = geo.countries, Countries,
        "Such as [\"FR\", \"Germany\", \"South America\"].";
    "geo.scope" = geo.scope, OneOf::<RuleScope>::new(),
        "What is dropped: all traffic, or the SIP ports. Answers to flows that the host or an endpoint opened pass. What is newly kept out is let in for five minutes more, in which such flows are learned.";
    "geo.databases" = geo.databases, Many(AbsolutePath, 0, 16),
        "MaxMind-format databases, or text ranges as in Debian's tor-geoipdb. Empty: the usual places are searched.";
    "geo.update_url" = geo.update_url, OrNone(URL),
        "From where the daemon fetches a newer database, as `sipprot geo update URL` does: it replaces the first .mmdb of geo.databases, or else /var/lib/GeoIP/sipprot-country.mmdb. By default nothing is fetched.";
    "geo.update_every" = geo.update_every, Span(HOUR, 365 * DAY),
        "How often, counted from the age of the file.";

    "ssh.mode" = guards.ssh.mode, OneOf::<Mode>::new(),
        "Of this guard alone; it never does more than the host's mode.";
    "ssh.ports" = guards.ssh.ports, Many(Ports, 0, PORTS_MAX),
        "TCP ports of ssh. Empty: 22, and wherever an sshd of this host listens.";
    "ssh.rate" = guards.ssh.rate, Whole(1, RATE_MAX),
        "New connections a minute.";
    "ssh.burst" = guards.ssh.burst, Whole(1, BURST_MAX),
        "New connections at once.";

    "http.mode" = guards.http.mode, OneOf::<Mode>::new(),
        "Of this guard alone.";
    "http.ports" = guards.http.ports, Many(Ports, 0, PORTS_MAX),
        "TCP ports of web servers.";
    "http.rate" = guards.http.rate, Whole(1, RATE_MAX),
        "New connections a minute.";
    "http.burst" = guards.http.burst, Whole(1, BURST_MAX),
        "New connections at once.";

    "tftp.mode" = guards.tftp.mode, OneOf::<Mode>::new(),
        "Of this guard alone.";
    "tftp.ports" = guards.tftp.ports, Many(Ports, 0, PORTS_MAX),
        "UDP ports on which TFTP is asked for files. Every packet to them counts, whatever it says.";
    "tftp.rate" = guards.tftp.rate, Whole(1, RATE_MAX),
        "Requests a minute.";
    "tftp.burst" = guards.tftp.burst, Whole(1, BURST_MAX),
        "Requests at once.";

    "dns.mode" = guards.dns.mode, OneOf::<Mode>::new(),
        "Of this guard alone.";
    "dns.strict" = guards.dns.strict, Flag,
        "Drop answers over 512 bytes (UDP) and 1,024 (TCP), as glibc's maintainers advise, in place of 2,048. DNSSEC and long records need more.";
    "dns.resolvers" = guards.dns.resolvers, Many(Network, 0, NETWORKS_MAX),
        "Name servers that may answer at any length.";

    "observe.protections" = observe, Many(OneOf::<Protection>::new(), 0, 11),
        "These only count what they would drop, whatever the mode: deny, block, containment, geo, user_agent, ceiling, attempts, dns, ssh, http, tftp.";

    "audit.records_max" = audit.records_max, Whole(100, 1_000_000),
        "Records that are kept; past it, the oldest goes.";
    "audit.keep_for" = audit.keep_for, Span(DAY, 3650 * DAY),
        "How long a record is kept.";

    "report.rows_max" = report.rows_max, Whole(1_000, 1_000_000),
        "Rows of attacks that are kept, and as many past blocks; past it, the oldest go.";
    "report.keep_for" = report.keep_for, Span(DAY, 3650 * DAY),
        "How long they and alerts are kept. Older days have no report.";

    "branding.name" = branding.name, BRAND,
        "What stands at the top of every page.";
    "branding.logo" = branding.logo, OrNone(AbsolutePath),
        "An image on this host, shown beside the name: SVG, PNG, JPEG or WebP, up to 64 KiB. Everybody who reaches the dashboard sees it.";
    "branding.colour" = branding.colour, OrNone(COLOUR),
        "Of buttons and links. Pages darken or lighten it where it could not be read.";
    "branding.ground" = branding.ground, OrNone(COLOUR),
        "Behind name and logo.";

    "fleet.credentials" = fleet.credentials, OrNone(AbsolutePath),
        "The file that `sipprot fleet add-host` printed for this host on the hub. It holds a secret key.";
    "fleet.mode" = fleet.mode, OneOf::<Mode>::new(),
        "enforce drops who is on the fleet's list, but for whom this host allows, trusts or spares; observe only tells in `check` who is on it; off leaves the fleet.";
    "fleet.names" = fleet.names, Flag,
        "Whether reports to the hub name the endpoint and the account that were attacked.";
    "fleet.hub" = fleet.hub, OrNone(AbsolutePath),
        "The directory of a hub that runs on this host, as `sipprot hub --dir` has it: the dashboard shows its hosts and decides on what they report.";
    "notify.enabled" = notify.enabled, Flag,
        "Whether anybody is told at all.";
    "notify.language" = notify.language, OneOf::<Language>::new(),
        "Of what is told.";
    "notify.attacks" = notify.attacks, Flag,
        "Tell of each attack, grouped: the first at once, what follows within attack_every in one message. Possible break-ins, surges and lost protection don't wait.";
    "notify.attack_every" = notify.attack_every, Span(1, DAY),
        "The least time between two messages of attacks, or of the same alarm.";
    "notify.summary" = notify.summary, Flag,
        "Tell every day what happened the day before: attackers, countries, endpoints, changes, health.";
    "notify.summary_at" = notify.summary_at, TIME_OF_DAY,
        "When, by the host's clock. What was missed while the daemon was down is told when it is back.";
    "notify.severity" = notify.severity, OneOf::<Severity>::new(),
        "What is told at least. critical: possible break-ins, surges, a service or peer cut off, protection lost. warning: also blocks and other alerts. info: also containments and quarantines.";
    "notify.quiet_hours" = notify.quiet_hours, QUIET_HOURS,
        "When only what is critical is told, by the host's clock. The rest waits for their end.";
    "notify.surge_factor" = notify.surge_factor, Whole(2, 1000),
        "How many times the usual number, of attacks or of dropped packets a minute, is a surge.";
    "notify.surge_least" = notify.surge_least, Whole(1, 1_000_000),
        "Fewer attacks a minute than this are none.";
    "notify.surge_drops" = notify.surge_drops, Whole(1, 1_000_000_000),
        "Fewer dropped packets a minute than this are none, either.";
    "notify.retry_after" = notify.retry_after, Span(1, HOUR),
        "When what could not be delivered is tried again; the wait doubles each time.";
    "notify.retry_longest" = notify.retry_longest, Span(1, DAY),
        "The longest of these waits.";
    "notify.give_up_after" = notify.give_up_after, Span(MINUTE, 30 * DAY),
        "When it is given up.";
    "notify.templates" = notify.templates, OrNone(AbsolutePath),
        "A directory with templates of one's own. `sipprot notify templates` writes those that are used into one.";

    "mail.way" = notify.mail.way, OneOf::<MailWay>::new(),
        "smtp speaks to a server, sendmail runs a program of this host.";
    "mail.recipients" = notify.mail.recipients, Many(RECIPIENT, 1, 32),
        "Each gets a mail of its own.";
    "mail.from" = notify.mail.from, SENDER,
        "The sender.";
    "mail.server" = notify.mail.server, SERVER,
        "Of SMTP.";
    "mail.port" = notify.mail.port, Whole(1, 65_535),
        "587 is usual for starttls, 465 for tls, 25 for none.";
    "mail.security" = notify.mail.security, OneOf::<MailSecurity>::new(),
        "With starttls or tls nothing is sent to a server that can't prove its name. none sends everything, a password too, in clear text.";
    "mail.user" = notify.mail.user, SHORT_TEXT,
        "As whom to log in; empty for nobody.";
    "mail.password" = notify.mail.password, SHORT_TEXT,
        "Never shown.";
    "mail.password_file" = notify.mail.password_file, OrNone(AbsolutePath),
        "A file whose first line is the password, in place of mail.password.";
    "mail.authority" = notify.mail.authority, OrNone(AbsolutePath),
        "A PEM file of an authority that signs the server's certificate, beside the well-known ones.";
    "mail.sendmail" = notify.mail.sendmail, AbsolutePath,
        "The program of mail.way = \"sendmail\".";

    "webhook.url" = notify.webhook.url, OrNone(URL),
        "Where it is; empty for none. It may be a secret by itself: never shown.";
    "webhook.format" = notify.webhook.format, OneOf::<WebhookFormat>::new(),
        "What is sent there: json is all that is known; the others are messages for these services.";
    "webhook.secret" = notify.webhook.secret, SHORT_TEXT,
        "Signs each request; empty for none. Never shown.";
    "webhook.chat" = notify.webhook.chat, SHORT_TEXT,
        "Telegram's chat_id; the URL ends in /botTOKEN/sendMessage.";
};

pub(super) const ENDPOINT: Section = Section {
    name: "endpoint",
    help: "A protected PBX, with what differs from the host's own settings. As many as there are PBXs; \
           addresses that no endpoint claims go by the host's settings.",
};

pub(super) const ENDPOINT_KEYS: &[Key<Endpoint>] = keys! { Endpoint;
    "name" = name, ENDPOINT_NAME,
        "What status, reports and metrics call it. Required, and unique.";
    "addresses" = addresses, Many(Network, 1, NETWORKS_MAX),
        "Its addresses and networks. Required. One that another endpoint has already is shared with it: then the sip_ports tell whose a packet is, and all other ports of it are the first one's.";
    "sip_ports" = sip_ports, Maybe(Many(Ports, 1, PORTS_MAX)),
        "Its SIP ports, in place of sip.ports.";
    "mode" = mode, Maybe(OneOf::<Mode>::new()),
        "Its mode, in place of the host's.";
    "geo.mode" = geo_mode, Maybe(OneOf::<GeoMode>::new()),
        "Its geo mode, in place of the host's.";
    "geo.countries" = geo_countries, Maybe(Countries),
        "Its countries, in place of the host's.";
    "geo.scope" = geo_scope, Maybe(OneOf::<RuleScope>::new()),
        "Its geo scope, in place of the host's.";
    "allow" = allow, Many(Network, 0, NETWORKS_MAX),
        "Let in to this endpoint and no other, beside what is on its allowlist.";
    "deny" = deny, Many(Network, 0, NETWORKS_MAX),
        "Kept out of this endpoint and no other, beside what is on its denylist.";
    "ceilings.source_rate" = ceilings.source_rate, Maybe(Whole(1, RATE_MAX)),
        "Its ceilings, in place of the host's.";
    "ceilings.source_burst" = ceilings.source_burst, Maybe(Whole(1, RATE_MAX)),
        "Likewise.";
    "ceilings.endpoint_rate" = ceilings.endpoint_rate, Maybe(Whole(1, RATE_MAX)),
        "Likewise.";
    "ceilings.trusted_rate" = ceilings.trusted_rate, Maybe(Whole(1, RATE_MAX)),
        "Likewise.";
    "register_limit" = limits.register, Maybe(Whole(1, COUNT_MAX)),
        "Its rules.register_limit. What a rule with a limit of its own counts here is counted apart from other endpoints.";
    "ssh.mode" = ssh_mode, Maybe(OneOf::<Mode>::new()),
        "Its ssh.mode.";
    "http.mode" = http_mode, Maybe(OneOf::<Mode>::new()),
        "Its http.mode.";
    "tftp.mode" = tftp_mode, Maybe(OneOf::<Mode>::new()),
        "Its tftp.mode.";
    "dns.mode" = dns_mode, Maybe(OneOf::<Mode>::new()),
        "Its dns.mode.";
    "block_scope" = block_scope, OneOf::<BlockScope>::new(),
        "Whether a source that attacks it is blocked for the whole host or for this endpoint alone.";
    "log_token" = log_token, Maybe(TOKEN_HASH),
        "The hash of the token by which its own logs are known, over syslog or the API.";
    "invite_limit" = limits.invite, Maybe(Whole(1, COUNT_MAX)),
        "Its rules.invite_limit.";
    "probe_limit" = limits.probe, Maybe(Whole(1, COUNT_MAX)),
        "Its rules.probe_limit.";
    "not_sip_limit" = limits.not_sip, Maybe(Whole(1, COUNT_MAX)),
        "Its rules.not_sip_limit.";
    "ssh_limit" = limits.ssh, Maybe(Whole(1, COUNT_MAX)),
        "Its rules.ssh_limit.";
    "http_scan_limit" = limits.http_scan, Maybe(Whole(1, COUNT_MAX)),
        "Its rules.http_scan_limit.";
    "http_missed_limit" = limits.http_missed, Maybe(Whole(1, COUNT_MAX)),
        "Its rules.http_missed_limit.";
    "block_time" = limits.block_time, Maybe(Span(1, 365 * DAY)),
        "Its rules.block_time.";
    "ssh.rate" = rates.ssh.rate, Maybe(Whole(1, RATE_MAX)),
        "Its ssh.rate. With a rate or burst of its own, what a source asks of any guarded service here is counted apart from other endpoints.";
    "ssh.burst" = rates.ssh.burst, Maybe(Whole(1, BURST_MAX)),
        "Its ssh.burst.";
    "http.rate" = rates.http.rate, Maybe(Whole(1, RATE_MAX)),
        "Its http.rate.";
    "http.burst" = rates.http.burst, Maybe(Whole(1, BURST_MAX)),
        "Its http.burst.";
    "tftp.rate" = rates.tftp.rate, Maybe(Whole(1, RATE_MAX)),
        "Its tftp.rate.";
    "tftp.burst" = rates.tftp.burst, Maybe(Whole(1, BURST_MAX)),
        "Its tftp.burst.";
};

pub(super) const LOG: Section = Section {
    name: "log",
    help: "A log that tells of failures the wire does not show: of ssh, of http, of SIP over TLS or WebSocket. \
           As many as there are. What an endpoint's own log says acts for that endpoint alone, unless the wire \
           or another endpoint's log says the same.",
};

pub(super) const LOG_KEYS: &[Key<Log>] = keys! { Log;
    "name" = name, ENDPOINT_NAME,
        "What status, evidence and metrics call it. Required, and unique.";
    "kind" = kind, OneOf::<LogKind>::new(),
        "Where it is read: a file that is followed, systemd's journal, syslog messages that are received, or what is sent to the API at /api/v1/logs/NAME.";
    "filters" = filters, Many(FILTER, 1, 16),
        "What its lines mean. Required.";
    "path" = path, Maybe(AbsolutePath),
        "The file. It may be rotated, cut short or missing.";
    "units" = units, Many(UNIT, 0, 16),
        "Units whose journal is read. Without any, of the whole journal what root's processes wrote.";
    "listen" = listen, Listen,
        "Where syslog messages are received, with a port.";
    "transport" = transport, OneOf::<SyslogTransport>::new(),
        "How they come. Whoever sends over tcp or tls is known by its address, an endpoint's; over udp an address can be forged, so each message needs the endpoint's token: [sipprot@32473 token=\"…\"].";
    "certificate" = certificate, Maybe(AbsolutePath),
        "Of the TLS listener: a chain in PEM.";
    "key" = key, Maybe(AbsolutePath),
        "Its private key in PEM.";
    "senders" = senders, Many(Network, 0, 64),
        "Endpoints' addresses from which udp is taken without a token, by the operator's word that nobody can forge them.";
    "endpoint" = endpoint, Maybe(ENDPOINT_NAME),
        "Whose file or journal it is, if not the host's own.";
    "mode" = mode, OneOf::<Mode>::new(),
        "enforce: what it tells counts. observe: it counts apart, and only alerts say what would follow. off: it is not read.";
};

pub(super) const BLOCKLIST: Section = Section {
    name: "blocklist",
    help: "A denylist that others keep: addresses or networks, one a line, with # or ; before a remark. Each of \
           these has a file or a url. What is private, this host's or a peer's, or on the allowlist is never taken in.",
};

pub(super) const BLOCKLIST_KEYS: &[Key<Blocklist>] = keys! { Blocklist;
    "name" = name, ENDPOINT_NAME,
        "What check, why and status call it. Required, and unique.";
    "file" = file, Maybe(AbsolutePath),
        "Where it lies.";
    "url" = url, Maybe(URL),
        "Or from where it is fetched.";
    "refresh" = refresh, Span(MINUTE, 30 * DAY),
        "How often it is read.";
    "expires" = expires, Span(HOUR, 365 * DAY),
        "How long what was read last holds when it can't be read again, or is empty all at once.";
    "entries_max" = entries_max, Whole(1, 2_000_000),
        "A list with more entries is refused.";
    "widest_v4" = widest_v4, Whole(8, 32),
        "Wider IPv4 networks (with a shorter prefix) are left out.";
    "widest_v6" = widest_v6, Whole(16, 128),
        "The same for IPv6.";
    "mode" = mode, OneOf::<Mode>::new(),
        "enforce drops, observe only tells in `check` who is on it, off does not read it.";
};
