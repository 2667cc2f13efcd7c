//! Storing several strings in one step: MSET, MSETNX, MSETEX.

use super::expiry::Expiry;
use super::set::store;
use crate::base::clock::UnixMillis;
use crate::command::Context;
use crate::command::args::{Cursor, integer};
use crate::resp::error::{SYNTAX, wrong_arity};

const BAD_NUMBER_OF_KEYS: &str = "ERR invalid numkeys value";
const BAD_NUMBER_OF_PAIRS: &str = "ERR wrong number of key-value pairs";

/// MSET key value [key value ...]
pub(super) fn mset(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let pairs = &arguments[1..];
    if !pairs.len().is_multiple_of(2) {
        return context.reply.error(wrong_arity("mset"));
    }
    store_pairs(context, pairs, None, false);
    context.reply.ok();
}

/// MSETNX key value [key value ...]
pub(super) fn msetnx(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let pairs = &arguments[1..];
    if !pairs.len().is_multiple_of(2) {
        return context.reply.error(wrong_arity("msetnx"));
    }
    let is_free = !pairs.chunks_exact(2).any(|pair| context.exists(pair[0]));
    if is_free {
        store_pairs(context, pairs, None, false);
    }
    context.reply.int(i64::from(is_free));
}

fn store_pairs(context: &mut Context<'_>, pairs: &[&[u8]], deadline: Option<UnixMillis>, keep_ttl: bool) {
    for pair in pairs.chunks_exact(2) {
        store(context, pair[0], pair[1], deadline, keep_ttl);
    }
}

/// The options of MSETEX.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'a> {
    /// Store only if all keys exist (`true`) or none does (`false`).
    all_exist: Option<bool>,
    expiry: Option<Expiry<'a>>,
    keep_ttl: bool,
}

impl<'a> Options<'a> {
    fn parse(mut cursor: Cursor<'a, '_>) -> Result<Self, &'static str> {
        let mut options = Self::default();
        while !cursor.is_done() {
            if let Some(expiry) = Expiry::take(&mut cursor) {
                let agrees = options.expiry.is_none_or(|earlier| earlier.unit == expiry.unit);
                if options.keep_ttl || !agrees {
                    return Err(SYNTAX);
                }
                options.expiry = Some(expiry);
            } else if options.expiry.is_none() && cursor.accept("KEEPTTL") {
                options.keep_ttl = true;
            } else if options.all_exist != Some(true) && cursor.accept("NX") {
                options.all_exist = Some(false);
            } else if options.all_exist != Some(false) && cursor.accept("XX") {
                options.all_exist = Some(true);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}

/// MSETEX numkeys key value [key value ...] [NX | XX]
/// [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | KEEPTTL]
pub(super) fn msetex(context: &mut Context<'_>, arguments: &[&[u8]]) {
    match store_with_options(context, arguments) {
        Ok(stored) => context.reply.int(i64::from(stored)),
        Err(error) => context.reply.error(error),
    }
}

fn store_with_options(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<bool, String> {
    let keys = integer(arguments[1])
        .ok()
        .filter(|keys| (1..=i64::from(i32::MAX)).contains(keys))
        .ok_or(BAD_NUMBER_OF_KEYS)? as usize;
    let options_at = 2 + 2 * keys;
    let pairs = arguments.get(2..options_at).ok_or(BAD_NUMBER_OF_PAIRS)?;
    let options = Options::parse(Cursor::new(arguments, options_at))?;
    let deadline = options.expiry.map(|expiry| expiry.deadline(context.now, "msetex")).transpose()?;
    if let Some(all_exist) = options.all_exist {
        let is_met = pairs.chunks_exact(2).all(|pair| context.exists(pair[0]) == all_exist);
        if !is_met {
            return Ok(false);
        }
    }
    store_pairs(context, pairs, deadline, options.keep_ttl);
    replicate(context, pairs, deadline, options.keep_ttl);
    Ok(true)
}

/// Replicates MSETEX in commands that older servers know.
fn replicate(context: &mut Context<'_>, pairs: &[&[u8]], deadline: Option<UnixMillis>, keep_ttl: bool) {
    if keep_ttl {
        for pair in pairs.chunks_exact(2) {
            context.replicate(&[b"SET", pair[0], pair[1], b"KEEPTTL"]);
        }
        return;
    }
    let mut mset: Vec<&[u8]> = Vec::with_capacity(1 + pairs.len());
    mset.push(b"MSET");
    mset.extend_from_slice(pairs);
    context.replicate(&mset);
    let Some(deadline) = deadline else { return };
    let mut digits = itoa::Buffer::new();
    let moment = digits.format(deadline).as_bytes();
    for pair in pairs.chunks_exact(2) {
        context.replicate(&[b"PEXPIREAT", pair[0], moment]);
    }
}
