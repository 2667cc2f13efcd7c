//! The entries of a stream, in the order of their ids, and what it remembers of those that are gone.

use std::collections::{BTreeMap, btree_map};

use super::id::StreamId;
use super::node::{Fields, Node, Placed};

/// Heap bytes of a node beside its buffer: a slot of the tree, which is about half full when it grows at its end.
const NODE_BYTES: usize = 2 * (size_of::<StreamId>() + size_of::<Node>());

/// Bytes of a node's buffer, whatever the configuration allows.
const NODE_BYTES_MAX: usize = 1 << 30;

/// Bytes of names and values of one entry.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

/// How large a node may grow (`stream-node-max-bytes`, `stream-node-max-entries`); 0 for no limit of that kind.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Bytes of its buffer.
    pub bytes: usize,
    /// Entries, deleted ones among them.
    pub entries: usize,
}

/// What a trim leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many entries, the last ones.
    Length(u64),
    /// Entries from this id on.
    From(StreamId),
}

impl Keep {
    /// Whether no more than what is kept is left of `length` entries, from `first` on.
    fn is_reached(self, length: u64, first: StreamId) -> bool {
        match self {
            Keep::Length(kept) => length <= kept,
            Keep::From(from) => first >= from,
        }
    }

    /// Whether a whole node of a log of `length` entries is due.
    fn lets_go(self, length: u64, first: StreamId, node: &Node) -> bool {
        match self {
            Keep::Length(kept) => length >= kept.saturating_add(node.live()),
            Keep::From(from) => node.last(first).is_some_and(|last| last.id < from),
        }
    }
}

/// What becomes of an entry that groups have pending or have yet to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It goes, and stays pending.
    #[default]
    KeepReferences,
    /// It goes, and is pending no more.
    DeleteReferences,
    /// It stays.
    Acknowledged,
}

/// How to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is left.
    pub keep: Keep,
    /// Whether only whole nodes go, so that some more may be left.
    pub is_approximate: bool,
    /// Stops before more entries than this are gone; 0 for no limit. Ends an exact trim early, too.
    pub limit: u64,
}

impl Trim {
    fn is_over_limit(&self, removed: u64, node: &Node) -> bool {
        self.limit != 0 && removed + node.live() > self.limit
    }
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Its names and values.
    pub fields: Fields<'a>,
}

/// Entries by id, in nodes. A search costs logarithmic time in the number of nodes, and a short walk in one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Nodes by the id of the first entry, deleted or not. Each has a live entry.
    nodes: BTreeMap<StreamId, Node>,
    length: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    /// Heap bytes of the nodes' buffers.
    buffer_bytes: usize,
}

impl Log {
    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is no entry (there may have been some).
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The first entry's id; the least id when there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest id ever given, whether its entry is still there or not.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest id that was deleted by name (trimming does not count); the least id when none was.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Entries ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The id where the first node begins: the first entry's, or that of a deleted one right before it. The greatest id
    /// without entries. No entry is lost by trimming up to there.
    pub fn first_kept_id(&self) -> StreamId {
        self.nodes.first_key_value().map_or(StreamId::MAX, |(id, _)| *id)
    }

    /// Heap bytes. Constant time.
    pub fn memory_usage(&self) -> usize {
        self.buffer_bytes + self.nodes.len() * NODE_BYTES
    }

    /// Appends an entry of names and values in turn.
    ///
    /// # Panics
    /// When `id` is not greater than the last id.
    pub fn append(&mut self, id: StreamId, fields: &[&[u8]], limits: NodeLimits) {
        assert!(id > self.last_id, "ids ascend");
        match self.nodes.last_entry() {
            Some(mut slot) if has_room(slot.get(), fields, limits) => {
                let first = *slot.key();
                change_node(slot.get_mut(), &mut self.buffer_bytes, |node| node.push(first, id, fields));
            }
            full => {
                if let Some(mut slot) = full {
                    change_node(slot.get_mut(), &mut self.buffer_bytes, Node::shrink);
                }
                let mut node = Node::new(fields);
                node.push(id, id, fields);
                self.buffer_bytes += node.memory_usage();
                self.nodes.insert(id, node);
            }
        }
        self.length += 1;
        self.entries_added += 1;
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
    }

    /// Deletes the entry of that id; `false` when there is none.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((&first, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        if !node.delete(first, id) {
            return false;
        }
        if node.live() == 0 {
            self.remove_node(first);
        }
        self.length -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first_id();
        }
        true
    }

    /// Deletes entries from the beginning on; returns how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let mut removed = 0;
        while let Some((&first, node)) = self.nodes.first_key_value() {
            if trim.keep.is_reached(self.length, first) || trim.is_over_limit(removed, node) {
                break;
            }
            if !trim.keep.lets_go(self.length, first, node) {
                if !trim.is_approximate {
                    removed += self.trim_node(first, trim.keep, |_| true);
                }
                break;
            }
            let live = node.live();
            self.remove_node(first);
            self.length -= live;
            removed += live;
        }
        if removed > 0 {
            self.find_first_id();
        }
        removed
    }

    /// Like [`Log::trim`], but asks `may_go` of each entry that is due; another stays, and counts among those that are left.
    pub fn trim_each(&mut self, trim: Trim, mut may_go: impl FnMut(StreamId) -> bool) -> u64 {
        let (mut removed, mut from) = (0, StreamId::MIN);
        while let Some((&first, node)) = self.nodes.range(from..).next() {
            let goes_whole = trim.keep.lets_go(self.length, first, node);
            if trim.keep.is_reached(self.length, first)
                || trim.is_over_limit(removed, node)
                || trim.is_approximate && !goes_whole
            {
                break;
            }
            removed += self.trim_node(first, trim.keep, &mut may_go);
            match first.next() {
                Some(next) => from = next,
                None => break,
            }
        }
        if removed > 0 {
            self.find_first_id();
        }
        removed
    }

    /// Deletes entries of one node as far as they are due and may go.
    fn trim_node(&mut self, first: StreamId, keep: Keep, mut may_go: impl FnMut(StreamId) -> bool) -> u64 {
        let Some(node) = self.nodes.get_mut(&first) else { return 0 };
        let length = &mut self.length;
        let removed = node.delete_while(first, |id| {
            let is_due = match keep {
                Keep::Length(kept) => *length > kept,
                Keep::From(from) => id < from,
            };
            let goes = is_due && may_go(id);
            *length -= u64::from(goes);
            is_due.then_some(goes)
        });
        if node.live() == 0 {
            self.remove_node(first);
        }
        removed
    }

    /// Sets the last id, and where given the number of entries ever added and the greatest deleted id (XSETID).
    pub fn set_ids(&mut self, last: StreamId, added: Option<u64>, max_deleted: Option<StreamId>) {
        self.last_id = last;
        self.entries_added = added.unwrap_or(self.entries_added);
        self.max_deleted_id = max_deleted.unwrap_or(self.max_deleted_id);
    }

    /// The entry of that id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The last entry's id.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// Entries from one id to another, both included, ascending.
    pub fn range(&self, from: StreamId, to: StreamId) -> Range<'_> {
        let node = self.nodes.range(..=from).next_back().map_or(from, |(first, _)| *first);
        // The bounds of a tree's range must not cross.
        let nodes = self.nodes.range(node..=to.max(node));
        Range { nodes, current: None, from, to }
    }

    /// Entries from one id to another, both included, descending.
    pub fn range_back(&self, from: StreamId, to: StreamId) -> RangeBack<'_> {
        RangeBack { nodes: self.nodes.range(..=to), current: None, from, to }
    }

    /// The nodes in order, each as its entries.
    pub fn each_node(&self) -> impl ExactSizeIterator<Item = NodeEntries<'_>> {
        self.nodes.iter().map(|(first, node)| NodeEntries { node, first: *first, at: node.start() })
    }

    /// Whether an entry from `from` on may have been deleted in the midst of others, so that counting the entries
    /// behind an id is no longer a subtraction.
    pub fn is_fragmented_from(&self, from: StreamId) -> bool {
        let deleted = self.max_deleted_id;
        self.length > 0 && deleted != StreamId::MIN && self.first_id <= deleted && from <= deleted
    }

    /// How many entries were ever added up to `id`, if that can be told without counting: at both ends of the log, and
    /// before it.
    pub fn added_until(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if id == self.last_id || (self.length == 0 && id < self.last_id) {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        let is_whole = self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id;
        let before_first = self.entries_added.saturating_sub(self.length);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less if is_whole => Some(before_first),
            std::cmp::Ordering::Equal if is_whole => Some(before_first + 1),
            _ => None,
        }
    }

    /// Frees up to `budget` nodes of a log that nobody reads any more; returns how many.
    pub fn free_some(&mut self, budget: usize) -> usize {
        (0..budget).take_while(|_| self.nodes.pop_first().is_some()).count()
    }

    fn remove_node(&mut self, first: StreamId) {
        if let Some(node) = self.nodes.remove(&first) {
            self.buffer_bytes -= node.memory_usage();
        }
    }

    fn find_first_id(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id);
        self.first_id = first.unwrap_or(StreamId::MIN);
    }
}

/// Whether an entry of these fields still belongs into a node.
fn has_room(node: &Node, fields: &[&[u8]], limits: NodeLimits) -> bool {
    let bytes_max = match limits.bytes {
        0 => NODE_BYTES_MAX,
        bytes => bytes.min(NODE_BYTES_MAX),
    };
    let bytes: usize = fields.iter().map(|text| text.len()).sum();
    node.len() + bytes < bytes_max && (limits.entries == 0 || node.total() < limits.entries as u64)
}

/// Changes a node and keeps count of its buffer.
fn change_node(node: &mut Node, buffer_bytes: &mut usize, change: impl FnOnce(&mut Node)) {
    *buffer_bytes -= node.memory_usage();
    change(node);
    *buffer_bytes += node.memory_usage();
}

/// Entries in ascending order; see [`Log::range`].
pub struct Range<'a> {
    nodes: btree_map::Range<'a, StreamId, Node>,
    /// The node at hand, its first id, and where in it the next entry begins.
    current: Option<(&'a Node, StreamId, usize)>,
    from: StreamId,
    to: StreamId,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some((node, first, at)) = self.current else {
                let (first, node) = self.nodes.next()?;
                self.current = Some((node, *first, node.mark_before(*first, self.from)));
                continue;
            };
            let Some(entry) = node.at(first, at) else {
                self.current = None;
                continue;
            };
            if entry.id > self.to {
                return None;
            }
            self.current = Some((node, first, entry.end));
            if !entry.is_deleted && entry.id >= self.from {
                return Some(found(entry));
            }
        }
    }
}

/// The entries of one node in ascending order; see [`Log::each_node`].
#[derive(Clone)]
pub struct NodeEntries<'a> {
    node: &'a Node,
    first: StreamId,
    at: usize,
}

impl<'a> Iterator for NodeEntries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = self.node.at(self.first, self.at)?;
            self.at = entry.end;
            if !entry.is_deleted {
                return Some(found(entry));
            }
        }
    }
}

/// Entries in descending order; see [`Log::range_back`].
pub struct RangeBack<'a> {
    nodes: btree_map::Range<'a, StreamId, Node>,
    /// The node at hand, its first id, and where in it the entry before ends.
    current: Option<(&'a Node, StreamId, usize)>,
    from: StreamId,
    to: StreamId,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some((node, first, end)) = self.current else {
                let (first, node) = self.nodes.next_back()?;
                self.current = Some((node, *first, node.mark_behind(*first, self.to)));
                continue;
            };
            let Some(entry) = node.before(first, end) else {
                self.current = None;
                continue;
            };
            if entry.id < self.from {
                return None;
            }
            self.current = Some((node, first, entry.start));
            if !entry.is_deleted && entry.id <= self.to {
                return Some(found(entry));
            }
        }
    }
}

fn found(entry: Placed<'_>) -> Entry<'_> {
    Entry { id: entry.id, fields: entry.fields }
}
