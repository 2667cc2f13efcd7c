//! What handlers ask of connections, other shards and the process.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::barrier::{EFFECTS_BARRIER, UNWATCHED_BARRIER};
use super::executor::{Core, Origin};
use super::listening::Relisten;
use crate::base::clock::unix_micros;
use crate::base::slot::ShardId;
use crate::command::home::Ask;
use crate::command::notice::Actor;
use crate::command::server::redacted;
use crate::command::session::{Caller, Session};
use crate::command::table::{Resolved, resolve};
use crate::command::tracking::Options;
use crate::command::{Command, Flags};
use crate::config::Primary;
use crate::net::SocketId;
use crate::notice;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::shard::blocked::End;
use crate::shard::message::{Message, Question, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::plan::Request;
use crate::shard::replicas::ToMaster;

/// How the answers of all shards become a reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fold {
    /// Lines as a verbatim string.
    Text,
    /// The sum of the counts.
    Count,
    /// OK if any shard counted one, else Redis's error for an unknown client.
    OkIfAny,
    /// OK.
    Ok,
}

/// A question to all shards under way.
#[derive(Debug)]
pub(super) struct Tell {
    remaining: usize,
    count: u64,
    text: Vec<u8>,
    fold: Fold,
    protocol: Protocol,
    /// CLIENT TRACKING that waits for where the client is to which it redirects, and where that is.
    tracking: Option<Box<Options>>,
    found: Option<Actor>,
}

impl Tell {
    /// A question to so many shards.
    fn new(remaining: usize, fold: Fold, protocol: Protocol) -> Self {
        Self { remaining, count: 0, text: Vec::new(), fold, protocol, tracking: None, found: None }
    }

    fn reply(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.protocol);
        match self.fold {
            Fold::Text => reply.verbatim("txt", &self.text),
            Fold::Count => reply.int(self.count as i64),
            Fold::OkIfAny if self.count == 0 => reply.error("ERR No such client"),
            Fold::OkIfAny | Fold::Ok => reply.ok(),
        }
        out
    }
}

/// Where the reply to an [`Ask`] goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyTo {
    /// The connection.
    pub id: SocketId,
    /// Which of the commands of the home shard inside the connection's EXEC it is of; `None`: it is the connection's next.
    inside: Option<usize>,
}

impl ReplyTo {
    /// The connection's next reply.
    pub fn next(id: SocketId) -> Self {
        Self { id, inside: None }
    }

    /// A reply inside the connection's EXEC under way.
    pub fn inside(id: SocketId, index: usize) -> Self {
        Self { id, inside: Some(index) }
    }

    /// Whether it is one inside EXEC.
    pub fn is_inside(&self) -> bool {
        self.inside.is_some()
    }
}

/// What an [`Ask`] that has no place inside EXEC is answered there.
fn refusal(ask: &Ask) -> Option<&'static str> {
    match ask {
        Ask::Monitor => Some("ERR MONITOR isn't allowed for DENY BLOCKING client"),
        Ask::Effects
        | Ask::EffectsSync
        | Ask::Shutdown(_)
        | Ask::AbortShutdown
        | Ask::Reset
        | Ask::Crash(_) => Some("ERR Command not allowed inside a transaction"),
        _ => None,
    }
}

impl Core {
    /// Does what a handler asked for; the reply comes now or later.
    pub fn ask(&mut self, own: &mut Shard, to: ReplyTo, ask: Ask) {
        if to.inside.is_some()
            && let Some(error) = refusal(&ask)
        {
            return self.reply_to(to, |reply| reply.error(error));
        }
        let id = to.id;
        match ask {
            Ask::ClientList(filter) => self.tell(to, Question::ClientList(filter), Fold::Text),
            Ask::ClientInfo => {
                let Some(connection) = self.connections.get(id.index()).and_then(Option::as_ref) else {
                    return;
                };
                let line = self.client_line(connection);
                self.reply_to(to, |reply| reply.verbatim("txt", line.as_bytes()));
            }
            Ask::ClientKill { filter, old_form } => {
                let fold = if old_form { Fold::OkIfAny } else { Fold::Count };
                self.tell(to, Question::ClientKill(filter), fold);
            }
            Ask::ClientUnblock { id: client, with_error } => {
                self.tell(to, Question::ClientUnblock { id: client, with_error }, Fold::Count);
            }
            Ask::ClientPause { until, writes_only } => {
                self.server.pause.set(until, writes_only, self.now);
                self.tell(to, Question::Fence, Fold::Ok);
            }
            Ask::ClientUnpause => {
                self.server.pause.clear();
                self.end_pause();
                self.tell(to, Question::Fence, Fold::Ok);
            }
            Ask::MemoryPurge => self.tell(to, Question::Purge, Fold::Ok),
            Ask::Track(options) => self.find_redirect(to, options),
            Ask::Monitor => self.monitor(id),
            Ask::Effects => self.listen_to_effects(own, id),
            Ask::EffectsSync => self.sync_effects(own, id),
            Ask::Sleep { micros } => {
                std::thread::sleep(Duration::from_micros(micros));
                self.reply_to(to, |reply| reply.ok());
            }
            Ask::Follow(master) => self.ask_to_follow(own, to, master),
            Ask::Migrate(request) => self.migrate(own, to, *request),
            Ask::Snapshot(wish) => self.ask_for_snapshot(to, wish),
            Ask::Shutdown(flags) => {
                let asker = self.await_reply(to).map(|ticket| (self.id, ticket));
                self.shards.send(0, Message::Server(ServerMessage::Shutdown { flags, asker }));
            }
            Ask::AbortShutdown => {
                let Some(ticket) = self.await_reply(to) else { return };
                let abort = ServerMessage::AbortShutdown { asker: (self.id, ticket) };
                self.shards.send(0, Message::Server(abort));
            }
            Ask::ConfigListen(pairs) => self.set_listening(to, &pairs),
            Ask::ConfigRewrite { everything } => self.rewrite_config(to, everything),
            Ask::Sync(request) => self.asking_for_stream.push((id, request)),
            Ask::Failover(request) => {
                let Some(ticket) = self.await_reply(to) else { return };
                // Not in the midst of a tick, whose writes have yet to run.
                let message = ToMaster::Failover((self.id, ticket), request);
                self.shards.send(0, Message::Server(ServerMessage::ToMaster(message)));
            }
            Ask::Acknowledge { offset } => self.take_acknowledgement(own, id, offset),
            Ask::Wait { replicas, timeout_ms } => self.wait_for_replicas(own, to, replicas, timeout_ms),
            Ask::Reset => self.reset(id),
            Ask::Crash(how) => {
                crate::warning!("DEBUG {how} was asked for: the process ends here");
                std::process::abort();
            }
        }
    }

    /// Writes a reply into its place.
    pub fn reply_to(&mut self, to: ReplyTo, write: impl FnOnce(&mut Reply<'_>)) {
        let Some(index) = to.inside else { return self.reply(to.id, write) };
        let Some(connection) = self.connection(to.id) else { return };
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, connection.session.caller.protocol));
        self.fill(to.id, index, out);
    }

    /// Writes a reply in order and has it sent.
    pub fn reply(&mut self, id: SocketId, write: impl FnOnce(&mut Reply<'_>)) {
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.session.caller.protocol;
        let keep = connection.wants_reply();
        let out = connection.reply_buffer();
        let start = out.len();
        write(&mut Reply::new(out, protocol));
        if !keep {
            out.truncate(start);
        }
        self.mark_dirty(id);
    }

    /// The reply comes later; what follows on the connection waits for it. `None` if there is no connection any more.
    pub fn await_reply(&mut self, to: ReplyTo) -> Option<Ticket> {
        let connection = self.connection(to.id)?;
        let Some(index) = to.inside else {
            connection.is_blocking = true;
            return Some(connection.wait(false));
        };
        Some(Ticket::of_inside(to.id.to_u64(), index))
    }

    /// Replies to a client of any shard.
    pub fn reply_elsewhere(&mut self, (home, ticket): (ShardId, Ticket), write: impl FnOnce(&mut Reply<'_>)) {
        let mut reply = Vec::new();
        write(&mut Reply::new(&mut reply, Protocol::default()));
        self.send_reply((home, ticket), reply);
    }

    /// Sends a client of any shard its reply.
    pub fn send_reply(&mut self, (home, ticket): (ShardId, Ticket), reply: Vec<u8>) {
        if home == self.id {
            self.answer(ticket, &reply);
        } else {
            self.shards.send(home, Message::Server(ServerMessage::Reply { ticket, reply }));
        }
    }

    /// Asks every shard, this one included; the reply follows when all have answered.
    pub fn tell(&mut self, to: ReplyTo, question: Question, fold: Fold) {
        let Some(connection) = self.connection(to.id) else { return };
        let protocol = connection.session.caller.protocol;
        let ticket = match to.inside {
            None => connection.wait(false),
            Some(index) => Ticket::of_inside(to.id.to_u64(), index),
        };
        let tell = Tell::new(self.shards.len(), fold, protocol);
        self.ask_all(to.id, ticket, tell, question);
    }

    /// CLIENT TRACKING with REDIRECT: nothing follows it on its connection until the other client is found.
    fn find_redirect(&mut self, to: ReplyTo, options: Box<Options>) {
        let Some(connection) = self.connection(to.id) else { return };
        let protocol = connection.session.caller.protocol;
        let ticket = match to.inside {
            None => connection.wait(false),
            Some(index) => Ticket::of_inside(to.id.to_u64(), index),
        };
        connection.is_blocking |= to.inside.is_none();
        let client = options.redirect.unwrap_or(0);
        let tell = Tell { tracking: Some(options), ..Tell::new(self.shards.len(), Fold::Ok, protocol) };
        self.ask_all(to.id, ticket, tell, Question::FindClient { id: client });
    }

    fn ask_all(&mut self, id: SocketId, ticket: Ticket, tell: Tell, question: Question) {
        let remaining = tell.remaining;
        self.tells.insert(ticket, tell);
        for shard in (0..remaining).filter(|&shard| shard != self.id) {
            let tell = ServerMessage::Tell { home: self.id, ticket, question: question.clone() };
            self.shards.send(shard, Message::Server(tell));
        }
        self.take_question(self.id, ticket, question, Some(id));
    }

    /// Answers a question of `home`, now or when the network has done what it asks for.
    fn take_question(&mut self, home: ShardId, ticket: Ticket, question: Question, asking: Option<SocketId>) {
        if let Question::Listen(sockets) = question {
            return self.relisten.push(Relisten { home, ticket, sockets });
        }
        let (count, text) = self.answer_question(&question, asking);
        self.send_told(home, ticket, count, text);
    }

    /// Passes an answer on to the shard that asked.
    pub fn send_told(&mut self, home: ShardId, ticket: Ticket, count: u64, text: Vec<u8>) {
        if home == self.id {
            return self.told(self.id, ticket, count, &text);
        }
        let told = ServerMessage::Told { from: self.id, ticket, count, text };
        self.shards.send(home, Message::Server(told));
    }

    fn answer_question(&mut self, question: &Question, asking: Option<SocketId>) -> (u64, Vec<u8>) {
        match question {
            Question::ClientList(filter) => (0, self.client_list(filter)),
            Question::ClientKill(filter) => (self.client_kill(filter, asking), Vec::new()),
            &Question::ClientUnblock { id, with_error } => {
                let end = if with_error { End::Error } else { End::Timeout };
                let mut connections = self.connections.iter().flatten();
                let found = connections.find(|connection| connection.session.id == id);
                let found = found.map(|connection| connection.socket);
                (found.is_some_and(|socket| self.unblock(socket, end)).into(), Vec::new())
            }
            Question::Purge => {
                crate::base::memory::collect();
                (0, Vec::new())
            }
            Question::FindClient { id } => {
                (self.find_client(*id).map_or(0, |socket| socket.to_u64() + 1), Vec::new())
            }
            Question::Fence => {
                self.end_pause();
                (0, Vec::new())
            }
            Question::BeganToFollow => {
                self.unblock_all();
                (0, Vec::new())
            }
            // Answered by `Executor::relisten`.
            Question::Listen(_) => (0, Vec::new()),
        }
    }

    fn told(&mut self, from: ShardId, ticket: Ticket, count: u64, text: &[u8]) {
        let Some(tell) = self.tells.get_mut(&ticket) else { return };
        if tell.tracking.is_some() && count > 0 {
            tell.found = Some((from, count - 1));
        }
        tell.count += count;
        tell.text.extend_from_slice(text);
        tell.remaining -= 1;
        if tell.remaining == 0
            && let Some(mut tell) = self.tells.remove(&ticket)
        {
            match tell.tracking.take() {
                Some(options) => self.redirecting.push((ticket, *options, tell.found)),
                None => self.answer(ticket, &tell.reply()),
            }
        }
    }

    /// Acts on a message that is for connections.
    pub fn act_on(&mut self, own: &mut Shard, message: ServerMessage) {
        match message {
            ServerMessage::Adopt { socket, listener } => {
                self.adopted.push((Origin::of_tag(listener), socket));
            }
            ServerMessage::Tell { home, ticket, question } => {
                self.take_question(home, ticket, question, None);
            }
            ServerMessage::Told { from, ticket, count, text } => self.told(from, ticket, count, &text),
            ServerMessage::Deliver(posts) => self.deliver_posts(posts),
            ServerMessage::Redirected { from, connection, keys } => self.redirected(from, connection, keys),
            ServerMessage::Misdirected { connection } => self.misdirected(SocketId::from_u64(connection)),
            ServerMessage::Monitor(line) => self.feed_own_monitors(&line),
            ServerMessage::Slow { ticket, micros, arguments } => {
                self.file_one_slow(ticket, micros, &arguments.slices())
            }
            ServerMessage::Listen { home, connection } => {
                self.home.reselect_stream();
                self.effect_listeners.push((home, connection));
            }
            ServerMessage::Unlisten { home, connection } => {
                self.effect_listeners.retain(|&listener| listener != (home, connection));
            }
            ServerMessage::Flush { home, ticket } => {
                self.replicate(own);
                self.send_told(home, ticket, 0, Vec::new());
            }
            ServerMessage::Feed { connection, bytes } => {
                let id = SocketId::from_u64(connection);
                if let Some(connection) = self.connection(id) {
                    connection.out.extend_from_slice(&bytes);
                    self.mark_dirty(id);
                }
            }
            ServerMessage::Blocked { ticket, from, timeout_ms } => self.block(ticket, from, timeout_ms),
            ServerMessage::Served { ticket, database, arguments, reply } => {
                self.served(own, ticket, database, &arguments, &reply);
            }
            ServerMessage::KeyReady(ticket) => self.key_ready(own, ticket),
            ServerMessage::ToMaster(message) => self.take_report(own, message),
            ServerMessage::FromMaster(message) => self.obey(message),
            ServerMessage::Follow { home, ticket, master } => self.follow(own, master, Some((home, ticket))),
            ServerMessage::Master(stream) => self.master_reached(own, *stream),
            ServerMessage::Settled(number) => self.settled(own, number),
            ServerMessage::Migrated(answer) => self.migrated(own, answer),
            ServerMessage::Snapshots(message) => self.tell_snapshots(own, message),
            ServerMessage::Reply { ticket, reply } => self.answer(ticket, &reply),
            ServerMessage::Shutdown { flags, asker } => self.begin_shutdown(own, flags, asker),
            ServerMessage::AbortShutdown { asker } => self.abort_shutdown(own, asker),
            ServerMessage::Stop => self.stopping = true,
        }
    }

    /// Connections that were accepted elsewhere and wait to be attached to this shard's ring.
    pub fn take_adopted(&mut self) -> Vec<(std::os::fd::OwnedFd, Origin)> {
        std::mem::take(&mut self.adopted).into_iter().map(|(origin, fd)| (fd, origin)).collect()
    }

    /// Tells all shards to drain and end.
    pub fn stop_all(&mut self) {
        self.server.stopping.store(true, Ordering::Release);
        for shard in 0..self.shards.len() {
            self.shards.send(shard, Message::Server(ServerMessage::Stop));
        }
    }

    fn monitor(&mut self, id: SocketId) {
        self.reply(id, |reply| reply.ok());
        let Some(connection) = self.connection(id) else { return };
        if !connection.session.monitor {
            connection.session.monitor = true;
            self.monitors.push(id);
            self.server.monitors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether somebody MONITORs.
    pub fn is_monitored(&self) -> bool {
        self.server.monitors.load(Ordering::Relaxed) > 0
    }

    /// Shows a command to everyone who MONITORs.
    pub fn feed_monitors(&mut self, id: SocketId, row: &'static Command, arguments: &[&[u8]]) {
        if row.flags.intersects(Flags::SKIP_MONITOR | Flags::ADMIN) {
            return;
        }
        let Some(connection) = self.connections.get(id.index()).and_then(Option::as_ref) else { return };
        let line = monitor_line(&connection.session, arguments);
        self.spread_monitor_line(line);
    }

    fn spread_monitor_line(&mut self, line: Vec<u8>) {
        for shard in (0..self.shards.len()).filter(|&shard| shard != self.id) {
            self.shards.send(shard, Message::Server(ServerMessage::Monitor(line.clone())));
        }
        self.feed_own_monitors(&line);
    }

    fn feed_own_monitors(&mut self, line: &[u8]) {
        for id in self.monitors.clone() {
            if let Some(connection) = self.connection(id) {
                connection.reply_buffer().extend_from_slice(line);
                self.mark_dirty(id);
            }
        }
    }

    /// DEBUG EFFECTS: the connection is entered at shard zero first, then a barrier switches the collection on
    /// everywhere, so that the stream begins at one point of every shard's order.
    fn listen_to_effects(&mut self, own: &mut Shard, id: SocketId) {
        self.reply(id, |reply| reply.ok());
        let Some(connection) = self.connection(id) else { return };
        connection.takes_effects = true;
        let packed = id.to_u64();
        self.server.effect_listeners.fetch_add(1, Ordering::Relaxed);
        let listen = ServerMessage::Listen { home: self.id, connection: packed };
        self.shards.send(0, Message::Server(listen));
        self.switch_effects(own, true);
    }

    /// A listener is gone; without any, nothing is collected.
    pub fn stop_effects(&mut self, id: SocketId) {
        let unlisten = ServerMessage::Unlisten { home: self.id, connection: id.to_u64() };
        self.shards.send(0, Message::Server(unlisten));
        self.server.effect_listeners.fetch_sub(1, Ordering::Relaxed);
    }

    /// On shard zero: without anybody who listens no effects are collected.
    pub fn stop_effects_of_nobody(&mut self, own: &mut Shard) {
        let is_needed = self.master.has_backlog() || self.server.effect_listeners.load(Ordering::Relaxed) > 0;
        if own.effects_on() && !is_needed {
            self.switch_effects(own, false);
        }
    }

    /// Runs `DEBUG EFFECTS-SWITCH` on every shard under a barrier; nobody waits for its reply.
    fn switch_effects(&mut self, own: &mut Shard, on: bool) {
        let word: &[u8] = if on { b"ON" } else { b"OFF" };
        self.begin_whole(own, UNWATCHED_BARRIER, 0, &[b"DEBUG", b"EFFECTS-SWITCH", word]);
    }

    /// Runs a command of this server's own.
    pub fn begin_whole(&mut self, own: &mut Shard, sequence: u64, database: u32, arguments: &[&[u8]]) {
        let Resolved::Row(row) = resolve(arguments) else { return };
        let caller = Caller { database, ..Caller::default() };
        let requests = vec![Request::Run { row, caller, arguments }];
        self.begin(own, Ticket { connection: Ticket::OF_SERVER, sequence }, requests, false, &[], true);
    }

    /// REPLICAOF: shard zero does it; what follows on the connection waits for that.
    fn ask_to_follow(&mut self, own: &mut Shard, to: ReplyTo, master: Option<Primary>) {
        let Some(connection) = self.connection(to.id) else { return };
        let protocol = connection.session.caller.protocol;
        let by = connection.session.peer_address.clone();
        let ticket = match to.inside {
            None => connection.wait(false),
            Some(index) => Ticket::of_inside(to.id.to_u64(), index),
        };
        connection.is_blocking |= to.inside.is_none();
        match &master {
            Some(Primary { host, port }) => {
                notice!("REPLICAOF {host}:{port} enabled (user request from '{by}')")
            }
            None if own.keyspace.follows => notice!("MASTER MODE enabled (user request from '{by}')"),
            None => {}
        }
        self.tells.insert(ticket, Tell::new(1, Fold::Ok, protocol));
        let follow = ServerMessage::Follow { home: self.id, ticket, master };
        self.shards.send(0, Message::Server(follow));
    }

    /// DEBUG EFFECTS-SYNC: a reading barrier, then a question to shard zero that follows all effects.
    fn sync_effects(&mut self, own: &mut Shard, id: SocketId) {
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.session.caller.protocol;
        let ticket = connection.wait(false);
        self.tells.insert(ticket, Tell::new(1, Fold::Ok, protocol));
        let shards = std::sync::Arc::clone(&self.shards);
        self.hear(own);
        shards.deliver(own);
        self.syncing.push(ticket);
        self.begin_whole(own, EFFECTS_BARRIER, 0, &[b"DBSIZE"]);
    }

    /// The barrier of [`Core::sync_effects`] has passed.
    pub fn effects_barrier_passed(&mut self) {
        for ticket in std::mem::take(&mut self.syncing) {
            let flush = ServerMessage::Flush { home: self.id, ticket };
            self.shards.send(0, Message::Server(flush));
        }
    }

    /// On shard zero: passes the stream on to those who take it.
    pub fn feed_listeners(&self, bytes: &[u8]) {
        for &(home, connection) in &self.effect_listeners {
            let feed = ServerMessage::Feed { connection, bytes: bytes.to_vec() };
            self.shards.send(home, Message::Server(feed));
        }
    }

    /// Files what was slow on this shard's token with the client's name, here or at its home shard.
    pub fn file_slow(&mut self, own: &mut Shard) {
        for slow in own.slow.drain(..).chain(self.home.slow.drain(..)).collect::<Vec<_>>() {
            if slow.home == self.id {
                self.file_one_slow(slow.ticket, slow.micros, &slow.arguments.slices());
            } else {
                let (ticket, micros, arguments) = (slow.ticket, slow.micros, slow.arguments);
                let message = ServerMessage::Slow { ticket, micros, arguments };
                self.shards.send(slow.home, Message::Server(message));
            }
        }
    }

    /// A handler of the home shard was slow.
    pub fn note_home_slow(&self, session: &Session, row: &Command, micros: u64, arguments: &[&[u8]]) {
        let event = if row.flags.contains(Flags::FAST) { "fast-command" } else { "command" };
        let threshold_ms = self.config.latency_monitor_threshold_ms;
        self.server.latency.note(event, micros / 1000, threshold_ms, self.now / 1000);
        let threshold = self.config.slowlog_log_slower_than_us;
        if threshold >= 0 && micros >= threshold as u64 && !row.flags.contains(Flags::SKIP_SLOWLOG) {
            self.push_slow(Some(session), micros, arguments);
        }
    }

    fn file_one_slow(&mut self, ticket: Ticket, micros: u64, arguments: &[&[u8]]) {
        let id = SocketId::from_u64(ticket.connection);
        let connection = self.connections.get(id.index()).and_then(Option::as_deref);
        let session = connection.filter(|connection| connection.socket == id).map(|found| &found.session);
        self.push_slow(session, micros, arguments);
    }

    /// Enters a slow command of a client, who may be gone.
    fn push_slow(&self, session: Option<&Session>, micros: u64, arguments: &[&[u8]]) {
        let client = session.map_or(("", &[][..]), |session| (&*session.peer_address, &*session.name));
        let (seconds, entries_max) = (self.now / 1000, self.config.slowlog_max_len);
        self.server.slowlog.push(seconds, micros, &redacted(arguments), client, entries_max);
    }

    fn rewrite_config(&mut self, to: ReplyTo, everything: bool) {
        // As it is now: this tick's own commands may have changed it.
        let result = rewrite(&self.server.config.load(), everything);
        self.reply_to(to, |reply| match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        });
    }

    /// RESET: as the connection began, but for its id and addresses.
    fn reset(&mut self, id: SocketId) {
        let is_open = self.config.requirepass.is_empty();
        let Some(connection) = self.connection(id) else { return };
        let was_monitor = std::mem::take(&mut connection.session.monitor);
        let old = &mut connection.session;
        old.discard();
        let mut fresh = Session::new(old.id, old.created_at, is_open);
        fresh.peer_address = old.peer_address.clone();
        fresh.local_address = old.local_address.clone();
        fresh.library_name = old.library_name.clone();
        fresh.library_version = old.library_version.clone();
        fresh.caller.cluster_port = old.caller.cluster_port;
        fresh.active_at = old.active_at;
        fresh.last_command = old.last_command;
        let unwatched = std::mem::take(&mut old.unwatched);
        *old = fresh;
        if was_monitor {
            self.monitors.retain(|&monitor| monitor != id);
            self.server.monitors.fetch_sub(1, Ordering::Relaxed);
        }
        self.send_unwatch(unwatched);
        self.reply(id, |reply| reply.simple("RESET"));
    }
}

fn rewrite(config: &crate::config::Config, everything: bool) -> Result<(), String> {
    let Some(path) = config.declarations().file.clone() else {
        return Err("ERR The server is running without a config file".into());
    };
    let failed = |error: std::io::Error| format!("ERR Rewriting config file: {error}");
    let old = std::fs::read(&path).map_err(failed)?;
    let new = config.rewrite(&old, None, everything);
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, new).map_err(failed)?;
    std::fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, &path).map_err(failed)
}

/// A command as MONITOR shows it.
fn monitor_line(session: &Session, arguments: &[&[u8]]) -> Vec<u8> {
    let now = unix_micros();
    let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
    let mut line =
        format!("+{seconds}.{micros:06} [{} {}]", session.caller.database, session.peer_address).into_bytes();
    for argument in redacted(arguments).iter() {
        line.push(b' ');
        crate::config::push_quoted(&mut line, argument);
    }
    line.extend_from_slice(b"\r\n");
    line
}
