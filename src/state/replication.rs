//! Registers of replication: whom the server follows, who follows it, under which history and how far. Shard zero writes
//! them, every shard reads; what happens is in the server floor.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng;

use crate::base::clock::UnixMillis;

/// Digits of a replication id.
pub const ID_LENGTH: usize = 40;

/// The names of the stream that this server has: its own, and the one that it took over at its promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Replication id, 40 hexadecimal digits.
    pub id: String,
    /// The id before, and the first offset that is no longer common.
    pub second: Option<(String, u64)>,
}

impl History {
    /// Whether a replica that has everything of `id` before `offset` has everything of this history before it.
    pub fn covers(&self, id: &str, offset: u64) -> bool {
        let is_second = |(second, end): &(String, u64)| second == id && offset <= *end;
        self.id == id || self.second.as_ref().is_some_and(is_second)
    }
}

/// How far a replica is with its first synchronization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// It waits for a snapshot to begin.
    WaitBgsave,
    /// The snapshot is on its way.
    SendBulk,
    /// It takes the stream.
    Online,
}

impl ReplicaState {
    /// The word INFO uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::WaitBgsave => "wait_bgsave",
            Self::SendBulk => "send_bulk",
            Self::Online => "online",
        }
    }
}

/// A replica as INFO and ROLE show it.
#[derive(Clone, Debug)]
pub struct ReplicaInfo {
    /// Its address, as announced or as connected.
    pub address: String,
    /// The port it listens on.
    pub port: u16,
    /// How far it is.
    pub state: ReplicaState,
    /// The offset it acknowledged last.
    pub offset: u64,
    /// When it did.
    pub acknowledged_at: UnixMillis,
}

/// The backlog as INFO shows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BacklogInfo {
    /// Whether there is one.
    pub is_active: bool,
    /// Offset of its first byte, the first byte of all having offset 1.
    pub first_offset: u64,
    /// Bytes in it.
    pub length: u64,
    /// Bytes that have left it and that replicas have yet to take.
    pub overflow: u64,
}

/// How far a failover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverState {
    /// There is none.
    None,
    /// A replica has yet to get everything.
    WaitingForSync,
    /// The replica is told to take over.
    InProgress,
    /// It did not.
    Rejected,
}

impl FailoverState {
    const ALL: [Self; 4] = [Self::None, Self::WaitingForSync, Self::InProgress, Self::Rejected];

    /// The word INFO uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no-failover",
            Self::WaitingForSync => "waiting-for-sync",
            Self::InProgress | Self::Rejected => "failover-in-progress",
        }
    }
}

/// All of them.
#[derive(Debug)]
pub struct Replication {
    /// Whether the server follows a master.
    pub is_replica: AtomicBool,
    history: Mutex<History>,
    /// Bytes of the stream so far.
    pub offset: AtomicU64,
    replicas: Mutex<Vec<ReplicaInfo>>,
    backlog: Mutex<BacklogInfo>,
    /// Replicas that acknowledged within `min-replicas-max-lag`.
    pub good_replicas: AtomicUsize,
    /// Full resyncs served.
    pub full_syncs: AtomicU64,
    /// Partial resyncs served.
    pub partial_syncs: AtomicU64,
    /// Partial resyncs refused.
    pub refused_partial_syncs: AtomicU64,
    failover: AtomicU8,
}

impl Replication {
    /// Registers of a server that has just started, with a history of its own.
    pub fn new(id: String) -> Self {
        Self {
            is_replica: AtomicBool::new(false),
            history: Mutex::new(History { id, second: None }),
            offset: AtomicU64::new(0),
            replicas: Mutex::default(),
            backlog: Mutex::default(),
            good_replicas: AtomicUsize::new(0),
            full_syncs: AtomicU64::new(0),
            partial_syncs: AtomicU64::new(0),
            refused_partial_syncs: AtomicU64::new(0),
            failover: AtomicU8::new(0),
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset_statistics(&self) {
        for counter in [&self.full_syncs, &self.partial_syncs, &self.refused_partial_syncs] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// The names of the stream now.
    pub fn history(&self) -> History {
        lock(&self.history).clone()
    }

    /// Begins another history.
    pub fn set_history(&self, history: History) {
        *lock(&self.history) = history;
    }

    /// Bytes of the stream so far.
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    /// How far a failover is that this server coordinates.
    pub fn failover(&self) -> FailoverState {
        FailoverState::ALL[usize::from(self.failover.load(Ordering::Acquire)) % FailoverState::ALL.len()]
    }

    /// It is so far.
    pub fn set_failover(&self, state: FailoverState) {
        self.failover.store(state as u8, Ordering::Release);
    }

    /// The replicas as shard zero published them.
    pub fn replicas(&self) -> Vec<ReplicaInfo> {
        lock(&self.replicas).clone()
    }

    /// Publishes the replicas.
    pub fn set_replicas(&self, replicas: Vec<ReplicaInfo>) {
        *lock(&self.replicas) = replicas;
    }

    /// The backlog as shard zero published it.
    pub fn backlog(&self) -> BacklogInfo {
        *lock(&self.backlog)
    }

    /// Publishes the backlog.
    pub fn set_backlog(&self, backlog: BacklogInfo) {
        *lock(&self.backlog) = backlog;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An offset as others write it: at most what fits a signed number, as in Redis.
pub fn parse_offset(text: &str) -> Option<u64> {
    text.parse::<i64>().ok().and_then(|offset| u64::try_from(offset).ok())
}

/// A new replication id: 40 hexadecimal digits that no other server has.
pub fn random_id(rng: &mut impl Rng) -> String {
    (0..ID_LENGTH).map(|_| char::from_digit(rng.random_range(0..16), 16).unwrap_or('0')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_covers_its_own_id_and_the_second_up_to_its_end() {
        let history = History { id: "a".into(), second: Some(("b".into(), 10)) };
        assert!(history.covers("a", 99));
        assert!(history.covers("b", 10));
        assert!(!history.covers("b", 11));
        assert!(!history.covers("c", 1));
    }
}
