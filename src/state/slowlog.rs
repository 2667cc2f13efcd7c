//! The slow log: the latest commands that ran long. Touched by slow commands and by SLOWLOG only.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Arguments kept of a command; the last one tells how many more there were.
const ARGUMENTS_MAX: usize = 32;
/// Bytes kept of an argument.
const ARGUMENT_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowCommand {
    /// Number since start; RESET does not begin anew.
    pub id: u64,
    /// Unix time in seconds when it had run.
    pub at_s: i64,
    /// How long it ran, microseconds.
    pub micros: u64,
    /// Its arguments, shortened.
    pub arguments: Vec<Vec<u8>>,
    /// Address of the client.
    pub address: Box<str>,
    /// Name of the client.
    pub name: Box<[u8]>,
}

/// The register, latest first.
#[derive(Debug, Default)]
pub struct SlowLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<SlowCommand>,
    next_id: u64,
}

impl SlowLog {
    /// Adds a command, and drops the oldest ones beyond `entries_max` (slowlog-max-len). Whether it was slow is
    /// decided by the caller, who also leaves secrets out of `arguments`.
    pub fn push(
        &self,
        at_s: i64,
        micros: u64,
        arguments: &[&[u8]],
        (address, name): (&str, &[u8]),
        entries_max: usize,
    ) {
        let arguments = shortened(arguments);
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let (address, name) = (address.into(), name.into());
        inner.entries.push_front(SlowCommand { id, at_s, micros, arguments, address, name });
        inner.entries.truncate(entries_max);
    }

    /// The latest `count` entries, latest first.
    pub fn latest(&self, count: usize) -> Vec<SlowCommand> {
        self.lock().entries.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops all entries.
    pub fn reset(&self) {
        self.lock().entries.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shortened(arguments: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if arguments.len() > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { arguments.len() };
    let mut shown: Vec<Vec<u8>> = arguments[..kept].iter().map(|argument| shortened_one(argument)).collect();
    if kept < arguments.len() {
        shown.push(format!("... ({} more arguments)", arguments.len() - kept).into_bytes());
    }
    shown
}

fn shortened_one(argument: &[u8]) -> Vec<u8> {
    let Some(more) = argument.len().checked_sub(ARGUMENT_BYTES_MAX).filter(|more| *more > 0) else {
        return argument.to_vec();
    };
    let mut shown = argument[..ARGUMENT_BYTES_MAX].to_vec();
    shown.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: (&str, &[u8]) = ("192.0.2.1:5", b"me");

    #[test]
    fn keeps_the_latest() {
        let log = SlowLog::default();
        (0..5).for_each(|micros| log.push(7, micros, &[b"get", b"k"], CLIENT, 3));
        assert_eq!(log.len(), 3);
        let ids: Vec<u64> = log.latest(2).iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [4, 3]);
        log.reset();
        assert!(log.is_empty());
        log.push(7, 1, &[], CLIENT, 3);
        assert_eq!(log.latest(9)[0].id, 5);
        log.push(7, 1, &[], CLIENT, 0);
        assert!(log.is_empty());
    }

    #[test]
    fn arguments_are_shortened_as_in_redis() {
        let arguments: Vec<&[u8]> = vec![b"x"; 33];
        let shown = shortened(&arguments);
        assert_eq!(shown.len(), 32);
        assert_eq!(shown[31], b"... (2 more arguments)");
        assert_eq!(shortened(&arguments[..32]).len(), 32);
        assert_eq!(shortened_one(&[b'A'; 128]).len(), 128);
        assert!(shortened_one(&[b'A'; 129]).ends_with(b"A... (1 more bytes)"));
    }
}
