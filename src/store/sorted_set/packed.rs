//! The form of small sorted sets: members and scores by turns, in order.
//!
//! A score that is an integer of at most 53 bits is kept as one, any other as its eight bytes. So the negative zero becomes
//! the other one, as in Redis.

use std::cmp::Ordering;
use std::ops::Range;

use super::tree::compare_scores;
use crate::store::packed::{Element, Elements, Packed, PackedRef};

/// Integers up to this are told apart by a double.
const WHOLE_MAX: f64 = (1u64 << 53) as f64;

/// A member with its score.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) member: Element<'a>,
    pub(super) score: f64,
    /// Where the member's element begins.
    pub(super) place: usize,
}

impl Pair<'_> {
    /// How the pair compares with another one in order.
    fn compare(&self, score: f64, member: &[u8]) -> Ordering {
        let by_member = || self.member.bytes(&mut itoa::Buffer::new()).cmp(member);
        compare_scores(self.score, score).then_with(by_member)
    }
}

/// The pairs in order.
pub(super) struct Pairs<'a>(Elements<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let place = self.0.place();
        Some(Pair { place, member: self.0.next()?, score: score_of(self.0.next()?) })
    }
}

pub(super) fn pairs(packed: PackedRef<'_>) -> Pairs<'_> {
    Pairs(packed.iter())
}

pub(super) fn len(packed: PackedRef<'_>) -> usize {
    packed.len() / 2
}

/// The rank of a member, and its pair.
pub(super) fn find<'a>(packed: PackedRef<'a>, member: &[u8]) -> Option<(usize, Pair<'a>)> {
    let (index, place) = packed.find(member, 0, 2)?;
    Some((index / 2, Pairs(packed.iter_from(place)).next()?))
}

/// Number of pairs from the start on that `holds` for.
pub(super) fn count_while(packed: PackedRef<'_>, mut holds: impl FnMut(&[u8], f64) -> bool) -> usize {
    pairs(packed).take_while(|pair| holds(pair.member.bytes(&mut itoa::Buffer::new()), pair.score)).count()
}

/// Adds a member that is not there and belongs behind all others.
pub(super) fn push(packed: &mut Packed, member: &[u8], score: f64) {
    packed.push(Element::of(member));
    packed.push(element_of(score, &mut [0; 8]));
}

/// Adds a member that is not there.
pub(super) fn insert(packed: &mut Packed, member: &[u8], score: f64) {
    let behind = pairs(packed.as_ref()).find(|pair| pair.compare(score, member).is_gt());
    let place = behind.map_or(packed.as_ref().bytes_len(), |pair| pair.place);
    packed.insert(place, element_of(score, &mut [0; 8]));
    packed.insert(place, Element::of(member));
}

/// Removes the pair at `place`.
pub(super) fn remove(packed: &mut Packed, place: usize) {
    packed.remove(place, 2);
}

/// Removes the pairs of these ranks, which exist.
pub(super) fn remove_range(packed: &mut Packed, ranks: Range<usize>) {
    if let Some(first) = pairs(packed.as_ref()).nth(ranks.start) {
        packed.remove(first.place, 2 * ranks.len());
    }
}

fn element_of(score: f64, bytes: &mut [u8; 8]) -> Element<'_> {
    let whole = score as i64;
    if score.abs() <= WHOLE_MAX && whole as f64 == score {
        return Element::Int(whole);
    }
    *bytes = score.to_le_bytes();
    Element::Bytes(bytes)
}

fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(whole) => whole as f64,
        Element::Bytes(bytes) => bytes.try_into().map_or(0.0, f64::from_le_bytes),
    }
}
