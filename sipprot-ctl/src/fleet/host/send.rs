//! Reports and health on their way to the hub.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::{Shared, now_us};
use crate::fleet::key::Signer;
use crate::fleet::message::{Health, Report};
use crate::fleet::nats::{Channel, subject};
use crate::fleet::spool::Spool;

const RETRY: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Sender {
    pub channel: Channel,
    pub name: String,
    pub signer: Signer,
    pub shared: Shared,
}

impl Sender {
    /// Writes down what it is told, and sends it in its order until the stream has it.
    pub async fn reports(
        &self,
        mut spool: Spool,
        mut told: mpsc::Receiver<Report>,
    ) -> anyhow::Result<()> {
        loop {
            let lost = std::mem::take(&mut spool.lost);
            self.shared.stand(|it| {
                it.waiting = spool.waiting() as u64;
                it.lost += lost;
            });
            let Some(batch) = spool.first() else {
                match told.recv().await {
                    Some(report) => self.keep(&mut spool, report, &mut told),
                    None => return Ok(()),
                }
                continue;
            };
            let number = batch.sequence;
            let sending = self.send(number, batch.seal(&self.signer));
            tokio::pin!(sending);
            loop {
                tokio::select! {
                    () = &mut sending => break,
                    Some(report) = told.recv() => self.keep(&mut spool, report, &mut told),
                }
            }
            if let Err(error) = spool.sent(number) {
                warn!("the fleet: {error:#}");
            }
        }
    }

    fn keep(&self, spool: &mut Spool, first: Report, told: &mut mpsc::Receiver<Report>) {
        let mut reports = vec![first];
        while let Ok(report) = told.try_recv() {
            reports.push(report);
        }
        if let Err(error) = spool.push(reports, now_us()) {
            warn!("the fleet: {error:#}");
        }
        let waiting = spool.waiting() as u64;
        self.shared.stand(|it| it.waiting = waiting);
    }

    /// Until it is there. Twice sent is taken once, by its id.
    async fn send(&self, number: u64, message: Vec<u8>) {
        let id = format!("{}-{number}", self.name);
        loop {
            let place = subject::report(&self.name);
            match self.channel.publish_kept(place, &id, message.clone()).await {
                Ok(_) => return,
                Err(error) => debug!("reports wait: {error:#}"),
            }
            sleep(RETRY).await;
        }
    }

    pub async fn health(&self, mut fares: watch::Receiver<Option<Health>>) -> anyhow::Result<()> {
        let mut unsent = false;
        loop {
            unsent |= tokio::select! {
                changed = fares.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return Ok(()),
                },
                () = sleep(LOOK_EVERY) => false,
            };
            let connected = self.channel.is_connected();
            let denied = self.channel.denied();
            self.shared.stand(|it| {
                it.connected = connected;
                it.problem = match (connected, denied) {
                    (false, _) => Some("no connection to the fleet's servers".to_owned()),
                    (true, 0) => None,
                    (true, _) => Some("the fleet's servers refused something".to_owned()),
                };
            });
            let health = fares.borrow_and_update().clone().filter(|_| unsent && connected);
            let Some(health) = health else { continue };
            unsent = false;
            let message = self.completed(health).seal(&self.signer);
            if let Err(error) = self.channel.publish(subject::health(&self.name), message).await {
                debug!("health was not sent: {error:#}");
            }
        }
    }

    /// With what only this side knows.
    fn completed(&self, health: Health) -> Health {
        let standing = self.shared.standing();
        let (revision, entries) = {
            let held = self.shared.held();
            (held.revision, held.len() as u64)
        };
        Health {
            host: self.name.clone(),
            sent_at: super::now(),
            revision,
            entries,
            waiting: standing.waiting,
            refused: standing.refused,
            ..health
        }
        .bounded()
    }
}
