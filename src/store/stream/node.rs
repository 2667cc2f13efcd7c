//! A node of a stream: some entries with ascending ids in one buffer.
//!
//! ```text
//! node:  name count | name…            the names of the first entry's fields, which others share
//!        entry…
//! entry: body length | body | body length, readable from behind
//! body:  flags | ms | seq | [field count] | fields
//! ```
//!
//! Numbers are base 128, the low seven bits first, with the high bit for "more follows"; the length behind a body has
//! its bytes in reverse. Strings are a length and their bytes. `ms` is the distance from the node's first id; within
//! its millisecond `seq` is a distance as well, beyond it the number itself. An entry with the flag [`SHARED_NAMES`]
//! has values only, any other one a count and then names and values in turn. A deleted entry is flagged and keeps its
//! place; a node without live entries goes as a whole. (Redis's nodes do the same with listpacks.)

use super::id::StreamId;
use crate::store::size_class::allocation_size;

/// The entry is deleted.
const DELETED: u8 = 1;
/// The entry's names are those at the beginning of the node.
const SHARED_NAMES: u8 = 2;

/// Every so many entries there is a mark.
const MARK_EVERY: u64 = 16;

/// Entries with ascending ids. The node's first id, from which the others count, is kept by whoever has the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    bytes: Vec<u8>,
    /// Where every [`MARK_EVERY`]th entry but the first begins, so that a search need not walk from the beginning.
    marks: Vec<u32>,
    /// Where the first entry begins.
    entries_at: u32,
    live: u32,
    deleted: u32,
}

/// An entry as it lies in a node.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Its id.
    pub id: StreamId,
    /// Whether it is deleted.
    pub is_deleted: bool,
    /// Its fields.
    pub fields: Fields<'a>,
    /// Where it begins in the node.
    pub start: usize,
    /// Where the next one begins.
    pub end: usize,
    flags_at: usize,
}

impl Node {
    /// A node that takes its shared names from `fields`, names and values in turn. It has no entry yet.
    pub fn new(fields: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        push_number(&mut bytes, fields.len() as u64 / 2);
        for name in fields.iter().step_by(2) {
            push_string(&mut bytes, name);
        }
        let entries_at = bytes.len() as u32;
        Self { bytes, marks: Vec::new(), entries_at, live: 0, deleted: 0 }
    }

    /// Appends an entry of names and values in turn; its id is greater than that of any other entry here.
    pub fn push(&mut self, first: StreamId, id: StreamId, fields: &[&[u8]]) {
        let shares_names = self.names().eq(fields.iter().step_by(2).copied());
        let mut head = [0; HEAD_BYTES_MAX];
        let head = write_head(&mut head, first, id, fields.len() / 2, shares_names);
        let kept = |at: &usize| !shares_names || at % 2 == 1;
        let strings = || (0..fields.len()).filter(kept).map(|at| fields[at]);
        let body =
            head.len() + strings().map(|text| number_bytes(text.len() as u64) + text.len()).sum::<usize>();
        let edge = number_bytes(body as u64);
        if self.total() > 0 && self.total().is_multiple_of(MARK_EVERY) {
            self.marks.push(self.bytes.len() as u32);
        }
        self.bytes.reserve(body + 2 * edge);
        push_number(&mut self.bytes, body as u64);
        self.bytes.extend_from_slice(head);
        strings().for_each(|text| push_string(&mut self.bytes, text));
        let end = self.bytes.len();
        push_number(&mut self.bytes, body as u64);
        self.bytes[end..].reverse();
        self.live += 1;
    }

    /// Entries that are not deleted.
    pub fn live(&self) -> u64 {
        u64::from(self.live)
    }

    /// Entries, deleted ones among them.
    pub fn total(&self) -> u64 {
        u64::from(self.live) + u64::from(self.deleted)
    }

    /// Bytes in use.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Heap bytes.
    pub fn memory_usage(&self) -> usize {
        allocation_size(self.bytes.capacity()) + allocation_size(self.marks.capacity() * size_of::<u32>())
    }

    /// Gives back what was set aside for further entries.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Where the first entry begins.
    pub fn start(&self) -> usize {
        self.entries_at as usize
    }

    /// Where to begin walking up to the entry of `id`, or to the first behind it: the start or a mark, with fewer than
    /// [`MARK_EVERY`] entries on the way.
    pub fn mark_before(&self, first: StreamId, id: StreamId) -> usize {
        let passed = self.passed_marks(first, id);
        passed.checked_sub(1).map_or(self.start(), |last| self.marks[last] as usize)
    }

    /// Where to begin walking back to the entry of `id`, or to the last before it: the end or a mark.
    pub fn mark_behind(&self, first: StreamId, id: StreamId) -> usize {
        self.marks.get(self.passed_marks(first, id)).map_or(self.len(), |mark| *mark as usize)
    }

    /// How many marks stand at an entry up to `id`.
    fn passed_marks(&self, first: StreamId, id: StreamId) -> usize {
        let is_passed = |mark: &u32| self.at(first, *mark as usize).is_some_and(|entry| entry.id <= id);
        self.marks.partition_point(is_passed)
    }

    /// The entry that begins at `at`; none at the end.
    pub fn at(&self, first: StreamId, at: usize) -> Option<Placed<'_>> {
        if at >= self.bytes.len() {
            return None;
        }
        let mut reader = Reader { bytes: &self.bytes, at };
        let body = reader.number() as usize;
        let edge = reader.at - at;
        Some(self.placed(first, at, reader.at, reader.at + body + edge))
    }

    /// The entry that ends at `end`; none at the beginning.
    pub fn before(&self, first: StreamId, end: usize) -> Option<Placed<'_>> {
        if end <= self.start() {
            return None;
        }
        let (mut body, mut edge) = (0, 0);
        loop {
            let byte = self.bytes[end - 1 - edge];
            body |= usize::from(byte & 0x7f) << (7 * edge);
            edge += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body_at = end - edge - body;
        Some(self.placed(first, body_at - edge, body_at, end))
    }

    /// The last entry, deleted or not.
    pub fn last(&self, first: StreamId) -> Option<Placed<'_>> {
        self.before(first, self.bytes.len())
    }

    fn placed(&self, first: StreamId, start: usize, body_at: usize, end: usize) -> Placed<'_> {
        let flags = self.bytes[body_at];
        let mut reader = Reader { bytes: &self.bytes, at: body_at + 1 };
        let (ms, seq) = (reader.number(), reader.number());
        let seq = if ms == 0 { first.seq + seq } else { seq };
        let id = StreamId { ms: first.ms + ms, seq };
        let fields = if flags & SHARED_NAMES != 0 {
            let mut names = Reader { bytes: &self.bytes, at: 0 };
            let left = names.number() as usize;
            Fields { left, names: Some(names), body: reader }
        } else {
            Fields { left: reader.number() as usize, names: None, body: reader }
        };
        Placed { id, is_deleted: flags & DELETED != 0, fields, start, end, flags_at: body_at }
    }

    /// Deletes the entry of that id; `false` when there is none.
    pub fn delete(&mut self, first: StreamId, id: StreamId) -> bool {
        let mut at = self.mark_before(first, id);
        while let Some(entry) = self.at(first, at).filter(|entry| entry.id <= id) {
            if entry.id == id {
                let (is_live, flags_at) = (!entry.is_deleted, entry.flags_at);
                if is_live {
                    self.mark_deleted(flags_at);
                }
                return is_live;
            }
            at = entry.end;
        }
        false
    }

    /// Deletes entries from the beginning on as `goes` says of their ids, until it says nothing; returns how many.
    pub fn delete_while(&mut self, first: StreamId, mut goes: impl FnMut(StreamId) -> Option<bool>) -> u64 {
        let (mut at, mut count) = (self.start(), 0);
        while let Some(entry) = self.at(first, at) {
            at = entry.end;
            if entry.is_deleted {
                continue;
            }
            let flags_at = entry.flags_at;
            match goes(entry.id) {
                Some(true) => {
                    self.mark_deleted(flags_at);
                    count += 1;
                }
                Some(false) => {}
                None => break,
            }
        }
        count
    }

    fn mark_deleted(&mut self, flags_at: usize) {
        self.bytes[flags_at] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader { bytes: &self.bytes, at: 0 };
        let count = reader.number();
        (0..count).map(move |_| reader.string())
    }
}

/// Names and values of an entry, in the order in which they were added. They lie in the stream's own memory.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    left: usize,
    /// Where the shared names go on.
    names: Option<Reader<'a>>,
    body: Reader<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.string(),
            None => self.body.string(),
        };
        Some((name, self.body.string()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// Reads what the functions below wrote.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader(at {})", self.at)
    }
}

impl<'a> Reader<'a> {
    #[inline]
    fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.bytes[self.at];
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
            shift += 7;
        }
    }

    #[inline]
    fn string(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        let text = &self.bytes[self.at..self.at + length];
        self.at += length;
        text
    }
}

/// Flags and three numbers.
const HEAD_BYTES_MAX: usize = 1 + 3 * 10;

/// Writes what stands before the strings of an entry.
fn write_head(
    head: &mut [u8; HEAD_BYTES_MAX],
    first: StreamId,
    id: StreamId,
    fields: usize,
    shares_names: bool,
) -> &[u8] {
    let ms = id.ms - first.ms;
    let seq = if ms == 0 { id.seq - first.seq } else { id.seq };
    head[0] = if shares_names { SHARED_NAMES } else { 0 };
    let mut at = 1 + write_number(&mut head[1..], ms);
    at += write_number(&mut head[at..], seq);
    if !shares_names {
        at += write_number(&mut head[at..], fields as u64);
    }
    &head[..at]
}

fn write_number(out: &mut [u8], mut value: u64) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

fn push_number(bytes: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 10];
    let length = write_number(&mut digits, value);
    bytes.extend_from_slice(&digits[..length]);
}

fn push_string(bytes: &mut Vec<u8>, text: &[u8]) {
    push_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

/// Bytes that `value` takes.
fn number_bytes(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_foretold() {
        for shift in 0..64 {
            for value in [(1u64 << shift) - 1, 1 << shift, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                push_number(&mut bytes, value);
                assert_eq!(bytes.len(), number_bytes(value), "{value}");
                assert_eq!(Reader { bytes: &bytes, at: 0 }.number(), value);
            }
        }
    }

    #[test]
    fn both_directions() {
        let long = vec![b'x'; 300];
        let first = StreamId::new(5, 7);
        let entries: [(StreamId, Vec<&[u8]>); 4] = [
            (first, vec![b"name", b"1", b"", b"2"]),
            (StreamId::new(5, 8), vec![b"name", &long, b"", b"4"]),
            (StreamId::new(6, 0), vec![b"other", b"5"]),
            (StreamId::new(u64::MAX, u64::MAX), vec![b"name", b"", b"", &long]),
        ];
        let mut node = Node::new(&entries[0].1);
        for (id, fields) in &entries {
            node.push(first, *id, fields);
        }
        let flat = |entry: &Placed<'_>| -> (StreamId, Vec<Vec<u8>>) {
            let strings = entry.fields.flat_map(|(name, value)| [name.to_vec(), value.to_vec()]);
            (entry.id, strings.collect())
        };
        let mut at = node.start();
        for (id, fields) in &entries {
            let entry = node.at(first, at).expect("an entry");
            assert_eq!(flat(&entry), (*id, fields.iter().map(|text| text.to_vec()).collect()));
            at = entry.end;
        }
        assert!(node.at(first, at).is_none());
        for (id, fields) in entries.iter().rev() {
            let entry = node.before(first, at).expect("an entry");
            assert_eq!(flat(&entry), (*id, fields.iter().map(|text| text.to_vec()).collect()));
            at = entry.start;
        }
        assert!(node.before(first, at).is_none());
    }

    #[test]
    fn deleting() {
        let first = StreamId::new(1, 0);
        let mut node = Node::new(&[b"a", b"b"]);
        (1..=5).for_each(|ms| node.push(first, StreamId::new(ms, 0), &[b"a", b"b"]));
        assert!(node.delete(first, StreamId::new(3, 0)));
        assert!(!node.delete(first, StreamId::new(3, 0)) && !node.delete(first, StreamId::new(3, 1)));
        assert_eq!((node.live(), node.total()), (4, 5));
        assert_eq!(node.delete_while(first, |id| (id.ms < 5).then_some(true)), 3);
        assert_eq!(node.last(first).map(|entry| (entry.id.ms, entry.is_deleted)), Some((5, false)));
    }
}
