//! Reading strings, and reading that also deletes or changes the time to live.

use super::condition::digest as digest_of;
use super::expiry::Expiry;
use super::{clamp_range, is_crossed, push_string};
use crate::command::Context;
use crate::command::args::{Cursor, integer};
use crate::command::context::KeyspaceEvents;
use crate::resp::error::{SYNTAX, WRONG_TYPE};

/// GET key
pub(super) fn get(context: &mut Context<'_>, arguments: &[&[u8]]) {
    context.read(arguments[1], push_string);
}

/// MGET key [key ...]
pub(super) fn mget(context: &mut Context<'_>, arguments: &[&[u8]]) {
    context.reply.array(arguments.len() - 1);
    for key in &arguments[1..] {
        context.read(key, |entry, reply| {
            let mut digits = itoa::Buffer::new();
            match entry.and_then(|entry| entry.string(&mut digits)) {
                Some(bytes) => reply.bulk(bytes),
                None => reply.null(),
            }
        });
    }
}

/// STRLEN key
pub(super) fn strlen(context: &mut Context<'_>, arguments: &[&[u8]]) {
    context.read(arguments[1], |entry, reply| match entry.map(|entry| entry.string_len()) {
        None => reply.int(0),
        Some(Some(length)) => reply.count(length),
        Some(None) => reply.error(WRONG_TYPE),
    });
}

/// GETRANGE key start end, and SUBSTR
pub(super) fn getrange(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let (start, end) = match (integer(arguments[2]), integer(arguments[3])) {
        (Ok(start), Ok(end)) => (start, end),
        (Err(error), _) | (_, Err(error)) => return context.reply.error(error),
    };
    context.read(arguments[1], |entry, reply| {
        let Some(entry) = entry else { return reply.bulk(b"") };
        let mut digits = itoa::Buffer::new();
        let Some(bytes) = entry.string(&mut digits) else { return reply.error(WRONG_TYPE) };
        match clamp_range(start, end, bytes.len()) {
            Some(range) if !is_crossed(start, end) => reply.bulk(&bytes[range]),
            _ => reply.bulk(b""),
        }
    });
}

/// DIGEST key
pub(super) fn digest(context: &mut Context<'_>, arguments: &[&[u8]]) {
    context.read(arguments[1], |entry, reply| {
        let Some(entry) = entry else { return reply.null() };
        match entry.string(&mut itoa::Buffer::new()) {
            Some(bytes) => reply.bulk(digest_of(bytes).as_bytes()),
            None => reply.error(WRONG_TYPE),
        }
    });
}

/// GETDEL key
pub(super) fn getdel(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let found = context.read(key, |entry, reply| push_string(entry, reply) && entry.is_some());
    if found {
        delete(context, key);
    }
}

/// What GETEX does with the time to live.
#[derive(Clone, Copy)]
enum Change<'a> {
    Keep,
    Persist,
    Expire(Expiry<'a>),
}

/// GETEX key [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | PERSIST]
pub(super) fn getex(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let Some(change) = parse_change(arguments) else { return context.reply.error(SYNTAX) };
    let now = context.now;
    let before = context.reply.position();
    let readable = context.read(key, |entry, reply| push_string(entry, reply) && entry.is_some());
    if !readable {
        return;
    }
    match change {
        Change::Keep => {}
        Change::Persist => persist(context, key),
        Change::Expire(expiry) => match expiry.deadline(now, "getex") {
            Ok(deadline) if expiry.is_absolute() && context.is_past(deadline) => delete(context, key),
            Ok(deadline) => expire(context, key, deadline),
            Err(error) => {
                context.reply.truncate(before);
                context.reply.error(error);
            }
        },
    }
}

/// The one option of GETEX; `None` is a syntax error. The same option may be given again, and the last one counts.
fn parse_change<'a>(arguments: &[&'a [u8]]) -> Option<Change<'a>> {
    let mut cursor = Cursor::new(arguments, 2);
    let mut change = Change::Keep;
    while !cursor.is_done() {
        change = match (change, Expiry::take(&mut cursor)) {
            (Change::Keep, Some(expiry)) => Change::Expire(expiry),
            (Change::Expire(earlier), Some(expiry)) if earlier.unit == expiry.unit => Change::Expire(expiry),
            (Change::Keep | Change::Persist, None) if cursor.accept("PERSIST") => Change::Persist,
            _ => return None,
        };
    }
    Some(change)
}

fn delete(context: &mut Context<'_>, key: &[u8]) {
    context.remove(key);
    context.replicate(&[b"DEL", key]);
    context.modified(key, KeyspaceEvents::GENERIC, "del");
}

fn persist(context: &mut Context<'_>, key: &[u8]) {
    let has_deadline = context.peek(key).is_some_and(|entry| entry.expire_at().is_some());
    if has_deadline {
        context.set_expire(key, None);
        context.replicate(&[b"PERSIST", key]);
        context.modified(key, KeyspaceEvents::GENERIC, "persist");
    }
}

fn expire(context: &mut Context<'_>, key: &[u8], deadline: i64) {
    context.set_expire(key, Some(deadline));
    context.replicate(&[b"PEXPIREAT", key, itoa::Buffer::new().format(deadline).as_bytes()]);
    context.modified(key, KeyspaceEvents::GENERIC, "expire");
}
