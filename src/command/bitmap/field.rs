//! BITFIELD: integers of any width up to 64 bits anywhere in a string, most significant bit first.

use super::parse_offset;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::Cursor;
use crate::command::context::KeyspaceEvents;
use crate::command::string::modify::{present_length, write_string};
use crate::resp::Reply;
use crate::resp::error::{SYNTAX, WRONG_TYPE};

const BAD_TYPE: &str =
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
const BAD_OVERFLOW: &str = "ERR Invalid OVERFLOW type specified";
const READ_ONLY: &str = "ERR BITFIELD_RO only supports the GET subcommand";

/// Bytes that a field of 64 bits can touch.
const WINDOW_BYTES: usize = 9;

/// What happens to a value that its field cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// Its low bits are stored.
    Wrap,
    /// The nearest value that fits is stored.
    Saturate,
    /// Nothing is stored.
    Fail,
}

/// Where an integer is and how it is read.
#[derive(Clone, Copy, Debug)]
struct Field {
    is_signed: bool,
    bits: u32,
    offset: u64,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

type Step = (Field, Action);

/// BITFIELD key [GET type offset] [[OVERFLOW WRAP | SAT | FAIL] SET type offset value | INCRBY type offset increment] …
pub(super) fn bitfield(context: &mut Context<'_>, arguments: &[&[u8]]) {
    run(context, arguments, false);
}

/// BITFIELD_RO key [GET type offset] …
pub(super) fn bitfield_ro(context: &mut Context<'_>, arguments: &[&[u8]]) {
    run(context, arguments, true);
}

fn run(context: &mut Context<'_>, arguments: &[&[u8]], is_read_only: bool) {
    let steps = match parse(context, arguments) {
        Ok(steps) => steps,
        Err(error) => return context.reply.error(error),
    };
    let end =
        steps.iter().filter(|(_, action)| !matches!(action, Action::Get)).map(|(field, _)| field.end()).max();
    match end {
        None => read(context, arguments[1], &steps),
        Some(_) if is_read_only => context.reply.error(READ_ONLY),
        Some(end) => {
            if let Err(error) = write(context, arguments[1], &steps, end) {
                context.reply.error(error);
            }
        }
    }
}

fn parse(context: &Context<'_>, arguments: &[&[u8]]) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut cursor = Cursor::new(arguments, 2);
    while !cursor.is_done() {
        let remaining = cursor.remaining() - 1;
        if remaining >= 1 && cursor.accept("OVERFLOW") {
            overflow = parse_overflow(&mut cursor)?;
        } else if remaining >= 2 && cursor.accept("GET") {
            steps.push((parse_field(context, &mut cursor)?, Action::Get));
        } else if remaining >= 3 && cursor.accept("SET") {
            let field = parse_field(context, &mut cursor)?;
            steps.push((field, Action::Set(cursor.need_i64()?, overflow)));
        } else if remaining >= 3 && cursor.accept("INCRBY") {
            let field = parse_field(context, &mut cursor)?;
            steps.push((field, Action::Add(cursor.need_i64()?, overflow)));
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(steps)
}

fn parse_overflow(cursor: &mut Cursor<'_, '_>) -> Result<Overflow, &'static str> {
    if cursor.accept("WRAP") {
        Ok(Overflow::Wrap)
    } else if cursor.accept("SAT") {
        Ok(Overflow::Saturate)
    } else if cursor.accept("FAIL") {
        Ok(Overflow::Fail)
    } else {
        Err(BAD_OVERFLOW)
    }
}

/// Reads a type (`i16`, `u8`) and an offset.
fn parse_field(context: &Context<'_>, cursor: &mut Cursor<'_, '_>) -> Result<Field, &'static str> {
    let (is_signed, digits) = match cursor.need()? {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => return Err(BAD_TYPE),
    };
    let bits_max = if is_signed { 64 } else { 63 };
    let bits = parse_i64(digits).filter(|bits| (1..=bits_max).contains(bits)).ok_or(BAD_TYPE)? as u32;
    let offset = parse_offset(context, cursor.need()?, Some(bits))?;
    Ok(Field { is_signed, bits, offset })
}

fn read(context: &mut Context<'_>, key: &[u8], steps: &[Step]) {
    context.read(key, |entry, reply| {
        let mut digits = itoa::Buffer::new();
        let bytes = match entry.map(|entry| entry.string(&mut digits)) {
            None => &[],
            Some(Some(bytes)) => bytes,
            Some(None) => return reply.error(WRONG_TYPE),
        };
        reply.array(steps.len());
        for (field, _) in steps {
            reply.int(field.get(bytes) as i64);
        }
    });
}

/// Runs all steps over the string, which is extended first to the last bit that any step may write.
fn write(context: &mut Context<'_>, key: &[u8], steps: &[Step], end: u64) -> Result<(), &'static str> {
    let length = end.div_ceil(8) as usize;
    let grows = present_length(context, key)?.is_none_or(|present| present < length);
    let mut changed = false;
    let results = write_string(context, key, length, |bytes| {
        let run = |(field, action): &Step| field.run(*action, bytes, grows, &mut changed);
        steps.iter().map(run).collect::<Vec<Option<i64>>>()
    })?;
    if changed {
        context.modified(key, KeyspaceEvents::STRING, "setbit");
    } else if grows {
        // Every step failed, of which nobody is told in Redis. Replicas must grow theirs all the same.
        context.changed_aside();
    }
    push_results(&mut context.reply, &results);
    Ok(())
}

fn push_results(reply: &mut Reply<'_>, results: &[Option<i64>]) {
    reply.array(results.len());
    for result in results {
        match result {
            Some(value) => reply.int(*value),
            None => reply.null(),
        }
    }
}

impl Field {
    /// The bit behind its last one.
    fn end(&self) -> u64 {
        self.offset + u64::from(self.bits)
    }

    /// Does one step and returns its reply; notes whether the field changed, or was written to a string that `grows`.
    fn run(&self, action: Action, bytes: &mut [u8], grows: bool, changed: &mut bool) -> Option<i64> {
        let old = self.get(bytes);
        let (wanted, overflow) = match action {
            Action::Get => return Some(old as i64),
            // Redis takes the distance to the largest value in 64 bits: of a value near the least one it wraps, and the
            // field is saturated at its other end.
            Action::Set(value, Overflow::Saturate) if self.is_signed && self.wraps_around(value) => {
                (i128::from(i64::MAX), Overflow::Saturate)
            }
            Action::Set(value, overflow) if self.is_signed => (i128::from(value), overflow),
            // Redis takes a negative value for an unsigned field as the large number with the same bits.
            Action::Set(value, overflow) => (i128::from(value as u64), overflow),
            Action::Add(increment, overflow) => (old + i128::from(increment), overflow),
        };
        let new = self.fit(wanted, overflow)?;
        self.set(bytes, new as u64);
        *changed |= grows || new != old;
        Some(if matches!(action, Action::Set(..)) { old as i64 } else { new as i64 })
    }

    /// Whether a value below a signed field's range is so far from its largest value that 64 bits do not hold that.
    fn wraps_around(&self, value: i64) -> bool {
        let most = (1i128 << (self.bits - 1)) - 1;
        self.bits < 64 && most - i128::from(value) > i128::from(i64::MAX)
    }

    /// What is stored for `value`.
    fn fit(&self, value: i128, overflow: Overflow) -> Option<i128> {
        let (least, most) = if self.is_signed {
            (-(1i128 << (self.bits - 1)), (1i128 << (self.bits - 1)) - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        };
        if (least..=most).contains(&value) {
            return Some(value);
        }
        match overflow {
            Overflow::Wrap => Some(self.interpret(value as u64 & self.mask())),
            Overflow::Saturate => Some(value.clamp(least, most)),
            Overflow::Fail => None,
        }
    }

    /// The value that its bits stand for.
    fn interpret(&self, bits: u64) -> i128 {
        let is_negative = self.is_signed && bits >> (self.bits - 1) & 1 == 1;
        i128::from(bits) - if is_negative { 1i128 << self.bits } else { 0 }
    }

    fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    fn get(&self, bytes: &[u8]) -> i128 {
        let (window, shift) = self.window(bytes);
        self.interpret((window >> shift) as u64 & self.mask())
    }

    /// Writes the low bits of `value`; the bytes that hold the field must exist.
    fn set(&self, bytes: &mut [u8], value: u64) {
        let (window, shift) = self.window(bytes);
        let mask = u128::from(self.mask()) << shift;
        let written = window & !mask | u128::from(value) << shift & mask;
        let start = (self.offset / 8) as usize;
        for (at, byte) in bytes[start..].iter_mut().take(WINDOW_BYTES).enumerate() {
            *byte = (written >> (8 * (WINDOW_BYTES - 1 - at))) as u8;
        }
    }

    /// The nine bytes from its first one on, zeros behind the end, and by how much the field is shifted in them.
    fn window(&self, bytes: &[u8]) -> (u128, u32) {
        let start = (self.offset / 8) as usize;
        let present = bytes.get(start..).unwrap_or_default();
        let window = (0..WINDOW_BYTES)
            .fold(0u128, |window, at| window << 8 | u128::from(present.get(at).copied().unwrap_or(0)));
        (window, 8 * WINDOW_BYTES as u32 - (self.offset % 8) as u32 - self.bits)
    }
}
