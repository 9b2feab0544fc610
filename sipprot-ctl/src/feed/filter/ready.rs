//! The filters that are built in.

const READY: [(&str, &str); 7] = [
    ("sshd", include_str!("../filters/sshd.toml")),
    ("apache", include_str!("../filters/apache.toml")),
    ("nginx", include_str!("../filters/nginx.toml")),
    ("kamailio", include_str!("../filters/kamailio.toml")),
    ("opensips", include_str!("../filters/opensips.toml")),
    ("asterisk", include_str!("../filters/asterisk.toml")),
    ("freeswitch", include_str!("../filters/freeswitch.toml")),
];

pub fn names() -> impl Iterator<Item = &'static str> {
    READY.iter().map(|(name, _)| *name)
}

/// Its TOML, to be read and copied.
pub fn text(name: &str) -> Option<&'static str> {
    READY.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
