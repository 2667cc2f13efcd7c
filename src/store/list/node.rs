//! A node: a run of elements in one buffer with room at either end, so that pushing and popping move nothing but
//! now and then. What a node may hold is decided by the list.

use crate::store::listpack::{Encoded, Entries};
use crate::store::packed::Element;
use crate::store::size_class::allocation_size;

/// Bytes that a listpack has around its entries: what Redis's limits count beside them.
const FRAME_BYTES: usize = 7;

/// Buffers of at most so many bytes do not shrink.
const SMALL_BYTES_MAX: usize = 64;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The left one, where indexes begin.
    Head,
    /// The right one.
    Tail,
}

impl End {
    /// The other end.
    pub fn opposite(self) -> End {
        match self {
            End::Head => End::Tail,
            End::Tail => End::Head,
        }
    }
}

/// Elements in a row.
#[derive(Default)]
pub struct Node {
    /// Room at the head, then the entries; what is not used of the capacity is room at the tail.
    bytes: Vec<u8>,
    /// Where the entries begin.
    start: u32,
    count: u32,
}

const _: () = assert!(size_of::<Option<Node>>() == 32);

impl Node {
    /// A node of one element.
    pub fn single(encoded: &Encoded<'_>) -> Self {
        let mut node = Self::default();
        node.push(End::Tail, encoded);
        node
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that a listpack of these elements takes.
    pub fn listpack_bytes(&self) -> usize {
        self.live().len() + FRAME_BYTES
    }

    /// Bytes of a listpack with the elements of both.
    pub fn merged_bytes(one: &Node, next: &Node) -> usize {
        one.listpack_bytes() + next.listpack_bytes() - FRAME_BYTES
    }

    /// Bytes on the heap. Constant time.
    pub fn memory_usage(&self) -> usize {
        match self.bytes.capacity() {
            0 => 0,
            capacity => allocation_size(capacity),
        }
    }

    /// The entries' bytes.
    #[inline]
    pub(super) fn live(&self) -> &[u8] {
        &self.bytes[self.start as usize..]
    }

    /// The elements, from either end.
    pub fn entries(&self) -> Entries<'_> {
        Entries::new(self.live())
    }

    /// The elements from `index` on (from the head), or those up to and with `index` (from the tail).
    pub fn entries_from(&self, end: End, index: usize) -> Entries<'_> {
        let live = self.live();
        match end {
            End::Head => Entries::new(&live[self.offset(index)..]),
            End::Tail => Entries::new(&live[..self.offset(index + 1)]),
        }
    }

    /// Where the element `index` begins among the entries' bytes; one past the last is their end.
    fn offset(&self, index: usize) -> usize {
        let mut entries = self.entries();
        if index < self.len() / 2 {
            entries.skip_front(index);
            self.live().len() - entries.rest().len()
        } else {
            entries.skip_back(self.len() - index);
            entries.rest().len()
        }
    }

    /// Makes room for so many more bytes at one end, at once instead of step by step.
    pub fn reserve(&mut self, end: End, bytes: usize) {
        self.make_room(end, bytes);
    }

    /// Adds an element at one end.
    #[inline]
    pub fn push(&mut self, end: End, encoded: &Encoded<'_>) {
        let len = encoded.bytes_len();
        self.make_room(end, len);
        match end {
            End::Tail => encoded.append(&mut self.bytes),
            End::Head => {
                let start = self.start as usize;
                encoded.write(&mut self.bytes[start - len..start]);
                self.start -= len as u32;
            }
        }
        self.count += 1;
    }

    /// Removes `count` elements at one end; there are as many.
    pub fn remove_ends(&mut self, end: End, count: usize) {
        let len = self.live().len();
        match end {
            End::Head => {
                let mut entries = self.entries();
                entries.skip_front(count);
                self.start += (len - entries.rest().len()) as u32;
            }
            End::Tail => {
                let mut entries = self.entries();
                entries.skip_back(count);
                let left = entries.rest().len();
                self.bytes.truncate(self.start as usize + left);
            }
        }
        self.count -= count as u32;
        self.shrink();
    }

    /// Inserts an element so that it gets the index `index`, at most the number of elements.
    pub fn insert(&mut self, index: usize, encoded: &Encoded<'_>) {
        let offset = self.offset(index);
        self.splice(offset, 0, encoded);
        self.count += 1;
    }

    /// Replaces the element `index`.
    pub fn replace(&mut self, index: usize, encoded: &Encoded<'_>) {
        let offset = self.offset(index);
        let mut entries = Entries::new(&self.live()[offset..]);
        let before = entries.rest().len();
        entries.skip_front(1);
        let removed = before - entries.rest().len();
        self.splice(offset, removed, encoded);
        self.shrink();
    }

    /// Writes an element in place of `removed` bytes from `offset` on.
    fn splice(&mut self, offset: usize, removed: usize, encoded: &Encoded<'_>) {
        let len = encoded.bytes_len();
        self.make_room(End::Tail, len.saturating_sub(removed));
        let (from, end) = (self.start as usize + offset, self.bytes.len());
        if len > removed {
            self.bytes.resize(end + len - removed, 0);
        }
        self.bytes.copy_within(from + removed..end, from + len);
        self.bytes.truncate(end + len - removed);
        encoded.write(&mut self.bytes[from..from + len]);
    }

    /// Takes the elements from `index` on away into a node of their own.
    pub fn split_off(&mut self, index: usize) -> Node {
        let offset = self.offset(index);
        let tail = Node::of_entries(&self.live()[offset..], self.count - index as u32);
        self.bytes.truncate(self.start as usize + offset);
        self.count = index as u32;
        self.shrink();
        tail
    }

    /// Appends the elements of the node that follows.
    pub fn append(&mut self, next: &Node) {
        self.make_room(End::Tail, next.live().len());
        self.bytes.extend_from_slice(next.live());
        self.count += next.count;
    }

    /// Number of elements that equal `element`.
    pub fn count_equal(&self, element: Element<'_>) -> usize {
        self.entries().filter(|present| *present == element).count()
    }

    /// Removes elements that equal `element`: at most `limit` of them after the first `spared`. Returns how many.
    pub fn remove_equal(&mut self, element: Element<'_>, spared: usize, limit: usize) -> usize {
        let (mut seen, mut removed, mut kept_to) = (0, 0, self.start as usize);
        let mut at = kept_to;
        while at < self.bytes.len() && removed < limit {
            let mut entries = Entries::new(&self.bytes[at..]);
            let is_equal = entries.next() == Some(element);
            let next = self.bytes.len() - entries.rest().len();
            seen += usize::from(is_equal);
            if is_equal && seen > spared {
                removed += 1;
            } else {
                if kept_to != at {
                    self.bytes.copy_within(at..next, kept_to);
                }
                kept_to += next - at;
            }
            at = next;
        }
        if removed > 0 {
            let end = self.bytes.len();
            self.bytes.copy_within(at..end, kept_to);
            self.bytes.truncate(kept_to + end - at);
            self.count -= removed as u32;
            self.shrink();
        }
        removed
    }

    fn of_entries(entries: &[u8], count: u32) -> Self {
        let mut bytes = Vec::with_capacity(allocation_size(entries.len()));
        bytes.extend_from_slice(entries);
        Self { bytes, start: 0, count }
    }

    /// Room for `needed` bytes at one end. Growth goes by the allocator's classes, an eighth to a quarter each, so that
    /// little is wasted; within a class the entries move, and the other end keeps a share of the room, so that
    /// pushing at both ends in turn does not move them each time.
    #[inline]
    fn make_room(&mut self, end: End, needed: usize) {
        let room = match end {
            End::Head => self.start as usize,
            End::Tail => self.bytes.capacity() - self.bytes.len(),
        };
        if room < needed {
            self.find_room(end, needed);
        }
    }

    fn find_room(&mut self, end: End, needed: usize) {
        let (len, capacity) = (self.live().len(), self.bytes.capacity());
        let wanted = allocation_size(len + needed);
        if wanted <= capacity {
            let free = capacity - len;
            let share = (free - needed) / 4;
            self.move_within(if end == End::Head { free - share } else { share });
        } else if end == End::Tail && self.start == 0 {
            self.bytes.reserve_exact(wanted - len);
        } else {
            self.move_to(wanted, if end == End::Head { wanted - len } else { 0 });
        }
    }

    /// Moves the entries inside the buffer.
    fn move_within(&mut self, start: usize) {
        let (from, end) = (self.start as usize, self.bytes.len());
        let new_end = start + end - from;
        if new_end > end {
            self.bytes.resize(new_end, 0);
        }
        self.bytes.copy_within(from..end, start);
        self.bytes.truncate(new_end);
        self.start = start as u32;
    }

    /// Moves the entries to a buffer of this capacity.
    fn move_to(&mut self, capacity: usize, start: usize) {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(start, 0);
        bytes.extend_from_slice(self.live());
        (self.bytes, self.start) = (bytes, start as u32);
    }

    /// Gives memory back when less than half of the buffer is used.
    fn shrink(&mut self) {
        let (len, capacity) = (self.live().len(), self.bytes.capacity());
        if capacity > SMALL_BYTES_MAX && len < capacity / 2 {
            self.move_to(allocation_size(len), 0);
        }
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Node::of_entries(self.live(), self.count)
    }
}
