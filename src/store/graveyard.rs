//! What has left the keyspace but is not freed yet: whole databases and large values, freed in slices by whoever has
//! the time, so that FLUSHALL and UNLINK stall nobody. No key in here can be found any more.

use std::collections::VecDeque;

use super::database::Database;
use super::entry::Entry;

/// Entries of at most so many bytes are freed at once: that is cheaper than to queue them.
const SMALL_BYTES_MAX: usize = 16 * 1024;

/// Entries' worth of budget that freeing so many bytes of one value costs.
const BYTES_PER_BUDGET: usize = 4096;

/// Databases and entries that wait to be freed, oldest first.
#[derive(Default)]
pub struct Graveyard {
    tombs: VecDeque<Tomb>,
    objects: usize,
    bytes: usize,
    freed: u64,
}

enum Tomb {
    Database { database: Box<Database>, cursor: u64 },
    Entry(Entry),
}

impl Graveyard {
    /// Takes a database over. Constant time.
    pub fn bury(&mut self, database: Database) {
        if !database.is_empty() {
            self.objects += database.len();
            self.bytes += database.memory_usage();
            self.tombs.push_back(Tomb::Database { database: Box::new(database), cursor: 0 });
        }
    }

    /// Takes an entry over, or frees it when it is small.
    pub fn bury_entry(&mut self, entry: Entry) {
        let bytes = entry.memory_usage();
        if bytes > SMALL_BYTES_MAX {
            self.objects += 1;
            self.bytes += bytes;
            self.tombs.push_back(Tomb::Entry(entry));
        }
    }

    /// Takes over all that waits in another one.
    pub fn append(&mut self, other: &mut Graveyard) {
        self.tombs.append(&mut other.tombs);
        self.objects += std::mem::take(&mut other.objects);
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Frees about `budget` small entries or the like in bytes; returns the number of entries freed.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let (mut left, mut freed) = (budget, 0);
        while left > 0 {
            let Some(tomb) = self.tombs.front_mut() else { break };
            match tomb {
                Tomb::Entry(entry) => {
                    let bytes = entry.memory_usage();
                    let elements = entry.free_some(left);
                    if elements > 0 {
                        self.bytes -= bytes - entry.memory_usage();
                        left = left.saturating_sub(elements);
                        continue;
                    }
                    self.bytes -= bytes;
                    left = left.saturating_sub(1 + bytes / BYTES_PER_BUDGET);
                    freed += 1;
                    self.tombs.pop_front();
                }
                Tomb::Database { database, cursor } => {
                    let (bytes, entries) = (database.memory_usage(), database.len());
                    *cursor = database.drain_some(*cursor, left, drop);
                    let taken = entries - database.len();
                    freed += taken;
                    left = left.saturating_sub(taken.max(1));
                    if *cursor == 0 {
                        self.bytes -= bytes;
                        self.tombs.pop_front();
                    } else {
                        self.bytes -= bytes - database.memory_usage();
                    }
                }
            }
        }
        self.objects -= freed;
        self.freed += freed as u64;
        freed
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.tombs.is_empty()
    }

    /// Entries that wait (`lazyfree_pending_objects`).
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// Bytes that wait; for `maxmemory` they count as freed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries freed so far (`lazyfreed_objects`).
    pub fn freed(&self) -> u64 {
        self.freed
    }
}

impl std::fmt::Debug for Graveyard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Graveyard")
            .field("objects", &self.objects)
            .field("bytes", &self.bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use ahash::RandomState;

    use super::*;
    use crate::store::entry::NewValue;

    #[test]
    fn databases_are_freed_in_slices() {
        let mut database = Database::new(RandomState::with_seeds(1, 2, 3, 4));
        for number in 0..10_000 {
            let key = format!("key:{number}");
            let hash = database.hash(key.as_bytes());
            database.insert(hash, Entry::new_string(key.as_bytes(), b"value", None), 0);
        }
        let mut graveyard = Graveyard::default();
        let bytes = database.memory_usage();
        graveyard.bury(database);
        assert_eq!((graveyard.objects(), graveyard.bytes()), (10_000, bytes));
        let mut slices = 0;
        while !graveyard.is_empty() {
            graveyard.free_some(100);
            slices += 1;
        }
        assert!(slices > 10, "only {slices} slices");
        assert_eq!((graveyard.objects(), graveyard.bytes(), graveyard.freed()), (0, 0, 10_000));
    }

    #[test]
    fn huge_strings_go_in_slices() {
        const BYTES: usize = 64 << 20;
        let mut graveyard = Graveyard::default();
        let mut entry = Entry::new_string(b"huge", b"", None);
        entry.set_value(NewValue::Bytes(&vec![b'x'; BYTES]));
        graveyard.bury_entry(entry);
        let mut slices = 0;
        while !graveyard.is_empty() {
            graveyard.free_some(256);
            slices += 1;
        }
        assert!(slices > 8, "only {slices} slices");
        assert_eq!((graveyard.objects(), graveyard.bytes(), graveyard.freed()), (0, 0, 1));
    }

    #[test]
    fn only_large_entries_wait() {
        let mut graveyard = Graveyard::default();
        graveyard.bury_entry(Entry::new_string(b"small", b"value", None));
        assert!(graveyard.is_empty());
        graveyard.bury_entry(Entry::new_string(b"large", &vec![b'x'; 100_000], None));
        assert_eq!(graveyard.objects(), 1);
        assert_eq!(graveyard.free_some(1), 1);
        assert_eq!((graveyard.objects(), graveyard.bytes(), graveyard.freed()), (0, 0, 1));
    }
}
