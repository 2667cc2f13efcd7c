//! Reading: LLEN, LINDEX, LRANGE, LPOS.

use super::{absolute, at_least, part, push_element};
use crate::command::Context;
use crate::command::args::{Cursor, integer};
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::list::{End, List};
use crate::store::packed::Element;

const RANK_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
    negative to start from the end of the list";
const RANK_OUT_OF_RANGE: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

/// LLEN key
pub(super) fn llen(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<List, _>(arguments[1], |list, reply| reply.count(list.map_or(0, List::len)));
}

/// LINDEX key index
pub(super) fn lindex(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<List, _>(arguments[1], |list, reply| {
        let Some(list) = list else { return reply.null() };
        let index = match integer(arguments[2]) {
            Ok(index) => index,
            Err(error) => return reply.error(error),
        };
        match absolute(index, list.len()).and_then(|index| list.get(index)) {
            Some(element) => push_element(reply, element),
            None => reply.null(),
        }
    });
}

/// LRANGE key start stop
pub(super) fn lrange(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (start, stop) = match (integer(arguments[2]), integer(arguments[3])) {
        (Ok(start), Ok(stop)) => (start, stop),
        (Err(error), _) | (_, Err(error)) => return ctx.reply.error(error),
    };
    ctx.read_sliced::<List, _>(arguments[1], |list, reply, slices| {
        let Some(list) = list else { return reply.array(0) };
        let part = part(start, stop, list.len());
        let from = |done| list.walk(End::Head, part.start + done).take(part.len() - done);
        let Some(slice) = slices.of(part.len()) else {
            reply.array(part.len());
            return from(0).for_each(|element| push_element(reply, element));
        };
        if slice.is_first() {
            reply.array(part.len());
        }
        slice.count(reply, part.len(), |done, reply, goes_on| {
            for element in from(done) {
                push_element(reply, element);
                if !goes_on(reply) {
                    break;
                }
            }
        });
    });
}

/// What LPOS looks for.
struct Search {
    /// From where.
    from: End,
    /// The first match that counts, from 1.
    rank: usize,
    /// How many matches are wanted, 0 for all; without it the reply is no array.
    count: Option<usize>,
    /// How many elements are looked at, 0 for all.
    max_len: usize,
}

impl Search {
    fn parse(arguments: &[&[u8]]) -> Result<Self, &'static str> {
        let mut search = Self { from: End::Head, rank: 1, count: None, max_len: 0 };
        let mut options = Cursor::new(arguments, 3);
        while !options.is_done() {
            if options.remaining() < 2 {
                return Err(SYNTAX);
            }
            if options.accept("rank") {
                let rank = options.need_i64()?;
                match rank {
                    0 => return Err(RANK_ZERO),
                    i64::MIN => return Err(RANK_OUT_OF_RANGE),
                    _ => {}
                }
                search.from = if rank < 0 { End::Tail } else { End::Head };
                search.rank = rank.unsigned_abs() as usize;
            } else if options.accept("count") {
                search.count = Some(at_least(0, options.need()?, "ERR COUNT can't be negative")?);
            } else if options.accept("maxlen") {
                search.max_len = at_least(0, options.need()?, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(search)
    }

    /// The indexes of matches, counted from the head.
    fn matches<'a>(&self, list: &'a List, wanted: Element<'a>) -> impl Iterator<Item = usize> + use<'a> {
        let (from, last) = (self.from, list.len().saturating_sub(1));
        let seen = if self.max_len == 0 { usize::MAX } else { self.max_len };
        let count = self.count.map_or(1, |count| if count == 0 { usize::MAX } else { count });
        let equal = list.walk(from, 0).take(seen).enumerate().filter(move |(_, element)| *element == wanted);
        let counted = equal.skip(self.rank - 1).take(count);
        counted.map(move |(at, _)| if from == End::Head { at } else { last - at })
    }
}

/// LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]
pub(super) fn lpos(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let search = match Search::parse(arguments) {
        Ok(search) => search,
        Err(error) => return ctx.reply.error(error),
    };
    let wanted = Element::of(arguments[2]);
    ctx.read_as::<List, _>(arguments[1], |list, reply| match (search.count, list) {
        (None, None) => reply.null(),
        (Some(_), None) => reply.array(0),
        (None, Some(list)) => match search.matches(list, wanted).next() {
            Some(index) => reply.count(index),
            None => reply.null(),
        },
        (Some(_), Some(list)) => push_matches(reply, search.matches(list, wanted)),
    });
}

fn push_matches(reply: &mut Reply<'_>, matches: impl Iterator<Item = usize>) {
    let open = reply.open();
    let mut found = 0;
    for index in matches {
        reply.count(index);
        found += 1;
    }
    reply.close_array(open, found);
}
