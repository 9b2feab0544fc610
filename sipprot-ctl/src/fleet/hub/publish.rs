//! The blocklist on its way out: deltas in their order, and the whole list beside them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, info};

use super::records::Records;
use crate::fleet::curation::Book;
use crate::fleet::key::Signer;
use crate::fleet::message::{
    CHANGES_MAX, CHUNK_ENTRIES, Delta, ListChange, Manifest, digest, pack_chunk,
};
use crate::fleet::nats::{Channel, subject};

const RETRY: Duration = Duration::from_millis(250);
/// Servers that can hold three copies.
const REPLICAS: usize = 3;
/// Hosts for which one more second passes between their looks at the stream.
const HOSTS_PER_SECOND: usize = 50;
const POLL_MIN_S: usize = 2;

/// A delta that the stream has.
pub struct Published {
    pub revision: u64,
}

enum Job {
    Delta { revision: u64, id: String, message: Vec<u8> },
    Snapshot { manifest: Manifest, chunks: Vec<Vec<u8>> },
}

/// Where deltas and lists are handed over. A task of its own sends them.
pub struct Outlet {
    jobs: mpsc::UnboundedSender<Job>,
    signer: Arc<Signer>,
    set: char,
}

struct Postman {
    channel: Channel,
    signer: Arc<Signer>,
    servers: usize,
    published: mpsc::UnboundedSender<Published>,
    /// Of the last delta that the stream has.
    sequence: u64,
}

impl Outlet {
    pub fn start(
        channel: Channel,
        signer: Signer,
        servers: usize,
        published: mpsc::UnboundedSender<Published>,
    ) -> Self {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let signer = Arc::new(signer);
        let postman = Postman { channel, signer: signer.clone(), servers, published, sequence: 0 };
        tokio::spawn(postman.work(waiting));
        Self { jobs, signer, set: 'a' }
    }

    /// Signed, with the revisions that follow.
    pub fn deltas(
        &self,
        records: &Records,
        recalled: u64,
        list: &[ListChange],
        at: i64,
    ) -> Vec<(u64, Vec<u8>)> {
        let parts = list.chunks(CHANGES_MAX);
        let numbered = (records.revision() + 1..).zip(parts);
        let generation = records.generation();
        let delta = |(revision, changes): (u64, &[ListChange])| {
            let delta = Delta { generation, revision, at, recalled, changes: changes.to_vec() };
            (revision, delta.seal(&self.signer))
        };
        numbered.map(delta).collect()
    }

    /// The same one, handed over again after a restart, is taken once.
    pub fn delta(&self, generation: u64, revision: u64, message: Vec<u8>) {
        let id = format!("delta-{generation}-{revision}");
        let _ = self.jobs.send(Job::Delta { revision, id, message });
    }

    /// The whole list as it is now.
    pub fn snapshot(&mut self, records: &Records, book: &Book, now: i64) {
        let mut chunks = Vec::new();
        let mut part = Vec::new();
        let mut entries = 0;
        for listed in book.listed(now) {
            entries += 1;
            part.push(ListChange::Put(listed));
            if part.len() == CHUNK_ENTRIES {
                chunks.push(pack_chunk(&std::mem::take(&mut part)));
            }
        }
        if !part.is_empty() {
            chunks.push(pack_chunk(&part));
        }
        self.set = if self.set == 'a' { 'b' } else { 'a' };
        let poll = POLL_MIN_S.max(book.hosts.len() / HOSTS_PER_SECOND);
        let manifest = Manifest {
            generation: records.generation(),
            revision: records.revision(),
            at: now,
            recalled: book.recalled,
            sequence: 0,
            set: self.set,
            entries,
            poll_s: u32::try_from(poll).unwrap_or(u32::MAX),
            chunks: chunks.iter().map(|chunk| digest(chunk)).collect(),
        };
        let _ = self.jobs.send(Job::Snapshot { manifest, chunks });
    }
}

impl Postman {
    async fn work(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let replicas = if self.servers >= REPLICAS { REPLICAS } else { 1 };
        while let Err(error) = self.channel.make_streams(replicas).await {
            debug!("no streams yet: {error:#}");
            sleep(RETRY).await;
        }
        loop {
            match self.channel.last_delta().await {
                Ok(last) => {
                    self.sequence = last.and_then(|it| it.sequence).unwrap_or_default();
                    break;
                }
                Err(error) => debug!("the delta stream: {error:#}"),
            }
            sleep(RETRY).await;
        }
        info!("the streams are there");
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Delta { revision, id, message } => {
                    self.sequence = self.send(subject::DELTA.to_owned(), &id, message).await;
                    let _ = self.published.send(Published { revision });
                }
                Job::Snapshot { manifest, chunks } => self.snapshot(manifest, chunks).await,
            }
        }
    }

    /// Chunks first: a manifest must name what is there.
    async fn snapshot(&mut self, manifest: Manifest, chunks: Vec<Vec<u8>>) {
        let manifest = Manifest { sequence: self.sequence, ..manifest };
        let name = |part: &str| {
            format!("{}-{}-{}-{part}", manifest.generation, manifest.revision, manifest.at)
        };
        for (number, chunk) in chunks.into_iter().enumerate() {
            let place = subject::chunk(manifest.set, number);
            self.send(place, &name(&number.to_string()), chunk).await;
        }
        let message = manifest.seal(&self.signer);
        self.send(subject::MANIFEST.to_owned(), &name("manifest"), message).await;
    }

    /// Until the stream has it; its number there.
    async fn send(&self, place: String, id: &str, message: Vec<u8>) -> u64 {
        loop {
            match self.channel.publish_kept(place.clone(), id, message.clone()).await {
                Ok(sequence) => return sequence,
                Err(error) => debug!("{place} waits: {error:#}"),
            }
            sleep(RETRY).await;
        }
    }
}
