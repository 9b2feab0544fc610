//! From a notice to texts, by templates: those in the binary, or the operator's in their place.
//!
//! Names that end in `.html` and `.json` are escaped for that; whoever attacks chooses user agents.

use std::path::Path;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, context};

use super::notice::Notice;
use super::words::words;
use crate::config::{Language, Notify, WebhookFormat};
use crate::message::clean;

/// By name.
pub const TEMPLATES: [(&str, &str); 9] = [
    ("subject.txt", include_str!("templates/subject.txt")),
    ("mail.txt", include_str!("templates/mail.txt")),
    ("mail.html", include_str!("templates/mail.html")),
    ("short.txt", include_str!("templates/short.txt")),
    ("webhook-json.json", include_str!("templates/webhook-json.json")),
    ("webhook-slack.json", include_str!("templates/webhook-slack.json")),
    ("webhook-teams.json", include_str!("templates/webhook-teams.json")),
    ("webhook-telegram.json", include_str!("templates/webhook-telegram.json")),
    ("webhook-ntfy.txt", include_str!("templates/webhook-ntfy.txt")),
];

/// Bytes of a template of one's own.
const TEMPLATE_MAX: u64 = 256 << 10;
const SUBJECT_MAX: usize = 200;

pub struct Renderer {
    environment: Environment<'static>,
    language: Language,
    chat: String,
    /// What is wrong with templates of one's own; in their place those of the binary serve.
    pub complaints: Vec<String>,
}

impl Renderer {
    pub fn new(settings: &Notify) -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("html") => AutoEscape::Html,
            Some("json") => AutoEscape::Json,
            _ => AutoEscape::None,
        });
        environment.add_filter("clock", clock);
        let mut complaints = Vec::new();
        for (name, built_in) in TEMPLATES {
            let own = settings.templates.as_deref().map(|directory| own(directory, name));
            if let Some(Some(Err(what))) = &own {
                complaints.push(what.clone());
            }
            let text = own.flatten().and_then(Result::ok);
            let added = text.is_some_and(|text| {
                let added = environment.add_template_owned(name, text);
                if let Err(error) = &added {
                    complaints.push(format!("notify.templates: {name}: {error}"));
                }
                added.is_ok()
            });
            if !added && let Err(error) = environment.add_template(name, built_in) {
                complaints.push(format!("{name}: {error}"));
            }
        }
        let (language, chat) = (settings.language, settings.webhook.chat.clone());
        Self { environment, language, chat, complaints }
    }

    pub fn subject(&self, notice: &Notice) -> Result<String, String> {
        let text = self.render("subject.txt", notice)?;
        Ok(clean(text.trim().as_bytes(), SUBJECT_MAX))
    }

    /// Plain text, and HTML.
    pub fn mail(&self, notice: &Notice) -> Result<(String, String), String> {
        Ok((self.render("mail.txt", notice)?, self.render("mail.html", notice)?))
    }

    pub fn webhook(&self, notice: &Notice, format: WebhookFormat) -> Result<String, String> {
        let name = match format {
            WebhookFormat::Json => "webhook-json.json",
            WebhookFormat::Slack => "webhook-slack.json",
            WebhookFormat::Teams => "webhook-teams.json",
            WebhookFormat::Telegram => "webhook-telegram.json",
            WebhookFormat::Ntfy => "webhook-ntfy.txt",
        };
        self.render(name, notice)
    }

    fn render(&self, name: &str, notice: &Notice) -> Result<String, String> {
        let facts = context! {
            n => Value::from(Serde(notice)),
            t => Value::from(Serde(words(self.language))),
            chat => self.chat.as_str(),
        };
        let told = |error: minijinja::Error| format!("template {name}: {error}");
        // The subject, and what a short message says, for templates that hold them.
        let text = |of: &str| {
            let template = self.environment.get_template(of).map_err(told)?;
            Ok::<_, String>(template.render(facts.clone()).map_err(told)?.trim().to_owned())
        };
        if matches!(name, "subject.txt" | "short.txt") {
            return text(name);
        }
        let (subject, short) = (text("subject.txt")?, text("short.txt")?);
        let template = self.environment.get_template(name).map_err(told)?;
        template.render(context! { subject, short, ..facts.clone() }).map_err(told)
    }
}

/// None where there is no such file.
fn own(directory: &Path, name: &str) -> Option<Result<String, String>> {
    let path = directory.join(name);
    let size = std::fs::metadata(&path).ok()?.len();
    if size > TEMPLATE_MAX {
        let what = format!("notify.templates: {} is larger than 256 KiB", path.display());
        return Some(Err(what));
    }
    let read = std::fs::read_to_string(&path);
    Some(read.map_err(|error| format!("notify.templates: {}: {error}", path.display())))
}

/// Unix seconds by the host's clock.
fn clock(seconds: i64) -> Result<String, minijinja::Error> {
    let time = jiff::Timestamp::from_second(seconds)
        .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let time = time.to_zoned(jiff::tz::TimeZone::system());
    Ok(time.strftime("%Y-%m-%d %H:%M:%S %Z").to_string())
}
