//! Users, their logins, and API tokens.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Door, Right, nobody};

/// What a user may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Look at everything, change nothing.
    Viewer,
}

impl Role {
    pub const ALL: [Self; 2] = [Self::Admin, Self::Viewer];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub const fn right(self) -> Right {
        match self {
            Self::Admin => Right::Admin,
            Self::Viewer => Right::Read,
        }
    }
}

/// A password on its way; no log ever shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A user to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// 1 to 32 letters, digits and `.`, `-`, `_`, `@`.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,31}$"))]
    pub name: String,
    pub role: Role,
    /// 12 to 256 characters.
    #[schemars(length(min = 12, max = 256))]
    pub password: Secret,
    #[serde(default = "nobody")]
    pub by: String,
}

/// Another role or password, or no login any more. A new password ends the user's logins, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditUser {
    #[serde(default)]
    pub role: Option<Role>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whoever is logged in by this name has to log in again.
    #[serde(default)]
    pub end_logins: bool,
    #[serde(default = "nobody")]
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    pub name: String,
    pub role: Role,
    pub created_at: i64,
    pub created_by: String,
    pub last_login_at: Option<i64>,
    /// Logins that stand.
    pub sessions: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsersAnswer {
    pub users: Vec<UserView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// 1 to 32 letters, digits and `.`, `-`, `_`, `@`.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,31}$"))]
    pub name: String,
    pub scope: Right,
    /// It holds for good otherwise.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub expires_in_s: Option<u64>,
    #[serde(default = "nobody")]
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    pub name: String,
    pub scope: Right,
    pub created_at: i64,
    pub created_by: String,
    pub expires_at: Option<i64>,
    /// To the minute.
    pub last_used_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokensAnswer {
    pub tokens: Vec<TokenView>,
}

/// A new token. It is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeToken {
    pub name: String,
    pub token: Secret,
    pub expires_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    pub name: String,
    pub password: Secret,
}

/// Who asks, as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    pub name: String,
    pub door: Door,
    pub right: Right,
    pub address: Option<IpAddr>,
    /// To be sent as `x-csrf-token` with all that changes something; only where a cookie says who asks.
    pub csrf_token: Option<String>,
    /// When the login ends whatever is done.
    pub ends_at: Option<i64>,
}

/// One's own password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    pub old: Secret,
    /// 12 to 256 characters.
    #[schemars(length(min = 12, max = 256))]
    pub new: Secret,
}
