//! What handlers of [`super::Run::Keyspace`] work with: one shard's keyspace, the caller, the reply, the effects.
//!
//! Keys whose time has come are removed here on access, with their effect, so no handler sees one.

use rand::rngs::SmallRng;

use super::effect::{Effects, Propagation};
use super::session::Caller;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::config::Config;
use crate::resp::Reply;
use crate::resp::error::WRONG_TYPE;
use crate::store::access::{lfu_decayed, lfu_minutes, lru_clock};
use crate::store::entry::{Entry, NewValue};
use crate::store::keyspace::Keyspace;
use crate::store::table::EntryRef;

pub use crate::config::KeyspaceEvents;

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
    /// How the command is replicated if it changed something.
    pub propagation: Propagation,
    /// Whether the command changed the dataset: set by [`Context::modified`].
    pub changed: bool,
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

    /// Looks a key up once, as [`Context::find`] does, and has `read` write the reply from its entry.
    #[inline]
    pub fn read<R>(&mut self, key: &[u8], read: impl FnOnce(Option<&Entry>, &mut Reply<'_>) -> R) -> R {
        let database = self.caller.database as usize;
        if let Some(entry) = self.keyspace.find(database, key) {
            if !entry.is_expired(self.now) {
                if !self.caller.no_touch {
                    entry.set_access(next_access(entry.access(), self.now, self.config, self.rng));
                }
                let result = read(Some(&entry), &mut self.reply);
                self.keyspace.counters.hits += 1;
                return result;
            }
            self.expire(database, key);
        }
        self.keyspace.counters.misses += 1;
        read(None, &mut self.reply)
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
            false => self.keyspace.counters.misses += 1,
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
            Some(entry) if entry.is_expired(self.now) => {
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
            self.keyspace.discard_entry(entry);
        }
    }

    /// Changes the entry of `key` in place, with one lookup; `None` when there is none or its time has come. Follow it
    /// with [`Context::modified`].
    #[inline]
    pub fn update<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let hash = self.keyspace.hash(key);
        let index = self.caller.database as usize;
        let mut entry = self.keyspace.database_mut(index).find_mut(hash, key)?;
        if !entry.is_expired(self.now) {
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
        if let Some(old) = database.put(hash, key, value, expire, access, self.now) {
            self.keyspace.discard_entry(old);
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
        database.set_expire(hash, key, expire, self.now)
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

    /// Like [`Context::modified_in`] for a further key of one change, which counts once.
    pub fn signal(&mut self, database: usize, key: &[u8], _class: KeyspaceEvents, _event: &'static str) {
        self.changed = true;
        self.keyspace.touch(database, key);
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

/// The access field of a new entry: its least recent use for LRU, or a counter of 5 and the minute for LFU, as Redis.
pub fn first_access(now: UnixMillis, config: &Config) -> u32 {
    if config.maxmemory_policy.is_lfu() { (lfu_minutes(now) << 8) | 5 } else { lru_clock(now) }
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
