//! One replica that follows this server: how far it is, and what it has yet to take.

use super::spool::Overflow;
use crate::base::clock::UnixMillis;
use crate::shard::replicas::Hello;
use crate::state::replication::{ReplicaInfo, ReplicaState};

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for a snapshot to begin.
    Waiting,
    /// It gets the snapshot of this number once that is cut.
    Cutting(u64),
    /// It is being sent the snapshot.
    Receiving,
    /// It has the snapshot and says when it takes the stream, since it may not know where the snapshot ends.
    Loading,
    /// It takes the stream.
    Online,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Follower {
    pub hello: Hello,
    pub phase: Phase,
    /// Position of the next byte of the stream to be sent; `None` before the cut of its snapshot.
    pub position: Option<u64>,
    /// Whether what was sent last is not with the kernel yet.
    pub is_feeding: bool,
    /// Position that it acknowledged last, and when.
    pub acknowledged: u64,
    pub acknowledged_at: UnixMillis,
    /// What it has yet to take of what has left the backlog.
    pub overflow: Option<Overflow>,
    /// Whether it once had all of the stream: limits on how far it may lag hold from then on.
    pub has_caught_up: bool,
    /// Since when it lags by more than the soft limit.
    pub soft_limit_since: Option<UnixMillis>,
}

impl Follower {
    /// A replica that is about to be synchronized.
    pub fn new(hello: Hello, now: UnixMillis) -> Self {
        Self {
            hello,
            phase: Phase::Waiting,
            position: None,
            is_feeding: false,
            acknowledged: 0,
            acknowledged_at: now,
            overflow: None,
            has_caught_up: false,
            soft_limit_since: None,
        }
    }

    /// Whether it takes the stream.
    pub fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    /// Whether it has the dataset of the master, or will in a moment.
    pub fn is_in_touch(&self) -> bool {
        matches!(self.phase, Phase::Loading | Phase::Online)
    }

    /// Whether it waits for others' snapshot to end: it must hear from time to time that the master lives. Not once its own begins,
    /// which another thread writes.
    pub fn awaits_snapshot(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// Seconds since it last acknowledged anything.
    pub fn lag_seconds(&self, now: UnixMillis) -> u64 {
        u64::try_from((now - self.acknowledged_at) / 1000).unwrap_or(0)
    }

    /// Bytes that it has yet to take and that are not in the backlog.
    pub fn overflow_bytes(&self) -> u64 {
        let end = self.overflow.as_ref().map_or(0, Overflow::end);
        end.saturating_sub(self.position.unwrap_or(end))
    }

    /// As registers show it.
    pub fn info(&self) -> ReplicaInfo {
        let state = match self.phase {
            Phase::Waiting => ReplicaState::WaitBgsave,
            Phase::Cutting(_) | Phase::Receiving => ReplicaState::SendBulk,
            Phase::Loading | Phase::Online => ReplicaState::Online,
        };
        ReplicaInfo {
            address: self.hello.address.clone(),
            port: self.hello.port,
            state,
            offset: self.acknowledged,
            acknowledged_at: self.acknowledged_at,
        }
    }
}
