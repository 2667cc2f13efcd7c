//! One key with its value, deadline and access clock in a single heap block behind a thin pointer.
//!
//! What the access clock means, and when a deadline has an effect, is decided above; the table
//! that finds entries is [`super::table`].
//!
//! A block, aligned to 16 bytes:
//!
//! ```text
//! meta u32 | key length u32 | value length u16 | value room u16 | [deadline i64] | key | value
//! ```
//!
//! `meta` is the access clock (24 bits) below the kind and flags (8 bits). The value is an `i64`, the
//! bytes of a short string, a small collection packed behind a byte for its form, or the pointer of a `Box<Value>`. A block fills its allocator class; what
//! the value leaves of it is its room to grow in place.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::{self, NonNull};

use crate::base::number::parse_i64;

use super::hash::HashView;
use super::packed::PackedRef;
use super::set::IntsRef;
use super::size_class::allocation_size;
use super::value::{Collection, Kind, Stored, Value};

/// Longest string or packed collection, in bytes, kept inside the block; longer ones are a [`Value`].
pub const INLINE_BYTES_MAX: usize = 1024;

/// Longest string, in bytes, that OBJECT ENCODING calls `embstr`.
const EMBSTR_BYTES_MAX: usize = 44;

const HEADER_BYTES: usize = 12;
const DEADLINE_BYTES: usize = 8;
const WORD_BYTES: usize = 8;
const BLOCK_ALIGN: usize = 16;

const ACCESS_MASK: u32 = 0x00ff_ffff;
const KIND_MASK: u32 = 0x0300_0000;
const KIND_INT: u32 = 0x0000_0000;
const KIND_BYTES: u32 = 0x0100_0000;
const KIND_OBJECT: u32 = 0x0200_0000;
const KIND_PACKED: u32 = 0x0300_0000;
const HAS_DEADLINE: u32 = 0x0400_0000;
const RAW: u32 = 0x0800_0000;

/// The byte before a set of integers; before what is packed, it is the tag of its type.
const INTS_TAG: u8 = u8::MAX;

#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    meta: u32,
    key_len: u32,
    value_len: u16,
    value_room: u16,
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);

/// A value on its way into an entry.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// An integer, encoding `int`.
    Int(i64),
    /// A string as SET leaves it: `embstr`, or `raw` when longer than 44 bytes.
    Bytes(&'a [u8]),
    /// A string that was modified: `raw` whatever its length.
    Raw(&'a [u8]),
    /// A small collection: it must fit ([`super::packed::Packed::fits_entry`]).
    Packed(Kind, PackedRef<'a>),
    /// A small set of integers: it must fit ([`super::set::Ints::fits_entry`]).
    Ints(IntsRef<'a>),
    /// Any other value, or a long string that is already on the heap.
    Object(Box<Value>),
}

impl<'a> NewValue<'a> {
    /// The value SET gives a key: an integer if `bytes` are exactly how an `i64` is printed, else a string.
    pub fn string(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(int) => NewValue::Int(int),
            None => NewValue::Bytes(bytes),
        }
    }

    /// Moves what is too long for a block to the heap.
    fn settled(self) -> Self {
        match self {
            NewValue::Bytes(bytes) | NewValue::Raw(bytes) if bytes.len() > INLINE_BYTES_MAX => {
                NewValue::Object(Box::new(Value::String(bytes.to_vec())))
            }
            other => other,
        }
    }

    fn len(&self) -> usize {
        match self {
            NewValue::Bytes(bytes) | NewValue::Raw(bytes) => bytes.len(),
            NewValue::Packed(_, packed) => 1 + packed.bytes_len(),
            NewValue::Ints(ints) => 1 + ints.bytes_len(),
            NewValue::Int(_) | NewValue::Object(_) => WORD_BYTES,
        }
    }
}

/// The value of an entry, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// A string that is an integer.
    Int(i64),
    /// A short string.
    Bytes(&'a [u8]),
    /// A small collection.
    Packed(Kind, PackedRef<'a>),
    /// A small set of integers.
    Ints(IntsRef<'a>),
    /// Anything else, long strings included.
    Object(&'a Value),
}

/// A key with its value: one owned heap block, eight bytes to hold.
///
/// Not `Sync`: the access clock changes through a shared reference.
#[repr(transparent)]
pub struct Entry {
    block: NonNull<u8>,
}

// SAFETY: an entry owns its block and the value behind it, and `Value` is `Send`.
unsafe impl Send for Entry {}

impl Entry {
    /// An entry as SET makes it: the bytes of an integer are kept as one.
    ///
    /// # Panics
    /// When the key is longer than `u32::MAX` bytes, as every constructor here.
    pub fn new_string(key: &[u8], value: &[u8], expire: Option<i64>) -> Entry {
        Entry::new(key, NewValue::string(value), expire)
    }

    /// An entry with any value; `expire` is a deadline in Unix milliseconds. The access clock is zero.
    pub fn new(key: &[u8], value: NewValue<'_>, expire: Option<i64>) -> Entry {
        let value = value.settled();
        let mut entry = Entry::allocate(key, expire, value.len());
        entry.store(value);
        entry
    }

    /// The key's bytes.
    pub fn key(&self) -> &[u8] {
        // SAFETY: the block holds `key_len` initialized bytes at `key_at`, unchanged while borrowed.
        unsafe { std::slice::from_raw_parts(self.at(self.key_at()), self.header().key_len as usize) }
    }

    /// The value as it is kept.
    pub fn value(&self) -> ValueRef<'_> {
        match self.kind() {
            KIND_INT => ValueRef::Int(self.word() as i64),
            KIND_BYTES => ValueRef::Bytes(self.inline()),
            KIND_PACKED => match self.inline() {
                [INTS_TAG, ints @ ..] => ValueRef::Ints(IntsRef::over(ints)),
                [kind, packed @ ..] => ValueRef::Packed(Kind::of_tag(*kind), PackedRef::over(packed)),
                [] => ValueRef::Bytes(&[]),
            },
            // SAFETY: an object entry owns the box behind its pointer, and is borrowed.
            _ => ValueRef::Object(unsafe { &*self.object() }),
        }
    }

    /// Frees about `budget` elements of a large value that nobody can reach any more; returns how many, 0 when the rest is
    /// freed at one go.
    pub fn free_some(&mut self, budget: usize) -> usize {
        self.object_mut().map_or(0, |value| value.free_some(budget))
    }

    /// The value for change, if it lives on the heap.
    pub fn object_mut(&mut self) -> Option<&mut Value> {
        // SAFETY: an object entry owns the box behind its pointer, and is borrowed exclusively.
        (self.kind() == KIND_OBJECT).then(|| unsafe { &mut *self.object() })
    }

    /// The bytes of a string value, an integer printed into `digits`; `None` for other types.
    pub fn string<'a>(&'a self, digits: &'a mut itoa::Buffer) -> Option<&'a [u8]> {
        match self.value() {
            ValueRef::Int(int) => Some(digits.format(int).as_bytes()),
            ValueRef::Bytes(bytes) => Some(bytes),
            ValueRef::Object(value) => value.as_string().map(Vec::as_slice),
            ValueRef::Packed(..) | ValueRef::Ints(_) => None,
        }
    }

    /// Length in bytes of a string value; `None` for other types.
    pub fn string_len(&self) -> Option<usize> {
        self.string(&mut itoa::Buffer::new()).map(<[u8]>::len)
    }

    /// The name TYPE answers.
    pub fn type_name(&self) -> &'static str {
        match self.value() {
            ValueRef::Object(value) => value.type_name(),
            ValueRef::Packed(kind, _) => kind.type_name(),
            ValueRef::Ints(_) => Kind::Set.type_name(),
            _ => "string",
        }
    }

    /// Whether it is a collection of this kind.
    pub fn is_a(&self, kind: Kind) -> bool {
        self.type_name() == kind.type_name()
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match self.value() {
            ValueRef::Int(_) => "int",
            ValueRef::Bytes(_) if self.header().meta & RAW != 0 => "raw",
            ValueRef::Bytes(_) => "embstr",
            ValueRef::Packed(kind, packed) => kind.packed_name(packed),
            ValueRef::Ints(_) => "intset",
            ValueRef::Object(value) => value.encoding_name(),
        }
    }

    /// The deadline in Unix milliseconds, if there is one.
    pub fn expire_at(&self) -> Option<i64> {
        self.has_deadline().then(|| {
            // SAFETY: the flag says that a deadline stands behind the header.
            unsafe { self.at(HEADER_BYTES).cast::<i64>().read_unaligned() }
        })
    }

    /// Whether the deadline lies before `now_ms`; at the very millisecond the key still lives, as in Redis.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expire_at().is_some_and(|at_ms| now_ms > at_ms)
    }

    /// The earliest deadline of a field, if this is a hash that has such, in Unix milliseconds.
    #[inline]
    pub fn field_deadline(&self) -> Option<i64> {
        HashView::of_entry(self)?.earliest_deadline()
    }

    /// The 24-bit access clock or counter.
    pub fn access(&self) -> u32 {
        self.header().meta & ACCESS_MASK
    }

    /// Sets the access clock to the low 24 bits of `access`.
    pub fn set_access(&self, access: u32) {
        self.set_meta(self.header().meta & !ACCESS_MASK | access & ACCESS_MASK);
    }

    /// Bytes of the block and the value behind it, as the allocator rounds them. Constant time.
    pub fn memory_usage(&self) -> usize {
        self.block_bytes()
            + match self.value() {
                ValueRef::Object(value) => value.memory_usage(),
                _ => 0,
            }
    }

    /// Replaces the value; key, deadline and access clock stay. The block is reused if the value
    /// fits and leaves less than half of it empty.
    pub fn set_value(&mut self, value: NewValue<'_>) {
        let value = value.settled();
        self.drop_object();
        self.make_room(value.len(), 0);
        self.store(value);
    }

    /// Changes a collection, and tells whether it is empty afterwards; `None`, and no change, when the value is of another
    /// type.
    #[inline]
    pub fn change_collection<T: Collection, R>(
        &mut self,
        change: impl FnOnce(&mut T) -> R,
    ) -> Option<(R, bool)> {
        let inside = match self.value() {
            ValueRef::Packed(kind, packed) if kind == T::KIND => T::from_packed(packed.to_packed()),
            ValueRef::Ints(ints) => T::from_ints(ints.to_ints()),
            _ => None,
        };
        if let Some(mut collection) = inside {
            let result = change(&mut collection);
            let is_empty = collection.is_empty();
            match collection.into_stored() {
                Stored::Packed(packed) => self.set_value(NewValue::Packed(T::KIND, packed.as_ref())),
                Stored::Ints(ints) => self.set_value(NewValue::Ints(ints.as_ref())),
                Stored::Value(value) => self.set_value(NewValue::Object(Box::new(value))),
            }
            return Some((result, is_empty));
        }
        let collection = T::value_mut(self.object_mut()?)?;
        let result = change(collection);
        Some((result, collection.is_empty()))
    }

    /// Replaces the value by an integer.
    pub fn set_int(&mut self, value: i64) {
        if self.kind() == KIND_INT {
            self.set_word(value as u64);
        } else {
            self.set_value(NewValue::Int(value));
        }
    }

    /// The string's bytes for change in place, encoding `raw` from now on; `None` for other types.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.make_raw();
        match self.kind() {
            KIND_BYTES => {
                let len = self.header().value_len as usize;
                // SAFETY: the value is `len` initialized bytes at `value_at`, borrowed exclusively.
                Some(unsafe { std::slice::from_raw_parts_mut(self.at(self.value_at()), len) })
            }
            _ => self.object_mut()?.as_string_mut().map(Vec::as_mut_slice),
        }
    }

    /// Cuts a string, or extends it with zeros, to `len` bytes. `false`, and no change, for other types.
    pub fn resize(&mut self, len: usize) -> bool {
        self.make_raw();
        if self.kind() == KIND_BYTES {
            if len > INLINE_BYTES_MAX {
                self.move_to_heap(len);
            } else {
                self.resize_inline(len);
                return true;
            }
        }
        let Some(bytes) = self.object_mut().and_then(Value::as_string_mut) else { return false };
        bytes.resize(len, 0);
        true
    }

    /// Appends to a string in amortized constant time per byte and returns the new length; `None`, and
    /// no change, for other types.
    pub fn append(&mut self, tail: &[u8]) -> Option<usize> {
        self.make_raw();
        if self.kind() == KIND_BYTES {
            let old_len = self.header().value_len as usize;
            let len = old_len + tail.len();
            if len <= INLINE_BYTES_MAX {
                self.resize_inline(len);
                // SAFETY: `resize_inline` made the value `len` bytes long; `tail` cannot lie in a block
                // that is borrowed exclusively.
                unsafe {
                    let end = self.at(self.value_at() + old_len);
                    ptr::copy_nonoverlapping(tail.as_ptr(), end, tail.len());
                }
                return Some(len);
            }
            self.move_to_heap(2 * len);
        }
        let bytes = self.object_mut()?.as_string_mut()?;
        bytes.extend_from_slice(tail);
        Some(bytes.len())
    }

    /// The same value, deadline and access clock under another key; the value moves by pointer.
    pub fn with_key(mut self, key: &[u8]) -> Entry {
        let header = self.header();
        let value_len = header.value_len as usize;
        let mut renamed = Entry::allocate(key, self.expire_at(), value_len);
        // SAFETY: both values have `value_len` bytes; an object's pointer moves with them, and the old
        // block forgets it right below.
        unsafe {
            let from = self.at(self.value_at());
            ptr::copy_nonoverlapping(from, renamed.at(renamed.value_at()), value_len);
        }
        renamed.set_meta(header.meta);
        renamed.set_value_len(value_len);
        self.set_kind(KIND_INT);
        renamed
    }

    /// A deep copy under another key, deadline and access clock included. Costs as much as the value is long.
    pub fn duplicate(&self, key: &[u8]) -> Entry {
        let value = match self.value() {
            ValueRef::Int(int) => NewValue::Int(int),
            ValueRef::Bytes(bytes) if self.header().meta & RAW != 0 => NewValue::Raw(bytes),
            ValueRef::Bytes(bytes) => NewValue::Bytes(bytes),
            ValueRef::Packed(kind, packed) => NewValue::Packed(kind, packed),
            ValueRef::Ints(ints) => NewValue::Ints(ints),
            ValueRef::Object(value) => NewValue::Object(Box::new(value.clone())),
        };
        let copy = Entry::new(key, value, self.expire_at());
        copy.set_access(self.access());
        copy
    }

    /// Sets or removes the deadline; may move the block. Kept to this floor, because the database
    /// must learn of every deadline.
    pub(super) fn set_expire(&mut self, expire: Option<i64>) {
        match (self.has_deadline(), expire) {
            (false, Some(_)) => self.open_deadline(),
            (true, None) => self.close_deadline(),
            _ => {}
        }
        if let Some(at_ms) = expire {
            // SAFETY: the block has its deadline field by now.
            unsafe { self.at(HEADER_BYTES).cast::<i64>().write_unaligned(at_ms) }
        }
    }

    /// Whether there is a deadline.
    pub(super) fn has_deadline(&self) -> bool {
        self.header().meta & HAS_DEADLINE != 0
    }

    /// The block, by which the entry can be told from all others. It stays where it is as long as an integer value is
    /// replaced by another one and no deadline comes or goes.
    pub(super) fn block(&self) -> NonNull<u8> {
        self.block
    }

    /// Gives the block up as a pointer, to be taken back by [`Entry::from_block`].
    pub(super) fn into_block(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).block
    }

    /// # Safety
    /// `block` comes from [`Entry::into_block`], and no other entry that is dropped or used mutably
    /// shares it.
    pub(super) unsafe fn from_block(block: NonNull<u8>) -> Entry {
        Entry { block }
    }

    /// A block with key and deadline written and room for `value_len` bytes; its value is not yet valid
    /// (kind `int`, so that dropping it is harmless).
    fn allocate(key: &[u8], expire: Option<i64>, value_len: usize) -> Entry {
        let key_len = u32::try_from(key.len()).expect("a key is shorter than 4 GB");
        let value_at = HEADER_BYTES + if expire.is_some() { DEADLINE_BYTES } else { 0 } + key.len();
        let size = block_size(value_at + value_len);
        let layout = block_layout(size);
        // SAFETY: the layout has a size above zero.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let meta = KIND_INT | if expire.is_some() { HAS_DEADLINE } else { 0 };
        let header = Header { meta, key_len, value_len: 0, value_room: (size - value_at) as u16 };
        let entry = Entry { block };
        // SAFETY: header, deadline and key lie inside the block just allocated.
        unsafe {
            block.cast::<Header>().write(header);
            if let Some(at_ms) = expire {
                entry.at(HEADER_BYTES).cast::<i64>().write_unaligned(at_ms);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), entry.at(value_at - key.len()), key.len());
        }
        entry
    }

    /// Writes a settled value that fits into the room; what was there is overwritten, not dropped.
    fn store(&mut self, value: NewValue<'_>) {
        let len = value.len();
        debug_assert!(len <= self.header().value_room as usize);
        self.set_value_len(len);
        let kind = match value {
            NewValue::Int(int) => {
                self.set_word(int as u64);
                KIND_INT
            }
            NewValue::Bytes(bytes) | NewValue::Raw(bytes) => {
                // SAFETY: the room holds `len` bytes; `bytes` cannot lie in a block borrowed exclusively.
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(self.value_at()), len) }
                let raw = matches!(value, NewValue::Raw(_)) || len > EMBSTR_BYTES_MAX;
                KIND_BYTES | if raw { RAW } else { 0 }
            }
            NewValue::Packed(kind, packed) => self.store_tagged(kind.tag(), packed.as_bytes()),
            NewValue::Ints(ints) => self.store_tagged(INTS_TAG, ints.as_bytes()),
            NewValue::Object(object) => {
                // SAFETY: the room holds a pointer; the box now belongs to the block.
                unsafe {
                    let place = self.at(self.value_at()).cast::<*mut Value>();
                    place.write_unaligned(Box::into_raw(object));
                }
                KIND_OBJECT
            }
        };
        self.set_kind(kind);
    }

    /// Writes the bytes of a collection behind their tag.
    fn store_tagged(&mut self, tag: u8, bytes: &[u8]) -> u32 {
        // SAFETY: the caller made room for the tag and the bytes, which cannot lie in a block borrowed exclusively.
        unsafe {
            let place = self.at(self.value_at());
            place.write(tag);
            ptr::copy_nonoverlapping(bytes.as_ptr(), place.add(1), bytes.len());
        }
        KIND_PACKED
    }

    /// Makes room for a value of `len` bytes and keeps the first `kept` bytes of the present one.
    fn make_room(&mut self, len: usize, kept: usize) {
        let size = block_size(self.value_at() + len);
        let present = self.block_bytes();
        if len <= self.header().value_room as usize && size >= present / 2 {
            return;
        }
        let header = self.header();
        let mut moved = Entry::allocate(self.key(), self.expire_at(), len);
        // SAFETY: both values have room for `kept` bytes.
        unsafe { ptr::copy_nonoverlapping(self.at(self.value_at()), moved.at(moved.value_at()), kept) }
        moved.set_meta(header.meta);
        moved.set_value_len(header.value_len as usize);
        std::mem::swap(self, &mut moved);
        // The old block must not drop what has moved.
        moved.set_kind(KIND_INT);
    }

    /// Turns an integer into its digits and marks a short string as modified.
    fn make_raw(&mut self) {
        match self.value() {
            ValueRef::Int(int) => {
                let mut digits = itoa::Buffer::new();
                self.set_value(NewValue::Raw(digits.format(int).as_bytes()));
            }
            ValueRef::Bytes(_) => self.set_meta(self.header().meta | RAW),
            ValueRef::Packed(..) | ValueRef::Ints(_) | ValueRef::Object(_) => {}
        }
    }

    fn resize_inline(&mut self, len: usize) {
        let old_len = self.header().value_len as usize;
        self.make_room(len, old_len.min(len));
        if len > old_len {
            // SAFETY: the room was made for `len` bytes.
            unsafe { self.at(self.value_at() + old_len).write_bytes(0, len - old_len) }
        }
        self.set_value_len(len);
    }

    /// Moves an inline string to the heap, with room for `capacity` bytes.
    fn move_to_heap(&mut self, capacity: usize) {
        let inline = self.inline();
        let mut bytes = Vec::with_capacity(capacity.max(inline.len()));
        bytes.extend_from_slice(inline);
        self.set_value(NewValue::Object(Box::new(Value::String(bytes))));
    }

    /// Makes room for a deadline before the key: in place if the value leaves enough, else in a new block.
    fn open_deadline(&mut self) {
        let header = self.header();
        let spare = (header.value_room - header.value_len) as usize;
        if spare < DEADLINE_BYTES {
            let mut moved = Entry::allocate(self.key(), Some(0), header.value_len as usize);
            // SAFETY: both values have `value_len` bytes.
            unsafe {
                let from = self.at(self.value_at());
                ptr::copy_nonoverlapping(from, moved.at(moved.value_at()), header.value_len as usize);
            }
            moved.set_meta(header.meta | HAS_DEADLINE);
            moved.set_value_len(header.value_len as usize);
            std::mem::swap(self, &mut moved);
            moved.set_kind(KIND_INT);
            return;
        }
        let used = header.key_len as usize + header.value_len as usize;
        // SAFETY: the value's spare room takes the shift.
        unsafe { ptr::copy(self.at(HEADER_BYTES), self.at(HEADER_BYTES + DEADLINE_BYTES), used) }
        let value_room = header.value_room - DEADLINE_BYTES as u16;
        self.set_header(Header { meta: header.meta | HAS_DEADLINE, value_room, ..header });
    }

    /// Closes the gap that the deadline leaves; the value gets its bytes as room.
    fn close_deadline(&mut self) {
        let header = self.header();
        let used = header.key_len as usize + header.value_len as usize;
        // SAFETY: key and value move down over the deadline, inside the block.
        unsafe { ptr::copy(self.at(HEADER_BYTES + DEADLINE_BYTES), self.at(HEADER_BYTES), used) }
        let value_room = header.value_room + DEADLINE_BYTES as u16;
        self.set_header(Header { meta: header.meta & !HAS_DEADLINE, value_room, ..header });
    }

    /// Drops the object, if there is one, and leaves an integer of no meaning.
    fn drop_object(&mut self) {
        if self.kind() == KIND_OBJECT {
            // SAFETY: the box belongs to this entry, which forgets it right after.
            drop(unsafe { Box::from_raw(self.object()) });
            self.set_kind(KIND_INT);
        }
    }

    fn kind(&self) -> u32 {
        self.header().meta & KIND_MASK
    }

    /// Sets kind and encoding flag; clock and deadline flag stay.
    fn set_kind(&mut self, kind: u32) {
        self.set_meta(self.header().meta & (ACCESS_MASK | HAS_DEADLINE) | kind);
    }

    fn inline(&self) -> &[u8] {
        // SAFETY: a bytes entry has `value_len` initialized bytes at `value_at`.
        unsafe { std::slice::from_raw_parts(self.at(self.value_at()), self.header().value_len as usize) }
    }

    fn object(&self) -> *mut Value {
        // SAFETY: called for object entries only, whose value is a pointer.
        unsafe { self.at(self.value_at()).cast::<*mut Value>().read_unaligned() }
    }

    fn word(&self) -> u64 {
        // SAFETY: called for integer entries only, whose value is eight bytes.
        unsafe { self.at(self.value_at()).cast::<u64>().read_unaligned() }
    }

    fn set_word(&mut self, word: u64) {
        // SAFETY: called when the value is eight bytes long.
        unsafe { self.at(self.value_at()).cast::<u64>().write_unaligned(word) }
    }

    fn header(&self) -> Header {
        // SAFETY: every block starts with an initialized header.
        unsafe { self.block.cast::<Header>().read() }
    }

    fn set_header(&mut self, header: Header) {
        // SAFETY: every block starts with a header; no reference to it exists, all access is by copy.
        unsafe { self.block.cast::<Header>().write(header) }
    }

    fn set_meta(&self, meta: u32) {
        // SAFETY: as `set_header`; `meta` is the header's first field, and entries are not `Sync`.
        unsafe { self.block.cast::<u32>().write(meta) }
    }

    fn set_value_len(&mut self, len: usize) {
        let header = self.header();
        self.set_header(Header { value_len: len as u16, ..header });
    }

    fn key_at(&self) -> usize {
        HEADER_BYTES + if self.has_deadline() { DEADLINE_BYTES } else { 0 }
    }

    fn value_at(&self) -> usize {
        self.key_at() + self.header().key_len as usize
    }

    fn block_bytes(&self) -> usize {
        self.value_at() + self.header().value_room as usize
    }

    /// # Safety
    /// `offset` lies inside the block or at its end.
    unsafe fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: promised by the caller.
        unsafe { self.block.as_ptr().add(offset) }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.drop_object();
        let layout = block_layout(self.block_bytes());
        // SAFETY: the block was allocated with this layout: its size is always what header, deadline,
        // key and room add up to.
        unsafe { dealloc(self.block.as_ptr(), layout) }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("value", &self.value())
            .field("expire_at", &self.expire_at())
            .finish()
    }
}

/// Bytes to allocate for a block that needs `needed`: its whole allocator class, so that the rest is room.
fn block_size(needed: usize) -> usize {
    // Beyond a page the class could leave more room than the header can count.
    if needed <= 4096 { allocation_size(needed) } else { needed.next_multiple_of(BLOCK_ALIGN) }
}

fn block_layout(size: usize) -> Layout {
    Layout::from_size_align(size, BLOCK_ALIGN).expect("a block is smaller than the address space")
}

#[cfg(test)]
#[path = "entry_test.rs"]
mod entry_test;
