//! HSCAN.

use super::{push, read};
use crate::command::Context;
use crate::command::generic::scan::{INVALID_CURSOR, Wanted, parse_cursor, push_page};
use crate::resp::Reply;

/// HSCAN key cursor \[MATCH pattern\] \[COUNT count\] \[NOVALUES\]
pub(super) fn hscan(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let Some(cursor) = parse_cursor(arguments[2]) else { return ctx.reply.error(INVALID_CURSOR) };
    read(ctx, arguments[1], |hash, reply| {
        // Without a hash Redis does not even look at the options.
        let Some(hash) = hash else { return push_page(reply, 0, 0, &[]) };
        let (wanted, no_values) = match Wanted::parse_with_flag(&arguments[3..], false, Some("novalues")) {
            Ok(parsed) => parsed,
            Err(error) => return reply.error(error),
        };
        let (mut found, mut encoded) = (0, Vec::new());
        let next = hash.scan(cursor, wanted.count, |pair| {
            let mut digits = itoa::Buffer::new();
            let field = pair.field.bytes(&mut digits);
            if !wanted.accepts(field) {
                return;
            }
            let mut page = Reply::new(&mut encoded, Default::default());
            page.bulk(field);
            found += 1;
            if !no_values {
                push(&mut page, pair.value);
                found += 1;
            }
        });
        push_page(reply, next, found, &encoded);
    });
}
