//! CPUs that don't halt: what is left of a reaction then is the program's own, without the machine's time
//! to wake a CPU. A virtual one takes hundreds of microseconds for that where its host neither polls nor
//! lets it poll.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, ensure};

use crate::wire;

/// A thread on each CPU that runs while nobody else wants to; until it is dropped.
pub struct Awake {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    pub fn keep() -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut awake = Self { stop: stop.clone(), threads: Vec::new() };
        let (told, ready) = std::sync::mpsc::channel();
        for cpu in 0..wire::cpus()? {
            let (stop, told) = (stop.clone(), told.clone());
            awake.threads.push(thread::spawn(move || {
                let _ = told.send(wire::pin(cpu).and_then(|()| be_idle()));
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }));
        }
        awake.threads.iter().try_for_each(|_| ready.recv()?)?;
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Whoever else wants the CPU gets it at once.
fn be_idle() -> Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: of the calling thread, with a valid parameter.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    ensure!(done == 0, "run while the CPU is idle: {}", io::Error::last_os_error());
    Ok(())
}
