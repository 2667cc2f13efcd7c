//! A segment: the buckets of all entries whose hashes share their first bits (its *depth* of them).
//!
//! Inside a segment entries lie in the order of their hashes, as near as buckets of eight allow: an entry's
//! *home* bucket is its place in the segment's range of hashes, scaled to the number of buckets; if it
//! is full, the next one that is not, no farther than [`DISTANCE_MAX`], takes the entry.
//! Each bucket knows how far its own entries strayed, so looking for an absent key mostly ends at one cache line.
//!
//! The tag of a slot is the 19 bits of the hash from the last multiple of four at or below the depth on. So
//! it fixes the home by itself: segments grow, shrink, merge and three times out of four split without
//! a look at an entry.
//!
//! Which segment a hash belongs to, and when segments change, is [`super::table`]'s.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;

use super::bucket::{Bucket, DISTANCE_MAX, SLOTS, Slot, TAG_BITS};

/// Numbers of buckets a segment can have. They follow the allocators' classes, so nothing is lost to rounding.
/// Beyond [`CLASS_MAX`] only segments that crowded hashes keep from splitting.
const BUCKETS: [u8; 27] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224];

/// The class at which a full segment splits instead of growing. Smaller under test, for depth with few entries.
pub(super) const CLASS_MAX: usize = if cfg!(test) { 11 } else { 19 };
/// Slots of a segment of that class.
pub(super) const SEGMENT_SLOTS_MAX: usize = BUCKETS[CLASS_MAX] as usize * SLOTS;
/// Deepest segment, so that a scan's cursor of 48 bits tells all buckets apart.
pub(super) const DEPTH_MAX: u32 = 31;

/// Depths per band: tags keep their meaning inside one.
const BAND: u32 = 4;

/// How hashes map to the buckets of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) depth: u32,
    pub(super) buckets: usize,
}

impl Shape {
    pub(super) fn new(depth: u32, class: usize) -> Shape {
        Shape { depth, buckets: BUCKETS[class] as usize }
    }

    /// The tag of a hash.
    #[inline]
    pub(super) fn tag(self, hash: u64) -> u64 {
        tag_at(self.depth, hash)
    }

    /// Bits of a tag that tell places inside the segment apart.
    #[inline]
    fn width(self) -> u32 {
        TAG_BITS - self.depth % BAND
    }

    /// The home bucket of a tag.
    #[inline]
    pub(super) fn home(self, tag: u64) -> usize {
        let place = tag & ((1 << self.width()) - 1);
        (place as usize * self.buckets) >> self.width()
    }

    /// The bucket `steps` after `bucket`, round the end.
    #[inline]
    fn after(self, bucket: usize, steps: usize) -> usize {
        let index = bucket + steps;
        if index < self.buckets { index } else { index % self.buckets }
    }

    /// Farthest that an entry may stray: not round to its home.
    fn reach(self) -> usize {
        DISTANCE_MAX.min(self.buckets - 1)
    }

    /// First hash, of those in the segment of `hash`, whose home is beyond `bucket`; the first hash
    /// after the segment for its last bucket, zero after the last segment.
    pub(super) fn hash_beyond(self, hash: u64, bucket: usize) -> u64 {
        let place = (((bucket + 1) as u64) << self.width()).div_ceil(self.buckets as u64);
        let first = hash & !u64::MAX.checked_shr(self.depth).unwrap_or(0);
        first.wrapping_add(place << (64 - self.depth - self.width()))
    }
}

/// The tag of a hash in segments of `depth`.
#[inline]
fn tag_at(depth: u32, hash: u64) -> u64 {
    hash << (depth - depth % BAND) >> (64 - TAG_BITS)
}

/// A segment's buckets. A plain handle: copies refer to the same buckets, and whoever holds the last frees them.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    buckets: NonNull<Bucket>,
    class: usize,
    shape: Shape,
}

impl Segment {
    /// # Safety
    /// `buckets` are those of a living segment of this class and depth.
    pub(super) unsafe fn from_parts(buckets: NonNull<Bucket>, class: usize, depth: u32) -> Segment {
        Segment { buckets, class, shape: Shape::new(depth, class) }
    }

    /// An empty segment.
    pub(super) fn allocate(class: usize, depth: u32) -> Segment {
        let layout = layout(class);
        // SAFETY: the layout has a size above zero; all-zero buckets are empty ones.
        let Some(buckets) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        Segment { buckets: buckets.cast(), class, shape: Shape::new(depth, class) }
    }

    /// Frees the buckets, but not the entries in them.
    ///
    /// # Safety
    /// No copy of this handle is used any more.
    pub(super) unsafe fn free(self) {
        // SAFETY: allocated by `allocate` with this layout.
        unsafe { dealloc(self.buckets.as_ptr().cast(), layout(self.class)) }
    }

    pub(super) fn first_bucket(self) -> NonNull<Bucket> {
        self.buckets
    }

    pub(super) fn class(self) -> usize {
        self.class
    }

    pub(super) fn shape(self) -> Shape {
        self.shape
    }

    pub(super) fn bytes(self) -> usize {
        layout(self.class).size()
    }

    /// # Safety
    /// Nobody changes the segment as long as the result lives.
    #[inline]
    pub(super) unsafe fn buckets<'a>(self) -> &'a [Bucket] {
        // SAFETY: the segment is alive and has this many buckets.
        unsafe { std::slice::from_raw_parts(self.buckets.as_ptr(), self.shape.buckets) }
    }

    /// # Safety
    /// Nobody else reads or changes the segment as long as the result lives.
    #[inline]
    pub(super) unsafe fn buckets_mut<'a>(self) -> &'a mut [Bucket] {
        // SAFETY: the segment is alive and has this many buckets.
        unsafe { std::slice::from_raw_parts_mut(self.buckets.as_ptr(), self.shape.buckets) }
    }

    /// The address of a hash's home bucket.
    #[inline]
    pub(super) fn home_address(self, hash: u64) -> *const Bucket {
        self.buckets.as_ptr().wrapping_add(self.shape.home(self.shape.tag(hash)))
    }

    /// A segment with all of `slots` in it, of class `class` or, where that proves too crowded, larger.
    pub(super) fn build(class: usize, depth: u32, slots: impl Iterator<Item = Slot> + Clone) -> Segment {
        Segment::try_build(class..BUCKETS.len(), depth, slots)
            .expect("few keys share the first 48 bits of their hash")
    }

    /// A segment with all of `slots` in it, of the first of these classes that has room where it is needed.
    pub(super) fn try_build(
        mut classes: Range<usize>,
        depth: u32,
        slots: impl Iterator<Item = Slot> + Clone,
    ) -> Option<Segment> {
        classes.find_map(|class| {
            let segment = Segment::allocate(class, depth);
            // SAFETY: the segment is new, and nobody else knows it.
            unsafe {
                let buckets = segment.buckets_mut();
                if slots.clone().all(|slot| place(buckets, segment.shape, slot)) {
                    return Some(segment);
                }
                segment.free();
            }
            None
        })
    }
}

fn layout(class: usize) -> Layout {
    Layout::array::<Bucket>(BUCKETS[class] as usize).expect("a segment is small")
}

/// The class for a segment of `count` entries that has just been made: about four fifths full.
pub(super) fn class_for(count: usize) -> usize {
    let slots = count + count / 4;
    class_of(slots.div_ceil(SLOTS)).min(CLASS_MAX)
}

/// The first class of at least so many buckets.
pub(super) fn class_of(buckets: usize) -> usize {
    BUCKETS.partition_point(|&class_buckets| usize::from(class_buckets) < buckets)
}

/// Whether a segment that has just shrunk to `count` entries should try for less room: at a half, a quarter and
/// so on of its slots, and when empty. Not at each step in between, because entries that lie in one part of
/// the segment's range may not fit fewer buckets.
pub(super) fn is_sparse(shape: Shape, count: usize) -> bool {
    let slots = shape.buckets * SLOTS;
    count == 0 || slots.is_multiple_of(count) && (slots / count).is_power_of_two()
}

/// Finds the slot with this hash's tag whose entry `is_match` accepts: (bucket, slot).
#[inline]
pub(super) fn find(
    buckets: &[Bucket],
    shape: Shape,
    hash: u64,
    mut is_match: impl FnMut(Slot) -> bool,
) -> Option<(usize, usize)> {
    let tag = shape.tag(hash);
    let home = shape.home(tag);
    let mut find_at = |index: usize| {
        let bucket = &buckets[index];
        let mut candidates = bucket.candidates(tag);
        while candidates != 0 {
            let slot = candidates.trailing_zeros() as usize;
            let content = bucket.get(slot);
            if !content.is_empty() && is_match(content) {
                return Some((index, slot));
            }
            candidates &= candidates - 1;
        }
        None
    };
    find_at(home).or_else(|| (1..=buckets[home].distance()).find_map(|step| find_at(shape.after(home, step))))
}

/// Puts a slot into its home or the nearest bucket after it with a vacancy; `false` if none is in reach.
#[inline]
pub(super) fn place(buckets: &mut [Bucket], shape: Shape, slot: Slot) -> bool {
    let home = shape.home(slot.tag());
    for step in 0..=shape.reach() {
        let bucket = &mut buckets[shape.after(home, step)];
        if let Some(vacancy) = bucket.vacancy() {
            bucket.set(vacancy, slot);
            if step > buckets[home].distance() {
                buckets[home].set_distance(step);
            }
            return true;
        }
    }
    false
}

/// Takes a slot's content out. If an entry whose home is that bucket strayed, it comes back into the gap.
pub(super) fn take(buckets: &mut [Bucket], shape: Shape, bucket: usize, slot: usize) -> Slot {
    let content = buckets[bucket].get(slot);
    buckets[bucket].set(slot, Slot::EMPTY);
    let home = shape.home(content.tag());
    if home != bucket {
        settle_distance(buckets, shape, home);
    }
    let distance = buckets[bucket].distance();
    if distance > 0 {
        let from = shape.after(bucket, distance);
        if let Some((strayed_slot, strayed)) = strayed_in(&buckets[from], shape, bucket) {
            buckets[from].set(strayed_slot, Slot::EMPTY);
            buckets[bucket].set(slot, strayed);
            settle_distance(buckets, shape, bucket);
        }
    }
    content
}

/// Lowers a bucket's distance to where its farthest entry really lies.
fn settle_distance(buckets: &mut [Bucket], shape: Shape, home: usize) {
    let farthest = (1..=buckets[home].distance())
        .rev()
        .find(|&step| strayed_in(&buckets[shape.after(home, step)], shape, home).is_some());
    buckets[home].set_distance(farthest.unwrap_or(0));
}

/// A slot of `bucket` whose entry has its home in bucket number `home`.
fn strayed_in(bucket: &Bucket, shape: Shape, home: usize) -> Option<(usize, Slot)> {
    bucket.occupied().find(|(_, slot)| shape.home(slot.tag()) == home)
}

/// All slots in use.
pub(super) fn slots(buckets: &[Bucket]) -> impl Iterator<Item = Slot> + Clone + '_ {
    buckets.iter().flat_map(|bucket| bucket.occupied().map(|(_, slot)| slot))
}

/// One of the `count` slots in use, each equally likely. After `tries` empty ones it counts them off.
pub(super) fn random_slot(
    buckets: &[Bucket],
    count: usize,
    tries: usize,
    mut random: impl FnMut() -> u64,
) -> Option<Slot> {
    let mut below = |bound: usize| ((u128::from(random()) * bound as u128) >> 64) as usize;
    for _ in 0..tries {
        let place = below(buckets.len() * SLOTS);
        let slot = buckets[place / SLOTS].get(place % SLOTS);
        if !slot.is_empty() {
            return Some(slot);
        }
    }
    slots(buckets).nth(below(count))
}

/// All slots whose home is bucket number `home`.
pub(super) fn slots_of(buckets: &[Bucket], shape: Shape, home: usize) -> impl Iterator<Item = Slot> + '_ {
    (0..=buckets[home].distance())
        .flat_map(move |step| buckets[shape.after(home, step)].occupied())
        .map(|(_, slot)| slot)
        .filter(move |slot| shape.home(slot.tag()) == home)
}

/// The slots of the two halves of a segment of `depth`, tagged for the next depth. `hash_of` is asked
/// only where that depth begins a new band.
pub(super) fn halves(buckets: &[Bucket], depth: u32, mut hash_of: impl FnMut(Slot) -> u64) -> [Vec<Slot>; 2] {
    const AHEAD: usize = 16;
    let mut halves = [Vec::with_capacity(SEGMENT_SLOTS_MAX), Vec::with_capacity(SEGMENT_SLOTS_MAX)];
    let begins_band = (depth + 1).is_multiple_of(BAND);
    let bit = TAG_BITS - 1 - depth % BAND;
    let mut ahead = slots(buckets).skip(AHEAD);
    if begins_band {
        slots(buckets).take(AHEAD).for_each(|slot| super::prefetch::prefetch(slot.address()));
    }
    for slot in slots(buckets) {
        let half = (slot.tag() >> bit & 1) as usize;
        if begins_band {
            if let Some(later) = ahead.next() {
                super::prefetch::prefetch(later.address());
            }
            halves[half].push(slot.with_tag(tag_at(depth + 1, hash_of(slot))));
        } else {
            halves[half].push(slot);
        }
    }
    halves
}

/// A slot of a segment of `depth`, tagged for the segment that it merges into; `hash` is any of the segment's.
pub(super) fn merged(slot: Slot, depth: u32, hash: u64) -> Slot {
    if !depth.is_multiple_of(BAND) {
        return slot;
    }
    let prefix = hash >> (64 - depth) & ((1 << BAND) - 1);
    slot.with_tag(prefix << (TAG_BITS - BAND) | slot.tag() >> BAND)
}
