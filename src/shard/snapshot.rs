//! The way of a snapshot from the shards to whoever writes it: what each database had at the cut, as pieces of RDB.
//!
//! Every shard gets a [`Taker`] for its keyspace. Pieces go through one channel; each begins with the number of its database, so that they may follow
//! one another in any order. Bytes under way are counted: above [`AHEAD_BYTES_MAX`] the walk through the keyspace waits. Entries that are about to change
//! do not wait; there are never more of them than clients change. The channel ends when every shard has passed everything, or when one
//! gave up, which [`Progress::has_failed`] tells.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::load::Report;
use super::message::Ticket;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::command::home::SnapshotWish;
use crate::config::Config;
use crate::rdb::write::{Options, Version, Writer, push_select};
use crate::store::cut::{Cutter, Pace, Sink};
use crate::store::{Database, Entry};

/// Bytes under way above which the walk waits.
pub const AHEAD_BYTES_MAX: usize = 4 << 20;

/// Bytes of a piece.
const PIECE_BYTES: usize = 32 << 10;

/// A snapshot under way, as shards and writer see it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Its number.
    pub id: u64,
    /// Whether the stream of effects is to go on from its cut, so that they are collected from then on.
    pub replicates: bool,
    /// Whether it is made as fast as can be, though others are served less meanwhile.
    pub is_urgent: bool,
    /// Changes of the dataset before the cut.
    pub dirty: AtomicU64,
    /// Keys that are written.
    pub keys: AtomicU64,
    /// Of each database at the cut: keys, and how many of them have a deadline.
    databases: Mutex<BTreeMap<usize, (usize, usize)>>,
    ahead_bytes: AtomicUsize,
    needs_newer: AtomicBool,
    has_failed: AtomicBool,
}

impl Progress {
    /// Of snapshot `id`.
    pub fn new(id: u64, replicates: bool, is_urgent: bool) -> Self {
        Self { id, replicates, is_urgent, ..Self::default() }
    }

    /// Nothing may be made of it any more: what is left need not be passed.
    pub fn fail(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    /// Whether something is missing.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// The version that expresses everything; known once all shards are cut.
    pub fn version(&self) -> Version {
        if self.needs_newer.load(Ordering::Acquire) { Version::Twelve } else { Version::Ten }
    }

    /// Each database with its number of keys, and how many of them have a deadline; known once all shards are cut.
    pub fn databases(&self) -> Vec<(usize, usize, usize)> {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.iter().map(|(&index, &(keys, deadlines))| (index, keys, deadlines)).collect()
    }

    /// Number of keys at the cut.
    pub fn keys_at_cut(&self) -> u64 {
        self.databases().iter().map(|&(_, keys, _)| keys as u64).sum()
    }
}

/// Keys of one database.
#[derive(Debug)]
pub struct Piece {
    /// As they stand in the snapshot.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub keys: u64,
}

/// The writer's end: pieces of all shards.
pub struct Pieces {
    receiver: Receiver<Piece>,
    progress: Arc<Progress>,
}

impl Pieces {
    /// The next piece; `None` behind the last one. Blocks.
    pub fn next(&self) -> Option<Piece> {
        let piece = self.receiver.recv().ok()?;
        self.progress.ahead_bytes.fetch_sub(piece.bytes.len(), Ordering::AcqRel);
        Some(piece)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // Whoever has something left need not pass it.
        self.progress.fail();
    }
}

/// A snapshot over `shards` shards: a taker for each, and where their pieces come out.
pub fn open(
    progress: Arc<Progress>,
    shards: usize,
    config: &Config,
    now: UnixMillis,
) -> (Vec<Taker>, Pieces) {
    let (sender, receiver) = channel();
    let options = Options::new(Version::Ten, config, now);
    let taker = |_| Taker { progress: Arc::clone(&progress), sender: sender.clone(), options };
    let takers = (0..shards).map(taker).collect();
    (takers, Pieces { receiver, progress })
}

/// Takes the keyspace of one shard.
#[derive(Debug)]
pub struct Taker {
    progress: Arc<Progress>,
    sender: Sender<Piece>,
    options: Options,
}

impl Cutter for Taker {
    fn begin(&mut self, dirty: u64) {
        self.progress.dirty.fetch_add(dirty, Ordering::AcqRel);
    }

    fn id(&self) -> u64 {
        self.progress.id
    }

    fn replicates(&self) -> bool {
        self.progress.replicates
    }

    fn sink(&mut self, index: usize, database: &Database) -> Box<dyn Sink> {
        let mut options = self.options;
        if database.field_expires_len() > 0 {
            options.version = Version::Twelve;
            self.progress.needs_newer.store(true, Ordering::Release);
        }
        let mut databases = self.progress.databases.lock().unwrap_or_else(PoisonError::into_inner);
        let (keys, deadlines) = databases.entry(index).or_default();
        *keys += database.len();
        *deadlines += database.expires_len();
        Box::new(Taking {
            progress: Arc::clone(&self.progress),
            sender: self.sender.clone(),
            writer: Writer::new(options),
            database: index,
            piece: Vec::new(),
            keys: 0,
            large: Vec::new(),
            is_whole: false,
        })
    }

    fn pace(&self) -> Pace {
        if self.progress.has_failed() {
            Pace::Ended
        } else if self.progress.ahead_bytes.load(Ordering::Acquire) > AHEAD_BYTES_MAX {
            Pace::Waits
        } else if self.progress.is_urgent {
            Pace::On
        } else {
            Pace::Gently
        }
    }
}

/// Takes one database of one shard.
struct Taking {
    progress: Arc<Progress>,
    sender: Sender<Piece>,
    writer: Writer,
    database: usize,
    piece: Vec<u8>,
    keys: u64,
    /// The large entry that was begun: it is a piece of its own.
    large: Vec<u8>,
    is_whole: bool,
}

impl Taking {
    fn send(&mut self) {
        let piece = Piece { bytes: std::mem::take(&mut self.piece), keys: std::mem::take(&mut self.keys) };
        self.send_piece(piece);
    }

    /// Sends the large entry if it is whole, of which `rest` says where it goes on.
    fn end_large(&mut self, rest: Option<u64>) -> Option<u64> {
        if rest.is_none() {
            let piece = Piece { bytes: std::mem::take(&mut self.large), keys: 1 };
            self.send_piece(piece);
        }
        rest
    }

    fn send_piece(&self, piece: Piece) {
        self.progress.ahead_bytes.fetch_add(piece.bytes.len(), Ordering::AcqRel);
        if self.sender.send(piece).is_err() {
            self.progress.fail();
        }
    }
}

impl Sink for Taking {
    fn entry(&mut self, entry: &Entry) {
        if self.piece.is_empty() {
            self.piece.reserve(PIECE_BYTES + PIECE_BYTES / 4);
            push_select(&mut self.piece, self.database);
        }
        self.writer.push_entry(&mut self.piece, entry);
        self.keys += 1;
        if self.piece.len() >= PIECE_BYTES {
            self.send();
        }
    }

    fn large_entry(&mut self, entry: &Entry) -> Option<u64> {
        // It seldom takes more in the snapshot than here, and what is not used is never touched. Growing by and by would copy.
        self.large.reserve(entry.memory_usage());
        push_select(&mut self.large, self.database);
        let rest = self.writer.push_beginning(&mut self.large, entry);
        self.end_large(rest)
    }

    fn large_entry_goes_on(&mut self, entry: &Entry, from: u64) -> Option<u64> {
        let rest = self.writer.push_some(&mut self.large, entry, from);
        self.end_large(rest)
    }

    fn finish(mut self: Box<Self>) {
        if !self.piece.is_empty() {
            self.send();
        }
        self.is_whole = true;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if !self.is_whole {
            self.progress.fail();
        }
    }
}

/// What shard zero is asked or told about snapshots.
#[derive(Debug)]
pub enum ToSnapshots {
    /// A client wants something. Answered with [`ServerMessage::Reply`](super::message::ServerMessage::Reply).
    Ask {
        /// Its home shard.
        home: ShardId,
        /// Which reply it waits for.
        ticket: Ticket,
        /// What it wants.
        wish: SnapshotWish,
    },
    /// The writer of a snapshot has ended: bytes written, or why there is no snapshot.
    Written {
        /// The snapshot.
        id: u64,
        /// What came of it.
        result: Result<u64, String>,
    },
    /// The file that is being loaded at the start is of a stream that goes on.
    GoOn,
    /// The file was loaded at the start of the server.
    Loaded(Box<Report>),
    /// DEBUG RELOAD is done.
    Reloaded {
        /// Whom to answer.
        asker: (ShardId, Ticket),
        /// Whether it failed, and why.
        result: Result<(), String>,
    },
    /// FLUSHALL has run.
    Emptied,
    /// A dataset is loaded and is to take the place of the one there is; then whoever waits is told.
    Adopt {
        /// Number of the load.
        number: u64,
        /// Who waits.
        done: Sender<()>,
    },
}
