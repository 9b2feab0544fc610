//! Every route of lists, blocks and reports against what makes no sense: refused, with the field that is wrong.

use super::*;

/// Method, path below the API, body, field.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("POST", "/lists/deny", r#"{"network":5}"#, "network"),
    ("POST", "/lists/deny", r#"{"network":"192.0.2.0/33"}"#, "network"),
    ("POST", "/lists/deny", r#"{"network":"192.0.2.1","scope":"everything"}"#, "scope"),
    ("POST", "/lists/deny", r#"{"network":"192.0.2.1","expires_in_s":-1}"#, "expires_in_s"),
    ("POST", "/lists/deny", r#"{"network":"192.0.2.1","note":["a"]}"#, "note"),
    ("POST", "/lists/deny", r#"{"network":"192.0.2.1","note":null}"#, "note"),
    ("POST", "/lists/deny", r#"{"network":"192.0.2.1"} more"#, "body"),
    ("POST", "/lists/deny", "[]", "body"),
    ("POST", "/lists/deny", "", "body"),
    ("PATCH", "/lists/deny", r#"{"note":"n"}"#, "network"),
    ("PATCH", "/lists/deny", r#"{"network":"192.0.2.1","to":"nowhere"}"#, "to"),
    ("PATCH", "/lists/deny", r#"{"network":"192.0.2.1","version":7}"#, "version"),
    ("PATCH", "/lists/deny", r#"{"network":"192.0.2.1","added_at":7}"#, "added_at"),
    ("DELETE", "/lists/deny", "", "query"),
    ("DELETE", "/lists/deny?network=banana", "", "network"),
    ("POST", "/lists/deny/delete", r#"{"networks":"192.0.2.1"}"#, "networks"),
    ("POST", "/lists/deny/delete", r#"{"networks":["192.0.2.1","x"]}"#, "networks[1]"),
    ("POST", "/lists/deny/delete", r#"{"all":"yes"}"#, "all"),
    ("POST", "/lists/deny/delete", r#"{"networks":["192.0.2.1"],"all":true}"#, "networks"),
    ("POST", "/lists/deny/delete", r#"{"networks":["192.0.2.1"],"dry_run":true}"#, "dry_run"),
    ("POST", "/lists/deny/move", r#"{"networks":["192.0.2.1"]}"#, "to"),
    ("POST", "/lists/deny/move", r#"{"networks":["192.0.2.1"],"to":"grey"}"#, "to"),
    ("POST", "/lists/deny/aggregate", r#"{"dry_run":"yes"}"#, "dry_run"),
    ("POST", "/lists/deny/import?zone=UTC&dry_run=perhaps", "IP_ADDRESS\n", "query"),
    ("GET", "/lists/deny?sort=colour", "", "query"),
    ("GET", "/lists/deny?covers=192.0.2.0%2F24", "", "query"),
    ("GET", "/lists/deny?reverse=maybe", "", "query"),
    ("GET", "/lists/deny?expires=soon", "", "query"),
    ("GET", "/lists/deny?limit=-1", "", "query"),
    ("GET", "/lists/deny?offset=18446744073709551616", "", "query"),
    ("GET", "/lists/deny?colour=red", "", "query"),
    ("GET", "/trust?sort=colour", "", "query"),
    ("GET", "/peers?covers=x", "", "query"),
    ("GET", "/blocklists?limit=x", "", "query"),
    ("GET", "/blocks?kind=static", "", "query"),
    ("DELETE", "/blocks?kind=static", "", "query"),
    ("DELETE", "/blocks/192.0.2.0%2F24", "", "address"),
    ("POST", "/blocks", r#"{"address":"192.0.2.0/24"}"#, "address"),
    ("POST", "/blocks", r#"{"address":"192.0.2.1","duration_s":1.5}"#, "duration_s"),
    ("POST", "/blocks/deny", r#"{"addresses":["192.0.2.1/32"]}"#, "addresses[0]"),
    ("POST", "/blocks/deny", r#"{"addresses":null}"#, "addresses"),
    ("POST", "/peers", r#"{"network":"192.0.2.1","rate":"fast"}"#, "rate"),
    // A struct whose fields may all be left out.
    ("POST", "/learn", "[]", "body"),
    ("POST", "/service/stop", " [true]", "body"),
    ("GET", "/report?days=-1", "", "query"),
    ("GET", "/report?from=2026-02-30", "", "query"),
    ("GET", "/report?sort=colour", "", "query"),
    ("GET", "/report/csv?limit=x", "", "query"),
    ("GET", "/report/abuse/nobody", "", "address"),
];

#[tokio::test]
async fn the_wrong_field_is_named() {
    for (method, path, body, field) in WRONG {
        let named = format!("\"field\":\"{field}\"");
        check(method, &format!("/api/v1{path}"), body, 400, &named).await;
    }
}

#[tokio::test]
async fn nothing_huge_is_taken() {
    let note = "x".repeat(1 << 20);
    let huge = format!(r#"{{"network":"192.0.2.1","note":"{note}"}}"#);
    for (method, path) in [
        ("POST", "/lists/deny"),
        ("PATCH", "/lists/deny"),
        ("POST", "/lists/deny/delete"),
        ("POST", "/lists/deny/move"),
        ("POST", "/lists/deny/aggregate"),
        ("POST", "/blocks"),
        ("POST", "/blocks/deny"),
        ("POST", "/peers"),
    ] {
        check(method, &format!("/api/v1{path}"), &huge, 413, r#""field":"body""#).await;
    }
}
