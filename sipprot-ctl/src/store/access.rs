//! Who may use the API: users, tokens, and the logins that stand.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::codec::Kind;
use super::{Store, StoreError};
use crate::api::{Right, Role};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserRecord {
    pub name: String,
    pub role: Role,
    /// Argon2, as a PHC string.
    pub password: String,
    pub created_at: Timestamp,
    pub created_by: String,
    #[serde(default)]
    pub last_login_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    pub name: String,
    pub scope: Right,
    /// SHA-256 of the token.
    pub hash: String,
    pub created_at: Timestamp,
    pub created_by: String,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

/// A login that stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    /// SHA-256 of what the cookie holds.
    pub hash: String,
    pub user: String,
    pub from: IpAddr,
    pub started_at: Timestamp,
    pub seen_at: Timestamp,
}

impl Store {
    pub fn users(&self) -> Result<Vec<UserRecord>, StoreError> {
        self.read(self.database.scan(&Kind::User.prefix())).collect()
    }

    pub fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(self.database.scan(&Kind::Token.prefix())).collect()
    }

    pub fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(self.database.scan(&Kind::Session.prefix())).collect()
    }
}
