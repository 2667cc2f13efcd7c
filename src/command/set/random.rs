//! Members by chance.

use ahash::AHashSet;
use rand::Rng;
use rand::rngs::SmallRng;

use super::{members_modified, push, reply_members};
use crate::command::Context;
use crate::command::args::integer;
use crate::command::context::Changed;
use crate::resp::Reply;
use crate::resp::error::{NOT_POSITIVE, SYNTAX};
use crate::store::packed::Element;
use crate::store::set::{Set, SetView};

/// When fewer than a sixth stay, SPOP draws those that stay.
const STAYING_PART: usize = 5;

/// When less than a third is wanted, SRANDMEMBER draws until it has enough different members.
const WANTED_PART: usize = 3;

/// Members in one effect.
const EFFECT_MEMBERS_MAX: usize = 1024;

const COUNT_OUT_OF_RANGE: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

/// SPOP key [count]
pub(super) fn spop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match arguments {
        [_, key] => pop_one(ctx, key),
        [_, key, count] => match positive(count) {
            Ok(count) => pop_many(ctx, key, count),
            Err(error) => ctx.reply.error(error),
        },
        _ => ctx.reply.error(SYNTAX),
    }
}

fn positive(argument: &[u8]) -> Result<usize, &'static str> {
    integer(argument).ok().and_then(|count| usize::try_from(count).ok()).ok_or(NOT_POSITIVE)
}

fn pop_one(ctx: &mut Context<'_>, key: &[u8]) {
    let random = ctx.rng.random();
    match ctx.change(key, |set: &mut Set, _| set.pop(random)) {
        Err(_) => {}
        Ok(Some(Changed { result: Some(member), is_empty })) => {
            ctx.reply.bulk(&member);
            popped(ctx, key, &[member], is_empty);
        }
        Ok(_) => ctx.reply.null(),
    }
}

fn pop_many(ctx: &mut Context<'_>, key: &[u8], count: usize) {
    let len = ctx.peek_as::<Set, _>(key, |set, reply| {
        let len = set.map_or(0, SetView::len);
        if count == 0 || len == 0 {
            reply.set(0);
        } else if count >= len {
            reply_members(reply, set);
        }
        len
    });
    let Some(len) = len else { return };
    if count == 0 || len == 0 {
        return;
    }
    if count >= len {
        let entry = ctx.remove(key);
        entry.into_iter().for_each(|entry| ctx.keyspace.discard_entry(entry));
        let removal: &[u8] = if ctx.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
        ctx.replicate(&[removal, key]);
        members_modified(ctx, key, "spop", len);
        return ctx.remove_emptied(key);
    }
    let mut rng: SmallRng = rand::SeedableRng::from_rng(ctx.rng);
    let Ok(Some(changed)) = ctx.change(key, |set: &mut Set, config| {
        let staying = set.len() - count;
        let mut draw = |set: &mut Set| set.pop(rng.random());
        if staying * STAYING_PART > count {
            return (0..count).map_while(|_| draw(set)).collect();
        }
        let mut rest = Set::for_part_of(set.view());
        for _ in 0..staying {
            if let Some(member) = draw(set) {
                rest.add(&member, config);
            }
        }
        let taken = std::mem::replace(set, rest);
        let mut digits = itoa::Buffer::new();
        taken.view().iter().map(|member| member.bytes(&mut digits).to_vec()).collect::<Vec<_>>()
    }) else {
        return;
    };
    ctx.reply.set(changed.result.len());
    changed.result.iter().for_each(|member| ctx.reply.bulk(member));
    popped(ctx, key, &changed.result, changed.is_empty);
}

/// Says that these members were removed.
fn popped(ctx: &mut Context<'_>, key: &[u8], members: &[Vec<u8>], is_empty: bool) {
    for members in members.chunks(EFFECT_MEMBERS_MAX) {
        let mut effect = vec![b"SREM".as_slice(), key];
        effect.extend(members.iter().map(Vec::as_slice));
        ctx.replicate(&effect);
    }
    members_modified(ctx, key, "spop", members.len());
    if is_empty {
        ctx.remove_emptied(key);
    }
}

/// SRANDMEMBER key [count]
pub(super) fn srandmember(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let mut rng: SmallRng = rand::SeedableRng::from_rng(ctx.rng);
    match arguments {
        [_, key] => {
            ctx.read_as::<Set, _>(key, |set, reply| match set.and_then(|set| set.random(rng.random())) {
                Some(member) => push(reply, member),
                None => reply.null(),
            });
        }
        [_, key, count] => match integer(count) {
            Ok(i64::MIN) => ctx.reply.error(COUNT_OUT_OF_RANGE),
            Ok(count) => {
                let bytes_max = ctx.config.output_bytes_max();
                ctx.read_as::<Set, _>(key, |set, reply| match set {
                    Some(set) => reply_random(reply, set, count, bytes_max, &mut rng),
                    None => reply.array(0),
                });
            }
            Err(error) => ctx.reply.error(error),
        },
        _ => ctx.reply.error(SYNTAX),
    }
}

/// Replies `count` different members, all if there are no more; or, if it is negative, as many as there may be.
fn reply_random(reply: &mut Reply<'_>, set: SetView<'_>, count: i64, bytes_max: usize, rng: &mut SmallRng) {
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        reply.array(wanted);
        let start = reply.position();
        // Whoever asked for more than it may have is cut off; nothing is gained by the rest.
        let mut drawn = (0..wanted).map_while(|_| set.random(rng.random()));
        while reply.position() - start <= bytes_max
            && let Some(member) = drawn.next()
        {
            push(reply, member);
        }
        return;
    }
    reply.array(wanted.min(set.len()));
    let write = |member| push(reply, member);
    if set.table().is_some() && wanted <= set.len() / WANTED_PART {
        draw_different(set, wanted, rng).for_each(write);
    } else {
        choose(set, wanted, rng).for_each(write);
    }
}

/// `count` different members of a set that has many more.
fn draw_different<'a>(
    set: SetView<'a>,
    count: usize,
    rng: &mut SmallRng,
) -> impl Iterator<Item = Element<'a>> {
    let mut drawn = AHashSet::with_capacity(count);
    while drawn.len() < count {
        if let Some(Element::Bytes(member)) = set.random(rng.random()) {
            drawn.insert(member);
        }
    }
    drawn.into_iter().map(Element::Bytes)
}

/// `count` members in their order, each choice equally likely: walks over all of them (Knuth's algorithm S).
fn choose<'a>(set: SetView<'a>, mut count: usize, rng: &mut SmallRng) -> impl Iterator<Item = Element<'a>> {
    let mut left = set.len();
    set.iter().filter(move |_| {
        let is_chosen = rng.random_range(0..left.max(1)) < count;
        left = left.saturating_sub(1);
        count -= usize::from(is_chosen);
        is_chosen
    })
}
