//! The API on its socket, and `/metrics`.
//!
//! Owns axum, paths, bodies and status codes. What a command does it must not know: every handler
//! makes a [`Command`] of its request and hands it to the daemon by its [`Caller`].

mod consent;
mod error;
mod lists;
mod routes;
mod sheets;
mod socket;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use tokio::net::{TcpListener, UnixListener};

pub use socket::SocketError;

use crate::api::{Caller, Command};

/// A request's body is at most this long.
const BODY_MAX: usize = 64 << 10;

/// Binds the API's socket; a stale one is removed, a live one is another daemon's.
pub fn bind_socket(path: &Path) -> Result<UnixListener, SocketError> {
    socket::bind(path)
}

/// Serves the API until `stop` is done. What is too large to be held goes through `spool`, a directory.
pub async fn serve_api(
    listener: UnixListener,
    caller: Caller,
    spool: &Path,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, api(caller, spool)).with_graceful_shutdown(stop).await
}

pub async fn bind_metrics(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves `/metrics` and `/healthz` until `stop` is done.
pub async fn serve_metrics(
    listener: TcpListener,
    caller: Caller,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, metrics(caller)).with_graceful_shutdown(stop).await
}

fn api(caller: Caller, spool: &Path) -> Router {
    let v1 = Router::new()
        .route("/version", get(|caller| routes::plain(caller, Command::Version)))
        .route("/status", get(|caller| routes::plain(caller, Command::Status)))
        .route(
            "/lists/{list}",
            get(lists::entries)
                .post(routes::add_entry)
                .patch(lists::edit_entry)
                .delete(routes::remove_entry),
        )
        .route("/lists/{list}/csv", get(sheets::export))
        .route("/lists/{list}/import", post(sheets::import))
        .route("/lists/{list}/remove", post(sheets::remove))
        .route("/confirm", post(routes::confirm).delete(routes::cancel))
        .route("/blocks", get(lists::blocks).post(lists::block).delete(lists::unblock_all))
        .route("/blocks/{address}", delete(routes::unblock))
        .route("/trust", get(lists::trust))
        .route("/trust/{address}", delete(routes::revoke_trust))
        .route("/peers", get(lists::peers).post(routes::add_peer).delete(routes::remove_peer))
        .route("/blocklists", get(lists::blocklists))
        .route("/check/{address}", get(routes::check))
        .route("/why/{address}", get(routes::why))
        .route("/report", get(lists::report))
        .route(
            "/learn",
            get(|caller| routes::plain(caller, Command::Learn))
                .post(routes::learn)
                .delete(routes::discard_learned),
        )
        .route("/learn/proposal", get(|caller| routes::plain(caller, Command::LearnProposal)))
        .route("/learn/accept", post(routes::accept_learned))
        .route("/learn/stop", post(routes::stop_learning))
        .route("/geo/preview", post(routes::preview_geo))
        .route("/logs/{log}", post(routes::ingest))
        .route("/reload", post(routes::reload))
        .route("/lists/{list}/delete", post(lists::delete))
        .route("/lists/{list}/move", post(lists::move_entries))
        .route("/lists/{list}/aggregate", post(lists::aggregate))
        .route("/blocks/deny", post(lists::deny_blocks))
        .route("/report/csv", get(lists::report_csv))
        .route("/report/abuse/{address}", get(lists::abuse))
        .route("/verify", get(lists::verify).post(lists::repair))
        .layer(Extension(sheets::Spool(spool.into())));
    finish(Router::new().nest("/api/v1", v1), caller)
}

fn metrics(caller: Caller) -> Router {
    let router = Router::new()
        .route("/metrics", get(routes::metrics))
        .route("/healthz", get(routes::healthz));
    finish(router, caller)
}

fn finish(router: Router<Caller>, caller: Caller) -> Router {
    router
        .fallback(routes::no_such_path)
        .method_not_allowed_fallback(routes::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(caller)
}
