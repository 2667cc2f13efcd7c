//! The keyspace: values, entries, tables of them, and databases.
//!
//! From the bottom up: [`value`] (what does not fit an entry), [`entry`] (a key with its value and deadline),
//! [`table`] (entries by key), [`expire`] (which deadlines come next), [`database`] (all of it behind one
//! door). No clock, no commands and no other shard in here.

mod bucket;
pub mod database;
mod directory;
pub mod entry;
pub mod expire;
mod prefetch;
mod segment;
pub mod size_class;
pub mod table;
pub mod value;

pub use database::Database;
pub use entry::{Entry, NewValue, ValueRef};
pub use table::{EntryMut, EntryRef, Table};
pub use value::Value;
