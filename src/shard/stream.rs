//! The one order of effects: shard zero merges every shard's queue into the stream that replicas will follow.
//!
//! The rule of the merge: a local effect is emitted when it is reached; a transaction when the records of all its
//! parts were reached, whole, in command order; a queue waits only at a release marker, until that transaction is
//! emitted. Whatever ran between a part and its marker touched none of its keys, so the stream is a serial history
//! that agrees with what every shard did.
//!
//! Two records say where the stream is: at a cut all queues wait for one another, so that everything before it on any shard
//! comes before everything after it; marks only tell when what came before them on their shard was emitted.

use std::collections::VecDeque;

use ahash::AHashMap;

use super::message::{Ticket, TransactionId};
use crate::base::number::push_i64;
use crate::base::slot::ShardId;
use crate::command::effect::Effect;

/// Where an effect stands in its transaction: the number of its command, and whether it is the command's own (`true`) or
/// that of a key whose time had come before it ran.
pub type Place = (u32, bool);

/// An item of a shard's effect queue.
#[derive(Debug)]
pub enum Record {
    /// Effects of one command, or of one transaction that ran on this shard alone; emitted together.
    Local(Vec<Effect>),
    /// What a transaction's part did (empty when it only read).
    Part {
        /// The transaction.
        id: TransactionId,
        /// Number of its parts.
        parts: u16,
        /// Its effects here.
        effects: Vec<(Place, Effect)>,
    },
    /// The part's locks were released here.
    Release(TransactionId),
    /// The snapshot of this number was cut here, under a barrier: it has what came before.
    Cut(u64),
    /// Somebody of this shard asks when all that came before is in the stream.
    Mark(ShardId, Ticket),
}

/// What the stream has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The cut of a snapshot, on all shards.
    Cut(u64),
    /// A mark, on one shard.
    Mark(ShardId, Ticket),
}

/// The merged stream since somebody took it.
#[derive(Debug, Default)]
pub struct Merged {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What was reached after so many of them, in order.
    pub reached: Vec<(usize, Reached)>,
}

impl Merged {
    /// Whether there is nothing to be taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.reached.is_empty()
    }
}

#[derive(Debug, Default)]
struct Gathering {
    seen: u16,
    parts: u16,
    emitted: bool,
    released: u16,
    effects: Vec<(Place, Effect)>,
}

/// The merge of all effect queues.
#[derive(Debug)]
pub struct Stream {
    queues: Vec<VecDeque<Record>>,
    gathering: AHashMap<TransactionId, Gathering>,
    database: Option<u32>,
}

impl Stream {
    /// A stream over `shards` queues.
    pub fn new(shards: usize) -> Self {
        Self {
            queues: (0..shards).map(|_| VecDeque::new()).collect(),
            gathering: AHashMap::new(),
            database: None,
        }
    }

    /// Appends records of a shard, and to `out` all that can be emitted now as commands of a replication stream.
    pub fn push(&mut self, from: ShardId, records: Vec<Record>, out: &mut Merged) {
        self.queues[from].extend(records);
        let mut ready: Vec<ShardId> = vec![from];
        while let Some(shard) = ready.pop() {
            self.drain(shard, &mut ready, out);
        }
    }

    /// Whether nothing waits.
    pub fn is_drained(&self) -> bool {
        self.gathering.is_empty() && self.queues.iter().all(VecDeque::is_empty)
    }

    /// Forgets the database that was last selected, so that the next effect selects its own.
    pub fn reselect(&mut self) {
        self.database = None;
    }

    fn drain(&mut self, shard: ShardId, ready: &mut Vec<ShardId>, out: &mut Merged) {
        while let Some(record) = self.queues[shard].pop_front() {
            match record {
                Record::Local(effects) => self.emit(&effects, &mut out.bytes),
                Record::Part { id, parts, effects } => {
                    let gathering = self.gathering.entry(id).or_default();
                    gathering.seen += 1;
                    gathering.parts = parts;
                    gathering.effects.extend(effects);
                    if gathering.seen == parts {
                        gathering.emitted = true;
                        let mut effects = std::mem::take(&mut gathering.effects);
                        effects.sort_by_key(|&(place, _)| place);
                        let effects: Vec<Effect> = effects.into_iter().map(|(_, effect)| effect).collect();
                        self.emit_transaction(&effects, &mut out.bytes);
                        ready.extend(self.waiting_for(id));
                    }
                }
                Record::Release(id) => {
                    let Some(gathering) = self.gathering.get_mut(&id) else { continue };
                    if !gathering.emitted {
                        self.queues[shard].push_front(Record::Release(id));
                        return;
                    }
                    gathering.released += 1;
                    if gathering.released == gathering.parts {
                        self.gathering.remove(&id);
                    }
                }
                Record::Cut(id) => {
                    self.queues[shard].push_front(Record::Cut(id));
                    let is_cut = |queue: &VecDeque<Record>| matches!(queue.front(), Some(Record::Cut(at)) if *at == id);
                    if self.queues.iter().all(is_cut) {
                        self.queues.iter_mut().for_each(|queue| drop(queue.pop_front()));
                        out.reached.push((out.bytes.len(), Reached::Cut(id)));
                        self.reselect();
                        ready.extend(0..self.queues.len());
                    }
                    return;
                }
                Record::Mark(home, ticket) => {
                    out.reached.push((out.bytes.len(), Reached::Mark(home, ticket)))
                }
            }
        }
    }

    /// Shards whose queue waits at the release marker of `id`.
    fn waiting_for(&self, id: TransactionId) -> Vec<ShardId> {
        let waits =
            |queue: &VecDeque<Record>| matches!(queue.front(), Some(Record::Release(at)) if *at == id);
        (0..self.queues.len()).filter(|&shard| waits(&self.queues[shard])).collect()
    }

    fn emit(&mut self, effects: &[Effect], out: &mut Vec<u8>) {
        if effects.len() > 1 { self.emit_transaction(effects, out) } else { self.emit_plain(effects, out) }
    }

    fn emit_transaction(&mut self, effects: &[Effect], out: &mut Vec<u8>) {
        let Some(first) = effects.first() else { return };
        self.select(first.database, out);
        out.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        self.emit_plain(effects, out);
        out.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
    }

    fn emit_plain(&mut self, effects: &[Effect], out: &mut Vec<u8>) {
        for effect in effects {
            self.select(effect.database, out);
            out.extend_from_slice(&effect.encoded);
        }
    }

    fn select(&mut self, database: u32, out: &mut Vec<u8>) {
        if self.database == Some(database) {
            return;
        }
        self.database = Some(database);
        let digits = database.to_string();
        out.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n$");
        push_i64(out, digits.len() as i64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> Record {
        Record::Local(vec![Effect { database: 0, encoded: text.as_bytes().to_vec() }])
    }

    fn part(id: u64, effects: &[(u32, &str)]) -> Record {
        let effects = effects
            .iter()
            .map(|&(order, text)| ((order, true), Effect { database: 0, encoded: text.as_bytes().to_vec() }))
            .collect();
        Record::Part { id, parts: 2, effects }
    }

    const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &str = "*1\r\n$4\r\nEXEC\r\n";

    #[test]
    fn a_queue_waits_at_the_marker_until_the_transaction_is_whole() {
        let mut stream = Stream::new(2);
        let mut out = Merged::default();
        stream.push(0, vec![part(9, &[(1, "b")]), local("x"), Record::Release(9), local("y")], &mut out);
        assert_eq!(String::from_utf8_lossy(&out.bytes), format!("{SELECT}x"));
        out.bytes.clear();
        stream.push(1, vec![local("z"), part(9, &[(0, "a")]), Record::Release(9)], &mut out);
        assert_eq!(String::from_utf8_lossy(&out.bytes), format!("z{MULTI}ab{EXEC}y"));
        assert!(stream.is_drained());
    }

    #[test]
    fn all_queues_wait_at_a_cut_and_what_follows_selects_its_database() {
        let mut stream = Stream::new(2);
        let mut out = Merged::default();
        let ticket = Ticket::default();
        stream.push(0, vec![local("a"), Record::Mark(0, ticket), Record::Cut(1), local("c")], &mut out);
        assert_eq!(String::from_utf8_lossy(&out.bytes), format!("{SELECT}a"));
        assert_eq!(out.reached, [(out.bytes.len(), Reached::Mark(0, ticket))]);
        stream.push(1, vec![local("b"), Record::Cut(1), local("d")], &mut out);
        assert_eq!(out.reached.last(), Some(&(SELECT.len() + 2, Reached::Cut(1))));
        let text = String::from_utf8_lossy(&out.bytes).into_owned();
        assert!(text.starts_with(&format!("{SELECT}ab{SELECT}")), "{text}");
        assert!(text.ends_with("cd") || text.ends_with("dc"), "{text}");
        assert!(stream.is_drained());
    }

    #[test]
    fn reading_parts_emit_nothing() {
        let mut stream = Stream::new(2);
        let mut out = Merged::default();
        stream.push(0, vec![part(1, &[]), Record::Release(1)], &mut out);
        stream.push(1, vec![part(1, &[]), Record::Release(1)], &mut out);
        assert!(out.is_empty());
        assert!(stream.is_drained());
    }
}
