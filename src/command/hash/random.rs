//! HRANDFIELD.

use ahash::AHashSet;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{push, read};
use crate::command::Context;
use crate::command::args::{integer, is_word};
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::hash::{HashView, Pair};
use crate::store::packed::Element;

const OUT_OF_RANGE: &str = "ERR value is out of range";
const COUNT_OUT_OF_RANGE: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

/// Draws without repetition as long as they are few in comparison with the fields; else it is cheaper to walk all.
const FIELDS_PER_DRAW: usize = 3;

/// HRANDFIELD key \[count \[WITHVALUES\]\]
pub(super) fn hrandfield(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    if arguments.len() == 2 {
        return one(ctx, arguments[1]);
    }
    match parse(&arguments[2..]) {
        Ok((count, with_values)) => several(ctx, arguments[1], count, with_values),
        Err(error) => ctx.reply.error(error),
    }
}

fn parse(options: &[&[u8]]) -> Result<(i64, bool), &'static str> {
    let count = integer(options[0])?;
    if count == i64::MIN {
        return Err(COUNT_OUT_OF_RANGE);
    }
    match options {
        [_] => Ok((count, false)),
        [_, word] if is_word(word, "withvalues") => {
            if count.unsigned_abs() > i64::MAX as u64 / 2 {
                Err(OUT_OF_RANGE)
            } else {
                Ok((count, true))
            }
        }
        _ => Err(SYNTAX),
    }
}

fn one(ctx: &mut Context<'_>, key: &[u8]) {
    let mut rng = SmallRng::from_rng(ctx.rng);
    read(ctx, key, |hash, reply| {
        let drawn = hash.filter(|hash| !hash.is_empty()).and_then(|hash| hash.random(|| rng.random()));
        match drawn {
            Some(pair) => push(reply, pair.field),
            None => reply.null(),
        }
    });
}

fn several(ctx: &mut Context<'_>, key: &[u8], count: i64, with_values: bool) {
    let mut rng = SmallRng::from_rng(ctx.rng);
    let bytes_max = ctx.config.output_bytes_max();
    read(ctx, key, |hash, reply| {
        let Some(hash) = hash.filter(|hash| count != 0 && !hash.is_empty()) else { return reply.array(0) };
        let wanted = count.unsigned_abs() as usize;
        let drawn = if count < 0 { wanted } else { wanted.min(hash.len()) };
        let is_flat = with_values && !reply.is_resp3();
        reply.array(if is_flat { 2 * drawn } else { drawn });
        if count < 0 {
            let start = reply.position();
            // Whoever asked for more than it may have is cut off; nothing is gained by the rest.
            for _ in 0..drawn {
                if reply.position() - start > bytes_max {
                    break;
                }
                if let Some(pair) = hash.random(|| rng.random()) {
                    push_pair(reply, pair, with_values);
                }
            }
        } else if hash.is_packed() || hash.is_hiding() || drawn.saturating_mul(FIELDS_PER_DRAW) > hash.len() {
            select(hash, drawn, &mut rng, |pair| push_pair(reply, pair, with_values));
        } else {
            draw_distinct(hash, drawn, &mut rng, |pair| push_pair(reply, pair, with_values));
        }
    });
}

/// Walks all fields and takes `wanted` of them, each set of so many equally likely (Knuth's algorithm S).
fn select(hash: HashView<'_>, wanted: usize, rng: &mut SmallRng, mut take: impl FnMut(Pair<'_>)) {
    let (mut left, mut wanted) = (hash.len(), wanted);
    hash.each(|pair| {
        if wanted > 0 && rng.random_range(0..left) < wanted {
            wanted -= 1;
            take(pair);
        }
        left -= 1;
    });
}

/// Draws until there are `wanted` different fields.
fn draw_distinct(hash: HashView<'_>, wanted: usize, rng: &mut SmallRng, mut take: impl FnMut(Pair<'_>)) {
    let mut drawn = AHashSet::with_capacity(wanted);
    while drawn.len() < wanted {
        let Some(pair) = hash.random(|| rng.random()) else { return };
        if let Element::Bytes(field) = pair.field
            && drawn.insert(field)
        {
            take(pair);
        }
    }
}

fn push_pair(reply: &mut Reply<'_>, pair: Pair<'_>, with_value: bool) {
    if with_value && reply.is_resp3() {
        reply.array(2);
    }
    push(reply, pair.field);
    if with_value {
        push(reply, pair.value);
    }
}
