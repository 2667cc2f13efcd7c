//! The values too large, or of too rich a type, to live inside an entry's own block.
//!
//! An entry holds such a value as a `Box<Value>`, so it moves between keys and shards by pointer. Small hashes, sets and
//! sorted sets live inside the block, [packed](super::packed). What the types do lives beside them; no keys and no deadlines
//! here.

use super::entry::ValueRef;
use super::hash::{self, Hash};
use super::list::List;
use super::packed::{Packed, PackedRef};
use super::set::{Ints, IntsRef, Set};
use super::size_class::allocation_size;
use super::sorted_set::SortedSet;
use super::stream::Stream;
use super::table::Table;

/// The types other than strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list.
    List,
    /// A hash.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::List, Kind::Hash, Kind::Set, Kind::SortedSet, Kind::Stream];

    /// The name TYPE answers.
    pub const fn type_name(self) -> &'static str {
        match self {
            Kind::List => "list",
            Kind::Hash => "hash",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Stream => "stream",
        }
    }

    /// The name OBJECT ENCODING answers for the packed form.
    pub fn packed_name(self, packed: PackedRef<'_>) -> &'static str {
        match self {
            Kind::Hash => hash::packed_name(packed),
            _ => "listpack",
        }
    }

    pub(super) const fn tag(self) -> u8 {
        self as u8
    }

    pub(super) fn of_tag(tag: u8) -> Self {
        Self::ALL[tag as usize]
    }
}

/// A value on the heap. Each variant answers its size in constant time, because memory is counted
/// whenever an entry changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string longer than an entry keeps inline, with room to grow for APPEND.
    String(Vec<u8>),
    /// A list.
    List(List),
    /// A hash.
    Hash(Hash),
    /// A set.
    Set(Set),
    /// A sorted set.
    SortedSet(SortedSet),
    /// A stream.
    Stream(Box<Stream>),
}

impl Value {
    /// The name TYPE answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::List(_) => Kind::List.type_name(),
            Value::Hash(_) => Kind::Hash.type_name(),
            Value::Set(_) => Kind::Set.type_name(),
            Value::SortedSet(_) => Kind::SortedSet.type_name(),
            Value::Stream(_) => Kind::Stream.type_name(),
        }
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match self {
            Value::String(_) => "raw",
            Value::List(list) => list.encoding_name(),
            Value::Hash(hash) => hash.encoding_name(),
            Value::Set(set) => set.encoding_name(),
            Value::SortedSet(set) => set.encoding_name(),
            Value::Stream(stream) => stream.encoding_name(),
        }
    }

    /// The table of members or fields, if it has one.
    pub fn elements(&self) -> Option<&Table> {
        match self {
            Value::Hash(hash) => hash.view().table(),
            Value::Set(set) => set.view().table(),
            Value::SortedSet(set) => set.view().table(),
            Value::String(_) | Value::List(_) | Value::Stream(_) => None,
        }
    }

    /// The string, if it is one.
    pub fn as_string(&self) -> Option<&Vec<u8>> {
        match self {
            Value::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The string for change, if it is one.
    pub fn as_string_mut(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Value::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Heap bytes of the value and of its box, as the allocator rounds them. Constant time.
    pub fn memory_usage(&self) -> usize {
        let content = match self {
            Value::String(bytes) => allocation_size(bytes.capacity()),
            Value::List(list) => list.memory_usage(),
            Value::Hash(hash) => hash.memory_usage(),
            Value::Set(set) => set.memory_usage(),
            Value::SortedSet(set) => set.memory_usage(),
            Value::Stream(stream) => stream.memory_usage(),
        };
        allocation_size(size_of::<Value>()) + content
    }

    /// Frees about `budget` elements of a value that nobody can reach any more; returns how many, 0 when dropping the rest
    /// takes no time to speak of.
    pub fn free_some(&mut self, budget: usize) -> usize {
        match self {
            Value::String(bytes) => release_tail(bytes),
            Value::List(list) => list.free_some(budget),
            Value::Hash(hash) => hash.free_some(budget),
            Value::Set(set) => set.free_some(budget),
            Value::SortedSet(set) => set.free_some(budget),
            Value::Stream(stream) => stream.free_some(budget),
        }
    }
}

/// Bytes of a string that are given back to the system at once: measured at 0.3 ms where pages are small. All of 512 MB take
/// 33 ms.
const RELEASE_BYTES: usize = 4 << 20;
/// Large pages are not to be split.
const LARGE_PAGE_BYTES: usize = 2 << 20;
/// Entries' worth of budget that a released slice counts as.
const RELEASE_COST: usize = RELEASE_BYTES / 4096;

/// Cuts the end off a large string that nobody can reach any more and gives its memory back to the system, so that freeing
/// the block has little left to do. Returns 0 when the rest is little.
fn release_tail(bytes: &mut Vec<u8>) -> usize {
    if bytes.len() <= 2 * RELEASE_BYTES {
        return 0;
    }
    let (start, end) = (bytes.as_ptr() as usize, bytes.as_ptr() as usize + bytes.len());
    let from = (end - RELEASE_BYTES) & !(LARGE_PAGE_BYTES - 1);
    let length = (end - from) & !(4096 - 1);
    // SAFETY: the range begins and ends inside the block of `bytes`, which owns it; what was there is cut off right after, so
    // nobody reads that it is gone. Where pages are larger the call fails and nothing happens.
    unsafe { libc::madvise(from as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    bytes.truncate(from - start);
    RELEASE_COST
}

/// How a collection is to be kept.
#[derive(Debug)]
pub enum Stored {
    /// Packed, inside the entry if it fits there.
    Packed(Packed),
    /// Sorted integers, inside the entry.
    Ints(Ints),
    /// On the heap.
    Value(Value),
}

/// A type of values made of elements. Commands work on it through [`crate::command::context::Context`].
pub trait Collection: Default {
    /// What reading sees.
    type View<'a>;

    /// The type.
    const KIND: Kind;

    /// What is packed inside an entry, to be read; `None` if this type never is.
    fn view_packed(_packed: PackedRef<'_>) -> Option<Self::View<'_>> {
        None
    }

    /// Integers inside an entry, to be read; `None` if this type is no set.
    fn view_ints(_ints: IntsRef<'_>) -> Option<Self::View<'_>> {
        None
    }

    /// A value on the heap, to be read; `None` if it is of another type.
    fn view(value: &Value) -> Option<Self::View<'_>>;

    /// A value on the heap, to be changed; `None` if it is of another type.
    fn value_mut(value: &mut Value) -> Option<&mut Self>;

    /// What was packed inside an entry, to be changed; `None` if this type never is.
    fn from_packed(_packed: Packed) -> Option<Self> {
        None
    }

    /// What were integers inside an entry, to be changed; `None` if this type is no set.
    fn from_ints(_ints: Ints) -> Option<Self> {
        None
    }

    /// The value of an entry, to be read; `None` if it is of another type.
    fn view_in(value: ValueRef<'_>) -> Option<Self::View<'_>> {
        match value {
            ValueRef::Packed(kind, packed) if kind == Self::KIND => Self::view_packed(packed),
            ValueRef::Ints(ints) => Self::view_ints(ints),
            ValueRef::Object(value) => Self::view(value),
            _ => None,
        }
    }

    /// What is to be seen of it at this time; `None` if nothing is left. Only fields of hashes have times.
    fn seen_at(view: Self::View<'_>, _now_ms: i64) -> Option<Self::View<'_>> {
        Some(view)
    }

    /// How it is to be kept from now on: packed only if it [fits an entry](Packed::fits_entry).
    fn into_stored(self) -> Stored;

    /// Whether it has no element, so that its key is to go.
    fn is_empty(&self) -> bool;
}

const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Value>();
};
