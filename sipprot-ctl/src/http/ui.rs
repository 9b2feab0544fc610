//! The dashboard's files, as the build has embedded them: they hold nothing of the host's, so that there is
//! no door before them. What they show comes from the API.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Read;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::{Rooms, routes};

/// Paths in `ui/dist` with their bytes, packed by gzip; none of them without Node.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/ui.rs"));
const INDEX: &str = "index.html";

/// Nothing inline, nothing from elsewhere; only Svelte makes elements from text, and only of its own templates.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types svelte-trusted-html";
/// Assets have their content's hash in their names.
const FOREVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

const ABSENT: &str = "<!doctype html><html lang=\"en\"><title>SIPprot</title><h1>SIPprot</h1>\
     <p>This build has no dashboard. <code>cargo xtask build</code> makes one with it where Node is installed; \
     releases have it. The API is at <code>/api/v1</code>, and the command line does all that the dashboard does.";

pub(super) fn router() -> Router<Rooms> {
    Router::new().route("/", get(index)).route("/assets/{file}", get(asset))
}

fn packed(path: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}

async fn index(headers: HeaderMap) -> Response {
    static TAG: LazyLock<String> = LazyLock::new(|| tag(packed(INDEX).unwrap_or_default()));
    let Some(bytes) = packed(INDEX) else {
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        return ([(header::CONTENT_TYPE, kind)], ABSENT).into_response();
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = match known.is_some_and(|known| names(known, &TAG)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => file(INDEX, bytes, ASK_AGAIN, &headers),
    };
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(ASK_AGAIN));
    response
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("assets/{name}");
    match packed(&path) {
        Some(bytes) => file(&path, bytes, FOREVER, &headers),
        None => routes::no_such_path().await.into_response(),
    }
}

pub(super) fn file(
    path: &str,
    packed: &'static [u8],
    caching: &'static str,
    headers: &HeaderMap,
) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let takes_gzip = accepted.is_some_and(takes_gzip);
    let body = if takes_gzip { Cow::Borrowed(packed) } else { Cow::Owned(unpacked(packed)) };
    let mut response = body.into_response();
    let mut say =
        |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    say(header::CONTENT_TYPE, media_type(path));
    say(header::CACHE_CONTROL, caching);
    say(header::CONTENT_SECURITY_POLICY, POLICY);
    say(header::VARY, "accept-encoding");
    if takes_gzip {
        say(header::CONTENT_ENCODING, "gzip");
    }
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// It is named, and not with a weight of nothing (RFC 9110 12.5.3).
fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        is_gzip && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// Is the tag among those of an `If-None-Match`, weak or strong?
fn names(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|it| it == "*" || it.trim_start_matches("W/") == tag)
}

fn tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex = digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!("\"{hex}\"")
}

pub(super) fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Our own build has packed them: they can be read.
    let _ = GzDecoder::new(packed).read_to_end(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        fn check(accepted: &str, expected: bool) {
            assert_eq!(takes_gzip(accepted), expected, "{accepted}");
        }
        check("gzip, deflate, br", true);
        check("br;q=1.0, GZIP;q=0.5", true);
        check("gzip;q=0", false);
        check("deflate", false);
        check("", false);
    }

    #[test]
    fn a_known_index_is_not_sent_again() {
        let tag = tag(b"index");
        assert!(names(&format!("\"other\", W/{tag}"), &tag));
        assert!(names("*", &tag));
        assert!(!names("\"other\"", &tag));
    }

    /// The whole dashboard, as it goes over the wire.
    #[test]
    fn all_files_together_are_small() {
        let bytes: usize = FILES.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes <= 150 << 10, "{bytes} bytes");
        assert!(FILES.is_empty() || packed(INDEX).is_some(), "no index");
    }
}
