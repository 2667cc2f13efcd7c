//! Setting and removing fields: HSET, HSETNX, HMSET, HDEL.

use super::limits;
use crate::command::Context;
use crate::command::context::KeyspaceEvents;
use crate::resp::error::wrong_arity;
use crate::store::hash::{Deadline, Hash};

/// HSET key field value \[field value ...\]
pub(super) fn hset(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if let Some(added) = set_pairs(ctx, arguments, "hset") {
        ctx.reply.count(added);
    }
}

/// HMSET key field value \[field value ...\]
pub(super) fn hmset(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if set_pairs(ctx, arguments, "hmset").is_some() {
        ctx.reply.ok();
    }
}

/// Sets all pairs and returns how many fields are new; `None` after an error.
fn set_pairs(ctx: &mut Context<'_>, arguments: &[&[u8]], name: &str) -> Option<usize> {
    let (key, pairs) = (arguments[1], &arguments[2..]);
    if !pairs.len().is_multiple_of(2) {
        ctx.reply.error(wrong_arity(name));
        return None;
    }
    let changed = ctx.change_or_create(key, |hash: &mut Hash, config| {
        let limits = limits(config);
        let added = pairs.chunks_exact(2).filter(|pair| hash.set(pair[0], pair[1], Deadline::Ends, limits));
        added.count()
    });
    let added = changed.ok()?.result;
    ctx.modified(key, KeyspaceEvents::HASH, "hset");
    Some(added)
}

/// HSETNX key field value
pub(super) fn hsetnx(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, field, value) = (arguments[1], arguments[2], arguments[3]);
    let changed = ctx.change_or_create(key, |hash: &mut Hash, config| {
        hash.view().find(field).is_none() && hash.set(field, value, Deadline::Ends, limits(config))
    });
    let Ok(changed) = changed else { return };
    ctx.reply.int(i64::from(changed.result));
    if changed.result {
        ctx.modified(key, KeyspaceEvents::HASH, "hset");
    }
}

/// HDEL key field \[field ...\]
pub(super) fn hdel(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let changed = ctx
        .change(key, |hash: &mut Hash, _| arguments[2..].iter().filter(|field| hash.remove(field)).count());
    let Ok(changed) = changed else { return };
    let removed = changed.map_or(0, |changed| changed.result);
    ctx.reply.count(removed);
    if removed > 0 {
        ctx.modified(key, KeyspaceEvents::HASH, "hdel");
    }
    if changed.is_some_and(|changed| changed.is_empty) {
        ctx.remove_emptied(key);
    }
}
