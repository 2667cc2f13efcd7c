//! Registers of a replica: whom the server follows, how the link to that master stands and how far its stream was
//! applied. Shard zero and the thread of the link write them, every shard reads.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::clock::UnixMillis;
use crate::config::Primary;

/// How the link to the master stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Link {
    /// Nobody is followed.
    None,
    /// It is to be connected.
    Connect,
    /// It is being connected.
    Connecting,
    /// Connected; both sides find out how to go on.
    Handshake,
    /// A snapshot is being received.
    Transfer,
    /// The stream of the master's writes is being applied.
    Connected,
}

impl Link {
    const ALL: [Self; 6] =
        [Self::None, Self::Connect, Self::Connecting, Self::Handshake, Self::Transfer, Self::Connected];

    /// The word for it in ROLE.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Transfer => "sync",
            Self::Connected => "connected",
        }
    }
}

/// A snapshot on its way from the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes of the whole, zero when the master does not know.
    pub total: u64,
    /// Bytes received.
    pub read: u64,
    /// When bytes came last.
    pub last_io: UnixMillis,
}

/// All of them.
#[derive(Debug)]
pub struct Following {
    master: Mutex<Option<Primary>>,
    link: AtomicU8,
    /// Bytes of the master's stream that all shards have applied; it never stands inside of a transaction.
    pub applied: AtomicU64,
    /// Bytes of the master's stream that were received.
    pub received: AtomicU64,
    /// When something came over the link last.
    pub last_io: AtomicI64,
    /// Since when the link is down, Unix milliseconds; 0 if it never was up.
    pub down_since: AtomicI64,
    /// Whether a snapshot from the master is being loaded beside the dataset.
    pub is_loading: AtomicBool,
    /// Commands of the stream that failed here.
    pub failed_commands: AtomicU64,
    /// Bytes of snapshots and stream that came from masters.
    pub input_bytes: AtomicU64,
    transfer: Mutex<Transfer>,
}

impl Following {
    /// Registers of a server that follows `master` from its start on, or nobody.
    pub fn new(master: Option<Primary>) -> Self {
        let link = if master.is_some() { Link::Connect } else { Link::None };
        Self {
            master: Mutex::new(master),
            link: AtomicU8::new(link as u8),
            applied: AtomicU64::new(0),
            received: AtomicU64::new(0),
            last_io: AtomicI64::new(0),
            down_since: AtomicI64::new(0),
            is_loading: AtomicBool::new(false),
            failed_commands: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            transfer: Mutex::default(),
        }
    }

    /// Whom the server follows.
    pub fn master(&self) -> Option<Primary> {
        lock(&self.master).clone()
    }

    /// From now on another one is followed, or nobody.
    pub fn set_master(&self, master: Option<Primary>) {
        let link = if master.is_some() { Link::Connect } else { Link::None };
        *lock(&self.master) = master;
        self.set_link(link);
    }

    /// How the link stands.
    #[inline]
    pub fn link(&self) -> Link {
        Link::ALL[usize::from(self.link.load(Ordering::Acquire)) % Link::ALL.len()]
    }

    /// The link stands otherwise.
    pub fn set_link(&self, link: Link) {
        self.link.store(link as u8, Ordering::Release);
    }

    /// Whether the server follows a master and knows nothing of what that does now.
    #[inline]
    pub fn is_cut_off(&self) -> bool {
        !matches!(self.link(), Link::None | Link::Connected)
    }

    /// The snapshot that is being received.
    pub fn transfer(&self) -> Transfer {
        *lock(&self.transfer)
    }

    /// How far the snapshot is.
    pub fn set_transfer(&self, transfer: Transfer) {
        *lock(&self.transfer) = transfer;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_what_it_was_set_to() {
        let following = Following::new(None);
        assert_eq!(following.link(), Link::None);
        assert!(!following.is_cut_off());
        for link in Link::ALL {
            following.set_link(link);
            assert_eq!(following.link(), link);
        }
        assert!(!following.is_cut_off(), "connected");
        following.set_master(Some(Primary { host: "here".into(), port: 1 }));
        assert!(following.is_cut_off());
    }
}
