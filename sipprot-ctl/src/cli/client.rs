//! Talks to the daemon: HTTP on its Unix socket.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::CliError;
use super::change::operator;
use crate::api::{Consent, FaultBody, Who};

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_MAX: usize = 1 << 30;

/// What is as large as a list takes longer.
const PATIENCE_LARGE: Duration = Duration::from_secs(900);
const PIECE: usize = 64 << 10;

pub struct Client {
    socket: PathBuf,
    /// In whose name; the operator's of this terminal otherwise.
    by: Option<String>,
    confirm: bool,
    dry_run: bool,
    /// The last change that was heard of.
    heard: Option<u64>,
    patience: Duration,
}

impl Client {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, by: None, confirm: false, dry_run: false, heard: None, patience: PATIENCE }
    }

    /// Acts for somebody else: on the socket, who is named is believed.
    pub fn acting_for(self, by: String) -> Self {
        Self { by: Some(by), ..self }
    }

    /// Says with every change that the operator knows that it may cut them off.
    pub fn confirming(self, confirm: bool) -> Self {
        Self { confirm, ..self }
    }

    /// Changes nothing: is told what would be.
    pub fn rehearsing(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Waits no longer than this for small answers.
    pub fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Goes on behind this change.
    pub fn resuming(self, heard: Option<u64>) -> Self {
        Self { heard, ..self }
    }

    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.request(Method::GET, path, Bytes::new())
    }

    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.request(Method::DELETE, path, Bytes::new())
    }

    pub fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        self.request(Method::POST, path, json(body)?)
    }

    /// The same for what takes as long as a list is large.
    pub fn get_large<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.request_within(PATIENCE_LARGE, Method::GET, path, Bytes::new())
    }

    pub fn post_large<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        self.request_within(PATIENCE_LARGE, Method::POST, path, json(body)?)
    }

    pub fn patch<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        self.request(Method::PATCH, path, json(body)?)
    }

    /// Sends a file, piece by piece.
    pub fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        file: Box<dyn Read + Send>,
    ) -> Result<T, CliError> {
        let (ok, bytes) = self.run_within(PATIENCE_LARGE, async {
            let response = self.exchange(Method::POST, path, Upload(file)).await?;
            self.collected(response).await
        })?;
        self.read(ok, &bytes)
    }

    /// Writes an answer to `into`, piece by piece.
    pub fn download(&self, path: &str, into: &mut dyn Write) -> Result<(), CliError> {
        self.run_within(PATIENCE_LARGE, async {
            let response = self.exchange(Method::GET, path, Full::new(Bytes::new())).await?;
            if !response.status().is_success() {
                let (ok, bytes) = self.collected(response).await?;
                return self.read(ok, &bytes);
            }
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broken(&error.to_string()))?;
                let Ok(piece) = frame.into_data() else { continue };
                match into.write_all(&piece) {
                    // A reader that goes away early is no failure.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    Err(error) => return Err(CliError::Failed(format!("cannot write: {error}"))),
                    Ok(()) => {}
                }
            }
            Ok(())
        })
    }

    /// An answer that comes bit by bit, without an end in time.
    pub async fn open(&self, path: &str) -> Result<Incoming, CliError> {
        let work = self.exchange(Method::GET, path, Full::new(Bytes::new()));
        let late = |_| self.broken("no answer");
        let response = timeout(self.patience, work).await.map_err(late)??;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let (ok, bytes) = self.collected(response).await?;
        self.read::<serde::de::IgnoredAny>(ok, &bytes)?;
        Err(self.broken("an answer that isn't ours"))
    }

    /// Waits for what is done on its own runtime.
    pub fn run<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::Failed(format!("cannot start: {error}")))?;
        runtime.block_on(work)
    }

    fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, CliError> {
        self.request_within(self.patience, method, path, body)
    }

    fn request_within<T: DeserializeOwned>(
        &self,
        patience: Duration,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, CliError> {
        let (ok, bytes) = self.run_within(patience, async {
            let response = self.exchange(method, path, Full::new(body)).await?;
            self.collected(response).await
        })?;
        self.read(ok, &bytes)
    }

    fn run_within<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        Self::run(async {
            let late = || self.broken(&format!("no answer in {} s", patience.as_secs()));
            timeout(patience, work).await.unwrap_or_else(|_| Err(late()))
        })
    }

    fn read<T: DeserializeOwned>(&self, ok: bool, bytes: &[u8]) -> Result<T, CliError> {
        let unreadable =
            |error: serde_json::Error| self.broken(&format!("an answer that isn't ours: {error}"));
        if ok {
            return serde_json::from_slice(bytes).map_err(unreadable);
        }
        let body: FaultBody = serde_json::from_slice(bytes).map_err(unreadable)?;
        Err(body.error.into())
    }

    async fn collected(&self, response: Response<Incoming>) -> Result<(bool, Bytes), CliError> {
        let ok = response.status().is_success();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        Ok((ok, body.map_err(|error| self.broken(&error.to_string()))?.to_bytes()))
    }

    async fn exchange<B>(
        &self,
        method: Method,
        path: &str,
        body: B,
    ) -> Result<Response<Incoming>, CliError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    CliError::NotRunning(self.socket.clone())
                }
                _ => self.broken(&error.to_string()),
            })?;
        let broken = |error: hyper::Error| self.broken(&error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "sipprot")
            .header(Who::BY, self.by.clone().unwrap_or_else(operator).as_bytes());
        if self.confirm {
            request = request.header(Consent::CONFIRM, "true");
        }
        if self.dry_run {
            request = request.header(Consent::DRY_RUN, "true");
        }
        if let Some(heard) = self.heard {
            request = request.header("last-event-id", heard.to_string());
        }
        if let Some(address) = ssh_client() {
            request = request.header(Consent::OPERATOR, address.to_string());
        }
        let request =
            request.body(Box::pin(body)).map_err(|error| self.broken(&error.to_string()))?;
        sender.send_request(request).await.map_err(broken)
    }

    fn broken(&self, what: &str) -> CliError {
        CliError::Failed(format!("{}: {what}", self.socket.display()))
    }
}

/// A query from names and values, `?` included; absent values are left out.
pub fn query(parts: &[(&str, Option<&str>)]) -> String {
    let mut text = String::new();
    for (name, value) in parts {
        let Some(value) = value else { continue };
        text.push(if text.is_empty() { '?' } else { '&' });
        text += name;
        text.push('=');
        text += &escaped(value);
    }
    text
}

/// The same from what the API takes as one; absent values and `false` are left out.
pub fn query_of(parts: &impl Serialize) -> Result<String, CliError> {
    let value = serde_json::to_value(parts)
        .map_err(|error| CliError::Failed(format!("cannot write a query: {error}")))?;
    let mut text = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::String(value) => text.push((name.as_str(), value.clone())),
            value => text.push((name.as_str(), value.to_string())),
        }
    }
    let parts: Vec<_> = text.iter().map(|(name, value)| (*name, Some(value.as_str()))).collect();
    Ok(query(&parts))
}

fn escaped(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn json(body: &impl Serialize) -> Result<Bytes, CliError> {
    let json = serde_json::to_vec(body)
        .map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
    Ok(json.into())
}

/// From where the operator came to this host.
pub(super) fn ssh_client() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split([' ', '%']).next()?.parse().ok()
}

/// A file as a request's body. Reading blocks, and nothing else is to be done meanwhile.
struct Upload(Box<dyn Read + Send>);

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut piece = vec![0; PIECE];
        Poll::Ready(match self.0.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error)),
        })
    }
}
