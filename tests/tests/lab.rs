//! The lab without a firewall: phones work, attackers get thousands of answers, nothing is left.
//!
//! What the counters show here is what they must not show once sipprot stands in front.

use anyhow::Result;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    janitor,
    lab::Lab,
    office::PHONES,
    pbx_counter::Counts,
    sipp::Calls,
    topology::Family,
};

#[test]
fn baseline() -> Result<()> {
    if let Some(missing) = Lab::missing() {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let lab = Lab::new()?;
    let id = lab.id().clone();
    for (family, pbx) in [(Family::V4, 0), (Family::V6, 1)] {
        phones_work(&lab, family, pbx)?;
        the_cracker_gets_answers(&lab, family, pbx)?;
    }
    drop(lab);
    assert_eq!(janitor::leftovers(Some(&id)), Vec::<String>::new());
    Ok(())
}

fn phones_work(lab: &Lab, family: Family, pbx: usize) -> Result<()> {
    let office = lab.office().at(pbx).over(family);
    let (registered, calls) = office.register_and_call(20)?;
    assert_eq!(registered, Calls { ok: PHONES, failed: 0 });
    assert_eq!(calls, Calls { ok: 20, failed: 0 });
    Ok(())
}

/// Paced, so that the PBX itself loses nothing; TCP paces itself.
fn the_cracker_gets_answers(lab: &Lab, family: Family, pbx: usize) -> Result<()> {
    let target = lab.pbxs[pbx].sip(family);
    let plan = || Plan::new(lab.newcomer().of(family), target);
    for plan in [Plan { per_second: Some(4000), ..plan() }, plan().tcp(), plan().split(333)] {
        let report = cracker::attack_from(&lab.net.attackers, &plan)?;
        let counts = lab.counts(plan.source)?;
        println!("{:?} {family:?}: {report:?}", plan.transport);
        assert_eq!((report.sent, report.answers_of(401)), (5000, 5000), "{report:?}");
        let seen = Counts { rejected_at: None, ..counts.clone() };
        assert_eq!((seen.credentialed, seen.rejected), (5000, 5000), "{seen:?}");
        // One more of each: the challenge, which is no rejection.
        assert_eq!((seen.requests_of("REGISTER"), seen.responses_of(401)), (5001, 5001));
    }
    Ok(())
}
