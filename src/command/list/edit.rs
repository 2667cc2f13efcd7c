//! Changing a list anywhere: LSET, LINSERT, LTRIM, LREM.

use super::{absolute, check_lengths, limit, modified, part};
use crate::command::Context;
use crate::command::args::{integer, is_word};
use crate::command::context::{KeyspaceEvents, WrongType};
use crate::resp::error::{NO_SUCH_KEY, SYNTAX};
use crate::store::list::{End, List};

const INDEX_OUT_OF_RANGE: &str = "ERR index out of range";

/// LSET key index element
pub(super) fn lset(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, element) = (arguments[1], arguments[3]);
    let set = ctx.change(key, |list: &mut List, config| {
        let index = integer(arguments[2])?;
        check_lengths(&[element])?;
        // Outside of the list there is nothing to set, but it still changes its form as if there were.
        let index = absolute(index, list.len()).unwrap_or(usize::MAX);
        if list.set(index, element, limit(config)) { Ok(()) } else { Err(INDEX_OUT_OF_RANGE) }
    });
    let result = match set {
        Err(WrongType) => return,
        Ok(None) => Err(NO_SUCH_KEY),
        Ok(Some(changed)) => changed.result,
    };
    match result {
        Ok(()) => {
            modified(ctx, key, "lset", 1);
            ctx.reply.ok();
        }
        Err(error) => ctx.reply.error(error),
    }
}

/// LINSERT key BEFORE|AFTER pivot element
pub(super) fn linsert(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, pivot, element) = (arguments[1], arguments[3], arguments[4]);
    let is_behind = is_word(arguments[2], "after");
    if !is_behind && !is_word(arguments[2], "before") {
        return ctx.reply.error(SYNTAX);
    }
    if let Err(error) = check_lengths(&[element]) {
        return ctx.reply.error(error);
    }
    let inserted = ctx.change(key, |list: &mut List, config| {
        list.insert(pivot, is_behind, element, limit(config)).then_some(list.len())
    });
    match inserted {
        Err(WrongType) => {}
        Ok(None) => ctx.reply.int(0),
        Ok(Some(changed)) => match changed.result {
            None => ctx.reply.int(-1),
            Some(length) => {
                modified(ctx, key, "linsert", 1);
                ctx.reply.count(length);
            }
        },
    }
}

/// LTRIM key start stop
pub(super) fn ltrim(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let (start, stop) = match (integer(arguments[2]), integer(arguments[3])) {
        (Ok(start), Ok(stop)) => (start, stop),
        (Err(error), _) | (_, Err(error)) => return ctx.reply.error(error),
    };
    let trimmed = ctx.change(key, |list: &mut List, config| {
        let length = list.len();
        let part = part(start, stop, length);
        list.remove_ends(End::Tail, length - part.end, limit(config));
        list.remove_ends(End::Head, part.start, limit(config));
        length - list.len()
    });
    let changed = match trimmed {
        Err(WrongType) => return,
        Ok(None) => return ctx.reply.ok(),
        Ok(Some(changed)) => changed,
    };
    if changed.result > 0 {
        modified(ctx, key, "ltrim", changed.result);
    } else {
        // Redis tells watchers even then, but counts and replicates nothing.
        ctx.signal(ctx.database(), key, KeyspaceEvents::LIST, "ltrim");
        ctx.replicate_nothing();
    }
    if changed.is_empty {
        ctx.remove_emptied(key);
    }
    ctx.reply.ok();
}

/// LREM key count element
pub(super) fn lrem(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, element) = (arguments[1], arguments[3]);
    let count = match integer(arguments[2]) {
        Ok(count) => count,
        Err(error) => return ctx.reply.error(error),
    };
    let from = if count < 0 { End::Tail } else { End::Head };
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let removed =
        ctx.change(key, |list: &mut List, config| list.remove_equal(element, from, most, limit(config)));
    let changed = match removed {
        Err(WrongType) => return,
        Ok(None) => return ctx.reply.int(0),
        Ok(Some(changed)) => changed,
    };
    if changed.result > 0 {
        modified(ctx, key, "lrem", changed.result);
    }
    if changed.is_empty {
        ctx.remove_emptied(key);
    }
    ctx.reply.count(changed.result);
}
