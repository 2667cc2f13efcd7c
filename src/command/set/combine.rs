//! Intersections, unions and differences.
//!
//! The form of what is stored follows Redis, so the order in which members are added and the choice between two ways
//! to a difference are the same too.

use crate::base::clock::UnixMillis;
use crate::command::Context;
use crate::command::args::{Cursor, integer};
use crate::command::context::KeyspaceEvents;
use crate::command::session::Caller;
use crate::config::Config;
use crate::resp::error::SYNTAX;
use crate::store::keyspace::Keyspace;
use crate::store::set::{Set, SetView};
use crate::store::value::Collection;

const NO_KEYS: &str = "ERR numkeys should be greater than 0";
const TOO_MANY_KEYS: &str = "ERR Number of keys can't be greater than number of args";
const NEGATIVE_LIMIT: &str = "ERR LIMIT can't be negative";

/// The sets at several keys; a missing key has none.
type Views<'a> = Vec<Option<SetView<'a>>>;

/// SINTER key [key ...]
pub(super) fn sinter(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if !are_sets(ctx, &arguments[1..]) {
        return;
    }
    let views = views(ctx.keyspace, ctx.caller, ctx.now, &arguments[1..]);
    let open = ctx.reply.open();
    let mut count = 0;
    each_common(views, |_, member| {
        ctx.reply.bulk(member);
        count += 1;
        true
    });
    ctx.reply.close_set(open, count);
}

/// SINTERCARD numkeys key [key ...] [LIMIT limit]
pub(super) fn sintercard(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (keys, limit) = match parse_intercard(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return ctx.reply.error(error),
    };
    if !are_sets(ctx, keys) {
        return;
    }
    let mut count = 0;
    each_common(views(ctx.keyspace, ctx.caller, ctx.now, keys), |_, _| {
        count += 1;
        count != limit
    });
    ctx.reply.count(count);
}

/// The keys, and the count at which to stop; 0 for never.
fn parse_intercard<'a, 'b>(arguments: &'b [&'a [u8]]) -> Result<(&'b [&'a [u8]], usize), &'static str> {
    let count = integer(arguments[1]).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|&count| count > 0).ok_or(NO_KEYS)?;
    let keys = arguments[2..].get(..count).ok_or(TOO_MANY_KEYS)?;
    let mut options = Cursor::new(arguments, 2 + count);
    let mut limit = 0;
    while !options.is_done() {
        if options.remaining() < 2 || !options.accept("limit") {
            return Err(SYNTAX);
        }
        let wanted = integer(options.need()?).ok();
        limit = wanted.and_then(|wanted| usize::try_from(wanted).ok()).ok_or(NEGATIVE_LIMIT)?;
    }
    Ok((keys, limit))
}

/// SINTERSTORE destination key [key ...]
pub(super) fn sinterstore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if are_sets(ctx, &arguments[2..]) {
        let result = intersection(views(ctx.keyspace, ctx.caller, ctx.now, &arguments[2..]), ctx.config);
        store(ctx, arguments[1], result, "sinterstore");
    }
}

/// SUNION key [key ...]
pub(super) fn sunion(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if are_sets(ctx, &arguments[1..]) {
        let result = union(&views(ctx.keyspace, ctx.caller, ctx.now, &arguments[1..]), ctx.config);
        super::reply_members(&mut ctx.reply, Some(result.view()));
    }
}

/// SUNIONSTORE destination key [key ...]
pub(super) fn sunionstore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if are_sets(ctx, &arguments[2..]) {
        let result = union(&views(ctx.keyspace, ctx.caller, ctx.now, &arguments[2..]), ctx.config);
        store(ctx, arguments[1], result, "sunionstore");
    }
}

/// SDIFF key [key ...]
pub(super) fn sdiff(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if are_sets(ctx, &arguments[1..]) {
        let result = difference(ctx, &arguments[1..]);
        super::reply_members(&mut ctx.reply, Some(result.view()));
    }
}

/// SDIFFSTORE destination key [key ...]
pub(super) fn sdiffstore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if are_sets(ctx, &arguments[2..]) {
        let result = difference(ctx, &arguments[2..]);
        store(ctx, arguments[1], result, "sdiffstore");
    }
}

/// Reads every key once, as far as counts and clocks go; `false`, and the client is told, if one is no set.
fn are_sets(ctx: &mut Context<'_>, keys: &[&[u8]]) -> bool {
    keys.iter().all(|key| ctx.read_as::<Set, _>(key, |_, _| ()).is_some())
}

/// The sets at keys that were read before.
fn views<'a>(keyspace: &'a Keyspace, caller: Caller, now: UnixMillis, keys: &[&[u8]]) -> Views<'a> {
    let view = |key: &&[u8]| {
        let entry =
            keyspace.find(caller.database as usize, key).filter(|entry| !caller.is_over(entry, now))?;
        Set::view_in(entry.value())
    };
    keys.iter().map(view).collect()
}

/// Visits the members that all sets have, until `visit` says `false`: the set whose members are looked up in the others,
/// which is the smallest, and a member.
fn each_common(views: Views<'_>, mut visit: impl FnMut(SetView<'_>, &[u8]) -> bool) {
    let Some(mut sets) = views.into_iter().collect::<Option<Vec<_>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    let mut digits = itoa::Buffer::new();
    for member in smallest.iter() {
        let member = member.bytes(&mut digits);
        if others.iter().all(|set| set.contains(member)) && !visit(*smallest, member) {
            return;
        }
    }
}

fn intersection(views: Views<'_>, config: &Config) -> Set {
    let mut result = None;
    each_common(views, |smallest, member| {
        result.get_or_insert_with(|| Set::for_part_of(smallest)).add(member, config);
        true
    });
    let mut result = result.unwrap_or_default();
    result.settle_ints(config);
    result
}

fn union(views: &Views<'_>, config: &Config) -> Set {
    let mut result = Set::default();
    let mut digits = itoa::Buffer::new();
    for member in views.iter().flatten().flat_map(|set| set.iter()) {
        result.add(member.bytes(&mut digits), config);
    }
    result
}

fn difference(ctx: &Context<'_>, keys: &[&[u8]]) -> Set {
    let mut result = Set::default();
    let views = views(ctx.keyspace, ctx.caller, ctx.now, keys);
    let Some((Some(first), others)) = views.split_first() else { return result };
    if keys[1..].contains(&keys[0]) {
        return result;
    }
    let mut others: Vec<_> = others.iter().flatten().collect();
    let all: usize = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    let mut digits = itoa::Buffer::new();
    // Look each member of the first set up in all others, or take all members of those out of a copy: whichever is less
    // work. Looking up has better constant factors, which halves it.
    if first.len() * (1 + others.len()) / 2 <= all {
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        for member in first.iter() {
            let member = member.bytes(&mut digits);
            if !others.iter().any(|set| set.contains(member)) {
                result.add(member, ctx.config);
            }
        }
        return result;
    }
    for member in first.iter() {
        result.add(member.bytes(&mut digits), ctx.config);
    }
    for member in others.iter().flat_map(|set| set.iter()) {
        if result.is_empty() {
            break;
        }
        result.remove(member.bytes(&mut digits));
    }
    result
}

/// Stores a result in place of whatever is at `key` and replies its size.
fn store(ctx: &mut Context<'_>, key: &[u8], result: Set, event: &'static str) {
    let len = result.len();
    let existed = ctx.store_collection(key, result);
    if len > 0 {
        ctx.modified(key, KeyspaceEvents::SET, event);
    } else if existed {
        ctx.modified(key, KeyspaceEvents::GENERIC, "del");
    }
    ctx.reply.count(len);
}
