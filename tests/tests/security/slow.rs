//! Slow clients: of a handshake, of a head, of a body, of what they take. Each is given up in its time, and nobody
//! waits for them meanwhile.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::outpost::Outpost;

use super::{API, HOST, METRICS, address, answers, ask, outpost, token, wire};

const EVERY: Duration = Duration::from_millis(500);
/// Longer than any of the limits below.
const SOON: Duration = Duration::from_secs(20);
/// On a machine that has other things to do.
const AT_ONCE: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(90);

/// Who is slow, in what they say first and what they go on to say.
struct Slow {
    name: &'static str,
    first: Vec<u8>,
    drop: &'static [u8],
}

fn slow(name: &'static str, first: impl Into<Vec<u8>>, drop: &'static [u8]) -> Slow {
    Slow { name, first: first.into(), drop }
}

/// All at once; how long each was waited for.
fn all_are_given_up(
    outpost: &Outpost,
    listener: &str,
    slow: &[Slow],
    limit: Duration,
) -> Result<()> {
    let to = address(listener)?;
    let mut streams = Vec::new();
    for Slow { name, first, .. } in slow {
        let mut stream = wire::connect(&outpost.host, to)?;
        stream.write_all(first).with_context(|| format!("{name} begins"))?;
        streams.push(stream);
    }
    std::thread::scope(|scope| {
        let waiting: Vec<_> = slow
            .iter()
            .zip(&mut streams)
            .map(|(it, stream)| (it, scope.spawn(|| wire::drip(stream, it.drop, EVERY, limit))))
            .collect();
        for (Slow { name, .. }, thread) in waiting {
            let after = thread.join().map_err(|_| anyhow::anyhow!("{name} panicked"))?;
            println!("{listener}: {name}: {after:?}");
            ensure!(after.is_some(), "{listener}: {name} is waited for still");
        }
        Ok(())
    })
}

fn heads() -> Vec<Slow> {
    let begun = "GET /api/v1/version HTTP/1.1\r\nHost: a\r\n";
    vec![
        slow("says nothing", "", b""),
        slow("says a byte at a time", "G", b"E"),
        slow("says a line at a time", begun, b"X: a\r\n"),
        slow("says blank lines", "", b"\r\n"),
        slow("says one request and half of the next", format!("{begun}\r\n{begun}"), b"X: a\r\n"),
    ]
}

#[test]
fn slow_heads_are_given_up_and_nobody_waits() -> Result<()> {
    let remote = format!("{HOST}:8443");
    let over_tls = format!("api.listen = \"{remote}\"");
    // Side by side: each takes as long as the limit.
    std::thread::scope(|scope| {
        let trials = [
            scope.spawn(|| heads_are_given_up(&[], &[API, METRICS])),
            scope.spawn(|| heads_are_given_up(&[&over_tls], &[&remote])),
        ];
        trials
            .map(|it| it.join().map_err(|_| anyhow::anyhow!("a trial panicked")))
            .into_iter()
            .try_for_each(|it| it?)
    })
}

fn heads_are_given_up(lines: &[&str], listeners: &[&str]) -> Result<()> {
    let Some(outpost) = outpost(lines)? else { return Ok(()) };
    let token = token(&outpost.daemon, "read")?;
    std::thread::scope(|scope| -> Result<()> {
        let trials: Vec<_> = listeners
            .iter()
            .map(|it| scope.spawn(|| all_are_given_up(&outpost, it, &heads(), SOON)))
            .collect();
        // Meanwhile others are answered at once.
        while trials.iter().any(|it| !it.is_finished()) {
            let asked = Instant::now();
            if listeners.contains(&API) {
                answers(&outpost, &token)?;
            }
            outpost.daemon.metrics()?;
            ensure!(asked.elapsed() < AT_ONCE, "they make others wait");
            std::thread::sleep(EVERY);
        }
        trials
            .into_iter()
            .map(|it| it.join().map_err(|_| anyhow::anyhow!("a trial panicked")))
            .try_for_each(|it| it?)
    })
}

#[test]
fn slow_bodies_and_slow_readers_are_given_up() -> Result<()> {
    if std::env::var_os("SIPPROT_TEST_FULL").is_none() {
        println!("the short form only: SIPPROT_TEST_FULL=1 waits until they are given up");
        return Ok(());
    }
    let Some(outpost) = outpost(&[])? else { return Ok(()) };
    let token = token(&outpost.daemon, "lists")?;
    let head = |more: &str| {
        format!(
            "POST /api/v1/lists/deny HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        )
    };
    let bodies = [
        slow("a body that doesn't come", head("Content-Length: 1000\r\n"), b""),
        slow("a body byte by byte", head("Content-Length: 60000\r\n"), b" "),
        slow("a chunk byte by byte", head("Transfer-Encoding: chunked\r\n"), b"1\r\n \r\n"),
        slow("a chunk's size without an end", head("Transfer-Encoding: chunked\r\n"), b"0"),
    ];
    all_are_given_up(&outpost, API, &bodies, LATER)?;
    takes_nothing(&outpost, &token)?;
    answers(&outpost, &token)
}

/// Asks for a lot, and takes none of it.
fn takes_nothing(outpost: &Outpost, token: &str) -> Result<()> {
    let question = format!(
        "GET /api/v1/openapi.json HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let bytes = ask(outpost, token, "GET", "/openapi.json")?.body.len();
    let mut stream = wire::connect(&outpost.host, address(API)?)?;
    let start = Instant::now();
    while start.elapsed() < LATER {
        if is_given_up(&mut stream, &question) {
            println!("who takes nothing, of {bytes} bytes each: {:?}", start.elapsed());
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
    anyhow::bail!("who takes nothing is waited for still")
}

/// Asks again; an error once the other side has closed.
fn is_given_up(stream: &mut TcpStream, question: &str) -> bool {
    let many = question.repeat(50);
    stream.set_nonblocking(true).is_err()
        || stream
            .write_all(many.as_bytes())
            .is_err_and(|it| it.kind() != std::io::ErrorKind::WouldBlock)
}
