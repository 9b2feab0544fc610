//! The forms that a value may have: how each is read, shown and described.
//!
//! A form knows TOML and its own limits, and nothing of the key that uses it.

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnetwork::IpNetwork;
use toml_edit::{Array, InlineTable, Value};

use super::error::Wrong;
use super::values::{Choice, PortRange};
use super::{Peer, USER_AGENT_LENGTH, format_duration, parse_duration};
use crate::geo::{Country, countries_of};

/// Packets a second.
pub(super) const RATE_MAX: u32 = 10_000_000;

pub(super) trait Form {
    type Value;

    /// What completes "expected …".
    fn expected(&self) -> String;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong>;

    /// The value that reads back to this; `None` is a key left out.
    fn show(&self, value: &Self::Value) -> Option<Value>;

    fn refuse<T>(&self, value: &Value) -> Result<T, Wrong> {
        Err(Wrong::expected(&self.expected(), value))
    }
}

pub(super) struct Flag;

impl Form for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, value: &Value) -> Result<bool, Wrong> {
        value.as_bool().map_or_else(|| self.refuse(value), Ok)
    }

    fn show(&self, value: &bool) -> Option<Value> {
        Some((*value).into())
    }
}

/// A whole number between two others, both included.
pub(super) struct Whole(pub u32, pub u32);

impl Form for Whole {
    type Value = u32;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }

    fn read(&self, value: &Value) -> Result<u32, Wrong> {
        value
            .as_integer()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (self.0..=self.1).contains(number))
            .map_or_else(|| self.refuse(value), Ok)
    }

    fn show(&self, value: &u32) -> Option<Value> {
        Some(i64::from(*value).into())
    }
}

/// A time between two others, both included, in seconds.
pub(super) struct Span(pub u64, pub u64);

impl Form for Span {
    type Value = Duration;

    fn expected(&self) -> String {
        let [least, most] = [self.0, self.1].map(|s| format_duration(Duration::from_secs(s)));
        format!("a time such as \"90s\", \"10m\", \"1h\" or \"7d\", from {least} to {most}")
    }

    fn read(&self, value: &Value) -> Result<Duration, Wrong> {
        value
            .as_str()
            .and_then(parse_duration)
            .filter(|duration| (self.0..=self.1).contains(&duration.as_secs()))
            .map_or_else(|| self.refuse(value), Ok)
    }

    fn show(&self, value: &Duration) -> Option<Value> {
        Some(format_duration(*value).into())
    }
}

/// One of a closed set of words.
pub(super) struct OneOf<C>(PhantomData<C>);

impl<C> OneOf<C> {
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<C: Choice> Form for OneOf<C> {
    type Value = C;

    fn expected(&self) -> String {
        let names: Vec<_> = C::ALL.iter().map(|choice| format!("\"{}\"", choice.name())).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        }
    }

    fn read(&self, value: &Value) -> Result<C, Wrong> {
        value.as_str().and_then(C::from_name).map_or_else(|| self.refuse(value), Ok)
    }

    fn show(&self, value: &C) -> Option<Value> {
        Some(value.name().into())
    }
}

/// An absolute path.
pub(super) struct AbsolutePath;

impl Form for AbsolutePath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "an absolute path".to_owned()
    }

    fn read(&self, value: &Value) -> Result<PathBuf, Wrong> {
        value
            .as_str()
            .filter(|text| !text.contains('\0'))
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .map_or_else(|| self.refuse(value), Ok)
    }

    fn show(&self, value: &PathBuf) -> Option<Value> {
        Some(value.to_string_lossy().into_owned().into())
    }
}

/// An address and port to listen on, or nothing.
pub(super) struct Listen;

impl Form for Listen {
    type Value = Option<SocketAddr>;

    fn expected(&self) -> String {
        "an address and port such as \"127.0.0.1:9160\", or \"\" for none".to_owned()
    }

    fn read(&self, value: &Value) -> Result<Option<SocketAddr>, Wrong> {
        match value.as_str() {
            Some("") => Ok(None),
            Some(text) => text.parse().map_or_else(|_| self.refuse(value), |it| Ok(Some(it))),
            None => self.refuse(value),
        }
    }

    fn show(&self, value: &Option<SocketAddr>) -> Option<Value> {
        Some(value.map(|address| address.to_string()).unwrap_or_default().into())
    }
}

/// A text for which a predicate holds.
pub(super) struct Text {
    pub expected: &'static str,
    pub holds: fn(&str) -> bool,
}

impl Form for Text {
    type Value = String;

    fn expected(&self) -> String {
        self.expected.to_owned()
    }

    fn read(&self, value: &Value) -> Result<String, Wrong> {
        match value.as_str().filter(|text| (self.holds)(text)) {
            Some(text) => Ok(text.to_owned()),
            None => self.refuse(value),
        }
    }

    fn show(&self, value: &String) -> Option<Value> {
        Some(value.as_str().into())
    }
}

/// The kernel's IFNAMSIZ is 16 with the ending NUL.
pub(super) const INTERFACE: Text = Text {
    expected: "the name of a network interface, at most 15 characters",
    holds: |name| {
        (1..=15).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
            && name != "."
            && name != ".."
    },
};

pub(super) const USER_AGENT: Text = Text {
    expected: "\"text\", \"=text\" or \"*text*\" with 3 to 32 printable ASCII characters of a user agent",
    holds: |pattern| {
        let inner = pattern.strip_prefix('*').and_then(|text| text.strip_suffix('*'));
        let agent = inner.or(pattern.strip_prefix('=')).unwrap_or(pattern);
        USER_AGENT_LENGTH.contains(&agent.len())
            && !agent.starts_with(['*', '='])
            && !agent.ends_with('*')
            && agent.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            && agent.trim() == agent
    },
};

pub(super) const ENDPOINT_NAME: Text = Text {
    expected: "a name of 1 to 32 of a-z, 0-9, dot, underscore and dash",
    holds: |name| {
        (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    },
};

pub(super) const URL: Text =
    Text { expected: "a URL that begins with https:// or http://", holds: crate::fetch::is_url };
/// SHA-256, so that whoever reads the configuration has no token.
pub(super) const TOKEN_HASH: Text = Text {
    expected: "what `sipprot filter token` prints: sha256: and 64 hex digits",
    holds: |text| {
        let hex = text.strip_prefix("sha256:");
        hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|it| it.is_ascii_hexdigit()))
    },
};

pub(super) const FILTER: Text = Text {
    expected: "a filter that `sipprot filter list` names, or the absolute path of one's own",
    holds: |text| text.starts_with('/') || crate::feed::filter::ready_text(text).is_some(),
};

pub(super) const UNIT: Text = Text {
    expected: "a systemd unit such as \"ssh.service\"",
    holds: |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._:\\-".contains(&byte);
        (1..=255).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(allowed)
    },
};

pub(super) const CONTACT: Text = Text {
    expected: "one line of at most 256 bytes",
    holds: |text| text.len() <= 256 && crate::message::is_clean(text),
};

pub(super) struct Ports;

impl Form for Ports {
    type Value = PortRange;

    fn expected(&self) -> String {
        "a port such as \"5060\" or a range such as \"5060:5062\"".to_owned()
    }

    fn read(&self, value: &Value) -> Result<PortRange, Wrong> {
        if let Some(number) = value.as_integer() {
            let port = u16::try_from(number).ok().and_then(|port| PortRange::new(port, port));
            return port.map_or_else(|| self.refuse(value), Ok);
        }
        let Some(text) = value.as_str() else { return self.refuse(value) };
        text.parse().map_err(|why| {
            let Wrong { span, what } = Wrong::expected(&self.expected(), value);
            Wrong { span, what: format!("{what} ({why})") }
        })
    }

    fn show(&self, value: &PortRange) -> Option<Value> {
        Some(value.to_string().into())
    }
}

/// An address or a network of either family. A whole address family is refused: what stands for a
/// few trusted hosts or for an endpoint must not become everything by a slip.
pub(super) struct Network;

impl Form for Network {
    type Value = IpNetwork;

    fn expected(&self) -> String {
        "an address such as \"192.0.2.7\" or a network such as \"192.0.2.0/24\"".to_owned()
    }

    fn read(&self, value: &Value) -> Result<IpNetwork, Wrong> {
        let Some(network) = value.as_str().and_then(|text| text.parse::<IpNetwork>().ok()) else {
            return self.refuse(value);
        };
        let network = unmapped(network);
        if network.prefix() == 0 {
            return Err(Wrong::because(value, "every address there is"));
        }
        if network.ip() != network.network() {
            let start = network.network();
            let why = format!("host bits are set; is {start}/{} meant?", network.prefix());
            return Err(Wrong::because(value, &why));
        }
        Ok(network)
    }

    fn show(&self, value: &IpNetwork) -> Option<Value> {
        Some(show_network(value).into())
    }
}

/// A network, or a table that gives it a ceiling of its own.
pub(super) struct PeerEntry;

impl PeerEntry {
    const RATE: Whole = Whole(1, RATE_MAX);
}

impl Form for PeerEntry {
    type Value = Peer;

    fn expected(&self) -> String {
        let network = Network.expected();
        format!("{network}, or {{ network = \"…\", rate = … }} with a ceiling of its own")
    }

    fn read(&self, value: &Value) -> Result<Peer, Wrong> {
        let Some(table) = value.as_inline_table() else {
            return match value.as_str() {
                Some(_) => Ok(Peer { network: Network.read(value)?, rate: None }),
                None => self.refuse(value),
            };
        };
        let (Some(network), Some(rate), 2) = (table.get("network"), table.get("rate"), table.len())
        else {
            return self.refuse(value);
        };
        Ok(Peer { network: Network.read(network)?, rate: Some(Self::RATE.read(rate)?) })
    }

    fn show(&self, value: &Peer) -> Option<Value> {
        let network = Network.show(&value.network)?;
        let Some(rate) = value.rate else { return Some(network) };
        let mut table = InlineTable::new();
        table.insert("network", network);
        table.insert("rate", i64::from(rate).into());
        Some(table.into())
    }
}

/// `::ffff:192.0.2.7` is 192.0.2.7 and nothing else.
pub fn unmapped(network: IpNetwork) -> IpNetwork {
    match network.ip() {
        IpAddr::V6(address) => address
            .to_ipv4_mapped()
            .zip(network.prefix().checked_sub(96))
            .and_then(|(mapped, prefix)| IpNetwork::new(mapped.into(), prefix).ok())
            .unwrap_or(network),
        IpAddr::V4(_) => network,
    }
}

fn show_network(network: &IpNetwork) -> String {
    let host_length = if network.is_ipv4() { 32 } else { 128 };
    if network.prefix() == host_length { network.ip().to_string() } else { network.to_string() }
}

const COUNTRY: &str = "a country's ISO code such as \"FR\", its English name such as \"France\", or a continent such as \"Asia\"";

/// Countries, one by one or by their continent.
pub(super) struct Countries;

impl Form for Countries {
    type Value = Vec<Country>;

    fn expected(&self) -> String {
        format!("a list, each entry {COUNTRY}")
    }

    fn read(&self, value: &Value) -> Result<Vec<Country>, Wrong> {
        let Some(array) = value.as_array() else { return self.refuse(value) };
        let mut all = Vec::new();
        for element in array {
            let named = element.as_str().and_then(|text| countries_of(text).ok());
            let Some(named) = named else { return Err(Wrong::expected(COUNTRY, element)) };
            let before = all.len();
            for country in named {
                if !all.contains(&country) {
                    all.push(country);
                }
            }
            if all.len() == before {
                return Err(Wrong::because(element, "listed twice"));
            }
        }
        Ok(all)
    }

    fn show(&self, value: &Vec<Country>) -> Option<Value> {
        Some(value.iter().map(|country| country.code()).collect::<Array>().into())
    }
}

/// A list of things of one form, none of them twice.
pub(super) struct Many<F>(pub F, pub usize, pub usize);

impl<F: Form> Form for Many<F> {
    type Value = Vec<F::Value>;

    fn expected(&self) -> String {
        let least = if self.1 > 0 { "not empty, " } else { "" };
        format!("a list ({least}at most {}), each entry {}", self.2, self.0.expected())
    }

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        let Some(array) = value.as_array() else { return self.refuse(value) };
        if array.len() < self.1 || array.len() > self.2 {
            let what = format!("expected {} to {} entries, found {}", self.1, self.2, array.len());
            return Err(Wrong { span: value.span(), what });
        }
        let mut seen = std::collections::HashSet::new();
        let mut values = Vec::with_capacity(array.len());
        for element in array {
            let read = self.0.read(element)?;
            // Compared as shown, so that FR and France, or two cases of a user agent, are one.
            let shown = self.0.show(&read).map(|shown| shown.to_string().to_ascii_lowercase());
            if !seen.insert(shown) {
                return Err(Wrong::because(element, "listed twice"));
            }
            values.push(read);
        }
        Ok(values)
    }

    fn show(&self, value: &Self::Value) -> Option<Value> {
        let array: Array = value.iter().filter_map(|element| self.0.show(element)).collect();
        Some(array.into())
    }
}

/// What may be left out.
pub(super) struct Maybe<F>(pub F);

impl<F: Form> Form for Maybe<F> {
    type Value = Option<F::Value>;

    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        self.0.read(value).map(Some)
    }

    fn show(&self, value: &Self::Value) -> Option<Value> {
        value.as_ref().and_then(|value| self.0.show(value))
    }
}

/// Where a key is left out by an empty text, so that the documented file can show it.
pub(super) struct OrNone<F>(pub F);

impl<F: Form> Form for OrNone<F> {
    type Value = Option<F::Value>;

    fn expected(&self) -> String {
        format!("{}, or \"\" for none", self.0.expected())
    }

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        match value.as_str() {
            Some("") => Ok(None),
            _ => self.0.read(value).map(Some),
        }
    }

    fn show(&self, value: &Self::Value) -> Option<Value> {
        Some(value.as_ref().and_then(|value| self.0.show(value)).unwrap_or_else(|| "".into()))
    }
}
