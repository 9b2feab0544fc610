//! The door before every route: who comes in, whether they may, and whether it was their own page that
//! sent them.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Rooms;
use super::asker::Cookie;
use super::watch::watched;
use crate::access::{Pass, TOKEN_START, csrf_token};
use crate::api::{Code, Door, Fault, Right, Who};
use crate::message::clean;

/// How a connection came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// On the Unix socket: root or the group; by this name, if it tells no other.
    Trusted(String),
    /// On the Unix socket, and neither.
    Stranger,
    Tcp(IpAddr),
}

/// Who may use a route at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Least {
    /// What is sent proves itself: a password, or the token of a log.
    Anyone,
    Right(Right),
}

impl Least {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Right(right) => right.name(),
        }
    }
}

/// What pages of ours send with all that changes something.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";
const NAME_BYTES: usize = 64;

/// `__Host-` binds it to this host and to TLS; browsers refuse the prefix without TLS.
pub(super) const fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-sipprot" } else { "sipprot" }
}

/// Who came in, and by what; nothing on the socket.
struct Admitted {
    who: Who,
    pass: Option<Pass>,
}

pub(super) async fn guard(
    State((rooms, least)): State<(Rooms, Least)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Admitted { who, pass } = match admit(&rooms, least, &request) {
        Ok(admitted) => admitted,
        Err(fault) if fault.code == Code::Denied => {
            let challenge = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return (StatusCode::UNAUTHORIZED, [challenge], fault.into_response()).into_response();
        }
        Err(fault) => return fault.into_response(),
    };
    if let Some(Pass::Cookie(cookie)) = &pass {
        request.extensions_mut().insert(Cookie(cookie.clone()));
    }
    let from = who.address;
    request.extensions_mut().insert(who);
    let response = next.run(request).await;
    match (pass, from) {
        (Some(pass), Some(from)) => {
            response.map(|body| watched(body, rooms.access.clone(), pass, from))
        }
        _ => response,
    }
}

fn admit(rooms: &Rooms, least: Least, request: &Request) -> Result<Admitted, Fault> {
    let headers = request.headers();
    let admitted = match request.extensions().get::<Peer>() {
        Some(Peer::Trusted(name)) => {
            let told = headers.get(Who::BY).map(|value| clean(value.as_bytes(), NAME_BYTES));
            let who = Who::socket(told.unwrap_or_else(|| name.clone()));
            Admitted { who, pass: None }
        }
        Some(Peer::Tcp(address)) if least == Least::Anyone => {
            of_own_page(headers)?;
            Admitted { who: Who::stranger(*address), pass: None }
        }
        Some(Peer::Tcp(address)) => known(rooms, request.method(), headers, *address)?,
        Some(Peer::Stranger) | None => {
            return Err(Fault::forbidden(
                "only root and members of the group sipprot may ask here",
            ));
        }
    };
    match least {
        Least::Right(least) if admitted.who.right < least => {
            let (name, least) = (&admitted.who.name, least.name());
            Err(Fault::forbidden(format!("{name} may not do this: it takes the right {least:?}")))
        }
        _ => Ok(admitted),
    }
}

/// By a token, or by the cookie of a login.
fn known(
    rooms: &Rooms,
    method: &Method,
    headers: &HeaderMap,
    from: IpAddr,
) -> Result<Admitted, Fault> {
    let (access, now) = (&rooms.access, Timestamp::now());
    let (who, pass, seen) = if let Some(given) = headers.get(header::AUTHORIZATION) {
        let token = given.to_str().ok().and_then(bearer).filter(|it| it.starts_with(TOKEN_START));
        let found = token.and_then(|token| {
            let (who, seen) = access.by_token(token, from, now)?;
            Some((who, Pass::Token(token.to_owned()), seen))
        });
        found.ok_or_else(|| Fault::denied("this token holds no more, or never did"))?
    } else if let Some(cookie) = cookie(headers, cookie_name(rooms.secure)) {
        // Before anything else: what another page sends keeps no login alive.
        of_own_page(headers)?;
        let found = access.by_session(cookie, from, now);
        let (who, seen) = found.ok_or_else(|| Fault::denied("the login has ended"))?;
        if !method.is_safe() && headers.get(CSRF_HEADER).is_none_or(|it| *it != csrf_token(cookie))
        {
            return Err(Fault::forbidden(format!("the header {CSRF_HEADER} is missing or wrong")));
        }
        (who, Pass::Cookie(cookie.to_owned()), seen)
    } else {
        return Err(Fault::denied("log in, or send a token"));
    };
    if !seen.is_empty() {
        let access = access.clone();
        tokio::task::spawn_blocking(move || access.store_seen(&seen));
    }
    Ok(Admitted { who, pass: Some(pass) })
}

pub(super) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|it| it.to_str().ok());
    let mut pairs = all.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Browsers say where a request comes from: `Sec-Fetch-Site`, and older ones `Origin`. Who is no browser says
/// neither.
fn of_own_page(headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name: HeaderName| headers.get(name).map(|it| it.to_str().unwrap_or_default());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let host = text(header::HOST);
    let origin = text(header::ORIGIN)
        .map(|origin| origin.split_once("://").map_or(origin, |(_, authority)| authority));
    let own_site = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    let own_origin = origin.is_none_or(|origin| host == Some(origin));
    if own_site && own_origin {
        return Ok(());
    }
    Err(Fault::forbidden("another site's page may not ask for this"))
}

/// What every answer says to browsers, unless it says something else itself.
pub(super) async fn shielded(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

impl Who {
    /// Somebody of whom nothing is known but the address.
    fn stranger(address: IpAddr) -> Self {
        let name = address.to_string();
        Self { name, door: Door::Open, right: Right::Read, address: Some(address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn another_sites_request_is_told_by_its_headers() {
        fn check(pairs: &[(&'static str, &'static str)], expected: bool) {
            assert_eq!(of_own_page(&headers(pairs)).is_ok(), expected, "{pairs:?}");
        }
        let host = ("host", "192.0.2.1:8060");
        check(&[host], true);
        check(&[host, ("sec-fetch-site", "same-origin")], true);
        check(&[host, ("sec-fetch-site", "none")], true);
        check(&[host, ("sec-fetch-site", "same-site")], false);
        check(&[host, ("sec-fetch-site", "cross-site")], false);
        check(&[host, ("origin", "https://192.0.2.1:8060")], true);
        check(&[host, ("origin", "https://192.0.2.1:8061")], false);
        check(&[host, ("origin", "https://attacker.example")], false);
        check(&[host, ("origin", "null")], false);
        check(&[("origin", "null")], false);
        check(
            &[host, ("origin", "https://192.0.2.1:8060"), ("sec-fetch-site", "cross-site")],
            false,
        );
    }

    #[test]
    fn one_cookie_among_others() {
        let all = headers(&[("cookie", "a=b; sipprot=secret; sipprot2=c")]);
        assert_eq!(cookie(&all, "sipprot"), Some("secret"));
        assert_eq!(cookie(&all, "sip"), None);
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
    }
}
