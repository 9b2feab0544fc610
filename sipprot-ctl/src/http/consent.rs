//! Who asks for a change that may cut them off, and whether they know it.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::door::Peer;
use crate::api::Consent;

pub(super) struct Consented(pub Consent);

impl<S: Send + Sync> FromRequestParts<S> for Consented {
    type Rejection = Infallible;

    /// What isn't there or makes no sense is no consent. Over TCP the operator is where the connection comes
    /// from; on the socket, and through a proxy of this host, only the caller knows.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name| parts.headers.get(name)?.to_str().ok();
        let confirm = header(Consent::CONFIRM) == Some("true");
        let operator = match parts.extensions.get::<Peer>() {
            Some(Peer::Tcp(address)) => (!address.is_loopback()).then_some(*address),
            _ => header(Consent::OPERATOR).and_then(|text| text.parse::<IpAddr>().ok()),
        };
        Ok(Self(Consent { confirm, operator }))
    }
}
