//! BITCOUNT and BITPOS, over a range of bytes or bits.

use super::parse_range;
use crate::command::Context;
use crate::command::args::{integer, is_word};
use crate::command::string::{clamp_range, is_crossed};
use crate::resp::error::{SYNTAX, WRONG_TYPE};

const NOT_A_BIT: &str = "ERR The bit argument must be 1 or 0.";

/// The bits from the first to before the second.
type Bits = std::ops::Range<usize>;

/// BITCOUNT key [start end [BYTE | BIT]]
pub(super) fn bitcount(context: &mut Context<'_>, arguments: &[&[u8]]) {
    context.read(arguments[1], |entry, reply| {
        // A missing key is answered before anything else is looked at.
        let Some(entry) = entry else { return reply.int(0) };
        let mut digits = itoa::Buffer::new();
        let Some(bytes) = entry.string(&mut digits) else { return reply.error(WRONG_TYPE) };
        match range_to_count(arguments, bytes.len()) {
            Ok(bits) => reply.count(bits.map_or(0, |bits| count(bytes, bits))),
            Err(error) => reply.error(error),
        }
    });
}

/// The range of BITCOUNT in a string of `length` bytes; `None` when it is empty.
fn range_to_count(arguments: &[&[u8]], length: usize) -> Result<Option<Bits>, &'static str> {
    match arguments {
        [_, _] => Ok(bytes_to_bits(0, -1, length)),
        [_, _, start, end, unit @ ..] if unit.len() <= 1 => {
            let (start, end) = parse_range(start, end)?;
            if is_crossed(start, end) {
                return Ok(None);
            }
            range_in_unit(start, end, unit.first().copied(), length)
        }
        _ => Err(SYNTAX),
    }
}

fn range_in_unit(
    start: i64,
    end: i64,
    unit: Option<&[u8]>,
    length: usize,
) -> Result<Option<Bits>, &'static str> {
    match unit {
        Some(unit) if is_word(unit, "BIT") => Ok(clamp_range(start, end, length * 8)),
        Some(unit) if !is_word(unit, "BYTE") => Err(SYNTAX),
        _ => Ok(bytes_to_bits(start, end, length)),
    }
}

fn bytes_to_bits(start: i64, end: i64, length: usize) -> Option<Bits> {
    clamp_range(start, end, length).map(|bytes| bytes.start * 8..bytes.end * 8)
}

/// BITPOS key bit [start [end [BYTE | BIT]]]
pub(super) fn bitpos(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let bit = match integer(arguments[2]) {
        Ok(0) => false,
        Ok(1) => true,
        Ok(_) => return context.reply.error(NOT_A_BIT),
        Err(error) => return context.reply.error(error),
    };
    context.read(arguments[1], |entry, reply| {
        let Some(entry) = entry else { return reply.int(if bit { -1 } else { 0 }) };
        let mut digits = itoa::Buffer::new();
        let Some(bytes) = entry.string(&mut digits) else { return reply.error(WRONG_TYPE) };
        match range_to_search(arguments, bytes.len()) {
            Ok(bits) => reply.int(position(bytes, bit, bits, arguments.len() >= 5)),
            Err(error) => reply.error(error),
        }
    });
}

/// The range of BITPOS in a string of `length` bytes; `None` when it is empty.
fn range_to_search(arguments: &[&[u8]], length: usize) -> Result<Option<Bits>, &'static str> {
    match arguments[3..] {
        [] => Ok(bytes_to_bits(0, -1, length)),
        [start] => Ok(bytes_to_bits(integer(start)?, -1, length)),
        [start, end] => {
            let (start, end) = parse_range(start, end)?;
            Ok(bytes_to_bits(start, end, length))
        }
        [start, end, unit] => {
            let start = integer(start)?;
            if !is_word(unit, "BIT") && !is_word(unit, "BYTE") {
                return Err(SYNTAX);
            }
            range_in_unit(start, integer(end)?, Some(unit), length)
        }
        _ => Err(SYNTAX),
    }
}

/// What BITPOS answers. Without an end the string counts as followed by clear bits.
fn position(bytes: &[u8], bit: bool, bits: Option<Bits>, has_end: bool) -> i64 {
    let Some(bits) = bits else { return -1 };
    let end = bits.end;
    match find(bytes, bit, bits) {
        Some(found) => found as i64,
        None if !bit && !has_end => end as i64,
        None => -1,
    }
}

/// How many bits of the range are set.
fn count(bytes: &[u8], bits: Bits) -> usize {
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    let before = bytes[first] & !(0xFF >> (bits.start % 8));
    let behind = bytes[last] & (0x7F >> ((bits.end - 1) % 8));
    count_all(&bytes[first..=last]) - (before.count_ones() + behind.count_ones()) as usize
}

fn count_all(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words: usize = words.iter().map(|word| u64::from_ne_bytes(*word).count_ones() as usize).sum();
    in_words + rest.iter().map(|byte| byte.count_ones() as usize).sum::<usize>()
}

/// The first bit of the range that is `bit`.
fn find(bytes: &[u8], bit: bool, bits: Bits) -> Option<usize> {
    // Flipped so that a set bit is always what is looked for.
    let flip = if bit { 0x00 } else { 0xFF };
    let mut at = bits.start / 8;
    let mut byte = (bytes[at] ^ flip) & (0xFF >> (bits.start % 8));
    if byte == 0 {
        at += 1;
        at += leading_equal(&bytes[at..bits.end.div_ceil(8)], flip);
        byte = bytes.get(at)? ^ flip;
    }
    let found = at * 8 + byte.leading_zeros() as usize;
    (found < bits.end).then_some(found)
}

/// How many bytes at the beginning are `byte`.
fn leading_equal(bytes: &[u8], byte: u8) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    match words.iter().position(|word| *word != [byte; 8]) {
        Some(word) => word * 8 + words[word].iter().take_while(|&&next| next == byte).count(),
        None => words.len() * 8 + rest.iter().take_while(|&&next| next == byte).count(),
    }
}
