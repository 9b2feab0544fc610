//! How much TCP payload of a source the controller is told, in both directions together.
//!
//! Events are bounded by number, but a peer with a tiny window cuts a stream into any number of
//! segments, its own and the PBX's: segments are bounded by bytes, with a least price for each.

use crate::ceiling;

/// A segment costs at least as much as so many bytes.
const SEGMENT_BYTES_MIN: u32 = 4;
/// Records of one socket buffer, each with as many bytes as are read of a message. A buffer of
/// several segments that leaves whole is no longer than these, unless it is a jumbogram.
pub const RECORDS_MAX: u32 = 32;

/// Bytes a second, and how many at once.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    byte_ns: u64,
    burst_ns: u64,
}

impl Share {
    /// Four times what a source may send before the PBX has accepted it: its answers are longer.
    pub const UNTRUSTED: Self = Self::new(1 << 10, 1 << 16);
    /// Several hundred phones that register at once behind one address.
    pub const TRUSTED: Self = Self::new(1 << 18, 1 << 20);

    const fn new(bytes_per_second: u64, burst: u64) -> Self {
        let byte_ns = 1_000_000_000 / bytes_per_second;
        Self { byte_ns, burst_ns: byte_ns * burst }
    }

    /// Takes a segment's bytes; `None` when the source has had its share.
    #[inline(always)]
    pub const fn take(&self, bucket_ns: u64, now_ns: u64, bytes: u32) -> Option<u64> {
        let bytes = if bytes > SEGMENT_BYTES_MIN { bytes } else { SEGMENT_BYTES_MIN };
        ceiling::take(bucket_ns, now_ns, bytes as u64 * self.byte_ns, self.burst_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many segments of `bytes` are told, `gap_ns` apart.
    fn told(share: Share, bytes: u32, segments: u32, gap_ns: u64) -> u32 {
        let (mut bucket, mut count) = (0, 0);
        for number in 0..segments {
            let now_ns = 1_000_000_000_000 + u64::from(number) * gap_ns;
            if let Some(next_ns) = share.take(bucket, now_ns, bytes) {
                (bucket, count) = (next_ns, count + 1);
            }
        }
        count
    }

    #[test]
    fn bytes_at_once_and_bytes_a_second() {
        assert_eq!(told(Share::UNTRUSTED, 1024, 1000, 0), 65);
        assert_eq!(told(Share::UNTRUSTED, 12, 100_000, 0), 65_536 / 12 + 1);
        assert_eq!(told(Share::UNTRUSTED, 1, 100_000, 0), 65_536 / 4 + 1);
        assert_eq!(told(Share::UNTRUSTED, 1024, 3600, 1_000_000_000), 3600);
        assert_eq!(told(Share::TRUSTED, 1024, 10_000, 0), 1025);
    }
}
