//! What a write did, in the form that Redis replicates.
//!
//! A handler need not say anything: a command that changed something is replicated as it was sent. One whose effect
//! depends on time, chance or state replaces that by what it did (`PEXPIREAT` for `EXPIRE`).

use crate::base::number::push_i64;

/// One command of the replication stream, encoded as a RESP array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Database in which it runs.
    pub database: u32,
    /// The command, encoded.
    pub encoded: Vec<u8>,
}

impl Effect {
    /// The effect of running `arguments` in `database`.
    pub fn new<A: AsRef<[u8]>>(database: usize, arguments: &[A]) -> Self {
        Self { database: database as u32, encoded: encode(arguments) }
    }
}

/// A command as a RESP array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let bytes: usize = arguments.iter().map(|argument| argument.as_ref().len() + 16).sum();
    let mut out = Vec::with_capacity(bytes + 16);
    out.push(b'*');
    push_i64(&mut out, arguments.len() as i64);
    out.extend_from_slice(b"\r\n");
    for argument in arguments {
        let argument = argument.as_ref();
        out.push(b'$');
        push_i64(&mut out, argument.len() as i64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Collects the effects of what runs on a shard. While nobody listens it collects nothing.
#[derive(Debug, Default)]
pub struct Effects {
    /// Whether somebody listens.
    pub on: bool,
    /// Effects since they were last taken, in order.
    pub commands: Vec<Effect>,
}

impl Effects {
    /// Adds the effect of running `arguments` in `database`, if somebody listens.
    pub fn push<A: AsRef<[u8]>>(&mut self, database: usize, arguments: &[A]) {
        if self.on {
            self.commands.push(Effect::new(database, arguments));
        }
    }
}

/// How the command that runs is replicated if it changed something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// As it was sent.
    #[default]
    Verbatim,
    /// By the effects that the handler pushed itself (possibly none).
    Replaced,
}
