//! Replicas of this server as the loop sees them: what they ask for goes to shard zero, what shard zero's [`Master`] orders is
//! done here, on the home shards of their connections.

use super::ask::ReplyTo;
use super::executor::{Core, Executor};
use super::master::{Master, Order, SpoolWriter, Transfer, View};
use super::snapshot::{Purpose, Request};
use crate::base::slot::ShardId;
use crate::net::SocketId;
use crate::net::listener::Address;
use crate::shard::blocked::End;
use crate::shard::message::{Message, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::replicas::{FromMaster, Hello, Seat, ToMaster};
use crate::shard::stream::Reached;
use crate::state::replication::ReplicaState;

impl Core {
    /// REPLCONF ACK: nobody is answered.
    pub fn take_acknowledgement(&mut self, own: &mut Shard, id: SocketId, offset: u64) {
        self.report(own, ToMaster::Acknowledge((self.id, id.to_u64()), offset));
    }

    /// WAIT: what this client wrote before is in the stream when every shard's mark is.
    pub fn wait_for_replicas(
        &mut self,
        own: &mut Shard,
        to: ReplyTo,
        replicas: usize,
        timeout_ms: Option<i64>,
    ) {
        if to.is_inside() {
            // Nothing blocks inside EXEC.
            let registers = &self.server.replication;
            let offset = registers.offset();
            let has_it = |replica: &&crate::state::replication::ReplicaInfo| {
                replica.state == ReplicaState::Online && replica.offset >= offset
            };
            let count = registers.replicas().iter().filter(has_it).count();
            return self.reply_to(to, |reply| reply.int(count as i64));
        }
        let Some(connection) = self.connection(to.id) else { return };
        let ticket = connection.wait(false);
        connection.is_blocking = true;
        self.block_on_replicas(ticket, timeout_ms);
        let home = self.id;
        self.report(own, ToMaster::Wait((home, ticket), replicas));
        own.mark_stream(home, ticket);
        let shards = std::sync::Arc::clone(&self.shards);
        shards.deliver(own);
        for shard in (0..shards.len()).filter(|&shard| shard != home) {
            match shards.borrow(shard) {
                Some(mut token) => {
                    token.mark_stream(home, ticket);
                    shards.deliver(&mut token);
                }
                None => shards.send(shard, Message::Mark(home, ticket)),
            }
        }
    }

    /// Shard zero answers, if it has not yet.
    pub fn end_wait_for_replicas(&self, ticket: Ticket, end: End) {
        let message = ToMaster::EndWait((self.id, ticket), end);
        self.shards.send(0, Message::Server(ServerMessage::ToMaster(message)));
    }

    /// Tells shard zero something, which may be this one.
    pub fn report(&mut self, own: &mut Shard, message: ToMaster) {
        if self.id == 0 {
            self.take_report(own, message);
        } else {
            self.shards.send(0, Message::Server(ServerMessage::ToMaster(message)));
        }
    }

    /// On shard zero: what happened.
    pub fn take_report(&mut self, own: &mut Shard, message: ToMaster) {
        let shards = self.shards.len();
        match message {
            ToMaster::Sync(hello) if hello.hands_over => self.take_over(own, *hello),
            ToMaster::Sync(hello) if self.server.following.is_cut_off() => {
                // What it has may be anything.
                let line = b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n";
                self.direct(own, |master, _| master.refuse(hello.seat, line));
            }
            ToMaster::Sync(hello) => self.direct(own, |master, view| master.begin_sync(view, *hello)),
            ToMaster::Failover(asker, request) => self.begin_failover(own, asker, request),
            ToMaster::Acknowledge(seat, offset) => {
                self.direct(own, |master, view| master.acknowledge(view, seat, offset));
                self.keep_failover(own);
            }
            ToMaster::Fed(seat) => self.master.fed(seat),
            ToMaster::Gone(seat) => {
                self.taking_over.retain(|hello| hello.seat != seat);
                self.direct(own, |master, view| master.follower_gone(view, seat));
            }
            ToMaster::Transferred(seat, result) => {
                self.direct(own, |master, view| master.transferred(view, seat, result));
            }
            ToMaster::Wait(seat, replicas) => self.master.wait(seat, replicas, shards),
            ToMaster::EndWait(seat, end) => self.direct(own, |master, _| master.end_wait(seat, end)),
        }
    }

    /// On shard zero: tells the state machine what happened, and does what it orders.
    fn direct(&mut self, own: &mut Shard, tell: impl FnOnce(&mut Master, View<'_>)) {
        let (config, server) = (self.config.clone(), self.server.clone());
        let view = View { now: self.now, config: &config, registers: &server.replication };
        tell(&mut self.master, view);
        self.follow_orders(own);
    }

    /// On shard zero: takes what was merged of the stream, and feeds whoever takes it.
    pub fn replicate(&mut self, own: &mut Shard) {
        if self.id != 0 {
            return;
        }
        let merged = std::mem::take(&mut self.home.merged);
        if merged.is_empty() && !self.master.has_followers() {
            return;
        }
        self.feed_listeners(&merged.bytes);
        let (offset, counts) = (self.server.replication.offset(), self.master.has_backlog());
        self.direct(own, |master, view| {
            master.take_stream(view, &merged);
            master.feed(view);
        });
        for (at, reached) in merged.reached {
            if let Reached::Cut(id) = reached {
                self.write_snapshot(id, offset + if counts { at as u64 } else { 0 });
            }
        }
    }

    /// On shard zero of a replica: bytes of its master's stream, up to a point outside of any MULTI, for its own replicas.
    pub fn proxy_stream(&mut self, own: &mut Shard, bytes: &[u8]) {
        self.direct(own, |master, view| {
            master.append(view, bytes);
            master.feed(view);
        });
    }

    /// On shard zero of a replica: what it has begins at this position of another history (the registers have that already); its
    /// own replicas synchronize anew. Until now it may have had none.
    pub fn restart_stream(&mut self, own: &mut Shard, position: u64) {
        self.direct(own, |master, view| master.restart(view, position));
    }

    /// On shard zero of a replica: the stream goes on where it broke off, and is kept from now on if it was not.
    pub fn resume_stream(&mut self, own: &mut Shard) {
        self.direct(own, |master, view| master.start_backlog(view));
    }

    /// On shard zero: the history has another name, which replicas learn when they come again.
    pub fn disconnect_replicas(&mut self, own: &mut Shard) {
        self.direct(own, |master, _| master.disconnect_all());
    }

    /// On shard zero: what happens by the clock.
    pub fn keep_replication_time(&mut self, own: &mut Shard) {
        let is_paused = self.server.pause.current(self.now).is_some() || self.shutdown.is_some();
        self.direct(own, |master, view| master.keep_time(view, !is_paused));
        self.keep_failover(own);
    }

    fn follow_orders(&mut self, own: &mut Shard) {
        for order in self.master.take_orders() {
            match order {
                Order::Feed((home, connection), bytes) => {
                    self.order_home(home, FromMaster::Feed(connection, bytes))
                }
                Order::Say((home, connection), bytes) => {
                    self.order_home(home, FromMaster::Say(connection, bytes))
                }
                Order::Disconnect((home, connection)) => {
                    self.order_home(home, FromMaster::Disconnect(connection))
                }
                Order::Reply(home, ticket, reply) => self.send_reply((home, ticket), reply),
                Order::Snapshot(number, writer) => self.begin_replica_snapshot(own, number, writer),
                Order::Abandon(number) => self.abandon_snapshot(own, number),
                Order::Transfer(seat, transfer) => self.transfer(seat, transfer),
            }
        }
    }

    /// On shard zero: a replica asks for the stream.
    pub fn begin_sync(&mut self, own: &mut Shard, hello: Hello) {
        self.take_report(own, ToMaster::Sync(Box::new(Hello { hands_over: false, ..hello })));
    }

    pub(super) fn order_home(&mut self, home: ShardId, message: FromMaster) {
        if home == self.id {
            self.obey(message);
        } else {
            self.shards.send(home, Message::Server(ServerMessage::FromMaster(message)));
        }
    }

    /// On a home shard: what shard zero has for its connections.
    pub fn obey(&mut self, message: FromMaster) {
        match message {
            FromMaster::Feed(connection, bytes) => {
                let id = SocketId::from_u64(connection);
                let Some(connection) = self.connection(id) else { return };
                connection.is_fed = true;
                connection.reply_buffer().extend_from_slice(&bytes);
                self.mark_dirty(id);
            }
            FromMaster::Say(connection, bytes) => {
                let id = SocketId::from_u64(connection);
                let Some(connection) = self.connection(id) else { return };
                connection.reply_buffer().extend_from_slice(bytes);
                self.mark_dirty(id);
            }
            FromMaster::Disconnect(connection) => self.break_connection(SocketId::from_u64(connection)),
        }
    }

    fn begin_replica_snapshot(&mut self, own: &mut Shard, number: u64, writer: SpoolWriter) {
        let sink = Box::new(writer);
        let request = Request { id: number, purpose: Purpose::Replicas, replicates: true, sink };
        self.request_snapshot(own, request);
    }

    /// On shard zero: a snapshot for replicas has ended.
    pub fn replica_snapshot_ended(&mut self, own: &mut Shard, number: u64, result: Result<(), String>) {
        self.direct(own, |master, view| master.snapshot_written(view, number, result));
    }

    fn transfer(&mut self, seat: Seat, transfer: Transfer) {
        let shards = std::sync::Arc::clone(&self.shards);
        let tell = move |result| {
            shards.send(0, Message::Server(ServerMessage::ToMaster(ToMaster::Transferred(seat, result))));
        };
        let failed = tell.clone();
        let started = std::thread::Builder::new()
            .name("sync".into())
            .spawn(move || tell(transfer.run().map_err(|error| error.to_string())));
        if let Err(error) = started {
            failed(Err(format!("no thread for it: {error}")));
        }
    }

    /// Tells shard zero whose connections have sent what they were fed.
    pub fn note_fed(&mut self, own: &mut Shard) {
        for id in std::mem::take(&mut self.fed) {
            self.report(own, ToMaster::Fed((self.id, id.to_u64())));
        }
    }
}

impl Executor {
    /// Passes on who asked for the stream, with a descriptor of its socket.
    pub(super) fn begin_syncs(&mut self, own: &mut Shard) {
        for (id, request) in std::mem::take(&mut self.core.asking_for_stream) {
            let socket = self.ring.fd(id).and_then(|fd| fd.try_clone_to_owned().ok());
            let home = self.core.id;
            let Some(connection) = self.core.connection(id) else { continue };
            let session = &connection.session;
            let (Some(socket), Some(replica)) = (socket, session.replica.as_deref()) else {
                self.core.break_connection(id);
                continue;
            };
            let address = replica.address.as_deref().map(String::from);
            let address = address.or_else(|| {
                Address::of_peer(&socket).ok().and_then(|peer| peer.ip()).map(|ip| ip.to_string())
            });
            let hello = Hello {
                seat: (home, id.to_u64()),
                address: address.unwrap_or_default(),
                port: replica.port,
                knows_eof: replica.knows_eof,
                knows_psync2: replica.knows_psync2,
                only_snapshot: replica.only_snapshot,
                is_old: request.is_old,
                id: request.id,
                hands_over: request.takes_over,
                position: request.position,
                socket: Some(socket),
            };
            self.core.report(own, ToMaster::Sync(Box::new(hello)));
        }
    }
}
