//! Mail: a message made of two texts, by SMTP or by the host's own sendmail. The only place that knows lettre.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message, SmtpTransport, Transport};

use super::queue::Failure;
use crate::config::{Mail, MailSecurity, MailWay};
use crate::message::clean;

const TIME: Duration = Duration::from_secs(20);
/// Of a server's words.
const ERROR_MAX: usize = 300;

/// What is written.
pub struct Letter<'a> {
    pub to: &'a str,
    pub host: &'a str,
    pub message_id: &'a str,
    pub at: i64,
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Returns once the server, or sendmail, has taken it.
pub fn send(mail: &Mail, letter: Letter<'_>) -> Result<(), Failure> {
    let (to, host) = (letter.to.to_owned(), letter.host.to_owned());
    let message = message(mail, letter).map_err(|what| one(format!("{to}: {what}")))?;
    match mail.way {
        MailWay::Off => Err(one("mail.way is off".to_owned())),
        MailWay::Sendmail => by_sendmail(&mail.sendmail, &message)
            .map_err(|what| one(format!("{}: {what}", mail.sendmail.display()))),
        MailWay::Smtp => {
            let transport = transport(mail, &host).map_err(all)?;
            transport.send(&message).map(drop).map_err(|error| {
                let what = told(&error);
                // It lets us in and answers: then it is this recipient whom it doesn't like.
                let about_one = error.status().is_some_and(|code| {
                    let code = u16::from(code);
                    (550..=553).contains(&code) || (450..=452).contains(&code)
                });
                Failure { what: format!("{}: {what}", mail.server), concerns_all: !about_one }
            })
        }
    }
}

fn one(what: String) -> Failure {
    Failure { what, concerns_all: false }
}

fn all(what: String) -> Failure {
    Failure { what, concerns_all: true }
}

fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    clean(text.as_bytes(), ERROR_MAX)
}

/// Hands it to the host's own mail system, which keeps it from then on.
fn by_sendmail(program: &Path, message: &Message) -> Result<(), String> {
    const PAUSE: Duration = Duration::from_millis(50);
    let envelope = message.envelope();
    let mut command = Command::new(program);
    command.arg("-i");
    if let Some(from) = envelope.from() {
        command.arg("-f").arg(from);
    }
    command.arg("--").args(envelope.to().iter().map(ToString::to_string));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take();
    let text = message.formatted();
    // It may never read: then the pipe fills, and the end below closes it.
    let writer = std::thread::spawn(move || stdin.as_mut().map(|pipe| pipe.write_all(&text)));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if start.elapsed() < TIME => std::thread::sleep(PAUSE),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("took too long".to_owned());
            }
        }
    };
    let written = writer.join();
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(1024).read_to_string(&mut said);
    }
    match (status.success(), written) {
        (true, Ok(Some(Ok(())))) => Ok(()),
        (true, _) => Err("did not read the message".to_owned()),
        (false, _) => Err(clean(format!("{status}: {said}").as_bytes(), ERROR_MAX)),
    }
}

fn mailbox(name: Option<&str>, address: &str, host: &str) -> Result<Mailbox, String> {
    let (user, domain) = address.split_once('@').unwrap_or((address, host));
    let address = Address::new(user, domain).map_err(|error| error.to_string())?;
    Ok(Mailbox::new(name.map(str::to_owned), address))
}

fn message(mail: &Mail, letter: Letter<'_>) -> Result<Message, String> {
    let host = letter.host;
    let from = if mail.from.is_empty() { "sipprot" } else { &mail.from };
    let date = UNIX_EPOCH + Duration::from_secs(letter.at.unsigned_abs());
    Message::builder()
        .from(mailbox(Some("SIPprot"), from, host)?)
        .to(mailbox(None, letter.to, host)?)
        .subject(letter.subject)
        .date(date)
        .message_id(Some(letter.message_id.to_owned()))
        .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))
        .map_err(|error| error.to_string())
}

fn transport(mail: &Mail, host: &str) -> Result<SmtpTransport, String> {
    let tls = || -> Result<TlsParameters, String> {
        let mut builder = TlsParameters::builder(mail.server.clone());
        if let Some(path) = &mail.authority {
            let pem = fs::read(path).map_err(|error| {
                format!("mail.authority: {} can't be read: {error}", path.display())
            })?;
            let certificate = Certificate::from_pem(&pem)
                .map_err(|error| format!("mail.authority: {}: {}", path.display(), told(&error)))?;
            builder = builder.add_root_certificate(certificate);
        }
        builder.build_rustls().map_err(|error| told(&error))
    };
    let tls = match mail.security {
        MailSecurity::StartTls => Tls::Required(tls()?),
        MailSecurity::Tls => Tls::Wrapper(tls()?),
        MailSecurity::Off => Tls::None,
    };
    let port = u16::try_from(mail.port).map_err(|error| format!("mail.port: {error}"))?;
    let builder = SmtpTransport::builder_dangerous(&mail.server)
        .port(port)
        .hello_name(ClientId::Domain(host.to_owned()))
        .timeout(Some(TIME))
        .tls(tls);
    if mail.user.is_empty() {
        return Ok(builder.build());
    }
    let password = match &mail.password_file {
        None => mail.password.clone(),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                format!("mail.password_file: {} can't be read: {error}", path.display())
            })?;
            text.lines().next().unwrap_or_default().to_owned()
        }
    };
    Ok(builder.credentials(Credentials::new(mail.user.clone(), password)).build())
}
