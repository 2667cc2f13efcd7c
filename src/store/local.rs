//! Keys of a replica that its own clients gave a time to live, where they may write (`replica-read-only no`): no master removes
//! them, so the replica does.

use super::entry::Entry;
use super::keyspace::Keyspace;
use crate::base::clock::UnixMillis;

impl Keyspace {
    /// A client gave a key a time to live.
    #[cold]
    pub fn note_local_deadline(&mut self, database: usize, key: &[u8]) {
        self.local_deadlines.insert((database as u32, Box::from(key)));
    }

    /// Keys that clients gave a time to live.
    pub fn local_deadlines(&self) -> usize {
        self.local_deadlines.len()
    }

    /// Removes those of these keys that are over, unless the hash `is_locked`, and tells which. Looks at all of them: there are
    /// few.
    pub fn expire_local(
        &mut self,
        now: UnixMillis,
        is_locked: impl Fn(u64) -> bool,
        mut on_expired: impl FnMut(usize, &Entry),
    ) {
        for (index, key) in std::mem::take(&mut self.local_deadlines) {
            let database = index as usize;
            let deadline = self.find(database, &key).and_then(|entry| entry.expire_at());
            let is_over = self.find(database, &key).is_some_and(|entry| entry.is_expired(now));
            if is_over && !is_locked(self.hash(&key)) {
                let Some(entry) = self.remove(database, &key) else { continue };
                self.counters.expired += 1;
                self.touch(database, &key);
                on_expired(database, &entry);
                self.discard_entry(entry);
            } else if deadline.is_some() {
                self.local_deadlines.insert((index, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ahash::RandomState;

    use super::*;

    #[test]
    fn what_clients_gave_a_time_goes_and_nothing_else() {
        let mut keyspace = Keyspace::new(1, RandomState::new());
        for (key, expire) in
            [("own", Some(10)), ("later", Some(99)), ("persisted", None), ("master's", Some(10))]
        {
            keyspace.insert(0, Entry::new_string(key.as_bytes(), b"1", expire), 0);
            if key != "master's" {
                keyspace.note_local_deadline(0, key.as_bytes());
            }
        }
        keyspace.note_local_deadline(0, b"gone");
        let mut gone = Vec::new();
        let locked = keyspace.hash(b"own");
        keyspace.expire_local(50, |hash| hash == locked, |_, entry| gone.push(entry.key().to_vec()));
        assert!(gone.is_empty());
        assert_eq!(keyspace.local_deadlines(), 2);
        keyspace.expire_local(50, |_| false, |_, entry| gone.push(entry.key().to_vec()));
        assert_eq!(gone, [b"own"]);
        assert_eq!(keyspace.local_deadlines(), 1);
        assert_eq!(keyspace.database(0).len(), 3);
    }
}
