//! From one list to another: LMOVE, RPOPLPUSH.

use smallvec::SmallVec;

use super::{end_of, limit, pop_event, push_event};
use crate::command::Context;
use crate::command::context::{KeyspaceEvents, WrongType};
use crate::store::list::{End, List};

/// LMOVE source destination LEFT|RIGHT LEFT|RIGHT
pub(super) fn lmove(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (from, to) = match (end_of(arguments[3]), end_of(arguments[4])) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(error), _) | (_, Err(error)) => return ctx.reply.error(error),
    };
    if let Ok(false) = transfer(ctx, arguments[1], arguments[2], from, to) {
        ctx.reply.null();
    }
}

/// RPOPLPUSH source destination
pub(super) fn rpoplpush(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if let Ok(false) = transfer(ctx, arguments[1], arguments[2], End::Tail, End::Head) {
        ctx.reply.null();
    }
}

/// Moves an element and replies it; false when there is no source, whatever the destination is.
pub(super) fn transfer(
    ctx: &mut Context<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> Result<bool, WrongType> {
    if !ctx.peek_as::<List, _>(source, |list, _| list.is_some()).ok_or(WrongType)? {
        return Ok(false);
    }
    ctx.peek_as::<List, _>(destination, |_, _| ()).ok_or(WrongType)?;
    let is_same = source == destination;
    let taken = ctx.change(source, |list: &mut List, config| {
        let element = list.end(from)?;
        let text: SmallVec<[u8; 64]> = SmallVec::from_slice(element.bytes(&mut itoa::Buffer::new()));
        match is_same {
            true => list.rotate(from, to, limit(config)),
            false => list.remove_ends(from, 1, limit(config)),
        }
        Some(text)
    })?;
    let Some((Some(text), is_empty)) = taken.map(|changed| (changed.result, changed.is_empty)) else {
        return Ok(false);
    };
    if !is_same {
        ctx.change_or_create(destination, |list: &mut List, config| list.push(to, &[&text], limit(config)))?;
    }
    ctx.reply.bulk(&text);
    ctx.modified(destination, KeyspaceEvents::LIST, push_event(to));
    ctx.signal(ctx.database(), source, KeyspaceEvents::LIST, pop_event(from));
    if is_empty {
        ctx.remove_emptied(source);
    }
    Ok(true)
}
