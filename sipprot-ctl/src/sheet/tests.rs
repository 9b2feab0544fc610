//! What spreadsheet programs save, and what people put into it.

use jiff::tz::TimeZone;

use super::*;
use crate::config::Scope;
use crate::store::{ListEntry, Origin};

/// Each row as `line network|note|time|by|expires|scope`, or `line field: what`.
fn read(text: &[u8]) -> Vec<String> {
    let shown = |wrong: Wrong| format!("{} {}: {}", wrong.line, wrong.field, wrong.what);
    let mut rows = match Rows::open(text, TimeZone::UTC) {
        Ok(rows) => rows,
        Err(wrong) => return vec![shown(wrong)],
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next_row() {
        found.push(row.map_or_else(shown, |row| {
            let time =
                |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
            format!(
                "{} {}|{}|{}|{}",
                row.line,
                row.network,
                row.note,
                time(row.time),
                row.added_by.unwrap_or_default()
            )
        }));
    }
    found
}

fn check(text: &str, expected: &[&str]) {
    check_bytes(text.as_bytes(), expected);
}

fn check_bytes(text: &[u8], expected: &[&str]) {
    assert_eq!(read(text), expected, "{:?}", String::from_utf8_lossy(text));
}

#[test]
fn files_that_are_right() {
    let seed = "IP_ADDRESS,NOTE,TIME,ADDED_BY \n\
                192.0.2.1,\"réseau privé interne\",2023-09-01 15:44:35,\"Ann (ann@example.com)\"\n";
    let row = "2 192.0.2.1/32|réseau privé interne|2023-09-01T15:44:35Z|Ann (ann@example.com)";
    check(seed, &[row]);
    check("ip address,Remarque\r\n192.0.2.0/24,\"a, b\"\r\n", &["2 192.0.2.0/24|a, b||"]);
    let french =
        "\u{feff}IP_ADDRESS;REMARQUE;TIME\n\n192.0.2.1;l'été;2026-02-28 15:44:35+02:00\n;;\n";
    check(french, &["3 192.0.2.1/32|l'été|2026-02-28T13:44:35Z|"]);
    check(
        "IP_ADDRESS\n2001:db8::/32\n::ffff:192.0.2.7\n",
        &["2 2001:db8::/32|||", "3 192.0.2.7/32|||"],
    );
    check("NOTE\tIP_ADDRESS\n\"a\nb\"\t192.0.2.1\n", &["2 NOTE: control characters"]);
    let paris = TimeZone::get("Europe/Paris").unwrap();
    let text = "IP_ADDRESS,TIME\n192.0.2.1,2026-07-01 12:00:00\n";
    let mut rows = Rows::open(text.as_bytes(), paris).unwrap();
    let row = rows.next_row().unwrap().unwrap();
    assert_eq!(row.time.unwrap().to_string(), "2026-07-01T10:00:00Z");
}

#[test]
fn rows_that_are_wrong() {
    let row = |row: &str, expected: &str| {
        check(&format!("IP_ADDRESS,NOTE,TIME,SCOPE\n{row}\n"), &[expected]);
    };
    row("192.0.2.300,", "2 IP_ADDRESS: \"192.0.2.300\" is neither an address nor a network");
    row("192.0.2.1/33,", "2 IP_ADDRESS: \"192.0.2.1/33\" is neither an address nor a network");
    row(
        "192.0.2.77/24,x",
        "2 IP_ADDRESS: 192.0.2.77/24: host bits are set; is 192.0.2.0/24 meant?",
    );
    row("0.0.0.0/0,x", "2 IP_ADDRESS: 0.0.0.0/0 is every address there is");
    row("::/0,x", "2 IP_ADDRESS: ::/0 is every address there is");
    row(",a note", "2 IP_ADDRESS: empty");
    row("192.0.2.1,a\x07b", "2 NOTE: control characters");
    row("192.0.2.1,a\u{202e}b", "2 NOTE: control characters");
    let long = format!("192.0.2.1,{}", "é".repeat(600));
    row(&long, "2 NOTE: 1200 bytes; at most 1024 are taken");
    let time = "2 TIME: expected a time such as 2026-02-28 15:44:35, found \"28/02/2026\"";
    row("192.0.2.1,,28/02/2026", time);
    row("192.0.2.1,,,ports", "2 SCOPE: expected all, sip, ssh or http, found \"ports\"");
    let cells = "2 row: 5 cells, and 4 columns: put a text with a ',' in it between quotes";
    row("192.0.2.1,a,2026-02-28 15:44:35,all,x", cells);
    let latin = b"IP_ADDRESS,NOTE\n192.0.2.1,\xe9t\xe9\n192.0.2.2,b\n";
    let not_utf8 = "2 NOTE: not UTF-8: save the file as CSV in UTF-8";
    check_bytes(latin, &[not_utf8, "3 192.0.2.2/32|b||"]);
}

#[test]
fn files_that_are_wrong() {
    check("", &["1 header: the file is empty"]);
    check("NOTE\nx\n", &["1 IP_ADDRESS: this column is missing"]);
    check("IP_ADDRESS,NOTE,REMARQUE\n", &["1 NOTE: this column is there twice"]);
    let known = "the columns are IP_ADDRESS, NOTE (or REMARQUE), TIME, ADDED_BY, EXPIRES and SCOPE";
    check("IP_ADDRESS,COLOUR\n", &[&format!("1 header: there is no column \"COLOUR\"; {known}")]);
    check("192.0.2.1,x\n", &[&format!("1 header: there is no column \"192.0.2.1\"; {known}")]);
    check_bytes(b"\xff\xfeI\0P\0", &["1 header: UTF-16: save the file as CSV in UTF-8"]);
    let open = format!("IP_ADDRESS,NOTE\n192.0.2.1,\"{}\n", "x\n".repeat(1 << 20));
    let found = read(open.as_bytes());
    assert!(found[0].ends_with("longer than 64 KiB: is a quote not closed?"), "{:.80?}", found[0]);
}

fn entry(note: &str, added_by: &str) -> ListEntry {
    ListEntry {
        network: "192.0.2.0/24".parse().unwrap(),
        list: List::Deny,
        endpoint: None,
        note: note.to_owned(),
        added_at: "2026-02-28T15:44:35Z".parse().unwrap(),
        added_by: added_by.to_owned(),
        expires_at: None,
        scope: Scope::All,
        origin: Origin::Manual,
    }
}

#[test]
fn formulas_are_harmless_in_a_file_and_come_back_as_they_were() {
    for (note, cell) in [
        ("=1+1", "'=1+1"),
        ("'=1+1", "''=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2", "'-2"),
        ("+33 1 23", "'+33 1 23"),
        ("it's plain", "it's plain"),
        ("'quoted'", "'quoted'"),
        ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
    ] {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, false).unwrap();
        writer.entry(&entry(note, "=ann")).unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(file.clone()).unwrap();
        let expected = format!(
            "IP_ADDRESS,NOTE,TIME,ADDED_BY\n192.0.2.0/24,{cell},2026-02-28 15:44:35Z,'=ann\n"
        );
        assert_eq!(text, expected);
        check_bytes(&file, &[&format!("2 192.0.2.0/24|{note}|2026-02-28T15:44:35Z|=ann")]);
    }
}

#[test]
fn ends_and_scopes_have_columns_where_they_are_needed() {
    let ends = ListEntry {
        expires_at: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        scope: Scope::Sip,
        ..entry("", "ann")
    };
    assert!(Writer::<Vec<u8>>::needs_wide(&ends));
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, true).unwrap();
    writer.entry(&ends).unwrap();
    writer.finish().unwrap();
    let mut rows = Rows::open(file.as_slice(), TimeZone::UTC).unwrap();
    let row = rows.next_row().unwrap().unwrap();
    assert_eq!((row.expires, row.scope), (ends.expires_at, Scope::Sip));
}

#[test]
fn templates_can_be_read() {
    for list in [List::Allow, List::Deny] {
        let found = read(template(list).as_bytes());
        assert!(found.len() == 2 && found[0].starts_with("2 192.0.2.1/32|"), "{found:?}");
    }
}
