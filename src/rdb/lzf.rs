//! LZF, the compression of strings in snapshots (its format: oldhome.schmorp.de/marc/liblzf.html).
//!
//! A control byte below 32 is followed by one more literal byte than it says. In any other one the three high bits are the
//! length of a copy less 2, where 7 says that a byte with more of it follows, and the low five bits, before another byte,
//! its distance back less 1.

const LITERALS_MAX: usize = 32;
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
const DISTANCE_MAX: usize = 1 << 13;

/// Entries of the table: 32 KB, so that it stays in the nearest cache.
const TABLE_BITS: u32 = 13;

/// Compresses strings one after another.
///
/// The table has where each group of three bytes was seen last, counted over all strings so far: what lies before the present
/// one was seen in another, so that the table need not be emptied between them.
pub struct Compressor {
    seen: Box<[u32]>,
    base: u32,
    out: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { seen: vec![0; 1 << TABLE_BITS].into_boxed_slice(), base: 1, out: Vec::new() }
    }
}

impl Compressor {
    /// The compressed form of `text`, if that saves at least four bytes, as Redis wants it.
    pub fn compress(&mut self, text: &[u8]) -> Option<&[u8]> {
        let length = u32::try_from(text.len()).ok()?;
        let room = text.len().checked_sub(4)?;
        if self.base.checked_add(length).is_none() {
            self.seen.fill(0);
            self.base = 1;
        }
        let is_shorter = self.squeeze(text, room);
        // Wraps never: a string that would was given a fresh table above, and one of 4 GB has no room in it.
        self.base = self.base.saturating_add(length);
        is_shorter.then_some(self.out.as_slice())
    }

    /// Compresses into `out`; `false` if that would take more than `room` bytes.
    fn squeeze(&mut self, text: &[u8], room: usize) -> bool {
        self.out.clear();
        let (mut at, mut literals_from) = (0, 0);
        while at + COPY_MIN <= text.len() {
            let place = slot([text[at], text[at + 1], text[at + 2]]);
            let seen = std::mem::replace(&mut self.seen[place], self.base + at as u32);
            let from = seen.wrapping_sub(self.base) as usize;
            let is_copy =
                seen >= self.base && at - from <= DISTANCE_MAX && text[from..from + 3] == text[at..at + 3];
            if !is_copy {
                at += 1;
                // What is copied cannot make up any more for so many literals.
                if self.out.len() + (at - literals_from) > room {
                    return false;
                }
                continue;
            }
            let longest = COPY_MAX.min(text.len() - at);
            let length = (COPY_MIN..longest).find(|&length| text[from + length] != text[at + length]);
            let length = length.unwrap_or(longest);
            self.push_literals(&text[literals_from..at]);
            self.push_copy(at - from, length);
            at += length;
            literals_from = at;
            // So that a repetition that begins at the end of this one is found.
            if at + 1 < text.len() {
                let last = at - 1;
                self.seen[slot([text[last], text[at], text[at + 1]])] = self.base + last as u32;
            }
        }
        self.push_literals(&text[literals_from..]);
        self.out.len() <= room
    }

    fn push_literals(&mut self, literals: &[u8]) {
        for run in literals.chunks(LITERALS_MAX) {
            self.out.push(run.len() as u8 - 1);
            self.out.extend_from_slice(run);
        }
    }

    fn push_copy(&mut self, distance: usize, length: usize) {
        let (offset, rest) = (distance - 1, length - 2);
        let high = (offset >> 8) as u8;
        if rest < 7 {
            self.out.push((rest as u8) << 5 | high);
        } else {
            self.out.extend_from_slice(&[7 << 5 | high, (rest - 7) as u8]);
        }
        self.out.push(offset as u8);
    }
}

fn slot(bytes: [u8; 3]) -> usize {
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    (word.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS)) as usize
}

/// The text of a compressed string, which must be `length` bytes long. Allocates no more than the compressed bytes can
/// stand for.
pub fn decompress(compressed: &[u8], length: usize) -> Option<Vec<u8>> {
    // Two bytes may stand for 264 at most, and so may three.
    if length > compressed.len().saturating_mul(COPY_MAX) {
        return None;
    }
    let mut text = Vec::with_capacity(length);
    let mut rest = compressed.iter().as_slice();
    while let Some((&control, tail)) = rest.split_first() {
        let control = control as usize;
        rest = tail;
        if control < LITERALS_MAX {
            let (run, tail) = rest.split_at_checked(control + 1)?;
            text.extend_from_slice(run);
            rest = tail;
        } else {
            let mut copied = (control >> 5) + 2;
            if control >> 5 == 7 {
                let (&more, tail) = rest.split_first()?;
                copied += more as usize;
                rest = tail;
            }
            let (&low, tail) = rest.split_first()?;
            rest = tail;
            let distance = ((control & 0x1f) << 8 | low as usize) + 1;
            let from = text.len().checked_sub(distance)?;
            if text.len() + copied > length {
                return None;
            }
            if distance >= copied {
                text.extend_from_within(from..from + copied);
            } else {
                // It copies what it has just copied.
                (from..from + copied).for_each(|at| text.push(text[at]));
            }
        }
        if text.len() > length {
            return None;
        }
    }
    (text.len() == length).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_bytes() {
        assert_eq!(decompress(&[0, b'a', 0xe0, 9, 0], 19).as_deref(), Some(&[b'a'; 19][..]));
        assert_eq!(decompress(&[2, b'a', b'b', b'c', 0x20, 2], 6).as_deref(), Some(&b"abcabc"[..]));
        for broken in [&[0][..], &[0, b'a', 0x20], &[0, b'a', 0xe0], &[0, b'a', 0x20, 1], &[5, b'a']] {
            assert_eq!(decompress(broken, 4), None, "{broken:?}");
        }
        assert_eq!(decompress(&[0, b'a', 0x20, 0], 3), None, "longer than announced");
        assert_eq!(decompress(&[0, b'a', 0x20, 0], 5), None, "shorter than announced");
        assert_eq!(decompress(&[0, b'a'], usize::MAX), None);
    }

    #[test]
    fn saves_four_bytes_or_nothing() {
        let mut compressor = Compressor::default();
        assert!(compressor.compress(b"").is_none());
        assert!(compressor.compress(b"abcdefghijklmnopqrstuvwxyz").is_none());
        let compressed = compressor.compress(&[b'a'; 100]).expect("it repeats itself");
        assert!(compressed.len() < 10);
    }

    #[test]
    fn the_table_starts_anew_before_it_counts_too_far() {
        let text = [7; 1000];
        let mut compressor = Compressor { base: u32::MAX - 1500, ..Compressor::default() };
        for _ in 0..4 {
            let compressed = compressor.compress(&text).expect("it repeats itself").to_vec();
            assert_eq!(decompress(&compressed, text.len()).as_deref(), Some(&text[..]));
        }
    }

    proptest! {
        #[test]
        fn reads_back(texts in prop::collection::vec(
            prop::collection::vec(prop_oneof![Just(vec![1u8]), prop::collection::vec(0..4u8, 1..300), prop::collection::vec(any::<u8>(), 0..40)], 0..60), 1..6,
        )) {
            let mut compressor = Compressor::default();
            for text in texts {
                let text = text.concat();
                if let Some(compressed) = compressor.compress(&text) {
                    prop_assert!(compressed.len() + 4 <= text.len());
                    prop_assert_eq!(decompress(compressed, text.len()), Some(text));
                }
            }
        }

        #[test]
        fn bears_anything(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 0..5000usize) {
            if let Some(text) = decompress(&bytes, length) {
                prop_assert_eq!(text.len(), length);
            }
        }
    }
}
