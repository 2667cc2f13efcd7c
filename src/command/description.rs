//! One row of the command table as `COMMAND INFO` and `COMMAND DOCS` describe it: the shapes are Redis 7.2's.

use super::keys::{Begin, Find, KeyFlags, KeySpec};
use super::syntax::Argument;
use super::{Command, Flags, Group};
use crate::resp::Reply;

/// Flags in the order in which COMMAND INFO names them. The others are not shown.
const FLAG_NAMES: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::ASKING, "asking"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLE_KEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

const KEY_FLAG_NAMES: &[(KeyFlags, &str)] = &[
    (KeyFlags::RO, "RO"),
    (KeyFlags::RW, "RW"),
    (KeyFlags::OW, "OW"),
    (KeyFlags::RM, "RM"),
    (KeyFlags::ACCESS, "access"),
    (KeyFlags::UPDATE, "update"),
    (KeyFlags::INSERT, "insert"),
    (KeyFlags::DELETE, "delete"),
    (KeyFlags::NOT_KEY, "not_key"),
    (KeyFlags::INCOMPLETE, "incomplete"),
    (KeyFlags::VARIABLE_FLAGS, "variable_flags"),
];

/// Every ACL category, in the order in which COMMAND INFO names them.
const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The subcommands that clients are told about.
pub fn shown_subcommands(row: &Command) -> &'static [Command] {
    if row.flags.contains(Flags::HIDDEN_SUBCOMMANDS) { &[] } else { row.subcommands }
}

/// The ACL categories of a command: those that its flags and its group imply, and those that its row adds.
pub fn categories(row: &Command) -> Vec<&'static str> {
    CATEGORIES.iter().copied().filter(|name| has_category(row, name)).collect()
}

fn has_category(row: &Command, name: &str) -> bool {
    let flag = match name {
        "write" => row.flags.contains(Flags::WRITE),
        "read" => row.flags.contains(Flags::READONLY) && row.group != Group::Scripting,
        "admin" | "dangerous" => row.flags.contains(Flags::ADMIN),
        "pubsub" => row.flags.contains(Flags::PUBSUB),
        "fast" => row.flags.contains(Flags::FAST),
        "slow" => !row.flags.contains(Flags::FAST),
        "blocking" => row.flags.contains(Flags::BLOCKING),
        _ => false,
    };
    flag || row.categories.contains(&name) || group_category(row) == Some(name)
}

/// The category that the group implies. A container only leads to its subcommands, so it has none.
fn group_category(row: &Command) -> Option<&'static str> {
    if matches!(row.run, super::Run::Container) {
        return None;
    }
    Some(match row.group {
        // WAIT and SORT are generic without being about the keyspace; their rows say what they are about.
        Group::Generic if ["connection", "list"].iter().any(|name| row.categories.contains(name)) => {
            return None;
        }
        Group::Generic => "keyspace",
        Group::String => "string",
        Group::Bitmap => "bitmap",
        Group::List => "list",
        Group::Set => "set",
        Group::SortedSet => "sortedset",
        Group::Hash => "hash",
        Group::Transactions => "transaction",
        Group::Connection => "connection",
        Group::Scripting => "scripting",
        Group::HyperLogLog => "hyperloglog",
        Group::Geo => "geo",
        Group::Stream => "stream",
        Group::Pubsub | Group::Server | Group::Cluster => return None,
    })
}

/// Writes the entry of COMMAND INFO; null for a command that does not exist.
pub fn write_info(reply: &mut Reply<'_>, row: Option<&Command>) {
    let Some(row) = row else { return reply.null() };
    let legacy = LegacyRange::of(row);
    reply.array(10);
    reply.bulk(row.full_name.as_bytes());
    reply.int(i64::from(row.arity));
    write_flags(reply, FLAG_NAMES, |flag| (row.flags | legacy.flags).contains(flag));
    reply.int(legacy.first);
    reply.int(legacy.last);
    reply.int(legacy.step);
    let categories = categories(row);
    reply.set(categories.len());
    for category in categories {
        reply.simple(&format!("@{category}"));
    }
    reply.set(row.tips.len());
    for tip in row.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(row.keys.len());
    for spec in row.keys {
        write_key_spec(reply, spec);
    }
    let subcommands = shown_subcommands(row);
    match subcommands {
        [] => reply.set(0),
        _ => reply.array(subcommands.len()),
    }
    for subcommand in subcommands {
        write_info(reply, Some(subcommand));
    }
}

fn write_flags<F: Copy>(reply: &mut Reply<'_>, names: &[(F, &str)], has: impl Fn(F) -> bool) {
    let shown: Vec<&str> = names.iter().filter(|(flag, _)| has(*flag)).map(|(_, name)| *name).collect();
    reply.set(shown.len());
    for name in shown {
        reply.simple(name);
    }
}

/// Writes what is done with a key.
pub fn write_key_flags(reply: &mut Reply<'_>, flags: KeyFlags) {
    write_flags(reply, KEY_FLAG_NAMES, |flag| flags.contains(flag));
}

fn write_key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    write_key_flags(reply, spec.flags);
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_typed(reply, "index", &[("index", index as i64)]),
        Begin::Keyword { word, from, .. } if !spec.is_unknown() => {
            reply.map(2);
            write_pair(reply, "type", "keyword");
            reply.bulk(b"spec");
            reply.map(2);
            write_pair(reply, "keyword", word);
            reply.bulk(b"startfrom");
            reply.int(i64::from(from));
        }
        Begin::Keyword { .. } | Begin::Unknown => write_typed(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        _ if spec.is_unknown() => write_typed(reply, "unknown", &[]),
        Find::Range { last, step, limit } => write_typed(
            reply,
            "range",
            &[("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)],
        ),
        Find::Count { number, first, step } => write_typed(
            reply,
            "keynum",
            &[("keynumidx", number as i64), ("firstkey", first as i64), ("keystep", step as i64)],
        ),
    }
}

fn write_typed(reply: &mut Reply<'_>, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    write_pair(reply, "type", kind);
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.int(*value);
    }
}

fn write_pair(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// First and last key and the step between them, as servers described keys before there were key specifications:
/// a best effort where several specifications follow one another, zeros where none fits.
struct LegacyRange {
    first: i64,
    last: i64,
    step: i64,
    /// [`Flags::MOVABLE_KEYS`] when the range does not tell all keys.
    flags: Flags,
}

impl LegacyRange {
    fn of(row: &Command) -> Self {
        let mut range = Self { first: 0, last: 0, step: 0, flags: Flags::empty() };
        for spec in row.keys {
            let plain = range_of(spec).filter(|(first, _, step)| {
                row.keys.len() == 1 || (*step == 1 && (range.last == 0 || range.last == first - 1))
            });
            if plain.is_none() || spec.flags.contains(KeyFlags::INCOMPLETE) {
                range.flags = Flags::MOVABLE_KEYS;
            }
            let Some((first, last, step)) = plain else { continue };
            range.first = if range.first == 0 { first } else { range.first.min(first) };
            // Unsigned, so that what is counted from the end is later than what is counted from the beginning.
            range.last = (last as u64).max(range.last as u64) as i64;
            range.step = step;
        }
        range
    }
}

/// First key, last key (from the end when negative) and step, if the specification is as simple as that.
fn range_of(spec: &KeySpec) -> Option<(i64, i64, i64)> {
    let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find) else { return None };
    let first = first as i64;
    let last = i64::from(last);
    Some((first, if last >= 0 { first + last } else { last }, step as i64))
}

/// Writes the entry of COMMAND DOCS: the map without the name in front.
pub fn write_docs(reply: &mut Reply<'_>, row: &Command) {
    let open = reply.open();
    let mut pairs = 4;
    write_pair(reply, "summary", row.summary);
    write_pair(reply, "since", row.since);
    write_pair(reply, "group", row.group.name());
    write_pair(reply, "complexity", row.complexity);
    let is_system = row.flags.contains(Flags::SYSTEM);
    if row.deprecated.is_some() || is_system {
        reply.bulk(b"doc_flags");
        let names = [(row.deprecated.is_some(), "deprecated"), (is_system, "syscmd")];
        write_flags(reply, &names, |shown| shown);
        pairs += 1;
    }
    if let Some((since, replaced_by)) = row.deprecated {
        write_pair(reply, "deprecated_since", since);
        write_pair(reply, "replaced_by", replaced_by);
        pairs += 2;
    }
    if !row.arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, row.arguments);
        pairs += 1;
    }
    let subcommands = shown_subcommands(row);
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subcommands.len());
        for subcommand in subcommands {
            reply.bulk(subcommand.full_name.as_bytes());
            write_docs(reply, subcommand);
        }
        pairs += 1;
    }
    reply.close_map(open, pairs);
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(reply, argument);
    }
}

fn write_argument(reply: &mut Reply<'_>, argument: &Argument) {
    let display = match argument.display {
        _ if argument.kind.is_nested() => "",
        "" => argument.name,
        display => display,
    };
    let open = reply.open();
    let mut pairs = 0;
    let mut write_text = |reply: &mut Reply<'_>, name: &str, text: &str| {
        if !text.is_empty() {
            write_pair(reply, name, text);
            pairs += 1;
        }
    };
    write_text(reply, "name", argument.name);
    write_text(reply, "type", argument.kind.name());
    write_text(reply, "display_text", display);
    if let Some(spec) = argument.key_spec {
        reply.bulk(b"key_spec_index");
        reply.int(i64::from(spec));
    }
    write_text(reply, "token", argument.token);
    write_text(reply, "since", argument.since);
    write_text(reply, "deprecated_since", argument.deprecated_since);
    pairs += usize::from(argument.key_spec.is_some());
    let flags = [
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ];
    if flags.iter().any(|(set, _)| *set) {
        reply.bulk(b"flags");
        write_flags(reply, &flags, |set| set);
        pairs += 1;
    }
    if argument.kind.is_nested() {
        reply.bulk(b"arguments");
        write_arguments(reply, argument.arguments);
        pairs += 1;
    }
    reply.close_map(open, pairs);
}
