//! XDELEX and XACKDEL: deletion with regard to what groups still know of an entry.

use std::collections::BTreeMap;

use super::ids;
use super::range::note_deleted;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::{Cursor, is_word};
use crate::resp::error::SYNTAX;
use crate::store::stream::{Policy, Stream, StreamId};

const BAD_NUMBER: &str = "ERR Number of IDs must be a positive integer";
const TOO_FEW_IDS: &str = "ERR The `numids` parameter must match the number of arguments";
const NO_IDS: &str = "ERR IDS option is required";

/// There is no such entry, or for XACKDEL it was not pending.
const MISSING: i64 = -1;
/// It is gone.
const DELETED: i64 = 1;
/// Some group still needs it.
const AWAITED: i64 = 2;

/// The policy that a word names.
pub(super) fn policy_of(word: &[u8]) -> Option<Policy> {
    let words = [
        ("KEEPREF", Policy::KeepReferences),
        ("DELREF", Policy::DeleteReferences),
        ("ACKED", Policy::Acknowledged),
    ];
    words.into_iter().find(|(name, _)| is_word(word, name)).map(|(_, policy)| policy)
}

/// The arguments behind the key or group.
#[derive(Clone, Copy, Debug)]
struct Options<'a, 'b> {
    policy: Policy,
    ids: &'b [&'a [u8]],
}

impl<'a, 'b> Options<'a, 'b> {
    fn parse(arguments: &'b [&'a [u8]], start: usize) -> Result<Self, &'static str> {
        let (mut policy, mut ids) = (None, None);
        let mut cursor = Cursor::new(arguments, start);
        while !cursor.is_done() {
            let named = policy_of(arguments[arguments.len() - cursor.remaining()]);
            if policy.is_none() && named.is_some() {
                (policy, _) = (named, cursor.take());
            } else if cursor.remaining() >= 2 && cursor.accept("IDS") {
                let count = cursor.take().and_then(parse_i64).filter(|count| *count > 0).ok_or(BAD_NUMBER)?;
                let at = arguments.len() - cursor.remaining();
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                ids = Some(arguments[at..].get(..count).ok_or(TOO_FEW_IDS)?);
                cursor = Cursor::new(arguments, at + count);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(Self { policy: policy.unwrap_or_default(), ids: ids.ok_or(NO_IDS)? })
    }
}

/// What was done to a stream.
#[derive(Debug, Default)]
struct Outcome {
    codes: Vec<i64>,
    deleted: Vec<StreamId>,
    /// What is pending no more, by group.
    acknowledged: BTreeMap<Vec<u8>, Vec<StreamId>>,
}

impl Outcome {
    fn acknowledge(&mut self, group: &[u8], id: StreamId) {
        self.acknowledged.entry(group.to_vec()).or_default().push(id);
    }

    /// Deletes an entry as the policy says; `None` when it must stay, else whether it was there.
    fn delete(&mut self, stream: &mut Stream, id: StreamId, policy: Policy) -> Option<bool> {
        match policy {
            Policy::Acknowledged if stream.is_awaited(id) => return None,
            Policy::DeleteReferences => stream.release(id, |group| self.acknowledge(group, id)),
            _ => {}
        }
        let was_there = stream.log.delete(id);
        if was_there {
            self.deleted.push(id);
        }
        Some(was_there)
    }
}

/// XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]
pub(super) fn xdelex(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    run(ctx, arguments, 2, |stream, ids, policy| {
        let mut outcome = Outcome::default();
        for id in ids {
            let code = match outcome.delete(stream, id, policy) {
                Some(true) => DELETED,
                Some(false) => MISSING,
                None => AWAITED,
            };
            outcome.codes.push(code);
        }
        outcome
    });
}

/// XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]
pub(super) fn xackdel(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let name = arguments[2];
    run(ctx, arguments, 3, |stream, ids, policy| {
        let mut outcome = Outcome::default();
        for id in ids {
            let was_pending = stream.change_group(name, |_, group| group.acknowledge(id)).unwrap_or(false);
            let code = if was_pending {
                outcome.acknowledge(name, id);
                outcome.delete(stream, id, policy).map_or(AWAITED, |_| DELETED)
            } else {
                MISSING
            };
            outcome.codes.push(code);
        }
        outcome
    });
}

fn run(
    ctx: &mut Context<'_>,
    arguments: &[&[u8]],
    start: usize,
    delete: impl FnOnce(&mut Stream, Vec<StreamId>, Policy) -> Outcome,
) {
    let options = Options::parse(arguments, start);
    let key = arguments[1];
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        let options = options?;
        // Without the group nothing is looked at.
        if start == 3 && stream.group(arguments[2]).is_none() {
            return Ok(Outcome { codes: vec![MISSING; options.ids.len()], ..Outcome::default() });
        }
        Ok(delete(stream, ids::all(options.ids)?, options.policy))
    });
    let Ok(changed) = changed else { return };
    let outcome = match changed.map(|changed| changed.result) {
        Some(outcome) => outcome,
        None => {
            options.map(|options| Outcome { codes: vec![MISSING; options.ids.len()], ..Outcome::default() })
        }
    };
    match outcome {
        Err(error) => ctx.reply.error(error),
        Ok(outcome) => conclude(ctx, key, &outcome),
    }
}

/// Replies, and replicates what was done in commands that older servers know.
fn conclude(ctx: &mut Context<'_>, key: &[u8], outcome: &Outcome) {
    ctx.reply.array(outcome.codes.len());
    outcome.codes.iter().for_each(|&code| ctx.reply.int(code));
    ctx.replicate_nothing();
    for (group, ids) in &outcome.acknowledged {
        ctx.changed_aside();
        replicate_ids(ctx, &[b"XACK", key, group], ids);
    }
    if !outcome.deleted.is_empty() {
        note_deleted(ctx, key, outcome.deleted.len());
        replicate_ids(ctx, &[b"XDEL", key], &outcome.deleted);
    }
}

fn replicate_ids(ctx: &mut Context<'_>, start: &[&[u8]], ids: &[StreamId]) {
    let texts: Vec<_> = ids.iter().map(|id| id.text()).collect();
    let mut words = start.to_vec();
    words.extend(texts.iter().map(AsRef::as_ref));
    ctx.replicate(&words);
}
