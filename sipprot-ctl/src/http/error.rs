//! Faults as responses, and extractors whose refusals are faults.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::api::{Code, Fault, FaultBody};

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = match self.code {
            Code::Invalid => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Refused | Code::Conflict => StatusCode::CONFLICT,
            Code::Denied => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Code::Full => StatusCode::INSUFFICIENT_STORAGE,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        with_status(status, self)
    }
}

pub(super) fn with_status(status: StatusCode, fault: Fault) -> Response {
    (status, axum::Json(FaultBody { error: fault })).into_response()
}

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let bytes = Bytes::from_request(request, state).await.map_err(|refusal| {
            with_status(refusal.status(), Fault::invalid("body", refusal.body_text()))
        })?;
        read(&bytes).map(Body).map_err(IntoResponse::into_response)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    // Every body is an object. serde would also take an array for one, field by field in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Fault::invalid("body", "invalid type: array, expected an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        // What isn't JSON is wrong as a whole.
        let path = Some(error.path().to_string()).filter(|_| error.inner().is_data());
        faulty_body(path.filter(|path| path != "."), error.inner())
    })?;
    json.end().map_err(|error| faulty_body(None, &error))?;
    Ok(value)
}

fn faulty_body(path: Option<String>, error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    let named = ["unknown field `", "missing field `"].iter().find_map(|start| {
        let (name, _) = message.strip_prefix(start)?.split_once('`')?;
        Some(name.to_owned())
    });
    Fault::invalid(&named.or(path).unwrap_or_else(|| "body".to_owned()), message)
}

/// The part of the URI behind the question mark.
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Params(query)),
            Err(refusal) => Err(Fault::invalid("query", refusal.body_text())),
        }
    }
}
