//! Sorted integers of one width: the form of small sets of nothing else, which Redis calls an intset.
//!
//! The format is our own: a byte for the width (2, 4 or 8), then the values in ascending order, little-endian. As in Redis the
//! width is that of the widest integer that ever was among them.

use crate::store::entry::INLINE_BYTES_MAX;
use crate::store::size_class::allocation_size;

/// Sorted integers to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntsRef<'a>(&'a [u8]);

impl<'a> IntsRef<'a> {
    /// Over bytes that an [`Ints`] made.
    pub(in crate::store) fn over(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be kept.
    pub(in crate::store) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Bytes of each integer: 2, 4 or 8.
    pub fn width(self) -> usize {
        self.0.first().map_or(2, |&width| usize::from(width))
    }

    /// Number of integers.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len().saturating_sub(1) / self.width()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of bytes of all together.
    pub fn bytes_len(self) -> usize {
        self.0.len()
    }

    /// The integer number `index` in ascending order.
    #[inline]
    pub fn get(self, index: usize) -> Option<i64> {
        let width = self.width();
        let bytes = self.0.get(1 + index * width..)?;
        Some(match width {
            2 => i16::from_le_bytes(*bytes.first_chunk()?).into(),
            4 => i32::from_le_bytes(*bytes.first_chunk()?).into(),
            _ => i64::from_le_bytes(*bytes.first_chunk()?),
        })
    }

    /// All integers, ascending.
    pub fn iter(self) -> impl Iterator<Item = i64> + Clone + 'a {
        (0..self.len()).map_while(move |index| self.get(index))
    }

    /// Whether `value` is among them. Logarithmic.
    pub fn contains(self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// The number of `value`, or the number it would have.
    fn search(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(found) if found == value => return Ok(middle),
                Some(found) if found < value => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// A copy to change.
    pub fn to_ints(self) -> Ints {
        Ints { bytes: self.0.to_vec() }
    }
}

/// Sorted integers to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ints {
    bytes: Vec<u8>,
}

impl Default for Ints {
    fn default() -> Self {
        Self { bytes: vec![2] }
    }
}

impl Ints {
    /// To be read.
    pub fn as_ref(&self) -> IntsRef<'_> {
        IntsRef(&self.bytes)
    }

    /// Number of integers.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they may live inside an entry.
    pub fn fits_entry(&self) -> bool {
        self.bytes.len() < INLINE_BYTES_MAX
    }

    /// Heap bytes, as the allocator rounds them.
    pub fn memory_usage(&self) -> usize {
        allocation_size(self.bytes.capacity())
    }

    /// Adds an integer; `false` if it is there already. Moves all that are greater.
    pub fn insert(&mut self, value: i64) -> bool {
        let Err(index) = self.as_ref().search(value) else { return false };
        self.widen(width_of(value));
        let width = self.as_ref().width();
        let (place, end) = (1 + index * width, self.bytes.len());
        if self.bytes.capacity() - end < width {
            // A little more than needed, as for packed elements.
            self.bytes.reserve_exact(width + end / 8);
        }
        self.bytes.resize(end + width, 0);
        self.bytes.copy_within(place..end, place + width);
        // Of a two's complement number the low bytes are the narrower number.
        self.bytes[place..place + width].copy_from_slice(&value.to_le_bytes()[..width]);
        true
    }

    /// Removes an integer; `false` if it is not there. Moves all that are greater.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.as_ref().search(value) else { return false };
        let width = self.as_ref().width();
        let place = 1 + index * width;
        self.bytes.drain(place..place + width);
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to_fit();
        }
        true
    }

    /// Gives all integers at least this width.
    fn widen(&mut self, width: usize) {
        if width <= self.as_ref().width() {
            return;
        }
        let mut wide = Vec::with_capacity(1 + (self.len() + 1) * width);
        wide.push(width as u8);
        for value in self.as_ref().iter() {
            wide.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        self.bytes = wide;
    }
}

/// The least width for an integer.
fn width_of(value: i64) -> usize {
    match value {
        _ if i16::try_from(value).is_ok() => 2,
        _ if i32::try_from(value).is_ok() => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_wide_as_the_widest_ever_was() {
        let mut ints = Ints::default();
        for (value, width) in
            [(-32768, 2), (32767, 2), (32768, 4), (-32769, 4), (i64::from(i32::MIN), 4), (1 << 31, 8), (3, 8)]
        {
            assert!(ints.insert(value));
            assert_eq!(ints.as_ref().width(), width, "{value}");
        }
        assert!(ints.remove(1 << 31));
        assert_eq!(ints.as_ref().width(), 8);
        assert_eq!(ints.as_ref().iter().collect::<Vec<_>>(), [-2147483648, -32769, -32768, 3, 32767, 32768]);
    }

    proptest! {
        #[test]
        fn behave_as_a_sorted_set(
            steps in proptest::collection::vec(
                (prop_oneof![-40i64..40, any::<i16>().prop_map(i64::from), any::<i64>()], any::<bool>()), 0..300),
        ) {
            let (mut ints, mut model) = (Ints::default(), BTreeSet::new());
            for (value, add) in steps {
                prop_assert_eq!(ints.as_ref().contains(value), model.contains(&value));
                match add {
                    true => prop_assert_eq!(ints.insert(value), model.insert(value)),
                    false => prop_assert_eq!(ints.remove(value), model.remove(&value)),
                }
                prop_assert_eq!(ints.len(), model.len());
                prop_assert!(ints.as_ref().iter().eq(model.iter().copied()));
                prop_assert_eq!(&ints.as_ref().to_ints(), &ints);
            }
        }
    }
}
