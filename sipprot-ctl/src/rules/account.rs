//! Who somebody claims to be: an address of record, bounded and with its host in lower case.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longer ones are cut: the text is the sender's, and it is kept as evidence.
const ACCOUNT_LEN_MAX: usize = 128;

/// `user@host`. A copy is one reference count. The user part keeps its case (RFC 3261 19.1.4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Account(Arc<str>);

impl Account {
    pub fn new(user: &str, host: &str) -> Self {
        let mut text = String::with_capacity((user.len() + host.len() + 1).min(ACCOUNT_LEN_MAX));
        text.push_str(cut(user, ACCOUNT_LEN_MAX));
        if !host.is_empty() && text.len() + 1 < ACCOUNT_LEN_MAX {
            text.push('@');
            let room = ACCOUNT_LEN_MAX - text.len();
            text.extend(cut(host, room).chars().map(|c| c.to_ascii_lowercase()));
        }
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes behind it: the text and its reference counts.
    pub fn heap(&self) -> usize {
        self.0.len() + 2 * size_of::<usize>()
    }

    pub fn user(&self) -> &str {
        self.0.rsplit_once('@').map_or(&*self.0, |(user, _)| user)
    }

    pub fn host(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, host)| host)
    }

    /// The account whose password a request with this digest user name tries.
    ///
    /// The PBX checks the password of the user name, not of To: a guesser who always writes an
    /// account of its own into To must not hide whom it guesses.
    #[must_use]
    pub fn tried_as(&self, username: &str) -> Account {
        if username.is_empty() || username == self.user() || username == self.as_str() {
            return self.clone();
        }
        match username.rsplit_once('@') {
            Some((user, host)) => Account::new(user, host),
            None => Account::new(username, self.host()),
        }
    }
}

/// At most `max` bytes of `text`, whole characters only.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

impl From<String> for Account {
    /// From `user@host`.
    fn from(text: String) -> Self {
        match text.rsplit_once('@') {
            Some((user, host)) => Self::new(user, host),
            None => Self::new(&text, ""),
        }
    }
}

impl From<&str> for Account {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<Account> for String {
    fn from(account: Account) -> Self {
        account.0.as_ref().to_owned()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_lowered_and_length_bounded() {
        assert_eq!(Account::new("Ann", "PBX.Example").as_str(), "Ann@pbx.example");
        assert_eq!(Account::new("100", "").as_str(), "100");
        let long = Account::new(&"é".repeat(100), "pbx");
        assert_eq!(long.as_str().len(), ACCOUNT_LEN_MAX);
        let long = Account::new(&"a".repeat(100), &"b".repeat(100));
        assert_eq!(long.as_str().len(), ACCOUNT_LEN_MAX);
    }

    #[test]
    fn the_digest_user_name_says_whom_a_guess_is_for() {
        let mine = Account::from("100@pbx");
        for same in ["100", "100@pbx", ""] {
            assert_eq!(mine.tried_as(same), mine, "{same}");
        }
        assert_eq!(mine.tried_as("200"), Account::from("200@pbx"));
        assert_eq!(mine.tried_as("200@Other"), Account::from("200@other"));
    }
}
