//! Who asks for a change, by the request's headers.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::api::Consent;

pub(super) struct Consented(pub Consent);

impl<S: Send + Sync> FromRequestParts<S> for Consented {
    type Rejection = Infallible;

    /// What isn't there or makes no sense is no consent.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name| parts.headers.get(name)?.to_str().ok();
        let confirm = header(Consent::CONFIRM) == Some("true");
        let operator = header(Consent::OPERATOR).and_then(|text| text.parse::<IpAddr>().ok());
        Ok(Self(Consent { confirm, operator }))
    }
}
