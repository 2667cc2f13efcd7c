//! The numbers under which a stream keeps its entries.

use std::fmt;

/// What an entry of a stream is called: milliseconds and a number within the millisecond, shown as `ms-seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, or whatever the client made of it.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The least of all, which no entry ever has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The greatest of all.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// An id of its two parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id right after this one; none after the greatest.
    pub const fn next(self) -> Option<Self> {
        match (self.ms.checked_add(1), self.seq.checked_add(1)) {
            (_, Some(seq)) => Some(Self { ms: self.ms, seq }),
            (Some(ms), None) => Some(Self { ms, seq: 0 }),
            (None, None) => None,
        }
    }

    /// The id right before this one; none before the least.
    pub const fn previous(self) -> Option<Self> {
        match (self.ms.checked_sub(1), self.seq.checked_sub(1)) {
            (_, Some(seq)) => Some(Self { ms: self.ms, seq }),
            (Some(ms), None) => Some(Self { ms, seq: u64::MAX }),
            (None, None) => None,
        }
    }

    /// Its text, without an allocation.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; IdText::BYTES_MAX], length: 0 };
        let mut digits = itoa::Buffer::new();
        text.push(digits.format(self.ms).as_bytes());
        text.push(b"-");
        text.push(digits.format(self.seq).as_bytes());
        text
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The text of a [`StreamId`].
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; Self::BYTES_MAX],
    length: usize,
}

impl IdText {
    /// Two numbers of twenty digits and the dash.
    const BYTES_MAX: usize = 41;

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours() {
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).previous(), Some(StreamId::new(1, u64::MAX)));
        assert_eq!(StreamId::new(7, 7).next(), Some(StreamId::new(7, 8)));
        assert_eq!((StreamId::MIN.previous(), StreamId::MAX.next()), (None, None));
        assert_eq!(StreamId::new(u64::MAX, 3).next(), Some(StreamId::new(u64::MAX, 4)));
    }

    #[test]
    fn texts() {
        assert_eq!(StreamId::MAX.text().as_ref(), b"18446744073709551615-18446744073709551615");
        assert_eq!(StreamId::MIN.text().as_ref(), b"0-0");
        assert_eq!(StreamId::new(12, 3).to_string(), "12-3");
    }
}
