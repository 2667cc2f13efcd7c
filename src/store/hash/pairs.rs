//! The packed form of a hash: fields and values alternating.
//!
//! A hash some of whose fields have, or had, a deadline has one element more, in front: the deadlines of all fields in
//! their order, eight bytes each. So the number of elements tells which of the two it is.

use crate::store::packed::{Element, Elements, Packed, PackedRef};

/// Most pairs that fit.
pub(super) const PAIRS_MAX: usize = (Packed::LEN_MAX - 1) / 2;

const DEADLINE_BYTES: usize = size_of::<i64>();
/// Stands for no deadline.
const NEVER: i64 = i64::MAX;

/// A packed hash to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs<'a> {
    elements: PackedRef<'a>,
    deadlines: Option<&'a [u8]>,
}

/// A field, its value and its deadline.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The field.
    pub field: Element<'a>,
    /// The value.
    pub value: Element<'a>,
    /// The deadline, Unix milliseconds, if there is one.
    pub deadline: Option<i64>,
}

/// Where a pair is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its number among the pairs.
    index: usize,
    /// The place of its field.
    field: usize,
}

impl<'a> Pairs<'a> {
    pub(super) fn over(elements: PackedRef<'a>) -> Self {
        let deadlines = match elements.iter().next() {
            Some(Element::Bytes(deadlines)) if has_deadlines(elements) => Some(deadlines),
            _ => None,
        };
        Self { elements, deadlines }
    }

    pub(super) fn len(self) -> usize {
        self.elements.len() / 2
    }

    /// Bytes that all take.
    pub(super) fn bytes_len(self) -> usize {
        self.elements.bytes_len()
    }

    /// Where a field is.
    #[inline]
    pub(super) fn find(self, field: &[u8]) -> Option<Place> {
        let first = self.first();
        let (number, place) = self.elements.find(field, first, 2)?;
        Some(Place { index: (number - first) / 2, field: place })
    }

    /// The pair at a place.
    pub(super) fn at(self, place: Place) -> Option<Pair<'a>> {
        let mut elements = self.elements.iter_from(place.field);
        let (field, value) = (elements.next()?, elements.next()?);
        Some(Pair { field, value, deadline: self.deadline(place.index) })
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Pair<'a>> {
        let mut elements = self.fields();
        (0..self.len()).map_while(move |index| {
            let (field, value) = (elements.next()?, elements.next()?);
            Some(Pair { field, value, deadline: self.deadline(index) })
        })
    }

    /// The pair of that number, which must be below the length.
    pub(super) fn nth(self, index: usize) -> Option<Pair<'a>> {
        self.at(self.place(index))
    }

    /// Where the pair of that number is.
    fn place(self, index: usize) -> Place {
        Place { index, field: self.fields().place_after(2 * index) }
    }

    /// The deadline of the pair of that number.
    pub(super) fn deadline(self, index: usize) -> Option<i64> {
        let start = index * DEADLINE_BYTES;
        let bytes = self.deadlines?.get(start..start + DEADLINE_BYTES)?;
        Some(i64::from_le_bytes(bytes.try_into().ok()?)).filter(|&at_ms| at_ms != NEVER)
    }

    /// All deadlines there are.
    pub(super) fn deadlines(self) -> impl Iterator<Item = i64> + 'a {
        (0..self.deadlines.map_or(0, |_| self.len())).filter_map(move |index| self.deadline(index))
    }

    fn first(self) -> usize {
        usize::from(self.deadlines.is_some())
    }

    fn fields(self) -> Elements<'a> {
        let mut elements = self.elements.iter();
        if self.deadlines.is_some() {
            elements.next();
        }
        elements
    }
}

/// Whether the fields of a packed hash may have deadlines.
pub(super) fn has_deadlines(elements: PackedRef<'_>) -> bool {
    !elements.len().is_multiple_of(2)
}

/// Adds a pair whose field is absent.
pub(super) fn push(packed: &mut Packed, field: &[u8], value: &[u8]) {
    edit_deadlines(packed, |deadlines| deadlines.extend_from_slice(&NEVER.to_le_bytes()));
    packed.push(Element::of(field));
    packed.push(Element::of(value));
}

/// Gives a field another value.
pub(super) fn set_value(packed: &mut Packed, place: Place, value: &[u8]) {
    let value_place = packed.as_ref().iter_from(place.field).place_after(1);
    packed.replace(value_place, Element::of(value));
}

/// Removes a pair.
pub(super) fn remove(packed: &mut Packed, place: Place) {
    packed.remove(place.field, 2);
    let start = place.index * DEADLINE_BYTES;
    edit_deadlines(packed, |deadlines| drop(deadlines.drain(start..start + DEADLINE_BYTES)));
}

/// Removes up to `budget` pairs whose deadline lies before `now_ms`, and tells their fields; returns their number.
pub(super) fn expire(
    packed: &mut Packed,
    now_ms: i64,
    budget: usize,
    mut on_expired: impl FnMut(&[u8]),
) -> usize {
    let mut removed = 0;
    while removed < budget {
        let pairs = Pairs::over(packed.as_ref());
        let is_due = |&index: &usize| pairs.deadline(index).is_some_and(|at_ms| at_ms < now_ms);
        let Some(index) = (0..pairs.len()).find(is_due) else { break };
        let place = pairs.place(index);
        if let Some(pair) = pairs.at(place) {
            on_expired(pair.field.bytes(&mut itoa::Buffer::new()));
        }
        remove(packed, place);
        removed += 1;
    }
    removed
}

/// Gives a field a deadline or none. Places change when it is the first one ever.
pub(super) fn set_deadline(packed: &mut Packed, place: Place, deadline: Option<i64>) {
    if !has_deadlines(packed.as_ref()) {
        if deadline.is_none() {
            return;
        }
        let deadlines = NEVER.to_le_bytes().repeat(packed.len() / 2);
        let front = packed.as_ref().iter().place();
        packed.insert(front, Element::Bytes(&deadlines));
    }
    let start = place.index * DEADLINE_BYTES;
    let bytes = deadline.unwrap_or(NEVER).to_le_bytes();
    edit_deadlines(packed, |deadlines| deadlines[start..start + DEADLINE_BYTES].copy_from_slice(&bytes));
}

/// Changes the deadlines, if the hash has any.
fn edit_deadlines(packed: &mut Packed, edit: impl FnOnce(&mut Vec<u8>)) {
    let Some(present) = Pairs::over(packed.as_ref()).deadlines else { return };
    let mut deadlines = present.to_vec();
    edit(&mut deadlines);
    let front = packed.as_ref().iter().place();
    packed.replace(front, Element::Bytes(&deadlines));
}
