//! The JSON object, and what it must show.

use std::net::IpAddr;

use serde::Serialize;

use crate::daemon::Check;

/// Requests that may still be on their way to the PBX when the limit is reached.
const IN_FLIGHT: u64 = 2;
/// Fewer guesses than this would prove nothing about a burst.
const BURST_MIN: u64 = 1000;
/// From fewer requests the lab can't tell by itself: svmap also tries addresses that nobody has.
const TELLING_MIN: u64 = 20;

#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How the program hangs on the uplink: native or generic.
    pub mode: String,
    pub attackers: Vec<Attacker>,
    pub office: Office,
    pub trunk: Trunk,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Attacker {
    pub name: &'static str,
    pub source: IpAddr,
    /// Requests on the wire at the attacker's end.
    pub sent: u64,
    /// Those of them that arrived.
    #[serde(skip)]
    pub reached: u64,
    /// Guesses that the PBX answered with a rejection, counted in the PBX's namespace.
    pub rejected_by_pbx: u64,
    pub outcome: Outcome,
    /// From the packet that broke the limit to the block in the kernel's map; null without a block.
    pub time_to_block_us: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Its packets are dropped, and nothing is held against the source itself.
    Dropped,
    Contained,
    Blocked,
    /// It was let through.
    Passed,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Contained => "contained",
            Self::Blocked => "blocked",
            Self::Passed => "PASSED",
        }
    }

    /// The firewall's own word, if it has one, then what the lab saw.
    pub fn of(check: Option<&Check>, sent: u64, reached: u64) -> Self {
        match check {
            Some(check) if check.blocked || check.denied => Self::Blocked,
            Some(check) if check.contained => Self::Contained,
            Some(check) if check.held || check.dropped() > 0 => Self::Dropped,
            _ if sent >= TELLING_MIN && reached < sent / 2 => Self::Dropped,
            _ => Self::Passed,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Office {
    pub phones: u32,
    pub registered: u32,
    pub calls_ok: u32,
    pub calls_failed: u32,
    pub blocked: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Trunk {
    pub calls_ok: u32,
    pub calls_failed: u32,
    pub blocked: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    pub address: String,
    pub attacks: u64,
}

/// What is not as it must be, a line each.
pub fn failures(summary: &Summary, register_limit: u32) -> Vec<String> {
    let mut failures = Vec::new();
    let mut expect = |met: bool, otherwise: String| {
        if !met {
            failures.push(otherwise);
        }
    };
    for attacker in &summary.attackers {
        let Attacker { name, sent, reached, rejected_by_pbx: rejected, .. } = attacker;
        expect(attacker.outcome != Outcome::Passed, format!("{name} was let through"));
        expect(*sent > 0, format!("{name} sent nothing"));
        if let "svcrack" | "svwar" | "svmap" = *name {
            expect(*reached == 0, format!("{name}: {reached} requests of a listed agent arrived"));
        }
        // Split over TCP with nobody to put it together: the figure is given, not judged.
        if name.starts_with("cracker") && !name.contains("split") {
            let most = u64::from(register_limit) + IN_FLIGHT;
            expect(*rejected <= most, format!("{name}: {rejected} rejections, at most {most}"));
            let burst = name.contains("tcp") || *sent >= BURST_MIN;
            expect(burst, format!("{name} sent only {sent}"));
        }
    }
    let Office { phones, registered, calls_ok, calls_failed, blocked } = summary.office;
    expect(registered == phones, format!("office: {registered} of {phones} phones registered"));
    expect(calls_ok > 0 && calls_failed == 0, format!("office: {calls_failed} calls failed"));
    expect(!blocked, "the office was blocked".to_owned());
    let Trunk { calls_ok, calls_failed, blocked } = summary.trunk;
    expect(calls_ok > 0 && calls_failed == 0, format!("trunk: {calls_failed} calls failed"));
    expect(!blocked, "the trunk was blocked".to_owned());
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(name: &'static str, sent: u64, rejected: u64, outcome: Outcome) -> Summary {
        let source = "198.51.100.10".parse().unwrap();
        Summary {
            mode: "native".to_owned(),
            attackers: vec![Attacker {
                name,
                source,
                sent,
                reached: rejected,
                rejected_by_pbx: rejected,
                outcome,
                time_to_block_us: Some(90),
            }],
            office: Office { phones: 50, registered: 50, calls_ok: 9, ..Office::default() },
            trunk: Trunk { calls_ok: 9, ..Trunk::default() },
            endpoints: vec![Endpoint { address: "192.0.2.11".to_owned(), attacks: 1 }],
        }
    }

    fn check(summary: &Summary, expected: &[&str]) {
        assert_eq!(failures(summary, 10), expected);
    }

    #[test]
    fn what_is_expected_of_attackers() {
        check(&summary("cracker", 5001, 12, Outcome::Blocked), &[]);
        check(
            &summary("cracker", 900, 13, Outcome::Passed),
            &[
                "cracker was let through",
                "cracker: 13 rejections, at most 12",
                "cracker sent only 900",
            ],
        );
        check(&summary("cracker-tcp", 30, 12, Outcome::Dropped), &[]);
        check(&summary("cracker-tcp-split-daemon-dead", 30, 25, Outcome::Dropped), &[]);
        check(&summary("svmap", 8, 0, Outcome::Dropped), &[]);
        check(
            &summary("svmap", 8, 1, Outcome::Dropped),
            &["svmap: 1 requests of a listed agent arrived"],
        );
    }

    #[test]
    fn what_is_expected_of_customers() {
        let mut summary = summary("cracker", 5001, 12, Outcome::Blocked);
        summary.office.registered = 49;
        summary.office.blocked = true;
        summary.trunk.calls_failed = 1;
        check(
            &summary,
            &[
                "office: 49 of 50 phones registered",
                "the office was blocked",
                "trunk: 1 calls failed",
            ],
        );
    }

    #[test]
    fn the_shape_of_the_object() {
        let text = serde_json::to_string(&summary("cracker", 5001, 12, Outcome::Blocked)).unwrap();
        assert_eq!(
            text,
            r#"{"mode":"native","attackers":[{"name":"cracker","source":"198.51.100.10","#
                .to_owned()
                + r#""sent":5001,"rejected_by_pbx":12,"outcome":"blocked","time_to_block_us":90}],"#
                + r#""office":{"phones":50,"registered":50,"calls_ok":9,"calls_failed":0,"#
                + r#""blocked":false},"trunk":{"calls_ok":9,"calls_failed":0,"blocked":false},"#
                + r#""endpoints":[{"address":"192.0.2.11","attacks":1}]}"#
        );
    }

    #[test]
    fn the_firewalls_word_goes_first() {
        let blocked = Check { blocked: true, contained: true, ..Check::default() };
        assert_eq!(Outcome::of(Some(&blocked), 10, 10), Outcome::Blocked);
        let held = Check { held: true, ..Check::default() };
        assert_eq!(Outcome::of(Some(&held), 10, 10), Outcome::Dropped);
        assert_eq!(Outcome::of(Some(&Check::default()), 5000, 10), Outcome::Dropped);
        assert_eq!(Outcome::of(None, 5000, 4000), Outcome::Passed);
    }
}
