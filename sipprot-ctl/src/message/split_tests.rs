//! Messages out of segments.

use super::*;

const SEED: u64 = 42;

fn read(payload: &str, stream: bool) -> Vec<Message> {
    Reader::new(SEED).read(payload.as_bytes(), stream)
}

fn register(user: &str, extra: &str) -> String {
    format!(
        "REGISTER sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-{user};rport\r\n\
         From: <sip:{user}@PBX>;tag=f\r\nTo: <sip:{user}@pbx>\r\nCall-ID: c-{user}\r\n\
         CSeq: 7 REGISTER\r\n{extra}\r\n"
    )
}

fn check(payload: &str, stream: bool, expected: &[&str]) {
    let found: Vec<String> = read(payload, stream)
        .iter()
        .map(|message| {
            let account = message.account().map(ToString::to_string).unwrap_or_default();
            let start = match message.start {
                StartLine::Request => message.method.name().to_owned(),
                StartLine::Response(status) => format!("{status}/{}", message.method.name()),
            };
            let rest = if message.complete { "" } else { " …" };
            format!(
                "{start} {account} {} {} {}{rest}",
                message.call_id, message.cseq, message.branch
            )
        })
        .collect();
    assert_eq!(found, expected, "{payload:?}");
}

#[test]
fn bare_carriage_returns_end_lines() {
    let one = register("100", "").replace("\r\n", "\r");
    check(&one, false, &["REGISTER 100@pbx c-100 7 z9hG4bK-100"]);
    check(&(one.clone() + &one), true, &["REGISTER 100@pbx c-100 7 z9hG4bK-100"; 2]);
}

#[test]
fn one_message() {
    check(&register("100", ""), false, &["REGISTER 100@pbx c-100 7 z9hG4bK-100"]);
    let compact = "invite sip:x SIP/2.0\nv:SIP/2.0/TCP h;branch=b\nf: sip:a@b;tag=1\nt: <sip:c@d>\n\
                   i: id\nCSEQ : 4294967299 INVITE\n\n";
    check(compact, false, &["INVITE a@b id 4294967295 b"]);
    check("FOO sip:x SIP/2.0\r\nCSeq: 1 FOO\r\n\r\n", false, &["other   1 "]);
    check("INVITE sip:x SIP/2.0 \t \r\nCSeq: 1 INVITE\r\n\r\n", false, &["INVITE   1 "]);
    let answer = "SIP/2.0 401 Unauthorized\r\nTo: <sip:100@pbx>;tag=t\r\nCSeq: 7 register\r\n\r\n";
    check(answer, false, &["401/REGISTER 100@pbx  7 "]);
}

#[test]
fn several_in_a_segment() {
    let (one, two) = (register("1", "Content-Length: 4\r\n"), register("2", "l: 0\r\n"));
    let segment = format!("{one}bodySIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n\r\n\r\n{two}");
    let all =
        ["REGISTER 1@pbx c-1 7 z9hG4bK-1", "200/INVITE   1 ", "REGISTER 2@pbx c-2 7 z9hG4bK-2"];
    check(&segment, true, &all);
    check(&segment, false, &all[..1]);
}

#[test]
fn partial_messages() {
    let whole = register("1", "");
    check(&whole[..whole.len() - 2], true, &["REGISTER 1@pbx c-1 7 z9hG4bK-1 …"]);
    check("REGISTER sip:pbx SIP/2.0\r\n", true, &["REGISTER   0  …"]);
    check("REGISTER sip:pbx SI", true, &[]);
    let tail = format!("nonce=\"x\"\r\n\r\n{whole}");
    check(&tail, true, &["REGISTER 1@pbx c-1 7 z9hG4bK-1"]);
    check(&tail, false, &[]);
    let lies = register("1", "Content-Length: 99999999999\r\n");
    check(&format!("{lies}{whole}"), true, &["REGISTER 1@pbx c-1 7 z9hG4bK-1"]);
}

#[test]
fn what_is_no_message() {
    for none in ["", "\r\n\r\n", "\0", "GET / HTTP/1.1\r\n\r\n", "\u{1}\u{2}", "x"] {
        check(none, true, &[]);
    }
}

#[test]
fn digest_headers() {
    let two = "Authorization: Digest username=\"100\", realm=\"a\", nonce=\"n1\", response=\"r1\"\r\n\
               X: y\r\n\
               authorization : Digest username=\"200\",\r\n realm=\"b\", nonce=\"n2\", response=\"\"\r\n\
               Proxy-Authorization: Digest realm=c\r\n";
    let messages = read(&register("100", two), false);
    let hash = |text: &str| Some(sipprot_common::hash::bytes(SEED, text.as_bytes()));
    let found: Vec<_> = messages[0]
        .credentials
        .iter()
        .map(|c| (c.username.as_str(), c.realm.as_str(), c.nonce, c.response))
        .collect();
    let expected = [
        ("100", "a", hash("n1"), hash("r1")),
        ("200", "b", hash("n2"), None),
        ("", "c", None, None),
    ];
    assert_eq!(found, expected);
}

/// A guess must not look like the question for a challenge, however it is written.
#[test]
fn a_response_is_found_wherever_a_pbx_finds_it() {
    let hash = |text: &str| Some(sipprot_common::hash::bytes(SEED, text.as_bytes()));
    for (parameters, expected) in [
        ("response=\"r\"", hash("r")),
        ("RESPONSE = r", hash("r")),
        ("response=          \"r\"", hash("r")),
        ("response          =\"r\"", hash("r")),
        ("response=\r\n \"r\"", hash("r")),
        ("response\r\n\t=\r\n\t\"r\"", hash("r")),
        ("x=\"a, response=,\", response=\"r\"", hash("r")),
        ("x=\"a\\\", response=,\", response=\"r\"", hash("r")),
        ("response=\"\", response=\"r\"", hash("r")),
        ("x=\"response=r\"", None),
        ("response=\"\"", None),
        ("response=", None),
        ("xresponse=r, response", None),
    ] {
        let header = format!("Authorization: Digest username=\"100\", {parameters}\r\n");
        let messages = read(&register("100", &header), false);
        let found = &messages[0].credentials[0];
        assert_eq!((found.username.as_str(), found.response), ("100", expected), "{parameters}");
    }
}

#[test]
fn challenges_and_tags() {
    let answer = "SIP/2.0 401 Unauthorized\r\nTo: <sip:1@p;x=1>;tag=t1\r\n\
                  WWW-Authenticate: Digest realm=\"p\", nonce=\"n\", stale=TRUE\r\n\
                  WWW-Authenticate: Digest realm=\"q\", nonce=\"m\", stale=false\r\n\r\n";
    let message = read(answer, false).remove(0);
    let found: Vec<_> =
        message.challenges.iter().map(|c| (c.realm.as_str(), c.stale, c.nonce.is_some())).collect();
    assert_eq!(found, [("p", true, true), ("q", false, true)]);
    assert_eq!(message.to_tag, Some(sipprot_common::hash::bytes(SEED, b"t1")));
}

#[test]
fn hostile_text_is_bounded() {
    let agent = format!("User-Agent: \x1b]0;x\x07{}\r\n", "é".repeat(900));
    let message = read(&register("100", &agent), false).remove(0);
    let shown = message.user_agent.unwrap();
    assert_eq!(shown.chars().count(), SHOWN_MAX);
    assert!(!shown.chars().any(char::is_control));
}

/// Whatever comes in, reading ends and panics nowhere: every cut of a message, and single changes.
#[test]
fn every_cut_and_every_changed_byte() {
    let whole = register("1", "Authorization: Digest nonce=\"n\", response=\"r\"\r\nl: 3\r\n");
    let segment = format!("{whole}abc{whole}");
    let mut reader = Reader::new(SEED);
    for end in 0..segment.len() {
        reader.read(&segment.as_bytes()[..end], true);
        reader.read(&segment.as_bytes()[end..], true);
        for byte in [0, b'\n', b'"', b'<', 0xff] {
            let mut changed = segment.clone().into_bytes();
            changed[end] = byte;
            reader.read(&changed, true);
        }
    }
}
