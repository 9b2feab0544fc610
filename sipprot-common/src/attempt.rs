//! The attempt window: the kernel's own line against password guessing, with no controller.
//!
//! Per untrusted source it counts credentialed requests of the last 60 s that no acceptance has
//! emptied. At the limit, requests that prove a round trip begin a *hold* (all SIP of the source
//! dropped for 60 s); others, which anyone may have forged, begin a containment with its trickle.
//! Proven requests have a count of their own beside the whole, so that forged ones, which fill the
//! whole, cannot shut out a phone that answers its own challenge.

pub const WINDOW_NS: u64 = 60_000_000_000;
pub const HOLD_NS: u64 = 60_000_000_000;
/// SIP payload over TCP in 60 s without an acceptance, beyond which the source is held.
pub const TCP_BYTES_MAX: u32 = 16 * 1024;
/// How many of the last credentialed requests are known again when retransmitted.
pub const RECENT: usize = 8;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    pub start_ns: u64,
    pub hold_until_ns: u64,
    pub all: Window,
    pub proven: Window,
    /// Hashes of the last counted requests, of all their bytes.
    pub recent: [u32; RECENT],
    pub recent_next: u32,
    pub pad: u32,
    /// When the source was last accepted.
    pub accepted_ns: u64,
    pub reserved: [u64; 2],
}

/// Attempts of the minute before and of this one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub previous: u32,
    pub current: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Pass,
    /// Passes although the source is contained: it answers its own challenge.
    Trickle,
    Hold,
    Contain,
}

/// A credentialed request (or several, in one TCP segment) of an untrusted source.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub now_ns: u64,
    pub limit: u32,
    pub count: u32,
    /// Echoes the source's own nonce, or rides an established TCP connection.
    pub proven: bool,
    pub contained: bool,
}

#[inline(always)]
pub const fn held(attempts: &Attempts, now_ns: u64) -> bool {
    now_ns < attempts.hold_until_ns
}

impl Attempts {
    pub const NEW: Self = Self {
        start_ns: 0,
        hold_until_ns: 0,
        all: Window { previous: 0, current: 0 },
        proven: Window { previous: 0, current: 0 },
        recent: [0; RECENT],
        recent_next: 0,
        pad: 0,
        accepted_ns: 0,
        reserved: [0; 2],
    };
}

impl Window {
    /// Attempts of the last 60 s: this minute's and the part of the one before that is still in it.
    #[inline(always)]
    const fn estimate(previous: u32, current: u32, elapsed_ns: u64) -> u64 {
        let rest_ns = WINDOW_NS - elapsed_ns;
        current as u64 + (previous as u64 * rest_ns) / WINDOW_NS
    }
}

/// Starts new minutes as time goes by.
#[inline(always)]
fn turn(attempts: &mut Attempts, now_ns: u64) -> u64 {
    let elapsed_ns = now_ns.wrapping_sub(attempts.start_ns);
    if elapsed_ns < WINDOW_NS {
        return elapsed_ns;
    }
    if elapsed_ns < 2 * WINDOW_NS {
        attempts.all = Window { previous: attempts.all.current, current: 0 };
        attempts.proven = Window { previous: attempts.proven.current, current: 0 };
        attempts.start_ns += WINDOW_NS;
        return elapsed_ns - WINDOW_NS;
    }
    attempts.all = Window::default();
    attempts.proven = Window::default();
    attempts.start_ns = now_ns;
    0
}

/// Counts a request and judges it. `fetch_add` is the world's atomic addition: on the limit two CPUs
/// must not both read the last free place.
#[inline(always)]
pub fn judge(
    attempts: &mut Attempts,
    request: &Request,
    fetch_add: impl Fn(&mut u32, u32) -> u32,
) -> Verdict {
    let elapsed_ns = turn(attempts, request.now_ns);
    let limit = request.limit as u64;
    let add = request.count;
    if request.proven {
        let before = fetch_add(&mut attempts.proven.current, add);
        let proven = Window::estimate(attempts.proven.previous, before, elapsed_ns);
        let before = fetch_add(&mut attempts.all.current, add);
        if proven + add as u64 > limit {
            attempts.hold_until_ns = request.now_ns + HOLD_NS;
            return Verdict::Hold;
        }
        let all = Window::estimate(attempts.all.previous, before, elapsed_ns);
        return if request.contained || all + add as u64 > limit {
            Verdict::Trickle
        } else {
            Verdict::Pass
        };
    }
    if request.contained {
        return Verdict::Contain;
    }
    let before = fetch_add(&mut attempts.all.current, add);
    let all = Window::estimate(attempts.all.previous, before, elapsed_ns);
    if all + add as u64 > limit { Verdict::Contain } else { Verdict::Pass }
}

/// An acceptance of a credentialed REGISTER or INVITE: all is forgiven.
#[inline(always)]
pub fn accept(attempts: &mut Attempts, now_ns: u64) {
    attempts.all = Window::default();
    attempts.proven = Window::default();
    attempts.hold_until_ns = 0;
    attempts.accepted_ns = now_ns;
}

/// An acceptance of one request of many senders, in the window that they share: it stands for itself
/// alone, so its attempt no longer counts and those of the others do.
#[inline(always)]
pub fn take_back(attempts: &mut Attempts) {
    for window in [&mut attempts.all, &mut attempts.proven] {
        window.current = window.current.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn add(place: &mut u32, amount: u32) -> u32 {
        let before = *place;
        *place += amount;
        before
    }

    /// Sends `count` requests from `start`, `gap_ns` apart; returns how many passed and the last verdict.
    fn send(
        attempts: &mut Attempts,
        start: u64,
        count: u64,
        gap_ns: u64,
        proven: bool,
    ) -> (u64, Verdict) {
        let (mut passed, mut last, mut contained) = (0, Verdict::Pass, false);
        for i in 0..count {
            let now_ns = start + i * gap_ns;
            if held(attempts, now_ns) {
                continue;
            }
            let request = Request { now_ns, limit: 10, count: 1, proven, contained };
            last = judge(attempts, &request, add);
            match last {
                Verdict::Pass | Verdict::Trickle => passed += 1,
                Verdict::Contain => contained = true,
                Verdict::Hold => {}
            }
        }
        (passed, last)
    }

    #[test]
    fn five_thousand_guesses_in_ten_milliseconds() {
        let mut attempts = Attempts::default();
        assert_eq!(send(&mut attempts, 1_000 * SECOND, 5_000, 2_000, true), (10, Verdict::Hold));
        let mut attempts = Attempts::default();
        assert_eq!(
            send(&mut attempts, 1_000 * SECOND, 5_000, 2_000, false),
            (10, Verdict::Contain)
        );
    }

    #[test]
    fn ten_a_minute_pass_for_ever() {
        let mut attempts = Attempts::default();
        let (passed, _) = send(&mut attempts, 1_000 * SECOND, 60, 61 * SECOND / 10, true);
        assert_eq!(passed, 60);
    }

    #[test]
    fn a_slow_guesser_gets_no_more_than_the_limit_a_minute() {
        let mut attempts = Attempts::default();
        let (passed, _) = send(&mut attempts, 1_000 * SECOND, 3_600, SECOND, true);
        assert!(passed <= 10 * 61, "{passed} in an hour");
    }

    #[test]
    fn forged_requests_do_not_shut_out_a_proven_one() {
        let mut attempts = Attempts::default();
        send(&mut attempts, 1_000 * SECOND, 5_000, 2_000, false);
        let now_ns = 1_001 * SECOND;
        let mine = Request { now_ns, limit: 10, count: 1, proven: true, contained: true };
        assert_eq!(judge(&mut attempts, &mine, add), Verdict::Trickle);
    }

    #[test]
    fn several_in_one_segment_count_all() {
        let mut attempts = Attempts::default();
        let request =
            Request { now_ns: SECOND, limit: 10, count: 4, proven: true, contained: false };
        let verdicts = [(); 3].map(|()| judge(&mut attempts, &request, add));
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, Verdict::Hold]);
    }

    #[test]
    fn an_acceptance_empties_the_window() {
        let mut attempts = Attempts::default();
        send(&mut attempts, 1_000 * SECOND, 50, 2_000, true);
        assert!(held(&attempts, 1_001 * SECOND));
        accept(&mut attempts, 1_001 * SECOND);
        assert!(!held(&attempts, 1_001 * SECOND));
        assert_eq!(send(&mut attempts, 1_001 * SECOND, 50, 2_000, true).0, 10);
    }
}
