//! Room in memory: what a shard evicts while the process is above `maxmemory`.

use super::Shard;
use crate::config::MaxmemoryPolicy;
use crate::shard::Env;
use crate::shard::message::TransactionId;
use crate::store::evict::Rules;

impl Shard {
    /// Evicts for a command that runs over gathered entries, `order` of transaction `id`. What had to go for it goes
    /// before it.
    pub fn make_room_within(&mut self, env: Env<'_>, (id, order): (TransactionId, u32)) {
        self.evicts_apart = self.held.get(&id).is_none_or(|held| held.is_locked);
        self.make_room(env);
        self.evicts_apart = true;
        if let Some(held) = self.held.get_mut(&id) {
            let evicted = self.effects.commands.drain(..);
            held.effects.extend(evicted.map(|effect| ((order, false), effect)));
        }
    }

    /// Evicts until memory is below `maxmemory`; `false` when a write must be refused.
    #[inline]
    pub fn make_room(&mut self, env: Env<'_>) -> bool {
        env.config.maxmemory == 0 || self.evict(env)
    }

    /// Publishes what waits to be freed here: for every shard it counts as free.
    pub(super) fn publish_lazy(&self, env: Env<'_>) {
        env.server.shards[self.id].lazy_bytes.set(self.keyspace.lazy_bytes() as u64);
    }

    /// Evicts from this shard while the process is above `maxmemory`; `false` when a write must be refused. The limit
    /// is shared: a shard that has nothing to give lets the write pass as long as another can give.
    ///
    /// What runs without locks may lose a key that it has written itself, so there the effects stay with its own. What
    /// runs under locks loses none of its keys, but others may write the evicted ones before it ends.
    fn evict(&mut self, env: Env<'_>) -> bool {
        env.publish_memory();
        self.publish_lazy(env);
        let excess = env.server.memory_excess(env.config.maxmemory);
        if excess == 0 {
            return true;
        }
        // What goes from a replica goes from its master.
        if self.keyspace.follows && env.config.replica_ignore_maxmemory {
            return true;
        }
        let policy = env.config.maxmemory_policy;
        if policy == MaxmemoryPolicy::NoEviction {
            return false;
        }
        if env.is_paused() {
            return true;
        }
        let rules = Rules {
            policy,
            samples: env.config.maxmemory_samples,
            lfu_decay_minutes: env.config.lfu_decay_time,
        };
        let mut freed = 0;
        while freed < excess {
            let is_claimed = |hash| self.locks.is_claimed(hash);
            match self.keyspace.evict_one(&rules, &mut self.rng, env.now, is_claimed) {
                Some((database, entry)) => {
                    self.effects.push(database, &[b"DEL".as_slice(), entry.key()]);
                    self.notices.evicted(env.config.notify_keyspace_events, database, entry.key());
                    freed += entry.memory_usage() as u64;
                    self.keyspace.discard_entry(entry);
                    if self.evicts_apart {
                        self.record_each();
                    }
                }
                None => {
                    // Others must not wait for what this shard had when it published last.
                    env.server.shards[self.id].publish_keyspace(&self.keyspace, env.now);
                    return freed > 0 || env.server.others_can_evict(self.id, policy.is_volatile());
                }
            }
        }
        true
    }
}
