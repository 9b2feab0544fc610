//! Bounded tables: whatever attackers can fill has a limit, gives up its coldest entries first,
//! and counts what it gave up.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, RandomState};

use super::time::Time;

/// Entries that compete for the same room.
const SHELF: usize = 16;

/// How dear an entry is: first by class, then by when it was last of use.
pub trait Warmth {
    fn warmth(&self) -> (u8, Time);

    /// Bytes that it keeps beside its own size.
    fn heap(&self) -> usize {
        0
    }
}

/// A map with at most `capacity` entries, on shelves of sixteen: a newcomer on a full shelf takes
/// the place of its coldest. A shelf is bounded in bytes too, so that a million entries that are
/// small cost what is said of them, and a few may be large.
///
/// It never grows or sweeps as a whole, since a verdict must not wait milliseconds for that in the
/// middle of a flood. The hash is keyed at random: the keys are attackers'.
pub struct Table<K, V> {
    shelves: Vec<Vec<(K, V)>>,
    seed: RandomState,
    /// Bytes that the entries of a shelf may keep, all together.
    shelf_bytes: usize,
    len: usize,
    dropped: u64,
}

impl<K: Copy + Eq + Hash, V: Warmth> Table<K, V> {
    /// `capacity` is a multiple of sixteen.
    pub fn new(capacity: usize) -> Self {
        Self::of_bytes(capacity, usize::MAX)
    }

    /// With at most so many bytes for each entry, on the average of a shelf.
    pub fn of_bytes(capacity: usize, bytes_each: usize) -> Self {
        let mut shelves = Vec::new();
        shelves.resize_with((capacity / SHELF).max(1), Vec::new);
        let shelf_bytes = bytes_each.saturating_mul(SHELF);
        Self { shelves, seed: RandomState::new(), shelf_bytes, len: 0, dropped: 0 }
    }

    fn shelf(&self, key: K) -> usize {
        (self.seed.hash_one(key) % self.shelves.len() as u64) as usize
    }

    pub fn get(&self, key: K) -> Option<&V> {
        let shelf = &self.shelves[self.shelf(key)];
        shelf.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let shelf = self.shelf(key);
        let mut entries = self.shelves[shelf].iter_mut();
        entries.find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// The entry, made if it isn't there.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let shelf = self.shelf(key);
        let entries = &mut self.shelves[shelf];
        let known = entries.iter().position(|(other, _)| *other == key);
        let place = known.unwrap_or_else(|| {
            if entries.len() < SHELF {
                self.len += 1;
                entries.push((key, make()));
                return entries.len() - 1;
            }
            self.dropped += 1;
            let coldest = (0..SHELF).min_by_key(|place| entries[*place].1.warmth()).unwrap_or(0);
            entries[coldest] = (key, make());
            coldest
        });
        &mut self.shelves[shelf][place].1
    }

    /// To be called after an entry has grown: its shelf gives up its coldest until it keeps to its
    /// bytes. The last one stays: what it may keep is its own to bound.
    pub fn fit(&mut self, key: K) {
        let shelf = self.shelf(key);
        let entries = &mut self.shelves[shelf];
        while entries.len() > 1 && bytes(entries) > self.shelf_bytes {
            let coldest = (0..entries.len()).min_by_key(|place| entries[*place].1.warmth());
            entries.swap_remove(coldest.unwrap_or(0));
            self.len -= 1;
            self.dropped += 1;
        }
    }

    /// How many entries there are, and the bytes that they keep.
    #[cfg(test)]
    pub fn bytes(&self) -> (usize, usize) {
        (self.len, self.shelves.iter().map(|entries| bytes(entries)).sum())
    }

    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.shelves.iter().flatten().map(|(key, value)| (*key, value))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.shelves.iter_mut().flatten().map(|(_, value)| value)
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn bytes<K, V: Warmth>(entries: &Vec<(K, V)>) -> usize {
    let own = entries.capacity() * size_of::<(K, V)>();
    own + entries.iter().map(|(_, value)| value.heap()).sum::<usize>()
}

/// What is to be looked at again a fixed span after it was put in.
pub struct Queue<T> {
    waiting: VecDeque<(Time, T)>,
    capacity: usize,
    dropped: u64,
}

impl<T> Queue<T> {
    pub fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), capacity, dropped: 0 }
    }

    /// A full queue takes no more: what waits already must get to its turn.
    pub fn push(&mut self, due: Time, item: T) {
        if self.waiting.len() < self.capacity {
            self.waiting.push_back((due, item));
        } else {
            self.dropped += 1;
        }
    }

    pub fn pop_due(&mut self, now: Time) -> Option<(Time, T)> {
        if self.waiting.front()?.0 > now {
            return None;
        }
        self.waiting.pop_front()
    }

    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes that the queue keeps, and for how much.
    #[cfg(test)]
    pub fn bytes(&self) -> (usize, usize) {
        (self.waiting.len(), self.waiting.capacity() * size_of::<(Time, T)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Warmth for (u8, Time) {
        fn warmth(&self) -> (u8, Time) {
            *self
        }
    }

    #[test]
    fn a_full_shelf_gives_up_its_coldest() {
        let mut table = Table::new(SHELF);
        for key in 0..SHELF as u64 {
            table.entry(key, || (u8::from(key == 0), Time(key)));
        }
        table.entry(5, || (0, Time(99)));
        assert_eq!((table.len(), table.dropped()), (SHELF, 0), "known keys need no room");
        table.entry(99, || (0, Time(99)));
        assert_eq!((table.len(), table.dropped()), (SHELF, 1));
        assert!(table.get(0).is_some(), "dearer by class");
        assert!(table.get(1).is_none() && table.get(2).is_some() && table.get(99).is_some());
    }

    #[test]
    fn a_table_half_full_gives_up_next_to_nothing() {
        let mut table = Table::new(65_536);
        (0..32_768u64).for_each(|key| _ = table.entry(key, || (0, Time(key))));
        assert_eq!(table.len() as u64 + table.dropped(), 32_768);
        assert!(table.dropped() < 200, "{}", table.dropped());
        assert_eq!(table.iter().count(), table.len());
    }

    #[test]
    fn a_shelf_keeps_to_its_bytes_and_the_last_one_stays() {
        struct Large(u8, Time);
        impl Warmth for Large {
            fn warmth(&self) -> (u8, Time) {
                (self.0, self.1)
            }
            fn heap(&self) -> usize {
                1000
            }
        }
        let mut table = Table::of_bytes(SHELF, 250);
        for key in 0..9u64 {
            table.entry(key, || Large(u8::from(key == 0), Time(key)));
            table.fit(key);
        }
        let mut kept: Vec<_> = table.iter().map(|(key, _)| key).collect();
        kept.sort_unstable();
        assert_eq!((kept, table.len(), table.dropped()), (vec![0, 7, 8], 3, 6));
        let mut narrow = Table::of_bytes(SHELF, 1);
        narrow.entry(1u64, || Large(0, Time(1)));
        narrow.fit(1);
        assert_eq!(narrow.len(), 1);
    }

    #[test]
    fn a_full_queue_keeps_what_waits() {
        let mut queue = Queue::new(2);
        for item in 0..3u64 {
            queue.push(Time(10 + item), item);
        }
        assert_eq!(queue.dropped(), 1);
        assert_eq!(queue.pop_due(Time(9)), None);
        assert_eq!(queue.pop_due(Time(10)), Some((Time(10), 0)));
        assert_eq!(queue.pop_due(Time(10)), None);
    }
}
