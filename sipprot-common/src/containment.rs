//! Containment: SIP is dropped but for a trickle, so that a real phone can still prove itself.

use crate::abi::Contained;

/// One uncredentialed REGISTER passes in this time.
pub const TRICKLE_NS: u64 = 5_000_000_000;

#[inline(always)]
pub const fn in_force(contained: &Contained, now_ns: u64) -> bool {
    now_ns < contained.until_ns
}

/// Begins a containment, twice as long as the one before while that one is remembered.
#[inline(always)]
pub fn begin(contained: &mut Contained, now_ns: u64, shortest_ns: u64, longest_ns: u64) {
    let doubled = contained.duration_ns * 2;
    let duration_ns = if doubled < shortest_ns {
        shortest_ns
    } else if doubled > longest_ns {
        longest_ns
    } else {
        doubled
    };
    contained.duration_ns = duration_ns;
    contained.until_ns = now_ns + duration_ns;
}

/// May an uncredentialed REGISTER pass now? `exchange` is the world's atomic exchange of a word that
/// still holds what it held: of the CPUs that ask at once, one gets the answer yes.
#[inline(always)]
pub fn trickle(
    contained: &mut Contained,
    now_ns: u64,
    exchange: impl Fn(&mut u64, u64, u64) -> bool,
) -> bool {
    let next_ns = contained.next_trickle_ns;
    now_ns >= next_ns && exchange(&mut contained.next_trickle_ns, next_ns, now_ns + TRICKLE_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_a_minute_to_ten() {
        let mut contained = Contained::default();
        let mut lengths = vec![];
        for _ in 0..6 {
            begin(&mut contained, 7, 60, 600);
            lengths.push(contained.until_ns - 7);
        }
        assert_eq!(lengths, [60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn one_register_in_five_seconds() {
        let mut contained = Contained::default();
        let exchange = |place: &mut u64, old: u64, new: u64| {
            let same = *place == old;
            *place = if same { new } else { *place };
            same
        };
        let passed =
            (0..600u64).filter(|i| trickle(&mut contained, i * 100_000_000, exchange)).count();
        assert_eq!(passed, 12);
    }
}
