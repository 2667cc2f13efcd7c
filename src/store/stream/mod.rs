//! A stream: a log of entries and the consumer groups that read it.
//!
//! [`id`] names entries, [`node`] packs some of them into a buffer, [`log`] keeps the nodes in order, [`group`] knows
//! who has read what. No clock and no commands in here.

mod group;
mod id;
mod log;
mod node;

#[cfg(test)]
mod stream_test;

use std::collections::BTreeMap;

pub use group::{Consumer, Group, Pending};
pub use id::{IdText, StreamId};
pub use log::{ENTRY_BYTES_MAX, Entry, Keep, Log, NodeEntries, NodeLimits, Policy, Range, RangeBack, Trim};
pub use node::Fields;

use super::size_class::allocation_size;
use super::value::{Collection, Kind, Stored, Value};

/// Heap bytes of a group beside its name and what it holds.
const GROUP_BYTES: usize = (size_of::<Box<[u8]>>() + size_of::<Group>()) * 3 / 2;

/// The value of a stream key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Its entries.
    pub log: Log,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Heap bytes of the groups and their names.
    group_bytes: usize,
}

impl Stream {
    /// A group by its name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// All groups in the order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// Adds a group; `false` when there is one of that name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.group_bytes += group_bytes(name, &group);
        self.groups.insert(name.into(), group);
        true
    }

    /// Removes a group; `false` when there is none of that name.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.groups.remove(name) else { return false };
        self.group_bytes -= group_bytes(name, &group);
        true
    }

    /// Changes a group, with the log at hand; `None` without such a group.
    pub fn change_group<R>(&mut self, name: &[u8], change: impl FnOnce(&Log, &mut Group) -> R) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        self.group_bytes -= group_bytes(name, group);
        let result = change(&self.log, group);
        self.group_bytes += group_bytes(name, group);
        Some(result)
    }

    /// Whether some group has yet to read the entry of that id or has it pending.
    pub fn is_awaited(&self, id: StreamId) -> bool {
        is_awaited(&self.groups, id)
    }

    /// Deletes entries from the beginning of the log on, as the policy says of what groups need; returns how many.
    pub fn trim(&mut self, trim: Trim, policy: Policy) -> u64 {
        let groups = &self.groups;
        match policy {
            Policy::KeepReferences => self.log.trim(trim),
            Policy::Acknowledged => self.log.trim_each(trim, |id| !is_awaited(groups, id)),
            Policy::DeleteReferences => {
                let mut gone = Vec::new();
                let removed = self.log.trim_each(trim, |id| {
                    gone.push(id);
                    true
                });
                gone.into_iter().for_each(|id| self.release(id, |_| {}));
                removed
            }
        }
    }

    /// Takes the entry of that id off the pending ones of all groups; tells their names.
    pub fn release(&mut self, id: StreamId, mut told: impl FnMut(&[u8])) {
        for (name, group) in &mut self.groups {
            self.group_bytes -= group_bytes(name, group);
            if group.acknowledge(id) {
                told(name);
            }
            self.group_bytes += group_bytes(name, group);
        }
    }

    /// Heap bytes. Constant time.
    pub fn memory_usage(&self) -> usize {
        allocation_size(size_of::<Self>()) + self.log.memory_usage() + self.group_bytes
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        "stream"
    }

    /// Frees about `budget` nodes, pending entries and consumers of a stream that nobody can reach any more; returns
    /// how many, 0 when nothing is left.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let mut freed = self.log.free_some(budget);
        while freed < budget {
            let Some(mut slot) = self.groups.first_entry() else { break };
            match slot.get_mut().free_some(budget - freed) {
                0 => {
                    slot.remove();
                    freed += 1;
                }
                some => freed += some,
            }
        }
        freed
    }
}

fn is_awaited(groups: &BTreeMap<Box<[u8]>, Group>, id: StreamId) -> bool {
    groups.values().any(|group| group.last_id < id || group.pending(id).is_some())
}

impl Collection for Stream {
    type View<'a> = &'a Stream;

    const KIND: Kind = Kind::Stream;

    fn view(value: &Value) -> Option<&Stream> {
        match value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn value_mut(value: &mut Value) -> Option<&mut Stream> {
        match value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn into_stored(self) -> Stored {
        Stored::Value(Value::Stream(Box::new(self)))
    }

    /// A stream stays when its last entry goes; empty is only one that nothing was ever done to.
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.log.last_id() == StreamId::MIN && self.log.entries_added() == 0
    }
}

fn group_bytes(name: &[u8], group: &Group) -> usize {
    GROUP_BYTES + allocation_size(name.len()) + group.memory_usage()
}
