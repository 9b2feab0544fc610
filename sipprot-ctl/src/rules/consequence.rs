//! The table of consequences: a broken rule meets trust and proof.

use super::decision::Scope;
use super::rule::Consequence;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Nothing,
    /// SIP only, short, with the trickle. `escalates`: it may count, if the operator wants that.
    Contain {
        escalates: bool,
    },
    /// Source ports of a trusted peer that no other account uses.
    Quarantine,
    Block {
        known_peer: bool,
    },
    /// One service of a trusted peer; its SIP goes on.
    Cut(Scope),
}

/// Who broke a rule, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Breach {
    pub trusted: bool,
    /// The proven failures alone reach the limit.
    pub proven: bool,
    /// Proven failures of as many accounts as the rule `accounts` allows, none of them accepted
    /// from this source in the last 7 days.
    pub strange_accounts: bool,
    /// The most that the rule may lead to.
    pub at_most: Consequence,
}

pub fn verdict(breach: Breach) -> Verdict {
    match (breach.at_most, breach.trusted, breach.proven) {
        (Consequence::Alert, _, _) | (_, true, false) => Verdict::Nothing,
        (Consequence::ContainAtMost, true, _) | (Consequence::Service(_), false, false) => {
            Verdict::Nothing
        }
        (Consequence::Service(service), true, true) => Verdict::Cut(service),
        (Consequence::ContainAtMost, false, _) => Verdict::Contain { escalates: false },
        (Consequence::ByProof | Consequence::Service(_), false, true) => {
            Verdict::Block { known_peer: false }
        }
        (Consequence::ByProof, false, false) => Verdict::Contain { escalates: true },
        (Consequence::ByProof, true, true) if breach.strange_accounts => {
            Verdict::Block { known_peer: true }
        }
        (Consequence::ByProof, true, true) => Verdict::Quarantine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Consequence::{Alert, ByProof, ContainAtMost};

    #[test]
    fn every_cell() {
        let contain = |escalates| Verdict::Contain { escalates };
        let block = |known_peer| Verdict::Block { known_peer };
        #[rustfmt::skip]
        let table = [
            // trusted, proven, strange, at most → verdict
            (false, true,  false, ByProof, block(false)),
            (false, true,  true,  ByProof, block(false)),
            (false, false, false, ByProof, contain(true)),
            (false, false, true,  ByProof, contain(true)),
            (true,  true,  false, ByProof, Verdict::Quarantine),
            (true,  true,  true,  ByProof, block(true)),
            (true,  false, false, ByProof, Verdict::Nothing),
            (true,  false, true,  ByProof, Verdict::Nothing),
            (false, true,  true,  ContainAtMost, contain(false)),
            (false, false, false, ContainAtMost, contain(false)),
            (true,  true,  true,  ContainAtMost, Verdict::Nothing),
            (true,  false, false, ContainAtMost, Verdict::Nothing),
            (false, true,  false, Consequence::Service(Scope::Ssh), block(false)),
            (true,  true,  true,  Consequence::Service(Scope::Ssh), Verdict::Cut(Scope::Ssh)),
            (false, false, false, Consequence::Service(Scope::Http), Verdict::Nothing),
            (true,  false, false, Consequence::Service(Scope::Http), Verdict::Nothing),
            (false, true,  true,  Alert, Verdict::Nothing),
            (true,  true,  true,  Alert, Verdict::Nothing),
        ];
        for (trusted, proven, strange_accounts, at_most, expected) in table {
            let breach = Breach { trusted, proven, strange_accounts, at_most };
            assert_eq!(verdict(breach), expected, "{breach:?}");
        }
    }
}
