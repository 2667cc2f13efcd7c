//! Skerry: a Redis-compatible, share-nothing in-memory data server.
//!
//! The crate is layered in floors; a module imports its own directory and lower floors only
//! (`tests/tidy.rs` checks it). From the bottom up:
//!
//! 0. [`base`]: clock, slots, numbers, patterns, limits
//! 1. [`config`]: directives and their values; [`resp`]: the wire protocol; [`net`]: the network ring
//! 2. [`store`]: tables, entries, values
//! 3. [`state`]: process-wide registers (statistics, slow log, latency), none on the path of a key
//! 4. [`command`]: the command table and its handlers, plain functions
//! 5. [`shard`]: one shard's state machine: tokens, locks, sequencer, effects
//! 6. [`server`]: executors, connections, start and stop

pub mod base;
pub mod command;
pub mod config;
pub mod net;
pub mod resp;
pub mod server;
pub mod shard;
pub mod state;
pub mod store;
