//! Taking from the ends: LPOP, RPOP, LMPOP. Replies are written from the list itself, before the elements go.

use super::{ManyKeys, at_least, limit, pop_event, popped, push_element};
use crate::command::Context;
use crate::command::context::WrongType;
use crate::resp::Reply;
use crate::resp::error::wrong_arity;
use crate::store::list::{End, List};

const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";

/// LPOP key [count]
pub(super) fn lpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop(ctx, arguments, End::Head);
}

/// RPOP key [count]
pub(super) fn rpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop(ctx, arguments, End::Tail);
}

fn pop(ctx: &mut Context<'_>, arguments: &[&[u8]], end: End) {
    let key = arguments[1];
    match arguments[2..] {
        [] => match pop_one(ctx, key, end, |_| {}) {
            Ok(true) | Err(WrongType) => {}
            Ok(false) => ctx.reply.null(),
        },
        [count] => match at_least(0, count, NOT_POSITIVE) {
            Ok(count) => match pop_some(ctx, key, end, count, |_| {}) {
                Ok(Some(_)) | Err(WrongType) => {}
                Ok(None) => ctx.reply.null_array(),
            },
            Err(error) => ctx.reply.error(error),
        },
        _ => ctx.reply.error(wrong_arity(pop_event(end))),
    }
}

/// Takes an element away and replies it behind what `before` replies; false when there is no such key.
pub(super) fn pop_one(
    ctx: &mut Context<'_>,
    key: &[u8],
    end: End,
    before: impl FnOnce(&mut Reply<'_>),
) -> Result<bool, WrongType> {
    let taken = ctx.change_replying(key, |list: &mut List, config, reply| {
        before(reply);
        if let Some(element) = list.end(end) {
            push_element(reply, element);
        }
        list.remove_ends(end, 1, limit(config));
    })?;
    let Some(changed) = taken else { return Ok(false) };
    popped(ctx, key, end, 1, changed.is_empty);
    Ok(true)
}

/// Takes up to `count` elements away and replies them as an array behind what `before` replies; returns how many, `None`
/// when there is no such key.
pub(super) fn pop_some(
    ctx: &mut Context<'_>,
    key: &[u8],
    end: End,
    count: usize,
    before: impl FnOnce(&mut Reply<'_>),
) -> Result<Option<usize>, WrongType> {
    let taken = ctx.change_replying(key, |list: &mut List, config, reply| {
        let count = count.min(list.len());
        before(reply);
        reply.array(count);
        list.walk(end, 0).take(count).for_each(|element| push_element(reply, element));
        list.remove_ends(end, count, limit(config));
        count
    })?;
    let Some(changed) = taken else { return Ok(None) };
    if changed.result > 0 {
        popped(ctx, key, end, changed.result, changed.is_empty);
    }
    Ok(Some(changed.result))
}

/// LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]
pub(super) fn lmpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let wanted = match ManyKeys::parse(arguments, 1) {
        Ok(wanted) => wanted,
        Err(error) => return ctx.reply.error(error),
    };
    if let Ok(false) = pop_first(ctx, &wanted) {
        ctx.reply.null_array();
    }
}

/// Takes elements from the first key that exists, and replies both; false when none does. Replicated as LPOP or RPOP.
pub(super) fn pop_first(ctx: &mut Context<'_>, wanted: &ManyKeys<'_, '_>) -> Result<bool, WrongType> {
    for &key in wanted.keys {
        if ctx.is_kept(key) {
            continue;
        }
        let before = |reply: &mut Reply<'_>| {
            reply.array(2);
            reply.bulk(key);
        };
        if let Some(count) = pop_some(ctx, key, wanted.end, wanted.count, before)? {
            let command = pop_event(wanted.end).to_ascii_uppercase();
            ctx.replicate(&[command.as_bytes(), key, itoa::Buffer::new().format(count).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}
