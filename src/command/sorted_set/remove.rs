//! ZREM and the removal of ranges.

use super::range::{Part, parse_members, parse_scores};
use crate::command::args::integer;
use crate::command::context::{Context, KeyspaceEvents};
use crate::store::sorted_set::SortedSet;

/// ZREM key member …
pub fn zrem(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    remove(ctx, arguments[1], "zrem", |set| {
        arguments[2..].iter().filter(|member| set.remove(member).is_some()).count()
    });
}

/// ZREMRANGEBYRANK key start stop
pub fn zremrangebyrank(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let part = integer(arguments[2]).and_then(|start| Ok(Part::Ranks(start, integer(arguments[3])?)));
    remove_part(ctx, arguments[1], part, "zremrangebyrank");
}

/// ZREMRANGEBYSCORE key min max
pub fn zremrangebyscore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let part = parse_scores(arguments[2], arguments[3]).map(Part::Scores);
    remove_part(ctx, arguments[1], part, "zremrangebyscore");
}

/// ZREMRANGEBYLEX key min max
pub fn zremrangebylex(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let part = parse_members(arguments[2], arguments[3]).map(Part::Members);
    remove_part(ctx, arguments[1], part, "zremrangebylex");
}

fn remove_part(ctx: &mut Context<'_>, key: &[u8], part: Result<Part<'_>, &'static str>, event: &'static str) {
    match part {
        Ok(part) => remove(ctx, key, event, |set| {
            let ranks = part.ranks(set.view());
            set.remove_range(ranks.clone());
            ranks.len()
        }),
        Err(error) => ctx.reply.error(error),
    }
}

/// Replies how many members `take` removed.
fn remove(
    ctx: &mut Context<'_>,
    key: &[u8],
    event: &'static str,
    take: impl FnOnce(&mut SortedSet) -> usize,
) {
    let Ok(changed) = ctx.change::<SortedSet, _>(key, |set, _| take(set)) else { return };
    let removed = changed.map_or(0, |changed| changed.result);
    if removed > 0 {
        ctx.modified(key, KeyspaceEvents::ZSET, event);
    }
    if changed.is_some_and(|changed| changed.is_empty) {
        ctx.remove_emptied(key);
    }
    ctx.reply.count(removed);
}
