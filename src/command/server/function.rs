//! FUNCTION, as it answers while there are no functions.

use super::{ANYTIME, unknown_or_wrong_arity};
use crate::command::args::is_word;
use crate::command::home::{HomeContext, Then};
use crate::command::{Command, Flags, Group, Run};

pub(super) const COMMANDS: &[Command] = &[
    row("function|flush", -2, Flags::NOSCRIPT.union(Flags::WRITE), flush)
        .docs("7.0.0", "Removes all functions.", "O(N) where N is the number of functions deleted")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("function|help", 2, ANYTIME, help).docs("7.0.0", "Lists the subcommands.", "O(1)"),
    row("function|list", -2, Flags::NOSCRIPT, list)
        .docs("7.0.0", "Describes all functions.", "O(N) where N is the number of functions")
        .tips(&["nondeterministic_output_order"]),
    row("function|stats", 2, Flags::NOSCRIPT.union(Flags::ALLOW_BUSY), stats)
        .docs("7.0.0", "Tells which function runs, and how many there are.", "O(1)")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    run: fn(&mut HomeContext<'_>, &[&[u8]]) -> Then,
) -> Command {
    Command::new(name, arity, Group::Scripting, Run::Home(run)).flags(flags).categories(&["scripting"])
}

const HELP: &[&str] = &[
    "FLUSH [ASYNC|SYNC]",
    "    Remove all libraries of functions.",
    "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
    "    Describe the libraries of functions.",
    "STATS",
    "    Tell which function runs, and how many there are.",
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("function", HELP);
    Then::Done
}

fn flush(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    match *arguments {
        [_, _] => home.ok(),
        [_, _, mode] if is_word(mode, "sync") || is_word(mode, "async") => home.ok(),
        [_, _, _] => home.error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
        _ => unknown_or_wrong_arity(home, arguments),
    }
}

fn list(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let (mut has_name, mut has_code) = (false, false);
    let mut options = arguments[2..].iter();
    while let Some(option) = options.next() {
        if !has_code && is_word(option, "withcode") {
            has_code = true;
        } else if !has_name && is_word(option, "libraryname") {
            has_name = true;
            if options.next().is_none() {
                return home.error("ERR library name argument was not given");
            }
        } else {
            return home.error(format!("ERR Unknown argument {}", String::from_utf8_lossy(option)));
        }
    }
    home.reply.array(0);
    Then::Done
}

fn stats(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let reply = &mut home.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    reply.null();
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(0);
    reply.bulk(b"functions_count");
    reply.int(0);
    Then::Done
}
