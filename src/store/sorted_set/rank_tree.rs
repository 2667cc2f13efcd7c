//! A B+ tree of items in an order that its owner keeps, which knows the rank of each.
//!
//! Items lie in leaves; an inner node knows of each child its first item and how many items are below it. So finding an
//! item by its rank, or the rank of a place in the order, takes one way down. Nodes that shrink merge with a neighbour
//! as soon as both together leave room in one, and nothing is ever moved between two nodes that stay.
//!
//! The tree compares nothing itself: whoever looks for a place gives a predicate that holds for all items before it and for
//! none behind it.

use std::ops::Range;

use crate::store::size_class::allocation_size;

/// Items of a full leaf. Smaller under test, for depth with few items.
const LEAF_MAX: usize = if cfg!(test) { 8 } else { 64 };
/// Children of a full inner node.
const INNER_MAX: usize = if cfg!(test) { 4 } else { 32 };
/// Elements by which the room of a node grows.
const STEP: usize = if cfg!(test) { 2 } else { 8 };

/// Items by rank. See the module's documentation.
pub(super) struct RankTree<T> {
    root: Node<T>,
    len: usize,
    /// Heap bytes of all nodes.
    bytes: usize,
}

/// A node; only the root may be empty.
enum Node<T> {
    Leaf(Vec<T>),
    Inner(Vec<Child<T>>),
}

struct Child<T> {
    /// The first item below.
    first: T,
    /// Number of items below.
    len: usize,
    node: Node<T>,
}

impl<T> Default for RankTree<T> {
    fn default() -> Self {
        Self { root: Node::Leaf(Vec::new()), len: 0, bytes: 0 }
    }
}

impl<T: Copy> RankTree<T> {
    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes. Constant time.
    pub(super) fn memory_usage(&self) -> usize {
        self.bytes
    }

    /// Inserts an item behind all that `precedes` holds for.
    pub(super) fn insert(&mut self, item: T, mut precedes: impl FnMut(&T) -> bool) {
        let right = self.root.insert(item, &mut precedes, &mut self.bytes);
        self.len += 1;
        if let Some(right) = right {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let mut children = Vec::new();
            push(&mut children, Child::of(left), &mut self.bytes);
            push(&mut children, Child::of(right), &mut self.bytes);
            self.root = Node::Inner(children);
        }
    }

    /// Takes out the last item that `reaches` holds for: the predicate of the place behind it.
    pub(super) fn remove(&mut self, mut reaches: impl FnMut(&T) -> bool) -> Option<T> {
        let item = self.root.remove(&mut reaches, &mut self.bytes)?;
        self.len -= 1;
        self.settle_root();
        Some(item)
    }

    /// Takes out the items of these ranks. Costs a way down besides them.
    pub(super) fn remove_range(&mut self, ranks: Range<usize>, mut take: impl FnMut(T)) {
        let ranks = ranks.start..ranks.end.min(self.len);
        if !ranks.is_empty() {
            self.len -= ranks.len();
            self.root.remove_range(ranks, &mut take, &mut self.bytes);
            self.settle_root();
        }
    }

    /// Number of items that `precedes` holds for: the rank of the place behind them.
    pub(super) fn rank(&self, mut precedes: impl FnMut(&T) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => return rank + items.partition_point(precedes),
                Node::Inner(children) => {
                    let at = children.partition_point(|child| precedes(&child.first)).saturating_sub(1);
                    rank += children[..at].iter().map(|child| child.len).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The items of these ranks in order.
    pub(super) fn iter(&self, ranks: Range<usize>) -> impl Iterator<Item = &T> {
        let (mut rank, end) = (ranks.start, ranks.end.min(self.len));
        std::iter::from_fn(move || {
            let (items, at) = (rank < end).then(|| self.leaf(rank))?;
            let items = &items[at..items.len().min(at + end - rank)];
            rank += items.len();
            Some(items)
        })
        .flatten()
    }

    /// The items of these ranks from the last to the first.
    pub(super) fn iter_reversed(&self, ranks: Range<usize>) -> impl Iterator<Item = &T> {
        let (start, mut rank) = (ranks.start, ranks.end.min(self.len));
        std::iter::from_fn(move || {
            let (items, at) = (start < rank).then(|| self.leaf(rank - 1))?;
            let items = &items[(at + 1).saturating_sub(rank - start)..=at];
            rank -= items.len();
            Some(items.iter().rev())
        })
        .flatten()
    }

    /// The leaf that holds the item of a rank, and where in it.
    fn leaf(&self, mut rank: usize) -> (&[T], usize) {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(items) => return (items, rank),
                Node::Inner(children) => {
                    let mut at = 0;
                    while rank >= children[at].len {
                        rank -= children[at].len;
                        at += 1;
                    }
                    node = &children[at].node;
                }
            }
        }
    }

    /// A root with one child gives way to it.
    fn settle_root(&mut self) {
        while let Node::Inner(children) = &mut self.root
            && children.len() <= 1
        {
            let only = children.pop().map_or(Node::Leaf(Vec::new()), |child| child.node);
            tidy(children, &mut self.bytes);
            self.root = only;
        }
    }
}

impl<T: Copy> Child<T> {
    fn of(node: Node<T>) -> Self {
        Self { first: node.first(), len: node.len(), node }
    }
}

impl<T: Copy> Node<T> {
    /// The first item of a node that is not empty.
    fn first(&self) -> T {
        match self {
            Node::Leaf(items) => items[0],
            Node::Inner(children) => children[0].first,
        }
    }

    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.iter().map(|child| child.len).sum(),
        }
    }

    /// Inserts an item; if the node had to be split, returns its right part.
    fn insert(
        &mut self,
        item: T,
        precedes: &mut impl FnMut(&T) -> bool,
        bytes: &mut usize,
    ) -> Option<Node<T>> {
        match self {
            Node::Leaf(items) => {
                let at = items.partition_point(precedes);
                insert_at(items, at, item, LEAF_MAX, bytes).map(Node::Leaf)
            }
            Node::Inner(children) => {
                let at = children.partition_point(|child| precedes(&child.first)).saturating_sub(1);
                let child = &mut children[at];
                let right = child.node.insert(item, precedes, bytes);
                child.len += 1;
                child.first = child.node.first();
                let right = Child::of(right?);
                child.len -= right.len;
                insert_at(children, at + 1, right, INNER_MAX, bytes).map(Node::Inner)
            }
        }
    }

    fn remove(&mut self, reaches: &mut impl FnMut(&T) -> bool, bytes: &mut usize) -> Option<T> {
        match self {
            Node::Leaf(items) => {
                let at = items.partition_point(reaches).checked_sub(1)?;
                let item = items.remove(at);
                tidy(items, bytes);
                Some(item)
            }
            Node::Inner(children) => {
                let at = children.partition_point(|child| reaches(&child.first)).checked_sub(1)?;
                let item = children[at].node.remove(reaches, bytes)?;
                children[at].len -= 1;
                settle(children, at, bytes);
                Some(item)
            }
        }
    }

    fn remove_range(&mut self, ranks: Range<usize>, take: &mut impl FnMut(T), bytes: &mut usize) {
        match self {
            Node::Leaf(items) => {
                items.drain(ranks).for_each(take);
                tidy(items, bytes);
            }
            Node::Inner(children) => {
                let (mut at, mut begin) = (0, 0);
                while begin + children[at].len <= ranks.start {
                    begin += children[at].len;
                    at += 1;
                }
                let (mut behind, mut rank) = (at, begin);
                while behind < children.len() && rank < ranks.end {
                    let child = &mut children[behind];
                    let below = ranks.start.saturating_sub(rank)..(ranks.end - rank).min(child.len);
                    rank += child.len;
                    child.len -= below.len();
                    child.node.remove_range(below, take, bytes);
                    behind += 1;
                }
                // What is left of the first and of the last of them is next to each other from here on.
                let emptied = at + usize::from(children[at].len > 0);
                let kept = children[behind - 1].len > 0 && behind - 1 > at;
                children.drain(emptied..behind - usize::from(kept));
                tidy(children, bytes);
                for near in [at + 1, at] {
                    settle(children, near, bytes);
                }
            }
        }
    }

    /// Takes the items or children of its right neighbour over, if both leave some room in one node.
    fn merge(&mut self, right: &mut Node<T>, bytes: &mut usize) -> bool {
        match (self, right) {
            (Node::Leaf(items), Node::Leaf(more)) => append(items, more, LEAF_MAX, bytes),
            (Node::Inner(children), Node::Inner(more)) => append(children, more, INNER_MAX, bytes),
            _ => false,
        }
    }
}

/// Brings the children in order after items below number `at` were removed.
fn settle<T: Copy>(children: &mut Vec<Child<T>>, at: usize, bytes: &mut usize) {
    let Some(child) = children.get_mut(at) else { return };
    if child.len == 0 {
        children.remove(at);
        return tidy(children, bytes);
    }
    child.first = child.node.first();
    if !merge_with_next(children, at, bytes) && at > 0 {
        merge_with_next(children, at - 1, bytes);
    }
}

fn merge_with_next<T: Copy>(children: &mut Vec<Child<T>>, at: usize, bytes: &mut usize) -> bool {
    let [left, right, ..] = &mut children[at..] else { return false };
    if !left.node.merge(&mut right.node, bytes) {
        return false;
    }
    left.len += right.len;
    children.remove(at + 1);
    tidy(children, bytes);
    true
}

fn bytes_of<E>(row: &Vec<E>) -> usize {
    allocation_size(row.capacity() * size_of::<E>())
}

/// Makes room for `more` elements, a little at a time.
fn make_room<E>(row: &mut Vec<E>, more: usize, bytes: &mut usize) {
    let needed = row.len() + more;
    if needed > row.capacity() {
        *bytes -= bytes_of(row);
        row.reserve_exact(needed.next_multiple_of(STEP) - row.len());
        *bytes += bytes_of(row);
    }
}

/// Gives room back that a row has too much of.
fn tidy<E>(row: &mut Vec<E>, bytes: &mut usize) {
    if row.is_empty() || row.capacity() - row.len() >= 2 * STEP {
        *bytes -= bytes_of(row);
        row.shrink_to(row.len().next_multiple_of(STEP));
        *bytes += bytes_of(row);
    }
}

fn push<E>(row: &mut Vec<E>, element: E, bytes: &mut usize) {
    make_room(row, 1, bytes);
    row.push(element);
}

/// Inserts an element; a full row is split, and its right part returned.
fn insert_at<E>(row: &mut Vec<E>, at: usize, element: E, max: usize, bytes: &mut usize) -> Option<Vec<E>> {
    if row.len() < max {
        make_room(row, 1, bytes);
        row.insert(at, element);
        return None;
    }
    // What grows at one end leaves full nodes behind.
    let cut = if at == 0 || at == max { at } else { max / 2 };
    let mut right = Vec::new();
    make_room(&mut right, max - cut, bytes);
    right.extend(row.drain(cut..));
    tidy(row, bytes);
    let (half, at) = if at > cut || at == max { (&mut right, at - cut) } else { (row, at) };
    make_room(half, 1, bytes);
    half.insert(at, element);
    Some(right)
}

/// Moves all of `more` behind `row` if together they fill no more than three quarters of a node.
fn append<E>(row: &mut Vec<E>, more: &mut Vec<E>, max: usize, bytes: &mut usize) -> bool {
    if row.len() + more.len() > max * 3 / 4 {
        return false;
    }
    make_room(row, more.len(), bytes);
    row.append(more);
    tidy(more, bytes);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16),
        Append(u16),
        Remove(prop::sample::Index),
        RemoveRange(prop::sample::Index, prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => any::<u16>().prop_map(Step::Insert),
            3 => (1u16..9).prop_map(Step::Append),
            4 => any::<prop::sample::Index>().prop_map(Step::Remove),
            1 => any::<[prop::sample::Index; 2]>().prop_map(|[from, to]| Step::RemoveRange(from, to)),
        ]
    }

    /// Checks firsts, lengths and sizes; returns depth and heap bytes.
    fn check(node: &Node<u32>, is_root: bool) -> (usize, usize) {
        match node {
            Node::Leaf(items) => {
                assert!(items.len() <= LEAF_MAX && (is_root || !items.is_empty()));
                (1, bytes_of(items))
            }
            Node::Inner(children) => {
                assert!(children.len() <= INNER_MAX && children.len() > usize::from(is_root));
                let (mut depths, mut bytes) = (Vec::new(), bytes_of(children));
                for child in children {
                    let (depth, below) = check(&child.node, false);
                    assert_eq!((child.len, child.first), (child.node.len(), child.node.first()));
                    depths.push(depth);
                    bytes += below;
                }
                assert!(depths.windows(2).all(|pair| pair[0] == pair[1]));
                (depths[0] + 1, bytes)
            }
        }
    }

    fn check_all(tree: &RankTree<u32>, model: &[u32]) {
        let (_, bytes) = check(&tree.root, true);
        assert_eq!((tree.len(), tree.memory_usage()), (model.len(), bytes));
        assert!(tree.iter(0..usize::MAX).eq(model));
        assert!(tree.iter_reversed(0..model.len()).eq(model.iter().rev()));
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_vector(steps in prop::collection::vec(step(), 0..400), wanted: u32) {
            let (mut tree, mut model) = (RankTree::default(), Vec::<u32>::new());
            for step in steps {
                match step {
                    Step::Insert(item) => {
                        let item = u32::from(item);
                        let rank = model.partition_point(|&other| other < item);
                        prop_assert_eq!(tree.rank(|&other| other < item), rank);
                        tree.insert(item, |&other| other < item);
                        model.insert(rank, item);
                    }
                    Step::Append(more) => for _ in 0..more {
                        let item = model.last().map_or(0, |last| last + 1);
                        tree.insert(item, |_| true);
                        model.push(item);
                    }
                    Step::Remove(index) => {
                        let item = if model.is_empty() { 1 } else { model[index.index(model.len())] };
                        let rank = model.partition_point(|&other| other <= item);
                        let expected = rank.checked_sub(1).map(|rank| model.remove(rank));
                        prop_assert_eq!(tree.remove(|&other| other <= item), expected);
                    }
                    Step::RemoveRange(from, to) => {
                        let (from, to) = (from.index(model.len() + 1), to.index(model.len() + 1));
                        let ranks = from.min(to)..from.max(to);
                        let mut taken = Vec::new();
                        tree.remove_range(ranks.clone(), |item| taken.push(item));
                        prop_assert_eq!(taken, model.drain(ranks).collect::<Vec<_>>());
                    }
                }
                check_all(&tree, &model);
            }
            let middle = wanted as usize % (model.len() + 1);
            prop_assert!(tree.iter(middle..model.len()).eq(&model[middle..]));
            prop_assert!(tree.iter(0..middle).eq(&model[..middle]));
            prop_assert!(tree.iter_reversed(middle..model.len()).eq(model[middle..].iter().rev()));
            prop_assert!(tree.iter_reversed(0..middle).eq(model[..middle].iter().rev()));
        }
    }

    #[test]
    fn nodes_that_grow_at_one_end_are_full() {
        let (mut up, mut down) = (RankTree::default(), RankTree::default());
        for item in 0..10_000u32 {
            up.insert(item, |_| true);
            down.insert(u32::MAX - item, |_| false);
        }
        for tree in [&up, &down] {
            check(&tree.root, true);
            assert!(tree.memory_usage() < 10_000 * 17, "{} bytes", tree.memory_usage());
        }
    }

    #[test]
    fn depth_is_logarithmic_after_removals() {
        let mut tree = RankTree::default();
        for item in 0..20_000u32 {
            tree.insert(item, |_| true);
        }
        for item in (0..20_000).filter(|item| item % 50 != 0) {
            assert_eq!(tree.remove(|&other| other <= item), Some(item));
        }
        let (depth, bytes) = check(&tree.root, true);
        assert!(depth <= 7 && bytes < 400 * 60, "{depth} levels, {bytes} bytes");
    }
}
