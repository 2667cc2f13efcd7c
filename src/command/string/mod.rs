//! The string family: rows here, handlers in the files beside.
//!
//! A string is an integer, a short string inside its entry's block, or a long one on the heap; [`Entry::string`] shows
//! all three as bytes.

mod condition;
mod expiry;
mod get;
mod lcs;
pub(super) mod modify;
mod number;
mod set;
mod set_many;

#[cfg(test)]
mod string_test;

use super::keys::KeyFlags;
use super::{Command, Context, Flags, Group, KeySpec, Merge, Route, Run};
use crate::resp::Reply;
use crate::resp::error::{STRING_TOO_LONG, WRONG_TYPE};
use crate::store::entry::Entry;

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_OOM_FAST: Flags = WRITE_OOM.union(Flags::FAST);

const ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const CHANGE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);
const OVERWRITE: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);
const CREATE: KeyFlags = KeyFlags::OW.union(KeyFlags::INSERT);

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, ACCESS)];
const CHANGED_KEY: &[KeySpec] = &[KeySpec::one(1, CHANGE)];
const OVERWRITTEN_KEY: &[KeySpec] = &[KeySpec::one(1, OVERWRITE)];

const CONSTANT: &str = "O(1)";
const BY_KEYS: &str = "O(N), N being the number of keys.";
const BY_RESULT: &str = "O(N), N being the length of the reply; close to O(1) for short strings.";

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("append", 3, WRITE_OOM_FAST, modify::append)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))])
        .docs("2.0.0", "Appends to a string, which is created when it does not exist.", "O(1), amortized."),
    row("decr", 2, WRITE_OOM_FAST, number::decr).keys(CHANGED_KEY).docs(
        "1.0.0",
        "Subtracts one from the integer at a key; a missing key counts as 0.",
        CONSTANT,
    ),
    row("decrby", 3, WRITE_OOM_FAST, number::decrby).keys(CHANGED_KEY).docs(
        "1.0.0",
        "Subtracts a number from the integer at a key; a missing key counts as 0.",
        CONSTANT,
    ),
    row("delex", -2, WRITE_FAST, set::delex)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE).union(KeyFlags::VARIABLE_FLAGS))])
        .docs(
            "8.4.0",
            "Deletes a key if its value, or the digest of its value, meets a condition.",
            "O(1) by value, O(N) by digest, N being the length of the string.",
        ),
    row("digest", 2, READ_FAST, get::digest).keys(READ_KEY).docs(
        "8.4.0",
        "Answers the XXH3 digest of a string in hexadecimal.",
        "O(N), N being the length of the string.",
    ),
    row("get", 2, READ_FAST, get::get).keys(READ_KEY).docs("1.0.0", "Answers the string at a key.", CONSTANT),
    row("getdel", 2, WRITE_FAST, get::getdel)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))])
        .docs("6.2.0", "Answers the string at a key and deletes the key.", CONSTANT),
    row("getex", -2, WRITE_FAST, get::getex).keys(CHANGED_KEY).docs(
        "6.2.0",
        "Answers the string at a key and sets or ends the key's time to live.",
        CONSTANT,
    ),
    row("getrange", 4, Flags::READONLY, get::getrange).keys(READ_KEY).docs(
        "2.4.0",
        "Answers a part of the string at a key.",
        BY_RESULT,
    ),
    row("getset", 3, WRITE_OOM_FAST, set::getset)
        .keys(CHANGED_KEY)
        .docs("1.0.0", "Stores a string and answers the one it replaces.", CONSTANT)
        .deprecated("6.2.0", "`SET` with the `!GET` argument"),
    row("incr", 2, WRITE_OOM_FAST, number::incr).keys(CHANGED_KEY).docs(
        "1.0.0",
        "Adds one to the integer at a key; a missing key counts as 0.",
        CONSTANT,
    ),
    row("incrby", 3, WRITE_OOM_FAST, number::incrby).keys(CHANGED_KEY).docs(
        "1.0.0",
        "Adds a number to the integer at a key; a missing key counts as 0.",
        CONSTANT,
    ),
    row("incrbyfloat", 3, WRITE_OOM_FAST, number::incrbyfloat).keys(CHANGED_KEY).docs(
        "2.6.0",
        "Adds a number with a fraction to the number at a key; a missing key counts as 0.",
        CONSTANT,
    ),
    row("lcs", -3, Flags::READONLY, lcs::lcs).keys(&[KeySpec::range(1, 1, 1, ACCESS)]).docs(
        "7.0.0",
        "Finds the longest common subsequence of two strings.",
        "O(N*M), N and M being the lengths of the strings.",
    ),
    row("mget", -2, READ_FAST, get::mget)
        .keys(&[KeySpec::range(1, -1, 1, ACCESS)])
        .route(Route::Split(Merge::Weave))
        .docs("1.0.0", "Answers the strings at several keys in one step.", BY_KEYS)
        .tips(&["request_policy:multi_shard"]),
    row("mset", -3, WRITE_OOM, set_many::mset)
        .keys(&[KeySpec::range(1, -1, 2, OVERWRITE)])
        .route(Route::Split(Merge::AllOk))
        .docs("1.0.1", "Stores strings at several keys in one step.", BY_KEYS)
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    row("msetex", -4, WRITE_OOM, set_many::msetex)
        .keys(&[KeySpec::counted(1, 2, OVERWRITE)])
        .docs("8.4.0", "Stores strings at several keys in one step, with one time to live for all.", BY_KEYS)
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    row("msetnx", -3, WRITE_OOM, set_many::msetnx).keys(&[KeySpec::range(1, -1, 2, CREATE)]).docs(
        "1.0.1",
        "Stores strings at several keys in one step, only if none of the keys exists.",
        BY_KEYS,
    ),
    row("psetex", 4, WRITE_OOM, set::psetex)
        .keys(OVERWRITTEN_KEY)
        .docs("2.6.0", "Stores a string with a time to live in milliseconds.", CONSTANT)
        .deprecated("2.6.12", "`SET` with the `PX` argument"),
    row("set", -3, WRITE_OOM, set::set)
        .keys(&[KeySpec::one(1, CHANGE.union(KeyFlags::VARIABLE_FLAGS))])
        .docs("1.0.0", "Stores a string at a key, whatever was there, or on conditions.", CONSTANT),
    row("setex", 4, WRITE_OOM, set::setex)
        .keys(OVERWRITTEN_KEY)
        .docs("2.0.0", "Stores a string with a time to live in seconds.", CONSTANT)
        .deprecated("2.6.12", "`SET` with the `EX` argument"),
    row("setnx", 3, WRITE_OOM_FAST, set::setnx)
        .keys(&[KeySpec::one(1, CREATE)])
        .docs("1.0.0", "Stores a string only if the key does not exist.", CONSTANT)
        .deprecated("2.6.12", "`SET` with the `NX` argument"),
    row("setrange", 4, WRITE_OOM, modify::setrange)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))])
        .docs(
            "2.2.0",
            "Overwrites a part of a string, which is extended with zero bytes as far as needed.",
            "O(1) for short values, otherwise O(M), M being the length of the value.",
        ),
    row("strlen", 2, READ_FAST, get::strlen).keys(&[KeySpec::one(1, KeyFlags::RO)]).docs(
        "2.2.0",
        "Answers the length of the string at a key.",
        CONSTANT,
    ),
    row("substr", 4, Flags::READONLY, get::getrange)
        .keys(READ_KEY)
        .docs("1.0.0", "Answers a part of the string at a key: the old name of GETRANGE.", BY_RESULT)
        .deprecated("2.0.0", "`GETRANGE`"),
];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::String, Run::Keyspace(handler)).flags(flags)
}

/// Replies the string of `entry`, or null without one; `false` after the error for another type.
fn push_string(entry: Option<&Entry>, reply: &mut Reply<'_>) -> bool {
    let Some(entry) = entry else {
        reply.null();
        return true;
    };
    let mut digits = itoa::Buffer::new();
    match entry.string(&mut digits) {
        Some(bytes) => reply.bulk(bytes),
        None => {
            reply.error(WRONG_TYPE);
            return false;
        }
    }
    true
}

/// The part from `start` to `end`, both included and counted from the end when negative, of something that is `length`
/// long, cut to what exists; `None` when nothing is left.
pub(super) fn clamp_range(start: i64, end: i64, length: usize) -> Option<std::ops::Range<usize>> {
    let length = length as i64;
    let absolute = |index: i64| if index < 0 { length.saturating_add(index).max(0) } else { index };
    let (start, end) = (absolute(start), absolute(end).min(length - 1));
    (start <= end).then(|| start as usize..end as usize + 1)
}

/// Whether both indices count from the end and are the wrong way round. Such a range is empty even where cutting it
/// to what exists would leave the first element.
pub(super) fn is_crossed(start: i64, end: i64) -> bool {
    start < 0 && end < 0 && start > end
}

/// The error for a string of `length` bytes and `more` behind them, if that passes `limit` (`proto-max-bulk-len`).
fn check_length(limit: usize, length: usize, more: usize) -> Result<(), &'static str> {
    match length.checked_add(more) {
        Some(total) if total <= limit => Ok(()),
        _ => Err(STRING_TOO_LONG),
    }
}
