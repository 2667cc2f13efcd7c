//! The scheduler: shards, their executors and clients, one random step after another.
//!
//! An executor here does what the server's loop does, with its rules of order, but every part of a turn is a step of
//! its own, and others go on between two messages that it sends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::RandomState;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::model::{Action, Key, Keys, Stored};
use super::queues::Wait;
use super::search::{Deed, Operation};
use super::workload::Workload;
use crate::base::slot::ShardId;
use crate::command::effect::Effects;
use crate::command::session::Watch;
use crate::config::Config;
use crate::shard::Env;
use crate::shard::cell::{Shards, Token};
use crate::shard::home::Home;
use crate::shard::message::Message;
use crate::shard::owner::Shard;
use crate::shard::stream::Reached;
use crate::state::Server;

/// Steps after which a history that has not ended never will.
const STEPS_MAX: u64 = 20_000;

/// One shard's loop.
pub(super) struct Executor<'a> {
    pub(super) home: Home,
    /// Held while it runs, given up while it sleeps.
    pub(super) token: Option<Token<'a>>,
    /// Wall clock of its turn.
    pub(super) now: i64,
    /// What it sends in this step and has not arrived yet, with the receivers. It takes no step before all has.
    sending: VecDeque<(ShardId, Message)>,
    /// Whether anything happened since its last turn ended.
    pub(super) is_dirty: bool,
    /// Whether replies leave when all is sent.
    is_leaving: bool,
}

/// One connection.
#[derive(Default)]
pub(super) struct Client {
    pub(super) home: ShardId,
    /// Operations sent and not taken up, oldest first.
    pub(super) unparsed: VecDeque<usize>,
    /// Operations without a reply on its way back, oldest first.
    pub(super) unanswered: VecDeque<usize>,
    /// Replies that shards owe, and those of them for transactions.
    pub(super) waiting: usize,
    pub(super) spanning: usize,
    /// Plain commands of this tick that have not run.
    pub(super) unexecuted: usize,
    pub(super) watches: Vec<Watch>,
    /// What it waits for.
    pub(super) wait: Option<Wait>,
    /// Whether a key was ready before it was known to wait.
    pub(super) is_ready_early: bool,
    pub(super) is_gone: bool,
}

/// Everything.
pub struct World<'a> {
    pub(super) keys: &'a Keys,
    pub(super) shards: &'a Arc<Shards>,
    pub(super) server: &'a Server,
    pub(super) config: &'a Config,
    pub(super) workload: Workload,
    pub(super) executors: Vec<Executor<'a>>,
    inboxes: Vec<VecDeque<Message>>,
    pub(super) clients: Vec<Client>,
    pub(super) rng: SmallRng,
    /// Every wall clock there was, the newest last.
    clocks: Vec<i64>,
    pub(super) time: u64,
    /// What happened.
    pub history: Vec<Operation>,
    /// Elements that went back to their keys.
    pub(super) returned: Vec<Vec<u8>>,
}

/// Shards for a history.
pub fn shards(server: &Arc<Server>, hashers: &RandomState, effects: bool, seed: u64) -> Arc<Shards> {
    let count = server.slots.shards();
    let mut shards: Vec<Shard> = (0..count).map(|id| Shard::new(id, 2, hashers.clone(), seed)).collect();
    shards.iter_mut().for_each(|shard| shard.set_effects(effects));
    Arc::new(Shards::new(shards, Arc::clone(server)))
}

impl<'a> World<'a> {
    /// A world before its first step, all shards asleep.
    pub fn new(
        keys: &'a Keys,
        shards: &'a Arc<Shards>,
        config: &'a Config,
        hashers: &RandomState,
        workload: Workload,
        seed: u64,
    ) -> Self {
        let count = shards.len();
        let mut rng = SmallRng::seed_from_u64(seed);
        let clock = workload.start;
        let executors = (0..count)
            .map(|id| Executor {
                home: Home::new(id, Arc::clone(shards), 2, hashers.clone(), seed),
                token: None,
                now: clock,
                sending: VecDeque::new(),
                is_dirty: false,
                is_leaving: false,
            })
            .collect();
        let first = rng.random_range(0..count);
        let mut home = || if workload.is_crowded { first } else { rng.random_range(0..count) };
        let clients = (0..workload.clients).map(|_| Client { home: home(), ..Client::default() }).collect();
        Self {
            keys,
            shards,
            server: &shards.server,
            config,
            workload,
            executors,
            inboxes: (0..count).map(|_| VecDeque::new()).collect(),
            clients,
            rng,
            clocks: vec![clock],
            time: 0,
            history: Vec::new(),
            returned: Vec::new(),
        }
    }

    /// Number of clients.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Runs to the end. `Err` says what is wrong.
    pub fn run(&mut self) -> Result<(), String> {
        while !self.is_over() {
            self.time += 1;
            if self.workload.waits && self.is_quiet() {
                self.end_all_waits()?;
            }
            if self.time > STEPS_MAX {
                return Err("no progress: some command is never answered".into());
            }
            match self.rng.random_range(0..100) {
                0..3 => self.clocks.push(self.clock() + [1, 1, 2, 80][self.rng.random_range(0..4)]),
                3..15 => self.send(),
                15..18 if self.workload.waits => self.end_some_wait()?,
                _ => {
                    if self.workload.evicts {
                        self.press();
                    }
                    let id = self.rng.random_range(0..self.executors.len());
                    self.step(id)?;
                }
            }
        }
        self.check_end()
    }

    /// What the shards hold.
    pub fn dataset(&mut self) -> Vec<Stored> {
        self.executors.iter_mut().for_each(|executor| executor.token = None);
        let stored = |key: Key| {
            let shard = self.shards.borrow(self.keys.owners[key])?;
            let entry = shard.keyspace.find(self.keys.databases[key] as usize, &self.keys.names[key])?;
            let mut digits = itoa::Buffer::new();
            Some((entry.string(&mut digits).expect("a string").to_vec(), entry.expire_at()))
        };
        (0..self.keys.len()).map(stored).collect()
    }

    /// Has all cuts passed to their ends.
    pub fn end_cuts(&mut self) {
        self.executors.iter_mut().for_each(|executor| executor.token = None);
        for shard in 0..self.shards.len() {
            let keyspace = &mut self.shards.own(shard).keyspace;
            while keyspace.is_cut() {
                keyspace.walk_cut();
            }
        }
    }

    /// The places that the stream has reached.
    pub fn reached(&self) -> &[(usize, Reached)] {
        &self.executors[0].home.merged.reached
    }

    /// The stream of effects.
    pub fn stream(&self) -> &[u8] {
        &self.executors[0].home.merged.bytes
    }

    fn clock(&self) -> i64 {
        self.clocks.last().copied().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        self.workload.is_over()
            && self.is_quiet()
            && self.clients.iter().all(|client| client.unanswered.is_empty())
    }

    /// Whether nothing happens any more, but that clients wait.
    fn is_quiet(&self) -> bool {
        let is_idle = self.workload.is_over();
        let waits = |client: &Client| {
            (is_idle || client.is_gone) && client.unanswered.is_empty() || client.wait.is_some()
        };
        self.clients.iter().all(waits)
            && self.inboxes.iter().all(VecDeque::is_empty)
            && self.executors.iter().all(|executor| !executor.is_dirty && executor.sending.is_empty())
    }

    /// That nothing is left over.
    fn check_end(&mut self) -> Result<(), String> {
        self.executors.iter_mut().for_each(|executor| executor.token = None);
        for (id, executor) in self.executors.iter().enumerate() {
            let Some(shard) = self.shards.borrow(id) else { return Err(format!("token {id} is lost")) };
            if !shard.is_idle() || !executor.home.is_idle() {
                return Err(format!("shard {id} is not idle: {shard:?}"));
            }
            if shard.keyspace.watched_keys() > 0 {
                return Err(format!("somebody still watches keys of shard {id}"));
            }
        }
        if !self.executors[0].home.stream_is_drained() {
            return Err("effects are stuck in the stream".into());
        }
        Ok(())
    }

    /// A client sends its next operation.
    fn send(&mut self) {
        let client = self.rng.random_range(0..self.clients.len());
        let is_settled = self.clients[client].unanswered.is_empty();
        if self.clients[client].is_gone
            || !(is_settled || self.workload.pipelines && self.rng.random_bool(0.7))
        {
            return;
        }
        let now = self.clock();
        let Some(deed) = self.workload.next(&mut self.rng, self.keys, now, client) else { return };
        let operation = self.history.len();
        self.history.push(Operation {
            client,
            deed,
            sent: self.time,
            answered: u64::MAX,
            reply: None,
            clocks: Vec::new(),
            last_clock: 0,
            is_plain: false,
            waits_since: None,
            ended: None,
        });
        self.clients[client].unparsed.push_back(operation);
        self.clients[client].unanswered.push_back(operation);
    }

    /// Memory is short, or is not.
    fn press(&mut self) {
        let bytes = if self.rng.random_bool(0.3) { 2 << 40 } else { 0 };
        self.server.shards.iter().for_each(|shard| shard.allocated_bytes.set(bytes));
    }

    fn step(&mut self, id: ShardId) -> Result<(), String> {
        if let Some((to, message)) = self.executors[id].sending.pop_front() {
            self.arrive(to, message);
            return Ok(());
        }
        if std::mem::take(&mut self.executors[id].is_leaving) {
            return self.leave(id);
        }
        let has_input = self.clients.iter().any(|client| client.home == id && !client.unparsed.is_empty());
        let has_messages = !self.inboxes[id].is_empty();
        if self.executors[id].token.is_none() {
            if has_input || has_messages {
                self.executors[id].token = Some(self.shards.own(id));
                self.executors[id].now = self.clock();
            }
            return Ok(());
        }
        match self.rng.random_range(0..10) {
            // What has arrived goes first.
            0..3 if has_input && !has_messages => self.tick(id),
            3..7 if has_messages => self.act(id),
            7 if self.workload.expires => {
                self.expire(id);
                Ok(())
            }
            8 if self.workload.cuts => {
                if let Some(own) = self.executors[id].token.as_mut() {
                    own.keyspace.walk_cut();
                }
                Ok(())
            }
            _ if self.executors[id].is_dirty => self.end_turn(id),
            _ if !has_messages && self.rng.random_bool(self.workload.sleepiness) => {
                self.executors[id].token = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes what was sent in this step out of the real inboxes, to arrive message by message; or at once if it was sent
    /// under a borrowed token, which was given back after that.
    pub(super) fn collect(&mut self, id: ShardId) {
        let sent: Vec<Option<ShardId>> = std::iter::from_fn(|| self.shards.sent.pop()).collect();
        let at_once = sent.contains(&None) || self.rng.random_bool(0.5);
        for to in sent.into_iter().flatten() {
            let Some(message) = self.shards.receive(to) else { return };
            if at_once {
                self.arrive(to, message);
            } else {
                self.executors[id].sending.push_back((to, message));
            }
        }
    }

    fn arrive(&mut self, to: ShardId, message: Message) {
        self.shards.arrived[to].fetch_add(1, Ordering::Relaxed);
        self.inboxes[to].push_back(message);
    }

    /// Acts on the oldest message of the inbox.
    fn act(&mut self, id: ShardId) -> Result<(), String> {
        let Some(message) = self.inboxes[id].pop_front() else { return Ok(()) };
        self.shards.arrived[id].fetch_sub(1, Ordering::Relaxed);
        let executor = &mut self.executors[id];
        let env = executor.env(self.config, self.server);
        let Some(own) = executor.token.as_mut() else { return Ok(()) };
        executor.is_dirty = true;
        executor.home.handle(own, env, message);
        self.collect(id);
        self.take_answers(id)?;
        self.take_messages(id)
    }

    /// The end of a turn: what the shard has to say, then what its clients ask of others.
    fn end_turn(&mut self, id: ShardId) -> Result<(), String> {
        let executor = &mut self.executors[id];
        let Some(own) = executor.token.as_mut() else { return Ok(()) };
        self.shards.deliver(own);
        let env = executor.env(self.config, self.server);
        executor.home.flush(env);
        executor.is_dirty = false;
        executor.is_leaving = true;
        executor.now = self.clocks.last().copied().unwrap_or_default();
        self.collect(id);
        self.take_answers(id)
    }

    /// Replies reach the clients, in the order of requests.
    fn leave(&mut self, id: ShardId) -> Result<(), String> {
        for client in self.clients.iter_mut().filter(|client| client.home == id) {
            while let Some(&first) = client.unanswered.front()
                && self.history[first].reply.is_some()
            {
                client.unanswered.pop_front();
                self.history[first].answered = self.time;
            }
        }
        Ok(())
    }

    /// A slice of the expire cycle.
    fn expire(&mut self, id: ShardId) {
        let executor = &mut self.executors[id];
        let Some(own) = executor.token.as_mut() else { return };
        let now = executor.now;
        let mut removed: Vec<Key> = Vec::new();
        let keys = self.keys;
        own.maintain(|keyspace, locks, effects: &mut Effects, _| {
            let is_locked = |hash| locks.is_claimed(hash);
            keyspace.expire_cycle(now, &mut 16, is_locked, |database, entry| {
                effects.push(database, &[b"DEL".as_slice(), entry.key()]);
                removed.push(keys.find(database as u32, entry.key()));
            });
        });
        executor.is_dirty |= !removed.is_empty();
        for key in removed {
            self.history.push(Operation {
                client: 0,
                deed: Deed::Expired(key),
                sent: self.time,
                answered: self.time,
                reply: None,
                clocks: vec![now],
                last_clock: now,
                is_plain: false,
                waits_since: None,
                ended: None,
            });
        }
    }

    pub(super) fn take_answers(&mut self, id: ShardId) -> Result<(), String> {
        while let Some(answers) = self.executors[id].home.answers.pop_front() {
            let mut start = 0;
            for (ticket, length) in answers.items {
                let end = start + length as usize;
                self.clients[ticket.connection as usize].waiting -= 1;
                let operation = ticket.sequence as usize;
                self.widen_clocks(operation);
                self.answer(operation, &answers.bytes[start..end])?;
                start = end;
            }
        }
        while let Some(finished) = self.executors[id].home.finished.pop_front() {
            if finished.ticket.connection == u64::MAX {
                continue;
            }
            if let Some(wish) = finished.wish {
                self.wait_on_several(id, finished.ticket, wish)?;
                continue;
            }
            if let Some((_, arguments)) = finished.blocking {
                self.served(id, finished.ticket, &arguments, &finished.reply)?;
                continue;
            }
            let client = &mut self.clients[finished.ticket.connection as usize];
            client.waiting -= 1;
            client.spanning -= 1;
            client.watches.extend(finished.watched);
            self.answer(finished.ticket.sequence as usize, &finished.reply)?;
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, operation: usize, reply: &[u8]) -> Result<(), String> {
        let last_clock = self.clock();
        let operation = &mut self.history[operation];
        if operation.reply.is_some() {
            return Err(format!("answered twice: {operation:?}"));
        }
        operation.reply = Some(reply.to_vec());
        operation.last_clock = last_clock;
        Ok(())
    }

    /// A command that ran when its message came or its lock was free may have seen any clock since.
    fn widen_clocks(&mut self, operation: usize) {
        let clocks = &mut self.history[operation].clocks;
        let oldest = clocks[0];
        *clocks = self.clocks.iter().copied().filter(|&clock| clock >= oldest).collect();
    }
}

impl Executor<'_> {
    /// Whether it has yet to pass on what it sent in this step.
    pub(super) fn is_sending(&self) -> bool {
        !self.sending.is_empty() || self.is_leaving
    }

    pub(super) fn env<'e>(&self, config: &'e Config, server: &'e Server) -> Env<'e> {
        Env { now: self.now, executor: self.home.id, config, server }
    }
}

/// For messages about a history.
pub fn describe(history: &[Operation], keys: &Keys) -> String {
    let mut lines = String::new();
    for operation in history {
        let deed = match &operation.deed {
            Deed::Single(action) => text(action, keys),
            Deed::Block(actions) => {
                let all: Vec<String> = actions.iter().map(|action| text(action, keys)).collect();
                format!("EXEC [{}]", all.join("; "))
            }
            Deed::Queue(commands) => {
                let words = |words: &Vec<Vec<u8>>| String::from_utf8_lossy(&words.join(&b' ')).into_owned();
                commands.iter().map(words).collect::<Vec<_>>().join("; ")
            }
            other => format!("{other:?}"),
        };
        let reply = operation.reply.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        lines += &format!(
            "client {} {:>5}..{:<5} {deed} -> {} (clocks {:?})\n",
            operation.client,
            operation.sent,
            operation.answered,
            reply.replace("\r\n", " "),
            operation.clocks,
        );
    }
    lines
}

fn text(action: &Action, keys: &Keys) -> String {
    let words = String::from_utf8_lossy(&action.words(keys).join(&b' ')).into_owned();
    format!("{}: {words}", action.database(keys))
}
