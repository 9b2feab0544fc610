//! Guesses in somebody else's name: they prove nothing against whose address it is, and don't keep
//! an office from its PBX that was never there before.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sipprot_tests::{
    attackers::{
        cracker,
        forger::{self, Plan},
    },
    campus::{self, PHONES, Routine},
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::{Manners, SIP_PORT},
    sipp::Calls,
    topology::{OFFICE, PBXS},
};

const VICTIMS_PORT: u16 = 5062;

fn plan(victim: Ipv4Addr) -> Plan {
    Plan {
        victim: SocketAddrV4::new(victim, VICTIMS_PORT),
        target: SocketAddrV4::new(PBXS[0].v4, SIP_PORT),
        challenge: None,
        per_second: 200,
        limit: Duration::from_secs(90),
    }
}

/// Kinds of what was done about an address, the first of them first.
fn timeline(daemon: &Daemon, address: Ipv4Addr) -> Result<(Value, Vec<String>)> {
    let json = daemon.json(&["why", &address.to_string()])?;
    let moments = json["timeline"].as_array().context("a timeline")?;
    let kinds = moments.iter().filter_map(|it| it["kind"].as_str()).map(str::to_owned);
    let kinds = kinds.rev().collect();
    Ok((json, kinds))
}

#[test]
fn a_nonce_taken_elsewhere_proves_nothing() -> Result<()> {
    let manners = Manners { shared_nonces: true, ..Manners::default() };
    let Some((lab, daemon)) = Lab::protected(manners, &Settings::default())? else {
        return Ok(());
    };
    let calls = lab.office().register()?;
    assert_eq!(calls.failed, 0);
    let stranger = lab.newcomer().v4;
    let attackers = &lab.net.attackers;
    for victim in [OFFICE.v4, stranger] {
        for _ in 0..3 {
            let own = lab.newcomer().v4;
            let at_home = cracker::Plan::new(own.into(), plan(victim).target.into());
            let challenge = cracker::take_challenge(attackers, &at_home)?.context("a challenge")?;
            let limit = Duration::from_millis(700);
            let plan = Plan { challenge: Some(challenge), limit, ..plan(victim) };
            forger::forge_from(attackers, &plan, &AtomicBool::new(true))?;
        }
        let answered = lab.counts(victim.into())?.rejected;
        let (json, kinds) = timeline(&daemon, victim)?;
        println!("{victim}: {answered} answered, {}, {kinds:?}", json["verdict"]);
        if victim == stranger {
            assert_eq!(
                (&json["verdict"], &json["blocks"][0]["proven"]),
                (&"contained".into(), &false.into())
            );
            assert_eq!(kinds, ["contained"], "{json}");
        } else {
            assert_eq!((&json["verdict"], kinds.len()), (&"trusted".into(), 0), "{json}");
        }
    }
    Ok(())
}

#[test]
fn a_new_office_whose_address_is_forged_registers() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let wanted = AtomicBool::new(true);
    let (start, calls) = std::thread::scope(|scope| -> Result<_> {
        let forging =
            scope.spawn(|| forger::forge_from(&lab.net.attackers, &plan(OFFICE.v4), &wanted));
        std::thread::sleep(Duration::from_secs(3));
        let start = Instant::now();
        let routine = Routine::once(Duration::from_secs(5));
        let run = lab.campus(OFFICE.v4).through(VICTIMS_PORT).start(routine);
        let calls = run.and_then(|run| run.finish());
        wanted.store(false, Ordering::Relaxed);
        let sent = forging.join().map_err(|_| anyhow::anyhow!("the forger panicked"))??;
        println!("{sent} forged");
        Ok((start.elapsed(), calls?))
    })?;
    let (json, kinds) = timeline(&daemon, OFFICE.v4)?;
    println!("{calls:?} after {start:?}, {}, {kinds:?}, {:?}", json["verdict"], daemon.dropped()?);
    assert!(start < campus::LIMIT, "{start:?}");
    assert_eq!(calls, Calls { ok: PHONES.len() as u32, failed: 0 });
    assert_eq!(json["verdict"], "trusted", "{json}");
    assert!(!kinds.contains(&"blocked".to_owned()), "{json}");
    Ok(())
}
