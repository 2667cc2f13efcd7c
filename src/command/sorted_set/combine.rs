//! Unions, intersections and differences. Inputs are sorted sets, or sets, whose members all have the score 1.

use std::ops::ControlFlow;

use super::{limits, push_members, store};
use crate::base::number::parse_f64;
use crate::command::args::{Cursor, integer};
use crate::command::context::Context;
use crate::resp::error::SYNTAX;
use crate::store::entry::ValueRef;
use crate::store::set::{Set, SetView};
use crate::store::sorted_set::{Limits, SortedSet, SortedSetView, Unordered};
use crate::store::value::Collection;

const BAD_WEIGHT: &str = "ERR weight value is not a float";
/// What is only answered is not packed: that would cost time, and the sign of a negative zero.
const NOT_PACKED: Limits = Limits { members: 0, member_bytes: 0 };

const NEGATIVE_LIMIT: &str = "ERR LIMIT can't be negative";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores of a member that several inputs have.
#[derive(Clone, Copy, Default)]
enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn apply(self, one: f64, other: f64) -> f64 {
        match self {
            // The sum of both infinities is zero by convention.
            Aggregate::Sum => number_or_zero(one + other),
            Aggregate::Min => {
                if other < one {
                    other
                } else {
                    one
                }
            }
            Aggregate::Max => {
                if other > one {
                    other
                } else {
                    one
                }
            }
        }
    }
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What stands behind the keys.
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Members after which counting ends.
    limit: usize,
}

/// Which options a command takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Members,
    Stored,
    Count,
}

impl Options {
    fn parse(
        arguments: &[&[u8]],
        keys: usize,
        operation: Operation,
        answer: Answer,
    ) -> Result<Self, &'static str> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::default(),
            with_scores: false,
            limit: usize::MAX,
        };
        let takes_scores = operation != Operation::Difference && answer != Answer::Count;
        let mut cursor = Cursor::new(arguments, 0);
        while !cursor.is_done() {
            if takes_scores && cursor.remaining() > keys && cursor.accept("weights") {
                for weight in &mut options.weights {
                    *weight = parse_f64(cursor.need()?).ok_or(BAD_WEIGHT)?;
                }
            } else if takes_scores && cursor.remaining() >= 2 && cursor.accept("aggregate") {
                options.aggregate = match () {
                    () if cursor.accept("sum") => Aggregate::Sum,
                    () if cursor.accept("min") => Aggregate::Min,
                    () if cursor.accept("max") => Aggregate::Max,
                    () => return Err(SYNTAX),
                };
            } else if answer == Answer::Members && cursor.accept("withscores") {
                options.with_scores = true;
            } else if answer == Answer::Count && cursor.remaining() >= 2 && cursor.accept("limit") {
                let limit = integer(cursor.need()?).ok().and_then(|limit| usize::try_from(limit).ok());
                // Zero is no limit.
                options.limit =
                    limit.map(|limit| if limit == 0 { usize::MAX } else { limit }).ok_or(NEGATIVE_LIMIT)?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}

/// An input.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// No such key.
    Missing,
    SortedSet(SortedSetView<'a>),
    Set(SetView<'a>),
}

/// The score of all members of a set.
const SET_SCORE: f64 = 1.0;

impl<'a> Source<'a> {
    /// The input in an entry; `None` if it is of another type.
    fn of(entry: Option<ValueRef<'a>>) -> Option<Self> {
        let Some(value) = entry else { return Some(Source::Missing) };
        let sorted_set = SortedSet::view_in(value).map(Source::SortedSet);
        sorted_set.or_else(|| Set::view_in(value).map(Source::Set))
    }

    fn len(self) -> usize {
        match self {
            Source::Missing => 0,
            Source::SortedSet(set) => set.len(),
            Source::Set(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Missing => None,
            Source::SortedSet(set) => set.score(member),
            Source::Set(set) => set.contains(member).then_some(SET_SCORE),
        }
    }

    fn try_visit(self, mut visit: impl FnMut(&[u8], f64) -> ControlFlow<()>) -> ControlFlow<()> {
        match self {
            Source::Missing => ControlFlow::Continue(()),
            Source::SortedSet(set) => set.try_visit(0..set.len(), false, visit),
            Source::Set(set) => {
                set.iter().try_for_each(|member| visit(member.bytes(&mut itoa::Buffer::new()), SET_SCORE))
            }
        }
    }

    fn visit(self, mut visit: impl FnMut(&[u8], f64)) {
        let _ = self.try_visit(|member, score| {
            visit(member, score);
            ControlFlow::Continue(())
        });
    }
}

/// An input and what its scores are multiplied with.
type Weighted<'a> = (Source<'a>, f64);

/// ZUNION numkeys key … [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
pub fn zunion(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Operation::Union);
}

/// ZINTER numkeys key … [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
pub fn zinter(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Operation::Intersection);
}

/// ZDIFF numkeys key … [WITHSCORES]
pub fn zdiff(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Operation::Difference);
}

fn answer(ctx: &mut Context<'_>, arguments: &[&[u8]], operation: Operation) {
    let (keys, rest) = match numbered_keys(arguments, 1) {
        Ok(split) => split,
        Err(error) => return ctx.reply.error(error),
    };
    let combined = with_sources(ctx, keys, |sources| {
        let options = Options::parse(rest, keys.len(), operation, Answer::Members)?;
        Ok((SortedSet::of(combine(sources, operation, &options), NOT_PACKED), options.with_scores))
    });
    if let Some((set, with_scores)) = combined {
        let set = set.view();
        push_members(set, 0..set.len(), false, with_scores, &mut ctx.reply);
    }
}

/// ZUNIONSTORE destination numkeys key … [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX]
pub fn zunionstore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    store_combined(ctx, arguments, Operation::Union, "zunionstore");
}

/// ZINTERSTORE destination numkeys key … [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX]
pub fn zinterstore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    store_combined(ctx, arguments, Operation::Intersection, "zinterstore");
}

/// ZDIFFSTORE destination numkeys key …
pub fn zdiffstore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    store_combined(ctx, arguments, Operation::Difference, "zdiffstore");
}

fn store_combined(ctx: &mut Context<'_>, arguments: &[&[u8]], operation: Operation, event: &'static str) {
    let (keys, rest) = match numbered_keys(arguments, 2) {
        Ok(split) => split,
        Err(error) => return ctx.reply.error(error),
    };
    let limits = limits(ctx.config);
    let combined = with_sources(ctx, keys, |sources| {
        let options = Options::parse(rest, keys.len(), operation, Answer::Stored)?;
        Ok(SortedSet::of(combine(sources, operation, &options), limits))
    });
    if let Some(set) = combined {
        store(ctx, arguments[1], set, event);
    }
}

/// ZINTERCARD numkeys key … [LIMIT limit]
pub fn zintercard(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (keys, rest) = match numbered_keys(arguments, 1) {
        Ok(split) => split,
        Err(error) => return ctx.reply.error(error),
    };
    let counted = with_sources(ctx, keys, |mut sources| {
        let options = Options::parse(rest, keys.len(), Operation::Intersection, Answer::Count)?;
        sources.sort_by_key(|source| source.len());
        let mut count = 0;
        if let [smallest, others @ ..] = sources.as_slice() {
            let _ = smallest.try_visit(|member, _| {
                count += usize::from(others.iter().all(|other| other.score(member).is_some()));
                if count == options.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        Ok(count)
    });
    if let Some(count) = counted {
        ctx.reply.count(count);
    }
}

/// Arguments in two parts.
type Split<'a, 'b> = (&'b [&'a [u8]], &'b [&'a [u8]]);

/// As many keys as argument `at` says, and what stands behind them.
fn numbered_keys<'a, 'b>(arguments: &'b [&'a [u8]], at: usize) -> Result<Split<'a, 'b>, String> {
    let keys = integer(arguments[at])?;
    if keys < 1 {
        let name = String::from_utf8_lossy(arguments[0]).to_ascii_lowercase();
        return Err(format!("ERR at least 1 input key is needed for '{name}' command"));
    }
    let behind = &arguments[at + 1..];
    usize::try_from(keys).ok().and_then(|keys| behind.split_at_checked(keys)).ok_or_else(|| SYNTAX.into())
}

/// Looks all inputs up and has `read` make something of them; replies the error if one is of another type, or that of
/// `read`.
fn with_sources<R>(
    ctx: &mut Context<'_>,
    keys: &[&[u8]],
    read: impl FnOnce(Vec<Source<'_>>) -> Result<R, &'static str>,
) -> Option<R> {
    for key in keys {
        if ctx.find(key).is_some_and(|entry| Source::of(Some(entry.value())).is_none()) {
            ctx.wrong_type();
            return None;
        }
    }
    let database = ctx.database();
    let source = |key: &&[u8]| {
        let entry = ctx.keyspace.find(database, key).filter(|entry| !ctx.caller.is_over(entry, ctx.now));
        Source::of(entry.map(|entry| entry.value())).unwrap_or(Source::Missing)
    };
    let result = read(keys.iter().map(source).collect());
    result.map_err(|error| ctx.reply.error(error)).ok()
}

fn combine(sources: Vec<Source<'_>>, operation: Operation, options: &Options) -> Unordered {
    let mut inputs: Vec<Weighted<'_>> = sources.into_iter().zip(options.weights.iter().copied()).collect();
    if operation != Operation::Difference {
        // Sums depend on the order of the inputs a little: it is Redis's.
        inputs.sort_by_key(|(source, _)| source.len());
    }
    match operation {
        Operation::Union => unite(&inputs, options.aggregate),
        Operation::Intersection => intersect(&inputs, options.aggregate),
        Operation::Difference => subtract(&inputs),
    }
}

fn unite(inputs: &[Weighted<'_>], aggregate: Aggregate) -> Unordered {
    let mut result = Unordered::default();
    for (source, weight) in inputs {
        source.visit(|member, score| {
            let score = number_or_zero(weight * score);
            result.update(member, |before| before.map_or(score, |before| aggregate.apply(before, score)));
        });
    }
    result
}

fn intersect(inputs: &[Weighted<'_>], aggregate: Aggregate) -> Unordered {
    let mut result = Unordered::default();
    let [(smallest, weight), others @ ..] = inputs else { return result };
    smallest.visit(|member, score| {
        let combined = others.iter().try_fold(number_or_zero(weight * score), |combined, (other, weight)| {
            other.score(member).map(|score| aggregate.apply(combined, weight * score))
        });
        if let Some(score) = combined {
            result.update(member, |_| score);
        }
    });
    result
}

fn subtract(inputs: &[Weighted<'_>]) -> Unordered {
    let mut result = Unordered::default();
    let [(first, _), others @ ..] = inputs else { return result };
    first.visit(|member, score| {
        if others.iter().all(|(other, _)| other.score(member).is_none()) {
            result.update(member, |_| score);
        }
    });
    result
}
