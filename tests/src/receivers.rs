//! Those who are told: a real SMTP server with TLS and a login, and a webhook that checks signatures.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{namespace::Namespace, patience::wait_for, process::Process};

const SCRIPT: &str = include_str!("receivers.py");
/// Debian's own has aiosmtpd.
const PYTHON: &str = "/usr/bin/python3";
const SMTP_PORT: u16 = 2587;
const SMTPS_PORT: u16 = 2465;
const HTTP_PORT: u16 = 2580;
const USER: &str = "sipprot";
pub const PASSWORD: &str = "correct horse";
pub const SECRET: &str = "battery staple";

/// Both, on the loopback of a namespace.
#[derive(Debug)]
pub struct Receivers {
    namespace: Namespace,
    directory: PathBuf,
    process: Option<Process>,
    starts: u32,
}

impl Receivers {
    /// Not started yet.
    pub fn new(namespace: &Namespace, lab: &Path) -> Result<Self> {
        let directory = lab.join("receivers");
        std::fs::create_dir_all(&directory).context("make the receivers' directory")?;
        std::fs::write(directory.join("receivers.py"), SCRIPT).context("write the receivers")?;
        std::fs::write(directory.join("password"), format!("{PASSWORD}\n")).context("password")?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        openssl.args(["-addext", "subjectAltName=DNS:localhost"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-out").arg(directory.join("mail.pem"));
        let output = openssl.arg("-keyout").arg(directory.join("mail.key")).output();
        let output = output.context("run openssl")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl req: {}", complaint.trim());
        Ok(Self { namespace: namespace.clone(), directory, process: None, starts: 0 })
    }

    /// Why there are none here.
    pub fn missing() -> Option<&'static str> {
        let found = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).output();
        let found = found.is_ok_and(|output| output.status.success());
        (!found).then_some("python3-aiosmtpd")
    }

    /// How the daemon reaches them; mail by STARTTLS.
    pub fn settings(&self) -> Vec<String> {
        self.settings_by("starttls", SMTP_PORT)
    }

    /// With TLS from the first byte.
    pub fn settings_over_tls(&self) -> Vec<String> {
        self.settings_by("tls", SMTPS_PORT)
    }

    fn settings_by(&self, security: &str, port: u16) -> Vec<String> {
        let path = |name: &str| self.directory.join(name).display().to_string();
        vec![
            "notify.enabled = true".to_owned(),
            "mail.way = \"smtp\"".to_owned(),
            "mail.recipients = [\"noc@example.net\"]".to_owned(),
            "mail.server = \"localhost\"".to_owned(),
            format!("mail.security = \"{security}\""),
            format!("mail.port = {port}"),
            format!("mail.user = \"{USER}\""),
            format!("mail.password_file = \"{}\"", path("password")),
            format!("mail.authority = \"{}\"", path("mail.pem")),
            format!("webhook.url = \"http://127.0.0.1:{HTTP_PORT}/hooks/sipprot\""),
            format!("webhook.secret = \"{SECRET}\""),
        ]
    }

    pub fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let mut command = self.namespace.command(PYTHON);
        command.arg(self.directory.join("receivers.py")).arg(&self.directory);
        command.args([SMTP_PORT, SMTPS_PORT, HTTP_PORT].map(|port| port.to_string()));
        command.args([USER, PASSWORD, SECRET]);
        let log = self.directory.join(format!("receivers-{}.log", self.starts));
        let process = self.process.insert(Process::start(command, &log)?);
        wait_for("the receivers", || {
            ensure!(process.ended()?.is_none(), "receivers: {}", process.last_words());
            Ok(process.output().contains("ready").then_some(()))
        })
    }

    /// Nobody takes anything any more.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// The mails that were taken, decoded, the oldest first.
    pub fn mails(&self) -> Result<Vec<Mail>> {
        self.files("eml")?.iter().map(|path| Mail::read(path)).collect()
    }

    /// What the webhook was sent with a good signature, the oldest first.
    pub fn hooks(&self) -> Result<Vec<Value>> {
        let files = self.files("hook")?;
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).context("read what the webhook got")?;
            serde_json::from_str(&text).with_context(|| text.clone())
        };
        files.iter().map(read).collect()
    }

    fn files(&self, kind: &str) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.directory).context("read what was received")? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == kind) {
                all.push(path);
            }
        }
        all.sort();
        Ok(all)
    }
}

/// A mail as its reader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    pub message_id: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// By another implementation than the one that made it.
const READER: &str = "
import email, email.policy, json, sys
mail = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
part = lambda kind: mail.get_body((kind,)).get_content()
print(json.dumps([mail['Message-ID'], mail['Subject'], part('plain'), part('html')]))
";

impl Mail {
    fn read(path: &Path) -> Result<Self> {
        let output = Command::new(PYTHON).args(["-c", READER]).arg(path).output();
        let output = output.context("run python3")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {complaint}", path.display());
        let parts: [String; 4] = serde_json::from_slice(&output.stdout).context("read a mail")?;
        let [message_id, subject, text, html] = parts;
        Ok(Self { message_id, subject, text, html })
    }
}
