//! Ranges of scores and of members.

use std::ops::Bound;

/// Scores between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// From where.
    pub min: Bound<f64>,
    /// Up to where.
    pub max: Bound<f64>,
}

impl ScoreRange {
    /// Whether a score lies before the range.
    pub fn is_above(&self, score: f64) -> bool {
        match self.min {
            Bound::Included(min) => score < min,
            Bound::Excluded(min) => score <= min,
            Bound::Unbounded => false,
        }
    }

    /// Whether a score lies behind the range.
    pub fn is_below(&self, score: f64) -> bool {
        match self.max {
            Bound::Included(max) => score > max,
            Bound::Excluded(max) => score >= max,
            Bound::Unbounded => false,
        }
    }
}

/// One end of a [`MemberRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberBound<'a> {
    /// Before all members.
    Lowest,
    /// Behind all members.
    Highest,
    /// At a member, which belongs to the range.
    Included(&'a [u8]),
    /// At a member, which does not.
    Excluded(&'a [u8]),
}

/// Members between two bounds, in the order of their bytes. It means something where all scores are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRange<'a> {
    /// From where.
    pub min: MemberBound<'a>,
    /// Up to where.
    pub max: MemberBound<'a>,
}

impl MemberRange<'_> {
    /// Whether a member lies before the range.
    pub fn is_above(&self, member: &[u8]) -> bool {
        match self.min {
            MemberBound::Lowest => false,
            MemberBound::Highest => true,
            MemberBound::Included(min) => member < min,
            MemberBound::Excluded(min) => member <= min,
        }
    }

    /// Whether a member lies behind the range.
    pub fn is_below(&self, member: &[u8]) -> bool {
        match self.max {
            MemberBound::Lowest => true,
            MemberBound::Highest => false,
            MemberBound::Included(max) => member > max,
            MemberBound::Excluded(max) => member >= max,
        }
    }
}
