//! Commands that wait on a shard: how they begin to, run again, and end. Who waits is kept by [`crate::shard::blocked`].

use super::{Ran, RequestId, Shard};
use crate::base::clock::Monotonic;
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::context::Wish;
use crate::command::session::Caller;
use crate::command::{Command, Group};
use crate::resp::Reply;
use crate::shard::Env;
use crate::shard::blocked::{End, Seat, Turn, UNBLOCKED, Waiter};
use crate::shard::message::{Message, Name, ServerMessage, Ticket};
use crate::shard::route::claims_of;
use crate::store::value::Kind;

impl Shard {
    /// Lets a command wait until one of its keys changes.
    #[cold]
    pub(super) fn block(
        &mut self,
        home: ShardId,
        ticket: Ticket,
        caller: Caller,
        row: &'static Command,
        arguments: &[&[u8]],
        wish: Wish,
    ) {
        let Wish { keys, timeout_ms, arguments: own } = wish;
        let arguments = own.unwrap_or_else(|| OwnedArgs::copy(arguments));
        let names: Vec<Name> = keys.into_iter().map(|key| (caller.database, key)).collect();
        let waiter = Waiter { home, ticket, caller, row, arguments, since: self.clock };
        for (database, key) in self.blocked.wait(waiter, names) {
            self.keyspace.await_key(database, key);
        }
        let message = ServerMessage::Blocked { ticket, from: self.id, timeout_ms };
        self.outbox.push((home, Message::Server(message)));
    }

    /// Lets a home shard wait that is to be told when one of these keys changes; it holds them locked now. One that waits
    /// already has looked.
    pub fn block_elsewhere(
        &mut self,
        home: ShardId,
        ticket: Ticket,
        row: &'static Command,
        names: Vec<Name>,
    ) {
        let seat = (home, ticket);
        if self.blocked.has_looked(seat) {
            self.outbox.push((home, Message::Server(ServerMessage::KeyReady(ticket))));
        } else {
            // Those behind it have their turn when the lock is released.
            for name in self.blocked.names_of(seat) {
                self.resumed.push((name, seat));
            }
        }
        for (database, key) in self.blocked.wait_elsewhere(seat, row, names) {
            self.keyspace.await_key(database, key);
        }
    }

    /// Ends a wait that nothing served; the command is answered as `end` says.
    pub fn unblock(&mut self, env: Env<'_>, seat: Seat, end: End) {
        let names = self.blocked.names_of(seat);
        let Some(waiter) = self.end_wait(seat) else {
            // Those behind it need not wait for how it ends.
            names.into_iter().for_each(|(database, key)| self.keyspace.make_ready(database, &key));
            return self.serve_blocked(env, None);
        };
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, waiter.caller.protocol);
        match end {
            End::Timeout => reply.null_array(),
            End::Error => reply.error(UNBLOCKED),
            End::Gone => return,
        }
        let nanos = Monotonic::now().nanos_since(waiter.since);
        self.count(env, seat, waiter.row, &waiter.arguments.slices(), nanos, end != End::Error);
        self.send_served(&waiter, bytes);
    }

    fn send_served(&mut self, waiter: &Waiter, reply: Vec<u8>) {
        let (ticket, database, arguments) = (waiter.ticket, waiter.caller.database, waiter.arguments.clone());
        let message = ServerMessage::Served { ticket, database, arguments, reply };
        self.outbox.push((waiter.home, Message::Server(message)));
    }

    fn end_wait(&mut self, seat: Seat) -> Option<Waiter> {
        let (waiter, over) = self.blocked.remove(seat);
        for (database, key) in over {
            self.keyspace.forget_awaited(database, &key);
        }
        waiter
    }

    /// Runs those who wait for keys that have changed. `besides` is a request whose locks do not count: it has ended and is
    /// about to release them.
    #[inline]
    pub(super) fn serve_blocked(&mut self, env: Env<'_>, besides: Option<RequestId>) {
        if self.keyspace.has_ready() || !self.resumed.is_empty() {
            self.serve_ready(env, besides);
            self.announce();
        }
    }

    #[cold]
    fn serve_ready(&mut self, env: Env<'_>, besides: Option<RequestId>) {
        let mut later = Vec::new();
        loop {
            let ready = self.keyspace.take_ready();
            let resumed = std::mem::take(&mut self.resumed);
            if ready.is_empty() && resumed.is_empty() {
                break;
            }
            let turns = ready.into_iter().map(|name| (name, None));
            for (name, behind) in turns.chain(resumed.into_iter().map(|(name, ticket)| (name, Some(ticket))))
            {
                for seat in self.blocked.queue(&name, behind) {
                    if !self.blocked.row(seat).is_some_and(|row| self.may_serve(row, &name)) {
                        continue;
                    }
                    match self.blocked.turn(seat) {
                        None => {}
                        Some(Turn::Await) => break,
                        Some(Turn::Tell) => {
                            self.outbox.push((seat.0, Message::Server(ServerMessage::KeyReady(seat.1))));
                            break;
                        }
                        Some(Turn::Run(waiter)) if self.run_again(env, besides, &waiter) => {}
                        Some(Turn::Run(_)) => {
                            later.push((name.clone(), behind));
                            break;
                        }
                    }
                }
            }
        }
        // Locked by somebody else, at whose end they have another turn.
        for (name, behind) in later {
            match behind {
                Some(seat) => self.resumed.push((name, seat)),
                None => self.keyspace.make_ready(name.0, &name.1),
            }
        }
    }

    /// Runs a waiting command again; it goes on waiting if it finds nothing. `false` when other locks are in its way.
    fn run_again(&mut self, env: Env<'_>, besides: Option<RequestId>, waiter: &Waiter) -> bool {
        let Waiter { home, ticket, caller, row, ref arguments, .. } = *waiter;
        let slices = arguments.slices();
        if !self.locks.is_empty() {
            let claims = claims_of(&self.keyspace, row, &slices);
            if !self.locks.is_free_besides(&claims, besides) {
                return false;
            }
        }
        let mut bytes = Vec::new();
        self.start_clock();
        match self.perform(env, home, ticket, caller, row, &slices, &mut bytes, true, None) {
            Ran::Waits(wish) => {
                if let Some(arguments) = wish.arguments {
                    self.blocked.set_arguments((home, ticket), arguments);
                }
            }
            Ran::Whole | Ran::Slice(_) => {
                self.end_wait((home, ticket));
                self.send_served(waiter, bytes);
            }
        }
        self.record_local();
        true
    }

    /// Whether a key holds what a waiting command wants: whoever waits for a list goes on waiting while there is a value of
    /// another type, but for XREADGROUP, whose group is gone with the stream.
    fn may_serve(&self, row: &Command, (database, key): &Name) -> bool {
        let wanted = match row.group {
            Group::List => Kind::List,
            Group::SortedSet => Kind::SortedSet,
            _ if row.name == "xreadgroup" => return true,
            _ => Kind::Stream,
        };
        let entry = self.keyspace.find(*database as usize, key);
        entry.is_some_and(|entry| entry.type_name() == wanted.type_name())
    }

    /// Runs those who wait for keys that the periodic work has changed.
    pub fn serve_pending(&mut self, env: Env<'_>) {
        self.serve_blocked(env, None);
    }
}
