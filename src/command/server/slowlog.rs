//! SLOWLOG: the latest commands that ran long.

use super::{ADMIN, ALL_NODES_SUCCEED, ANYTIME, row, unknown_or_wrong_arity};
use crate::base::number::parse_i64;
use crate::command::Command;
use crate::command::home::{HomeContext, Then};

/// Entries that GET returns when it is not told how many.
const DEFAULT_COUNT: usize = 10;

pub(super) const COMMANDS: &[Command] = &[
    row("slowlog|get", -2, get)
        .flags(ADMIN)
        .docs("2.2.12", "Returns slow commands.", "O(N) where N is the number of entries returned")
        .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
    row("slowlog|help", 2, help).flags(ANYTIME).docs("6.2.0", "Lists the subcommands.", "O(1)"),
    row("slowlog|len", 2, len).flags(ADMIN).docs("2.2.12", "Counts the entries of the log.", "O(1)").tips(&[
        "request_policy:all_nodes",
        "response_policy:agg_sum",
        "nondeterministic_output",
    ]),
    row("slowlog|reset", 2, reset)
        .flags(ADMIN)
        .docs("2.2.12", "Empties the log.", "O(N) where N is the number of entries in the slowlog")
        .tips(ALL_NODES_SUCCEED),
];

const HELP: &[&str] = &[
    "GET [<count>]",
    "    Return the latest <count> entries (10 when not given, all for -1). An entry is",
    "    its number, the time, the microseconds it took, the arguments, the client's",
    "    address and the client's name.",
    "LEN",
    "    Return the number of entries.",
    "RESET",
    "    Drop all entries.",
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("slowlog", HELP);
    Then::Done
}

fn get(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let count = match *arguments {
        [_, _] => DEFAULT_COUNT,
        [_, _, count] => match parse_i64(count) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => count as usize,
            _ => return home.error("ERR count should be greater than or equal to -1"),
        },
        _ => return unknown_or_wrong_arity(home, arguments),
    };
    let entries = home.server.slowlog.latest(count);
    let reply = &mut home.reply;
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.at_s);
        reply.int(entry.micros as i64);
        reply.array(entry.arguments.len());
        entry.arguments.iter().for_each(|argument| reply.bulk(argument));
        reply.bulk(entry.address.as_bytes());
        reply.bulk(&entry.name);
    }
    Then::Done
}

fn len(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.count(home.server.slowlog.len());
    Then::Done
}

fn reset(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.server.slowlog.reset();
    home.ok()
}
