//! Takes secrets out of texts that leave the host: those of the configuration wherever they stand, and whatever
//! looks like one. Pure.

use regex::{Captures, Regex};

use crate::config::{SECRET, is_secret};

/// Shorter values stand in too many innocent places.
const VALUE_MIN: usize = 6;

/// What a key is called whose value nobody shall see; an underscore or a dot may stand before it.
const NAMES: &str = "(?:[a-z0-9]+[._-])*(?:password|passwd|passphrase|secret|token|credentials?|api_?key|private_?key|signing_?key|hmac_?key)(?:s|_hash)?";

pub struct Scrub {
    values: Vec<String>,
    patterns: Vec<(Regex, &'static str)>,
}

impl Scrub {
    /// With the secrets of these configuration files.
    pub fn new(files: &[String]) -> Result<Self, regex::Error> {
        let mut values: Vec<String> = files.iter().flat_map(|text| secrets_of(text)).collect();
        values.retain(|value| value.len() >= VALUE_MIN);
        // A secret that holds another one goes first.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        let assigned =
            format!(r#"(?im)(["']?\b{NAMES}["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&]+)"#);
        let patterns = [
            (
                r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
                SECRET,
            ),
            (&*assigned, "${1}(not shown)"),
            (r"(?i)\b(authorization:\s*\w+)\s+[^\r\n]+", "${1} (not shown)"),
            (r"(?i)\b(cookie:)\s*[^\r\n]+", "${1} (not shown)"),
            (r"\bsipprot_[0-9a-f]{16,}\b", SECRET),
            (r"\bsha256:[0-9a-f]{64}\b", SECRET),
            (r"\$argon2[a-z]*\$[^\s]+", SECRET),
            (r"(://)[^/\s@]+@", "${1}(not shown)@"),
            // The rest of what a digest login is guessed from.
            (r#"(?i)\b(response|cnonce|nonce)="[^"]*""#, "${1}=(not shown)"),
        ];
        let patterns = patterns
            .into_iter()
            .map(|(pattern, shown)| Ok((Regex::new(pattern)?, shown)))
            .collect::<Result<_, regex::Error>>()?;
        Ok(Self { values, patterns })
    }

    pub fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            text = text.replace(value.as_str(), SECRET);
        }
        for (pattern, shown) in &self.patterns {
            text = pattern
                .replace_all(&text, |found: &Captures<'_>| {
                    let mut into = String::new();
                    found.expand(shown, &mut into);
                    into
                })
                .into_owned();
        }
        text
    }
}

/// The values of secret keys, as the table of keys calls them so; of a file that can't be read nothing.
fn secrets_of(text: &str) -> Vec<String> {
    let Ok(document) = text.parse::<toml_edit::DocumentMut>() else { return Vec::new() };
    let mut found = Vec::new();
    walk("", document.as_item(), &mut found);
    found
}

fn walk(path: &str, item: &toml_edit::Item, found: &mut Vec<String>) {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(tables) = item.as_array_of_tables() {
        for table in tables {
            for (name, item) in table.iter() {
                walk(&format!("{path}[x].{name}"), item, found);
            }
        }
    } else if let Some(table) = item.as_table_like() {
        for (name, item) in table.iter() {
            walk(&below(name), item, found);
        }
    } else if is_secret(path)
        && let Some(value) = item.as_value()
    {
        match value.as_array() {
            Some(all) => found.extend(all.iter().filter_map(|it| it.as_str().map(str::to_owned))),
            None => found.extend(value.as_str().map(str::to_owned)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let hash = format!("sha256:{}", "ab".repeat(32));
        let config = format!("[[endpoint]]\nname = \"pbx1\"\nlog_token = \"{hash}\"\n");
        let scrub = Scrub::new(&[config]).unwrap();
        let check = |text: &str, expected: &str| assert_eq!(scrub.scrub(text), expected, "{text}");
        check(&format!("of {}.", hash), "of (not shown).");
        check("smtp.password = \"hunter2\" # ours", "smtp.password = (not shown) # ours");
        check("#password = 'x'", "#password = (not shown)");
        check("{\"secret\":\"a\\\"b\",\"port\":1}", "{\"secret\":(not shown),\"port\":1}");
        check("GET /hook?token=abc&x=1", "GET /hook?token=(not shown)&x=1");
        check("https://ann:pw@lists.example/x", "https://(not shown)@lists.example/x");
        check(
            "Authorization: Digest username=\"1\", response=\"0\"",
            "Authorization: Digest (not shown)",
        );
        check("sipprot_0123456789abcdef0123", "(not shown)");
        check("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", "(not shown)");
        check(
            "-----BEGIN EC PRIVATE KEY-----\nab\n-----END EC PRIVATE KEY-----\n",
            "(not shown)\n",
        );
        // Nothing secret.
        for text in [
            "sipprot_packets_total{endpoint=\"host\",reason=\"other\"} 1",
            "tls_key = \"/etc/sipprot/key.pem\"",
            "register_limit = 10",
            "blocked 198.51.100.7 for 1h: 1000@192.0.2.11",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn what_a_key_names_goes_wherever_it_stands() {
        let token = "sha256-of-something";
        let config = format!("[[endpoint]]\nname = \"a\"\nlog_token = \"{token}\"\n");
        let scrub = Scrub::new(&[config]).unwrap();
        assert_eq!(scrub.scrub(&format!("x{token}y")), "x(not shown)y");
    }
}
