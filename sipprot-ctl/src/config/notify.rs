//! Who is told of what, and by which way.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::Text;
use super::values::{Choice, choices};

choices! {
    #[derive(Default)]
    Language {
        #[default]
        English = "en",
        French = "fr",
    }
}

choices! {
    /// How much something matters.
    #[derive(Default)]
    Severity {
        Info = "info",
        #[default]
        Warning = "warning",
        Critical = "critical",
    }
}

choices! {
    /// By which way mail leaves.
    #[derive(Default)]
    MailWay {
        #[default]
        Off = "off",
        Smtp = "smtp",
        Sendmail = "sendmail",
    }
}

choices! {
    #[derive(Default)]
    MailSecurity {
        #[default]
        StartTls = "starttls",
        Tls = "tls",
        /// In clear text.
        Off = "none",
    }
}

choices! {
    /// What a webhook's receiver reads.
    #[derive(Default)]
    WebhookFormat {
        #[default]
        Json = "json",
        Slack = "slack",
        Teams = "teams",
        Telegram = "telegram",
        Ntfy = "ntfy",
    }
}

/// All that concerns notifications.
#[derive(Clone, PartialEq, Debug)]
pub struct Notify {
    pub enabled: bool,
    pub language: Language,
    pub attacks: bool,
    /// Between two messages of attacks; what comes meanwhile goes into the next one.
    pub attack_every: Duration,
    pub summary: bool,
    /// `HH:MM`.
    pub summary_at: String,
    pub severity: Severity,
    /// `HH:MM-HH:MM`; empty for none.
    pub quiet_hours: String,
    /// Times the usual.
    pub surge_factor: u32,
    pub surge_least: u32,
    /// Of packets.
    pub surge_drops: u32,
    pub retry_after: Duration,
    pub retry_longest: Duration,
    pub give_up_after: Duration,
    pub templates: Option<PathBuf>,
    pub mail: Mail,
    pub webhook: Webhook,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            enabled: false,
            language: Language::default(),
            attacks: true,
            attack_every: Duration::from_secs(3600),
            summary: true,
            summary_at: "07:00".to_owned(),
            severity: Severity::default(),
            quiet_hours: String::new(),
            surge_factor: 10,
            surge_least: 30,
            surge_drops: 60_000,
            retry_after: Duration::from_secs(30),
            retry_longest: Duration::from_secs(15 * 60),
            give_up_after: Duration::from_secs(3 * 86_400),
            templates: None,
            mail: Mail::default(),
            webhook: Webhook::default(),
        }
    }
}

impl Notify {
    pub fn summary_time(&self) -> Time {
        time_of_day(&self.summary_at).unwrap_or(Time::MIN)
    }

    /// Whether this is a time at which only what can't wait is told.
    pub fn is_quiet(&self, now: Time) -> bool {
        match quiet_hours(&self.quiet_hours) {
            Some((from, to)) if from <= to => from <= now && now < to,
            Some((from, to)) => from <= now || now < to,
            None => false,
        }
    }
}

impl Notify {
    /// Keys that don't go together, the one to be named first.
    pub(super) fn contradictions(&self) -> Vec<(&'static [&'static str], &'static str)> {
        let (mail, hook) = (&self.mail, &self.webhook);
        let mut all: Vec<(&'static [&'static str], &'static str)> = Vec::new();
        if self.enabled && mail.way == MailWay::Off && hook.url.is_none() {
            all.push((
                &["notify.enabled"],
                "nobody can be told: neither mail.way nor webhook.url is set",
            ));
        }
        let has_password = !mail.password.is_empty() || mail.password_file.is_some();
        if mail.user.is_empty() == has_password {
            let keys: &[&str] = &["mail.user", "mail.password", "mail.password_file"];
            all.push((keys, "a user and a password: both or neither"));
        }
        if !mail.password.is_empty() && mail.password_file.is_some() {
            all.push((
                &["mail.password_file", "mail.password"],
                "mail.password is set too: which of them?",
            ));
        }
        let is_here = ["localhost", "127.0.0.1", "::1"].contains(&mail.server.as_str());
        if mail.security == MailSecurity::Off && has_password && !is_here {
            let keys: &[&str] = &["mail.security", "mail.server"];
            all.push((keys, "the password would go to another host in clear text"));
        }
        if hook.format == WebhookFormat::Telegram && hook.chat.is_empty() {
            all.push((&["webhook.chat", "webhook.format"], "Telegram wants to know the chat"));
        }
        if self.retry_longest < self.retry_after {
            let keys: &[&str] = &["notify.retry_longest", "notify.retry_after"];
            all.push((keys, "shorter than notify.retry_after"));
        }
        all
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Mail {
    pub way: MailWay,
    pub recipients: Vec<String>,
    /// Empty: `sipprot@` and the host's name.
    pub from: String,
    pub server: String,
    pub port: u32,
    pub security: MailSecurity,
    /// Empty: nobody logs in.
    pub user: String,
    pub password: String,
    /// In place of `password`.
    pub password_file: Option<PathBuf>,
    /// Who signed the server's certificate, beside the well-known authorities.
    pub authority: Option<PathBuf>,
    pub sendmail: PathBuf,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            way: MailWay::default(),
            recipients: vec!["root".to_owned()],
            from: String::new(),
            server: "localhost".to_owned(),
            port: 587,
            security: MailSecurity::default(),
            user: String::new(),
            password: String::new(),
            password_file: None,
            authority: None,
            sendmail: PathBuf::from("/usr/sbin/sendmail"),
        }
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Webhook {
    pub url: Option<String>,
    pub format: WebhookFormat,
    /// Signs what is sent; empty: nothing does.
    pub secret: String,
    /// Of Telegram.
    pub chat: String,
}

pub(super) const TIME_OF_DAY: Text = Text {
    expected: "a time of the day such as \"07:00\"",
    holds: |text| time_of_day(text).is_some(),
};

pub(super) const QUIET_HOURS: Text = Text {
    expected: "two times of the day such as \"22:00-07:00\", or \"\" for none",
    holds: |text| text.is_empty() || quiet_hours(text).is_some(),
};

pub(super) const RECIPIENT: Text =
    Text { expected: "a mail address, or the name of a user of this host", holds: is_recipient };

pub(super) const SENDER: Text = Text {
    expected: "a mail address, or \"\" for sipprot at this host",
    holds: |text| text.is_empty() || is_recipient(text) && text.contains('@'),
};

pub(super) const SERVER: Text = Text {
    expected: "the name or address of a server",
    holds: |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        (1..=253).contains(&text.len()) && text.bytes().all(allowed)
    },
};

pub(super) const SHORT_TEXT: Text = Text {
    expected: "one line of at most 256 bytes",
    holds: |text| text.len() <= 256 && crate::message::is_clean(text),
};

/// A mail address, or the name of a user of this host.
pub fn is_recipient(text: &str) -> bool {
    let (user, host) = text.split_once('@').unwrap_or((text, "localhost"));
    let in_user =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&byte);
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let ends = |part: &str| part.starts_with(['.', '-']) || part.ends_with('.');
    (1..=64).contains(&user.len())
        && (1..=253).contains(&host.len())
        && user.bytes().all(in_user)
        && host.bytes().all(in_host)
        && !ends(user)
        && !ends(host)
        && !text.contains("..")
}

/// `HH:MM` and nothing else.
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn quiet_hours(text: &str) -> Option<(Time, Time)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time_of_day(from.trim())?, time_of_day(to.trim())?);
    (from != to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_go_over_midnight() {
        let check = |hours: &str, at: &str, expected: bool| {
            let notify = Notify { quiet_hours: hours.to_owned(), ..Notify::default() };
            assert_eq!(notify.is_quiet(time_of_day(at).unwrap()), expected, "{hours} at {at}");
        };
        check("", "03:00", false);
        check("22:00-07:00", "03:00", true);
        check("22:00-07:00", "22:00", true);
        check("22:00-07:00", "07:00", false);
        check("12:00-14:00", "13:59", true);
        check("12:00-14:00", "11:59", false);
    }

    #[test]
    fn texts() {
        for right in ["root", "noc@example.net", "a.b+c@mail.example.net"] {
            assert!(is_recipient(right), "{right}");
        }
        for wrong in ["", "a b", "a@", "@b", "a@b@c", "a\n@b", "<a@b>", "-oQ/tmp", "a@-b", "a..b"] {
            assert!(!is_recipient(wrong), "{wrong}");
        }
        for wrong in ["7:00", "24:00", "07:60", "07:00:00", "+7:00", ""] {
            assert!(time_of_day(wrong).is_none(), "{wrong}");
        }
        assert!(quiet_hours("07:00-07:00").is_none(), "all day or never?");
    }
}
