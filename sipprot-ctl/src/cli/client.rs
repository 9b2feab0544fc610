//! Talks to the daemon: HTTP on its Unix socket.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::CliError;
use crate::api::FaultBody;

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_MAX: usize = 1 << 30;

pub struct Client {
    socket: PathBuf,
}

impl Client {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
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
        let json = serde_json::to_vec(body)
            .map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
        self.request(Method::POST, path, json.into())
    }

    fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::Failed(format!("cannot start: {error}")))?;
        let (ok, bytes) = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.exchange(method, path, body))
                .await
                .unwrap_or_else(|_| Err(self.broken("no answer in a minute")))
        })?;
        let unreadable =
            |error: serde_json::Error| self.broken(&format!("an answer that isn't ours: {error}"));
        if ok {
            return serde_json::from_slice(&bytes).map_err(unreadable);
        }
        let body: FaultBody = serde_json::from_slice(&bytes).map_err(unreadable)?;
        Err(body.error.into())
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(bool, Bytes), CliError> {
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
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "sipprot")
            .body(Full::new(body))
            .map_err(|error| self.broken(&error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let ok = response.status().is_success();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        Ok((ok, body.map_err(|error| self.broken(&error.to_string()))?.to_bytes()))
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
