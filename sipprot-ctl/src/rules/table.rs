//! Bounded tables: whatever attackers can fill has a limit, gives up its coldest entries first,
//! and counts what it gave up.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::time::Time;

/// How dear an entry is: first by class, then by when it was last of use.
pub trait Warmth {
    fn warmth(&self) -> (u8, Time);
}

/// A map with at most `capacity` entries. The hash is keyed at random: the keys are attackers'.
pub struct Table<K, V> {
    entries: HashMap<K, V>,
    capacity: usize,
    dropped: u64,
}

impl<K: Copy + Eq + Hash, V: Warmth> Table<K, V> {
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity, dropped: 0 }
    }

    pub fn get(&self, key: K) -> Option<&V> {
        self.entries.get(&key)
    }

    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.entries.get_mut(&key)
    }

    /// The entry, made if it isn't there.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.cool();
        }
        self.entries.entry(key).or_insert_with(make)
    }

    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().map(|(key, value)| (*key, value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Gives up the coldest sixteenth at once, so that a full table costs little per new entry.
    fn cool(&mut self) {
        let mut entries: Vec<_> = self.entries.iter().map(|(k, v)| (v.warmth(), *k)).collect();
        let surplus = (self.capacity / 16).clamp(1, entries.len());
        entries.select_nth_unstable_by_key(surplus - 1, |(warmth, _)| *warmth);
        for (_, key) in &entries[..surplus] {
            self.entries.remove(key);
        }
        self.dropped += surplus as u64;
    }
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
    fn a_full_table_gives_up_its_coldest() {
        let mut table = Table::new(32);
        for key in 0..32u64 {
            table.entry(key, || (u8::from(key == 0), Time(key)));
        }
        table.entry(5, || (0, Time(99)));
        assert_eq!((table.len(), table.dropped()), (32, 0), "known keys need no room");
        table.entry(32, || (0, Time(32)));
        assert_eq!((table.len(), table.dropped()), (31, 2));
        assert!(table.get(0).is_some(), "dearer by class");
        assert!(table.get(1).is_none() && table.get(2).is_none() && table.get(3).is_some());
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
