//! Counters of one shard: written by that shard alone, read by any.

use std::sync::atomic::{AtomicU64, Ordering};

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
        }
    };
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
    /// Keys removed to stay below `maxmemory`.
    evicted_keys,
    /// Changes of the dataset.
    dirty,
    /// Values freed in slices.
    lazily_freed,
    /// Values that wait to be freed in slices.
    lazily_freeing,
    /// Bytes that wait to be freed in slices.
    lazy_bytes,
    /// Keys of this shard.
    keys,
    /// Keys with a time to live.
    keys_with_expire,
    /// Watched keys.
    watched_keys,
    /// Bytes allocated by this shard's thread, less those it freed; read as signed.
    allocated_bytes,
    /// Ticks of the loop.
    ticks,
    /// Microseconds the loop was not parked.
    busy_micros,
}

impl ShardCounters {
    /// All zero.
    pub fn new() -> Self {
        Self::default()
    }
}
