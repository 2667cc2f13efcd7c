//! A cursor over arguments, so that option parsing reads like the grammar.

use crate::base::clock::UnixMillis;
use crate::base::number::{parse_f64, parse_i64};
use crate::resp::error::{NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX};

const TIMEOUT_NOT_A_FLOAT: &str = "ERR timeout is not a float or out of range";
const TIMEOUT_NEGATIVE: &str = "ERR timeout is negative";
const TIMEOUT_OUT_OF_RANGE: &str = "ERR timeout is out of range";

/// Walks over arguments from a position on.
#[derive(Clone, Copy)]
pub struct Cursor<'a, 'b> {
    arguments: &'b [&'a [u8]],
    at: usize,
}

impl<'a, 'b> Cursor<'a, 'b> {
    /// A cursor that stands at argument `at`.
    pub fn new(arguments: &'b [&'a [u8]], at: usize) -> Self {
        Self { arguments, at }
    }

    /// The next argument, if there is one.
    pub fn take(&mut self) -> Option<&'a [u8]> {
        let argument = self.arguments.get(self.at).copied();
        self.at += usize::from(argument.is_some());
        argument
    }

    /// The next argument, or the syntax error.
    pub fn need(&mut self) -> Result<&'a [u8], &'static str> {
        self.take().ok_or(SYNTAX)
    }

    /// Moves over the next argument if it is `word`, whatever its case.
    pub fn accept(&mut self, word: &str) -> bool {
        let matches = self.arguments.get(self.at).is_some_and(|argument| is_word(argument, word));
        self.at += usize::from(matches);
        matches
    }

    /// The next argument as an integer, or the error.
    pub fn need_i64(&mut self) -> Result<i64, &'static str> {
        integer(self.need()?)
    }

    /// Arguments that are left.
    pub fn remaining(&self) -> usize {
        self.arguments.len() - self.at.min(self.arguments.len())
    }

    /// Whether all arguments were taken.
    pub fn is_done(&self) -> bool {
        self.remaining() == 0
    }
}

/// Whether `argument` is `word`, whatever its case.
pub fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// `argument` as an integer, or Redis's error.
pub fn integer(argument: &[u8]) -> Result<i64, &'static str> {
    parse_i64(argument).ok_or(NOT_AN_INTEGER)
}

/// `argument` as a double, or Redis's error.
pub fn float(argument: &[u8]) -> Result<f64, &'static str> {
    parse_f64(argument).ok_or(NOT_A_FLOAT)
}

/// `argument` as the seconds for which a command waits, in milliseconds; zero is for ever.
pub fn timeout(argument: &[u8], now: UnixMillis) -> Result<Option<i64>, &'static str> {
    let milliseconds = (parse_f64(argument).ok_or(TIMEOUT_NOT_A_FLOAT)? * 1000.0).ceil();
    match milliseconds {
        ..0.0 => Err(TIMEOUT_NEGATIVE),
        0.0 => Ok(None),
        _ if milliseconds >= i64::MAX as f64 => Err(TIMEOUT_OUT_OF_RANGE),
        _ if now.checked_add(milliseconds as i64).is_none() => Err(TIMEOUT_OUT_OF_RANGE),
        _ => Ok(Some(milliseconds as i64)),
    }
}

/// The arguments of a command, owned: one allocation for the bytes and one for their ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl OwnedArgs {
    /// Copies `arguments`.
    pub fn copy(arguments: &[&[u8]]) -> Self {
        let mut owned = Self {
            bytes: Vec::with_capacity(arguments.iter().map(|argument| argument.len()).sum()),
            ends: Vec::with_capacity(arguments.len()),
        };
        for argument in arguments {
            owned.push(argument);
        }
        owned
    }

    /// Room for `count` arguments of `bytes` together.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    /// Appends a copy of `argument`.
    pub fn push(&mut self, argument: &[u8]) {
        self.bytes.extend_from_slice(argument);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Number of arguments.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all arguments together.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Every argument in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let argument = &self.bytes[start..end as usize];
            start = end as usize;
            argument
        })
    }

    /// The arguments as slices, as handlers take them.
    pub fn slices(&self) -> Vec<&[u8]> {
        self.iter().collect()
    }
}

/// A command with its own arguments: queued by MULTI, waiting for a lock, or on its way to another shard.
#[derive(Clone, Debug)]
pub struct OwnedCommand {
    /// Its row.
    pub row: &'static super::Command,
    /// Its arguments, the name first.
    pub arguments: OwnedArgs,
}
