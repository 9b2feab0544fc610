//! Where the log goes: stdout, stderr, a file, syslog's socket, or the journal with its fields.
//!
//! What a line says is its message; the fields beside it (whose source, by which rule) are for the journal
//! alone, where they can be asked for: `journalctl SIPPROT_SOURCE=198.51.100.7`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::CliError;
use crate::config::LogLevel;

const SYSLOG_SOCKET: &str = "/dev/log";
/// Facility daemon (RFC 5424 6.2.1), shifted.
const SYSLOG_DAEMON: u8 = 3 << 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Stdout,
    Stderr,
    Syslog,
    Journal,
    File(PathBuf),
}

/// Before the names of our own fields in the journal.
const FIELD_PREFIX: &str = "SIPPROT";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("stdout", "")) => Ok(Self::Stdout),
            Some(("stderr", "")) => Ok(Self::Stderr),
            Some(("syslog", "")) => Ok(Self::Syslog),
            Some(("journal", "")) => Ok(Self::Journal),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            _ => {
                Err("expected stdout://, stderr://, syslog://, journal:// or file:///PATH"
                    .to_owned())
            }
        }
    }
}

/// Starts logging at `level`.
pub(super) fn start(target: &Target, level: LogLevel) -> Result<(), CliError> {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let filter = format!("warn,sipprot_ctl={level}");
    let message_only = debug_fn(|writer: &mut Writer<'_>, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        _ => Ok(()),
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(&filter)
        .fmt_fields(message_only)
        .with_ansi(false)
        .with_target(false);
    let failed =
        |error: &dyn fmt::Display| CliError::Failed(format!("cannot start the log: {error}"));
    match target {
        Target::Stdout => builder.try_init().map_err(|error| failed(&error)),
        Target::Stderr => {
            builder.with_writer(io::stderr).try_init().map_err(|error| failed(&error))
        }
        Target::Journal => {
            let journal = tracing_journald::layer().map_err(|error| failed(&error))?;
            let journal = journal.with_field_prefix(Some(FIELD_PREFIX.to_owned()));
            let layers = tracing_subscriber::registry().with(EnvFilter::new(&filter)).with(journal);
            layers.try_init().map_err(|error| failed(&error))
        }
        Target::Syslog => {
            let writer = Syslog::open()
                .map_err(|error| CliError::Failed(format!("{SYSLOG_SOCKET}: {error}")))?;
            let builder = builder.without_time().with_level(false).with_writer(writer);
            builder.try_init().map_err(|error| failed(&error))
        }
        Target::File(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file =
                file.map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?;
            let writer = Mutex::new(LogFile { path: path.clone(), file });
            builder.with_writer(writer).try_init().map_err(|error| failed(&error))
        }
    }
}

/// Opens its file again once it was moved away, as log rotation does.
struct LogFile {
    path: PathBuf,
    file: File,
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.path.exists()
            && let Ok(file) = OpenOptions::new().create(true).append(true).open(&self.path)
        {
            self.file = file;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[derive(Clone)]
struct Syslog {
    socket: Arc<Mutex<UnixDatagram>>,
}

impl Syslog {
    fn open() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SYSLOG_SOCKET)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Arc::new(Mutex::new(socket)) })
    }
}

/// One line, with its severity.
struct SyslogLine {
    socket: Arc<Mutex<UnixDatagram>>,
    priority: u8,
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = SyslogLine;

    fn make_writer(&'a self) -> SyslogLine {
        SyslogLine { socket: self.socket.clone(), priority: SYSLOG_DAEMON | 6 }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> SyslogLine {
        let severity = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        SyslogLine { socket: self.socket.clone(), priority: SYSLOG_DAEMON | severity }
    }
}

impl Write for SyslogLine {
    /// A line that syslog doesn't take is lost: the firewall must not wait for it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut line = format!("<{}>sipprot[{}]: ", self.priority, std::process::id()).into_bytes();
        line.extend(bytes.trim_ascii_end());
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.send(&line).is_err() && socket.connect(SYSLOG_SOCKET).is_ok() {
            let _ = socket.send(&line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let check = |text: &str, expected: Option<Target>| {
            assert_eq!(text.parse::<Target>().ok(), expected, "{text}");
        };
        check("stdout://", Some(Target::Stdout));
        check("syslog://", Some(Target::Syslog));
        check("journal://", Some(Target::Journal));
        let path = "/var/log/sipprotd.log";
        check(&format!("file://{path}"), Some(Target::File(path.into())));
        for wrong in ["", "stdout", "file://", "file://log", "http://x", "syslog://host"] {
            check(wrong, None);
        }
    }
}
