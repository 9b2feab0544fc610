//! Who asks for a change that may cut them off, and whether they know it.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::door::Peer;
use crate::api::{Consent, Fault};

pub(super) struct Consented(pub Consent);

impl<S: Send + Sync> FromRequestParts<S> for Consented {
    type Rejection = Fault;

    /// Over TCP the operator is where the connection comes
    /// from; on the socket, and through a proxy of this host, only the caller knows.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let header = |name| parts.headers.get(name)?.to_str().ok();
        let confirm = match parts.headers.get(Consent::CONFIRM).map(|it| it.as_bytes()) {
            None | Some(b"false") => false,
            Some(b"true") => true,
            Some(_) => return Err(Fault::invalid(Consent::CONFIRM, "expected true or false")),
        };
        let operator = match parts.extensions.get::<Peer>() {
            Some(Peer::Tcp(address)) => (!address.is_loopback()).then_some(*address),
            _ => header(Consent::OPERATOR).and_then(|text| text.parse::<IpAddr>().ok()),
        };
        Ok(Self(Consent { confirm, operator }))
    }
}
