//! Who may use the API from afar: users, their logins, and tokens.
//!
//! `book` decides, with `now` given; here decisions are stored before they count, so that what was
//! acknowledged lasts, and passwords are hashed. Looking who somebody is takes no time and no disk;
//! everything that changes something blocks, and belongs on a thread where that is no harm.

mod backoff;
mod book;
mod password;
mod secret;
#[cfg(test)]
mod tests;
mod undo;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tracing::{error, info, warn};

use crate::api::{
    Code, EditUser, Fault, LogIn, MadeToken, NewPassword, NewToken, NewUser, Secret, SessionView,
    TokensAnswer, UsersAnswer, Who,
};
use crate::store::{AuditRecord, Change, Pair, Store, StoreError};
use book::Book;

pub use book::Times;
pub use secret::{csrf_token, random as random_secret};

/// What API tokens begin with, so that whoever finds one knows what it is.
pub const TOKEN_START: &str = "sipprot_";
/// Logins that may wait for their turn; each needs the memory of an Argon2 hash.
const LOGINS_WAITING_MAX: usize = 4;

/// Shared by all who look who somebody is.
pub struct Access {
    book: Mutex<Book>,
    /// One change at a time: what was decided must still be right when it is stored.
    changing: Mutex<()>,
    hashing: Mutex<()>,
    logins_waiting: AtomicUsize,
    store: Option<Arc<Store>>,
}

/// What somebody came in by.
#[derive(Clone)]
pub enum Pass {
    Cookie(String),
    Token(String),
}

/// Why there is no login.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Name and password don't fit.
    Wrong,
    /// Not before this time.
    Wait(Duration),
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Access {
    /// Without a store nobody can log in.
    pub fn load(store: Option<Arc<Store>>, times: Times) -> Result<Self, StoreError> {
        let book = match &store {
            Some(store) => Book::new(store.users()?, store.tokens()?, store.sessions()?, times),
            None => Book::new(Vec::new(), Vec::new(), Vec::new(), times),
        };
        Ok(Self {
            book: Mutex::new(book),
            changing: Mutex::default(),
            hashing: Mutex::default(),
            logins_waiting: AtomicUsize::new(0),
            store,
        })
    }

    pub fn set_times(&self, times: Times) {
        self.book().times = times;
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what the book decides, with the record of who asked for it, then notes it there.
    fn change<T>(
        &self,
        record: Option<AuditRecord>,
        decide: impl FnOnce(&Book) -> Result<(Vec<Change>, T), Fault>,
    ) -> Result<T, Fault> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = &self.store else {
            return Err(Fault::unavailable("the store can't be used: see the daemon's log"));
        };
        let (changes, result) = decide(&self.book())?;
        let stored = match record {
            Some(record) => store.apply(&[Change::audited(record, changes.clone())]),
            None => store.apply(&changes),
        };
        stored.map_err(|error| {
            error!("store: {error}");
            Fault::unavailable("the store can't be written: see the daemon's log")
        })?;
        let mut book = self.book();
        changes.iter().for_each(|change| book.note(change));
        Ok(result)
    }
}

/// Who somebody is. Returns what is to be stored, when there is time, of their having been seen.
impl Access {
    pub fn by_session(
        &self,
        cookie: &str,
        from: IpAddr,
        now: Timestamp,
    ) -> Option<(Who, Vec<Change>)> {
        self.seen(|book| book.by_session(&secret::hash(cookie), from, now))
    }

    pub fn by_token(
        &self,
        token: &str,
        from: IpAddr,
        now: Timestamp,
    ) -> Option<(Who, Vec<Change>)> {
        self.seen(|book| book.by_token(&secret::hash(token), from, now))
    }

    fn seen(
        &self,
        find: impl FnOnce(&Book) -> Option<(Who, Vec<Change>)>,
    ) -> Option<(Who, Vec<Change>)> {
        let mut book = self.book();
        let (who, seen) = find(&book)?;
        seen.iter().for_each(|change| book.note(change));
        Some((who, seen))
    }

    /// Whether somebody who came in by this may still be here. It is no request, and keeps no login alive.
    pub fn still_holds(&self, pass: &Pass, from: IpAddr, now: Timestamp) -> bool {
        let book = self.book();
        match pass {
            Pass::Cookie(cookie) => book.by_session(&secret::hash(cookie), from, now).is_some(),
            Pass::Token(token) => book.by_token(&secret::hash(token), from, now).is_some(),
        }
    }

    /// May be lost with the last seconds. Blocks.
    pub fn store_seen(&self, seen: &[Change]) {
        // Whoever was removed meanwhile must not come back.
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let book = self.book();
        let stands: Vec<Change> = seen.iter().filter(|it| book.has(it)).cloned().collect();
        drop(book);
        if let Some(store) = &self.store
            && let Err(error) = store.note(&stands)
        {
            error!("store: {error}");
        }
    }

    pub fn session_view(&self, who: &Who, cookie: Option<&str>) -> SessionView {
        let hash = cookie.map(secret::hash);
        let view = self.book().session_view(who, hash.as_deref());
        SessionView { csrf_token: cookie.map(csrf_token), ..view }
    }
}

/// Logins. All of it blocks.
impl Access {
    /// Returns the name and what the cookie is to hold.
    pub fn log_in(&self, login: &LogIn, from: IpAddr, now: Timestamp) -> Result<String, Refusal> {
        let LogIn { name, password } = login;
        self.book().backoff.try_now(name, from, now).map_err(Refusal::Wait)?;
        let known = self.book().user(name).map(|user| user.password.clone());
        if !self.is_right(&password.0, known.as_deref())? {
            warn!("a login as {:?} from {from} failed", crate::message::clean(name.as_bytes(), 64));
            self.book().backoff.failed(name, from, now);
            return Err(Refusal::Wrong);
        }
        let cookie = made()?;
        self.change(None, |book| {
            // It may have got another password, or have gone, meanwhile.
            let same = book.user(name).map(|user| &user.password) == known.as_ref();
            let changes = book.log_in(name, &secret::hash(&cookie), from, now);
            if same { Ok((changes, ())) } else { Err(Fault::denied("try again")) }
        })?;
        self.book().backoff.succeeded(name);
        info!("{name} logged in from {from}");
        Ok(cookie)
    }

    /// Whether somebody who has no name here may send a token; wrong ones make wait like wrong passwords.
    pub fn may_send(&self, from: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        let wait = self.book().backoff.source_wait(from, now);
        if wait.is_zero() { Ok(()) } else { Err(Refusal::Wait(wait)) }
    }

    pub fn sent_wrong(&self, from: IpAddr, now: Timestamp) {
        self.book().backoff.source_failed(from, now);
    }

    /// One at a time, and few that wait.
    fn is_right(&self, given: &str, hash: Option<&str>) -> Result<bool, Refusal> {
        if self.logins_waiting.fetch_add(1, Ordering::Relaxed) >= LOGINS_WAITING_MAX {
            self.logins_waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::Wait(Duration::from_secs(1)));
        }
        let alone = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        let right = password::is(given, hash);
        drop(alone);
        self.logins_waiting.fetch_sub(1, Ordering::Relaxed);
        Ok(right)
    }

    pub fn log_out(&self, cookie: &str) -> Result<(), Fault> {
        self.change(None, |book| Ok((book.log_out(&secret::hash(cookie)), ())))
    }

    /// One's own; the login that asks for it goes on.
    pub fn change_password(
        &self,
        who: &Who,
        new: &NewPassword,
        cookie: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (name, from) = (&who.name, who.address.unwrap_or(IpAddr::from([127, 0, 0, 1])));
        password::check("new", name, &new.new.0)?;
        // Whoever finds an open page must not find out the password by it.
        self.book().backoff.try_now(name, from, now).map_err(Refusal::Wait)?;
        let known = self.book().user(name).map(|user| user.password.clone());
        if !self.is_right(&new.old.0, known.as_deref())? {
            self.book().backoff.failed(name, from, now);
            return Err(Refusal::Wrong);
        }
        let hash = hashed(&new.new.0)?;
        let keep = secret::hash(cookie);
        self.change(None, |book| Ok((book.set_password(name, hash, Some(&keep))?, ())))?;
        info!("{name} has another password");
        Ok(())
    }
}

/// Users and tokens. What changes something blocks.
impl Access {
    pub fn users(&self, now: Timestamp) -> UsersAnswer {
        UsersAnswer { users: self.book().users(now) }
    }

    pub fn add_user(
        &self,
        new: &NewUser,
        now: Timestamp,
        record: Option<AuditRecord>,
    ) -> Result<(), Fault> {
        book::check_name(&new.name)?;
        password::check("password", &new.name, &new.password.0)?;
        let hash = hashed(&new.password.0)?;
        self.change(record, |book| Ok((book.add_user(new, hash, now)?, ())))
    }

    pub fn edit_user(
        &self,
        name: &str,
        edit: &EditUser,
        record: Option<AuditRecord>,
    ) -> Result<(), Fault> {
        let hash = match &edit.password {
            Some(given) => {
                password::check("password", name, &given.0)?;
                Some(hashed(&given.0)?)
            }
            None => None,
        };
        self.change(record, |book| Ok((book.edit_user(name, edit, hash)?, ())))
    }

    pub fn remove_user(&self, name: &str, record: Option<AuditRecord>) -> Result<(), Fault> {
        self.change(record, |book| Ok((book.remove_user(name)?, ())))
    }

    pub fn tokens(&self) -> TokensAnswer {
        TokensAnswer { tokens: self.book().tokens() }
    }

    pub fn add_token(
        &self,
        new: &NewToken,
        now: Timestamp,
        record: Option<AuditRecord>,
    ) -> Result<MadeToken, Fault> {
        book::check_name(&new.name)?;
        let token = format!("{TOKEN_START}{}", made()?);
        self.change(record, |book| {
            let made = book.add_token(new, secret::hash(&token), now)?;
            let expires_at = made.expires_at.map(|at| at.as_second());
            let (name, token) = (made.name.clone(), Secret(token.clone()));
            Ok((vec![Change::PutToken(made)], MadeToken { name, token, expires_at }))
        })
    }

    pub fn revoke_token(&self, name: &str, record: Option<AuditRecord>) -> Result<(), Fault> {
        self.change(record, |book| Ok((book.revoke_token(name)?, ())))
    }

    /// Whether a user or token is still what a change made of it.
    pub fn is_as_left(&self, pair: &Pair) -> bool {
        self.book().is_as_left(pair)
    }

    /// Takes back what a record tells of users and tokens.
    pub fn take_back(&self, pairs: &[Pair], record: AuditRecord) -> Result<(), Fault> {
        self.change(Some(record), |book| Ok((book.taken_back(pairs)?, ())))
    }
}

fn made() -> Result<String, Fault> {
    secret::random().map_err(|error| {
        error!("no randomness: {error}");
        Fault::internal()
    })
}

fn hashed(given: &str) -> Result<String, Fault> {
    password::hash(given).ok_or_else(|| {
        error!("a password could not be hashed");
        Fault::new(Code::Internal, "internal error: see the daemon's log")
    })
}
