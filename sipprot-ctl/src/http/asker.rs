//! Who makes a request, and the way to the daemon in their name.

use std::convert::Infallible;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use crate::api::{Answer, Caller, Command, Fault, Who};
use crate::message::clean;

/// In place of the bare [`Caller`]: no handler can ask for anything in nobody's name.
pub(super) struct Asker {
    caller: Caller,
    pub who: Who,
}

impl Asker {
    pub async fn call(&self, command: Command) -> Result<Answer, Fault> {
        self.caller.call(&self.who, command).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asker
where
    Caller: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let named = parts.headers.get(Who::BY).map(|value| clean(value.as_bytes(), 64));
        let name = named.unwrap_or_else(|| "root".to_owned());
        Ok(Self { caller: Caller::from_ref(state), who: Who::socket(name) })
    }
}
