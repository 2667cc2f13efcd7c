//! Counters of one shard: written by that shard alone, read by any.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::clock::UnixMillis;
use crate::store::database::Database;
use crate::store::keyspace::Keyspace;

/// A counter with one writer: plain loads and stores, no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`. Only the shard that owns the counter may.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Sets the value. Only the shard that owns the counter may, and CONFIG RESETSTAT.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Everything that one shard counts.
        #[derive(Debug, Default)]
        pub struct ShardCounters {
            $($(#[$doc])* pub $name: Counter,)+
            /// One register per database.
            pub databases: Box<[DatabaseCounters]>,
        }

        /// The counters of all shards added up, at one moment.
        #[derive(Clone, Debug, Default)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Totals {
            /// Adds what a shard counted.
            pub fn add(&mut self, counters: &ShardCounters) {
                $(self.$name = self.$name.wrapping_add(counters.$name.get());)+
            }
        }
    };
}

/// One database of one shard.
#[derive(Debug, Default)]
pub struct DatabaseCounters {
    /// Keys.
    pub keys: Counter,
    /// Keys with a time to live.
    pub keys_with_expire: Counter,
    /// Mean time to live of a sample of these, milliseconds.
    pub mean_ttl_ms: Counter,
    /// Hashes with fields that have a time to live.
    pub keys_with_field_expire: Counter,
}

counters! {
    /// Commands that ran for clients of this home shard (INFO's total_commands_processed).
    commands_processed,
    /// Of these, commands on keys of this shard.
    commands_local,
    /// Commands that this home shard ran on a borrowed shard.
    commands_borrowed,
    /// Commands that this home shard sent to another shard as messages.
    commands_sent,
    /// Commands over several shards.
    commands_spanning,
    /// Connections accepted.
    connections_received,
    /// Connections refused because of `maxclients`.
    connections_rejected,
    /// Connections open now.
    clients,
    /// Bytes that clients hold in buffers.
    client_bytes,
    /// Of these, what clients hold that may be cut off for it.
    evictable_client_bytes,
    /// The largest input buffer of late.
    client_input_bytes_max,
    /// The largest output buffer of late.
    client_output_bytes_max,
    /// Clients that wait in a blocking command.
    blocked_clients,
    /// Clients that watch keys.
    watching_clients,
    /// Bytes received.
    input_bytes,
    /// Bytes sent.
    output_bytes,
    /// Replies that were errors.
    error_replies,
    /// Clients cut off because all together took too much.
    evicted_clients,
    /// Clients cut off at an output limit.
    output_limit_disconnections,
    /// Clients cut off because their query grew too long.
    query_limit_disconnections,
    /// Reads that found their key.
    keyspace_hits,
    /// Reads that did not.
    keyspace_misses,
    /// Keys removed because their time had come.
    expired_keys,
    /// Fields of hashes removed because their time had come.
    expired_fields,
    /// Keys removed to stay below `maxmemory`.
    evicted_keys,
    /// Changes of the dataset.
    dirty,
    /// Values freed in slices.
    lazily_freed,
    /// Values that wait to be freed in slices.
    lazily_freeing,
    /// Keys of a replica that its own clients gave a time to live.
    local_deadlines,
    /// Bytes that wait to be freed in slices.
    lazy_bytes,
    /// Channels of this shard that somebody is subscribed to.
    pubsub_channels,
    /// Patterns that somebody is subscribed to; shard zero counts them.
    pubsub_patterns,
    /// The same for channels of SPUBLISH.
    pubsub_shard_channels,
    /// Clients with subscriptions.
    pubsub_clients,
    /// Clients that are told of changes of keys that they cache.
    tracking_clients,
    /// Keys of this shard that clients cache.
    tracking_keys,
    /// How often such keys are cached, all together.
    tracking_items,
    /// Prefixes of keys that clients follow; shard zero counts them.
    tracking_prefixes,
    /// Keys of this shard.
    keys,
    /// Keys with a time to live.
    keys_with_expire,
    /// Watched keys.
    watched_keys,
    /// Keys that blocked clients wait for.
    awaited_keys,
    /// Those of them whose removal is an answer too.
    awaited_on_removal,
    /// Bytes of the tables themselves, without the entries.
    table_bytes,
    /// Bytes allocated by this shard's thread, less those it freed; read as signed.
    allocated_bytes,
    /// Ticks of the loop.
    ticks,
    /// Microseconds the loop was not parked.
    busy_micros,
}

impl ShardCounters {
    /// All zero, for a shard with so many databases.
    pub fn new(databases: usize) -> Self {
        Self { databases: (0..databases).map(|_| DatabaseCounters::default()).collect(), ..Self::default() }
    }

    /// Sets the registers that tell of a shard's keys. Constant time for each database, but for the sample of
    /// times to live.
    pub fn publish_keyspace(&self, keyspace: &Keyspace, now: UnixMillis) {
        let (mut keys, mut keys_with_expire, mut structure) = (0, 0, 0);
        for (index, register) in self.databases.iter().enumerate().take(keyspace.databases()) {
            let database = keyspace.database(index);
            let with_expire = database.expires_len() as u64;
            keys += database.len() as u64;
            keys_with_expire += with_expire;
            structure += database.table().memory_usage() as u64;
            register.keys.set(database.len() as u64);
            register.keys_with_expire.set(with_expire);
            register.keys_with_field_expire.set(database.field_expires_len() as u64);
            register.mean_ttl_ms.set(if with_expire == 0 { 0 } else { mean_ttl_ms(database, now) });
        }
        self.keys.set(keys);
        self.keys_with_expire.set(keys_with_expire);
        self.table_bytes.set(structure);
        self.keyspace_hits.set(keyspace.counters.hits);
        self.keyspace_misses.set(keyspace.counters.misses);
        self.expired_keys.set(keyspace.counters.expired);
        self.expired_fields.set(keyspace.counters.expired_fields);
        self.evicted_keys.set(keyspace.counters.evicted);
        self.dirty.set(keyspace.counters.dirty);
        self.lazily_freed.set(keyspace.counters.lazily_freed);
        self.lazily_freeing.set(keyspace.lazy_objects() as u64);
        self.local_deadlines.set(keyspace.local_deadlines() as u64);
        self.lazy_bytes.set(keyspace.lazy_bytes() as u64);
        self.watched_keys.set(keyspace.watched_keys() as u64);
        self.awaited_keys.set(keyspace.awaited_keys() as u64);
        self.awaited_on_removal.set(keyspace.awaited_on_removal as u64);
    }
}

/// Mean time to live of a few keys that have one.
fn mean_ttl_ms(database: &Database, now: UnixMillis) -> u64 {
    const SAMPLE: usize = 16;
    // Times may be as far off as a number of milliseconds can be.
    let (mut sum, mut count) = (0u128, 0);
    database.sample_for_eviction(true, now as u64, SAMPLE, |entry| {
        if let Some(at) = entry.expire_at() {
            sum += at.saturating_sub(now).max(0) as u128;
            count += 1;
        }
    });
    sum.checked_div(count).unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::Entry;

    #[test]
    fn keyspaces_are_published() {
        let mut keyspace = Keyspace::new(2, ahash::RandomState::with_seeds(1, 2, 3, 4));
        keyspace.insert(1, Entry::new_string(b"a", b"1", None), 0);
        keyspace.insert(1, Entry::new_string(b"b", b"1", Some(5_000)), 0);
        keyspace.counters.hits = 7;
        let counters = ShardCounters::new(2);
        counters.publish_keyspace(&keyspace, 1_000);
        counters.publish_keyspace(&keyspace, 1_000);
        let register = &counters.databases[1];
        assert_eq!((register.keys.get(), register.keys_with_expire.get()), (2, 1));
        assert_eq!(register.mean_ttl_ms.get(), 4_000);
        assert_eq!((counters.keys.get(), counters.databases[0].keys.get()), (2, 0));
        let mut totals = Totals::default();
        totals.add(&counters);
        totals.add(&counters);
        assert_eq!((totals.keyspace_hits, totals.keys), (14, 4));
    }
}
