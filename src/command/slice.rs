//! Reads of big collections in slices, so that whoever reads millions of elements does not hold the shard meanwhile.
//!
//! A handler that can reply in slices takes [`Context::slice`], replies from where that says, and leaves there how to go on. The
//! floor above keeps the key from changing until the last slice, and runs others' commands between two of them. Inside of a
//! transaction there are no slices.

use crate::base::limits::{SLICE_BYTES, SLICED_ELEMENTS_MIN};
use crate::command::Context;
use crate::resp::Reply;
use crate::store::value::Collection;

/// Elements that [`Slice::walk`] is given at a time.
pub const STEP: usize = 16;

/// One slice of a command that only reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Where it begins: 0 for the first one, else what [`Slice::next`] said at the end of the one before.
    pub from: u64,
    /// Where the next slice goes on; 0 when this one is the last. What it means is up to the handler.
    pub next: u64,
    /// How long the slices before it took, nanoseconds.
    pub nanos: u64,
}

impl Slice {
    /// Whether it replies from the beginning.
    pub fn is_first(&self) -> bool {
        self.from == 0
    }

    /// Walks a table from cursor to cursor until the slice is long enough. `step` replies a few elements from a cursor on and
    /// returns the next one, zero at the end.
    pub fn walk(&mut self, reply: &mut Reply<'_>, mut step: impl FnMut(u64, &mut Reply<'_>) -> u64) {
        let full_at = reply.position() + SLICE_BYTES;
        self.next = self.from;
        loop {
            self.next = step(self.next, reply);
            if self.next == 0 || reply.position() >= full_at {
                return;
            }
        }
    }

    /// Walks `count` elements until the slice is long enough. `elements` replies them from the given one on, as long as its
    /// argument wants more.
    pub fn count(
        &mut self,
        reply: &mut Reply<'_>,
        count: usize,
        elements: impl FnOnce(usize, &mut Reply<'_>, &mut dyn FnMut(&Reply<'_>) -> bool),
    ) {
        let full_at = reply.position() + SLICE_BYTES;
        let mut done = self.from as usize;
        elements(done, reply, &mut |reply| {
            done += 1;
            reply.position() < full_at
        });
        self.next = if done < count { done as u64 } else { 0 };
    }
}

impl Context<'_> {
    /// Like [`Context::read_as`] for a reply that may be given in slices; `read` asks [`Slices::of`] which one it is to give. Only
    /// the first slice counts as a use of the key.
    pub fn read_sliced<T: Collection, R>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(Option<T::View<'_>>, &mut Reply<'_>, &mut Slices) -> R,
    ) -> Option<R> {
        let mut slices = Slices(self.slice);
        let result = if slices.0.is_some_and(|slice| !slice.is_first()) {
            self.peek_as::<T, R>(key, |value, reply| read(value, reply, &mut slices))
        } else {
            self.read_as::<T, R>(key, |value, reply| read(value, reply, &mut slices))
        };
        self.slice = slices.0;
        result
    }
}

/// The slice at hand, if the reply may be given in slices.
#[derive(Debug)]
pub struct Slices(Option<Slice>);

impl Slices {
    /// The slice to reply; none when a reply of so many elements is to be given in one go.
    pub fn of(&mut self, elements: usize) -> Option<&mut Slice> {
        self.0.as_mut().filter(|_| elements >= SLICED_ELEMENTS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::case::Case;

    #[test]
    fn slices_add_up() {
        let mut case = Case::new();
        let numbers: Vec<String> = (0..6000).map(|number| number.to_string()).collect();
        let words = |each: fn(&str) -> String| numbers.iter().map(|n| each(n)).collect::<Vec<_>>().join(" ");
        case.run(&format!("SADD set {}", words(|n| format!("m{n}"))));
        case.run(&format!("RPUSH list {}", words(|n| n.to_owned())));
        case.run(&format!("HSET hash {}", words(|n| format!("f{n} v{n}"))));
        case.run(&format!("ZADD ranking {}", words(|n| format!("{n} m{n}"))));
        case.run("SADD few a b");
        for line in [
            "SMEMBERS set",
            "HGETALL hash",
            "HKEYS hash",
            "HVALS hash",
            "LRANGE list 5 -5",
            "ZRANGE ranking 0 -1 WITHSCORES",
            "ZREVRANGEBYSCORE ranking 5500 3",
            "ZRANGEBYLEX ranking - + LIMIT 3 5000",
            "SMEMBERS few",
            "SMEMBERS none",
            "LRANGE set 0 -1",
        ] {
            for protocol in [crate::resp::reply::Protocol::Resp2, crate::resp::reply::Protocol::Resp3] {
                case.caller.protocol = protocol;
                case.slice = None;
                let whole = case.run(line);
                let uses = case.keyspace.counters.hits + case.keyspace.counters.misses;
                case.slice = Some(Slice::default());
                let (mut sliced, mut slices) = (String::new(), 0);
                while slices == 0 || case.slice.is_some_and(|slice| slice.from != 0) {
                    let reply = case.run(line);
                    assert!(reply.len() < SLICE_BYTES + 1024, "{line}");
                    sliced += &reply;
                    slices += 1;
                    case.slice = case.slice.map(|slice| Slice { from: slice.next, next: 0, ..slice });
                }
                assert_eq!(slices > 1, whole.len() > SLICE_BYTES, "{line}");
                // The members of a set stand in no order.
                let unordered = |reply: &str| {
                    let mut lines: Vec<String> = reply.lines().map(str::to_owned).collect();
                    lines.sort_unstable();
                    lines
                };
                let is_set = line.starts_with("SMEMBERS");
                assert!(sliced == whole || is_set && unordered(&sliced) == unordered(&whole), "{line}");
                assert_eq!(case.keyspace.counters.hits + case.keyspace.counters.misses, uses + 1, "{line}");
            }
        }
    }
}
