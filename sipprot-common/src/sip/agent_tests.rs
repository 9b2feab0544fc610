//! Patterns against values, and how both may be written.

use super::super::Header;
use super::*;

const PATTERNS: &[&str] = &[
    "friendly-scanner",
    "SIPVicious",
    "a-pattern-of-thirty-two-bytes-xy",
    "=smap",
    "=Two Words",
    "*Mass*",
    "*aaab*",
    "*a-substring-of-thirty-two-bytes-*",
];

fn list(patterns: &[&str]) -> Box<UserAgents> {
    let mut list = Box::new(UserAgents::EMPTY);
    for text in patterns {
        list.add(UserAgentPattern::parse(text).unwrap());
    }
    list
}

fn lists(header: &str, patterns: &[&str]) -> bool {
    let list = list(patterns);
    let mut text = Box::new(Text::EMPTY);
    let length =
        text.fill(format!("OPTIONS sip:x SIP/2.0\r\n{header}\r\nX: smap\r\n\r\n").as_bytes());
    let mut scan = Scan::default();
    scan.run(&text, length, false);
    assert!(scan.place(Header::UserAgent).is_some());
    AgentMatch::default().listed(&Agents { text: &text, length, scan: &scan, list: &list })
}

fn check(header: &str, expected: bool) {
    assert_eq!(lists(header, PATTERNS), expected, "{header:?}");
}

#[test]
fn prefixes_without_case() {
    check("User-Agent: friendly-scanner", true);
    check("user-agent : Friendly-Scanner 1.0", true);
    check("User-Agent:\r\n sipvicious", true);
    check("User-Agent: a-pattern-of-thirty-two-bytes-xyz", true);
    check("User-Agent: a-pattern-of-thirty-two-bytes-zz", false);
    check("User-Agent: friendly", false);
    check("User-Agent: Yealink SIP-T46S 66.85.0.5", false);
    check("User-Agent: x friendly-scanner", false);
}

#[test]
fn an_empty_value_is_not_the_next_line() {
    check("User-Agent:", false);
    check("User-Agent: \r\nsmap", false);
    check("User-Agent:\nsipvicious: 1", false);
    check("User-Agent:\r\n \r\n smap", true);
}

#[test]
fn exact_values_without_what_surrounds_them() {
    for value in
        ["smap", "SMAP", "smap \t ", "\r\n smap\r\n ", "smap\0", "two words", "Two \t words"]
    {
        check(&format!("User-Agent: {value}"), true);
    }
    check("User-Agent: two\r\n words", true);
    for value in ["smap 1", "smapp", "sma", "xsmap", "smap\r\n x", "twowords", "s map"] {
        check(&format!("User-Agent: {value}"), false);
    }
}

#[test]
fn substrings_at_any_place_of_the_window() {
    for before in 0..=WINDOW - 4 {
        check(&format!("User-Agent: {}mASs", "x".repeat(before)), true);
        check(&format!("User-Agent: {}aaab behind", "a".repeat(before)), true);
        check(&format!("User-Agent: {}mas s", "x".repeat(before)), false);
        check(&format!("User-Agent: {}", "a".repeat(before)), false);
    }
    for before in 0..=WINDOW - 32 {
        let value = format!("{}A-substring-of-thirty-two-bytes-", "y".repeat(before));
        check(&format!("User-Agent: {value}"), true);
        check(&format!("User-Agent: {}", &value[..value.len() - 1]), false);
    }
}

#[test]
fn nothing_behind_the_window_is_read() {
    check(&format!("User-Agent: {}mass", "x".repeat(WINDOW - 3)), false);
    check(&format!("User-Agent: {}mass", "x".repeat(500)), false);
    check(&format!("User-Agent: {}smap", " ".repeat(500)), true);
}

#[test]
fn as_many_as_fit() {
    let texts: Vec<_> = (0..USER_AGENTS_MAX)
        .map(|n| match n % 3 {
            0 => format!("prefix{n:02}"),
            1 => format!("=exact{n:02}"),
            _ => format!("*aaaaab{n:02}*"),
        })
        .collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    for text in &texts {
        let value = text.trim_matches(['=', '*']);
        assert!(lists(&format!("User-Agent: {value}"), &texts), "{text}");
    }
    // What takes most steps is still read to the end of the list.
    let worst = [vec!["*aaaaab*"; USER_AGENTS_MAX - 1], vec!["*ab*c*"]].concat();
    assert!(lists(&format!("User-Agent: {}b*c", "a".repeat(61)), &worst));
}

#[test]
fn patterns_have_limits() {
    for wrong in ["", "=", "**", "*ab*", &"x".repeat(33), &format!("={}", "x".repeat(33))] {
        assert!(UserAgentPattern::parse(wrong).is_none(), "{wrong}");
    }
    let kind = |text: &str| UserAgentPattern::parse(text).unwrap().kind;
    assert_eq!([kind("=x"), kind("*abc*"), kind("abc"), kind("*abc")], [1, 2, 0, 0]);
}
