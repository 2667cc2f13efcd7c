//! Taking the lowest or highest members out: ZPOPMIN, ZPOPMAX, ZMPOP, and the forms that wait.

use super::push_pair;
use crate::command::args::{Cursor, integer, timeout};
use crate::command::context::{Context, KeyspaceEvents, Null, WrongType};
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::sorted_set::{SortedSet, SortedSetView};

const NEGATIVE_COUNT: &str = "ERR value is out of range, must be positive";
const BAD_NUMBER_OF_KEYS: &str = "ERR numkeys should be greater than 0";
const BAD_COUNT: &str = "ERR count should be greater than 0";

/// From which end members are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lowest,
    Highest,
}

impl End {
    fn event(self) -> &'static str {
        match self {
            End::Lowest => "zpopmin",
            End::Highest => "zpopmax",
        }
    }

    fn command(self) -> &'static [u8] {
        match self {
            End::Lowest => b"ZPOPMIN",
            End::Highest => b"ZPOPMAX",
        }
    }
}

/// Members with their scores in the order in which they were taken.
type Popped = Vec<(Box<[u8]>, f64)>;

/// ZPOPMIN key [count]
pub fn zpopmin(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop_one_key(ctx, arguments, End::Lowest);
}

/// ZPOPMAX key [count]
pub fn zpopmax(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop_one_key(ctx, arguments, End::Highest);
}

fn pop_one_key(ctx: &mut Context<'_>, arguments: &[&[u8]], end: End) {
    let count = match arguments[2..] {
        [] => None,
        [count] => match integer(count).ok().and_then(|count| usize::try_from(count).ok()) {
            Some(count) => Some(count),
            None => return ctx.reply.error(NEGATIVE_COUNT),
        },
        _ => return ctx.reply.error(SYNTAX),
    };
    let Ok(popped) = take(ctx, arguments[1], end, count.unwrap_or(1)) else { return };
    let popped = popped.unwrap_or_default();
    if count.is_some() && ctx.reply.is_resp3() {
        push_nested(&popped, &mut ctx.reply);
    } else {
        ctx.reply.array(2 * popped.len());
        push_flat(&popped, &mut ctx.reply);
    }
}

/// BZPOPMIN key … timeout
pub fn bzpopmin(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop_or_wait(ctx, arguments, End::Lowest);
}

/// BZPOPMAX key … timeout
pub fn bzpopmax(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop_or_wait(ctx, arguments, End::Highest);
}

fn pop_or_wait(ctx: &mut Context<'_>, arguments: &[&[u8]], end: End) {
    let Some((last, keys)) = arguments[1..].split_last() else { return ctx.reply.error(SYNTAX) };
    let timeout_ms = match timeout(last, ctx.now) {
        Ok(timeout_ms) => timeout_ms,
        Err(error) => return ctx.reply.error(error),
    };
    match take_first(ctx, keys, end, 1) {
        Ok(Some((key, popped))) => {
            ctx.replicate(&[end.command(), key]);
            ctx.reply.array(1 + 2 * popped.len());
            ctx.reply.bulk(key);
            push_flat(&popped, &mut ctx.reply);
        }
        Ok(None) => ctx.block(keys, timeout_ms, Null::Array, None),
        Err(WrongType) => {}
    }
}

/// What ZMPOP asks for.
struct Request<'a, 'b> {
    keys: &'b [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a, 'b> Request<'a, 'b> {
    /// Reads from the number of keys on, which is argument `at`.
    fn parse(arguments: &'b [&'a [u8]], at: usize) -> Result<Self, &'static str> {
        let keys = at_least_one(arguments[at], BAD_NUMBER_OF_KEYS)?;
        let (keys, rest) = arguments[at + 1..].split_at_checked(keys).ok_or(SYNTAX)?;
        let mut cursor = Cursor::new(rest, 0);
        let end = match () {
            () if cursor.accept("min") => End::Lowest,
            () if cursor.accept("max") => End::Highest,
            () => return Err(SYNTAX),
        };
        let mut count = 1;
        if cursor.remaining() > 1 && cursor.accept("count") {
            count = at_least_one(cursor.need()?, BAD_COUNT)?;
        }
        if cursor.is_done() { Ok(Self { keys, end, count }) } else { Err(SYNTAX) }
    }
}

fn at_least_one(argument: &[u8], error: &'static str) -> Result<usize, &'static str> {
    integer(argument)
        .ok()
        .and_then(|count| usize::try_from(count).ok())
        .filter(|&count| count > 0)
        .ok_or(error)
}

/// ZMPOP numkeys key … MIN | MAX [COUNT count]
pub fn zmpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let request = match Request::parse(arguments, 1) {
        Ok(request) => request,
        Err(error) => return ctx.reply.error(error),
    };
    if pop_first(ctx, &request) == Ok(false) {
        ctx.reply.null_array();
    }
}

/// BZMPOP timeout numkeys key … MIN | MAX [COUNT count]
pub fn bzmpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let parsed =
        Request::parse(arguments, 2).and_then(|request| Ok((request, timeout(arguments[1], ctx.now)?)));
    let (request, timeout_ms) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return ctx.reply.error(error),
    };
    if pop_first(ctx, &request) == Ok(false) {
        ctx.block(request.keys, timeout_ms, Null::Array, None);
    }
}

/// Takes members from the first key that has any, and replies; `false` and no reply when none has.
fn pop_first(ctx: &mut Context<'_>, request: &Request<'_, '_>) -> Result<bool, WrongType> {
    let Some((key, popped)) = take_first(ctx, request.keys, request.end, request.count)? else {
        return Ok(false);
    };
    let mut digits = itoa::Buffer::new();
    ctx.replicate(&[request.end.command(), key, digits.format(popped.len()).as_bytes()]);
    ctx.reply.array(2);
    ctx.reply.bulk(key);
    push_nested(&popped, &mut ctx.reply);
    Ok(true)
}

/// Takes members from the first of the keys that exists.
fn take_first<'a>(
    ctx: &mut Context<'_>,
    keys: &[&'a [u8]],
    end: End,
    count: usize,
) -> Result<Option<(&'a [u8], Popped)>, WrongType> {
    for &key in keys {
        if !ctx.is_kept(key)
            && let Some(popped) = take(ctx, key, end, count)?
        {
            return Ok(Some((key, popped)));
        }
    }
    Ok(None)
}

/// Takes up to `count` members from the end of a sorted set; `None` when there is no such key.
fn take(ctx: &mut Context<'_>, key: &[u8], end: End, count: usize) -> Result<Option<Popped>, WrongType> {
    let changed = ctx.change::<SortedSet, _>(key, |set, _| {
        let members = set.len();
        let count = count.min(members);
        let ranks = if end == End::Lowest { 0..count } else { members - count..members };
        let popped = collect(set.view(), ranks.clone(), end == End::Highest);
        set.remove_range(ranks);
        popped
    })?;
    let Some(changed) = changed else { return Ok(None) };
    if !changed.result.is_empty() {
        ctx.modified(key, KeyspaceEvents::ZSET, end.event());
    }
    if changed.is_empty {
        ctx.remove_emptied(key);
    }
    Ok(Some(changed.result))
}

fn collect(set: SortedSetView<'_>, ranks: std::ops::Range<usize>, reversed: bool) -> Popped {
    let mut members = Vec::with_capacity(ranks.len());
    set.visit(ranks, reversed, |member, score| members.push((member.into(), score)));
    members
}

fn push_flat(popped: &Popped, reply: &mut Reply<'_>) {
    for (member, score) in popped {
        push_pair(member, *score, reply);
    }
}

fn push_nested(popped: &Popped, reply: &mut Reply<'_>) {
    reply.array(popped.len());
    for (member, score) in popped {
        reply.array(2);
        push_pair(member, *score, reply);
    }
}
