//! The checksum of the format: the CRC of 64 bits with Jones's coefficients.

use crc::{CRC_64_REDIS, Crc, Digest, Table};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The checksum of bytes that come piece by piece.
#[derive(Clone)]
pub struct Checksum(Digest<'static, u64, Table<16>>);

impl Default for Checksum {
    fn default() -> Self {
        Self(CRC.digest())
    }
}

impl Checksum {
    /// The checksum of `bytes` alone.
    pub fn of(bytes: &[u8]) -> u64 {
        CRC.checksum(bytes)
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all pieces so far.
    pub fn value(&self) -> u64 {
        self.0.clone().finalize()
    }

    /// The checksum as it stands at the end of a snapshot or of a dumped value.
    pub fn bytes(&self) -> [u8; 8] {
        self.value().to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_one_of_redis() {
        assert_eq!(Checksum::of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let mut pieces = Checksum::default();
        assert_eq!(pieces.value(), 0);
        [&b"12345"[..], b"", b"6789"].into_iter().for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.value(), Checksum::of(b"123456789"));
    }
}
