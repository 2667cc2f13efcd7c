//! The form of large sorted sets: a hash table from members to scores, and a tree of all members in order.
//!
//! A member is the key of an entry whose value is the score's bits. The tree holds score and block of each: the block of an
//! entry stays where it is as long as its value is an integer and it has no deadline, however the table changes.

use std::cmp::Ordering;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;

use super::rank_tree::RankTree;
use crate::store::entry::{Entry, NewValue, ValueRef};
use crate::store::size_class::allocation_size;
use crate::store::table::Table;

/// Members with scores, in a table and in order. See the module's documentation.
pub struct Tree {
    members: Table,
    order: RankTree<Item>,
}

/// A member in order.
#[derive(Clone, Copy)]
struct Item {
    score: f64,
    /// The member's entry, which the table beside owns.
    block: NonNull<u8>,
}

// SAFETY: an item is used only together with the table that owns its entry, and entries are `Send`.
unsafe impl Send for Item {}

impl Item {
    /// The member.
    ///
    /// # Safety
    /// The table still has the entry, and keeps it during `'a`.
    unsafe fn member<'a>(&self) -> &'a [u8] {
        // SAFETY: promised by the caller; the copy is not dropped, and the key lies in the block.
        unsafe {
            let entry = ManuallyDrop::new(Entry::from_block(self.block));
            std::mem::transmute::<&[u8], &'a [u8]>(entry.key())
        }
    }

    /// # Safety
    /// As [`Item::member`].
    unsafe fn compare(&self, score: f64, member: &[u8]) -> Ordering {
        // SAFETY: promised by the caller.
        compare_scores(self.score, score).then_with(|| unsafe { self.member() }.cmp(member))
    }
}

/// The order of scores, which are never NaN; both zeros are equal.
pub(super) fn compare_scores(one: f64, other: f64) -> Ordering {
    one.partial_cmp(&other).unwrap_or(Ordering::Equal)
}

impl Default for Tree {
    fn default() -> Self {
        Self { members: Table::of_elements(), order: RankTree::default() }
    }
}

impl Tree {
    /// The members as entries.
    pub fn table(&self) -> &Table {
        &self.members
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes beside the value itself. Constant time.
    pub fn memory_usage(&self) -> usize {
        allocation_size(size_of::<Self>())
            + self.members.entry_bytes()
            + self.members.memory_usage()
            + self.order.memory_usage()
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.find(self.members.hash(member), member).map(|entry| score_of(&entry))
    }

    /// Gives a member the score that `decide` makes of the one it has, if any; `None` leaves all as it is. Returns the score
    /// before and the decision.
    pub fn update(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> (Option<f64>, Option<f64>) {
        let hash = self.members.hash(member);
        let Some(mut entry) = self.members.find_mut(hash, member) else {
            let decision = decide(None);
            if let Some(score) = decision {
                self.insert(hash, member, score);
            }
            return (None, decision);
        };
        let before = score_of(&entry);
        let decision = decide(Some(before));
        if let Some(score) = decision.filter(|&score| score != before) {
            entry.set_int(score.to_bits() as i64);
            drop(entry);
            self.move_item(before, score, member);
        }
        (Some(before), decision)
    }

    /// Takes a member out; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = self.members.hash(member);
        let score = score_of(&*self.members.find(hash, member)?);
        // SAFETY: the table has the entries of all items.
        self.order.remove(|item| unsafe { item.compare(score, member) }.is_le());
        self.members.remove(hash, member);
        Some(score)
    }

    /// The rank of a member, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        // SAFETY: the table has the entries of all items.
        let rank = self.order.rank(|item| unsafe { item.compare(score, member) }.is_lt());
        Some((rank, score))
    }

    /// Number of members that `precedes` holds for, which must do so for all before some place in the order and for none
    /// behind it.
    pub fn partition_point(&self, mut precedes: impl FnMut(&[u8], f64) -> bool) -> usize {
        // SAFETY: the table has the entries of all items.
        self.order.rank(|item| precedes(unsafe { item.member() }, item.score))
    }

    /// The same by scores alone, which looks at no member.
    pub fn partition_point_by_score(&self, mut precedes: impl FnMut(f64) -> bool) -> usize {
        self.order.rank(|item| precedes(item.score))
    }

    /// Members and scores of these ranks in order.
    pub fn iter(&self, ranks: Range<usize>) -> impl Iterator<Item = (&[u8], f64)> {
        // SAFETY: the table has the entries of all items and is borrowed with the iterator.
        self.order.iter(ranks).map(|item| (unsafe { item.member() }, item.score))
    }

    /// Members and scores of these ranks, the last first.
    pub fn iter_reversed(&self, ranks: Range<usize>) -> impl Iterator<Item = (&[u8], f64)> {
        // SAFETY: as above.
        self.order.iter_reversed(ranks).map(|item| (unsafe { item.member() }, item.score))
    }

    /// Takes the members of these ranks out, in order.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut take: impl FnMut(&[u8], f64)) {
        let members = &mut self.members;
        self.order.remove_range(ranks, |item| {
            // SAFETY: the table has the entry until it is removed right below.
            let member = unsafe { item.member() };
            take(member, item.score);
            members.remove_by_hash(members.hash(member), |entry| entry.block() == item.block);
        });
    }

    /// Visits members as [`Table::scan`] does.
    pub fn scan(&self, cursor: u64, budget: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.members.scan(cursor, budget, |entry| visit(entry.key(), score_of(entry)))
    }

    fn insert(&mut self, hash: u64, member: &[u8], score: f64) {
        let entry = Entry::new(member, NewValue::Int(score.to_bits() as i64), None);
        let item = Item { score, block: entry.block() };
        self.members.insert(hash, entry);
        // SAFETY: the table has the entries of all items.
        self.order.insert(item, |other| unsafe { other.compare(score, member) }.is_lt());
    }

    /// Moves a member to where its new score belongs.
    fn move_item(&mut self, before: f64, score: f64, member: &[u8]) {
        // SAFETY: the table has the entries of all items.
        if let Some(item) = self.order.remove(|item| unsafe { item.compare(before, member) }.is_le()) {
            let item = Item { score, ..item };
            // SAFETY: as above.
            self.order.insert(item, |other| unsafe { other.compare(score, member) }.is_lt());
        }
    }
}

impl Clone for Tree {
    fn clone(&self) -> Self {
        let mut clone = Tree::default();
        for (member, score) in self.iter(0..self.len()) {
            clone.insert(clone.members.hash(member), member, score);
        }
        clone
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter(0..self.len())).finish()
    }
}

/// Members with scores that are still to be brought in order: what unions and their kin gather.
pub struct Unordered {
    members: Table,
}

impl Default for Unordered {
    fn default() -> Self {
        Self { members: Table::of_elements() }
    }
}

impl Unordered {
    /// Gives a member the score that `decide` makes of the one it has, if any.
    pub fn update(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> f64) {
        let hash = self.members.hash(member);
        if let Some(mut entry) = self.members.find_mut(hash, member) {
            let score = decide(Some(score_of(&entry)));
            entry.set_int(score.to_bits() as i64);
        } else {
            let score = NewValue::Int(decide(None).to_bits() as i64);
            self.members.insert(hash, Entry::new(member, score, None));
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, member: &[u8]) {
        self.members.remove(self.members.hash(member), member);
    }

    /// Brings all in order. O(n log n).
    pub(super) fn into_tree(self) -> Tree {
        let mut items = Vec::with_capacity(self.members.len());
        self.members.scan(0, usize::MAX, |entry| {
            items.push(Item { score: score_of(entry), block: entry.block() });
        });
        // SAFETY: the table has the entries of all items.
        items.sort_unstable_by(|one, other| unsafe { one.compare(other.score, other.member()) });
        let mut order = RankTree::default();
        items.into_iter().for_each(|item| order.insert(item, |_| true));
        Tree { members: self.members, order }
    }
}

/// The score that an entry of a [`Tree`] keeps.
fn score_of(entry: &Entry) -> f64 {
    match entry.value() {
        ValueRef::Int(bits) => f64::from_bits(bits as u64),
        _ => 0.0,
    }
}
