//! A newer country database, fetched in its time from where the operator said, on another thread. What
//! is there is replaced only by one that is right, and taken over like any that changed.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::config::{GeoMode, GeoPolicy};
use crate::daemon::clock::after;
use crate::daemon::core::Core;
use crate::fetch::Limits;
use crate::geo::{self, Updated};

/// After a failure it is tried again this soon.
const RETRY: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub struct GeoUpdate {
    fetching: Option<oneshot::Receiver<Result<Updated, String>>>,
    /// Not before this, after a try.
    not_before: Option<Timestamp>,
    /// The URL of the last try: another one is tried at once.
    tried: Option<String>,
    problem: Option<String>,
}

impl GeoUpdate {
    /// Forgets what it waits for.
    pub fn make_due(&mut self) {
        self.not_before = None;
    }

    #[cfg(test)]
    pub const fn is_fetching(&self) -> bool {
        self.fetching.is_some()
    }
}

/// Whether the database that would be replaced is old enough for that.
fn is_due(config: &GeoPolicy, now: Timestamp) -> bool {
    let target = geo::target(&config.databases).ok();
    let written = target.and_then(|path| std::fs::metadata(path).ok()?.modified().ok());
    let written = written.and_then(|at| Timestamp::try_from(at).ok());
    written.is_none_or(|at| after(at, config.update_every) <= now)
}

impl Core {
    /// Now and then.
    pub(in crate::daemon) fn look_for_newer_countries(&mut self) {
        self.take_newer_countries();
        let Some(url) = self.config.geo.update_url.clone() else {
            self.geo_update = GeoUpdate::default();
            return;
        };
        let (now, update) = (self.clock.timestamp_now(), &mut self.geo_update);
        let waits =
            update.not_before.is_some_and(|at| now < at) && update.tried.as_ref() == Some(&url);
        if update.fetching.is_some() || waits || !is_due(&self.config.geo, now) {
            return;
        }
        let (done, fetching) = oneshot::channel();
        update.fetching = Some(fetching);
        update.not_before = Some(after(now, RETRY.min(self.config.geo.update_every)));
        update.tried = Some(url.clone());
        let databases = self.config.geo.databases.clone();
        tokio::task::spawn_blocking(move || {
            let updated = geo::target(&databases).and_then(|target| {
                geo::update(&url, &target, Limits::default()).map_err(|error| error.to_string())
            });
            let _ = done.send(updated);
        });
    }

    fn take_newer_countries(&mut self) {
        let Some(fetching) = &mut self.geo_update.fetching else { return };
        let updated = match fetching.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => return,
            Err(oneshot::error::TryRecvError::Closed) => Err("fetching ended".to_owned()),
            Ok(updated) => updated,
        };
        self.geo_update.fetching = None;
        match updated {
            Ok(updated) => {
                info!("fetched {} into {}", updated.name, updated.path.display());
                self.geo_update.problem = None;
            }
            Err(error) => {
                warn!("no newer country database: {error}");
                self.geo_update.problem = Some(error);
            }
        }
    }

    /// What is wrong with countries, where they matter.
    pub(in crate::daemon) fn geo_problems(&self) -> Vec<String> {
        let own = self.config.endpoints.iter().map(|it| it.geo_mode(&self.config));
        let matters = std::iter::once(self.config.geo.mode).chain(own).any(|it| it != GeoMode::Off);
        let database = self.geography.geo().database();
        let mut problems = Vec::new();
        match database {
            None if matters => {
                problems.push("geo protection is on, and there is no country database".to_owned());
            }
            Some(database) if matters && database.is_old(self.clock.timestamp_now()) => {
                let name = &database.name;
                problems.push(format!(
                    "the country database {name} is more than half a year old: 'sipprot geo update'"
                ));
            }
            _ => {}
        }
        let failed = self.geo_update.problem.iter();
        problems.extend(failed.map(|error| format!("no newer country database: {error}")));
        problems
    }
}
