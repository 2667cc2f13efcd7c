//! Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.
//!
//! They run on every shard; what is replicated is the command itself, once, by shard zero.

use super::database_index;
use crate::command::args::is_word;
use crate::command::context::Context;
use crate::command::notice::Notice;
use crate::resp::error::{DB_INDEX_OUT_OF_RANGE, SYNTAX};

/// DBSIZE
pub fn dbsize(ctx: &mut Context<'_>, _arguments: &[&[u8]]) {
    let keys = ctx.keyspace.database(ctx.database()).len();
    ctx.reply.count(keys);
}

/// FLUSHDB
pub fn flushdb(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let database = ctx.database();
    flush(ctx, arguments, database..database + 1);
}

/// FLUSHALL
pub fn flushall(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let databases = ctx.keyspace.databases();
    if flush(ctx, arguments, 0..databases) && ctx.shard == 0 {
        ctx.notices.list.push(Notice::Emptied);
    }
}

/// Empties databases, if the arguments are right. SYNC and ASYNC are the same: the old tables are out of sight at once and freed in slices.
fn flush(ctx: &mut Context<'_>, arguments: &[&[u8]], databases: std::ops::Range<usize>) -> bool {
    match arguments {
        [_] => {}
        [_, mode] if is_word(mode, "sync") || is_word(mode, "async") => {}
        _ => {
            ctx.reply.error(SYNTAX);
            return false;
        }
    }
    for database in databases {
        let keys = ctx.keyspace.database(database).len();
        if keys > 0 {
            ctx.keyspace.touch_all(database, |keyspace, key| keyspace.find(database, key).is_some());
            ctx.keyspace.counters.dirty += keys as u64;
            let old = ctx.keyspace.replace_database(database);
            ctx.keyspace.discard(old);
        }
    }
    ctx.notices.tracked.clear();
    if ctx.shard == 0 {
        ctx.notices.list.push(Notice::Flushed { shards: ctx.shards });
    }
    replicate_once(ctx);
    ctx.reply.ok();
    true
}

/// SWAPDB
pub fn swapdb(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let databases = ctx.keyspace.databases();
    let (one, other) = match both_databases(arguments, databases) {
        Ok(both) => both,
        Err(error) => return ctx.reply.error(error),
    };
    if one != other {
        touch_for_swap(ctx, one, other);
        touch_for_swap(ctx, other, one);
        ctx.keyspace.swap(one, other);
    }
    if ctx.shard == 0 {
        ctx.keyspace.counters.dirty += 1;
    }
    replicate_once(ctx);
    ctx.reply.ok();
}

/// Which databases change places. Redis names the argument that is no number, before it looks at the range of both.
fn both_databases(arguments: &[&[u8]], databases: usize) -> Result<(usize, usize), &'static str> {
    let checked = |argument, no_index| match database_index(argument, databases) {
        Err(error) if error != DB_INDEX_OUT_OF_RANGE => Err(no_index),
        index => Ok(index),
    };
    let one = checked(arguments[1], "ERR invalid first DB index")?;
    let other = checked(arguments[2], "ERR invalid second DB index")?;
    Ok((one?, other?))
}

/// Tells those who watch keys that are in this database, or will be: a key whose time has come does not appear.
fn touch_for_swap(ctx: &mut Context<'_>, database: usize, other: usize) {
    for key in ctx.keyspace.watched_keys_of(database) {
        let leaves = ctx.keyspace.find(database, &key).is_some();
        match ctx.keyspace.find(other, &key) {
            Some(entry) if !leaves && entry.is_expired(ctx.now) => ctx.keyspace.expect_unseen(database, &key),
            None if !leaves => {}
            _ => ctx.keyspace.touch(database, &key),
        }
    }
}

/// Replicates the command itself even if there was nothing to change, as Redis does; of all shards only zero.
fn replicate_once(ctx: &mut Context<'_>) {
    ctx.changed = true;
    if ctx.shard != 0 {
        ctx.replicate_nothing();
    }
}
