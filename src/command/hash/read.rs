//! Reading: HGET and its kin.

use super::{push, push_value, read};
use crate::command::Context;
use crate::command::slice::STEP;
use crate::resp::Reply;
use crate::store::hash::{Hash, HashView, Pair};

/// HGET key field
pub(super) fn hget(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[1], |hash, reply| push_value(reply, hash, arguments[2]));
}

/// HMGET key field \[field ...\]
pub(super) fn hmget(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[1], |hash, reply| {
        reply.array(arguments.len() - 2);
        for field in &arguments[2..] {
            push_value(reply, hash, field);
        }
    });
}

/// HEXISTS key field
pub(super) fn hexists(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[1], |hash, reply| {
        let exists = hash.is_some_and(|hash| hash.find(arguments[2]).is_some());
        reply.int(i64::from(exists));
    });
}

/// HLEN key
pub(super) fn hlen(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[1], |hash, reply| reply.count(hash.map_or(0, HashView::len)));
}

/// HSTRLEN key field
pub(super) fn hstrlen(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[1], |hash, reply| {
        let value = hash.and_then(|hash| hash.get(arguments[2]));
        reply.count(value.map_or(0, |value| value.len()));
    });
}

/// HGETALL key
pub(super) fn hgetall(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read_all(ctx, arguments[1], |reply, len| reply.map(len), true, true);
}

/// HKEYS key
pub(super) fn hkeys(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read_all(ctx, arguments[1], |reply, len| reply.array(len), true, false);
}

/// HVALS key
pub(super) fn hvals(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read_all(ctx, arguments[1], |reply, len| reply.array(len), false, true);
}

/// Replies all fields, values, or both, behind the header of their number.
#[inline]
fn read_all(
    ctx: &mut Context<'_>,
    key: &[u8],
    header: impl Fn(&mut Reply<'_>, usize),
    fields: bool,
    values: bool,
) {
    let now = ctx.now;
    ctx.read_sliced::<Hash, _>(key, |hash, reply, slices| {
        let Some(hash) = hash.map(|hash| hash.at(now)) else { return header(reply, 0) };
        let push_pair = |reply: &mut Reply<'_>, pair: Pair<'_>| {
            if fields {
                push(reply, pair.field);
            }
            if values {
                push(reply, pair.value);
            }
        };
        let Some(slice) = slices.of(hash.len()) else {
            header(reply, hash.len());
            return hash.each(|pair| push_pair(reply, pair));
        };
        if slice.is_first() {
            header(reply, hash.len());
        }
        slice.walk(reply, |cursor, reply| hash.scan(cursor, STEP, |pair| push_pair(reply, pair)));
    });
}
