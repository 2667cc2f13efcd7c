//! SET with all its options, the older commands it replaces, and DELEX.

use super::condition::Condition;
use super::expiry::{Expiry, Unit};
use super::push_string;
use crate::base::clock::UnixMillis;
use crate::command::Context;
use crate::command::args::{Cursor, is_word};
use crate::command::context::KeyspaceEvents;
use crate::resp::error::{SYNTAX, WRONG_TYPE, wrong_arity};
use crate::store::entry::NewValue;

const CONDITION_NEEDS_STRING: &str = "ERR Key should be of string type if conditions are specified";
const BAD_CONDITION: &str = "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE";

/// When SET stores.
#[derive(Clone, Copy, Debug, Default)]
enum When<'a> {
    #[default]
    Always,
    Absent,
    Present,
    If(Condition<'a>),
}

/// The options of SET.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'a> {
    when: When<'a>,
    expiry: Option<Expiry<'a>>,
    keep_ttl: bool,
    get: bool,
}

impl<'a> Options<'a> {
    /// Reads what follows the value. An option may be repeated, but not beside one that contradicts it.
    fn parse(arguments: &[&'a [u8]]) -> Result<Self, &'static str> {
        let mut options = Self::default();
        let mut cursor = Cursor::new(arguments, 3);
        while !cursor.is_done() {
            if let Some(expiry) = Expiry::take(&mut cursor) {
                let agrees = options.expiry.is_none_or(|earlier| earlier.unit == expiry.unit);
                if options.keep_ttl || !agrees {
                    return Err(SYNTAX);
                }
                options.expiry = Some(expiry);
            } else if options.expiry.is_none() && cursor.accept("KEEPTTL") {
                options.keep_ttl = true;
            } else if cursor.accept("GET") {
                options.get = true;
            } else {
                options.when = parse_when(&mut cursor, options.when)?;
            }
        }
        Ok(options)
    }
}

fn parse_when<'a>(cursor: &mut Cursor<'a, '_>, earlier: When<'a>) -> Result<When<'a>, &'static str> {
    match (cursor.need()?, earlier) {
        (word, When::Always | When::Absent) if is_word(word, "NX") => Ok(When::Absent),
        (word, When::Always | When::Present) if is_word(word, "XX") => Ok(When::Present),
        (word, When::Always) => Condition::new(word, cursor.need()?).map(When::If).ok_or(SYNTAX),
        _ => Err(SYNTAX),
    }
}

/// SET key value [NX | XX | IFEQ value | IFNE value | IFDEQ digest | IFDNE digest] [GET]
/// [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | KEEPTTL]
pub(super) fn set(context: &mut Context<'_>, arguments: &[&[u8]]) {
    if arguments.len() == 3 {
        context.store(arguments[1], NewValue::string(arguments[2]), None);
        context.modified(arguments[1], KeyspaceEvents::STRING, "set");
        return context.reply.ok();
    }
    if let Err(error) = set_with_options(context, arguments) {
        context.reply.error(error);
    }
}

fn set_with_options(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let (key, value) = (arguments[1], arguments[2]);
    let deadline = options.expiry.map(|expiry| expiry.deadline(context.now, "set")).transpose()?;
    let allowed = allows(context, key, options.when)?;
    if options.get {
        if !context.read(key, push_string) {
            return Ok(());
        }
    } else if !allowed {
        context.reply.null();
    }
    if !allowed {
        return Ok(());
    }
    store(context, key, value, deadline, options.keep_ttl);
    if !options.get {
        context.reply.ok();
    }
    replicate(context, arguments, &options, deadline);
    Ok(())
}

/// Whether SET may store under `key`, or why it cannot tell.
fn allows(context: &mut Context<'_>, key: &[u8], when: When<'_>) -> Result<bool, &'static str> {
    match when {
        When::Always => Ok(true),
        When::Absent => Ok(!context.exists(key)),
        When::Present => Ok(context.exists(key)),
        When::If(condition) => match context.peek(key) {
            None => Ok(condition.holds_without_value()),
            Some(entry) => condition.holds(entry.string(&mut itoa::Buffer::new()).ok_or(WRONG_TYPE)?),
        },
    }
}

/// Stores a string and says so. Without a deadline the time to live ends, unless it is kept.
pub(super) fn store(
    context: &mut Context<'_>,
    key: &[u8],
    value: &[u8],
    deadline: Option<UnixMillis>,
    keep_ttl: bool,
) {
    let kept = match keep_ttl {
        true => context.peek(key).and_then(|entry| entry.expire_at()),
        false => None,
    };
    context.store(key, NewValue::string(value), deadline.or(kept));
    context.modified(key, KeyspaceEvents::STRING, "set");
    if deadline.is_some() {
        context.signal(context.database(), key, KeyspaceEvents::GENERIC, "expire");
    }
}

/// Replicates a SET that stored: with a moment in place of a span, and without what has done its work (GET and the
/// conditions that older servers do not know).
fn replicate(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    options: &Options<'_>,
    deadline: Option<UnixMillis>,
) {
    let (key, value) = (arguments[1], arguments[2]);
    let is_conditional = matches!(options.when, When::If(_));
    let is_moment = options.expiry.is_some_and(|expiry| expiry.unit == Unit::UnixMillis);
    match deadline {
        Some(_) if is_moment && !is_conditional => {}
        Some(deadline) => replicate_with_deadline(context, key, value, deadline),
        None if is_conditional && options.keep_ttl => context.replicate(&[b"SET", key, value, b"KEEPTTL"]),
        None if is_conditional => context.replicate(&[b"SET", key, value]),
        None if options.get => {
            let is_kept = |(at, word): &(usize, &&[u8])| *at < 3 || !is_word(word, "GET");
            let kept = arguments.iter().enumerate().filter(is_kept).map(|(_, word)| *word);
            context.replicate(&kept.collect::<Vec<&[u8]>>());
        }
        None => {}
    }
}

fn replicate_with_deadline(context: &mut Context<'_>, key: &[u8], value: &[u8], deadline: UnixMillis) {
    let mut digits = itoa::Buffer::new();
    context.replicate(&[b"SET", key, value, b"PXAT", digits.format(deadline).as_bytes()]);
}

/// SETNX key value
pub(super) fn setnx(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let is_absent = !context.exists(arguments[1]);
    if is_absent {
        store(context, arguments[1], arguments[2], None, false);
    }
    context.reply.int(i64::from(is_absent));
}

/// SETEX key seconds value
pub(super) fn setex(context: &mut Context<'_>, arguments: &[&[u8]]) {
    store_for(context, arguments, Unit::Seconds, "setex");
}

/// PSETEX key milliseconds value
pub(super) fn psetex(context: &mut Context<'_>, arguments: &[&[u8]]) {
    store_for(context, arguments, Unit::Millis, "psetex");
}

fn store_for(context: &mut Context<'_>, arguments: &[&[u8]], unit: Unit, name: &str) {
    let (key, value) = (arguments[1], arguments[3]);
    match (Expiry { unit, number: arguments[2] }).deadline(context.now, name) {
        Ok(deadline) => {
            store(context, key, value, Some(deadline), false);
            replicate_with_deadline(context, key, value, deadline);
            context.reply.ok();
        }
        Err(error) => context.reply.error(error),
    }
}

/// GETSET key value
pub(super) fn getset(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, value) = (arguments[1], arguments[2]);
    if context.read(key, push_string) {
        store(context, key, value, None, false);
        context.replicate(&[b"SET", key, value]);
    }
}

/// DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]
pub(super) fn delex(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let holds = match arguments {
        [_, _] => Ok(context.exists(key)),
        [_, _, name, operand] => holds(context, key, name, operand),
        _ => return context.reply.error(wrong_arity("delex")),
    };
    match holds {
        Ok(true) => {
            context.remove(key);
            context.replicate(&[b"DEL", key]);
            context.modified(key, KeyspaceEvents::GENERIC, "del");
            context.reply.int(1);
        }
        Ok(false) => context.reply.int(0),
        Err(error) => context.reply.error(error),
    }
}

/// Whether the key exists and its value meets the condition; errors in the order in which Redis looks for them.
fn holds(context: &mut Context<'_>, key: &[u8], name: &[u8], operand: &[u8]) -> Result<bool, &'static str> {
    let Some(entry) = context.peek(key) else { return Ok(false) };
    let mut digits = itoa::Buffer::new();
    let value = entry.string(&mut digits).ok_or(CONDITION_NEEDS_STRING)?;
    Condition::new(name, operand).ok_or(BAD_CONDITION)?.holds(value)
}
