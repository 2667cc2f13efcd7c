//! Which arguments of a command are secrets: what the slow log and MONITOR show in their place.

use std::borrow::Cow;

use crate::command::args::is_word;
use crate::config::{self, Flags as DirectiveFlags};

const SECRET: &[u8] = b"(redacted)";

/// The arguments as they may be shown to others. `arguments` are those of a whole command.
pub fn redacted<'a, 'b>(arguments: &'b [&'a [u8]]) -> Cow<'b, [&'a [u8]]> {
    let Some(name) = arguments.first() else { return Cow::Borrowed(arguments) };
    let secrets: Vec<usize> = if is_word(name, "auth") {
        (1..arguments.len()).collect()
    } else if is_word(name, "hello") {
        secrets_of_hello(arguments)
    } else if is_word(name, "migrate") {
        secrets_of_migrate(arguments)
    } else if is_word(name, "config") && arguments.get(1).is_some_and(|word| is_word(word, "set")) {
        (3..arguments.len()).step_by(2).filter(|&value| is_secret(arguments[value - 1])).collect()
    } else {
        return Cow::Borrowed(arguments);
    };
    let mut shown = arguments.to_vec();
    secrets.into_iter().for_each(|secret| shown[secret] = SECRET);
    Cow::Owned(shown)
}

/// User and password behind `AUTH` in `HELLO 3 AUTH user password`.
fn secrets_of_hello(arguments: &[&[u8]]) -> Vec<usize> {
    let auth = arguments.iter().position(|argument| is_word(argument, "auth"));
    auth.map(|auth| (auth + 1..arguments.len().min(auth + 3)).collect()).unwrap_or_default()
}

/// What stands behind `AUTH` and `AUTH2` among the options of MIGRATE, which end where the keys begin.
fn secrets_of_migrate(arguments: &[&[u8]]) -> Vec<usize> {
    let mut secrets = Vec::new();
    let mut at = 6;
    while let Some(word) = arguments.get(at).filter(|word| !is_word(word, "keys")) {
        let count = if is_word(word, "auth2") { 2 } else { usize::from(is_word(word, "auth")) };
        secrets.extend((at + 1..=at + count).filter(|secret| *secret < arguments.len()));
        at += 1 + count;
    }
    secrets
}

fn is_secret(directive: &[u8]) -> bool {
    config::lookup(directive).is_some_and(|(row, _)| row.flags.contains(DirectiveFlags::SENSITIVE))
}
