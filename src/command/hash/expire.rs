//! Times to live of fields: HEXPIRE and its kin, HTTL and its kin, HPERSIST.

use super::read;
use crate::base::clock::UnixMillis;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::{integer, is_word};
use crate::command::context::KeyspaceEvents;
use crate::command::generic::expire::Conditions;
use crate::resp::error::invalid_expire;
use crate::store::hash::{Hash, Pair};

pub(super) const NO_FIELDS_WORD: &str =
    "ERR Mandatory argument FIELDS is missing or not at the right position";
pub(super) const COUNT_MISMATCH: &str = "ERR The `numfields` parameter must match the number of arguments";
pub(super) const COUNT_NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";
const COUNT_TOO_SMALL: &str = "ERR Parameter `numFields` should be greater than 0";
const NEGATIVE_TIME: &str = "ERR invalid expire time, must be >= 0";

/// Latest deadline of a field, as in Redis: 46 bits of milliseconds.
const DEADLINE_MAX: UnixMillis = (1 << 46) - 1;

const NO_FIELD: i64 = -2;
const NO_TIME: i64 = -1;
const FORBIDDEN: i64 = 0;
const DONE: i64 = 1;
const DELETED: i64 = 2;

/// What a command calls a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// The command, for its errors.
    pub name: &'static str,
    /// In seconds, or in milliseconds.
    pub in_seconds: bool,
    /// From now on, or since 1970.
    pub from_now: bool,
}

impl Form {
    /// The deadline that `argument` says.
    pub(super) fn deadline(self, argument: &[u8], now: UnixMillis) -> Result<UnixMillis, String> {
        let given = integer(argument)?;
        if given < 0 {
            return Err(NEGATIVE_TIME.to_owned());
        }
        let millis = if self.in_seconds { given.checked_mul(1000) } else { Some(given) };
        let base = if self.from_now { now } else { 0 };
        millis
            .and_then(|millis| millis.checked_add(base))
            .filter(|&at_ms| at_ms <= DEADLINE_MAX)
            .ok_or_else(|| invalid_expire(self.name))
    }
}

/// The fields behind `FIELDS numfields`, which stand at argument `at` and end the command.
pub(super) fn fields<'a, 'b>(
    arguments: &'b [&'a [u8]],
    at: usize,
    not_positive: &'static str,
) -> Result<&'b [&'a [u8]], &'static str> {
    if !arguments.get(at).is_some_and(|word| is_word(word, "fields")) {
        return Err(NO_FIELDS_WORD);
    }
    let count = arguments.get(at + 1).and_then(|count| parse_i64(count)).filter(|&count| count > 0);
    let count = count.ok_or(not_positive)?;
    let fields = arguments.get(at + 2..).unwrap_or_default();
    if fields.len() as i64 == count { Ok(fields) } else { Err(COUNT_MISMATCH) }
}

/// Whether nothing but a hash is at `key`; else the client is told.
pub(super) fn is_hash_or_missing(ctx: &mut Context<'_>, key: &[u8]) -> bool {
    ctx.peek_as::<Hash, _>(key, |_, _| ()).is_some()
}

/// Replicates `command`, which has a time or none, for these fields.
pub(super) fn replicate_for_fields(ctx: &mut Context<'_>, command: &[&[u8]], fields: &[&[u8]]) {
    let count = fields.len().to_string();
    let words: Vec<&[u8]> =
        command.iter().chain(&[b"FIELDS".as_slice(), count.as_bytes()]).chain(fields).copied().collect();
    ctx.replicate(&words);
}

/// Replicates that fields have a deadline.
pub(super) fn replicate_deadline(ctx: &mut Context<'_>, key: &[u8], at_ms: UnixMillis, fields: &[&[u8]]) {
    let at_ms = at_ms.to_string();
    replicate_for_fields(ctx, &[b"HPEXPIREAT", key, at_ms.as_bytes()], fields);
}

/// Replicates that fields are gone.
pub(super) fn replicate_removal(ctx: &mut Context<'_>, key: &[u8], fields: &[&[u8]]) {
    let words: Vec<&[u8]> = [b"HDEL".as_slice(), key].iter().chain(fields).copied().collect();
    ctx.replicate(&words);
}

/// HEXPIRE key seconds \[NX | XX | GT | LT\] FIELDS numfields field \[field ...\]
pub(super) fn hexpire(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "hexpire", in_seconds: true, from_now: true });
}

/// HPEXPIRE key milliseconds \[NX | XX | GT | LT\] FIELDS numfields field \[field ...\]
pub(super) fn hpexpire(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "hpexpire", in_seconds: false, from_now: true });
}

/// HEXPIREAT key unix-time-seconds \[NX | XX | GT | LT\] FIELDS numfields field \[field ...\]
pub(super) fn hexpireat(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "hexpireat", in_seconds: true, from_now: false });
}

/// HPEXPIREAT key unix-time-milliseconds \[NX | XX | GT | LT\] FIELDS numfields field \[field ...\]
pub(super) fn hpexpireat(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "hpexpireat", in_seconds: false, from_now: false });
}

fn set(ctx: &mut Context<'_>, arguments: &[&[u8]], form: Form) {
    let key = arguments[1];
    if !is_hash_or_missing(ctx, key) {
        return;
    }
    let at_ms = match form.deadline(arguments[2], ctx.now) {
        Ok(at_ms) => at_ms,
        Err(error) => return ctx.reply.error(error),
    };
    let conditions = Conditions::of_word(arguments[3]);
    let fields_at = if conditions.is_some() { 4 } else { 3 };
    match fields(arguments, fields_at, COUNT_TOO_SMALL) {
        Ok(fields) => set_deadlines(ctx, key, at_ms, conditions.unwrap_or_default(), fields),
        Err(error) => ctx.reply.error(error),
    }
}

fn set_deadlines(
    ctx: &mut Context<'_>,
    key: &[u8],
    at_ms: UnixMillis,
    conditions: Conditions,
    fields: &[&[u8]],
) {
    let is_over = ctx.is_past(at_ms);
    let changed = ctx.change(key, |hash: &mut Hash, _| -> Vec<i64> {
        let mut set = |field: &&[u8]| match hash.view().find(field) {
            None => NO_FIELD,
            Some(pair) if !conditions.allow(at_ms, pair.deadline) => FORBIDDEN,
            Some(_) if is_over => {
                hash.remove(field);
                DELETED
            }
            Some(_) => {
                hash.set_deadline(field, Some(at_ms));
                DONE
            }
        };
        fields.iter().map(&mut set).collect()
    });
    let Ok(changed) = changed else { return };
    ctx.reply.array(fields.len());
    let Some(changed) = changed else { return fields.iter().for_each(|_| ctx.reply.int(NO_FIELD)) };
    changed.result.iter().for_each(|&outcome| ctx.reply.int(outcome));
    let touched = fields.iter().zip(&changed.result).filter(|(_, outcome)| **outcome >= DONE);
    let touched: Vec<&[u8]> = touched.map(|(field, _)| *field).collect();
    if touched.is_empty() {
        return;
    }
    if is_over {
        ctx.modified(key, KeyspaceEvents::HASH, "hdel");
        replicate_removal(ctx, key, &touched);
    } else {
        ctx.modified(key, KeyspaceEvents::HASH, "hexpire");
        replicate_deadline(ctx, key, at_ms, &touched);
    }
    if changed.is_empty {
        ctx.remove_emptied(key);
    }
}

/// HPERSIST key FIELDS numfields field \[field ...\]
pub(super) fn hpersist(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    if !is_hash_or_missing(ctx, key) {
        return;
    }
    let fields = match fields(arguments, 2, COUNT_NOT_POSITIVE) {
        Ok(fields) => fields,
        Err(error) => return ctx.reply.error(error),
    };
    let changed = ctx.change(key, |hash: &mut Hash, _| -> Vec<i64> {
        let mut persist = |field: &&[u8]| match hash.view().find(field) {
            None => NO_FIELD,
            Some(Pair { deadline: None, .. }) => NO_TIME,
            Some(_) => {
                hash.set_deadline(field, None);
                DONE
            }
        };
        fields.iter().map(&mut persist).collect()
    });
    let Ok(changed) = changed else { return };
    ctx.reply.array(fields.len());
    let Some(changed) = changed else { return fields.iter().for_each(|_| ctx.reply.int(NO_FIELD)) };
    changed.result.iter().for_each(|&outcome| ctx.reply.int(outcome));
    if changed.result.contains(&DONE) {
        ctx.modified(key, KeyspaceEvents::HASH, "hpersist");
    }
}

/// HTTL key FIELDS numfields field \[field ...\]
pub(super) fn httl(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments, |at_ms, now| in_seconds(at_ms - now));
}

/// HPTTL key FIELDS numfields field \[field ...\]
pub(super) fn hpttl(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments, |at_ms, now| at_ms - now);
}

/// HEXPIRETIME key FIELDS numfields field \[field ...\]
pub(super) fn hexpiretime(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments, |at_ms, _| in_seconds(at_ms));
}

/// HPEXPIRETIME key FIELDS numfields field \[field ...\]
pub(super) fn hpexpiretime(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments, |at_ms, _| at_ms);
}

/// Replies for each field what `told` makes of its deadline, or that there is none, or no field.
fn tell(ctx: &mut Context<'_>, arguments: &[&[u8]], told: fn(UnixMillis, UnixMillis) -> i64) {
    let now = ctx.now;
    read(ctx, arguments[1], |hash, reply| {
        let fields = match fields(arguments, 2, COUNT_NOT_POSITIVE) {
            Ok(fields) => fields,
            Err(error) => return reply.error(error),
        };
        reply.array(fields.len());
        for field in fields {
            reply.int(match hash.and_then(|hash| hash.find(field)) {
                None => NO_FIELD,
                Some(Pair { deadline: None, .. }) => NO_TIME,
                Some(Pair { deadline: Some(at_ms), .. }) => told(at_ms, now),
            });
        }
    });
}

/// Rounded up, so that only a field that is over has no second left.
fn in_seconds(millis: i64) -> i64 {
    (millis + 999) / 1000
}
