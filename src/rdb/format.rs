//! The numbers of the format: types of values and codes of what else stands between them.

/// The first bytes of every snapshot; four digits of a version follow.
pub const MAGIC: &[u8; 5] = b"REDIS";
/// The newest version that can be read.
pub const VERSION_MAX: u16 = 12;

/// What a value is and how it is written.
pub mod kind {
    /// A string.
    pub const STRING: u8 = 0;
    /// A list as strings.
    pub const LIST: u8 = 1;
    /// A set as strings.
    pub const SET: u8 = 2;
    /// A sorted set with scores in decimal.
    pub const SORTED_SET: u8 = 3;
    /// A hash as strings.
    pub const HASH: u8 = 4;
    /// A sorted set with scores in binary.
    pub const SORTED_SET_2: u8 = 5;
    /// A module's value as release candidates of Redis 4 wrote it.
    pub const MODULE: u8 = 6;
    /// A module's value.
    pub const MODULE_2: u8 = 7;
    /// A hash as one zipmap.
    pub const HASH_ZIPMAP: u8 = 9;
    /// A list as one ziplist.
    pub const LIST_ZIPLIST: u8 = 10;
    /// A set as sorted integers.
    pub const SET_INTSET: u8 = 11;
    /// A sorted set as one ziplist.
    pub const SORTED_SET_ZIPLIST: u8 = 12;
    /// A hash as one ziplist.
    pub const HASH_ZIPLIST: u8 = 13;
    /// A list as ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    /// A stream of Redis 5.
    pub const STREAM: u8 = 15;
    /// A hash as one listpack.
    pub const HASH_LISTPACK: u8 = 16;
    /// A sorted set as one listpack.
    pub const SORTED_SET_LISTPACK: u8 = 17;
    /// A list as listpacks.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// A stream of Redis 7.0.
    pub const STREAM_2: u8 = 19;
    /// A set as one listpack.
    pub const SET_LISTPACK: u8 = 20;
    /// A stream of Redis 7.2.
    pub const STREAM_3: u8 = 21;
    /// A hash as strings with deadlines, as release candidates of Redis 7.4 wrote it.
    pub const HASH_DEADLINES_EARLY: u8 = 22;
    /// A hash as one listpack with deadlines, as release candidates of Redis 7.4 wrote it.
    pub const HASH_LISTPACK_DEADLINES_EARLY: u8 = 23;
    /// A hash as strings with deadlines.
    pub const HASH_DEADLINES: u8 = 24;
    /// A hash as one listpack with deadlines.
    pub const HASH_LISTPACK_DEADLINES: u8 = 25;
}

/// What else stands in a snapshot.
pub mod code {
    /// How many keys one slot has.
    pub const SLOT_INFO: u8 = 244;
    /// A library of functions.
    pub const FUNCTION: u8 = 245;
    /// A library of functions as release candidates of Redis 7 wrote it.
    pub const FUNCTION_EARLY: u8 = 246;
    /// What a module keeps beside the keys.
    pub const MODULE_AUX: u8 = 247;
    /// Seconds since the next key was used.
    pub const IDLE: u8 = 248;
    /// How often the next key is used.
    pub const FREQUENCY: u8 = 249;
    /// A field about the snapshot itself.
    pub const AUX: u8 = 250;
    /// How many keys follow.
    pub const RESIZE: u8 = 251;
    /// The next key's deadline in milliseconds.
    pub const EXPIRE_MS: u8 = 252;
    /// The next key's deadline in seconds.
    pub const EXPIRE: u8 = 253;
    /// The database of the keys that follow.
    pub const SELECT: u8 = 254;
    /// The end.
    pub const END: u8 = 255;
}

/// The high bits of the first byte of a length.
pub mod length {
    /// Six bits.
    pub const SIX: u8 = 0;
    /// Fourteen bits.
    pub const FOURTEEN: u8 = 1;
    /// No length but a string in another form.
    pub const SPECIAL: u8 = 3;
    /// Four bytes follow; as a whole byte.
    pub const FOUR_BYTES: u8 = 0x80;
    /// Eight bytes follow; as a whole byte.
    pub const EIGHT_BYTES: u8 = 0x81;
}

/// The forms of a string that has no length in front, as whole bytes.
pub mod string {
    /// An integer of one byte.
    pub const INT_8: u8 = 0xc0;
    /// An integer of two bytes.
    pub const INT_16: u8 = 0xc1;
    /// An integer of four bytes.
    pub const INT_32: u8 = 0xc2;
    /// A compressed string.
    pub const COMPRESSED: u8 = 0xc3;
}

/// What stands in front of each part of a module's data.
pub mod module {
    /// The end.
    pub const END: u64 = 0;
    /// A signed number.
    pub const INT: u64 = 1;
    /// A number.
    pub const UINT: u64 = 2;
    /// Four bytes.
    pub const FLOAT: u64 = 3;
    /// Eight bytes.
    pub const DOUBLE: u64 = 4;
    /// A string.
    pub const STRING: u64 = 5;
}

/// Nodes of a list.
pub mod container {
    /// One element as it is.
    pub const PLAIN: u64 = 1;
    /// A listpack.
    pub const PACKED: u64 = 2;
}

/// Flags of an entry of a stream.
pub mod stream {
    /// It is deleted.
    pub const DELETED: i64 = 1;
    /// Its names are those at the beginning of the node.
    pub const SAME_NAMES: i64 = 2;
}

/// Bytes around the entries of a listpack: its size, its length, and the end.
pub const LISTPACK_HEAD_BYTES: usize = 6;
/// Ends a listpack.
pub const LISTPACK_END: u8 = 0xff;
/// Stands for a length that must be counted.
pub const LISTPACK_LENGTH_UNKNOWN: u16 = u16::MAX;
