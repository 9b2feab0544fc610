//! The doctor's findings, for who asks from afar. Looking takes time and children of ours: it is done on
//! another thread, once for all who ask at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::Reply;
use crate::api::{Answer, Checkup, Fault};
use crate::daemon::core::Core;
use crate::doctor::{Surroundings, look};

/// So long nothing is looked at anew.
const FRESH: Duration = Duration::from_secs(10);

/// The last one, and when it was made.
pub(in crate::daemon) type LastCheckup = Arc<Mutex<Option<(Instant, Checkup)>>>;

impl Core {
    pub(in crate::daemon) fn checkup(&mut self, reply: Reply) {
        let (loaded, status, top) = (self.loaded(), self.status(), self.top(0));
        let last = self.last_checkup.clone();
        tokio::spawn(async move {
            let mut last = last.lock().await;
            if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= FRESH) {
                let look = move || {
                    let (loaded, status, top) = (Ok(&loaded), Ok(&status), Some(&top));
                    look(&Surroundings { loaded, status, top })
                };
                let found = tokio::task::spawn_blocking(look).await;
                *last = found.ok().map(|found| (Instant::now(), found));
            }
            let answer = last.as_ref().map(|(_, found)| Answer::Checkup(found.clone()));
            let _ = reply.send(answer.ok_or_else(Fault::internal));
        });
    }
}
