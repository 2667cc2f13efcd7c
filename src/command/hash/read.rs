//! Reading: HGET and its kin.

use super::{push, push_value, read};
use crate::command::Context;
use crate::resp::Reply;
use crate::store::hash::HashView;

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
    read(ctx, arguments[1], |hash, reply| {
        reply.map(hash.map_or(0, HashView::len));
        each(hash, reply, true, true);
    });
}

/// HKEYS key
pub(super) fn hkeys(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[1], |hash, reply| {
        reply.array(hash.map_or(0, HashView::len));
        each(hash, reply, true, false);
    });
}

/// HVALS key
pub(super) fn hvals(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[1], |hash, reply| {
        reply.array(hash.map_or(0, HashView::len));
        each(hash, reply, false, true);
    });
}

#[inline]
fn each(hash: Option<HashView<'_>>, reply: &mut Reply<'_>, fields: bool, values: bool) {
    let Some(hash) = hash else { return };
    hash.each(|pair| {
        if fields {
            push(reply, pair.field);
        }
        if values {
            push(reply, pair.value);
        }
    });
}
