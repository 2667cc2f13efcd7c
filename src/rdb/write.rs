//! Writing: the header, what stands between keys, and keys with their values.
//!
//! Everything is appended to a buffer. Whoever writes the buffers out keeps the [`Checksum`](super::Checksum) of them and puts
//! it behind what [`push_end`] wrote.

mod stream;

use super::format::{
    LISTPACK_END, LISTPACK_HEAD_BYTES, LISTPACK_LENGTH_UNKNOWN, MAGIC, code, container, kind, length, string,
};
use super::lzf::Compressor;
use crate::base::clock::UnixMillis;
use crate::base::number::{format_f64, parse_i64};
use crate::config::Config;
use crate::store::access::{lfu_decayed, lru_idle_ms};
use crate::store::hash::{Hash, HashView, Pair};
use crate::store::list::List;
use crate::store::listpack::{Encoded, Entries};
use crate::store::packed::Element;
use crate::store::set::{IntsRef, Set, SetView};
use crate::store::sorted_set::{SortedSet, SortedSetView};
use crate::store::value::{Collection, Kind};
use crate::store::{Entry, Value, ValueRef};

/// Longest string, in bytes, that may be an integer of 32 bits.
const INT_TEXT_MAX: usize = 11;
/// Shorter strings are never compressed.
const COMPRESSED_MIN: usize = 21;
/// Packed collections of more bytes than this are written element by element, and so are elements of lists: what Redis takes
/// for safe in a listpack.
const LISTPACK_BYTES_MAX: usize = 1 << 30;

/// Elements of a large value that are written at one go.
const SLICE_ELEMENTS: usize = 1024;
/// Bytes of a string that are reckoned as an element.
const ELEMENT_BYTES: usize = 256;
/// Strings of more bytes are written in slices, and then not compressed.
const STRING_BYTES_MAX: usize = 1 << 20;

/// Which version of the format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// What Redis 7.0 reads. It cannot express when a consumer of a stream was last active: this is taken for when it was
    /// last seen.
    Ten = 10,
    /// What Redis 7.4 reads.
    Twelve = 12,
}

impl Version {
    /// The version that expresses an entry: hashes whose fields have deadlines need the newer one.
    pub fn for_entry(entry: &Entry) -> Self {
        if entry.field_deadline().is_some() { Version::Twelve } else { Version::Ten }
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// What is written of an entry's access clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Omitted,
    /// The seconds since it was used.
    Idle {
        /// The time to count from.
        now: UnixMillis,
    },
    /// How often it is used.
    Frequency {
        /// The time to count from.
        now: UnixMillis,
        /// Minutes after which the counter loses one.
        decay_minutes: u32,
    },
}

/// How entries are written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The version.
    pub version: Version,
    /// Whether strings are compressed.
    pub compresses: bool,
    /// What is written of access clocks.
    pub access: Access,
}

impl Options {
    /// As the configuration wants it.
    pub fn new(version: Version, config: &Config, now: UnixMillis) -> Self {
        let access = match config.maxmemory_policy {
            policy if policy.is_lru() => Access::Idle { now },
            policy if policy.is_lfu() => Access::Frequency { now, decay_minutes: config.lfu_decay_time },
            _ => Access::Omitted,
        };
        Self { version, compresses: config.rdbcompression, access }
    }
}

/// Begins a snapshot: the version, and fields that say where it comes from.
pub fn push_header<'a>(
    out: &mut Vec<u8>,
    version: Version,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(format!("{:04}", version.number()).as_bytes());
    for (name, value) in fields {
        out.push(code::AUX);
        push_plain(out, name.as_bytes());
        push_plain(out, value.as_bytes());
    }
}

/// Says in which database the keys are that follow.
pub fn push_select(out: &mut Vec<u8>, database: usize) {
    out.push(code::SELECT);
    push_length(out, database as u64);
}

/// Says how many keys the database has, and how many of them have a deadline.
pub fn push_resize(out: &mut Vec<u8>, keys: usize, deadlines: usize) {
    out.push(code::RESIZE);
    push_length(out, keys as u64);
    push_length(out, deadlines as u64);
}

/// A library of functions, as its source.
pub fn push_function(out: &mut Vec<u8>, source: &[u8]) {
    out.push(code::FUNCTION);
    push_plain(out, source);
}

/// Ends a snapshot; the checksum of all its bytes comes behind.
pub fn push_end(out: &mut Vec<u8>) {
    out.push(code::END);
}

fn push_length(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x40 => out.push(length::SIX << 6 | value as u8),
        0x40..0x4000 => out.extend_from_slice(&[length::FOURTEEN << 6 | (value >> 8) as u8, value as u8]),
        0x4000..=0xffff_ffff => {
            out.push(length::FOUR_BYTES);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(length::EIGHT_BYTES);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// A string as an integer, if it is a short one, or as it is.
fn push_plain(out: &mut Vec<u8>, text: &[u8]) {
    if !push_as_int(out, text) {
        push_verbatim(out, text);
    }
}

fn push_verbatim(out: &mut Vec<u8>, text: &[u8]) {
    push_length(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Writes a string that is an integer of at most 32 bits as one.
#[inline]
fn push_as_int(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let may_be_int = text.len() <= INT_TEXT_MAX && matches!(text, [b'-' | b'0'..=b'9', ..]);
    let Some(int) = parse_i64(text).filter(|_| may_be_int) else { return false };
    push_small_int(out, int)
}

fn push_small_int(out: &mut Vec<u8>, int: i64) -> bool {
    if let Ok(int) = i8::try_from(int) {
        out.extend_from_slice(&[string::INT_8, int as u8]);
    } else if let Ok(int) = i16::try_from(int) {
        out.push(string::INT_16);
        out.extend_from_slice(&int.to_le_bytes());
    } else if let Ok(int) = i32::try_from(int) {
        out.push(string::INT_32);
        out.extend_from_slice(&int.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Writes entries one after another.
pub struct Writer {
    options: Options,
    compressor: Option<Compressor>,
    /// What is being made to be written as one string.
    blob: Vec<u8>,
}

impl Writer {
    /// A writer with these options.
    pub fn new(options: Options) -> Self {
        Self { options, compressor: options.compresses.then(Compressor::default), blob: Vec::new() }
    }

    /// A key with its deadline, access clock and value.
    pub fn push_entry(&mut self, out: &mut Vec<u8>, entry: &Entry) {
        let rest = self.begin_entry(out, entry, usize::MAX);
        self.end_value(out, entry.value(), rest);
    }

    /// A key as [`Writer::push_entry`] writes it, but of a large value perhaps the beginning only. Then it answers where
    /// [`Writer::push_some`] is to go on.
    pub fn push_beginning(&mut self, out: &mut Vec<u8>, entry: &Entry) -> Option<u64> {
        self.begin_entry(out, entry, STRING_BYTES_MAX)
    }

    /// Some more of a value that has not changed since its beginning was written; where to go on, or `None` when that was all.
    pub fn push_some(&mut self, out: &mut Vec<u8>, entry: &Entry, from: u64) -> Option<u64> {
        self.push_elements(out, entry.value(), from, SLICE_ELEMENTS)
    }

    /// A key, and its value at least as far as it takes little time, with strings of up to so many bytes.
    fn begin_entry(&mut self, out: &mut Vec<u8>, entry: &Entry, string_bytes_max: usize) -> Option<u64> {
        if let Some(at_ms) = entry.expire_at() {
            out.push(code::EXPIRE_MS);
            out.extend_from_slice(&at_ms.to_le_bytes());
        }
        match self.options.access {
            Access::Omitted => {}
            Access::Idle { now } => {
                out.push(code::IDLE);
                push_length(out, lru_idle_ms(entry.access(), now) / 1000);
            }
            Access::Frequency { now, decay_minutes } => {
                out.extend_from_slice(&[code::FREQUENCY, lfu_decayed(entry.access(), now, decay_minutes)]);
            }
        }
        let kind_at = out.len();
        out.push(0);
        self.push_string(out, entry.key());
        let (kind, rest) = self.begin_value(out, entry.value(), string_bytes_max);
        out[kind_at] = kind;
        rest
    }

    /// What a value is, before the value itself, as a dumped one begins.
    pub fn push_kind_and_value(&mut self, out: &mut Vec<u8>, value: ValueRef<'_>) {
        let kind_at = out.len();
        out.push(0);
        let (kind, rest) = self.begin_value(out, value, usize::MAX);
        out[kind_at] = kind;
        self.end_value(out, value, rest);
    }

    fn end_value(&mut self, out: &mut Vec<u8>, value: ValueRef<'_>, mut rest: Option<u64>) {
        while let Some(from) = rest {
            rest = self.push_elements(out, value, from, usize::MAX);
        }
    }

    /// Writes a value, or what stands before its elements. Returns what it is, and where to go on with the elements.
    fn begin_value(
        &mut self,
        out: &mut Vec<u8>,
        value: ValueRef<'_>,
        string_bytes_max: usize,
    ) -> (u8, Option<u64>) {
        match value {
            ValueRef::Object(Value::String(bytes)) if bytes.len() > string_bytes_max => {
                push_length(out, bytes.len() as u64);
                (kind::STRING, Some(0))
            }
            ValueRef::Object(Value::String(bytes)) => {
                self.push_string(out, bytes);
                (kind::STRING, None)
            }
            ValueRef::Object(Value::List(list)) => {
                push_length(out, list.nodes().len() as u64);
                (kind::LIST_QUICKLIST_2, Some(0))
            }
            ValueRef::Object(Value::Hash(hash)) => self.begin_hash(out, hash.view()),
            ValueRef::Object(Value::Set(set)) => self.begin_set(out, set.view()),
            ValueRef::Object(Value::SortedSet(set)) => self.begin_sorted_set(out, set.view()),
            ValueRef::Object(Value::Stream(stream)) => (self.begin_stream(out, stream), Some(0)),
            ValueRef::Packed(Kind::Hash, packed) => match Hash::view_packed(packed) {
                Some(hash) => self.begin_hash(out, hash),
                None => unreachable!("hashes can be packed"),
            },
            ValueRef::Packed(Kind::Set, packed) => self.begin_set(out, SetView::Packed(packed)),
            ValueRef::Packed(Kind::SortedSet, packed) => {
                self.begin_sorted_set(out, SortedSetView::Packed(packed))
            }
            ValueRef::Packed(Kind::List | Kind::Stream, _) => {
                unreachable!("lists and streams are never packed into an entry")
            }
            ValueRef::Ints(ints) => (self.push_ints(out, ints), None),
            ValueRef::Int(int) => {
                self.push_element(out, Element::Int(int));
                (kind::STRING, None)
            }
            ValueRef::Bytes(bytes) => {
                self.push_string(out, bytes);
                (kind::STRING, None)
            }
        }
    }

    /// Writes about so many elements of a value from a place on; where to go on, or `None` at the end.
    ///
    /// What a place is depends on the value: a number of bytes or nodes, a place in a table, or how many are left.
    fn push_elements(
        &mut self,
        out: &mut Vec<u8>,
        value: ValueRef<'_>,
        from: u64,
        count: usize,
    ) -> Option<u64> {
        let next = match value {
            ValueRef::Object(Value::String(bytes)) => {
                let rest = bytes.get(from as usize..).unwrap_or_default();
                let (slice, rest) = rest.split_at(rest.len().min(count.saturating_mul(ELEMENT_BYTES)));
                out.extend_from_slice(slice);
                if rest.is_empty() { 0 } else { from + slice.len() as u64 }
            }
            ValueRef::Object(Value::List(list)) => self.push_nodes(out, list, from, count),
            ValueRef::Object(Value::Stream(stream)) => self.push_stream_nodes(out, stream, from, count),
            value => {
                if let Some(hash) = Hash::view_in(value) {
                    self.push_fields(out, hash, from, count)
                } else if let Some(set) = Set::view_in(value) {
                    self.push_members(out, set, from, count)
                } else if let Some(set) = SortedSet::view_in(value) {
                    self.push_scores(out, set, from, count)
                } else {
                    0
                }
            }
        };
        (next != 0).then_some(next)
    }

    /// A string in the form that takes the fewest bytes.
    fn push_string(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        if !push_as_int(out, text) {
            self.push_blob(out, text);
        }
    }

    /// A string that is no integer.
    fn push_blob(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        if let Some(compressor) = &mut self.compressor
            && text.len() >= COMPRESSED_MIN
            && let Some(compressed) = compressor.compress(text)
        {
            out.push(string::COMPRESSED);
            push_length(out, compressed.len() as u64);
            push_length(out, text.len() as u64);
            out.extend_from_slice(compressed);
            return;
        }
        push_verbatim(out, text);
    }

    fn push_element(&mut self, out: &mut Vec<u8>, element: Element<'_>) {
        match element {
            Element::Bytes(text) => self.push_string(out, text),
            Element::Int(int) if push_small_int(out, int) => {}
            Element::Int(int) => push_verbatim(out, itoa::Buffer::new().format(int).as_bytes()),
        }
    }

    /// One string, made by `fill`.
    fn push_made(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut blob = std::mem::take(&mut self.blob);
        blob.clear();
        fill(&mut blob);
        self.push_blob(out, &blob);
        // A large one is not kept for the next.
        blob.shrink_to(1 << 16);
        self.blob = blob;
    }

    /// A listpack of so many elements, whose entries `fill` appends.
    fn push_listpack(&mut self, out: &mut Vec<u8>, count: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        self.push_made(out, |blob| {
            blob.resize(LISTPACK_HEAD_BYTES, 0);
            fill(blob);
            blob.push(LISTPACK_END);
            let (bytes, count) = (blob.len() as u32, u16::try_from(count).unwrap_or(LISTPACK_LENGTH_UNKNOWN));
            blob[..4].copy_from_slice(&bytes.to_le_bytes());
            blob[4..LISTPACK_HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
        });
    }

    /// Writes nodes of a list from the number `from` on; the number of the next one, zero at the end.
    fn push_nodes(&mut self, out: &mut Vec<u8>, list: &List, from: u64, count: usize) -> u64 {
        let nodes = list.nodes();
        let (total, mut next, mut left) = (nodes.len() as u64, from, count);
        for (elements, entries) in nodes.skip(from as usize) {
            match Entries::new(entries).next() {
                Some(element) if elements == 1 && entries.len() > LISTPACK_BYTES_MAX => {
                    push_length(out, container::PLAIN);
                    self.push_element(out, element);
                }
                _ => {
                    push_length(out, container::PACKED);
                    self.push_listpack(out, elements, |blob| blob.extend_from_slice(entries));
                }
            }
            next += 1;
            left = left.saturating_sub(elements);
            if left == 0 {
                break;
            }
        }
        if next == total { 0 } else { next }
    }

    fn push_ints(&mut self, out: &mut Vec<u8>, ints: IntsRef<'_>) -> u8 {
        let width = ints.width();
        self.push_made(out, |blob| {
            blob.extend_from_slice(&(width as u32).to_le_bytes());
            blob.extend_from_slice(&(ints.len() as u32).to_le_bytes());
            // Of a two's complement number the low bytes are the narrower number.
            ints.iter().for_each(|int| blob.extend_from_slice(&int.to_le_bytes()[..width]));
        });
        kind::SET_INTSET
    }

    fn begin_set(&mut self, out: &mut Vec<u8>, set: SetView<'_>) -> (u8, Option<u64>) {
        match set {
            SetView::Ints(ints) => (self.push_ints(out, ints), None),
            SetView::Packed(packed)
                if self.options.version >= Version::Twelve && packed.bytes_len() <= LISTPACK_BYTES_MAX =>
            {
                self.push_listpack(out, packed.len(), |blob| {
                    packed.iter().for_each(|member| Encoded::new(member).append(blob));
                });
                (kind::SET_LISTPACK, None)
            }
            SetView::Packed(_) | SetView::Table(_) => {
                push_length(out, set.len() as u64);
                (kind::SET, Some(0))
            }
        }
    }

    /// Writes members of a set from a place in its table on; the next place, zero at the end.
    fn push_members(&mut self, out: &mut Vec<u8>, set: SetView<'_>, from: u64, count: usize) -> u64 {
        match set.table() {
            Some(table) => table.scan(from, count, |entry| self.push_string(out, entry.key())),
            None => {
                set.iter().for_each(|member| self.push_element(out, member));
                0
            }
        }
    }

    fn begin_sorted_set(&mut self, out: &mut Vec<u8>, set: SortedSetView<'_>) -> (u8, Option<u64>) {
        if let SortedSetView::Packed(packed) = set
            && packed.bytes_len() <= LISTPACK_BYTES_MAX
        {
            self.push_listpack(out, 2 * set.len(), |blob| {
                set.visit(0..set.len(), false, |member, score| {
                    Encoded::new(Element::of(member)).append(blob);
                    // As text, unless it is an integer.
                    Encoded::new(Element::of(format_f64(score).as_bytes())).append(blob);
                });
            });
            return (kind::SORTED_SET_LISTPACK, None);
        }
        push_length(out, set.len() as u64);
        (kind::SORTED_SET_2, Some(set.len() as u64))
    }

    /// Writes members and scores of a sorted set of which so many are `left`; how many still are. They come from the greatest
    /// down, so that Redis inserts each at the front of those that it has.
    fn push_scores(&mut self, out: &mut Vec<u8>, set: SortedSetView<'_>, left: u64, count: usize) -> u64 {
        let end = left as usize;
        let start = end.saturating_sub(count);
        set.visit(start..end, true, |member, score| {
            self.push_string(out, member);
            out.extend_from_slice(&score.to_le_bytes());
        });
        start as u64
    }

    fn begin_hash(&mut self, out: &mut Vec<u8>, hash: HashView<'_>) -> (u8, Option<u64>) {
        let earliest = hash.earliest_deadline();
        if let Some((pairs, bytes)) = hash.packed()
            && bytes <= LISTPACK_BYTES_MAX
        {
            let kind = match earliest {
                Some(earliest) => self.push_pairs_with_deadlines(out, pairs.collect(), earliest),
                None => self.push_pairs(out, hash.len(), pairs),
            };
            return (kind, None);
        }
        if let Some(earliest) = earliest {
            out.extend_from_slice(&earliest.to_le_bytes());
        }
        push_length(out, hash.len() as u64);
        (if earliest.is_some() { kind::HASH_DEADLINES } else { kind::HASH }, Some(0))
    }

    /// Writes fields and values, with deadlines if there is one, from a place in the table on; the next place, zero at the
    /// end.
    fn push_fields(&mut self, out: &mut Vec<u8>, hash: HashView<'_>, from: u64, count: usize) -> u64 {
        let earliest = hash.earliest_deadline();
        hash.scan(from, count, |pair| {
            if let Some(earliest) = earliest {
                let after = pair.deadline.map_or(0, |at_ms| at_ms.saturating_sub(earliest) + 1);
                push_length(out, after as u64);
            }
            self.push_element(out, pair.field);
            self.push_element(out, pair.value);
        })
    }

    fn push_pairs<'a>(
        &mut self,
        out: &mut Vec<u8>,
        count: usize,
        pairs: impl Iterator<Item = Pair<'a>>,
    ) -> u8 {
        self.push_listpack(out, 2 * count, |blob| {
            for pair in pairs {
                Encoded::new(pair.field).append(blob);
                Encoded::new(pair.value).append(blob);
            }
        });
        kind::HASH_LISTPACK
    }

    /// Fields, values and deadlines as one listpack, by deadline; those without one, for which 0 stands, come last.
    fn push_pairs_with_deadlines(
        &mut self,
        out: &mut Vec<u8>,
        mut pairs: Vec<Pair<'_>>,
        earliest: i64,
    ) -> u8 {
        pairs.sort_by_key(|pair| pair.deadline.unwrap_or(i64::MAX));
        out.extend_from_slice(&earliest.to_le_bytes());
        self.push_listpack(out, 3 * pairs.len(), |blob| {
            for pair in &pairs {
                Encoded::new(pair.field).append(blob);
                Encoded::new(pair.value).append(blob);
                Encoded::new(Element::Int(pair.deadline.unwrap_or(0))).append(blob);
            }
        });
        kind::HASH_LISTPACK_DEADLINES
    }
}

#[cfg(test)]
#[path = "write_test.rs"]
mod write_test;
