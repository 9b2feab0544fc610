//! A request within a request: whatever a proxy in front of us might take for one body, no second request is carried
//! out that it didn't see.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sipprot_tests::outpost::Outpost;

use super::{API, address, answers, outpost, token, wire};

const QUIET: Duration = Duration::from_millis(400);

/// Framing as it shouldn't be: head lines behind the first, and what follows the empty line, before the hidden request.
/// `None` is where a length of all that follows belongs.
struct Row {
    name: &'static str,
    head: &'static str,
    body: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        name: "both framings",
        head: "Content-Length: {all}\r\nTransfer-Encoding: chunked\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "both, the other way round",
        head: "Transfer-Encoding: chunked\r\nContent-Length: {all}\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "both, the length is short",
        head: "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        body: "0\r\n\r\n",
    },
    Row { name: "two lengths", head: "Content-Length: 0\r\nContent-Length: {all}\r\n", body: "" },
    Row {
        name: "two lengths, the other way round",
        head: "Content-Length: {all}\r\nContent-Length: 0\r\n",
        body: "",
    },
    Row { name: "two lengths in one line", head: "Content-Length: 0, {all}\r\n", body: "" },
    Row { name: "a length with a sign", head: "Content-Length: +0\r\n", body: "" },
    Row { name: "a negative length", head: "Content-Length: -1\r\n", body: "" },
    Row { name: "a length in hex", head: "Content-Length: 0x0\r\n", body: "" },
    Row {
        name: "a length beyond 64 bits",
        head: "Content-Length: 18446744073709551616\r\n",
        body: "",
    },
    Row {
        name: "a folded line",
        head: "X: a\r\n Content-Length: {all}\r\nContent-Length: 0\r\n",
        body: "",
    },
    Row {
        name: "a folded framing",
        head: "Content-Length: {all}\r\nTransfer-Encoding:\r\n chunked\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "a blank before the colon",
        head: "Content-Length: {all}\r\nTransfer-Encoding : chunked\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "chunked, and something else",
        head: "Transfer-Encoding: chunked, identity\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "something that is nearly chunked",
        head: "Content-Length: {all}\r\nTransfer-Encoding: xchunked\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "chunked in two lines",
        head: "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: {all}\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "a vertical tab before chunked",
        head: "Content-Length: {all}\r\nTransfer-Encoding: \x0bchunked\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "a line feed alone hides a framing",
        head: "X: a\nTransfer-Encoding: chunked\r\nContent-Length: {all}\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "a line feed alone in a chunk's end",
        head: "Transfer-Encoding: chunked\r\nContent-Length: {all}\r\n",
        body: "0\n\n",
    },
    Row {
        name: "a line feed alone in a chunk's extension",
        head: "Transfer-Encoding: chunked\r\n",
        body: "2;a\nxx\r\n0\r\n\r\n",
    },
    Row {
        name: "a long chunk extension",
        head: "Transfer-Encoding: chunked\r\n",
        body: "0;{long}\r\n\r\n",
    },
    Row {
        name: "a chunk beyond 64 bits",
        head: "Transfer-Encoding: chunked\r\n",
        body: "10000000000000000\r\n\r\n0\r\n\r\n",
    },
    Row {
        name: "a chunk of a negative size",
        head: "Transfer-Encoding: chunked\r\n",
        body: "-1\r\n\r\n0\r\n\r\n",
    },
    Row {
        name: "a chunk size in other digits",
        head: "Transfer-Encoding: chunked\r\n",
        body: "0x0\r\n\r\n",
    },
    Row {
        name: "a carriage return alone",
        head: "X: a\rTransfer-Encoding: chunked\r\nContent-Length: {all}\r\n",
        body: "0\r\n\r\n",
    },
    Row {
        name: "a NUL in a name",
        head: "Content-Length: {all}\r\nTransfer-\0Encoding: chunked\r\n",
        body: "0\r\n\r\n",
    },
];

fn hidden(token: &str, network: &str) -> String {
    let body = format!("{{\"network\":\"{network}\",\"note\":\"smuggled\"}}");
    format!(
        "POST /api/v1/lists/deny HTTP/1.1\r\nHost: sipprot\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The first request is a login that fails, as a stranger may send it, with the hidden one behind it.
fn whole(head: &str, body: &str, hidden: &str) -> Vec<u8> {
    let body = body.replace("{long}", &"x".repeat(20_000));
    let all = (body.len() + hidden.len()).to_string();
    let head = head.replace("{all}", &all);
    format!("POST /api/v1/session HTTP/1.1\r\nHost: sipprot\r\n{head}\r\n{body}{hidden}")
        .into_bytes()
}

fn denied(outpost: &Outpost) -> Result<String> {
    Ok(outpost.daemon.json(&["list", "deny"])?["entries"].to_string())
}

#[test]
fn no_request_is_hidden_in_another_one() -> Result<()> {
    let Some(outpost) = outpost(&[])? else { return Ok(()) };
    let token = token(&outpost.daemon, "lists")?;
    let to = address(API)?;
    // The control: what is framed as it should be is carried out, one after another.
    let both = whole("Content-Length: 0\r\n", "", &hidden(&token, "203.0.113.1"));
    let heard = wire::say(&mut wire::connect(&outpost.host, to)?, &both, QUIET)?;
    ensure!(heard.statuses().len() == 2 && heard.statuses()[1] == 200, "{heard:?}");
    ensure!(denied(&outpost)?.contains("203.0.113.1"), "the control isn't carried out");
    for (number, Row { name, head, body }) in (0..).zip(ROWS) {
        let network = format!("198.51.100.{number}");
        let bytes = whole(head, body, &hidden(&token, &network));
        let heard = wire::say(&mut wire::connect(&outpost.host, to)?, &bytes, QUIET)?;
        println!("{name}: {:?}{}", heard.statuses(), if heard.closed { ", closed" } else { "" });
        ensure!(heard.statuses().len() <= 1, "{name}: {heard:?}");
        ensure!(!denied(&outpost)?.contains(&network), "{name}: it was carried out");
    }
    answers(&outpost, &token).context("afterwards")
}
