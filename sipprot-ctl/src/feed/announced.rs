//! Failures that a program tells twice: first that it begins, then that it failed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Longer than sshd lets anybody try (LoginGraceTime, two minutes).
const MEMORY: Duration = Duration::from_secs(150);
const ANNOUNCED_MAX: usize = 8192;

#[derive(Debug, Default)]
pub struct Announced {
    of: HashMap<(IpAddr, u16), Instant>,
}

impl Announced {
    /// Whether a failure counts: not if it was announced, which counted.
    pub fn counts(&mut self, from: (IpAddr, u16), announces: bool, now: Instant) -> bool {
        if !announces {
            return self.of.remove(&from).is_none_or(|at| now - at >= MEMORY);
        }
        if self.of.len() >= ANNOUNCED_MAX {
            self.of.retain(|_, at| now - *at < MEMORY);
        }
        if self.of.len() < ANNOUNCED_MAX {
            self.of.insert(from, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_and_its_first_password_are_one_failure() {
        let mut announced = Announced::default();
        let now = Instant::now();
        let from = |port| (IpAddr::from([198, 51, 100, 7]), port);
        assert!(announced.counts(from(1), true, now));
        assert!(!announced.counts(from(1), false, now));
        assert!(announced.counts(from(1), false, now), "the second password");
        assert!(announced.counts(from(2), false, now), "never announced");
        announced.counts(from(3), true, now);
        assert!(announced.counts(from(3), false, now + MEMORY), "long ago");
    }
}
