//! ZADD and ZINCRBY.

use super::limits;
use crate::command::args::{Cursor, float};
use crate::command::context::{Context, KeyspaceEvents};
use crate::resp::error::SYNTAX;
use crate::store::sorted_set::SortedSet;

const NX_WITH_XX: &str = "ERR XX and NX options at the same time are not compatible";
const NX_WITH_COMPARISON: &str = "ERR GT, LT, and/or NX options at the same time are not compatible";
const SEVERAL_INCREMENTS: &str = "ERR INCR option supports a single increment-element pair";
/// A sum of both infinities.
const NOT_A_NUMBER: &str = "ERR resulting score is not a number (NaN)";

/// Which members are added or changed, and what is answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Only members that are not there.
    pub only_new: bool,
    /// Only members that are there.
    pub only_present: bool,
    /// Members that are there only to a greater score.
    pub only_greater: bool,
    /// Members that are there only to a lower score.
    pub only_lower: bool,
    /// The answer counts changed members too.
    pub counts_changed: bool,
    /// The score is added to the present one, and the answer is the sum.
    pub increments: bool,
}

impl Options {
    /// Moves over one option; `false` when there is none.
    fn accept(&mut self, cursor: &mut Cursor<'_, '_>) -> bool {
        for (word, flag) in [
            ("nx", &mut self.only_new),
            ("xx", &mut self.only_present),
            ("ch", &mut self.counts_changed),
            ("incr", &mut self.increments),
            ("gt", &mut self.only_greater),
            ("lt", &mut self.only_lower),
        ] {
            if cursor.accept(word) {
                *flag = true;
                return true;
            }
        }
        false
    }

    fn check(self, members: usize) -> Result<(), &'static str> {
        if self.only_new && self.only_present {
            return Err(NX_WITH_XX);
        }
        let comparison = self.only_greater || self.only_lower;
        if (comparison && self.only_new) || (self.only_greater && self.only_lower) {
            return Err(NX_WITH_COMPARISON);
        }
        if self.increments && members > 1 {
            return Err(SEVERAL_INCREMENTS);
        }
        Ok(())
    }

    /// The score that a member gets; `None` for no change. It may be NaN.
    fn decide(self, before: Option<f64>, score: f64) -> Option<f64> {
        let Some(before) = before else { return (!self.only_present).then_some(score) };
        let score = if self.increments { before + score } else { score };
        let refused =
            self.only_new || (self.only_greater && score <= before) || (self.only_lower && score >= before);
        (!refused).then_some(score)
    }
}

/// What became of the members.
#[derive(Default)]
struct Outcome {
    added: usize,
    changed: usize,
    /// The score that the last member has got, changed or not.
    score: Option<f64>,
    is_nan: bool,
}

/// ZADD
pub fn zadd(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    add_parsed(ctx, arguments, Options::default());
}

/// ZINCRBY takes the options of ZADD too.
pub fn zincrby(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    add_parsed(ctx, arguments, Options { increments: true, ..Options::default() });
}

fn add_parsed(ctx: &mut Context<'_>, arguments: &[&[u8]], options: Options) {
    match parse(arguments, options) {
        Ok((options, members)) => add(ctx, arguments[1], options, &members),
        Err(error) => ctx.reply.error(error),
    }
}

/// Options, then pairs of score and member.
type Parsed<'a> = (Options, Vec<(f64, &'a [u8])>);

fn parse<'a>(arguments: &[&'a [u8]], mut options: Options) -> Result<Parsed<'a>, &'static str> {
    let mut cursor = Cursor::new(arguments, 2);
    while options.accept(&mut cursor) {}
    let count = cursor.remaining();
    if count == 0 || !count.is_multiple_of(2) {
        return Err(SYNTAX);
    }
    options.check(count / 2)?;
    let mut members = Vec::with_capacity(count / 2);
    while let (Some(score), Some(member)) = (cursor.take(), cursor.take()) {
        members.push((float(score)?, member));
    }
    Ok((options, members))
}

/// Adds members with their scores as ZADD does, and replies.
pub fn add(ctx: &mut Context<'_>, key: &[u8], options: Options, members: &[(f64, &[u8])]) {
    let limits = limits(ctx.config);
    let apply = |set: &mut SortedSet| {
        let mut outcome = Outcome::default();
        set.expect(members.len(), limits);
        for (score, member) in members {
            let (before, after) = set.update(member, limits, |before| {
                let decision = options.decide(before, *score);
                outcome.is_nan |= decision.is_some_and(f64::is_nan);
                decision.filter(|score| !score.is_nan())
            });
            outcome.score = after.or(outcome.score);
            outcome.added += usize::from(before.is_none() && after.is_some());
            outcome.changed += usize::from(before.is_some() && after.is_some() && before != after);
        }
        outcome
    };
    let outcome = if options.only_present {
        let changed = ctx.change(key, |set, _| apply(set));
        changed.map(|changed| changed.map_or(Outcome::default(), |changed| changed.result))
    } else {
        ctx.change_or_create(key, |set, _| apply(set)).map(|changed| changed.result)
    };
    if let Ok(outcome) = outcome {
        tell(ctx, key, options, &outcome);
    }
}

fn tell(ctx: &mut Context<'_>, key: &[u8], options: Options, outcome: &Outcome) {
    if outcome.added + outcome.changed > 0 {
        ctx.modified(key, KeyspaceEvents::ZSET, if options.increments { "zincr" } else { "zadd" });
    }
    match outcome.score {
        _ if outcome.is_nan => ctx.reply.error(NOT_A_NUMBER),
        Some(score) if options.increments => ctx.reply.double(score),
        None if options.increments => ctx.reply.null(),
        _ if options.counts_changed => ctx.reply.count(outcome.added + outcome.changed),
        _ => ctx.reply.count(outcome.added),
    }
}
