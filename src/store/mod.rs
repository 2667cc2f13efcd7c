//! The keyspace: values, entries, tables of them, and databases.
//!
//! From the bottom up: [`packed`] (small collections), [`listpack`] (the bytes of lists), [`set`] and the other types, [`value`] (what does not fit an entry), [`entry`] (a key with its value and deadline),
//! [`table`] (entries by key), [`expire`] (which deadlines come next), [`database`] (all of it behind one
//! door), [`graveyard`] (what is to be freed), [`evict`] (what goes when memory is short), [`keyspace`] (all
//! databases of a shard). No clock, no commands and no other shard in here.

pub mod access;
mod bucket;
pub mod cut;
pub mod database;
pub mod deadlines;
mod directory;
pub mod entry;
pub mod evict;
pub mod expire;
pub mod graveyard;
pub mod hash;
mod incoming;
pub mod keyspace;
pub mod list;
pub mod listpack;
mod local;
pub mod packed;
mod prefetch;
mod segment;
pub mod set;
pub mod size_class;
pub mod sorted_set;
pub mod stream;
pub mod table;
pub mod value;

pub use database::Database;
pub use entry::{Entry, NewValue, ValueRef};
pub use table::{EntryMut, EntryRef, Table};
pub use value::Value;
