//! The stream family: rows here, handlers in the files beside.

mod add;
mod claim;
mod delete;
mod effect;
mod group;
mod ids;
mod info;
mod pending;
mod range;
mod read;

#[cfg(test)]
mod group_test;
#[cfg(test)]
mod stream_test;

use super::keys::{Begin, Find, KeyFlags};
use super::{Command, Context, Flags, Group, KeySpec, Run};

const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);

const ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const UPDATE: KeyFlags = KeyFlags::RW.union(KeyFlags::UPDATE);
const INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);
const DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::DELETE);

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, ACCESS)];
const UPDATED_KEY: &[KeySpec] = &[KeySpec::one(1, UPDATE)];
const DELETED_KEY: &[KeySpec] = &[KeySpec::one(1, DELETE)];

/// The options that may stand before STREAMS, and how many arguments each takes: any of these may read "streams".
const BEFORE_STREAMS: &[(&str, usize)] = &[("COUNT", 1), ("BLOCK", 1), ("GROUP", 2), ("NOACK", 0)];

const CONSTANT: &str = "O(1)";
const BY_IDS: &str = "O(1) for each id.";
const BY_RESULT: &str = "O(N) with N being the number of entries in the reply.";

/// Not the same for everybody who runs it on the same data.
const VARYING: &[&str] = &["nondeterministic_output"];

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("xack", -4, WRITE_FAST, pending::xack).keys(UPDATED_KEY).docs(
        "5.0.0",
        "Acknowledges entries that a group has pending.",
        BY_IDS,
    ),
    row("xackdel", -6, WRITE_FAST, delete::xackdel)
        .keys(&[KeySpec::one(1, UPDATE.union(KeyFlags::DELETE))])
        .docs("8.2.0", "Acknowledges entries that a group has pending, and deletes them.", BY_IDS),
    row("xadd", -5, WRITE_OOM.union(Flags::FAST), add::xadd)
        .keys(UPDATED_KEY)
        .docs(
            "5.0.0",
            "Appends an entry to a stream, which is created when it does not exist.",
            "O(1), and O(N) for trimming N entries.",
        )
        .tips(VARYING),
    row("xautoclaim", -6, WRITE_FAST, claim::xautoclaim)
        .keys(DELETED_KEY)
        .docs(
            "6.2.0",
            "Gives a consumer the pending entries that were left alone for some time.",
            "O(1) if COUNT is small.",
        )
        .tips(VARYING),
    row("xclaim", -6, WRITE_FAST, claim::xclaim)
        .keys(UPDATED_KEY)
        .docs(
            "5.0.0",
            "Gives a consumer certain pending entries.",
            "O(log N) with N being the number of pending entries.",
        )
        .tips(VARYING),
    row("xdel", -3, WRITE_FAST, range::xdel).keys(DELETED_KEY).docs(
        "5.0.0",
        "Deletes entries from a stream.",
        BY_IDS,
    ),
    row("xdelex", -5, WRITE_FAST, delete::xdelex).keys(DELETED_KEY).docs(
        "8.2.0",
        "Deletes entries from a stream, with regard to what groups have pending.",
        BY_IDS,
    ),
    Command::new("xgroup", -2, Group::Stream, Run::Container)
        .docs("5.0.0", "Holds commands about consumer groups.", "Depends on subcommand.")
        .subcommands(&[
            about_group("xgroup|create", -5, WRITE_OOM, group::create, INSERT_INTO).docs(
                "5.0.0",
                "Creates a consumer group.",
                CONSTANT,
            ),
            about_group("xgroup|createconsumer", 5, WRITE_OOM, group::createconsumer, INSERT_INTO).docs(
                "6.2.0",
                "Creates a consumer in a group.",
                CONSTANT,
            ),
            about_group("xgroup|delconsumer", 5, Flags::WRITE, group::delconsumer, DELETE_FROM).docs(
                "5.0.0",
                "Removes a consumer from its group.",
                "O(N) with N being the number of its pending entries.",
            ),
            about_group("xgroup|destroy", 4, Flags::WRITE, group::destroy, DELETE_FROM).docs(
                "5.0.0",
                "Removes a consumer group.",
                "O(N) with N being the number of its pending entries.",
            ),
            Command::new("xgroup|help", 2, Group::Stream, Run::Home(group::help))
                .flags(Flags::LOADING.union(Flags::STALE))
                .docs("5.0.0", "Lists the subcommands.", CONSTANT),
            about_group("xgroup|setid", -5, Flags::WRITE, group::setid, &[KeySpec::one(2, UPDATE)]).docs(
                "5.0.0",
                "Sets how far a group has read.",
                CONSTANT,
            ),
        ]),
    Command::new("xinfo", -2, Group::Stream, Run::Container)
        .docs("5.0.0", "Holds commands that look into streams.", "Depends on subcommand.")
        .subcommands(&[
            about_group("xinfo|consumers", 4, Flags::READONLY, info::consumers, READ_FROM)
                .docs("5.0.0", "Lists the consumers of a group.", CONSTANT)
                .tips(VARYING),
            about_group("xinfo|groups", 3, Flags::READONLY, info::groups, READ_FROM).docs(
                "5.0.0",
                "Lists the consumer groups of a stream.",
                CONSTANT,
            ),
            Command::new("xinfo|help", 2, Group::Stream, Run::Home(info::help))
                .flags(Flags::LOADING.union(Flags::STALE))
                .docs("5.0.0", "Lists the subcommands.", CONSTANT),
            about_group("xinfo|stream", -3, Flags::READONLY, info::stream, READ_FROM).docs(
                "5.0.0",
                "Describes a stream.",
                CONSTANT,
            ),
        ]),
    row("xlen", 2, Flags::READONLY.union(Flags::FAST), range::xlen)
        .keys(&[KeySpec::one(1, KeyFlags::RO)])
        .docs("5.0.0", "Counts the entries of a stream.", CONSTANT),
    row("xpending", -3, Flags::READONLY, pending::xpending)
        .keys(READ_KEY)
        .docs(
            "5.0.0",
            "Tells what a group has pending.",
            "O(N) with N being the number of pending entries looked at, or of consumers in the summary.",
        )
        .tips(VARYING),
    row("xrange", -4, Flags::READONLY, range::xrange).keys(READ_KEY).docs(
        "5.0.0",
        "Answers the entries of a stream from one id to another.",
        BY_RESULT,
    ),
    row("xread", -4, Flags::BLOCKING.union(Flags::READONLY), read::xread).keys(STREAMS_OF_XREAD).docs(
        "5.0.0",
        "Answers the entries of streams behind an id each, or waits for some.",
        BY_RESULT,
    ),
    row("xreadgroup", -7, Flags::BLOCKING.union(Flags::WRITE), read::xreadgroup)
        .keys(STREAMS_OF_XREADGROUP)
        .docs("5.0.0", "Answers the entries that a group has yet to read, or waits for some.", BY_RESULT),
    row("xrevrange", -4, Flags::READONLY, range::xrevrange).keys(READ_KEY).docs(
        "5.0.0",
        "Answers the entries of a stream from one id back to another.",
        BY_RESULT,
    ),
    row("xsetid", -3, WRITE_OOM.union(Flags::FAST), range::xsetid).keys(UPDATED_KEY).docs(
        "5.0.0",
        "Sets what a stream remembers of its ids; for replication.",
        CONSTANT,
    ),
    row("xtrim", -4, Flags::WRITE, add::xtrim)
        .keys(DELETED_KEY)
        .docs(
            "5.0.0",
            "Deletes entries from the beginning of a stream.",
            "O(N) with N being the number of entries deleted, most of them with their whole node.",
        )
        .tips(VARYING),
];

const STREAMS_OF_XREAD: &[KeySpec] = &[streams(1)];
const STREAMS_OF_XREADGROUP: &[KeySpec] = &[streams(4)];
const READ_FROM: &[KeySpec] = &[KeySpec::one(2, ACCESS)];
const INSERT_INTO: &[KeySpec] = &[KeySpec::one(2, INSERT)];
const DELETE_FROM: &[KeySpec] = &[KeySpec::one(2, DELETE)];

/// The first half of what stands behind STREAMS.
const fn streams(from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { word: "STREAMS", from, options: BEFORE_STREAMS },
        find: Find::Range { last: -1, step: 1, limit: 2 },
        flags: ACCESS,
    }
}

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::Stream, Run::Keyspace(handler)).flags(flags)
}

/// A subcommand whose key stands behind its name.
const fn about_group(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
    keys: &'static [KeySpec],
) -> Command {
    row(name, arity, flags, handler).keys(keys)
}
