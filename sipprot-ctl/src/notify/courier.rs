//! The thread that carries messages away: servers may be slow, and nobody else waits for them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use super::mail::{self, Letter};
use super::notice::Notice;
use super::queue::Failure;
use super::render::Renderer;
use super::webhook::{self, Request};
use crate::config::{Notify, Severity};
use crate::store::DeliveryRecord;

/// What `record.target` begins with, or is.
pub const MAIL: &str = "mail:";
pub const WEBHOOK: &str = "webhook";

/// Messages to be carried, one after the other.
pub struct Job {
    pub records: Vec<DeliveryRecord>,
    pub settings: Arc<Notify>,
    pub renderer: Arc<Renderer>,
    /// A test; otherwise a delivery of the queue.
    pub is_test: bool,
}

/// What became of one.
pub struct Carried {
    pub results: Vec<(DeliveryRecord, Result<(), Failure>)>,
    pub is_test: bool,
}

/// The way to the thread, which ends with it.
pub fn start(told: UnboundedSender<Carried>) -> io::Result<Sender<Job>> {
    let (jobs, waiting) = channel();
    std::thread::Builder::new().name("courier".to_owned()).spawn(move || work(&waiting, &told))?;
    Ok(jobs)
}

fn work(waiting: &Receiver<Job>, told: &UnboundedSender<Carried>) {
    while let Ok(job) = waiting.recv() {
        let mut results = Vec::new();
        for record in job.records {
            let result = carry(&record, &job.settings, &job.renderer);
            results.push((record, result));
        }
        if told.send(Carried { results, is_test: job.is_test }).is_err() {
            return;
        }
    }
}

fn carry(record: &DeliveryRecord, settings: &Notify, renderer: &Renderer) -> Result<(), Failure> {
    let own = |what: String| Failure { what, concerns_all: false };
    let notice = record.notice.as_ref().ok_or_else(|| own("there is nothing in it".to_owned()))?;
    match record.target.strip_prefix(MAIL) {
        Some(to) => mail::send(&settings.mail, letter(record, notice, to, renderer).map_err(own)?),
        None => {
            let hook = &settings.webhook;
            let request = Request {
                id: record.message_id.clone(),
                subject: renderer.subject(notice).map_err(own)?,
                body: renderer.webhook(notice, hook.format).map_err(own)?.trim().to_owned(),
                is_critical: notice.severity == Severity::Critical,
            };
            webhook::send(hook, &request, Timestamp::now().as_second())
        }
    }
}

fn letter<'a>(
    record: &'a DeliveryRecord,
    notice: &'a Notice,
    to: &'a str,
    renderer: &Renderer,
) -> Result<Letter<'a>, String> {
    let (text, html) = renderer.mail(notice)?;
    Ok(Letter {
        to,
        host: &notice.host,
        message_id: &record.message_id,
        at: notice.at,
        subject: renderer.subject(notice)?,
        text,
        html,
    })
}
