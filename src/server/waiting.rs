//! Connections whose command waits for a key: until when, where, and how that ends.
//!
//! The owner of all keys of a command runs it again itself when one changes. For keys on several shards the home shard does
//! so here: told that one has changed, it starts the command anew, as a transaction.

use super::connection::{Connection, Phase};
use super::executor::Core;
use crate::base::clock::{Monotonic, UnixMillis};
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::context::Wish;
use crate::command::session::Caller;
use crate::command::undelivered::put_back;
use crate::command::{Command, Flags};
use crate::net::SocketId;
use crate::resp::Reply;
use crate::shard::blocked::{BEGAN_TO_FOLLOW, End, UNBLOCKED};
use crate::shard::message::{Message, Ticket};
use crate::shard::owner::Shard;
use crate::shard::plan::Request;
use crate::shard::trial::{Next, Trials};

/// A command that this home shard starts anew when it is told.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub row: &'static Command,
    pub caller: Caller,
    pub arguments: OwnedArgs,
}

/// What a connection waits for.
#[derive(Debug)]
pub(super) struct Wait {
    /// Its reply.
    sequence: u64,
    /// The shards that know of it.
    shards: Vec<ShardId>,
    deadline: Option<UnixMillis>,
    /// Where it stands if its keys are on several shards, so that it runs from here.
    trials: Option<Trials>,
    /// Whether it waits for replicas (WAIT), of which shard zero knows.
    on_replicas: bool,
}

impl Core {
    /// A command of a connection here blocks on the shard `from`.
    pub fn block(&mut self, ticket: Ticket, from: ShardId, timeout_ms: Option<i64>) {
        let wait = Wait {
            sequence: ticket.sequence,
            shards: vec![from],
            deadline: self.deadline(timeout_ms),
            trials: None,
            on_replicas: false,
        };
        self.begin_wait(ticket, wait);
    }

    /// A connection here waits for replicas to have what it wrote.
    pub fn block_on_replicas(&mut self, ticket: Ticket, timeout_ms: Option<i64>) {
        let wait = Wait {
            sequence: ticket.sequence,
            shards: Vec::new(),
            deadline: self.deadline(timeout_ms),
            trials: None,
            on_replicas: true,
        };
        self.begin_wait(ticket, wait);
    }

    /// A command over several shards found nothing to serve; they tell when that changes.
    pub fn block_on_several(&mut self, own: &mut Shard, ticket: Ticket, wish: Wish) {
        let id = SocketId::from_u64(ticket.connection);
        if let Some(wait) = self.wait_of(ticket) {
            return match wait.trials.as_mut().map(Trials::found_nothing) {
                None | Some(Next::Wait) => {}
                Some(Next::Look) => self.key_ready(own, ticket),
                Some(Next::End(end)) => self.end_wait(id, end),
            };
        }
        let mut shards: Vec<ShardId> =
            wish.keys.iter().map(|key| self.server.slots.owner_of_key(key)).collect();
        shards.sort_unstable();
        shards.dedup();
        let wait = Wait {
            sequence: ticket.sequence,
            shards,
            deadline: self.deadline(wish.timeout_ms),
            trials: Some(Trials::default()),
            on_replicas: false,
        };
        if let Some(retry) = self.connection(id).and_then(|connection| connection.retry.as_mut())
            && let Some(arguments) = wish.arguments
        {
            retry.arguments = arguments;
        }
        self.begin_wait(ticket, wait);
        let is_ready = |connection: &mut Connection| std::mem::take(&mut connection.is_ready_early);
        if self.connection(id).is_some_and(is_ready) {
            self.key_ready(own, ticket);
        }
    }

    fn deadline(&self, timeout_ms: Option<i64>) -> Option<UnixMillis> {
        timeout_ms.map(|timeout_ms| self.now.saturating_add(timeout_ms))
    }

    fn begin_wait(&mut self, ticket: Ticket, wait: Wait) {
        let id = SocketId::from_u64(ticket.connection);
        let waits = self.connection(id).is_some_and(|connection| connection.waits_for(ticket.sequence));
        if !waits {
            return self.tell_waited(ticket, &wait.shards, End::Gone);
        }
        if let Some(deadline) = wait.deadline {
            self.deadlines.insert((deadline, ticket.connection));
        }
        self.counters().blocked_clients.add(1);
        let Some(connection) = self.connection(id) else { return };
        connection.blocked = Some(Box::new(wait));
        if connection.is_half_closed {
            self.break_connection(id);
        }
    }

    fn wait_of(&mut self, ticket: Ticket) -> Option<&mut Wait> {
        let connection = self.connection(SocketId::from_u64(ticket.connection))?;
        connection.blocked.as_deref_mut().filter(|wait| wait.sequence == ticket.sequence)
    }

    fn tell_waited(&self, ticket: Ticket, shards: &[ShardId], end: End) {
        self.tell_all(shards, || Message::Unblock((self.id, ticket), end));
    }

    fn tell_all(&self, shards: &[ShardId], message: impl Fn() -> Message) {
        shards.iter().for_each(|&shard| self.shards.send(shard, message()));
    }

    /// Starts those anew that were told of their keys during a pause, when it is over.
    pub fn end_postponement(&mut self, own: &mut Shard) {
        if !self.postponed.is_empty() && self.server.pause.current(self.now).is_none() {
            for ticket in std::mem::take(&mut self.postponed) {
                self.key_ready(own, ticket);
            }
        }
    }

    /// One of the keys that a command over several shards waits for has changed.
    pub fn key_ready(&mut self, own: &mut Shard, ticket: Ticket) {
        let Some(wait) = self.wait_of(ticket) else {
            // Told before it knew that it waits: the last of the shards has yet to answer.
            if let Some(connection) = self.connection(SocketId::from_u64(ticket.connection)) {
                connection.is_ready_early |=
                    connection.retry.is_some() && connection.waits_for(ticket.sequence);
            }
            return;
        };
        let shards = wait.shards.clone();
        let id = SocketId::from_u64(ticket.connection);
        let Some(retry) = self.connection(id).and_then(|connection| connection.retry.clone()) else { return };
        if self.server.pause.holds(self.now, retry.row.flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE))
        {
            self.postponed.push(ticket);
            return self.tell_all(&shards, || Message::Postpone((own.id, ticket)));
        }
        let trials = self.wait_of(ticket).and_then(|wait| wait.trials.as_mut());
        if !trials.is_some_and(Trials::begin) {
            return;
        }
        let arguments = retry.arguments.slices();
        let requests = vec![Request::Run { row: retry.row, caller: retry.caller, arguments: &arguments }];
        self.begin(own, ticket, requests, false, &[], true);
    }

    /// Ends a wait that nothing served; false when the connection does not wait.
    pub fn unblock(&mut self, id: SocketId, end: End) -> bool {
        let waits = self.connection(id).is_some_and(|connection| connection.blocked.is_some());
        if waits {
            self.end_wait(id, end);
        }
        waits
    }

    /// Nobody may go on waiting: the server follows a master now. As in Redis the clients are told and cut off.
    pub fn unblock_all(&mut self) {
        let waiting = self.connections.iter().flatten().filter(|connection| connection.blocked.is_some());
        let waiting: Vec<SocketId> = waiting.map(|connection| connection.socket).collect();
        for id in waiting {
            self.end_wait(id, End::Follows);
            self.end_after_replies(id);
        }
    }

    fn end_wait(&mut self, id: SocketId, end: End) {
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.session.caller.protocol;
        let Some(wait) = connection.blocked.as_deref_mut() else { return };
        let ticket = Ticket { connection: id.to_u64(), sequence: wait.sequence };
        let owners = wait.trials.is_none().then(|| wait.shards.clone());
        let on_replicas = wait.on_replicas;
        let ends = wait.trials.as_mut().is_none_or(|trials| trials.end(end));
        let deadline = wait.deadline.take();
        let retry = if owners.is_none() && ends { connection.retry.take() } else { None };
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, id.to_u64()));
        }
        if on_replicas {
            return self.end_wait_for_replicas(ticket, end);
        }
        if let Some(owners) = owners {
            return self.tell_waited(ticket, &owners, end);
        }
        if !ends {
            return;
        }
        let started = Monotonic::now();
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, protocol);
        match end {
            End::Error => reply.error(UNBLOCKED),
            End::Follows => reply.error(BEGAN_TO_FOLLOW),
            End::Timeout | End::Gone => reply.null_array(),
        }
        if let Some(retry) = retry {
            self.count_home(id, retry.row, started, end != End::Timeout, &retry.arguments.slices());
        }
        self.answer(ticket, &bytes);
    }

    /// Ends the waits whose time is over.
    pub fn end_overdue(&mut self) {
        while let Some(&(deadline, connection)) = self.deadlines.first()
            && deadline <= self.now
        {
            self.deadlines.pop_first();
            let id = SocketId::from_u64(connection);
            if let Some(wait) = self.connection(id).and_then(|connection| connection.blocked.as_deref_mut()) {
                wait.deadline = None;
                self.end_wait(id, End::Timeout);
            }
        }
    }

    /// Milliseconds until the next wait is over.
    pub fn until_overdue(&self) -> Option<u64> {
        let &(deadline, _) = self.deadlines.first()?;
        Some(deadline.saturating_sub(crate::base::clock::unix_millis()).max(0) as u64)
    }

    /// A blocked command was served: its reply, or, when nobody is there to take it, back to the key with what it took.
    pub fn served(
        &mut self,
        own: &mut Shard,
        ticket: Ticket,
        database: u32,
        arguments: &OwnedArgs,
        reply: &[u8],
    ) {
        let connection = self.connection(SocketId::from_u64(ticket.connection));
        let takes_it = |connection: &mut Connection| {
            connection.phase != Phase::Broken && connection.waits_for(ticket.sequence)
        };
        if connection.is_some_and(takes_it) {
            self.answer(ticket, reply);
        } else if let Some(words) = put_back(&arguments.slices(), reply) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            self.begin_whole(own, 2, database, &words);
        }
    }

    /// The reply that a connection waited for is there, or the connection `is_gone`. An owner that has replied itself knows.
    pub fn wait_is_over(&mut self, id: SocketId, wait: &Wait, is_gone: bool) {
        let ticket = Ticket { connection: id.to_u64(), sequence: wait.sequence };
        if let Some(deadline) = wait.deadline {
            self.deadlines.remove(&(deadline, ticket.connection));
        }
        let blocked = &self.counters().blocked_clients;
        blocked.set(blocked.get().saturating_sub(1));
        if wait.on_replicas && is_gone {
            self.end_wait_for_replicas(ticket, End::Gone);
        }
        if wait.trials.is_some() || is_gone {
            self.tell_waited(ticket, &wait.shards, End::Gone);
        }
    }
}

impl Wait {
    /// Whether this is the reply that it waits for.
    pub fn is_for(&self, sequence: u64) -> bool {
        self.sequence == sequence
    }
}
