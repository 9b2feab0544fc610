//! The manual, at /docs: pages that the build has embedded, and those that the program writes by itself. No door
//! is before it: it says nothing of this host.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::{Rooms, routes, ui};
use crate::manual;

/// Paths in the manual's directory with their bytes, packed by gzip; none of them in a plain `cargo build`.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/docs.rs"));
const TEMPLATE: &str = "page.html";
/// No script at all.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";
const ASK_AGAIN: &str = "no-cache";

const PLAIN: &str = "<!doctype html><html lang=\"en\"><title>{title}</title>\n<p>This build has only the parts of the \
     manual that the program writes by itself: <a href=\"settings.html\">settings</a>, \
     <a href=\"commands.html\">commands</a>, <a href=\"metrics.html\">metrics</a>, \
     <a href=\"reasons.html\">reasons</a>.</p>\n{body}";

pub(super) fn router() -> Router<Rooms> {
    Router::new()
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(index))
        .route("/docs/{file}", get(page))
}

fn packed(path: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}

async fn index(headers: HeaderMap) -> Response {
    match packed("index.html") {
        Some(bytes) => shielded(ui::file("index.html", bytes, ASK_AGAIN, &headers)),
        None => written("SIPprot", ""),
    }
}

async fn page(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if let Some((title, body)) = name.strip_suffix(".html").and_then(manual::page) {
        return written(title, &body);
    }
    match packed(&name).filter(|_| name != TEMPLATE) {
        Some(bytes) => shielded(ui::file(&name, bytes, ASK_AGAIN, &headers)),
        None => routes::no_such_path().await.into_response(),
    }
}

fn written(title: &str, body: &str) -> Response {
    let template = packed(TEMPLATE).map(ui::unpacked);
    let template = template.as_deref().and_then(|it| std::str::from_utf8(it).ok());
    let page = template.unwrap_or(PLAIN).replace("{title}", title).replace("{body}", body);
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    shielded(([(header::CONTENT_TYPE, kind)], page).into_response())
}

fn shielded(mut response: Response) -> Response {
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
