//! Forms that wait for an element: BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH. They are replicated as their forms that do not.

use super::pop::{pop_first, pop_one};
use super::transfer::transfer;
use super::{ManyKeys, end_of, pop_event};
use crate::command::Context;
use crate::command::args::timeout as read_timeout;
use crate::command::context::{Null, WrongType};
use crate::store::list::End;

/// BLPOP key [key ...] timeout
pub(super) fn blpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop(ctx, arguments, End::Head);
}

/// BRPOP key [key ...] timeout
pub(super) fn brpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    pop(ctx, arguments, End::Tail);
}

fn pop(ctx: &mut Context<'_>, arguments: &[&[u8]], end: End) {
    let [_, keys @ .., timeout] = arguments else { return };
    let timeout = match read_timeout(timeout, ctx.now) {
        Ok(timeout) => timeout,
        Err(error) => return ctx.reply.error(error),
    };
    for &key in keys {
        if ctx.is_kept(key) {
            continue;
        }
        let popped = pop_one(ctx, key, end, |reply| {
            reply.array(2);
            reply.bulk(key);
        });
        match popped {
            Err(WrongType) => return,
            Ok(true) => {
                let command = pop_event(end).to_ascii_uppercase();
                return ctx.replicate(&[command.as_bytes(), key]);
            }
            Ok(false) => {}
        }
    }
    ctx.block(keys, timeout, Null::Array, None);
}

/// BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]
pub(super) fn blmpop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let parsed =
        ManyKeys::parse(arguments, 2).and_then(|wanted| Ok((wanted, read_timeout(arguments[1], ctx.now)?)));
    let (wanted, timeout) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return ctx.reply.error(error),
    };
    if let Ok(false) = pop_first(ctx, &wanted) {
        ctx.block(wanted.keys, timeout, Null::Array, None);
    }
}

/// BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout
pub(super) fn blmove(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let parsed = end_of(arguments[3]).and_then(|from| Ok((from, end_of(arguments[4])?)));
    match parsed.and_then(|ends| Ok((ends, read_timeout(arguments[5], ctx.now)?))) {
        Ok(((from, to), timeout)) => {
            let effect = [b"LMOVE", arguments[1], arguments[2], arguments[3], arguments[4]];
            move_or_wait(ctx, &effect, from, to, timeout);
        }
        Err(error) => ctx.reply.error(error),
    }
}

/// BRPOPLPUSH source destination timeout
pub(super) fn brpoplpush(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match read_timeout(arguments[3], ctx.now) {
        Ok(timeout) => {
            let effect = [b"RPOPLPUSH", arguments[1], arguments[2]];
            move_or_wait(ctx, &effect, End::Tail, End::Head, timeout);
        }
        Err(error) => ctx.reply.error(error),
    }
}

/// Does what `effect` says, once there is an element.
fn move_or_wait(ctx: &mut Context<'_>, effect: &[&[u8]], from: End, to: End, timeout: Option<i64>) {
    let (source, destination) = (effect[1], effect[2]);
    let moved = if ctx.is_kept(source) { Ok(false) } else { transfer(ctx, source, destination, from, to) };
    match moved {
        Err(WrongType) => {}
        Ok(true) => ctx.replicate(effect),
        Ok(false) => ctx.block(&[source], timeout, Null::Bulk, None),
    }
}
