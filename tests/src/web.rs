//! HTTP as a program speaks it: one request for each connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::namespace::Namespace;

const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked, without where.
#[derive(Clone, Debug, Default)]
pub struct Question<'a> {
    pub method: &'a str,
    pub path: String,
    pub headers: Vec<(&'a str, String)>,
    pub body: &'a str,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Question<'_> {
    /// As it goes over the wire.
    pub fn text(&self, host: &str) -> String {
        let Self { method, path, headers, body } = self;
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n" + body
    }

    /// Asks from inside a namespace. Of a stream of events only the head is read.
    pub fn ask(&self, from: &Namespace, to: SocketAddr) -> Result<Answer> {
        from.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, PATIENCE).context("connect")?;
            stream.set_read_timeout(Some(PATIENCE)).context("set a time-out")?;
            stream.write_all(self.text(&to.to_string()).as_bytes()).context("ask")?;
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let read = reader.read_line(&mut head).context("read the answer's head")?;
                anyhow::ensure!(read > 0, "an answer without an end: {head:?}");
            }
            let mut answer = Answer::of(&head)?;
            if answer.header("content-type").is_none_or(|it| !it.starts_with("text/event-stream")) {
                reader.read_to_string(&mut answer.body).context("read the answer")?;
            }
            Ok(answer)
        })
    }
}

impl Answer {
    /// From its head and, if there, its body.
    pub fn of(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("a head without an end")?;
        let status = head.split(' ').nth(1).context("no status")?.parse().context("a status")?;
        Ok(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    /// Chunks need no joining: answers of JSON have a length.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("read {}", self.body))
    }
}
