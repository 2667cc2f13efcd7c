//! Consumer groups of a stream: what each has read, and which entries wait for an acknowledgement.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

use super::id::StreamId;
use super::log::Log;
use crate::base::clock::UnixMillis;
use crate::store::size_class::allocation_size;

/// Heap bytes of a pending entry: its slots in the group's tree and in its consumer's, both taken as two thirds full.
const PENDING_BYTES: usize = (2 * size_of::<StreamId>() + size_of::<Pending>()) * 3 / 2;
/// Heap bytes of a consumer beside its name.
const CONSUMER_BYTES: usize = (size_of::<Arc<[u8]>>() + size_of::<Consumer>()) * 3 / 2;
/// Bytes of the two counters that stand before a shared name.
const COUNTERS_BYTES: usize = 16;

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last.
    pub delivered_at: UnixMillis,
    /// How often it was delivered.
    pub deliveries: u64,
    /// The name of the consumer that has it.
    pub consumer: Arc<[u8]>,
}

/// One consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// When it last tried to read or claim something.
    pub seen_at: UnixMillis,
    /// When it last got something; never so far when `None`.
    pub active_at: Option<UnixMillis>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// Number of its pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Its pending entries from one id to another, both included.
    pub fn pending(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = StreamId> {
        // The bounds of a tree's range must not cross.
        self.pending.range(from..=to.max(from)).copied().take_while(move |id| *id <= to)
    }
}

/// A consumer group. Every pending entry is in the group's list and in the set of exactly one consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The last id that was delivered as new.
    pub last_id: StreamId,
    /// How many entries of the stream were ever added up to `last_id`, if that is known.
    pub entries_read: Option<i64>,
    pending: BTreeMap<StreamId, Pending>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
    /// Heap bytes of the consumers' names.
    name_bytes: usize,
}

impl Group {
    /// A group that has read up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// Heap bytes. Constant time.
    pub fn memory_usage(&self) -> usize {
        self.name_bytes + self.pending.len() * PENDING_BYTES + self.consumers.len() * CONSUMER_BYTES
    }

    /// A consumer by its name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// A consumer by its name, to note when it was seen or active.
    pub fn consumer_mut(&mut self, name: &[u8]) -> Option<&mut Consumer> {
        self.consumers.get_mut(name)
    }

    /// All consumers in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (&[u8], &Consumer)> {
        self.consumers.iter().map(|(name, consumer)| (&**name, consumer))
    }

    /// Adds a consumer, seen now; `false` when there is one of that name.
    pub fn add_consumer(&mut self, name: &[u8], now: UnixMillis) -> bool {
        if self.consumers.contains_key(name) {
            return false;
        }
        let consumer = Consumer { seen_at: now, active_at: None, pending: BTreeSet::new() };
        self.name_bytes += name_bytes(name);
        self.consumers.insert(Arc::from(name), consumer);
        true
    }

    /// Removes a consumer with its pending entries; returns how many these were.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        self.name_bytes -= name_bytes(name);
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Number of pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// A pending entry.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Pending entries from an id on.
    pub fn pending_from(&self, from: StreamId) -> btree_map::Range<'_, StreamId, Pending> {
        self.pending.range(from..)
    }

    /// The greatest pending id.
    pub fn last_pending_id(&self) -> Option<StreamId> {
        self.pending.last_key_value().map(|(id, _)| *id)
    }

    /// Makes an entry pending for a consumer, which takes it over from whoever has it. Nothing happens without such a
    /// consumer.
    pub fn assign(&mut self, id: StreamId, name: &[u8], delivered_at: UnixMillis, deliveries: u64) {
        let Some((name, _)) = self.consumers.get_key_value(name) else { return };
        let name = Arc::clone(name);
        let fresh = Pending { delivered_at, deliveries, consumer: Arc::clone(&name) };
        let former = self.pending.insert(id, fresh).map(|pending| pending.consumer);
        if former.as_ref() == Some(&name) {
            return;
        }
        if let Some(consumer) = former.and_then(|former| self.consumers.get_mut(&former)) {
            consumer.pending.remove(&id);
        }
        if let Some(consumer) = self.consumers.get_mut(&name) {
            consumer.pending.insert(id);
        }
    }

    /// Takes an entry off the pending ones; `false` when it is none.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if let Some(consumer) = self.consumers.get_mut(&pending.consumer) {
            consumer.pending.remove(&id);
        }
        true
    }

    /// Notes that the entry of `log` with this id, greater than the last, was delivered as new. The number of entries
    /// read goes on being known where counting is a subtraction.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        self.entries_read = match self.entries_read {
            Some(read) if !log.is_fragmented_from(id) => Some(read.saturating_add(1)),
            _ => log.added_until(id).map(|added| added as i64),
        };
        self.last_id = id;
    }

    /// How many entries of `log` the group has yet to read, if that can be told without counting.
    pub fn lag(&self, log: &Log) -> Option<i64> {
        if log.entries_added() == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !log.is_fragmented_from(self.last_id) => Some(read),
            _ => log.added_until(self.last_id).map(|added| added as i64),
        };
        read.map(|read| (log.entries_added() as i64).wrapping_sub(read))
    }

    /// Frees up to `budget` pending entries and consumers of a group that nobody reads any more; returns how many.
    pub(super) fn free_some(&mut self, budget: usize) -> usize {
        let mut left = budget;
        while left > 0 && self.pending.pop_first().is_some() {
            left -= 1;
        }
        while left > 0 {
            let Some(mut slot) = self.consumers.first_entry() else { break };
            if slot.get_mut().pending.pop_first().is_none() {
                slot.remove();
            }
            left -= 1;
        }
        budget - left
    }
}

fn name_bytes(name: &[u8]) -> usize {
    allocation_size(COUNTERS_BYTES + name.len())
}
