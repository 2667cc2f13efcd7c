//! The values too large, or of too rich a type, to live inside an entry's own block.
//!
//! An entry holds such a value as a `Box<Value>`, so it moves between keys and shards by pointer.
//! What the types do lives beside them; no keys and no deadlines here.

use super::size_class::allocation_size;

/// A value on the heap. Each variant answers its size in constant time, because memory is counted
/// whenever an entry changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string longer than an entry keeps inline, with room to grow for APPEND.
    String(Vec<u8>),
}

impl Value {
    /// The name TYPE answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
        }
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match self {
            Value::String(_) => "raw",
        }
    }

    /// Heap bytes of the value and of its box, as the allocator rounds them. Constant time.
    pub fn memory_usage(&self) -> usize {
        let content = match self {
            Value::String(bytes) => allocation_size(bytes.capacity()),
        };
        allocation_size(size_of::<Value>()) + content
    }
}

const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Value>();
};
