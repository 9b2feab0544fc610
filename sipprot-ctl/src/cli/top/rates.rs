//! From two looks at the counts to what happens in a second.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::{Top, Traffic};

/// Packets a second.
#[derive(Clone, Default, Debug, PartialEq, Serialize)]
pub struct Speed {
    pub passed: f64,
    pub sip: f64,
    pub dropped: f64,
    pub observed: f64,
    /// Of dropped ones, by reason; without the zeroes.
    pub drops: BTreeMap<String, f64>,
}

/// The counts now, and how fast they grew since the look before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rated {
    /// Between the two looks; 0 when there was no first one.
    pub seconds: f64,
    pub traffic: Speed,
    /// By interface.
    pub received: BTreeMap<String, f64>,
    /// By name.
    pub endpoints: BTreeMap<String, Speed>,
    /// Packets dropped, by source.
    pub attackers: BTreeMap<String, f64>,
    pub now: Top,
}

pub fn rated(before: Option<&Top>, now: Top) -> Rated {
    let before = before.unwrap_or(&now);
    let seconds = now.at_ms.saturating_sub(before.at_ms) as f64 / 1000.0;
    // Counts begin anew when the kernel's maps do.
    let rate = |then: u64, now: u64| match seconds > 0.0 {
        true => now.saturating_sub(then) as f64 / seconds,
        false => 0.0,
    };
    let speed = |then: &Traffic, now: &Traffic| {
        let drops = now.drops.iter().map(|(reason, count)| {
            (reason.clone(), rate(then.drops.get(reason).copied().unwrap_or(0), *count))
        });
        Speed {
            passed: rate(then.passed, now.passed),
            sip: rate(then.sip, now.sip),
            dropped: rate(then.dropped, now.dropped),
            observed: rate(then.observed, now.observed),
            drops: drops.filter(|(_, rate)| *rate > 0.0).collect(),
        }
    };
    let endpoints = now.endpoints.iter().map(|it| {
        let then = before.endpoints.iter().find(|then| then.name == it.name);
        (it.name.clone(), speed(then.map_or(&it.traffic, |then| &then.traffic), &it.traffic))
    });
    let received = now.interfaces.iter().map(|it| {
        let then = before.interfaces.iter().find(|then| then.name == it.name);
        (it.name.clone(), rate(then.map_or(it.received, |then| then.received), it.received))
    });
    let attackers = now.attackers.iter().map(|it| {
        let then = before.attackers.iter().find(|then| then.source == it.source);
        // A newcomer has done all of it since.
        (it.source.clone(), rate(then.map_or(0, |then| then.dropped), it.dropped))
    });
    Rated {
        seconds,
        traffic: speed(&before.traffic, &now.traffic),
        received: received.collect(),
        endpoints: endpoints.collect(),
        attackers: attackers.collect(),
        now: now.clone(),
    }
}
