//! A bucket: one cache line of eight slots, each an entry's pointer packed with a tag of its hash.
//!
//! A slot's bits, from the top: one mark, a tag of 19, and the entry's address without its four
//! low zeros (44). An empty slot has neither tag nor address. The marks of a bucket's first five slots
//! together are its *distance*: how many buckets further on the farthest entry lies that has its home here
//! but found no place. They are not part of the slots' content; the other three are free.
//!
//! Which bucket is an entry's home, and what a tag means, is [`super::segment`]'s.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use super::entry::Entry;

/// Slots in a bucket.
pub(super) const SLOTS: usize = 8;
/// Bits of a tag.
pub(super) const TAG_BITS: u32 = 19;
/// Largest distance a bucket can record.
pub(super) const DISTANCE_MAX: usize = (1 << DISTANCE_BITS) - 1;

const DISTANCE_BITS: usize = 5;
const ADDRESS_BITS: u32 = 44;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
const ADDRESS_ZEROS: u32 = 4;
const MARK: u64 = 1 << 63;

/// A slot's content: an entry's pointer with its tag, or nothing. Copies do not own the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Slot(u64);

impl Slot {
    pub(super) const EMPTY: Slot = Slot(0);

    /// Packs an entry, which from now on belongs to whoever holds the slot.
    pub(super) fn new(tag: u64, entry: Entry) -> Slot {
        debug_assert!(tag < 1 << TAG_BITS);
        let address = entry.into_block().as_ptr().expose_provenance() as u64;
        assert!(address >> (ADDRESS_BITS + ADDRESS_ZEROS) == 0, "user space has 48 bits of addresses");
        Slot(tag << ADDRESS_BITS | address >> ADDRESS_ZEROS)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 & ADDRESS_MASK == 0
    }

    pub(super) fn tag(self) -> u64 {
        self.0 >> ADDRESS_BITS
    }

    /// The same entry under another tag.
    pub(super) fn with_tag(self, tag: u64) -> Slot {
        debug_assert!(tag < 1 << TAG_BITS);
        Slot(self.0 & ADDRESS_MASK | tag << ADDRESS_BITS)
    }

    /// The entry's address.
    pub(super) fn address(self) -> *const u8 {
        ptr::with_exposed_provenance(((self.0 & ADDRESS_MASK) << ADDRESS_ZEROS) as usize)
    }

    /// The entry itself.
    ///
    /// # Safety
    /// The slot is not empty, its entry is alive, and of all its copies at most one is ever dropped or
    /// used mutably, and none while another borrows it.
    pub(super) unsafe fn entry(self) -> ManuallyDrop<Entry> {
        let address = ((self.0 & ADDRESS_MASK) << ADDRESS_ZEROS) as usize;
        // SAFETY: the slot was made from an entry's block, whose provenance was exposed then.
        unsafe {
            let block = NonNull::new_unchecked(ptr::with_exposed_provenance_mut(address));
            ManuallyDrop::new(Entry::from_block(block))
        }
    }
}

/// One cache line of slots.
#[repr(C, align(64))]
pub(super) struct Bucket {
    slots: [u64; SLOTS],
}

impl Bucket {
    pub(super) const EMPTY: Bucket = Bucket { slots: [0; SLOTS] };

    /// A bit for each slot whose tag is `tag`; for tag zero empty slots are among them.
    #[inline]
    pub(super) fn candidates(&self, tag: u64) -> u32 {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            self.candidates_sse2(tag)
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        {
            self.candidates_plain(tag)
        }
    }

    /// Compares the high halves of all slots, which hold mark, tag and twelve bits of address.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn candidates_sse2(&self, tag: u64) -> u32 {
        use std::arch::x86_64::*;
        const HIGH_HALVES: i32 = 0b11_01_11_01;
        const TAG_MASK: i32 = 0x7fff_f000;
        let lines = (&raw const self.slots).cast::<f32>();
        // SAFETY: SSE2 belongs to x86-64; the four aligned loads cover the 64 bytes of the bucket.
        unsafe {
            let pair = |index: usize| _mm_load_ps(lines.add(4 * index));
            let low = _mm_castps_si128(_mm_shuffle_ps::<HIGH_HALVES>(pair(0), pair(1)));
            let high = _mm_castps_si128(_mm_shuffle_ps::<HIGH_HALVES>(pair(2), pair(3)));
            let mask = _mm_set1_epi32(TAG_MASK);
            let wanted = _mm_set1_epi32((tag << (ADDRESS_BITS - 32)) as i32);
            let low = _mm_cmpeq_epi32(_mm_and_si128(low, mask), wanted);
            let high = _mm_cmpeq_epi32(_mm_and_si128(high, mask), wanted);
            let words = _mm_packs_epi32(low, high);
            _mm_movemask_epi8(_mm_packs_epi16(words, words)) as u32 & 0xff
        }
    }

    #[cfg(any(test, not(all(target_arch = "x86_64", not(miri)))))]
    fn candidates_plain(&self, tag: u64) -> u32 {
        (0..SLOTS).fold(0, |found, index| found | u32::from(self.get(index).tag() == tag) << index)
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Slot {
        Slot(self.slots[index] & !MARK)
    }

    #[inline]
    pub(super) fn set(&mut self, index: usize, slot: Slot) {
        self.slots[index] = self.slots[index] & MARK | slot.0;
    }

    /// The slots that are not empty.
    pub(super) fn occupied(&self) -> impl Iterator<Item = (usize, Slot)> + Clone + '_ {
        (0..SLOTS).map(|index| (index, self.get(index))).filter(|(_, slot)| !slot.is_empty())
    }

    /// The first empty slot.
    #[inline]
    pub(super) fn vacancy(&self) -> Option<usize> {
        (0..SLOTS).find(|&index| self.get(index).is_empty())
    }

    /// How many buckets on the farthest entry lies that belongs here.
    #[inline]
    pub(super) fn distance(&self) -> usize {
        (0..DISTANCE_BITS).fold(0, |sum, bit| sum | (self.slots[bit] >> 63 << bit) as usize)
    }

    pub(super) fn set_distance(&mut self, distance: usize) {
        debug_assert!(distance <= DISTANCE_MAX);
        for bit in 0..DISTANCE_BITS {
            self.slots[bit] = self.slots[bit] & !MARK | ((distance >> bit & 1) as u64) << 63;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_agree_with_the_plain_comparison() {
        let mut bucket = Bucket { slots: [0; SLOTS] };
        let mut state = 7u64;
        for round in 0..10_000 {
            for index in 0..SLOTS {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(round);
                // Few tags, so that they meet; any bits below and in the mark.
                bucket.slots[index] = state & (ADDRESS_MASK | MARK) | (state >> 50 & 3) << (44 + round % 18);
            }
            for tag in [0, 1 << (round % 18), 2 << (round % 18), 3 << (round % 18)] {
                assert_eq!(bucket.candidates(tag), bucket.candidates_plain(tag));
            }
        }
    }

    #[test]
    fn distance_and_slots_do_not_disturb_each_other() {
        let mut bucket = Bucket { slots: [0; SLOTS] };
        for distance in 0..=DISTANCE_MAX {
            bucket.set_distance(distance);
            bucket.set(1, Slot(ADDRESS_MASK | 5 << ADDRESS_BITS));
            assert_eq!(bucket.distance(), distance);
            assert_eq!(bucket.get(1).tag(), 5);
            assert_eq!(bucket.vacancy(), Some(0));
            bucket.set(1, Slot::EMPTY);
            assert_eq!(bucket.distance(), distance);
            assert!(bucket.get(1).is_empty());
        }
    }
}
