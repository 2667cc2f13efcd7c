//! The hash table of one database: entries by the hash of their key.
//!
//! An extendible hash: a [`super::directory`] leads to [`super::segment`]s of at most a few hundred entries, and
//! every change of size concerns one segment. So no operation takes time in proportion to the number of keys,
//! in growing as in shrinking, and all entries lie in the order of their hashes, which is what
//! [`Table::scan`] walks.
//!
//! Deadlines and access clocks mean nothing here.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use ahash::RandomState;

use super::bucket::{Bucket, SLOTS, Slot};
use super::directory::{self, Node, Path};
use super::entry::{Entry, ValueRef};
use super::prefetch::prefetch;
use super::segment::{self, CLASS_MAX, DEPTH_MAX, SEGMENT_SLOTS_MAX, Segment, Shape};

/// Two segments merge when together they fill no more than this part of the largest.
const MERGED_SLOTS_MAX: usize = SEGMENT_SLOTS_MAX * 2 / 5;

/// Bits of a scan's cursor.
pub const CURSOR_BITS: u32 = 48;

/// Random places that [`Table::random`] tries before it takes the next entry it meets; about every other succeeds.
const RANDOM_TRIES: usize = 40;

/// Slots of a segment that [`Table::random`] tries before it counts them off.
const SLOT_TRIES: usize = 8;

/// Bytes after which a second prefetch of an entry's block reaches its last line, for the common sizes.
const BLOCK_TAIL: usize = 48;

/// Entries by key. See the module's documentation.
pub struct Table {
    root: Node,
    totals: Totals,
    structure: Structure,
    hasher: RandomState,
    /// Stands in for the hasher where a test needs hashes of its own.
    #[cfg(test)]
    test_hash: Option<fn(&[u8]) -> u64>,
    /// Entries can be sent to another thread, but not shared.
    entries: PhantomData<Entry>,
}

/// What is counted over all entries.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    len: usize,
    deadlines: usize,
    entry_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Structure {
    segments: usize,
    segment_bytes: usize,
    directory_bytes: usize,
}

/// Figures about a table's structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Segments.
    pub segments: usize,
    /// Buckets of eight slots in all segments.
    pub buckets: usize,
    /// Bytes of all directories.
    pub directory_bytes: usize,
    /// Part of the slots in use, 0 to 1.
    pub load: f64,
}

impl Table {
    /// An empty table. All tables of a process share one hasher, so that a key's hash is computed once.
    pub fn new(hasher: RandomState) -> Table {
        let segment = Segment::allocate(0, 0);
        Table {
            root: Node::segment(segment, 0),
            totals: Totals::default(),
            structure: Structure { segments: 1, segment_bytes: segment.bytes(), directory_bytes: 0 },
            hasher,
            #[cfg(test)]
            test_hash: None,
            entries: PhantomData,
        }
    }

    /// An empty table for the elements of one value; all such tables share one hasher.
    pub fn of_elements() -> Table {
        static HASHER: OnceLock<RandomState> = OnceLock::new();
        Table::new(HASHER.get_or_init(RandomState::new).clone())
    }

    /// The hash of a key, which all other methods expect. It is the hasher's own, so that whoever has the hasher
    /// knows it without a table; entries stand in the order of what `spread` makes of it.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        #[cfg(test)]
        if let Some(hash) = self.test_hash {
            return hash(key);
        }
        self.hasher.hash_one(key)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.totals.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of entries that have a deadline.
    pub fn deadlines(&self) -> usize {
        self.totals.deadlines
    }

    /// Bytes of all entries, blocks and values.
    pub fn entry_bytes(&self) -> usize {
        self.totals.entry_bytes
    }

    /// Bytes of the table's own structure.
    pub fn memory_usage(&self) -> usize {
        self.structure.segment_bytes + self.structure.directory_bytes
    }

    /// Figures about the structure.
    pub fn stats(&self) -> Stats {
        let buckets = self.structure.segment_bytes / size_of::<Bucket>();
        Stats {
            segments: self.structure.segments,
            buckets,
            directory_bytes: self.structure.directory_bytes,
            load: self.len() as f64 / (buckets * SLOTS) as f64,
        }
    }

    /// First stage of a lookup ahead of time: starts fetching the bucket of `hash`.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        let hash = spread(hash);
        prefetch(self.segment(hash).home_address(hash).cast());
    }

    /// Second stage, when the bucket has arrived: starts fetching the blocks of the entries that may match, or, if
    /// there is none, the next bucket for those that strayed.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        let hash = spread(hash);
        let segment = self.segment(hash);
        let home = segment.home_address(hash);
        // SAFETY: the address is that of a bucket, and the table is borrowed.
        let bucket = unsafe { &*home };
        let mut candidates = bucket.candidates(segment.shape().tag(hash));
        if candidates == 0 && bucket.distance() > 0 {
            prefetch(home.wrapping_add(1).cast());
        }
        while candidates != 0 {
            let address = bucket.get(candidates.trailing_zeros() as usize).address();
            prefetch(address);
            prefetch(address.wrapping_add(BLOCK_TAIL));
            candidates &= candidates - 1;
        }
    }

    /// The entry of a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        self.find_by_hash(hash, |entry| entry.key() == key)
    }

    /// The first entry that `is_match` accepts among those that may have this hash: all that have it are
    /// asked about, and a few others may be.
    #[inline]
    pub fn find_by_hash(&self, hash: u64, is_match: impl FnMut(&Entry) -> bool) -> Option<EntryRef<'_>> {
        let hash = spread(hash);
        let segment = self.segment(hash);
        // SAFETY: the table is borrowed.
        let buckets = unsafe { segment.buckets() };
        let (bucket, slot) = find_in(buckets, segment.shape(), hash, is_match)?;
        // SAFETY: the slot is in use, and its entry borrowed with the table.
        Some(unsafe { EntryRef::new(buckets[bucket].get(slot)) })
    }

    /// The entry of a key, for change.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_>> {
        let hash = spread(hash);
        let segment = self.segment(hash);
        // SAFETY: the table is borrowed exclusively.
        let buckets = unsafe { segment.buckets_mut() };
        let (bucket, slot) = find_in(buckets, segment.shape(), hash, |entry| entry.key() == key)?;
        // SAFETY: as above; the slot is in use.
        Some(unsafe { EntryMut::new(&mut buckets[bucket], slot, &mut self.totals) })
    }

    /// Adds an entry whose key is absent.
    pub fn insert(&mut self, hash: u64, entry: Entry) {
        debug_assert!(self.find(hash, entry.key()).is_none(), "the key is present");
        let hash = spread(hash);
        self.totals.add(&entry);
        let untagged = Slot::new(0, entry);
        loop {
            let path = self.path(hash);
            let node = path.node();
            let segment = node.to_segment();
            let shape = segment.shape();
            // SAFETY: the table is borrowed exclusively.
            let buckets = unsafe { segment.buckets_mut() };
            if segment::place(buckets, shape, untagged.with_tag(shape.tag(hash))) {
                path.set_count(node.count() + 1);
                return;
            }
            self.make_room(path);
        }
    }

    /// Takes the entry of a key out.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        self.remove_by_hash(hash, |entry| entry.key() == key)
    }

    /// Takes the entry out that [`Table::find_by_hash`] would find.
    pub fn remove_by_hash(&mut self, hash: u64, is_match: impl FnMut(&Entry) -> bool) -> Option<Entry> {
        let hash = spread(hash);
        let path = self.path(hash);
        let node = path.node();
        let segment = node.to_segment();
        let shape = segment.shape();
        // SAFETY: the table is borrowed exclusively.
        let buckets = unsafe { segment.buckets_mut() };
        let (bucket, slot) = find_in(buckets, shape, hash, is_match)?;
        let content = segment::take(buckets, shape, bucket, slot);
        path.set_count(node.count() - 1);
        if segment::is_sparse(shape, node.count() - 1) {
            self.shrink(&path);
            while self.merge(hash) {}
        }
        // SAFETY: the slot was in use, and its content is nowhere else any more.
        let entry = ManuallyDrop::into_inner(unsafe { content.entry() });
        self.totals.subtract(&entry);
        Some(entry)
    }

    /// Visits entries in the order of their hashes from `cursor` on, until about `budget` entries and buckets were
    /// looked at, and returns where to go on; zero is the start, and the answer at the end.
    ///
    /// An entry that is present during the whole walk is visited at least once, however the table
    /// changes between the calls; cursors stay valid forever.
    pub fn scan(&self, cursor: u64, budget: usize, mut visit: impl FnMut(&Entry)) -> u64 {
        let mut hash = cursor << (64 - CURSOR_BITS);
        let mut left = budget.max(1);
        loop {
            let segment = self.segment(hash);
            let shape = segment.shape();
            let home = shape.home(shape.tag(hash));
            // SAFETY: the table is borrowed.
            let buckets = unsafe { segment.buckets() };
            left = left.saturating_sub(1);
            for slot in segment::slots_of(buckets, shape, home) {
                // SAFETY: the slot is in use, and its entry borrowed with the table.
                let entry = unsafe { EntryRef::new(slot) };
                visit(&entry);
                left = left.saturating_sub(1);
            }
            hash = shape.hash_beyond(hash, home);
            if hash == 0 || left == 0 {
                return hash >> (64 - CURSOR_BITS);
            }
        }
    }

    /// Where entries of this hash stand in the order of all.
    #[inline]
    pub(super) fn place(hash: u64) -> u64 {
        spread(hash)
    }

    /// Visits all entries whose places lie between these two, both included, with their hashes.
    pub(super) fn visit_places(&self, first: u64, last: u64, mut visit: impl FnMut(u64, &Entry)) {
        let mut place = first;
        loop {
            let segment = self.segment(place);
            let shape = segment.shape();
            let end = shape.hash_beyond(place, shape.buckets - 1);
            let home = shape.home(shape.tag(place));
            let is_last = end == 0 || end > last;
            let last_home = if is_last { shape.home(shape.tag(last)) } else { shape.buckets - 1 };
            // SAFETY: the table is borrowed.
            let buckets = unsafe { segment.buckets() };
            let homes = || (home..=last_home).flat_map(|home| segment::slots_of(buckets, shape, home));
            homes().for_each(|slot| prefetch(slot.address()));
            for slot in homes() {
                // SAFETY: the slot is in use, and its entry borrowed with the table.
                let entry = unsafe { EntryRef::new(slot) };
                let hash = self.hash(entry.key());
                if (first..=last).contains(&spread(hash)) {
                    visit(hash, &entry);
                }
            }
            if is_last {
                return;
            }
            place = end;
        }
    }

    /// All entries in the order of their hashes.
    pub fn iter(&self) -> Entries<'_> {
        self.entries_from(0)
    }

    /// A random entry, each equally likely; `None` only if there is none.
    ///
    /// A place among all hashes leads to a segment, which counts in proportion to how densely its entries lie there: drawn
    /// again if a second number says so, so that neither full nor crowded segments are preferred.
    pub fn random(&self, random: u64) -> Option<EntryRef<'_>> {
        let mut state = random;
        for _ in 0..RANDOM_TRIES {
            let place = next_random(&mut state);
            let (segment, count) = self.segment_with_count(place);
            // Entries if all of the table were as full as this segment. `spread` alone makes that up to 3/2 of the truth.
            let entries = (count as u128) << segment.shape().depth;
            let is_drawn = u128::from(next_random(&mut state)) * (2 * self.len() as u128) < entries << 64;
            if is_drawn && count > 0 {
                // SAFETY: the table is borrowed.
                let slot = segment::random_slot(unsafe { segment.buckets() }, count, SLOT_TRIES, || {
                    next_random(&mut state)
                });
                // SAFETY: the slot is in use, and its entry borrowed with the table.
                return slot.map(|slot| unsafe { EntryRef::new(slot) });
            }
        }
        self.entries_from(next_random(&mut state)).next()
    }

    /// Visits up to `count` neighbouring entries from a random place on; all of them if there are no more.
    pub fn sample(&self, mut random: u64, count: usize, mut visit: impl FnMut(&Entry)) {
        for entry in self.entries_from(spread(next_random(&mut random))).take(count) {
            visit(&entry);
        }
    }

    /// Takes out all entries of about `budget` entries' worth of segments from `cursor` on and returns where to
    /// go on. Called with what it answered until it answers zero, beginning with zero, it empties the table
    /// in slices.
    pub fn drain_some(&mut self, cursor: u64, budget: usize, mut take: impl FnMut(Entry)) -> u64 {
        let mut hash = cursor << (64 - CURSOR_BITS);
        let mut left = budget.max(1);
        loop {
            let path = self.path(hash);
            let segment = path.node().to_segment();
            let shape = segment.shape();
            let empty = Segment::allocate(0, shape.depth);
            path.replace(Node::segment(empty, 0));
            self.structure.segment_bytes += empty.bytes();
            self.structure.segment_bytes -= segment.bytes();
            // SAFETY: the table forgot the segment, whose slots own their entries.
            unsafe {
                for slot in segment::slots(segment.buckets()) {
                    let entry = ManuallyDrop::into_inner(slot.entry());
                    self.totals.subtract(&entry);
                    take(entry);
                    left = left.saturating_sub(1);
                }
                segment.free();
            }
            left = left.saturating_sub(1);
            let next = shape.hash_beyond(hash, shape.buckets - 1);
            while self.merge(hash) {}
            hash = next;
            if hash == 0 || left == 0 {
                return hash >> (64 - CURSOR_BITS);
            }
        }
    }

    #[inline]
    fn segment(&self, hash: u64) -> Segment {
        // SAFETY: the tree lives as long as the table and is borrowed.
        unsafe { directory::lookup(self.root, hash) }
    }

    /// The segment of a hash, and how many entries it has.
    fn segment_with_count(&self, hash: u64) -> (Segment, usize) {
        // SAFETY: the table is borrowed, and the path is used to read only.
        let node = unsafe { Path::to((&raw const self.root).cast_mut(), hash) }.node();
        (node.to_segment(), node.count())
    }

    fn path(&mut self, hash: u64) -> Path {
        // SAFETY: the table is borrowed exclusively, and asks for a new path after each change.
        unsafe { Path::to(&raw mut self.root, hash) }
    }

    /// All entries in the order of their hashes, from the bucket of `hash` to the end and on from the start.
    fn entries_from(&self, hash: u64) -> Entries<'_> {
        Entries { table: self, hash, bucket: &Bucket::EMPTY, slot: SLOTS, left: self.len() }
    }

    /// Grows a full segment, or splits it.
    fn make_room(&mut self, path: Path) {
        let old = path.node().to_segment();
        let (depth, class) = (old.shape().depth, old.class());
        let count = path.node().count();
        // SAFETY: the table is borrowed exclusively; of the segment's entries only keys are read.
        let buckets = unsafe { old.buckets() };
        if class < CLASS_MAX || depth == DEPTH_MAX {
            let grown = Segment::build(class + 1, depth, segment::slots(buckets));
            self.structure.segment_bytes += grown.bytes();
            path.replace(Node::segment(grown, count));
        } else {
            // SAFETY: the slots are in use, and their entries are not changed meanwhile.
            let hash_of = |slot: Slot| spread(self.hash(unsafe { slot.entry() }.key()));
            let halves = segment::halves(buckets, depth, hash_of);
            let [low, high] = halves.map(|slots| {
                let class = segment::class_for(slots.len());
                let half = Segment::build(class, depth + 1, slots.iter().copied());
                self.structure.segment_bytes += half.bytes();
                Node::segment(half, slots.len())
            });
            self.structure.segments += 1;
            self.structure.directory_bytes += path.split(low, high);
        }
        self.structure.segment_bytes -= old.bytes();
        // SAFETY: the tree forgot the segment; its slots live on in the new ones.
        unsafe { old.free() }
    }

    /// Replaces a sparse segment by a smaller one, if its entries fit.
    fn shrink(&mut self, path: &Path) {
        let old = path.node().to_segment();
        let count = path.node().count();
        // SAFETY: the table is borrowed exclusively.
        let slots = segment::slots(unsafe { old.buckets() });
        let classes = segment::class_for(count)..old.class();
        let Some(shrunk) = Segment::try_build(classes, old.shape().depth, slots) else { return };
        path.replace(Node::segment(shrunk, count));
        self.structure.segment_bytes += shrunk.bytes();
        self.structure.segment_bytes -= old.bytes();
        // SAFETY: as in `make_room`.
        unsafe { old.free() }
    }

    /// Merges the segment of `hash` with its buddy if both are small and together take no more room; `false` if not.
    fn merge(&mut self, hash: u64) -> bool {
        let path = self.path(hash);
        let Some(buddy) = path.buddy() else { return false };
        let count = path.node().count() + buddy.count();
        if count > MERGED_SLOTS_MAX {
            return false;
        }
        let (own, buddy) = (path.node().to_segment(), buddy.to_segment());
        let depth = own.shape().depth;
        let buddy_hash = hash ^ 1 << (64 - depth);
        let largest = segment::class_of(own.shape().buckets + buddy.shape().buckets).min(CLASS_MAX);
        // SAFETY: the table is borrowed exclusively; the slots live on in the merged segment only.
        unsafe {
            let slots = segment::slots(own.buckets())
                .map(|slot| segment::merged(slot, depth, hash))
                .chain(segment::slots(buddy.buckets()).map(|slot| segment::merged(slot, depth, buddy_hash)));
            let classes = segment::class_for(count)..largest + 1;
            let Some(merged) = Segment::try_build(classes, depth - 1, slots) else { return false };
            self.structure.segments -= 1;
            self.structure.segment_bytes += merged.bytes();
            self.structure.segment_bytes -= own.bytes() + buddy.bytes();
            self.structure.directory_bytes -= path.merge(Node::segment(merged, count));
            own.free();
            buddy.free();
        }
        true
    }
}

impl Clone for Table {
    /// A deep copy.
    fn clone(&self) -> Self {
        let mut copy = Table::new(self.hasher.clone());
        #[cfg(test)]
        copy.test_hash.clone_from(&self.test_hash);
        for entry in self.iter() {
            copy.insert(self.hash(entry.key()), entry.duplicate(entry.key()));
        }
        copy
    }
}

impl PartialEq for Table {
    /// Whether both have the same keys with the same values and deadlines.
    fn eq(&self, other: &Self) -> bool {
        let has_same = |entry: EntryRef<'_>| {
            other
                .find(other.hash(entry.key()), entry.key())
                .is_some_and(|found| found.value() == entry.value() && found.expire_at() == entry.expire_at())
        };
        self.len() == other.len() && self.iter().all(has_same)
    }
}

impl Eq for Table {}

impl std::fmt::Debug for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_list()
            .entries(self.iter().map(|entry| entry.key().escape_ascii().to_string()))
            .finish()
    }
}

impl Drop for Table {
    /// Frees everything at once; [`Table::drain_some`] is there for large tables.
    fn drop(&mut self) {
        // SAFETY: the tree is not used afterwards, and each slot owns its entry.
        unsafe {
            directory::dismantle(self.root, &mut |segment| {
                for slot in segment::slots(segment.buckets()) {
                    drop(ManuallyDrop::into_inner(slot.entry()));
                }
                segment.free();
            });
        }
    }
}

impl Totals {
    fn add(&mut self, entry: &Entry) {
        self.len += 1;
        self.deadlines += usize::from(entry.has_deadline());
        self.entry_bytes += entry.memory_usage();
    }

    fn subtract(&mut self, entry: &Entry) {
        self.len -= 1;
        self.deadlines -= usize::from(entry.has_deadline());
        self.entry_bytes -= entry.memory_usage();
    }
}

/// Entries of a [`Table`], each once.
#[derive(Clone)]
pub struct Entries<'a> {
    table: &'a Table,
    /// Leads to the bucket that comes next.
    hash: u64,
    bucket: &'a Bucket,
    /// The next slot in `bucket`.
    slot: usize,
    left: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = EntryRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<EntryRef<'a>> {
        if self.left == 0 {
            return None;
        }
        loop {
            while self.slot < SLOTS {
                let slot = self.bucket.get(self.slot);
                self.slot += 1;
                if !slot.is_empty() {
                    self.left -= 1;
                    // SAFETY: the slot is in use, and its entry borrowed with the table.
                    return Some(unsafe { EntryRef::new(slot) });
                }
            }
            let segment = self.table.segment(self.hash);
            let shape = segment.shape();
            let home = shape.home(shape.tag(self.hash));
            // SAFETY: the table is borrowed.
            self.bucket = unsafe { &segment.buckets()[home] };
            self.slot = 0;
            self.hash = shape.hash_beyond(self.hash, home);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Entries").field("left", &self.left).finish()
    }
}

/// An entry borrowed from its table; what it hands out lives as long as that borrow.
pub struct EntryRef<'a> {
    entry: ManuallyDrop<Entry>,
    table: PhantomData<&'a Entry>,
}

impl<'a> EntryRef<'a> {
    /// # Safety
    /// The slot is in use, and its entry neither changed nor freed during `'a`.
    #[inline]
    unsafe fn new(slot: Slot) -> Self {
        // SAFETY: promised by the caller; the copy is never dropped.
        EntryRef { entry: unsafe { slot.entry() }, table: PhantomData }
    }

    /// The key's bytes.
    pub fn key(&self) -> &'a [u8] {
        // SAFETY: the bytes lie in the block, which stays as it is during `'a`.
        unsafe { std::mem::transmute::<&[u8], &'a [u8]>(self.entry.key()) }
    }

    /// The value as it is kept.
    pub fn value(&self) -> ValueRef<'a> {
        // SAFETY: the value lies in or behind the block, which stays as it is during `'a`.
        unsafe { std::mem::transmute::<ValueRef<'_>, ValueRef<'a>>(self.entry.value()) }
    }
}

impl Deref for EntryRef<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

/// An entry borrowed from its table for change. The block may move: its slot follows when this is dropped,
/// and so do the table's counts. The key must stay what it is.
pub struct EntryMut<'a> {
    entry: ManuallyDrop<Entry>,
    tag: u64,
    bucket: &'a mut Bucket,
    slot: usize,
    totals: &'a mut Totals,
}

impl<'a> EntryMut<'a> {
    /// # Safety
    /// The slot is in use, and nobody else uses its entry during `'a`.
    unsafe fn new(bucket: &'a mut Bucket, slot: usize, totals: &'a mut Totals) -> Self {
        let content = bucket.get(slot);
        // SAFETY: promised by the caller; the copy goes back into the slot instead of being dropped.
        let entry = unsafe { content.entry() };
        totals.subtract(&entry);
        // Empty meanwhile, so that a leaked guard leaves no dangling pointer behind.
        bucket.set(slot, Slot::EMPTY);
        EntryMut { entry, tag: content.tag(), bucket, slot, totals }
    }
}

impl Deref for EntryMut<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl DerefMut for EntryMut<'_> {
    fn deref_mut(&mut self) -> &mut Entry {
        &mut self.entry
    }
}

impl Drop for EntryMut<'_> {
    fn drop(&mut self) {
        self.totals.add(&self.entry);
        // SAFETY: the guard's entry is not used after this.
        let entry = unsafe { ManuallyDrop::take(&mut self.entry) };
        self.bucket.set(self.slot, Slot::new(self.tag, entry));
    }
}

#[inline]
fn find_in(
    buckets: &[Bucket],
    shape: Shape,
    hash: u64,
    mut is_match: impl FnMut(&Entry) -> bool,
) -> Option<(usize, usize)> {
    segment::find(buckets, shape, hash, |slot| {
        // SAFETY: slots in use own a living entry, borrowed with the buckets; the copy is not dropped.
        let entry = unsafe { slot.entry() };
        is_match(&entry)
    })
}

/// Makes hashes up to twice as dense at the high end as at the low one. So at any number of keys segments are found in all
/// stages of filling up; else they would all grow and split at the same time, and the memory a key takes would
/// swing with the number of keys.
#[inline]
fn spread(uniform: u64) -> u64 {
    let product = u128::from(uniform) * u128::from(!uniform);
    uniform + (product >> 64) as u64 / 3
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads one random number into as many as are needed.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
#[path = "table_test.rs"]
mod table_test;
