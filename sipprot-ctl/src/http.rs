//! The API on its socket and over TCP, and `/metrics`.
//!
//! Owns axum, paths, bodies, status codes, connections and the door: who asks, and whether they may. What a
//! command does it must not know: every handler makes a [`Command`](crate::api::Command) of its request and
//! hands it to the daemon. `table` has a row for each route.

mod asker;
mod consent;
mod credentials;
mod docs;
mod document;
mod door;
mod error;
mod fleet;
mod health;
mod lists;
mod live;
mod notices;
mod pace;
mod people;
mod pieces;
mod routes;
mod serve;
mod service;
mod settings;
mod sheets;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod through;
mod ui;
mod watch;
mod welcome;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_request, map_response};
use axum::routing::get;
use axum::{Extension, Router};
use tokio::net::{TcpListener, UnixListener};

pub use serve::Server;
pub use socket::SocketError;

use crate::access::Access;
use crate::api::{Caller, Who};
use crate::tls::Acceptor;

/// A request's body is at most this long.
const BODY_MAX: usize = 64 << 10;
/// Below it lies every route of the API.
const BASE: &str = "/api/v1";

/// What handlers reach.
#[derive(Clone)]
pub struct Rooms {
    caller: Caller,
    access: Arc<Access>,
    worn: welcome::Worn,
    /// For what is too large to be held: a directory.
    spool: PathBuf,
    /// Over TLS.
    secure: bool,
    document: Bytes,
}

impl Rooms {
    pub fn new(caller: Caller, access: Arc<Access>, spool: PathBuf) -> Self {
        let (worn, document) = (welcome::Worn::default(), Bytes::new());
        Self { caller, access, worn, spool, secure: false, document }
    }
}

/// Binds the API's socket; a stale one is removed, a live one is another daemon's.
pub fn bind_socket(path: &Path) -> Result<UnixListener, SocketError> {
    socket::bind(path)
}

/// Serves the API on its socket until `stop` is done.
pub async fn serve_api(listener: UnixListener, rooms: Rooms, stop: impl Future<Output = ()>) {
    serve::local(listener, api(rooms), stop).await;
}

/// Serves the API over TCP until it is dropped.
pub fn start_server(
    address: SocketAddr,
    tls: Option<Acceptor>,
    rooms: Rooms,
) -> io::Result<Server> {
    let rooms = Rooms { secure: tls.is_some(), ..rooms };
    Server::start(address, tls, api(rooms))
}

pub fn bind_metrics(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(crate::places::listen(address)?)
}

/// Serves `/metrics`, `/healthz`, `/readyz` and the manual until `stop` is done.
pub async fn serve_metrics(listener: TcpListener, rooms: Rooms, stop: impl Future<Output = ()>) {
    serve::open(listener, metrics(rooms), stop).await;
}

fn api(mut rooms: Rooms) -> Router {
    let routes = table::routes();
    rooms.document = document::document(&routes, rooms.secure).to_string().into();
    let v1 = routes.into_iter().fold(Router::new(), |router, route| {
        let guard = from_fn_with_state((rooms.clone(), route.least), door::guard);
        router.route(route.path, route.handler.layer(guard))
    });
    finish(ui::router().merge(docs::router()).merge(health::router()).nest(BASE, v1), rooms)
}

fn metrics(rooms: Rooms) -> Router {
    let router = Router::new()
        .route("/metrics", get(routes::metrics))
        .layer(Extension(Who::daemon()))
        .merge(health::router())
        .merge(docs::router());
    finish(router, rooms)
}

fn finish(router: Router<Rooms>, rooms: Rooms) -> Router {
    router
        .fallback(routes::no_such_path)
        .method_not_allowed_fallback(routes::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(map_request(pace::paced))
        .layer(map_response(door::shielded))
        .with_state(rooms)
}
