//! Why a snapshot or a dumped value cannot be read.

use std::io;

use super::format::{code, kind};

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum RdbError {
    /// It cannot be read on, or ends too early.
    #[error("cannot read on at byte {offset}: {source}")]
    Io {
        /// How far it was read.
        offset: u64,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("it does not begin with REDIS and the number of a version")]
    Signature,
    /// It is of a version that nobody knew yet.
    #[error("it has version {0} of the format, which is not known")]
    Version(u32),
    /// Something stands in it that nobody knew yet.
    #[error("opcode {code} at byte {offset} is not known")]
    Code {
        /// The unknown code.
        code: u8,
        /// Where it stands.
        offset: u64,
    },
    /// A value that only a module of Redis could read.
    #[error("opcode {code} at byte {offset} is a module's value, and modules are not supported")]
    Module {
        /// Which of the two forms.
        code: u8,
        /// Where it stands.
        offset: u64,
    },
    /// Something that its code does not allow.
    #[error("{name} integrity check failed: {what} (opcode {code} at byte {offset})", name = name_of(*.code))]
    Damaged {
        /// The code of what is damaged.
        code: u8,
        /// Where that begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A collection without elements, as earlier versions of Redis wrote by mistake; Redis leaves such a key out.
    #[error("the key is without elements")]
    Empty,
    /// Some byte is not what was written.
    #[error("RDB CRC error: its checksum is {found:016x}, but the bytes have {expected:016x}")]
    Checksum {
        /// That of the bytes.
        expected: u64,
        /// That at the end.
        found: u64,
    },
}

/// What a code stands for, in the words of Redis.
fn name_of(code: u8) -> &'static str {
    match code {
        kind::STRING => "String",
        kind::LIST => "List",
        kind::SET => "Set",
        kind::SORTED_SET | kind::SORTED_SET_2 => "Zset",
        kind::HASH | kind::HASH_DEADLINES | kind::HASH_DEADLINES_EARLY => "Hash",
        kind::HASH_ZIPMAP => "Zipmap",
        kind::LIST_ZIPLIST => "List ziplist",
        kind::SET_INTSET => "Intset",
        kind::SORTED_SET_ZIPLIST => "Zset ziplist",
        kind::HASH_ZIPLIST => "Hash ziplist",
        kind::LIST_QUICKLIST => "Ziplist",
        kind::LIST_QUICKLIST_2 => "Listpack",
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => "Stream listpack",
        kind::SET_LISTPACK => "Set listpack",
        kind::SORTED_SET_LISTPACK => "Zset listpack",
        kind::HASH_LISTPACK | kind::HASH_LISTPACK_DEADLINES | kind::HASH_LISTPACK_DEADLINES_EARLY => {
            "Hash listpack"
        }
        code::AUX => "Aux field",
        code::FUNCTION => "Function",
        code::MODULE_AUX => "Module aux data",
        _ => "Record",
    }
}

/// What is wrong, while it is not known where.
#[derive(Debug)]
pub(super) enum Fault {
    /// It cannot be read on.
    Io(io::Error),
    /// It is not what it should be.
    Damaged(&'static str),
    /// It has no elements.
    Empty,
}

impl Fault {
    /// The error, now that the code and its place are known.
    pub(super) fn at(self, code: u8, offset: u64) -> RdbError {
        match self {
            Fault::Io(source) => RdbError::Io { offset, source },
            Fault::Damaged(what) => RdbError::Damaged { code, offset, what },
            Fault::Empty => RdbError::Empty,
        }
    }
}
