//! The lab without a firewall: phones work, attackers get thousands of answers, nothing is left.
//!
//! What the counters show here is what they must not show once sipprot stands in front.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Result;
use sipprot_tests::{
    attackers::{
        cracker::{self, Plan, Report},
        sipvicious::{self, Agent, Tool},
    },
    counter::Counts,
    janitor,
    lab::Lab,
    office::PHONES,
    sipp::Calls,
    topology::{Family, OFFICE},
};

const BOTH: [(Family, usize); 2] = [(Family::V4, 0), (Family::V6, 1)];

/// A lab, or a line that says why there is none.
fn lab() -> Result<Option<Lab>> {
    match Lab::missing() {
        None => Lab::new().map(Some),
        Some(missing) => {
            println!("skipped: needs {missing}");
            Ok(None)
        }
    }
}

fn ok(calls: u32) -> Calls {
    Calls { ok: calls, failed: 0 }
}

#[test]
fn office_and_trunk_call() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    for (family, pbx) in BOTH {
        let office = lab.office().at(pbx).over(family);
        let (registered, calls) = office.register_and_call(20)?;
        assert_eq!((registered, calls), (ok(PHONES), ok(20)), "{family:?}");
        // Each phone is challenged, and nobody rejected.
        let seen = lab.counts(OFFICE.of(family))?;
        assert_eq!((seen.responses_of(401), seen.rejected), (PHONES.into(), 0), "{seen:?}");
        let trunk = lab.trunk().at(pbx).over(family);
        let _answering = (office.answer()?, trunk.answer()?);
        let (calls_in, calls_out) =
            (trunk.start_calls_in(10, 10)?, office.start_calls_out(10, 10)?);
        assert_eq!((calls_in.finish()?, calls_out.finish()?), (ok(10), ok(10)), "{family:?}");
    }
    Ok(())
}

#[test]
fn a_stale_password_is_rejected_each_time() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let tried = lab.office().start_stale_phone(25000, Duration::from_millis(20))?.finish()?;
    assert_eq!(tried, ok(1));
    let seen = lab.counts(OFFICE.of(Family::V4))?;
    assert_eq!((seen.credentialed, seen.rejected, seen.responses_of(401)), (12, 12, 24));
    Ok(())
}

#[test]
fn the_cracker_gets_its_guesses_answered() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    for (family, pbx) in BOTH {
        let target = lab.pbxs[pbx].sip(family);
        let plan = || Plan::new(lab.newcomer().of(family), target);
        let (report, seen) = crack(&lab, &plan())?;
        // A burst over UDP overruns the PBX's own socket: on a busy machine most of it is lost.
        assert!(report.sent == 5000 && seen.rejected >= 500, "{report:?} {seen:?}");
        for plan in [plan().tcp(), plan().split(333)] {
            let (report, seen) = crack(&lab, &plan)?;
            assert_eq!((report.sent, report.answers_of(401)), (5000, 5000), "{report:?}");
            assert_eq!((seen.credentialed, seen.rejected), (5000, 5000), "{seen:?}");
            // One more of each: the challenge, which is no rejection.
            assert_eq!((seen.requests_of("REGISTER"), seen.responses_of(401)), (5001, 5001));
            // The tap at the attackers' end counts the same, so `sent` can be believed too.
            let sent = Counts { rejected_at: None, ..lab.sent.settled(plan.source)? };
            assert_eq!(sent, seen);
        }
    }
    Ok(())
}

fn crack(lab: &Lab, plan: &Plan) -> Result<(Report, Counts)> {
    let report = cracker::attack_from(&lab.net.attackers, plan)?;
    println!("{:?} from {}: {report:?}", plan.transport, plan.source);
    Ok((report, Counts { rejected_at: None, ..lab.counts(plan.source)? }))
}

#[test]
fn sipvicious_finds_and_cracks() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let renamed = Agent::Renamed("Acme Phone 1.0");
    let attacks = [
        (Tool::Svcrack, Agent::Shown),
        (Tool::Svcrack, Agent::Compact),
        (Tool::Svcrack, renamed),
        (Tool::Svwar, Agent::Shown),
        (Tool::Svwar, Agent::Compact),
        (Tool::Svmap, Agent::Shown),
        (Tool::Svmap, Agent::Compact),
    ];
    for (tool, agent) in attacks {
        // Only the second PBX tells known accounts from unknown ones.
        let pbx = usize::from(tool == Tool::Svwar);
        let (source, target) = (lab.newcomer().v4, lab.pbxs[pbx].addresses.v4);
        let plan = sipvicious::Plan {
            tries: 150,
            limit: Duration::from_millis(2500),
            ..sipvicious::Plan::new(tool, source, target).disguised(agent)
        };
        let printed = sipvicious::attack(&lab, &plan)?;
        let seen = lab.counts(source.into())?;
        let what = format!("{tool:?} {agent:?}: {seen:?}\n{printed}");
        match tool {
            Tool::Svcrack => assert!(seen.rejected >= 150, "{what}"),
            Tool::Svwar => {
                let (unknown, known) = (seen.responses_of(404), seen.responses_of(401));
                assert!(unknown >= 100 && known >= 50, "{what}");
            }
            Tool::Svmap => assert_eq!(seen.requests_of("OPTIONS"), 2, "{what}"),
        }
    }
    Ok(())
}

#[test]
fn nothing_is_left_behind() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let id = lab.id().clone();
    assert!(janitor::leftovers(Some(&id)).len() > 7, "the lab is there");
    drop(lab);
    assert_eq!(janitor::leftovers(Some(&id)), Vec::<String>::new());
    Ok(())
}

/// This test runs itself as a child that builds a lab and is killed.
#[test]
fn a_killed_lab_leaves_nothing_behind() -> Result<()> {
    const CHILD: &str = "SIPPROT_LAB_TO_BE_KILLED";
    if std::env::var_os(CHILD).is_some() {
        let _lab = lab()?;
        std::thread::sleep(Duration::from_secs(60));
        return Ok(());
    }
    if Lab::missing().is_some() {
        return lab().map(drop);
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "a_killed_lab_leaves_nothing_behind"])
        .env(CHILD, "yes")
        .stdout(Stdio::null())
        .spawn()?;
    let named = format!("sipprot-lab-{}-", child.id());
    let leftovers = || -> Vec<String> {
        janitor::leftovers(None).into_iter().filter(|name| name.contains(&named)).collect()
    };
    let seven_namespaces_and_files = wait_for(|| leftovers().len() == 8);
    std::thread::sleep(Duration::from_millis(100));
    child.kill()?;
    child.wait()?;
    assert!(seven_namespaces_and_files, "the child's lab never came up");
    assert!(wait_for(|| leftovers().is_empty()), "left behind: {:?}", leftovers());
    Ok(())
}

fn wait_for(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
