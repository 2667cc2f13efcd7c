//! How far the master's stream is applied. Commands of it are under way on several shards at once; a point of the stream
//! counts once every command before it is answered. No point stands inside of a transaction.

use std::collections::VecDeque;

use crate::base::clock::UnixMillis;

/// A point between two commands of the stream.
#[derive(Debug)]
struct Point {
    /// All requests of the link before this one are before the point.
    request: u64,
    /// The database that is selected there.
    database: u32,
    /// The stream from the point before to this one.
    bytes: Vec<u8>,
}

/// The stream of one link, from where its commands are parsed to where they are applied.
#[derive(Debug)]
pub struct Progress {
    /// Bytes of the whole stream that were received, parsed or not.
    pub received: u64,
    /// When some of them came last.
    pub received_at: UnixMillis,
    /// Bytes of the whole stream that are applied.
    applied: u64,
    /// The database that is selected there.
    database: u32,
    points: VecDeque<Point>,
    /// Bytes of the whole stream that are parsed.
    parsed: u64,
    /// What is parsed since the last point.
    tail: Vec<u8>,
}

impl Progress {
    /// A stream that goes on at `offset`, in this database.
    pub fn new(offset: u64, database: u32) -> Self {
        Self {
            received: offset,
            received_at: 0,
            applied: offset,
            database,
            points: VecDeque::new(),
            parsed: offset,
            tail: Vec::new(),
        }
    }

    /// Bytes of the stream that are applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Whether everything that is parsed is applied, but for a transaction that is not whole.
    pub fn rests(&self) -> bool {
        self.points.is_empty()
    }

    /// The database that is selected there.
    pub fn database(&self) -> u32 {
        self.database
    }

    /// These bytes, whole commands, are parsed.
    pub fn parse(&mut self, bytes: &[u8]) {
        self.parsed += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
    }

    /// Bytes of the whole stream that are parsed.
    pub fn parsed(&self) -> u64 {
        self.parsed
    }

    /// What is parsed ends outside of any transaction, in this database; the next request has this number.
    pub fn mark(&mut self, request: u64, database: u32) {
        if self.tail.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.tail);
        self.points.push_back(Point { request, database, bytes });
    }

    /// All requests before this one are answered: passes what was applied by that to `take`.
    pub fn settle(&mut self, request: u64, mut take: impl FnMut(&[u8])) {
        while self.points.front().is_some_and(|point| point.request <= request)
            && let Some(point) = self.points.pop_front()
        {
            self.applied += point.bytes.len() as u64;
            self.database = point.database;
            take(&point.bytes);
            if self.tail.is_empty() {
                self.tail = point.bytes;
                self.tail.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(progress: &mut Progress, request: u64) -> String {
        let mut taken = Vec::new();
        progress.settle(request, |bytes| taken.extend_from_slice(bytes));
        String::from_utf8(taken).unwrap()
    }

    #[test]
    fn a_point_counts_when_everything_before_it_is_answered() {
        let mut progress = Progress::new(100, 0);
        progress.parse(b"ab");
        progress.mark(1, 0);
        progress.parse(b"cde");
        progress.mark(3, 5);
        assert_eq!(settle(&mut progress, 0), "");
        assert_eq!((progress.applied(), progress.database()), (100, 0));
        assert_eq!(settle(&mut progress, 2), "ab");
        assert_eq!((progress.applied(), progress.database()), (102, 0));
        assert_eq!(settle(&mut progress, 3), "cde");
        assert_eq!((progress.applied(), progress.database()), (105, 5));
        assert_eq!(settle(&mut progress, 9), "");
    }

    #[test]
    fn what_is_parsed_without_a_point_waits_for_one() {
        let mut progress = Progress::new(0, 0);
        progress.parse(b"multi");
        assert_eq!(settle(&mut progress, 9), "");
        assert_eq!(progress.applied(), 0);
        progress.parse(b"exec");
        progress.mark(4, 0);
        assert_eq!(settle(&mut progress, 4), "multiexec");
        assert_eq!(progress.applied(), 9);
    }
}
