//! Commands of Redis 8 that do two things at once: HGETDEL, HGETEX, HSETEX.

use super::expire::{
    COUNT_NOT_POSITIVE, Form, fields, is_hash_or_missing, replicate_deadline, replicate_for_fields,
    replicate_removal,
};
use super::{limits, push_value};
use crate::base::clock::UnixMillis;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::{Cursor, is_word};
use crate::command::context::KeyspaceEvents;
use crate::resp::error::wrong_arity;
use crate::store::hash::{Deadline, Hash};

const BAD_COUNT: &str = "ERR invalid number of fields";
const NO_TIME_GIVEN: &str = "ERR missing expire time";
const TWO_CONDITIONS: &str = "ERR Only one of FXX or FNX arguments can be specified";
const TWO_EXPIRATIONS: &str = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";

/// The way in which the word in front of a time calls it.
fn form_of(word: &[u8], name: &'static str) -> Option<Form> {
    let form = |in_seconds, from_now| Some(Form { name, in_seconds, from_now });
    match word {
        _ if is_word(word, "ex") => form(true, true),
        _ if is_word(word, "px") => form(false, true),
        _ if is_word(word, "exat") => form(true, false),
        _ if is_word(word, "pxat") => form(false, false),
        _ => None,
    }
}

/// What a missing hash has in so many fields.
fn push_nulls(ctx: &mut Context<'_>, count: usize) {
    ctx.reply.array(count);
    (0..count).for_each(|_| ctx.reply.null());
}

/// HGETDEL key FIELDS numfields field \[field ...\]
pub(super) fn hgetdel(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    if !is_hash_or_missing(ctx, key) {
        return;
    }
    let fields = match fields(arguments, 2, COUNT_NOT_POSITIVE) {
        Ok(fields) => fields,
        Err(error) => return ctx.reply.error(error),
    };
    let changed = ctx.change_replying(key, |hash: &mut Hash, _, reply| -> Vec<&[u8]> {
        reply.array(fields.len());
        let mut take = |field: &&[u8]| {
            push_value(reply, Some(hash.view()), field);
            hash.remove(field)
        };
        fields.iter().copied().filter(|field| take(field)).collect()
    });
    let Ok(changed) = changed else { return };
    let Some(changed) = changed else { return push_nulls(ctx, fields.len()) };
    if !changed.result.is_empty() {
        ctx.modified(key, KeyspaceEvents::HASH, "hdel");
        replicate_removal(ctx, key, &changed.result);
    }
    if changed.is_empty {
        ctx.remove_emptied(key);
    }
}

/// What HGETEX does to the fields.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    Persist,
    Expire(UnixMillis),
    Remove,
}

/// HGETEX key \[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST\] FIELDS
/// numfields field \[field ...\]
pub(super) fn hgetex(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    if !is_hash_or_missing(ctx, key) {
        return;
    }
    let (change, fields) = match parse_hgetex(arguments, ctx.now) {
        Ok(parsed) => parsed,
        Err(error) => return ctx.reply.error(error),
    };
    let changed = ctx.change_replying(key, |hash: &mut Hash, _, reply| -> Vec<&[u8]> {
        reply.array(fields.len());
        let mut get = |field: &&[u8]| {
            push_value(reply, Some(hash.view()), field);
            match change {
                Change::Nothing => false,
                Change::Persist => {
                    let mortal = hash.view().find(field).is_some_and(|pair| pair.deadline.is_some());
                    mortal && hash.set_deadline(field, None)
                }
                Change::Expire(at_ms) => hash.set_deadline(field, Some(at_ms)),
                Change::Remove => hash.remove(field),
            }
        };
        fields.iter().copied().filter(|field| get(field)).collect()
    });
    let Ok(changed) = changed else { return };
    let Some(changed) = changed else { return push_nulls(ctx, fields.len()) };
    if !changed.result.is_empty() {
        tell_of(ctx, key, change, &changed.result);
    }
    if changed.is_empty {
        ctx.remove_emptied(key);
    }
}

/// Event and effect of a change of these fields.
fn tell_of(ctx: &mut Context<'_>, key: &[u8], change: Change, fields: &[&[u8]]) {
    match change {
        Change::Nothing => {}
        Change::Persist => {
            ctx.modified(key, KeyspaceEvents::HASH, "hpersist");
            replicate_for_fields(ctx, &[b"HPERSIST", key], fields);
        }
        Change::Expire(at_ms) => {
            ctx.modified(key, KeyspaceEvents::HASH, "hexpire");
            replicate_deadline(ctx, key, at_ms, fields);
        }
        Change::Remove => {
            ctx.modified(key, KeyspaceEvents::HASH, "hdel");
            replicate_removal(ctx, key, fields);
        }
    }
}

fn parse_hgetex<'a, 'b>(
    arguments: &'b [&'a [u8]],
    now: UnixMillis,
) -> Result<(Change, &'b [&'a [u8]]), String> {
    let (change, fields_at) = if let Some(form) = form_of(arguments[2], "hgetex") {
        let at_ms = form.deadline(arguments[3], now)?;
        (if at_ms <= now { Change::Remove } else { Change::Expire(at_ms) }, 4)
    } else if is_word(arguments[2], "persist") {
        (Change::Persist, 3)
    } else {
        (Change::Nothing, 2)
    };
    Ok((change, fields(arguments, fields_at, COUNT_NOT_POSITIVE)?))
}

/// Under which condition HSETEX sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    AllExist,
    NoneExists,
}

/// What HSETEX is to do.
struct Setting<'a, 'b> {
    condition: Option<Condition>,
    deadline: Option<UnixMillis>,
    keeps_deadlines: bool,
    /// Fields and values, alternating.
    pairs: &'b [&'a [u8]],
}

impl<'a, 'b> Setting<'a, 'b> {
    fn parse(arguments: &'b [&'a [u8]], now: UnixMillis) -> Result<Self, Vec<u8>> {
        let mut setting = Setting { condition: None, deadline: None, keeps_deadlines: false, pairs: &[] };
        let mut options = Cursor::new(arguments, 2);
        loop {
            let has_expiration = setting.deadline.is_some() || setting.keeps_deadlines;
            let Some(word) = options.take() else { return Err(wrong_arity("hsetex").into()) };
            if is_word(word, "fields") {
                let pairs = &arguments[arguments.len() - options.remaining()..];
                setting.pairs = pairs_behind(pairs)?;
                return Ok(setting);
            } else if is_word(word, "fxx") || is_word(word, "fnx") {
                let all = is_word(word, "fxx");
                let condition = if all { Condition::AllExist } else { Condition::NoneExists };
                if setting.condition.replace(condition).is_some() {
                    return Err(TWO_CONDITIONS.into());
                }
            } else if let Some(form) = form_of(word, "hsetex") {
                if has_expiration {
                    return Err(TWO_EXPIRATIONS.into());
                }
                let time = options.take().ok_or(NO_TIME_GIVEN)?;
                setting.deadline = Some(form.deadline(time, now)?);
            } else if is_word(word, "keepttl") {
                if has_expiration {
                    return Err(TWO_EXPIRATIONS.into());
                }
                setting.keeps_deadlines = true;
            } else {
                return Err([b"ERR unknown argument: ", word].concat());
            }
        }
    }

    fn fields(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.pairs.iter().step_by(2).copied()
    }

    fn is_allowed(&self, hash: &Hash) -> bool {
        let exists = |field| hash.view().find(field).is_some();
        match self.condition {
            None => true,
            Some(Condition::AllExist) => self.fields().all(exists),
            Some(Condition::NoneExists) => !self.fields().any(exists),
        }
    }
}

/// The pairs behind `FIELDS`, which begin with their number.
fn pairs_behind<'a, 'b>(arguments: &'b [&'a [u8]]) -> Result<&'b [&'a [u8]], Vec<u8>> {
    let (count, pairs) = match arguments {
        [count, pairs @ ..] if pairs.len() >= 2 => (count, pairs),
        _ => return Err(wrong_arity("hsetex").into()),
    };
    let count =
        parse_i64(count).filter(|count| (1..=i64::from(i32::MAX)).contains(count)).ok_or(BAD_COUNT)?;
    if pairs.len() as i64 == 2 * count { Ok(pairs) } else { Err(wrong_arity("hsetex").into()) }
}

/// HSETEX key \[FNX | FXX\] \[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds |
/// KEEPTTL\] FIELDS numfields field value \[field value ...\]
pub(super) fn hsetex(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, now) = (arguments[1], ctx.now);
    let setting = match Setting::parse(arguments, now) {
        Ok(setting) => setting,
        Err(error) => return ctx.reply.error(error),
    };
    let is_over = setting.deadline.is_some_and(|at_ms| ctx.is_past(at_ms));
    let changed = ctx.change_or_create(key, |hash: &mut Hash, config| -> Option<Vec<Option<UnixMillis>>> {
        if !setting.is_allowed(hash) {
            return None;
        }
        let keeps = if setting.keeps_deadlines { Deadline::Stays } else { Deadline::Ends };
        let set = |pair: &[&[u8]]| {
            hash.set(pair[0], pair[1], keeps, limits(config));
            if is_over {
                hash.remove(pair[0]);
            } else if setting.deadline.is_some() {
                hash.set_deadline(pair[0], setting.deadline);
            }
            hash.view().find(pair[0]).and_then(|pair| pair.deadline)
        };
        Some(setting.pairs.chunks_exact(2).map(set).collect())
    });
    let Ok(changed) = changed else { return };
    ctx.reply.int(i64::from(changed.result.is_some()));
    let Some(deadlines) = changed.result else { return };
    ctx.modified(key, KeyspaceEvents::HASH, "hset");
    let fields: Vec<&[u8]> = setting.fields().collect();
    if is_over {
        ctx.signal(ctx.database(), key, KeyspaceEvents::HASH, "hdel");
        replicate_removal(ctx, key, &fields);
    } else {
        let set: Vec<&[u8]> = [b"HSET".as_slice(), key].iter().chain(setting.pairs).copied().collect();
        ctx.replicate(&set);
        for (field, at_ms) in fields.iter().zip(deadlines) {
            if let Some(at_ms) = at_ms {
                replicate_deadline(ctx, key, at_ms, &[field]);
            }
        }
        if setting.deadline.is_some() {
            ctx.signal(ctx.database(), key, KeyspaceEvents::HASH, "hexpire");
        }
    }
    if changed.is_empty {
        ctx.remove_emptied(key);
    }
}
