//! Who asks, and how much they may.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Command, nobody};

/// How much somebody may do. Each holds what comes before it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Look at everything, change nothing.
    Read,
    /// Edit lists and blocks, too.
    Lists,
    Admin,
}

impl Right {
    pub const ALL: [Self; 3] = [Self::Read, Self::Lists, Self::Admin];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Lists => "lists",
            Self::Admin => "admin",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }
}

/// By which door somebody came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// The Unix socket: root, or the group. It is believed for whom it acts.
    Socket,
    /// A login with name and password.
    Login,
    /// An API token.
    Token,
    /// None was needed: what was sent proves itself.
    Open,
    /// Nobody asked: the daemon by itself.
    Daemon,
}

/// Who asks for something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Who {
    /// Of the user or token; on the socket, whom the caller names.
    pub name: String,
    pub door: Door,
    pub right: Right,
    /// From where, over TCP.
    pub address: Option<IpAddr>,
}

impl Who {
    /// The header by which callers on the socket say for whom they act.
    pub const BY: &str = "sipprot-by";

    pub fn socket(name: impl Into<String>) -> Self {
        Self { name: name.into(), door: Door::Socket, right: Right::Admin, address: None }
    }

    pub fn daemon() -> Self {
        let name = "sipprot".to_owned();
        Self { name, door: Door::Daemon, right: Right::Admin, address: None }
    }

    /// Writes the one name into the command that it is recorded by: the login's, whatever the command
    /// says. On the socket the command's own word goes first.
    pub(super) fn sign(mut self, command: &mut Command) -> Self {
        if let Some(by) = command.by() {
            match self.door {
                Door::Socket if *by != nobody() => self.name.clone_from(by),
                _ => by.clone_from(&self.name),
            }
        }
        self
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (self.door, self.address) {
            (Door::Token, Some(address)) => write!(f, " (token, {address})"),
            (_, Some(address)) => write!(f, " ({address})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_recorded() {
        fn check(door: Door, said: &str, expected: &str) {
            let who = Who { name: "ann".to_owned(), door, right: Right::Admin, address: None };
            let mut command = Command::LearnStop { by: said.to_owned() };
            let signed = who.sign(&mut command);
            let by = command.by().map(|by| by.clone());
            assert_eq!((signed.name.as_str(), by.as_deref()), (expected, Some(expected)));
        }
        check(Door::Socket, "bob", "bob");
        check(Door::Socket, &nobody(), "ann");
        check(Door::Login, "bob", "ann");
        check(Door::Token, "bob", "ann");
        let mut reload = Command::Reload { consent: Default::default() };
        assert_eq!(Who::socket("ann").sign(&mut reload).name, "ann");
    }
}
