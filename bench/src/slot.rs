//! Hash slots as Redis Cluster defines them: CRC16, hash tags, sets of slots, and the slot of a key whose
//! twelve digits vary. Knows nothing of sockets or requests.

/// How many slots a cluster has.
pub const SLOT_COUNT: usize = 16384;

const CRC16: [u16; 256] = crc16_table();

/// Table of CRC16/XMODEM (polynomial 0x1021, initial value 0), the sum that the Redis Cluster specification names.
const fn crc16_table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn crc16(bytes: impl IntoIterator<Item = u8>) -> u16 {
    bytes.into_iter().fold(0, |crc, byte| (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)])
}

/// The part of a key that is hashed: what stands between the first `{` and the next `}` unless that is empty.
fn hashed_range(key: &[u8]) -> std::ops::Range<usize> {
    let whole = 0..key.len();
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return whole };
    match key[open + 1..].iter().position(|&byte| byte == b'}') {
        None | Some(0) => whole,
        Some(length) => open + 1..open + 1 + length,
    }
}

/// A set of slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotSet(Box<[u64; SLOT_COUNT / 64]>);

impl SlotSet {
    /// No slot at all.
    pub fn empty() -> Self {
        Self(Box::new([0; SLOT_COUNT / 64]))
    }

    /// Every slot.
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; SLOT_COUNT / 64]))
    }

    /// The slots `low..=high`, as `LOW-HIGH` or one `SLOT`.
    ///
    /// # Errors
    /// When the text is no such range or reaches beyond the last slot.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let bound = |part: &str| part.parse::<u16>().map_err(|_| format!("'{text}' is not a range of slots"));
        let (low, high) = (bound(low)?, bound(high)?);
        if low > high || usize::from(high) >= SLOT_COUNT {
            return Err(format!("'{text}' is not a range of slots"));
        }
        let mut set = Self::empty();
        set.insert_range(low, high);
        Ok(set)
    }

    /// Adds the slots `low..=high`; both must be below [`SLOT_COUNT`].
    pub fn insert_range(&mut self, low: u16, high: u16) {
        for slot in low..=high {
            self.0[usize::from(slot / 64)] |= 1 << (slot % 64);
        }
    }

    /// Whether `slot` is in the set.
    pub fn contains(&self, slot: u16) -> bool {
        self.0[usize::from(slot / 64)] >> (slot % 64) & 1 == 1
    }

    /// What is in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
        both
    }

    /// Whether every slot is in the set.
    pub fn is_all(&self) -> bool {
        *self == Self::all()
    }
}

/// The slot of a key of which only twelve decimal digits vary.
///
/// CRC16 with initial value 0 is linear over XOR, so the sum of such a key is the sum of the key with zeros for
/// digits, XORed with one term for each group of three digits: four table look-ups whatever the key's length.
pub struct DigitHash {
    base: u16,
    groups: Box<[[u16; 1000]; 4]>,
}

impl DigitHash {
    /// `key` carries twelve `0` digits at `digits_at`.
    pub fn new(key: &[u8], digits_at: usize) -> Self {
        let hashed = hashed_range(key);
        let mut groups = Box::new([[0; 1000]; 4]);
        if hashed.contains(&digits_at) {
            let following = hashed.end - digits_at;
            for (group, terms) in groups.iter_mut().enumerate() {
                let zeros_after = following - 3 * group - 3;
                for (value, term) in (0u16..).zip(terms.iter_mut()) {
                    let digits = [value / 100, value / 10 % 10, value % 10].map(|digit| digit as u8);
                    *term = crc16(digits.into_iter().chain(std::iter::repeat_n(0, zeros_after)));
                }
            }
        }
        Self { base: crc16(key[hashed].iter().copied()), groups }
    }

    /// The slot of the key whose digits are these four groups of three, the most significant first.
    pub fn slot(&self, digits: [u16; 4]) -> u16 {
        let terms = self.groups.iter().zip(digits).map(|(terms, digits)| terms[usize::from(digits)]);
        terms.fold(self.base, |crc, term| crc ^ term) % SLOT_COUNT as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(key: &[u8]) -> u16 {
        crc16(key[hashed_range(key)].iter().copied()) % SLOT_COUNT as u16
    }

    #[test]
    fn slots_of_known_keys() {
        assert_eq!(crc16(*b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"bar"), 5061);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(*b"foo{}{bar}") % 16384);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    #[test]
    fn digit_hash_agrees_with_the_plain_sum() {
        for (before, after) in [("key:", ""), ("a:", ":tail"), ("{tag}:", ""), ("{x:", "}y"), ("", "{fixed}")]
        {
            let zeros = format!("{before}{:012}{after}", 0);
            let hash = DigitHash::new(zeros.as_bytes(), before.len());
            for number in [0u64, 1, 999, 1000, 123_456, 987_654_321_012, 999_999_999_999] {
                let key = format!("{before}{number:012}{after}");
                let groups = [number / 1_000_000_000, number / 1_000_000, number / 1000, number];
                assert_eq!(
                    hash.slot(groups.map(|group| (group % 1000) as u16)),
                    slot(key.as_bytes()),
                    "{key}"
                );
            }
        }
    }

    #[test]
    fn sets() {
        let low = SlotSet::parse("0-8191").unwrap();
        assert!(low.contains(0) && low.contains(8191) && !low.contains(8192));
        assert!(SlotSet::parse("0-16383").unwrap().is_all());
        assert_eq!(low.intersection(&SlotSet::parse("8192-16383").unwrap()), SlotSet::empty());
        assert!(
            SlotSet::parse("16384").is_err()
                && SlotSet::parse("5-4").is_err()
                && SlotSet::parse("x").is_err()
        );
    }
}
