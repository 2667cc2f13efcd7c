//! What is known about a key besides its value: TYPE, OBJECT, MEMORY USAGE, DEBUG OBJECT.

use crate::command::args::{Cursor, integer};
use crate::command::context::Context;
use crate::command::keys::KeyFlags;
use crate::command::{Command, Flags, Group, HomeContext, KeySpec, Run, Then};
use crate::config::Config;
use crate::rdb::written_len;
use crate::resp::error::{NO_SUCH_KEY, SYNTAX};
use crate::store::access::{lfu_decayed, lru_idle_ms};
use crate::store::entry::{Entry, ValueRef};

const IDLE_TIME_UNKNOWN: &str = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
    when switching between policies at runtime LRU and LFU data will take some time to adjust.";
const FREQUENCY_UNKNOWN: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
    note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";

/// Integers from zero below this one are shared between keys in Redis, and OBJECT REFCOUNT says so.
const SHARED_INTEGERS: i64 = 10_000;

/// Bytes of a table for one entry: a slot of eight, and the share of empty ones.
const SLOT_BYTES: usize = 10;

const KEY: &[KeySpec] = &[KeySpec::one(2, KeyFlags::RO)];

const HELP: &[&str] = &[
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
];

/// The rows of OBJECT.
pub const SUBCOMMANDS: &[Command] = &[
    about_key("object|encoding", encoding, "2.2.3", "Names how a key's value is kept."),
    about_key("object|freq", freq, "4.0.0", "Tells how often a key is used, as a logarithm."),
    Command::new("object|help", 2, Group::Generic, Run::Home(help))
        .flags(Flags::LOADING.union(Flags::STALE))
        .docs("6.2.0", "Lists the subcommands.", "O(1)")
        .categories(&["keyspace"]),
    about_key("object|idletime", idletime, "2.2.3", "Tells for how many seconds a key was not used."),
    about_key("object|refcount", refcount, "2.2.3", "Counts the references to a key's value."),
];

/// The row of `MEMORY USAGE`, for the container that the server family owns.
pub const MEMORY_USAGE: Command =
    Command::new("memory|usage", -3, Group::Server, Run::Keyspace(memory_usage))
        .flags(Flags::READONLY)
        .keys(KEY)
        .docs("4.0.0", "Tells how many bytes a key with its value takes.", "O(1)");

const fn about_key(
    name: &'static str,
    handler: super::Handler,
    since: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(name, 3, Group::Generic, Run::Keyspace(handler))
        .flags(Flags::READONLY)
        .keys(KEY)
        .docs(since, summary, "O(1)")
        .tips(&["nondeterministic_output"])
        .categories(&["keyspace"])
}

/// TYPE
pub fn type_of(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let name = ctx.inspect(arguments[1]).map_or("none", |entry| entry.type_name());
    ctx.reply.simple(name);
}

fn help(ctx: &mut HomeContext<'_>, _arguments: &[&[u8]]) -> Then {
    ctx.reply.help("object", HELP);
    Then::Done
}

/// OBJECT ENCODING
fn encoding(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match ctx.inspect_quietly(arguments[2]).map(|entry| entry.encoding_name()) {
        Some(name) => ctx.reply.bulk(name.as_bytes()),
        None => ctx.reply.null(),
    }
}

/// OBJECT FREQ
fn freq(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match ctx.inspect_quietly(arguments[2]).map(|entry| entry.access()) {
        None => ctx.reply.null(),
        Some(_) if !ctx.config.maxmemory_policy.is_lfu() => ctx.reply.error(FREQUENCY_UNKNOWN),
        Some(access) => ctx.reply.int(i64::from(lfu_decayed(access, ctx.now, ctx.config.lfu_decay_time))),
    }
}

/// OBJECT IDLETIME
fn idletime(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match ctx.inspect_quietly(arguments[2]).map(|entry| entry.access()) {
        None => ctx.reply.null(),
        Some(_) if ctx.config.maxmemory_policy.is_lfu() => ctx.reply.error(IDLE_TIME_UNKNOWN),
        Some(access) => ctx.reply.int((lru_idle_ms(access, ctx.now) / 1000) as i64),
    }
}

/// OBJECT REFCOUNT
fn refcount(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let config = ctx.config;
    match ctx.inspect_quietly(arguments[2]).map(|entry| references(&entry, config)) {
        Some(count) => ctx.reply.int(count),
        None => ctx.reply.null(),
    }
}

/// What Redis would count: it shares small integers, unless each key needs an access clock of its own.
fn references(entry: &Entry, config: &Config) -> i64 {
    let own_clocks =
        config.maxmemory != 0 && (config.maxmemory_policy.is_lru() || config.maxmemory_policy.is_lfu());
    match entry.value() {
        ValueRef::Int(0..SHARED_INTEGERS) if !own_clocks => i64::from(i32::MAX),
        _ => 1,
    }
}

/// MEMORY USAGE: the count of SAMPLES is checked, but all sizes are exact without sampling.
fn memory_usage(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if let Err(error) = check_samples(arguments) {
        return ctx.reply.error(error);
    }
    match ctx.keyspace.find(ctx.database(), arguments[2]).map(|entry| entry.memory_usage()) {
        Some(bytes) => ctx.reply.count(bytes + SLOT_BYTES),
        None => ctx.reply.null(),
    }
}

fn check_samples(arguments: &[&[u8]]) -> Result<(), &'static str> {
    let mut options = Cursor::new(arguments, 3);
    while !options.is_done() {
        if options.remaining() < 2 || !options.accept("samples") || integer(options.need()?)? < 0 {
            return Err(SYNTAX);
        }
    }
    Ok(())
}

/// DEBUG OBJECT, for the container that the server family owns: `arguments[2]` is the key. Sees expired keys too.
pub fn debug_object(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let Some(entry) = ctx.keyspace.find(ctx.database(), arguments[2]) else {
        return ctx.reply.error(NO_SUCH_KEY);
    };
    let line = format!(
        "Value at:{:p} refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry.key().as_ptr(),
        references(&entry, ctx.config),
        entry.encoding_name(),
        written_len(&entry, ctx.config),
        entry.access(),
        lru_idle_ms(entry.access(), ctx.now) / 1000,
    );
    ctx.reply.simple(&line);
}
