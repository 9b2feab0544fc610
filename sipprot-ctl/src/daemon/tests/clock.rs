//! The wall clock is set while the daemon runs.

use jiff::SignedDuration;

use super::*;

#[tokio::test]
async fn blocks_and_trust_last_as_long_as_they_would_have() {
    const OFFICE: &str = "203.0.113.7";
    for hours in [87_600, 1, -1, -87_600] {
        let state = tempfile::tempdir().unwrap();
        let mut core = start(state.path(), ENDPOINT);
        let by = SignedDuration::from_hours(hours);
        core.clock = core.clock.before(by, Duration::ZERO);
        core.engine.clock_was_set(-super::super::clock::signed_nanoseconds(by));
        let inbound = Direction::Inbound;
        talk(&mut core, OFFICE, Method::Register, inbound, (1, 200), Proof::Nonce);
        (2..=20).for_each(|number| guess(&mut core, number));
        let before = check(&mut core, ATTACKER).await.block.unwrap();
        core.second();
        let found = check(&mut core, ATTACKER).await;
        assert!(found.blocked, "{hours}");
        let left = found.block.unwrap().expires_at - before.expires_at;
        assert!((left - by.as_secs()).abs() <= 1, "{hours}: {left}");
        assert!(core.engine.is_trusted(OFFICE.parse().unwrap()), "{hours}");
        kill(core);
        // The clock as it is now is the right one.
        let mut core = start(state.path(), ENDPOINT);
        let block = check(&mut core, ATTACKER).await.block;
        assert!(block.is_some(), "{hours}, after a restart");
        assert!(core.engine.is_trusted(OFFICE.parse().unwrap()), "{hours}, trust after a restart");
    }
}
