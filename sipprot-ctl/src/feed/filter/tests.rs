//! Real-looking lines, and lines that strangers tampered with.

use super::*;

/// `ssh_failed 198.51.100.7 4711 root`, `ignored` or `-`.
fn verdict(filter: &Filter, line: &str) -> String {
    match filter.look(Line::plain(line)) {
        Verdict::Unknown => "-".to_owned(),
        Verdict::Ignored => "ignored".to_owned(),
        Verdict::Means(found) => {
            let port = found.port.map(|port| format!(" {port}")).unwrap_or_default();
            let account = found.account.map(|account| format!(" {account}")).unwrap_or_default();
            let transport = found.transport.map(|it| format!(" over {it}")).unwrap_or_default();
            format!("{} {}{port}{account}{transport}", found.told, found.address)
        }
    }
}

fn check(name: &str, table: &[(&str, &str)]) {
    let filter =
        Filter::parse(ready::text(name).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(filter.name, name);
    for (line, expected) in table {
        assert_eq!(verdict(&filter, line), *expected, "{name}: {line}");
    }
}

#[test]
fn every_ready_filter_reads() {
    for name in ready::names() {
        let filter = Filter::ready(name).unwrap();
        assert!(filter.name == name && !filter.help.is_empty(), "{name}");
    }
}

#[test]
fn sshd() {
    #[rustfmt::skip]
    check("sshd", &[
        ("Nov 22 17:21:03 pbx sshd[99]: Failed password for root from 198.51.100.7 port 4711 ssh2", "ssh_failed 198.51.100.7 4711 root"),
        ("2026-11-22T17:21:03.000001+00:00 pbx sshd-session[99]: Failed password for invalid user admin from 2001:db8::7 port 4711 ssh2", "ssh_failed 2001:db8::7 4711 admin"),
        ("Nov 22 17:21:03 pbx sshd[99]: Failed keyboard-interactive/pam for root from 198.51.100.7 port 4711 ssh2", "ssh_failed 198.51.100.7 4711 root"),
        ("Nov 22 17:21:03 pbx sshd[99]: message repeated 2 times: [ Failed password for root from 198.51.100.7 port 4711 ssh2]", "ssh_failed 198.51.100.7 4711 root"),
        ("Nov 22 17:21:03 pbx sshd[99]: Invalid user test from 198.51.100.7 port 4711", "ssh_failed 198.51.100.7 4711 test"),
        ("Nov 22 17:21:03 pbx sshd[99]: Invalid user  from 198.51.100.7 port 4711", "ssh_failed 198.51.100.7 4711 "),
        ("Nov 22 17:21:03 pbx sshd[99]: Failed none for invalid user x from 198.51.100.7 port 4711 ssh2", "ignored"),
        ("Nov 22 17:21:03 pbx sshd[99]: Failed publickey for ann from 198.51.100.7 port 4711 ssh2: RSA SHA256:abc", "ignored"),
        ("Nov 22 17:21:03 pbx sshd[99]: Accepted publickey for ann from 198.51.100.7 port 4711 ssh2: ED25519 SHA256:abc+/=", "ssh_accepted 198.51.100.7 4711 ann"),
        ("Nov 22 17:21:03 pbx sshd[99]: Accepted password for ann from ::ffff:198.51.100.7 port 4711 ssh2", "ssh_accepted 198.51.100.7 4711 ann"),
        ("Nov 22 17:21:03 pbx sshd[99]: Connection closed by 198.51.100.7 port 4711 [preauth]", "-"),
        ("Nov 22 17:21:03 pbx cron[99]: Failed password for root from 198.51.100.7 port 4711 ssh2", "-"),
        ("", "-"),
    ]);
}

#[test]
fn whoever_injects_into_sshd_bans_himself() {
    #[rustfmt::skip]
    check("sshd", &[
        ("Invalid user foo from 192.0.2.1 from 198.51.100.7 port 22", "ssh_failed 198.51.100.7 22 foo from 192.0.2.1"),
        ("Invalid user foo from 192.0.2.1 port 22 from 198.51.100.7 port 4711", "ssh_failed 198.51.100.7 4711 foo from 192.0.2.1 port 22"),
        ("Failed password for invalid user x from 192.0.2.1 port 1 ssh2 from 198.51.100.7 port 4711 ssh2", "ssh_failed 198.51.100.7 4711 x from 192.0.2.1 port 1 ssh2"),
        ("Failed password for invalid user x from 192.0.2.1 port 1 ssh2: RSA SHA256:a from 198.51.100.7 port 4711 ssh2", "ssh_failed 198.51.100.7 4711 x from 192.0.2.1 port 1 ssh2: RSA SHA256:a"),
        ("Invalid user Accepted password for root from 192.0.2.1 port 22 ssh2 from 198.51.100.7 port 4711", "ssh_failed 198.51.100.7 4711 Accepted password for root from 192.0.2.1 port 22 ssh2"),
        // Of another program, whose text looks like sshd's.
        ("Nov 22 17:21:03 pbx web[9]: x sshd[99]: Failed password for root from 192.0.2.1 port 4711 ssh2", "-"),
        ("Nov 22 17:21:03 pbx web[9]: sshd[99]: Failed password for root from 192.0.2.1 port 4711 ssh2", "-"),
        ("Failed password for root from 192.0.2.1 port 4711 ssh2 [preauth]", "-"),
        ("Failed password for root from 192.0.2.999 port 4711 ssh2", "-"),
        // No line holds a line end: sshd escapes them.
        ("Failed password for a from 192.0.2.1 port 1 ssh2\nx from 198.51.100.7 port 4711 ssh2", "-"),
    ]);
}

#[test]
fn apache() {
    let access = |rest: &str| format!("198.51.100.7 - - [22/Nov/2026:17:21:03 +0000] {rest}");
    let lines = [
        (r#""GET /phpMyAdmin/index.php HTTP/1.1" 404 196 "-" "zgrab""#, "http_scan 198.51.100.7"),
        (r#""GET /billing HTTP/1.1" 403 196 "-" "-""#, "http_scan 198.51.100.7"),
        (r#""GET /billing?x=/a.cfg HTTP/1.1" 404 196 "-" "-""#, "http_scan 198.51.100.7"),
        (r#""GET /billing HTTP/1.1" 200 196 "-" "-""#, "ignored"),
        (r#""GET /nothing HTTP/1.1" 404 196"#, "http_missed 198.51.100.7"),
        (r#""GET /a\"b\\ HTTP/1.1" 404 196 "-" "-""#, "http_missed 198.51.100.7"),
        (r#""GET /provisioning/snom370.htm HTTP/1.1" 404 196 "-" "snom""#, "ignored"),
        (r#""GET /000413aabbcc.cfg HTTP/1.1" 404 196 "-" "-""#, "ignored"),
        (r#""GET /cfg/SEP000413AABBCC.cnf.xml?a=b HTTP/1.1" 404 196 "-" "-""#, "ignored"),
        (r#""GET /000413aabbcc HTTP/1.1" 403 196 "-" "-""#, "ignored"),
        (r#""\x16\x03\x01" 400 226 "-" "-""#, "-"),
    ];
    let lines = lines.map(|(rest, expected)| (access(rest), expected));
    let lines = lines.each_ref().map(|(line, expected)| (line.as_str(), *expected));
    check("apache", &lines);
    #[rustfmt::skip]
    check("apache", &[
        (r#"www.example.com:80 2001:db8::7 - ann [22/Nov/2026:17:21:03 +0000] "GET /pma/ HTTP/1.1" 404 1 "-" "-""#, "http_scan 2001:db8::7"),
        ("[Sun Nov 22 17:21:03.123456 2026] [core:error] [pid 9:tid 8] [client 198.51.100.7:4711] AH00128: File does not exist: /var/www/html/phpMyAdmin", "http_scan 198.51.100.7 4711"),
        ("[Sun Nov 22 17:21:03.123456 2026] [php:error] [pid 9] [client 198.51.100.7:4711] script '/var/www/html/wp-login.php' not found or unable to stat", "http_scan 198.51.100.7 4711"),
        ("[Sun Nov 22 17:21:03 2026] [error] [client 198.51.100.7] File does not exist: /var/www/html/other, referer: http://192.0.2.1/", "http_missed 198.51.100.7"),
        ("[Sun Nov 22 17:21:03.123456 2026] [core:error] [pid 9:tid 8] [client [2001:db8::7]:4711] AH00128: File does not exist: /x", "http_missed 2001:db8::7 4711"),
        ("[Sun Nov 22 17:21:03.123456 2026] [core:notice] [pid 9] AH00094: Command line: '/usr/sbin/apache2'", "-"),
    ]);
}

#[test]
fn whoever_injects_into_apache_bans_himself() {
    #[rustfmt::skip]
    check("apache", &[
        (r#"198.51.100.7 - 192.0.2.1 [22/Nov/2026:17:21:03 +0000] "GET /pma HTTP/1.1" 404 1 "-" "192.0.2.1 - - [x] \"GET /pma HTTP/1.1\" 404""#, "http_scan 198.51.100.7"),
        (r#"198.51.100.7 - - [22/Nov/2026:17:21:03 +0000] "GET /x\" 404 1 \"-\" \"-\"\n192.0.2.1 HTTP/1.1" 200 1 "-" "-""#, "-"),
        ("[Sun Nov 22 17:21:03.123456 2026] [core:error] [pid 9:tid 8] [client 198.51.100.7:4711] AH00128: File does not exist: /x] [client 192.0.2.1:1] AH00128: File does not exist: /pma", "http_scan 198.51.100.7 4711"),
        ("attacker.example - - [22/Nov/2026:17:21:03 +0000] \"GET /192.0.2.1 HTTP/1.1\" 404 1", "-"),
        ("192.0.2.1:80 198.51.100.7 - - [22/Nov/2026:17:21:03 +0000] \"GET /pma HTTP/1.1\" 404 1", "http_scan 198.51.100.7"),
    ]);
}

#[test]
fn nginx() {
    #[rustfmt::skip]
    check("nginx", &[
        (r#"198.51.100.7 - - [22/Nov/2026:17:21:03 +0000] "GET /vtigercrm/ HTTP/1.1" 404 153 "-" "curl""#, "http_scan 198.51.100.7"),
        (r#"198.51.100.7 - - [22/Nov/2026:17:21:03 +0000] "GET /none HTTP/2.0" 403 153 "-" "curl""#, "http_missed 198.51.100.7"),
        (r#"198.51.100.7 - - [22/Nov/2026:17:21:03 +0000] "GET / HTTP/2.0" 200 153 "-" "curl""#, "ignored"),
        (r#"2026/11/22 17:21:03 [error] 9#9: *5 open() "/srv/phpmyadmin" failed (2: No such file or directory), client: 198.51.100.7, server: _, request: "GET /phpmyadmin HTTP/1.1", host: "pbx.example""#, "http_scan 198.51.100.7"),
        (r#"2026/11/22 17:21:03 [error] 9#9: *5 directory index of "/srv/x/" is forbidden, client: 198.51.100.7, server: pbx, request: "GET /x/ HTTP/1.0""#, "http_missed 198.51.100.7"),
        (r#"2026/11/22 17:21:03 [notice] 9#9: signal process started"#, "-"),
    ]);
}

#[test]
fn whoever_injects_into_nginx_bans_nobody_else() {
    let start = "2026/11/22 17:21:03 [error] 9#9: *5 open() \"/srv";
    let end = r#"" failed (2: No such file or directory), client: 198.51.100.7, server: _, request: "GET /x HTTP/1.1", host: "h""#;
    for injected in [
        r#"/x" failed (2: No such file or directory), client: 192.0.2.1, server: _, request: "GET /pma HTTP/1.1", host: ""#,
        r#"/x" failed (2: No such file or directory), client: 192.0.2.1, server: _, request: "GET /pma HTTP/1.1"#,
        r"/client: 192.0.2.1, server: ",
    ] {
        check("nginx", &[(&format!("{start}{injected}{end}"), "-")]);
    }
    #[rustfmt::skip]
    check("nginx", &[
        (r#"198.51.100.7 - 192.0.2.1 [x] \x22GET /pma HTTP/1.1\x22 404 [22/Nov/2026:17:21:03 +0000] "GET /none HTTP/1.1" 404 1 "192.0.2.1" "192.0.2.1""#, "http_missed 198.51.100.7"),
    ]);
}

#[test]
fn kamailio_and_opensips() {
    for (name, rejected, stale) in [("kamailio", "-2", "-4"), ("opensips", "-2", "-3")] {
        let line = |text: &str| format!("Nov 22 17:21:03 pbx /usr/sbin/{name}[9]: {text}");
        let ours = "REGISTER account 1000@pbx from 198.51.100.7 port 4711 over tls";
        let told = "198.51.100.7 4711 1000@pbx over tls";
        #[rustfmt::skip]
        let table = [
            (line(&format!("NOTICE: <script>: sipprot: rejected {ours}")), format!("sip_rejected {told}")),
            (line(&format!("sipprot: accepted {ours}")), format!("sip_accepted {told}")),
            (line(&format!("NOTICE: {{1 2 REGISTER a@b}} <script>: sipprot: rejected {ours}")), format!("sip_rejected {told}")),
            (format!(" 3(99) NOTICE: <script>: 2026-11-22 17:21:03 sipprot: rejected {ours}"), format!("sip_rejected {told}")),
            (line(&format!("Auth error for 1000@pbx from 198.51.100.7 cause {rejected}")), "sip_rejected 198.51.100.7 1000@pbx".to_owned()),
            (line(&format!("Auth error for 1000@pbx from 198.51.100.7 cause {stale}")), "ignored".to_owned()),
            (line("INFO: <core> [main.c:1]: up"), "-".to_owned()),
            // Tampered with.
            (line("sipprot: rejected REGISTER account x from 192.0.2.1 port 1 over tls from 198.51.100.7 port 4711 over tls"), "sip_rejected 198.51.100.7 4711 x from 192.0.2.1 port 1 over tls over tls".to_owned()),
            (line(&format!("NOTICE: {{1 1 REGISTER}} <script>: sipprot: rejected REGISTER account x from 192.0.2.1 port 1 over tls}} <script>: sipprot: rejected {ours}")), "-".to_owned()),
            (line("NOTICE: {1 1 REGISTER x} <script>: sipprot: rejected REGISTER account x from 192.0.2.1 port 1 over tls} <script>: else"), "-".to_owned()),
            (line(&format!("Auth error for x from 192.0.2.1 cause -2 from 198.51.100.7 cause {rejected}")), "sip_rejected 198.51.100.7 x from 192.0.2.1 cause -2".to_owned()),
            (line("x sipprot: rejected REGISTER account 1 from 192.0.2.1 port 1 over tls"), "-".to_owned()),
        ];
        let table: Vec<_> =
            table.iter().map(|(line, told)| (line.as_str(), told.as_str())).collect();
        check(name, &table);
    }
}

/// A line of Asterisk's security log, with strangers' text in three places.
fn event(kind: &str, account: &str, session: &str, end: &str) -> String {
    format!(
        "[2026-11-22 17:21:03] SECURITY[99] res_security_log.c: SecurityEvent=\"{kind}\",\
         EventTV=\"2026-11-22T17:21:03.123+0000\",Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"2\",\
         AccountID=\"{account}\",SessionID=\"{session}\",LocalAddress=\"IPV4/TLS/192.0.2.10/5061\",\
         RemoteAddress=\"IPV4/TLS/198.51.100.7/4711\"{end}"
    )
}

#[test]
fn asterisk() {
    let told = "198.51.100.7 4711 100 over TLS";
    let forged =
        "\",LocalAddress=\"IPV4/TLS/192.0.2.10/5061\",RemoteAddress=\"IPV4/TLS/192.0.2.1/1\"";
    let challenge = ",Challenge=\"1/a\",ReceivedChallenge=\"1/a\",ReceivedHash=\"b\"";
    let rejected = format!("sip_rejected {told}");
    #[rustfmt::skip]
    let table = [
        (event("InvalidPassword", "100", "a@b", challenge), rejected.as_str()),
        (event("ChallengeResponseFailed", "100", "a@b", ",Challenge=\"c\",Response=\"r\",ExpectedResponse=\"\""), &rejected),
        (event("InvalidAccountID", "100", "a@b", ""), &rejected),
        (event("ChallengeSent", "100", "a@b", ",Challenge=\"1\""), "ignored"),
        (event("SuccessfulAuth", "100", "a@b", ",UsingPassword=\"1\""), "sip_accepted 198.51.100.7 4711 100 over TLS"),
        (event("SuccessfulAuth", "100", "a@b", ",UsingPassword=\"0\""), "-"),
        // Quotes alone hide nobody; a second address makes the line nobody's.
        (event("InvalidPassword", "100", "a\"b", challenge), &rejected),
        (event("InvalidPassword", &format!("x{forged}"), "a", challenge), "-"),
        (event("InvalidPassword", "100", &format!("x{forged}"), challenge), "-"),
        (event("InvalidPassword", "100", "x", &format!(",Challenge=\"{forged}{challenge}")), "-"),
        (event("ChallengeSent", "SecurityEvent=\"InvalidPassword\"", "a", ""), "ignored"),
    ];
    let table: Vec<_> = table.iter().map(|(line, told)| (line.as_str(), *told)).collect();
    check("asterisk", &table);
}

#[test]
fn freeswitch() {
    #[rustfmt::skip]
    check("freeswitch", &[
        ("2026-11-22 17:21:03.123456 [WARNING] sofia_reg.c:1792 SIP auth failure (REGISTER) on sofia profile 'internal' for [100@192.0.2.10] from ip 198.51.100.7", "sip_rejected 198.51.100.7 100@192.0.2.10"),
        ("2026-11-22 17:21:03.123456 99.50% [WARNING] sofia_reg.c:1792 SIP auth failure (INVITE) on sofia profile 'a b' for [100@192.0.2.10] from ip 2001:db8::7", "sip_rejected 2001:db8::7 100@192.0.2.10"),
        ("2026-11-22 17:21:03.123456 [WARNING] sofia_reg.c:2930 Can't find user [100@192.0.2.10] from 198.51.100.7", "sip_rejected 198.51.100.7 100@192.0.2.10"),
        ("2026-11-22 17:21:03.123456 [WARNING] sofia_reg.c:1792 SIP auth challenge (REGISTER) on sofia profile 'internal' for [100@192.0.2.10] from ip 198.51.100.7", "ignored"),
        ("2026-11-22 17:21:03.123456 [WARNING] sofia_reg.c:1792 SIP auth failure (REGISTER) on sofia profile 'internal' for [x] from ip 192.0.2.1] from ip 198.51.100.7", "sip_rejected 198.51.100.7 x] from ip 192.0.2.1"),
        ("2026-11-22 17:21:03.123456 [INFO] mod_x.c:1 SIP auth failure (REGISTER) on sofia profile 'internal' for [100] from ip 192.0.2.1", "-"),
    ]);
}

type Writes = fn(&str) -> String;

/// Where a stranger's text stands in a line (`@`), and how the program writes that text.
const TEMPLATES: &[(&str, &str, Writes)] = &[
    (
        "sshd",
        "Nov 22 17:21:03 pbx sshd[9]: Failed password for invalid user @ from 198.51.100.7 port 4711 ssh2",
        raw,
    ),
    ("sshd", "Nov 22 17:21:03 pbx sshd[9]: Invalid user @ from 198.51.100.7 port 4711", raw),
    (
        "sshd",
        "Nov 22 17:21:03 pbx sshd[9]: Failed none for invalid user @ from 198.51.100.7 port 4711 ssh2",
        raw,
    ),
    (
        "sshd",
        "Nov 22 17:21:03 pbx sshd[9]: Connection closed by invalid user @ 198.51.100.7 port 4711 [preauth]",
        raw,
    ),
    ("sshd", "Nov 22 17:21:03 pbx web[9]: @", raw),
    (
        "apache",
        "198.51.100.7 - @ [22/Nov/2026:17:21:03 +0000] \"GET @ HTTP/1.1\" 404 1 \"@\" \"@\"",
        escaped,
    ),
    (
        "apache",
        "[Sun Nov 22 17:21:03.1 2026] [core:error] [pid 9] [client 198.51.100.7:4711] AH00128: File does not exist: /@, referer: @",
        raw,
    ),
    (
        "nginx",
        "198.51.100.7 - @ [22/Nov/2026:17:21:03 +0000] \"GET @ HTTP/1.1\" 404 1 \"@\" \"@\"",
        escaped,
    ),
    (
        "nginx",
        "2026/11/22 17:21:03 [error] 9#9: *5 open() \"/srv/@\" failed (2: No such file or directory), client: 198.51.100.7, server: _, request: \"GET @ HTTP/1.1\", host: \"@\"",
        raw,
    ),
    (
        "kamailio",
        "Nov 22 17:21:03 pbx kamailio[9]: NOTICE: {1 1 REGISTER @} <script>: sipprot: rejected REGISTER account @ from 198.51.100.7 port 4711 over tls",
        raw,
    ),
    (
        "kamailio",
        "Nov 22 17:21:03 pbx kamailio[9]: NOTICE: {1 1 REGISTER @} <script>: Auth error for @ from 198.51.100.7 cause -2",
        raw,
    ),
    (
        "kamailio",
        "Nov 22 17:21:03 pbx kamailio[9]: NOTICE: {1 1 REGISTER @} <script>: something else",
        raw,
    ),
    (
        "opensips",
        "Nov 22 17:21:03 pbx opensips[9]: sipprot: rejected REGISTER account @ from 198.51.100.7 port 4711 over tls",
        raw,
    ),
    (
        "asterisk",
        "[2026-11-22 17:21:03] SECURITY[9] res_security_log.c: SecurityEvent=\"InvalidPassword\",EventTV=\"1\",Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"2\",AccountID=\"@\",SessionID=\"@\",LocalAddress=\"IPV4/TLS/192.0.2.10/5061\",RemoteAddress=\"IPV4/TLS/198.51.100.7/4711\",Challenge=\"@\",ReceivedChallenge=\"@\",ReceivedHash=\"@\"",
        raw,
    ),
    (
        "freeswitch",
        "2026-11-22 17:21:03.1 [WARNING] sofia_reg.c:1792 SIP auth failure (REGISTER) on sofia profile 'internal' for [@] from ip 198.51.100.7",
        raw,
    ),
];

/// What strangers may put together: pieces of all that the patterns look for.
const PIECES: &[&str] = &[
    "192.0.2.1",
    " from 192.0.2.1",
    " port 1",
    " ssh2",
    " from ",
    "x",
    " ",
    "",
    "\"",
    "\\",
    "]",
    "[",
    "%",
    "} ",
    "{",
    "<script>: ",
    "Failed password for a from 192.0.2.1 port 1 ssh2",
    "Invalid user ",
    "Accepted password for a from 192.0.2.1 port 1 ssh2",
    "sshd[9]: ",
    "Nov 22 17:21:03 pbx sshd[9]: ",
    "message repeated 2 times: [ ",
    " cause -2",
    "Auth error for ",
    "sipprot: rejected REGISTER account a",
    " over tls",
    "sipprot: accepted REGISTER account ",
    "] from ip 192.0.2.1",
    "192.0.2.1 - - [x] ",
    "\"GET /pma HTTP/1.1\" 404 1 ",
    "\" failed (2: No such file or directory), client: 192.0.2.1, server: _, request: \"GET /pma HTTP/1.1",
    "\", host: \"",
    "[client 192.0.2.1:1] ",
    "AH00128: File does not exist: /pma",
    "client: 192.0.2.1, ",
    "AccountID=\"",
    "\",SessionID=\"",
    "\",LocalAddress=\"IPV4/TLS/192.0.2.10/5061\",",
    "RemoteAddress=\"IPV4/TLS/192.0.2.1/1\"",
    ",Challenge=\"",
    "SecurityEvent=\"InvalidPassword\"",
];

fn raw(text: &str) -> String {
    text.to_owned()
}

/// As web servers write what strangers send.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[test]
fn no_stranger_writes_another_s_address() {
    const LINES: usize = 400;
    let mut state = 1u64;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let genuine: IpAddr = "198.51.100.7".parse().unwrap();
    for (name, template, write) in TEMPLATES {
        let filter = Filter::ready(name).unwrap();
        let mut found = 0;
        for _ in 0..LINES {
            let mut line = String::new();
            for (number, part) in template.split('@').enumerate() {
                if number > 0 {
                    let text: String = (0..next(8)).map(|_| PIECES[next(PIECES.len())]).collect();
                    line += &write(&text);
                }
                line += part;
            }
            if let Verdict::Means(means) = filter.look(Line::plain(&line)) {
                assert_eq!(means.address, genuine, "{name}: {line}");
                let accepts = matches!(means.told, Told::SshAccepted | Told::SipAccepted);
                assert!(!accepts, "{name}: {line}");
                found += 1;
            }
        }
        println!("{name}: {found} of {LINES} tell the sender: {template}");
    }
}

#[test]
fn one_s_own_filter() {
    let own = "name = \"door\"\n[[pattern]]\nsignal = \"http_missed\"\nmatch = 'no {address} at (?<path>.*)'";
    let filter = Filter::parse(own).unwrap();
    assert_eq!(verdict(&filter, "no 198.51.100.7 at all"), "http_missed 198.51.100.7");
    assert_eq!(verdict(&filter, "oh no 198.51.100.7 at all"), "-");
    for (wrong, what) in [
        ("name = 1", "invalid type"),
        ("name = \"a\"\npattern = []", "1 to 64 patterns"),
        (&own.replace("{address}", "x"), "no field address"),
        (&own.replace("path", "door"), "no field is called \"door\""),
        (&own.replace("http_missed", "rain"), "unknown variant"),
        (&own.replace("signal", "sinal"), "unknown field"),
        (&own.replace(".*)", ".*"), "unclosed group"),
        (&own.replace(".*)", "(?:.{1000}){1000})"), "exceeds size limit"),
    ] {
        let error = Filter::parse(wrong).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_long_line_takes_linear_time() {
    let filter = Filter::ready("sshd").unwrap();
    let line = format!("Failed password for {}!", "x from 192.0.2.1 port 1 ssh2".repeat(300));
    let start = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(filter.look(Line::plain(&line)), Verdict::Unknown);
    }
    assert!(start.elapsed().as_secs() < 20);
}
