//! The datapath's tables: every row is tried in the kernel and on the model, and the whole counter
//! array is asserted after each frame.

mod agents;
mod attempts;
mod ceilings;
mod containment;
mod disguises;
mod evasions;
mod geo;
mod guards;
mod headers;
mod lists;
mod mutated;
mod observation;
mod pair;
mod parallel;
mod paths;
mod pieces;
mod places;
mod policies;
mod robustness;
mod strangers;
mod tcp;
mod torture;
mod verifier;
mod wider;

use std::collections::HashSet;

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::Case;

#[test]
fn every_reason_is_in_a_table() {
    let tables: Vec<Vec<Case>> = vec![
        agents::cases(),
        attempts::cases(),
        ceilings::cases(),
        containment::cases(),
        evasions::cases(),
        geo::cases(),
        guards::cases(),
        headers::cases(),
        lists::cases(),
        observation::cases(),
        paths::cases(),
        pieces::cases(),
        policies::cases(),
        strangers::cases(),
        tcp::cases(),
        wider::cases(),
    ];
    let cases: Vec<&Case> = tables.iter().flatten().collect();
    println!("{} cases in the tables", cases.len());
    let covered: HashSet<Reason> = cases.iter().flat_map(|case| case.reasons()).collect();
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !covered.contains(reason)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
