//! The set family: rows here, handlers in the files beside.

mod change;
mod combine;
mod random;
mod read;

#[cfg(test)]
mod set_test;

use super::context::KeyspaceEvents;
use super::keys::KeyFlags;
use super::{Command, Context, Flags, Group, KeySpec, Run};
use crate::resp::Reply;
use crate::store::packed::Element;
use crate::store::set::SetView;

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);

const ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const TAKE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);
const INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, ACCESS)];
const TOLD_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO)];
const READ_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, ACCESS)];
const STORE_KEYS: &[KeySpec] =
    &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)), KeySpec::range(2, -1, 1, ACCESS)];

const CONSTANT: &str = "O(1)";
const BY_MEMBERS: &str = "O(N), N being the number of members named.";
const BY_ALL: &str = "O(N), N being the number of members of all sets.";
const BY_SMALLEST: &str = "O(N*M) at worst, N being the size of the smallest set and M the number of sets.";
const BY_COUNT: &str = "O(1), with a count O(N), N being the count.";

const NO_ORDER: &[&str] = &["nondeterministic_output_order"];
const CHANCE: &[&str] = &["nondeterministic_output"];

/// The rows of this family.
pub const COMMANDS: &[Command] =
    &[
        row("sadd", -3, WRITE_OOM.union(Flags::FAST), change::sadd)
            .keys(&[KeySpec::one(1, INSERT)])
            .element(2)
            .docs(
                "1.0.0",
                "Adds members to a set, which is created when it does not exist.",
                "O(1) for each member, as long as the set is large; O(N) for a small set of N members.",
            ),
        row("scard", 2, READ_FAST, read::scard).keys(TOLD_KEY).docs(
            "1.0.0",
            "Counts the members of a set.",
            CONSTANT,
        ),
        row("sdiff", -2, Flags::READONLY, combine::sdiff)
            .keys(READ_KEYS)
            .docs("1.0.0", "Answers the members of a set that are in none of others.", BY_ALL)
            .tips(NO_ORDER),
        row("sdiffstore", -3, WRITE_OOM, combine::sdiffstore).keys(STORE_KEYS).docs(
            "1.0.0",
            "Stores the members of a set that are in none of others.",
            BY_ALL,
        ),
        row("sinter", -2, Flags::READONLY, combine::sinter)
            .keys(READ_KEYS)
            .docs("1.0.0", "Answers the members that all of several sets have.", BY_SMALLEST)
            .tips(NO_ORDER),
        row("sintercard", -3, Flags::READONLY, combine::sintercard)
            .keys(&[KeySpec::counted(1, 1, ACCESS)])
            .docs("7.0.0", "Counts the members that all of several sets have.", BY_SMALLEST),
        row("sinterstore", -3, WRITE_OOM, combine::sinterstore)
            .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE)), KeySpec::range(2, -1, 1, ACCESS)])
            .docs("1.0.0", "Stores the members that all of several sets have.", BY_SMALLEST),
        row("sismember", 3, READ_FAST, read::sismember).keys(TOLD_KEY).element(2).docs(
            "1.0.0",
            "Tells whether a set has a member.",
            CONSTANT,
        ),
        row("smembers", 2, Flags::READONLY, read::smembers)
            .keys(READ_KEY)
            .docs("1.0.0", "Answers all members of a set.", "O(N), N being the size of the set.")
            .tips(NO_ORDER),
        row("smismember", -3, READ_FAST, read::smismember).keys(READ_KEY).docs(
            "6.2.0",
            "Tells which of several members a set has.",
            BY_MEMBERS,
        ),
        row("smove", 4, WRITE_FAST, change::smove)
            .keys(&[KeySpec::one(1, TAKE), KeySpec::one(2, INSERT)])
            .docs("1.0.0", "Moves a member from one set to another.", CONSTANT),
        row("spop", -2, WRITE_FAST, random::spop)
            .keys(&[KeySpec::one(1, TAKE)])
            .docs("1.0.0", "Removes random members from a set and answers them.", BY_COUNT)
            .tips(CHANCE),
        row("srandmember", -2, Flags::READONLY, random::srandmember)
            .keys(READ_KEY)
            .docs("1.0.0", "Answers random members of a set.", BY_COUNT)
            .tips(CHANCE),
        row("srem", -3, WRITE_FAST, change::srem)
            .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))])
            .element(2)
            .docs("1.0.0", "Removes members from a set.", BY_MEMBERS),
        row("sscan", -3, Flags::READONLY, read::sscan)
            .keys(READ_KEY)
            .docs(
                "2.8.0",
                "Walks over the members of a set, some at each call.",
                "O(1) for each call, O(N) for a whole walk, N being the size of the set.",
            )
            .tips(CHANCE),
        row("sunion", -2, Flags::READONLY, combine::sunion)
            .keys(READ_KEYS)
            .docs("1.0.0", "Answers the members that any of several sets has.", BY_ALL)
            .tips(NO_ORDER),
        row("sunionstore", -3, WRITE_OOM, combine::sunionstore).keys(STORE_KEYS).docs(
            "1.0.0",
            "Stores the members that any of several sets has.",
            BY_ALL,
        ),
    ];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::Set, Run::Keyspace(handler)).flags(flags)
}

/// Says that `count` members of a set came or went.
fn members_modified(ctx: &mut Context<'_>, key: &[u8], event: &'static str, count: usize) {
    ctx.modified(key, KeyspaceEvents::SET, event);
    ctx.keyspace.counters.dirty += count as u64 - 1;
}

fn push(reply: &mut Reply<'_>, member: Element<'_>) {
    match member {
        Element::Int(int) => reply.bulk_int(int),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Replies all members of a set; a missing key is an empty one.
fn reply_members(reply: &mut Reply<'_>, set: Option<SetView<'_>>) {
    reply.set(set.map_or(0, SetView::len));
    for member in set.into_iter().flat_map(SetView::iter) {
        push(reply, member);
    }
}
