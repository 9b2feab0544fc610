//! The pages of the manual that the program can write by itself: settings, commands, metrics, reasons. What they
//! say is what is in force in this build, so that it can't be out of date.

use std::fmt::Write as _;

use clap::Command;
use serde_json::Value;
use sipprot_common::reason::{Class, Reason};

use crate::cli;
use crate::config::schema;
use crate::metrics::Metrics;

/// Title and body of a page, if it is one of these.
pub fn page(name: &str) -> Option<(&'static str, String)> {
    match name {
        "settings" => Some(("Every setting", settings())),
        "commands" => Some(("Every command", commands())),
        "metrics" => Some(("Every metric", metrics())),
        "reasons" => Some(("Why a packet is dropped or passed", reasons())),
        _ => None,
    }
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The first cell of each row is code.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let row = |tag: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!("<{tag}>{cell}</{tag}>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let mut text = String::from("<table>\n");
    text += &row("th", &mut head.iter().map(|cell| escaped(cell)));
    for cells in rows {
        let mut cells = cells.into_iter().enumerate().map(|(at, cell)| match at {
            0 => format!("<code>{}</code>", escaped(&cell)),
            _ => escaped(&cell),
        });
        text += &row("td", &mut cells);
    }
    text + "</table>\n"
}

fn settings() -> String {
    let schema = serde_json::to_value(schema()).unwrap_or_default();
    let list = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
    let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut text = String::from(
        "<h1>Every setting</h1>\n<p>In <code>/etc/sipprot/sipprot.toml</code>, in files beside it in \
         <code>sipprot.d</code>, by <code>sipprot config set</code>, or in the dashboard.</p>\n",
    );
    for section in list("sections") {
        let name = section["name"].as_str().unwrap_or_default();
        let shown = match (name, section["named"].as_bool()) {
            ("", _) => "The host".to_owned(),
            (name, Some(true)) => format!("[[{name}]]"),
            (name, _) => format!("[{name}]"),
        };
        let help = section["help"]["en"].as_str().unwrap_or_default();
        let _ = write!(text, "<h2>{}</h2>\n<p>{}</p>\n", escaped(&shown), escaped(help));
        let rows = list("settings").into_iter().filter(|it| it["section"] == name).map(|it| {
            let default =
                if it["default"].is_null() { String::new() } else { said(&it["default"]) };
            let unit = it["unit"].as_str().map(|unit| format!(" ({unit})")).unwrap_or_default();
            let help = it["help"]["en"].as_str().unwrap_or_default();
            let expected = it["expected"].as_str().unwrap_or_default();
            vec![said(&it["key"]), help.to_owned(), format!("{expected}{unit}"), default]
        });
        text +=
            &table(&["key", "meaning", "takes", "default"], rows.collect::<Vec<_>>().into_iter());
    }
    text
}

fn commands() -> String {
    let mut command = cli::command();
    command.build();
    let mut text = String::from("<h1>Every command</h1>\n");
    describe(&command, &mut text);
    text += "<h2>Exit codes</h2>\n";
    let codes = cli::EXIT_CODES.iter();
    text + &table(
        &["code", "meaning"],
        codes.map(|(code, meaning)| vec![code.to_string(), (*meaning).to_owned()]),
    )
}

fn describe(command: &Command, text: &mut String) {
    let mut shown = command.clone();
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let help = shown.render_long_help().to_string();
    let _ = write!(text, "<h2>{}</h2>\n<pre>{}</pre>\n", escaped(name), escaped(help.trim_end()));
    let verbs = command.get_subcommands();
    for verb in verbs.filter(|it| !it.is_hide_set() && it.get_name() != "help") {
        describe(verb, text);
    }
}

fn metrics() -> String {
    let described =
        Metrics::new("").map(|metrics| metrics.described().to_vec()).unwrap_or_default();
    let rows = described
        .into_iter()
        .map(|it| vec![it.name, it.kind.to_owned(), it.labels.join(", "), it.help]);
    "<h1>Every metric</h1>\n".to_owned() + &table(&["name", "type", "labels", "meaning"], rows)
}

fn reasons() -> String {
    let rows = Reason::ALL.iter().map(|reason| {
        let verdict = match reason.class() {
            Class::Drop => "dropped",
            Class::Pass => "passed",
            Class::Fault => "passed: it can't be judged",
        };
        vec![reason.label().to_owned(), verdict.to_owned(), reason.help().to_owned()]
    });
    "<h1>Why a packet is dropped or passed</h1>\n<p>The label <code>reason</code> of \
     <code>sipprot_packets_total</code>, and of what <code>sipprot check</code> counts.</p>\n"
        .to_owned()
        + &table(&["reason", "verdict", "meaning"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Rule, RuleId};

    #[test]
    fn each_page_has_what_is_in_force() {
        let check = |name: &str, expected: &str| {
            let (_, text) = page(name).unwrap();
            assert!(text.contains(expected), "{name}: no {expected}");
            assert_eq!(text.matches("<table>").count(), text.matches("</table>").count());
        };
        check("settings", "<code>rules.register_limit</code>");
        check("settings", "<h2>[[endpoint]]</h2>");
        check("commands", "<h2>sipprot deny add</h2>");
        check("commands", "--note &lt;NOTE&gt;");
        check("metrics", "<code>sipprot_log_healthy</code>");
        check("reasons", "<code>denied</code>");
        assert!(page("index").is_none());
    }

    /// The page of rules, written by hand, has each rule and each key with what is in force.
    #[test]
    fn every_rule_and_its_default() {
        let page = include_str!("../../docs/rules.md");
        let check = |what: &str, expected: &str| {
            let line = page.lines().find(|line| line.contains(what));
            let line = line.unwrap_or_else(|| panic!("docs/rules.md has no {what}"));
            assert!(line.contains(expected), "{what}: {expected} in {line}");
        };
        for rule in Rule::defaults() {
            check(&format!("| `{}` |", rule.id.signature()), &format!("| {} |", rule.limit));
        }
        check(RuleId::KernelAttempts.signature(), "rules.register_limit");
        for setting in schema().settings.iter().filter(|it| it.key.starts_with("rules.")) {
            let default = serde_json::to_string(&setting.default).unwrap();
            check(&format!("`{}`", setting.key), default.trim_matches('"'));
        }
    }
}
