//! Times to live: EXPIRE and its kin, TTL and its kin, PERSIST.

use crate::base::clock::UnixMillis;
use crate::command::args::{integer, is_word};
use crate::command::context::{Context, KeyspaceEvents};
use crate::resp::error::invalid_expire;

const NX_WITH_OTHERS: &str = "ERR NX and XX, GT or LT options at the same time are not compatible";
const GT_WITH_LT: &str = "ERR GT and LT options at the same time are not compatible";

/// Under which conditions a time is set.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(words: &[&[u8]]) -> Result<Self, Vec<u8>> {
        let mut conditions = Self::default();
        for word in words {
            let condition = [
                ("nx", &mut conditions.nx),
                ("xx", &mut conditions.xx),
                ("gt", &mut conditions.gt),
                ("lt", &mut conditions.lt),
            ];
            match condition.into_iter().find(|(name, _)| is_word(word, name)) {
                Some((_, given)) => *given = true,
                None => return Err([b"ERR Unsupported option ", *word].concat()),
            }
        }
        if conditions.nx && (conditions.xx || conditions.gt || conditions.lt) {
            return Err(NX_WITH_OTHERS.into());
        }
        if conditions.gt && conditions.lt {
            return Err(GT_WITH_LT.into());
        }
        Ok(conditions)
    }

    /// The condition that one word names, if it does.
    pub(in crate::command) fn of_word(word: &[u8]) -> Option<Self> {
        Self::parse(&[word]).ok()
    }

    /// Whether `when` may take the place of `current`. No time counts as one that never comes.
    pub(in crate::command) fn allow(self, when: UnixMillis, current: Option<UnixMillis>) -> bool {
        match current {
            None => !self.xx && !self.gt,
            Some(current) => !self.nx && (!self.gt || when > current) && (!self.lt || when < current),
        }
    }
}

/// What a command of this family calls a time.
#[derive(Clone, Copy, Debug)]
struct Form {
    name: &'static str,
    in_seconds: bool,
    from_now: bool,
}

impl Form {
    /// The time as Unix milliseconds.
    fn when(self, argument: &[u8], now: UnixMillis) -> Result<UnixMillis, Vec<u8>> {
        let given = integer(argument)?;
        let millis = if self.in_seconds { given.checked_mul(1000) } else { Some(given) };
        let base = if self.from_now { now } else { 0 };
        millis
            .and_then(|millis| millis.checked_add(base))
            .ok_or_else(|| invalid_expire(self.name).into_bytes())
    }
}

/// EXPIRE
pub fn expire(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "expire", in_seconds: true, from_now: true });
}

/// PEXPIRE
pub fn pexpire(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "pexpire", in_seconds: false, from_now: true });
}

/// EXPIREAT
pub fn expireat(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "expireat", in_seconds: true, from_now: false });
}

/// PEXPIREAT
pub fn pexpireat(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    set(ctx, arguments, Form { name: "pexpireat", in_seconds: false, from_now: false });
}

fn set(ctx: &mut Context<'_>, arguments: &[&[u8]], form: Form) {
    let parsed = Conditions::parse(&arguments[3..])
        .and_then(|conditions| Ok((conditions, form.when(arguments[2], ctx.now)?)));
    match parsed {
        Err(error) => ctx.reply.error(error),
        Ok((conditions, when)) => {
            let done = set_when_allowed(ctx, arguments[1], when, conditions);
            ctx.reply.int(i64::from(done));
        }
    }
}

/// Sets the time of a key, or removes the key when that time is over; false when there is no key or a condition forbids it.
fn set_when_allowed(ctx: &mut Context<'_>, key: &[u8], when: UnixMillis, conditions: Conditions) -> bool {
    let Some(current) = ctx.use_for_write(key).map(|entry| entry.expire_at()) else { return false };
    if !conditions.allow(when, current) {
        return false;
    }
    if ctx.is_past(when) {
        if let Some(entry) = ctx.remove(key) {
            ctx.keyspace.discard_entry(entry);
        }
        ctx.modified(key, KeyspaceEvents::GENERIC, "del");
        ctx.replicate(&[b"DEL".as_slice(), key]);
    } else {
        ctx.set_expire(key, Some(when));
        ctx.modified(key, KeyspaceEvents::GENERIC, "expire");
        ctx.replicate(&[b"PEXPIREAT".as_slice(), key, itoa::Buffer::new().format(when).as_bytes()]);
    }
    true
}

/// PERSIST
pub fn persist(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let key = arguments[1];
    let mortal = ctx.use_for_write(key).is_some_and(|entry| entry.expire_at().is_some());
    if mortal {
        ctx.set_expire(key, None);
        ctx.modified(key, KeyspaceEvents::GENERIC, "persist");
    }
    ctx.reply.int(i64::from(mortal));
}

/// TTL
pub fn ttl(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments[1], |when, now| in_seconds(when - now));
}

/// PTTL
pub fn pttl(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments[1], |when, now| when - now);
}

/// EXPIRETIME
pub fn expiretime(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments[1], |when, _| in_seconds(when));
}

/// PEXPIRETIME
pub fn pexpiretime(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    tell(ctx, arguments[1], |when, _| when);
}

/// Replies -2 without a key, -1 for a key without a time, else what `told` makes of its time.
fn tell(ctx: &mut Context<'_>, key: &[u8], told: fn(UnixMillis, UnixMillis) -> i64) {
    let answer = match ctx.inspect(key).map(|entry| entry.expire_at()) {
        None => -2,
        Some(None) => -1,
        Some(Some(when)) => told(when, ctx.now),
    };
    ctx.reply.int(answer);
}

/// To the nearest second. A time that is told is never negative: its key would have expired.
fn in_seconds(millis: i64) -> i64 {
    ((millis.unsigned_abs() + 500) / 1000) as i64
}
