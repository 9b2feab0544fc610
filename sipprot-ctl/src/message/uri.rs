//! Who a From or To header names.

use std::fmt;

use super::text::clean;

const PART_MAX: usize = 64;

/// `user@host` of a SIP URI (RFC 3261 19.1), host in lower case; parameters, port and password left
/// out. A `tel:` URI has no host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub user: String,
    pub host: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.user.is_empty(), self.host.is_empty()) {
            (true, _) => f.write_str(&self.host),
            (_, true) => f.write_str(&self.user),
            _ => write!(f, "{}@{}", self.user, self.host),
        }
    }
}

impl Identity {
    /// Reads a header's value: `"Name" <sip:user@host>;tag=…`, or the bare address.
    pub fn from_header(value: &[u8]) -> Option<Self> {
        let value = behind_quoted_name(value);
        let address = match value.iter().position(|&b| b == b'<') {
            Some(open) => until(&value[open + 1..], b">"),
            None => until(value, b";, \t"),
        };
        Self::from_address(address.trim_ascii())
    }

    fn from_address(address: &[u8]) -> Option<Self> {
        let colon = address.iter().position(|&b| b == b':')?;
        let (scheme, rest) = (&address[..colon], &address[colon + 1..]);
        if scheme.eq_ignore_ascii_case(b"tel") {
            let user = part(until(rest, b";"));
            return (!user.is_empty()).then_some(Self { user, host: String::new() });
        }
        let sip = scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips");
        if !sip {
            return None;
        }
        let (user, host) = match rest.iter().rposition(|&b| b == b'@') {
            Some(at) => (until(&rest[..at], b":;"), &rest[at + 1..]),
            None => (&rest[..0], rest),
        };
        let identity = Self { user: part(user), host: part(host_of(host)).to_ascii_lowercase() };
        (!identity.user.is_empty() || !identity.host.is_empty()).then_some(identity)
    }
}

fn host_of(rest: &[u8]) -> &[u8] {
    if rest.first() == Some(&b'[') {
        return match rest.iter().position(|&b| b == b']') {
            Some(close) => &rest[..=close],
            None => rest,
        };
    }
    until(rest, b":;?>")
}

fn behind_quoted_name(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii_start();
    if value.first() != Some(&b'"') {
        return value;
    }
    let mut escaped = false;
    for (index, &byte) in value.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &value[index + 1..],
            _ => {}
        }
    }
    value
}

fn until<'a>(bytes: &'a [u8], ends: &[u8]) -> &'a [u8] {
    let end = bytes.iter().position(|b| ends.contains(b)).unwrap_or(bytes.len());
    &bytes[..end]
}

/// Unescapes (RFC 3261 19.1.2), so that one account has one name.
fn part(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = match (first, behind) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                plain.push(high << 4 | low);
                rest = &behind[2..];
            }
            None => {
                plain.push(first);
                rest = behind;
            }
        }
    }
    clean(&plain, PART_MAX)
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<&str>) {
        let found = Identity::from_header(value.as_bytes()).map(|it| it.to_string());
        assert_eq!(found.as_deref(), expected, "{value}");
    }

    #[test]
    fn addresses() {
        check("<sip:100@PBX.example>;tag=1", Some("100@pbx.example"));
        check("\"A \\\"<sip:x@y>\" <sip:100@pbx:5060;transport=udp>", Some("100@pbx"));
        check("Alice <sips:100:secret@pbx>", Some("100@pbx"));
        check("sip:100@pbx;tag=abc", Some("100@pbx"));
        check("<sip:%3100@pbx>", Some("100@pbx"));
        check("<sip:100%@pbx>", Some("100%@pbx"));
        check("<sip:100@[2001:DB8::1]:5060>", Some("100@[2001:db8::1]"));
        check("<sip:pbx.example>", Some("pbx.example"));
        check("<tel:+15551234;phone-context=x>", Some("+15551234"));
        check("<sip:a@b@pbx>", Some("a@b@pbx"));
        check("<sip:1\x1b0@pbx>", Some("1\u{fffd}0@pbx"));
        for none in ["", "<", "<>", "<sip:>", "<http://x>", "\"open", "100@pbx"] {
            check(none, None);
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let long = format!("<sip:{}@{}>", "u".repeat(2000), "h".repeat(2000));
        let identity = Identity::from_header(long.as_bytes()).unwrap();
        assert_eq!((identity.user.len(), identity.host.len()), (PART_MAX, PART_MAX));
    }
}
