//! LCS: the longest common subsequence of two strings.
//!
//! The classic table of the lengths for all pairs of prefixes (Wagner and Fischer 1974), walked back from its end. Which
//! of several longest subsequences is found is seen by clients, so ties go where Redis lets them go: the second string
//! is shortened.

use crate::command::Context;
use crate::command::args::Cursor;
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::entry::Entry;

const NOT_STRINGS: &str = "ERR The specified keys must contain string values";
const BOTH_LEN_AND_IDX: &str = "ERR If you want both the length and indexes, please just use IDX.";
const TOO_LONG: &str = "ERR String too long for LCS";
const TABLE_TOO_LARGE: &str = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
const NO_MEMORY: &str = "ERR Insufficient memory, failed allocating transient memory for LCS";

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    length_only: bool,
    matches: bool,
    match_length_min: i64,
    with_match_length: bool,
}

impl Options {
    fn parse(arguments: &[&[u8]]) -> Result<Self, &'static str> {
        let mut options = Self::default();
        let mut cursor = Cursor::new(arguments, 3);
        while !cursor.is_done() {
            if cursor.accept("IDX") {
                options.matches = true;
            } else if cursor.accept("LEN") {
                options.length_only = true;
            } else if cursor.accept("WITHMATCHLEN") {
                options.with_match_length = true;
            } else if cursor.accept("MINMATCHLEN") {
                options.match_length_min = cursor.need_i64()?;
            } else {
                return Err(SYNTAX);
            }
        }
        if options.length_only && options.matches { Err(BOTH_LEN_AND_IDX) } else { Ok(options) }
    }
}

/// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]
pub(super) fn lcs(context: &mut Context<'_>, arguments: &[&[u8]]) {
    if let Err(error) = answer(context, arguments) {
        context.reply.error(error);
    }
}

fn answer(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), &'static str> {
    let one = copy(context, arguments[1]);
    let other = copy(context, arguments[2]);
    let (Some(one), Some(other)) = (one, other) else { return Err(NOT_STRINGS) };
    let options = Options::parse(arguments)?;
    let table = Table::new(&one, &other, context.config.proto_max_bulk_len)?;
    if options.length_only {
        context.reply.count(table.length());
    } else if options.matches {
        push_matches(&mut context.reply, &table, options);
    } else {
        context.reply.bulk(&table.subsequence());
    }
    Ok(())
}

/// The string at `key`, empty without one; `None` for another type.
fn copy(context: &mut Context<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let copied = |entry: &Entry| entry.string(&mut itoa::Buffer::new()).map(<[u8]>::to_vec);
    context.read(key, |entry, _| entry.map_or(Some(Vec::new()), copied))
}

/// Equal stretches of both strings: first and last index in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    one: (usize, usize),
    other: (usize, usize),
}

/// The length of the longest common subsequence of every pair of prefixes.
struct Table<'a> {
    one: &'a [u8],
    other: &'a [u8],
    lengths: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new(one: &'a [u8], other: &'a [u8], bytes_max: usize) -> Result<Self, &'static str> {
        let length_max = u32::MAX as usize - 1;
        if one.len() >= length_max || other.len() >= length_max {
            return Err(TOO_LONG);
        }
        let width = other.len() + 1;
        let cells = (one.len() + 1).checked_mul(width).ok_or(NO_MEMORY)?;
        let bytes = cells.checked_mul(size_of::<u32>()).ok_or(NO_MEMORY)?;
        if bytes > bytes_max {
            return Err(TABLE_TOO_LARGE);
        }
        let mut lengths = vec![0u32; cells];
        for (row, byte) in one.iter().enumerate() {
            let (above, here) = lengths[row * width..(row + 2) * width].split_at_mut(width);
            for (column, other_byte) in other.iter().enumerate() {
                here[column + 1] =
                    if byte == other_byte { above[column] + 1 } else { above[column + 1].max(here[column]) };
            }
        }
        Ok(Self { one, other, lengths })
    }

    /// The length for the first `row` bytes of the one and the first `column` of the other.
    fn at(&self, row: usize, column: usize) -> u32 {
        self.lengths[row * (self.other.len() + 1) + column]
    }

    fn length(&self) -> usize {
        self.at(self.one.len(), self.other.len()) as usize
    }

    /// Calls `step` with the indices of every common byte, from the last to the first.
    fn walk_back(&self, mut step: impl FnMut(usize, usize)) {
        let (mut row, mut column) = (self.one.len(), self.other.len());
        while row > 0 && column > 0 {
            if self.one[row - 1] == self.other[column - 1] {
                row -= 1;
                column -= 1;
                step(row, column);
            } else if self.at(row - 1, column) > self.at(row, column - 1) {
                row -= 1;
            } else {
                column -= 1;
            }
        }
    }

    fn subsequence(&self) -> Vec<u8> {
        let mut found = Vec::with_capacity(self.length());
        self.walk_back(|row, _| found.push(self.one[row]));
        found.reverse();
        found
    }

    /// The stretches that the subsequence consists of, from the last to the first.
    fn matches(&self) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        self.walk_back(|row, column| match matches.last_mut() {
            Some(last) if last.one.0 == row + 1 && last.other.0 == column + 1 => {
                last.one.0 = row;
                last.other.0 = column;
            }
            _ => matches.push(Match { one: (row, row), other: (column, column) }),
        });
        matches
    }
}

fn push_matches(reply: &mut Reply<'_>, table: &Table<'_>, options: Options) {
    let mut matches = table.matches();
    matches.retain(|found| match_length(found) as i64 >= options.match_length_min);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in &matches {
        reply.array(2 + usize::from(options.with_match_length));
        for (first, last) in [found.one, found.other] {
            reply.array(2);
            reply.count(first);
            reply.count(last);
        }
        if options.with_match_length {
            reply.count(match_length(found));
        }
    }
    reply.bulk(b"len");
    reply.count(table.length());
}

fn match_length(found: &Match) -> usize {
    found.one.1 - found.one.0 + 1
}
