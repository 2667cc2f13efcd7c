//! What can happen to bytes on their way.

use super::common::Random;

/// Bytes that mean something in one form or another.
const EDGES: [u8; 22] = [
    0, 1, 2, 3, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xc1, 0xc3, 0xdf, 0xe0, 0xf0, 0xf1, 0xf4, 0xfc,
    0xfd, 0xfe, 0xff,
];

/// A copy with one to six faults.
pub fn damaged(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(6) {
        if bytes.is_empty() {
            break;
        }
        // Most that matters stands at the beginning.
        let bound = if random.one_in(2) { bytes.len() } else { bytes.len().min(40) };
        let at = random.below(bound);
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 | 3 => bytes[at] = *random.pick(&EDGES.each_ref()),
            4 => drop(bytes.remove(at)),
            5 => bytes.insert(at, *random.pick(&EDGES.each_ref())),
            6 => {
                let end = bytes.len().min(at + random.below(20));
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                // A number of four or eight bytes.
                let number = *random.pick(&[&0u64, &1, &u64::MAX, &(1 << 31), &(1 << 62), &0xffff_ffff]);
                let width = *random.pick(&[&2, &4, &8]);
                let end = bytes.len().min(at + width);
                let number = if random.one_in(2) { number.to_le_bytes() } else { number.to_be_bytes() };
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
        }
        if random.one_in(12) {
            bytes.truncate(at);
        }
    }
    bytes
}
