//! The verifier's budget: half of its million instructions, for each program.

use sipprot_tests::datapath::{Kernel, World, kernel};

const INSTRUCTIONS_MAX: u32 = 500_000;

#[test]
fn both_programs_stay_within_half_of_the_verifiers_limit() {
    if let Some(missing) = kernel::missing() {
        println!("skipped: the verifier's count needs {missing}");
        return;
    }
    let verified = Kernel::load(&World::new()).unwrap().verified().unwrap();
    println!("verified instructions: ingress {}, egress {}", verified.ingress, verified.egress);
    assert!(verified.ingress <= INSTRUCTIONS_MAX, "{verified:?}");
    assert!(verified.egress <= INSTRUCTIONS_MAX, "{verified:?}");
}
