//! Strings that grow or change in place: APPEND, SETRANGE, and what bitmaps need of them.

use super::check_length;
use crate::command::Context;
use crate::command::args::integer;
use crate::command::context::KeyspaceEvents;
use crate::resp::error::WRONG_TYPE;
use crate::store::entry::{INLINE_BYTES_MAX, NewValue};
use crate::store::value::Value;

const OFFSET_OUT_OF_RANGE: &str = "ERR offset is out of range";

/// APPEND key value
pub(super) fn append(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, tail) = (arguments[1], arguments[2]);
    let limit = context.string_bytes_max();
    let appended = context.update(key, |entry| {
        check_length(limit, entry.string_len().ok_or(WRONG_TYPE)?, tail.len())?;
        entry.append(tail).ok_or(WRONG_TYPE)
    });
    let length = match appended {
        Some(Ok(length)) => length,
        Some(Err(error)) => return context.reply.error(error),
        None => {
            context.store(key, NewValue::string(tail), None);
            tail.len()
        }
    };
    context.modified(key, KeyspaceEvents::STRING, "append");
    context.reply.count(length);
}

/// SETRANGE key offset value
pub(super) fn setrange(context: &mut Context<'_>, arguments: &[&[u8]]) {
    match set_part(context, arguments) {
        Ok(length) => context.reply.count(length),
        Err(error) => context.reply.error(error),
    }
}

fn set_part(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<usize, &'static str> {
    let (key, part) = (arguments[1], arguments[3]);
    let offset = usize::try_from(integer(arguments[2])?).map_err(|_| OFFSET_OUT_OF_RANGE)?;
    let present = present_length(context, key)?;
    if part.is_empty() {
        return Ok(present.unwrap_or(0));
    }
    check_length(context.string_bytes_max(), offset, part.len())?;
    let end = offset + part.len();
    let length = write_string(context, key, end, |bytes| {
        bytes[offset..end].copy_from_slice(part);
        bytes.len()
    })?;
    context.modified(key, KeyspaceEvents::STRING, "setrange");
    Ok(length)
}

/// The length of the string at `key`, if there is one, or the error for another type.
pub(in crate::command) fn present_length(
    context: &mut Context<'_>,
    key: &[u8],
) -> Result<Option<usize>, &'static str> {
    match context.peek(key) {
        None => Ok(None),
        Some(entry) => entry.string_len().map(Some).ok_or(WRONG_TYPE),
    }
}

/// Has `write` change the string at `key` in place, extended with zero bytes to at least `length`; a missing key counts
/// as empty. Follow it with [`Context::modified`].
pub(in crate::command) fn write_string<R>(
    context: &mut Context<'_>,
    key: &[u8],
    length: usize,
    write: impl FnOnce(&mut [u8]) -> R,
) -> Result<R, &'static str> {
    if !context.exists(key) {
        let mut bytes = vec![0; length];
        let result = write(&mut bytes);
        store_raw(context, key, bytes);
        return Ok(result);
    }
    let written = context.update(key, |entry| {
        if entry.string_len().is_some_and(|present| present < length) {
            entry.resize(length);
        }
        entry.bytes_mut().map(write)
    });
    written.flatten().ok_or(WRONG_TYPE)
}

/// Stores bytes that were computed, in the encoding `raw`, without a time to live. Follow it with
/// [`Context::modified`].
pub(in crate::command) fn store_raw(context: &mut Context<'_>, key: &[u8], bytes: Vec<u8>) {
    if bytes.len() > INLINE_BYTES_MAX {
        context.store(key, NewValue::Object(Box::new(Value::String(bytes))), None);
    } else {
        context.store(key, NewValue::Raw(&bytes), None);
    }
}
