//! Datasets that are being loaded beside the one that clients see, until one takes that one's place. There may be several: the load
//! from a master that is not followed any more may still bring keys while another has begun.

use super::database::Database;
use super::keyspace::Keyspace;

/// Databases that are being loaded.
pub(super) struct Incoming {
    /// Which load they are of.
    number: u64,
    databases: Vec<Database>,
}

impl Keyspace {
    /// A database of the dataset that load `number` brings, which has at least so many.
    pub fn incoming(&mut self, number: u64, database: usize) -> &mut Database {
        let known = self.incoming.iter().position(|incoming| incoming.number == number);
        let index = known.unwrap_or_else(|| {
            self.incoming.push(Incoming { number, databases: Vec::new() });
            self.incoming.len() - 1
        });
        let hashers = self.hashers();
        let databases = &mut self.incoming[index].databases;
        while databases.len() <= database {
            databases.push(Database::new(hashers.clone()));
        }
        &mut databases[database]
    }

    /// Forgets what load `number` brought.
    pub fn drop_incoming(&mut self, number: u64) {
        let databases = self.take_incoming(number);
        databases.into_iter().flatten().for_each(|database| self.discard(database));
    }

    fn take_incoming(&mut self, number: u64) -> Option<Vec<Database>> {
        let index = self.incoming.iter().position(|incoming| incoming.number == number)?;
        Some(self.incoming.swap_remove(index).databases)
    }

    /// Puts what load `number` brought into the place of the dataset that is here. Watchers are told of what was there and
    /// of what is there now, and so are those who wait.
    pub fn adopt_incoming(&mut self, number: u64) {
        let mut databases = self.take_incoming(number).unwrap_or_default();
        databases.resize_with(self.databases.len(), || Database::new(self.hashers()));
        for (index, new) in databases.into_iter().enumerate() {
            self.touch_all(index, |keyspace, key| {
                keyspace.find(index, key).is_some() || new.find(new.hash(key), key).is_some()
            });
            let old = std::mem::replace(&mut self.databases[index], new);
            self.discard(old);
            self.make_all_ready(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use ahash::RandomState;

    use super::*;
    use crate::base::clock::UnixMillis;
    use crate::store::entry::Entry;

    const NOW: UnixMillis = 1_700_000_000_000;

    fn entry(key: &str, value: &str) -> Entry {
        Entry::new_string(key.as_bytes(), value.as_bytes(), None)
    }

    fn load(keyspace: &mut Keyspace, number: u64, database: usize, entry: Entry) {
        let hash = keyspace.hash(entry.key());
        keyspace.incoming(number, database).insert(hash, entry, NOW);
    }

    fn value(keyspace: &Keyspace, database: usize, key: &str) -> Option<Vec<u8>> {
        let entry = keyspace.find(database, key.as_bytes())?;
        entry.string(&mut itoa::Buffer::new()).map(<[u8]>::to_vec)
    }

    #[test]
    fn nobody_sees_what_is_loaded_before_it_is_adopted() {
        let mut keyspace = Keyspace::new(2, RandomState::with_seeds(1, 2, 3, 4));
        keyspace.insert(0, entry("old", "1"), NOW);
        let [old, new, other] = ["old", "new", "other"].map(|key| keyspace.watch(0, key.as_bytes()));
        load(&mut keyspace, 7, 0, entry("dropped", "1"));
        load(&mut keyspace, 8, 0, entry("new", "2"));
        load(&mut keyspace, 7, 0, entry("late", "1"));
        load(&mut keyspace, 8, 1, entry("elsewhere", "3"));
        keyspace.drop_incoming(7);
        assert_eq!(value(&keyspace, 0, "new"), None);
        keyspace.adopt_incoming(8);
        assert_eq!(value(&keyspace, 0, "old"), None);
        assert_eq!(value(&keyspace, 0, "dropped").or(value(&keyspace, 0, "late")), None);
        assert_eq!(value(&keyspace, 0, "new"), Some(b"2".to_vec()));
        assert_eq!(value(&keyspace, 1, "elsewhere"), Some(b"3".to_vec()));
        assert_ne!(keyspace.watched_version(0, b"old"), Some(old));
        assert_ne!(keyspace.watched_version(0, b"new"), Some(new));
        assert_eq!(keyspace.watched_version(0, b"other"), Some(other));
        assert_eq!(keyspace.lazy_objects(), 3, "the old dataset and the dropped one are freed later");
    }

    #[test]
    fn a_load_that_brought_nothing_leaves_nothing() {
        let mut keyspace = Keyspace::new(2, RandomState::with_seeds(1, 2, 3, 4));
        keyspace.insert(1, entry("old", "1"), NOW);
        load(&mut keyspace, 1, 1, entry("new", "2"));
        keyspace.adopt_incoming(2);
        assert!(keyspace.database(1).is_empty());
        keyspace.drop_incoming(2);
        keyspace.drop_incoming(1);
        assert_eq!(keyspace.lazy_objects(), 2);
    }
}
