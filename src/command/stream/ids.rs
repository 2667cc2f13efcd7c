//! Ids as clients write them, and what all commands reply about entries.

use crate::base::number::until_zero;
use crate::resp::Reply;
use crate::store::stream::{Entry, StreamId};

pub(super) const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";
const INVALID_START: &str = "ERR invalid start ID for the interval";
const INVALID_END: &str = "ERR invalid end ID for the interval";

/// Longest text of an id that Redis looks at.
const TEXT_BYTES_MAX: usize = 127;

/// An id as XADD takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: by the clock.
    Auto,
    /// `ms-*`: the next one within the millisecond.
    Within(u64),
    /// As it stands.
    Given(StreamId),
}

/// An id without `-` and `+`; one without a second part gets `seq` as such.
pub(super) fn strict(text: &[u8], seq: u64) -> Result<StreamId, &'static str> {
    match new(text, seq)? {
        NewId::Given(id) => Ok(id),
        _ => Err(INVALID_ID),
    }
}

/// An id, with `-` for the least and `+` for the greatest.
pub(super) fn any(text: &[u8], seq: u64) -> Result<StreamId, &'static str> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict(text, seq),
    }
}

/// The id of an entry to be added, `*` alone excepted.
pub(super) fn new(text: &[u8], seq: u64) -> Result<NewId, &'static str> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(INVALID_ID);
    }
    let mut parts = text.splitn(2, |&byte| byte == b'-');
    let ms = parts.next().and_then(number).ok_or(INVALID_ID)?;
    match parts.next() {
        None => Ok(NewId::Given(StreamId { ms, seq })),
        Some(b"*") => Ok(NewId::Within(ms)),
        Some(digits) => {
            let seq = number(digits).ok_or(INVALID_ID)?;
            Ok(NewId::Given(StreamId { ms, seq }))
        }
    }
}

/// All of `texts` as ids.
pub(super) fn all(texts: &[&[u8]]) -> Result<Vec<StreamId>, &'static str> {
    texts.iter().map(|text| strict(text, 0)).collect()
}

/// The first id of an interval; behind a `(` the one after it.
pub(super) fn start(text: &[u8]) -> Result<StreamId, &'static str> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => strict(rest, 0)?.next().ok_or(INVALID_START),
        _ => any(text, 0),
    }
}

/// The last id of an interval; behind a `(` the one before it.
pub(super) fn end(text: &[u8]) -> Result<StreamId, &'static str> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => strict(rest, u64::MAX)?.previous().ok_or(INVALID_END),
        _ => any(text, u64::MAX),
    }
}

/// A number as Redis reads it here: canonical, or in the forms that C's `strtoull` takes (blanks and a plus in front,
/// leading zeros).
fn number(text: &[u8]) -> Option<u64> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let digits = &text[text.iter().take_while(|byte| blank(byte)).count()..];
    crate::base::number::parse_u64(digits.strip_prefix(b"+").unwrap_or(digits))
}

/// Replies an id.
pub(super) fn push_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.text().as_ref());
}

/// Replies an entry: its id, and its names and values in turn.
pub(super) fn push_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    push_id(reply, entry.id);
    reply.array(entry.fields.len() * 2);
    for (name, value) in entry.fields {
        reply.bulk(name);
        reply.bulk(value);
    }
}

/// Replies entries, `count` at most if that is not 0.
pub(super) fn push_entries<'a>(
    reply: &mut Reply<'_>,
    entries: impl Iterator<Item = Entry<'a>>,
    count: usize,
) {
    let open = reply.open();
    let mut length = 0;
    for entry in entries.take(if count == 0 { usize::MAX } else { count }) {
        push_entry(reply, entry);
        length += 1;
    }
    reply.close_array(open, length);
}

/// `NOGROUP No such key '…' or consumer group '…'`, with what follows it.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8], tail: &str) -> Vec<u8> {
    let (key, group) = (shown(key), shown(group));
    [b"NOGROUP No such key '", key, b"' or consumer group '", group, b"'", tail.as_bytes()].concat()
}

/// `NOGROUP No such consumer group '…' for key name '…'`.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> Vec<u8> {
    [b"NOGROUP No such consumer group '", shown(group), b"' for key name '", shown(key), b"'"].concat()
}

/// A name as errors show it: up to a zero byte.
pub(super) fn shown(name: &[u8]) -> &[u8] {
    until_zero(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_ids() {
        let id = |ms, seq| Ok(StreamId { ms, seq });
        assert_eq!(strict(b"12-3", 9), id(12, 3));
        assert_eq!(strict(b"12", 9), id(12, 9));
        assert_eq!(strict(b"18446744073709551615-18446744073709551615", 0), Ok(StreamId::MAX));
        assert_eq!(strict(b" +07-01", 0), id(7, 1));
        for wrong in
            ["", "-", "+", "-5", "5-", "5-x", "x", "5--1", "1-2-3", "18446744073709551616", "5-*", "*"]
        {
            assert_eq!(strict(wrong.as_bytes(), 0), Err(INVALID_ID), "{wrong}");
        }
        assert!(strict(&[b'0'; 127], 0).is_ok() && strict(&[b'0'; 128], 0).is_err());
        assert_eq!(new(b"7-*", 0), Ok(NewId::Within(7)));
        assert_eq!((any(b"-", 5), any(b"+", 5)), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
    }

    #[test]
    fn intervals() {
        assert_eq!(start(b"(5"), Ok(StreamId::new(5, 1)));
        assert_eq!(start(b"(5-18446744073709551615"), Ok(StreamId::new(6, 0)));
        assert_eq!(end(b"(5"), Ok(StreamId::new(5, u64::MAX - 1)));
        assert_eq!(end(b"5"), Ok(StreamId::new(5, u64::MAX)));
        assert_eq!(end(b"(0-0"), Err(INVALID_END));
        assert_eq!(start(b"(18446744073709551615-18446744073709551615"), Err(INVALID_START));
        for wrong in ["(", "(-", "(+"] {
            assert!(start(wrong.as_bytes()).is_err() && end(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
