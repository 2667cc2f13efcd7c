//! The entries of Redis's listpack (its specification: antirez/listpack): the bytes of a list's elements, so that the size
//! of a node is what Redis would count and a node can stand in a snapshot as it is.
//!
//! An entry is a head (an integer, or a length), the bytes of a string, and a back length: the length of what stands
//! before it, in groups of seven bits that are read from the right. So a walk goes both ways and both ends pop in
//! constant time. Integers in decimal are kept as such and take 1 to 9 bytes.

use crate::store::packed::Element;

/// Longest element, in bytes, that a list takes: a node counts in 32 bits, and its buffer rounds up.
pub const ELEMENT_BYTES_MAX: usize = 1 << 31;

const STRING_6: u8 = 0x80;
const INT_13: u8 = 0xc0;
const STRING_12: u8 = 0xe0;
const STRING_32: u8 = 0xf0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;

const HEAD_BYTES_MAX: usize = 9;

/// Reads an entry without its back length.
#[inline]
fn decode(entry: &[u8]) -> Element<'_> {
    let first = entry[0];
    match first {
        0..STRING_6 => Element::Int(i64::from(first)),
        STRING_6..INT_13 => Element::Bytes(&entry[1..]),
        INT_13..STRING_12 => {
            let value = i64::from(first & 0x1f) << 8 | i64::from(entry[1]);
            Element::Int(if value >= 1 << 12 { value - (1 << 13) } else { value })
        }
        STRING_12..STRING_32 => Element::Bytes(&entry[2..]),
        STRING_32 => Element::Bytes(&entry[5..]),
        _ => {
            // Little-endian two's complement: shifted to the top and back, so that the sign spreads.
            let mut word = [0; 8];
            let bytes = &entry[1..];
            word[8 - bytes.len()..].copy_from_slice(bytes);
            Element::Int(i64::from_le_bytes(word) >> (64 - 8 * bytes.len()))
        }
    }
}

/// An element ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    head: [u8; HEAD_BYTES_MAX],
    head_len: u8,
    body: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Encodes an element.
    #[inline]
    pub fn new(element: Element<'a>) -> Self {
        match element {
            Element::Bytes(body) => Self::of_string(body),
            Element::Int(int) => Self::of_int(int),
        }
    }

    #[inline]
    fn of_string(body: &'a [u8]) -> Self {
        let mut head = [0; HEAD_BYTES_MAX];
        let len = body.len();
        let head_len = if len < 1 << 6 {
            head[0] = STRING_6 | len as u8;
            1
        } else if len < 1 << 12 {
            head[..2].copy_from_slice(&[STRING_12 | (len >> 8) as u8, len as u8]);
            2
        } else {
            head[0] = STRING_32;
            head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
            5
        };
        Self { head, head_len, body }
    }

    fn of_int(int: i64) -> Self {
        let mut head = [0; HEAD_BYTES_MAX];
        if (0..128).contains(&int) {
            head[0] = int as u8;
            return Self { head, head_len: 1, body: &[] };
        }
        if (-(1 << 12)..1 << 12).contains(&int) {
            head[..2].copy_from_slice(&[INT_13 | (int >> 8) as u8 & 0x1f, int as u8]);
            return Self { head, head_len: 2, body: &[] };
        }
        let (tag, bytes) = match int {
            -0x8000..0x8000 => (INT_16, 2),
            -0x80_0000..0x80_0000 => (INT_24, 3),
            -0x8000_0000..0x8000_0000 => (INT_32, 4),
            _ => (INT_64, 8),
        };
        head[0] = tag;
        head[1..].copy_from_slice(&int.to_le_bytes());
        Self { head, head_len: 1 + bytes, body: &[] }
    }

    /// Bytes that it takes, back length included.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        let len = self.head_len as usize + self.body.len();
        len + back_bytes(len)
    }

    /// Writes it over `out`, which is [`Encoded::bytes_len`] bytes long.
    #[inline]
    pub fn write(&self, out: &mut [u8]) {
        let head_len = self.head_len as usize;
        let len = head_len + self.body.len();
        out[..head_len].copy_from_slice(&self.head[..head_len]);
        out[head_len..len].copy_from_slice(self.body);
        write_back(len, &mut out[len..]);
    }

    /// Appends it.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>) {
        let head_len = self.head_len as usize;
        let len = head_len + self.body.len();
        out.extend_from_slice(&self.head[..head_len]);
        out.extend_from_slice(self.body);
        if len < 128 {
            out.push(len as u8);
        } else {
            let at = out.len();
            out.resize(at + back_bytes(len), 0);
            write_back(len, &mut out[at..]);
        }
    }
}

/// Bytes of the back length of an entry of `len` bytes. The bounds are one lower than seven bits a byte would allow,
/// as in Redis.
#[inline]
fn back_bytes(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Writes a back length over `out`, which has the right size: seven bits a byte, all but the first marked.
fn write_back(len: usize, out: &mut [u8]) {
    let mut left = len;
    let last = out.len() - 1;
    for (at, byte) in out.iter_mut().enumerate().rev() {
        let mark = if at == 0 { 0 } else { 0x80 };
        *byte = (left & 0x7f) as u8 | mark;
        left >>= 7;
    }
    debug_assert!(left == 0 && last < 5);
}

/// Length of the entry that `bytes` begin with, without its back length.
#[inline]
fn entry_len(bytes: &[u8]) -> usize {
    let first = bytes[0];
    match first {
        0..STRING_6 => 1,
        STRING_6..INT_13 => 1 + (first & 0x3f) as usize,
        INT_13..STRING_12 => 2,
        STRING_12..STRING_32 => 2 + ((first as usize & 0x0f) << 8 | bytes[1] as usize),
        STRING_32 => 5 + u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize,
        INT_16 => 3,
        INT_24 => 4,
        INT_32 => 5,
        _ => 9,
    }
}

/// Reads the back length at the end of `bytes`: the length of the last entry, and that of the back length itself.
#[inline]
fn back_len(bytes: &[u8]) -> (usize, usize) {
    let (mut len, mut shift) = (0, 0);
    for (read, &byte) in bytes.iter().rev().enumerate() {
        len |= (byte as usize & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (len, read + 1);
        }
        shift += 7;
    }
    unreachable!("every entry ends in a back length")
}

/// The elements of a run of entries, from either end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Those in `bytes`, which begin and end where entries do.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Moves over the next `count` elements without reading them.
    pub fn skip_front(&mut self, count: usize) {
        for _ in 0..count {
            let len = entry_len(self.rest);
            self.rest = &self.rest[len + back_bytes(len)..];
        }
    }

    /// Moves over the last `count` elements without reading them.
    pub fn skip_back(&mut self, count: usize) {
        for _ in 0..count {
            let (len, back) = back_len(self.rest);
            self.rest = &self.rest[..self.rest.len() - len - back];
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let len = entry_len(self.rest);
        let (entry, rest) = self.rest.split_at(len);
        self.rest = &rest[back_bytes(len)..];
        Some(decode(entry))
    }
}

impl DoubleEndedIterator for Entries<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (len, back) = back_len(self.rest);
        let (rest, entry) = self.rest.split_at(self.rest.len() - len - back);
        self.rest = rest;
        Some(decode(&entry[..len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let element = Encoded::new(Element::of(text));
        let mut out = Vec::new();
        element.append(&mut out);
        let mut written = vec![0; element.bytes_len()];
        element.write(&mut written);
        assert_eq!(out, written);
        out
    }

    #[test]
    fn entries_are_those_of_a_listpack() {
        assert_eq!(encoded(b"127"), [127, 1]);
        assert_eq!(encoded(b"-1"), [0xdf, 0xff, 2]);
        assert_eq!(encoded(b"4095"), [0xcf, 0xff, 2]);
        assert_eq!(encoded(b"4096"), [0xf1, 0x00, 0x10, 3]);
        assert_eq!(encoded(b"-8388608"), [0xf2, 0, 0, 0x80, 4]);
        assert_eq!(encoded(b"a"), [0x81, b'a', 2]);
        assert_eq!(encoded(&[b'x'; 64])[..2], [0xe0, 64]);
        assert_eq!(encoded(&[b'x'; 4096])[..5], [0xf0, 0, 0x10, 0, 0]);
        let long = encoded(&[b'x'; 126]);
        assert_eq!(long[long.len() - 2..], [1, 0x80], "a back length of two bytes for 128");
        assert_eq!(encoded(&[b'x'; 16_378]).len(), 16_383 + 3);
    }

    #[test]
    fn every_form_reads_back_from_both_ends() {
        let mut texts: Vec<Vec<u8>> = vec![b"".to_vec(), b"01".to_vec(), b"-0".to_vec(), b"1.0".to_vec()];
        for shift in 0..63 {
            for near in [-1, 0, 1] {
                let number = (1i64 << shift) + near;
                texts.extend([number.to_string().into_bytes(), (-number).to_string().into_bytes()]);
            }
        }
        texts.extend([i64::MIN, i64::MAX].map(|number| number.to_string().into_bytes()));
        for len in
            [1, 62, 63, 64, 125, 126, 127, 128, 4095, 4096, 16_377, 16_378, 16_379, 2_097_146, 2_097_147]
        {
            texts.push(vec![b'x'; len]);
        }
        let bytes: Vec<u8> = texts.iter().flat_map(|text| encoded(text)).collect();
        let forward: Vec<Vec<u8>> =
            Entries::new(&bytes).map(|element| element.bytes(&mut itoa::Buffer::new()).to_vec()).collect();
        assert_eq!(forward, texts);
        let backward: Vec<Vec<u8>> = Entries::new(&bytes)
            .rev()
            .map(|element| element.bytes(&mut itoa::Buffer::new()).to_vec())
            .collect();
        assert!(backward.iter().eq(texts.iter().rev()));
        let (mut front, mut back) = (Entries::new(&bytes), Entries::new(&bytes));
        front.skip_front(texts.len());
        back.skip_back(texts.len());
        assert!(front.rest().is_empty() && back.rest().is_empty());
    }
}
