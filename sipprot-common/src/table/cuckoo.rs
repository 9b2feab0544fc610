//! How a value finds one of its places in a cuckoo table that is not in force yet.

/// How many others a newcomer may push on.
const KICKS_MAX: usize = 500;

/// A table of buckets, seen by its places; zero is an empty one.
pub trait Places {
    const WIDTH: usize;

    /// The two buckets in which a value may lie.
    fn buckets(&self, value: u64) -> [usize; 2];
    fn at(&self, bucket: usize, slot: usize) -> u64;
    fn set(&self, bucket: usize, slot: usize, value: u64);

    /// False when the table is too full; then nothing has changed.
    fn put(&self, value: u64) -> bool {
        let mut path = [(0, 0); KICKS_MAX];
        let (mut moving, mut from) = (value, usize::MAX);
        for (kick, step) in path.iter_mut().enumerate() {
            let buckets = self.buckets(moving);
            for bucket in buckets {
                for slot in 0..Self::WIDTH {
                    let there = self.at(bucket, slot);
                    if there == 0 || there == moving {
                        self.set(bucket, slot, moving);
                        return true;
                    }
                }
            }
            let bucket = if buckets[0] == from { buckets[1] } else { buckets[0] };
            *step = (bucket, kick.wrapping_mul(5) % Self::WIDTH);
            moving = self.exchange(*step, moving);
            from = bucket;
        }
        for step in path.into_iter().rev() {
            moving = self.exchange(step, moving);
        }
        false
    }

    fn exchange(&self, (bucket, slot): (usize, usize), new: u64) -> u64 {
        let old = self.at(bucket, slot);
        self.set(bucket, slot, new);
        old
    }

    /// Also from a table that is in force; false when it was not there.
    fn take(&self, value: u64) -> bool {
        let mut found = false;
        for bucket in self.buckets(value) {
            for slot in 0..Self::WIDTH {
                if self.at(bucket, slot) == value {
                    self.set(bucket, slot, 0);
                    found = true;
                }
            }
        }
        found
    }
}
