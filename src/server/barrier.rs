//! Transactions of the server's own that lock all shards: what goes on when one has ended, by its number.

use std::sync::Arc;

use super::executor::Core;
use crate::shard::message::{Message, ServerMessage};
use crate::shard::owner::Shard;

/// A barrier that nothing goes on behind.
pub(super) const UNWATCHED_BARRIER: u64 = 0;
/// The barrier of DEBUG EFFECTS-SYNC.
pub(super) const EFFECTS_BARRIER: u64 = 1;
/// The barrier that makes the shards those of another role.
pub(super) const ROLE_BARRIER: u64 = 3;
/// The barrier that puts a master's snapshot into the place of the dataset.
pub(super) const MASTER_SNAPSHOT_BARRIER: u64 = 4;
/// The barrier that puts a loaded dataset into the place of the one there is.
pub(super) const ADOPT_BARRIER: u64 = 11;
/// The barrier of a shutdown, behind which no write is under way.
pub(super) const SHUTDOWN_BARRIER: u64 = 12;
/// The barrier before DEBUG RELOAD, behind which no write is under way.
pub(super) const RELOAD_BARRIER: u64 = 13;
/// The barrier of a failover, behind which no write is under way.
pub(super) const FAILOVER_BARRIER: u64 = 14;

/// Marks the first of two barriers: the one of the number without this mark follows it.
const FIRST: u64 = 1 << 32;

impl Core {
    /// On shard zero, between ticks: writes are held back from now on, and the barrier of this number stands behind all that were let
    /// in before.
    ///
    /// It takes two. What a home shard let in during the tick that it was in comes to the others at the end of that, perhaps behind the
    /// first barrier; but that has not ended before every home shard has begun another tick.
    pub fn hold_writes(&mut self, own: &mut Shard, number: u64) {
        self.server.pause.hold_writes();
        self.begin_whole(own, number | FIRST, 0, &[b"DBSIZE"]);
    }

    /// A barrier has ended.
    pub fn barrier_passed(&mut self, own: &mut Shard, number: u64) {
        match number {
            first if first & FIRST != 0 => self.begin_whole(own, first & !FIRST, 0, &[b"DBSIZE"]),
            EFFECTS_BARRIER => self.effects_barrier_passed(),
            ROLE_BARRIER | SHUTDOWN_BARRIER | FAILOVER_BARRIER => self.settle(own, number),
            MASTER_SNAPSHOT_BARRIER => self.master_snapshot_adopted(own),
            ADOPT_BARRIER => self.loaded_is_adopted(),
            RELOAD_BARRIER => self.reload_barrier_passed(own),
            _ => {}
        }
    }

    /// The effects of before a barrier are on their way: it is gone on with behind them.
    fn settle(&mut self, own: &mut Shard, number: u64) {
        let shards = Arc::clone(&self.shards);
        self.hear(own);
        shards.deliver(own);
        shards.send(0, Message::Server(ServerMessage::Settled(number)));
    }

    /// The stream has all effects of before a barrier.
    pub fn settled(&mut self, own: &mut Shard, number: u64) {
        self.replicate(own);
        match number {
            ROLE_BARRIER => self.role_settled(own),
            SHUTDOWN_BARRIER => self.shutdown_settled(own),
            FAILOVER_BARRIER => self.failover_settled(own),
            _ => {}
        }
    }
}
