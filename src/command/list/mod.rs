//! The list family: rows and what handlers share here, handlers in the files beside.

mod blocking;
mod edit;
mod pop;
mod push;
mod read;
mod transfer;

#[cfg(test)]
mod list_test;

use super::args::{Cursor, integer, is_word};
use super::context::KeyspaceEvents;
use super::keys::KeyFlags;
use super::{Command, Context, Flags, Group, KeySpec, Run};
use crate::config::Config;
use crate::resp::Reply;
use crate::resp::error::{STRING_TOO_LONG, SYNTAX};
use crate::store::list::{ELEMENT_BYTES_MAX, End, Limit};
use crate::store::packed::Element;

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE: Flags = Flags::WRITE;
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);
const WRITE_OOM_FAST: Flags = WRITE_OOM.union(Flags::FAST);
const BLOCKING: Flags = Flags::WRITE.union(Flags::BLOCKING);
const BLOCKING_OOM: Flags = WRITE_OOM.union(Flags::BLOCKING);

const ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);
const DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::DELETE);
const POP: KeyFlags = DELETE.union(KeyFlags::ACCESS);

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, ACCESS)];
const INSPECTED_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO)];
const UPDATED_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))];
const GROWN_KEY: &[KeySpec] = &[KeySpec::one(1, INSERT)];
const CUT_KEY: &[KeySpec] = &[KeySpec::one(1, DELETE)];
const POPPED_KEY: &[KeySpec] = &[KeySpec::one(1, POP)];
const POPPED_KEYS_AND_TIMEOUT: &[KeySpec] = &[KeySpec::range(1, -2, 1, POP)];
const SOURCE_AND_DESTINATION: &[KeySpec] = &[KeySpec::one(1, POP), KeySpec::one(2, INSERT)];

const CONSTANT: &str = "O(1)";
const BY_ELEMENTS: &str = "O(1) for each element, O(N) for N elements.";
const BY_REPLY: &str = "O(N), N being the number of elements in the reply.";
const BY_LENGTH: &str = "O(N), N being the length of the list.";
const BY_KEYS: &str = "O(N), N being the number of keys.";
const BY_KEYS_AND_REPLY: &str = "O(N+M), N being the number of keys and M that of elements in the reply.";
const BY_DISTANCE: &str =
    "O(N), N being the number of elements between the index and the nearer end; O(1) at the ends.";

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("blmove", 6, BLOCKING_OOM, blocking::blmove).keys(SOURCE_AND_DESTINATION).docs(
        "6.2.0",
        "Moves an element from an end of one list to an end of another, and waits for one if there is none.",
        CONSTANT,
    ),
    row("blmpop", -5, BLOCKING, blocking::blmpop).keys(&[KeySpec::counted(2, 1, POP)]).docs(
        "7.0.0",
        "Takes elements from the first list that has any, and waits for one if there is none.",
        BY_KEYS_AND_REPLY,
    ),
    row("blpop", -3, BLOCKING, blocking::blpop).keys(POPPED_KEYS_AND_TIMEOUT).docs(
        "2.0.0",
        "Takes the first element of the first list that has any, and waits for one if there is none.",
        BY_KEYS,
    ),
    row("brpop", -3, BLOCKING, blocking::brpop).keys(POPPED_KEYS_AND_TIMEOUT).docs(
        "2.0.0",
        "Takes the last element of the first list that has any, and waits for one if there is none.",
        BY_KEYS,
    ),
    row("brpoplpush", 4, BLOCKING_OOM, blocking::brpoplpush)
        .keys(SOURCE_AND_DESTINATION)
        .docs(
            "2.2.0",
            "Moves the last element of a list to the head of another, and waits for one if there is none.",
            CONSTANT,
        )
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    row("lindex", 3, READ, read::lindex).keys(READ_KEY).docs(
        "1.0.0",
        "Answers the element at an index.",
        BY_DISTANCE,
    ),
    row("linsert", 5, WRITE_OOM, edit::linsert).keys(GROWN_KEY).docs(
        "2.2.0",
        "Inserts an element before or after the first one that equals another.",
        "O(N), N being the number of elements up to that one.",
    ),
    row("llen", 2, READ_FAST, read::llen).keys(INSPECTED_KEY).docs(
        "1.0.0",
        "Answers the length of a list.",
        CONSTANT,
    ),
    row("lmove", 5, WRITE_OOM, transfer::lmove).keys(SOURCE_AND_DESTINATION).docs(
        "6.2.0",
        "Moves an element from an end of one list to an end of another.",
        CONSTANT,
    ),
    row("lmpop", -4, WRITE, pop::lmpop).keys(&[KeySpec::counted(1, 1, POP)]).docs(
        "7.0.0",
        "Takes elements from the first list that has any.",
        BY_KEYS_AND_REPLY,
    ),
    row("lpop", -2, WRITE_FAST, pop::lpop).keys(POPPED_KEY).docs(
        "1.0.0",
        "Takes elements from the head of a list.",
        BY_REPLY,
    ),
    row("lpos", -3, READ, read::lpos).keys(READ_KEY).docs(
        "6.0.6",
        "Finds the indexes of elements that equal another.",
        "O(N), N being the number of elements that are looked at.",
    ),
    row("lpush", -3, WRITE_OOM_FAST, push::lpush).keys(GROWN_KEY).docs(
        "1.0.0",
        "Adds elements at the head of a list, which is created when it does not exist.",
        BY_ELEMENTS,
    ),
    row("lpushx", -3, WRITE_OOM_FAST, push::lpushx).keys(GROWN_KEY).docs(
        "2.2.0",
        "Adds elements at the head of a list if it exists.",
        BY_ELEMENTS,
    ),
    row("lrange", 4, READ, read::lrange).keys(READ_KEY).docs(
        "1.0.0",
        "Answers the elements between two indexes.",
        "O(S+N), S being the distance of the start from the nearer end and N the number of elements in the reply.",
    ),
    row("lrem", 4, WRITE, edit::lrem).keys(CUT_KEY).docs(
        "1.0.0",
        "Removes elements that equal another.",
        BY_LENGTH,
    ),
    row("lset", 4, WRITE_OOM, edit::lset).keys(UPDATED_KEY).docs(
        "1.0.0",
        "Replaces the element at an index.",
        BY_DISTANCE,
    ),
    row("ltrim", 4, WRITE, edit::ltrim).keys(CUT_KEY).docs(
        "1.0.0",
        "Keeps the elements between two indexes and removes all others.",
        "O(N), N being the number of elements that are removed.",
    ),
    row("rpop", -2, WRITE_FAST, pop::rpop).keys(POPPED_KEY).docs(
        "1.0.0",
        "Takes elements from the tail of a list.",
        BY_REPLY,
    ),
    row("rpoplpush", 3, WRITE_OOM, transfer::rpoplpush)
        .keys(SOURCE_AND_DESTINATION)
        .docs("1.2.0", "Moves the last element of a list to the head of another.", CONSTANT)
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    row("rpush", -3, WRITE_OOM_FAST, push::rpush).keys(GROWN_KEY).docs(
        "1.0.0",
        "Adds elements at the tail of a list, which is created when it does not exist.",
        BY_ELEMENTS,
    ),
    row("rpushx", -3, WRITE_OOM_FAST, push::rpushx).keys(GROWN_KEY).docs(
        "2.2.0",
        "Adds elements at the tail of a list if it exists.",
        BY_ELEMENTS,
    ),
];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::List, Run::Keyspace(handler)).flags(flags)
}

/// What a node may hold (`list-max-listpack-size`).
fn limit(config: &Config) -> Limit {
    Limit::new(config.list_max_listpack_size)
}

/// Replies an element.
#[inline]
fn push_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => reply.bulk(bytes),
        Element::Int(int) => reply.bulk_int(int),
    }
}

/// The error for elements that no list takes.
fn check_lengths(elements: &[&[u8]]) -> Result<(), &'static str> {
    let fits = elements.iter().all(|element| element.len() <= ELEMENT_BYTES_MAX);
    if fits { Ok(()) } else { Err(STRING_TOO_LONG) }
}

/// `LEFT` or `RIGHT`.
fn end_of(argument: &[u8]) -> Result<End, &'static str> {
    if is_word(argument, "left") {
        Ok(End::Head)
    } else if is_word(argument, "right") {
        Ok(End::Tail)
    } else {
        Err(SYNTAX)
    }
}

/// The event of an addition.
fn push_event(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

/// The event of a removal.
fn pop_event(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

/// An integer of at least `least`, or `error` for whatever else stands there.
fn at_least(least: i64, argument: &[u8], error: &'static str) -> Result<usize, &'static str> {
    let value = integer(argument).map_err(|_| error)?;
    if value < least { Err(error) } else { usize::try_from(value).map_err(|_| error) }
}

/// `index`, counted from the end when negative, in a list of `length`; `None` outside of it.
fn absolute(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index + length as i64 } else { index };
    usize::try_from(index).ok().filter(|&index| index < length)
}

/// The part from `start` to `end`, both included and counted from the end when negative, of a list of `length`.
fn part(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    let length = length as i64;
    let from_head = |index: i64| if index < 0 { index + length } else { index };
    let (start, end) = (from_head(start).max(0), from_head(end).min(length - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// Says that `count` elements of the list at `key` changed in one step.
fn modified(ctx: &mut Context<'_>, key: &[u8], event: &'static str, count: usize) {
    ctx.modified(key, KeyspaceEvents::LIST, event);
    // Redis counts every element as a change of the dataset.
    ctx.keyspace.counters.dirty += count.saturating_sub(1) as u64;
}

/// Says that `count` elements of the list at `key` were taken from one end, and removes the key if none is left.
fn popped(ctx: &mut Context<'_>, key: &[u8], end: End, count: usize, is_empty: bool) {
    modified(ctx, key, pop_event(end), count);
    if is_empty {
        ctx.remove_emptied(key);
    }
}

/// The arguments of LMPOP and BLMPOP from the number of keys on.
struct ManyKeys<'a, 'b> {
    keys: &'b [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a, 'b> ManyKeys<'a, 'b> {
    /// `numkeys key [key ...] LEFT|RIGHT [COUNT count]`, the number being argument `at`.
    fn parse(arguments: &'b [&'a [u8]], at: usize) -> Result<Self, &'static str> {
        let number = at_least(1, arguments[at], "ERR numkeys should be greater than 0")?;
        let keys = arguments.get(at + 1..).and_then(|rest| rest.get(..number)).ok_or(SYNTAX)?;
        let mut options = Cursor::new(arguments, at + 1 + number);
        let end = end_of(options.need()?)?;
        let mut count = None;
        while !options.is_done() {
            if count.is_some() || options.remaining() < 2 || !options.accept("count") {
                return Err(SYNTAX);
            }
            count = Some(at_least(1, options.need()?, "ERR count should be greater than 0")?);
        }
        Ok(Self { keys, end, count: count.unwrap_or(1) })
    }
}
