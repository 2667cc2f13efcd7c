//! Sorted sets: members, each with a score, ordered by score and then by the bytes of the member.
//!
//! A small one is [`packed`]; a larger one is a [`tree`]. All questions come down to ranks: what a range of scores or
//! members covers is a range of ranks, and members are visited and removed by such.
//! Scores are any doubles but NaN.

mod packed;
mod range;
mod rank_tree;
mod tree;

use std::ops::{ControlFlow, Range};

pub use range::{MemberBound, MemberRange, ScoreRange};
pub use tree::{Tree, Unordered};

use super::packed::{Packed, PackedRef};
use super::table::Table;
use super::value::{Collection, Kind, Stored, Value};

/// A sorted set that belongs to the caller or to a value on the heap.
#[derive(Clone, Debug)]
pub enum SortedSet {
    /// A small one.
    Packed(Packed),
    /// A larger one.
    Tree(Box<Tree>),
}

/// A sorted set to be read.
#[derive(Clone, Copy, Debug)]
pub enum SortedSetView<'a> {
    /// A small one.
    Packed(PackedRef<'a>),
    /// A larger one.
    Tree(&'a Tree),
}

/// What may be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members of a packed sorted set.
    pub members: usize,
    /// Bytes of each.
    pub member_bytes: usize,
}

impl Limits {
    fn allow(self, members: usize, member: &[u8]) -> bool {
        members <= self.members.min(Packed::LEN_MAX / 2) && member.len() <= self.member_bytes
    }
}

impl Default for SortedSet {
    fn default() -> Self {
        SortedSet::Packed(Packed::default())
    }
}

impl SortedSet {
    /// To be read.
    pub fn view(&self) -> SortedSetView<'_> {
        match self {
            SortedSet::Packed(packed) => SortedSetView::Packed(packed.as_ref()),
            SortedSet::Tree(tree) => SortedSetView::Tree(tree),
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match self {
            SortedSet::Packed(packed) => Kind::SortedSet.packed_name(packed.as_ref()),
            SortedSet::Tree(_) => "skiplist",
        }
    }

    /// Heap bytes beside the value itself. Constant time.
    pub fn memory_usage(&self) -> usize {
        match self {
            SortedSet::Packed(packed) => packed.memory_usage(),
            SortedSet::Tree(tree) => tree.memory_usage(),
        }
    }

    /// Frees about `budget` members that nobody can reach any more; returns how many.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let SortedSet::Tree(tree) = self else { return 0 };
        let len = tree.len();
        tree.remove_range(len.saturating_sub(budget)..len, |_, _| {});
        len - tree.len()
    }

    /// Says that `members` will be added, so that what will be too many are not packed first.
    pub fn expect(&mut self, members: usize, limits: Limits) {
        if members > limits.members {
            self.unpack();
        }
    }

    /// Gives a member the score that `decide` makes of the one it has, if any; `None` leaves all as it is. Returns the score
    /// before and the decision.
    pub fn update(
        &mut self,
        member: &[u8],
        limits: Limits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> (Option<f64>, Option<f64>) {
        let packed = match self {
            SortedSet::Packed(packed) => packed,
            SortedSet::Tree(tree) => return tree.update(member, decide),
        };
        let found = packed::find(packed.as_ref(), member).map(|(_, pair)| (pair.place, pair.score));
        let before = found.map(|(_, score)| score);
        let decision = decide(before);
        let Some(score) = decision.filter(|&score| before != Some(score)) else { return (before, decision) };
        if let Some((place, _)) = found {
            packed::remove(packed, place);
            packed::insert(packed, member, score);
        } else if limits.allow(packed::len(packed.as_ref()) + 1, member) {
            packed::insert(packed, member, score);
        } else {
            self.unpack().update(member, |_| decision);
        }
        (before, decision)
    }

    /// Takes a member out; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSet::Packed(packed) => {
                let (_, pair) = packed::find(packed.as_ref(), member)?;
                let (place, score) = (pair.place, pair.score);
                packed::remove(packed, place);
                Some(score)
            }
            SortedSet::Tree(tree) => tree.remove(member),
        }
    }

    /// Takes the members of these ranks out.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        let ranks = ranks.start..ranks.end.min(self.len());
        if ranks.is_empty() {
            return;
        }
        match self {
            SortedSet::Packed(packed) => packed::remove_range(packed, ranks),
            SortedSet::Tree(tree) => tree.remove_range(ranks, |_, _| {}),
        }
    }

    /// A sorted set of what was gathered, packed if the limits allow it.
    pub fn of(unordered: Unordered, limits: Limits) -> Self {
        let fits = |tree: &Tree| tree.iter(0..tree.len()).all(|(member, _)| limits.allow(tree.len(), member));
        let tree = unordered.into_tree();
        if tree.len() > limits.members || !fits(&tree) {
            return SortedSet::Tree(Box::new(tree));
        }
        let mut packed = Packed::default();
        tree.iter(0..tree.len()).for_each(|(member, score)| packed::push(&mut packed, member, score));
        SortedSet::Packed(packed)
    }

    /// The tree, which a packed one becomes.
    pub fn unpack(&mut self) -> &mut Tree {
        if let SortedSet::Packed(packed) = self {
            let mut tree = Tree::default();
            for pair in packed::pairs(packed.as_ref()) {
                let mut digits = itoa::Buffer::new();
                tree.update(pair.member.bytes(&mut digits), |_| Some(pair.score));
            }
            *self = SortedSet::Tree(Box::new(tree));
        }
        match self {
            SortedSet::Tree(tree) => tree,
            SortedSet::Packed(_) => unreachable!("unpacked right above"),
        }
    }
}

impl<'a> SortedSetView<'a> {
    /// Number of members.
    pub fn len(self) -> usize {
        match self {
            SortedSetView::Packed(packed) => packed::len(packed),
            SortedSetView::Tree(tree) => tree.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSetView::Packed(packed) => packed::find(packed, member).map(|(_, pair)| pair.score),
            SortedSetView::Tree(tree) => tree.score(member),
        }
    }

    /// The rank of a member, and its score. O(log n).
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            SortedSetView::Packed(packed) => {
                packed::find(packed, member).map(|(rank, pair)| (rank, pair.score))
            }
            SortedSetView::Tree(tree) => tree.rank(member),
        }
    }

    /// The ranks of the members whose scores lie in a range. O(log n).
    pub fn ranks_by_score(self, range: &ScoreRange) -> Range<usize> {
        let (start, end) = match self {
            SortedSetView::Packed(packed) => (
                packed::count_while(packed, |_, score| range.is_above(score)),
                packed::count_while(packed, |_, score| !range.is_below(score)),
            ),
            SortedSetView::Tree(tree) => (
                tree.partition_point_by_score(|score| range.is_above(score)),
                tree.partition_point_by_score(|score| !range.is_below(score)),
            ),
        };
        start..end.max(start)
    }

    /// The ranks of the members in a range, all of which must have one score; otherwise it finds some. O(log n).
    pub fn ranks_by_member(self, range: &MemberRange<'_>) -> Range<usize> {
        let (start, end) = match self {
            SortedSetView::Packed(packed) => (
                packed::count_while(packed, |member, _| range.is_above(member)),
                packed::count_while(packed, |member, _| !range.is_below(member)),
            ),
            SortedSetView::Tree(tree) => (
                tree.partition_point(|member, _| range.is_above(member)),
                tree.partition_point(|member, _| !range.is_below(member)),
            ),
        };
        start..end.max(start)
    }

    /// The table of the members, if there is one.
    pub fn table(self) -> Option<&'a Table> {
        match self {
            SortedSetView::Packed(_) => None,
            SortedSetView::Tree(tree) => Some(tree.table()),
        }
    }

    /// Visits members and scores of these ranks in order, or the last first, until `visit` breaks.
    pub fn try_visit<B>(
        self,
        ranks: Range<usize>,
        reversed: bool,
        mut visit: impl FnMut(&[u8], f64) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self {
            SortedSetView::Packed(packed) => {
                let mut pairs = packed::pairs(packed).skip(ranks.start).take(ranks.len());
                let mut visit_pair =
                    |pair: packed::Pair<'_>| visit(pair.member.bytes(&mut itoa::Buffer::new()), pair.score);
                if reversed {
                    pairs.collect::<Vec<_>>().into_iter().rev().try_for_each(visit_pair)
                } else {
                    pairs.try_for_each(&mut visit_pair)
                }
            }
            SortedSetView::Tree(tree) if reversed => {
                tree.iter_reversed(ranks).try_for_each(|(member, score)| visit(member, score))
            }
            SortedSetView::Tree(tree) => {
                tree.iter(ranks).try_for_each(|(member, score)| visit(member, score))
            }
        }
    }

    /// Visits members and scores of these ranks in order, or the last first.
    pub fn visit(self, ranks: Range<usize>, reversed: bool, mut visit: impl FnMut(&[u8], f64)) {
        let _ = self.try_visit(ranks, reversed, |member, score| {
            visit(member, score);
            ControlFlow::<()>::Continue(())
        });
    }

    /// Visits about `budget` members from `cursor` on and returns where to go on, zero at the end; a packed one at once.
    /// See [`super::table::Table::scan`].
    pub fn scan(self, cursor: u64, budget: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        match self {
            SortedSetView::Packed(_) => {
                self.visit(0..self.len(), false, visit);
                0
            }
            SortedSetView::Tree(tree) => tree.scan(cursor, budget, &mut visit),
        }
    }
}

impl PartialEq for SortedSet {
    fn eq(&self, other: &Self) -> bool {
        fn pairs(set: SortedSetView<'_>) -> Vec<(Vec<u8>, f64)> {
            let mut pairs = Vec::with_capacity(set.len());
            set.visit(0..set.len(), false, |member, score| pairs.push((member.to_vec(), score)));
            pairs
        }
        pairs(self.view()) == pairs(other.view())
    }
}

impl Eq for SortedSet {}

impl Collection for SortedSet {
    type View<'a> = SortedSetView<'a>;

    const KIND: Kind = Kind::SortedSet;

    fn view_packed(packed: PackedRef<'_>) -> Option<SortedSetView<'_>> {
        Some(SortedSetView::Packed(packed))
    }

    fn view(value: &Value) -> Option<SortedSetView<'_>> {
        match value {
            Value::SortedSet(set) => Some(set.view()),
            _ => None,
        }
    }

    fn value_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::SortedSet(set) => Some(set),
            _ => None,
        }
    }

    fn from_packed(packed: Packed) -> Option<Self> {
        Some(SortedSet::Packed(packed))
    }

    fn into_stored(self) -> Stored {
        match self {
            SortedSet::Packed(packed) if packed.fits_entry() => Stored::Packed(packed),
            set => Stored::Value(Value::SortedSet(set)),
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
#[path = "sorted_set_test.rs"]
mod sorted_set_test;
