//! Floor 5: one shard's state machine: the token, locks, transactions over several shards, the order of effects.
//!
//! Everything here is driven from outside, step by step, without a runtime, which is how the simulation drives it
//! under seeds. Who calls whom: the server's loop and the simulation call [`home::Home`] (a client's side) and
//! [`owner::Shard`] (a key's side); both meet through [`cell::Shards`] (tokens and inboxes) only.

pub mod announce;
pub mod blocked;
pub mod cell;
pub mod home;
pub mod load;
pub mod locks;
pub mod message;
pub mod owner;
pub mod plan;
pub mod replicas;
pub mod route;
#[cfg(test)]
mod simulation;
pub mod snapshot;
pub mod stream;
pub mod transaction;
pub mod trial;

use crate::base::clock::UnixMillis;
use crate::config::Config;
use crate::state::Server;

/// What a step needs to know of the world: the clock, the configuration and the process-wide registers.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Wall clock of this step.
    pub now: UnixMillis,
    /// The shard whose executor takes this step, whoever's token it holds: its thread allocates and frees.
    pub executor: crate::base::slot::ShardId,
    /// Configuration of this step.
    pub config: &'a Config,
    /// What all shards share.
    pub server: &'a Server,
}

impl Env<'_> {
    /// Whether CLIENT PAUSE keeps the dataset as it is: nothing expires and nothing is evicted meanwhile.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.server.pause.current(self.now).is_some()
    }

    /// Publishes what this thread has allocated, so that what follows judges by it.
    pub fn publish_memory(&self) {
        let bytes = crate::base::memory::thread_allocated();
        self.server.shards[self.executor].allocated_bytes.set(bytes as u64);
    }
}
