//! Users, tokens and logins as they stand: who somebody is, and what may be changed.
//!
//! It decides; what it decides on is stored first and noted here afterwards, by [`super::Access`].

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::Backoff;
use crate::api::{
    Code, Door, EditUser, Fault, NewToken, NewUser, Role, SessionView, TokenView, UserView, Who,
};
use crate::store::{Change, SessionRecord, TokenRecord, UserRecord};

const USERS_MAX: usize = 256;
const TOKENS_MAX: usize = 256;
const SESSIONS_MAX: usize = 1024;
const SESSIONS_EACH_MAX: usize = 16;
const NAME_LENGTH: std::ops::RangeInclusive<usize> = 1..=32;
/// Until a token or session counts as seen anew.
const NOTED_EACH: Duration = Duration::from_secs(60);

/// How long a login stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Without a request.
    pub idle: Duration,
    /// Whatever is done.
    pub whole: Duration,
}

#[derive(Debug)]
pub struct Book {
    users: BTreeMap<String, UserRecord>,
    tokens: BTreeMap<String, TokenRecord>,
    /// By the token's hash.
    by_hash: HashMap<String, String>,
    sessions: HashMap<String, SessionRecord>,
    pub backoff: Backoff,
    pub times: Times,
}

impl Book {
    pub fn new(
        users: Vec<UserRecord>,
        tokens: Vec<TokenRecord>,
        sessions: Vec<SessionRecord>,
        times: Times,
    ) -> Self {
        let mut book = Self {
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            by_hash: HashMap::new(),
            sessions: HashMap::new(),
            backoff: Backoff::default(),
            times,
        };
        users.into_iter().map(Change::PutUser).for_each(|it| book.note(&it));
        tokens.into_iter().map(Change::PutToken).for_each(|it| book.note(&it));
        sessions.into_iter().map(Change::PutSession).for_each(|it| book.note(&it));
        book
    }

    /// What was stored is so from now on.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::PutUser(user) => {
                self.users.insert(user.name.clone(), user.clone());
            }
            Change::RemoveUser(name) => {
                self.users.remove(name);
            }
            Change::PutToken(token) => {
                self.by_hash.insert(token.hash.clone(), token.name.clone());
                self.tokens.insert(token.name.clone(), token.clone());
            }
            Change::RemoveToken(name) => {
                if let Some(token) = self.tokens.remove(name) {
                    self.by_hash.remove(&token.hash);
                }
            }
            Change::PutSession(session) => {
                self.sessions.insert(session.hash.clone(), session.clone());
            }
            Change::RemoveSession(hash) => {
                self.sessions.remove(hash);
            }
            _ => {}
        }
    }

    /// Whether what is to be put is there.
    pub fn has(&self, change: &Change) -> bool {
        match change {
            Change::PutToken(token) => self.by_hash.contains_key(&token.hash),
            Change::PutSession(session) => self.sessions.contains_key(&session.hash),
            _ => false,
        }
    }

    pub fn user(&self, name: &str) -> Option<&UserRecord> {
        self.users.get(name)
    }
}

/// Who somebody is.
impl Book {
    /// Whose login this is, and what is to be stored of its being seen.
    pub fn by_session(
        &self,
        hash: &str,
        from: IpAddr,
        now: Timestamp,
    ) -> Option<(Who, Vec<Change>)> {
        let session = self.sessions.get(hash).filter(|it| self.stands(it, now))?;
        let user = self.users.get(&session.user)?;
        let who = Who {
            name: user.name.clone(),
            door: Door::Login,
            right: user.role.right(),
            address: Some(from),
        };
        let seen = SessionRecord { seen_at: now, ..session.clone() };
        Some((who, noted(session.seen_at, now, Change::PutSession(seen))))
    }

    pub fn by_token(&self, hash: &str, from: IpAddr, now: Timestamp) -> Option<(Who, Vec<Change>)> {
        let token = self.tokens.get(self.by_hash.get(hash)?)?;
        if token.expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        let who = Who {
            // No user's name has a colon: a token can't be taken for somebody.
            name: format!("token:{}", token.name),
            door: Door::Token,
            right: token.scope,
            address: Some(from),
        };
        let used = TokenRecord { last_used_at: Some(now), ..token.clone() };
        let before = token.last_used_at.unwrap_or(Timestamp::MIN);
        Some((who, noted(before, now, Change::PutToken(used))))
    }

    fn stands(&self, session: &SessionRecord, now: Timestamp) -> bool {
        let since = |at| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        since(session.seen_at) < self.times.idle && since(session.started_at) < self.times.whole
    }

    pub fn session_view(&self, who: &Who, hash: Option<&str>) -> SessionView {
        let session = hash.and_then(|hash| self.sessions.get(hash));
        SessionView {
            name: who.name.clone(),
            door: who.door,
            right: who.right,
            address: who.address,
            csrf_token: None,
            ends_at: session.map(|it| {
                let whole = i64::try_from(self.times.whole.as_secs()).unwrap_or(i64::MAX);
                it.started_at.as_second().saturating_add(whole)
            }),
        }
    }
}

fn noted(before: Timestamp, now: Timestamp, change: Change) -> Vec<Change> {
    let due = Duration::try_from(now.duration_since(before)).is_ok_and(|it| it >= NOTED_EACH);
    if due { vec![change] } else { Vec::new() }
}

/// Logins.
impl Book {
    /// What a right password leads to. The oldest logins make room.
    pub fn log_in(&self, name: &str, hash: &str, from: IpAddr, now: Timestamp) -> Vec<Change> {
        let Some(user) = self.users.get(name) else { return Vec::new() };
        let session = SessionRecord {
            hash: hash.to_owned(),
            user: name.to_owned(),
            from,
            started_at: now,
            seen_at: now,
        };
        let mut standing: Vec<_> =
            self.sessions.values().filter(|it| self.stands(it, now)).collect();
        standing.sort_by_key(|it| it.seen_at);
        let own = standing.iter().filter(|it| it.user == name).count();
        let excess_own = (own + 1).saturating_sub(SESSIONS_EACH_MAX);
        let excess = (standing.len() + 1).saturating_sub(SESSIONS_MAX);
        let oldest_own = standing.iter().filter(|it| it.user == name).take(excess_own);
        let ended = self.sessions.values().filter(|it| !self.stands(it, now));
        let ended = ended.chain(oldest_own.copied()).chain(standing.iter().take(excess).copied());
        ended
            .map(|it| Change::RemoveSession(it.hash.clone()))
            .chain([
                Change::PutSession(session),
                Change::PutUser(UserRecord { last_login_at: Some(now), ..user.clone() }),
            ])
            .collect()
    }

    pub fn log_out(&self, hash: &str) -> Vec<Change> {
        self.sessions
            .get(hash)
            .map(|it| Change::RemoveSession(it.hash.clone()))
            .into_iter()
            .collect()
    }

    /// Another password ends the logins that stand, but for the one that changed it.
    pub fn set_password(
        &self,
        name: &str,
        password: String,
        keep: Option<&str>,
    ) -> Result<Vec<Change>, Fault> {
        let user = self.users.get(name).ok_or_else(|| no_user(name))?;
        let user = UserRecord { password, ..user.clone() };
        let sessions = self.sessions_of(name).filter(|it| Some(it.hash.as_str()) != keep);
        let ended = sessions.map(|it| Change::RemoveSession(it.hash.clone()));
        Ok(std::iter::once(Change::PutUser(user)).chain(ended).collect())
    }

    fn sessions_of(&self, name: &str) -> impl Iterator<Item = &SessionRecord> {
        self.sessions.values().filter(move |it| it.user == name)
    }
}

/// Users.
impl Book {
    pub fn add_user(
        &self,
        new: &NewUser,
        password: String,
        now: Timestamp,
    ) -> Result<Vec<Change>, Fault> {
        if self.users.keys().any(|name| name.eq_ignore_ascii_case(&new.name)) {
            return Err(Fault::new(Code::Conflict, format!("there is a user {:?}", new.name)));
        }
        if self.users.len() >= USERS_MAX {
            return Err(Fault::new(Code::Full, format!("{USERS_MAX} users are as many as may be")));
        }
        let user = UserRecord {
            name: new.name.clone(),
            role: new.role,
            password,
            created_at: now,
            created_by: new.by.clone(),
            last_login_at: None,
        };
        Ok(vec![Change::PutUser(user)])
    }

    pub fn edit_user(
        &self,
        name: &str,
        edit: &EditUser,
        password: Option<String>,
    ) -> Result<Vec<Change>, Fault> {
        let before = self.users.get(name).ok_or_else(|| no_user(name))?;
        let role = edit.role.unwrap_or(before.role);
        if role != Role::Admin {
            self.not_the_last_admin(name)?;
        }
        let mut changes = match password {
            Some(password) => self.set_password(name, password, None)?,
            None => vec![Change::PutUser(before.clone())],
        };
        if edit.end_logins && edit.password.is_none() {
            changes.extend(self.sessions_of(name).map(|it| Change::RemoveSession(it.hash.clone())));
        }
        for change in &mut changes {
            if let Change::PutUser(user) = change {
                user.role = role;
            }
        }
        Ok(changes)
    }

    pub fn remove_user(&self, name: &str) -> Result<Vec<Change>, Fault> {
        if !self.users.contains_key(name) {
            return Err(no_user(name));
        }
        self.not_the_last_admin(name)?;
        let sessions = self.sessions_of(name).map(|it| Change::RemoveSession(it.hash.clone()));
        Ok(std::iter::once(Change::RemoveUser(name.to_owned())).chain(sessions).collect())
    }

    fn not_the_last_admin(&self, name: &str) -> Result<(), Fault> {
        let mut admins = self.users.values().filter(|it| it.role == Role::Admin);
        match (admins.next(), admins.next()) {
            (Some(only), None) if only.name == name => {
                Err(Fault::refused(format!("{name} is the last admin")))
            }
            _ => Ok(()),
        }
    }

    pub fn users(&self, now: Timestamp) -> Vec<UserView> {
        let view = |user: &UserRecord| UserView {
            name: user.name.clone(),
            role: user.role,
            created_at: user.created_at.as_second(),
            created_by: user.created_by.clone(),
            last_login_at: user.last_login_at.map(|at| at.as_second()),
            sessions: self.sessions_of(&user.name).filter(|it| self.stands(it, now)).count() as u64,
        };
        self.users.values().map(view).collect()
    }
}

/// Tokens.
impl Book {
    pub fn add_token(
        &self,
        new: &NewToken,
        hash: String,
        now: Timestamp,
    ) -> Result<TokenRecord, Fault> {
        if self.tokens.contains_key(&new.name) {
            return Err(Fault::new(Code::Conflict, format!("there is a token {:?}", new.name)));
        }
        if self.tokens.len() >= TOKENS_MAX {
            return Err(Fault::new(
                Code::Full,
                format!("{TOKENS_MAX} tokens are as many as may be"),
            ));
        }
        let expires_at = match new.expires_in_s {
            Some(0) => return Err(Fault::invalid("expires_in_s", "must be more than 0")),
            Some(seconds) => now.checked_add(Duration::from_secs(seconds)).ok(),
            None => None,
        };
        Ok(TokenRecord {
            name: new.name.clone(),
            scope: new.scope,
            hash,
            created_at: now,
            created_by: new.by.clone(),
            expires_at,
            last_used_at: None,
        })
    }

    pub fn revoke_token(&self, name: &str) -> Result<Vec<Change>, Fault> {
        match self.tokens.contains_key(name) {
            true => Ok(vec![Change::RemoveToken(name.to_owned())]),
            false => Err(Fault::not_found(format!("there is no token {name:?}"))),
        }
    }

    pub fn tokens(&self) -> Vec<TokenView> {
        let view = |token: &TokenRecord| TokenView {
            name: token.name.clone(),
            scope: token.scope,
            created_at: token.created_at.as_second(),
            created_by: token.created_by.clone(),
            expires_at: token.expires_at.map(|at| at.as_second()),
            last_used_at: token.last_used_at.map(|at| at.as_second()),
        };
        self.tokens.values().map(view).collect()
    }
}

/// It is part of paths, keys and logs.
pub fn check_name(name: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte);
    let starts = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if NAME_LENGTH.contains(&name.len()) && starts && name.bytes().all(plain) {
        return Ok(());
    }
    let what = "expected 1 to 32 letters, digits and any of . - _ @, the first a letter or digit";
    Err(Fault::invalid("name", what))
}

fn no_user(name: &str) -> Fault {
    Fault::not_found(format!("there is no user {name:?}"))
}
