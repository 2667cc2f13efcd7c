//! Slots and their owners: the only place that knows how a key finds its shard.
//!
//! `slot = CRC16(hash tag or key) mod 16384` as the Redis Cluster specification defines it (CRC-16/XMODEM),
//! and contiguous slot ranges per shard.

/// Number of hash slots of a Redis cluster.
pub const SLOTS: usize = 16384;

/// The index of a shard, from zero.
pub type ShardId = usize;

/// `CRC16_TABLES[n][byte]` is the checksum of `byte` followed by `n` zero bytes (slicing by eight, M. Kounavis and
/// F. Berry, "A Systematic Approach to Building High Performance Software-Based CRC Generators", 2005).
static CRC16_TABLES: [[u16; 256]; 8] = crc16_tables();

const fn crc16_tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let shorter = tables[zeros - 1][byte];
            tables[zeros][byte] = (shorter << 8) ^ tables[0][(shorter >> 8) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// CRC-16/XMODEM of `bytes`.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let [high, low] = crc.to_be_bytes();
        crc = CRC16_TABLES[7][usize::from(eight[0] ^ high)]
            ^ CRC16_TABLES[6][usize::from(eight[1] ^ low)]
            ^ CRC16_TABLES[5][usize::from(eight[2])]
            ^ CRC16_TABLES[4][usize::from(eight[3])]
            ^ CRC16_TABLES[3][usize::from(eight[4])]
            ^ CRC16_TABLES[2][usize::from(eight[5])]
            ^ CRC16_TABLES[1][usize::from(eight[6])]
            ^ CRC16_TABLES[0][usize::from(eight[7])];
    }
    rest.iter().fold(crc, |crc, &byte| (crc << 8) ^ CRC16_TABLES[0][usize::from((crc >> 8) as u8 ^ byte)])
}

/// The part of `key` that is hashed: what stands between the first `{` and the next `}`, unless that is empty.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    match key[open + 1..].iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(length) => &key[open + 1..open + 1 + length],
    }
}

/// The slot of `key`.
#[inline]
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) & (SLOTS as u16 - 1)
}

/// Which shard owns which slots.
#[derive(Clone, Debug)]
pub struct SlotMap {
    first_slots: Vec<u16>,
    owners: Box<[u8]>,
}

impl SlotMap {
    /// Contiguous ranges over `shards` shards; shard zero takes `zero_share_percent` of an equal share.
    pub fn new(shards: usize, zero_share_percent: u32) -> Self {
        assert!((1..=256).contains(&shards), "between 1 and 256 shards");
        let zero = if shards == 1 {
            SLOTS
        } else {
            (SLOTS * zero_share_percent.clamp(1, 100) as usize / (100 * shards)).max(1)
        };
        let rest = SLOTS - zero;
        let mut first_slots = vec![0u16];
        for shard in 1..shards {
            first_slots.push((zero + rest * (shard - 1) / (shards - 1)) as u16);
        }
        let mut owners = vec![0u8; SLOTS].into_boxed_slice();
        for (slot, owner) in owners.iter_mut().enumerate() {
            *owner = (first_slots.partition_point(|&first| usize::from(first) <= slot) - 1) as u8;
        }
        Self { first_slots, owners }
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.first_slots.len()
    }

    /// The shard that owns `slot`.
    #[inline]
    pub fn owner(&self, slot: u16) -> ShardId {
        usize::from(self.owners[usize::from(slot) & (SLOTS - 1)])
    }

    /// The shard that owns `key`.
    #[inline]
    pub fn owner_of_key(&self, key: &[u8]) -> ShardId {
        if self.first_slots.len() == 1 { 0 } else { self.owner(slot_of(key)) }
    }

    /// First and last slot of `shard`.
    pub fn range(&self, shard: ShardId) -> (u16, u16) {
        let last = self.first_slots.get(shard + 1).map_or(SLOTS as u16 - 1, |&next| next - 1);
        (self.first_slots[shard], last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc16_matches_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12182);
        let bytes: Vec<u8> = (0..40u8).map(|byte| byte.wrapping_mul(37)).collect();
        for length in 0..bytes.len() {
            let mut bitwise = 0u16;
            for &byte in &bytes[..length] {
                bitwise ^= u16::from(byte) << 8;
                for _ in 0..8 {
                    bitwise = if bitwise & 0x8000 != 0 { (bitwise << 1) ^ 0x1021 } else { bitwise << 1 };
                }
            }
            assert_eq!(crc16(&bytes[..length]), bitwise);
        }
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
    }

    #[test]
    fn hash_tags() {
        assert_eq!(hash_tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(hash_tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(hash_tag(b"foo{bar}{zap}"), b"bar");
        assert_eq!(hash_tag(b"foo{bar"), b"foo{bar");
    }

    #[test]
    fn ranges_cover_all_slots_once() {
        for shards in [1, 2, 3, 4, 7, 64, 256] {
            for share in [1, 50, 100] {
                let map = SlotMap::new(shards, share);
                let mut next = 0usize;
                for shard in 0..shards {
                    let (first, last) = map.range(shard);
                    assert_eq!(usize::from(first), next);
                    assert!(last >= first);
                    assert_eq!(map.owner(first), shard);
                    assert_eq!(map.owner(last), shard);
                    next = usize::from(last) + 1;
                }
                assert_eq!(next, SLOTS);
            }
        }
    }
}
