//! Conditions on a string's present value: IFEQ, IFNE, IFDEQ, IFDNE of SET and DELEX, as Redis 8.4 has them.

use xxhash_rust::xxh3::xxh3_64;

const BAD_DIGEST: &str = "ERR must be exactly 16 hexadecimal characters";
const DIGEST_DIGITS: usize = 16;

/// A condition and what it compares with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'a> {
    by_digest: bool,
    wants_equal: bool,
    operand: &'a [u8],
}

impl<'a> Condition<'a> {
    /// The condition of that name, whatever its case.
    pub fn new(name: &[u8], operand: &'a [u8]) -> Option<Self> {
        let (by_digest, wants_equal) = match name {
            _ if name.eq_ignore_ascii_case(b"IFEQ") => (false, true),
            _ if name.eq_ignore_ascii_case(b"IFNE") => (false, false),
            _ if name.eq_ignore_ascii_case(b"IFDEQ") => (true, true),
            _ if name.eq_ignore_ascii_case(b"IFDNE") => (true, false),
            _ => return None,
        };
        Some(Self { by_digest, wants_equal, operand })
    }

    /// Whether SET stores when there is no value to compare with.
    pub fn holds_without_value(&self) -> bool {
        !self.wants_equal
    }

    /// Whether `value` meets it, or the error for a digest of the wrong form. Only the length is checked: other
    /// letters just are no equal digest.
    pub fn holds(&self, value: &[u8]) -> Result<bool, &'static str> {
        let equal = if self.by_digest {
            if self.operand.len() != DIGEST_DIGITS {
                return Err(BAD_DIGEST);
            }
            digest(value).as_bytes().eq_ignore_ascii_case(self.operand)
        } else {
            value == self.operand
        };
        Ok(equal == self.wants_equal)
    }
}

/// The XXH3 64-bit hash of `value` as DIGEST shows it.
pub(super) fn digest(value: &[u8]) -> String {
    format!("{:016x}", xxh3_64(value))
}
