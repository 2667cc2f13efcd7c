//! Keys under other names and in other databases: RENAME, RENAMENX, MOVE, COPY.

use super::database_index;
use crate::base::clock::UnixMillis;
use crate::command::args::Cursor;
use crate::command::context::{Context, KeyspaceEvents};
use crate::resp::error::{NO_SUCH_KEY, SAME_OBJECT, SYNTAX};
use crate::store::access::first_access;
use crate::store::entry::Entry;

/// RENAME
pub fn rename(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match give_name(ctx, arguments[1], arguments[2], true) {
        None => ctx.reply.error(NO_SUCH_KEY),
        Some(_) => ctx.reply.ok(),
    }
}

/// RENAMENX
pub fn renamenx(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match give_name(ctx, arguments[1], arguments[2], false) {
        None => ctx.reply.error(NO_SUCH_KEY),
        Some(done) => ctx.reply.int(i64::from(done)),
    }
}

/// Whether the entry of `from` now stands under `to`; `None` when there is no `from`.
fn give_name(ctx: &mut Context<'_>, from: &[u8], to: &[u8], overwrite: bool) -> Option<bool> {
    ctx.use_for_write(from)?;
    if from == to || (ctx.exists(to) && !overwrite) {
        return Some(false);
    }
    let entry = ctx.remove(from)?.with_key(to);
    let database = ctx.database();
    put(ctx, database, entry);
    ctx.modified(from, KeyspaceEvents::GENERIC, "rename_from");
    ctx.signal(database, to, KeyspaceEvents::GENERIC, "rename_to");
    Some(true)
}

/// MOVE
pub fn move_key(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, from) = (arguments[1], ctx.database());
    let to = match database_index(arguments[2], ctx.keyspace.databases()) {
        Ok(to) if to == from => return ctx.reply.error(SAME_OBJECT),
        Ok(to) => to,
        Err(error) => return ctx.reply.error(error),
    };
    if ctx.use_for_write(key).is_none() || ctx.exists_in(to, key) {
        return ctx.reply.int(0);
    }
    let Some(entry) = ctx.remove(key) else { return ctx.reply.int(0) };
    put(ctx, to, entry);
    ctx.modified(key, KeyspaceEvents::GENERIC, "move_from");
    ctx.signal(to, key, KeyspaceEvents::GENERIC, "move_to");
    ctx.reply.int(1);
}

/// COPY
pub fn copy(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (from, to) = (arguments[1], arguments[2]);
    let (database, replace) = match copy_options(ctx, arguments) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    if database == ctx.database() && from == to {
        return ctx.reply.error(SAME_OBJECT);
    }
    let Some(entry) = ctx.find(from).map(|entry| entry.duplicate(to)) else { return ctx.reply.int(0) };
    if ctx.exists_in(database, to) && !replace {
        return ctx.reply.int(0);
    }
    put(ctx, database, entry);
    ctx.modified_in(database, to, KeyspaceEvents::GENERIC, "copy_to");
    ctx.reply.int(1);
}

/// The database to copy to, and whether a key there is replaced.
fn copy_options(ctx: &Context<'_>, arguments: &[&[u8]]) -> Result<(usize, bool), &'static str> {
    let (mut database, mut replace) = (ctx.database(), false);
    let mut options = Cursor::new(arguments, 3);
    while !options.is_done() {
        if options.accept("replace") {
            replace = true;
        } else if options.remaining() > 1 && options.accept("db") {
            database = database_index(options.need()?, ctx.keyspace.databases())?;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok((database, replace))
}

/// Puts an entry into a database, in place of whatever is there, as if it were new: its use begins now.
fn put(ctx: &mut Context<'_>, database: usize, entry: Entry) {
    let now: UnixMillis = ctx.now;
    entry.set_access(first_access(now, ctx.config));
    ctx.notify(database, entry.key(), KeyspaceEvents::NEW, "new");
    if let Some(old) = ctx.keyspace.insert(database, entry, now) {
        ctx.keyspace.discard_entry(old);
    }
}
