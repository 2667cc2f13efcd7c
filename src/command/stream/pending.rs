//! What waits for an acknowledgement: XACK and XPENDING.

use super::ids::{self, push_id};
use crate::base::clock::UnixMillis;
use crate::command::Context;
use crate::command::args::{integer, is_word};
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::stream::{Group, Stream, StreamId};

/// XACK key group id [id ...]
pub(super) fn xack(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, name) = (arguments[1], arguments[2]);
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        stream.change_group(name, |_, group| {
            let ids = ids::all(&arguments[3..]);
            ids.map(|ids| ids.into_iter().filter(|&id| group.acknowledge(id)).count())
        })
    });
    let Ok(changed) = changed else { return };
    match changed.and_then(|changed| changed.result).unwrap_or(Ok(0)) {
        Err(error) => ctx.reply.error(error),
        Ok(count) => {
            ctx.reply.count(count);
            if count > 0 {
                ctx.changed_aside();
                ctx.keyspace.counters.dirty += count as u64 - 1;
            }
        }
    }
}

/// Which pending entries XPENDING lists.
#[derive(Clone, Copy, Debug)]
struct Filter<'a> {
    from: StreamId,
    to: StreamId,
    count: usize,
    idle_ms_min: i64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// Reads what follows the group; `None` when nothing does.
    fn parse(arguments: &[&'a [u8]]) -> Result<Option<Self>, &'static str> {
        match arguments.len() {
            3 => return Ok(None),
            6..=9 => {}
            _ => return Err(SYNTAX),
        }
        let (mut at, mut idle_ms_min) = (3, 0);
        if is_word(arguments[3], "IDLE") {
            idle_ms_min = integer(arguments[4])?;
            if arguments.len() < 8 {
                return Err(SYNTAX);
            }
            at = 5;
        }
        let count = integer(arguments[at + 2])?.max(0) as usize;
        let (from, to) = (ids::start(arguments[at])?, ids::end(arguments[at + 1])?);
        Ok(Some(Self { from, to, count, idle_ms_min, consumer: arguments.get(at + 3).copied() }))
    }
}

/// XPENDING key group [[IDLE min-idle-time] start end count [consumer]]
pub(super) fn xpending(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let filter = match Filter::parse(arguments) {
        Ok(filter) => filter,
        Err(error) => return ctx.reply.error(error),
    };
    let (key, name, now) = (arguments[1], arguments[2], ctx.now);
    ctx.read_as::<Stream, _>(key, |stream, reply| {
        match (stream.and_then(|stream| stream.group(name)), filter) {
            (None, _) => reply.error(ids::no_key_or_group(key, name, "")),
            (Some(group), None) => push_summary(reply, group),
            (Some(group), Some(filter)) => push_pending(reply, group, filter, now),
        }
    });
}

fn push_summary(reply: &mut Reply<'_>, group: &Group) {
    reply.array(4);
    reply.count(group.pending_len());
    let first = group.pending_from(StreamId::MIN).next().map(|(id, _)| *id);
    let (Some(first), Some(last)) = (first, group.last_pending_id()) else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    push_id(reply, first);
    push_id(reply, last);
    let owners = || group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0);
    reply.array(owners().count());
    for (name, consumer) in owners() {
        reply.array(2);
        reply.bulk(name);
        reply.bulk_int(consumer.pending_len() as i64);
    }
}

fn push_pending(reply: &mut Reply<'_>, group: &Group, filter: Filter<'_>, now: UnixMillis) {
    let Some(name) = filter.consumer else {
        let all = group.pending_from(filter.from).map(|(id, _)| *id);
        return push_listed(reply, group, filter, now, all.take_while(|id| *id <= filter.to));
    };
    match group.consumer(name) {
        Some(consumer) => push_listed(reply, group, filter, now, consumer.pending(filter.from, filter.to)),
        None => reply.array(0),
    }
}

fn push_listed(
    reply: &mut Reply<'_>,
    group: &Group,
    filter: Filter<'_>,
    now: UnixMillis,
    ids: impl Iterator<Item = StreamId>,
) {
    let open = reply.open();
    let mut length = 0;
    let pending = ids.filter_map(|id| {
        let pending = group.pending(id)?;
        Some((id, pending, now.saturating_sub(pending.delivered_at)))
    });
    let idle = pending.filter(|(.., idle_ms)| filter.idle_ms_min == 0 || *idle_ms >= filter.idle_ms_min);
    for (id, pending, idle_ms) in idle.take(filter.count) {
        reply.array(4);
        push_id(reply, id);
        reply.bulk(&pending.consumer);
        reply.int(idle_ms.max(0));
        reply.int(pending.deliveries as i64);
        length += 1;
    }
    reply.close_array(open, length);
}
