//! The bitmap family: rows here, with the handlers for single bits; the others in the files beside.
//!
//! A bitmap is a string. Bit 0 is the most significant bit of its first byte, and everything behind its end is zero.

mod count;
mod field;
mod operation;

#[cfg(test)]
mod bitmap_test;

use super::args::integer;
use super::context::KeyspaceEvents;
use super::keys::KeyFlags;
use super::string::modify::{present_length, write_string};
use super::{Command, Context, Flags, Group, KeySpec, Run};
use crate::base::number::parse_i64;
use crate::resp::error::WRONG_TYPE;

const BAD_OFFSET: &str = "ERR bit offset is not an integer or out of range";
const BAD_BIT: &str = "ERR bit is not an integer or out of range";

const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);
const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const CHANGE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, ACCESS)];
const BY_FIELDS: &str = "O(1) for each field.";

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("bitcount", -2, Flags::READONLY, count::bitcount).keys(READ_KEY).docs(
        "2.6.0",
        "Counts the bits that are set in a string or a part of it.",
        "O(N)",
    ),
    row("bitfield", -2, WRITE_OOM, field::bitfield)
        .keys(&[KeySpec::one(1, CHANGE.union(KeyFlags::VARIABLE_FLAGS))])
        .docs("3.2.0", "Reads, stores and increments integers of any width inside a string.", BY_FIELDS),
    row("bitfield_ro", -2, READ_FAST, field::bitfield_ro).keys(READ_KEY).docs(
        "6.0.0",
        "Reads integers of any width inside a string.",
        BY_FIELDS,
    ),
    row("bitop", -4, WRITE_OOM, operation::bitop)
        .keys(&[KeySpec::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)), KeySpec::range(3, -1, 1, ACCESS)])
        .docs("2.6.0", "Combines the bits of several strings and stores the result.", "O(N)"),
    row("bitpos", -3, Flags::READONLY, count::bitpos).keys(READ_KEY).docs(
        "2.8.7",
        "Finds the first bit that is set, or the first that is clear.",
        "O(N)",
    ),
    row("getbit", 3, READ_FAST, getbit).keys(READ_KEY).docs("2.2.0", "Answers one bit of a string.", "O(1)"),
    row("setbit", 4, WRITE_OOM, setbit).keys(&[KeySpec::one(1, CHANGE)]).docs(
        "2.2.0",
        "Sets or clears one bit of a string and answers what it was.",
        "O(1)",
    ),
];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::Bitmap, Run::Keyspace(handler)).flags(flags)
}

/// A bit offset that a string of at most `proto-max-bulk-len` bytes can have; one after `#` counts in fields of `bits`
/// bits where that is allowed.
fn parse_offset(context: &Context<'_>, text: &[u8], bits: Option<u32>) -> Result<u64, &'static str> {
    let (digits, unit) = match (text, bits) {
        ([b'#', digits @ ..], Some(bits)) => (digits, i64::from(bits)),
        _ => (text, 1),
    };
    let offset = parse_i64(digits).and_then(|number| number.checked_mul(unit)).ok_or(BAD_OFFSET)?;
    let offset = u64::try_from(offset).map_err(|_| BAD_OFFSET)?;
    let is_within = offset / 8 < context.string_bytes_max() as u64;
    is_within.then_some(offset).ok_or(BAD_OFFSET)
}

/// SETBIT key offset value
fn setbit(context: &mut Context<'_>, arguments: &[&[u8]]) {
    match change_bit(context, arguments) {
        Ok(was_set) => context.reply.int(i64::from(was_set)),
        Err(error) => context.reply.error(error),
    }
}

fn change_bit(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<bool, &'static str> {
    let key = arguments[1];
    let offset = parse_offset(context, arguments[2], None)?;
    let sets = match arguments[3] {
        b"0" => false,
        b"1" => true,
        _ => return Err(BAD_BIT),
    };
    let byte = (offset / 8) as usize;
    let mask = 0x80u8 >> (offset % 8);
    let grows = present_length(context, key)?.is_none_or(|length| length <= byte);
    let was_set = write_string(context, key, byte + 1, |bytes| {
        let was_set = bytes[byte] & mask != 0;
        if sets {
            bytes[byte] |= mask;
        } else {
            bytes[byte] &= !mask;
        }
        was_set
    })?;
    if grows || was_set != sets {
        context.modified(key, KeyspaceEvents::STRING, "setbit");
    }
    Ok(was_set)
}

/// GETBIT key offset
fn getbit(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let offset = match parse_offset(context, arguments[2], None) {
        Ok(offset) => offset,
        Err(error) => return context.reply.error(error),
    };
    context.read(arguments[1], |entry, reply| {
        let Some(entry) = entry else { return reply.int(0) };
        match entry.string(&mut itoa::Buffer::new()) {
            Some(bytes) => {
                let byte = bytes.get((offset / 8) as usize).copied().unwrap_or(0);
                reply.int(i64::from(byte >> (7 - offset % 8) & 1));
            }
            None => reply.error(WRONG_TYPE),
        }
    });
}

/// The range that two arguments name, in bits or bytes as counted.
fn parse_range(start: &[u8], end: &[u8]) -> Result<(i64, i64), &'static str> {
    Ok((integer(start)?, integer(end)?))
}
