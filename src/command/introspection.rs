//! COMMAND: the server's commands as it describes them to clients. Rows on top, handlers below; how one row is
//! described is in `description`.

use super::args::is_word;
use super::description::{write_docs, write_info, write_key_flags};
use super::home::{HomeContext, Then};
use super::keys::KeyFlags;
use super::table::{self, Resolved};
use super::{Command, Flags, Group, Run, description};
use crate::base::glob;
use crate::resp::error::SYNTAX;

const COMMON: Flags = Flags::LOADING.union(Flags::STALE).union(Flags::SENTINEL);

const UNORDERED: &[&str] = &["nondeterministic_output_order"];

const PER_NAME: &str = "O(N) where N is the number of commands to look up";

const PER_ARGUMENT: &str = "O(N) where N is the number of arguments to the command";

/// The rows of this file.
pub const COMMANDS: &[Command] = &[row("command", -1, command)
    .docs("2.8.13", "Describes all commands.", "O(N) where N is the total number of Redis commands")
    .tips(UNORDERED)
    .subcommands(SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    row("command|count", 2, count).docs("2.8.13", "Counts the commands.", "O(1)"),
    row("command|docs", -2, docs)
        .docs("7.0.0", "Returns the documentation of commands.", PER_NAME)
        .tips(UNORDERED),
    row("command|getkeys", -3, get_keys).docs("2.8.13", "Returns the keys of a command.", PER_ARGUMENT),
    row("command|getkeysandflags", -3, get_keys_and_flags).docs(
        "7.0.0",
        "Returns the keys of a command, and what it does with them.",
        PER_ARGUMENT,
    ),
    row("command|help", 2, help).docs("5.0.0", "Lists the subcommands.", "O(1)"),
    row("command|info", -2, info).docs("2.8.13", "Describes commands.", PER_NAME).tips(UNORDERED),
    row("command|list", -2, list)
        .docs("7.0.0", "Lists the names of commands.", "O(N) where N is the total number of Redis commands")
        .tips(UNORDERED),
];

const fn row(name: &'static str, arity: i32, run: fn(&mut HomeContext<'_>, &[&[u8]]) -> Then) -> Command {
    Command::new(name, arity, Group::Server, Run::Home(run)).flags(COMMON).categories(&["connection"])
}

const HELP: &[&str] = &[
    "(no subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Count the commands.",
    "LIST",
    "    List the names of the commands and subcommands.",
    "INFO [<command-name> ...]",
    "    Describe the named commands, or all.",
    "DOCS [<command-name> ...]",
    "    Return the documentation of the named commands, or of all.",
    "GETKEYS <full-command>",
    "    Return the keys of a command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys of a command, and what it does with each.",
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("command", HELP);
    Then::Done
}

fn command(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.array(table::all().count());
    table::all().for_each(|row| write_info(&mut home.reply, Some(row)));
    Then::Done
}

fn count(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.count(table::all().count());
    Then::Done
}

fn info(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let names = &arguments[2..];
    if names.is_empty() {
        return command(home, arguments);
    }
    home.reply.array(names.len());
    for name in names {
        write_info(&mut home.reply, find_by_full_name(name));
    }
    Then::Done
}

fn docs(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let names = &arguments[2..];
    let rows: Vec<&Command> = match names {
        [] => table::all().collect(),
        names => names.iter().filter_map(|name| find_by_full_name(name)).collect(),
    };
    home.reply.map(rows.len());
    for row in rows {
        home.reply.bulk(row.full_name.as_bytes());
        write_docs(&mut home.reply, row);
    }
    Then::Done
}

/// The row of `get` or `client|list`.
fn find_by_full_name(name: &[u8]) -> Option<&'static Command> {
    let words: Vec<&[u8]> = name.split(|byte| *byte == b'|').collect();
    let row = table::find(words[0])?;
    match *words {
        [_] => Some(row),
        [_, subcommand] => {
            row.subcommands.iter().find(|row| subcommand.eq_ignore_ascii_case(row.name.as_bytes()))
        }
        _ => None,
    }
}

fn list(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let passes: Box<dyn Fn(&Command) -> bool + '_> = match arguments[2..] {
        [] => Box::new(|_| true),
        [word, kind, _] if is_word(word, "filterby") && is_word(kind, "module") => Box::new(|_| false),
        [word, kind, category] if is_word(word, "filterby") && is_word(kind, "aclcat") => {
            Box::new(move |row| description::categories(row).iter().any(|name| is_word(category, name)))
        }
        [word, kind, pattern] if is_word(word, "filterby") && is_word(kind, "pattern") => {
            Box::new(move |row| glob::matches(pattern, row.full_name.as_bytes(), true))
        }
        _ => return home.error(SYNTAX),
    };
    let rows = table::all().flat_map(|row| std::iter::once(row).chain(description::shown_subcommands(row)));
    let open = home.reply.open();
    let mut count = 0;
    for row in rows.filter(|row| passes(row)) {
        home.reply.bulk(row.full_name.as_bytes());
        count += 1;
    }
    home.reply.close_array(open, count);
    Then::Done
}

fn get_keys(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    keys_of(home, &arguments[2..], false)
}

fn get_keys_and_flags(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    keys_of(home, &arguments[2..], true)
}

fn keys_of(home: &mut HomeContext<'_>, arguments: &[&[u8]], with_flags: bool) -> Then {
    let Resolved::Row(row) = table::resolve(arguments) else {
        return home.error("ERR Invalid command specified");
    };
    if row.keys.iter().all(|spec| spec.flags.contains(KeyFlags::NOT_KEY)) {
        return home.error("ERR The command has no key arguments");
    }
    if !row.arity_fits(arguments.len()) {
        return home.error("ERR Invalid number of arguments specified for command");
    }
    let keys = match find_keys(row, arguments) {
        Some(keys) if !keys.is_empty() => keys,
        _ if row.flags.contains(Flags::NO_MANDATORY_KEYS) => Vec::new(),
        _ => return home.error("ERR Invalid arguments specified for command"),
    };
    home.reply.array(keys.len());
    for (at, flags) in keys {
        if with_flags {
            home.reply.array(2);
        }
        home.reply.bulk(arguments[at]);
        if with_flags {
            write_key_flags(&mut home.reply, flags);
        }
    }
    Then::Done
}

/// Position and use of every key; `None` when the arguments cannot be right.
fn find_keys(row: &Command, arguments: &[&[u8]]) -> Option<Vec<(usize, KeyFlags)>> {
    let mut keys = Vec::new();
    for spec in row.keys.iter().filter(|spec| !spec.flags.contains(KeyFlags::NOT_KEY)) {
        let flags = flags_here(row, spec.flags, arguments);
        keys.extend(spec.checked_positions(arguments)?.into_iter().map(|at| (at, flags)));
    }
    Some(keys)
}

/// What the command does with its keys, also where that depends on the arguments.
fn flags_here(row: &Command, declared: KeyFlags, arguments: &[&[u8]]) -> KeyFlags {
    if !declared.contains(KeyFlags::VARIABLE_FLAGS) {
        return declared;
    }
    let options = arguments.get(2..).unwrap_or_default();
    let reads_and_updates = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);
    match row.full_name {
        "set" if options.iter().skip(1).any(|option| is_word(option, "get")) => reads_and_updates,
        "set" => KeyFlags::OW.union(KeyFlags::UPDATE),
        "bitfield" if only_gets(options) => KeyFlags::RO.union(KeyFlags::ACCESS),
        "bitfield" => reads_and_updates,
        _ => declared.difference(KeyFlags::VARIABLE_FLAGS),
    }
}

/// Whether no operation of BITFIELD writes.
fn only_gets(mut operations: &[&[u8]]) -> bool {
    while let Some((&operation, rest)) = operations.split_first() {
        let operands = match operation {
            word if is_word(word, "get") => 2,
            word if is_word(word, "overflow") => 1,
            _ => return false,
        };
        operations = rest.get(operands..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
#[path = "introspection_test.rs"]
mod tests;
