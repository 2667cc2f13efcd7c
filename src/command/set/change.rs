//! Adding, removing and moving members.

use super::members_modified;
use crate::command::Context;
use crate::command::context::{Changed, KeyspaceEvents};
use crate::store::set::Set;

/// SADD key member [member ...]
pub(super) fn sadd(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, members) = (arguments[1], &arguments[2..]);
    let added = ctx.change_or_create(key, |set: &mut Set, config| {
        set.prepare(members, config);
        members.iter().filter(|member| set.add(member, config)).count()
    });
    let Ok(Changed { result: added, .. }) = added else { return };
    if added > 0 {
        members_modified(ctx, key, "sadd", added);
    }
    ctx.reply.count(added);
}

/// SREM key member [member ...]
pub(super) fn srem(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let removed =
        ctx.change(key, |set: &mut Set, _| arguments[2..].iter().filter(|member| set.remove(member)).count());
    match removed {
        Err(_) => {}
        Ok(Some(Changed { result: removed, is_empty })) if removed > 0 => {
            members_modified(ctx, key, "srem", removed);
            if is_empty {
                ctx.remove_emptied(key);
            }
            ctx.reply.count(removed);
        }
        Ok(_) => ctx.reply.int(0),
    }
}

/// SMOVE source destination member
pub(super) fn smove(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (source, destination, member) = (arguments[1], arguments[2], arguments[3]);
    let found = ctx.peek_as::<Set, _>(source, |set, _| set.map(|set| set.contains(member)));
    let Some(found) = found else { return };
    let Some(is_there) = found else { return ctx.reply.int(0) };
    if ctx.peek_as::<Set, _>(destination, |_, _| ()).is_none() {
        return;
    }
    ctx.reply.int(i64::from(is_there));
    if !is_there || source == destination {
        return;
    }
    let Ok(Some(removed)) = ctx.change(source, |set: &mut Set, _| set.remove(member)) else { return };
    ctx.modified(source, KeyspaceEvents::SET, "srem");
    if removed.is_empty {
        ctx.remove_emptied(source);
    }
    let added = ctx.change_or_create(destination, |set: &mut Set, config| {
        set.prepare(&[member], config);
        set.add(member, config)
    });
    if added.is_ok_and(|added| added.result) {
        ctx.modified(destination, KeyspaceEvents::SET, "sadd");
    }
}
