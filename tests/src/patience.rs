//! Waiting for what others do in their own time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Far longer than anything takes that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

pub fn wait_for<T>(what: &str, found: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_within(PATIENCE, what, found)
}

/// How often slower than usual the machine is: emulated ones say so.
const SLOWNESS: &str = "SIPPROT_TEST_SLOWNESS";

/// So long, on a machine that may be a slow one.
pub fn stretched(limit: Duration) -> Duration {
    let slowness = std::env::var(SLOWNESS).ok().and_then(|it| it.parse().ok());
    limit * slowness.unwrap_or(1)
}

/// For how many seconds something is taken away, where a longer outage than the usual one is wanted.
const OUTAGE: &str = "SIPPROT_OUTAGE_S";

pub fn outage(usual: Duration) -> Result<Duration> {
    match std::env::var(OUTAGE) {
        Ok(seconds) => Ok(Duration::from_secs(seconds.parse().context(OUTAGE)?)),
        Err(_) => Ok(usual),
    }
}

/// Asks again and again until there is an answer, or an error, or too much time has gone.
pub fn wait_within<T>(
    limit: Duration,
    what: &str,
    mut found: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let (start, limit) = (Instant::now(), stretched(limit));
    while start.elapsed() < limit {
        if let Some(found) = found()? {
            return Ok(found);
        }
        std::thread::sleep(PAUSE);
    }
    bail!("in vain waited for {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_an_answer_an_error_or_no_patience() {
        let mut times = 0;
        let third = || {
            times += 1;
            Ok((times == 3).then_some("answer"))
        };
        assert_eq!(wait_for("it", third).unwrap(), "answer");
        assert!(wait_for::<()>("it", || bail!("broken")).is_err());
        let vain = wait_within::<()>(Duration::ZERO, "it", || Ok(None)).unwrap_err();
        assert_eq!(vain.to_string(), "in vain waited for it");
    }
}
