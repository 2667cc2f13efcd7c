//! Error replies counted by their code (`ERR`, `WRONGTYPE`, …).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;

/// Kinds kept per shard: codes can come from clients (scripts), so their number has a bound. Further ones are not counted.
const KINDS_MAX: usize = 128;
/// Bytes of a code, the `-` before it among them, as Redis looks for its end.
const CODE_BYTES_MAX: usize = 32;

type Kinds = BTreeMap<Box<str>, u64>;

/// One register per shard; each is locked by its own shard, and by those who read or reset.
#[derive(Debug)]
pub struct Errors(Box<[CachePadded<Mutex<Kinds>>]>);

impl Errors {
    /// Empty registers.
    pub fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| CachePadded::default()).collect())
    }

    /// Counts an encoded error reply (`-WRONGTYPE Operation …`) to a client of this shard.
    pub fn count(&self, shard: usize, reply: &[u8]) {
        let code = code_of(reply);
        let mut kinds = lock(&self.0[shard]);
        if let Some(count) = kinds.get_mut(code) {
            *count += 1;
        } else if kinds.len() < KINDS_MAX {
            kinds.insert(code.into(), 1);
        }
    }

    /// All codes in order, with how often each was replied.
    pub fn totals(&self) -> BTreeMap<Box<str>, u64> {
        let mut totals = BTreeMap::new();
        for kinds in &self.0 {
            for (code, count) in lock(kinds).iter() {
                *totals.entry(code.clone()).or_default() += count;
            }
        }
        totals
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.0.iter().for_each(|kinds| lock(kinds).clear());
    }
}

fn lock(kinds: &Mutex<Kinds>) -> MutexGuard<'_, Kinds> {
    kinds.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands between the `-` and the first blank; `ERR` when there is no such thing.
fn code_of(reply: &[u8]) -> &str {
    let code = reply.strip_prefix(b"-").and_then(|rest| {
        let end = rest.iter().take(CODE_BYTES_MAX - 1).position(|&byte| byte == b' ')?;
        std::str::from_utf8(&rest[..end]).ok()
    });
    code.unwrap_or("ERR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_code() {
        let errors = Errors::new(2);
        errors.count(0, b"-WRONGTYPE Operation\r\n");
        errors.count(1, b"-WRONGTYPE Operation\r\n");
        errors.count(1, b"-ERR no such key\r\n");
        errors.count(1, b"-BARE\r\n");
        let totals: Vec<_> = errors.totals().into_iter().collect();
        assert_eq!(totals, [("ERR".into(), 2), ("WRONGTYPE".into(), 2)]);
        errors.reset();
        assert!(errors.totals().is_empty());
    }

    #[test]
    fn kinds_are_bounded() {
        let errors = Errors::new(1);
        (0..1000).for_each(|kind| errors.count(0, format!("-KIND{kind} x\r\n").as_bytes()));
        errors.count(0, b"-KIND5 x\r\n");
        assert_eq!(errors.totals().len(), KINDS_MAX);
        assert_eq!(errors.totals()["KIND5"], 2);
    }
}
