//! Requests against a daemon that only says what it was asked.

mod bad_input;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;

use super::door::Peer;
use super::*;
use crate::access::Times;
use crate::api::{Answer, Command, Consent, Done, Fault, Live, ReadSheet, SheetAnswer, SheetFault};

/// Answers every command with its Debug text; a check with a fault.
fn echo() -> Caller {
    let (caller, mut calls) = Caller::new();
    tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            let answer = match &call.command {
                Command::Check { .. } => Err(Fault::refused("no")),
                Command::ExportList { list, into, .. } => {
                    (&**into).write_all(format!("exported {list:?}").as_bytes()).unwrap();
                    Ok(Answer::Metrics(String::new()))
                }
                Command::ReadSheet { sheet, .. } => {
                    let rows = sheet.file.metadata().unwrap().len();
                    let answer = SheetAnswer { rows, ..SheetAnswer::of(sheet) };
                    let invalid = u64::from(sheet.endpoint.is_some());
                    let (line, message) = (7, "wrong".to_owned());
                    let fault = SheetFault { line, field: "NOTE".to_owned(), message };
                    let faults = vec![fault; invalid as usize];
                    let answer = SheetAnswer { invalid, faults, ..answer };
                    Ok(Answer::Read(ReadSheet { answer, ready: Arc::new(()) }))
                }
                Command::ApplySheet { read, .. } => {
                    Ok(Answer::Sheet(SheetAnswer { done: true, ..read.answer.clone() }))
                }
                Command::Follow => {
                    // One that has ended: no answer is without an end here.
                    let live = Live::new(1);
                    live.end();
                    Ok(Answer::Follow(live))
                }
                Command::Health => Ok(Answer::Health(vec!["eth7 is not filtered".to_owned()])),
                Command::Metrics => Ok(Answer::Metrics("x 1\n".to_owned())),
                command => Ok(Answer::Done(Done::new(format!("{command:?}")))),
            };
            let _ = call.reply.send(answer);
        }
    });
    caller
}

fn rooms(spool: &Path) -> Rooms {
    let times = Times { idle: Duration::from_secs(60), whole: Duration::from_secs(600) };
    Rooms::new(echo(), Arc::new(Access::load(None, times).unwrap()), spool.to_owned())
}

async fn request(method: &str, path: &str, body: &str) -> (u16, String) {
    request_by(None, method, path, body).await
}

/// From somebody else than who runs the test.
async fn request_by(peer: Option<Peer>, method: &str, path: &str, body: &str) -> (u16, String) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("run/test.sock");
    let listener = bind_socket(&socket).unwrap();
    assert!(matches!(bind_socket(&socket), Err(SocketError::InUse(_))));
    let rooms = rooms(directory.path());
    let router = if path != "/metrics" { api(rooms) } else { metrics(rooms) };
    let router = match peer {
        Some(peer) => router.layer(Extension(peer)),
        None => router,
    };
    let server = tokio::spawn(serve::local(listener, router, std::future::pending()));
    let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "sipprot")
        .header(Consent::CONFIRM, "true")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    server.abort();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn check(method: &str, path: &str, body: &str, status: u16, says: &str) {
    let (found, text) = request(method, path, body).await;
    assert!(found == status && text.contains(says), "{method} {path} {body}: {found} {text}");
}

#[tokio::test]
async fn requests_become_commands() {
    check("GET", "/api/v1/version", "", 200, "Version").await;
    check("GET", "/api/v1/lists/deny?search=192&limit=5", "", 200, "limit: Some(5)").await;
    let entry = r#"{"network":"192.0.2.0/24","note":"n"}"#;
    check("POST", "/api/v1/lists/allow", entry, 200, "AddEntry").await;
    let path = "/api/v1/lists/allow?network=2001:db8::%2F32&by=ann";
    check("DELETE", path, "", 200, "RemoveEntry").await;
    let block = r#"{"address":"192.0.2.1","duration_s":60}"#;
    check("POST", "/api/v1/blocks", block, 200, "duration_s: Some(60)").await;
    check("DELETE", "/api/v1/blocks/2001:db8::1", "", 200, "Unblock").await;
    check("GET", "/api/v1/blocks?kind=containment", "", 200, "Containment").await;
    check("GET", "/api/v1/report?date=2026-02-28", "", 200, "2026-02-28").await;
    check("POST", "/api/v1/reload", "", 200, "confirm: true").await;
    let edit = r#"{"network":"192.0.2.0/24","note":"n","version":"1"}"#;
    check("PATCH", "/api/v1/lists/deny", edit, 200, "EditEntry").await;
    check("POST", "/api/v1/confirm?by=ann", "", 200, "cancel: false").await;
    check("DELETE", "/api/v1/confirm", "", 200, "cancel: true").await;
    check("GET", "/api/v1/lists/deny/csv", "", 200, "exported Deny").await;
    check("POST", "/api/v1/lists/deny/import?dry_run=true", "a body", 200, "\"rows\":6").await;
    check("POST", "/api/v1/lists/allow/remove", "", 200, "\"done\":true").await;
    let peer = r#"{"network":"192.0.2.0/24","note":"n"}"#;
    check("POST", "/api/v1/peers", peer, 200, "AddPeer").await;
    check("DELETE", "/api/v1/peers?network=192.0.2.0%2F24", "", 200, "RemovePeer").await;
    check("GET", "/api/v1/peers", "", 200, "Peers").await;
    check("GET", "/api/v1/blocklists?covers=192.0.2.1", "", 200, "Blocklists").await;
    let sorted = "/api/v1/trust?sort=time&reverse=true&expires=never";
    check("GET", sorted, "", 200, "sort: Some(Time), reverse: true").await;
    let some = r#"{"networks":["192.0.2.1","192.0.2.2"]}"#;
    check("POST", "/api/v1/lists/deny/delete", some, 200, "RemoveEntries").await;
    let all = r#"{"all":true}"#;
    check("POST", "/api/v1/lists/deny/delete", all, 200, "\"usage\":\"remove\"").await;
    let moved = r#"{"networks":["192.0.2.1"],"to":"allow"}"#;
    check("POST", "/api/v1/lists/deny/move", moved, 200, "MoveEntries").await;
    let blocks = r#"{"addresses":["192.0.2.1"]}"#;
    check("POST", "/api/v1/blocks/deny", blocks, 200, "DenyBlocks").await;
    check("DELETE", "/api/v1/blocks?kind=dynamic", "", 200, "UnblockAll").await;
    let days = "/api/v1/report?from=2026-02-01&to=2026-02-28&sort=drops&limit=3";
    check("GET", days, "", 200, "sort: Some(Drops)").await;
    check("GET", "/api/v1/report/abuse/2001:db8::1", "", 200, "Abuse").await;
    check("GET", "/api/v1/learn", "", 200, "Learn").await;
    check("GET", "/api/v1/learn/proposal", "", 200, "LearnProposal").await;
    check("POST", "/api/v1/learn", "{\"days\":3}", 200, "LearnStart").await;
    check("POST", "/api/v1/learn/accept", "{\"peers\":true}", 200, "LearnAccept").await;
    check("POST", "/api/v1/learn/stop?by=ann", "", 200, "LearnStop").await;
    check("DELETE", "/api/v1/learn", "", 200, "LearnDiscard").await;
    check("POST", "/api/v1/logs/pbx", "a line", 200, "Ingest").await;
    check("GET", "/api/v1/why/2001:db8::1", "", 200, "Why").await;
    check("GET", "/api/v1/top?limit=7", "", 200, "limit: 7").await;
    check("GET", "/api/v1/events/recent?kind=block,alert", "", 200, r#"{"events":[]}"#).await;
    check("GET", "/metrics", "", 200, "x 1").await;
}

#[tokio::test]
async fn probes_tell_strangers_yes_or_no() {
    async fn check(peer: Option<Peer>, path: &str, status: u16, says: &str) {
        let (found, text) = request_by(peer.clone(), "GET", path, "").await;
        assert!(found == status && text.trim_end() == says, "{peer:?} {path}: {found} {text}");
    }
    let remote = || Some(Peer::Tcp([192, 0, 2, 7].into()));
    check(remote(), "/healthz", 200, "ok").await;
    check(remote(), "/readyz", 503, "not ready").await;
    check(Some(Peer::Stranger), "/readyz", 503, "not ready").await;
    check(None, "/readyz", 503, "eth7 is not filtered").await;
}

#[tokio::test]
async fn errors_have_one_shape() {
    check("GET", "/api/v1/nothing", "", 404, r#"{"error":{"code":"not_found""#).await;
    check("GET", "/api/v1/lists/grey", "", 404, "allow and deny").await;
    check("POST", "/api/v1/version", "", 405, r#""field":"method""#).await;
    check("GET", "/api/v1/check/nonsense", "", 400, r#""field":"address""#).await;
    check("GET", "/api/v1/check/192.0.2.1", "", 409, r#""code":"refused""#).await;
    check("GET", "/api/v1/report?date=yesterday", "", 400, r#""field":"query""#).await;
    check("GET", "/api/v1/lists/deny?limit=many", "", 400, r#""field":"query""#).await;
    let both = r#"{"networks":["192.0.2.1"],"all":true}"#;
    check("POST", "/api/v1/lists/deny/delete", both, 400, r#""field":"networks""#).await;
    let dry = r#"{"networks":["192.0.2.1"],"dry_run":true}"#;
    check("POST", "/api/v1/lists/deny/delete", dry, 400, r#""field":"dry_run""#).await;
    check("POST", "/api/v1/blocks", "{", 400, r#""field":"body""#).await;
    check("POST", "/api/v1/blocks", "{}", 400, r#""field":"address""#).await;
    let unknown = r#"{"address":"192.0.2.1","colour":1}"#;
    check("POST", "/api/v1/blocks", unknown, 400, r#""field":"colour""#).await;
    let wrong = r#"{"network":"192.0.2.300"}"#;
    check("POST", "/api/v1/lists/deny", wrong, 400, "invalid").await;
    let line = r#""field":"line 7, NOTE""#;
    check("POST", "/api/v1/lists/deny/import?endpoint=pbx1", "x", 400, line).await;
    check("POST", "/api/v1/lists/grey/import", "x", 404, "allow and deny").await;
    check("POST", "/api/v1/lists/deny/import?colour=1", "x", 400, r#""field":"query""#).await;
    let nonsense = "/api/v1/events?kind=nonsense";
    check("GET", nonsense, "", 400, r#""field":"kind""#).await;
    let huge = "x".repeat(BODY_MAX + 1);
    check("POST", "/api/v1/blocks", &huge, 413, r#""code":"invalid""#).await;
}

#[tokio::test]
async fn only_dead_sockets_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(bind_socket(&path), Err(SocketError::NoSocket(_))));
    std::fs::remove_file(&path).unwrap();
    drop(bind_socket(&path).unwrap());
    let listener = bind_socket(&path).unwrap();
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(listener);
}

/// What the document says of each route is what the router has.
#[tokio::test]
async fn the_document_and_the_router_are_one() {
    let directory = tempfile::tempdir().unwrap();
    let (status, text) = request("GET", "/api/v1/openapi.json", "").await;
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &document["openapi"]), (200, &"3.1.0".into()));
    let mut described = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let operation = &operations[method];
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            let given = &operation["responses"]["200"]["content"];
            assert!(given.is_object(), "{method} {path} answers nothing");
            described.push((path.clone(), method.to_uppercase()));
            let path = path
                .replace("{list}", "deny")
                .replace("{address}", "192.0.2.1")
                .replace(['{', '}'], "");
            let (status, text) =
                request(&method.to_uppercase(), &format!("{BASE}{path}"), "").await;
            assert!(status != 405 && !text.contains("no such path"), "{method} {path}: {text}");
        }
    }
    let mut routed: Vec<_> = table::routes()
        .iter()
        .map(|route| (route.path.to_owned(), route.method.to_string()))
        .collect();
    routed.sort();
    described.sort();
    assert_eq!(routed, described);
    let references = text.matches("\"$ref\":\"#/components/schemas/").count();
    assert!(references > 50, "{references}");
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is nowhere");
    }
    drop(directory);
}

#[tokio::test]
async fn the_door_knows_who_comes_in() {
    async fn check(peer: Peer, path: &str, status: u16, says: &str) {
        let (found, text) = request_by(Some(peer.clone()), "GET", path, "").await;
        assert!(found == status && text.contains(says), "{peer:?} {path}: {found} {text}");
    }
    let status = "/api/v1/status";
    let remote = || Peer::Tcp([192, 0, 2, 7].into());
    check(Peer::Trusted("ann".to_owned()), status, 200, "Status").await;
    check(
        Peer::Trusted("ann".to_owned()),
        "/api/v1/session",
        200,
        r#""name":"ann","door":"socket""#,
    )
    .await;
    check(Peer::Stranger, status, 403, "members of the group sipprot").await;
    check(Peer::Stranger, "/api/v1/openapi.json", 403, "forbidden").await;
    check(remote(), status, 401, "log in, or send a token").await;
    check(remote(), "/api/v1/nothing", 404, "not_found").await;
}
