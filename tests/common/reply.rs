//! A reply as a value, in either version of the protocol, and its decoder. Doubles and big numbers stay
//! text, so that a difference in their spelling is a difference.

use std::fmt;

/// One reply of a server, RESP2 and RESP3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// `+`
    Simple(Vec<u8>),
    /// `-`
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    NilBulk,
    /// `*-1`
    NilArray,
    /// `_`
    Null,
    /// `*`
    Array(Vec<Reply>),
    /// `%`
    Map(Vec<(Reply, Reply)>),
    /// `~`
    Set(Vec<Reply>),
    /// `>`
    Push(Vec<Reply>),
    /// `,`
    Double(Vec<u8>),
    /// `#`
    Boolean(bool),
    /// `(`
    BigNumber(Vec<u8>),
    /// `=`, with its three-letter format
    Verbatim(Vec<u8>),
}

impl Reply {
    /// A simple string reply.
    pub fn simple(text: &str) -> Self {
        Self::Simple(text.as_bytes().to_vec())
    }

    /// A bulk string reply.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// `+OK`
    pub fn ok() -> Self {
        Self::simple("OK")
    }

    /// Whether this is any of the three spellings of "nothing".
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::NilBulk | Self::NilArray | Self::Null)
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// Whether this is an error of this code.
    pub fn is_error_of(&self, code: &str) -> bool {
        matches!(self, Self::Error(text) if text.starts_with(code.as_bytes()))
    }

    /// The bytes of a string-like reply; empty for all others.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Simple(bytes)
            | Self::Error(bytes)
            | Self::Bulk(bytes)
            | Self::Double(bytes)
            | Self::BigNumber(bytes)
            | Self::Verbatim(bytes) => bytes,
            _ => &[],
        }
    }

    /// The text of a string-like reply.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The number of an integer reply; fails the test for others.
    #[track_caller]
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("not an integer: {other:?}"),
        }
    }

    /// The elements of an array, set or push; fails the test for others.
    #[track_caller]
    pub fn items(&self) -> &[Reply] {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => items,
            other => panic!("not an array: {other:?}"),
        }
    }

    /// Decodes one reply from the front of `input`: the reply and its length, or `None` while it is
    /// incomplete. Fails the test on bytes that are no reply.
    pub fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let line_end = input.windows(2).position(|pair| pair == b"\r\n")?;
        let (kind, line, rest) = (input[0], &input[1..line_end], line_end + 2);
        match kind {
            b'+' => Some((Self::Simple(line.to_vec()), rest)),
            b'-' => Some((Self::Error(line.to_vec()), rest)),
            b',' => Some((Self::Double(line.to_vec()), rest)),
            b'(' => Some((Self::BigNumber(line.to_vec()), rest)),
            b'_' => Some((Self::Null, rest)),
            b'#' => Some((Self::Boolean(line == b"t"), rest)),
            b':' => Some((Self::Integer(number(line)), rest)),
            b'$' | b'=' | b'!' => decode_bulk(kind, number(line), input, rest),
            b'*' | b'~' | b'>' | b'%' => decode_many(kind, number(line), input, rest),
            _ => panic!("not a reply: {}", input[..input.len().min(80)].escape_ascii()),
        }
    }
}

fn decode_bulk(kind: u8, length: i64, input: &[u8], start: usize) -> Option<(Reply, usize)> {
    if length < 0 {
        return Some((Reply::NilBulk, start));
    }
    let end = start + length as usize;
    if input.len() < end + 2 {
        return None;
    }
    assert_eq!(&input[end..end + 2], b"\r\n", "a bulk string ends with CRLF");
    let bytes = input[start..end].to_vec();
    let reply = match kind {
        b'$' => Reply::Bulk(bytes),
        b'=' => Reply::Verbatim(bytes),
        _ => Reply::Error(bytes),
    };
    Some((reply, end + 2))
}

fn decode_many(kind: u8, count: i64, input: &[u8], start: usize) -> Option<(Reply, usize)> {
    if count < 0 {
        return Some((Reply::NilArray, start));
    }
    let total = if kind == b'%' { 2 * count } else { count };
    let mut items = Vec::new();
    let mut position = start;
    for _ in 0..total {
        let (item, length) = Reply::decode(&input[position..])?;
        items.push(item);
        position += length;
    }
    let reply = match kind {
        b'*' => Reply::Array(items),
        b'~' => Reply::Set(items),
        b'>' => Reply::Push(items),
        _ => Reply::Map(pairs(items)),
    };
    Some((reply, position))
}

fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

fn number(line: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(line);
    text.parse().unwrap_or_else(|_| panic!("not a number in a reply: {text}"))
}

impl fmt::Debug for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(bytes) => write!(out, "+{}", bytes.escape_ascii()),
            Self::Error(bytes) => write!(out, "-{}", bytes.escape_ascii()),
            Self::Integer(number) => write!(out, ":{number}"),
            Self::Bulk(bytes) => write!(out, "\"{}\"", bytes.escape_ascii()),
            Self::NilBulk => write!(out, "(nil)"),
            Self::NilArray => write!(out, "(nil array)"),
            Self::Null => write!(out, "(null)"),
            Self::Array(items) => out.debug_list().entries(items).finish(),
            Self::Set(items) => out.debug_set().entries(items).finish(),
            Self::Push(items) => write!(out, ">{items:?}"),
            Self::Map(pairs) => out.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish(),
            Self::Double(bytes) => write!(out, ",{}", bytes.escape_ascii()),
            Self::Boolean(value) => write!(out, "#{value}"),
            Self::BigNumber(bytes) => write!(out, "({}", bytes.escape_ascii()),
            Self::Verbatim(bytes) => write!(out, "={}", bytes.escape_ascii()),
        }
    }
}
