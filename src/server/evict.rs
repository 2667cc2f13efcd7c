//! What clients' buffers may take together (`maxmemory-clients`): the clients that use most are cut off first.
//!
//! Each shard knows what its own connections take. While all of them together are above the limit, the shards whose
//! connections take at least their part of what can be given back cut off the largest of theirs.

use std::cmp::Reverse;

use super::connection::{Connection, Weight};
use super::executor::Core;
use crate::config::Config;
use crate::net::SocketId;
use crate::state::counters::ShardCounters;

/// Redis lets no lower limit count, so that clients can still talk to the server.
const LIMIT_BYTES_MIN: u64 = 128 << 10;

/// The limit in bytes, if there is one: a negative number is percent of `maxmemory`.
fn limit(config: &Config) -> Option<u64> {
    let bytes = match config.maxmemory_clients {
        0 => return None,
        bytes @ 1.. => bytes as u64,
        _ if config.maxmemory == 0 => return None,
        percent => (u128::from(config.maxmemory) * u128::from(percent.unsigned_abs()) / 100) as u64,
    };
    Some(bytes.max(LIMIT_BYTES_MIN))
}

impl Core {
    /// Brings the sums of what the connections of this shard take up to date with one of them.
    pub fn weigh(&mut self, index: usize) {
        let server = &self.server;
        if let Some(connection) = self.connections.get_mut(index).and_then(Option::as_deref_mut) {
            let bytes = connection.memory_usage() as u64;
            let is_spared =
                connection.session.no_evict || connection.takes_effects || connection.progress.is_some();
            let weight = Weight { bytes, evictable: if is_spared { 0 } else { bytes } };
            let old = std::mem::replace(&mut connection.weight, weight);
            enter(&server.shards[self.id], old, weight);
        }
    }

    /// Takes a connection that ends out of the sums.
    pub fn unweigh(&self, connection: &mut Connection) {
        enter(self.counters(), std::mem::take(&mut connection.weight), Weight::default());
    }

    /// Cuts off clients while all together take more than they may. To be called before outputs are sent: who takes
    /// what it is sent is below the limit when it is looked at next.
    pub fn evict_clients(&mut self) {
        let Some(limit) = limit(&self.config) else { return };
        for index in 0..self.dirty.len() {
            self.weigh(self.dirty[index].index());
        }
        let server = self.server.clone();
        let (id, shards) = (self.id, server.shards.len() as u64);
        let is_over = || {
            let total: u64 = server.shards.iter().map(|shard| shard.client_bytes.get()).sum();
            let evictable: u64 = server.shards.iter().map(|shard| shard.evictable_client_bytes.get()).sum();
            total > limit && server.shards[id].evictable_client_bytes.get() * shards >= evictable
        };
        if !is_over() {
            return;
        }
        let connections = self.connections.iter().flatten();
        let evictable = connections.filter(|connection| connection.weight.evictable > 0);
        let mut candidates: Vec<(u64, SocketId)> =
            evictable.map(|connection| (connection.weight.bytes, connection.socket)).collect();
        candidates.sort_unstable_by_key(|&(bytes, _)| Reverse(bytes));
        for (bytes, id) in candidates {
            if !is_over() {
                break;
            }
            let Some(mut connection) = self.take_connection(id) else { continue };
            crate::verbose!("Evicting client {}, which takes {bytes} bytes", connection.session.peer_address);
            self.unweigh(&mut connection);
            self.connections[id.index()] = Some(connection);
            self.counters().evicted_clients.add(1);
            self.break_connection(id);
        }
    }
}

fn enter(counters: &ShardCounters, old: Weight, new: Weight) {
    let (all, evictable) = (&counters.client_bytes, &counters.evictable_client_bytes);
    all.set(all.get() - old.bytes + new.bytes);
    evictable.set(evictable.get() - old.evictable + new.evictable);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let with = |clients: &str, maxmemory: &str| {
            let config = Config::default().with("maxmemory-clients", clients).expect("a valid value");
            limit(&config.with("maxmemory", maxmemory).expect("a valid value"))
        };
        assert_eq!(with("0", "0"), None);
        assert_eq!(with("3mb", "0"), Some(3 << 20));
        assert_eq!(with("1", "0"), Some(128 << 10));
        assert_eq!(with("5%", "0"), None);
        assert_eq!(with("5%", "100mb"), Some(5 << 20));
    }
}
