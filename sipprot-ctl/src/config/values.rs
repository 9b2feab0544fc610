//! The words that a configuration may use: modes, scopes, protections, ports.
//!
//! Each closed set of words comes from one list, so that parsing, messages and docs can't disagree.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of a closed set of words.
pub trait Choice: Copy + PartialEq + Sized + 'static {
    const ALL: &'static [Self];

    fn name(self) -> &'static str;

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|choice| choice.name() == name)
    }
}

macro_rules! choices {
    ($(#[$meta:meta])* $type:ident { $($(#[$variant_meta:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
        pub enum $type { $($(#[$variant_meta])* #[serde(rename = $name)] $variant,)* }

        impl Choice for $type {
            const ALL: &'static [Self] = &[$($type::$variant,)*];

            fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use choices;

choices! {
    /// What a policy does with a packet that it would drop.
    Mode {
        Enforce = "enforce",
        /// Counts and reports it as a would-be drop, and lets it pass.
        Observe = "observe",
        /// Doesn't look.
        Off = "off",
    }
}

choices! {
    /// What a block or a list entry cuts off.
    #[derive(Default)]
    Scope {
        /// Every IP protocol.
        #[default]
        All = "all",
        /// SIP and SIP-over-TLS ports only.
        Sip = "sip",
        /// The guarded ssh ports only.
        Ssh = "ssh",
        /// The guarded http ports only.
        Http = "http",
    }
}

choices! {
    /// What a dynamic block of somebody who attacks SIP cuts off.
    #[derive(Default)]
    RuleScope {
        #[default]
        All = "all",
        Sip = "sip",
    }
}

choices! {
    /// For whom a dynamic block counts.
    #[derive(Default)]
    BlockScope {
        /// Every endpoint of the host.
        #[default]
        Host = "host",
        /// The attacked endpoint alone.
        Endpoint = "endpoint",
    }
}

choices! {
    #[derive(Default)]
    GeoMode {
        #[default]
        Off = "off",
        /// The listed countries are dropped.
        Deny = "deny",
        /// All but the listed countries are dropped.
        Allow = "allow",
    }
}

choices! {
    Transport {
        Udp = "udp",
        Tcp = "tcp",
    }
}

choices! {
    /// Whether the API speaks TLS.
    #[derive(Default)]
    UseTls {
        /// On every address but loopback.
        #[default]
        Auto = "auto",
        On = "on",
        Off = "off",
    }
}

choices! {
    /// Where a log is read.
    #[derive(Default)]
    LogKind {
        #[default]
        File = "file",
        Journal = "journal",
        Syslog = "syslog",
        Api = "api",
    }
}

choices! {
    /// How syslog messages come.
    #[derive(Default)]
    SyslogTransport {
        Udp = "udp",
        #[default]
        Tcp = "tcp",
        Tls = "tls",
    }
}

choices! {
    /// What can be set to observe by itself.
    Protection {
        Deny = "deny",
        Block = "block",
        Containment = "containment",
        Geo = "geo",
        UserAgent = "user_agent",
        Ceiling = "ceiling",
        Attempts = "attempts",
        Dns = "dns",
        Ssh = "ssh",
        Http = "http",
        Tftp = "tftp",
    }
}

choices! {
    LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

/// Ports from `first` to `last`, both included; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// # Panics
    /// At compile time or in tests, for port 0: use [`PortRange::new`] for what others wrote.
    pub const fn one(port: u16) -> Self {
        assert!(port != 0, "port 0 is no port");
        Self { first: port, last: port }
    }

    /// `None` for port 0 and for a range that runs backwards.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(Self { first, last }) }
    }

    pub const fn first(self) -> u16 {
        self.first
    }

    pub const fn last(self) -> u16 {
        self.last
    }

    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    pub const fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}:{}", self.first, self.last)
        }
    }
}

/// Why a text is no port range; ends a sentence that begins with the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PortRangeError {
    #[error("not a port range")]
    NotPorts,
    #[error("port 0 does not exist")]
    Zero,
    #[error("the range runs backwards")]
    Backwards,
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    /// `5060` or `5060:5062`.
    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits).ok_or(PortRangeError::NotPorts)
        };
        let (first, last) = match text.split_once(':') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first == 0 || last == 0 {
            return Err(PortRangeError::Zero);
        }
        PortRange::new(first, last).ok_or(PortRangeError::Backwards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: Result<(u16, u16), PortRangeError>) {
        let found = input.parse::<PortRange>();
        assert_eq!(found.map(|range| (range.first(), range.last())), expected, "{input}");
        if let Ok(range) = found {
            assert_eq!(range.to_string().parse(), Ok(range));
        }
    }

    #[test]
    fn port_ranges() {
        check("5060", Ok((5060, 5060)));
        check("5060:5062", Ok((5060, 5062)));
        check("1:65535", Ok((1, 65535)));
        check("5062:5060", Err(PortRangeError::Backwards));
        check("0", Err(PortRangeError::Zero));
        check("0:5060", Err(PortRangeError::Zero));
        for wrong in ["", ":", "5060:", "+5060", "65536", "5060-5062", "5060:5061:5062", " 5060"] {
            check(wrong, Err(PortRangeError::NotPorts));
        }
    }

    #[test]
    fn words_read_back() {
        for &protection in Protection::ALL {
            assert_eq!(Protection::from_name(protection.name()), Some(protection));
        }
        assert_eq!(Mode::from_name("Enforce"), None);
    }
}
