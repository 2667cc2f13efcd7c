//! The HyperLogLog family: rows and handlers here, what a sketch is and how it counts in the files beside.
//!
//! A sketch is a string, byte for byte the one that Redis makes of the same commands.

mod hash;
mod registers;
mod self_test;
mod sketch;
mod sparse;

#[cfg(test)]
mod hyperloglog_test;

use super::args::is_word;
use super::context::KeyspaceEvents;
use super::keys::KeyFlags;
use super::{Command, Context, Flags, Group, HomeContext, KeySpec, Run, Then};
use crate::resp::error::WRONG_TYPE;
use crate::store::entry::{Entry, NewValue};
use crate::store::value::Value;
use sketch::{Sketch, SketchRef, Union};

const NO_SUCH_SKETCH: &str = "ERR The specified key does not exist";
const NOT_SPARSE: &str = "ERR HLL encoding is not sparse";

const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);
const CHANGED: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS);

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("pfadd", -2, Run::Keyspace(pfadd))
        .flags(WRITE_OOM.union(Flags::FAST))
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))])
        .docs(
            "2.8.9",
            "Adds elements to a HyperLogLog, which is created when it does not exist.",
            "O(1) for each element.",
        ),
    row("pfcount", -2, Run::Keyspace(pfcount))
        .flags(Flags::READONLY.union(Flags::MAY_REPLICATE))
        .keys(&[KeySpec::range(1, -1, 1, CHANGED)])
        .docs(
            "2.8.9",
            "Estimates how many different elements were added to any of several HyperLogLogs.",
            "O(N), N being the number of keys; for a single one mostly the number stands ready.",
        ),
    row("pfdebug", 3, Run::Keyspace(pfdebug))
        .flags(WRITE_OOM.union(Flags::ADMIN).union(Flags::SYSTEM))
        .keys(&[KeySpec::one(2, CHANGED)])
        .docs("2.8.9", "Shows the inside of a HyperLogLog.", "N/A"),
    row("pfmerge", -2, Run::Keyspace(pfmerge))
        .flags(WRITE_OOM)
        .keys(&[
            KeySpec::one(1, CHANGED.union(KeyFlags::INSERT)),
            KeySpec::range(2, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
        ])
        .docs(
            "2.8.9",
            "Adds what several HyperLogLogs have seen to another.",
            "O(N), N being the number of keys.",
        ),
    row("pfselftest", 1, Run::Home(pfselftest)).flags(Flags::ADMIN.union(Flags::SYSTEM)).docs(
        "2.8.9",
        "Checks that HyperLogLogs estimate well.",
        "N/A",
    ),
];

const fn row(name: &'static str, arity: i32, run: Run) -> Command {
    Command::new(name, arity, Group::HyperLogLog, run)
}

/// PFADD key [element ...]
fn pfadd(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, sparse_max) = (arguments[1], ctx.config.hll_sparse_max_bytes);
    let is_new = !ctx.exists(key);
    let added = change_or_create(ctx, key, |sketch| {
        let mut raised = 0;
        for element in &arguments[2..] {
            raised += u64::from(sketch.add(element, sparse_max)?);
        }
        if is_new || raised > 0 {
            sketch.outdate();
        }
        Ok(raised)
    });
    match added {
        Ok(raised) => {
            let changes = raised + u64::from(is_new);
            if changes > 0 {
                ctx.modified(key, KeyspaceEvents::STRING, "pfadd");
                ctx.keyspace.counters.dirty += changes - 1;
            }
            ctx.reply.int(i64::from(changes > 0));
        }
        Err(error) => ctx.reply.error(error),
    }
}

/// PFCOUNT key [key ...]
fn pfcount(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let count = match arguments {
        [_, key] => count_one(ctx, key),
        _ => union(ctx, &arguments[1..]).map(|union| union.estimate()),
    };
    match count {
        Ok(count) => ctx.reply.int(count as i64),
        Err(error) => ctx.reply.error(error),
    }
}

/// The estimate for one key. A fresh one is noted in the sketch, which is a change that is replicated, but no event.
fn count_one(ctx: &mut Context<'_>, key: &[u8]) -> Result<u64, &'static str> {
    let (estimate, is_known) = ctx.read(key, |entry, _| entry.map_or(Ok((0, true)), estimate_of))?;
    if !is_known {
        change_or_create(ctx, key, |sketch| {
            sketch.set_estimate(estimate);
            Ok(())
        })?;
        ctx.modified_unnoticed(key);
    }
    Ok(estimate)
}

/// The estimate for an entry, and whether it stands in the sketch.
fn estimate_of(entry: &Entry) -> Result<(u64, bool), &'static str> {
    let mut digits = itoa::Buffer::new();
    let sketch = SketchRef::of(entry.string(&mut digits).ok_or(WRONG_TYPE)?)?;
    match sketch.known_estimate() {
        Some(estimate) => Ok((estimate, true)),
        None => Ok((sketch.estimate()?, false)),
    }
}

/// PFMERGE destination [source ...]
fn pfmerge(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let sparse_max = ctx.config.hll_sparse_max_bytes;
    let merged = union(ctx, &arguments[1..]).and_then(|union| {
        change_or_create(ctx, arguments[1], |sketch| {
            if union.is_dense {
                sketch.become_dense()?;
            }
            for (index, &value) in union.registers.iter().enumerate().filter(|(_, value)| **value > 0) {
                sketch.raise(index, value, sparse_max)?;
            }
            sketch.outdate();
            Ok(())
        })
    });
    match merged {
        Ok(()) => {
            ctx.modified(arguments[1], KeyspaceEvents::STRING, "pfadd");
            ctx.reply.ok();
        }
        Err(error) => ctx.reply.error(error),
    }
}

/// PFDEBUG GETREG | DECODE | ENCODING | TODENSE key. The first and the last make the sketch dense.
fn pfdebug(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (what, key) = (arguments[1], arguments[2]);
    if !ctx.exists(key) {
        return ctx.reply.error(NO_SUCH_SKETCH);
    }
    let seen = change_or_create(ctx, key, |sketch| {
        let is_dense = !sketch.as_ref().is_sparse();
        let changes = (is_word(what, "getreg") || is_word(what, "todense")) && sketch.become_dense()?;
        Ok((sketch.clone(), is_dense, changes))
    });
    let (sketch, is_dense, changes) = match seen {
        Ok(seen) => seen,
        Err(error) => return ctx.reply.error(error),
    };
    if changes {
        ctx.changed_aside();
    }
    if is_word(what, "getreg") {
        match sketch.values() {
            Ok(values) => {
                ctx.reply.array(values.len());
                values.iter().for_each(|&value| ctx.reply.int(value.into()));
            }
            Err(error) => ctx.reply.error(error),
        }
    } else if is_word(what, "decode") {
        match sketch.as_ref().decoded() {
            Some(runs) => ctx.reply.bulk(runs.as_bytes()),
            None => ctx.reply.error(NOT_SPARSE),
        }
    } else if is_word(what, "encoding") {
        ctx.reply.simple(if is_dense { "dense" } else { "sparse" });
    } else if is_word(what, "todense") {
        ctx.reply.int(changes.into());
    } else {
        ctx.reply.error([b"ERR Unknown PFDEBUG subcommand '", what, b"'"].concat());
    }
}

/// PFSELFTEST
fn pfselftest(home: &mut HomeContext<'_>, _arguments: &[&[u8]]) -> Then {
    match self_test::run(home.rng) {
        Ok(()) => home.reply.ok(),
        Err(error) => home.reply.error(error),
    }
    Then::Done
}

/// What the sketches at several keys have seen together; missing ones have seen nothing.
fn union(ctx: &mut Context<'_>, keys: &[&[u8]]) -> Result<Union, &'static str> {
    let mut union = Union::new();
    for key in keys {
        ctx.read(key, |entry, _| {
            let Some(entry) = entry else { return Ok(()) };
            let mut digits = itoa::Buffer::new();
            union.add(SketchRef::of(entry.string(&mut digits).ok_or(WRONG_TYPE)?)?)
        })?;
    }
    Ok(union)
}

/// Changes the sketch at `key`, a new one if there is none. On an error nothing changes.
fn change_or_create<R>(
    ctx: &mut Context<'_>,
    key: &[u8],
    change: impl FnOnce(&mut Sketch) -> Result<R, &'static str>,
) -> Result<R, &'static str> {
    if ctx.exists(key) {
        let changed = ctx.update(key, |entry| change_entry(entry, change));
        return changed.unwrap_or(Err(NO_SUCH_SKETCH));
    }
    let mut sketch = Sketch::new();
    let result = change(&mut sketch)?;
    let bytes = sketch.into_bytes();
    ctx.store(key, NewValue::Raw(&bytes), None);
    Ok(result)
}

fn change_entry<R>(
    entry: &mut Entry,
    change: impl FnOnce(&mut Sketch) -> Result<R, &'static str>,
) -> Result<R, &'static str> {
    if let Some(string) = entry.object_mut().and_then(Value::as_string_mut) {
        // Large ones are changed in place.
        let mut sketch = Sketch::of(std::mem::take(string)).map_err(|(bytes, error)| {
            *string = bytes;
            error
        })?;
        let result = change(&mut sketch);
        *string = sketch.into_bytes();
        return result;
    }
    let mut digits = itoa::Buffer::new();
    let bytes = entry.string(&mut digits).ok_or(WRONG_TYPE)?.to_vec();
    let mut sketch = Sketch::of(bytes).map_err(|(_, error)| error)?;
    let result = change(&mut sketch)?;
    entry.set_value(NewValue::Raw(&sketch.into_bytes()));
    Ok(result)
}
