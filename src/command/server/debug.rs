//! DEBUG: what test suites need. Rows on top. As in Redis it is one command to COMMAND and to statistics; the rows of
//! its subcommands, for those that work on keys, are hidden.

use std::sync::atomic::Ordering;

use rand::Rng;

use super::{ADMIN_NO_SCRIPT, unknown_or_wrong_arity};
use crate::base::number::{parse_f64, parse_i64};
use crate::base::slot::SlotMap;
use crate::command::args::is_word;
use crate::command::context::Context;
use crate::command::generic::{debug_object, migrate_drop, migrate_dump};
use crate::command::home::{Ask, HomeContext, Reload, SnapshotWish, Then};
use crate::command::keys::KeyFlags;
use crate::command::notice::Notice;
use crate::command::{Command, Flags, Group, KeySpec, Merge, Route, Run};
use crate::rdb::{Digest, check_checksums};
use crate::resp::error::{NO_SUCH_KEY, NOT_AN_INTEGER, NOT_POSITIVE};
use crate::state::replication::{History, random_id};
use crate::store::entry::NewValue;

const FLAGS: Flags = ADMIN_NO_SCRIPT.union(Flags::PROTECTED);
const KEY: &[KeySpec] = &[KeySpec::one(2, KeyFlags::RO)];
const KEYS: &[KeySpec] = &[KeySpec::range(2, -1, 1, KeyFlags::RO)];

pub(super) const COMMAND: Command = Command::new("debug", -2, Group::Server, Run::Home(debug))
    .flags(FLAGS.union(Flags::HIDDEN_SUBCOMMANDS))
    .docs("1.0.0", "Looks inside, for tests.", super::SUBCOMMAND_COST)
    .subcommands(&[
        on_keys("debug|adopt", 3, adopt)
            .flags(FLAGS.union(Flags::WRITE))
            .route(Route::EveryShard(Merge::AllOk))
            .docs("7.2.0", "Puts a dataset that was loaded into the place of the one there is.", "O(1)"),
        on_keys("debug|cut", 2, cut)
            .flags(FLAGS.union(Flags::WRITE))
            .route(Route::EveryShard(Merge::AllOk))
            .docs("7.2.0", "Cuts a snapshot that was prepared.", "O(1)"),
        on_keys("debug|digest", 2, digest).route(Route::EveryShard(Merge::Digest)).docs(
            "1.0.0",
            "Computes a digest of the whole dataset.",
            "O(N) where N is the size of all keys and values.",
        ),
        on_keys("debug|digest-value", -3, digest_value).keys(KEYS).docs(
            "4.0.9",
            "Computes digests of values.",
            "O(N) where N is the size of the values.",
        ),
        on_keys("debug|effects-switch", 3, effects_switch)
            // A barrier that only reads would leave parts of transactions under way on shards where they only read.
            .flags(FLAGS.union(Flags::WRITE))
            .route(Route::EveryShard(Merge::AllOk))
            .docs("7.2.0", "Begins or ends the collection of effects on all shards.", "O(1)"),
        on_keys("debug|htstats-key", -3, table_of_key).keys(KEY).docs(
            "4.0.0",
            "Tells about the hash table of a value.",
            "O(1)",
        ),
        on_keys("debug|migrate-drop", -5, migrate_drop)
            .flags(FLAGS.union(Flags::WRITE).union(Flags::SKIP_SLOWLOG))
            .keys(&[KeySpec::range(2, -1, 3, KeyFlags::RM.union(KeyFlags::DELETE))])
            .docs(
                "7.2.0",
                "Removes keys that are still what was migrated.",
                "O(N) where N is the size of the values.",
            ),
        on_keys("debug|migrate-dump", -3, migrate_dump)
            .flags(FLAGS.union(Flags::SKIP_SLOWLOG))
            .keys(KEYS)
            .docs(
                "7.2.0",
                "Answers values that are to be migrated.",
                "O(N) where N is the size of the values.",
            ),
        on_keys("debug|object", 3, debug_object).keys(KEY).docs(
            "1.0.0",
            "Tells how a value is kept.",
            "O(1)",
        ),
        on_keys("debug|role-switch", 4, role_switch)
            .flags(FLAGS.union(Flags::WRITE))
            .route(Route::EveryShard(Merge::AllOk))
            .docs("7.2.0", "Makes all shards those of a master or of a replica.", "O(1)"),
        on_keys("debug|populate", -3, populate)
            .flags(FLAGS.union(Flags::WRITE))
            .route(Route::EveryShard(Merge::AllOk))
            .docs("2.4.0", "Makes many keys.", "O(N) where N is the number of keys"),
    ]);

const fn on_keys(name: &'static str, arity: i32, run: fn(&mut Context<'_>, &[&[u8]])) -> Command {
    Command::new(name, arity, Group::Server, Run::Keyspace(run)).flags(FLAGS)
}

const HELP: &[&str] = &[
    "CHANGE-REPL-ID",
    "    Take another replication id.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    As CONFIG REWRITE, with all directives.",
    "CRASH-AND-RECOVER, RESTART, PANIC, SEGFAULT, ASSERT, OOM",
    "    End the process at once.",
    "DICT-RESIZING <0|1>",
    "    Accepted; tables here do not resize as a whole.",
    "DIGEST",
    "    Reply with a digest of the whole dataset, as Redis 7.0 computes it.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Reply with digests of the values of the keys.",
    "EFFECTS",
    "    Show this connection the effects of all writes, as they would be replicated.",
    "EFFECTS-SYNC",
    "    Wait until all effects so far have been shown.",
    "ERROR <string>",
    "    Reply with <string> as an error.",
    "HTSTATS <dbid> [full]",
    "    Tell about the tables of a database.",
    "HTSTATS-KEY <key> [full]",
    "    Tell about the hash table of the value of <key>.",
    "JMAP",
    "    Accepted.",
    "LEAK <string>",
    "    Lose memory of the size of <string>.",
    "LOG <message>",
    "    Write <message> to the log.",
    "OBJECT <key>",
    "    Tell how the value of <key> is kept.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Make <count> strings named key:<num>, or <prefix>:<num>. They are not replicated.",
    "PROTOCOL <type>",
    "    Reply with a value of a type: string, integer, double, bignum, null, array, set,",
    "    map, attrib, push, verbatim, true, false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted.",
    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
    "    Save the dataset and load it again; NOSAVE: only load it, NOFLUSH: beside what there is,",
    "    MERGE: even keys that there are.",
    "REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>",
    "    Accepted.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys are removed in the background when their time has come.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Whether snapshots and dumped values are taken whatever their checksums.",
    "SLEEP <seconds>",
    "    Stop this shard for <seconds>, decimals allowed.",
    "STRINGMATCH-LEN <pattern> <string>",
    "    Whether the pattern matches.",
    "STRINGMATCH-TEST",
    "    Match random patterns against random strings.",
    "STRUCTSIZE",
    "    Tell the sizes of structures.",
];

fn debug(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let word = arguments[1].to_ascii_lowercase();
    let rest = &arguments[2..];
    match (word.as_slice(), rest) {
        (b"help", []) => {
            home.reply.help("debug", HELP);
            Then::Done
        }
        (b"sleep", [seconds]) => {
            let seconds = parse_f64(seconds).unwrap_or(0.0).clamp(0.0, 1e9);
            Then::Ask(Ask::Sleep { micros: (seconds * 1e6) as u64 })
        }
        (b"effects", []) => Then::Ask(Ask::Effects),
        (b"effects-sync", []) => Then::Ask(Ask::EffectsSync),
        (b"reload", options) => reload(home, options),
        (b"set-active-expire", [value]) => {
            home.server.active_expire.store(is_on(value), Ordering::Relaxed);
            home.ok()
        }
        (b"log", [message]) => {
            crate::warning!("DEBUG LOG: {}", String::from_utf8_lossy(message));
            home.ok()
        }
        (b"error", [text]) => home.error(text),
        (b"leak", [text]) => {
            std::mem::forget(text.to_vec());
            home.ok()
        }
        (b"protocol", [kind]) => protocol(home, kind),
        (b"change-repl-id", []) => change_replication_id(home),
        (b"config-rewrite-force-all", []) => super::config::rewrite_file(home, true),
        (b"htstats", [database] | [database, _]) => table_of_database(home, database),
        (b"quicklist-packed-threshold", [size]) => packed_threshold(home, size),
        (b"replybuffer", [what, value]) => reply_buffer(home, arguments, what, value),
        (b"stringmatch-len", [pattern, text]) => {
            home.reply.int(i64::from(crate::base::glob::matches(pattern, text, false)));
            Then::Done
        }
        (b"stringmatch-test", []) => match_random_strings(home),
        (b"structsize", []) => {
            let entry = size_of::<crate::store::entry::Entry>();
            let value = size_of::<crate::store::value::Value>();
            home.reply.bulk(format!("bits:{} entry:{entry} value:{value} ", usize::BITS).as_bytes());
            Then::Done
        }
        (b"jmap", _)
        | (b"aof-flush-sleep" | b"dict-resizing" | b"pause-cron" | b"set-disable-deny-scripts", [_]) => {
            home.ok()
        }
        (b"set-skip-checksum-validation", [value]) => {
            check_checksums(!is_on(value));
            home.ok()
        }
        (b"segfault", _) => Then::Ask(Ask::Crash("SEGFAULT")),
        (b"panic", _) => Then::Ask(Ask::Crash("PANIC")),
        (b"assert", _) => Then::Ask(Ask::Crash("ASSERT")),
        (b"oom", _) => Then::Ask(Ask::Crash("OOM")),
        (b"restart", _) => Then::Ask(Ask::Crash("RESTART")),
        (b"crash-and-recover", _) => Then::Ask(Ask::Crash("CRASH-AND-RECOVER")),
        _ => unknown_or_wrong_arity(home, arguments),
    }
}

/// What `atoi` makes of the argument is not zero.
fn is_on(argument: &[u8]) -> bool {
    parse_i64(argument).is_some_and(|value| value != 0)
}

fn reload(home: &mut HomeContext<'_>, options: &[&[u8]]) -> Then {
    let has = |word: &str| options.iter().any(|option| is_word(option, word));
    let is_known = |option: &&[u8]| ["merge", "noflush", "nosave"].iter().any(|word| is_word(option, word));
    if !options.iter().all(is_known) {
        return home.error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
    }
    let reload = Reload { saves: !has("nosave"), flushes: !has("noflush"), merges: has("merge") };
    Then::Ask(Ask::Snapshot(SnapshotWish::Reload(reload)))
}

fn protocol(home: &mut HomeContext<'_>, kind: &[u8]) -> Then {
    let reply = &mut home.reply;
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"bignum" => {
            let digits: &[u8] = b"1234567999999999999999999999999999999";
            match reply.is_resp3() {
                true => reply.raw(&[b"(", digits, b"\r\n"].concat()),
                false => reply.bulk(digits),
            }
        }
        b"array" => {
            reply.array(3);
            (0..3).for_each(|value| reply.int(value));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|value| reply.int(value));
        }
        b"map" => {
            reply.map(3);
            for value in 0..3 {
                reply.int(value);
                reply.boolean(value == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.raw(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !reply.is_resp3() {
                return home.error("ERR RESP2 is not supported by this command");
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        _ => reply.error(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
        ),
    }
    Then::Done
}

fn change_replication_id(home: &mut HomeContext<'_>) -> Then {
    home.server.replication.set_history(History { id: random_id(home.rng), second: None });
    home.ok()
}

fn table_of_database(home: &mut HomeContext<'_>, database: &[u8]) -> Then {
    let Some(index) = parse_i64(database) else { return home.error(NOT_AN_INTEGER) };
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    if index >= home.config.databases {
        return home.error("ERR Out of range database");
    }
    let mut text = String::from("[Dictionary HT]\n");
    for (shard, counters) in home.server.shards.iter().enumerate() {
        let Some(register) = counters.databases.get(index) else { continue };
        text.push_str(&format!("shard {shard}: number of elements: {}\n", register.keys.get()));
    }
    text.push_str("[Expires HT]\n");
    for (shard, counters) in home.server.shards.iter().enumerate() {
        let Some(register) = counters.databases.get(index) else { continue };
        text.push_str(&format!("shard {shard}: number of elements: {}\n", register.keys_with_expire.get()));
    }
    home.reply.verbatim("txt", text.as_bytes());
    Then::Done
}

/// No value of ours is a hash table that Redis would describe.
fn table_of_key(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if !ctx.exists(arguments[2]) {
        return ctx.reply.error(NO_SUCH_KEY);
    }
    ctx.reply.error("ERR The value stored at the specified key is not represented using an hash table");
}

fn packed_threshold(home: &mut HomeContext<'_>, size: &[u8]) -> Then {
    let unit = size.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(size.len());
    let factor = match size[unit..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => Some(1u64),
        b"k" => Some(1000),
        b"kb" => Some(1 << 10),
        b"m" => Some(1_000_000),
        b"mb" => Some(1 << 20),
        b"g" => Some(1_000_000_000),
        b"gb" => Some(1 << 30),
        _ => None,
    };
    let bytes = parse_i64(&size[..unit]).and_then(|number| factor?.checked_mul(number as u64));
    match bytes {
        Some(..0x1_0000_0000) => home.ok(),
        _ => home.error("ERR argument must be a memory value bigger than 1 and smaller than 4gb"),
    }
}

fn reply_buffer(home: &mut HomeContext<'_>, arguments: &[&[u8]], what: &[u8], value: &[u8]) -> Then {
    if is_word(what, "peak-reset-time") {
        let known = is_word(value, "never") || is_word(value, "reset") || parse_i64(value).is_some();
        return if known { home.ok() } else { home.error(NOT_AN_INTEGER) };
    }
    if is_word(what, "resizing") { home.ok() } else { unknown_or_wrong_arity(home, arguments) }
}

fn match_random_strings(home: &mut HomeContext<'_>) -> Then {
    const ROUNDS: usize = 10_000;
    const BYTES_MAX: usize = 32;
    let mut random = || -> Vec<u8> {
        let length = home.rng.random_range(0..BYTES_MAX);
        (0..length).map(|_| home.rng.random_range(0..128)).collect()
    };
    for _ in 0..ROUNDS {
        let (pattern, text) = (random(), random());
        std::hint::black_box(crate::base::glob::matches(&pattern, &text, false));
    }
    home.reply.simple("Apparently Redis did not crash: test passed");
    Then::Done
}

/// DEBUG EFFECTS-SWITCH ON|OFF: the server floor runs it under a barrier, so that the collection of effects begins and
/// ends at one point of every shard's order.
fn effects_switch(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    // What a replica does its master has replicated already.
    ctx.effects.on = is_word(arguments[2], "on") && !ctx.keyspace.follows;
    ctx.reply.ok();
}

/// DEBUG ROLE-SWITCH MASTER|REPLICA ON|OFF: likewise, with whether effects are collected from then on.
fn role_switch(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.keyspace.follows = is_word(arguments[2], "replica");
    ctx.effects.on = is_word(arguments[3], "on");
    ctx.reply.ok();
}

/// DEBUG CUT: the server's own. All shards are locked, so the moment is the same for all.
fn cut(ctx: &mut Context<'_>, _: &[&[u8]]) {
    match ctx.keyspace.cut_as_prepared() {
        Some(replicates) => {
            ctx.effects.on |= replicates && !ctx.keyspace.follows;
            ctx.reply.ok();
        }
        None => ctx.reply.error("ERR no snapshot was prepared"),
    }
}

/// DEBUG ADOPT number: the server's own, at the end of a load. To clients it is as FLUSHALL.
fn adopt(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let number = match positive(arguments[2]) {
        Ok(number) => number,
        Err(error) => return ctx.reply.error(error),
    };
    ctx.keyspace.adopt_incoming(number);
    ctx.notices.tracked.clear();
    if ctx.shard == 0 {
        ctx.notices.list.push(Notice::Flushed { shards: ctx.shards });
    }
    ctx.reply.ok();
}

/// DEBUG DIGEST, on every shard: the digest if there is no other; else each database that has keys, and the digest of its
/// entries.
fn digest(ctx: &mut Context<'_>, _arguments: &[&[u8]]) {
    let databases = (0..ctx.keyspace.databases()).map(|index| (index, ctx.keyspace.database(index)));
    let filled = databases.filter(|(_, database)| !database.is_empty());
    let parts: Vec<_> =
        filled.map(|(index, database)| (index as u32, Digest::of_database(database))).collect();
    if ctx.shards == 1 {
        let mut digest = Digest::default();
        parts.iter().for_each(|(index, entries)| digest.mix_database(*index, entries));
        return ctx.reply.simple(&digest.hex());
    }
    ctx.reply.array(2 * parts.len());
    for (index, entries) in parts {
        ctx.reply.int(index.into());
        ctx.reply.bulk(entries.bytes());
    }
}

/// DEBUG DIGEST-VALUE: sees expired keys too.
fn digest_value(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let database = ctx.database();
    ctx.reply.array(arguments.len() - 2);
    for key in &arguments[2..] {
        let entry = ctx.keyspace.find(database, key);
        let digest = entry.map(|entry| Digest::of_value(&entry)).unwrap_or_default();
        ctx.reply.simple(&digest.hex());
    }
}

fn positive(argument: &[u8]) -> Result<u64, &'static str> {
    let value = parse_i64(argument).ok_or(NOT_AN_INTEGER)?;
    u64::try_from(value).map_err(|_| NOT_POSITIVE)
}

/// DEBUG POPULATE, on every shard: each makes the keys that it owns. As in Redis the keys are not replicated and
/// present ones stay as they are.
fn populate(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (count, prefix, size) = match *arguments {
        [_, _, count] => (positive(count), b"key".as_slice(), Ok(0)),
        [_, _, count, prefix] => (positive(count), prefix, Ok(0)),
        [_, _, count, prefix, size] => (positive(count), prefix, positive(size)),
        _ => {
            let text = "ERR unknown subcommand or wrong number of arguments for 'populate'. Try DEBUG HELP.";
            return ctx.reply.error(text);
        }
    };
    let (count, size) = match (count, size) {
        (Ok(count), Ok(size)) => (count, size as usize),
        (Err(error), _) | (_, Err(error)) => return ctx.reply.error(error),
    };
    let slots = SlotMap::new(ctx.shards, ctx.config.zero_share);
    let database = ctx.database();
    for number in 0..count {
        let key = [prefix, b":", number.to_string().as_bytes()].concat();
        if slots.owner_of_key(&key) != ctx.shard || ctx.exists(&key) {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        ctx.store(&key, NewValue::Bytes(&value), None);
        ctx.keyspace.touch(database, &key);
    }
    ctx.reply.ok();
}
