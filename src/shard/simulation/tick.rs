//! What an executor does with the commands that its clients have sent: the rules of the server's tick.

use rand::Rng;

use super::model::Action;
use super::search::Deed;
use super::world::World;
use crate::base::slot::ShardId;
use crate::command::session::{Caller, Watch};
use crate::command::table::{Resolved, resolve};
use crate::command::{Command, Flags};
use crate::resp::reply::Protocol;
use crate::shard::message::{Message, Ticket};
use crate::shard::plan::Request;
use crate::shard::route::{Target, target};

/// A plain command of a tick.
struct Plain {
    operation: usize,
    row: &'static Command,
    words: Vec<Vec<u8>>,
    caller: Caller,
    target: ShardId,
}

impl World<'_> {
    /// Takes up what clients of an executor have sent, as far as the order on each connection allows.
    pub(super) fn tick(&mut self, id: ShardId) -> Result<(), String> {
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
                if self.rng.random_bool(0.3) {
                    // The rest arrives later.
                    break;
                }
            }
        }
        self.submit_group(id)?;
        self.run_plain(id, &plain)?;
        self.collect(id);
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
                let command = |action: &Action| (action.words(self.keys), action.database(self.keys));
                let commands: Vec<_> = actions.iter().map(command).collect();
                let watches = std::mem::take(&mut self.clients[client].watches);
                self.start(id, client, operation, &commands, Some(&watches))?;
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
                self.start(id, client, operation, &[(words, database)], None)?;
            }
            Deed::Switch(on) if only_spanning => {
                let word = if on { b"ON".to_vec() } else { b"OFF".to_vec() };
                let words = match self.workload.cuts {
                    true => vec![b"DEBUG".to_vec(), b"CUT".to_vec()],
                    false => vec![b"DEBUG".to_vec(), b"EFFECTS-SWITCH".to_vec(), word],
                };
                self.start(id, client, operation, &[(words, 0)], None)?;
            }
            Deed::Queue(commands) if is_settled => {
                let [words] = commands.as_slice() else {
                    let commands: Vec<_> = commands.into_iter().map(|words| (words, 0)).collect();
                    self.start(id, client, operation, &commands, Some(&[]))?;
                    return Ok(true);
                };
                let row = row(words);
                match target(&self.server.slots, id, row, &slices(words)) {
                    Target::Shard(target) => {
                        self.history[operation].clocks = vec![now];
                        self.clients[client].unexecuted += 1;
                        plain.push(Plain { operation, row, words: words.clone(), caller: caller(0), target });
                    }
                    _ => self.start(id, client, operation, &[(words.clone(), 0)], None)?,
                }
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
                        self.start(id, client, operation, &[(words, database)], None)?;
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
        commands: &[(Vec<Vec<u8>>, u32)],
        watches: Option<&[Watch]>,
    ) -> Result<(), String> {
        let slices: Vec<Vec<&[u8]>> = commands.iter().map(|(words, _)| slices(words)).collect();
        let requests = std::iter::zip(&slices, commands)
            .map(|(arguments, (words, database))| Request::Run {
                row: row(words),
                caller: caller(*database),
                arguments,
            })
            .collect();
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

    fn submit_group(&mut self, id: ShardId) -> Result<(), String> {
        let executor = &mut self.executors[id];
        let env = executor.env(self.config, self.server);
        let Some(own) = executor.token.as_mut() else { return Ok(()) };
        executor.home.submit_group(own, env);
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
        let mut rows = plain.iter().filter(|command| command.target == shard).map(|command| command.row);
        let is_quick = rows.all(|row| !row.flags.contains(Flags::BLOCKING));
        if count == 0 || !is_quick || !executor.home.may_borrow(shard, count) {
            return;
        }
        let Some(mut token) = self.shards.borrow(shard).filter(|token| token.is_unlocked()) else { return };
        let env = executor.env(self.config, self.server);
        for (at, command) in plain.iter().enumerate().filter(|(_, command)| command.target == shard) {
            let arguments = slices(&command.words);
            let (ticket, caller) = (Ticket::default(), command.caller);
            let mut out = Vec::new();
            if !token.is_unlocked() {
                break;
            }
            assert!(token.run(env, id, ticket, caller, command.row, &arguments, &mut out), "runs at once");
            done[at] = Some(out);
        }
        self.shards.deliver(&mut token);
    }
}

pub(super) fn slices(words: &[Vec<u8>]) -> Vec<&[u8]> {
    words.iter().map(Vec::as_slice).collect()
}

pub(super) fn row(words: &[Vec<u8>]) -> &'static Command {
    match resolve(&slices(words)) {
        Resolved::Row(row) => row,
        _ => panic!("no such command: {words:?}"),
    }
}

pub(super) fn caller(database: u32) -> Caller {
    Caller { database, ..Caller::default() }
}
