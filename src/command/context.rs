//! What handlers of [`super::Run::Keyspace`] work with: one shard's keyspace, the caller, the reply, the effects.
//!
//! Keys whose time has come are removed here on access, with their effect, so no handler sees one.

use rand::rngs::SmallRng;

use super::args::OwnedArgs;
use super::effect::{Effects, Propagation};
use super::notice::Notices;
use super::session::Caller;
use super::slice::Slice;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::config::Config;
use crate::resp::Reply;
use crate::resp::error::WRONG_TYPE;
use crate::store::access::{first_access, lfu_decayed, lfu_minutes, lru_clock};
use crate::store::entry::{Entry, NewValue};
use crate::store::keyspace::Keyspace;
use crate::store::table::EntryRef;
use crate::store::value::{Collection, Kind, Stored};

pub use crate::config::KeyspaceEvents;

/// The key holds a value of another type; the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// What became of a change of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<R> {
    /// What the change answered.
    pub result: R,
    /// Whether nothing is left: [`Context::remove_emptied`] is to follow.
    pub is_empty: bool,
}

/// What a blocking command answers where it may not wait. When its time is over, every one answers a null array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Null {
    /// A null array.
    Array,
    /// A null.
    Bulk,
}

/// A command that found nothing to serve and wants to wait.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The keys whose change runs it again.
    pub keys: Vec<Box<[u8]>>,
    /// For how long, milliseconds; `None` for ever.
    pub timeout_ms: Option<i64>,
    /// With which arguments it runs again, if not with its own.
    pub arguments: Option<OwnedArgs>,
}

/// One command at work on one shard. All of its keys are here and nobody else's command runs meanwhile.
pub struct Context<'a> {
    /// The shard's databases.
    pub keyspace: &'a mut Keyspace,
    /// This shard, and how many there are. What runs on every shard and is replicated whole is replicated by shard zero.
    pub shard: ShardId,
    /// Number of shards.
    pub shards: usize,
    /// Who asks, in which database and protocol.
    pub caller: Caller,
    /// Wall clock of the command; one for all commands of a transaction.
    pub now: UnixMillis,
    /// The configuration as of this tick.
    pub config: &'a Config,
    /// Source of chance.
    pub rng: &'a mut SmallRng,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Where effects go; see [`Context::replicate`].
    pub effects: &'a mut Effects,
    /// What others can notice; see [`Context::signal`].
    pub notices: &'a mut Notices,
    /// How the command is replicated if it changed something.
    pub propagation: Propagation,
    /// Whether the command changed the dataset: set by [`Context::modified`].
    pub changed: bool,
    /// Whether the command may wait; not inside a transaction.
    pub may_block: bool,
    /// That it waits: set by [`Context::block`].
    pub blocked: Option<Wish>,
    /// The slice that a long read is to reply, if it may do so in slices; see [`Context::read_sliced`].
    pub slice: Option<Slice>,
}

impl Context<'_> {
    /// Index of the caller's database.
    #[inline]
    pub fn database(&self) -> usize {
        self.caller.database as usize
    }

    /// Looks a key up to read it: counts hit or miss, and notes the use for eviction.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        if !self.look_up_counted(key) {
            return None;
        }
        let entry = self.keyspace.find(self.caller.database as usize, key)?;
        if !self.caller.no_touch {
            entry.set_access(next_access(entry.access(), self.now, self.config, self.rng));
        }
        Some(entry)
    }

    /// A read did not find its key.
    #[inline]
    fn miss(&mut self, key: &[u8]) {
        self.keyspace.counters.misses += 1;
        self.notify(self.caller.database as usize, key, KeyspaceEvents::KEY_MISS, "keymiss");
    }

    /// Looks a key up once, as [`Context::find`] does, and has `read` write the reply from its entry.
    #[inline]
    pub fn read<R>(&mut self, key: &[u8], read: impl FnOnce(Option<&Entry>, &mut Reply<'_>) -> R) -> R {
        let database = self.caller.database as usize;
        if let Some(entry) = self.keyspace.find(database, key) {
            if !self.caller.is_over(&entry, self.now) {
                if !self.caller.no_touch {
                    entry.set_access(next_access(entry.access(), self.now, self.config, self.rng));
                }
                let result = read(Some(&entry), &mut self.reply);
                self.keyspace.counters.hits += 1;
                return result;
            }
            self.expire(database, key);
        }
        self.miss(key);
        read(None, &mut self.reply)
    }

    /// Looks a key up once to read a collection, as [`Context::read`] does. A value of another type: replies so and answers
    /// `None`, and `read` does not run.
    #[inline]
    pub fn read_as<T: Collection, R>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(Option<T::View<'_>>, &mut Reply<'_>) -> R,
    ) -> Option<R> {
        self.expire_fields_of::<T>(key);
        let seen_at = self.fields_seen_at();
        self.read(key, |entry, reply| view_as::<T, R>(entry, seen_at, reply, read))
    }

    /// Like [`Context::read_as`] for a command that looks before it writes: counts nothing.
    #[inline]
    pub fn peek_as<T: Collection, R>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(Option<T::View<'_>>, &mut Reply<'_>) -> R,
    ) -> Option<R> {
        self.expire_fields_of::<T>(key);
        let database = self.caller.database as usize;
        if let Some(entry) = self.keyspace.find(database, key) {
            if !self.caller.is_over(&entry, self.now) {
                let seen_at = self.fields_seen_at();
                return view_as::<T, R>(Some(&entry), seen_at, &mut self.reply, read);
            }
            self.expire(database, key);
        }
        view_as::<T, R>(None, self.now, &mut self.reply, read)
    }

    /// Like [`Context::inspect`], but nobody is notified of a miss.
    pub fn inspect_quietly(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        match self.look_up(key) {
            true => self.keyspace.counters.hits += 1,
            false => self.keyspace.counters.misses += 1,
        }
        self.keyspace.find(self.caller.database as usize, key)
    }

    /// Looks a key up to tell something about it: counts hit or miss, but is no use of the key.
    pub fn inspect(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        if !self.look_up_counted(key) {
            return None;
        }
        self.keyspace.find(self.caller.database as usize, key)
    }

    #[inline]
    fn look_up_counted(&mut self, key: &[u8]) -> bool {
        let found = self.look_up(key);
        match found {
            true => self.keyspace.counters.hits += 1,
            false => self.miss(key),
        }
        found
    }

    /// Looks a key up to change it with [`Context::update`] or to see whether it is there: counts nothing.
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        if !self.look_up(key) {
            return None;
        }
        self.keyspace.find(self.caller.database as usize, key)
    }

    /// Looks a key up to change it, and notes the use for eviction as Redis does for writes; counts nothing.
    pub fn use_for_write(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        if !self.look_up(key) {
            return None;
        }
        let entry = self.keyspace.find(self.caller.database as usize, key)?;
        if !self.caller.no_touch {
            entry.set_access(next_access(entry.access(), self.now, self.config, self.rng));
        }
        Some(entry)
    }

    /// Whether the key exists and its time has not come.
    #[inline]
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.look_up(key)
    }

    #[inline]
    fn look_up(&mut self, key: &[u8]) -> bool {
        self.exists_in(self.caller.database as usize, key)
    }

    /// Whether the key exists in that database and its time has not come.
    pub fn exists_in(&mut self, database: usize, key: &[u8]) -> bool {
        match self.keyspace.find(database, key) {
            None => false,
            Some(entry) if self.caller.is_over(&entry, self.now) => {
                self.expire(database, key);
                false
            }
            Some(_) => true,
        }
    }

    /// Removes a key whose time has come, with its effect.
    #[cold]
    pub fn expire(&mut self, database: usize, key: &[u8]) {
        if let Some(entry) = self.keyspace.expire_if_due(database, key, self.now) {
            self.effects.push(database, &[b"DEL".as_slice(), key]);
            self.notices.expired(self.config.notify_keyspace_events, database, key);
            self.keyspace.discard_entry(entry);
        }
    }

    /// The time whose fields of hashes it sees: those that are over may still be there (CLIENT PAUSE, replicas), but only the
    /// master's stream sees them.
    #[inline]
    fn fields_seen_at(&self) -> UnixMillis {
        if self.caller.from_master { UnixMillis::MIN } else { self.now }
    }

    /// Removes the fields of a hash that are over, before a command for hashes sees it.
    #[inline]
    fn expire_fields_of<T: Collection>(&mut self, key: &[u8]) {
        if T::KIND == Kind::Hash && self.keyspace.has_due_fields(self.caller.database as usize, self.now) {
            self.expire_fields(key);
        }
    }

    #[cold]
    fn expire_fields(&mut self, key: &[u8]) {
        let database = self.caller.database as usize;
        let mut effect: Vec<Box<[u8]>> = vec![Box::from(b"HDEL".as_slice()), Box::from(key)];
        let is_on = self.effects.on;
        let mut count = 0;
        let is_gone = self.keyspace.expire_fields(database, key, self.now, usize::MAX, |field| {
            count += 1;
            if is_on {
                effect.push(field.into());
            }
        });
        if count > 0 {
            self.effects.push(database, &effect);
            self.notices.fields_expired(self.config.notify_keyspace_events, database, key, is_gone);
        }
    }

    /// How long a string may become. What the master made is obeyed.
    pub fn string_bytes_max(&self) -> usize {
        if self.caller.from_master { usize::MAX } else { self.config.proto_max_bulk_len }
    }

    /// Whether a key that gets this time is to go at once. On a replica it waits, hidden, until the master removes it.
    pub fn is_past(&self, at: UnixMillis) -> bool {
        at <= self.now && !self.keyspace.follows
    }

    /// Changes the entry of `key` in place, with one lookup; `None` when there is none or its time has come. Follow it
    /// with [`Context::modified`].
    #[inline]
    pub fn update<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let hash = self.keyspace.hash(key);
        let index = self.caller.database as usize;
        let mut entry = self.keyspace.database_mut(index).find_mut(hash, key)?;
        if !self.caller.is_over(&entry, self.now) {
            return Some(change(&mut entry));
        }
        drop(entry);
        self.expire(index, key);
        None
    }

    /// Stores a value under `key` in place of whatever is there, with this expiry.
    /// Follow it with [`Context::modified`].
    #[inline]
    pub fn store(&mut self, key: &[u8], value: NewValue<'_>, expire: Option<UnixMillis>) {
        let access = first_access(self.now, self.config);
        let hash = self.keyspace.hash(key);
        let database = self.keyspace.database_mut(self.caller.database as usize);
        let keys = database.len();
        let replaced = database.put(hash, key, value, expire, access, self.now);
        if database.len() > keys {
            self.notify(self.caller.database as usize, key, KeyspaceEvents::NEW, "new");
        }
        if let Some(old) = replaced {
            self.keyspace.discard_entry(old);
        }
        if expire.is_some() {
            self.note_deadline(key);
        }
    }

    /// A key has a time to live: on a replica, one that a client gives is for nobody else to end.
    #[inline]
    fn note_deadline(&mut self, key: &[u8]) {
        if self.keyspace.follows && !self.caller.from_master {
            self.keyspace.note_local_deadline(self.caller.database as usize, key);
        }
    }

    /// Changes the collection at `key`, with one lookup; `Ok(None)` when there is no such key. A value of another type: replies
    /// so. Follow it with [`Context::modified`], and with [`Context::remove_emptied`] if nothing is left.
    #[inline]
    pub fn change<T: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T, &Config) -> R,
    ) -> Result<Option<Changed<R>>, WrongType> {
        self.change_replying(key, |collection: &mut T, config, _| change(collection, config))
    }

    /// Like [`Context::change`], but `change` may reply what it takes away, before that is gone.
    #[inline]
    pub fn change_replying<T: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T, &Config, &mut Reply<'_>) -> R,
    ) -> Result<Option<Changed<R>>, WrongType> {
        self.expire_fields_of::<T>(key);
        let hash = self.keyspace.hash(key);
        let index = self.caller.database as usize;
        let Some(mut entry) = self.keyspace.database_mut(index).find_mut(hash, key) else { return Ok(None) };
        if self.caller.is_over(&entry, self.now) {
            drop(entry);
            self.expire(index, key);
            return Ok(None);
        }
        if !self.caller.no_touch {
            entry.set_access(next_access(entry.access(), self.now, self.config, self.rng));
        }
        let old_deadline = entry.field_deadline();
        let (config, reply) = (self.config, &mut self.reply);
        let changed = entry.change_collection(|collection: &mut T| change(collection, config, reply));
        let new_deadline = entry.field_deadline();
        drop(entry);
        self.keyspace.database_mut(index).note_field_deadline(hash, old_deadline, new_deadline);
        match changed {
            Some((result, is_empty)) => Ok(Some(Changed { result, is_empty })),
            None => {
                self.wrong_type();
                Err(WrongType)
            }
        }
    }

    /// Like [`Context::change`]; a missing key becomes an empty collection first, and is not stored if it stays empty.
    #[inline]
    pub fn change_or_create<T: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T, &Config) -> R,
    ) -> Result<Changed<R>, WrongType> {
        let mut change = Some(change);
        let present = self.change(key, |collection: &mut T, config| {
            change.take().map(|change| change(collection, config))
        })?;
        if let Some(Changed { result: Some(result), is_empty }) = present {
            return Ok(Changed { result, is_empty });
        }
        let mut collection = T::default();
        // It is still there: nothing was found to run it on.
        let Some(change) = change.take() else { return Err(WrongType) };
        let result = change(&mut collection, self.config);
        if !collection.is_empty() {
            self.store_stored(key, T::KIND, collection.into_stored());
        }
        Ok(Changed { result, is_empty: false })
    }

    /// Stores a whole collection in place of whatever is at `key`, without expiry; an empty one removes it. Says whether
    /// anything was there before. Follow it with [`Context::modified`].
    pub fn store_collection<T: Collection>(&mut self, key: &[u8], collection: T) -> bool {
        let existed = self.exists(key);
        if !collection.is_empty() {
            self.store_stored(key, T::KIND, collection.into_stored());
        } else if let Some(entry) = self.remove(key) {
            self.keyspace.discard_entry(entry);
        }
        existed
    }

    fn store_stored(&mut self, key: &[u8], kind: Kind, stored: Stored) {
        match stored {
            Stored::Packed(packed) => self.store(key, NewValue::Packed(kind, packed.as_ref()), None),
            Stored::Ints(ints) => self.store(key, NewValue::Ints(ints.as_ref()), None),
            Stored::Value(value) => self.store(key, NewValue::Object(Box::new(value)), None),
        }
    }

    /// Removes a key of which a change left nothing. Comes behind [`Context::modified`] for that change.
    pub fn remove_emptied(&mut self, key: &[u8]) {
        self.remove(key);
        self.signal(self.caller.database as usize, key, KeyspaceEvents::GENERIC, "del");
    }

    /// Whether what the key has is kept for somebody who waited for it before this command came.
    #[inline]
    pub fn is_kept(&self, key: &[u8]) -> bool {
        let is_it = |name: &(u32, Box<[u8]>)| name.0 == self.caller.database && *name.1 == *key;
        !self.keyspace.kept.is_empty() && self.keyspace.kept.iter().any(is_it)
    }

    /// Lets the command wait until one of `keys` changes, when it runs again; it has not replied. Where it may not wait it
    /// replies `null` at once.
    pub fn block(
        &mut self,
        keys: &[&[u8]],
        timeout_ms: Option<i64>,
        null: Null,
        arguments: Option<&[&[u8]]>,
    ) {
        if self.may_block {
            let keys = keys.iter().map(|&key| Box::from(key)).collect();
            let arguments = arguments.map(OwnedArgs::copy);
            self.blocked = Some(Wish { keys, timeout_ms, arguments });
        } else {
            null.reply(&mut self.reply);
        }
    }

    /// Removes a key and returns its entry. Follow it with [`Context::modified`].
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        self.keyspace.remove(self.caller.database as usize, key)
    }

    /// Sets or ends the time of a key; false when there is no such key. Follow it with [`Context::modified`].
    pub fn set_expire(&mut self, key: &[u8], expire: Option<UnixMillis>) -> bool {
        let hash = self.keyspace.hash(key);
        let database = self.keyspace.database_mut(self.caller.database as usize);
        let is_there = database.set_expire(hash, key, expire, self.now);
        if is_there && expire.is_some() {
            self.note_deadline(key);
        }
        is_there
    }

    /// Says that `key` changed: it counts as a change of the dataset, watchers see it, the command is replicated, and
    /// `event` of the class is what a keyspace notification would say.
    #[inline]
    pub fn modified(&mut self, key: &[u8], class: KeyspaceEvents, event: &'static str) {
        self.modified_in(self.caller.database as usize, key, class, event);
    }

    /// Like [`Context::modified`] for a key of another database.
    pub fn modified_in(&mut self, database: usize, key: &[u8], class: KeyspaceEvents, event: &'static str) {
        self.keyspace.counters.dirty += 1;
        self.signal(database, key, class, event);
    }

    /// Like [`Context::modified`] for what no notification tells of.
    pub fn modified_unnoticed(&mut self, key: &[u8]) {
        self.keyspace.counters.dirty += 1;
        self.touch(self.caller.database as usize, key);
    }

    /// Like [`Context::modified_in`] for a further key of one change, which counts once.
    pub fn signal(&mut self, database: usize, key: &[u8], class: KeyspaceEvents, event: &'static str) {
        self.touch(database, key);
        self.notify(database, key, class, event);
    }

    fn touch(&mut self, database: usize, key: &[u8]) {
        self.changed = true;
        self.keyspace.touch(database, key);
        self.notices.change(key, self.notices.actor);
    }

    /// Notifies of `event` of a key that did not change; [`Context::signal`] does so for one that did.
    #[inline]
    pub fn notify(&mut self, database: usize, key: &[u8], class: KeyspaceEvents, event: &'static str) {
        self.notices.event(self.config.notify_keyspace_events, class, database, key, event);
    }

    /// Says that something about a key changed that its watchers and those who wait for it are not told of, as in Redis: what
    /// consumer groups know. It counts, the command is replicated, and `event` is what a keyspace notification would say.
    pub fn modified_aside(&mut self, key: &[u8], class: KeyspaceEvents, event: &'static str) {
        self.changed_aside();
        self.notify(self.caller.database as usize, key, class, event);
    }

    /// Like [`Context::modified_aside`] for what no notification tells of.
    pub fn changed_aside(&mut self) {
        self.keyspace.counters.dirty += 1;
        self.changed = true;
    }

    /// Replicates `arguments` in place of the command as it was sent; may be called several times.
    pub fn replicate<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        self.replicate_in(self.caller.database as usize, arguments);
    }

    /// Like [`Context::replicate`], in another database.
    pub fn replicate_in<A: AsRef<[u8]>>(&mut self, database: usize, arguments: &[A]) {
        self.propagation = Propagation::Replaced;
        self.effects.push(database, arguments);
    }

    /// Replicates nothing although something may have changed.
    pub fn replicate_nothing(&mut self) {
        self.propagation = Propagation::Replaced;
    }

    /// Replies that the key holds a value of another type.
    pub fn wrong_type(&mut self) {
        self.reply.error(WRONG_TYPE);
    }
}

impl Null {
    /// Replies it.
    pub fn reply(self, reply: &mut Reply<'_>) {
        match self {
            Null::Array => reply.null_array(),
            Null::Bulk => reply.null(),
        }
    }
}

/// Has `read` see the collection of an entry; `None`, and the client is told, when it is of another type.
fn view_as<T: Collection, R>(
    entry: Option<&Entry>,
    seen_at: UnixMillis,
    reply: &mut Reply<'_>,
    read: impl FnOnce(Option<T::View<'_>>, &mut Reply<'_>) -> R,
) -> Option<R> {
    let Some(entry) = entry else { return Some(read(None, reply)) };
    match T::view_in(entry.value()) {
        Some(view) => Some(read(T::seen_at(view, seen_at), reply)),
        None => {
            reply.error(WRONG_TYPE);
            None
        }
    }
}

/// The access field after a use.
fn next_access(access: u32, now: UnixMillis, config: &Config, rng: &mut SmallRng) -> u32 {
    if !config.maxmemory_policy.is_lfu() {
        return lru_clock(now);
    }
    let counter = lfu_increment(lfu_decayed(access, now, config.lfu_decay_time), config, rng);
    (lfu_minutes(now) << 8) | u32::from(counter)
}

/// The logarithmic counter after one use: it grows with probability `1 / ((counter - 5) * lfu-log-factor + 1)`.
fn lfu_increment(counter: u8, config: &Config, rng: &mut SmallRng) -> u8 {
    use rand::Rng;
    if counter == 255 {
        return counter;
    }
    let above = f64::from(counter.saturating_sub(5));
    let chance = 1.0 / (above * f64::from(config.lfu_log_factor) + 1.0);
    counter + u8::from(rng.random::<f64>() < chance)
}

/// Runs a handler to its end: its reply is written and its effects are collected. `false` when the command failed.
///
/// Gates (memory, role, pause) were passed before; the keys are all here.
#[inline]
pub fn run(context: &mut Context<'_>, handler: fn(&mut Context<'_>, &[&[u8]]), arguments: &[&[u8]]) -> bool {
    let start = context.reply.position();
    context.propagation = Propagation::Verbatim;
    context.changed = false;
    handler(context, arguments);
    if context.effects.on && context.changed && context.propagation == Propagation::Verbatim {
        context.effects.push(context.caller.database as usize, arguments);
    }
    context.reply.written_since(start).first() != Some(&b'-')
}
