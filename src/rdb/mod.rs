//! RDB, the format of Redis's snapshots and of DUMP's payloads.
//!
//! [`write`] makes it of entries and [`lzf`] compresses strings in it; what ends it is a [`Checksum`]. [`read`] splits it into
//! records, whose values are decoded apart from that. The numbers are in [`format`]. Bytes only: no files, no clock.

mod checksum;
mod error;
pub mod format;
pub mod lzf;
pub mod read;
pub mod write;

pub use checksum::Checksum;
pub use error::RdbError;
pub use read::{RawAccess, RawEntry, Record, Records, decode};
