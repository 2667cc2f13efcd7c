//! Floor 6: what makes a process of it all: executors, connections, start and stop.
//!
//! [`boot`] checks the machine and starts one [`executor`] per shard; that reaps the ring and drives a [`tick`], which
//! parses, routes and runs commands; [`ask`] does what handlers ask of connections and other shards; [`clients`]
//! answers questions about clients; [`subscribers`] is who hears of messages and of changes of keys; [`cron`] is what
//! happens by the clock; [`replica`] follows a master.

mod accepting;
mod ask;
mod barrier;
mod block;
pub mod boot;
mod clients;
mod connection;
mod cron;
mod evict;
mod executor;
mod failover;
mod listening;
mod master;
mod migrate;
mod replica;
mod replication;
mod shutdown;
mod snapshot;
mod subscribers;
mod survey;
mod tick;
mod waiting;
