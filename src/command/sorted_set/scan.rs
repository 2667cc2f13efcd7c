//! ZSCAN.

use crate::base::number::{format_f64, format_f64_long};
use crate::command::context::Context;
use crate::command::generic::scan::{INVALID_CURSOR, Wanted, parse_cursor, push_page};
use crate::resp::Reply;
use crate::store::sorted_set::{SortedSet, SortedSetView};

/// ZSCAN key cursor [MATCH pattern] [COUNT count]. Scores come as Redis has them in either form: as short as may be, or with
/// 17 digits.
pub fn zscan(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let Some(cursor) = parse_cursor(arguments[2]) else { return ctx.reply.error(INVALID_CURSOR) };
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        let Some(set) = set else { return push_page(reply, 0, 0, &[]) };
        let wanted = match Wanted::parse(&arguments[3..], false) {
            Ok(wanted) => wanted,
            Err(error) => return reply.error(error),
        };
        let format = if matches!(set, SortedSetView::Packed(_)) { format_f64 } else { format_f64_long };
        let (mut found, mut encoded) = (0, Vec::new());
        let next = set.scan(cursor, wanted.count, |member, score| {
            if wanted.accepts(member) {
                let mut page = Reply::new(&mut encoded, Default::default());
                page.bulk(member);
                page.bulk(format(score).as_bytes());
                found += 2;
            }
        });
        push_page(reply, next, found, &encoded);
    });
}
