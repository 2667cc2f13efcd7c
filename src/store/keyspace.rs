//! The keyspace of one shard: its databases, the versions of watched keys, the expire cycle, and counters of what
//! happened to keys. What goes when memory is short is chosen in [`super::evict`].

use ahash::{AHashMap, AHashSet, RandomState};

use super::cut::Cutter;
use super::database::Database;
use super::entry::Entry;
use super::evict::Pool;
use super::graveyard::Graveyard;
use super::incoming::Incoming;
use super::table::EntryRef;
use crate::base::clock::UnixMillis;

/// Watched keys for which a scratch keyspace keeps room between two uses.
const SCRATCH_WATCHES_MAX: usize = 1024;

/// Counters of a shard's keyspace since start or CONFIG RESETSTAT.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyspaceCounters {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Fields of hashes removed because their time had come.
    pub expired_fields: u64,
    /// Keys removed to stay below `maxmemory`.
    pub evicted: u64,
    /// Changes of the dataset (`rdb_changes_since_last_save`).
    pub dirty: u64,
    /// Entries that were freed in slices.
    pub lazily_freed: u64,
}

/// A watched key: how many clients watch it, and the number of its last change.
#[derive(Clone, Copy, Debug)]
struct Watched {
    watchers: u32,
    version: u64,
    /// Whether the key's time was over when it came here, so that nobody ever saw it: its removal is no change.
    unseen: bool,
}

/// Databases and watched keys of one shard.
pub struct Keyspace {
    pub(super) databases: Vec<Database>,
    watched: AHashMap<(u32, Box<[u8]>), Watched>,
    version: u64,
    hashers: RandomState,
    /// What waits to be freed.
    graveyard: Graveyard,
    /// Database with which the next expire cycle begins.
    expire_from: usize,
    /// Candidates for eviction.
    pub(super) candidates: Pool,
    /// What happened to keys.
    pub counters: KeyspaceCounters,
    /// Whether keys whose time has come are only hidden, not removed: while CLIENT PAUSE keeps the dataset as it is.
    pub keeps_expired: bool,
    /// Whether the keys are those of a master that is followed: that alone removes them.
    pub follows: bool,
    /// Of these, the ones that clients gave a time to live.
    pub(super) local_deadlines: AHashSet<(u32, Box<[u8]>)>,
    /// Keys that blocked clients wait for, and those of them that have changed.
    awaited: AHashSet<(u32, Box<[u8]>)>,
    ready: Vec<(u32, Box<[u8]>)>,
    /// Number of keys whose removal is an answer to somebody who waits for them.
    pub awaited_on_removal: usize,
    /// Keys that are kept for others, who came first: a command that may wait does not take from them.
    pub kept: Vec<(u32, Box<[u8]>)>,
    /// Takes the cut of a snapshot while that is under way.
    pub(super) cutter: Option<Box<dyn Cutter>>,
    /// Databases that were replaced while a cut through them was under way.
    pub(super) replaced: Vec<Database>,
    /// What takes the next cut.
    pub prepared_cut: Option<Box<dyn Cutter>>,
    /// The number of a snapshot that was cut since somebody looked.
    pub new_cut: Option<u64>,
    /// Datasets that are being loaded beside this one.
    pub(super) incoming: Vec<Incoming>,
}

impl Keyspace {
    /// An empty keyspace of `databases` databases. All shards of a process share `hashers`, so that a key has one hash.
    pub fn new(databases: usize, hashers: RandomState) -> Self {
        Self {
            databases: (0..databases).map(|_| Database::new(hashers.clone())).collect(),
            watched: AHashMap::new(),
            version: 0,
            hashers,
            graveyard: Graveyard::default(),
            expire_from: 0,
            candidates: Pool::default(),
            counters: KeyspaceCounters::default(),
            keeps_expired: false,
            follows: false,
            local_deadlines: AHashSet::new(),
            awaited: AHashSet::new(),
            ready: Vec::new(),
            awaited_on_removal: 0,
            kept: Vec::new(),
            cutter: None,
            replaced: Vec::new(),
            prepared_cut: None,
            new_cut: None,
            incoming: Vec::new(),
        }
    }

    /// What hashes keys in every table of the process.
    pub(super) fn hashers(&self) -> RandomState {
        self.hashers.clone()
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.databases.len()
    }

    /// A database. The index was checked when the client selected it.
    #[inline]
    pub fn database(&self, index: usize) -> &Database {
        &self.databases[index]
    }

    /// A database.
    #[inline]
    pub fn database_mut(&mut self, index: usize) -> &mut Database {
        &mut self.databases[index]
    }

    /// The hash of `key` in every table of the process.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hashers.hash_one(key)
    }

    /// The entry of a key, whether its time has come or not; none in a database that there is not.
    #[inline]
    pub fn find(&self, database: usize, key: &[u8]) -> Option<EntryRef<'_>> {
        self.databases.get(database)?.find(self.hash(key), key)
    }

    /// Adds an entry and returns the one whose place it takes. Watchers are not told.
    pub fn insert(&mut self, database: usize, entry: Entry, now: UnixMillis) -> Option<Entry> {
        let hash = self.hash(entry.key());
        self.databases[database].replace(hash, entry, now)
    }

    /// Takes the entry of a key out; none in a database that there is not. Watchers are not told.
    pub fn remove(&mut self, database: usize, key: &[u8]) -> Option<Entry> {
        let hash = self.hash(key);
        self.databases.get_mut(database)?.remove(hash, key)
    }

    /// Tells those who watch the key or wait for it that it changed.
    #[inline]
    pub fn touch(&mut self, database: usize, key: &[u8]) {
        if !self.watched.is_empty() {
            self.touch_watched(database, key);
        }
        if !self.awaited.is_empty() {
            self.make_ready(database as u32, key);
        }
    }

    /// Number of keys that somebody waits for.
    pub fn awaited_keys(&self) -> usize {
        self.awaited.len()
    }

    /// Somebody waits for changes of a key from now on.
    pub fn await_key(&mut self, database: u32, key: Box<[u8]>) {
        self.awaited.insert((database, key));
    }

    /// Nobody waits for the key any more.
    pub fn forget_awaited(&mut self, database: u32, key: &[u8]) {
        self.awaited.remove(&(database, Box::from(key)));
    }

    /// Those who wait for the key are to be run again.
    #[cold]
    pub fn make_ready(&mut self, database: u32, key: &[u8]) {
        let name = (database, Box::from(key));
        if self.awaited.contains(&name) && !self.ready.contains(&name) {
            self.ready.push(name);
        }
    }

    /// Whether keys that somebody waits for have changed.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The keys that somebody waits for and that have changed, in the order of their changes.
    pub fn take_ready(&mut self) -> Vec<(u32, Box<[u8]>)> {
        std::mem::take(&mut self.ready)
    }

    /// All keys of a database that somebody waits for may have changed.
    pub fn make_all_ready(&mut self, database: usize) {
        let of_database = |name: &&(u32, Box<[u8]>)| name.0 as usize == database;
        let names: Vec<_> = self.awaited.iter().filter(of_database).cloned().collect();
        names.into_iter().for_each(|(database, key)| self.make_ready(database, &key));
    }

    #[cold]
    fn touch_watched(&mut self, database: usize, key: &[u8]) {
        if let Some(watched) = self.watched.get_mut(&(database as u32, Box::from(key))) {
            self.version += 1;
            watched.version = self.version;
            watched.unseen = false;
        }
    }

    /// Says that a watched key that is missing comes to be with its time over (SWAPDB): to those who watch it that is
    /// no change, and its removal will be none.
    pub fn expect_unseen(&mut self, database: usize, key: &[u8]) {
        if let Some(watched) = self.watched.get_mut(&(database as u32, Box::from(key))) {
            watched.unseen = true;
        }
    }

    #[cold]
    fn touch_expired(&mut self, database: usize, key: &[u8]) {
        self.make_ready(database as u32, key);
        match self.watched.get_mut(&(database as u32, Box::from(key))) {
            Some(watched) if watched.unseen => watched.unseen = false,
            _ => self.touch_watched(database, key),
        }
    }

    /// The watched keys of a database.
    pub fn watched_keys_of(&self, database: usize) -> Vec<Box<[u8]>> {
        let watched = self.watched.keys().filter(|(index, _)| *index as usize == database);
        watched.map(|(_, key)| key.clone()).collect()
    }

    /// Tells those who watch keys of a database whose keys all change; `exists` says which are worth telling.
    pub fn touch_all(&mut self, database: usize, exists: impl Fn(&Self, &[u8]) -> bool) {
        for key in self.watched_keys_of(database) {
            if exists(self, &key) {
                self.touch_watched(database, &key);
            }
        }
    }

    /// Starts a watch; returns the key's version.
    pub fn watch(&mut self, database: usize, key: &[u8]) -> u64 {
        self.version += 1;
        let version = self.version;
        let watched = self.watched.entry((database as u32, Box::from(key))).or_insert(Watched {
            watchers: 0,
            version,
            unseen: false,
        });
        watched.watchers += 1;
        watched.version
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, database: usize, key: &[u8]) {
        let name = (database as u32, Box::from(key));
        if let Some(watched) = self.watched.get_mut(&name) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                self.watched.remove(&name);
            }
        }
    }

    /// The version of a watched key; `None` when nobody watches it.
    pub fn watched_version(&self, database: usize, key: &[u8]) -> Option<u64> {
        self.watched.get(&(database as u32, Box::from(key))).map(|watched| watched.version)
    }

    /// Number of watched keys.
    pub fn watched_keys(&self) -> usize {
        self.watched.len()
    }

    /// Swaps two databases (SWAPDB). Watches stay with the index.
    pub fn swap(&mut self, one: usize, other: usize) {
        self.databases.swap(one, other);
        self.make_all_ready(one);
        self.make_all_ready(other);
    }

    /// Puts a fresh database in place of one and returns the old one, to be freed by whoever has the time.
    pub fn replace_database(&mut self, index: usize) -> Database {
        self.make_all_ready(index);
        let fresh = Database::new(self.hashers.clone());
        std::mem::replace(&mut self.databases[index], fresh)
    }

    /// Removes keys whose time has come, of all databases in turn; `budget` bounds the work and is what is left of it
    /// afterwards (zero: there may be more to do). Keys that `is_locked`, asked by the hash, holds stay for a later
    /// cycle. `on_expired` is told the database and the entry, for effects. Returns the number of removed keys.
    pub fn expire_cycle(
        &mut self,
        now: UnixMillis,
        budget: &mut usize,
        is_locked: impl Fn(u64) -> bool,
        mut on_expired: impl FnMut(usize, &Entry),
    ) -> usize {
        let mut removed = 0;
        for _ in 0..self.databases.len() {
            let index = self.expire_from % self.databases.len();
            self.expire_from = index + 1;
            let hashers = self.hashers.clone();
            let may_remove = |entry: &Entry| !is_locked(hashers.hash_one(entry.key()));
            while let Some(entry) = self.databases[index].expire_next(now, budget, &may_remove) {
                removed += 1;
                self.counters.expired += 1;
                if !self.watched.is_empty() || !self.awaited.is_empty() {
                    self.touch_expired(index, entry.key());
                }
                on_expired(index, &entry);
                self.graveyard.bury_entry(entry);
            }
            if *budget == 0 {
                break;
            }
        }
        removed
    }

    /// Whether fields of some hash in the database are over and may go.
    #[inline]
    pub fn has_due_fields(&self, database: usize, now: UnixMillis) -> bool {
        !self.keeps_expired
            && self.databases.get(database).is_some_and(|database| database.has_due_fields(now))
    }

    /// Removes up to `budget` fields of the hash at `key` that are over, and tells which; the key goes with the last one.
    /// Whether it did.
    pub fn expire_fields(
        &mut self,
        database: usize,
        key: &[u8],
        now: UnixMillis,
        budget: usize,
        mut on_expired: impl FnMut(&[u8]),
    ) -> bool {
        let hash = self.hash(key);
        let mut count = 0;
        let is_empty = self.databases[database].expire_fields(hash, key, now, budget, |field| {
            count += 1;
            on_expired(field);
        });
        if is_empty && let Some(entry) = self.databases[database].remove(hash, key) {
            self.graveyard.bury_entry(entry);
        }
        if count > 0 {
            self.counters.expired_fields += count;
            self.touch(database, key);
        }
        is_empty
    }

    /// Removes fields of hashes that are over, of all databases; `budget` is as in [`Keyspace::expire_cycle`], and so is
    /// `is_locked`. `on_expired` is told the database, the key and the fields, and whether the key went with them.
    pub fn expire_fields_cycle(
        &mut self,
        now: UnixMillis,
        budget: &mut usize,
        is_locked: impl Fn(u64) -> bool,
        mut on_expired: impl FnMut(usize, &[u8], &[Box<[u8]>], bool),
    ) {
        for index in 0..self.databases.len() {
            while *budget > 0 {
                let Some(key) = self.databases[index].next_with_due_fields(now, &is_locked) else { break };
                let mut fields = Vec::new();
                let is_gone =
                    self.expire_fields(index, &key, now, *budget, |field| fields.push(field.into()));
                *budget = budget.saturating_sub(fields.len().max(1));
                on_expired(index, &key, &fields, is_gone);
            }
        }
    }

    /// Takes a database over that was replaced, to be freed by [`Keyspace::free_some`] when no snapshot needs it.
    pub fn discard(&mut self, database: Database) {
        if database.is_cut() {
            self.replaced.push(database);
        } else {
            self.graveyard.bury(database);
        }
    }

    /// Takes an entry over that was removed, to be freed by [`Keyspace::free_some`] if it is large, else at once.
    pub fn discard_entry(&mut self, entry: Entry) {
        self.graveyard.bury_entry(entry);
    }

    /// Ends a use as a scratch keyspace, after all entries were taken out: hands over to `heir` what was discarded, and
    /// forgets the deadlines of what is gone.
    pub fn end_scratch(&mut self, heir: &mut Keyspace) {
        heir.graveyard.append(&mut self.graveyard);
        self.databases.iter_mut().for_each(Database::forget_deadlines);
        self.watched.shrink_to(SCRATCH_WATCHES_MAX);
    }

    /// Frees about `budget` discarded entries; returns how many. Call it whenever there is time while
    /// [`Keyspace::lazy_objects`] is not zero.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let freed = self.graveyard.free_some(budget);
        self.counters.lazily_freed += freed as u64;
        freed
    }

    /// Entries that wait to be freed (`lazyfree_pending_objects`).
    pub fn lazy_objects(&self) -> usize {
        self.graveyard.objects()
    }

    /// Bytes that wait to be freed; for `maxmemory` they count as freed.
    pub fn lazy_bytes(&self) -> usize {
        self.graveyard.bytes() + self.replaced.iter().map(Database::memory_usage).sum::<usize>()
    }

    /// Removes the key if its time has come, unless such keys are kept; returns its entry if it did.
    pub fn expire_if_due(&mut self, database: usize, key: &[u8], now: UnixMillis) -> Option<Entry> {
        let due = self.find(database, key).is_some_and(|entry| entry.is_expired(now));
        if !due || self.keeps_expired {
            return None;
        }
        let entry = self.remove(database, key);
        self.counters.expired += 1;
        if !self.watched.is_empty() || !self.awaited.is_empty() {
            self.touch_expired(database, key);
        }
        entry
    }
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<usize> = self.databases.iter().map(Database::len).collect();
        formatter.debug_struct("Keyspace").field("keys", &keys).field("counters", &self.counters).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_700_000_000_000;

    fn keyspace() -> Keyspace {
        Keyspace::new(3, RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn the_expire_cycle_reaches_all_databases_within_its_budget() {
        let mut keyspace = keyspace();
        for number in 0..300 {
            let expire = (number >= 30).then_some(NOW + 10);
            let entry = Entry::new_string(format!("{number}").as_bytes(), b"value", expire);
            keyspace.insert(number % 3, entry, NOW);
        }
        let locked = keyspace.hash(b"100");
        assert_eq!(keyspace.expire_cycle(NOW, &mut 1000, |_| false, |_, _| {}), 0);
        let later = NOW + 1000;
        let mut seen = [0; 3];
        assert_eq!(keyspace.expire_cycle(later, &mut 20, |_| false, |index, _| seen[index] += 1), 20);
        keyspace.expire_cycle(later, &mut 20, |_| false, |index, _| seen[index] += 1);
        assert_eq!(seen, [20, 20, 0], "one database does not starve the next");
        let mut keys = Vec::new();
        keyspace.expire_cycle(
            later,
            &mut 1000,
            |hash| hash == locked,
            |_, entry| keys.push(entry.key().to_vec()),
        );
        let left: usize = (0..3).map(|index| keyspace.database(index).len()).sum();
        assert!(left == 31 || left == 30);
        assert!(!keys.contains(&b"100".to_vec()));
        assert_eq!(keyspace.counters.expired as usize, 300 - left);
    }

    #[test]
    fn expiry_tells_watchers() {
        let mut keyspace = keyspace();
        keyspace.insert(0, Entry::new_string(b"a", b"value", Some(NOW)), NOW);
        let version = keyspace.watch(0, b"a");
        assert_eq!(keyspace.expire_cycle(NOW + 100, &mut 10, |_| false, |_, _| {}), 1);
        assert_ne!(keyspace.watched_version(0, b"a"), Some(version));
    }

    #[test]
    fn a_scratch_keyspace_keeps_nothing() {
        let (mut scratch, mut heir) = (keyspace(), keyspace());
        let usage = scratch.database(0).memory_usage();
        scratch.insert(0, Entry::new_string(b"a", &[b'x'; 100_000], Some(NOW + 1_000_000)), NOW);
        let entry = scratch.remove(0, b"a").unwrap();
        scratch.discard_entry(entry);
        scratch.end_scratch(&mut heir);
        assert_eq!((scratch.lazy_objects(), heir.lazy_objects()), (0, 1));
        assert_eq!(scratch.database(0).memory_usage(), usage);
        assert_eq!((heir.free_some(1), heir.lazy_bytes()), (1, 0));
    }

    #[test]
    fn a_pause_keeps_what_has_expired() {
        let mut keyspace = keyspace();
        keyspace.insert(0, Entry::new_string(b"a", b"1", Some(NOW - 1)), NOW);
        keyspace.keeps_expired = true;
        assert!(keyspace.expire_if_due(0, b"a", NOW).is_none() && keyspace.find(0, b"a").is_some());
        keyspace.keeps_expired = false;
        assert!(keyspace.expire_if_due(0, b"a", NOW).is_some());
        assert_eq!(keyspace.counters.expired, 1);
    }

    #[test]
    fn there_is_nothing_in_a_database_that_is_not_there() {
        let mut keyspace = keyspace();
        assert!(keyspace.find(99, b"a").is_none() && keyspace.remove(99, b"a").is_none());
        assert!(keyspace.expire_if_due(99, b"a", NOW).is_none());
    }

    #[test]
    fn discarded_databases_are_freed_later() {
        let mut keyspace = keyspace();
        for number in 0..100 {
            keyspace.insert(1, Entry::new_string(format!("{number}").as_bytes(), b"value", None), NOW);
        }
        let old = keyspace.replace_database(1);
        keyspace.discard(old);
        assert_eq!(keyspace.lazy_objects(), 100);
        assert!(keyspace.lazy_bytes() > 0 && keyspace.database(1).is_empty());
        while keyspace.lazy_objects() > 0 {
            keyspace.free_some(10);
        }
        assert_eq!((keyspace.lazy_bytes(), keyspace.counters.lazily_freed), (0, 100));
    }
}
