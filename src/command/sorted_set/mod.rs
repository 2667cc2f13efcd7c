//! The sorted set family: rows here, handlers in the files beside.
//!
//! What a command asks for becomes a range of ranks, and [`crate::store::sorted_set`] does the rest.

pub(super) mod add;
mod combine;
mod pop;
mod random;
mod range;
mod read;
mod remove;
mod scan;

#[cfg(test)]
mod sorted_set_test;

use std::ops::Range;

use super::context::KeyspaceEvents;
use super::keys::KeyFlags;
use super::{Command, Context, Flags, Group, KeySpec, Run};
use crate::config::Config;
use crate::resp::Reply;
use crate::store::sorted_set::{Limits, SortedSet, SortedSetView};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.union(Flags::FAST);
const READ_SEVERAL: Flags = READ.union(Flags::MOVABLE_KEYS);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);
const WRITE_OOM_FAST: Flags = WRITE_OOM.union(Flags::FAST);
const STORE_SEVERAL: Flags = WRITE_OOM.union(Flags::MOVABLE_KEYS);

const ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const OVERWRITE: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);
const TAKE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, ACCESS)];
const SHRUNK_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))];
const TAKEN_KEY: &[KeySpec] = &[KeySpec::one(1, TAKE)];
const WAITED_KEYS: &[KeySpec] = &[KeySpec::range(1, -2, 1, TAKE)];
const INPUT_KEYS: &[KeySpec] = &[KeySpec::counted(1, 1, ACCESS)];
const STORED_AND_INPUT_KEYS: &[KeySpec] = &[KeySpec::one(1, OVERWRITE), KeySpec::counted(2, 1, ACCESS)];

const CONSTANT: &str = "O(1)";
const LOGARITHMIC: &str = "O(log(N)), N being the number of members.";
const BY_RANGE: &str = "O(log(N)+M), N being the number of members and M that of the range.";
const BY_POPPED: &str = "O(log(N)*M), N being the number of members and M that of those taken.";
const BY_KEYS_AND_POPPED: &str =
    "O(K)+O(M*log(N)), K being the number of keys, N that of the members and M that of those taken.";
const BY_INPUTS: &str = "O(N*K)+O(M*log(M)), N being the members of an input, K the number of inputs and M the members of the result.";

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("bzmpop", -5, Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLE_KEYS), pop::bzmpop)
        .keys(&[KeySpec::counted(2, 1, TAKE)])
        .docs(
            "7.0.0",
            "Takes the lowest or highest members of the first sorted set that exists, or waits for one.",
            BY_KEYS_AND_POPPED,
        ),
    row("bzpopmax", -3, WRITE_FAST.union(Flags::BLOCKING), pop::bzpopmax).keys(WAITED_KEYS).docs(
        "5.0.0",
        "Takes the highest member of the first sorted set that exists, or waits for one.",
        LOGARITHMIC,
    ),
    row("bzpopmin", -3, WRITE_FAST.union(Flags::BLOCKING), pop::bzpopmin).keys(WAITED_KEYS).docs(
        "5.0.0",
        "Takes the lowest member of the first sorted set that exists, or waits for one.",
        LOGARITHMIC,
    ),
    row("zadd", -4, WRITE_OOM_FAST, add::zadd)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))])
        .element(3)
        .docs(
            "1.2.0",
            "Adds members to a sorted set, or gives them other scores.",
            "O(log(N)) for each member.",
        ),
    row("zcard", 2, READ_FAST, read::zcard).keys(&[KeySpec::one(1, KeyFlags::RO)]).docs(
        "1.2.0",
        "Counts the members of a sorted set.",
        CONSTANT,
    ),
    row("zcount", 4, READ_FAST, read::zcount).keys(READ_KEY).docs(
        "2.0.0",
        "Counts the members whose scores lie in a range.",
        LOGARITHMIC,
    ),
    row("zdiff", -3, READ_SEVERAL, combine::zdiff).keys(INPUT_KEYS).docs(
        "6.2.0",
        "Answers the members of the first sorted set that no other one has.",
        BY_INPUTS,
    ),
    row("zdiffstore", -4, STORE_SEVERAL, combine::zdiffstore).keys(STORED_AND_INPUT_KEYS).docs(
        "6.2.0",
        "Stores the members of the first sorted set that no other one has.",
        BY_INPUTS,
    ),
    row("zincrby", 4, WRITE_OOM_FAST, add::zincrby)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
        .element(3)
        .docs("1.2.0", "Adds to the score of a member.", LOGARITHMIC),
    row("zinter", -3, READ_SEVERAL, combine::zinter).keys(INPUT_KEYS).docs(
        "6.2.0",
        "Answers the members that all of several sorted sets have.",
        BY_INPUTS,
    ),
    row("zintercard", -3, READ_SEVERAL, combine::zintercard).keys(INPUT_KEYS).docs(
        "7.0.0",
        "Counts the members that all of several sorted sets have.",
        BY_INPUTS,
    ),
    row("zinterstore", -4, STORE_SEVERAL, combine::zinterstore).keys(STORED_AND_INPUT_KEYS).docs(
        "2.0.0",
        "Stores the members that all of several sorted sets have.",
        BY_INPUTS,
    ),
    row("zlexcount", 4, READ_FAST, read::zlexcount).keys(READ_KEY).docs(
        "2.8.9",
        "Counts the members in a range of strings, all of one score.",
        LOGARITHMIC,
    ),
    row("zmpop", -4, Flags::WRITE.union(Flags::MOVABLE_KEYS), pop::zmpop)
        .keys(&[KeySpec::counted(1, 1, TAKE)])
        .docs(
            "7.0.0",
            "Takes the lowest or highest members of the first sorted set that exists.",
            BY_KEYS_AND_POPPED,
        ),
    row("zmscore", -3, READ_FAST, read::zmscore).keys(READ_KEY).docs(
        "6.2.0",
        "Answers the scores of several members.",
        "O(N), N being the number of members asked for.",
    ),
    row("zpopmax", -2, WRITE_FAST, pop::zpopmax).keys(TAKEN_KEY).docs(
        "5.0.0",
        "Takes the highest members of a sorted set out.",
        BY_POPPED,
    ),
    row("zpopmin", -2, WRITE_FAST, pop::zpopmin).keys(TAKEN_KEY).docs(
        "5.0.0",
        "Takes the lowest members of a sorted set out.",
        BY_POPPED,
    ),
    row("zrandmember", -2, READ, random::zrandmember)
        .keys(READ_KEY)
        .docs("6.2.0", "Answers members by chance.", "O(N), N being the number of members answered.")
        .tips(&["nondeterministic_output"]),
    row("zrange", -4, READ, range::zrange).keys(READ_KEY).docs(
        "1.2.0",
        "Answers a range of members by rank, score or string.",
        BY_RANGE,
    ),
    row("zrangebylex", -4, READ, range::zrangebylex)
        .keys(READ_KEY)
        .docs("2.8.9", "Answers the members in a range of strings, all of one score.", BY_RANGE)
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    row("zrangebyscore", -4, READ, range::zrangebyscore)
        .keys(READ_KEY)
        .docs("1.0.5", "Answers the members whose scores lie in a range.", BY_RANGE)
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    row("zrangestore", -5, WRITE_OOM, range::zrangestore)
        .keys(&[KeySpec::one(1, OVERWRITE), KeySpec::one(2, ACCESS)])
        .docs("6.2.0", "Stores a range of members of another sorted set.", BY_RANGE),
    row("zrank", -3, READ_FAST, read::zrank).keys(READ_KEY).element(2).docs(
        "2.0.0",
        "Answers the rank of a member, the lowest score first.",
        LOGARITHMIC,
    ),
    row("zrem", -3, WRITE_FAST, remove::zrem).keys(SHRUNK_KEY).element(2).docs(
        "1.2.0",
        "Removes members from a sorted set.",
        "O(M*log(N)), N being the number of members and M that of those to be removed.",
    ),
    row("zremrangebylex", 4, Flags::WRITE, remove::zremrangebylex).keys(SHRUNK_KEY).docs(
        "2.8.9",
        "Removes the members in a range of strings, all of one score.",
        BY_RANGE,
    ),
    row("zremrangebyrank", 4, Flags::WRITE, remove::zremrangebyrank).keys(SHRUNK_KEY).docs(
        "2.0.0",
        "Removes a range of members by rank.",
        BY_RANGE,
    ),
    row("zremrangebyscore", 4, Flags::WRITE, remove::zremrangebyscore).keys(SHRUNK_KEY).docs(
        "1.2.0",
        "Removes the members whose scores lie in a range.",
        BY_RANGE,
    ),
    row("zrevrange", -4, READ, range::zrevrange)
        .keys(READ_KEY)
        .docs("1.2.0", "Answers a range of members by rank, the highest score first.", BY_RANGE)
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    row("zrevrangebylex", -4, READ, range::zrevrangebylex)
        .keys(READ_KEY)
        .docs("2.8.9", "Answers the members in a range of strings, the last first.", BY_RANGE)
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    row("zrevrangebyscore", -4, READ, range::zrevrangebyscore)
        .keys(READ_KEY)
        .docs("2.2.0", "Answers the members whose scores lie in a range, the highest first.", BY_RANGE)
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    row("zrevrank", -3, READ_FAST, read::zrevrank).keys(READ_KEY).element(2).docs(
        "2.0.0",
        "Answers the rank of a member, the highest score first.",
        LOGARITHMIC,
    ),
    row("zscan", -3, READ, scan::zscan)
        .keys(READ_KEY)
        .docs("2.8.0", "Walks over the members of a sorted set, some at a call.", "O(1) for each call.")
        .tips(&["nondeterministic_output"]),
    row("zscore", 3, READ_FAST, read::zscore).keys(READ_KEY).element(2).docs(
        "1.2.0",
        "Answers the score of a member.",
        CONSTANT,
    ),
    row("zunion", -3, READ_SEVERAL, combine::zunion).keys(INPUT_KEYS).docs(
        "6.2.0",
        "Answers the members that any of several sorted sets has.",
        BY_INPUTS,
    ),
    row("zunionstore", -4, STORE_SEVERAL, combine::zunionstore).keys(STORED_AND_INPUT_KEYS).docs(
        "2.0.0",
        "Stores the members that any of several sorted sets has.",
        BY_INPUTS,
    ),
];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::SortedSet, Run::Keyspace(handler)).flags(flags)
}

/// What the configuration allows to be packed.
pub(super) fn limits(config: &Config) -> Limits {
    Limits { members: config.zset_max_listpack_entries, member_bytes: config.zset_max_listpack_value }
}

/// Stores the result of a command in place of whatever is at `key`, and replies the number of its members.
pub(super) fn store(ctx: &mut Context<'_>, key: &[u8], result: SortedSet, event: &'static str) {
    let members = result.len();
    let existed = ctx.store_collection(key, result);
    if members > 0 {
        ctx.modified(key, KeyspaceEvents::ZSET, event);
    } else if existed {
        ctx.modified(key, KeyspaceEvents::GENERIC, "del");
    }
    ctx.reply.count(members);
}

/// Replies members of these ranks, with their scores behind each or, in RESP3, as pairs.
fn push_members(
    set: SortedSetView<'_>,
    ranks: Range<usize>,
    is_reversed: bool,
    with_scores: bool,
    reply: &mut Reply<'_>,
) {
    push_length(ranks.len(), with_scores, reply);
    set.visit(ranks, is_reversed, |member, score| push_member(member, score, with_scores, reply));
}

/// Replies the header of so many members: RESP2 has their scores between them, RESP3 has pairs.
fn push_length(members: usize, with_scores: bool, reply: &mut Reply<'_>) {
    reply.array(if with_scores && !reply.is_resp3() { 2 * members } else { members });
}

#[inline]
fn push_member(member: &[u8], score: f64, with_scores: bool, reply: &mut Reply<'_>) {
    if !with_scores {
        return reply.bulk(member);
    }
    if reply.is_resp3() {
        reply.array(2);
    }
    push_pair(member, score, reply);
}

fn push_pair(member: &[u8], score: f64, reply: &mut Reply<'_>) {
    reply.bulk(member);
    reply.double(score);
}
