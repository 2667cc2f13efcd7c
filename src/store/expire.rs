//! Which keys' deadlines come next: an index of hashes by coarse time, for the active expire cycle.
//!
//! A registration is only the key's hash, eight bytes, in the bucket of a time at or before the deadline; who
//! takes it out looks the entry up and registers it again if its deadline is still to come. So a deadline that
//! moves later costs nothing until then. Far deadlines stand in wide buckets (a sixteenth of
//! the time that is left) that come due early and are registered again more finely, like
//! the wheels of a hierarchical timer; near ones in buckets of 64 ms that come due once all in them has.
//!
//! Entries are none of its business: it neither sees them nor knows whether they still exist.

use std::collections::BTreeMap;

use super::size_class::allocation_size;

/// Width of the finest buckets.
const FINEST_MS: i64 = 64;
/// Time left until a deadline, in widths of its bucket.
const BUCKETS_AHEAD: i64 = 16;
/// Hashes in the largest chunk.
const CHUNK_HASHES_MAX: usize = 500;
const CHUNK_HASHES_MIN: usize = 4;

/// The index. See the module's documentation.
#[derive(Default)]
pub struct ExpireIndex {
    buckets: BTreeMap<i64, Stack>,
    len: usize,
    chunk_bytes: usize,
}

/// Hashes in chunks, the top one last in: growing copies at most one chunk.
#[derive(Default)]
struct Stack {
    top: Option<Box<Chunk>>,
}

struct Chunk {
    hashes: Vec<u64>,
    below: Option<Box<Chunk>>,
}

impl ExpireIndex {
    /// Registers a key's hash for a deadline, both times in Unix milliseconds. Logarithmic in the number of buckets,
    /// which is some hundreds.
    pub fn register(&mut self, hash: u64, deadline_ms: i64, now_ms: i64) {
        let stack = self.buckets.entry(bucket_time(deadline_ms, now_ms)).or_default();
        self.chunk_bytes += stack.push(hash);
        self.len += 1;
    }

    /// Takes one registration out whose time has come.
    pub fn pop_due(&mut self, now_ms: i64) -> Option<u64> {
        let mut first = self.buckets.first_entry()?;
        if *first.key() >= now_ms {
            return None;
        }
        let (hash, freed) = first.get_mut().pop()?;
        self.chunk_bytes -= freed;
        self.len -= 1;
        if first.get().top.is_none() {
            first.remove();
        }
        Some(hash)
    }

    /// Takes out up to `count_max` registrations whose time has come.
    pub fn take_due(&mut self, now_ms: i64, count_max: usize) -> impl Iterator<Item = u64> + '_ {
        std::iter::from_fn(move || self.pop_due(now_ms)).take(count_max)
    }

    /// The time after which the next registration comes due.
    pub fn earliest(&self) -> Option<i64> {
        self.buckets.first_key_value().map(|(&time_ms, _)| time_ms)
    }

    /// Some registration of the bucket before or behind a random time: not fair, but quick, and each bucket has its turn.
    pub fn random(&self, random: u64) -> Option<u64> {
        let first = *self.buckets.first_key_value()?.0;
        let last = *self.buckets.last_key_value()?.0;
        // Bit by bit nearer to the first, as the buckets are distributed.
        let span = last.abs_diff(first).checked_shr((random % 32) as u32).unwrap_or(0);
        let time = first.saturating_add_unsigned(((u128::from(random) * u128::from(span)) >> 64) as u64);
        let (_, stack) = match random >> 5 & 1 {
            0 => self.buckets.range(..=time).next_back()?,
            _ => self.buckets.range(time..).next()?,
        };
        let hashes = &stack.top.as_ref()?.hashes;
        hashes.get((random >> 32) as usize % hashes.len()).copied()
    }

    /// Frees up to a chunk of registrations, in no order, for getting rid of an index in slices.
    pub fn discard_some(&mut self) {
        let Some(mut first) = self.buckets.first_entry() else { return };
        let stack = first.get_mut();
        self.chunk_bytes -= stack.top_bytes();
        if let Some(mut chunk) = stack.top.take() {
            stack.top = chunk.below.take();
            self.len -= chunk.hashes.len();
        }
        if stack.top.is_none() {
            first.remove();
        }
    }

    /// Number of registrations; a key may have several.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no registration.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the index.
    pub fn memory_usage(&self) -> usize {
        const NODE_BYTES_PER_BUCKET: usize = 24;
        self.chunk_bytes + self.buckets.len() * NODE_BYTES_PER_BUCKET
    }
}

/// The bucket for a deadline: the finest end after it, or else begin before it but after now.
fn bucket_time(deadline_ms: i64, now_ms: i64) -> i64 {
    let left_ms = deadline_ms.saturating_sub(now_ms);
    if left_ms < FINEST_MS * BUCKETS_AHEAD {
        return deadline_ms.saturating_add(FINEST_MS - 1) & !(FINEST_MS - 1);
    }
    let width_ms = (1i64 << left_ms.ilog2()) / BUCKETS_AHEAD;
    deadline_ms & !(width_ms - 1)
}

impl Stack {
    /// Returns the bytes allocated.
    fn push(&mut self, hash: u64) -> usize {
        let mut grown = 0;
        let full = self.top.as_ref().is_none_or(|chunk| chunk.hashes.len() == CHUNK_HASHES_MAX);
        if full {
            let capacity = if self.top.is_none() { CHUNK_HASHES_MIN } else { CHUNK_HASHES_MAX };
            let below = self.top.take();
            self.top = Some(Box::new(Chunk { hashes: Vec::with_capacity(capacity), below }));
            grown += self.top_bytes();
        }
        let before = self.top_bytes();
        if let Some(chunk) = &mut self.top {
            if chunk.hashes.len() == chunk.hashes.capacity() {
                let more = chunk.hashes.len().min(CHUNK_HASHES_MAX - chunk.hashes.len());
                chunk.hashes.reserve_exact(more);
            }
            chunk.hashes.push(hash);
        }
        grown + self.top_bytes() - before
    }

    /// Returns a hash and the bytes freed; `None` if there is none.
    fn pop(&mut self) -> Option<(u64, usize)> {
        let before = self.top_bytes();
        let chunk = self.top.as_mut()?;
        let hash = chunk.hashes.pop()?;
        if !chunk.hashes.is_empty() {
            return Some((hash, 0));
        }
        self.top = chunk.below.take();
        Some((hash, before))
    }

    fn top_bytes(&self) -> usize {
        self.top.as_ref().map_or(0, |chunk| {
            allocation_size(size_of::<Chunk>()) + allocation_size(chunk.hashes.capacity() * 8)
        })
    }
}

impl Drop for Stack {
    /// Chunk by chunk: the chain may be longer than the call stack.
    fn drop(&mut self) {
        let mut next = self.top.take();
        while let Some(mut chunk) = next {
            next = chunk.below.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn near_deadlines_fire_once_and_after_all_in_the_bucket_passed() {
        let mut index = ExpireIndex::default();
        index.register(1, 1_000_000, 999_900);
        assert_eq!(index.pop_due(1_000_000), None);
        let time = index.earliest().unwrap();
        assert!((1_000_000..1_000_000 + FINEST_MS).contains(&time));
        assert_eq!(index.pop_due(time + 1), Some(1));
        assert!(index.is_empty() && index.earliest().is_none());
        assert_eq!(index.memory_usage(), 0);
    }

    #[test]
    fn many_registrations_of_one_deadline_stay_near_eight_bytes_each() {
        let mut index = ExpireIndex::default();
        for hash in 0..1_000_000 {
            index.register(hash, 5_000_000, 0);
        }
        assert!(index.memory_usage() < 8_500_000, "{} bytes", index.memory_usage());
        assert_eq!(index.take_due(i64::MAX, usize::MAX).count(), 1_000_000);
        assert_eq!(index.memory_usage(), 0);
    }

    #[test]
    fn few_buckets_for_deadlines_far_apart() {
        let mut index = ExpireIndex::default();
        for hash in 0..100_000 {
            index.register(hash as u64, 1_000 + hash * 26_000, 1_000);
        }
        assert!(index.buckets.len() < 700, "{} buckets", index.buckets.len());
    }

    #[test]
    fn a_lonely_far_deadline_is_drawn_as_often_as_a_near_one() {
        let mut index = ExpireIndex::default();
        index.register(0, 2_000, 1_000);
        index.register(1, 90_000_000, 1_000);
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let drawn = |hash| (0..64).filter(|&number| index.random(spread(number)) == Some(hash)).count();
        assert!(drawn(0) > 16 && drawn(1) > 16, "{} and {}", drawn(0), drawn(1));
    }

    proptest! {
        #[test]
        fn every_deadline_comes_due_in_few_steps(
            left_ms in prop_oneof![0i64..5_000, 0i64..i64::MAX / 2],
            now_ms in 0i64..4_000_000_000_000,
        ) {
            let deadline_ms = now_ms + left_ms;
            let mut index = ExpireIndex::default();
            let mut now = now_ms;
            index.register(7, deadline_ms, now);
            let mut steps = 0;
            loop {
                let time = index.earliest().unwrap();
                prop_assert!(time >= now || now == now_ms, "comes due at once again");
                prop_assert!(time < deadline_ms + FINEST_MS);
                now = time + 1;
                prop_assert_eq!(index.pop_due(now), Some(7));
                if now > deadline_ms {
                    break;
                }
                index.register(7, deadline_ms, now);
                steps += 1;
                prop_assert!(steps <= 16);
            }
        }

        #[test]
        fn random_finds_a_registration(deadlines in prop::collection::vec(0i64..1 << 40, 1..50), random: u64) {
            let mut index = ExpireIndex::default();
            for (hash, deadline) in deadlines.iter().enumerate() {
                index.register(hash as u64, *deadline, 0);
            }
            prop_assert!(index.random(random).unwrap() < deadlines.len() as u64);
        }
    }
}
