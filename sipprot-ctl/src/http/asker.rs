//! Who makes a request, and the way to the daemon in their name.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use super::Rooms;
use crate::api::{Answer, Caller, Command, Consent, Fault, Who};

/// In place of the bare [`Caller`]: no handler can ask for anything in nobody's name.
pub(super) struct Asker {
    caller: Caller,
    /// Nothing is to be done: only said.
    dry_run: bool,
    pub who: Who,
}

impl Asker {
    pub async fn call(&self, command: Command) -> Result<Answer, Fault> {
        let command = match self.dry_run {
            true => Command::Rehearse(Box::new(command)),
            false => command,
        };
        self.caller.call(&self.who, command).await
    }
}

impl FromRequestParts<Rooms> for Asker {
    type Rejection = Fault;

    /// The door has found out who it is. A route without a door has no asker.
    async fn from_request_parts(parts: &mut Parts, rooms: &Rooms) -> Result<Self, Fault> {
        let who = parts.extensions.get::<Who>().cloned().ok_or_else(Fault::internal)?;
        let dry_run = match parts.headers.get(Consent::DRY_RUN).map(|it| it.as_bytes()) {
            None | Some(b"false") => false,
            Some(b"true") => true,
            Some(_) => return Err(Fault::invalid(Consent::DRY_RUN, "expected true or false")),
        };
        Ok(Self { caller: rooms.caller.clone(), dry_run, who })
    }
}

/// What the cookie of a login holds.
#[derive(Clone)]
pub(super) struct Cookie(pub String);

impl OptionalFromRequestParts<Rooms> for Cookie {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &Rooms) -> Result<Option<Self>, Fault> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
