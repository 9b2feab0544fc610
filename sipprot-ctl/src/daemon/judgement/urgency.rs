//! Who breaks a limit shall be stopped at once, even where the PBX keeps every core busy: the thread that
//! judges events is scheduled in real time.
//!
//! Only for that, and only while it keeps up. What else it does may take long, and nobody else would get
//! the core meanwhile. Waiting for its turn among the others costs milliseconds, which is many guesses.

use std::io;

use tracing::debug;

/// Of the thread that makes it.
#[derive(Default)]
pub struct Urgency {
    urgent: bool,
    refused: bool,
}

impl Urgency {
    /// Before all others that don't ask for the same, or one among them. Where the host doesn't allow it,
    /// nothing changes.
    pub fn set(&mut self, urgent: bool) {
        if self.urgent == urgent || self.refused {
            return;
        }
        match schedule(urgent) {
            Ok(()) => self.urgent = urgent,
            Err(error) => {
                debug!("events aren't judged in real time: {error}");
                self.refused = true;
            }
        }
    }

    /// Does something that may take its time.
    pub fn at_leisure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.set(false);
        let done = work();
        self.set(true);
        done
    }
}

/// Threads that come of this one are ordinary ones.
fn schedule(urgent: bool) -> io::Result<()> {
    let (policy, priority) = if urgent { (libc::SCHED_RR, 1) } else { (libc::SCHED_OTHER, 0) };
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: of the calling thread, with a valid parameter.
    let done = unsafe {
        libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_urgent_or_says_nothing() {
        // SAFETY: of the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
        let mut urgency = Urgency::default();
        urgency.set(true);
        let allowed = !urgency.refused;
        assert_eq!(policy() == libc::SCHED_RR, allowed);
        assert_eq!(urgency.at_leisure(policy), libc::SCHED_OTHER);
        assert_eq!(policy() == libc::SCHED_RR, allowed);
        urgency.set(false);
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
