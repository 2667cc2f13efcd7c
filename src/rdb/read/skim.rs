//! Where a value ends, found without decoding it.

use super::input::Source;
use crate::rdb::error::Fault;
use crate::rdb::format::kind;

/// Bytes of an id.
const ID_BYTES: u64 = 16;
/// Bytes of a time.
const TIME_BYTES: u64 = 8;
/// First bytes of a score in decimal that stand for the whole of it: what is no number, and both infinities.
pub(super) const SPECIAL_SCORES: std::ops::RangeInclusive<u8> = 253..=255;

/// Passes over a value.
pub(super) fn skip_value(source: &mut impl Source, of: u8) -> Result<(), Fault> {
    match of {
        kind::STRING
        | kind::HASH_ZIPMAP
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::SORTED_SET_ZIPLIST
        | kind::HASH_ZIPLIST
        | kind::HASH_LISTPACK
        | kind::SORTED_SET_LISTPACK
        | kind::SET_LISTPACK
        | kind::HASH_LISTPACK_DEADLINES_EARLY => source.skip_string(),
        kind::HASH_LISTPACK_DEADLINES => {
            source.skip(TIME_BYTES)?;
            source.skip_string()
        }
        kind::LIST | kind::SET | kind::LIST_QUICKLIST => repeat(source, |source| source.skip_string()),
        kind::HASH => repeat(source, |source| {
            source.skip_string()?;
            source.skip_string()
        }),
        kind::SORTED_SET => repeat(source, |source| {
            source.skip_string()?;
            match source.byte()? {
                special if SPECIAL_SCORES.contains(&special) => Ok(()),
                length => source.skip(length.into()),
            }
        }),
        kind::SORTED_SET_2 => repeat(source, |source| {
            source.skip_string()?;
            source.skip(size_of::<f64>() as u64)
        }),
        kind::LIST_QUICKLIST_2 => repeat(source, |source| {
            source.length()?;
            source.skip_string()
        }),
        kind::HASH_DEADLINES | kind::HASH_DEADLINES_EARLY => {
            if of == kind::HASH_DEADLINES {
                source.skip(TIME_BYTES)?;
            }
            repeat(source, |source| {
                source.length()?;
                source.skip_string()?;
                source.skip_string()
            })
        }
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => skip_stream(source, of),
        _ => Err(Fault::Damaged("it is of no known type")),
    }
}

fn skip_stream(source: &mut impl Source, of: u8) -> Result<(), Fault> {
    repeat(source, |source| {
        source.skip_string()?;
        source.skip_string()
    })?;
    // The length and the last id; later the first one, the greatest deleted one, and how many there ever were.
    let numbers = if of == kind::STREAM { 3 } else { 8 };
    (0..numbers).try_for_each(|_| source.length().map(drop))?;
    repeat(source, |source| {
        source.skip_string()?;
        let numbers = if of == kind::STREAM { 2 } else { 3 };
        (0..numbers).try_for_each(|_| source.length().map(drop))?;
        repeat(source, |source| {
            source.skip(ID_BYTES + TIME_BYTES)?;
            source.length().map(drop)
        })?;
        repeat(source, |source| {
            source.skip_string()?;
            source.skip(if of == kind::STREAM_3 { 2 * TIME_BYTES } else { TIME_BYTES })?;
            repeat(source, |source| source.skip(ID_BYTES))
        })
    })
}

/// Does something as often as the next number says. It must consume a byte each time, so that a number that is a lie ends with
/// the source.
fn repeat<S: Source>(source: &mut S, mut each: impl FnMut(&mut S) -> Result<(), Fault>) -> Result<(), Fault> {
    for _ in 0..source.length()? {
        each(source)?;
    }
    Ok(())
}
