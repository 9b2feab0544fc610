//! Connections: taken in, kept within bounds, and ended.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::error;

use super::credentials;
use super::door::Peer;
use super::pace::Patient;
use crate::places::{Places, listen};
use crate::tls::Acceptor;

const CONNECTIONS_MAX: usize = 256;
const CONNECTIONS_EACH_MAX: usize = 64;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For a request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;
/// After which accepting is tried again, for want of file descriptors.
const RETRY: Duration = Duration::from_millis(100);

/// On the Unix socket, until `stop` is done.
pub(super) async fn local(listener: UnixListener, router: Router, stop: impl Future<Output = ()>) {
    let (ending, ended) = watch::channel(false);
    let mut served = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_) = served.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let router = router.clone().layer(Extension(credentials::peer(&stream)));
                served.spawn(serve(stream, router, ended.clone()));
            }
            Err(_) => sleep(RETRY).await,
        }
    }
    drop(listener);
    let _ = ending.send(true);
    while served.join_next().await.is_some() {}
}

/// The API over TCP, on a thread of its own: handshakes and passwords are nothing that the judgement should
/// wait for. Dropping it ends it.
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        address: SocketAddr,
        tls: Option<Acceptor>,
        router: Router,
    ) -> io::Result<Self> {
        let listener = listen(address)?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(8)
            .build()?;
        let thread = std::thread::Builder::new().name("api".to_owned()).spawn(move || {
            let known = |from| router.clone().layer(Extension(Peer::Tcp(from)));
            let served = runtime.block_on(async {
                remote(TcpListener::from_std(listener)?, tls, known, stopped).await;
                io::Result::Ok(())
            });
            if let Err(error) = served {
                error!("the API over TCP ended: {error}");
            }
            runtime.shutdown_background();
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    /// Waits for the listener to be gone: the next one may want its address.
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The same for everybody who can connect, until `stop` is done.
pub(super) async fn open(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let (_ending, ended) = watch::channel(false);
    tokio::select! {
        () = stop => {}
        () = remote(listener, None, |_| router.clone(), ended) => {}
    }
}

async fn remote(
    listener: TcpListener,
    tls: Option<Acceptor>,
    router: impl Fn(IpAddr) -> Router,
    stopped: watch::Receiver<bool>,
) {
    let places = Places::new(CONNECTIONS_MAX, CONNECTIONS_EACH_MAX);
    let mut served = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = until(stopped.clone()) => return,
            accepted = listener.accept() => accepted,
            Some(_) = served.join_next() => continue,
        };
        let Ok((stream, from)) = accepted else {
            sleep(RETRY).await;
            continue;
        };
        let Some(place) = places.take(from.ip()) else { continue };
        let router = router(from.ip().to_canonical());
        let (tls, ended) = (tls.clone(), stopped.clone());
        served.spawn(async move {
            match tls {
                None => serve(Patient::new(stream), router, ended).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                        serve(Patient::new(stream), router, ended).await;
                    }
                }
            }
            drop(place);
        });
    }
}

async fn serve<S>(stream: S, router: Router, ended: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = until(ended) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn until(mut ended: watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}
