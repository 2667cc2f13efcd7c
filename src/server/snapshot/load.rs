//! Datasets that are loaded: the file at the start of the server, and the barrier at the end of a load into a dataset beside the
//! one that clients see.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use crate::base::clock::{Monotonic, unix_millis};
use crate::base::slot::ShardId;
use crate::command::home::Reload;
use crate::config::Config;
use crate::server::barrier::{ADOPT_BARRIER, RELOAD_BARRIER};
use crate::server::executor::Core;
use crate::server::snapshot::Purpose;
use crate::shard::cell::Shards;
use crate::shard::load::{LoadError, Options, Report, fields_of, load};
use crate::shard::message::{Message, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::snapshot::ToSnapshots;
use crate::state::replication::{History, ID_LENGTH, parse_offset};
use crate::{notice, warning};

/// Bytes that are read of the file at once.
const READ_BYTES: usize = 256 << 10;

/// Begins to load the file, if there is one, on a thread of its own. Clients are told to wait until it is loaded; a file that
/// cannot be loaded ends the process. Whether there is one.
pub(in crate::server) fn load_at_start(shards: &Arc<Shards>, config: &Config) -> Result<bool, String> {
    let file = match File::open(&config.dbfilename) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(format!(
                "Fatal error: can't open the RDB file {} for reading: {error}",
                config.dbfilename.display()
            ));
        }
    };
    if config.replicaof.is_none() {
        go_on_with_history(shards, &config.dbfilename);
    }
    shards.server.persistence.loading.is_on.store(true, Ordering::Release);
    let options = Options {
        is_checked: config.rdbchecksum,
        drops_expired: config.replicaof.is_none(),
        ..Options::default()
    };
    let shards = Arc::clone(shards);
    let thread = move || {
        let started = Monotonic::now();
        match load_file(&shards, &file, options) {
            Ok(report) => {
                let seconds = Monotonic::now().micros_since(started) as f64 / 1e6;
                notice!("DB loaded from disk: {seconds:.3} seconds");
                shards.send(
                    0,
                    Message::Server(ServerMessage::Snapshots(ToSnapshots::Loaded(Box::new(report)))),
                );
            }
            Err(LoadError::Stopping) => {}
            Err(error) => {
                warning!("{error}");
                warning!("Terminating server after rdb file reading failure.");
                warning!("Fatal error loading the DB, check server logs. Exiting.");
                std::process::exit(1);
            }
        }
    };
    let started = std::thread::Builder::new().name("loader".into()).spawn(thread);
    started.map(|_| true).map_err(|error| format!("Can't start the thread that loads the dataset: {error}"))
}

/// A master that starts with its file goes on with the stream that the file is of, so that its replicas may resume. From then on
/// effects are collected: keys that are left out because their time is over are deletions for replicas. Before any executor
/// runs.
fn go_on_with_history(shards: &Shards, name: &Path) {
    let fields = File::open(name).map(|file| fields_of(BufReader::new(file))).unwrap_or_default();
    let Some((id, offset)) = history_of(|name| fields.get(name).map(String::as_str)) else { return };
    notice!("Going on with the history {id} at offset {offset} of the RDB file");
    let registers = &shards.server.replication;
    let own = registers.history().id;
    registers.set_history(History { id: own, second: Some((id, offset)) });
    registers.offset.store(offset, Ordering::Release);
    (0..shards.len()).for_each(|shard| shards.own(shard).set_effects(true));
    shards.send(0, Message::Server(ServerMessage::Snapshots(ToSnapshots::GoOn)));
}

/// What a snapshot says of the stream that it is of: the history's id, and the offset.
pub(in crate::server) fn history_of<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Option<(String, u64)> {
    let (id, offset) = (field("repl-id")?, parse_offset(field("repl-offset")?)?);
    (id.len() == ID_LENGTH).then(|| (id.to_owned(), offset))
}

fn load_file(shards: &Shards, file: &File, options: Options) -> Result<Report, LoadError> {
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    shards.server.persistence.loading.begin(bytes, unix_millis() / 1000);
    load(shards, BufReader::with_capacity(READ_BYTES, file), options)
}

/// Loads the file of this name.
fn load_name(shards: &Shards, name: &Path, options: Options) -> Result<Report, String> {
    let file = File::open(name).map_err(|error| error.to_string())?;
    load_file(shards, &file, options).map_err(|error| error.to_string())
}

impl Core {
    /// DEBUG RELOAD: nothing may be written between the snapshot and its return.
    pub(super) fn hold_for_reload(&mut self, own: &mut Shard, asker: (ShardId, Ticket), reload: Reload) {
        self.snapshots.reloading.push_back((asker, reload));
        self.hold_writes(own, RELOAD_BARRIER);
    }

    /// No write is under way any more.
    pub fn reload_barrier_passed(&mut self, own: &mut Shard) {
        match self.snapshots.reloading.pop_front() {
            Some((asker, reload)) if reload.saves => {
                self.save(own, Purpose::Reload(asker, reload));
            }
            Some((asker, reload)) => self.reload(asker, reload),
            None => {}
        }
    }

    /// Writes go on.
    pub(super) fn release_after_reload(&mut self) {
        self.server.pause.release_writes();
        self.end_pause();
    }

    /// Loads the file of DEBUG RELOAD on a thread of its own.
    pub(super) fn reload(&mut self, asker: (ShardId, Ticket), reload: Reload) {
        let name = self.config.dbfilename.clone();
        let options = Options {
            beside: reload.flushes,
            is_checked: self.config.rdbchecksum,
            drops_expired: true,
            merges: reload.merges,
        };
        let shards = Arc::clone(&self.shards);
        let thread = move || {
            let result = load_name(&shards, &name, options).map(drop);
            let reloaded = ToSnapshots::Reloaded { asker, result };
            shards.send(0, Message::Server(ServerMessage::Snapshots(reloaded)));
        };
        if let Err(error) = std::thread::Builder::new().name("loader".into()).spawn(thread) {
            self.reloaded(asker, Err(error.to_string()));
        }
    }

    /// DEBUG RELOAD is done.
    pub(super) fn reloaded(&mut self, asker: (ShardId, Ticket), result: Result<(), String>) {
        self.release_after_reload();
        match &result {
            Ok(()) => notice!("DB reloaded by DEBUG RELOAD"),
            Err(reason) => warning!("Error trying to load the RDB dump: {reason}"),
        }
        self.reply_elsewhere(asker, |reply| match result {
            Ok(()) => reply.ok(),
            Err(_) => reply.error("ERR Error trying to load the RDB dump, check server logs."),
        });
    }

    /// On shard zero: a dataset is loaded and takes the place of the one there is, on all shards at once.
    pub(super) fn adopt_loaded(&mut self, own: &mut Shard, number: u64, done: Sender<()>) {
        self.snapshots.adopting.push_back(done);
        self.begin_whole(own, ADOPT_BARRIER, 0, &[b"DEBUG", b"ADOPT", number.to_string().as_bytes()]);
    }

    /// On shard zero: the dataset of the file is here, so clients may have it.
    pub(super) fn take_loaded(&mut self, report: &Report) {
        let registers = &self.server.persistence;
        registers.saved_dirty.store(self.server.totals().dirty, Ordering::Relaxed);
        registers.loading.is_on.store(false, Ordering::Release);
        let kind = if self.config.port == 0 { "unix" } else { "tcp" };
        notice!("Ready to accept connections {kind}");
        self.resume_loaded(report);
    }

    /// It has. Barriers of one shard follow one another, so it is the first that waits.
    pub fn loaded_is_adopted(&mut self) {
        if let Some(done) = self.snapshots.adopting.pop_front() {
            // Who asked may wait no more.
            let _ = done.send(());
        }
    }
}
