//! Transactions of the server's own that lock all shards: what goes on when one has ended, by its number.

use super::executor::Core;
use crate::shard::owner::Shard;

/// The barrier of DEBUG EFFECTS-SYNC.
pub(super) const EFFECTS_BARRIER: u64 = 1;
/// The barrier that makes the shards those of another role.
pub(super) const ROLE_BARRIER: u64 = 3;
/// The barrier that puts a master's snapshot into the place of the dataset.
pub(super) const MASTER_SNAPSHOT_BARRIER: u64 = 4;
/// The barrier of a snapshot's cut.
pub(super) const CUT_BARRIER: u64 = 10;
/// The barrier that puts a loaded dataset into the place of the one there is.
pub(super) const ADOPT_BARRIER: u64 = 11;
/// The barrier of a shutdown, behind which no write is under way.
pub(super) const SHUTDOWN_BARRIER: u64 = 12;
/// The barrier before DEBUG RELOAD, behind which no write is under way.
pub(super) const RELOAD_BARRIER: u64 = 13;

/// The barrier of a failover, behind which no write is under way.
pub(super) const FAILOVER_BARRIER: u64 = 14;

impl Core {
    /// A barrier has ended.
    pub fn barrier_passed(&mut self, own: &mut Shard, number: u64) {
        match number {
            EFFECTS_BARRIER => self.effects_barrier_passed(),
            ROLE_BARRIER => self.role_barrier_passed(own),
            MASTER_SNAPSHOT_BARRIER => self.master_snapshot_adopted(own),
            CUT_BARRIER => self.cut_barrier_passed(own),
            ADOPT_BARRIER => self.loaded_is_adopted(),
            SHUTDOWN_BARRIER => self.shutdown_barrier_passed(own),
            RELOAD_BARRIER => self.reload_barrier_passed(own),
            FAILOVER_BARRIER => self.failover_barrier_passed(own),
            _ => {}
        }
    }
}
