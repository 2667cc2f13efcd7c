//! Snapshots, on shard zero: one at a time, for a file or for replicas; others wait for their turn.
//!
//! A snapshot begins with a barrier that cuts the keyspace of every shard at the same moment. From then on the shards pass their keys to
//! a thread that writes them ([`write`]), while commands go on. The thread begins when the stream of effects has reached the cut,
//! so that the snapshot can say which position of the stream it stands for.

mod load;
mod save;
mod sink;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

pub(super) use self::load::{history_of, load_at_start};
pub(super) use self::sink::{SnapshotSink, remove_temporary_file};
use self::write::{GIVEN_UP, Preface};
use super::barrier::UNWATCHED_BARRIER;
use super::executor::Core;
use crate::base::clock::Monotonic;
use crate::base::slot::ShardId;
use crate::command::home::Reload;
use crate::shard::message::{Message, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::snapshot::{Pieces, Progress, ToSnapshots, open};
use crate::store::cut::Pace;

/// Numbers of snapshots for files have this bit; the others are those of the replicas' snapshots.
const FOR_FILES: u64 = 1 << 63;

/// How long one turn of the loop walks through the keyspace, microseconds.
const WALK_MICROS: u64 = 150;
/// How long a walk that nobody waits for rests then. A shard that worked without a pause would be the one that the system makes wait,
/// together with its clients.
const REST: Duration = Duration::from_micros(300);

/// What a snapshot is made for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The file, for a client that waits for it: SAVE.
    Save((ShardId, Ticket)),
    /// The file, to be loaded again: DEBUG RELOAD.
    Reload((ShardId, Ticket), Reload),
    /// The file: BGSAVE, a save point.
    Background,
    /// The file, before the server ends.
    Shutdown,
    /// Replicas.
    Replicas,
}

impl Purpose {
    fn is_save(&self) -> bool {
        matches!(self, Self::Save(_) | Self::Reload(..) | Self::Shutdown)
    }
}

/// A snapshot that somebody wants.
pub(super) struct Request {
    /// Its number, which the stream of effects names where it is cut.
    pub id: u64,
    /// What for.
    pub purpose: Purpose,
    /// Whether the stream of effects is to go on from its cut: if none are collected, a master collects them from then on.
    pub replicates: bool,
    /// Where it goes.
    pub sink: Box<dyn SnapshotSink>,
}

/// The snapshot under way.
struct Running {
    id: u64,
    purpose: Purpose,
    progress: Arc<Progress>,
    /// What the writing thread will take, until it is started.
    output: Option<(Pieces, Box<dyn SnapshotSink>)>,
    started: Monotonic,
}

/// What shard zero knows of snapshots.
#[derive(Default)]
pub(super) struct Snapshots {
    running: Option<Running>,
    waiting: VecDeque<Request>,
    last_number: u64,
    /// DEBUG RELOADs that wait until no write is under way.
    reloading: VecDeque<((ShardId, Ticket), Reload)>,
    /// Who waits for datasets to be adopted.
    adopting: VecDeque<Sender<()>>,
    /// Whether one for the file is to begin as soon as none is under way.
    is_scheduled: bool,
    /// On every shard: until when the walk rests.
    rests_until: Option<Monotonic>,
    /// When one for the file was begun last, Unix milliseconds.
    tried_at: i64,
}

impl Core {
    /// On shard zero: begins a snapshot, or has it wait until the one under way has ended. [`Core::snapshot_ended`] says what
    /// came of it.
    pub fn request_snapshot(&mut self, own: &mut Shard, request: Request) {
        self.snapshots.waiting.push_back(request);
        self.begin_snapshot(own);
    }

    /// On shard zero: a snapshot is not wanted any more. It ends as a failed one.
    pub fn abandon_snapshot(&mut self, own: &mut Shard, id: u64) {
        if let Some(at) = self.snapshots.waiting.iter().position(|request| request.id == id)
            && let Some(mut request) = self.snapshots.waiting.remove(at)
        {
            request.sink.abandon(GIVEN_UP);
            self.snapshot_ended(own, id, request.purpose, Err(GIVEN_UP.to_owned()));
            if self.snapshots.waiting.is_empty() && !self.is_saving() {
                // It may have been held for this one.
                self.release_link();
            }
        }
        if let Some(running) = self.snapshots.running.as_ref().filter(|running| running.id == id) {
            running.progress.fail();
        }
    }

    /// On shard zero: gives up the snapshot under way and all that wait for it.
    pub fn abandon_snapshots(&mut self, own: &mut Shard) {
        let waiting = self.snapshots.waiting.iter().map(|request| request.id);
        let running = self.snapshots.running.as_ref().map(|running| running.id);
        for id in waiting.chain(running).collect::<Vec<_>>() {
            self.abandon_snapshot(own, id);
        }
    }

    /// Whether a snapshot is under way.
    pub fn is_saving(&self) -> bool {
        self.snapshots.running.is_some()
    }

    /// On shard zero: begins the next snapshot, unless one is under way, or the master's stream is at no point that it could be
    /// said to stand for.
    pub fn begin_snapshot(&mut self, own: &mut Shard) {
        let is_possible = self.snapshots.running.is_none() && !self.snapshots.waiting.is_empty();
        if !is_possible || !self.link_rests(own) {
            return;
        }
        let Some(request) = self.snapshots.waiting.pop_front() else { return };
        let Request { id, purpose, replicates, sink } = request;
        let progress = Arc::new(Progress::new(id, replicates, !matches!(purpose, Purpose::Background)));
        let (takers, pieces) = open(Arc::clone(&progress), self.shards.len(), &self.config, self.now);
        if !purpose.is_save() {
            self.server.persistence.saving_since.store(self.now / 1000, Ordering::Relaxed);
        }
        let output = Some((pieces, sink));
        self.snapshots.running = Some(Running { id, purpose, progress, output, started: Monotonic::now() });
        for (shard, taker) in takers.into_iter().enumerate() {
            if shard == self.id {
                own.keyspace.prepared_cut = Some(Box::new(taker));
            } else {
                self.shards.send(shard, Message::PrepareCut(Box::new(taker)));
            }
        }
        self.begin_whole(own, UNWATCHED_BARRIER, 0, &[b"DEBUG", b"CUT"]);
    }

    /// Starts the thread that writes: the stream has reached the cut of the snapshot, at this offset. A master's stream may go on.
    pub fn write_snapshot(&mut self, id: u64, offset: u64) {
        self.release_link();
        let preface = self.preface(offset);
        let Some(running) = self.snapshots.running.as_mut().filter(|running| running.id == id) else {
            return;
        };
        let Some((pieces, mut sink)) = running.output.take() else { return };
        let registers = &self.server.persistence;
        registers.keys_to_save.store(running.progress.keys_at_cut(), Ordering::Relaxed);
        registers.keys_saved.store(0, Ordering::Relaxed);
        let (shards, progress) = (Arc::clone(&self.shards), Arc::clone(&running.progress));
        let tell = move |shards: &crate::shard::cell::Shards, result| {
            let written = ToSnapshots::Written { id, result };
            shards.send(0, Message::Server(ServerMessage::Snapshots(written)));
        };
        let started = std::thread::Builder::new().name("snapshot".into()).spawn(move || {
            let registers = &shards.server.persistence;
            let result = write::write(&preface, pieces, &progress, registers, &mut *sink);
            tell(&shards, result);
        });
        if let Err(error) = started {
            tell(&self.shards, Err(format!("no thread for it: {error}")));
        }
    }

    /// What a snapshot says of where it comes from.
    fn preface(&self, offset: u64) -> Preface {
        let mut fields = vec![
            ("redis-ver", crate::command::server::REDIS_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", (self.now / 1000).to_string()),
            ("used-mem", self.server.used_memory().to_string()),
        ];
        // Without a backlog there is no stream that the dataset would be of.
        if self.server.replication.backlog().is_active {
            fields.push(("repl-stream-db", self.stream_database().to_string()));
            fields.push(("repl-id", self.server.replication.history().id));
            fields.push(("repl-offset", offset.to_string()));
        }
        fields.push(("aof-base", "0".to_owned()));
        Preface {
            fields,
            has_checksum: self.config.rdbchecksum,
            key_delay: self.config.rdb_key_save_delay_us,
        }
    }

    /// On shard zero: something about snapshots.
    pub fn tell_snapshots(&mut self, own: &mut Shard, message: ToSnapshots) {
        match message {
            ToSnapshots::Ask { home, ticket, wish } => self.wish_snapshot(own, (home, ticket), wish),
            ToSnapshots::Written { id, result } => {
                let Some(running) = self.snapshots.running.take_if(|running| running.id == id) else {
                    return;
                };
                self.snapshot_written(own, running, result);
                self.begin_snapshot(own);
                self.go_on_with_shutdown();
            }
            ToSnapshots::GoOn => self.resume_stream(own),
            ToSnapshots::Loaded(report) => self.take_loaded(&report),
            ToSnapshots::Reloaded { asker, result } => self.reloaded(asker, result),
            ToSnapshots::Emptied => self.save_emptiness(own),
            ToSnapshots::Adopt { number, done } => self.adopt_loaded(own, number, done),
        }
    }

    fn snapshot_written(&mut self, own: &mut Shard, running: Running, result: Result<u64, String>) {
        let registers = &self.server.persistence;
        registers.keys_to_save.store(0, Ordering::Relaxed);
        registers.keys_saved.store(0, Ordering::Relaxed);
        registers.saving_since.store(0, Ordering::Relaxed);
        if !running.purpose.is_save() {
            let seconds = Monotonic::now().micros_since(running.started) / 1_000_000;
            registers.last_duration.store(seconds as i64, Ordering::Relaxed);
        }
        if result.is_ok() && !matches!(running.purpose, Purpose::Replicas) {
            registers.saved_dirty.store(running.progress.dirty.load(Ordering::Acquire), Ordering::Relaxed);
            registers.saved_at.store(self.now / 1000, Ordering::Relaxed);
        }
        self.snapshot_ended(own, running.id, running.purpose, result.map(drop));
    }

    /// Walks through the keyspace of this shard for a snapshot, for a bounded time; how it is to go on.
    pub fn walk_cut(&mut self, own: &mut Shard) -> Pace {
        let started = Monotonic::now();
        if self.snapshots.rests_until.is_some_and(|until| started < until) {
            return Pace::Waits;
        }
        loop {
            let pace = own.keyspace.walk_cut();
            let now = Monotonic::now();
            if !matches!(pace, Pace::On | Pace::Gently) {
                return pace;
            }
            if now.micros_since(started) >= WALK_MICROS {
                if pace == Pace::On {
                    return pace;
                }
                self.snapshots.rests_until = Some(now.plus(REST));
                return Pace::Waits;
            }
        }
    }
}
