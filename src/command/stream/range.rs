//! Reading entries by their ids, deleting them, and what a stream remembers of ids: XLEN, XRANGE, XREVRANGE, XDEL, XSETID.

use super::ids;
use crate::command::Context;
use crate::command::args::{Cursor, integer};
use crate::command::context::KeyspaceEvents;
use crate::resp::error::{NO_SUCH_KEY, SYNTAX};
use crate::store::stream::{Stream, StreamId};

const NEGATIVE_ADDED: &str = "ERR entries_added must be positive";
const BELOW_GIVEN_DELETED: &str =
    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id";
const BELOW_DELETED: &str = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
const BELOW_TOP: &str = "ERR The ID specified in XSETID is smaller than the target stream top item";
const BELOW_LENGTH: &str =
    "ERR The entries_added specified in XSETID is smaller than the target stream length";

/// XLEN key
pub(super) fn xlen(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<Stream, _>(arguments[1], |stream, reply| {
        reply.int(stream.map_or(0, |stream| stream.log.len() as i64))
    });
}

/// XRANGE key start end [COUNT count]
pub(super) fn xrange(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    reply_range(ctx, arguments, arguments[2], arguments[3], false);
}

/// XREVRANGE key end start [COUNT count]
pub(super) fn xrevrange(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    reply_range(ctx, arguments, arguments[3], arguments[2], true);
}

fn reply_range(ctx: &mut Context<'_>, arguments: &[&[u8]], start: &[u8], end: &[u8], is_reverse: bool) {
    let (from, to, count) = match parse_range(arguments, start, end) {
        Ok(range) => range,
        Err(error) => return ctx.reply.error(error),
    };
    ctx.read_as::<Stream, _>(arguments[1], |stream, reply| match (stream, count) {
        (None, _) => reply.array(0),
        (Some(_), Some(0)) => reply.null_array(),
        (Some(stream), count) => {
            let count = count.unwrap_or(0);
            match is_reverse {
                false => ids::push_entries(reply, stream.log.range(from, to), count),
                true => ids::push_entries(reply, stream.log.range_back(from, to), count),
            }
        }
    });
}

fn parse_range(
    arguments: &[&[u8]],
    start: &[u8],
    end: &[u8],
) -> Result<(StreamId, StreamId, Option<usize>), &'static str> {
    let (from, to) = (ids::start(start)?, ids::end(end)?);
    let mut count = None;
    let mut options = Cursor::new(arguments, 4);
    while !options.is_done() {
        if options.remaining() < 2 || !options.accept("COUNT") {
            return Err(SYNTAX);
        }
        count = Some(options.need_i64()?.max(0) as usize);
    }
    Ok((from, to, count))
}

/// XDEL key id [id ...]
pub(super) fn xdel(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        let ids = ids::all(&arguments[2..]);
        ids.map(|ids| ids.into_iter().filter(|&id| stream.log.delete(id)).count())
    });
    let Ok(changed) = changed else { return };
    match changed.map_or(Ok(0), |changed| changed.result) {
        Err(error) => ctx.reply.error(error),
        Ok(deleted) => {
            ctx.reply.count(deleted);
            note_deleted(ctx, key, deleted);
        }
    }
}

/// Says that entries of `key` were deleted by name.
pub(super) fn note_deleted(ctx: &mut Context<'_>, key: &[u8], count: usize) {
    if count > 0 {
        ctx.modified(key, KeyspaceEvents::STREAM, "xdel");
        ctx.keyspace.counters.dirty += count as u64 - 1;
    }
}

/// XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]
pub(super) fn xsetid(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (last, added, max_deleted) = match parse_ids(arguments) {
        Ok(ids) => ids,
        Err(error) => return ctx.reply.error(error),
    };
    let key = arguments[1];
    // Redis 7.0 lets it be lower, and replicates it so.
    let may_be_lower = ctx.caller.from_master;
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        let log = &mut stream.log;
        if last < log.max_deleted_id() && !may_be_lower {
            return Err(BELOW_DELETED);
        }
        if log.last_entry_id().is_some_and(|top| last < top) {
            return Err(BELOW_TOP);
        }
        if !log.is_empty() && added.is_some_and(|added| log.len() > added) {
            return Err(BELOW_LENGTH);
        }
        log.set_ids(last, added, max_deleted);
        Ok(())
    });
    match changed {
        Err(_) => {}
        Ok(None) => ctx.reply.error(NO_SUCH_KEY),
        Ok(Some(changed)) => match changed.result {
            Err(error) => ctx.reply.error(error),
            Ok(()) => {
                ctx.reply.ok();
                ctx.modified_aside(key, KeyspaceEvents::STREAM, "xsetid");
            }
        },
    }
}

type NewIds = (StreamId, Option<u64>, Option<StreamId>);

fn parse_ids(arguments: &[&[u8]]) -> Result<NewIds, &'static str> {
    let last = ids::strict(arguments[2], 0)?;
    let (mut added, mut max_deleted) = (None, None);
    let mut options = Cursor::new(arguments, 3);
    while !options.is_done() {
        if options.remaining() < 2 {
            return Err(SYNTAX);
        } else if options.accept("ENTRIESADDED") {
            added = Some(u64::try_from(integer(options.need()?)?).map_err(|_| NEGATIVE_ADDED)?);
        } else if options.accept("MAXDELETEDID") {
            let id = ids::strict(options.need()?, 0)?;
            if last < id {
                return Err(BELOW_GIVEN_DELETED);
            }
            // Redis takes the least id for "not given".
            max_deleted = Some(id).filter(|id| *id != StreamId::MIN);
        } else {
            return Err(SYNTAX);
        }
    }
    Ok((last, added, max_deleted))
}
