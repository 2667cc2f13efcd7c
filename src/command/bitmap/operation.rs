//! BITOP: bits of several strings combined into one.
//!
//! Strings are read one after another into the result, so only the result is held. All are as long as the longest,
//! filled up with zeros.

use crate::command::Context;
use crate::command::args::is_word;
use crate::command::context::KeyspaceEvents;
use crate::command::string::modify::store_raw;
use crate::resp::error::{SYNTAX, WRONG_TYPE};

const NOT_NEEDS_ONE: &str = "ERR BITOP NOT must be called with a single source key.";

/// How bits are combined. `X` is the first source, `Y` any of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// In X and in no Y.
    Diff,
    /// In some Y and not in X.
    Diff1,
    /// In X and in some Y.
    AndOr,
    /// In exactly one source.
    One,
}

const OPERATIONS: &[(&str, Operation)] = &[
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];

impl Operation {
    fn parse(name: &[u8], sources: usize) -> Result<Self, String> {
        let &(name, operation) = OPERATIONS.iter().find(|(known, _)| is_word(name, known)).ok_or(SYNTAX)?;
        match operation {
            Operation::Not if sources != 1 => Err(NOT_NEEDS_ONE.into()),
            Operation::Diff | Operation::Diff1 | Operation::AndOr if sources < 2 => {
                Err(format!("ERR BITOP {name} must be called with at least two source keys."))
            }
            _ => Ok(operation),
        }
    }

    /// Whether servers before Redis 8.2 know it.
    fn is_old(self) -> bool {
        matches!(self, Operation::And | Operation::Or | Operation::Xor | Operation::Not)
    }
}

/// BITOP operation destination key [key ...]
pub(super) fn bitop(context: &mut Context<'_>, arguments: &[&[u8]]) {
    match combine_and_store(context, arguments) {
        Ok(length) => context.reply.count(length),
        Err(error) => context.reply.error(error),
    }
}

fn combine_and_store(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<usize, String> {
    let (destination, sources) = (arguments[2], &arguments[3..]);
    let operation = Operation::parse(arguments[1], sources.len())?;
    let result = combine(context, operation, sources)?;
    let length = result.len();
    if length > 0 {
        if !operation.is_old() {
            context.replicate(&[b"SET", destination, &result]);
        }
        store_raw(context, destination, result);
        context.modified(destination, KeyspaceEvents::STRING, "set");
    } else if context.exists(destination) {
        if !operation.is_old() {
            context.replicate(&[b"DEL", destination]);
        }
        context.remove(destination);
        context.modified(destination, KeyspaceEvents::GENERIC, "del");
    }
    Ok(length)
}

fn combine(
    context: &mut Context<'_>,
    operation: Operation,
    sources: &[&[u8]],
) -> Result<Vec<u8>, &'static str> {
    let mut combination = Combination { operation, first: Vec::new(), result: Vec::new() };
    for (at, key) in sources.iter().enumerate() {
        let is_string = context.read(key, |entry, _| {
            let mut digits = itoa::Buffer::new();
            let bytes = entry.map_or(Some(&[][..]), |entry| entry.string(&mut digits));
            bytes.map(|bytes| combination.add(bytes, at == 0)).is_some()
        });
        if !is_string {
            return Err(WRONG_TYPE);
        }
    }
    Ok(combination.finish())
}

/// The sources so far. `first` and `result` are always of one length.
struct Combination {
    operation: Operation,
    /// The first source; for [`Operation::One`] what was in more than one.
    first: Vec<u8>,
    /// For the operations with X and Y, all Y together.
    result: Vec<u8>,
}

impl Combination {
    fn add(&mut self, source: &[u8], is_first: bool) {
        let length = self.result.len().max(source.len());
        self.result.resize(length, 0);
        self.first.resize(length, 0);
        let (shared, beyond) = self.result.split_at_mut(source.len());
        match self.operation {
            Operation::Diff | Operation::Diff1 | Operation::AndOr if is_first => {
                self.first.copy_from_slice(source);
            }
            Operation::Not => merge(shared, source, |_, bits| !bits),
            Operation::And if !is_first => {
                merge(shared, source, |all, bits| all & bits);
                beyond.fill(0);
            }
            Operation::Xor => merge(shared, source, |all, bits| all ^ bits),
            Operation::One => {
                for ((more, once), bits) in self.first.iter_mut().zip(shared).zip(source) {
                    *more |= *once & bits;
                    *once |= bits;
                }
            }
            _ => merge(shared, source, |all, bits| all | bits),
        }
    }

    fn finish(mut self) -> Vec<u8> {
        match self.operation {
            Operation::Diff => merge(&mut self.result, &self.first, |rest, first| first & !rest),
            Operation::Diff1 => merge(&mut self.result, &self.first, |rest, first| rest & !first),
            Operation::AndOr => merge(&mut self.result, &self.first, |rest, first| first & rest),
            Operation::One => merge(&mut self.result, &self.first, |once, more| once & !more),
            _ => {}
        }
        self.result
    }
}

/// Combines byte by byte; the loop is plain so that the compiler makes it vectors.
#[inline]
fn merge(into: &mut [u8], from: &[u8], combine: impl Fn(u8, u8) -> u8) {
    for (into, from) in into.iter_mut().zip(from) {
        *into = combine(*into, *from);
    }
}
