//! Commands that wait on a shard: how they begin to, run again, and end. Who waits is kept by [`crate::shard::blocked`].

use super::{Ran, RequestId, Shard};
use crate::base::clock::Monotonic;
use crate::base::slot::ShardId;
use crate::command::Command;
use crate::command::args::OwnedArgs;
use crate::command::context::Wish;
use crate::command::session::Caller;
use crate::resp::Reply;
use crate::shard::Env;
use crate::shard::blocked::{BEGAN_TO_FOLLOW, End, Seat, Turn, UNBLOCKED, Waiter, takes_turns, wanted};
use crate::shard::locks::{Claims, Mode};
use crate::shard::message::{Message, Name, ServerMessage, Ticket, Waits};
use crate::shard::route::claims_of;
use crate::store::stream::Stream;
use crate::store::value::Collection;

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
        let waiter = Waiter { home, ticket, caller, row, arguments };
        for (database, key) in self.blocked.wait(waiter, names) {
            self.keyspace.await_key(database, key);
        }
        self.count_on_removal();
        let message = ServerMessage::Blocked { ticket, from: self.id, timeout_ms };
        self.outbox.push((home, Message::Server(message)));
    }

    /// Lets a home shard wait that is to be told when one of these keys changes; it holds them locked now, and saw nothing of
    /// those that were `kept` for others. One that waits already has looked.
    pub(super) fn block_elsewhere(&mut self, home: ShardId, waits: Waits, kept: Vec<Name>) {
        let seat = (home, waits.ticket);
        if self.blocked.has_looked(seat) {
            self.outbox.push((seat.0, Message::Server(ServerMessage::KeyReady(seat.1))));
        } else {
            self.kept.retain(|(_, _, other)| *other != seat);
            // Those behind it have their turn when the lock is released.
            for name in self.blocked.names_of(seat) {
                self.resumed.push((name, seat));
            }
        }
        for (database, key) in self.blocked.wait_elsewhere(home, waits) {
            self.keyspace.await_key(database, key);
        }
        self.count_on_removal();
        // Those for whom they were kept may have looked meanwhile, and left something.
        for name in kept {
            if !self.is_kept_from(seat, &name) {
                self.keyspace.make_ready(name.0, &name.1);
            }
        }
    }

    /// Whether a key is kept for somebody else.
    pub(super) fn is_kept_from(&self, seat: Seat, name: &Name) -> bool {
        self.kept.iter().any(|(_, other_name, other)| *other != seat && other_name == name)
    }

    /// Whether anything of these claims is kept for one whose home shard was told.
    #[inline]
    pub(super) fn is_kept(&self, claims: &Claims) -> bool {
        !self.kept.is_empty() && self.kept.iter().any(|(hash, ..)| claims.include(*hash))
    }

    /// Keeps a key for one whose home shard is told, until it has looked: what claims nothing elsewhere waits for that. What
    /// spans shards must not, since it may hold other keys that the one who was told is about to ask for; if it takes its turn
    /// among those who wait, it leaves alone what is kept.
    fn keep(&mut self, seat: Seat, name: &Name) {
        let is_kept = |(_, other_name, other): &(u64, Name, Seat)| *other == seat && other_name == name;
        if self.blocked.row(seat).is_some_and(takes_turns) && !self.kept.iter().any(is_kept) {
            self.kept.push((self.keyspace.hash(&name.1), name.clone(), seat));
        }
    }

    /// One that was told looks later: until then its keys are there for anybody.
    pub fn postpone(&mut self, env: Env<'_>, seat: Seat) {
        self.kept.retain(|(_, _, other)| *other != seat);
        self.resume_deferred(env, false);
    }

    fn count_on_removal(&mut self) {
        self.keyspace.awaited_on_removal = self.blocked.keys_on_removal();
    }

    /// Ends a wait that nothing served; the command is answered as `end` says.
    pub fn unblock(&mut self, env: Env<'_>, seat: Seat, end: End) {
        let names = self.blocked.names_of(seat);
        self.kept.retain(|(_, _, other)| *other != seat);
        let Some(waiter) = self.end_wait(seat) else {
            // Those behind it need not wait for how it ends.
            names.into_iter().for_each(|(database, key)| self.keyspace.make_ready(database, &key));
            self.serve_blocked(env, None);
            return self.resume_deferred(env, false);
        };
        // Its time is what it takes, not what it waited.
        let started = Monotonic::now();
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, waiter.caller.protocol);
        match end {
            End::Timeout => reply.null_array(),
            End::Error => reply.error(UNBLOCKED),
            End::Follows => reply.error(BEGAN_TO_FOLLOW),
            End::Gone => return,
        }
        let nanos = Monotonic::now().nanos_since(started);
        self.count(env, seat, waiter.row, &waiter.arguments.slices(), nanos, end == End::Timeout);
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
        self.count_on_removal();
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
                // Its entry may be elsewhere until the end of a transaction.
                let claims = Claims::keys(vec![(self.keyspace.hash(&name.1), Mode::Shared)]);
                if !self.locks.is_free_besides(&claims, besides) {
                    later.push((name, behind));
                    continue;
                }
                for seat in self.blocked.queue(&name, behind) {
                    if !self.may_serve(seat, &name) {
                        continue;
                    }
                    match self.blocked.turn(seat) {
                        None => {}
                        Some(Turn::Await) => {
                            self.keep(seat, &name);
                            break;
                        }
                        Some(Turn::Tell) => {
                            self.keep(seat, &name);
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
        if !self.is_unlocked() {
            let claims = claims_of(&self.keyspace, row, &slices);
            if self.is_kept(&claims) || !self.locks.is_free_besides(&claims, besides) {
                return false;
            }
        }
        let mut bytes = Vec::new();
        if self.refuses_write(env, caller, ticket, row) {
            self.unblock(env, (home, ticket), End::Follows);
            return true;
        }
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
    /// another type. To whoever reads for a group it is news too that the group is gone, whatever became of its stream.
    fn may_serve(&self, seat: Seat, (database, key): &Name) -> bool {
        let Some(row) = self.blocked.row(seat) else { return false };
        let entry = self.keyspace.find(*database as usize, key);
        match (wanted(row), self.blocked.group(seat)) {
            (Some(kind), _) => entry.is_some_and(|entry| entry.is_a(kind)),
            (None, None) => true,
            (None, Some(group)) => {
                let stream = entry.as_ref().and_then(|entry| Stream::view_in(entry.value()));
                let news = |stream: &Stream| {
                    stream.group(group).is_none_or(|group| stream.log.last_entry_id() > Some(group.last_id))
                };
                stream.is_none_or(news)
            }
        }
    }

    /// Runs those who wait for keys that the periodic work has changed.
    pub fn serve_pending(&mut self, env: Env<'_>) {
        self.serve_blocked(env, None);
    }
}
