//! The owner's side of a shard: runs commands and parts of transactions over its keys, in the order that locks allow.

mod late;
mod places;
mod reading;
mod role;
mod room;
mod waiting;

use std::collections::VecDeque;

use ahash::{AHashMap, RandomState};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use smallvec::SmallVec;

use self::reading::Reading;
pub use self::role::note_failed;
use super::Env;
use super::announce::Posts;
use super::blocked::{Blocked, Seat, takes_turns};
use super::load::Loading;
use super::locks::{Claims, Locks, RequestId};
use super::message::{
    Answers, Batch, Message, Moved, Name, Outcome, Part, PartCommand, PartCommands, Put, Ticket,
    TransactionId, Work,
};
use super::route::claims_of;
use super::stream::{Place, Record};
use crate::base::clock::{Monotonic, UnixMillis};
use crate::base::limits::PREFETCH_DISTANCE;
use crate::base::slot::ShardId;
use crate::command::args::{OwnedArgs, OwnedCommand};
use crate::command::context::{self, Context, Wish};
use crate::command::effect::{Effect, Effects, Propagation};
use crate::command::notice::{Actor, Notice, Notices};
use crate::command::session::Caller;
use crate::command::slice::Slice;
use crate::command::{Command, Flags, Run};
use crate::resp::Reply;
use crate::resp::error::{OUT_OF_MEMORY, READ_ONLY};
use crate::store::entry::ValueRef;
use crate::store::keyspace::Keyspace;

/// Requests that are not transactions have this bit, so that the two kinds of ids never meet.
const OWN_REQUEST: u64 = 1 << 63;

/// Something that waits for its locks.
#[derive(Debug)]
enum Waiting {
    Command(LateCommand),
    Part(Part),
}

/// A command that could not run when it came.
#[derive(Debug)]
struct LateCommand {
    home: ShardId,
    ticket: Ticket,
    caller: Caller,
    command: OwnedCommand,
}

/// A part that holds its locks between rounds.
#[derive(Debug)]
struct Held {
    home: ShardId,
    parts: u16,
    may_write: bool,
    /// Whether others run here before it ends, kept from its keys by locks.
    is_locked: bool,
    recorded: bool,
    now: UnixMillis,
    effects: Vec<(Place, Effect)>,
    /// What others can notice: messages once its last round has run, changes of cached keys when it ends, since its reply,
    /// with what they were before, must come first.
    notices: Vec<Notice>,
}

/// How a command ran.
#[derive(Debug)]
enum Ran {
    /// To its end.
    Whole,
    /// It waits for one of its keys.
    Waits(Wish),
    /// It has replied this slice, and goes on.
    Slice(Slice),
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// Its reply.
    Replied,
    /// Nothing yet: it waits for one of its keys.
    Waits,
    /// A part of its reply. It keeps its locks.
    Reads,
}

/// A command that ran longer than the slow log's threshold.
#[derive(Debug)]
pub struct Slow {
    /// Home shard of the client.
    pub home: ShardId,
    /// Whom it was run for.
    pub ticket: Ticket,
    /// How long, microseconds.
    pub micros: u64,
    /// The command.
    pub arguments: OwnedArgs,
}

/// All that a shard owns. It is one value behind one token; whoever holds the token may run commands on it.
#[derive(Debug)]
pub struct Shard {
    /// Its index.
    pub id: ShardId,
    /// Its keys.
    pub keyspace: Keyspace,
    /// Messages to other shards, in order; [`super::cell::Shards::deliver`] sends them.
    pub outbox: Vec<(ShardId, Message)>,
    /// Commands that were slow since somebody looked.
    pub slow: Vec<Slow>,
    /// Who listens here, and what they have yet to be told.
    pub notices: Notices,
    /// Messages for them; [`super::cell::Shards::deliver`] sends these too.
    pub messages: Posts,
    /// Changes of keys that they cache.
    pub invalidations: Posts,
    locks: Locks,
    waiting: AHashMap<RequestId, Waiting>,
    held: AHashMap<TransactionId, Held>,
    blocked: Blocked,
    /// What loading threads have for it, in order.
    pub loading: VecDeque<Box<Loading>>,
    /// Reads that reply in slices, the next one first.
    readings: VecDeque<Reading>,
    /// Keys for which those behind this one have their turn.
    resumed: Vec<(Name, Seat)>,
    /// Keys that are kept for one whose home shard was told of them, by their hashes.
    kept: Vec<(u64, Name, Seat)>,
    /// What came for such keys meanwhile, in order.
    deferred: Vec<(Claims, Waiting)>,
    /// What came on connections of which a command waits here, in order: it runs behind that.
    behind: AHashMap<Actor, VecDeque<LateCommand>>,
    next_request: u64,
    effects: Effects,
    records: Vec<Record>,
    /// Whether evicted keys are of no concern to what runs, so that their effects are records of their own.
    evicts_apart: bool,
    rng: SmallRng,
    /// When the last command ended; the next of a batch began then, so one look at the clock serves both.
    clock: Monotonic,
    /// Hashes of one command's keys; kept for its memory.
    hashes: Vec<u64>,
}

impl Shard {
    /// An empty shard. `seed` feeds its choices (eviction samples, random keys).
    pub fn new(id: ShardId, databases: usize, hashers: RandomState, seed: u64) -> Self {
        Self {
            id,
            keyspace: Keyspace::new(databases, hashers),
            outbox: Vec::new(),
            slow: Vec::new(),
            notices: Notices::default(),
            messages: Posts::default(),
            invalidations: Posts::default(),
            locks: Locks::default(),
            waiting: AHashMap::new(),
            held: AHashMap::new(),
            blocked: Blocked::default(),
            loading: VecDeque::new(),
            readings: VecDeque::new(),
            resumed: Vec::new(),
            kept: Vec::new(),
            deferred: Vec::new(),
            behind: AHashMap::new(),
            next_request: OWN_REQUEST,
            effects: Effects::default(),
            records: Vec::new(),
            evicts_apart: true,
            rng: SmallRng::seed_from_u64(seed ^ id as u64),
            clock: Monotonic::now(),
            hashes: Vec::new(),
        }
    }

    /// Effects since the last call, for shard zero.
    pub fn take_records(&mut self) -> Option<Vec<Record>> {
        (!self.records.is_empty()).then(|| std::mem::take(&mut self.records))
    }

    /// Whether no transaction holds or waits for anything here.
    pub fn is_unlocked(&self) -> bool {
        self.locks.is_empty() && self.kept.is_empty()
    }

    /// Whether nothing is under way here: no lock, no waiting command, no message to be delivered.
    pub fn is_idle(&self) -> bool {
        let is_silent = self.outbox.is_empty()
            && self.records.is_empty()
            && self.messages.is_empty()
            && self.invalidations.is_empty();
        self.is_unlocked()
            && self.waiting.is_empty()
            && self.held.is_empty()
            && self.blocked.is_empty()
            && self.deferred.is_empty()
            && self.behind.is_empty()
            && is_silent
    }

    /// Whether `claims` would be granted at once.
    pub fn is_free(&self, claims: &Claims) -> bool {
        self.locks.is_free(claims)
    }

    /// Whether what claims nothing elsewhere would get `claims` at once.
    pub fn is_free_alone(&self, claims: &Claims) -> bool {
        self.locks.is_free(claims) && !self.defers(claims)
    }

    /// Whether anybody holds or waits for the key.
    pub fn is_claimed(&self, hash: u64) -> bool {
        self.locks.is_claimed(hash)
    }

    /// Fetches what the command's first key will need into the cache: first the buckets of a whole batch
    /// (`entries` false), then their entries.
    #[inline]
    pub fn prefetch(&self, caller: Caller, hash: u64, entries: bool) {
        let table = self.keyspace.database(caller.database as usize).table();
        if entries { table.prefetch_entry(hash) } else { table.prefetch_bucket(hash) }
    }

    /// Fetches what the command will need of a big collection for its first element, in the same two steps, when the entry is
    /// here.
    #[inline]
    pub fn prefetch_element(
        &self,
        row: &Command,
        caller: Caller,
        hash: u64,
        arguments: &[&[u8]],
        entries: bool,
    ) {
        let Some(&element) = arguments.get(usize::from(row.element)) else { return };
        let table = self.keyspace.database(caller.database as usize).table();
        // Whichever key it is that may have this hash: a wrong one costs a useless fetch, comparing costs each time.
        let Some(entry) = table.find_by_hash(hash, |_| true) else { return };
        let ValueRef::Object(value) = entry.value() else { return };
        let Some(elements) = value.elements() else { return };
        let hash = elements.hash(element);
        if entries { elements.prefetch_entry(hash) } else { elements.prefetch_bucket(hash) }
    }

    /// The next command begins now. To be called before a batch.
    #[inline]
    pub fn start_clock(&mut self) {
        self.clock = Monotonic::now();
    }

    /// Runs a single-shard command and appends its reply to `out`; or, when its keys are locked or it blocks, lets it wait
    /// and returns `false`: then the reply goes to `home` as a message.
    pub fn run(
        &mut self,
        env: Env<'_>,
        home: ShardId,
        ticket: Ticket,
        caller: Caller,
        row: &'static Command,
        arguments: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.is_unlocked() && self.must_wait(home, ticket, caller, row, arguments) {
            return false;
        }
        let served = self.serve(env, home, ticket, caller, row, arguments, out, None);
        self.record_local();
        self.serve_blocked(env, None);
        self.announce();
        served == Served::Replied
    }

    /// Runs a batch of another home shard; replies go to it as one message.
    pub fn run_batch(&mut self, env: Env<'_>, home: ShardId, batch: &Batch) {
        if let Some(answers) = self.answer_batch(env, home, batch) {
            self.outbox.push((home, Message::Answers { from: self.id, answers }));
        }
    }

    /// Runs a batch of another home shard and returns the replies of what did not have to wait for a lock.
    pub fn answer_batch(&mut self, env: Env<'_>, home: ShardId, batch: &Batch) -> Option<Answers> {
        let slices = batch.arguments.slices();
        let mut rest = slices.as_slice();
        let mut answers = Answers {
            items: Vec::with_capacity(batch.commands.len()),
            bytes: Vec::with_capacity(64 * batch.commands.len()),
            goes_on: false,
        };
        let fetch = |shard: &Self, index: usize, entry: bool| {
            if let Some(command) = batch.commands.get(index).filter(|command| command.hash != 0) {
                shard.prefetch(command.caller, command.hash, entry);
            }
        };
        (0..2 * PREFETCH_DISTANCE).for_each(|index| fetch(self, index, false));
        (0..PREFETCH_DISTANCE).for_each(|index| fetch(self, index, true));
        self.start_clock();
        for (index, command) in batch.commands.iter().enumerate() {
            fetch(self, index + 2 * PREFETCH_DISTANCE, false);
            fetch(self, index + PREFETCH_DISTANCE, true);
            let (arguments, after) = rest.split_at(command.arguments as usize);
            rest = after;
            let start = answers.bytes.len();
            let out = &mut answers.bytes;
            if self.run(env, home, command.ticket, command.caller, command.row, arguments, out) {
                answers.items.push((command.ticket, (answers.bytes.len() - start) as u32));
            }
        }
        (!answers.items.is_empty()).then_some(answers)
    }

    /// Admits a part of a transaction: runs its first round now, or when its locks are granted.
    pub fn admit(&mut self, env: Env<'_>, mut part: Part) {
        let claims = std::mem::take(&mut part.claims);
        if part.solo && self.defers(&claims) {
            return self.deferred.push((claims, Waiting::Part(part)));
        }
        // Nobody's transaction overtakes an earlier one of the same client.
        let is_earlier =
            |waiting: &Waiting| matches!(waiting, Waiting::Part(earlier) if earlier.home == part.home);
        if self.deferred.iter().any(|(_, waiting)| is_earlier(waiting)) {
            self.resume_deferred(env, true);
        }
        self.enter(env, claims, part);
    }

    fn enter(&mut self, env: Env<'_>, claims: Claims, part: Part) {
        let id = part.id;
        if part.solo && self.locks.is_free(&claims) {
            self.start(env, part, false);
        } else if self.locks.request(id, claims) {
            self.start(env, part, true);
        } else {
            self.waiting.insert(id, Waiting::Part(part));
        }
    }

    /// Runs a further round of a part that holds its locks, and sends what came of it to the home shard.
    pub fn round(&mut self, env: Env<'_>, id: TransactionId, work: Work, last: bool) {
        let Some(held) = self.held.get(&id) else { return };
        let home = held.home;
        let outcome = self.work(env, id, work, last);
        self.outbox.push((home, Message::Ran { id, from: self.id, outcome }));
    }

    /// Ends a part: what waited for its keys runs.
    pub fn release(&mut self, env: Env<'_>, id: TransactionId) {
        self.finish(id);
        self.serve_blocked(env, Some(id));
        self.unlock(env, id);
        self.resume_deferred(env, false);
    }

    /// Begins a transaction that runs under borrowed tokens.
    pub fn begin_directly(
        &mut self,
        id: TransactionId,
        home: ShardId,
        parts: u16,
        may_write: bool,
        now: UnixMillis,
    ) {
        self.begin(id, home, parts, may_write, now, false);
    }

    /// Ends a transaction that ran under borrowed tokens.
    pub fn finish_directly(&mut self, env: Env<'_>, id: TransactionId) {
        self.finish(id);
        self.serve_blocked(env, None);
        self.resume_deferred(env, false);
    }

    /// Ends a part: its record, if it was not pushed yet, and the release marker.
    pub fn finish(&mut self, id: TransactionId) {
        let Some(mut held) = self.held.remove(&id) else { return };
        if self.effects.on && held.may_write {
            if !held.recorded {
                self.push_part(id, &mut held);
            }
            self.records.push(Record::Release(id));
        }
        self.announce_all(held.notices);
    }

    /// Ends watches.
    pub fn unwatch(&mut self, names: &[Name]) {
        for (database, key) in names {
            self.keyspace.unwatch(*database as usize, key);
        }
    }

    /// Replicas have a key that is left out here because its time is over.
    pub fn tell_removed(&mut self, database: usize, key: &[u8]) {
        self.effects.push(database, &[b"DEL".as_slice(), key]);
        self.record_local();
    }

    /// Switches the collection of effects; only while no transaction is under way (under a barrier).
    pub fn set_effects(&mut self, on: bool) {
        self.effects.on = on;
    }

    /// Whether effects are collected.
    pub fn effects_on(&self) -> bool {
        self.effects.on
    }

    /// Lets `work` change the keyspace outside of any command; its effects are recorded.
    pub fn maintain<R>(
        &mut self,
        work: impl FnOnce(&mut Keyspace, &Locks, &mut Effects, &mut Notices) -> R,
    ) -> R {
        let mut effects = std::mem::take(&mut self.effects);
        let result = work(&mut self.keyspace, &self.locks, &mut effects, &mut self.notices);
        self.effects = effects;
        self.record_each();
        self.announce();
        result
    }

    fn record_each(&mut self) {
        for effect in self.effects.commands.drain(..) {
            self.records.push(Record::Local(vec![effect]));
        }
    }

    fn begin(
        &mut self,
        id: TransactionId,
        home: ShardId,
        parts: u16,
        may_write: bool,
        now: UnixMillis,
        is_locked: bool,
    ) {
        let held = Held {
            home,
            parts,
            may_write,
            is_locked,
            recorded: false,
            now,
            effects: Vec::new(),
            notices: Vec::new(),
        };
        self.held.insert(id, held);
    }

    fn new_request(&mut self) -> RequestId {
        let id = self.next_request;
        self.next_request = (id + 1) | OWN_REQUEST;
        id
    }

    fn wait(&mut self, claims: Claims, waiting: Waiting) {
        let id = self.new_request();
        let granted = self.locks.request(id, claims);
        assert!(!granted, "only what is not free waits");
        self.waiting.insert(id, waiting);
    }

    /// Runs the first round of a part; `locked` says whether it holds locks that its end must release.
    fn start(&mut self, env: Env<'_>, part: Part, locked: bool) {
        let Part { id, home, parts, may_write, solo, now, work, last, .. } = part;
        if solo {
            let outcome = self.work_alone(env, id, home, now, work);
            self.outbox.push((home, Message::Ran { id, from: self.id, outcome }));
            if locked {
                self.unlock(env, id);
            }
            return;
        }
        self.begin(id, home, parts, may_write, now, true);
        let outcome = self.work(env, id, work, last);
        self.outbox.push((home, Message::Ran { id, from: self.id, outcome }));
    }

    /// Runs a transaction that has this one part and one round; its effects are one local record.
    pub fn work_alone(
        &mut self,
        env: Env<'_>,
        id: TransactionId,
        home: ShardId,
        now: UnixMillis,
        work: Work,
    ) -> Outcome {
        self.begin(id, home, 1, false, now, false);
        let outcome = self.work(env, id, work, true);
        if let Some(held) = self.held.remove(&id) {
            self.announce_all(held.notices);
        }
        self.serve_blocked(env, Some(id));
        outcome
    }

    fn unlock(&mut self, env: Env<'_>, id: RequestId) {
        let mut granted = Vec::new();
        self.locks.release(id, &mut granted);
        // What is granted first runs first; whatever its end grants in turn comes after.
        let mut at = 0;
        while at < granted.len() {
            let next = granted[at];
            at += 1;
            match self.waiting.remove(&next) {
                None => {}
                Some(Waiting::Part(part)) if part.solo => {
                    let Part { id, home, now, work, .. } = part;
                    let outcome = self.work_alone(env, id, home, now, work);
                    self.outbox.push((home, Message::Ran { id, from: self.id, outcome }));
                    self.locks.release(next, &mut granted);
                }
                Some(Waiting::Part(part)) => self.start(env, part, true),
                Some(Waiting::Command(late)) => {
                    // For one who waited longer a key may be kept since.
                    let claims =
                        claims_of(&self.keyspace, late.command.row, &late.command.arguments.slices());
                    let reads = if self.defers(&claims) {
                        self.deferred.push((claims, Waiting::Command(late)));
                        false
                    } else {
                        self.run_late(env, late, Some(next)) == Served::Reads
                    };
                    if !reads {
                        self.locks.release(next, &mut granted);
                    }
                }
            }
        }
    }

    /// Runs one round of a transaction that holds its locks here, or whose home shard holds the tokens of all its shards.
    pub fn work(&mut self, env: Env<'_>, id: TransactionId, work: Work, last: bool) -> Outcome {
        let Some(mut held) = self.held.remove(&id) else { return Outcome::Put };
        let env = Env { now: held.now, ..env };
        self.keep_expired(env);
        self.evicts_apart = held.is_locked;
        let outcome = match work {
            Work::Run { checks, list } => self.run_part(env, &mut held, &checks, &list),
            Work::Take { order, names, seat } => {
                let take = |name| self.take(env, order, name, seat, &mut held);
                Outcome::Taken(names.into_iter().map(take).collect())
            }
            Work::Put(put) => {
                let Put { entries, effects, dirty, waits, mut notices, reader } = *put;
                self.notices.take_readers(&mut notices);
                self.keyspace.counters.dirty += dirty;
                held.notices.extend(notices);
                if let Some((reader, count)) = reader {
                    self.remember_read(env, reader, entries[..count].iter().map(|moved| &*moved.name.1));
                }
                let mut kept = Vec::new();
                for moved in entries {
                    if moved.is_kept {
                        kept.push(moved.name.clone());
                    }
                    self.put_back(env, moved);
                }
                if self.effects.on {
                    held.effects.extend(effects);
                }
                if let Some(waits) = waits {
                    self.block_elsewhere(held.home, waits, kept);
                }
                Outcome::Put
            }
        };
        self.evicts_apart = true;
        self.record_cut();
        held.notices.append(&mut self.notices.list);
        if last {
            // Before the client has its reply, after which it may publish elsewhere. Nobody sees the keys before the locks
            // are gone, whatever the messages make them look at.
            self.announce_all(held.notices.extract_if(.., |notice| notice.is_message()));
        }
        self.publish_lazy(env);
        if !held.may_write {
            self.record_alone(&mut held);
        } else if last && self.effects.on {
            self.push_part(id, &mut held);
        }
        self.held.insert(id, held);
        outcome
    }

    fn push_part(&mut self, id: TransactionId, held: &mut Held) {
        held.recorded = true;
        let effects = std::mem::take(&mut held.effects);
        self.records.push(Record::Part { id, parts: held.parts, effects });
    }

    /// What runs here alone, and what a transaction that only reads has found expired, is for no other shard to wait.
    fn record_alone(&mut self, held: &mut Held) {
        if !held.effects.is_empty() {
            let effects = std::mem::take(&mut held.effects);
            self.records.push(Record::Local(effects.into_iter().map(|(_, effect)| effect).collect()));
        }
    }

    fn run_part(
        &mut self,
        env: Env<'_>,
        held: &mut Held,
        checks: &[(Name, u64)],
        list: &PartCommands,
    ) -> Outcome {
        for ((database, key), version) in checks {
            // A watched key whose time came since WATCH has changed, even if nobody looked at it yet.
            self.expire_if_due(env, 0, *database, key, held);
            if self.keyspace.watched_version(*database as usize, key) != Some(*version) {
                return Outcome::Stale;
            }
        }
        let mut ends = Vec::with_capacity(list.commands.len());
        let mut bytes = Vec::with_capacity(64 * list.arguments.len());
        let slices = list.arguments.slices();
        let mut rest = slices.as_slice();
        self.start_clock();
        for &PartCommand { order, row, caller, ticket, arguments } in &list.commands {
            let (arguments, after) = rest.split_at(arguments as usize);
            rest = after;
            if self.refuses_write(env, caller, ticket, row) {
                Reply::new(&mut bytes, caller.protocol).error(READ_ONLY);
                ends.push((order, bytes.len() as u32));
                continue;
            }
            if row.flags.contains(Flags::DENYOOM) {
                self.make_room(env);
            }
            self.perform(env, held.home, ticket, caller, row, arguments, &mut bytes, false, None);
            held.effects.extend(self.effects.commands.drain(..).map(|effect| ((order, true), effect)));
            ends.push((order, bytes.len() as u32));
        }
        Outcome::Replies { ends, bytes }
    }

    /// Removes a key whose time has come before the command `order` sees it.
    fn expire_if_due(&mut self, env: Env<'_>, order: u32, database: u32, key: &[u8], held: &mut Held) {
        if self.keyspace.expire_if_due(database as usize, key, env.now).is_none() {
            return;
        }
        self.notices.expired(env.config.notify_keyspace_events, database as usize, key);
        if self.effects.on {
            let effect = Effect::new(database as usize, &[b"DEL".as_slice(), key]);
            held.effects.push(((order, false), effect));
        }
    }

    fn take(&mut self, env: Env<'_>, order: u32, name: Name, seat: Option<Seat>, held: &mut Held) -> Moved {
        self.expire_if_due(env, order, name.0, &name.1, held);
        let is_kept = seat.is_some_and(|seat| self.is_kept_from(seat, &name));
        let is_awaited = seat.is_some_and(|seat| self.blocked.waits_for(seat, &name));
        let entry = self.keyspace.remove(name.0 as usize, &name.1);
        Moved { name, entry, modified: false, is_kept, is_awaited }
    }

    fn put_back(&mut self, env: Env<'_>, moved: Moved) {
        let Moved { name: (database, key), entry, modified, .. } = moved;
        if let Some(entry) = entry {
            self.keyspace.insert(database as usize, entry, env.now);
        }
        if modified {
            self.keyspace.touch(database as usize, &key);
        }
    }

    fn record_local(&mut self) {
        if !self.effects.commands.is_empty() {
            self.records.push(Record::Local(std::mem::take(&mut self.effects.commands)));
        }
    }

    /// Gates and the handler of one command outside of transactions, whose keys are all here and free, or `locked` by a request
    /// of its own.
    #[inline]
    fn serve(
        &mut self,
        env: Env<'_>,
        home: ShardId,
        ticket: Ticket,
        caller: Caller,
        row: &'static Command,
        arguments: &[&[u8]],
        out: &mut Vec<u8>,
        locked: Option<RequestId>,
    ) -> Served {
        self.keep_expired(env);
        if row.flags.contains(Flags::DENYOOM) && !self.make_room(env) && !caller.from_master {
            env.server.commands.of(self.id, row.index).reject();
            Reply::new(out, caller.protocol).error(OUT_OF_MEMORY);
            return Served::Replied;
        }
        if let Some(error) = self.write_refusal(env, caller, ticket, row) {
            env.server.commands.of(self.id, row.index).reject();
            Reply::new(out, caller.protocol).error(error);
            return Served::Replied;
        }
        let may_block = row.flags.contains(Flags::BLOCKING) && !caller.from_master;
        // On behalf of another executor it runs while that of this shard sleeps, which could not go on.
        let slice = (env.executor == self.id).then(Slice::default);
        let start = out.len();
        if may_block && !self.kept.is_empty() && takes_turns(row) {
            self.keyspace.kept = self.kept.iter().map(|(_, name, _)| name.clone()).collect();
        }
        let ran = self.perform(env, home, ticket, caller, row, arguments, out, may_block, slice);
        if may_block {
            self.keyspace.kept.clear();
        }
        match ran {
            Ran::Whole => Served::Replied,
            Ran::Waits(wish) => {
                self.block(home, ticket, caller, row, arguments, wish);
                Served::Waits
            }
            Ran::Slice(slice) => {
                let command = OwnedCommand { row, arguments: OwnedArgs::copy(arguments) };
                let reading = Reading { home, ticket, caller, command, now: env.now, slice, claim: locked };
                self.begin_reading(env, reading, out, start)
            }
        }
    }

    fn answer(&mut self, home: ShardId, ticket: Ticket, bytes: Vec<u8>) {
        let items = vec![(ticket, bytes.len() as u32)];
        let answers = Answers { items, bytes, goes_on: false };
        self.outbox.push((home, Message::Answers { from: self.id, answers }));
    }

    /// Runs one command whose keys are all here and free, or one `slice` of it if it may be sliced. Whether memory is too short
    /// for a transaction was judged before it began: none is done by half.
    fn perform(
        &mut self,
        env: Env<'_>,
        home: ShardId,
        ticket: Ticket,
        caller: Caller,
        row: &'static Command,
        arguments: &[&[u8]],
        out: &mut Vec<u8>,
        may_block: bool,
        slice: Option<Slice>,
    ) -> Ran {
        let start = out.len();
        let mut reply = Reply::new(out, caller.protocol);
        let Run::Keyspace(handler) = row.run else {
            reply.error("ERR command does not run on a shard");
            return Ran::Whole;
        };
        if row.single_key == 0 && arguments.len() > 2 {
            self.prefetch_keys(row, caller, arguments);
        }
        self.notices.actor = Some((home, ticket.connection));
        let mut context = Context {
            keyspace: &mut self.keyspace,
            shard: self.id,
            shards: env.server.slots.shards(),
            caller,
            now: env.now,
            config: env.config,
            rng: &mut self.rng,
            reply,
            effects: &mut self.effects,
            notices: &mut self.notices,
            propagation: Propagation::Verbatim,
            changed: false,
            may_block,
            blocked: None,
            slice,
        };
        let succeeded = context::run(&mut context, handler, arguments);
        let (wish, slice) = (context.blocked.take(), context.slice);
        if !succeeded && caller.from_master {
            role::note_failed(env.server, row.full_name, context.reply.written_since(start));
        }
        if caller.tracks && row.flags.contains(Flags::READONLY) && slice.is_none_or(|slice| slice.is_first())
        {
            for spec in row.keys {
                let mut keys: SmallVec<[&[u8]; 4]> = SmallVec::new();
                spec.positions(arguments, |at| keys.push(arguments[at]));
                self.remember_read(env, (home, ticket.connection), keys.into_iter());
            }
        }
        let ended = Monotonic::now();
        let nanos = ended.nanos_since(self.clock) + slice.map_or(0, |slice| slice.nanos);
        self.clock = ended;
        if let Some(slice) = slice.filter(|slice| slice.next != 0) {
            return Ran::Slice(Slice { nanos, ..slice });
        }
        let threshold_ms = env.config.latency_monitor_threshold_ms;
        if threshold_ms > 0 {
            let event = if row.flags.contains(Flags::FAST) { "fast-command" } else { "command" };
            env.server.latency.note(event, nanos / 1_000_000, threshold_ms, env.now / 1000);
        }
        // One that waits counts when its wait ends.
        if wish.is_none() {
            self.count(env, (home, ticket), row, arguments, nanos, succeeded);
        }
        wish.map_or(Ran::Whole, Ran::Waits)
    }

    /// Enters a command that has ended into the statistics.
    #[inline]
    pub fn count(
        &mut self,
        env: Env<'_>,
        (home, ticket): Seat,
        row: &Command,
        arguments: &[&[u8]],
        nanos: u64,
        succeeded: bool,
    ) {
        env.server.commands.of(self.id, row.index).count(nanos, succeeded);
        let slow_us = env.config.slowlog_log_slower_than_us;
        if slow_us >= 0 && nanos / 1000 >= slow_us as u64 {
            self.note_slow(home, ticket, nanos / 1000, row, arguments);
        }
    }

    /// Starts fetching all keys of one command, so that it does not wait for one after another.
    fn prefetch_keys(&mut self, row: &Command, caller: Caller, arguments: &[&[u8]]) {
        self.hashes.clear();
        for spec in row.keys {
            spec.positions(arguments, |at| self.hashes.push(self.keyspace.hash(arguments[at])));
        }
        for entries in [false, true] {
            for &hash in &self.hashes {
                self.prefetch(caller, hash, entries);
            }
        }
    }

    #[cold]
    fn note_slow(&mut self, home: ShardId, ticket: Ticket, micros: u64, row: &Command, arguments: &[&[u8]]) {
        if !row.flags.contains(Flags::SKIP_SLOWLOG) {
            self.slow.push(Slow { home, ticket, micros, arguments: OwnedArgs::copy(arguments) });
        }
    }
}
