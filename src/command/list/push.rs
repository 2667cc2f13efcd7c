//! Adding at the ends: LPUSH, RPUSH and their forms for lists that exist.

use super::{check_lengths, limit, modified, push_event};
use crate::command::Context;
use crate::command::context::WrongType;
use crate::config::Config;
use crate::store::list::{End, List};

/// LPUSH key element [element ...]
pub(super) fn lpush(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    push(ctx, arguments, End::Head, false);
}

/// RPUSH key element [element ...]
pub(super) fn rpush(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    push(ctx, arguments, End::Tail, false);
}

/// LPUSHX key element [element ...]
pub(super) fn lpushx(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    push(ctx, arguments, End::Head, true);
}

/// RPUSHX key element [element ...]
pub(super) fn rpushx(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    push(ctx, arguments, End::Tail, true);
}

fn push(ctx: &mut Context<'_>, arguments: &[&[u8]], end: End, only_present: bool) {
    let (key, elements) = (arguments[1], &arguments[2..]);
    if let Err(error) = check_lengths(elements) {
        return ctx.reply.error(error);
    }
    let add = |list: &mut List, config: &Config| {
        list.push(end, elements, limit(config));
        list.len()
    };
    let added = match only_present {
        true => ctx.change(key, add),
        false => ctx.change_or_create(key, add).map(Some),
    };
    match added {
        Err(WrongType) => {}
        Ok(None) => ctx.reply.int(0),
        Ok(Some(changed)) => {
            modified(ctx, key, push_event(end), elements.len());
            ctx.reply.count(changed.result);
        }
    }
}
