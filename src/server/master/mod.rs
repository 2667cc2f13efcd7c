//! The master's side of replication, on shard zero: the backlog, the replicas and how far each is, snapshots on their way to
//! them, and those who wait for acknowledgements.
//!
//! [`Master`] is a state machine without sockets and threads: it is told what happened and answers with [`Order`]s, which
//! the loop carries out (`super::replication`). A replica's connection stays on the home shard that accepted it, which is
//! sent the stream in pieces, one at a time; the snapshot goes by a thread of its own over another descriptor of the socket.
//!
//! Positions count the bytes of the stream before; PSYNC counts from 1.

mod backlog;
mod feed;
mod follower;
mod spool;
mod sync;
mod transfer;
mod waiting;

#[cfg(test)]
mod master_test;

use self::backlog::Backlog;
use self::follower::Follower;
pub(super) use self::spool::SpoolWriter;
use self::sync::Sync;
pub(super) use self::transfer::Transfer;
use self::waiting::Waiting;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::config::Config;
use crate::notice;
use crate::shard::message::Ticket;
use crate::shard::replicas::Seat;
use crate::shard::stream::{Merged, Reached};
use crate::state::replication::{BacklogInfo, History, Replication, random_id};

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const GET_ACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

/// What is to be done.
#[derive(Debug)]
pub(super) enum Order {
    /// Send these bytes on a connection; its home shard says when the kernel has them.
    Feed(Seat, Vec<u8>),
    /// Send these bytes on a connection that is not fed yet.
    Say(Seat, &'static [u8]),
    /// End a connection.
    Disconnect(Seat),
    /// Answer a command that waited.
    Reply(ShardId, Ticket, Vec<u8>),
    /// Make a snapshot into this spool, under this number.
    Snapshot(u64, SpoolWriter),
    /// Nobody needs the snapshot of this number any more.
    Abandon(u64),
    /// Send a snapshot to a replica.
    Transfer(Seat, Transfer),
}

/// What a step of the state machine needs of the world.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// Wall clock.
    pub now: UnixMillis,
    /// The configuration.
    pub config: &'a Config,
    /// The registers that others read.
    pub registers: &'a Replication,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Master {
    backlog: Option<Backlog>,
    followers: Vec<Follower>,
    sync: Option<Sync>,
    last_sync: u64,
    waiting: Vec<Waiting>,
    /// Position behind the last effect.
    written: u64,
    /// Whether somebody waits for acknowledgements that were not asked for yet.
    wants_acknowledgements: bool,
    /// When the last replica left.
    alone_since: UnixMillis,
    pinged_at: UnixMillis,
    signed_at: UnixMillis,
    orders: Vec<Order>,
}

impl Master {
    /// What is to be done by now.
    pub fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// Whether effects are needed: there is a backlog that they go to.
    pub fn has_backlog(&self) -> bool {
        self.backlog.is_some()
    }

    /// Position of the stream, if it is kept.
    pub fn position(&self) -> Option<u64> {
        self.backlog.as_ref().map(Backlog::end)
    }

    /// Whether anybody follows.
    pub fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Takes what was merged of the effects of all shards.
    pub fn take_stream(&mut self, view: View<'_>, merged: &Merged) {
        let mut taken = 0;
        for &(at, reached) in &merged.reached {
            self.append_effects(view, &merged.bytes[taken..at]);
            taken = at;
            match reached {
                Reached::Cut(number) => self.cut(view, number),
                Reached::Mark(home, ticket) => self.marked(view, home, ticket),
            }
        }
        self.append_effects(view, &merged.bytes[taken..]);
    }

    fn append_effects(&mut self, view: View<'_>, bytes: &[u8]) {
        self.append(view, bytes);
        if !bytes.is_empty() {
            self.written = self.position().unwrap_or(0);
        }
    }

    /// Appends bytes of the stream: effects, or what this server's own master sends.
    pub fn append(&mut self, view: View<'_>, bytes: &[u8]) {
        let Some(backlog) = &mut self.backlog else { return };
        if bytes.is_empty() {
            return;
        }
        backlog.append(bytes);
        let offset = backlog.end();
        view.registers.offset.store(offset, std::sync::atomic::Ordering::Release);
        self.trim(view);
        self.publish_backlog(view);
    }

    /// Begins to keep the stream, from where it is.
    pub fn start_backlog(&mut self, view: View<'_>) {
        if self.backlog.is_none() {
            self.backlog = Some(Backlog::new(view.registers.offset(), view.config.repl_backlog_size));
            (self.alone_since, self.pinged_at) = (view.now, view.now);
            self.publish_backlog(view);
        }
    }

    /// Another history begins at a position: whoever follows the old one synchronizes anew.
    pub fn restart(&mut self, view: View<'_>, position: u64) {
        self.disconnect_all();
        self.void_snapshot();
        self.followers.iter_mut().for_each(|follower| follower.position = None);
        self.backlog = Some(Backlog::new(position, view.config.repl_backlog_size));
        self.written = position;
        self.alone_since = view.now;
        view.registers.offset.store(position, std::sync::atomic::Ordering::Release);
        self.publish_backlog(view);
    }

    /// Ends the connections of all replicas.
    pub fn disconnect_all(&mut self) {
        self.orders.extend(self.followers.iter().map(|follower| Order::Disconnect(follower.hello.seat)));
    }

    /// A replica's connection is gone.
    pub fn follower_gone(&mut self, view: View<'_>, seat: Seat) {
        let Some(index) = self.index_of(seat) else { return };
        let follower = self.followers.swap_remove(index);
        notice!("Connection with replica {} lost.", follower.hello.name());
        if self.followers.is_empty() {
            self.alone_since = view.now;
        }
        self.abandon_unneeded();
        self.publish_replicas(view);
    }

    /// What happens by the clock. `may_ping` is false while the stream is to stay as it is.
    pub fn keep_time(&mut self, view: View<'_>, may_ping: bool) {
        let ping_ms = 1000 * view.config.repl_ping_replica_period as i64;
        let (timeout, ttl) = (view.config.repl_timeout, view.config.repl_backlog_ttl);
        let is_master = !view.registers.is_replica.load(std::sync::atomic::Ordering::Relaxed);
        if is_master && may_ping && self.has_followers() && view.now - self.pinged_at >= ping_ms {
            self.pinged_at = view.now;
            self.append(view, PING);
        }
        if view.now - self.signed_at >= 1000 {
            self.signed_at = view.now;
            let waiting = self.followers.iter().filter(|follower| follower.awaits_snapshot());
            self.orders.extend(waiting.map(|follower| Order::Say(follower.hello.seat, b"\n")));
        }
        for follower in &self.followers {
            if follower.is_online() && !follower.hello.is_old && follower.lag_seconds(view.now) > timeout {
                crate::warning!("Disconnecting timedout replica (streaming sync): {}", follower.hello.name());
                self.orders.push(Order::Disconnect(follower.hello.seat));
            }
        }
        let ttl_ms = 1000 * ttl as i64;
        let is_over = ttl_ms > 0 && view.now - self.alone_since > ttl_ms;
        if is_master && self.has_backlog() && !self.has_followers() && is_over {
            notice!("Replication backlog freed after {ttl} seconds without connected replicas.");
            self.backlog = None;
            // What is written from now on is in no stream: no replica of the old history may resume.
            let id = random_id(&mut rand::rng());
            view.registers.set_history(History { id, second: None });
            self.publish_backlog(view);
        }
        self.publish_replicas(view);
    }

    fn index_of(&self, seat: Seat) -> Option<usize> {
        self.followers.iter().position(|follower| follower.hello.seat == seat)
    }

    fn publish_backlog(&self, view: View<'_>) {
        view.registers.set_backlog(self.backlog.as_ref().map_or(BacklogInfo::default(), |backlog| {
            BacklogInfo {
                is_active: true,
                first_offset: backlog.start() + 1,
                length: backlog.end() - backlog.start(),
                overflow: self.followers.iter().map(Follower::overflow_bytes).sum(),
            }
        }));
    }

    fn publish_replicas(&self, view: View<'_>) {
        let lag_max = view.config.min_replicas_max_lag;
        let is_good =
            |follower: &&Follower| follower.is_in_touch() && follower.lag_seconds(view.now) <= lag_max;
        let good = self.followers.iter().filter(is_good).count();
        view.registers.good_replicas.store(good, std::sync::atomic::Ordering::Release);
        view.registers.set_replicas(self.followers.iter().map(Follower::info).collect());
    }
}
