//! Walking over the keys: SCAN with the server's cursor, KEYS, RANDOMKEY.
//!
//! A cursor of the whole server is the number of a shard above the [`CURSOR_BITS`] bits of that shard's table. The walk
//! goes through one shard after the other; with one shard the cursor is the table's own.

use rand::Rng;

use crate::base::glob;
use crate::base::number::until_zero;
use crate::base::slot::ShardId;
use crate::command::args::{Cursor, integer};
use crate::command::context::Context;
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::entry::Entry;
use crate::store::table::{CURSOR_BITS, Table};

/// The cursor is no number.
pub const INVALID_CURSOR: &str = "ERR invalid cursor";

/// Elements that a call returns unless it says COUNT.
const DEFAULT_COUNT: usize = 10;

/// So many times COUNT is the work of one call at most, however few elements it finds.
const WORK_PER_ELEMENT: usize = 10;

/// The cursor for going on at `position` of a shard's table.
pub fn pack_cursor(shard: ShardId, position: u64) -> u64 {
    (shard as u64) << CURSOR_BITS | position
}

/// The shard and the position in its table that a cursor names. Any number names some place, as in Redis.
pub fn unpack_cursor(cursor: u64, shards: usize) -> (ShardId, u64) {
    ((cursor >> CURSOR_BITS) as usize % shards, cursor & ((1 << CURSOR_BITS) - 1))
}

/// Reads a cursor as C's `strtoul` does, but without blanks: an empty argument is zero, a minus sign wraps.
pub fn parse_cursor(argument: &[u8]) -> Option<u64> {
    let (negative, digits) = match until_zero(argument) {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let magnitude = crate::base::number::parse_u64(digits)?;
    Some(if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// The shard that runs this SCAN; shard zero when the cursor is none, so that it says so.
pub fn cursor_shard(arguments: &[&[u8]], shards: usize) -> ShardId {
    let cursor = arguments.get(1).and_then(|argument| parse_cursor(argument)).unwrap_or(0);
    unpack_cursor(cursor, shards).0
}

/// What SCAN and its kin return.
pub struct Wanted<'a> {
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
    /// About how many elements a call looks at.
    pub count: usize,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Wanted { pattern: None, type_name: None, count: DEFAULT_COUNT }
    }
}

impl<'a> Wanted<'a> {
    /// Reads the options, which stand behind a cursor. Only `of_keys` there is TYPE.
    pub fn parse(arguments: &[&'a [u8]], of_keys: bool) -> Result<Self, &'static str> {
        Self::parse_with_flag(arguments, of_keys, None).map(|(wanted, _)| wanted)
    }

    /// Like [`Wanted::parse`], and tells whether the word `flag` stands among the options.
    pub fn parse_with_flag(
        arguments: &[&'a [u8]],
        of_keys: bool,
        flag: Option<&str>,
    ) -> Result<(Self, bool), &'static str> {
        let mut wanted = Wanted::default();
        let mut is_flagged = false;
        let mut options = Cursor::new(arguments, 0);
        while !options.is_done() {
            if flag.is_some_and(|flag| options.accept(flag)) {
                is_flagged = true;
            } else if options.remaining() < 2 {
                return Err(SYNTAX);
            } else if options.accept("count") {
                let count = integer(options.need()?)?;
                wanted.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
            } else if options.accept("match") {
                wanted.pattern = Some(options.need()?);
            } else if of_keys && options.accept("type") {
                wanted.type_name = Some(options.need()?);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok((wanted, is_flagged))
    }

    /// Whether a key, field or member matches the pattern.
    pub fn accepts(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| matches(pattern, name))
    }

    /// Visits about as many entries as wanted from `position` on; returns where to go on, 0 at the end.
    pub fn walk(&self, table: &Table, mut position: u64, mut visit: impl FnMut(&Entry)) -> u64 {
        let (mut seen, mut work) = (0, self.count.saturating_mul(WORK_PER_ELEMENT));
        while seen < self.count && work > 0 {
            let budget = (self.count - seen).min(work);
            work -= budget;
            position = table.scan(position, budget, |entry| {
                seen += 1;
                visit(entry);
            });
            if position == 0 {
                break;
            }
        }
        position
    }

    fn has_type(&self, entry: &Entry) -> bool {
        self.type_name.is_none_or(|name| entry.type_name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// The pattern `*` also matches the empty key, which no other pattern with a star does.
fn matches(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob::matches(pattern, key, false)
}

/// SCAN. Keys whose time has come are removed instead of returned.
pub fn scan(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let Some(cursor) = parse_cursor(arguments[1]) else { return ctx.reply.error(INVALID_CURSOR) };
    let wanted = match Wanted::parse(&arguments[2..], true) {
        Ok(wanted) => wanted,
        Err(error) => return ctx.reply.error(error),
    };
    let (_, position) = unpack_cursor(cursor, ctx.shards);
    let (mut found, mut encoded, mut expired) = (0, Vec::new(), Vec::new());
    let table = ctx.keyspace.database(ctx.database()).table();
    let position = wanted.walk(table, position, |entry| {
        if !wanted.accepts(entry.key()) {
            return;
        }
        if entry.is_expired(ctx.now) {
            expired.push(entry.key().to_vec());
        } else if wanted.has_type(entry) {
            Reply::new(&mut encoded, Default::default()).bulk(entry.key());
            found += 1;
        }
    });
    for key in expired {
        ctx.expire(ctx.database(), &key);
    }
    let next = next_cursor(ctx, position);
    push_page(&mut ctx.reply, next, found, &encoded);
}

/// Replies where to go on, and `count` elements that are encoded already.
pub fn push_page(reply: &mut Reply<'_>, next: u64, count: usize, encoded: &[u8]) {
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(count);
    reply.raw(encoded);
}

/// After a shard's last key comes the next shard, after the last shard the end.
fn next_cursor(ctx: &Context<'_>, position: u64) -> u64 {
    match position {
        0 if ctx.shard + 1 < ctx.shards => pack_cursor(ctx.shard + 1, 0),
        0 => 0,
        position => pack_cursor(ctx.shard, position),
    }
}

/// KEYS
pub fn keys(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (pattern, now) = (arguments[1], ctx.now);
    let open = ctx.reply.open();
    let mut found = 0;
    let table = ctx.keyspace.database(ctx.caller.database as usize).table();
    let reply = &mut ctx.reply;
    table.scan(0, usize::MAX, |entry| {
        if matches(pattern, entry.key()) && !entry.is_expired(now) {
            reply.bulk(entry.key());
            found += 1;
        }
    });
    ctx.reply.close_array(open, found);
}

/// RANDOMKEY. Of several shards each answers the number of its keys and a key, and the merge draws.
pub fn randomkey(ctx: &mut Context<'_>, _arguments: &[&[u8]]) {
    let drawn = draw(ctx);
    if ctx.shards > 1 {
        ctx.reply.array(2);
        ctx.reply.count(ctx.keyspace.database(ctx.database()).len());
    }
    match drawn {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
}

/// Draws after which RANDOMKEY answers a key whose time has come, when such keys are kept and there may be no other.
const DRAWS_MAX: usize = 100;

/// A key by chance; those whose time has come are removed on the way.
fn draw(ctx: &mut Context<'_>) -> Option<Box<[u8]>> {
    let database = ctx.database();
    for draw in 1.. {
        let entry = ctx.keyspace.database(database).table().random(ctx.rng.random())?;
        let key: Box<[u8]> = entry.key().into();
        if !entry.is_expired(ctx.now) || (ctx.keyspace.keeps_expired && draw == DRAWS_MAX) {
            return Some(key);
        }
        ctx.expire(database, &key);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        assert_eq!(pack_cursor(0, 17), 17);
        for (shard, position) in [(0, 0), (3, 0), (3, (1 << CURSOR_BITS) - 1), (255, 1)] {
            assert_eq!(unpack_cursor(pack_cursor(shard, position), 256), (shard, position));
        }
        assert_eq!(unpack_cursor(u64::MAX, 1).0, 0);
        for (text, cursor) in [
            ("0", Some(0)),
            ("", Some(0)),
            ("+5", Some(5)),
            ("-1", Some(u64::MAX)),
            ("007", Some(7)),
            ("\0x", Some(0)),
            ("5\0x", Some(5)),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), cursor, "{text}");
        }
        for text in [" 1", "1 ", "a", "-", "+", "--1", "18446744073709551616", "1.0"] {
            assert_eq!(parse_cursor(text.as_bytes()), None, "{text}");
        }
    }
}
