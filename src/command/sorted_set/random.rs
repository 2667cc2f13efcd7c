//! ZRANDMEMBER.

use rand::rngs::SmallRng;
use rand::seq::index;
use rand::{Rng, SeedableRng};

use super::{push_members, push_pair};
use crate::command::args::{integer, is_word};
use crate::command::context::Context;
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::sorted_set::{SortedSet, SortedSetView};

const OUT_OF_RANGE: &str = "ERR value is out of range";
const OUT_OF_COUNT: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

/// ZRANDMEMBER key [count [WITHSCORES]]
pub fn zrandmember(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let mut rng = SmallRng::seed_from_u64(ctx.rng.random());
    let (count, with_scores) = match arguments[2..] {
        [] => {
            ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| match set {
                Some(set) => visit_at(set, rng.random_range(0..set.len()), |member, _| reply.bulk(member)),
                None => reply.null(),
            });
            return;
        }
        [count, ref rest @ ..] => match parse_count(count, rest) {
            Ok(parsed) => parsed,
            Err(error) => return ctx.reply.error(error),
        },
    };
    let bytes_max = ctx.config.output_bytes_max();
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| match set {
        Some(set) => push_random(set, count, with_scores, bytes_max, &mut rng, reply),
        None => reply.array(0),
    });
}

fn parse_count(count: &[u8], rest: &[&[u8]]) -> Result<(i64, bool), &'static str> {
    let count = integer(count)?;
    if count == i64::MIN {
        return Err(OUT_OF_COUNT);
    }
    match rest {
        [] => Ok((count, false)),
        [word] if is_word(word, "withscores") => {
            if count.unsigned_abs() > i64::MAX as u64 / 2 {
                Err(OUT_OF_RANGE)
            } else {
                Ok((count, true))
            }
        }
        _ => Err(SYNTAX),
    }
}

/// Replies `count` different members, or with a negative count that many of which some may be the same.
fn push_random(
    set: SortedSetView<'_>,
    count: i64,
    with_scores: bool,
    bytes_max: usize,
    rng: &mut SmallRng,
    reply: &mut Reply<'_>,
) {
    let (members, wanted) = (set.len(), usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    if count >= 0 && wanted >= members {
        return push_members(set, 0..members, false, with_scores, reply);
    }
    let is_flat = with_scores && !reply.is_resp3();
    reply.array(if is_flat { 2 * wanted } else { wanted });
    let start = reply.position();
    let mut push = |rank: usize| {
        visit_at(set, rank, |member, score| {
            if with_scores && !is_flat {
                reply.array(2);
            }
            if with_scores { push_pair(member, score, reply) } else { reply.bulk(member) }
        });
        reply.position() - start
    };
    if count < 0 {
        // Whoever asked for more than it may have is cut off; nothing is gained by the rest.
        let mut bytes = 0;
        for _ in 0..wanted {
            if bytes > bytes_max {
                break;
            }
            bytes = push(rng.random_range(0..members));
        }
    } else {
        index::sample(rng, members, wanted).into_iter().for_each(|rank| {
            push(rank);
        });
    }
}

fn visit_at(set: SortedSetView<'_>, rank: usize, visit: impl FnMut(&[u8], f64)) {
    set.visit(rank..rank + 1, false, visit);
}
