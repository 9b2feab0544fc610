//! Writes to the store on a thread of its own: nobody who watches packets waits for a disk.
//!
//! What waits is written in one batch with one flush. Whoever needs to know that a write lasts waits
//! for its acknowledgement; the rest is told of failures by [`Journal::complaint`].

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tracing::error;

use crate::api::{Code, Fault};
use crate::store::{AuditRecord, BULK_PART, Bulk, Change, Store, StoreError};

/// Jobs that may wait: a disk that hangs must not eat the memory.
const WAITING_MAX: usize = 16_384;
/// Jobs that are written at once.
const BATCH_MAX: usize = 1_024;

/// What somebody waits for: the number of the record, if there is one.
pub type Stored = oneshot::Receiver<Result<Option<u64>, Fault>>;

struct Job {
    changes: Vec<Change>,
    /// In place of `changes`: written by itself, after all that came before it.
    bulk: Option<Box<dyn Bulk>>,
    /// May lose its last seconds.
    only_noted: bool,
    done: Option<oneshot::Sender<Result<Option<u64>, Fault>>>,
}

#[derive(Default)]
struct Health {
    complaint: Mutex<Option<String>>,
    lost: AtomicU64,
}

pub struct Journal {
    jobs: Option<SyncSender<Job>>,
    health: Arc<Health>,
    thread: Option<JoinHandle<()>>,
    /// What is being carried out: the next write for good is its record's, too.
    act: RefCell<Option<AuditRecord>>,
}

impl Journal {
    /// Without a store everything is refused.
    pub fn start(store: Option<Arc<Store>>) -> std::io::Result<Self> {
        let health = Arc::new(Health::default());
        let Some(store) = store else {
            return Ok(Self { jobs: None, health, thread: None, act: RefCell::default() });
        };
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let told = health.clone();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || work(&store, &waiting, &told))?;
        Ok(Self { jobs: Some(jobs), health, thread: Some(thread), act: RefCell::default() })
    }

    /// Somebody asks for something, or (with `None`) has got it.
    pub fn begin(&self, act: Option<AuditRecord>) {
        self.act.replace(act);
    }

    /// More about what is being carried out.
    pub fn tell(&self, more: impl FnOnce(&mut AuditRecord)) {
        if let Some(act) = self.act.borrow_mut().as_mut() {
            more(act);
        }
    }

    /// The record of what is being carried out, to be written by somebody else.
    pub fn take(&self) -> Option<AuditRecord> {
        self.act.take()
    }

    /// Who asks for what is being carried out.
    pub fn who(&self) -> Option<String> {
        self.act.borrow().as_ref().map(|act| act.who.clone())
    }

    /// Changes with the record of who asked for them, if somebody did.
    pub fn signed(&self, changes: Vec<Change>) -> Vec<Change> {
        match self.act.take() {
            Some(act) => vec![Change::audited(act, changes)],
            None => changes,
        }
    }

    /// Writes when it can.
    pub fn write(&self, changes: Vec<Change>) {
        self.send(Job { changes, bulk: None, only_noted: false, done: None });
    }

    /// Counts, which may lose their last seconds.
    pub fn note(&self, changes: Vec<Change>) {
        self.send(Job { changes, bulk: None, only_noted: true, done: None });
    }

    /// Writes, and says when it lasts. The first such write of a command has its record.
    pub fn write_for_good(&self, changes: Vec<Change>) -> Stored {
        let changes = self.signed(changes);
        let (done, answer) = oneshot::channel();
        self.send(Job { changes, bulk: None, only_noted: false, done: Some(done) });
        answer
    }

    /// Writes what may be too much to be held, and says when it lasts.
    pub fn write_bulk(&self, bulk: Box<dyn Bulk>) -> Stored {
        if let Some(changes) = few(&*bulk) {
            return self.write_for_good(changes);
        }
        let bulk: Box<dyn Bulk> = match self.act.take() {
            Some(act) => {
                let left_out = Some("too many changes to be kept".to_owned());
                let record = Change::audited(AuditRecord { left_out, ..act }, Vec::new());
                Box::new(Recorded { record, bulk })
            }
            None => bulk,
        };
        let (done, answer) = oneshot::channel();
        let (changes, bulk) = (Vec::new(), Some(bulk));
        self.send(Job { changes, bulk, only_noted: false, done: Some(done) });
        answer
    }

    fn send(&self, job: Job) {
        if job.changes.is_empty() && job.done.is_none() {
            return;
        }
        let refused = match &self.jobs {
            None => Some(job),
            Some(jobs) => match jobs.try_send(job) {
                Ok(()) => None,
                Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Some(job),
            },
        };
        if let Some(job) = refused {
            self.health.lost.fetch_add(job.changes.len() as u64, Ordering::Relaxed);
            if let Some(done) = job.done {
                let _ = done.send(Err(not_stored()));
            }
        }
    }

    /// What is wrong with writing, if anything.
    pub fn complaint(&self) -> Option<String> {
        let known = self.health.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lost = self.health.lost.load(Ordering::Relaxed);
        match (known, lost) {
            (None, 0) => None,
            (None, lost) => Some(format!("{lost} changes could not be stored")),
            (Some(what), 0) => Some(what),
            (Some(what), lost) => Some(format!("{what}; {lost} changes could not be stored")),
        }
    }

    /// Waits until everything is written.
    pub fn finish(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Changes whose record goes before them, for they are too many to be in it.
struct Recorded {
    record: Change,
    bulk: Box<dyn Bulk>,
}

impl Bulk for Recorded {
    fn each_part(
        &self,
        part: &mut dyn FnMut(&[Change]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        part(std::slice::from_ref(&self.record))?;
        self.bulk.each_part(part)
    }
}

/// All of them, where they are few enough to be held: what they replace is kept then.
fn few(bulk: &dyn Bulk) -> Option<Vec<Change>> {
    let mut all = Vec::new();
    let mut fits = true;
    let read = bulk.each_part(&mut |part| {
        fits &= all.is_empty() && part.len() < BULK_PART;
        if !fits {
            return Err(StoreError::Broken("more than one part".to_owned()));
        }
        all.extend_from_slice(part);
        Ok(())
    });
    (fits && read.is_ok()).then_some(all)
}

pub fn not_stored() -> Fault {
    Fault::new(Code::Unavailable, "the store can't be written: see the daemon's log")
}

fn work(store: &Store, waiting: &Receiver<Job>, health: &Health) {
    while let Ok(first) = waiting.recv() {
        let mut batch = Vec::new();
        let more = waiting.try_iter().take(BATCH_MAX - 1);
        for job in std::iter::once(first).chain(more) {
            let Some(bulk) = job.bulk else {
                batch.push(job);
                continue;
            };
            write(store, std::mem::take(&mut batch), health);
            let result = store.apply_bulk(&*bulk);
            told(health, clone_result(&result));
            answer(job.done, result.map(|()| None));
        }
        write(store, batch, health);
    }
}

fn write(store: &Store, batch: Vec<Job>, health: &Health) {
    let (noted, firm): (Vec<Job>, Vec<Job>) = batch.into_iter().partition(|job| job.only_noted);
    let notes: Vec<Change> = noted.into_iter().flat_map(|job| job.changes).collect();
    if !notes.is_empty() {
        told(health, store.note(&notes));
    }
    if firm.is_empty() {
        return;
    }
    let all: Vec<Change> = firm.iter().flat_map(|job| job.changes.iter().cloned()).collect();
    let result = store.apply_numbered(&all);
    // One record that can't be kept must not take the others with it.
    let one_by_one = matches!(result, Err(StoreError::TooLarge(..))) && firm.len() > 1;
    if !one_by_one {
        told(health, clone_result(&result));
    }
    // In the order of the jobs, each of which has one record at most.
    let mut numbers = result.as_ref().map(|all| all.iter().copied()).ok();
    for job in firm {
        let is_recorded = job.changes.iter().any(|it| matches!(it, Change::Audited(_)));
        let result = if one_by_one {
            let result = store.apply_numbered(&job.changes);
            told(health, clone_result(&result));
            result.map(|numbers| numbers.first().copied())
        } else {
            let missing = || StoreError::Broken("not written".to_owned());
            numbers
                .as_mut()
                .ok_or_else(missing)
                .map(|all| is_recorded.then(|| all.next()).flatten())
        };
        answer(job.done, result);
    }
}

fn answer(
    done: Option<oneshot::Sender<Result<Option<u64>, Fault>>>,
    result: Result<Option<u64>, StoreError>,
) {
    if let Some(done) = done {
        let _ = done.send(result.map_err(|_| not_stored()));
    }
}

fn clone_result<T>(result: &Result<T, StoreError>) -> Result<(), String> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn told<E: ToString>(health: &Health, result: Result<(), E>) {
    let complaint = result.err().map(|error| error.to_string());
    let mut known = health.complaint.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(what) = &complaint
        && known.as_ref() != Some(what)
    {
        error!("store: {what}");
    }
    *known = complaint;
}
