//! A deque of nodes, none of them empty: the form of a list that has outgrown one node.

use std::collections::VecDeque;

use super::Limit;
use super::node::{End, Node};
use crate::store::listpack::Encoded;
use crate::store::packed::Element;
use crate::store::size_class::allocation_size;

/// What an element may take beside its text, estimated as Redis does when it looks whether a node has room.
const ENTRY_BYTES: usize = 8;

/// A deque with room for at most so many nodes keeps it.
const SMALL_DEQUE: usize = 64;

/// Nodes, with the sums of their elements and of their bytes on the heap.
pub struct Nodes {
    deque: VecDeque<Node>,
    len: usize,
    pub(super) bytes: usize,
}

impl Nodes {
    /// The elements of one node.
    pub fn of(node: Node) -> Self {
        let mut nodes = Self { deque: VecDeque::new(), len: 0, bytes: 0 };
        if !node.is_empty() {
            nodes.add(0, node);
        }
        nodes
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap, the deque's own included. Constant time.
    pub fn memory_usage(&self) -> usize {
        let deque = self.deque.capacity() * size_of::<Node>();
        allocation_size(size_of::<Self>()) + allocation_size(deque) + self.bytes
    }

    /// Number of nodes.
    pub fn count(&self) -> usize {
        self.deque.len()
    }

    /// A node by its place.
    pub fn node(&self, at: usize) -> Option<&Node> {
        self.deque.get(at)
    }

    /// The place of the node that has the element `index`, and the element's index there; the index exists.
    pub fn locate(&self, index: usize) -> (usize, usize) {
        if index < self.len / 2 {
            let mut left = index;
            for (at, node) in self.deque.iter().enumerate() {
                if left < node.len() {
                    return (at, left);
                }
                left -= node.len();
            }
        } else {
            let mut left = self.len - index;
            for (at, node) in self.deque.iter().enumerate().rev() {
                if left <= node.len() {
                    return (at, node.len() - left);
                }
                left -= node.len();
            }
        }
        unreachable!("the sum of the nodes' elements is their length")
    }

    /// The only node, taken out, if there is no other and it is `fit`.
    pub fn take_only(&mut self, fit: impl FnOnce(&Node) -> bool) -> Option<Node> {
        let is_fit = self.deque.len() == 1 && fit(&self.deque[0]);
        if is_fit { self.deque.pop_front() } else { None }
    }

    /// Adds an element at one end.
    pub fn push(&mut self, end: End, element: &[u8], limit: Limit) {
        let encoded = Encoded::new(Element::of(element));
        let (at, new_at) = match end {
            End::Head => (0, 0),
            End::Tail => (self.deque.len().wrapping_sub(1), self.deque.len()),
        };
        if self.has_room(at, element, limit) {
            self.change(at, |node| node.push(end, &encoded));
        } else {
            self.add(new_at, Node::single(&encoded));
        }
    }

    /// Removes `count` elements at one end, or all there are.
    pub fn remove_ends(&mut self, end: End, count: usize) {
        let mut left = count;
        while left > 0 {
            let at = match end {
                End::Head => 0,
                End::Tail => self.deque.len().wrapping_sub(1),
            };
            let Some(node) = self.deque.get(at) else { break };
            if node.len() <= left {
                left -= node.len();
                self.remove(at);
            } else {
                self.change(at, |node| node.remove_ends(end, left));
                left = 0;
            }
        }
        if self.deque.capacity() > SMALL_DEQUE && self.deque.len() < self.deque.capacity() / 4 {
            self.deque.shrink_to(2 * self.deque.len());
        }
    }

    /// Replaces the element `index`, which exists. Redis lets a node grow beyond its limit by that; here what is too
    /// long for any node gets one of its own.
    pub fn set(&mut self, index: usize, element: &[u8], limit: Limit) {
        let (at, index) = self.locate(index);
        let encoded = Encoded::new(Element::of(element));
        if self.deque[at].len() == 1 || !is_outsize(element, limit) {
            return self.change(at, |node| node.replace(index, &encoded));
        }
        let behind = self.split(at, index + 1);
        self.change(at, |node| node.remove_ends(End::Tail, 1));
        let mut at = at + 1;
        if self.deque[at - 1].is_empty() {
            at -= 1;
            self.remove(at);
        }
        self.add(at, Node::single(&encoded));
        self.add(at + 1, behind);
    }

    /// Inserts an element before or behind the first one that equals `pivot`; `false` when there is none.
    pub fn insert(&mut self, pivot: Element<'_>, is_behind: bool, element: &[u8], limit: Limit) -> bool {
        let place = |node: &Node| node.entries().position(|present| present == pivot);
        let found = self.deque.iter().enumerate().find_map(|(at, node)| Some((at, place(node)?)));
        let Some((at, index)) = found else { return false };
        self.insert_at(at, index + usize::from(is_behind), is_behind, element, limit);
        true
    }

    /// Inserts an element at `index` of the node at `at`. When that is full, it goes to the neighbour that it stands next
    /// to if there is room, or between the two, or the node is split.
    fn insert_at(&mut self, at: usize, index: usize, is_behind: bool, element: &[u8], limit: Limit) {
        let encoded = Encoded::new(Element::of(element));
        let len = self.deque[at].len();
        if self.has_room(at, element, limit) {
            self.change(at, |node| node.insert(index, &encoded));
        } else if index == len && self.has_room(at + 1, element, limit) {
            self.change(at + 1, |node| node.push(End::Head, &encoded));
        } else if index == 0 && self.has_room(at.wrapping_sub(1), element, limit) {
            self.change(at - 1, |node| node.push(End::Tail, &encoded));
        } else if index == len {
            self.add(at + 1, Node::single(&encoded));
        } else if index == 0 {
            self.add(at, Node::single(&encoded));
        } else {
            let behind = self.split(at, index);
            self.add(at + 1, behind);
            if is_outsize(element, limit) {
                self.add(at + 1, Node::single(&encoded));
            } else if is_behind {
                self.change(at + 1, |node| node.push(End::Head, &encoded));
                self.merge_around(at, limit);
            } else {
                self.change(at, |node| node.push(End::Tail, &encoded));
                self.merge_around(at + 1, limit);
            }
        }
    }

    /// Removes elements that equal `element`, at most `most` counted from `end`; returns how many.
    pub fn remove_equal(&mut self, element: Element<'_>, end: End, most: usize) -> usize {
        let (mut removed, mut has_empty) = (0, false);
        for step in 0..self.deque.len() {
            if removed == most {
                break;
            }
            let (at, left) = match end {
                End::Head => (step, most - removed),
                End::Tail => (self.deque.len() - 1 - step, most - removed),
            };
            let spared = match end {
                End::Head => 0,
                End::Tail => self.deque[at].count_equal(element).saturating_sub(left),
            };
            removed += self.change(at, |node| node.remove_equal(element, spared, left));
            has_empty |= self.deque[at].is_empty();
        }
        if has_empty {
            let bytes = &mut self.bytes;
            self.deque.retain(|node| {
                *bytes -= if node.is_empty() { node.memory_usage() } else { 0 };
                !node.is_empty()
            });
        }
        removed
    }

    /// Frees nodes until about `budget` elements are gone; returns how many.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let before = self.len;
        while before - self.len < budget.max(1) && !self.deque.is_empty() {
            self.remove(self.deque.len() - 1);
        }
        before - self.len
    }

    /// Whether there is a node at `at` and it takes one more element.
    fn has_room(&self, at: usize, element: &[u8], limit: Limit) -> bool {
        self.deque.get(at).is_some_and(|node| {
            limit.allows(node.listpack_bytes() + element.len() + ENTRY_BYTES, node.len() + 1)
        })
    }

    /// Merges the node at `center`, and the two before and behind it, as far as two neighbours fit into one.
    fn merge_around(&mut self, center: usize, limit: Limit) {
        let mut center = center;
        if center >= 2 && self.merge(center - 2, limit) {
            center -= 1;
        }
        self.merge(center + 1, limit);
        if center >= 1 && self.merge(center - 1, limit) {
            center -= 1;
        }
        self.merge(center, limit);
    }

    /// Merges the node at `at` with the next one if there is one and both fit into one.
    fn merge(&mut self, at: usize, limit: Limit) -> bool {
        let (Some(node), Some(next)) = (self.deque.get(at), self.deque.get(at + 1)) else { return false };
        let bytes = Node::merged_bytes(node, next);
        if !limit.allows(bytes, node.len() + next.len()) {
            return false;
        }
        let Some(next) = self.remove(at + 1) else { return false };
        self.change(at, |node| node.append(&next));
        true
    }

    /// Takes the elements from `index` on out of the node at `at`.
    fn split(&mut self, at: usize, index: usize) -> Node {
        self.change(at, |node| node.split_off(index))
    }

    /// Puts a node in, unless it is empty.
    fn add(&mut self, at: usize, node: Node) {
        if !node.is_empty() {
            self.len += node.len();
            self.bytes += node.memory_usage();
            self.deque.insert(at, node);
        }
    }

    /// Takes a node out.
    fn remove(&mut self, at: usize) -> Option<Node> {
        let node = self.deque.remove(at)?;
        self.len -= node.len();
        self.bytes -= node.memory_usage();
        Some(node)
    }

    /// Changes the node at `at` and keeps the sums right. It may be empty afterwards.
    #[inline]
    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Node) -> R) -> R {
        let node = &mut self.deque[at];
        let (len, bytes) = (node.len(), node.memory_usage());
        let result = change(node);
        self.len = self.len - len + node.len();
        self.bytes = self.bytes - bytes + node.memory_usage();
        result
    }
}

/// Whether an element is too long for any node.
fn is_outsize(element: &[u8], limit: Limit) -> bool {
    !limit.allows(element.len() + ENTRY_BYTES, 1)
}

impl Clone for Nodes {
    fn clone(&self) -> Self {
        let deque: VecDeque<Node> = self.deque.iter().cloned().collect();
        let bytes = deque.iter().map(Node::memory_usage).sum();
        Self { deque, len: self.len, bytes }
    }
}
