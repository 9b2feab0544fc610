//! Texts are as fail2ban 1.0.2 and cscli 1.4.6 printed them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::fail2ban::{self, Clock};
use super::{Found, crowdsec};
use crate::store::List;

const NOW: &str = "2026-11-23T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn clock() -> Clock {
    Clock { now: now(), zone: TimeZone::UTC }
}

/// The rows without the header, and what was left out.
fn told(found: &Found) -> (Vec<String>, Vec<String>) {
    let sheet = found.sheet(List::Deny, "them", now()).unwrap();
    let rows = String::from_utf8(sheet).unwrap();
    (rows.lines().skip(1).map(str::to_owned).collect(), found.left_out().collect())
}

#[track_caller]
fn check(found: &Found, rows: &[&str], left_out: &[&str]) {
    let (found, without) = told(found);
    assert_eq!(found, rows);
    assert_eq!(without, left_out);
}

#[test]
fn rows_of_the_database() {
    let text = r#"[{"ip":"198.51.100.10","jail":"asterisk","timeofban":1795434983,"bantime":600},
{"ip":"2001:db8::5","jail":"asterisk","timeofban":1795434983,"bantime":60},
{"ip":"198.51.100.10","jail":"sshd","timeofban":1795434900,"bantime":-1},
{"ip":"198.51.100.20","jail":"sshd","timeofban":1795434983,"bantime":86400}]"#;
    let rows = [
        "198.51.100.10,\"them: asterisk, sshd\",2026-11-23 11:55:00Z,them,,all",
        "198.51.100.20,them: sshd,2026-11-23 11:56:23Z,them,2026-11-24 11:56:23Z,all",
    ];
    let over = ["1 left out: is over already"];
    check(&fail2ban::banned(text, &[], &clock()).unwrap(), &rows, &over);
    let asterisk =
        ["198.51.100.10,them: asterisk,2026-11-23 11:56:23Z,them,2026-11-23 12:06:23Z,all"];
    let jails = ["asterisk".to_owned()];
    check(&fail2ban::banned(text, &jails, &clock()).unwrap(), &asterisk, &over);
}

#[test]
fn what_its_client_prints() {
    let rows = [
        "198.51.100.10,\"them: asterisk, sshd\",2026-11-23 12:00:00Z,them,,all",
        "2001:db8::5,them: asterisk,2026-11-23 12:00:00Z,them,,all",
    ];
    let text = "[{'asterisk': ['198.51.100.10', '2001:db8::5']}, {'sshd': ['198.51.100.10']}]\n";
    check(&fail2ban::banned(text, &[], &clock()).unwrap(), &rows, &[]);
    for empty in ["", "\n", "[]"] {
        assert!(fail2ban::banned(empty, &[], &clock()).unwrap().is_empty(), "{empty:?}");
    }
    assert!(fail2ban::banned("[{'x': 1}]", &[], &clock()).is_err());

    let text = "198.51.100.10 \t2026-11-23 11:56:22 + 600 = 2026-11-23 12:06:22\n\
         198.51.100.20 \t2026-11-23 11:56:23 + -1 = 9999-12-31 23:59:59\n\
         198.51.100.30 \t2026-11-23 11:46:23 + 600 = 2026-11-23 11:56:23\n";
    let mut found = Found::default();
    fail2ban::add_lines(&mut found, "sshd", text, &clock()).unwrap();
    let rows = [
        "198.51.100.10,them: sshd,2026-11-23 11:56:22Z,them,2026-11-23 12:06:22Z,all",
        "198.51.100.20,them: sshd,2026-11-23 11:56:23Z,them,,all",
    ];
    check(&found, &rows, &["1 left out: is over already"]);

    let status = "Status\n|- Number of jail:\t2\n`- Jail list:\tasterisk, sshd\n";
    assert_eq!(fail2ban::jails(status), ["asterisk", "sshd"]);
    assert_eq!(fail2ban::jails("Status\n|- Number of jail:\t0\n`- Jail list:\t\n").len(), 0);
}

#[test]
fn whom_it_ignores() {
    let text = "These IP addresses/networks are ignored:\n|- 127.0.0.0/8\n|- 192.0.2.7/24\n\
         |- pbx.example.net\n|- 203.0.113.9\n`- ::1\n";
    let mut found = Found::default();
    fail2ban::add_ignored(&mut found, "sshd", text);
    fail2ban::add_ignored(&mut found, "x", "No IP address/network is ignored\n");
    let rows = [
        "192.0.2.0/24,them: ignored by sshd,2026-11-23 12:00:00Z,them,,all",
        "203.0.113.9,them: ignored by sshd,2026-11-23 12:00:00Z,them,,all",
    ];
    check(&found, &rows, &["1 left out: is a name, no address", "2 left out: is this host itself"]);
}

const DECISIONS: [&str; 2] = [
    "203.0.113.0/24,them: crowdsecurity/ssh-bf,{since},them,2026-11-24 11:59:57Z,all",
    "198.51.100.10,them: listed (cscli-import),{since},them,2026-11-23 15:59:57Z,all",
];

#[test]
fn decisions_as_cscli_prints_them() {
    let json = r#"[{"capacity": 0, "created_at": "2026-11-23T11:55:50Z", "decisions": [
        {"duration": "59m57.904336273s", "id": 4, "origin": "cscli", "scenario": "manual 'ban' from 'me'",
         "scope": "Country", "simulated": false, "type": "ban", "value": "KP"},
        {"duration": "59m57.90433385s", "id": 3, "origin": "cscli", "scenario": "manual 'captcha' from 'me'",
         "scope": "Ip", "simulated": false, "type": "captcha", "value": "2001:db8::5"},
        {"duration": "3h59m57.000000001s", "id": 1, "origin": "cscli-import", "scenario": "listed",
         "scope": "Ip", "simulated": false, "type": "ban", "value": "198.51.100.10"}],
        "events": null, "source": {"ip": "x"}},
        {"created_at": "2026-11-23T11:55:50Z", "decisions": null},
        {"created_at": "2026-11-23T11:55:50Z", "decisions": [
        {"duration": "-3m2.5s", "origin": "crowdsec", "scenario": "crowdsecurity/ssh-bf",
         "scope": "Range", "simulated": false, "type": "ban", "value": "192.0.2.0/24"},
        {"duration": "23h59m57s", "origin": "crowdsec", "scenario": "crowdsecurity/ssh-bf",
         "scope": "Range", "simulated": false, "type": "ban", "value": "203.0.113.9/24"},
        {"duration": "1h", "origin": "crowdsec", "scenario": "crowdsecurity/ssh-bf",
         "scope": "Ip", "simulated": true, "type": "ban", "value": "192.0.2.9"}]}]"#;
    let raw = "id,source,ip,reason,action,country,as,events_count,expiration,simulated,alert_id\n\
        4,cscli,Country:KP,manual 'ban' from 'me',ban,,,1,59m57.311701848s,false,4\n\
        3,cscli,Ip:2001:db8::5,manual 'captcha' from 'me',captcha,,,1,59m57.311699265s,false,3\n\
        2,crowdsec,Range:203.0.113.0/24,crowdsecurity/ssh-bf,ban,,,1,23h59m57.311698093s,false,2\n\
        1,cscli-import,Ip:198.51.100.10,listed,ban,,,1,3h59m57.311696821s,false,1\n\
        9,crowdsec,Ip:192.0.2.9,crowdsecurity/ssh-bf,ban,,,1,1h,true,1\n\
        9,crowdsec,Ip:192.0.2.8,crowdsecurity/ssh-bf,ban,,,1,-1h,false,1\n";
    let left_out = [
        "1 left out: is a country or a provider: see [geo]",
        "1 left out: is no ban",
        "1 left out: is only simulated",
        "1 left out: is over already",
    ];
    for (text, since) in [(json, "2026-11-23 11:55:50Z"), (raw, "2026-11-23 12:00:00Z")] {
        let mut rows = DECISIONS.map(|row| row.replace("{since}", since));
        rows.sort();
        let rows = rows.each_ref().map(String::as_str);
        check(&crowdsec::decisions(text, now(), now()).unwrap(), &rows, &left_out);
    }
}

#[test]
fn decisions_in_other_forms() {
    let flat = r#"[{"duration":"4h","id":1,"origin":"CAPI","scenario":"ssh:bruteforce","scope":"Ip",
        "type":"ban","value":"198.51.100.10"}]"#;
    let table =
        "duration,scope,value,reason,type,origin\n4h,ip,198.51.100.10,ssh:bruteforce,ban,CAPI\n";
    for text in [flat, table] {
        // Printed two hours ago.
        let found = crowdsec::decisions(text, "2026-11-23T10:00:00Z".parse().unwrap(), now());
        let row = "198.51.100.10,them: ssh:bruteforce (CAPI),2026-11-23 10:00:00Z,them,\
             2026-11-23 14:00:00Z,all";
        check(&found.unwrap(), &[row], &[]);
    }
    for empty in ["null", "", "[]", "id,source,ip,reason,action\n"] {
        assert!(crowdsec::decisions(empty, now(), now()).unwrap().is_empty(), "{empty:?}");
    }
    for wrong in ["{}", "a,b\n1,2\n", "ip,expiration\n192.0.2.1,tomorrow\n"] {
        assert!(crowdsec::decisions(wrong, now(), now()).is_err(), "{wrong:?}");
    }
}
