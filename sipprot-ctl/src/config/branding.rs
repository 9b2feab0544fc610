//! What the dashboard is called and how it looks.

use std::path::PathBuf;

use super::forms::Text;

pub const NAME: &str = "SIPprot";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Branding {
    pub name: String,
    /// An image of the host's disk.
    pub logo: Option<PathBuf>,
    /// Of buttons and links, as `#rrggbb`.
    pub colour: Option<String>,
    /// Behind name and logo.
    pub ground: Option<String>,
}

impl Default for Branding {
    fn default() -> Self {
        Self { name: NAME.to_owned(), logo: None, colour: None, ground: None }
    }
}

pub(super) const BRAND: Text = Text {
    expected: "one line of 1 to 32 characters",
    holds: |name| {
        let length = name.chars().count();
        (1..=32).contains(&length) && name.trim() == name && crate::message::is_clean(name)
    },
};

pub(super) const COLOUR: Text = Text {
    expected: "a colour such as \"#1d4ed8\"",
    holds: |text| {
        let hex = text.strip_prefix('#');
        hex.is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|it| it.is_ascii_hexdigit()))
    },
};
