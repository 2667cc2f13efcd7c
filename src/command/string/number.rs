//! Strings as numbers: INCR and its kin.

use crate::base::extended::Extended;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::integer;
use crate::command::context::KeyspaceEvents;
use crate::resp::error::{NOT_A_FLOAT, NOT_AN_INTEGER, WRONG_TYPE};
use crate::store::entry::{Entry, NewValue, ValueRef};

const OVERFLOW: &str = "ERR increment or decrement would overflow";
const NEGATION_OVERFLOW: &str = "ERR decrement would overflow";
const NOT_FINITE: &str = "ERR increment would produce NaN or Infinity";

/// INCR key
pub(super) fn incr(context: &mut Context<'_>, arguments: &[&[u8]]) {
    add(context, arguments[1], 1);
}

/// DECR key
pub(super) fn decr(context: &mut Context<'_>, arguments: &[&[u8]]) {
    add(context, arguments[1], -1);
}

/// INCRBY key increment
pub(super) fn incrby(context: &mut Context<'_>, arguments: &[&[u8]]) {
    match integer(arguments[2]) {
        Ok(increment) => add(context, arguments[1], increment),
        Err(error) => context.reply.error(error),
    }
}

/// DECRBY key decrement
pub(super) fn decrby(context: &mut Context<'_>, arguments: &[&[u8]]) {
    match integer(arguments[2]).map(i64::checked_neg) {
        Ok(Some(increment)) => add(context, arguments[1], increment),
        Ok(None) => context.reply.error(NEGATION_OVERFLOW),
        Err(error) => context.reply.error(error),
    }
}

fn add(context: &mut Context<'_>, key: &[u8], increment: i64) {
    match context.update(key, |entry| add_to(entry, increment)) {
        Some(Err(error)) => return context.reply.error(error),
        Some(Ok(sum)) => context.reply.int(sum),
        None => {
            context.store(key, NewValue::Int(increment), None);
            context.reply.int(increment);
        }
    }
    context.modified(key, KeyspaceEvents::STRING, "incrby");
}

fn add_to(entry: &mut Entry, increment: i64) -> Result<i64, &'static str> {
    let sum = integer_of(entry)?.checked_add(increment).ok_or(OVERFLOW)?;
    entry.set_int(sum);
    Ok(sum)
}

fn integer_of(entry: &Entry) -> Result<i64, &'static str> {
    match entry.value() {
        ValueRef::Int(value) => Ok(value),
        ValueRef::Bytes(bytes) => parse_i64(bytes).ok_or(NOT_AN_INTEGER),
        // A string on the heap is too long for an integer.
        ValueRef::Object(_) if entry.string_len().is_some() => Err(NOT_AN_INTEGER),
        ValueRef::Object(_) | ValueRef::Packed(..) | ValueRef::Ints(_) => Err(WRONG_TYPE),
    }
}

/// INCRBYFLOAT key increment
pub(super) fn incrbyfloat(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    match add_float(context, key, arguments[2]) {
        Ok(text) => {
            context.reply.bulk(text.as_bytes());
            context.replicate(&[b"SET", key, text.as_bytes(), b"KEEPTTL"]);
            context.modified(key, KeyspaceEvents::STRING, "incrbyfloat");
        }
        Err(error) => context.reply.error(error),
    }
}

/// Stores the sum, which is a string and no integer even where it looks like one, and returns it.
fn add_float(context: &mut Context<'_>, key: &[u8], increment: &[u8]) -> Result<String, &'static str> {
    let changed = context.update(key, |entry| {
        let text = sum(Some(entry), increment)?;
        entry.set_value(NewValue::Bytes(text.as_bytes()));
        Ok(text)
    });
    if let Some(changed) = changed {
        return changed;
    }
    let text = sum(None, increment)?;
    context.store(key, NewValue::Bytes(text.as_bytes()), None);
    Ok(text)
}

fn sum(entry: Option<&Entry>, increment: &[u8]) -> Result<String, &'static str> {
    let value = match entry {
        None => Extended::ZERO,
        Some(entry) => match entry.value() {
            ValueRef::Int(value) => Extended::from_i64(value),
            _ => {
                let mut digits = itoa::Buffer::new();
                let text = entry.string(&mut digits).ok_or(WRONG_TYPE)?;
                Extended::parse(text).ok_or(NOT_A_FLOAT)?
            }
        },
    };
    let increment = Extended::parse(increment).ok_or(NOT_A_FLOAT)?;
    value.checked_add(increment).map(Extended::format).ok_or(NOT_FINITE)
}
