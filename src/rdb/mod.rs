//! RDB, the format of Redis's snapshots and of DUMP's payloads.
//!
//! [`write`] makes it of entries and [`lzf`] compresses strings in it; what ends it is a [`Checksum`]. [`read`] splits it into
//! records, whose values are decoded apart from that. [`Dumped`] is a value alone, and [`Digest`] tells whether two datasets are
//! equal. The numbers are in [`format`]. Bytes only: no files, no clock.

mod checksum;
mod digest;
mod dump;
mod error;
pub mod format;
pub mod lzf;
pub mod read;
pub mod write;

pub use checksum::Checksum;
pub use digest::Digest;
pub use dump::{Dumped, check_checksums, dump, written_len};
pub use error::RdbError;
pub use read::{Raw, RawAccess, RawEntry, Record, Records, decode, decode_raw};
