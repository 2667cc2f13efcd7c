//! Places in the order of effects that shard zero is told of.

use super::Shard;
use crate::base::slot::ShardId;
use crate::shard::message::Ticket;
use crate::shard::stream::Record;

impl Shard {
    /// Has shard zero told when everything that happened here is in the stream.
    pub fn mark_stream(&mut self, home: ShardId, ticket: Ticket) {
        self.records.push(Record::Mark(home, ticket));
    }

    /// Has shard zero told where a snapshot was cut, if that was just now.
    pub(super) fn record_cut(&mut self) {
        if let Some(id) = self.keyspace.new_cut.take() {
            self.records.push(Record::Cut(id));
        }
    }
}
