//! A bounded map: what was not asked for in a long time is forgotten once there is no room.

use std::collections::HashMap;
use std::hash::Hash;

/// Two generations: when the young one is full it becomes the old one, and the old one is gone.
/// What is used moves to the young one, so that at least the last `half` entries used are there.
pub struct Memory<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Copy + Eq + Hash, V> Memory<K, V> {
    pub fn new(half: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half }
    }

    pub fn get(&mut self, key: K) -> Option<&mut V> {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key)?;
            self.insert(key, value);
        }
        self.young.get_mut(&key)
    }

    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key).unwrap_or_else(make);
            self.make_room();
            return self.young.entry(key).or_insert(value);
        }
        self.young.entry(key).or_insert_with(make)
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        self.make_room();
        self.young.insert(key, value);
    }

    pub fn remove(&mut self, key: K) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    fn make_room(&mut self) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays() {
        let mut memory = Memory::new(4);
        for key in 0..100 {
            memory.insert(key, key);
            assert_eq!(memory.get(0).copied(), Some(0), "asked for again and again");
        }
        assert_eq!(memory.get(50), None);
        assert_eq!(memory.get(99), Some(&mut 99));
        assert!(memory.young.len() + memory.old.len() <= 8);
        memory.remove(99);
        assert_eq!(memory.get(99), None);
        assert_eq!(*memory.entry(7, || 8), 8);
        assert_eq!(*memory.entry(7, || 9), 8);
    }
}
