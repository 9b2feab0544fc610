//! Every route and every kind of caller: the table of what is answered.
//!
//! The routes come from the API's own document; whom each of them lets in is written here once more, so that
//! a right that was lowered by mistake is seen.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sipprot_tests::{daemon::Settings, namespace::Namespace};

use super::{
    API,
    callers::{Credentials, add_token, add_user, log_in},
    protected,
};

/// Least right, method, path.
const ROUTES: &str = "
    read    GET    /version
    read    GET    /status
    read    GET    /lists/{list}
    lists   POST   /lists/{list}
    lists   PATCH  /lists/{list}
    lists   DELETE /lists/{list}
    read    GET    /lists/{list}/csv
    lists   POST   /lists/{list}/import
    lists   POST   /lists/{list}/remove
    lists   POST   /confirm
    lists   DELETE /confirm
    read    GET    /blocks
    lists   POST   /blocks
    lists   DELETE /blocks/{address}
    read    GET    /trust
    admin   DELETE /trust/{address}
    read    GET    /peers
    admin   POST   /peers
    admin   DELETE /peers
    read    GET    /blocklists
    read    GET    /check/{address}
    read    GET    /why/{address}
    read    GET    /report
    read    GET    /learn
    admin   POST   /learn
    admin   DELETE /learn
    read    GET    /learn/proposal
    admin   POST   /learn/accept
    admin   POST   /learn/stop
    read    POST   /geo/preview
    anyone  POST   /logs/{log}
    admin   POST   /reload
    read    GET    /events
    read    GET    /events/recent
    read    GET    /top
    anyone  POST   /session
    read    GET    /session
    read    DELETE /session
    read    POST   /session/password
    admin   GET    /users
    admin   POST   /users
    admin   PATCH  /users/{name}
    admin   DELETE /users/{name}
    admin   GET    /tokens
    admin   POST   /tokens
    admin   DELETE /tokens/{name}
    read    GET    /openapi.json
    lists   POST   /lists/{list}/delete
    lists   POST   /lists/{list}/move
    lists   POST   /lists/{list}/aggregate
    lists   DELETE /blocks
    lists   POST   /blocks/deny
    read    GET    /report/csv
    read    GET    /report/abuse/{address}
    admin   GET    /verify
    admin   POST   /verify
    read    GET    /settings
    admin   PATCH  /settings
    read    GET    /settings/schema
    read    GET    /audit
    lists   POST   /audit/{number}/undo
    anyone  GET    /welcome
    anyone  GET    /logo
    read    GET    /doctor
    read    GET    /service
    admin   POST   /service/restart
    admin   POST   /service/stop
    read    GET    /report/summary
    read    GET    /fleet
    read    GET    /fleet/hub
    read    GET    /fleet/hosts
    read    GET    /fleet/sources
    read    GET    /fleet/log
    admin   POST   /fleet/judge
    admin   POST   /fleet/protect
    read    GET    /notify
    read    GET    /notify/log
    admin   POST   /notify/test
";

/// What nobody may, an admin neither.
const NONE: u8 = 0;

fn rank(right: &str) -> u8 {
    match right {
        "anyone" => 0,
        "read" => 1,
        "lists" => 2,
        _ => 3,
    }
}

/// Somebody who asks, and what they may.
struct Caller {
    name: &'static str,
    credentials: Credentials,
    right: u8,
    /// What is said to them where they may not.
    refusal: u16,
    /// A login to be made again after it has logged out.
    user: Option<&'static str>,
    /// Looks at nothing either: what asks is another site's page, or nobody.
    shut_out: bool,
    /// Lacks what only changes take.
    reads: bool,
}

impl Caller {
    fn new(name: &'static str, credentials: Credentials, right: &str) -> Self {
        let right = rank(right);
        Self { name, credentials, right, refusal: 403, user: None, shut_out: false, reads: false }
    }

    fn unknown(name: &'static str, credentials: Credentials) -> Self {
        Self { right: NONE, refusal: 401, shut_out: true, ..Self::new(name, credentials, "") }
    }

    /// What they are to be answered; `None` is whatever the route makes of it.
    fn expected(&self, least: &str, method: &str) -> Option<u16> {
        if least == "anyone" {
            return (self.shut_out && self.refusal == 403).then_some(403);
        }
        let lacks = self.reads && method != "GET";
        (self.shut_out || lacks || self.right < rank(least)).then_some(self.refusal)
    }
}

fn written_down() -> BTreeMap<(String, String), &'static str> {
    let rows = ROUTES.lines().filter(|row| !row.trim().is_empty());
    rows.filter_map(|row| {
        let mut words = row.split_whitespace();
        let (least, method, path) = (words.next()?, words.next()?, words.next()?);
        Some(((path.to_owned(), method.to_owned()), least))
    })
    .collect()
}

/// Paths and methods of the document, each with the right that it names.
fn described(document: &Value) -> Result<BTreeMap<(String, String), String>> {
    let mut found = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().context("no paths")? {
        for (method, operation) in operations.as_object().context("no operations")? {
            let least = operation["x-sipprot-right"].as_str().context("no right")?;
            found.insert((path.clone(), method.to_uppercase()), least.to_owned());
        }
    }
    Ok(found)
}

/// What does no harm: nobody's name, an address that is nowhere, no sense in the body.
fn example(path: &str) -> String {
    if path == "/events" {
        // Right, it would have no end.
        return format!("{path}?kind=nonsense");
    }
    path.replace("{list}", "deny")
        .replace("{address}", "203.0.113.250")
        .replace("{log}", "none")
        .replace(['{', '}'], "")
}

#[test]
fn every_route_for_every_caller() -> Result<()> {
    let Some((lab, daemon)) = protected(&[])? else { return Ok(()) };
    let host = &lab.net.host;
    for (name, role) in [("ann", "admin"), ("vic", "viewer"), ("eve", "admin")] {
        add_user(&daemon, name, role)?;
    }
    let (ann, vic) = (log_in(host, "ann")?, log_in(host, "vic")?);
    let expired = add_token(&daemon, "expired", "admin", &["--for", "1s"])?;
    let revoked = add_token(&daemon, "revoked", "admin", &[])?;
    daemon.text(&["token", "revoke", "revoked"])?;
    std::thread::sleep(Duration::from_secs(1));
    let ended = log_in(host, "eve")?;
    daemon.cli_with(&["user", "edit", "eve", "--password"], "another horse battery")?;
    let other_site =
        ann.with("Sec-Fetch-Site", "cross-site").with("Origin", "https://other.example");
    let no_page = ann.without("X-CSRF-Token");
    let mut callers = vec![
        Caller::unknown("no login", Credentials::default()),
        Caller { user: Some("vic"), ..Caller::new("viewer", vic, "read") },
        Caller { user: Some("ann"), ..Caller::new("admin", ann, "admin") },
        Caller::new("token read", add_token(&daemon, "r", "read", &[])?, "read"),
        Caller::new("token lists", add_token(&daemon, "l", "lists", &[])?, "lists"),
        Caller::new("token admin", add_token(&daemon, "a", "admin", &[])?, "admin"),
        Caller::unknown("expired token", expired),
        Caller::unknown("revoked token", revoked),
        Caller::unknown("made-up token", Credentials::of_token("sipprot_0123456789abcdef")),
        Caller::unknown("ended login", ended),
    ];
    let log_out_last = |path: &str, method: &str| (path == "/session" && method == "DELETE") as u8;
    let answer = Credentials::of_token("").get("/openapi.json").ask(host, API.parse()?)?;
    ensure!(answer.status == 401, "the document is nobody's");
    let document = callers[3].credentials.get("/openapi.json").ask(host, API.parse()?)?.json()?;
    let found = described(&document)?;
    let wanted = written_down();
    for (route, least) in &found {
        match wanted.get(route) {
            Some(known) if known == least => {}
            known => bail!("{route:?} takes {least}, and this table says {known:?}"),
        }
    }
    ensure!(found.len() == wanted.len(), "routes of this table are not in the document");

    let mut routes: Vec<_> = found.iter().collect();
    routes.sort_by_key(|((path, method), _)| log_out_last(path, method));
    // Of the admin's own login, so that it has to go before the login that it is made of ends.
    let foreign = [
        Caller { shut_out: true, ..Caller::new("other site", other_site, "admin") },
        Caller { reads: true, ..Caller::new("no CSRF token", no_page, "admin") },
    ];
    callers.splice(2..2, foreign);
    let titles: Vec<_> = callers.iter().map(|caller| caller.name).collect();
    println!("| route | right | {} |", titles.join(" | "));
    let mut wrong = Vec::new();
    for ((path, method), least) in routes {
        let mut row = Vec::new();
        for caller in &mut callers {
            let status = ask(host, caller, method, path)?;
            let fits = match caller.expected(least, method) {
                Some(expected) => status == expected,
                None if least == "anyone" => status < 500,
                None => status < 500 && ![401, 405].contains(&status) && is_let_in(status, path),
            };
            if !fits {
                wrong.push(format!("{method} {path} as {}: {status}", caller.name));
            }
            row.push(status.to_string());
        }
        println!("| {method} {path} | {least} | {} |", row.join(" | "));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Times that the configuration shortens hold for logins that stand.
    let ann = log_in(host, "ann")?;
    let lines = vec!["api.session_max = \"1s\"".to_owned()];
    daemon.configure(&Settings { lines, ..Settings::default() })?;
    daemon.text(&["reload"])?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(ann.get("/session").ask(host, API.parse()?)?.status == 401, "its time is over");
    Ok(())
}

/// Only a login has a password to change: a token is told so.
fn is_let_in(status: u16, path: &str) -> bool {
    status != 403 || path == "/session/password"
}

fn ask(host: &Namespace, caller: &mut Caller, method: &str, path: &str) -> Result<u16> {
    let body = if method == "GET" { "" } else { "{" };
    let asked = caller.credentials.asks(method, &example(path), body).ask(host, API.parse()?)?;
    if path == "/session"
        && method == "DELETE"
        && let Some(user) = caller.user
    {
        ensure!(asked.status == 200, "{asked:?}");
        let again = caller.credentials.get("/session").ask(host, API.parse()?)?;
        ensure!(again.status == 401, "logged out, and still {again:?}");
        caller.credentials = log_in(host, user)?;
    }
    Ok(asked.status)
}
