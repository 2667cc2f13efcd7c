//! Reading sets.

use super::reply_members;
use crate::command::Context;
use crate::command::generic::scan::{INVALID_CURSOR, Wanted, parse_cursor, push_page};
use crate::command::slice::STEP;
use crate::store::set::{Set, SetView};

/// SMEMBERS key
pub(super) fn smembers(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_sliced::<Set, _>(arguments[1], |set, reply, slices| {
        let table = set.and_then(SetView::table);
        let Some((table, slice)) = table.and_then(|table| Some((table, slices.of(table.len())?))) else {
            return reply_members(reply, set);
        };
        if slice.is_first() {
            reply.set(table.len());
        }
        slice.walk(reply, |cursor, reply| table.scan(cursor, STEP, |entry| reply.bulk(entry.key())));
    });
}

/// SCARD key
pub(super) fn scard(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<Set, _>(arguments[1], |set, reply| reply.count(set.map_or(0, SetView::len)));
}

/// SISMEMBER key member
pub(super) fn sismember(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<Set, _>(arguments[1], |set, reply| {
        reply.int(set.is_some_and(|set| set.contains(arguments[2])).into());
    });
}

/// SMISMEMBER key member [member ...]
pub(super) fn smismember(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<Set, _>(arguments[1], |set, reply| {
        reply.array(arguments.len() - 2);
        for member in &arguments[2..] {
            reply.int(set.is_some_and(|set| set.contains(member)).into());
        }
    });
}

/// SSCAN key cursor [MATCH pattern] [COUNT count]: a set that is no table is walked in one call.
pub(super) fn sscan(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let Some(cursor) = parse_cursor(arguments[2]) else { return ctx.reply.error(INVALID_CURSOR) };
    ctx.read_as::<Set, _>(arguments[1], |set, reply| {
        let wanted = match Wanted::parse(&arguments[3..], false) {
            Ok(wanted) => wanted,
            // As in Redis, nobody looks at the options of a walk over nothing.
            Err(error) if set.is_some() => return reply.error(error),
            Err(_) => Wanted::default(),
        };
        let mut found = Vec::new();
        let mut count = 0;
        let mut visit = |member: &[u8]| {
            if wanted.accepts(member) {
                crate::resp::Reply::new(&mut found, Default::default()).bulk(member);
                count += 1;
            }
        };
        let mut next = 0;
        if let Some(table) = set.and_then(SetView::table) {
            next = wanted.walk(table, cursor, |entry| visit(entry.key()));
        } else {
            let mut digits = itoa::Buffer::new();
            set.into_iter().flat_map(SetView::iter).for_each(|member| visit(member.bytes(&mut digits)));
        }
        push_page(reply, next, count, &found);
    });
}
