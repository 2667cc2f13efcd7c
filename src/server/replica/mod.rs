//! Following a master, on shard zero: whom, over which link, and how far its stream is applied.
//!
//! A thread reaches the master ([`link`]) and hands the socket over. From then on the link is a connection like a client's,
//! whose commands no gate refuses and whose replies nobody gets; [`progress`] says what of its stream all shards have
//! applied. A change of the role waits until nothing of the link is under way, and is a barrier over all shards.

mod handshake;
mod link;
mod progress;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::link::{Attempt, Leash};
pub(super) use self::progress::Progress;
use super::barrier::{MASTER_SNAPSHOT_BARRIER, ROLE_BARRIER};
use super::connection::{Connection, Phase};
use super::executor::{Core, Executor};
use super::snapshot::history_of;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::command::effect::encode;
use crate::command::gate::Refuses;
use crate::command::session::Session;
use crate::config::Primary;
use crate::net::SocketId;
use crate::net::listener::{Address, configure_accepted};
use crate::resp::error::READ_ONLY;
use crate::shard::load::{Report, drop_load};
use crate::shard::message::{MasterSnapshot, MasterStream, Message, Question, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::state::following::Link;
use crate::state::replication::{History, random_id};
use crate::{notice, warning};

/// Milliseconds between two acknowledgements.
const ACKNOWLEDGE_PERIOD_MS: UnixMillis = 1000;

/// Where a stream broke off.
#[derive(Clone, Debug)]
struct Position {
    /// The name of its history.
    id: String,
    /// Bytes of it that are applied.
    offset: u64,
    /// The database that is selected there.
    database: u32,
}

/// Somebody wants the server to follow another one, or nobody.
#[derive(Debug)]
struct Change {
    master: Option<Primary>,
    /// Who waits for that.
    asker: Option<(ShardId, Ticket)>,
}

/// What shard zero knows of the master.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// Number of the last order to reach a master.
    order: u64,
    /// The thread that carries it out.
    leash: Option<Arc<Leash>>,
    /// What a thread reached whose snapshot is being adopted, by a barrier.
    adopting: Option<MasterStream>,
    /// What threads reached, to be attached.
    reached: Vec<MasterStream>,
    /// The link.
    pub link: Option<SocketId>,
    /// What is applied of the stream and has yet to be passed on to this server's own replicas.
    applied: Vec<u8>,
    /// Whether nothing of the link is parsed for now.
    is_held: bool,
    /// Where the stream may be resumed.
    resume: Option<Position>,
    changes: VecDeque<Change>,
    /// Whether the barrier of the first change is under way.
    is_switching: bool,
    acknowledged_at: UnixMillis,
}

impl Core {
    /// What this server refuses to its clients as it is.
    pub fn refuses(&self, own: &Shard) -> Refuses {
        let until_loaded = self.server.persistence.is_loading();
        if !own.keyspace.follows {
            let writes = self.server.write_refusal(&self.config);
            return Refuses { writes, until_loaded, ..Refuses::default() };
        }
        let following = &self.server.following;
        Refuses {
            writes: self.config.replica_read_only.then_some(READ_ONLY),
            stale: !self.config.replica_serve_stale_data && following.is_cut_off(),
            while_loading: following.is_loading.load(Ordering::Relaxed),
            until_loaded,
        }
    }

    /// On shard zero: from now on `master` is followed, or nobody; `asker` is told when all shards know.
    pub fn follow(&mut self, own: &mut Shard, master: Option<Primary>, asker: Option<(ShardId, Ticket)>) {
        self.follower.changes.push_back(Change { master, asker });
        self.change_master(own);
    }

    /// Goes on with the first change of the master, as far as that is possible now.
    fn change_master(&mut self, own: &mut Shard) {
        self.pass_on(own);
        while !self.follower.is_switching
            && self.follower.adopting.is_none()
            && let Some(change) = self.follower.changes.front()
        {
            let (next, now) = (&change.master, self.server.following.master());
            if *next == now {
                self.end_change();
                continue;
            }
            let role: &[u8] = match (next.is_some(), now.is_some()) {
                (true, false) => b"REPLICA",
                (false, true) => b"MASTER",
                _ => b"",
            };
            self.end_link();
            if self.follower.link.is_some() {
                // What it has under way ends first.
                return;
            }
            if role.is_empty() {
                self.master_changed();
                continue;
            }
            let is_heard = self.server.replication.backlog().is_active
                || self.server.effect_listeners.load(Ordering::Relaxed) > 0;
            let effects: &[u8] = if role == b"MASTER" && is_heard { b"ON" } else { b"OFF" };
            self.follower.is_switching = true;
            self.begin_whole(own, ROLE_BARRIER, 0, &[b"DEBUG", b"ROLE-SWITCH", role, effects]);
        }
    }

    /// All shards are of another role, and the stream has every effect of before.
    pub fn role_settled(&mut self, own: &mut Shard) {
        self.follower.is_switching = false;
        let becomes_replica = self.follower.changes.front().is_some_and(|change| change.master.is_some());
        let registers = &self.server.replication;
        let (history, offset) = (registers.history(), registers.offset());
        registers.is_replica.store(becomes_replica, Ordering::Release);
        if becomes_replica {
            notice!(
                "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be \
                 able to synchronize with the new master with just a partial transfer."
            );
            self.publish_applied(offset, offset);
            self.follower.resume = Some(Position { id: history.id, offset, database: 0 });
            for home in 0..self.shards.len() {
                let (ticket, question) =
                    (Ticket { connection: Ticket::OF_SERVER, sequence: 0 }, Question::BeganToFollow);
                self.shards.send(home, Message::Server(ServerMessage::Tell { home: 0, ticket, question }));
            }
        } else {
            let id = random_id(self.home.rng());
            notice!(
                "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {id}",
                history.id,
                offset + 1
            );
            registers.set_history(History { id, second: Some((history.id, offset)) });
            self.disconnect_replicas(own);
            self.home.reselect_stream();
            self.follower.resume = None;
        }
        self.master_changed();
        if !becomes_replica {
            self.serve_predecessors(own);
        }
        self.change_master(own);
    }

    /// The first change is done but for the link.
    fn master_changed(&mut self) {
        let Some(change) = self.follower.changes.front() else { return };
        let master = change.master.clone();
        let words = match &master {
            Some(master) => format!("{} {}", master.host, master.port),
            None => "no one".to_owned(),
        };
        let changed =
            self.server.config.change(|config| config.with("replicaof", words).map(|config| (config, ())));
        if let Err(reason) = changed {
            warning!("The directive replicaof stays as it was: {reason}");
        }
        self.server.following.set_master(master);
        self.server.following.down_since.store(0, Ordering::Relaxed);
        self.end_change();
        if self.follower.changes.is_empty() {
            self.begin_link();
        }
    }

    fn end_change(&mut self) {
        let Some(change) = self.follower.changes.pop_front() else { return };
        if let Some((home, ticket)) = change.asker {
            self.send_told(home, ticket, 0, Vec::new());
        }
    }

    /// Has a thread reach the master, if there is one to follow.
    fn begin_link(&mut self) {
        let Some(master) = self.server.following.master() else { return };
        if self.stopping {
            return;
        }
        self.follower.order += 1;
        let resume = self.follower.resume.as_ref().map(|position| (position.id.clone(), position.offset + 1));
        let attempt = Attempt { number: self.follower.order, master, resume };
        match link::start(Arc::clone(&self.shards), attempt) {
            Ok(leash) => self.follower.leash = Some(leash),
            Err(error) => warning!("No thread to reach the master: {error}"),
        }
    }

    /// Ends the link, or what would become one.
    fn end_link(&mut self) {
        self.follower.order += 1;
        if let Some(leash) = self.follower.leash.take() {
            leash.end();
        }
        if let Some(id) = self.follower.link {
            self.break_connection(id);
        }
    }

    /// A thread has reached the master. If it had to load a snapshot, that takes the place of the dataset first.
    pub fn master_reached(&mut self, own: &mut Shard, stream: MasterStream) {
        let is_void = stream.order != self.follower.order || !self.follower.changes.is_empty();
        match stream.snapshot {
            Some(snapshot) if is_void => drop_load(&self.shards, snapshot.load),
            Some(snapshot) => {
                notice!("MASTER <-> REPLICA sync: Swapping active DB with loaded DB");
                self.follower.adopting = Some(stream);
                let number = snapshot.load.to_string();
                self.begin_whole(own, MASTER_SNAPSHOT_BARRIER, 0, &[b"DEBUG", b"ADOPT", number.as_bytes()]);
            }
            None if is_void => {}
            None => self.follower.reached.push(stream),
        }
    }

    /// The dataset is the master's now, as it was at its snapshot.
    pub fn master_snapshot_adopted(&mut self, own: &mut Shard) {
        let Some(stream) = self.follower.adopting.take() else { return };
        let (Some(snapshot), Some(id)) = (stream.snapshot, stream.id.clone()) else { return };
        notice!("MASTER <-> REPLICA sync: Discarding old DB in background");
        self.server.replication.set_history(History { id: id.clone(), second: None });
        self.restart_stream(own, snapshot.offset);
        self.publish_applied(snapshot.offset, snapshot.offset);
        let MasterSnapshot { offset, database, .. } = snapshot;
        self.follower.resume = Some(Position { id, offset, database });
        notice!("MASTER <-> REPLICA sync: Finished with success");
        if stream.order == self.follower.order && self.follower.changes.is_empty() {
            self.follower.reached.push(stream);
        }
    }

    /// The link is gone, and with it nothing that was under way.
    pub fn link_lost(&mut self, connection: &Connection, progress: &Progress) {
        notice!("Connection with master lost.");
        self.follower.link = None;
        self.follower.resume = None;
        // What comes from who does not speak the protocol is no history to go on with.
        if !connection.is_garbled {
            notice!("Caching the disconnected master state.");
            let id = self.server.replication.history().id;
            let (offset, database) = (progress.applied(), progress.database());
            self.follower.resume = Some(Position { id, offset, database });
        }
        let following = &self.server.following;
        following.down_since.store(self.now, Ordering::Relaxed);
        following.set_link(Link::Connect);
        if self.follower.changes.is_empty() {
            self.begin_link();
        }
    }

    /// Of these bytes, the last that came over the link, as many were parsed and are under way or done. Before a transaction
    /// begins this must be known: what came before it is applied whatever becomes of that.
    pub fn note_parsed(&mut self, id: SocketId, bytes: &[u8], count: usize) {
        let Some(connection) = self.connection(id).filter(|connection| connection.unexecuted == 0) else {
            return;
        };
        let asked = connection.asked();
        let session = &connection.session;
        let (database, is_between) = (session.caller.database, session.queue.is_none());
        let Some(progress) = connection.progress.as_deref_mut() else { return };
        let received = progress.received;
        let start = bytes.len() - (progress.received - progress.parsed()) as usize;
        progress.parse(&bytes[start..count]);
        if is_between {
            progress.mark(asked, database);
        }
        let following = &self.server.following;
        let before = following.received.swap(received, Ordering::Relaxed);
        following.input_bytes.fetch_add(received.saturating_sub(before), Ordering::Relaxed);
        self.note_answered(id);
    }

    /// What of the link's stream is answered is applied.
    pub fn note_answered(&mut self, id: SocketId) {
        let Some(connection) = self.connection(id) else { return };
        let answered = connection.answered();
        let Some(mut progress) = connection.progress.take() else { return };
        let before = progress.applied();
        progress.settle(answered, |bytes| self.follower.applied.extend_from_slice(bytes));
        if progress.applied() != before {
            self.publish_applied(progress.applied(), progress.received);
        }
        if let Some(connection) = self.connection(id) {
            connection.progress = Some(progress);
        }
    }

    fn publish_applied(&self, applied: u64, received: u64) {
        self.server.following.applied.store(applied, Ordering::Release);
        self.server.following.received.store(received, Ordering::Relaxed);
    }

    /// Passes what is applied of the master's stream on to this server's own replicas.
    fn pass_on(&mut self, own: &mut Shard) {
        if !self.follower.applied.is_empty() {
            let bytes = std::mem::take(&mut self.follower.applied);
            self.proxy_stream(own, &bytes);
        }
    }

    /// On shard zero: whether everything that was parsed of the master's stream is applied and passed on, so that the dataset is
    /// that of the stream's offset. From this question on nothing more is parsed until [`Core::release_link`].
    pub fn link_rests(&mut self, own: &mut Shard) -> bool {
        // A link that is attached meanwhile is held too.
        self.follower.is_held = true;
        self.pass_on(own);
        let Some(id) = self.follower.link else { return true };
        self.connection(id).is_none_or(|connection| {
            connection.is_settled() && connection.progress.as_ref().is_none_or(|progress| progress.rests())
        })
    }

    /// The link goes on.
    pub fn release_link(&mut self) {
        if std::mem::take(&mut self.follower.is_held)
            && let Some(id) = self.follower.link
        {
            self.make_ready(id);
        }
    }

    /// Whether nothing of this connection is parsed for now.
    pub fn is_held(&self, id: SocketId) -> bool {
        self.follower.is_held && self.follower.link == Some(id)
    }

    /// A replica has loaded its file: if that says where in the master's stream it stands, the link goes on from there.
    pub fn resume_loaded(&mut self, report: &Report) {
        let Some((id, offset)) = history_of(|name| report.field(name)) else { return };
        if self.server.following.master().is_none() {
            return;
        }
        let database = report.field("repl-stream-db").and_then(|index| index.parse().ok()).unwrap_or(0);
        self.server.replication.set_history(History { id: id.clone(), second: None });
        self.server.replication.offset.store(offset, Ordering::Release);
        self.publish_applied(offset, offset);
        self.follower.resume = Some(Position { id, offset, database });
    }

    /// The database that is selected where the master's stream is applied.
    pub fn stream_database(&self) -> u32 {
        let link = self.follower.link.and_then(|id| self.connections.get(id.index()));
        let progress = link.and_then(Option::as_ref).and_then(|connection| connection.progress.as_deref());
        let resume = self.follower.resume.as_ref().map_or(0, |position| position.database);
        progress.map_or(resume, Progress::database)
    }

    /// REPLCONF of the master, when all before it is done: it may want to know how far this replica is.
    pub fn answer_master(&mut self, id: SocketId, arguments: &[&[u8]]) {
        let is_asked = arguments.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"getack"));
        let Some(connection) = self.connection(id) else { return };
        let in_hand = connection.in_hand as u64;
        let Some(progress) = connection.progress.as_deref() else { return };
        let offset = progress.received.saturating_sub(in_hand);
        if is_asked {
            self.acknowledge(id, offset);
        }
    }

    fn acknowledge(&mut self, id: SocketId, offset: u64) {
        self.follower.acknowledged_at = self.now;
        let Some(connection) = self.connection(id) else { return };
        connection.out.extend_from_slice(&encode(&["REPLCONF", "ACK", &offset.to_string()]));
        self.mark_dirty(id);
    }

    /// On shard zero: what happens by the clock.
    pub fn attend_link(&mut self) {
        let Some(id) = self.follower.link else {
            let is_ready = !self.server.persistence.is_loading();
            if is_ready && self.follower.leash.is_none() && self.follower.changes.is_empty() {
                self.begin_link();
            }
            return;
        };
        let progress = self.connection(id).and_then(|connection| connection.progress.as_deref());
        let Some(received_at) = progress.map(|progress| progress.received_at) else { return };
        self.server.following.last_io.store(received_at, Ordering::Relaxed);
        if self.now - received_at > self.config.repl_timeout as i64 * 1000 {
            warning!("MASTER timeout: no data nor PING received...");
            return self.break_connection(id);
        }
        if self.now - self.follower.acknowledged_at >= ACKNOWLEDGE_PERIOD_MS
            && let Some(connection) = self.connection(id).filter(|connection| connection.phase == Phase::Open)
            && let Some(offset) = connection.progress.as_deref().map(Progress::applied)
        {
            self.acknowledge(id, offset);
        }
    }

    /// The stream that a thread reached begins where the dataset is: where that is.
    fn begin_stream(&mut self, own: &mut Shard, stream: &MasterStream) -> Option<Position> {
        let position = self.follower.resume.take()?;
        if stream.snapshot.is_some() {
            return Some(position);
        }
        notice!("Successful partial resynchronization with master.");
        let registers = &self.server.replication;
        let history = registers.history();
        if let Some(id) = stream.id.as_ref().filter(|id| **id != history.id) {
            notice!("Master replication ID changed to {id}");
            registers.set_history(History { id: id.clone(), second: Some((history.id, position.offset)) });
            self.disconnect_replicas(own);
        }
        self.resume_stream(own);
        notice!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
        Some(position)
    }
}

impl Executor {
    /// On shard zero: goes on with changes of the master, and makes connections of what was reached.
    pub(super) fn attend_master(&mut self, own: &mut Shard) {
        self.core.pass_on(own);
        self.core.begin_snapshot(own);
        if self.core.follower.link.is_none() {
            self.core.change_master(own);
        }
        for stream in std::mem::take(&mut self.core.follower.reached) {
            if stream.order == self.core.follower.order && self.core.follower.changes.is_empty() {
                self.attach_master(own, stream);
            }
        }
    }

    fn attach_master(&mut self, own: &mut Shard, stream: MasterStream) {
        let core = &mut self.core;
        core.follower.leash = None;
        let Some(position) = core.begin_stream(own, &stream) else { return };
        let MasterStream { socket, received, snapshot, .. } = stream;
        if let Err(error) = configure_accepted(&socket, core.config.tcp_keepalive) {
            crate::verbose!("Error setting up the link to the master: {error}");
        }
        let mut session = Session::new(core.server.next_client_id(), core.now, true);
        let shown = |address: std::io::Result<Address>| {
            address.map(|address| address.to_string()).unwrap_or_default()
        };
        session.peer_address = shown(Address::of_peer(&socket)).into();
        session.local_address = shown(Address::of_local(&socket)).into();
        session.caller.from_master = true;
        session.caller.database = position.database;
        let id = self.ring.attach(socket);
        let mut connection = Connection::new(id, session);
        connection.progress = Some(Box::new(Progress::new(position.offset, position.database)));
        connection.input = received;
        let (bytes, index) = (connection.input.len(), id.index());
        connection.note_received(bytes, core.now);
        if core.connections.len() <= index {
            core.connections.resize_with(index + 1, || None);
        }
        core.connections[index] = Some(Box::new(connection));
        core.counters().clients.add(1);
        core.follower.link = Some(id);
        core.follower.acknowledged_at = core.now;
        core.publish_applied(position.offset, position.offset);
        core.server.following.last_io.store(core.now, Ordering::Relaxed);
        core.server.following.down_since.store(0, Ordering::Relaxed);
        core.server.following.set_link(Link::Connected);
        core.keep_failover(own);
        core.make_ready(id);
        core.keep_failover(own);
        if snapshot.is_some_and(|snapshot| snapshot.is_awaited) {
            core.acknowledge(id, position.offset);
        }
    }
}
