//! A dense string of elements: the form of small hashes, sets and sorted sets.
//!
//! Elements follow one another without links back, so a byte or two are all that one costs beyond its content; whoever
//! looks for one walks. The format is our own:
//!
//! ```text
//! count u16 | element …
//! ```
//!
//! where an element begins with a tag: 0 to 223 is the length of a string that follows, 224 and 225 a string whose length
//! follows as u16 or u32, 226 to 229 an integer of 1, 2, 4 or 8 bytes, 230 to 255 an integer from 0 to 25. All numbers are
//! little-endian. A string that is exactly how an `i64` is printed is kept as an integer.

use super::size_class::allocation_size;
use crate::base::number::parse_i64;

const COUNT_BYTES: usize = 2;
const SHORT_MAX: usize = 223;
const LENGTH_U16: u8 = 224;
const LENGTH_U32: u8 = 225;
const INT_8: u8 = 226;
const INT_16: u8 = 227;
const INT_32: u8 = 228;
const INT_64: u8 = 229;
const SMALL_INT: u8 = 230;
const SMALL_INT_MAX: i64 = 25;

/// An element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// A string that is an integer.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element that `bytes` become.
    pub fn of(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(int) => Element::Int(int),
            None => Element::Bytes(bytes),
        }
    }

    /// The string, an integer printed into `digits`.
    pub fn bytes<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Element::Int(int) => digits.format(int).as_bytes(),
            Element::Bytes(bytes) => bytes,
        }
    }

    /// Length of the string.
    pub fn len(self) -> usize {
        self.bytes(&mut itoa::Buffer::new()).len()
    }

    /// Whether the string is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn encoded_len(self) -> usize {
        match self {
            Element::Int(0..=SMALL_INT_MAX) => 1,
            Element::Int(int) if i8::try_from(int).is_ok() => 2,
            Element::Int(int) if i16::try_from(int).is_ok() => 3,
            Element::Int(int) if i32::try_from(int).is_ok() => 5,
            Element::Int(_) => 9,
            Element::Bytes(bytes) => match bytes.len() {
                length @ ..=SHORT_MAX => 1 + length,
                length if length <= u16::MAX as usize => 3 + length,
                length => 5 + length,
            },
        }
    }

    fn encode(self, out: &mut [u8]) {
        fn put(out: &mut [u8], tag: u8, head: &[u8], tail: &[u8]) {
            out[0] = tag;
            out[1..=head.len()].copy_from_slice(head);
            out[1 + head.len()..].copy_from_slice(tail);
        }
        match self {
            Element::Int(int @ 0..=SMALL_INT_MAX) => out[0] = SMALL_INT + int as u8,
            Element::Int(int) => match out.len() {
                2 => put(out, INT_8, &(int as i8).to_le_bytes(), &[]),
                3 => put(out, INT_16, &(int as i16).to_le_bytes(), &[]),
                5 => put(out, INT_32, &(int as i32).to_le_bytes(), &[]),
                _ => put(out, INT_64, &int.to_le_bytes(), &[]),
            },
            Element::Bytes(bytes) => match bytes.len() {
                length @ ..=SHORT_MAX => put(out, length as u8, &[], bytes),
                length if length <= u16::MAX as usize => {
                    put(out, LENGTH_U16, &(length as u16).to_le_bytes(), bytes)
                }
                length => put(out, LENGTH_U32, &(length as u32).to_le_bytes(), bytes),
            },
        }
    }
}

/// Packed elements to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedRef<'a>(&'a [u8]);

impl<'a> PackedRef<'a> {
    /// Over bytes that a [`Packed`] made.
    pub(super) fn over(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be kept.
    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Number of elements.
    pub fn len(self) -> usize {
        self.0.first_chunk().map_or(0, |count| u16::from_le_bytes(*count) as usize)
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of bytes of all together.
    pub fn bytes_len(self) -> usize {
        self.0.len()
    }

    /// The elements, from the first on.
    pub fn iter(self) -> Elements<'a> {
        Elements { bytes: self.0, at: COUNT_BYTES.min(self.0.len()) }
    }

    /// The elements from a place on that [`Elements::place`] gave.
    pub fn iter_from(self, place: usize) -> Elements<'a> {
        Elements { bytes: self.0, at: place }
    }

    /// The first element equal to `bytes` among those at `first`, `first + step`, …: its number and its place.
    pub fn find(self, bytes: &[u8], first: usize, step: usize) -> Option<(usize, usize)> {
        let wanted = Element::of(bytes);
        let mut elements = self.iter();
        let (mut index, mut candidate) = (0, first);
        loop {
            let place = elements.place();
            if index < candidate {
                elements.step_over()?;
            } else if elements.next()? == wanted {
                return Some((index, place));
            } else {
                candidate += step;
            }
            index += 1;
        }
    }

    /// A copy to change.
    pub fn to_packed(self) -> Packed {
        Packed { bytes: self.0.to_vec() }
    }
}

/// The elements of a [`PackedRef`] in order.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// The place of the next element, for the methods of [`Packed`].
    pub fn place(&self) -> usize {
        self.at
    }

    /// The place after `count` more elements.
    pub fn place_after(mut self, count: usize) -> usize {
        for _ in 0..count {
            if self.step_over().is_none() {
                break;
            }
        }
        self.at
    }

    /// Moves over the next element.
    #[inline]
    fn step_over(&mut self) -> Option<()> {
        let tag = *self.bytes.get(self.at)?;
        self.at += 1;
        self.at += match tag {
            ..=223 => tag as usize,
            LENGTH_U16 => u16::from_le_bytes(self.number()?) as usize,
            LENGTH_U32 => u32::from_le_bytes(self.number()?) as usize,
            INT_8..=INT_64 => 1 << (tag - INT_8),
            SMALL_INT.. => 0,
        };
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let tag = *self.bytes.get(self.at)?;
        self.at += 1;
        let length = match tag {
            ..=223 => tag as usize,
            LENGTH_U16 => u16::from_le_bytes(self.number()?) as usize,
            LENGTH_U32 => u32::from_le_bytes(self.number()?) as usize,
            INT_8 => return Some(Element::Int(i8::from_le_bytes(self.number()?).into())),
            INT_16 => return Some(Element::Int(i16::from_le_bytes(self.number()?).into())),
            INT_32 => return Some(Element::Int(i32::from_le_bytes(self.number()?).into())),
            INT_64 => return Some(Element::Int(i64::from_le_bytes(self.number()?))),
            SMALL_INT.. => return Some(Element::Int((tag - SMALL_INT).into())),
        };
        self.take(length).map(Element::Bytes)
    }
}

/// Packed elements to be changed. A place is where an element begins, as [`Elements::place`] tells it; a change moves all
/// places behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    bytes: Vec<u8>,
}

impl Default for Packed {
    fn default() -> Self {
        Self { bytes: vec![0; COUNT_BYTES] }
    }
}

impl Packed {
    /// Elements that fit: whatever else its owner allows, it must not take more.
    pub const LEN_MAX: usize = u16::MAX as usize;

    /// To be read.
    pub fn as_ref(&self) -> PackedRef<'_> {
        PackedRef(&self.bytes)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it may live inside an entry.
    pub fn fits_entry(&self) -> bool {
        self.bytes.len() < super::entry::INLINE_BYTES_MAX
    }

    /// Heap bytes, as the allocator rounds them.
    pub fn memory_usage(&self) -> usize {
        allocation_size(self.bytes.capacity())
    }

    /// Appends an element.
    pub fn push(&mut self, element: Element<'_>) {
        self.insert(self.bytes.len(), element);
    }

    /// Inserts an element before the one at `place`, or at the end.
    pub fn insert(&mut self, place: usize, element: Element<'_>) {
        self.open(place, element.encoded_len(), 0);
        element.encode(&mut self.bytes[place..place + element.encoded_len()]);
        self.set_len(self.len() + 1);
    }

    /// Puts another element in the place of the one at `place`.
    pub fn replace(&mut self, place: usize, element: Element<'_>) {
        let present = self.extent(place, 1);
        let length = element.encoded_len();
        self.open(place, length, present);
        element.encode(&mut self.bytes[place..place + length]);
    }

    /// Removes `count` elements from `place` on.
    pub fn remove(&mut self, place: usize, count: usize) {
        let present = self.extent(place, count);
        self.bytes.drain(place..place + present);
        self.set_len(self.len() - count);
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to_fit();
        }
    }

    /// Bytes of the `count` elements from `place` on.
    fn extent(&self, place: usize, count: usize) -> usize {
        self.as_ref().iter_from(place).place_after(count) - place
    }

    /// Makes `length` bytes of room at `place` where `present` bytes are.
    fn open(&mut self, place: usize, length: usize, present: usize) {
        if length == present {
            return;
        }
        let end = place + present;
        let old_len = self.bytes.len();
        if length > present {
            let more = length - present;
            // A little more than needed: collections stay small, and memory is what this form is for.
            if self.bytes.capacity() - old_len < more {
                self.bytes.reserve_exact(more + old_len / 8);
            }
            self.bytes.resize(old_len + more, 0);
        }
        self.bytes.copy_within(end..old_len, place + length);
        if length < present {
            self.bytes.truncate(old_len - (present - length));
        }
    }

    fn set_len(&mut self, len: usize) {
        debug_assert!(len <= Self::LEN_MAX);
        self.bytes[..COUNT_BYTES].copy_from_slice(&(len as u16).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings(packed: &Packed) -> Vec<Vec<u8>> {
        packed.as_ref().iter().map(|element| element.bytes(&mut itoa::Buffer::new()).to_vec()).collect()
    }

    fn place(packed: &Packed, index: usize) -> usize {
        packed.as_ref().iter().place_after(index)
    }

    fn string() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..20),
            1 => prop::collection::vec(any::<u8>(), 220..230),
            1 => Just(vec![7; 70_000]),
            4 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
            4 => (-40i64..300).prop_map(|int| int.to_string().into_bytes()),
            1 => (-70_000i64..70_000).prop_map(|int| int.to_string().into_bytes()),
            1 => Just(b"-0".to_vec()),
            1 => Just(b"007".to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_vector(steps in prop::collection::vec((0u8..4, any::<prop::sample::Index>(), string()), 0..60)) {
            let mut packed = Packed::default();
            let mut model: Vec<Vec<u8>> = Vec::new();
            for (kind, index, string) in steps {
                let element = Element::of(&string);
                match kind {
                    0 if !model.is_empty() => {
                        let at = index.index(model.len());
                        packed.replace(place(&packed, at), element);
                        model[at] = string;
                    }
                    1 if !model.is_empty() => {
                        let at = index.index(model.len());
                        let count = 1.max((model.len() - at) / 2);
                        packed.remove(place(&packed, at), count);
                        model.drain(at..at + count);
                    }
                    2 => {
                        packed.push(element);
                        model.push(string);
                    }
                    _ => {
                        let at = index.index(model.len() + 1);
                        packed.insert(place(&packed, at), element);
                        model.insert(at, string);
                    }
                }
                prop_assert_eq!(packed.len(), model.len());
                prop_assert_eq!(strings(&packed), model.clone());
                for (at, string) in model.iter().enumerate() {
                    let first = model.iter().position(|other| other == string);
                    let found = packed.as_ref().find(string, 0, 1).map(|(index, _)| index);
                    prop_assert_eq!(found, first, "of {}", at);
                }
            }
        }
    }

    #[test]
    fn finds_in_steps() {
        let mut packed = Packed::default();
        for word in ["a", "b", "b", "a"] {
            packed.push(Element::of(word.as_bytes()));
        }
        let index =
            |word: &str, first, step| packed.as_ref().find(word.as_bytes(), first, step).map(|found| found.0);
        assert_eq!((index("b", 0, 2), index("b", 1, 2), index("a", 1, 2)), (Some(2), Some(1), Some(3)));
        assert_eq!(index("c", 0, 1), None);
    }
}
