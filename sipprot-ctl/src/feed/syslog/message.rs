//! One syslog message, as in RFC 5424 or as it was before (RFC 3164): who wrote it, and what.

use std::borrow::Cow;

use crate::feed::filter::prelude;

/// Where our token stands in structured data; the number is the one kept for documentation (RFC 5612).
const TOKEN_ELEMENT: &str = "sipprot@32473";
const PRIORITY_MAX: u16 = 191;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Without its directory.
    pub program: &'a str,
    pub text: &'a str,
    pub token: Option<Cow<'a, str>>,
}

/// None for what is no syslog message.
pub fn read(line: &str) -> Option<Message<'_>> {
    let (priority, rest) = line.strip_prefix('<')?.split_once('>')?;
    let plain = !priority.is_empty() && priority.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || !priority.parse::<u16>().is_ok_and(|it| it <= PRIORITY_MAX) {
        return None;
    }
    match rest.strip_prefix("1 ") {
        Some(rest) => modern(rest),
        None => {
            let prelude = prelude::split(rest).or_else(|| prelude::after_host(rest))?;
            let text = prelude.text.trim_end_matches(['\n', '\0']);
            Some(Message { program: prelude.program, text, token: None })
        }
    }
}

/// Time, host, program, process, message's name, structured data, text.
fn modern(rest: &str) -> Option<Message<'_>> {
    let mut words = rest.splitn(6, ' ');
    let (_time, _host, program) = (words.next()?, words.next()?, words.next()?);
    let (_process, _name, rest) = (words.next()?, words.next()?, words.next()?);
    let (token, text) = structured(rest)?;
    let text = text.strip_prefix(' ').unwrap_or(text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end_matches('\n');
    let program = program.rsplit('/').next().unwrap_or(program);
    Some(Message { program, text, token })
}

/// The token, if there is one, and what follows the structured data.
fn structured(text: &str) -> Option<(Option<Cow<'_, str>>, &str)> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some((None, rest));
    }
    let (mut token, mut rest) = (None, text);
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']'])?;
        let (name, mut parameters) = element.split_at(end);
        while let Some(parameter) = parameters.strip_prefix(' ') {
            let (key, value) = parameter.split_once("=\"")?;
            let end = closing_quote(value)?;
            if (name, key) == (TOKEN_ELEMENT, "token") {
                token = Some(unescaped(&value[..end]));
            }
            parameters = &value[end + 1..];
        }
        rest = parameters.strip_prefix(']')?;
    }
    (rest.len() < text.len()).then_some((token, rest))
}

fn closing_quote(value: &str) -> Option<usize> {
    let mut escaped = false;
    value.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Of `"`, `\` and `]`.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return value.into();
    }
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(next) = characters.next() {
        text.push(if next == '\\' { characters.next().unwrap_or(next) } else { next });
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `program|text|token`.
    fn check(line: &str, expected: Option<&str>) {
        let found = read(line).map(|it| {
            format!("{}|{}|{}", it.program, it.text, it.token.as_deref().unwrap_or_default())
        });
        assert_eq!(found.as_deref(), expected, "{line}");
    }

    #[test]
    fn modern_ones() {
        let head = "<34>1 2026-11-22T17:21:03.000Z pbx1 asterisk 99 -";
        check(&format!("{head} - hello"), Some("asterisk|hello|"));
        check(&format!("{head} - \u{feff}hello\n"), Some("asterisk|hello|"));
        check(&format!("{head} -"), Some("asterisk||"));
        check(
            &format!("{head} [a@1 x=\"y\"][sipprot@32473 token=\"t\\\"o\\]k\"] hello"),
            Some("asterisk|hello|t\"o]k"),
        );
        check(
            &format!("{head} [meta] [sipprot@32473 token=\"forged\"] hello"),
            Some("asterisk|[sipprot@32473 token=\"forged\"] hello|"),
        );
        check(&format!("{head} [a@1 x=\"y] hello"), None);
        check(&format!("{head} hello"), None);
        check("<34>1 2026 pbx1", None);
    }

    #[test]
    fn older_ones() {
        check("<34>Nov 22 17:21:03 pbx1 sshd[99]: hello", Some("sshd|hello|"));
        check("<34>2026-11-22T17:21:03+00:00 pbx1 sshd[99]: hello\n", Some("sshd|hello|"));
        check("<34>sshd[99]: hello", Some("sshd|hello|"));
        check("<34>hello", None);
        for wrong in ["hello", "<>a: b", "<x>a: b", "<192>a: b", "<-1>a: b", "<99999>a: b", ""] {
            check(wrong, None);
        }
    }
}
