//! The client's side of a shard: sends commands to where their keys are, and carries transactions through their rounds.
//!
//! A home shard runs commands on a sleeping shard itself (it borrows the token) and sends those for a shard that is
//! awake as one message per flush. It knows connections only by the tickets of replies that they wait for.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::{AHashMap, RandomState};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::Env;
use super::blocked::{takes_any, wanted};
use super::cell::{Shards, Token};
use super::message::{
    Answers, Batch, HOME_SHIFT, Message, Moved, Outcome, Part, ServerMessage, Ticket, TransactionId, Work,
};
use super::owner::{Shard, Slow, note_failed};
use super::plan::{Extent, Planner, Request, extent};
use super::stream::{Merged, Stream};
use super::transaction::{Gathering, Next, Traces, Transaction};
use crate::base::limits::{BORROWED_BATCH_MAX, GROUP_KEYS_MAX};
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::context::{self, Context, Wish};
use crate::command::effect::{Effects, Propagation};
use crate::command::session::{Caller, Watch};
use crate::command::{Command, Flags, Run};
use crate::resp::Reply;
use crate::resp::error::READ_ONLY;
use crate::resp::reply::Protocol;
use crate::store::entry::Entry;
use crate::store::keyspace::Keyspace;

/// The end of a transaction.
#[derive(Debug)]
pub struct Finished {
    /// Whose reply it is.
    pub ticket: Ticket,
    /// The reply.
    pub reply: Vec<u8>,
    /// Where in it the replies of its commands of the home shard belong.
    pub gaps: Vec<usize>,
    /// Whether a watched key had changed, so that nothing ran.
    pub is_stale: bool,
    /// Keys that the client watches now (WATCH).
    pub watched: Vec<Watch>,
    /// What a blocking command waits for; then there is no reply, and the shards of these keys tell when they change.
    pub wish: Option<Wish>,
    /// A command that may block, with its database, for what cannot be delivered to be put back.
    pub blocking: Option<(u32, OwnedArgs)>,
}

/// What waits to be flushed for one other shard.
#[derive(Debug, Default)]
struct Peer {
    batch: Batch,
    /// Commands sent and not answered yet; while there are any, the shard is not borrowed, so that order holds.
    unanswered: usize,
}

/// The home side of one shard.
pub struct Home {
    /// The shard.
    pub id: ShardId,
    /// All shards.
    pub shards: Arc<Shards>,
    /// Replies that came from other shards.
    pub answers: VecDeque<Answers>,
    /// Transactions that ended.
    pub finished: VecDeque<Finished>,
    /// Messages for the server floor.
    pub messages: VecDeque<ServerMessage>,
    /// Slow commands of transactions that ran on borrowed shards.
    pub slow: Vec<Slow>,
    /// On shard zero: the stream of effects as far as it is merged; whoever listens takes it from here.
    pub merged: Merged,
    hashers: RandomState,
    peers: Vec<Peer>,
    transactions: AHashMap<TransactionId, Transaction>,
    /// What this tick submits together.
    group: Option<Planner>,
    /// Transactions at shard zero that it may not have numbered yet.
    unnumbered: usize,
    next_transaction: u64,
    stream: Stream,
    scratch: Keyspace,
    rng: SmallRng,
}

impl Home {
    /// The home side of shard `id`.
    pub fn new(id: ShardId, shards: Arc<Shards>, databases: usize, hashers: RandomState, seed: u64) -> Self {
        let count = shards.len();
        Self {
            id,
            shards,
            answers: VecDeque::new(),
            finished: VecDeque::new(),
            messages: VecDeque::new(),
            slow: Vec::new(),
            merged: Merged::default(),
            peers: (0..count).map(|_| Peer::default()).collect(),
            transactions: AHashMap::new(),
            group: None,
            unnumbered: 0,
            next_transaction: 0,
            stream: Stream::new(count),
            scratch: Keyspace::new(databases, hashers.clone()),
            hashers,
            rng: SmallRng::seed_from_u64(seed ^ (id as u64) << 32),
        }
    }

    /// Source of chance for handlers on this home shard.
    pub fn rng(&mut self) -> &mut SmallRng {
        &mut self.rng
    }

    /// The hash of `key` in every table of the process.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hashers.hash_one(key)
    }

    /// Whether a batch of `commands` for `peer` may run there under its borrowed token.
    pub fn may_borrow(&self, peer: ShardId, commands: usize) -> bool {
        commands <= BORROWED_BATCH_MAX
            && self.peers[peer].unanswered == 0
            && self.peers[peer].batch.is_empty()
    }

    /// Adds a command to the next message for `peer`.
    pub fn enqueue(
        &mut self,
        peer: ShardId,
        ticket: Ticket,
        row: &'static Command,
        caller: Caller,
        arguments: &[&[u8]],
        hash: u64,
    ) {
        self.peers[peer].batch.push(ticket, row, caller, arguments, hash);
    }

    /// Passes on what was enqueued: runs it on a shard that has gone to sleep meanwhile, else sends it, one message per
    /// shard, whatever number of connections it serves.
    pub fn flush(&mut self, env: Env<'_>) {
        for shard in 0..self.peers.len() {
            let batch = std::mem::take(&mut self.peers[shard].batch);
            if batch.is_empty() {
                continue;
            }
            let commands = batch.commands.len();
            let all_quick = || batch.commands.iter().all(|command| command.row.is_quick());
            let counters = &env.server.shards[self.id];
            if self.may_borrow(shard, commands) && all_quick() && self.run_borrowed(env, shard, &batch) {
                counters.commands_borrowed.add(commands as u64);
                continue;
            }
            counters.commands_sent.add(commands as u64);
            self.peers[shard].unanswered += commands;
            self.shards.send(shard, Message::Batch { home: self.id, batch });
        }
    }

    /// Runs a batch on a shard that sleeps; false when it does not.
    fn run_borrowed(&mut self, env: Env<'_>, shard: ShardId, batch: &Batch) -> bool {
        let shards = Arc::clone(&self.shards);
        let Some(mut token) = shards.borrow(shard).filter(|token| token.is_unlocked()) else { return false };
        let answers = token.answer_batch(env, self.id, batch);
        // What has to wait there, for a key that is kept since an earlier command, is answered by a message.
        let answered = answers.as_ref().map_or(0, |answers| answers.items.len());
        self.peers[shard].unanswered += batch.commands.len() - answered;
        self.answers.extend(answers);
        self.slow.append(&mut token.slow);
        shards.deliver(&mut token);
        true
    }

    /// Whether anything is under way that an answer must come for.
    pub fn is_idle(&self) -> bool {
        self.transactions.is_empty()
            && self.group.is_none()
            && self.peers.iter().all(|peer| peer.unanswered == 0)
    }

    /// Starts a transaction. `may_borrow` is false while the same connection has one at the sequencer, which must come
    /// first. `watches` must still hold, and end with it. Its end appears in `finished`, now or later.
    ///
    /// One that cannot run at once, of a single round, waits for others that this home shard starts, up to
    /// [`Home::submit_group`].
    pub fn start(
        &mut self,
        own: &mut Shard,
        env: Env<'_>,
        ticket: Ticket,
        protocol: Protocol,
        requests: Vec<Request<'_>>,
        is_block: bool,
        watches: &[Watch],
        may_borrow: bool,
    ) {
        let slots = &env.server.slots;
        let extent = if watches.is_empty() { extent(slots, self.id, &requests) } else { Extent::Rounds };
        let joins = extent == Extent::Several || matches!(extent, Extent::One(_)) && !may_borrow;
        if joins && let Some(group) = &mut self.group {
            group.join(slots, &self.hashers, ticket, protocol, requests, is_block, may_borrow);
            if group.claims_len() >= GROUP_KEYS_MAX {
                self.submit_group(own, env);
            }
            return;
        }
        self.next_transaction += 1;
        let id = (self.id as u64) << HOME_SHIFT | self.next_transaction;
        let mut plan = Planner::new(slots.shards(), self.id, id, env.now);
        plan.join(slots, &self.hashers, ticket, protocol, requests, is_block, may_borrow);
        if joins && !(may_borrow && self.are_asleep(&plan)) {
            self.group = Some(plan);
            return;
        }
        let transaction = plan.finish(&self.hashers, watches);
        if transaction.shards().is_empty() {
            return self.finish(transaction);
        }
        // One part alone needs the sequencer too when it must not overtake what is there.
        if !may_borrow {
            self.submit_group(own, env);
            self.submit(own, transaction);
        } else if transaction.is_solo() {
            self.start_solo(own, env, transaction);
        } else if let Some(transaction) = self.try_directly(own, env, transaction) {
            self.submit(own, transaction);
        }
    }

    /// Submits what waited for others, as one transaction. To be called at the end of every tick.
    pub fn submit_group(&mut self, own: &mut Shard, env: Env<'_>) {
        let Some(plan) = self.group.take() else { return };
        let may_borrow = plan.may_borrow();
        let transaction = plan.finish(&self.hashers, &[]);
        let left = if may_borrow { self.try_directly(own, env, transaction) } else { Some(transaction) };
        if let Some(transaction) = left {
            self.submit(own, transaction);
        }
    }

    /// Whether all other shards of a plan seem to sleep.
    fn are_asleep(&self, plan: &Planner) -> bool {
        plan.shards().all(|shard| shard == self.id || self.shards.is_asleep(shard))
    }

    /// A transaction of one part needs no number: it runs on its shard like a command.
    fn start_solo(&mut self, own: &mut Shard, env: Env<'_>, mut transaction: Transaction) {
        let Some((shard, part)) = transaction.parts(self.id).pop() else { return };
        let Part { id, now, .. } = part;
        if shard == self.id {
            if own.is_free_alone(&part.claims) {
                let outcome = own.work_alone(env, id, self.id, now, part.work);
                transaction.absorb(shard, outcome);
                return self.finish(transaction);
            }
            own.admit(env, part);
        } else {
            let shards = Arc::clone(&self.shards);
            match shards.borrow(shard).filter(|token| token.is_free_alone(&part.claims)) {
                Some(mut token) => {
                    let outcome = token.work_alone(env, id, self.id, now, part.work);
                    self.slow.append(&mut token.slow);
                    shards.deliver(&mut token);
                    drop(token);
                    transaction.absorb(shard, outcome);
                    return self.finish(transaction);
                }
                None => self.shards.send(shard, Message::Part(Box::new(part))),
            }
        }
        self.transactions.insert(id, transaction);
    }

    /// Runs a transaction there and then if all its shards sleep and none of its keys is locked or waited for; else
    /// gives it back.
    fn try_directly(
        &mut self,
        own: &mut Shard,
        env: Env<'_>,
        mut transaction: Transaction,
    ) -> Option<Transaction> {
        let shards = Arc::clone(&self.shards);
        let mut tokens: Vec<(ShardId, Token<'_>)> = Vec::with_capacity(transaction.shards().len());
        for (shard, claims) in transaction.shards() {
            if *shard == self.id {
                if !own.is_free(claims) {
                    return Some(transaction);
                }
                continue;
            }
            match shards.borrow(*shard).filter(|token| token.is_free(claims)) {
                Some(token) => tokens.push((*shard, token)),
                None => return Some(transaction),
            }
        }
        let (id, home, may_write, now) = (transaction.id, self.id, transaction.may_write, transaction.now);
        let involved: Vec<ShardId> = transaction.shards().iter().map(|&(shard, _)| shard).collect();
        let parts = involved.len() as u16;
        for &shard in &involved {
            held(&mut tokens, own, shard).begin_directly(id, home, parts, may_write, now);
        }
        for (shard, part) in transaction.parts(home) {
            let outcome = held(&mut tokens, own, shard).work(env, id, part.work, part.last);
            transaction.absorb(shard, outcome);
        }
        let mut next = transaction.advance(&env.server.slots);
        loop {
            next = match next {
                Next::Finished => break,
                Next::Gather(gathering) => self.gather(env, own, &mut transaction, gathering),
                Next::Round(works, last) => {
                    for (shard, work) in works {
                        let outcome = held(&mut tokens, own, shard).work(env, id, work, last);
                        transaction.absorb(shard, outcome);
                    }
                    transaction.advance(&env.server.slots)
                }
            };
        }
        for &shard in &involved {
            held(&mut tokens, own, shard).finish_directly(env, id);
        }
        for (_, token) in &mut tokens {
            self.slow.append(&mut token.slow);
            shards.deliver(token);
        }
        drop(tokens);
        self.finish(transaction);
        None
    }

    /// Hands a transaction to the sequencer: shard zero, or whoever holds its token.
    fn submit(&mut self, own: &mut Shard, mut transaction: Transaction) {
        let parts = transaction.parts(self.id);
        let shards = Arc::clone(&self.shards);
        if own.id == 0 {
            number(&shards, parts);
        } else {
            // What this shard sent before must be numbered before, so the token may be used only when all of it was.
            match (self.unnumbered == 0).then(|| shards.try_own(0)).flatten() {
                Some(token) => {
                    number(&shards, parts);
                    drop(token);
                }
                None => {
                    transaction.unnumbered = true;
                    self.unnumbered += 1;
                    shards.send(0, Message::Submit(parts));
                }
            }
        }
        self.transactions.insert(transaction.id, transaction);
    }

    /// Acts on one message from this shard's inbox.
    pub fn handle(&mut self, own: &mut Shard, env: Env<'_>, message: Message) {
        match message {
            Message::Batch { home, batch } => own.run_batch(env, home, &batch),
            Message::Answers { from, answers } => {
                let answered = if answers.goes_on { 0 } else { answers.items.len() };
                self.peers[from].unanswered = self.peers[from].unanswered.saturating_sub(answered);
                self.answers.push_back(answers);
            }
            Message::Submit(parts) => number(&self.shards, parts),
            Message::Part(part) => own.admit(env, *part),
            Message::Ran { id, from, outcome } => self.ran(own, env, id, from, outcome),
            Message::Round { id, work, last } => own.round(env, id, work, last),
            Message::Release(id) => own.release(env, id),
            Message::Effects { from, records } => self.stream.push(from, records, &mut self.merged),
            Message::Mark(home, ticket) => own.mark_stream(home, ticket),
            Message::Load(load) => own.loading.push_back(load),
            Message::PrepareCut(taker) => own.keyspace.prepared_cut = Some(taker),
            Message::Unwatch(names) => own.unwatch(&names),
            Message::Unblock(seat, end) => own.unblock(env, seat, end),
            Message::Postpone(seat) => own.postpone(env, seat),
            Message::Subscribe { home, changes } => own.listen(env, home, &changes),
            Message::Server(message) => {
                // A command of a batch that blocks is no answer that is owed: its reply comes apart from those.
                if let ServerMessage::Blocked { from, .. } = message {
                    self.peers[from].unanswered = self.peers[from].unanswered.saturating_sub(1);
                }
                self.messages.push_back(message);
            }
        }
    }

    /// On shard zero: whether every effect that was pushed is in the stream.
    pub fn stream_is_drained(&self) -> bool {
        self.stream.is_drained()
    }

    /// On shard zero: a new listener must be told which database the next effect is for.
    pub fn reselect_stream(&mut self) {
        self.stream.reselect();
    }

    fn ran(&mut self, own: &mut Shard, env: Env<'_>, id: TransactionId, from: ShardId, outcome: Outcome) {
        let Some(mut transaction) = self.transactions.remove(&id) else { return };
        if std::mem::take(&mut transaction.unnumbered) {
            self.unnumbered -= 1;
        }
        if !transaction.absorb(from, outcome) {
            self.transactions.insert(id, transaction);
            return;
        }
        let mut next = transaction.advance(&env.server.slots);
        loop {
            next = match next {
                Next::Gather(gathering) => self.gather(env, own, &mut transaction, gathering),
                Next::Round(works, last) => {
                    for (shard, work) in works {
                        if shard == self.id {
                            own.round(env, id, work, last);
                        } else {
                            self.shards.send(shard, Message::Round { id, work, last });
                        }
                    }
                    self.transactions.insert(id, transaction);
                    return;
                }
                Next::Finished => break,
            };
        }
        if !transaction.is_solo() {
            for &(shard, _) in transaction.shards() {
                if shard == self.id {
                    own.release(env, id);
                } else {
                    self.shards.send(shard, Message::Release(id));
                }
            }
        }
        self.finish(transaction);
    }

    fn finish(&mut self, mut transaction: Transaction) {
        // Not before: a watch that ended while its part still waits for the lock would look like a change of the key.
        for (shard, names) in transaction.end_watches() {
            self.shards.send(shard, Message::Unwatch(names));
        }
        let mut watched = transaction.watched();
        let is_stale = transaction.is_stale();
        let mut wish = transaction.take_wish();
        let mut blocking = transaction.take_blocking();
        let finished = &mut self.finished;
        transaction.replies(&mut self.rng, |ticket, reply, gaps| {
            let watched = watched.take();
            let is_watch = watched.is_some() && reply.first() != Some(&b'-');
            let reply = if is_watch { b"+OK\r\n".to_vec() } else { reply };
            let (watched, wish) = (watched.unwrap_or_default(), wish.take());
            let blocking = blocking.take();
            finished.push_back(Finished { is_stale, ticket, reply, gaps, watched, wish, blocking });
        });
    }

    /// Runs a command over entries that were brought here, in a keyspace made of just them.
    fn gather(
        &mut self,
        env: Env<'_>,
        own: &mut Shard,
        transaction: &mut Transaction,
        gathering: Gathering,
    ) -> Next {
        let Gathering { row, caller, ticket, arguments, entries, order } = gathering;
        let actor = (self.id, ticket.connection);
        // The shards of the entries know whether effects are collected; a barrier may have switched that here already.
        let mut effects = Effects { on: true, ..Effects::default() };
        let mut reply = Vec::new();
        let mut wish = None;
        let scratch = &mut self.scratch;
        (scratch.follows, scratch.keeps_expired) =
            (own.keyspace.follows, own.keyspace.follows || env.is_paused());
        let dirty_before = scratch.counters.dirty;
        let mut versions = Vec::with_capacity(entries.len());
        let mut names = Vec::with_capacity(entries.len());
        // One that waits runs again only if a key has what it waits for; if another took that, it goes on waiting.
        let mut awaited = Vec::new();
        let mut is_served = takes_any(row);
        for (shard, moved) in entries {
            let Moved { name, entry, is_kept, is_awaited, .. } = moved;
            if is_kept {
                scratch.kept.push(name.clone());
            }
            if is_awaited {
                awaited.push(name.1.clone());
                let has_what = |entry: &Entry| wanted(row).is_none_or(|kind| entry.is_a(kind));
                is_served |= !is_kept && entry.as_ref().is_some_and(has_what);
            }
            if let Some(entry) = entry {
                scratch.insert(name.0 as usize, entry, transaction.now);
            }
            versions.push(scratch.watch(name.0 as usize, &name.1));
            names.push((shard, name, is_kept));
        }
        if row.flags.contains(Flags::DENYOOM) {
            own.make_room_within(env, (transaction.id, order as u32));
            own.announce();
        }
        if own.refuses_write(env, caller, ticket, row) {
            Reply::new(&mut reply, caller.protocol).error(READ_ONLY);
        } else if !awaited.is_empty() && !is_served {
            wish = Some(Wish { keys: awaited, timeout_ms: None, arguments: None });
        } else if let Run::Keyspace(handler) = row.run {
            own.notices.actor = Some(actor);
            own.notices.collects_for_others = true;
            let mut context = Context {
                keyspace: scratch,
                shard: self.id,
                shards: env.server.slots.shards(),
                caller,
                now: transaction.now,
                config: env.config,
                rng: &mut self.rng,
                reply: Reply::new(&mut reply, caller.protocol),
                effects: &mut effects,
                notices: &mut own.notices,
                propagation: Propagation::Verbatim,
                changed: false,
                may_block: transaction.may_block()
                    && row.flags.contains(Flags::BLOCKING)
                    && !caller.from_master,
                blocked: None,
                slice: None,
            };
            let started = crate::base::clock::Monotonic::now();
            let succeeded = context::run(&mut context, handler, &arguments.slices());
            wish = context.blocked.take();
            own.notices.collects_for_others = false;
            if !succeeded && caller.from_master {
                note_failed(env.server, row.full_name, &reply);
            }
            let nanos = crate::base::clock::Monotonic::now().nanos_since(started);
            if wish.is_none() {
                own.count(env, (self.id, ticket), row, &arguments.slices(), nanos, succeeded);
            }
        }
        let scratch = &mut self.scratch;
        let mut back = Vec::with_capacity(names.len());
        scratch.kept.clear();
        for ((shard, name, is_kept), version) in names.into_iter().zip(versions) {
            let (database, key) = (name.0 as usize, &name.1);
            let modified = scratch.watched_version(database, key) != Some(version);
            scratch.unwatch(database, key);
            let entry = scratch.remove(database, key);
            back.push((shard, Moved { name, entry, modified, is_kept, is_awaited: false }));
        }
        scratch.end_scratch(&mut own.keyspace);
        let dirty = scratch.counters.dirty - dirty_before;
        let reader = (caller.tracks && row.flags.contains(Flags::READONLY)).then_some(actor);
        let traces = Traces {
            effects: effects.commands,
            dirty,
            notices: std::mem::take(&mut own.notices.list),
            reader,
            wish,
        };
        transaction.gathered(order, reply, back, traces)
    }
}

/// Numbers a transaction: its parts enter the inboxes of their shards while the sequencer's token is held, so that all
/// shards see all transactions in one order.
fn number(shards: &Shards, parts: Vec<(ShardId, Part)>) {
    for (shard, part) in parts {
        shards.send(shard, Message::Part(Box::new(part)));
    }
}

/// A shard whose token is in hand.
fn held<'a>(tokens: &'a mut [(ShardId, Token<'_>)], own: &'a mut Shard, shard: ShardId) -> &'a mut Shard {
    match tokens.iter_mut().find(|(at, _)| *at == shard) {
        Some((_, token)) => token,
        None => own,
    }
}

/// Work that a caller outside of transactions never sees; named here so that its size stays known.
const _: () = assert!(size_of::<Work>() <= 128);
