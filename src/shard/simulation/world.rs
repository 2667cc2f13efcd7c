//! The scheduler: shards, their executors and clients, one random step after another.
//!
//! An executor here does what the server's loop does, with its rules of order, but every part of a turn is a step of
//! its own, and others go on between two messages that it sends.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::RandomState;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::model::{Action, Key, Keys, Stored};
use super::search::{Deed, Operation};
use super::workload::Workload;
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::session::{Caller, Watch};
use crate::command::table::{Resolved, resolve};
use crate::command::{Command, effect::Effects};
use crate::config::Config;
use crate::resp::reply::Protocol;
use crate::shard::Env;
use crate::shard::cell::{Shards, Token};
use crate::shard::home::Home;
use crate::shard::message::{Message, Ticket};
use crate::shard::owner::Shard;
use crate::shard::route::{Target, target};
use crate::shard::transaction::Request;
use crate::state::Server;

/// Steps after which a history that has not ended never will.
const STEPS_MAX: u64 = 20_000;

/// One shard's loop.
struct Executor<'a> {
    home: Home,
    /// Held while it runs, given up while it sleeps.
    token: Option<Token<'a>>,
    /// Wall clock of its turn.
    now: i64,
    /// What it sends in this step and has not arrived yet, with the receivers. It takes no step before all has.
    sending: VecDeque<(ShardId, Message)>,
    /// Whether anything happened since its last turn ended.
    is_dirty: bool,
    /// Whether replies leave when all is sent.
    is_leaving: bool,
}

/// One connection.
#[derive(Default)]
struct Client {
    home: ShardId,
    /// Operations sent and not taken up, oldest first.
    unparsed: VecDeque<usize>,
    /// Operations without a reply on its way back, oldest first.
    unanswered: VecDeque<usize>,
    /// Replies that shards owe, and those of them for transactions.
    waiting: usize,
    spanning: usize,
    /// Plain commands of this tick that have not run.
    unexecuted: usize,
    watches: Vec<Watch>,
}

/// A plain command of a tick.
struct Plain {
    operation: usize,
    row: &'static Command,
    words: Vec<Vec<u8>>,
    caller: Caller,
    target: ShardId,
}

/// Everything.
pub struct World<'a> {
    keys: &'a Keys,
    shards: &'a Arc<Shards>,
    server: &'a Server,
    config: &'a Config,
    workload: Workload,
    executors: Vec<Executor<'a>>,
    inboxes: Vec<VecDeque<Message>>,
    clients: Vec<Client>,
    rng: SmallRng,
    /// Every wall clock there was, the newest last.
    clocks: Vec<i64>,
    time: u64,
    /// What happened.
    pub history: Vec<Operation>,
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
        let clients = (0..workload.clients)
            .map(|_| Client { home: rng.random_range(0..count), ..Client::default() })
            .collect();
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
            if self.time > STEPS_MAX {
                return Err("no progress: some command is never answered".into());
            }
            match self.rng.random_range(0..100) {
                0..3 => self.clocks.push(self.clock() + [1, 1, 2, 80][self.rng.random_range(0..4)]),
                3..15 => self.send(),
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

    /// The stream of effects.
    pub fn stream(&self) -> &[u8] {
        &self.executors[0].home.stream_bytes
    }

    fn clock(&self) -> i64 {
        self.clocks.last().copied().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        self.workload.is_over()
            && self.clients.iter().all(|client| client.unanswered.is_empty())
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
        if !(is_settled || self.workload.pipelines && self.rng.random_bool(0.5)) {
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
            self.inboxes[to].push_back(message);
            return Ok(());
        }
        if std::mem::take(&mut self.executors[id].is_leaving) {
            return self.leave(id);
        }
        let has_input = self.clients.iter().any(|client| client.home == id && !client.unparsed.is_empty());
        let has_messages = !self.inboxes[id].is_empty();
        if self.executors[id].token.is_none() {
            if has_input || has_messages {
                self.executors[id].token = self.shards.borrow(id);
                self.executors[id].now = self.clock();
            }
            return Ok(());
        }
        match self.rng.random_range(0..10) {
            0..3 if has_input => self.tick(id),
            3..7 if has_messages => self.act(id),
            7 if self.workload.expires => {
                self.expire(id);
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

    /// Takes what was sent in this step out of the real inboxes, to arrive at once or message by message.
    fn collect(&mut self, id: ShardId, at_once: bool) {
        while let Some(to) = self.shards.sent.pop() {
            let Some(message) = self.shards.receive(to) else { return };
            if at_once {
                self.inboxes[to].push_back(message);
            } else {
                self.executors[id].sending.push_back((to, message));
            }
        }
    }

    /// Acts on the oldest message of the inbox.
    fn act(&mut self, id: ShardId) -> Result<(), String> {
        let Some(message) = self.inboxes[id].pop_front() else { return Ok(()) };
        let executor = &mut self.executors[id];
        let env = executor.env(self.config, self.server);
        let Some(own) = executor.token.as_mut() else { return Ok(()) };
        executor.is_dirty = true;
        executor.home.handle(own, env, message);
        let at_once = self.rng.random_bool(0.5);
        self.collect(id, at_once);
        self.take_answers(id)
    }

    /// The end of a turn: what the shard has to say, then what its clients ask of others.
    fn end_turn(&mut self, id: ShardId) -> Result<(), String> {
        let executor = &mut self.executors[id];
        let Some(own) = executor.token.as_mut() else { return Ok(()) };
        self.shards.deliver(own);
        executor.home.flush();
        executor.is_dirty = false;
        executor.is_leaving = true;
        executor.now = self.clocks.last().copied().unwrap_or_default();
        let at_once = self.rng.random_bool(0.5);
        self.collect(id, at_once);
        Ok(())
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
            });
        }
    }

    fn take_answers(&mut self, id: ShardId) -> Result<(), String> {
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
            let client = &mut self.clients[finished.ticket.connection as usize];
            client.waiting -= 1;
            client.spanning -= 1;
            client.watches.extend(finished.watched);
            self.answer(finished.ticket.sequence as usize, &finished.reply)?;
        }
        Ok(())
    }

    fn answer(&mut self, operation: usize, reply: &[u8]) -> Result<(), String> {
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

    /// Takes up what clients of an executor have sent, as far as the order on each connection allows.
    fn tick(&mut self, id: ShardId) -> Result<(), String> {
        self.executors[id].is_dirty = true;
        let mut plain = Vec::new();
        for client in 0..self.clients.len() {
            if self.clients[client].home != id || self.rng.random_bool(0.3) {
                continue;
            }
            while let Some(&operation) = self.clients[client].unparsed.front() {
                if !self.take_up(id, client, operation, &mut plain)? {
                    break;
                }
                self.clients[client].unparsed.pop_front();
            }
        }
        self.run_plain(id, &plain)?;
        // Before a borrowed token is given back, what was sent under it has arrived.
        let borrows = self.executors.iter().any(|executor| executor.token.is_none());
        let at_once = borrows || self.rng.random_bool(0.5);
        self.collect(id, at_once);
        Ok(())
    }

    /// Begins one operation; false when it must wait for earlier ones of its client.
    fn take_up(
        &mut self,
        id: ShardId,
        client: usize,
        operation: usize,
        plain: &mut Vec<Plain>,
    ) -> Result<bool, String> {
        let state = &self.clients[client];
        let is_settled = state.waiting == 0 && state.unexecuted == 0;
        let only_spanning = state.unexecuted == 0 && state.waiting == state.spanning;
        let deed = self.history[operation].deed.clone();
        let now = self.executors[id].now;
        match deed {
            Deed::Block(actions) if is_settled => {
                let request = |action: &Action| request(&action.words(self.keys), action.database(self.keys));
                let requests = actions.iter().map(request).collect();
                let watches = std::mem::take(&mut self.clients[client].watches);
                self.start(id, client, operation, requests, Some(&watches))?;
            }
            Deed::Unwatch if is_settled => {
                for watch in std::mem::take(&mut self.clients[client].watches) {
                    let names = vec![(watch.database, watch.key)];
                    self.shards.send(watch.shard, Message::Unwatch(names));
                }
                self.history[operation].clocks = vec![now];
                self.answer(operation, b"+OK\r\n")?;
            }
            Deed::Watch(watched) if only_spanning => {
                let names = watched.iter().map(|&key| self.keys.names[key].clone());
                let words: Vec<_> = std::iter::once(b"WATCH".to_vec()).chain(names).collect();
                let database = self.keys.databases[watched[0]];
                self.start(id, client, operation, vec![request(&words, database)], None)?;
            }
            Deed::Switch(on) if only_spanning => {
                let word = if on { b"ON".to_vec() } else { b"OFF".to_vec() };
                let words = [b"DEBUG".to_vec(), b"EFFECTS-SWITCH".to_vec(), word];
                self.start(id, client, operation, vec![request(&words, 0)], None)?;
            }
            Deed::Single(action) => {
                let words = action.words(self.keys);
                let database = action.database(self.keys);
                let row = row(&words);
                match target(&self.server.slots, id, row, &slices(&words)) {
                    Target::Shard(target) if state.spanning == 0 => {
                        self.history[operation].clocks = vec![now];
                        self.history[operation].is_plain = true;
                        self.clients[client].unexecuted += 1;
                        plain.push(Plain { operation, row, words, caller: caller(database), target });
                    }
                    Target::Spanning if only_spanning => {
                        self.start(id, client, operation, vec![request(&words, database)], None)?;
                    }
                    _ => return Ok(false),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Starts a transaction.
    fn start(
        &mut self,
        id: ShardId,
        client: usize,
        operation: usize,
        requests: Vec<Request>,
        watches: Option<&[Watch]>,
    ) -> Result<(), String> {
        let executor = &mut self.executors[id];
        let env = executor.env(self.config, self.server);
        let Some(own) = executor.token.as_mut() else { return Ok(()) };
        self.history[operation].clocks = vec![env.now];
        let may_borrow = self.clients[client].spanning == 0;
        self.clients[client].waiting += 1;
        self.clients[client].spanning += 1;
        let ticket = Ticket { connection: client as u64, sequence: operation as u64 };
        let (is_block, watches) = (watches.is_some(), watches.unwrap_or_default());
        executor.home.start(own, env, ticket, Protocol::Resp2, requests, is_block, watches, may_borrow);
        self.take_answers(id)
    }

    /// Runs the plain commands of a tick: first those for shards that sleep, then the others in order.
    fn run_plain(&mut self, id: ShardId, plain: &[Plain]) -> Result<(), String> {
        let oldest = self.executors.iter().map(|executor| executor.now).min().unwrap_or_default();
        let mut done = vec![None; plain.len()];
        for shard in (0..self.executors.len()).filter(|&shard| shard != id) {
            self.run_borrowed(id, shard, plain, &mut done);
        }
        for (command, reply) in plain.iter().zip(done) {
            let client = self.history[command.operation].client;
            self.clients[client].unexecuted -= 1;
            let ticket = Ticket { connection: client as u64, sequence: command.operation as u64 };
            let executor = &mut self.executors[id];
            let env = executor.env(self.config, self.server);
            let Some(own) = executor.token.as_mut() else { return Ok(()) };
            let arguments = slices(&command.words);
            let mut out = Vec::new();
            if let Some(reply) = reply {
                self.answer(command.operation, &reply)?;
            } else if command.target != id {
                self.clients[client].waiting += 1;
                self.history[command.operation].clocks = vec![oldest];
                executor.home.enqueue(command.target, ticket, command.row, command.caller, &arguments, 0);
            } else if own.run(env, id, ticket, command.caller, command.row, &arguments, &mut out) {
                self.answer(command.operation, &out)?;
            } else {
                self.clients[client].waiting += 1;
                self.history[command.operation].clocks = vec![oldest];
            }
        }
        Ok(())
    }

    fn run_borrowed(&mut self, id: ShardId, shard: ShardId, plain: &[Plain], done: &mut [Option<Vec<u8>>]) {
        let executor = &self.executors[id];
        let count = plain.iter().filter(|command| command.target == shard).count();
        if count == 0 || !executor.home.may_borrow(shard, count) {
            return;
        }
        let Some(mut token) = self.shards.borrow(shard).filter(|token| token.is_unlocked()) else { return };
        let env = executor.env(self.config, self.server);
        for (at, command) in plain.iter().enumerate().filter(|(_, command)| command.target == shard) {
            let arguments = slices(&command.words);
            let (ticket, caller) = (Ticket::default(), command.caller);
            let mut out = Vec::new();
            assert!(token.run(env, id, ticket, caller, command.row, &arguments, &mut out), "runs at once");
            done[at] = Some(out);
        }
        self.shards.deliver(&mut token);
    }
}

impl Executor<'_> {
    fn env<'e>(&self, config: &'e Config, server: &'e Server) -> Env<'e> {
        Env { now: self.now, executor: self.home.id, config, server }
    }
}

fn slices(words: &[Vec<u8>]) -> Vec<&[u8]> {
    words.iter().map(Vec::as_slice).collect()
}

fn row(words: &[Vec<u8>]) -> &'static Command {
    match resolve(&slices(words)) {
        Resolved::Row(row) => row,
        _ => panic!("no such command: {words:?}"),
    }
}

fn caller(database: u32) -> Caller {
    Caller { database, ..Caller::default() }
}

fn request(words: &[Vec<u8>], database: u32) -> Request {
    let arguments = OwnedArgs::copy(&slices(words));
    Request::Run { row: row(words), caller: caller(database), arguments }
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
