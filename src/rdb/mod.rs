//! RDB, the format of Redis's snapshots and of DUMP's payloads.
//!
//! [`write`] makes it of entries and [`lzf`] compresses strings in it; what ends it is a [`Checksum`]. The numbers are in
//! [`format`]. Bytes only: no files, no clock.

mod checksum;
pub mod format;
pub mod lzf;
pub mod write;

pub use checksum::Checksum;
