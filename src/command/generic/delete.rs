//! Removing keys and counting them: DEL, UNLINK, EXISTS, TOUCH.

use crate::command::context::{Context, KeyspaceEvents};

/// DEL and UNLINK. Neither frees a large value itself, so they do the same.
pub fn del(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let mut removed = 0;
    for key in &arguments[1..] {
        if !ctx.exists(key) {
            continue;
        }
        if let Some(entry) = ctx.remove(key) {
            ctx.keyspace.discard_entry(entry);
            ctx.modified(key, KeyspaceEvents::GENERIC, "del");
            removed += 1;
        }
    }
    ctx.reply.count(removed);
}

/// EXISTS: a key that is named twice counts twice.
pub fn exists(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let found = arguments[1..].iter().filter(|key| ctx.inspect(key).is_some()).count();
    ctx.reply.count(found);
}

/// TOUCH: also for a client that said CLIENT NO-TOUCH.
pub fn touch(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let no_touch = std::mem::replace(&mut ctx.caller.no_touch, false);
    let found = arguments[1..].iter().filter(|key| ctx.find(key).is_some()).count();
    ctx.caller.no_touch = no_touch;
    ctx.reply.count(found);
}
