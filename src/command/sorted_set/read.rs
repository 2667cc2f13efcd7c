//! Questions about members and counts: ZSCORE, ZMSCORE, ZCARD, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT.

use super::range::{parse_members, parse_scores};
use crate::command::args::is_word;
use crate::command::context::Context;
use crate::resp::Reply;
use crate::resp::error::{SYNTAX, wrong_arity};
use crate::store::sorted_set::{SortedSet, SortedSetView};

/// ZCARD key
pub fn zcard(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| reply.count(set.map_or(0, SortedSetView::len)));
}

/// ZSCORE key member
pub fn zscore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| push_score(set, arguments[2], reply));
}

/// ZMSCORE key member …
pub fn zmscore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        reply.array(arguments.len() - 2);
        arguments[2..].iter().for_each(|member| push_score(set, member, reply));
    });
}

fn push_score(set: Option<SortedSetView<'_>>, member: &[u8], reply: &mut Reply<'_>) {
    match set.and_then(|set| set.score(member)) {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

/// ZRANK key member [WITHSCORE]
pub fn zrank(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    rank(ctx, arguments, "zrank", |rank, _| rank);
}

/// ZREVRANK key member [WITHSCORE]
pub fn zrevrank(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    rank(ctx, arguments, "zrevrank", |rank, members| members - 1 - rank);
}

fn rank(ctx: &mut Context<'_>, arguments: &[&[u8]], name: &str, count: impl Fn(usize, usize) -> usize) {
    let with_score = match arguments[3..] {
        [] => false,
        [word] if is_word(word, "withscore") => true,
        [_] => return ctx.reply.error(SYNTAX),
        _ => return ctx.reply.error(wrong_arity(name)),
    };
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        let found = set.and_then(|set| set.rank(arguments[2]).map(|(rank, score)| (set.len(), rank, score)));
        match found {
            Some((members, rank, score)) if with_score => {
                reply.array(2);
                reply.count(count(rank, members));
                reply.double(score);
            }
            Some((members, rank, _)) => reply.count(count(rank, members)),
            None if with_score => reply.null_array(),
            None => reply.null(),
        }
    });
}

/// ZCOUNT key min max
pub fn zcount(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let range = match parse_scores(arguments[2], arguments[3]) {
        Ok(range) => range,
        Err(error) => return ctx.reply.error(error),
    };
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        reply.count(set.map_or(0, |set| set.ranks_by_score(&range).len()));
    });
}

/// ZLEXCOUNT key min max
pub fn zlexcount(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let range = match parse_members(arguments[2], arguments[3]) {
        Ok(range) => range,
        Err(error) => return ctx.reply.error(error),
    };
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        reply.count(set.map_or(0, |set| set.ranks_by_member(&range).len()));
    });
}
