//! Values on their way to other servers and back: DUMP, RESTORE.

use crate::command::args::{Cursor, integer};
use crate::command::context::{Context, KeyspaceEvents};
use crate::rdb::write::Version;
use crate::rdb::{Dumped, RawAccess, dump as dumped};
use crate::resp::error::SYNTAX;
use crate::verbose;

const BUSY_KEY: &str = "BUSYKEY Target key name already exists.";
const BAD_IDLE_TIME: &str = "ERR Invalid IDLETIME value, must be >= 0";
const BAD_FREQUENCY: &str = "ERR Invalid FREQ value, must be >= 0 and <= 255";
const BAD_TIME: &str = "ERR Invalid TTL value, must be >= 0";
const WRONG_PAYLOAD: &str = "ERR DUMP payload version or checksum are wrong";
const BAD_FORMAT: &str = "ERR Bad data format";

/// DUMP
pub fn dump(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let config = ctx.config;
    ctx.read(arguments[1], |entry, reply| match entry {
        Some(entry) => reply.bulk(&dumped(entry, config)),
        None => reply.null(),
    });
}

/// What stands behind the payload of RESTORE.
struct RestoreOptions {
    replaces: bool,
    is_absolute: bool,
    access: RawAccess,
}

impl RestoreOptions {
    fn parse(arguments: &[&[u8]]) -> Result<Self, &'static str> {
        let mut options = Self { replaces: false, is_absolute: false, access: RawAccess::Unknown };
        let mut words = Cursor::new(arguments, 4);
        while !words.is_done() {
            let (is_idle, is_frequency) = match options.access {
                RawAccess::Unknown => (false, false),
                RawAccess::Idle(_) => (true, false),
                RawAccess::Frequency(_) => (false, true),
            };
            if words.accept("replace") {
                options.replaces = true;
            } else if words.accept("absttl") {
                options.is_absolute = true;
            } else if !is_frequency && words.remaining() > 1 && words.accept("idletime") {
                let seconds = u64::try_from(words.need_i64()?).map_err(|_| BAD_IDLE_TIME)?;
                options.access = RawAccess::Idle(seconds);
            } else if !is_idle && words.remaining() > 1 && words.accept("freq") {
                let frequency = u8::try_from(words.need_i64()?).map_err(|_| BAD_FREQUENCY)?;
                options.access = RawAccess::Frequency(frequency);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}

/// RESTORE
pub fn restore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    match try_restore(ctx, arguments) {
        Ok(()) => ctx.reply.ok(),
        Err(error) => ctx.reply.error(error),
    }
}

fn try_restore(ctx: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), &'static str> {
    let (key, payload) = (arguments[1], arguments[3]);
    let options = RestoreOptions::parse(arguments)?;
    let is_there = ctx.exists(key);
    if is_there && !options.replaces {
        return Err(BUSY_KEY);
    }
    let time = integer(arguments[2])?;
    if time < 0 {
        return Err(BAD_TIME);
    }
    let base = if options.is_absolute { 0 } else { ctx.now };
    // As in Redis, a time that is too far away for its type is over.
    let expire = (time != 0).then(|| time.wrapping_add(base));
    let dumped = Dumped::open(payload).ok_or(WRONG_PAYLOAD)?;
    let restored = dumped.restore(key, expire, options.access, ctx.config, ctx.now);
    let entry = restored.map_err(|error| {
        verbose!("RESTORE of '{}': {error}", key.escape_ascii());
        BAD_FORMAT
    })?;
    if expire.is_some_and(|at_ms| ctx.is_past(at_ms)) {
        if is_there {
            remove(ctx, key);
        }
        return Ok(());
    }
    // A replica may know less of the format than we do.
    let renewed = (ctx.effects.on && dumped.version() > Version::Ten.number())
        .then(|| self::dumped(&entry, ctx.config));
    let is_relative = expire.is_some() && !options.is_absolute;
    if is_relative || renewed.is_some() {
        let mut digits = itoa::Buffer::new();
        let mut effect = arguments.to_vec();
        effect[2] = digits.format(expire.unwrap_or(0)).as_bytes();
        effect[3] = renewed.as_deref().unwrap_or(payload);
        if is_relative {
            effect.push(b"ABSTTL");
        }
        ctx.replicate(&effect);
    }
    let database = ctx.database();
    ctx.notify(database, key, KeyspaceEvents::NEW, "new");
    if let Some(old) = ctx.keyspace.insert(database, entry, ctx.now) {
        ctx.keyspace.discard_entry(old);
    }
    ctx.modified(key, KeyspaceEvents::GENERIC, "restore");
    Ok(())
}

/// Removes the key in whose place something was to come whose time is over.
fn remove(ctx: &mut Context<'_>, key: &[u8]) {
    if let Some(entry) = ctx.remove(key) {
        ctx.keyspace.discard_entry(entry);
    }
    let name: &[u8] = if ctx.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
    ctx.replicate(&[name, key]);
    ctx.modified(key, KeyspaceEvents::GENERIC, "del");
}
