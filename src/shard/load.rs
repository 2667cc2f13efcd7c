//! Loading: a thread of its own splits a snapshot into records and sends each key to the shard that owns it, which decodes it
//! and keeps it, in the dataset that clients see or in one beside it.
//!
//! Keys under way are bounded, so the thread waits for the shards. What a shard cannot keep ends the load.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Env;
use super::cell::Shards;
use super::message::{Message, ServerMessage};
use super::owner::Shard;
use super::snapshot::ToSnapshots;
use crate::base::clock::{Monotonic, UnixMillis, unix_millis};
use crate::base::limits::PREFETCH_DISTANCE;
use crate::rdb::{Raw, RawAccess, RawEntry, RdbError, Record, Records, decode_raw};
use crate::state::Server;
use crate::store::Database;
use crate::store::keyspace::Keyspace;
use crate::{notice, warning};

/// Bytes of keys that one message has.
const BATCH_BYTES: usize = 32 << 10;
/// How long a shard loads before its clients have their turn, microseconds.
const SLICE_MICROS: u64 = 1000;
/// Bytes under way per shard. A shard keeps what has come before it serves clients again, so they are fewer where clients are
/// served; where none are, more keep the thread from waiting for a shard that the system does not let run.
const AHEAD_BYTES_MAX: usize = 8 << 20;
const AHEAD_BYTES_BESIDE_MAX: usize = 512 << 10;
/// How many keys without elements are named in the log, of each message.
const EMPTY_KEYS_NAMED: u64 = 10;
/// After how long the loading thread looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why a dataset was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("{0}")]
    Rdb(#[from] RdbError),
    /// A key is there twice.
    #[error("RDB has duplicated key '{key}' in DB {database}")]
    Duplicate {
        /// The key.
        key: String,
        /// Its database.
        database: usize,
    },
    /// It has a database that this server has not.
    #[error("Data file was created with a Redis server configured to handle more than {0} databases")]
    Databases(usize),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// How a dataset is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether it comes beside the dataset that clients see, and takes its place when it is whole.
    pub beside: bool,
    /// Whether its checksum is looked at.
    pub is_checked: bool,
    /// Whether keys whose time is over are left out, as a master does; a replica waits for its master's word.
    pub drops_expired: bool,
    /// Whether keys may be there already.
    pub merges: bool,
}

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What the snapshot says of itself.
    pub fields: Vec<(String, String)>,
    /// Keys that are here now.
    pub keys: u64,
    /// Keys that were left out because their time was over.
    pub expired_keys: u64,
    /// Keys that were left out because they had no element.
    pub empty_keys: u64,
    /// Libraries of functions that were left out.
    pub functions: u64,
    /// Data of modules, beside the keys, that were left out.
    pub module_fields: u64,
}

impl Report {
    /// What the snapshot says under this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// A load under way, as its thread and the shards see it.
#[derive(Debug)]
pub struct Load {
    number: u64,
    options: Options,
    now: UnixMillis,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    ahead_bytes: usize,
    /// The thread waits until no more than so many are.
    waits_for: Option<usize>,
    keys: u64,
    expired_keys: u64,
    empty_keys: u64,
    failure: Option<LoadError>,
}

/// Keys of one database on their way to their shard.
#[derive(Debug)]
pub struct Keys {
    load: Arc<Load>,
    database: usize,
    batch: Batch,
}

/// Keys with their values in one piece, so that whoever takes them has one block to free.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// A key in a batch; its bytes and those of its value stand behind those of the item before.
#[derive(Clone, Copy, Debug)]
struct Item {
    expire_ms: Option<UnixMillis>,
    access: RawAccess,
    kind: u8,
    key_bytes: usize,
    body_bytes: usize,
    offset: u64,
}

impl Batch {
    fn push(&mut self, raw: &RawEntry) {
        let RawEntry { expire_ms, access, kind, ref key, ref body, offset } = *raw;
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(body);
        self.items.push(Item {
            expire_ms,
            access,
            kind,
            key_bytes: key.len(),
            body_bytes: body.len(),
            offset,
        });
    }

    /// Bytes that it takes on its way.
    fn size(&self) -> usize {
        self.bytes.len() + self.items.len() * size_of::<Item>()
    }

    fn iter(&self) -> impl Iterator<Item = Raw<'_>> {
        let mut rest = self.bytes.as_slice();
        self.items.iter().map(move |item| {
            let (key, after) = rest.split_at(item.key_bytes);
            let (body, after) = after.split_at(item.body_bytes);
            rest = after;
            let Item { expire_ms, access, kind, offset, .. } = *item;
            Raw { expire_ms, access, kind, key, body, offset }
        })
    }
}

impl Load {
    fn new(options: Options) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed) + 1,
            options,
            now: unix_millis(),
            progress: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits when more than so many bytes are under way, and then until half of them are: so it sleeps seldom.
    fn wait(&self, bytes_max: usize, server: &Server) -> Result<(), LoadError> {
        let mut progress = self.progress();
        loop {
            if let Some(failure) = progress.failure.take() {
                return Err(failure);
            }
            if progress.ahead_bytes <= progress.waits_for.unwrap_or(bytes_max) {
                progress.waits_for = None;
                return Ok(());
            }
            progress.waits_for = Some(bytes_max / 2);
            if server.stopping.load(Ordering::Acquire) {
                return Err(LoadError::Stopping);
            }
            progress =
                self.changed.wait_timeout(progress, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What a loading thread has for a shard.
#[derive(Debug)]
pub enum Loading {
    /// Keys of a snapshot.
    Keys(Keys),
    /// Nothing comes of the load of this number.
    Dropped(u64),
}

impl Loading {
    /// Does it, on the shard that it is for.
    fn act_on(self, shard: &mut Shard, env: Env<'_>) {
        match self {
            Self::Keys(keys) => keys.keep(shard, env),
            Self::Dropped(number) => shard.keyspace.drop_incoming(number),
        }
    }
}

impl Shard {
    /// Goes on with what loading threads have for this shard, for a slice of time, so that a load holds no client up. Whether
    /// there is more.
    pub fn load_some(&mut self, env: Env<'_>) -> bool {
        let started = Monotonic::now();
        while let Some(loading) = self.loading.pop_front() {
            loading.act_on(self, env);
            if Monotonic::now().micros_since(started) >= SLICE_MICROS {
                break;
            }
        }
        !self.loading.is_empty()
    }
}

impl Keys {
    /// Decodes and keeps them, on the shard that owns them.
    fn keep(self, shard: &mut Shard, env: Env<'_>) {
        let Self { load, database, batch } = self;
        let mut done = Progress::default();
        let hashes: Vec<u64> = batch.iter().map(|raw| shard.keyspace.hash(raw.key)).collect();
        let database = Place { number: load.options.beside.then_some(load.number), index: database };
        let ahead = |keyspace: &mut Keyspace, index: usize| {
            if let Some(&hash) = hashes.get(index) {
                database.of(keyspace).table().prefetch_bucket(hash);
            }
        };
        (0..PREFETCH_DISTANCE).for_each(|index| ahead(&mut shard.keyspace, index));
        for (index, raw) in batch.iter().enumerate() {
            ahead(&mut shard.keyspace, index + PREFETCH_DISTANCE);
            if let Err(failure) = load.keep(shard, env, database, (hashes[index], raw), &mut done) {
                done.failure = Some(failure);
                break;
            }
        }
        let registers = &env.server.persistence.loading;
        registers.keys.fetch_add(done.keys, Ordering::Relaxed);
        registers.expired_keys.fetch_add(done.expired_keys, Ordering::Relaxed);
        let mut progress = load.progress();
        progress.ahead_bytes -= batch.size();
        progress.keys += done.keys;
        progress.expired_keys += done.expired_keys;
        progress.empty_keys += done.empty_keys;
        if progress.failure.is_none() {
            progress.failure = done.failure;
        }
        let is_awaited = progress.waits_for.is_some_and(|bytes| progress.ahead_bytes <= bytes);
        let has_failed = progress.failure.is_some();
        drop(progress);
        if is_awaited || has_failed {
            load.changed.notify_one();
        }
    }
}

/// A database that keys are loaded into.
#[derive(Clone, Copy)]
struct Place {
    /// The load, if it comes beside the dataset that clients see.
    number: Option<u64>,
    index: usize,
}

impl Place {
    #[inline]
    fn of(self, keyspace: &mut Keyspace) -> &mut Database {
        match self.number {
            Some(number) => keyspace.incoming(number, self.index),
            None => keyspace.database_mut(self.index),
        }
    }
}

impl Load {
    fn keep(
        &self,
        shard: &mut Shard,
        env: Env<'_>,
        database: Place,
        (hash, raw): (u64, Raw<'_>),
        done: &mut Progress,
    ) -> Result<(), LoadError> {
        if self.options.drops_expired && raw.expire_ms.is_some_and(|at_ms| at_ms < self.now) {
            done.expired_keys += 1;
            shard.tell_removed(database.index, raw.key);
            return Ok(());
        }
        let entry = match decode_raw(raw, env.config, env.now) {
            Ok(entry) => entry,
            Err(RdbError::Empty) => {
                done.empty_keys += 1;
                if done.empty_keys <= EMPTY_KEYS_NAMED {
                    notice!("skipping empty key: {}", raw.key.escape_ascii());
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let replaced = database.of(&mut shard.keyspace).replace(hash, entry, env.now);
        done.keys += 1;
        match replaced {
            Some(_) if !self.options.merges => {
                let key = raw.key.escape_ascii().to_string();
                Err(LoadError::Duplicate { key, database: database.index })
            }
            Some(entry) => {
                shard.keyspace.discard_entry(entry);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What a snapshot says of itself before its first key.
pub fn fields_of(reader: impl Read) -> HashMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = HashMap::new();
    let Ok(mut records) = Records::new(reader, false) else { return fields };
    while let Some(Ok(Record::Aux { name, value })) = records.next() {
        fields.insert(text(&name), text(&value));
    }
    fields
}

/// Loads a snapshot from `reader`, of which no byte more is taken than the snapshot has. Blocks: it is for a thread of its own.
/// When it fails, and the dataset came beside the one that clients see, that one is as it was.
pub fn load(shards: &Shards, reader: impl Read, options: Options) -> Result<Report, LoadError> {
    if options.beside {
        let (number, report) = load_beside(shards, reader, options)?;
        adopt(shards, number)?;
        return Ok(report);
    }
    Loader::new(shards, &Arc::new(Load::new(options))).run(reader)
}

/// Like [`load`], beside the dataset that clients see, until whoever gets its number has it adopted (DEBUG ADOPT) or dropped
/// ([`drop_load`]).
pub fn load_beside(shards: &Shards, reader: impl Read, options: Options) -> Result<(u64, Report), LoadError> {
    let load = Arc::new(Load::new(Options { beside: true, ..options }));
    let result = Loader::new(shards, &load).run(reader);
    if result.is_err() {
        drop_load(shards, load.number);
    }
    result.map(|report| (load.number, report))
}

/// Drops a dataset that was loaded beside the one that clients see.
pub fn drop_load(shards: &Shards, number: u64) {
    (0..shards.len()).for_each(|shard| shards.send(shard, Message::Load(Box::new(Loading::Dropped(number)))));
}

/// Has the dataset take the place of the one there is, and waits until it has.
fn adopt(shards: &Shards, number: u64) -> Result<(), LoadError> {
    let (done, is_done) = channel();
    shards.send(0, Message::Server(ServerMessage::Snapshots(ToSnapshots::Adopt { number, done })));
    is_done.recv().map_err(|_| LoadError::Stopping)
}

/// The loading thread's side.
struct Loader<'a> {
    shards: &'a Shards,
    load: &'a Arc<Load>,
    database: usize,
    /// What is gathered for each shard.
    batches: Vec<Batch>,
    report: Report,
}

impl<'a> Loader<'a> {
    fn new(shards: &'a Shards, load: &'a Arc<Load>) -> Self {
        let batches = (0..shards.len()).map(|_| Default::default()).collect();
        Self { shards, load, database: 0, batches, report: Report::default() }
    }

    fn run(mut self, reader: impl Read) -> Result<Report, LoadError> {
        let server = &self.shards.server;
        let registers = &server.persistence.loading;
        let databases = server.config.load().databases;
        let mut records = Records::new(reader, self.load.options.is_checked)?;
        while let Some(record) = records.next() {
            match record? {
                Record::Entry(raw) => {
                    let shard = server.slots.owner_of_key(&raw.key);
                    let batch = &mut self.batches[shard];
                    batch.push(&raw);
                    if batch.size() >= BATCH_BYTES {
                        self.send(shard)?;
                        registers.loaded_bytes.store(records.offset(), Ordering::Relaxed);
                    }
                }
                Record::Select(index) => {
                    self.send_all()?;
                    self.database = usize::try_from(index)
                        .ok()
                        .filter(|index| *index < databases)
                        .ok_or(LoadError::Databases(databases))?;
                }
                Record::Aux { name, value } => self.take_field(&name, &value),
                Record::Resize { .. } => {}
                Record::Function(_) => self.report.functions += 1,
                Record::ModuleAux { name } => {
                    self.report.module_fields += 1;
                    warning!("The snapshot has data of the module type '{name}', which are left out");
                }
            }
        }
        self.send_all()?;
        self.load.wait(0, server)?;
        registers.loaded_bytes.store(records.offset(), Ordering::Relaxed);
        let progress = self.load.progress();
        self.report.keys = progress.keys;
        self.report.expired_keys = progress.expired_keys;
        self.report.empty_keys = progress.empty_keys;
        drop(progress);
        self.say_what_was_loaded();
        Ok(self.report)
    }

    fn send(&mut self, shard: usize) -> Result<(), LoadError> {
        if self.batches[shard].items.is_empty() {
            return Ok(());
        }
        let ahead = if self.load.options.beside { AHEAD_BYTES_BESIDE_MAX } else { AHEAD_BYTES_MAX };
        self.load.wait(ahead * self.shards.len(), &self.shards.server)?;
        let (bytes, items) =
            (Vec::with_capacity(BATCH_BYTES), Vec::with_capacity(BATCH_BYTES / size_of::<Item>()));
        let batch = std::mem::replace(&mut self.batches[shard], Batch { bytes, items });
        self.load.progress().ahead_bytes += batch.size();
        let keys = Keys { load: Arc::clone(self.load), database: self.database, batch };
        let count = keys.batch.items.len() as u64;
        self.shards.send(shard, Message::Load(Box::new(Loading::Keys(keys))));
        self.delay(count);
        Ok(())
    }

    /// Sleeps as `key-load-delay` says: microseconds per key, or so many keys per microsecond when it is negative.
    fn delay(&self, keys: u64) {
        let per_key = self.shards.server.config.load().key_load_delay_us;
        let micros = match u64::try_from(per_key) {
            Ok(micros) => micros * keys,
            Err(_) => keys / u64::from(per_key.unsigned_abs()),
        };
        if micros > 0 {
            std::thread::sleep(Duration::from_micros(micros));
        }
    }

    fn send_all(&mut self) -> Result<(), LoadError> {
        (0..self.batches.len()).try_for_each(|shard| self.send(shard))
    }

    fn take_field(&mut self, name: &[u8], value: &[u8]) {
        let [name, value] = [name, value].map(|text| String::from_utf8_lossy(text).into_owned());
        match name.as_str() {
            "redis-ver" => notice!("Loading RDB produced by version {value}"),
            "ctime" => {
                let age = value.parse().map_or(0, |made_at: i64| (self.load.now / 1000 - made_at).max(0));
                notice!("RDB age {age} seconds");
            }
            "used-mem" => {
                let bytes: u64 = value.parse().unwrap_or(0);
                self.shards.server.persistence.loading.used_memory.store(bytes, Ordering::Relaxed);
                notice!("RDB memory usage when created {:.2} Mb", bytes as f64 / (1 << 20) as f64);
            }
            _ => {}
        }
        self.report.fields.push((name, value));
    }

    fn say_what_was_loaded(&self) {
        let Report { keys, expired_keys, empty_keys, functions, .. } = self.report;
        notice!(
            "Done loading RDB, keys loaded: {keys}, keys expired: {expired_keys}, empty keys skipped: {empty_keys}."
        );
        if functions > 0 {
            warning!("{functions} libraries of functions were left out: there are no functions here");
        }
    }
}
