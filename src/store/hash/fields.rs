//! The big form of a hash: a table of entries whose keys are the fields, and the index of their deadlines.

use super::Deadline;
use super::pairs::{Pair, Pairs};
use crate::store::deadlines::Deadlines;
use crate::store::entry::{Entry, NewValue, ValueRef};
use crate::store::packed::Element;
use crate::store::size_class::allocation_size;
use crate::store::table::{EntryRef, Table};

/// Fields with values and deadlines.
#[derive(Clone)]
pub struct Fields {
    table: Table,
    deadlines: Deadlines,
}

impl Fields {
    pub(super) fn new() -> Self {
        Self { table: Table::of_elements(), deadlines: Deadlines::default() }
    }

    /// The fields as entries.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn of(pairs: Pairs<'_>) -> Self {
        let mut fields = Self::new();
        for Pair { field, value, deadline } in pairs.iter() {
            let (mut field_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (field, value) = (field.bytes(&mut field_digits), value.bytes(&mut value_digits));
            fields.insert(Entry::new_string(field, value, deadline));
        }
        fields
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    pub(super) fn find(&self, field: &[u8]) -> Option<Pair<'_>> {
        self.table.find(self.table.hash(field), field).map(pair_of)
    }

    /// Sets a value; whether the field is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], deadline: Deadline) -> bool {
        let hash = self.table.hash(field);
        let Some(mut entry) = self.table.find_mut(hash, field) else {
            self.table.insert(hash, Entry::new_string(field, value, None));
            return true;
        };
        entry.set_value(NewValue::string(value));
        let old = entry.expire_at();
        if old.is_some() && deadline == Deadline::Ends {
            entry.set_expire(None);
            drop(entry);
            self.deadlines.change(hash, old, None);
        }
        false
    }

    /// Sets or ends the deadline of a field; `false` without the field.
    pub(super) fn set_deadline(&mut self, field: &[u8], deadline: Option<i64>) -> bool {
        let hash = self.table.hash(field);
        let Some(mut entry) = self.table.find_mut(hash, field) else { return false };
        let old = entry.expire_at();
        entry.set_expire(deadline);
        drop(entry);
        self.deadlines.change(hash, old, deadline);
        true
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let hash = self.table.hash(field);
        let Some(entry) = self.table.remove(hash, field) else { return false };
        self.deadlines.change(hash, entry.expire_at(), None);
        true
    }

    /// Removes up to `budget` fields whose time is over and tells which.
    pub(super) fn expire(&mut self, now_ms: i64, budget: usize, mut on_expired: impl FnMut(&[u8])) -> usize {
        let mut removed = 0;
        while removed < budget {
            let Some((at_ms, hash)) = self.deadlines.due(now_ms).next() else { break };
            self.deadlines.change(hash, Some(at_ms), None);
            let table = &self.table;
            let is_it = |entry: &Entry| entry.expire_at() == Some(at_ms) && table.hash(entry.key()) == hash;
            let Some(field) = table.find_by_hash(hash, is_it).map(|entry| entry.key().as_ptr()) else {
                continue;
            };
            if let Some(entry) = self.table.remove_by_hash(hash, |entry| entry.key().as_ptr() == field) {
                on_expired(entry.key());
                removed += 1;
            }
        }
        removed
    }

    /// Walks the fields as [`Table::scan`] does.
    pub(super) fn scan(&self, cursor: u64, budget: usize, mut visit: impl FnMut(Pair<'_>)) -> u64 {
        self.table.scan(cursor, budget, |entry| {
            let (field, value) = (Element::Bytes(entry.key()), element(entry.value()));
            visit(Pair { field, value, deadline: entry.expire_at() });
        })
    }

    /// Some field, each about equally likely.
    pub(super) fn random(&self, random: u64) -> Option<Pair<'_>> {
        self.table.random(random).map(pair_of)
    }

    /// Frees about `budget` fields of a hash that nobody can reach any more; returns how many.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let before = self.len();
        self.table.drain_some(0, budget, drop);
        let freed = before - self.len();
        self.deadlines.discard_some(freed);
        freed
    }

    pub(super) fn memory_usage(&self) -> usize {
        allocation_size(size_of::<Self>())
            + self.table.memory_usage()
            + self.table.entry_bytes()
            + self.deadlines.memory_usage()
    }

    fn insert(&mut self, entry: Entry) {
        let hash = self.table.hash(entry.key());
        self.deadlines.change(hash, None, entry.expire_at());
        self.table.insert(hash, entry);
    }
}

/// What an entry of the table is.
fn pair_of(entry: EntryRef<'_>) -> Pair<'_> {
    Pair { field: Element::Bytes(entry.key()), value: element(entry.value()), deadline: entry.expire_at() }
}

/// The value of a field's entry.
fn element(value: ValueRef<'_>) -> Element<'_> {
    match value {
        ValueRef::Int(int) => Element::Int(int),
        ValueRef::Bytes(bytes) => Element::Bytes(bytes),
        // Fields have no other values than strings.
        ValueRef::Object(value) => Element::Bytes(value.as_string().map_or(&[], Vec::as_slice)),
        ValueRef::Packed(..) | ValueRef::Ints(_) => Element::Bytes(&[]),
    }
}
