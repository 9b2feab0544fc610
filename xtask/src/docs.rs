//! `cargo xtask docs`: the manual, from the Markdown in `docs` to the pages that the binary serves at /docs.
//!
//! What the binary knows itself (settings, commands, metrics) it adds when it is asked, into the same page.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::{process::say, workspace};

/// By this variable the controller's build script is told which pages to embed.
pub const VARIABLE: &str = "SIPPROT_DOCS";

/// In the order of the book, by their files.
const CHAPTERS: [&str; 18] = [
    "index",
    "first-hour",
    "night",
    "standalone",
    "virtualisation",
    "protections",
    "fleet",
    "rules",
    "notifications",
    "monitoring",
    "runbooks",
    "api",
    "nic",
    "blind-spots",
    "threats",
    "torture",
    "coming-from",
    "leaving",
];
/// Of the binary's own making.
const REFERENCE: [(&str, &str); 4] = [
    ("settings", "Every setting"),
    ("commands", "Every command"),
    ("metrics", "Every metric"),
    ("reasons", "Why a packet is dropped or passed"),
];
const TEMPLATE: &str = "page.html";
const STYLE: &str = "style.css";
const PICTURE: &str = "soak.svg";

pub fn docs() -> Result<()> {
    let into = build()?;
    say(format_args!("the manual is in {}", into.display()));
    Ok(())
}

/// The directory of the pages.
pub fn build() -> Result<PathBuf> {
    let from = workspace::root().join("docs");
    let into = workspace::target_dir().join("manual");
    fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
    let read = |name: &str| {
        fs::read_to_string(from.join(name)).with_context(|| format!("cannot read docs/{name}"))
    };
    let mut chapters = Vec::new();
    for name in CHAPTERS {
        let text = read(&format!("{name}.md"))?;
        let title = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let title = title.with_context(|| format!("docs/{name}.md begins with no title"))?;
        chapters.push((name, title.to_owned(), body(&text)));
    }
    let template = read(TEMPLATE)?.replace("{contents}", &contents(&chapters));
    ensure!(template.contains("{title}") && template.contains("{body}"), "nothing to fill in");
    put(&into.join(TEMPLATE), &template)?;
    for name in [STYLE, PICTURE] {
        put(&into.join(name), &read(name)?)?;
    }
    for (name, title, body) in &chapters {
        let page = template.replace("{title}", title).replace("{body}", body);
        put(&into.join(format!("{name}.html")), &page)?;
    }
    Ok(into)
}

fn contents(chapters: &[(&str, String, String)]) -> String {
    let line = |name: &str, title: &str| format!("<li><a href=\"{name}.html\">{title}</a></li>\n");
    let chapters = chapters.iter().map(|(name, title, _)| line(name, title));
    chapters.chain(REFERENCE.iter().map(|(name, title)| line(name, title))).collect()
}

/// Headings can be linked to by their words, as runbooks are.
fn body(text: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let mut at = 0;
    while at < events.len() {
        if matches!(events[at], Event::Start(Tag::Heading { .. })) {
            let words: String = events[at..]
                .iter()
                .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
                .filter_map(|event| match event {
                    Event::Text(text) | Event::Code(text) => Some(&**text),
                    _ => None,
                })
                .collect();
            if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
                *id = Some(CowStr::from(anchor(&words)));
            }
        }
        at += 1;
    }
    let mut page = String::new();
    html::push_html(&mut page, events.into_iter());
    page
}

fn anchor(words: &str) -> String {
    let words = words.to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Only if it is another one: who embeds it would be compiled again.
fn put(path: &std::path::Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_to_a_page() {
        let pages = CHAPTERS.into_iter().chain(REFERENCE.map(|(name, _)| name));
        let known: Vec<String> = pages.map(|name| format!("{name}.html")).collect();
        let mut links = 0;
        for chapter in CHAPTERS {
            let file = workspace::root().join("docs").join(format!("{chapter}.md"));
            let text = fs::read_to_string(&file).unwrap();
            for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
                let Event::Start(Tag::Link { dest_url: to, .. } | Tag::Image { dest_url: to, .. }) =
                    event
                else {
                    continue;
                };
                let page = to.split('#').next().unwrap_or_default();
                let is_here =
                    page.is_empty() || known.iter().any(|it| it == page) || page == PICTURE;
                assert!(to.contains("://") || is_here, "docs/{chapter}.md: {to}");
                links += 1;
            }
        }
        assert!(links > 0);
    }

    #[test]
    fn headings_are_anchors() {
        let page = body("# SipprotDown\n\n## `why` it is, so\n\n| a |\n|---|\n| b |\n");
        assert!(page.contains("<h1 id=\"sipprotdown\">"), "{page}");
        assert!(page.contains("<h2 id=\"why-it-is-so\">"), "{page}");
        assert!(page.contains("<td>b</td>"), "{page}");
    }
}
