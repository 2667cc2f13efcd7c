//! The generic family, keys of any type and the keyspace as a whole: rows on top, handlers in the files beside.
//!
//! Rows of containers that the server family owns (`MEMORY USAGE`, `DEBUG OBJECT`) take their handlers from here.

mod delete;
mod dump;
pub(super) mod expire;
mod migrate;
mod object;
mod rename;
pub mod scan;
pub mod sort;
mod whole;

#[cfg(test)]
mod dump_test;
#[cfg(test)]
mod generic_test;

use super::args::integer;
use super::keys::{Begin, Find, KeyFlags};
use super::{Command, Flags, Group, KeySpec, Merge, Route, Run};
use crate::resp::error::DB_INDEX_OUT_OF_RANGE;

pub use migrate::{migrate_drop, migrate_dump};
pub use object::{MEMORY_USAGE, debug_object};

/// One key that is only looked at.
const INSPECTED: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO)];
/// One key whose value or time is returned.
const READ: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))];
/// One key whose time changes.
const UPDATED: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))];
/// One key that is made, in place of whatever is there.
const RESTORED: &[KeySpec] = &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))];
/// Any number of keys that are removed.
const REMOVED: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::RM.union(KeyFlags::DELETE))];
/// Any number of keys that are only looked at.
const ALL_INSPECTED: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::RO)];

/// The keys that patterns of SORT name.
const OF_PATTERNS: KeySpec = KeySpec { begin: Begin::Unknown, ..SORTED_KEY };
const SORTED_KEY: KeySpec = KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS));
/// One key whose value is returned, and those that patterns name.
const SORTED_RO: &[KeySpec] = &[SORTED_KEY, OF_PATTERNS];
/// The same and the key that STORE names.
const SORTED: &[KeySpec] = &[
    SORTED_KEY,
    OF_PATTERNS,
    KeySpec {
        begin: Begin::Keyword { word: "STORE", from: 2, options: SORT_OPTIONS },
        find: Find::Range { last: 0, step: 1, limit: 0 },
        flags: KeyFlags::OW.union(KeyFlags::UPDATE),
    },
];
/// What stands before STORE: the key, and the options of SORT with how many arguments each takes.
const SORT_OPTIONS: &[(&str, usize)] =
    &[("", 1), ("BY", 1), ("LIMIT", 2), ("GET", 1), ("STORE", 1), ("ASC", 0), ("DESC", 0), ("ALPHA", 0)];
const SORT_COST: &str = "O(N+M*log(M)), N being the number of elements and M that of returned ones.";

const FAST_WRITE: Flags = Flags::WRITE.union(Flags::FAST);
const FAST_READ: Flags = Flags::READONLY.union(Flags::FAST);

const SUM_OVER_KEYS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const ON_ALL_SUCCEED: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::new("sort", -2, Group::Generic, Run::Keyspace(sort::sort))
        .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLE_KEYS))
        .keys(SORTED)
        .route(Route::Patterns)
        .docs(
            "1.0.0",
            "Sorts the elements of a list, set or sorted set, and answers or stores them.",
            SORT_COST,
        )
        .categories(&["set", "sortedset", "list", "dangerous"]),
    Command::new("sort_ro", -2, Group::Generic, Run::Keyspace(sort::sort_ro))
        .flags(Flags::READONLY.union(Flags::MOVABLE_KEYS))
        .keys(SORTED_RO)
        .route(Route::Patterns)
        .docs("7.0.0", "Sorts the elements of a list, set or sorted set, and answers them.", SORT_COST)
        .categories(&["set", "sortedset", "list", "dangerous"]),
    Command::new("del", -2, Group::Generic, Run::Keyspace(delete::del))
        .flags(Flags::WRITE)
        .keys(REMOVED)
        .route(Route::Split(Merge::Sum))
        .docs("1.0.0", "Removes keys.", "O(N) where N is the number of keys.")
        .tips(SUM_OVER_KEYS)
        .categories(&["keyspace"]),
    Command::new("unlink", -2, Group::Generic, Run::Keyspace(delete::del))
        .flags(FAST_WRITE)
        .keys(REMOVED)
        .route(Route::Split(Merge::Sum))
        .docs("4.0.0", "Removes keys and frees their values later.", "O(1) for each key.")
        .tips(SUM_OVER_KEYS)
        .categories(&["keyspace"]),
    Command::new("exists", -2, Group::Generic, Run::Keyspace(delete::exists))
        .flags(FAST_READ)
        .keys(ALL_INSPECTED)
        .route(Route::Split(Merge::Sum))
        .docs("1.0.0", "Counts how many of the keys exist.", "O(N) where N is the number of keys.")
        .tips(SUM_OVER_KEYS)
        .categories(&["keyspace"]),
    Command::new("touch", -2, Group::Generic, Run::Keyspace(delete::touch))
        .flags(FAST_READ)
        .keys(ALL_INSPECTED)
        .route(Route::Split(Merge::Sum))
        .docs(
            "3.2.1",
            "Counts how many of the keys exist, and marks them as used.",
            "O(N) where N is the number of keys.",
        )
        .tips(SUM_OVER_KEYS)
        .categories(&["keyspace"]),
    Command::new("type", 2, Group::Generic, Run::Keyspace(object::type_of))
        .flags(FAST_READ)
        .keys(INSPECTED)
        .docs("1.0.0", "Names the type of a key's value.", "O(1)")
        .categories(&["keyspace"]),
    Command::new("keys", 2, Group::Generic, Run::Keyspace(scan::keys))
        .flags(Flags::READONLY)
        .route(Route::EveryShard(Merge::Concatenate))
        .docs(
            "1.0.0",
            "Lists all keys that match a pattern.",
            "O(N) where N is the number of keys in the database.",
        )
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .categories(&["keyspace", "dangerous"]),
    Command::new("scan", -2, Group::Generic, Run::Keyspace(scan::scan))
        .flags(Flags::READONLY.union(Flags::TOUCHES_ARBITRARY_KEYS))
        .route(Route::Cursor)
        .docs(
            "2.8.0",
            "Walks over the keys of the database in steps.",
            "O(1) for each call, O(N) for a whole walk.",
        )
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .categories(&["keyspace"]),
    Command::new("randomkey", 1, Group::Generic, Run::Keyspace(scan::randomkey))
        .flags(Flags::READONLY.union(Flags::TOUCHES_ARBITRARY_KEYS))
        .route(Route::EveryShard(Merge::Draw))
        .docs("1.0.0", "Names any key of the database.", "O(1)")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"])
        .categories(&["keyspace"]),
    Command::new("rename", 3, Group::Generic, Run::Keyspace(rename::rename))
        .flags(Flags::WRITE)
        .keys(&[
            KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
        ])
        .docs("1.0.0", "Gives a key another name, in place of a key that has it.", "O(1)")
        .categories(&["keyspace"]),
    Command::new("renamenx", 3, Group::Generic, Run::Keyspace(rename::renamenx))
        .flags(FAST_WRITE)
        .keys(&[
            KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::OW.union(KeyFlags::INSERT)),
        ])
        .docs("1.0.0", "Gives a key another name unless a key has it.", "O(1)")
        .categories(&["keyspace"]),
    Command::new("move", 3, Group::Generic, Run::Keyspace(rename::move_key))
        .flags(FAST_WRITE)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
        .docs("1.0.0", "Moves a key to another database unless it is there.", "O(1)")
        .categories(&["keyspace"]),
    Command::new("copy", -3, Group::Generic, Run::Keyspace(rename::copy))
        .flags(Flags::WRITE.union(Flags::DENYOOM))
        .keys(&[
            KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)),
            KeySpec::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
        ])
        .docs(
            "6.2.0",
            "Copies a key's value and time to another key.",
            "O(N) where N is the size of the value.",
        )
        .categories(&["keyspace"]),
    Command::new("dump", 2, Group::Generic, Run::Keyspace(dump::dump))
        .flags(Flags::READONLY)
        .keys(READ)
        .docs(
            "2.6.0",
            "Answers a key's value in the format of snapshots.",
            "O(N) where N is the size of the value.",
        )
        .tips(&["nondeterministic_output"])
        .categories(&["keyspace"]),
    migrate::COMMAND,
    restoring("restore", Group::Generic, "2.6.0", Flags::WRITE.union(Flags::DENYOOM)),
    restoring(
        "restore-asking",
        Group::Server,
        "3.0.0",
        Flags::WRITE.union(Flags::DENYOOM).union(Flags::ASKING).union(Flags::SYSTEM),
    ),
    expiry("expire", -3, expire::expire, "1.0.0", "Sets a key's time to live in seconds."),
    expiry("pexpire", -3, expire::pexpire, "2.6.0", "Sets a key's time to live in milliseconds."),
    expiry(
        "expireat",
        -3,
        expire::expireat,
        "1.2.0",
        "Sets the Unix time in seconds at which a key expires.",
    ),
    expiry(
        "pexpireat",
        -3,
        expire::pexpireat,
        "2.6.0",
        "Sets the Unix time in milliseconds at which a key expires.",
    ),
    expiry("persist", 2, expire::persist, "2.2.0", "Lets a key live for ever."),
    time_left("ttl", expire::ttl, "1.0.0", "Tells how many seconds a key has to live.")
        .tips(&["nondeterministic_output"]),
    time_left("pttl", expire::pttl, "2.6.0", "Tells how many milliseconds a key has to live.")
        .tips(&["nondeterministic_output"]),
    time_left(
        "expiretime",
        expire::expiretime,
        "7.0.0",
        "Tells the Unix time in seconds at which a key expires.",
    ),
    time_left(
        "pexpiretime",
        expire::pexpiretime,
        "7.0.0",
        "Tells the Unix time in milliseconds at which a key expires.",
    ),
    Command::new("object", -2, Group::Generic, Run::Container)
        .docs("2.2.3", "Holds commands that look into how a value is kept.", "Depends on subcommand.")
        .subcommands(object::SUBCOMMANDS),
    Command::new("dbsize", 1, Group::Server, Run::Keyspace(whole::dbsize))
        .flags(FAST_READ)
        .route(Route::EveryShard(Merge::Sum))
        .docs("1.0.0", "Counts the keys of the database.", "O(1)")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .categories(&["keyspace"]),
    Command::new("flushdb", -1, Group::Server, Run::Keyspace(whole::flushdb))
        .flags(Flags::WRITE)
        .route(Route::EveryShard(Merge::AllOk))
        .docs("1.0.0", "Removes all keys of the database.", "O(1); the memory is freed later in slices.")
        .tips(ON_ALL_SUCCEED)
        .categories(&["keyspace", "dangerous"]),
    Command::new("flushall", -1, Group::Server, Run::Keyspace(whole::flushall))
        .flags(Flags::WRITE)
        .route(Route::EveryShard(Merge::AllOk))
        .docs("1.0.0", "Removes all keys of all databases.", "O(1); the memory is freed later in slices.")
        .tips(ON_ALL_SUCCEED)
        .categories(&["keyspace", "dangerous"]),
    Command::new("swapdb", 3, Group::Server, Run::Keyspace(whole::swapdb))
        .flags(FAST_WRITE)
        .route(Route::EveryShard(Merge::AllOk))
        .docs("4.0.0", "Lets two databases change places.", "O(N) where N is the number of watched keys.")
        .categories(&["keyspace", "dangerous"]),
];

type Handler = fn(&mut super::Context<'_>, &[&[u8]]);

/// A command that makes a key of a dumped value.
const fn restoring(name: &'static str, group: Group, since: &'static str, flags: Flags) -> Command {
    Command::new(name, -4, group, Run::Keyspace(dump::restore))
        .flags(flags)
        .keys(RESTORED)
        .docs(since, "Makes a key of a value that DUMP answered.", "O(N) where N is the size of the value.")
        .categories(&["keyspace", "dangerous"])
}

/// A command that sets or ends a key's time.
const fn expiry(
    name: &'static str,
    arity: i32,
    handler: Handler,
    since: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, Group::Generic, Run::Keyspace(handler))
        .flags(FAST_WRITE)
        .keys(UPDATED)
        .docs(since, summary, "O(1)")
        .categories(&["keyspace"])
}

/// A command that tells a key's time.
const fn time_left(
    name: &'static str,
    handler: Handler,
    since: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(name, 2, Group::Generic, Run::Keyspace(handler))
        .flags(FAST_READ)
        .keys(READ)
        .docs(since, summary, "O(1)")
        .categories(&["keyspace"])
}

/// An argument as C's `int`, or Redis's error.
fn c_int(argument: &[u8]) -> Result<i32, &'static str> {
    i32::try_from(integer(argument)?)
        .map_err(|_| "ERR value is out of range, value must between -2147483648 and 2147483647")
}

/// The number of one of `databases` databases, or Redis's error.
fn database_index(argument: &[u8], databases: usize) -> Result<usize, &'static str> {
    let index = usize::try_from(c_int(argument)?).map_err(|_| DB_INDEX_OUT_OF_RANGE)?;
    if index < databases { Ok(index) } else { Err(DB_INDEX_OUT_OF_RANGE) }
}
