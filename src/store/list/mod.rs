//! Lists: elements in order, cheap at both ends.
//!
//! A short list is one node, without anything around it (encoding `listpack`); a longer one is a deque of nodes
//! (`quicklist`). When a list turns from one into the other, and when a node is full, follows Redis 7.2: its `t_list.c` and
//! `quicklist.c`, under `list-max-listpack-size` ([`Limit`]). Operations in the middle skip whole nodes by their counts.
//!
//! From the bottom up: [`node`] (a run of elements in one buffer, as in a [`listpack`](super::listpack)), [`nodes`] (a deque
//! of nodes), and here what callers see.

mod node;
mod nodes;

use std::fmt;

use self::node::Node;
use self::nodes::Nodes;
use super::listpack::{Encoded, Entries};
use super::packed::Element;
use super::value::{Collection, Kind, Stored, Value};

pub use self::node::End;
pub use super::listpack::ELEMENT_BYTES_MAX;

/// With a limit by elements a node takes no more bytes than this, unless one element does.
const COUNTED_BYTES_MAX: usize = 8192;

/// What a node may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many bytes of a listpack.
    Bytes(usize),
    /// So many elements.
    Elements(usize),
}

impl Limit {
    /// The meaning of `list-max-listpack-size`: a number of elements, or -1 to -5 for 4 to 64 KB.
    pub fn new(directive: i32) -> Self {
        match directive {
            0.. => Limit::Elements(directive.max(1) as usize),
            _ => Limit::Bytes(4096 << (directive.unsigned_abs() - 1).min(4)),
        }
    }

    /// Whether a node may have so many bytes and elements.
    fn allows(self, bytes: usize, elements: usize) -> bool {
        match self {
            Limit::Bytes(limit) => bytes <= limit,
            Limit::Elements(limit) => bytes <= COUNTED_BYTES_MAX && elements <= limit,
        }
    }

    /// Whether a node is at most half full, so that a list of this one becomes a plain node again.
    fn is_half(self, bytes: usize, elements: usize) -> bool {
        match self {
            Limit::Bytes(limit) => bytes <= limit / 2,
            Limit::Elements(limit) => elements <= limit / 2,
        }
    }
}

/// A list.
#[derive(Clone)]
pub struct List {
    form: Form,
}

#[derive(Clone)]
enum Form {
    One(Node),
    Many(Box<Nodes>),
}

const _: () = assert!(size_of::<List>() == 32);

impl List {
    /// Number of elements. Constant time, as all that says nothing else of its cost.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::One(node) => node.len(),
            Form::Many(nodes) => nodes.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match &self.form {
            Form::One(_) => "listpack",
            Form::Many(_) => "quicklist",
        }
    }

    /// Bytes on the heap, as the allocator rounds them.
    pub fn memory_usage(&self) -> usize {
        match &self.form {
            Form::One(node) => node.memory_usage(),
            Form::Many(nodes) => nodes.memory_usage(),
        }
    }

    /// The element at one end.
    pub fn end(&self, end: End) -> Option<Element<'_>> {
        self.walk(end, 0).next()
    }

    /// The element `index`, counted from the head. Takes time in proportion to the number of nodes up to it from the nearer
    /// end, and to half a node.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        if index >= self.len() { None } else { self.walk(End::Head, index).next() }
    }

    /// The elements from `skipped` on, counted from `end`, away from there. Costs as [`List::get`].
    pub fn walk(&self, end: End, skipped: usize) -> Walk<'_> {
        let nothing = Walk { nodes: None, from: end, next: 0, entries: Entries::default() };
        if skipped >= self.len() {
            return nothing;
        }
        let index = match end {
            End::Head => skipped,
            End::Tail => self.len() - 1 - skipped,
        };
        match &self.form {
            Form::One(node) => Walk { entries: node.entries_from(end, index), ..nothing },
            Form::Many(nodes) => {
                let (at, index) = nodes.locate(index);
                let entries = nodes.node(at).map(|node| node.entries_from(end, index)).unwrap_or_default();
                let next = match end {
                    End::Head => at + 1,
                    End::Tail => at,
                };
                Walk { nodes: Some(nodes), next, entries, ..nothing }
            }
        }
    }

    /// The list's nodes from the head on: the number of elements of each and their bytes, which are entries of a
    /// [`listpack`](super::listpack).
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (usize, &[u8])> {
        let count = match &self.form {
            Form::One(_) => 1,
            Form::Many(nodes) => nodes.count(),
        };
        (0..count).map(|at| {
            let node = match &self.form {
                Form::One(node) => Some(node),
                Form::Many(nodes) => nodes.node(at),
            };
            node.map_or((0, &[][..]), |node| (node.len(), node.live()))
        })
    }

    /// Adds elements at one end, one after another. Constant time for each, amortized.
    pub fn push(&mut self, end: End, elements: &[&[u8]], limit: Limit) {
        self.grow(elements, limit);
        match &mut self.form {
            Form::One(node) => {
                if elements.len() > 1 {
                    let encoded = |element: &&[u8]| Encoded::new(Element::of(element)).bytes_len();
                    node.reserve(end, elements.iter().map(encoded).sum());
                }
                for element in elements {
                    node.push(end, &Encoded::new(Element::of(element)));
                }
            }
            Form::Many(nodes) => {
                for element in elements {
                    nodes.push(end, element, limit);
                }
            }
        }
    }

    /// Removes elements at one end, all if there are fewer. Takes time in proportion to `count` at most.
    pub fn remove_ends(&mut self, end: End, count: usize, limit: Limit) {
        self.take_ends(end, count);
        self.settle(limit);
    }

    /// Moves the element at one end to an end, the same or the other.
    pub fn rotate(&mut self, from: End, to: End, limit: Limit) {
        let Some(element) = self.end(from) else { return };
        let text = element.bytes(&mut itoa::Buffer::new()).to_vec();
        self.take_ends(from, 1);
        self.push(to, &[&text], limit);
        self.settle(limit);
    }

    fn take_ends(&mut self, end: End, count: usize) {
        match &mut self.form {
            Form::One(node) => node.remove_ends(end, count.min(node.len())),
            Form::Many(nodes) => nodes.remove_ends(end, count),
        }
    }

    /// Replaces the element `index`; `false` when there is none. Costs as [`List::get`], and half a node's bytes.
    pub fn set(&mut self, index: usize, element: &[u8], limit: Limit) -> bool {
        self.grow(&[element], limit);
        if index >= self.len() {
            return false;
        }
        match &mut self.form {
            Form::One(node) => node.replace(index, &Encoded::new(Element::of(element))),
            Form::Many(nodes) => nodes.set(index, element, limit),
        }
        self.settle(limit);
        true
    }

    /// Inserts an element before or behind the first one that equals `pivot`; `false` when there is none. Takes
    /// time in proportion to the elements up to it.
    pub fn insert(&mut self, pivot: &[u8], is_behind: bool, element: &[u8], limit: Limit) -> bool {
        self.grow(&[element], limit);
        let pivot = Element::of(pivot);
        match &mut self.form {
            Form::One(node) => {
                let Some(index) = node.entries().position(|present| present == pivot) else { return false };
                node.insert(index + usize::from(is_behind), &Encoded::new(Element::of(element)));
                true
            }
            Form::Many(nodes) => nodes.insert(pivot, is_behind, element, limit),
        }
    }

    /// Removes elements that equal `element`, at most `most` of them counted from `end`; returns how many. Linear time.
    pub fn remove_equal(&mut self, element: &[u8], end: End, most: usize, limit: Limit) -> usize {
        let element = Element::of(element);
        let removed = match &mut self.form {
            Form::One(node) => {
                let spared = match end {
                    End::Head => 0,
                    End::Tail => node.count_equal(element).saturating_sub(most),
                };
                node.remove_equal(element, spared, most)
            }
            Form::Many(nodes) => nodes.remove_equal(element, end, most),
        };
        if removed > 0 {
            self.settle(limit);
        }
        removed
    }

    /// Frees about `budget` elements of a list that nobody can reach any more; returns how many, 0 when it is empty.
    pub fn free_some(&mut self, budget: usize) -> usize {
        match &mut self.form {
            Form::One(node) => std::mem::take(node).len(),
            Form::Many(nodes) => nodes.free_some(budget),
        }
    }

    /// Before elements are added: one node that they would overfill becomes a deque.
    fn grow(&mut self, added: &[&[u8]], limit: Limit) {
        let Form::One(node) = &mut self.form else { return };
        let bytes: usize = added.iter().map(|element| element.len()).sum();
        if !limit.allows(node.listpack_bytes() + bytes, node.len() + added.len()) {
            self.form = Form::Many(Box::new(Nodes::of(std::mem::take(node))));
        }
    }

    /// After elements were removed or replaced: a deque of one node that is half empty becomes that node.
    fn settle(&mut self, limit: Limit) {
        if let Form::Many(nodes) = &mut self.form
            && let Some(node) = nodes.take_only(|node| limit.is_half(node.listpack_bytes(), node.len()))
        {
            self.form = Form::One(node);
        }
    }
}

impl Collection for List {
    type View<'a> = &'a List;
    const KIND: Kind = Kind::List;

    fn view(value: &Value) -> Option<&List> {
        match value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn value_mut(value: &mut Value) -> Option<&mut List> {
        match value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn into_stored(self) -> Stored {
        Stored::Value(Value::List(self))
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for List {
    fn default() -> Self {
        Self { form: Form::One(Node::default()) }
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.walk(End::Head, 0).eq(other.walk(End::Head, 0))
    }
}

impl Eq for List {}

impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.walk(End::Head, 0)).finish()
    }
}

/// Elements of a list one after another, away from one end; see [`List::walk`].
#[derive(Clone)]
pub struct Walk<'a> {
    nodes: Option<&'a Nodes>,
    from: End,
    /// The place of the node that follows the present one; for a walk from the tail, one more.
    next: usize,
    entries: Entries<'a>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let element = match self.from {
                End::Head => self.entries.next(),
                End::Tail => self.entries.next_back(),
            };
            if element.is_some() {
                return element;
            }
            self.entries = self.next_node()?.entries();
        }
    }
}

impl<'a> Walk<'a> {
    fn next_node(&mut self) -> Option<&'a Node> {
        let nodes = self.nodes?;
        match self.from {
            End::Head => {
                self.next += 1;
                nodes.node(self.next - 1)
            }
            End::Tail => {
                self.next = self.next.checked_sub(1)?;
                nodes.node(self.next)
            }
        }
    }
}

#[cfg(test)]
#[path = "list_test.rs"]
mod tests;
