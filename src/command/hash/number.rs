//! Values as numbers: HINCRBY, HINCRBYFLOAT.

use super::limits;
use crate::base::extended::Extended;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::integer;
use crate::command::context::KeyspaceEvents;
use crate::resp::error::NOT_A_FLOAT;
use crate::store::hash::{Deadline, Hash};
use crate::store::packed::Element;

const NOT_AN_INTEGER: &str = "ERR hash value is not an integer";
const VALUE_NOT_A_FLOAT: &str = "ERR hash value is not a float";
const OVERFLOW: &str = "ERR increment or decrement would overflow";
const INFINITE_INCREMENT: &str = "ERR value is NaN or Infinity";
const INFINITE_SUM: &str = "ERR increment would produce NaN or Infinity";

/// HINCRBY key field increment
pub(super) fn hincrby(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, field) = (arguments[1], arguments[2]);
    let increment = match integer(arguments[3]) {
        Ok(increment) => increment,
        Err(error) => return ctx.reply.error(error),
    };
    let changed = ctx.change_or_create(key, |hash: &mut Hash, config| -> Result<i64, &'static str> {
        let present = match hash.view().get(field) {
            None => 0,
            Some(Element::Int(present)) => present,
            Some(Element::Bytes(bytes)) => parse_i64(bytes).ok_or(NOT_AN_INTEGER)?,
        };
        let sum = present.checked_add(increment).ok_or(OVERFLOW)?;
        hash.set(field, itoa::Buffer::new().format(sum).as_bytes(), Deadline::Stays, limits(config));
        Ok(sum)
    });
    match changed.map(|changed| changed.result) {
        Err(_) => {}
        Ok(Err(error)) => ctx.reply.error(error),
        Ok(Ok(sum)) => {
            ctx.reply.int(sum);
            ctx.modified(key, KeyspaceEvents::HASH, "hincrby");
        }
    }
}

/// HINCRBYFLOAT key field increment
pub(super) fn hincrbyfloat(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, field) = (arguments[1], arguments[2]);
    let increment = match Extended::parse(arguments[3]) {
        Some(increment @ Extended::Finite { .. }) => increment,
        Some(Extended::Infinite { .. }) => return ctx.reply.error(INFINITE_INCREMENT),
        None => return ctx.reply.error(NOT_A_FLOAT),
    };
    let changed = ctx.change_or_create(key, |hash: &mut Hash, config| -> Result<_, &'static str> {
        let present = hash.view().find(field);
        let value = match present.map(|pair| pair.value) {
            None => Extended::ZERO,
            Some(Element::Int(value)) => Extended::from_i64(value),
            Some(Element::Bytes(bytes)) => Extended::parse(bytes).ok_or(VALUE_NOT_A_FLOAT)?,
        };
        let deadline = present.and_then(|pair| pair.deadline);
        let text = value.checked_add(increment).map(Extended::format).ok_or(INFINITE_SUM)?;
        hash.set(field, text.as_bytes(), Deadline::Stays, limits(config));
        Ok((text, deadline))
    });
    match changed.map(|changed| changed.result) {
        Err(_) => {}
        Ok(Err(error)) => ctx.reply.error(error),
        Ok(Ok((text, deadline))) => {
            ctx.reply.bulk(text.as_bytes());
            ctx.replicate(&[b"HSET", key, field, text.as_bytes()]);
            // HSET ends it.
            if let Some(at_ms) = deadline {
                let at_ms = at_ms.to_string();
                ctx.replicate(&[b"HPEXPIREAT".as_slice(), key, at_ms.as_bytes(), b"FIELDS", b"1", field]);
            }
            ctx.modified(key, KeyspaceEvents::HASH, "hincrbyfloat");
        }
    }
}
