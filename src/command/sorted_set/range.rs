//! Ranges by rank, score or member: ZRANGE with its older forms, and ZRANGESTORE.

use std::ops::{Bound, ControlFlow, Range};

use super::{limits, push_length, push_member, push_members, store};
use crate::base::number::parse_f64_loosely;
use crate::command::args::{Cursor, integer};
use crate::command::context::Context;
use crate::resp::error::SYNTAX;
use crate::store::sorted_set::{MemberBound, MemberRange, ScoreRange, SortedSet, SortedSetView};

const NOT_A_SCORE: &str = "ERR min or max is not a float";
const NOT_A_MEMBER_BOUND: &str = "ERR min or max not valid string range item";
const LIMIT_BY_RANK: &str =
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
const SCORES_BY_MEMBER: &str = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";

/// What a range is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// A part of a sorted set.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// From one rank to another, both included; negative ones count from the end.
    Ranks(i64, i64),
    /// The members whose scores lie in a range.
    Scores(ScoreRange),
    /// The members in a range.
    Members(MemberRange<'a>),
}

impl<'a> Part<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, &'static str> {
        Ok(match by {
            By::Rank => Part::Ranks(integer(min)?, integer(max)?),
            By::Score => Part::Scores(parse_scores(min, max)?),
            By::Member => Part::Members(parse_members(min, max)?),
        })
    }

    /// The ranks of the part.
    pub fn ranks(&self, set: SortedSetView<'_>) -> Range<usize> {
        match self {
            Part::Ranks(start, end) => clamp_ranks(*start, *end, set.len()),
            Part::Scores(range) => set.ranks_by_score(range),
            Part::Members(range) => set.ranks_by_member(range),
        }
    }
}

/// What ZRANGE and its kin ask for.
struct Query<'a> {
    part: Part<'a>,
    is_reversed: bool,
    offset: i64,
    limit: i64,
    with_scores: bool,
}

impl<'a> Query<'a> {
    /// Reads what stands behind the key. `by` and `is_reversed` are given where the command's name says them.
    fn parse(
        arguments: &[&'a [u8]],
        by: Option<By>,
        is_reversed: Option<bool>,
        stores: bool,
    ) -> Result<Self, &'static str> {
        let (mut found_by, mut found_reversed) = (by, is_reversed);
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut cursor = Cursor::new(arguments, 2);
        while !cursor.is_done() {
            if !stores && cursor.accept("withscores") {
                with_scores = true;
            } else if cursor.remaining() >= 3 && cursor.accept("limit") {
                (offset, limit) = (cursor.need_i64()?, cursor.need_i64()?);
            } else if found_reversed.is_none() && cursor.accept("rev") {
                found_reversed = Some(true);
            } else if found_by.is_none() && cursor.accept("bylex") {
                found_by = Some(By::Member);
            } else if found_by.is_none() && cursor.accept("byscore") {
                found_by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
        }
        let (by, is_reversed) = (found_by.unwrap_or(By::Rank), found_reversed.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(LIMIT_BY_RANK);
        }
        if with_scores && by == By::Member {
            return Err(SCORES_BY_MEMBER);
        }
        let (min, max) = match arguments {
            [first, second, ..] if is_reversed && by != By::Rank => (second, first),
            [first, second, ..] => (first, second),
            _ => return Err(SYNTAX),
        };
        Ok(Self { part: Part::parse(by, min, max)?, is_reversed, offset, limit, with_scores })
    }

    /// The ranks asked for.
    fn ranks(&self, set: SortedSetView<'_>) -> Range<usize> {
        let ranks = self.part.ranks(set);
        if let Part::Ranks(..) = self.part {
            let members = set.len();
            return if self.is_reversed { members - ranks.end..members - ranks.start } else { ranks };
        }
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let offset = offset.min(ranks.len());
        let count = usize::try_from(self.limit).unwrap_or(usize::MAX).min(ranks.len() - offset);
        if self.is_reversed {
            let end = ranks.end - offset;
            end - count..end
        } else {
            let start = ranks.start + offset;
            start..start + count
        }
    }
}

/// The ranks from one to another, both included and counted from the end when negative, as far as they exist.
fn clamp_ranks(start: i64, end: i64, members: usize) -> Range<usize> {
    let members = members as i64;
    let absolute = |rank: i64| if rank < 0 { members.saturating_add(rank) } else { rank };
    let (start, end) = (absolute(start).max(0), absolute(end).min(members - 1));
    if start <= end { start as usize..end as usize + 1 } else { 0..0 }
}

/// Two bounds of scores; one that begins with `(` does not belong to the range.
pub fn parse_scores(min: &[u8], max: &[u8]) -> Result<ScoreRange, &'static str> {
    let bound = |text: &[u8]| -> Result<Bound<f64>, &'static str> {
        let (excluded, digits) = match text {
            [b'(', digits @ ..] => (true, digits),
            _ => (false, text),
        };
        let score = parse_f64_loosely(digits).ok_or(NOT_A_SCORE)?;
        Ok(if excluded { Bound::Excluded(score) } else { Bound::Included(score) })
    };
    Ok(ScoreRange { min: bound(min)?, max: bound(max)? })
}

/// Two bounds of members: `-`, `+`, or a member behind `[` or `(`.
pub fn parse_members<'a>(min: &'a [u8], max: &'a [u8]) -> Result<MemberRange<'a>, &'static str> {
    let bound = |text: &'a [u8]| match text {
        b"-" => Ok(MemberBound::Lowest),
        b"+" => Ok(MemberBound::Highest),
        [b'[', member @ ..] => Ok(MemberBound::Included(member)),
        [b'(', member @ ..] => Ok(MemberBound::Excluded(member)),
        _ => Err(NOT_A_MEMBER_BOUND),
    };
    Ok(MemberRange { min: bound(min)?, max: bound(max)? })
}

/// ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]
pub fn zrange(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, None, None);
}

/// ZREVRANGE key start stop [WITHSCORES]
pub fn zrevrange(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Some(By::Rank), Some(true));
}

/// ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]
pub fn zrangebyscore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Some(By::Score), Some(false));
}

/// ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]
pub fn zrevrangebyscore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Some(By::Score), Some(true));
}

/// ZRANGEBYLEX key min max [LIMIT offset count]
pub fn zrangebylex(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Some(By::Member), Some(false));
}

/// ZREVRANGEBYLEX key max min [LIMIT offset count]
pub fn zrevrangebylex(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Some(By::Member), Some(true));
}

fn answer(ctx: &mut Context<'_>, arguments: &[&[u8]], by: Option<By>, is_reversed: Option<bool>) {
    let query = match Query::parse(&arguments[2..], by, is_reversed, false) {
        Ok(query) => query,
        Err(error) => return ctx.reply.error(error),
    };
    ctx.read_sliced::<SortedSet, _>(arguments[1], |set, reply, slices| {
        let Some(set) = set else { return reply.array(0) };
        let (ranks, is_reversed) = (query.ranks(set), query.is_reversed);
        let Some(slice) = slices.of(ranks.len()) else {
            return push_members(set, ranks, is_reversed, query.with_scores, reply);
        };
        if slice.is_first() {
            push_length(ranks.len(), query.with_scores, reply);
        }
        slice.count(reply, ranks.len(), |done, reply, goes_on| {
            let rest =
                if is_reversed { ranks.start..ranks.end - done } else { ranks.start + done..ranks.end };
            let _ = set.try_visit(rest, is_reversed, |member, score| {
                push_member(member, score, query.with_scores, reply);
                if goes_on(reply) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        });
    });
}

/// ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]
pub fn zrangestore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let query = match Query::parse(&arguments[3..], None, None, true) {
        Ok(query) => query,
        Err(error) => return ctx.reply.error(error),
    };
    let limits = limits(ctx.config);
    let result = ctx.read_as::<SortedSet, _>(arguments[2], |set, _| {
        let mut result = SortedSet::default();
        if let Some(set) = set {
            let ranks = query.ranks(set);
            result.expect(ranks.len(), limits);
            set.visit(ranks, false, |member, score| {
                result.update(member, limits, |_| Some(score));
            });
        }
        result
    });
    if let Some(result) = result {
        store(ctx, arguments[1], result, "zrangestore");
    }
}
