//! Users and tokens as they were before a change.

use crate::api::{Code, Fault, Role};
use crate::store::{Change, Pair, TokenRecord, UserRecord};

use super::book::Book;

impl Book {
    /// When somebody was seen last is no difference.
    pub fn is_as_left(&self, pair: &Pair) -> bool {
        match pair {
            Pair::User { before, after } => {
                let name = before.as_ref().or(after.as_ref()).map(|it| it.name.as_str());
                let now = name.and_then(|name| self.user(name));
                let lasting = |it: &UserRecord| UserRecord { last_login_at: None, ..it.clone() };
                now.map(lasting) == after.as_ref().map(lasting)
            }
            Pair::Token { before, after } => {
                let name = before.as_ref().or(after.as_ref()).map(|it| it.name.as_str());
                let now = name.and_then(|name| self.token(name));
                let lasting = |it: &TokenRecord| TokenRecord { last_used_at: None, ..it.clone() };
                now.map(lasting) == after.as_ref().map(lasting)
            }
            _ => false,
        }
    }

    /// The changes that take these back; the logins that were ended stay so.
    pub fn taken_back(&self, pairs: &[Pair]) -> Result<Vec<Change>, Fault> {
        let mut changes = Vec::new();
        for pair in pairs {
            if !self.is_as_left(pair) {
                let message = format!("{} was changed meanwhile", pair.thing());
                return Err(Fault::new(Code::Conflict, message));
            }
            changes.extend(match pair {
                Pair::User { before: Some(before), after } => {
                    self.user_back(before, after.is_some())?
                }
                Pair::User { before: None, after: Some(after) } => self.remove_user(&after.name)?,
                Pair::Token { before: Some(before), after } => {
                    if after.is_none() {
                        self.has_room_for_a_token()?;
                    }
                    vec![Change::PutToken(before.clone())]
                }
                Pair::Token { before: None, after: Some(after) } => {
                    self.revoke_token(&after.name)?
                }
                _ => Vec::new(),
            });
        }
        Ok(changes)
    }

    /// Who logged in by the password that goes has no login any more.
    fn user_back(&self, before: &UserRecord, is_there: bool) -> Result<Vec<Change>, Fault> {
        if !is_there {
            self.has_room_for_user(&before.name)?;
            return Ok(vec![Change::PutUser(before.clone())]);
        }
        if before.role != Role::Admin {
            self.not_the_last_admin(&before.name)?;
        }
        let mut changes = match self.user(&before.name) {
            Some(now) if now.password != before.password => {
                self.set_password(&before.name, before.password.clone(), None)?
            }
            known => known.map(|now| Change::PutUser(now.clone())).into_iter().collect(),
        };
        for change in &mut changes {
            if let Change::PutUser(user) = change {
                user.role = before.role;
            }
        }
        Ok(changes)
    }
}
