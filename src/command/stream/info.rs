//! XINFO: what a stream, its groups and their consumers look like.

use super::group::wrong_form;
use super::ids::{self, push_entries, push_entry, push_id};
use crate::base::clock::UnixMillis;
use crate::command::args::{integer, is_word};
use crate::command::{Context, HomeContext, Then};
use crate::resp::Reply;
use crate::resp::error::NO_SUCH_KEY;
use crate::store::stream::{Consumer, Group, Log, Stream, StreamId};

/// Entries that FULL shows unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

const HELP: &[&str] = &[
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
];

/// XINFO HELP
pub(super) fn help(ctx: &mut HomeContext<'_>, _arguments: &[&[u8]]) -> Then {
    ctx.reply.help("xinfo", HELP);
    Then::Done
}

fn read(ctx: &mut Context<'_>, key: &[u8], write: impl FnOnce(&Stream, &mut Reply<'_>)) {
    ctx.read_as::<Stream, _>(key, |stream, reply| match stream {
        Some(stream) => write(stream, reply),
        None => reply.error(NO_SUCH_KEY),
    });
}

/// XINFO CONSUMERS key group
pub(super) fn consumers(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, name, now) = (arguments[2], arguments[3], ctx.now);
    read(ctx, key, |stream, reply| {
        let Some(group) = stream.group(name) else { return reply.error(ids::no_group(key, name)) };
        reply.array(group.consumers().len());
        for (name, consumer) in group.consumers() {
            reply.map(4);
            push_text(reply, "name", name);
            push_count(reply, "pending", consumer.pending_len() as i64);
            push_count(reply, "idle", now.saturating_sub(consumer.seen_at).max(0));
            push_count(reply, "inactive", consumer.active_at.map_or(-1, |at| now.saturating_sub(at)));
        }
    });
}

/// XINFO GROUPS key
pub(super) fn groups(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    read(ctx, arguments[2], |stream, reply| {
        reply.array(stream.groups().len());
        for (name, group) in stream.groups() {
            reply.map(6);
            push_text(reply, "name", name);
            push_count(reply, "consumers", group.consumers().len() as i64);
            push_count(reply, "pending", group.pending_len() as i64);
            push_position(reply, &stream.log, group);
        }
    });
}

/// XINFO STREAM key [FULL [COUNT count]]
pub(super) fn stream(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let options = parse_full(arguments);
    read(ctx, arguments[2], |stream, reply| match options {
        Err(error) => reply.error(error),
        Ok(None) => push_stream(reply, stream),
        Ok(Some(count)) => push_full(reply, stream, count),
    });
}

/// How many entries FULL shows, 0 for all; `None` without FULL.
fn parse_full(arguments: &[&[u8]]) -> Result<Option<usize>, Vec<u8>> {
    match &arguments[3..] {
        [] => Ok(None),
        [full] if is_word(full, "FULL") => Ok(Some(COUNT_DEFAULT)),
        [full, word, count] if is_word(full, "FULL") && is_word(word, "COUNT") => {
            Ok(Some(usize::try_from(integer(count)?).unwrap_or(COUNT_DEFAULT)))
        }
        _ => Err(wrong_form(arguments)),
    }
}

/// The fields that both forms begin with. There is no radix tree here: its keys are nodes, and it has one node more.
fn push_log(reply: &mut Reply<'_>, log: &Log) {
    push_count(reply, "length", log.len() as i64);
    push_count(reply, "radix-tree-keys", log.nodes() as i64);
    push_count(reply, "radix-tree-nodes", log.nodes() as i64 + 1);
    push_field_id(reply, "last-generated-id", log.last_id());
    push_field_id(reply, "max-deleted-entry-id", log.max_deleted_id());
    push_count(reply, "entries-added", log.entries_added() as i64);
    push_field_id(reply, "recorded-first-entry-id", log.first_id());
}

fn push_stream(reply: &mut Reply<'_>, stream: &Stream) {
    reply.map(10);
    push_log(reply, &stream.log);
    push_count(reply, "groups", stream.groups().len() as i64);
    let (first, last) = (
        stream.log.range(StreamId::MIN, StreamId::MAX).next(),
        stream.log.range_back(StreamId::MIN, StreamId::MAX).next(),
    );
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => push_entry(reply, entry),
            None => reply.null(),
        }
    }
}

fn push_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.map(9);
    push_log(reply, &stream.log);
    reply.bulk(b"entries");
    push_entries(reply, stream.log.range(StreamId::MIN, StreamId::MAX), count);
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        push_text(reply, "name", name);
        push_position(reply, &stream.log, group);
        push_count(reply, "pel-count", group.pending_len() as i64);
        let all = group.pending_from(StreamId::MIN).map(|(id, _)| *id);
        push_pending(reply, group, all, group.pending_len(), count, true);
        reply.bulk(b"consumers");
        reply.array(group.consumers().len());
        for (name, consumer) in group.consumers() {
            push_consumer(reply, group, name, consumer, count);
        }
    }
}

fn push_consumer(reply: &mut Reply<'_>, group: &Group, name: &[u8], consumer: &Consumer, count: usize) {
    let time = |at: Option<UnixMillis>| at.unwrap_or(-1);
    reply.map(5);
    push_text(reply, "name", name);
    push_count(reply, "seen-time", consumer.seen_at);
    push_count(reply, "active-time", time(consumer.active_at));
    push_count(reply, "pel-count", consumer.pending_len() as i64);
    let own = consumer.pending(StreamId::MIN, StreamId::MAX);
    push_pending(reply, group, own, consumer.pending_len(), count, false);
}

/// Pending entries, `total` of them, but `count` at most if that is not 0.
fn push_pending(
    reply: &mut Reply<'_>,
    group: &Group,
    ids: impl Iterator<Item = StreamId>,
    total: usize,
    count: usize,
    with_consumer: bool,
) {
    let shown = if count == 0 { total } else { total.min(count) };
    reply.bulk(b"pending");
    reply.array(shown);
    for (id, pending) in ids.filter_map(|id| Some((id, group.pending(id)?))).take(shown) {
        reply.array(if with_consumer { 4 } else { 3 });
        push_id(reply, id);
        if with_consumer {
            reply.bulk(&pending.consumer);
        }
        reply.int(pending.delivered_at);
        reply.int(pending.deliveries as i64);
    }
}

/// How far a group has read, and how much is left.
fn push_position(reply: &mut Reply<'_>, log: &Log, group: &Group) {
    push_field_id(reply, "last-delivered-id", group.last_id);
    for (name, count) in [("entries-read", group.entries_read), ("lag", group.lag(log))] {
        reply.bulk(name.as_bytes());
        match count {
            Some(count) => reply.int(count),
            None => reply.null(),
        }
    }
}

fn push_text(reply: &mut Reply<'_>, name: &str, text: &[u8]) {
    reply.bulk(name.as_bytes());
    reply.bulk(text);
}

fn push_count(reply: &mut Reply<'_>, name: &str, count: i64) {
    reply.bulk(name.as_bytes());
    reply.int(count);
}

fn push_field_id(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    push_id(reply, id);
}
