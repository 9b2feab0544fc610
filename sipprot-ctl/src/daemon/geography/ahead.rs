//! Country databases that a change of the configuration needs are read before it, on another thread: the
//! judgement doesn't wait for them.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Geography;
use crate::api::Command;
use crate::config::Config;
use crate::daemon::answers::Reply;
use crate::daemon::core::Core;
use crate::store::AuditRecord;

/// Databases that are open, and of which paths.
pub(in crate::daemon) struct Ahead {
    paths: Vec<PathBuf>,
    geography: Arc<Geography>,
}

impl Ahead {
    pub fn read(config: &Config) -> Self {
        let geography = Arc::new(Geography::open(config));
        Self { paths: config.geo.databases.clone(), geography }
    }
}

/// What goes on once its databases are read: a command, or what a signal asks for.
pub(in crate::daemon) struct Later {
    ahead: Ahead,
    asked: Option<(Command, Reply)>,
    act: Option<AuditRecord>,
}

/// Where it goes on: by the daemon's one thread, in its turn.
pub(in crate::daemon) type Going = mpsc::UnboundedSender<Later>;

impl Core {
    /// The configuration whose databases are to be read before a command, or a reload by a signal.
    pub(in crate::daemon) fn must_read_ahead(&self, command: Option<&Command>) -> Option<Config> {
        let is_reload = |command: &Command| matches!(command, Command::Reload { .. });
        let is_concerned = match command {
            None => true,
            Some(Command::Rehearse(command)) => is_reload(command),
            Some(command) => is_reload(command),
        };
        if !is_concerned || self.ahead.is_some() || self.going.is_none() {
            return None;
        }
        // What is wrong with the files is found where they are read for good.
        let loaded = Config::load(self.config_path.as_deref()).ok()?;
        Some(loaded.config).filter(|config| self.needs_databases(config))
    }

    pub(in crate::daemon) fn read_ahead(
        &mut self,
        config: Config,
        asked: Option<(Command, Reply)>,
    ) {
        let (act, going) = (self.journal.take(), self.going.clone());
        tokio::task::spawn_blocking(move || {
            let later = Later { ahead: Ahead::read(&config), asked, act };
            if let Some(going) = going {
                let _ = going.send(later);
            }
        });
    }

    /// Reading them takes long: only when they are others, or may have changed.
    pub(in crate::daemon) fn needs_databases(&self, config: &Config) -> bool {
        config.geo.databases != self.config.geo.databases || self.geography.has_changed()
    }

    /// True if a signal had asked for it.
    pub(in crate::daemon) fn go_on(&mut self, later: Later) -> bool {
        let Later { ahead, asked, act } = later;
        self.ahead = Some(ahead);
        self.journal.begin(act);
        let by_signal = asked.is_none();
        match asked {
            Some((command, reply)) => self.carry_out_command(command, reply),
            None => self.reload_and_log(),
        }
        self.journal.begin(None);
        self.ahead = None;
        by_signal
    }

    /// The databases that a configuration names.
    pub(in crate::daemon) fn geography_of(&mut self, config: &Config) -> Arc<Geography> {
        let ahead = self.ahead.take().filter(|it| it.paths == config.geo.databases);
        match ahead {
            Some(ahead) => ahead.geography,
            None if self.needs_databases(config) => Arc::new(Geography::open(config)),
            None => self.geography.clone(),
        }
    }
}
