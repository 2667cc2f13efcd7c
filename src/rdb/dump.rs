//! A value alone, as DUMP makes it and RESTORE takes it: its type and its bytes, two bytes with the version of the format, and
//! the checksum of all that.

use std::sync::atomic::{AtomicBool, Ordering};

use super::checksum::Checksum;
use super::error::RdbError;
use super::format::VERSION_MAX;
use super::read::{RawAccess, RawEntry, decode};
use super::write::{Access, Options, Version, Writer};
use crate::base::clock::UnixMillis;
use crate::config::Config;
use crate::store::Entry;

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// Whether checksums count: a test may look for what becomes of damage that they would tell.
static IS_CHECKED: AtomicBool = AtomicBool::new(true);

/// Whether the checksums of snapshots and dumped values are looked at.
pub(super) fn are_checksums_checked() -> bool {
    IS_CHECKED.load(Ordering::Relaxed)
}

/// Says whether they are, for the whole process.
pub fn check_checksums(is_checked: bool) {
    IS_CHECKED.store(is_checked, Ordering::Relaxed);
}

/// The value of an entry, in the oldest version of the format that can express it.
pub fn dump(entry: &Entry, config: &Config) -> Vec<u8> {
    let version = Version::for_entry(entry);
    let options = Options { version, compresses: config.rdbcompression, access: Access::Omitted };
    let mut out = Vec::new();
    Writer::new(options).push_kind_and_value(&mut out, entry.value());
    out.extend_from_slice(&version.number().to_le_bytes());
    let checksum = Checksum::of(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Bytes that the value of an entry takes in a snapshot.
pub fn written_len(entry: &Entry, config: &Config) -> usize {
    dump(entry, config).len() - 1 - VERSION_BYTES - CHECKSUM_BYTES
}

/// A dumped value whose version and checksum are right.
#[derive(Clone, Copy)]
pub struct Dumped<'a> {
    kind: u8,
    body: &'a [u8],
    version: u16,
}

impl<'a> Dumped<'a> {
    /// Looks at version and checksum; `None` if one of them is wrong, or something is missing.
    pub fn open(payload: &'a [u8]) -> Option<Self> {
        let (checked, checksum) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
        let (value, version) = checked.split_last_chunk::<VERSION_BYTES>()?;
        let version = u16::from_le_bytes(*version);
        let is_right = !are_checksums_checked() || Checksum::of(checked) == u64::from_le_bytes(*checksum);
        let (&kind, body) = value.split_first()?;
        (version <= VERSION_MAX && is_right).then_some(Self { kind, body, version })
    }

    /// The version of the format.
    pub fn version(self) -> u16 {
        self.version
    }

    /// Makes an entry of it.
    pub fn restore(
        self,
        key: &[u8],
        expire_ms: Option<UnixMillis>,
        access: RawAccess,
        config: &Config,
        now: UnixMillis,
    ) -> Result<Entry, RdbError> {
        let (key, body) = (key.to_vec(), self.body.to_vec());
        decode(&RawEntry { expire_ms, access, kind: self.kind, key, body, offset: 0 }, config, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_redis_dumps() {
        let config = Config::default();
        let entry = Entry::new_string(b"k", b"10", None);
        // The bytes that Redis 7.0 answers for the same value.
        assert_eq!(dump(&entry, &config), b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb");
    }

    #[test]
    fn opens_what_is_whole() {
        let config = Config::default();
        let payload = dump(&Entry::new_string(b"k", b"value", None), &config);
        let entry = Dumped::open(&payload)
            .and_then(|dumped| dumped.restore(b"other", Some(5), RawAccess::Unknown, &config, 0).ok())
            .expect("whole");
        assert_eq!((entry.key(), entry.expire_at(), entry.string_len()), (&b"other"[..], Some(5), Some(5)));
        for at in 0..payload.len() {
            let mut broken = payload.clone();
            broken[at] ^= 1;
            assert!(Dumped::open(&broken).is_none());
            assert!(Dumped::open(&payload[..at]).is_none());
        }
        let mut newer = payload[..payload.len() - 10].to_vec();
        newer.extend_from_slice(&13u16.to_le_bytes());
        let checksum = Checksum::of(&newer);
        newer.extend_from_slice(&checksum.to_le_bytes());
        assert!(Dumped::open(&newer).is_none());
    }
}
