//! The search tree of a MaxMind-format database, looked at as a whole before anybody walks through it: a hundred
//! nodes that share their children have more ways through them than can ever be gone.

/// Networks for each node. A tree has one more than nodes; that IPv4 lies in several places multiplies some.
const WAYS_MAX: u64 = 16;

const UNSEEN: u64 = 0;
/// Its children are being looked at.
const BEGUN: u64 = u64::MAX;

/// Does a walk end, and soon? The records of a node have so many bits each.
pub(super) fn is_bounded(bytes: &[u8], nodes: u32, record_bits: u16) -> bool {
    ways(bytes, nodes as usize, record_bits).is_some()
}

/// How many networks it leads to.
fn ways(bytes: &[u8], nodes: usize, record_bits: u16) -> Option<u64> {
    let most = WAYS_MAX * (nodes as u64 + 1);
    if bytes.len() < nodes.checked_mul(usize::from(record_bits) / 4)? {
        return None;
    }
    let mut ways = vec![UNSEEN; nodes];
    let mut path = Vec::from_iter((nodes > 0).then_some(0));
    while let Some(&node) = path.last() {
        let (mut sum, mut next) = (0, None);
        for child in records(bytes, node, record_bits)? {
            match ways.get(child) {
                None => sum += 1,
                Some(&UNSEEN) => next = Some(child),
                // It leads to itself.
                Some(&BEGUN) => return None,
                Some(known) => sum += known,
            }
        }
        if sum > most {
            return None;
        }
        ways[node] = if next.is_some() { BEGUN } else { sum };
        match next {
            // A node whose both records lead to itself is no child of itself either.
            Some(next) if next == node => return None,
            Some(next) => path.push(next),
            None => drop(path.pop()),
        }
    }
    Some(ways.first().copied().unwrap_or(1))
}

fn records(bytes: &[u8], node: usize, record_bits: u16) -> Option<[usize; 2]> {
    let length = usize::from(record_bits) / 4;
    let node = bytes.get(node * length..(node + 1) * length)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    Some(match node {
        [left @ .., _, _, _] if record_bits == 24 => [number(left), number(&node[3..])],
        // The byte in the middle has the highest bits of both.
        [a, b, c, middle, d, e, f] => [
            usize::from(middle >> 4) << 24 | number(&[*a, *b, *c]),
            usize::from(middle & 15) << 24 | number(&[*d, *e, *f]),
        ],
        [left @ .., _, _, _, _] if record_bits == 32 => [number(left), number(&node[4..])],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(nodes: &[[usize; 2]], expected: Option<u64>) {
        let count = nodes.len();
        let words = || nodes.iter().flatten().map(|&record| (record as u32).to_be_bytes());
        let short: Vec<u8> = words().flat_map(|word| word[1..].to_vec()).collect();
        let long: Vec<u8> = words().flatten().collect();
        let middle = nodes.iter().flat_map(|node| {
            let [left, right] = node.map(|record| (record as u32).to_be_bytes());
            [&left[1..], &[left[0] << 4 | right[0]], &right[1..]].concat()
        });
        let middle: Vec<u8> = middle.collect();
        for (bits, bytes) in [(24, short), (28, middle), (32, long)] {
            assert_eq!(ways(&bytes, count, bits), expected, "{bits} bits, {nodes:?}");
            if count > 0 {
                assert_eq!(ways(&bytes[1..], count, bits), None, "cut short");
            }
        }
    }

    #[test]
    fn trees_are_told_from_what_nobody_can_walk_through() {
        check(&[], Some(1));
        check(&[[1, 17]], Some(2));
        check(&[[1, 2], [3, 3], [3, 19]], Some(4));
        // IPv4 in two places.
        check(&[[1, 2], [3, 4], [3, 4], [4, 20]], Some(6));
        check(&[[0, 1]], None);
        check(&[[0, 0]], None);
        check(&[[1, 2], [0, 2]], None);
        let bomb: Vec<_> = (1..=127).map(|next| [next, next]).collect();
        check(&bomb, None);
    }

    #[test]
    fn records_of_other_lengths_are_none() {
        assert_eq!(ways(&[0; 100], 1, 20), None);
        assert_eq!(ways(&[0; 100], u32::MAX as usize, 32), None);
    }
}
