//! What commands about consumer groups did, as Redis replicates it.

use std::sync::Arc;

use super::ids::{push_entry, push_id};
use crate::command::Context;
use crate::command::context::KeyspaceEvents;
use crate::store::stream::{Group, Range, Stream, StreamId};

/// A pending entry as it is after a command.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) id: StreamId,
    pub(super) consumer: Arc<[u8]>,
    pub(super) delivered_at: i64,
    pub(super) deliveries: u64,
    /// The group's last id at that point.
    pub(super) last_id: StreamId,
}

impl Claim {
    /// How `group` has the entry now; `None` when it is not pending.
    pub(super) fn of(group: &Group, id: StreamId) -> Option<Self> {
        let pending = group.pending(id)?;
        Some(Self {
            id,
            consumer: Arc::clone(&pending.consumer),
            delivered_at: pending.delivered_at,
            deliveries: pending.deliveries,
            last_id: group.last_id,
        })
    }
}

/// Replicates that entries are pending as `claims` say.
pub(super) fn replicate_claims(ctx: &mut Context<'_>, key: &[u8], group: &[u8], claims: &[Claim]) {
    for claim in claims {
        let (id, last_id) = (claim.id.text(), claim.last_id.text());
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        ctx.replicate(&[
            b"XCLAIM".as_slice(),
            key,
            group,
            &claim.consumer,
            b"0",
            id.as_ref(),
            b"TIME",
            time.format(claim.delivered_at).as_bytes(),
            b"RETRYCOUNT",
            count.format(claim.deliveries).as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            last_id.as_ref(),
        ]);
    }
}

/// Replicates how far a group has read.
pub(super) fn replicate_position(
    ctx: &mut Context<'_>,
    key: &[u8],
    group: &[u8],
    last_id: StreamId,
    entries_read: Option<i64>,
) {
    let (id, mut count) = (last_id.text(), itoa::Buffer::new());
    let count = count.format(entries_read.unwrap_or(-1)).as_bytes();
    ctx.replicate(&[b"XGROUP".as_slice(), b"SETID", key, group, id.as_ref(), b"ENTRIESREAD", count]);
}

/// Says that a consumer came to be without having been asked for, and replicates it.
pub(super) fn note_new_consumer(ctx: &mut Context<'_>, key: &[u8], group: &[u8], consumer: &[u8]) {
    ctx.modified_aside(key, KeyspaceEvents::STREAM, "xgroup-createconsumer");
    ctx.replicate(&[b"XGROUP".as_slice(), b"CREATECONSUMER", key, group, consumer]);
}

/// Replies entries of `key`: their ids alone, or with their fields, a null in place of fields that are gone.
pub(super) fn push_claimed(ctx: &mut Context<'_>, key: &[u8], ids: &[StreamId], only_ids: bool) {
    ctx.reply.array(ids.len());
    if only_ids {
        return ids.iter().for_each(|&id| push_id(&mut ctx.reply, id));
    }
    ctx.peek_as::<Stream, _>(key, |stream, reply| {
        // Ids mostly are those of entries one after the other: only where they are not, one is searched for.
        let mut following = None;
        for &id in ids {
            let next = following.as_mut().and_then(Range::next).filter(|entry| entry.id == id);
            let found = next.or_else(|| {
                let mut range = stream?.log.range(id, StreamId::MAX);
                let found = range.next().filter(|entry| entry.id == id);
                following = Some(range);
                found
            });
            match found {
                Some(entry) => push_entry(reply, entry),
                None => {
                    reply.array(2);
                    push_id(reply, id);
                    reply.null_array();
                }
            }
        }
    });
}
