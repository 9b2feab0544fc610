//! The table of outcomes: what a final response says about its request.

use super::observation::Method;
use super::transaction::Given;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Asked for credentials: no failure, if it is answered.
    Challenged,
    /// Refused. `account`: it was the account that failed (its password, or that it exists).
    Rejected {
        account: bool,
    },
    Accepted,
    /// Asked what is there, and got something else than a 2xx.
    Probed {
        account: bool,
    },
    Uncounted,
}

/// The facts that an outcome follows from.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub method: Method,
    pub given: Given,
    /// Its credentials echo a nonce that was sent to this source alone.
    pub own_nonce: bool,
    pub trusted: bool,
    pub status: u16,
    /// Hash of the realm of the challenge, if the response has one.
    pub realm: Option<u64>,
    pub stale: bool,
}

pub fn outcome(answer: &Answer) -> Outcome {
    match (answer.method, answer.status) {
        (Method::Ack | Method::Cancel, _) | (_, ..200 | 700..) => Outcome::Uncounted,
        (Method::Register | Method::Invite, 200..300) => Outcome::Accepted,
        (_, 200..300) => Outcome::Uncounted,
        (_, 408 | 423 | 480 | 481 | 486 | 487 | 488 | 500..=600 | 603) => Outcome::Uncounted,
        (Method::Register, _) => register(answer),
        (Method::Invite, _) => invite(answer),
        _ => other(answer),
    }
}

fn register(answer: &Answer) -> Outcome {
    match answer.status {
        401 | 407 if is_challenge(answer) => Outcome::Challenged,
        401 | 407 | 403 | 404 => Outcome::Rejected { account: true },
        _ => Outcome::Uncounted,
    }
}

fn invite(answer: &Answer) -> Outcome {
    // Without credentials From is only a caller's number: a trunk brings thousands of them.
    let account = matches!(answer.given, Given::Response { .. } | Given::Unseen);
    match answer.status {
        401 | 407 if is_challenge(answer) => Outcome::Challenged,
        401 | 407 | 403 => Outcome::Rejected { account },
        404 | 484 | 604 if !answer.trusted => Outcome::Rejected { account: false },
        _ => Outcome::Uncounted,
    }
}

fn other(answer: &Answer) -> Outcome {
    use Method::{Message, Notify, Publish, Subscribe};
    match (answer.method, answer.status) {
        (Subscribe | Notify | Publish | Message, 404 | 489) => Outcome::Uncounted,
        (Method::Options, 401 | 407) if is_challenge(answer) => Outcome::Probed { account: false },
        (_, 401 | 407) if is_challenge(answer) => Outcome::Uncounted,
        (_, 401 | 407) => Outcome::Probed { account: true },
        _ => Outcome::Probed { account: false },
    }
}

/// Whether a 401 or 407 only asks for credentials.
///
/// Credentials for another realm are no guess here, and their 401 is a challenge. But who echoes a
/// nonce of ours knows the realm that came with it: a made-up realm hides no guess. Nor does a
/// message that is too long to be seen whole: the first after each acceptance is free.
fn is_challenge(answer: &Answer) -> bool {
    match answer.given {
        Given::Nothing | Given::Empty => true,
        Given::Response { .. } | Given::Unseen if answer.stale => true,
        Given::Unseen => false,
        Given::Response { realm } => {
            !answer.own_nonce && answer.realm.is_some_and(|challenged| challenged != realm)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Method::{Ack, Cancel, Invite, Message, Notify, Options, Publish, Register, Subscribe};
    use Outcome::{Accepted, Challenged, Probed, Rejected, Uncounted};

    const ACCOUNT: Outcome = Rejected { account: true };
    const CALL: Outcome = Rejected { account: false };
    const NOTHING: Given = Given::Nothing;
    const EMPTY: Given = Given::Empty;
    const GUESS: Given = Given::Response { realm: 7 };
    const STRANGE: Given = Given::Response { realm: 8 };

    fn answer(method: Method, given: Given, status: u16) -> Answer {
        let realm = matches!(status, 401 | 407).then_some(7);
        Answer { method, given, own_nonce: false, trusted: false, status, realm, stale: false }
    }

    fn check(method: Method, given: Given, statuses: &[u16], expected: Outcome) {
        for &status in statuses {
            let answer = answer(method, given, status);
            assert_eq!(outcome(&answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn challenged() {
        for method in [Register, Invite] {
            check(method, NOTHING, &[401, 407], Challenged);
            check(method, EMPTY, &[401, 407], Challenged);
            check(method, STRANGE, &[401, 407], Challenged);
            let stale = Answer { stale: true, ..answer(method, GUESS, 401) };
            assert_eq!(outcome(&stale), Challenged);
        }
    }

    #[test]
    fn rejected() {
        check(Register, GUESS, &[401, 407, 403, 404], ACCOUNT);
        check(Register, NOTHING, &[403, 404], ACCOUNT);
        for method in [Register, Invite] {
            check(method, Given::Unseen, &[401, 407, 403], ACCOUNT);
        }
        check(Invite, GUESS, &[401, 407, 403], ACCOUNT);
        check(Invite, NOTHING, &[403, 404, 484, 604], CALL);
    }

    #[test]
    fn ported_numbers_of_a_trusted_source_are_no_failures() {
        for (status, expected) in
            [(404, Uncounted), (484, Uncounted), (604, Uncounted), (403, CALL)]
        {
            let answer = Answer { trusted: true, ..answer(Invite, NOTHING, status) };
            assert_eq!(outcome(&answer), expected, "{status}");
        }
        let register = Answer { trusted: true, ..answer(Register, NOTHING, 404) };
        assert_eq!(outcome(&register), ACCOUNT);
    }

    #[test]
    fn accepted() {
        for given in [NOTHING, GUESS] {
            check(Register, given, &[200, 202], Accepted);
            check(Invite, given, &[200, 202], Accepted);
        }
    }

    #[test]
    fn never_counted() {
        let statuses = [408, 423, 480, 481, 486, 487, 488, 500, 503, 600, 603, 100, 183];
        for method in [Register, Invite, Options, Subscribe] {
            check(method, GUESS, &statuses, Uncounted);
        }
        for method in [Subscribe, Notify, Publish, Message] {
            check(method, NOTHING, &[404, 489, 401, 200], Uncounted);
        }
        check(Ack, GUESS, &[200, 401, 404], Uncounted);
        check(Cancel, GUESS, &[200, 401, 404], Uncounted);
    }

    #[test]
    fn probed() {
        check(Options, NOTHING, &[401, 403, 404, 405], Probed { account: false });
        check(Options, NOTHING, &[200, 202], Uncounted);
        check(Method::Other, NOTHING, &[403, 405], Probed { account: false });
        check(Method::Other, NOTHING, &[401, 501], Uncounted);
        check(Subscribe, GUESS, &[401, 407], Probed { account: true });
    }

    #[test]
    fn a_made_up_realm_hides_no_guess_on_our_nonce() {
        let answer = Answer { own_nonce: true, ..answer(Register, STRANGE, 401) };
        assert_eq!(outcome(&answer), ACCOUNT);
    }
}
