//! Clients that wait for queues: what a home shard does for them, and what must be true of a history with them.

use std::collections::HashMap;

use rand::Rng;

use super::search::{Deed, Operation};
use super::tick::{caller, row, slices};
use super::world::{Client, World};
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::context::Wish;
use crate::command::undelivered::put_back;
use crate::resp::reply::Protocol;
use crate::resp::skim::elements;
use crate::shard::blocked::End;
use crate::shard::message::{Message, ServerMessage, Ticket};
use crate::shard::plan::Request;
use crate::shard::route::{Target, target};
use crate::shard::trial::{Next, Trials};
use crate::store::list::{End as Side, List};
use crate::store::value::Collection;

/// What a client waits for.
#[derive(Debug)]
pub(super) struct Wait {
    operation: usize,
    /// The shards that know of it.
    shards: Vec<ShardId>,
    /// Where it stands if its keys are on several shards.
    trials: Option<Trials>,
}

const TIMED_OUT: &[u8] = b"*-1\r\n";

impl World<'_> {
    /// Acts on what the state machines pass on to the server.
    pub(super) fn take_messages(&mut self, id: ShardId) -> Result<(), String> {
        while let Some(message) = self.executors[id].home.messages.pop_front() {
            match message {
                ServerMessage::Blocked { ticket, from, .. } => self.begin_wait(id, ticket, vec![from], None),
                ServerMessage::Served { ticket, arguments, reply, .. } => {
                    self.served(id, ticket, &arguments, &reply)?;
                }
                ServerMessage::KeyReady(ticket) => self.key_ready(id, ticket)?,
                _ => {}
            }
        }
        self.collect(id);
        self.take_answers(id)
    }

    fn is_awaited(&self, ticket: Ticket) -> bool {
        let client = &self.clients[ticket.connection as usize];
        !client.is_gone && client.unanswered.front() == Some(&(ticket.sequence as usize))
    }

    fn begin_wait(&mut self, id: ShardId, ticket: Ticket, shards: Vec<ShardId>, trials: Option<Trials>) {
        if !self.is_awaited(ticket) {
            return self.tell(id, ticket, &shards, End::Gone);
        }
        let operation = ticket.sequence as usize;
        self.history[operation].waits_since = Some(self.time);
        self.clients[ticket.connection as usize].wait = Some(Wait { operation, shards, trials });
    }

    fn tell(&mut self, id: ShardId, ticket: Ticket, shards: &[ShardId], end: End) {
        for &shard in shards {
            self.shards.send(shard, Message::Unblock((id, ticket), end));
        }
        self.collect(id);
    }

    fn wait_of(&mut self, ticket: Ticket) -> Option<&mut Wait> {
        let wait = self.clients[ticket.connection as usize].wait.as_mut();
        wait.filter(|wait| wait.operation == ticket.sequence as usize)
    }

    /// A command over several shards found nothing.
    pub(super) fn wait_on_several(&mut self, id: ShardId, ticket: Ticket, wish: Wish) -> Result<(), String> {
        if let Some(wait) = self.wait_of(ticket) {
            return match wait.trials.as_mut().map(Trials::found_nothing) {
                None | Some(Next::Wait) => Ok(()),
                Some(Next::Look) => self.key_ready(id, ticket),
                Some(Next::End(_)) => self.time_out(id, ticket),
            };
        }
        let mut shards: Vec<ShardId> =
            wish.keys.iter().map(|key| self.server.slots.owner_of_key(key)).collect();
        shards.sort_unstable();
        shards.dedup();
        self.begin_wait(id, ticket, shards, Some(Trials::default()));
        if std::mem::take(&mut self.clients[ticket.connection as usize].is_ready_early) {
            return self.key_ready(id, ticket);
        }
        Ok(())
    }

    fn key_ready(&mut self, id: ShardId, ticket: Ticket) -> Result<(), String> {
        let Some(wait) = self.wait_of(ticket) else {
            let is_awaited = self.is_awaited(ticket);
            self.clients[ticket.connection as usize].is_ready_early |= is_awaited;
            return Ok(());
        };
        if !wait.trials.as_mut().is_some_and(Trials::begin) {
            return Ok(());
        }
        let Deed::Queue(commands) = self.history[ticket.sequence as usize].deed.clone() else {
            return Ok(());
        };
        self.start_anew(id, ticket, &commands[0])
    }

    fn start_anew(&mut self, id: ShardId, ticket: Ticket, words: &[Vec<u8>]) -> Result<(), String> {
        let executor = &mut self.executors[id];
        let env = executor.env(self.config, self.server);
        let Some(own) = executor.token.as_mut() else { return Err("a shard acts while it sleeps".into()) };
        let arguments = slices(words);
        let requests = vec![Request::Run { row: row(words), caller: caller(0), arguments: &arguments }];
        executor.home.start(own, env, ticket, Protocol::Resp2, requests, false, &[], true);
        self.collect(id);
        Ok(())
    }

    /// A blocking command has its reply; what it took goes back if nobody is there to take it.
    pub(super) fn served(
        &mut self,
        id: ShardId,
        ticket: Ticket,
        arguments: &OwnedArgs,
        reply: &[u8],
    ) -> Result<(), String> {
        if self.is_awaited(ticket) {
            return self.end_wait(id, ticket, reply);
        }
        let Some(words) = put_back(&arguments.slices(), reply) else { return Ok(()) };
        self.returned.extend(words.last().cloned());
        self.start_anew(id, Ticket { connection: u64::MAX, sequence: 0 }, &words)
    }

    fn end_wait(&mut self, id: ShardId, ticket: Ticket, reply: &[u8]) -> Result<(), String> {
        let client = &mut self.clients[ticket.connection as usize];
        client.is_ready_early = false;
        client.waiting = 0;
        client.spanning = 0;
        let wait = client.wait.take();
        self.executors[id].is_dirty = true;
        self.answer(ticket.sequence as usize, reply)?;
        if let Some(Wait { shards, trials: Some(_), .. }) = wait {
            self.tell(id, ticket, &shards, End::Gone);
        }
        Ok(())
    }

    fn time_out(&mut self, id: ShardId, ticket: Ticket) -> Result<(), String> {
        self.end_wait(id, ticket, TIMED_OUT)
    }

    /// The time of a client's wait is over.
    fn end_by_time(&mut self, client: usize, is_quiet: bool) -> Result<(), String> {
        let (id, now) = (self.clients[client].home, self.time);
        let Some(wait) = self.clients[client].wait.as_mut() else { return Ok(()) };
        let (operation, shards) = (wait.operation, wait.shards.clone());
        let ticket = Ticket { connection: client as u64, sequence: operation as u64 };
        self.history[operation].ended = Some((now, is_quiet));
        match wait.trials.as_mut().map(|trials| trials.end(End::Timeout)) {
            None => self.tell(id, ticket, &shards, End::Timeout),
            Some(true) => return self.time_out(id, ticket),
            Some(false) => {}
        }
        Ok(())
    }

    /// A client vanishes; another comes in its place.
    fn vanish(&mut self, client: usize) {
        let id = self.clients[client].home;
        let Some(operation) = self.clients[client].unanswered.pop_front() else { return };
        let ticket = Ticket { connection: client as u64, sequence: operation as u64 };
        self.history[operation].ended = Some((self.time, false));
        self.clients[client].is_gone = true;
        if let Some(wait) = self.clients[client].wait.take() {
            self.tell(id, ticket, &wait.shards, End::Gone);
        }
        self.clients.push(Client { home: id, ..Client::default() });
    }

    /// Somebody who waits, or is about to, does so no longer.
    pub(super) fn end_some_wait(&mut self) -> Result<(), String> {
        let client = self.rng.random_range(0..self.clients.len());
        let state = &self.clients[client];
        // What an executor does it does while it is awake, and when all is sent that it had to say.
        let executor = &self.executors[state.home];
        let is_free = executor.token.is_some() && !executor.is_sending();
        let Some(&operation) = state.unanswered.front().filter(|_| is_free && state.unparsed.is_empty())
        else {
            return Ok(());
        };
        if self.history[operation].reply.is_some() || sources(&self.history[operation]).is_none() {
            return Ok(());
        }
        match self.rng.random_range(0..20) {
            0 => self.vanish(client),
            1 | 2 => self.end_by_time(client, false)?,
            _ => {}
        }
        Ok(())
    }

    /// When nothing more happens: nobody waits for what is there. Then all waits end.
    pub(super) fn end_all_waits(&mut self) -> Result<(), String> {
        if self.clients.iter().all(|client| client.wait.is_none()) {
            return Ok(());
        }
        for client in &self.clients {
            let Some(wait) = &client.wait else { continue };
            let operation = &self.history[wait.operation];
            for key in sources(operation).unwrap_or_default() {
                if !self.list(&key)?.is_empty() {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    return Err(format!("somebody sleeps although {key} has elements: {operation:?}"));
                }
            }
        }
        for id in 0..self.executors.len() {
            if self.executors[id].token.is_none() {
                self.executors[id].token = Some(self.shards.own(id));
            }
        }
        for client in 0..self.clients.len() {
            self.end_by_time(client, true)?;
        }
        Ok(())
    }

    fn list(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let owner = self.server.slots.owner_of_key(key);
        let borrowed = self.executors[owner].token.is_none().then(|| self.shards.own(owner));
        let shard = self.executors[owner].token.as_ref().or(borrowed.as_ref()).ok_or("a token is lost")?;
        let Some(entry) = shard.keyspace.find(0, key) else { return Ok(Vec::new()) };
        let list = List::view_in(entry.value()).ok_or("not a list")?;
        let mut digits = itoa::Buffer::new();
        Ok(list.walk(Side::Head, 0).map(|element| element.bytes(&mut digits).to_vec()).collect())
    }

    /// Judges a history when it is over.
    pub fn judge_queues(&mut self) -> Result<(), String> {
        let pushes = self.pushes();
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        for key in &self.keys.names {
            for element in self.list(key)? {
                *seen.entry(element).or_default() += 1;
            }
        }
        for operation in &self.history {
            if let Some((_, element)) = taken(operation).filter(|_| !is_move(operation)) {
                *seen.entry(element).or_default() += 1;
            }
        }
        for element in pushes.keys() {
            match seen.get(element) {
                Some(1) => {}
                found => {
                    return Err(format!("{} is there {found:?} times", String::from_utf8_lossy(element)));
                }
            }
        }
        if super::number("SKERRY_ORDER").is_some() { self.judge_order(&pushes) } else { Ok(()) }
    }

    /// Whether the keys of a command are on several shards.
    fn spans(&self, operation: &Operation) -> bool {
        let Deed::Queue(commands) = &operation.deed else { return false };
        let words = &commands[0];
        target(&self.server.slots, 0, row(words), &slices(words)) == Target::Spanning
    }

    /// Where and by which operation each element was pushed.
    fn pushes(&self) -> HashMap<Vec<u8>, (Vec<u8>, usize)> {
        let mut pushes = HashMap::new();
        for (index, operation) in self.history.iter().enumerate() {
            let Deed::Queue(commands) = &operation.deed else { continue };
            for words in commands.iter().filter(|words| words[0] == b"RPUSH") {
                pushes.insert(words[2].clone(), (words[1].clone(), index));
            }
        }
        pushes
    }

    /// Nobody was overtaken who was known to wait for a key before an element came to it, and had nothing when that was taken.
    fn judge_order(&self, pushes: &HashMap<Vec<u8>, (Vec<u8>, usize)>) -> Result<(), String> {
        for taker in &self.history {
            let Some((key, element)) = taken(taker) else { continue };
            let Some((pushed_to, push)) = pushes.get(&element) else { continue };
            let push = &self.history[*push];
            // What was moved, or came back, came when nobody saw it. What came with something else may have gone to one whom that
            // woke, as in Redis.
            let is_alone = matches!(&push.deed, Deed::Queue(commands) if commands.len() == 1);
            if key != *pushed_to || self.returned.contains(&element) || !is_alone {
                continue;
            }
            // What spans shards never waits for one who was told, and may come first.
            if self.spans(taker) {
                continue;
            }
            // Who does not wait is behind those who do if it came when the element was there.
            if sources(taker).is_none() && taker.sent <= push.answered {
                continue;
            }
            for waiter in &self.history {
                let Some(since) = waiter.waits_since.filter(|&since| since < push.sent && since < taker.sent)
                else {
                    continue;
                };
                let is_for_it = sources(waiter).is_some_and(|sources| sources.contains(&key));
                let got_later = match taken(waiter) {
                    None => waiter.ended.is_none_or(|(at, is_quiet)| is_quiet && taker.answered < at),
                    Some((_, later)) => pushes
                        .get(&later)
                        .is_some_and(|(_, later)| self.history[*later].sent > taker.answered),
                };
                if is_for_it && got_later {
                    return Err(format!("{taker:?}\novertook {waiter:?}\nwhich waited since {since}"));
                }
            }
        }
        Ok(())
    }
}

/// From where a command took which element.
fn taken(operation: &Operation) -> Option<(Vec<u8>, Vec<u8>)> {
    let Deed::Queue(commands) = &operation.deed else { return None };
    let reply = operation.reply.as_deref()?;
    let words = &commands[0];
    match words[0].as_slice() {
        b"BLPOP" if reply.starts_with(b"*2") => {
            let mut parts = elements(reply).map(bulk);
            Some((parts.next()?, parts.next()?))
        }
        b"BLMOVE" | b"LPOP" if reply.starts_with(b"$") && reply != b"$-1\r\n" => {
            Some((words[1].clone(), bulk(reply)))
        }
        _ => None,
    }
}

fn is_move(operation: &Operation) -> bool {
    matches!(&operation.deed, Deed::Queue(commands) if commands[0][0] == b"BLMOVE")
}

/// The bytes of an encoded bulk string.
fn bulk(encoded: &[u8]) -> Vec<u8> {
    let start = encoded.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    encoded[start..encoded.len() - 2].to_vec()
}

/// The keys from which a command takes, if it is one that may wait.
fn sources(operation: &Operation) -> Option<Vec<Vec<u8>>> {
    let Deed::Queue(commands) = &operation.deed else { return None };
    match commands[0].as_slice() {
        [name, keys @ .., _] if name == b"BLPOP" => Some(keys.to_vec()),
        [name, source, ..] if name == b"BLMOVE" => Some(vec![source.clone()]),
        _ => None,
    }
}
