//! Logins, users and tokens; and what comes in by a token of its own.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Rooms;
use super::asker::{Asker, Cookie};
use super::door::{bearer, cookie_name};
use super::error::{Body, Params, with_status};
use super::routes::{By, Called, answer};
use crate::access::Refusal;
use crate::api::{
    AuditNote, Code, Command, Done, Door, EditUser, Fault, LogIn, NewPassword, NewToken, NewUser,
    Noted,
};

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Wrong => Fault::denied("name or password is wrong").into_response(),
            Self::Wait(time) => {
                let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
                let fault = Fault::new(Code::TooMany, format!("wait {seconds} s, then try again"));
                let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, fault);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            Self::Fault(fault) => fault.into_response(),
        }
    }
}

/// What waits for a disk or a hash, on a thread where that is no harm.
async fn aside<T: Send + 'static, E: Send + 'static + From<Fault>>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Fault::internal().into()))
}

pub(super) async fn log_in(
    State(rooms): State<Rooms>,
    asker: Asker,
    Body(login): Body<LogIn>,
) -> Result<Response, Refusal> {
    let Some(from) = asker.who.address else {
        return Err(Fault::invalid("session", "the socket needs no login").into());
    };
    let (access, now) = (rooms.access.clone(), Timestamp::now());
    let name = login.name.clone();
    let cookie = aside(move || access.log_in(&login, from, now)).await;
    let what = if cookie.is_ok() { Noted::Login } else { Noted::FailedLogin };
    note(&asker, what, name).await;
    let cookie = cookie?;
    let (who, _) = rooms.access.by_session(&cookie, from, now).ok_or_else(Fault::internal)?;
    let view = rooms.access.session_view(&who, Some(&cookie));
    let set = set_cookie(rooms.secure, &cookie, None)?;
    Ok(([(header::SET_COOKIE, set)], axum::Json(view)).into_response())
}

/// Into the audit log. What is answered doesn't hang on it.
async fn note(asker: &Asker, what: Noted, who: String) {
    let _ = asker.call(Command::Note(AuditNote { what, who, target: String::new() })).await;
}

pub(super) async fn session(
    State(rooms): State<Rooms>,
    asker: Asker,
    cookie: Option<Cookie>,
) -> Called {
    let cookie = cookie.as_ref().map(|Cookie(it)| it.as_str());
    Ok(axum::Json(rooms.access.session_view(&asker.who, cookie)).into_response())
}

pub(super) async fn log_out(
    State(rooms): State<Rooms>,
    asker: Asker,
    cookie: Option<Cookie>,
) -> Called {
    let Some(Cookie(cookie)) = cookie else {
        return Err(Fault::invalid("session", "there is no login to end: revoke the token"));
    };
    let access = rooms.access.clone();
    aside(move || access.log_out(&cookie)).await?;
    note(&asker, Noted::Logout, asker.who.name.clone()).await;
    let set = set_cookie(rooms.secure, "", Some(0))?;
    let done = Done::new(format!("{} is logged out", asker.who.name));
    Ok(([(header::SET_COOKIE, set)], axum::Json(done)).into_response())
}

/// It ends with the browser at the latest; the daemon ends it by its own times.
fn set_cookie(secure: bool, value: &str, age: Option<u32>) -> Result<HeaderValue, Fault> {
    let name = cookie_name(secure);
    let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict");
    if secure {
        text += "; Secure";
    }
    if let Some(age) = age {
        text += &format!("; Max-Age={age}");
    }
    HeaderValue::try_from(text).map_err(|_| Fault::internal())
}

pub(super) async fn change_password(
    State(rooms): State<Rooms>,
    asker: Asker,
    cookie: Option<Cookie>,
    Body(new): Body<NewPassword>,
) -> Result<Response, Refusal> {
    let (Door::Login, Some(Cookie(cookie))) = (asker.who.door, cookie) else {
        return Err(Fault::forbidden("only who is logged in has a password").into());
    };
    let (access, who) = (rooms.access.clone(), asker.who.clone());
    let message = format!("{} has another password, and no other login", who.name);
    aside(move || access.change_password(&who, &new, &cookie, Timestamp::now())).await?;
    note(&asker, Noted::Password, asker.who.name.clone()).await;
    Ok(axum::Json(Done::new(message)).into_response())
}

pub(super) async fn add_user(asker: Asker, Body(new): Body<NewUser>) -> Called {
    answer(&asker, Command::AddUser(new)).await
}

pub(super) async fn edit_user(
    asker: Asker,
    Path(name): Path<String>,
    Body(edit): Body<EditUser>,
) -> Called {
    answer(&asker, Command::EditUser { name, edit }).await
}

pub(super) async fn remove_user(
    asker: Asker,
    Path(name): Path<String>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&asker, Command::RemoveUser { name, by }).await
}

pub(super) async fn add_token(asker: Asker, Body(new): Body<NewToken>) -> Called {
    answer(&asker, Command::AddToken(new)).await
}

pub(super) async fn revoke_token(
    asker: Asker,
    Path(name): Path<String>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&asker, Command::RevokeToken { name, by }).await
}

/// Lines of a log as they are, and the endpoint's token as `Authorization: Bearer`. It lets nobody in, so
/// that whoever sends wrong ones over TCP has to wait: the daemon is not asked about each.
pub(super) async fn ingest(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(log): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (access, now) = (&rooms.access, Timestamp::now());
    let from = asker.who.address;
    from.map_or(Ok(()), |from| access.may_send(from, now))?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(bearer).unwrap_or_default().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let answered = answer(&asker, Command::Ingest { log, token, text }).await;
    if let (Err(Fault { code: Code::Denied, .. }), Some(from)) = (&answered, from) {
        access.sent_wrong(from, now);
    }
    Ok(answered?)
}

pub(super) async fn openapi(State(rooms): State<Rooms>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], rooms.document).into_response()
}
