//! One database of one shard: the table of its entries and the index of their deadlines.
//!
//! Every change of an entry's presence or deadline goes through here, so that the counts and
//! the index stay true. No clock: who needs the time passes `now_ms`, Unix milliseconds. Whether an expired entry
//! is still to be seen is decided above; here it is an entry like any other until it is removed.

use ahash::RandomState;

use super::cut::{Cut, Sink};
use super::deadlines::Deadlines;
use super::entry::{Entry, NewValue, ValueRef};
use super::expire::ExpireIndex;
use super::hash::Hash;
use super::table::{EntryMut, EntryRef, Table};

/// An expired entry that may not be removed yet is looked at again after this time.
const RETRY_MS: i64 = 100;

/// Of so many entries at least one must have a deadline for a sample of those to be taken from the table.
const DEADLINE_SHARE: usize = 4;

/// The index is renewed when it holds more than this many registrations per entry with a deadline, and some.
const REGISTRATIONS_PER_DEADLINE: usize = 2;
const SPARE_REGISTRATIONS: usize = 4096;

/// Entries that a renewal looks at for each registration that is made meanwhile.
const RENEWAL_STEP: usize = 16;

/// Entries by key, with their deadlines. See the module's documentation.
pub struct Database {
    table: Table,
    expires: ExpireIndex,
    renewal: Option<Renewal>,
    /// Of each hash whose fields have deadlines the earliest.
    field_deadlines: Deadlines,
    /// The cut of a snapshot that is under way.
    cut: Option<Box<Cut>>,
}

/// The old index, while a walk over the table registers all deadlines in the new one. Needed because
/// registrations stay behind when keys with far deadlines are deleted, persisted and set again.
struct Renewal {
    old: ExpireIndex,
    cursor: u64,
    walked: bool,
}

impl Database {
    /// An empty database; all databases of the process share one hasher.
    pub fn new(hasher: RandomState) -> Database {
        Database {
            table: Table::new(hasher),
            expires: ExpireIndex::default(),
            renewal: None,
            field_deadlines: Deadlines::default(),
            cut: None,
        }
    }

    /// Has every entry passed to `sink` as it is now, sooner or later: before it changes, or by [`Database::walk_cut`].
    pub fn cut(&mut self, sink: Box<dyn Sink>) {
        self.cut = Some(Box::new(Cut::new(self.len(), sink)));
    }

    /// Whether entries wait to be passed.
    pub fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Passes some more entries; whether that was all.
    pub fn walk_cut(&mut self) -> bool {
        if let Some(cut) = self.cut.take_if(|cut| cut.walk(&self.table)) {
            cut.finish();
        }
        self.cut.is_none()
    }

    /// Ends a cut that is not wanted any more.
    pub fn give_cut_up(&mut self) {
        self.cut = None;
    }

    /// To be called before an entry of this hash changes, comes or goes.
    #[inline]
    fn will_change(&mut self, hash: u64) {
        if let Some(cut) = &mut self.cut {
            cut.before_change(&self.table, hash);
        }
    }

    /// The table, for what only reads: scanning, sampling, prefetching.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The hash of a key, for the methods that take one.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.table.hash(key)
    }

    /// The entry of a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        self.table.find(hash, key)
    }

    /// The entry of a key, for change of everything but its key and deadline. Follow a change of a hash with
    /// [`Database::note_field_deadline`].
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_>> {
        self.will_change(hash);
        self.table.find_mut(hash, key)
    }

    /// Adds an entry whose key is absent.
    pub fn insert(&mut self, hash: u64, entry: Entry, now_ms: i64) {
        self.will_change(hash);
        let (expire, field_deadline) = (entry.expire_at(), entry.field_deadline());
        self.table.insert(hash, entry);
        self.note_deadline(hash, None, expire, now_ms);
        self.note_field_deadline(hash, None, field_deadline);
    }

    /// Adds an entry in the place of the one with its key, and returns that.
    pub fn replace(&mut self, hash: u64, entry: Entry, now_ms: i64) -> Option<Entry> {
        self.will_change(hash);
        let Some(mut present) = self.table.find_mut(hash, entry.key()) else {
            self.insert(hash, entry, now_ms);
            return None;
        };
        let (expire, field_deadline) = (entry.expire_at(), entry.field_deadline());
        let old = std::mem::replace(&mut *present, entry);
        drop(present);
        self.note_deadline(hash, old.expire_at(), expire, now_ms);
        self.note_field_deadline(hash, old.field_deadline(), field_deadline);
        Some(old)
    }

    /// Stores a value under a key, with one lookup and in the block that is there if that serves. An entry whose value
    /// is on the heap is replaced whole and returned, because freeing it may take long.
    #[inline]
    pub fn put(
        &mut self,
        hash: u64,
        key: &[u8],
        value: NewValue<'_>,
        expire: Option<i64>,
        access: u32,
        now_ms: i64,
    ) -> Option<Entry> {
        self.will_change(hash);
        let Some(mut present) = self.table.find_mut(hash, key) else {
            let entry = Entry::new(key, value, expire);
            entry.set_access(access);
            self.insert(hash, entry, now_ms);
            return None;
        };
        let (old_expire, old_field_deadline) = (present.expire_at(), present.field_deadline());
        let mut replaced = None;
        if matches!(present.value(), ValueRef::Object(_)) {
            replaced = Some(std::mem::replace(&mut *present, Entry::new(key, value, expire)));
        } else {
            present.set_value(value);
            present.set_expire(expire);
        }
        present.set_access(access);
        let field_deadline = present.field_deadline();
        drop(present);
        self.note_deadline(hash, old_expire, expire, now_ms);
        self.note_field_deadline(hash, old_field_deadline, field_deadline);
        replaced
    }

    /// Takes the entry of a key out.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        self.will_change(hash);
        let entry = self.table.remove(hash, key)?;
        self.note_field_deadline(hash, entry.field_deadline(), None);
        Some(entry)
    }

    /// Sets or removes a key's deadline; `false` if the key is absent.
    pub fn set_expire(&mut self, hash: u64, key: &[u8], expire: Option<i64>, now_ms: i64) -> bool {
        self.will_change(hash);
        let Some(mut entry) = self.table.find_mut(hash, key) else { return false };
        let old = entry.expire_at();
        entry.set_expire(expire);
        drop(entry);
        self.note_deadline(hash, old, expire, now_ms);
        true
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of entries that have a deadline.
    pub fn expires_len(&self) -> usize {
        self.table.deadlines()
    }

    /// Bytes of everything: entries, table, index.
    pub fn memory_usage(&self) -> usize {
        self.table.entry_bytes()
            + self.table.memory_usage()
            + self.indexes().map(ExpireIndex::memory_usage).sum::<usize>()
            + self.field_deadlines.memory_usage()
    }

    /// The time after which [`Database::expire_next`] finds something to do.
    pub fn next_expire(&self) -> Option<i64> {
        self.indexes().filter_map(ExpireIndex::earliest).min()
    }

    /// Removes and returns one expired entry. Each registration looked at costs one of `budget`; `None` when that
    /// is used up or nothing more is due. An entry that `may_remove` refuses stays and is asked about
    /// again a little later.
    pub fn expire_next(
        &mut self,
        now_ms: i64,
        budget: &mut usize,
        mut may_remove: impl FnMut(&Entry) -> bool,
    ) -> Option<Entry> {
        while *budget > 0 {
            *budget -= 1;
            let old = self.renewal.as_mut().map(|renewal| &mut renewal.old);
            let hash = self.expires.pop_due(now_ms).or_else(|| old?.pop_due(now_ms))?;
            let table = &self.table;
            let is_it = |entry: &Entry| entry.has_deadline() && table.hash(entry.key()) == hash;
            let Some(entry) = table.find_by_hash(hash, is_it) else { continue };
            let Some(at_ms) = entry.expire_at() else { continue };
            if !entry.is_expired(now_ms) {
                self.expires.register(hash, at_ms, now_ms);
            } else if !may_remove(&entry) {
                self.expires.register(hash, now_ms.saturating_add(RETRY_MS), now_ms);
            } else {
                let key = entry.key().as_ptr();
                if let Some(cut) = &mut self.cut {
                    cut.before_change(&self.table, hash);
                }
                let entry = self.table.remove_by_hash(hash, |entry| entry.key().as_ptr() == key)?;
                self.note_field_deadline(hash, entry.field_deadline(), None);
                return Some(entry);
            }
        }
        None
    }

    /// Says that the earliest deadline of a hash's fields has changed.
    #[inline]
    pub fn note_field_deadline(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        self.field_deadlines.change(hash, old, new);
    }

    /// Hashes with fields that have a deadline.
    pub fn field_expires_len(&self) -> usize {
        self.field_deadlines.len()
    }

    /// Whether fields of some hash are over.
    #[inline]
    pub fn has_due_fields(&self, now_ms: i64) -> bool {
        self.field_deadlines.earliest().is_some_and(|at_ms| at_ms < now_ms)
    }

    /// The key of a hash of which fields are over, unless its hash `is_locked`.
    pub fn next_with_due_fields(
        &mut self,
        now_ms: i64,
        is_locked: impl Fn(u64) -> bool,
    ) -> Option<Box<[u8]>> {
        loop {
            let mut due = self.field_deadlines.due(now_ms);
            let (at_ms, hash) = due.find(|&(_, hash)| !is_locked(hash))?;
            let table = &self.table;
            let is_it =
                |entry: &Entry| entry.field_deadline() == Some(at_ms) && table.hash(entry.key()) == hash;
            if let Some(entry) = table.find_by_hash(hash, is_it) {
                return Some(entry.key().into());
            }
            drop(due);
            self.field_deadlines.change(hash, Some(at_ms), None);
        }
    }

    /// Removes up to `budget` fields of a hash that are over, and tells which; whether the hash is empty then, so that
    /// its key is to go.
    pub fn expire_fields(
        &mut self,
        hash: u64,
        key: &[u8],
        now_ms: i64,
        budget: usize,
        on_expired: impl FnMut(&[u8]),
    ) -> bool {
        self.will_change(hash);
        let Some(mut entry) = self.table.find_mut(hash, key) else { return false };
        let old = entry.field_deadline();
        if old.is_none_or(|at_ms| at_ms >= now_ms) {
            return false;
        }
        let expired = entry.change_collection(|fields: &mut Hash| fields.expire(now_ms, budget, on_expired));
        let new = entry.field_deadline();
        drop(entry);
        self.note_field_deadline(hash, old, new);
        expired.is_some_and(|(_, is_empty)| is_empty)
    }

    /// Visits up to `count` entries for eviction to choose from, or, with `only_deadlines`, of those
    /// that have one. May visit fewer, or one twice, where deadlines are rare.
    pub fn sample_for_eviction(
        &self,
        only_deadlines: bool,
        random: u64,
        count: usize,
        mut visit: impl FnMut(&Entry),
    ) {
        if !only_deadlines {
            return self.table.sample(random, count, visit);
        }
        if self.expires_len() * DEADLINE_SHARE >= self.len() {
            let mut visit_it = |entry: &Entry| {
                if entry.has_deadline() {
                    visit(entry)
                }
            };
            return self.table.sample(random, count * DEADLINE_SHARE, &mut visit_it);
        }
        for turn in 0..count as u64 {
            let random = random.rotate_left(7 * turn as u32) ^ turn;
            let Some(hash) = self.indexes().find_map(|index| index.random(random)) else { return };
            if let Some(entry) = self.table.find_by_hash(hash, Entry::has_deadline) {
                visit(&entry);
            }
        }
    }

    /// Drops the index of deadlines if there is no entry: it forgets those of removed keys only when they come due.
    pub fn forget_deadlines(&mut self) {
        if self.table.is_empty() && !self.expires.is_empty() {
            self.expires = ExpireIndex::default();
        }
    }

    /// Takes entries out of a database that is to be emptied, in slices: see [`Table::drain_some`].
    pub fn drain_some(&mut self, cursor: u64, budget: usize, take: impl FnMut(Entry)) -> u64 {
        debug_assert!(!self.is_cut(), "entries wait to be passed");
        let before = self.table.len();
        let next = self.table.drain_some(cursor, budget, take);
        self.field_deadlines.discard_some(before - self.table.len());
        next
    }

    /// Registers a deadline that is earlier than what the index knows of.
    fn note_deadline(&mut self, hash: u64, old: Option<i64>, new: Option<i64>, now_ms: i64) {
        let Some(at_ms) = new else { return };
        if old.is_none_or(|old_ms| at_ms < old_ms) {
            self.expires.register(hash, at_ms, now_ms);
            self.renew_some(now_ms);
        }
    }

    /// Begins a renewal of the index if most of it is of no use any more, or does a small step of it.
    fn renew_some(&mut self, now_ms: i64) {
        let Some(renewal) = &mut self.renewal else {
            let useful = REGISTRATIONS_PER_DEADLINE * self.table.deadlines() + SPARE_REGISTRATIONS;
            if self.expires.len() > useful {
                let old = std::mem::take(&mut self.expires);
                self.renewal = Some(Renewal { old, cursor: 0, walked: false });
            }
            return;
        };
        if !renewal.walked {
            let (table, expires) = (&self.table, &mut self.expires);
            renewal.cursor = table.scan(renewal.cursor, RENEWAL_STEP, |entry| {
                if let Some(at_ms) = entry.expire_at() {
                    expires.register(table.hash(entry.key()), at_ms, now_ms);
                }
            });
            renewal.walked = renewal.cursor == 0;
        } else if renewal.old.is_empty() {
            self.renewal = None;
        } else {
            renewal.old.discard_some();
        }
    }

    fn indexes(&self) -> impl Iterator<Item = &ExpireIndex> {
        self.renewal.iter().map(|renewal| &renewal.old).chain([&self.expires])
    }
}

#[cfg(test)]
#[path = "database_test.rs"]
mod database_test;
