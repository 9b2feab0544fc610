//! Those who ask: logged in by a cookie, with a token, or not at all.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    daemon::Daemon,
    namespace::Namespace,
    web::{Answer, Question},
};

use super::API;

pub const PASSWORD: &str = "correct horse battery";

/// The headers that say who asks.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub headers: Vec<(&'static str, String)>,
}

impl Credentials {
    /// Of the answer to a login.
    pub fn of_cookie(answer: &Answer) -> Result<Self> {
        let set = answer.header("set-cookie").context("no cookie")?;
        let cookie = set.split(';').next().context("an empty cookie")?;
        let csrf = answer.json()?["csrf_token"].as_str().context("no CSRF token")?.to_owned();
        Ok(Self { headers: vec![("Cookie", cookie.to_owned()), ("X-CSRF-Token", csrf)] })
    }

    pub fn of_token(token: &str) -> Self {
        Self { headers: vec![("Authorization", format!("Bearer {token}"))] }
    }

    pub fn without(&self, header: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| *name != header);
        Self { headers }
    }

    pub fn with(&self, header: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.push((header, value.to_owned()));
        Self { headers }
    }

    pub fn get<'a>(&self, path: &str) -> Question<'a> {
        self.asks("GET", path, "")
    }

    pub fn post<'a>(&self, path: &str, body: &'a str) -> Question<'a> {
        self.asks("POST", path, body)
    }

    pub fn asks<'a>(&self, method: &'a str, path: &str, body: &'a str) -> Question<'a> {
        Question { method, path: format!("/api/v1{path}"), headers: self.headers.clone(), body }
    }
}

pub fn add_user(daemon: &Daemon, name: &str, role: &str) -> Result<()> {
    daemon.add_user(name, role, PASSWORD)
}

pub fn add_token(daemon: &Daemon, name: &str, scope: &str, more: &[&str]) -> Result<Credentials> {
    let made: Value = daemon.json(&[&["token", "add", name, "--scope", scope], more].concat())?;
    Ok(Credentials::of_token(made["token"].as_str().context("no token")?))
}

pub fn log_in_with(host: &Namespace, name: &str, password: &str) -> Result<Answer> {
    let body = format!("{{\"name\":\"{name}\",\"password\":\"{password}\"}}");
    Credentials::default().post("/session", &body).ask(host, API.parse()?)
}

pub fn log_in(host: &Namespace, name: &str) -> Result<Credentials> {
    let answer = log_in_with(host, name, PASSWORD)?;
    ensure!(answer.status == 200, "{answer:?}");
    Credentials::of_cookie(&answer)
}
