//! The loop of one shard: reap the network, run a tick, empty the inbox, flush, park.
//!
//! It runs as the main task of a glommio executor and holds its shard's token for as long as it runs. To park it
//! announces so, gives the token up and sleeps in the network ring, whose doorbell senders ring.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ask::Tell;
use super::connection::{Connection, Phase};
use super::cron::Cron;
use super::failover::Failover;
use super::listening::{Listeners, Relisten};
use super::master::Master;
use super::migrate::Migration;
use super::replica::Follower;
use super::shutdown::Shutdown;
use super::snapshot::Snapshots;
use super::subscribers::Subscribers;
use super::tick::Input;
use crate::base::clock::{Monotonic, UnixMillis, unix_millis};
use crate::base::slot::ShardId;
use crate::command::home::SyncRequest;
use crate::command::notice::Actor;
use crate::command::tracking::Options;
use crate::config::{ClientClass, Config};
use crate::net::{Event, Ring, SocketId};
use crate::shard::Env;
use crate::shard::cell::Shards;
use crate::shard::home::Home;
use crate::shard::message::{Answers, Message, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::replicas::{Hello, ToMaster};
use crate::state::Server;
use crate::state::counters::ShardCounters;
use crate::store::cut::Pace;

/// Where a connection came from: the tag of its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The normal port.
    Tcp,
    /// The Unix socket.
    Unix,
    /// This shard's own port for cluster clients.
    Cluster,
}

impl Origin {
    /// As the tag of a listener.
    pub fn tag(self) -> u32 {
        self as u32
    }

    /// The origin of a listener's tag.
    pub fn of_tag(tag: u32) -> Self {
        match tag {
            1 => Self::Unix,
            2 => Self::Cluster,
            _ => Self::Tcp,
        }
    }
}

/// Buffers of an idle connection above this are given back.
const IDLE_BUFFER_BYTES_MAX: usize = 64 << 10;
/// The same of clients that cache keys. They are told of evictions, so what they hold must not cause more of those.
const CACHING_BUFFER_BYTES_MAX: usize = 1 << 10;
/// Input that may wait behind commands under way before receiving pauses.
const WAITING_INPUT_BYTES_MAX: usize = 256 << 10;
/// The same of the link to the master, which cuts a replica off that does not read.
const WAITING_STREAM_BYTES_MAX: usize = 64 << 20;
/// Milliseconds between evictions that no write asks for.
const ROOM_PERIOD_MS: UnixMillis = 50;
/// Connections by which a core may be ahead of the least loaded one before it hands new ones over.
const AHEAD_MAX: u64 = 4;

/// After how long a shard goes on with a snapshot when it rests, or waits for the writer.
const WRITER_PERIOD: Duration = Duration::from_micros(300);

/// How a loop goes on that found nothing more to do.
enum Rest {
    /// A message came in the last moment.
    Again,
    /// It may sleep: whoever sends it something rings.
    Parked,
    /// The process stops and everything is sent.
    Over,
}

/// Everything of the loop but the ring, so that received bytes can be borrowed from the ring while commands run.
pub(super) struct Core {
    /// The shard.
    pub id: ShardId,
    /// All shards.
    pub shards: Arc<Shards>,
    /// What all shards share.
    pub server: Arc<Server>,
    /// This shard's home side.
    pub home: Home,
    /// The configuration as of this tick, and its version.
    pub config: Arc<Config>,
    /// Wall clock of this tick.
    pub now: UnixMillis,
    /// Connections by the index of their socket.
    pub connections: Vec<Option<Box<Connection>>>,
    /// Connections that have input to parse again.
    pub ready: Vec<SocketId>,
    /// Connections whose commands wait for the end of CLIENT PAUSE.
    pub paused: Vec<SocketId>,
    /// Blocked commands over several shards that wait for it too.
    pub postponed: Vec<Ticket>,
    /// Connections with something to send or to be closed.
    pub dirty: Vec<SocketId>,
    /// Connections of this shard that MONITOR.
    pub monitors: Vec<SocketId>,
    /// On shard zero: connections that take the stream of effects, with their home shards.
    pub effect_listeners: Vec<(ShardId, u64)>,
    /// Questions to all shards that are not answered yet.
    pub tells: HashMap<Ticket, Tell, ahash::RandomState>,
    /// MIGRATE of clients here, by their numbers.
    pub migrations: HashMap<u64, Migration, ahash::RandomState>,
    /// The number of the next one.
    pub next_migration: u64,
    /// Connections accepted elsewhere that wait to be attached here.
    pub adopted: Vec<(Origin, OwnedFd)>,
    /// When waits of blocked connections are over, with the connections.
    pub deadlines: BTreeSet<(UnixMillis, u64)>,
    /// New sockets to listen on.
    pub relisten: Vec<Relisten>,
    /// Who is subscribed to what.
    pub subscribers: Subscribers,
    /// Clients that have their invalidations sent elsewhere from now on, and where that is.
    pub redirecting: Vec<(Ticket, Options, Option<Actor>)>,
    /// On shard zero: the replicas of this server.
    pub master: Box<Master>,
    /// On shard zero: the failover that this server coordinates.
    pub failover: Option<Failover>,
    /// On shard zero: masters that hand over to this server and get its stream as soon as it is one.
    pub taking_over: Vec<Hello>,
    /// Replicas that ask for the stream.
    pub asking_for_stream: Vec<(SocketId, SyncRequest)>,
    /// Connections whose kernel has what they were fed of the stream.
    pub fed: Vec<SocketId>,
    /// On shard zero: the master that is followed.
    pub follower: Follower,
    /// On shard zero: the shutdown under way.
    pub shutdown: Option<Shutdown>,
    /// On shard zero: snapshots under way.
    pub snapshots: Box<Snapshots>,
    /// Replies to DEBUG EFFECTS-SYNC that wait for their barrier.
    pub syncing: Vec<Ticket>,
    /// Whether somebody watches all commands or a pause may hold them back, as of this tick.
    pub is_watchful: bool,
    /// Whether pipelined commands for different shards follow one another (`pipeline-order strict`).
    pub is_strict: bool,
    /// Whether inputs are being parsed: what is answered now may have more of them.
    pub is_parsing: bool,
    /// Whether answers are being delivered.
    is_delivering: bool,
    /// Whether the process is stopping.
    pub stopping: bool,
    config_version: u64,
}

/// The loop of one shard.
pub struct Executor {
    pub(super) ring: Ring,
    pub(super) core: Core,
    cron: Cron,
    events: Vec<Event>,
    deadline: Option<Monotonic>,
    /// Whether a snapshot goes on when its writer has taken what it has.
    waits_for_writer: bool,
    /// Whether everything was sent once since the process is stopping.
    has_settled: bool,
}

impl Executor {
    /// A loop for shard `home.id` that accepts from `listeners`.
    pub fn new(mut ring: Ring, home: Home, listeners: Listeners) -> Self {
        let shards = Arc::clone(&home.shards);
        let server = Arc::clone(&shards.server);
        shards.set_doorbell(home.id, Arc::new(ring.doorbell()));
        for (listener, tag) in listeners {
            ring.listen(listener, tag);
        }
        let core = Core {
            id: home.id,
            config_version: server.config.version(),
            config: server.config.load(),
            shards,
            server,
            home,
            now: unix_millis(),
            connections: Vec::new(),
            ready: Vec::new(),
            paused: Vec::new(),
            postponed: Vec::new(),
            dirty: Vec::new(),
            monitors: Vec::new(),
            effect_listeners: Vec::new(),
            tells: HashMap::default(),
            migrations: HashMap::default(),
            next_migration: 0,
            adopted: Vec::new(),
            deadlines: BTreeSet::new(),
            relisten: Vec::new(),
            subscribers: Subscribers::default(),
            redirecting: Vec::new(),
            master: Box::default(),
            failover: None,
            taking_over: Vec::new(),
            asking_for_stream: Vec::new(),
            fed: Vec::new(),
            follower: Follower::default(),
            shutdown: None,
            snapshots: Box::default(),
            syncing: Vec::new(),
            is_watchful: false,
            is_strict: false,
            is_parsing: false,
            is_delivering: false,
            stopping: false,
        };
        Self {
            ring,
            core,
            cron: Cron::new(),
            events: Vec::new(),
            deadline: None,
            waits_for_writer: false,
            has_settled: false,
        }
    }

    /// Serves until the process stops.
    ///
    /// It never yields to glommio, which has no other task here: an executor of glommio 0.9 whose preemption timer fires
    /// between its look at the rings and its first look at the task queues takes them for empty, parks, and
    /// never runs the task that yielded again.
    pub async fn run(mut self) -> std::io::Result<()> {
        crate::base::memory::claim_thread();
        loop {
            match self.work()? {
                Rest::Again => {}
                Rest::Over => return Ok(()),
                Rest::Parked => {
                    let overdue = self.core.until_overdue().map_or(Duration::MAX, Duration::from_millis);
                    let mut timeout = self.cron.until_next(&self.core.config).min(overdue);
                    if self.waits_for_writer {
                        timeout = timeout.min(WRITER_PERIOD);
                    }
                    self.ring.wait(&mut self.events, Some(timeout))?;
                }
            }
        }
    }

    /// Runs with the token in hand until there is nothing left to do, then gives it up.
    fn work(&mut self) -> std::io::Result<Rest> {
        let shards = Arc::clone(&self.core.shards);
        let id = self.core.id;
        let mut own = shards.own(id);
        shards.withdraw_park(id);
        let woke = Monotonic::now();
        while self.turn(&mut own)? {}
        self.core.counters().busy_micros.add(Monotonic::now().micros_since(woke));
        // Who sleeps cannot be asked.
        self.core.counters().allocated_bytes.set(crate::base::memory::thread_allocated() as u64);
        if self.core.stopping && self.may_end() {
            return Ok(Rest::Over);
        }
        Ok(if shards.announce_park(id) { Rest::Parked } else { Rest::Again })
    }

    /// One turn of the loop; false when there is nothing left to do.
    fn turn(&mut self, own: &mut Shard) -> std::io::Result<bool> {
        self.ring.poll(&mut self.events)?;
        // Behind the poll: who saw the reply to a CONFIG SET sends its next command under that.
        self.core.refresh();
        self.core.end_overdue();
        self.core.end_postponement(own);
        let mut worked = !self.events.is_empty() || !self.core.ready.is_empty();
        let inputs = self.take_events();
        self.core.note_fed(own);
        // Before any command runs: what its client may have seen elsewhere began with messages that wait here.
        worked |= self.core.empty_inbox(own);
        self.core.keep_limits(own);
        if !inputs.is_empty() || !self.core.ready.is_empty() {
            self.run_inputs(own, inputs);
        }
        self.core.read_on(own);
        let loads = !own.loading.is_empty() && self.core.load_some(own);
        let pace = if own.keyspace.is_cut() { self.core.walk_cut(own) } else { Pace::Ended };
        self.waits_for_writer = pace == Pace::Waits;
        self.core.hear(own);
        let shards = Arc::clone(&self.core.shards);
        shards.deliver(own);
        self.core.flush_home(own);
        // What clients hold goes before keys do.
        self.core.evict_clients();
        if self.cron.is_due() {
            self.flush_connections();
            self.cron.run(&mut self.core, own);
            self.core.serve_pending(own);
            self.core.hear(own);
            shards.deliver(own);
        }
        self.core.file_slow(own);
        self.begin_syncs(own);
        self.core.replicate(own);
        if self.core.id == 0 {
            self.attend_master(own);
        }
        self.relisten();
        self.core.begin_redirecting(own);
        self.flush_connections();
        if self.core.stopping && self.deadline.is_none() {
            self.deadline = Some(Monotonic::now().plus(Duration::from_secs(2)));
            for origin in [Origin::Tcp, Origin::Unix, Origin::Cluster] {
                self.ring.stop_listening(origin.tag());
            }
        }
        self.core.counters().ticks.add(1);
        Ok(worked || loads || pace == Pace::On || own.is_reading() || !self.core.ready.is_empty())
    }

    /// Whether everything that clients were promised is sent, on all shards, or the time for it is over.
    fn may_end(&mut self) -> bool {
        if self.deadline.is_some_and(|deadline| Monotonic::now() >= deadline) {
            return true;
        }
        if !self.is_drained() {
            return false;
        }
        if !std::mem::replace(&mut self.has_settled, true)
            && self.core.server.unsettled.fetch_sub(1, Ordering::AcqRel) == 1
        {
            // The others may sleep until they are told.
            self.core.stop_all();
        }
        self.core.server.unsettled.load(Ordering::Acquire) == 0
    }

    fn is_drained(&self) -> bool {
        let settled = |connection: &Connection| {
            connection.output_bytes() == 0 && (connection.is_settled() || connection.blocked.is_some())
        };
        self.core.home.is_idle() && self.core.connections.iter().flatten().all(|c| settled(c))
    }

    fn take_events(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        let now = self.core.now;
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Accepted { tag, fd } => self.accepted(tag, fd),
                Event::AcceptFailed { error, .. } => {
                    crate::warning!("Error accepting a client connection: {error}")
                }
                Event::Received { id, buffer } => {
                    self.core.counters().input_bytes.add(buffer.len() as u64);
                    match self.core.connection(id) {
                        Some(connection) if connection.phase == Phase::Open => {
                            connection.note_received(buffer.len(), now);
                            if std::mem::take(&mut connection.has_input) {
                                // A command may begin in one piece and end in the next: they become one.
                                let earlier = inputs.iter().rposition(|input: &Input| input.connection == id);
                                let earlier = earlier.map(|at| inputs.swap_remove(at));
                                let rest = earlier.and_then(|input| input.into_rest(&mut self.ring));
                                connection.input = rest.map_or_else(Vec::new, |(bytes, _)| bytes);
                                connection.input.extend_from_slice(self.ring.bytes(&buffer));
                                self.ring.recycle(buffer);
                                self.core.make_ready(id);
                            } else if connection.unparsed() > 0 {
                                connection.input.extend_from_slice(self.ring.bytes(&buffer));
                                self.ring.recycle(buffer);
                                self.core.make_ready(id);
                            } else {
                                connection.has_input = true;
                                inputs.push(Input::received(id, buffer));
                            }
                        }
                        _ => self.ring.recycle(buffer),
                    }
                }
                Event::Sent { id, buffer } => {
                    if let Some(connection) = self.core.connection(id) {
                        connection.sending_bytes = 0;
                        connection.spare = buffer;
                        connection.shrink(if connection.is_caching {
                            CACHING_BUFFER_BYTES_MAX
                        } else {
                            IDLE_BUFFER_BYTES_MAX
                        });
                        let has_taken = !connection.has_output() && std::mem::take(&mut connection.is_fed);
                        self.core.fed.extend(has_taken.then_some(id));
                        self.core.mark_dirty(id);
                    }
                }
                Event::Closed { id, error } => self.closed(id, error.is_some()),
                Event::Rung => {}
            }
        }
        inputs
    }

    fn run_inputs(&mut self, own: &mut Shard, mut inputs: Vec<Input>) {
        for id in std::mem::take(&mut self.core.ready) {
            if let Some(connection) = self.core.connection(id) {
                connection.is_ready = false;
                // Ready by an answer that came while its input was in hand: all that was parsed, and more came since.
                if connection.has_input {
                    continue;
                }
                connection.has_input = true;
                let (bytes, start) = (std::mem::take(&mut connection.input), connection.input_start);
                connection.input_start = 0;
                inputs.push(Input::kept(id, bytes, start));
            }
        }
        self.core.tick(own, &self.ring, &mut inputs);
        for input in inputs {
            self.keep_rest(input);
        }
    }

    /// What was not parsed stays with its connection; buffers go back to the ring.
    fn keep_rest(&mut self, input: Input) {
        let id = input.connection;
        let Some(connection) = self.core.connection(id) else {
            return input.give_back(&mut self.ring);
        };
        connection.has_input = false;
        let had_kept = connection.unparsed() > 0;
        debug_assert!(!had_kept, "input is taken whole");
        match input.into_rest(&mut self.ring) {
            None => connection.shrink(IDLE_BUFFER_BYTES_MAX),
            Some((mut bytes, start)) => {
                if start > bytes.len() / 2 {
                    bytes.drain(..start);
                    connection.input_start = 0;
                } else {
                    connection.input_start = start;
                }
                connection.input = bytes;
            }
        }
        let unparsed = connection.unparsed();
        // Of one that blocks the end must be seen.
        let behind = !connection.is_settled() && !connection.is_blocking || connection.is_ready;
        let is_link = connection.progress.is_some();
        let bytes_max = if is_link { WAITING_STREAM_BYTES_MAX } else { WAITING_INPUT_BYTES_MAX };
        // What waits may be a part of one long command: the rest must come when nothing is before it.
        match (behind && unparsed > bytes_max, connection.is_paused) {
            (true, false) => self.ring.pause_receive(id),
            (false, true) => self.ring.resume_receive(id),
            _ => {}
        }
        connection.is_paused = behind && unparsed > bytes_max;
        let limit = self.core.config.client_query_buffer_limit;
        if self.core.config.maxmemory_clients != 0 {
            self.core.weigh(id.index());
        }
        if unparsed > limit && !is_link {
            self.core.counters().query_limit_disconnections.add(1);
            self.core.break_connection(id);
        }
        self.core.end_if_finished(id);
    }

    fn closed(&mut self, id: SocketId, broken: bool) {
        let Some(connection) = self.core.connection(id) else { return };
        if broken {
            return self.core.break_connection(id);
        }
        connection.is_half_closed = true;
        if connection.blocked.is_some() {
            return self.core.break_connection(id);
        }
        self.core.end_if_finished(id);
    }

    /// Hands outputs to the ring and ends connections that are done.
    fn flush_connections(&mut self) {
        for message in self.core.take_adopted() {
            self.adopt(message.1, message.0);
        }
        for id in std::mem::take(&mut self.core.dirty) {
            let Some(connection) = self.core.connection(id) else { continue };
            connection.is_dirty = false;
            if connection.phase != Phase::Broken && !self.ring.is_sending(id) && connection.has_output() {
                let bytes = connection.take_output();
                let count = bytes.len() as u64;
                self.ring.send(id, bytes);
                self.core.counters().output_bytes.add(count);
            }
            if self.core.passes_output_limit(id) {
                self.core.counters().output_limit_disconnections.add(1);
                self.core.break_connection(id);
            }
            let Some(connection) = self.core.connection(id) else { continue };
            let is_over = match connection.phase {
                Phase::Open => false,
                // What the master sent must have been applied or not, before it is asked for more.
                Phase::Broken => connection.progress.is_none() || connection.has_run_out(),
                Phase::Closing => connection.output_bytes() == 0 && connection.is_settled(),
            };
            if is_over {
                self.ring.close(id);
                self.core.forget(id);
            }
        }
    }
}

impl Core {
    /// This shard's counters.
    pub fn counters(&self) -> &ShardCounters {
        &self.server.shards[self.id]
    }

    /// What a step needs of the world.
    pub fn env<'a>(&self, config: &'a Config, server: &'a Server) -> Env<'a> {
        Env { now: self.now, executor: self.id, config, server }
    }

    /// The connection of a socket, unless it is gone.
    pub fn connection(&mut self, id: SocketId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.index())?.as_deref_mut()?;
        (connection.socket == id).then_some(connection)
    }

    /// Notes that a connection has something to send.
    pub fn mark_dirty(&mut self, id: SocketId) {
        if let Some(connection) = self.connection(id)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Notes that a connection has input to parse.
    pub fn make_ready(&mut self, id: SocketId) {
        if let Some(connection) = self.connection(id)
            && !connection.is_ready
        {
            connection.is_ready = true;
            self.ready.push(id);
        }
    }

    /// Ends a connection at once.
    pub fn break_connection(&mut self, id: SocketId) {
        if let Some(connection) = self.connection(id) {
            connection.phase = Phase::Broken;
            self.mark_dirty(id);
        }
    }

    /// Ends a connection when its replies are sent.
    pub fn end_after_replies(&mut self, id: SocketId) {
        if let Some(connection) = self.connection(id) {
            if connection.phase == Phase::Open {
                connection.phase = Phase::Closing;
            }
            self.mark_dirty(id);
        }
    }

    /// Ends a connection whose peer sends nothing more, once what came before has run.
    pub fn end_if_finished(&mut self, id: SocketId) {
        if let Some(connection) = self.connection(id)
            && connection.is_half_closed
            && connection.phase == Phase::Open
            && !connection.is_ready
            && connection.waiting() == 0
        {
            self.end_after_replies(id);
        }
    }

    fn refresh(&mut self) {
        self.now = unix_millis();
        self.refresh_config();
    }

    /// Takes the configuration as it is now; whether it has changed.
    fn refresh_config(&mut self) -> bool {
        let version = self.server.config.version();
        let has_changed = version != self.config_version;
        if has_changed {
            self.config_version = version;
            let had_limit = self.config.maxmemory_clients != 0;
            self.config = self.server.config.load();
            if !had_limit && self.config.maxmemory_clients != 0 {
                (0..self.connections.len()).for_each(|index| self.weigh(index));
            }
        }
        has_changed
    }

    /// A core with clearly fewer connections than this one.
    pub(super) fn less_loaded(&self) -> Option<ShardId> {
        let own = self.counters().clients.get();
        let share =
            |shard: ShardId| if shard == 0 { u64::from(self.config.zero_share.clamp(1, 100)) } else { 100 };
        let load = |shard: ShardId| self.server.shards[shard].clients.get() * 100 / share(shard);
        let least = (0..self.shards.len()).min_by_key(|&shard| load(shard))?;
        let ahead = own * 100 / share(self.id) > load(least) + AHEAD_MAX + load(least) / 8;
        (least != self.id && ahead).then_some(least)
    }

    /// Acts on every message of the inbox; whether there was one.
    fn empty_inbox(&mut self, own: &mut Shard) -> bool {
        let shards = Arc::clone(&self.shards);
        let server = Arc::clone(&self.server);
        let mut config = Arc::clone(&self.config);
        let mut worked = false;
        while let Some(message) = shards.receive(self.id) {
            if self.refresh_config() {
                config = Arc::clone(&self.config);
            }
            let env = self.env(&config, &server);
            self.home.handle(own, env, message);
            worked = true;
        }
        self.deliver_answers(own);
        while let Some(message) = self.home.messages.pop_front() {
            self.act_on(own, message);
        }
        self.begin_redirecting(own);
        self.hear(own);
        worked
    }

    /// Sees to it, before commands run, that memory and the table of cached keys are within their limits, as far as this
    /// shard's keys go; whoever caches what had to go for that is told at once.
    fn keep_limits(&mut self, own: &mut Shard) {
        own.bound_tracked(self.env(&self.config, &self.server));
        self.make_room(own);
        self.hear(own);
    }

    /// Evicts while nobody writes. One shard in a period does: what clients are told of it takes memory too until it is
    /// sent, and must not make further keys go.
    pub fn make_room(&mut self, own: &mut Shard) {
        let made_at = &self.server.made_room_at;
        if self.config.maxmemory == 0 || self.now < made_at.load(Ordering::Relaxed) + ROOM_PERIOD_MS {
            return;
        }
        let evicted = own.keyspace.counters.evicted;
        own.make_room(self.env(&self.config, &self.server));
        own.announce();
        if own.keyspace.counters.evicted > evicted {
            made_at.store(self.now, Ordering::Relaxed);
        }
    }

    /// Runs those who wait for keys that expired or were evicted.
    fn serve_pending(&mut self, own: &mut Shard) {
        let (config, server) = (Arc::clone(&self.config), Arc::clone(&self.server));
        own.serve_pending(self.env(&config, &server));
    }

    /// Goes on with a load; whether there is more to do of it.
    fn load_some(&mut self, own: &mut Shard) -> bool {
        let (config, server) = (Arc::clone(&self.config), Arc::clone(&self.server));
        own.load_some(self.env(&config, &server))
    }

    /// Goes on with a read that replies in slices, if there is one.
    fn read_on(&mut self, own: &mut Shard) {
        if own.is_reading() {
            let (config, server) = (Arc::clone(&self.config), Arc::clone(&self.server));
            own.read_on(self.env(&config, &server));
        }
    }

    /// Passes on commands for other shards, and the replies of those that ran at once.
    fn flush_home(&mut self, own: &mut Shard) {
        let (config, server) = (Arc::clone(&self.config), Arc::clone(&self.server));
        self.home.flush(self.env(&config, &server));
        self.deliver_answers(own);
    }

    /// Passes on replies that came from other shards, and ends of transactions.
    pub fn deliver_answers(&mut self, own: &mut Shard) {
        // What is delivered may begin a command that ends at once; that is delivered in its turn, not from within.
        if std::mem::replace(&mut self.is_delivering, true) {
            return;
        }
        self.deliver_all(own);
        self.is_delivering = false;
    }

    fn deliver_all(&mut self, own: &mut Shard) {
        while let Some(answers) = self.home.answers.pop_front() {
            if answers.goes_on {
                self.take_piece(answers);
                continue;
            }
            let mut start = 0;
            for &(ticket, length) in &answers.items {
                let end = start + length as usize;
                self.answer(ticket, &answers.bytes[start..end]);
                start = end;
            }
        }
        while let Some(mut finished) = self.home.finished.pop_front() {
            if finished.ticket.connection == Ticket::OF_SERVER {
                if !self.migration_ran(own, finished.ticket.sequence, &finished.reply) {
                    self.barrier_passed(own, finished.ticket.sequence);
                }
                continue;
            }
            if let Some(wish) = finished.wish {
                self.block_on_several(own, finished.ticket, wish);
                continue;
            }
            if let Some((database, arguments)) = finished.blocking {
                self.served(own, finished.ticket, database, &arguments, &finished.reply);
                continue;
            }
            let id = SocketId::from_u64(finished.ticket.connection);
            match self.connection(id) {
                Some(connection) => {
                    connection.session.watches.append(&mut finished.watched);
                    if connection.block.is_some() {
                        self.transaction_ran(own, id, finished);
                        continue;
                    }
                }
                None => self.send_unwatch(std::mem::take(&mut finished.watched)),
            }
            self.answer(finished.ticket, &finished.reply);
        }
    }

    /// Puts a piece of a reply into its place.
    fn take_piece(&mut self, piece: Answers) {
        let Some(&(ticket, _)) = piece.items.first() else { return };
        let id = SocketId::from_u64(ticket.connection);
        let Some(connection) = self.connection(id) else { return };
        connection.take_piece(ticket.sequence, piece.bytes);
        self.mark_dirty(id);
    }

    /// Puts a reply into its place; its connection goes on if it waited for that.
    pub fn answer(&mut self, ticket: Ticket, reply: &[u8]) {
        let id = SocketId::from_u64(ticket.connection);
        if reply.first() == Some(&b'-') {
            self.server.errors.count(self.id, reply);
            self.counters().error_replies.add(1);
        }
        if let Some(index) = ticket.inside() {
            return self.fill(id, index, reply.to_vec());
        }
        let is_parsing = self.is_parsing;
        let Some(connection) = self.connection(id) else { return };
        connection.answer(ticket.sequence, reply);
        let wait = connection.blocked.take_if(|wait| wait.is_for(ticket.sequence));
        if wait.is_some() {
            connection.retry = None;
        }
        if connection.unparsed() > 0 || connection.has_input && is_parsing {
            self.make_ready(id);
        }
        if let Some(wait) = wait {
            self.wait_is_over(id, &wait, false);
        }
        self.note_answered(id);
        self.mark_dirty(id);
        self.end_if_finished(id);
    }

    /// Tells owners that keys are no longer watched.
    pub fn send_unwatch(&mut self, watches: Vec<crate::command::session::Watch>) {
        for watch in watches {
            self.shards.send(watch.shard, Message::Unwatch(vec![(watch.database, watch.key)]));
        }
    }

    fn passes_output_limit(&mut self, id: SocketId) -> bool {
        let limits = self.config.client_output_buffer_limits;
        let now = self.now;
        let Some(connection) = self.connection(id).filter(|connection| connection.progress.is_none()) else {
            return false;
        };
        let class = if connection.takes_effects || connection.session.monitor || connection.session.follows()
        {
            ClientClass::Replica
        } else if connection.is_subscriber {
            ClientClass::Pubsub
        } else {
            ClientClass::Normal
        };
        let limit = limits[class as usize];
        let bytes = connection.output_bytes() as u64;
        if limit.hard_bytes > 0 && bytes >= limit.hard_bytes {
            return true;
        }
        if limit.soft_bytes == 0 || bytes < limit.soft_bytes {
            connection.soft_limit_since = None;
            return false;
        }
        let since = *connection.soft_limit_since.get_or_insert(now);
        now - since > limit.soft_seconds as i64 * 1000
    }

    /// Lets go of a connection whose socket is closed.
    fn forget(&mut self, id: SocketId) {
        let Some(slot) = self.connections.get_mut(id.index()) else { return };
        let Some(mut connection) = slot.take() else { return };
        self.counters().clients.set(self.counters().clients.get().saturating_sub(1));
        self.unweigh(&mut connection);
        if let Some(wait) = connection.blocked.take() {
            self.wait_is_over(id, &wait, true);
        }
        if let Some(progress) = connection.progress.take() {
            self.link_lost(&connection, &progress);
        }
        connection.session.unwatch();
        let unwatched = std::mem::take(&mut connection.session.unwatched);
        self.send_unwatch(unwatched);
        self.forget_listener(id, &mut connection);
        if connection.session.monitor {
            self.monitors.retain(|&monitor| monitor != id);
            self.server.monitors.fetch_sub(1, Ordering::Relaxed);
        }
        if connection.takes_effects {
            self.stop_effects(id);
        }
        if connection.session.follows() {
            let gone = ToMaster::Gone((self.id, id.to_u64()));
            self.shards.send(0, Message::Server(ServerMessage::ToMaster(gone)));
        }
        if let Some(index) = self.paused.iter().position(|&paused| paused == id) {
            self.paused.swap_remove(index);
            let blocked = &self.counters().blocked_clients;
            blocked.set(blocked.get().saturating_sub(1));
        }
    }
}
